"""Bodies that are not at hand leave piece by piece, no faster than the client takes them: file spans by the kernel, streams as they come.

RFC 9112 §6 (framing, by the codec), §8 (an answer that breaks off must be seen to: the connection is aborted).
"""

from __future__ import annotations

import os
from typing import Protocol

from netlodge.core.contracts import Connection
from netlodge.core.errors import CutShortError
from netlodge.http.message import Chunks, Fields, FileBody, Response, give_back
from netlodge.http.wire.events import Data, EndOfMessage
from netlodge.http.wire.h1 import Http1Codec

FILE_READ = 256 * 1024
"""Octets read of a file at a time where the kernel cannot send it by itself."""


class Sink(Protocol):
    """Where the content of one answer goes: a connection of HTTP/1.1, a stream of HTTP/2."""

    @property
    def is_writable(self) -> bool:
        """False: await `drained` before there is more."""
        ...

    @property
    def may_send_file(self) -> bool: ...
    def write(self, data: bytes) -> None:
        """Send some content, framed. Raises `SendError`."""
        ...

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        """As `core.contracts.Connection.send_file`; only where `may_send_file`."""
        ...

    async def drained(self) -> None:
        """Raises `ConnectionResetError` when there is nobody to take more."""
        ...

    def end(self, trailers: Fields | None) -> None:
        """That was all of it. Raises `SendError`."""
        ...


class Http1Sink:
    """The content of the exchange that a codec is in."""

    __slots__ = ("_codec", "_connection")

    def __init__(self, connection: Connection, codec: Http1Codec) -> None:
        self._connection = connection
        self._codec = codec

    @property
    def is_writable(self) -> bool:
        return self._connection.is_writable

    @property
    def may_send_file(self) -> bool:
        return self._connection.may_send_file and self._codec.sends_identity

    def write(self, data: bytes) -> None:
        self._connection.write(self._codec.send(Data(data)))

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        sent = await self._connection.send_file(descriptor, offset, count)
        self._codec.sent_elsewhere(sent)
        return sent

    async def drained(self) -> None:
        await self._connection.drained()

    def end(self, trailers: Fields | None) -> None:
        self._connection.write(self._codec.send(EndOfMessage(trailers)))


class Sending:
    """One body on its way. `sent` counts its octets, `sample` has the first `capture` of those that passed here; both tell the truth also
    when it broke off."""

    __slots__ = ("_capture", "_sink", "sample", "sent")

    def __init__(self, sink: Sink, capture: int) -> None:
        self._sink = sink
        self._capture = capture
        self.sent = 0
        self.sample = b""

    async def send(self, response: Response, *, is_bodiless: bool) -> None:
        """Send the body of `response`, whose head is out, and its end. What the body holds is given back in any case.

        Raises `ConnectionError` when the stream or the file ended early, and what a stream raises."""
        body = response.body
        try:
            if is_bodiless:
                pass
            elif isinstance(body, FileBody):
                await self._send_file(body)
            elif isinstance(body, bytes):
                if body:
                    self._write(body)
            else:
                await self._send_chunks(body)
        finally:
            await give_back(body)
        self._sink.end(response.trailers() if response.trailers is not None and not is_bodiless else None)

    async def _send_chunks(self, body: Chunks) -> None:
        sink = self._sink
        async for piece in body:
            if piece:
                self._write(piece)
                if not sink.is_writable:
                    await sink.drained()

    async def _send_file(self, body: FileBody) -> None:
        by_kernel = self._sink.may_send_file
        for part in body.parts:
            if isinstance(part, bytes):
                self._write(part)
            elif by_kernel:
                await self._send_span_by_kernel(body.descriptor, *part)
            else:
                await self._send_span(body.descriptor, *part)

    async def _send_span_by_kernel(self, descriptor: int, offset: int, count: int) -> None:
        try:
            sent = await self._sink.send_file(descriptor, offset, count)
        except CutShortError as error:
            self.sent += error.sent
            raise
        self.sent += sent
        if sent < count:
            raise ConnectionAbortedError("the file became shorter while it was sent")

    async def _send_span(self, descriptor: int, offset: int, count: int) -> None:
        end = offset + count
        while offset < end:
            if not self._sink.is_writable:
                await self._sink.drained()
            data = os.pread(descriptor, min(FILE_READ, end - offset), offset)
            if not data:
                raise ConnectionAbortedError("the file became shorter while it was sent")
            self._write(data)
            offset += len(data)

    def _write(self, data: bytes) -> None:
        self._sink.write(data)
        self.sent += len(data)
        if len(self.sample) < self._capture:
            self.sample += data[: self._capture - len(self.sample)]
