"""RFC 9110 §8.4.1: the codecs, what is kept of their results, and what becomes of a file meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Event

import brotli  # type: ignore[import-untyped]
import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from netlodge.http.handlers import compressor
from netlodge.http.handlers.compressor import AT_ONCE, KEPT_BODY, PIECE, CodedFile, CodedStream, Compressor, compress
from netlodge.http.message import FileBody
from netlodge.http.rules.negotiation_codings import ORDER

TEXT = b"".join(b"line %d of a text\n" % number for number in range(200))
LARGE = TEXT * (3 * AT_ONCE // len(TEXT))
READERS: dict[str, Callable[[bytes], bytes]] = {
    "br": brotli.decompress,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
}


def reader(coding: str) -> Callable[[bytes], bytes]:
    """Reads a stream in a coding as it comes."""
    if coding == "zstd":
        return zstd.ZstdDecompressor().decompress
    if coding == "gzip":
        return zlib.decompressobj(31).decompress
    process = brotli.Decompressor().process

    def read(data: bytes) -> bytes:
        # It gives what it has read in portions.
        return b"".join(iter(lambda: process(b""), b"")) if not data else process(data) + read(b"")

    return read


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of everything that is compressed whole."""
    sizes: list[int] = []

    def counted(data: bytes, coding: str) -> bytes:
        sizes.append(len(data))
        return compress(data, coding)

    monkeypatch.setattr(compressor, "compress", counted)
    return sizes


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("coding", ORDER)
@pytest.mark.parametrize("data", [TEXT, LARGE], ids=["at once", "in a thread"])
def test_what_is_compressed_can_be_read(coding: str, data: bytes) -> None:
    coded = asyncio.run(Compressor().octets(data, coding, keep=False))
    assert READERS[coding](coded) == data
    assert len(coded) < len(data) / 2
    assert coded == compress(data, coding), "always the same octets"


@pytest.mark.parametrize("coding", ORDER)
def test_what_gets_no_smaller_is_not_compressed(coding: str) -> None:
    async def ask() -> None:
        each = Compressor()
        for keep in (True, True, False):
            assert await each.octets(os.urandom(2000), coding, keep=keep) == b""

    asyncio.run(ask())


@pytest.mark.parametrize("data", [TEXT, LARGE], ids=["at once", "in a thread"])
def test_what_is_kept_is_compressed_once_however_many_ask(data: bytes, calls: list[int]) -> None:
    async def ask() -> None:
        each = Compressor()
        together = await asyncio.gather(*(each.octets(data, "gzip", keep=True) for _ in range(5)))
        assert set(together) == {await each.octets(bytes(bytearray(data)), "gzip", keep=True)}
        assert len(calls) == 1
        await each.octets(data, "br", keep=True)
        await each.octets(data + b"!", "gzip", keep=True)
        assert len(calls) == 3

    asyncio.run(ask())


def test_what_is_not_kept_is_compressed_each_time(calls: list[int]) -> None:
    async def ask() -> None:
        each = Compressor()
        for _ in range(2):
            await each.octets(TEXT, "gzip", keep=False)
            await each.octets(TEXT * (1 + KEPT_BODY // len(TEXT)), "zstd", keep=True)

    asyncio.run(ask())
    assert len(calls) == 4


def test_the_least_recently_used_makes_room(calls: list[int]) -> None:
    async def ask() -> None:
        each = Compressor(3 * (len(TEXT) + 1500))
        for first in b"ababcbdbb":
            await each.octets(bytes([first]) + TEXT, "gzip", keep=True)
        assert len(calls) == 4
        await each.octets(b"a" + TEXT, "gzip", keep=True)
        assert len(calls) == 5

    asyncio.run(ask())


def test_one_who_goes_away_takes_nothing_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = Event()

    def slow(data: bytes, coding: str) -> bytes:
        assert may_go_on.wait(10)
        return compress(data, coding)

    monkeypatch.setattr(compressor, "compress", slow)

    async def ask() -> None:
        each = Compressor()
        first, second = (asyncio.ensure_future(each.octets(LARGE, "gzip", keep=True)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        may_go_on.set()
        assert gzip.decompress(await second) == LARGE
        with contextlib.suppress(asyncio.CancelledError):
            await first

    asyncio.run(ask())


# Files.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes(LARGE)
    return path


def test_a_file_is_compressed_once_for_as_long_as_it_is_the_same(file: Path, calls: list[int]) -> None:
    async def ask(each: Compressor) -> bytes:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            done = await each.file(descriptor, file.stat().st_size, "gzip")
            assert isinstance(done, bytes)
            return done
        finally:
            os.close(descriptor)

    async def all_of_it() -> None:
        each = Compressor()
        before = open_descriptors()
        answers = await asyncio.gather(*(ask(each) for _ in range(5)))
        answers.append(await ask(each))
        assert [gzip.decompress(answer) for answer in answers] == [LARGE] * 6
        assert len(calls) == 1
        file.write_bytes(LARGE + b"!")
        assert gzip.decompress(await ask(each)) == LARGE + b"!"
        file.write_bytes(os.urandom(5000))
        assert await ask(each) == b""
        assert await ask(each) == b""
        assert len(calls) == 3
        assert open_descriptors() <= before + 3, "the loop's own, no file"

    asyncio.run(all_of_it())


def test_a_large_result_of_a_file_is_a_file(tmp_path: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(100_000).hex().encode()
    path = tmp_path / "a.txt"
    path.write_bytes(content)

    async def ask(each: Compressor) -> FileBody | bytes | None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return await each.file(descriptor, len(content), "gzip")
        finally:
            os.close(descriptor)

    async def all_of_it() -> None:
        each = Compressor()
        await each.in_thread(int)
        before = open_descriptors()
        for _ in range(2):
            body = await ask(each)
            assert isinstance(body, FileBody)
            assert gzip.decompress(os.pread(body.descriptor, body.length, 0)) == content
            os.close(body.descriptor)
        assert len(calls) == 1
        assert open_descriptors() == before + 1
        await asyncio.sleep(0)  # the loop lets go of what it handed on
        each._keep(("br", b""), bytes(40 << 20))
        assert open_descriptors() == before

        def full(name: str, flags: int) -> int:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(os, "memfd_create", full)
        octets = await ask(each)
        assert isinstance(octets, bytes)
        assert gzip.decompress(octets) == content

    asyncio.run(all_of_it())


def test_a_file_that_changes_while_it_is_read_is_told_from_the_others(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread

    def changing(descriptor: int, count: int, offset: int) -> bytes:
        os.utime(file, (1, 1))
        return pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", changing)

    async def ask() -> None:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            assert await Compressor().file(descriptor, len(LARGE), "gzip") is None
            assert await Compressor().file(descriptor, len(LARGE) + 1, "gzip") is None
        finally:
            os.close(descriptor)

    asyncio.run(ask())


@pytest.mark.parametrize("coding", ORDER)
def test_a_large_file_leaves_piece_by_piece(tmp_path: Path, coding: str) -> None:
    content = os.urandom(400_000).hex().encode()
    assert len(content) > 5 * PIECE
    path = tmp_path / "large.txt"
    path.write_bytes(b"x" * 10 + content + b"y" * 10)

    async def ask() -> list[bytes]:
        descriptor = os.open(path, os.O_RDONLY)
        body = CodedFile(descriptor, 10, len(content), coding, Compressor())
        pieces = [piece async for piece in body]
        await body.aclose()
        await body.aclose()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
        return pieces

    pieces = asyncio.run(ask())
    assert READERS[coding](b"".join(pieces)) == content
    assert len(pieces) > 1
    assert all(pieces)


def test_a_file_that_became_shorter_breaks_off(file: Path) -> None:
    async def ask() -> None:
        body = CodedFile(os.open(file, os.O_RDONLY), 0, len(LARGE) + 1, "gzip", Compressor())
        try:
            with pytest.raises(ConnectionAbortedError):
                _ = [piece async for piece in body]
        finally:
            await body.aclose()

    asyncio.run(ask())


def test_a_file_that_nobody_asks_for_is_closed(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    asyncio.run(CodedFile(descriptor, 0, 1, "gzip", Compressor()).aclose())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_file_is_closed_when_the_thread_has_read_it_though_the_client_is_gone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, may_go_on = Event(), Event()
    pread = os.pread

    def slow(descriptor: int, count: int, offset: int) -> bytes:
        reads.set()
        assert may_go_on.wait(10)
        return pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", slow)
    descriptor = os.open(file, os.O_RDONLY)
    each = Compressor()

    async def ask() -> None:
        body = CodedFile(descriptor, 0, len(LARGE), "gzip", each)
        asked = asyncio.ensure_future(anext(body))
        await asyncio.to_thread(reads.wait, 10)
        asked.cancel()
        await asyncio.wait([asked])
        await body.aclose()
        os.fstat(descriptor)
        may_go_on.set()

    asyncio.run(ask())
    each._threads.shutdown()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


# Streams.


class Pieces:
    """A body that can be seen to be closed."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("coding", ORDER)
def test_each_piece_of_a_stream_can_be_read_when_it_arrives(coding: str) -> None:
    given = (b"data: 1\n\n", b"", b"data: 2\n\n", LARGE, b"data: 3\n\n")

    async def ask() -> None:
        body = Pieces(*given)
        stream = CodedStream(body, coding, Compressor())
        read = reader(coding)
        got = [read(piece) async for piece in stream]
        assert got == [*filter(None, given), b""]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        await stream.aclose()
        assert body.is_closed

    asyncio.run(ask())


def test_an_error_in_a_stream_passes_through() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"data"
        raise ZeroDivisionError

    async def ask() -> None:
        stream = CodedStream(failing(), "gzip", Compressor())
        assert await anext(stream)
        with pytest.raises(ZeroDivisionError):
            await anext(stream)
        await stream.aclose()

    asyncio.run(ask())
