"""New files: whole in one step, or not at all, however it ends."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from errno import EACCES, EBADF, EINVAL, EIO, EOPNOTSUPP, EXDEV
from pathlib import Path

import pytest

from netlodge.store import new_files as module
from netlodge.store.new_files import NewFile, NewFiles, sync_folder

PREFIX = ".unfinished-"
STAMP = 1_700_000_000_123_456_700
Begin = Callable[[], NewFile]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


@pytest.fixture
def opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=[True, False], ids=["nameless", "named"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> NewFiles:
    return NewFiles(tmp_path / "records", PREFIX, nameless=request.param)


@pytest.fixture
def begin(files: NewFiles, folder: Path, opened: int) -> Begin:
    def begin() -> NewFile:
        new = files.make()
        new.open(opened, os.fsencode(folder))
        return new

    return begin


def records(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (tmp_path / "records").glob("names-*"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class TestItsPlace:
    def test_is_taken_with_all_of_its_content(self, begin: Begin, folder: Path, opened: int, tmp_path: Path) -> None:
        new = begin()
        new.write([b"one ", b"two "])
        new.write([b"three"])
        new.sync(mode=None, stamp=STAMP)
        status = new.put(opened, b"a.txt", replaces=False)
        assert os.listdir(folder) == ["a.txt"]
        assert (folder / "a.txt").read_bytes() == b"one two three"
        there = os.stat(folder / "a.txt")
        assert (status.st_ino, status.st_size, status.st_ctime_ns) == (there.st_ino, 13, there.st_ctime_ns)
        assert status.st_mtime_ns == STAMP
        assert not records(tmp_path)

    def test_is_taken_from_another_in_one_step(self, begin: Begin, folder: Path, opened: int, tmp_path: Path) -> None:
        (folder / "a.txt").write_bytes(b"old")
        with (folder / "a.txt").open("rb") as reader:
            new = begin()
            new.write([b"new"])
            assert (folder / "a.txt").read_bytes() == b"old"
            new.put(opened, b"a.txt", replaces=True)
            assert reader.read() == b"old"
        assert (folder / "a.txt").read_bytes() == b"new"
        assert os.listdir(folder) == ["a.txt"]
        assert not records(tmp_path)

    def test_lets_go_of_every_descriptor(self, begin: Begin, folder: Path, opened: int) -> None:
        (folder / "b.txt").touch()
        first = begin()
        first.discard()  # from now on its record is open, if it needs one
        before = descriptors()
        for name in (b"a.txt", b"b.txt"):
            begin().put(opened, name, replaces=name == b"b.txt")
        assert descriptors() <= before + 1  # the record that the second of them may be the first to need

    def test_has_the_permissions_of_the_umask_or_those_asked_for(self, begin: Begin, folder: Path, opened: int) -> None:
        before = os.umask(0o027)
        try:
            fresh, kept = begin(), begin()
        finally:
            os.umask(before)
        fresh.sync(mode=None, stamp=STAMP)
        fresh.put(opened, b"fresh", replaces=False)
        kept.sync(mode=0o600, stamp=STAMP)
        kept.put(opened, b"kept", replaces=False)
        assert stat.S_IMODE((folder / "fresh").stat().st_mode) == 0o640
        assert stat.S_IMODE((folder / "kept").stat().st_mode) == 0o600

    def test_may_be_in_another_folder_of_the_same_file_system(self, begin: Begin, folder: Path, tmp_path: Path) -> None:
        new = begin()
        new.write([b"x"])
        other = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            new.put(other, b"a.txt", replaces=False)
        finally:
            os.close(other)
        assert (tmp_path / "a.txt").read_bytes() == b"x"
        assert not os.listdir(folder)

    def test_is_not_on_another_file_system(self, begin: Begin, folder: Path) -> None:
        new = begin()
        other = os.open("/dev/shm", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with pytest.raises(OSError, match=os.strerror(EXDEV)):
                new.put(other, b"netlodge-test-a.txt", replaces=False)
        finally:
            os.close(other)
            new.discard()
        assert not os.listdir(folder)

    def test_is_not_that_of_a_folder(self, begin: Begin, folder: Path, opened: int, tmp_path: Path) -> None:
        (folder / "a").mkdir()
        new = begin()
        with pytest.raises(IsADirectoryError):
            new.put(opened, b"a", replaces=True)
        new.discard()
        assert os.listdir(folder) == ["a"]
        assert not records(tmp_path)

    def test_that_is_taken_after_all_is_told(self, tmp_path: Path, folder: Path, opened: int) -> None:
        new = NewFiles(tmp_path / "records", PREFIX).make()
        new.open(opened, os.fsencode(folder))
        (folder / "a.txt").write_bytes(b"theirs")
        with pytest.raises(FileExistsError):
            new.put(opened, b"a.txt", replaces=False)
        assert (folder / "a.txt").read_bytes() == b"theirs"
        new.put(opened, b"a.txt", replaces=True)
        assert os.listdir(folder) == ["a.txt"]


class TestAFileThatIsDiscarded:
    def test_leaves_nothing(self, begin: Begin, folder: Path, tmp_path: Path) -> None:
        before = descriptors()
        new = begin()
        new.write([b"x" * 100_000])
        new.discard()
        new.discard()
        assert not os.listdir(folder)
        assert not records(tmp_path)
        assert descriptors() <= before + 1  # the record

    def test_takes_no_more(self, begin: Begin, opened: int) -> None:
        new = begin()
        new.discard()
        for attempt in (
            lambda: new.open(opened, b"."),
            lambda: new.write([b"x"]),
            lambda: new.sync(mode=None, stamp=0),
            lambda: new.put(opened, b"x", replaces=False),
        ):
            with pytest.raises(OSError, match="discarded") as caught:
                attempt()
            assert caught.value.errno == EBADF

    def test_after_it_took_its_place_stays(self, begin: Begin, folder: Path, opened: int) -> None:
        new = begin()
        new.put(opened, b"a.txt", replaces=False)
        new.discard()
        assert os.listdir(folder) == ["a.txt"]

    def test_waits_for_the_thread_that_writes_it(self, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
        writing, go_on, order = threading.Event(), threading.Event(), list[str]()
        write = os.write

        def slow_write(descriptor: int, data: bytes) -> int:
            writing.set()
            assert go_on.wait(10)
            order.append("written")
            return write(descriptor, data)

        new = begin()
        monkeypatch.setattr(os, "write", slow_write)
        writer = threading.Thread(target=new.write, args=([b"x"],))

        def end() -> None:
            new.discard()
            order.append("discarded")

        ender = threading.Thread(target=end)
        writer.start()
        assert writing.wait(10)
        ender.start()
        go_on.set()
        writer.join(10)
        ender.join(10)
        assert order == ["written", "discarded"]

    def test_that_could_not_even_begin_leaves_nothing(
        self, files: NewFiles, folder: Path, opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new = files.make()
        open_file = os.open

        def refuse(path: object, flags: int, *arguments: int, **more: int) -> int:
            if "dir_fd" in more:
                raise PermissionError(EACCES, "no")
            return open_file(path, flags, *arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(PermissionError):
            new.open(opened, os.fsencode(folder))
        new.discard()
        assert not records(tmp_path)


class TestTheWriting:
    def test_goes_on_where_the_system_took_a_part(
        self, begin: Begin, folder: Path, opened: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new = begin()
        write = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
        new.write([bytes(range(200)), b"end"])
        monkeypatch.undo()
        new.put(opened, b"a", replaces=False)
        assert (folder / "a").read_bytes() == bytes(range(200)) + b"end"

    def test_sets_the_disk_to_work_now_and_then(
        self, begin: Begin, opened: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[int, int]] = []
        monkeypatch.setattr(module, "_WRITTEN_BACK", 10)
        monkeypatch.setattr(os, "posix_fadvise", lambda _, offset, count, advice: asked.append((offset, count)))
        new = begin()
        for size in (4, 7, 9, 1):
            new.write([b"x" * size])
        assert asked == [(0, 11), (11, 10)]
        new.discard()


class TestAFileSystemWithoutNamelessFiles:
    @pytest.mark.parametrize("error", [EOPNOTSUPP, EINVAL])
    def test_gets_named_ones(
        self, error: int, tmp_path: Path, folder: Path, opened: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_file = os.open

        def refuse(path: object, flags: int, *arguments: int, **more: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(error, "no")
            return open_file(path, flags, *arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", refuse)
        new = NewFiles(tmp_path / "records", PREFIX).make()
        new.open(opened, os.fsencode(folder))
        (name,) = os.listdir(folder)
        assert name.startswith(PREFIX)
        new.put(opened, b"a", replaces=False)
        assert os.listdir(folder) == ["a"]

    def test_is_how_a_system_without_proc_counts(
        self, tmp_path: Path, folder: Path, opened: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_path_of", lambda descriptor: b"/no/such/folder")
        new = NewFiles(tmp_path / "records", PREFIX).make()
        new.open(opened, os.fsencode(folder))
        assert os.listdir(folder)
        new.put(opened, b"a", replaces=False)
        assert os.listdir(folder) == ["a"]


LEAVE = """
import os, signal, sys
from pathlib import Path
from netlodge.store.new_files import NewFiles
def wait(*arguments, **more):
    print("written", flush=True)
    sys.stdin.read()
path, is_whole = sys.argv[2], sys.argv[4] == "whole"
folder = os.open(path, os.O_RDONLY)
new = NewFiles(Path(sys.argv[1]), sys.argv[3], nameless=is_whole).make()
new.open(folder, os.fsencode(path))
new.write([b"half"])
if is_whole:
    os.rename = wait
    new.put(folder, b"a.txt", replaces=True)
wait()
"""


class TestWhatAKilledProcessLeaves:
    @pytest.mark.parametrize("state", ["half", "whole"])
    def test_is_removed_by_the_next_and_not_before(self, state: str, tmp_path: Path, folder: Path) -> None:
        """Half: where files must have names. Whole: in the moment in which one takes the place of another."""
        (folder / f"{PREFIX}of-a-person").touch()
        command = [sys.executable, "-c", LEAVE, str(tmp_path / "records"), str(folder), PREFIX, state]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
            left = set(os.listdir(folder))
            assert len(left) == 2
            NewFiles(tmp_path / "records", PREFIX)
            assert set(os.listdir(folder)) == left  # it lives
            process.send_signal(signal.SIGKILL)
        assert set(os.listdir(folder)) == left
        NewFiles(tmp_path / "records", PREFIX)
        assert os.listdir(folder) == [f"{PREFIX}of-a-person"]
        assert not list((tmp_path / "records").glob("names-*"))

    def test_is_nothing_that_has_no_such_name(self, tmp_path: Path, folder: Path) -> None:
        (folder / "a.txt").touch()
        (tmp_path / "records").mkdir()
        names = [folder / "a.txt", folder / f"{PREFIX}gone"]
        (tmp_path / "records" / "names-1-x").write_bytes(b"".join(bytes(name) + b"\0" for name in names))
        NewFiles(tmp_path / "records", PREFIX)
        assert os.listdir(folder) == ["a.txt"]
        assert not records(tmp_path)

    def test_is_found_only_in_a_record_that_is_locked(
        self, tmp_path: Path, folder: Path, opened: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that starts in the moment between the making of a record and its lock takes it for one that was left."""
        flock, tries = fcntl.flock, list[int]()

        def late_flock(descriptor: int, operation: int) -> None:
            tries.append(descriptor)
            if len(tries) == 1:
                NewFiles(tmp_path / "records", PREFIX)
            flock(descriptor, operation)

        files = NewFiles(tmp_path / "records", PREFIX, nameless=False)
        monkeypatch.setattr(fcntl, "flock", late_flock)
        new = files.make()
        new.open(opened, os.fsencode(folder))
        assert os.listdir(folder)[0].encode() in records(tmp_path)
        new.discard()


class TestTheLock:
    def test_keeps_everyone_else_of_the_lodge_out_of_a_folder(self, tmp_path: Path, folder: Path, opened: int) -> None:
        one, other = NewFiles(tmp_path / "records", PREFIX), NewFiles(tmp_path / "records", PREFIX)
        again = os.open(folder, os.O_RDONLY)
        with one.locked(opened):
            (path,) = (tmp_path / "records").glob("lock-*")
            with path.open() as lock, pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with other.locked(again), path.open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(again)
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_is_given_back_after_an_error(self, tmp_path: Path, opened: int) -> None:
        files = NewFiles(tmp_path / "records", PREFIX)
        with pytest.raises(ValueError, match="x"), files.locked(opened):
            raise ValueError("x")
        with files.locked(opened):
            pass


class TestTheFolder:
    def test_is_made_durable(self, opened: int, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[int] = []
        monkeypatch.setattr(os, "fsync", asked.append)
        sync_folder(opened)
        assert asked == [opened]

    @pytest.mark.parametrize(("error", "is_told"), [(EINVAL, False), (EOPNOTSUPP, False), (EIO, True)])
    def test_that_cannot_be_is_told_if_that_is_a_failure(
        self, error: int, is_told: bool, opened: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(descriptor: int) -> None:
            raise OSError(error, "no")

        monkeypatch.setattr(os, "fsync", fail)
        if is_told:
            with pytest.raises(OSError, match="no"):
                sync_folder(opened)
        else:
            sync_folder(opened)
