"""Bodies that are not at hand leave piece by piece, no faster than the client takes them: file spans by the kernel, streams as they come.

RFC 9112 §6 (framing, by the codec), §8 (an answer that breaks off must be seen to: the connection is aborted).
"""

from __future__ import annotations

import os

from netlodge.core.contracts import Connection
from netlodge.http.message import Chunks, FileBody, Response
from netlodge.http.wire.events import Data, EndOfMessage
from netlodge.http.wire.h1 import Http1Codec

FILE_READ = 256 * 1024
"""Octets read of a file at a time where the kernel cannot send it by itself."""


async def send_streamed(
    connection: Connection, codec: Http1Codec, response: Response, *, is_bodiless: bool, capture: int
) -> tuple[int, bytes]:
    """Send the body of `response`, whose head is out, and its end. Returns its octets and the first `capture` of them, if they passed
    here. What the body holds is given back in any case. Raises `ConnectionError` when the stream or the file ended early."""
    body = response.body
    sent, sample = 0, b""
    if isinstance(body, FileBody):
        try:
            if not is_bodiless:
                sent = await _send_file(connection, codec, body)
        finally:
            os.close(body.descriptor)
    elif not isinstance(body, bytes):
        try:
            if not is_bodiless:
                sent, sample = await _send_chunks(connection, codec, body, capture)
        finally:
            if hasattr(body, "aclose"):
                await body.aclose()
    trailers = response.trailers() if response.trailers is not None and not is_bodiless else None
    connection.write(codec.send(EndOfMessage(trailers)))
    return sent, sample


async def _send_chunks(connection: Connection, codec: Http1Codec, body: Chunks, capture: int) -> tuple[int, bytes]:
    sent, sample = 0, b""
    async for piece in body:
        if piece:
            connection.write(codec.send(Data(piece)))
            sent += len(piece)
            if len(sample) < capture:
                sample += piece[: capture - len(sample)]
            if not connection.is_writable:
                await connection.drained()
    return sent, sample


async def _send_file(connection: Connection, codec: Http1Codec, body: FileBody) -> int:
    sent = 0
    for part in body.parts:
        if isinstance(part, bytes):
            connection.write(codec.send(Data(part)))
            sent += len(part)
        elif connection.may_send_file and codec.sends_identity:
            sent += await _send_span_by_kernel(connection, codec, body.descriptor, *part)
        else:
            sent += await _send_span(connection, codec, body.descriptor, *part)
    return sent


async def _send_span_by_kernel(connection: Connection, codec: Http1Codec, descriptor: int, offset: int, count: int) -> int:
    sent = await connection.send_file(descriptor, offset, count)
    codec.sent_elsewhere(sent)
    if sent < count:
        raise ConnectionAbortedError("the file became shorter while it was sent")
    return count


async def _send_span(connection: Connection, codec: Http1Codec, descriptor: int, offset: int, count: int) -> int:
    end = offset + count
    while offset < end:
        if not connection.is_writable:
            await connection.drained()
        data = os.pread(descriptor, min(FILE_READ, end - offset), offset)
        if not data:
            raise ConnectionAbortedError("the file became shorter while it was sent")
        connection.write(codec.send(Data(data)))
        offset += len(data)
    return count
