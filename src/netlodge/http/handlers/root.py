"""The directory below which files are served, and the one door through which they are opened: nothing outside it leaves.

A path may hold symbolic links, and links may lead outside. So a file is opened first, and then the system is asked where that which
was opened really is: between the check and the use nothing can be swapped. RFC 9110 §17.3 (attacks based on file and path names).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from errno import ENOENT

if sys.platform == "darwin":
    import fcntl

_OPEN_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""Opening what turns out to be no file must not wait (a FIFO), and must not take a terminal."""
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Root:
    """A directory and all that is really inside it. Symbolic links within it are followed, out of it they are not.

    The root itself may be a symbolic link, and may be repointed while serving (a new release of a site): what counts is where
    it leads now. Paths are octets, so that the locale of the process plays no part.
    """

    __slots__ = ("_real", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fsencode(path))
        self._real = os.path.realpath(self.path)

    def locate(self, segments: Iterable[str]) -> bytes:
        """The path of a file below the root, from names that `rules.paths.file_path` let pass."""
        return b"/".join((self.path.rstrip(b"/"), *(segment.encode() for segment in segments)))

    def open_file(self, path: bytes) -> tuple[int, os.stat_result]:
        """Open a regular file for reading; return its descriptor, which the caller closes, and its status.

        Raises `FileNotFoundError` if there is none, if it is not a regular file, or if it is outside the root; any other
        `OSError` as the system gives it.
        """
        descriptor = self._open(path, _OPEN_FILE)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(ENOENT, "Not a regular file", path)
            self._require_inside(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, status

    def open_directory(self, path: bytes) -> int:
        """Open a directory for listing; the caller closes the descriptor. Raises like `open_file`."""
        descriptor = self._open(path, _OPEN_DIRECTORY)
        try:
            self._require_inside(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def contains(self, path: bytes) -> bool:
        """Whether what the path leads to is inside, as far as can be told without opening it. Only for what may be told anyway
        (that there is a directory): contents go through `open_file`."""
        return self._is_inside(os.path.realpath(path))

    def status(self, path: bytes) -> os.stat_result:
        """The status of what a path leads to. Raises like `open_file`; whether it is inside is asked only if it may not be known."""
        try:
            return os.stat(path)
        except PermissionError:
            self._require_path_inside(path)
            raise

    def _open(self, path: bytes, flags: int) -> int:
        try:
            return os.open(path, flags)
        except PermissionError:
            self._require_path_inside(path)
            raise

    def _require_path_inside(self, path: bytes) -> None:
        """That something outside is there, but may not be read, is nothing to tell either."""
        if not self.contains(path):
            raise FileNotFoundError(ENOENT, "Outside the root", path)

    def _require_inside(self, descriptor: int, path: bytes) -> None:
        if not self._is_inside(_location(descriptor, path)):
            raise FileNotFoundError(ENOENT, "Outside the root", path)

    def _is_inside(self, location: bytes) -> bool:
        if _is_below(location, self._real):
            return True
        self._real = os.path.realpath(self.path)
        return _is_below(location, self._real)


def _is_below(location: bytes, root: bytes) -> bool:
    return location == root or location.startswith(root.rstrip(b"/") + b"/")


def _location(descriptor: int, path: bytes) -> bytes:
    """Where an open file really is: asked of the system, else (no /proc) resolved again and compared with what was opened."""
    if sys.platform == "darwin":
        return fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")
    try:
        return os.readlink(b"/proc/self/fd/%d" % descriptor)
    except OSError:
        return _resolved_location(descriptor, path)


def _resolved_location(descriptor: int, path: bytes) -> bytes:
    real = os.path.realpath(path)
    if not os.path.samestat(os.stat(real), os.fstat(descriptor)):
        raise FileNotFoundError(ENOENT, "Moved while it was opened", path)
    return real
