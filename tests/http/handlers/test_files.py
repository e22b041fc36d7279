"""Files: which file a path means, what is refused, and what may be remembered."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EACCES, EIO, EMFILE
from pathlib import Path

import pytest

from netlodge.core.clock import FakeClock
from netlodge.http.handlers import files as files_module
from netlodge.http.handlers import root as root_module
from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.message import FileBody
from netlodge.http.rules.dates import imf_fixdate
from netlodge.http.rules.media_types import MediaTypes
from tests.http.handlers.asking import answer, ask, content, get, holds, later, request_of

LARGE = 100_000
"""Octets: more than is kept in memory."""


@pytest.fixture
def www(tmp_path: Path) -> Path:
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "index.html").write_text("<p>home")
    (root / "a.txt").write_text("small")
    (root / "sub" / "index.html").write_text("<p>sub")
    (root / "sub" / "été.txt").write_text("summer")
    (root / "large.bin").write_bytes(b"x" * LARGE)
    (tmp_path / "secret.txt").write_text("secret")
    return root


def files(root: Path, clock: FakeClock | None = None, **settings: object) -> Files:
    clock = clock or later()

    async def pause(seconds: float) -> None:
        clock.advance(seconds)

    return Files(FilesSettings(root=root, **settings), clock=clock, pause=pause)  # type: ignore[arg-type]


# Which file.


def test_a_candidate_for_the_index_that_is_no_file_is_passed_over(www: Path) -> None:
    (www / "sub" / "first.html").mkdir()
    os.mkfifo(www / "sub" / "second.html")
    handler = files(www, index=("first.html", "second.html", "index.html"))
    response = get(handler, "/sub/")
    assert content(response) == b"<p>sub"
    assert holds(response)
    (www / "sub" / "first.html").rmdir()
    (www / "sub" / "first.html").write_text("<p>first")
    assert not holds(response)
    assert content(get(handler, "/sub/")) == b"<p>first"


def test_a_candidate_for_the_index_that_has_just_gone_is_passed_over(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "is_no_file", lambda path: False)  # it was there a moment ago
    handler = files(www, index=("first.html", "index.html"))
    assert content(get(handler, "/")) == b"<p>home"


def test_a_directory_whose_only_index_is_a_directory_is_listed(www: Path) -> None:
    (www / "empty" / "index.html").mkdir()
    assert b"index.html/" in content(get(files(www, listing=True), "/empty/"))
    assert get(files(www), "/empty/").status == 404


@pytest.mark.parametrize(
    ("target", "body", "media_type"),
    [
        ("/", b"<p>home", "text/html; charset=utf-8"),
        ("/index.html", b"<p>home", "text/html; charset=utf-8"),
        ("/a.txt", b"small", "text/plain; charset=utf-8"),
        ("/a.txt?x=1", b"small", "text/plain; charset=utf-8"),
        ("/%61.txt", b"small", "text/plain; charset=utf-8"),
        ("/sub/", b"<p>sub", "text/html; charset=utf-8"),
        ("/sub/%C3%A9t%c3%a9.txt", b"summer", "text/plain; charset=utf-8"),
        ("/large.bin", b"x" * LARGE, "application/octet-stream"),
    ],
)
def test_a_file_is_served_with_its_type(www: Path, target: str, body: bytes, media_type: str) -> None:
    handler = files(www)
    for _ in range(2):  # read, and from memory
        response = get(handler, target)
        assert response.status == 200
        assert content(response) == body
        assert response.fields.get("content-type") == media_type


def test_a_small_file_comes_from_memory_and_a_large_one_as_a_descriptor(www: Path) -> None:
    handler = files(www)
    assert isinstance(get(handler, "/a.txt").body, bytes)
    response = get(handler, "/large.bin")
    assert isinstance(response.body, FileBody)
    assert response.body.length == LARGE
    content(response)


def test_a_file_from_memory_is_not_opened_again(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = files(www)
    get(handler, "/a.txt")
    monkeypatch.setattr(os, "open", None)
    assert content(get(handler, "/a.txt")) == b"small"


def test_a_file_is_answered_without_suspending(www: Path) -> None:
    handler = files(www)
    for target in ("/a.txt", "/a.txt", "/sub", "/"):
        with pytest.raises(StopIteration):
            handler.handle(request_of("GET", target)).send(None)


def test_the_index_names_are_tried_in_order(www: Path) -> None:
    handler = files(www, index=("index.htm", "index.html"))
    assert content(get(handler, "/")) == b"<p>home"
    (www / "index.htm").write_text("first")
    assert content(get(handler, "/")) == b"first"
    (www / "index.htm").unlink()
    assert content(get(handler, "/")) == b"<p>home"


@pytest.mark.parametrize("target", ["/nothing", "/sub/nothing", "/a.txt/", "/a.txt/b", "/empty/", "/nothing/"])
def test_what_is_not_there_is_not_found(www: Path, target: str) -> None:
    assert get(files(www), target).status == 404


def test_a_root_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert get(files(tmp_path / "nowhere"), "/").status == 404


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/sub", "/sub/"),
        ("/sub?a=b&c", "/sub/?a=b&c"),
        ("/%73ub", "/%73ub/"),
        ("//sub", "/sub"),
        ("//sub//", "/sub/"),
        ("///evil.example/..%2f?q", "/evil.example/..%2f?q"),
    ],
)
def test_a_directory_without_its_slash_and_empty_segments_are_redirected(www: Path, target: str, location: str) -> None:
    response = get(files(www), target)
    assert response.status == 301
    assert response.fields.get("location") == location


def test_a_prefix_is_left_out_of_the_path_and_stays_in_the_location(www: Path) -> None:
    handler = files(www)
    for target, status, found in [
        ("/docs/a.txt", 200, None),
        ("/docs/", 200, None),
        ("/docs", 301, "/docs/"),
        ("/docs/sub", 301, "/docs/sub/"),
        ("/docs//a.txt", 301, "/docs/a.txt"),
    ]:
        request = request_of("GET", target)
        request.route["prefix"] = "/docs"
        response = answer(handler, request)
        assert (response.status, response.fields.get("location")) == (status, found)


def test_additional_media_types_are_used(www: Path) -> None:
    handler = files(www, media_types=MediaTypes({"txt": "text/x-mine"}))
    assert get(handler, "/a.txt").fields.get("content-type") == "text/x-mine; charset=utf-8"


# Methods.


def test_head_is_get_without_content(www: Path) -> None:
    handler = files(www)
    for target in ("/a.txt", "/large.bin"):
        whole, head = get(handler, target), ask(handler, "HEAD", target)
        assert head.status == 200
        for name, value in whole.fields:
            assert head.fields.get(name) == value
        content(whole)
    # Of a small file the body is at hand, and the session counts and leaves it out; of a large one only the length is told.
    assert head.body == b""
    assert head.fields.get("content-length") == str(LARGE)


def test_options_tells_the_methods(www: Path) -> None:
    response = ask(files(www), "OPTIONS", "/a.txt")
    assert (response.status, response.fields.get("allow"), response.body) == (204, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("DELETE", 405), ("TRACE", 405), ("BREW", 501)])
def test_other_methods_are_refused(www: Path, method: str, status: int) -> None:
    response = ask(files(www), method, "/a.txt")
    assert response.status == status
    assert response.fields.get("allow") == ("GET, HEAD, OPTIONS" if status == 405 else None)


# Never outside the root.


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/sub/../../secret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%252e%252e/secret.txt",
        "/a.txt%00",
        "/....//secret.txt",
        "/.../secret.txt",
    ],
)
def test_no_spelling_climbs_out_of_the_root(www: Path, target: str) -> None:
    response = get(files(www), target)
    assert response.status in (301, 400, 404)
    if response.status == 301:
        assert get(files(www), response.fields.get("location") or "").status in (400, 404)


def test_an_encoded_name_never_meets_another_name_in_memory(www: Path) -> None:
    (www / "%61.txt").write_text("percent")
    handler = files(www)
    assert content(get(handler, "/%2561.txt")) == b"percent"
    assert content(get(handler, "/%61.txt")) == b"small"
    (www / "é").write_text("e")
    assert content(get(handler, "/%C3%A9")) == b"e"
    assert get(handler, "/\xe9").status == 400


@pytest.mark.parametrize("target", ["/.env", "/.git/config", "/%2egit/config"])
def test_hidden_files_are_not_there_unless_wanted(www: Path, target: str) -> None:
    (www / ".git").mkdir()
    (www / ".git" / "config").write_text("hidden")
    (www / ".env").write_text("hidden")
    assert get(files(www), target).status == 404
    assert content(get(files(www, hidden=True), target)) == b"hidden"


def test_well_known_names_are_served(www: Path) -> None:
    (www / ".well-known").mkdir()
    (www / ".well-known" / "security.txt").write_text("Contact: us")
    assert content(get(files(www), "/.well-known/security.txt")) == b"Contact: us"


def test_a_link_within_the_root_is_followed_and_one_out_of_it_is_not(www: Path) -> None:
    (www / "in.txt").symlink_to("a.txt")
    (www / "in").symlink_to("sub")
    (www / "out.txt").symlink_to("../secret.txt")
    (www / "out").symlink_to(www.parent)
    (www / "loop").symlink_to("loop")
    handler = files(www)
    assert content(get(handler, "/in.txt")) == b"small"
    assert content(get(handler, "/in/")) == b"<p>sub"
    for target in ("/out.txt", "/out", "/out/", "/out/secret.txt", "/out/www/a.txt/", "/loop"):
        assert get(handler, target).status == 404, target
    # A way out and in again ends inside.
    assert content(get(handler, "/out/www/a.txt")) == b"small"


def test_a_directory_whose_name_begins_like_the_root_is_outside(www: Path) -> None:
    other = www.parent / "www-private"
    other.mkdir()
    (other / "x").write_text("secret")
    (www / "x").symlink_to(other / "x")
    assert get(files(www), "/x").status == 404


def test_a_link_that_is_repointed_out_of_the_root_stops_at_once(www: Path) -> None:
    (www / "link").symlink_to("a.txt")
    handler = files(www)
    response = get(handler, "/link")
    assert holds(response)
    (www / "link").unlink()
    (www / "link").symlink_to("../secret.txt")
    assert not holds(response)
    assert get(handler, "/link").status == 404


def test_a_root_that_is_a_link_may_be_repointed(tmp_path: Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "a.txt").write_text(release)
    current = tmp_path / "current"
    current.symlink_to("one")
    handler = files(current)
    first = get(handler, "/a.txt")
    assert content(first) == b"one"
    current.unlink()
    current.symlink_to("two")
    assert not holds(first)
    assert content(get(handler, "/a.txt")) == b"two"


def test_without_proc_the_path_is_resolved_again(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (www / "out.txt").symlink_to("../secret.txt")
    monkeypatch.setattr(root_module, "_location", root_module._resolved_location)
    handler = files(www)
    assert content(get(handler, "/a.txt")) == b"small"
    assert get(handler, "/out.txt").status == 404


def test_a_file_that_is_swapped_while_it_is_opened_is_not_served(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_module, "_location", root_module._resolved_location)
    monkeypatch.setattr(os.path, "samestat", lambda one, other: False)
    assert get(files(www), "/a.txt").status == 404


def test_what_is_no_regular_file_is_not_there(www: Path) -> None:
    os.mkfifo(www / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(www, os.O_RDONLY)  # a socket's path is short, pytest's directories are long
        try:
            server.bind(f"/proc/self/fd/{here}/socket")
        finally:
            os.close(here)
    handler = files(www)
    assert get(handler, "/fifo").status == 404
    assert get(handler, "/socket").status == 404


def test_what_becomes_no_regular_file_before_it_is_opened_is_not_there(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(www / "fifo")
    handler, as_it_was = files(www), os.stat(www / "a.txt")
    real = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, **more: as_it_was if bytes(path).endswith(b"fifo") else real(path, **more)
    )
    assert get(handler, "/fifo").status == 404


# What the system refuses.


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Makes opening a file fail with an error number."""
    real = os.open

    def fail(errno: int) -> None:
        def refuse(path: object, *rest: object, **more: object) -> int:
            if isinstance(path, bytes):
                raise OSError(errno, os.strerror(errno), path)
            return real(path, *rest, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", refuse)

    yield fail
    monkeypatch.undo()


@pytest.mark.parametrize(("errno", "status"), [(EACCES, 403), (EMFILE, 503), (EIO, 500)])
def test_what_cannot_be_opened_is_told_apart(
    www: Path, failing: Callable[[int], None], errno: int, status: int
) -> None:
    handler = files(www)
    failing(errno)
    response = get(handler, "/a.txt")
    assert response.status == status
    assert response.fields.get("retry-after") == ("1" if status == 503 else None)


def test_only_what_someone_must_mend_is_logged(
    www: Path, failing: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    handler = files(www)
    failing(EACCES)
    get(handler, "/a.txt")
    assert not caplog.records
    failing(EIO)
    get(handler, "/a.txt")
    assert "a.txt" in caplog.text


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that an ordinary user may enter."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """For root, who may read everything: do this as somebody else."""
    euid = os.geteuid()
    if euid == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(euid)


def test_an_unreadable_file_is_forbidden(open_directory: Path) -> None:
    file = open_directory / "a.txt"
    file.write_text("small")
    handler = files(open_directory)
    known = get(handler, "/a.txt")
    file.chmod(0)
    with as_ordinary_user():
        assert not holds(known)
        assert get(handler, "/a.txt").status == 403


def test_a_file_in_a_directory_that_may_not_be_entered_is_forbidden(open_directory: Path) -> None:
    (open_directory / "locked").mkdir()
    (open_directory / "locked" / "index.html").write_text("locked")
    handler = files(open_directory)
    known = get(handler, "/locked/")
    (open_directory / "locked").chmod(0)
    with as_ordinary_user():
        assert not holds(known)
        assert get(handler, "/locked/").status == 403
        assert get(handler, "/locked/index.html").status == 403


def test_what_lies_outside_and_may_not_be_read_is_not_there(open_directory: Path) -> None:
    """403 would tell that there is something."""
    root, outside = open_directory / "www", open_directory / "outside"
    (outside / "locked").mkdir(parents=True)
    (root / "sub").mkdir(parents=True)
    (outside / "file").write_text("x")
    (outside / "locked" / "file").write_text("x")
    for name, target in [("file", "file"), ("deep", "locked/file"), ("folder", "locked"), ("sub/index.html", "file")]:
        (root / name).symlink_to(outside / target)
    (outside / "file").chmod(0)
    (outside / "locked").chmod(0)
    handler = files(root, listing=True)
    with as_ordinary_user():
        asked = {path: get(handler, path).status for path in ("/file", "/deep", "/folder/", "/folder/file", "/sub/")}
    assert set(asked.values()) == {404}, asked


@pytest.mark.parametrize("target", ["/" + "n" * 300, "/" + "n/" * 3000, "/" + "%C3%A9" * 200])
def test_a_name_longer_than_the_system_has_is_not_there(www: Path, target: str) -> None:
    assert get(files(www), target).status == 404


def test_a_file_that_vanishes_between_looking_and_opening_is_not_there(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = files(www)
    real = os.open

    def vanish(path: bytes, flags: int) -> int:
        (www / "a.txt").unlink(missing_ok=True)
        return real(path, flags)

    monkeypatch.setattr(os, "open", vanish)
    assert get(handler, "/a.txt").status == 404


def test_no_descriptor_is_left_open(www: Path) -> None:
    (www / "out.txt").symlink_to("../secret.txt")
    handler = files(www, listing=True)
    before = len(os.listdir("/proc/self/fd"))
    for target, fields in [
        ("/a.txt", {}),
        ("/out.txt", {}),
        ("/empty/", {}),
        ("/large.bin", {"if-none-match": "*"}),
        ("/large.bin", {"if-match": '"old"'}),
        ("/large.bin", {"range": f"bytes={LARGE}-"}),
        ("/large.bin", {"range": "bytes=0-1,5-6"}),
        ("/large.bin", {}),
    ]:
        content(get(handler, target, fields))
    ask(handler, "HEAD", "/large.bin")
    assert len(os.listdir("/proc/self/fd")) == before


# A change shows at once.


def settle(path: Path, second: int = 1_600_000_000) -> None:
    os.utime(path, (second, second))


@pytest.mark.parametrize("name", ["a.txt", "large.bin"])
def test_a_changed_file_is_served_from_the_next_request_on(www: Path, name: str) -> None:
    handler = files(www)
    file = www / name
    size = file.stat().st_size
    seen = set()
    for letter in (b"1", b"2", b"3", b"4"):
        file.write_bytes(letter * size)
        response = get(handler, f"/{name}")
        assert content(response) == letter * size
        seen.add(response.fields.get("etag"))
    assert len(seen) == 4


def test_a_change_that_hides_behind_its_old_date_shows_all_the_same(www: Path) -> None:
    handler = files(www)
    file = www / "a.txt"
    settle(file)
    before = get(handler, "/a.txt")
    file.write_text("SMALL")
    settle(file)
    after = get(handler, "/a.txt")
    assert content(after) == b"SMALL"
    assert before.fields.get("last-modified") == after.fields.get("last-modified")
    assert before.fields.get("etag") != after.fields.get("etag")
    assert not holds(before)
    assert holds(after)


@pytest.mark.parametrize(
    "change",
    [
        lambda www: (www / "a.txt").unlink(),
        lambda www: (www / "a.txt").write_text("other"),
        lambda www: (www / "sub" / "index.html").replace(www / "a.txt"),
        lambda www: (www / "a.txt").chmod(0o600 if stat.S_IMODE((www / "a.txt").stat().st_mode) != 0o600 else 0o644),
    ],
)
def test_what_was_remembered_holds_until_the_file_changes(www: Path, change: Callable[[Path], object]) -> None:
    handler = files(www)
    whole = get(handler, "/a.txt")
    etag = whole.fields.get("etag") or ""
    answers = [whole, get(handler, "/a.txt", {"range": "bytes=0-1"}), get(handler, "/a.txt", {"if-none-match": etag})]
    assert [response.status for response in answers] == [200, 206, 304]
    assert all(holds(response) for response in answers)
    change(www)
    assert not any(holds(response) for response in answers)


def test_an_index_that_goes_before_ends_what_was_remembered(www: Path) -> None:
    handler = files(www, index=("index.htm", "index.html"))
    response = get(handler, "/")
    assert holds(response)
    (www / "index.htm").write_text("first")
    assert not holds(response)


def test_a_redirect_to_a_directory_holds_as_long_as_it_is_one(www: Path) -> None:
    handler = files(www)
    response = get(handler, "/empty")
    assert holds(response)
    (www / "empty").rename(www / "gone")
    assert not holds(response)
    (www / "empty").write_text("a file now")
    assert not holds(response)
    (www / "empty").unlink()
    (www / "empty").symlink_to(www.parent)
    assert not holds(response)


def test_errors_are_not_remembered(www: Path) -> None:
    assert get(files(www), "/nothing").remember is None
    assert get(files(www), "/a.txt", {"range": "bytes=99-"}).remember is None


def test_an_answer_that_hangs_on_the_time_is_not_remembered(www: Path) -> None:
    file = www / "a.txt"
    settle(file)
    handler = files(www)
    assert holds(get(handler, "/a.txt", {"if-modified-since": imf_fixdate(1_600_000_000)}))
    assert not holds(get(handler, "/a.txt", {"if-modified-since": "Sunday, 13-Sep-20 12:26:40 GMT"}))


# Last-Modified.


def test_last_modified_is_never_in_the_future(www: Path) -> None:
    clock = later()
    handler = files(www, clock)
    settle(www / "a.txt", clock.second + 100)
    response = get(handler, "/a.txt")
    assert response.fields.get("last-modified") == imf_fixdate(clock.second)
    assert not holds(response)
    clock.advance(200)
    response = get(handler, "/a.txt")
    assert response.fields.get("last-modified") == imf_fixdate(clock.second - 100)
    assert holds(response)


@pytest.mark.parametrize(
    ("condition", "seconds", "status"),
    [
        ("if-modified-since", 0, 304),
        ("if-modified-since", -1, 200),
        ("if-unmodified-since", 0, 200),
        ("if-unmodified-since", -1, 412),
        ("if-range", 0, 200),
        ("if-range", 100, 200),
    ],
)
def test_conditions_on_a_date_from_the_future_are_judged_by_the_date_that_is_sent(
    www: Path, condition: str, seconds: int, status: int
) -> None:
    clock = later()
    handler = files(www, clock)
    settle(www / "a.txt", clock.second + 100)
    fields = {condition: imf_fixdate(clock.second + seconds), "range": "bytes=0-1"}
    if condition != "if-range":
        del fields["range"]
    response = get(handler, "/a.txt", fields)
    assert response.status == status
    assert not holds(response)


def test_a_date_does_not_stand_for_two_contents_of_one_second(www: Path) -> None:
    clock = later()
    handler = files(www, clock)
    second = clock.second
    os.utime(www / "a.txt", ns=(0, second * 10**9 + 200_000_000))
    date = get(handler, "/a.txt").fields.get("last-modified") or ""
    (www / "a.txt").write_text("other")
    os.utime(www / "a.txt", ns=(0, second * 10**9 + 700_000_000))
    clock.advance(10)
    response = get(handler, "/a.txt", {"if-modified-since": date})
    assert response.status == 200
    date = response.fields.get("last-modified") or ""
    assert date == imf_fixdate(second + 1)
    assert get(handler, "/a.txt", {"if-modified-since": date}).status == 304


def test_a_moment_that_no_date_can_tell_is_not_told(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not every file system can keep such a stamp, so it is made up here.
    real = os.fstat

    class Strange:
        def __init__(self, status: os.stat_result) -> None:
            self._status = status
            self.st_mtime_ns = 10**21

        def __getattr__(self, name: str) -> object:
            return getattr(self._status, name)

    monkeypatch.setattr(os, "fstat", lambda descriptor: Strange(real(descriptor)))
    response = get(files(www), "/a.txt")
    assert response.status == 200
    assert "last-modified" not in response.fields


# Files that are still being written.


def at(path: Path) -> FakeClock:
    """A clock that stands at the moment of a file's last change."""
    return FakeClock(path.stat().st_ctime_ns / 1e9)


def test_a_fresh_file_is_waited_for_and_then_remembered(www: Path) -> None:
    clock = at(www / "a.txt")
    started = clock.now
    response = get(files(www, clock), "/a.txt")
    assert content(response) == b"small"
    assert 0 < clock.now - started < 0.1
    assert response.fields.get("etag")
    clock.advance(2)
    assert holds(get(files(www, clock), "/a.txt"))


def always_changing(www: Path, name: str, **settings: object) -> Files:
    """A handler that finds the file changed, each time it has waited for it."""
    clock = at(www / name)

    async def change(seconds: float) -> None:
        file = www / name
        with file.open("ab") as log:
            log.write(b".")
        clock.wall = file.stat().st_ctime_ns / 1e9

    return Files(FilesSettings(root=www, **settings), clock=clock, pause=change)  # type: ignore[arg-type]


def test_a_small_file_that_keeps_changing_is_known_by_its_content(www: Path) -> None:
    handler = always_changing(www, "a.txt")
    one, two = get(handler, "/a.txt"), get(handler, "/a.txt")
    assert content(one).startswith(b"small..")
    assert content(two).startswith(content(one))
    assert one.fields.get("etag") != two.fields.get("etag")
    assert one.remember is None
    assert len(handler._memory) == 0


def test_the_content_tag_is_that_of_the_content(www: Path) -> None:
    contents = []
    for name in ("one.txt", "two.txt"):
        (www / name).write_text("same")
        clock = at(www / name)

        async def do_nothing(seconds: float) -> None:
            pass

        contents.append(get(Files(FilesSettings(root=www), clock=clock, pause=do_nothing), f"/{name}"))
    assert contents[0].fields.get("etag") == contents[1].fields.get("etag")


def test_a_large_file_that_keeps_changing_has_no_tag(www: Path) -> None:
    (www / "log").write_bytes(b"x" * (1 << 21))
    handler = always_changing(www, "log")
    response = get(handler, "/log")
    assert len(content(response)) > 1 << 21
    assert "etag" not in response.fields
    assert response.remember is None


def test_on_a_file_system_of_whole_seconds_nobody_waits(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstat

    class Coarse:
        def __init__(self, status: os.stat_result) -> None:
            self._status = status
            self.st_ctime_ns = status.st_ctime_ns // 10**9 * 10**9

        def __getattr__(self, name: str) -> object:
            return getattr(self._status, name)

    monkeypatch.setattr(os, "fstat", lambda descriptor: Coarse(real(descriptor)))
    clock = at(www / "a.txt")
    started = clock.now
    response = get(files(www, clock), "/a.txt")
    assert (response.status, response.remember, clock.now) == (200, None, started)
    clock.advance(4)
    assert get(files(www, clock), "/a.txt").remember is not None


def test_a_large_file_that_changes_between_looking_and_opening_goes_out_as_it_is(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = files(www)
    real, calls = os.open, []

    def open_changed(path: bytes, flags: int) -> int:
        calls.append(path)
        if len(calls) == 2:  # the first is the reader's look
            (www / "large.bin").write_bytes(b"y" * (LARGE + 5))
        return real(path, flags)

    monkeypatch.setattr(os, "open", open_changed)
    response = get(handler, "/large.bin")
    assert content(response) == b"y" * (LARGE + 5)
    assert "etag" not in response.fields
    assert response.remember is None


def test_a_file_that_ends_early_while_it_is_read_is_read_again(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = files(www)
    real, calls = os.read, []

    def read_shrinking(descriptor: int, count: int) -> bytes:
        calls.append(count)
        if len(calls) == 1:
            (www / "a.txt").write_text("s")
        return real(descriptor, count)

    monkeypatch.setattr(os, "read", read_shrinking)
    assert content(get(handler, "/a.txt")) == b"s"


# The memory.


def test_memory_is_bounded_and_what_is_used_stays(www: Path) -> None:
    for n in range(20):
        (www / f"{n}.txt").write_bytes(b"x" * 1000)
    handler = files(www, memory=10 * 2024)
    kept = handler._memory
    get(handler, "/0.txt")
    wanted = kept.get("/0.txt")
    for n in range(1, 20):
        get(handler, f"/{n}.txt")
        assert len(kept) <= 10
        get(handler, "/0.txt")
    assert kept.get("/0.txt") is wanted
    assert kept.get("/1.txt") is None
    assert kept.get("/19.txt") is not None


def test_a_file_larger_than_the_memory_is_served_and_not_kept(www: Path) -> None:
    handler = files(www, memory=100)
    assert content(get(handler, "/a.txt")) == b"small"
    assert len(handler._memory) == 0


# Single-page applications.


@pytest.mark.parametrize(
    ("target", "accept", "status"),
    [
        ("/users/7", None, 200),
        ("/users/7", "text/html,*/*;q=0.8", 200),
        ("/users/7", "*/*", 200),
        ("/users/7", "application/json", 404),
        ("/users/john.doe", "text/html,*/*;q=0.8", 200),
        ("/users/john.doe", "*/*", 404),
        ("/app.js", "*/*", 404),
        ("/app.js", None, 404),
        ("/empty/", None, 200),
        ("/a.txt/", "text/html", 200),
        ("/../x", "text/html", 400),
        ("/.git/x", "text/html", 404),
    ],
)
def test_a_fallback_answers_for_pages_that_are_not_there(
    www: Path, target: str, accept: str | None, status: int
) -> None:
    handler = files(www, fallback="index.html")
    for _ in range(2):
        response = get(handler, target, {"accept": accept} if accept else {})
        assert response.status == status
        if status == 200:
            assert content(response) == b"<p>home"
            assert response.fields.get("vary") == "accept"


def test_a_fallback_holds_until_the_page_is_there(www: Path) -> None:
    handler = files(www, fallback="index.html")
    response = get(handler, "/about")
    assert holds(response)
    assert len(handler._memory) == 1
    (www / "about").write_text("about")
    assert not holds(response)
    assert content(get(handler, "/about")) == b"about"


def test_a_fallback_that_is_not_there_is_not_found(www: Path) -> None:
    assert get(files(www, fallback="app.html"), "/about").status == 404


def test_a_link_out_of_the_root_falls_back_and_is_not_remembered(www: Path) -> None:
    (www / "out").symlink_to("../secret.txt")
    response = get(files(www, fallback="index.html"), "/out")
    assert content(response) == b"<p>home"
    assert not holds(response)
