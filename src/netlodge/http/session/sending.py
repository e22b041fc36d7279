"""Bodies that are not at hand leave piece by piece, no faster than the client takes them: file spans by the kernel, streams as they come.

RFC 9112 §6 (framing, by the codec), §8 (an answer that breaks off must be seen to: the connection is aborted).
"""

from __future__ import annotations

import os

from netlodge.core.contracts import Connection
from netlodge.core.errors import CutShortError
from netlodge.http.message import Body, Chunks, FileBody, Response
from netlodge.http.wire.events import Data, EndOfMessage
from netlodge.http.wire.h1 import Http1Codec

FILE_READ = 256 * 1024
"""Octets read of a file at a time where the kernel cannot send it by itself."""


class Sending:
    """One body on its way. `sent` counts its octets, `sample` has the first `capture` of those that passed here; both tell the truth also
    when it broke off."""

    __slots__ = ("_capture", "_codec", "_connection", "sample", "sent")

    def __init__(self, connection: Connection, codec: Http1Codec, capture: int) -> None:
        self._connection = connection
        self._codec = codec
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
            elif not isinstance(body, bytes):
                await self._send_chunks(body)
        finally:
            await give_back(body)
        trailers = response.trailers() if response.trailers is not None and not is_bodiless else None
        self._connection.write(self._codec.send(EndOfMessage(trailers)))

    async def _send_chunks(self, body: Chunks) -> None:
        connection = self._connection
        async for piece in body:
            if piece:
                self._write(piece)
                if len(self.sample) < self._capture:
                    self.sample += piece[: self._capture - len(self.sample)]
                if not connection.is_writable:
                    await connection.drained()

    async def _send_file(self, body: FileBody) -> None:
        by_kernel = self._connection.may_send_file and self._codec.sends_identity
        for part in body.parts:
            if isinstance(part, bytes):
                self._write(part)
            elif by_kernel:
                await self._send_span_by_kernel(body.descriptor, *part)
            else:
                await self._send_span(body.descriptor, *part)

    async def _send_span_by_kernel(self, descriptor: int, offset: int, count: int) -> None:
        try:
            sent = await self._connection.send_file(descriptor, offset, count)
        except CutShortError as error:
            self.sent += error.sent
            raise
        self._codec.sent_elsewhere(sent)
        self.sent += sent
        if sent < count:
            raise ConnectionAbortedError("the file became shorter while it was sent")

    async def _send_span(self, descriptor: int, offset: int, count: int) -> None:
        end = offset + count
        while offset < end:
            if not self._connection.is_writable:
                await self._connection.drained()
            data = os.pread(descriptor, min(FILE_READ, end - offset), offset)
            if not data:
                raise ConnectionAbortedError("the file became shorter while it was sent")
            self._write(data)
            offset += len(data)

    def _write(self, data: bytes) -> None:
        self._connection.write(self._codec.send(Data(data)))
        self.sent += len(data)


async def give_back(body: Body) -> None:
    """Close what a body holds. Once for each response."""
    if isinstance(body, FileBody):
        os.close(body.descriptor)
    elif hasattr(body, "aclose"):
        await body.aclose()
