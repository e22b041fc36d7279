"""Compressing: the codecs, the threads that they run in, and what is kept of their results.

RFC 9110 §8.4.1 (content codings), RFC 1952 (gzip), RFC 7932 (brotli), RFC 8878 and RFC 9659 §3 (zstd, with a window of at most 8 MiB).

One of these serves a worker. Little is compressed where it is asked for; what would keep the loop waiting goes to a few threads of its own
(the codecs let go of the interpreter's lock), so that no file that is compressed delays anything else that waits for a thread. What was
made of octets that come again is kept, bounded in octets, and forgotten in the order of last use.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import BinaryIO, Final, Protocol, TypeVar

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from netlodge.http.handlers.file_versions import Signature, signature_of
from netlodge.http.message import Chunks, FileBody

AT_ONCE: Final = 12 << 10
"""Octets that are compressed where they are: about a millisecond."""
KEPT_OCTETS: Final = 32 << 20
"""Octets of results, and of what they were made from, that a worker keeps."""
KEPT_BODY: Final = 1 << 20
"""Octets of the largest content whose result is kept. Larger content is compressed as it leaves."""
AT_HAND: Final = 64 << 10
"""Octets of the largest result of a file that is kept in memory of ours. A larger one is kept as a file without a name: then the kernel
sends it, and the answer can be remembered as that of any large file can."""
PIECE: Final = 128 << 10
"""Octets of a file that are read and compressed at a time."""
_OVERHEAD: Final = 512
_THREADS: Final = 2

BROTLI_QUALITY: Final = 5
ZSTD_LEVEL: Final = 6
GZIP_LEVEL: Final = 6
"""Where each codec gives most for the time: half as large again takes a multiple of it. Precedent: Caddy's defaults are alike."""
STREAM_BROTLI_QUALITY: Final = 4
STREAM_ZSTD_LEVEL: Final = 3
STREAM_GZIP_LEVEL: Final = 4
"""The same for what is compressed once and then gone."""

T = TypeVar("T")

Key = tuple[str, bytes | Signature]
"""A coding, and what it was made from: the octets themselves, or what tells one version of a file from all others."""


class Encoder(Protocol):
    """Compresses one stream of octets."""

    def add(self, data: bytes, *, flush: bool) -> bytes:
        """What can be sent after `data`; with `flush` all of it, so that the other side can read what was added so far."""
        ...

    def finish(self) -> bytes:
        """The end."""
        ...


class _Gzip:
    def __init__(self) -> None:
        self._codec = zlib.compressobj(STREAM_GZIP_LEVEL, zlib.DEFLATED, 31)

    def add(self, data: bytes, *, flush: bool) -> bytes:
        done = self._codec.compress(data)
        return done + self._codec.flush(zlib.Z_SYNC_FLUSH) if flush else done

    def finish(self) -> bytes:
        return self._codec.flush(zlib.Z_FINISH)


class _Brotli:
    def __init__(self) -> None:
        self._codec = brotli.Compressor(quality=STREAM_BROTLI_QUALITY)

    def add(self, data: bytes, *, flush: bool) -> bytes:
        done: bytes = self._codec.process(data)
        return done + self._codec.flush() if flush else done

    def finish(self) -> bytes:
        done: bytes = self._codec.finish()
        return done


class _Zstd:
    def __init__(self) -> None:
        self._codec = zstd.ZstdCompressor(level=STREAM_ZSTD_LEVEL)

    def add(self, data: bytes, *, flush: bool) -> bytes:
        return self._codec.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK if flush else zstd.ZstdCompressor.CONTINUE)

    def finish(self) -> bytes:
        return self._codec.flush(zstd.ZstdCompressor.FLUSH_FRAME)


def encoder(coding: str) -> Encoder:
    """A new encoder for a coding of `negotiation_codings.ORDER`."""
    if coding == "br":
        return _Brotli()
    return _Zstd() if coding == "zstd" else _Gzip()


def compress(data: bytes, coding: str) -> bytes:
    """`data` in a coding of `negotiation_codings.ORDER`: always the same octets for the same ones."""
    if coding == "br":
        done: bytes = brotli.compress(data, quality=BROTLI_QUALITY)
        return done
    if coding == "zstd":
        return zstd.compress(data, ZSTD_LEVEL)
    return zlib.compress(data, GZIP_LEVEL, wbits=31)


class KeptFile:
    """Octets in a file without a name, for as long as somebody refers to it. Raises `OSError` if there is no room for one."""

    __slots__ = ("_descriptor", "size")

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        with tempfile.TemporaryFile(buffering=0) if sys.platform != "linux" else _memory_file() as file:
            file.write(content)
            self._descriptor = os.dup(file.fileno())

    def body(self) -> FileBody:
        return FileBody(os.dup(self._descriptor), [(0, self.size)])

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


def _memory_file() -> BinaryIO:
    return open(os.memfd_create("compressed", os.MFD_CLOEXEC), "wb")


class Compressor:
    """The codecs of one worker, with its threads and what it keeps. To be used on the worker's loop."""

    __slots__ = ("_kept", "_room", "_threads", "_under_way")

    def __init__(self, octets: int = KEPT_OCTETS) -> None:
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._room = octets
        self._under_way: dict[Key, Future[Kept | None]] = {}
        # Its threads begin when they are needed.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="compressing")

    async def octets(self, data: bytes, coding: str, *, keep: bool) -> bytes:
        """`data` in a coding; empty if it gets no smaller. With `keep` the result is kept: `data` itself is what it is found by, so that
        nothing but the very same octets ever finds it."""
        key = (coding, data)
        if not keep or len(data) > KEPT_BODY:
            return (
                _smaller(data, coding)
                if len(data) <= AT_ONCE
                else await self.in_thread(partial(_smaller, data, coding))
            )
        done = self._find(key)
        if done is None:
            if len(data) <= AT_ONCE:
                done = _smaller(data, coding)
            else:
                done = await self._once(key, partial(_smaller, data, coding))
            self._keep(key, done)
        return done if isinstance(done, bytes) else b""

    async def file(self, descriptor: int, size: int, coding: str) -> bytes | FileBody | None:
        """The content of an open file of `size` octets, at most `KEPT_BODY`, in a coding; empty if it gets no smaller; None if the file is being
        changed. The result is kept for as long as the file is the same by its signature, which must be settled (`file_versions`). The
        descriptor stays the caller's."""
        signature = signature_of(os.fstat(descriptor))
        if signature[2] != size:
            return None
        key = (coding, signature)
        done = self._find(key)
        if done is None:
            # The thread may outlive whoever asked.
            done = await self._once(key, partial(_read_smaller, signature, coding), os.dup(descriptor))
            self._keep(key, done)
        return done.body() if isinstance(done, KeptFile) else done

    async def in_thread(self, work: Callable[[], T]) -> T:
        """What `work` returns, in a thread for this."""
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[], T]) -> Future[T]:
        return self._threads.submit(work)

    async def _once(self, key: Key, work: Callable[..., Kept | None], descriptor: int | None = None) -> Kept | None:
        """What `work` makes (of `descriptor`, which is closed after it), however many ask for it at once."""
        job = self._under_way.get(key)
        if job is None:
            if descriptor is None:
                job = self._threads.submit(work)
            else:
                job = self._threads.submit(work, descriptor)
                job.add_done_callback(lambda _: os.close(descriptor))
            self._under_way[key] = job
        elif descriptor is not None:
            os.close(descriptor)
        try:
            # Others may wait for it when this one goes away.
            return await asyncio.shield(asyncio.wrap_future(job))
        finally:
            if self._under_way.get(key) is job:
                del self._under_way[key]

    def _find(self, key: Key) -> Kept | None:
        done = self._kept.get(key)
        if done is not None:
            self._kept.move_to_end(key)
        return done

    def _keep(self, key: Key, done: Kept | None) -> None:
        if done is None or key in self._kept:
            return
        self._kept[key] = done
        self._room -= _cost(key, done)
        while self._room < 0:
            self._room += _cost(*self._kept.popitem(last=False))


def _cost(key: Key, done: Kept) -> int:
    size = len(done) if isinstance(done, bytes) else done.size
    return _OVERHEAD + size + (len(key[1]) if isinstance(key[1], bytes) else 0)


def _smaller(data: bytes, coding: str) -> bytes:
    done = compress(data, coding)
    return done if len(done) < len(data) else b""


def _read_smaller(signature: Signature, coding: str, descriptor: int) -> Kept | None:
    size = signature[2]
    pieces: list[bytes] = []
    at = 0
    while at < size and (piece := os.pread(descriptor, size - at, at)):
        pieces.append(piece)
        at += len(piece)
    if signature_of(os.fstat(descriptor)) != signature:
        return None
    done = _smaller(b"".join(pieces), coding)
    if len(done) > AT_HAND:
        with suppress(OSError):
            return KeptFile(done)
    return done


Kept = bytes | KeptFile
"""A result; empty if what was compressed got no smaller."""


# --- Streams ----------------------------------------------------------------------------------------------------------


class CodedStream:
    """A streamed body in a coding. Each piece can be read by the other side as soon as it left here: whoever sends a piece and then
    waits (events, a long page) means it to arrive."""

    __slots__ = ("_body", "_compressor", "_encoder", "_pieces")

    def __init__(self, body: Chunks, coding: str, compressor: Compressor) -> None:
        self._body = body
        self._compressor = compressor
        self._encoder: Encoder | None = encoder(coding)
        self._pieces: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces is None:
            self._pieces = aiter(self._body)
        while self._encoder is not None:
            try:
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                last, self._encoder = self._encoder.finish(), None
                return last
            if len(piece) > AT_ONCE:
                return await self._compressor.in_thread(partial(self._encoder.add, piece, flush=True))
            if piece:
                return self._encoder.add(piece, flush=True)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if hasattr(self._body, "aclose"):
            await self._body.aclose()


class CodedFile:
    """A file in a coding, read and compressed piece by piece in a thread, no faster than it is taken. Closes the descriptor."""

    __slots__ = ("_at", "_compressor", "_descriptor", "_encoder", "_end", "_job")

    def __init__(self, descriptor: int, offset: int, count: int, coding: str, compressor: Compressor) -> None:
        self._descriptor = descriptor
        self._at = offset
        self._end = offset + count
        self._compressor = compressor
        self._encoder: Encoder | None = encoder(coding)
        self._job: Future[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while self._encoder is not None:
            self._job = self._compressor.submit(partial(self._next, self._encoder))
            done = await asyncio.wrap_future(self._job)
            if self._at == self._end:
                self._encoder = None
            if done:
                return done
        raise StopAsyncIteration

    def _next(self, encoder: Encoder) -> bytes:
        """In a thread, one at a time."""
        piece = os.pread(self._descriptor, min(PIECE, self._end - self._at), self._at)
        if not piece:
            raise ConnectionAbortedError("the file became shorter while it was sent")
        self._at += len(piece)
        is_last = self._at == self._end
        # Brotli would keep everything to itself until the end.
        done = encoder.add(piece, flush=not is_last)
        return done + encoder.finish() if is_last else done

    async def aclose(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if self._job is None:
            os.close(descriptor)
        else:
            # Whoever waited for the thread may be gone, and the thread still reading.
            self._job.add_done_callback(lambda _: os.close(descriptor))


class NoContent:
    """Stands for the content of an answer to HEAD: there would be some, and nobody has counted it."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration
