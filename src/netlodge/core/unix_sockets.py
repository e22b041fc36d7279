"""Unix sockets whose path is longer than the kernel takes: reached through a descriptor of their folder (unix(7), proc(5))."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""Octets in the path of a Unix socket, its final NUL aside."""


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """What to bind or connect to for `path`. Raises `OSError`: ENAMETOOLONG if that is too long too, or there is no /proc."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        address = f"/proc/self/fd/{folder}/{path.name}"
        if len(os.fsencode(address)) > LONGEST_PATH or not Path("/proc/self/fd").is_dir():
            raise OSError(errno.ENAMETOOLONG, "The path of a socket is too long", str(path))
        yield address
    finally:
        os.close(folder)
