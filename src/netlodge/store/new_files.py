"""Files that take their place in one step, whole and durable, or leave nothing behind, whenever the process ends.

Where the system can (Linux, most file systems) a file that is being written has no name at all: `O_TMPFILE`. It gets one by a link when
it is whole. Elsewhere, and for the moment in which it takes the place of another, it has a hidden name that nobody can guess. Such
names are noted beforehand, in a file that its process keeps locked: what stands in a note that is not locked was left by a process that
was killed, and is removed by the next that starts.

RFC 9110 §13.2.1 (the check and the change are one step) rests on `NewFiles.locked`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from errno import EBADF, EINVAL, EISDIR, ENOTSUP, EOPNOTSUPP
from pathlib import Path
from typing import Final
from zlib import crc32

_FRESH_MODE: Final = 0o644
"""Permissions of a file that takes nobody's place; the process's umask goes off."""
_NAMELESS: Final = getattr(os, "O_TMPFILE", 0)
_NO_NAMELESS_HERE: Final = frozenset({EINVAL, EISDIR, ENOTSUP, EOPNOTSUPP})
"""What a file system says that has no nameless files (EISDIR: a kernel that does not know of them)."""
_NO_SYNC_OF_FOLDERS: Final = frozenset({EBADF, EINVAL, ENOTSUP})

_LOCKS: Final = 64
"""Lock files for all folders. Two folders that share one wait for each other, for the length of a rename."""
_WRITTEN_BACK: Final = 8 << 20
"""Octets after which the disk is set to work. Measured: an upload of 1 GiB is durable after a third of the time that it takes when
all of it waits for fsync(2)."""


class NewFiles:
    """Makes `NewFile`s, and knows the locks under which they take their place. One per route; `records` is one folder per lodge.

    All methods may block: they are for threads. Raise `OSError`.
    """

    def __init__(self, records: Path, prefix: str, *, nameless: bool = bool(_NAMELESS)) -> None:
        """`prefix` begins the names of unfinished files: whoever shows files never shows those. `nameless` False does without
        `O_TMPFILE`. What processes that were killed have left is removed now."""
        self._records = records
        self._prefix = prefix.encode()
        self._nameless = nameless
        self._guard = threading.Lock()
        self._record = -1
        self._noted = 0
        records.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_leftovers()

    def make(self) -> NewFile:
        """A file that is not there yet; does not block. Whoever has it calls `discard` or, after `put`, nothing."""
        return NewFile(self, nameless=self._nameless)

    @contextlib.contextmanager
    def locked(self, folder: int) -> Iterator[None]:
        """Let nobody else of this lodge, in whichever thread or worker, change what is in `folder` (an open one) meanwhile.

        The locks are files of the lodge's own (flock(2)): a lock on the folder itself could be held by everyone who may read it, and
        network file systems have none for folders. Another lodge, or a person with an editor, is not kept out.
        """
        status = os.fstat(folder)
        number = crc32(b"%d %d" % (status.st_dev, status.st_ino)) % _LOCKS
        lock = os.open(self._records / f"lock-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    # --- notes of names --------------------------------------------------------------------------------------------------

    def note_name(self, where: bytes) -> bytes:
        """A new name for an unfinished file in the folder `where`, noted before it is used."""
        name = self._prefix + secrets.token_hex(16).encode()
        with self._guard:
            if self._record < 0:
                self._record = self._new_record()
            os.write(self._record, os.path.join(where, name) + b"\0")
            self._noted += 1
        return name

    def forget_name(self) -> None:
        """A name that was noted is gone again."""
        with self._guard:
            self._noted -= 1
            if not self._noted and self._record >= 0:
                os.ftruncate(self._record, 0)

    def _new_record(self) -> int:
        while True:
            path = self._records / f"names-{os.getpid()}-{secrets.token_hex(4)}"
            record = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(record, fcntl.LOCK_EX)
            # Another process that starts just now may have found it before it was locked.
            if os.fstat(record).st_nlink:
                return record
            os.close(record)

    def _remove_leftovers(self) -> None:
        for path in self._records.glob("names-*"):
            with contextlib.suppress(FileNotFoundError):
                record = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    self._remove_named_in(record, path)
                finally:
                    os.close(record)

    def _remove_named_in(self, record: int, path: Path) -> None:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # its process lives
        with os.fdopen(os.dup(record), "rb") as file:
            names = file.read().split(b"\0")[:-1]
        for name in names:
            if os.path.basename(name).startswith(self._prefix):
                with contextlib.suppress(OSError):
                    os.unlink(name)
        path.unlink(missing_ok=True)


class NewFile:
    """One file on its way. Its methods may block, and may be called in any thread, even `discard` while another is at work."""

    def __init__(self, files: NewFiles, *, nameless: bool) -> None:
        self._files = files
        self._nameless = nameless
        self._lock = threading.Lock()
        self._is_over = False
        self._descriptor = -1
        self._folder = -1
        self._where = b""
        self._name = b""
        self._written = 0
        self._sent_to_disk = 0

    def open(self, folder: int, where: bytes) -> None:
        """Begin it in an open folder, whose path is `where`. Raises `OSError`: one who may not make files there is told at once."""
        with self._lock:
            self._require_alive()
            self._where = where
            if self._nameless and self._open_nameless(folder):
                return
            self._name = self._files.note_name(where)
            self._folder = os.dup(folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._name, flags, _FRESH_MODE, dir_fd=self._folder)

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append. Raises `OSError`, with ENOSPC or EDQUOT where there is no room."""
        with self._lock:
            self._require_alive()
            rest = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            while rest:
                count = os.write(self._descriptor, rest)
                rest = rest[count:]
                self._written += count
            if self._written - self._sent_to_disk >= _WRITTEN_BACK:
                self._send_to_disk()

    def sync(self, *, mode: int | None, stamp: int) -> None:
        """Make what was written durable, with `stamp` (nanoseconds since the epoch) as its time of modification, and `mode` as its
        permissions (None: those of a new file)."""
        with self._lock:
            self._require_alive()
            if mode is not None:
                os.fchmod(self._descriptor, mode)
            os.utime(self._descriptor, ns=(stamp, stamp))
            os.fsync(self._descriptor)

    def put(self, folder: int, name: bytes, *, replaces: bool) -> os.stat_result:
        """Give it its place, and let go of it. Returns its status there. Who holds `NewFiles.locked` knows whether it `replaces` something.

        Raises `FileExistsError` where it does, but should not; this is not sure to be noticed where files must have names. Raises
        `OSError` with EXDEV if the folder is on another file system than the one that it was begun in.
        """
        with self._lock:
            self._require_alive()
            if self._name:
                self._rename(folder, name)
            elif replaces:
                self._name = self._files.note_name(self._where)
                self._folder = os.dup(folder)
                self._link(self._folder, self._name)
                self._rename(folder, name)
            else:
                self._link(folder, name)
            status = os.fstat(self._descriptor)
            self._end()
        return status

    def discard(self) -> None:
        """Leave nothing of it, unless it has its place already. Idempotent. Raises nothing."""
        with self._lock:
            if not self._is_over:
                self._end()

    def _open_nameless(self, folder: int) -> bool:
        """Whether the file system has files without names, and the means to name them afterwards."""
        try:
            descriptor = os.open(b".", os.O_WRONLY | _NAMELESS | os.O_CLOEXEC, _FRESH_MODE, dir_fd=folder)
        except OSError as error:
            if error.errno in _NO_NAMELESS_HERE:
                return False
            raise
        if not os.path.exists(_path_of(descriptor)):  # no /proc
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def _link(self, folder: int, name: bytes) -> None:
        os.link(_path_of(self._descriptor), name, dst_dir_fd=folder)

    def _rename(self, folder: int, name: bytes) -> None:
        os.rename(self._name, name, src_dir_fd=self._folder, dst_dir_fd=folder)
        self._name = b""
        self._files.forget_name()

    def _send_to_disk(self) -> None:
        """Begin to write back what has come since the last time, without waiting for it: that is what this advice does on Linux."""
        if hasattr(os, "posix_fadvise"):
            count = self._written - self._sent_to_disk
            os.posix_fadvise(self._descriptor, self._sent_to_disk, count, os.POSIX_FADV_DONTNEED)
        self._sent_to_disk = self._written

    def _end(self) -> None:
        self._is_over = True
        if self._name:
            with contextlib.suppress(OSError):
                os.unlink(self._name, dir_fd=self._folder)
            self._files.forget_name()
        for descriptor in (self._folder, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)

    def _require_alive(self) -> None:
        if self._is_over:
            raise OSError(EBADF, "The file was discarded")


def sync_folder(folder: int) -> None:
    """Make durable what names an open folder has. A file system that cannot be asked to is taken to do so by itself."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC_OF_FOLDERS:
            raise


def _path_of(descriptor: int) -> bytes:
    return b"/proc/self/fd/%d" % descriptor
