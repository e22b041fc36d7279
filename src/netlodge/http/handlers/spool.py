"""Where the files of a form wait until the form is whole: in memory while they are small, then in one temporary file.

The file has no name from the moment it is there: whatever becomes of the request or of the process, nothing is left of it. Its disk
never holds up the event loop: octets are gathered, and written in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable
from errno import EDQUOT, EMFILE, ENFILE, ENOSPC
from typing import IO, Any, Final, TypeVar

from netlodge.http.message import HttpError

IN_MEMORY: Final = 256 << 10
"""Octets that are kept in memory; with more, all go to a file. Precedent: Werkzeug 500 KiB; Starlette 1 MiB; nginx 16 KiB."""
BATCH: Final = 1 << 20
"""Octets that are gathered for one write: a thread is asked once for all of them."""

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class Spool:
    """Octets in a row: `write` adds to the end until `seal`, then `read` reads anywhere. For one coroutine at a time."""

    __slots__ = ("_disk", "_gathered", "_under_way", "size")

    def __init__(self, folder: str | None = None) -> None:
        """`folder` is where the temporary file is to be; None: where the system has its own."""
        self._disk = _Disk(folder)
        self._gathered = bytearray()
        """What is not on the disk: all, while nothing is there."""
        self._under_way: asyncio.Future[Any] | None = None
        self.size = 0

    @property
    def is_in_memory(self) -> bool:
        return self._disk.file is None

    async def write(self, data: bytes) -> None:
        """Add `data`. Raises `HttpError`: 507 when the disk is full, 503 when the process has no descriptor left."""
        self._gathered += data
        self.size += len(data)
        if len(self._gathered) > (IN_MEMORY if self.is_in_memory else BATCH):
            await self._put_away()

    async def seal(self) -> None:
        """Nothing more will be written. Raises as `write`."""
        if self._gathered and not self.is_in_memory:
            await self._put_away()

    async def read(self, offset: int, count: int) -> bytes:
        """`count` octets from `offset` on."""
        if self.is_in_memory:
            with memoryview(self._gathered) as view:
                return bytes(view[offset : offset + count])
        return await self._in_thread(lambda: self._disk.read(offset, count))

    def close(self) -> None:
        """Let go of all of it. Idempotent."""
        self._gathered = bytearray()
        if self._under_way is None:
            self._disk.close()
        else:
            # Whoever waited was cancelled, and the thread goes on: its descriptor must not become that of another file meanwhile.
            self._under_way.add_done_callback(lambda _: self._disk.close())

    async def _put_away(self) -> None:
        gathered, self._gathered = self._gathered, bytearray()
        try:
            await self._in_thread(lambda: self._disk.write(gathered))
        except OSError as error:
            raise _refusal(error) from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        self._under_way = future = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(future)
        finally:
            if future.done():
                self._under_way = None


class _Disk:
    """A temporary file, made with the first write. Its methods may wait for the disk."""

    __slots__ = ("file", "folder")

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self.file: IO[bytes] | None = None

    def write(self, octets: bytearray) -> None:
        if self.file is None:
            self.file = tempfile.TemporaryFile(buffering=0, dir=self.folder)  # noqa: SIM115  `close` closes it
        rest = memoryview(octets)
        while rest:
            rest = rest[self.file.write(rest) :]

    def read(self, offset: int, count: int) -> bytes:
        assert self.file is not None  # noqa: S101  whoever reads has written
        return os.pread(self.file.fileno(), count, offset)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def _refusal(error: OSError) -> HttpError:
    """What the client is told when its files cannot be kept."""
    _LOG.error("The files of a form cannot be kept: %s", error)
    if error.errno in {ENOSPC, EDQUOT}:
        return HttpError(507, "The server has no room for the files of this form.")
    if error.errno in {EMFILE, ENFILE}:
        return HttpError(503, "The server has no file descriptors left.", fields=[("retry-after", "1")])
    return HttpError(500, "The server cannot keep the files of this form.")
