"""What one stream of HTTP/2 has to send, until its turn comes: octets at hand, spans of a file, its trailers, its end.

RFC 9113 §5.2 (nothing leaves without a window), §8.1 (content, trailers, END_STREAM). A file is read when its turn has come, so it takes no
memory until then. Of octets at hand only so many wait here: whoever makes more waits until some have left.
"""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop, Future
from collections import deque
from typing import Final, Protocol

from netlodge.http.message import Fields, FileBody
from netlodge.http.session.h2_answers import encode_section
from netlodge.http.wire.h2_events import Stream
from netlodge.http.wire.h2_frames import ErrorCode
from netlodge.http.wire.render import SendError

HIGH_WATER: Final = 256 * 1024
"""Octets of one stream that wait for their turn until whoever makes them is made to wait."""
LOW_WATER: Final = HIGH_WATER // 2
CONNECTION_WATER: Final = 1024 * 1024
"""Octets of all streams of a connection that wait, from which on each may have `SCANT_WATER` only: so a client that opens many streams and
reads none of them costs little more than one that reads one of them slowly."""
SCANT_WATER: Final = 8 * 1024


class Turns(Protocol):
    """Who gives the turns: the connection."""

    queued: int
    """Octets that wait in all outlets."""

    def wants_to_send(self, outlet: Outlet) -> None:
        """There is something, after there was nothing."""
        ...

    def has_ended(self, outlet: Outlet) -> None:
        """There will be no more, and nothing waits."""
        ...


class Outlet:
    """Implements `sending.Sink`. A connection takes pieces of it by `next_piece` as long as it `has_data`."""

    __slots__ = (
        "_accepted", "_capture", "_first_left", "_loop", "_pieces", "_turns", "_waiters", "expected", "has_all", "is_closed", "is_out",
        "moved", "queued", "reset", "sample", "stream", "trailer_block",
    )  # fmt: skip

    may_send_file = False

    def __init__(self, stream: Stream, turns: Turns, loop: AbstractEventLoop, capture: int) -> None:
        """`capture` is how many of the first octets that leave are kept in `sample`."""
        self.stream = stream
        self._turns = turns
        self._loop = loop
        self._capture = capture
        self._pieces: deque[bytes | _Span] = deque()
        self._first_left = 0
        """Octets of the first piece that have left, if it is at hand."""
        self._waiters: list[Future[None]] = []
        self._accepted = 0
        self.expected: int | None = None
        """Octets that the head has announced, if it has."""
        self.queued = 0
        """Octets in memory that wait."""
        self.has_all = False
        """True once `end` was called."""
        self.is_out = False
        """True once the connection has sent the end, too."""
        self.trailer_block: bytes | None = None
        """What is to be sent after the last piece, if `has_all`."""
        self.reset: ErrorCode | None = None
        """What the stream is to be reset with after the last piece, if what was made of it is not all."""
        self.is_closed = False
        """True once nothing of it will leave any more."""
        self.moved = 0
        """Octets that have left."""
        self.sample = b""

    # --- from whoever makes it ----------------------------------------------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        """False: await `drained` before there is more."""
        if self._turns.queued < CONNECTION_WATER:
            return self.queued < HIGH_WATER
        return self.queued < SCANT_WATER

    def write(self, data: bytes) -> None:
        """Send some octets after all that is here. Raises `ConnectionResetError` once it is closed, `SendError` when they are more than the
        head announced."""
        if self.is_closed:
            raise _closed()
        self._accepted += len(data)
        if self.expected is not None and self._accepted > self.expected:
            raise SendError(f"The content is longer than the {self.expected} octets that its head announced.")
        self._pieces.append(data)
        self.queued += len(data)
        self._turns.queued += len(data)
        if len(self._pieces) == 1:
            self._turns.wants_to_send(self)

    def write_file(self, body: FileBody) -> None:
        """Send the parts of a file in their order. Its descriptor must stay open until this has ended, or is closed."""
        for part in body.parts:
            if isinstance(part, bytes):
                if part:
                    self.write(part)
            elif part[1]:
                self._accepted += part[1]
                self._pieces.append(_Span(body.descriptor, *part))
                if len(self._pieces) == 1:
                    self._turns.wants_to_send(self)

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        raise NotImplementedError("a stream is one of many on its connection: the kernel cannot send for it")

    async def drained(self) -> None:
        """Return when there is room again. Raises `ConnectionResetError` when it was closed instead."""
        while not self.is_writable or self.is_closed:
            if self.is_closed:
                raise _closed()
            waiter: Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def end(self, trailers: Fields | None) -> None:
        """That was all. Raises `SendError` for trailers that cannot be sent and for content that is missing, `ConnectionResetError` once it is
        closed."""
        if self.is_closed:
            raise _closed()
        if self.expected is not None and self._accepted != self.expected:
            raise SendError(f"The content is shorter than the {self.expected} octets that its head announced.")
        self.trailer_block = encode_section(trailers) if trailers is not None and len(trailers) else None
        self.has_all = True
        if not self._pieces:
            self._turns.has_ended(self)

    def break_off(self, code: ErrorCode) -> None:
        """There will be no more, and that is not all: what is here leaves, and then the stream is reset."""
        self.has_all = True
        self.reset = code
        self.trailer_block = None

    # --- from the connection --------------------------------------------------------------------------------------------------------

    @property
    def has_data(self) -> bool:
        """True if something waits for its turn."""
        return bool(self._pieces)

    @property
    def is_awaited(self) -> bool:
        """True while somebody waits for room."""
        return bool(self._waiters)

    def next_piece(self, most: int) -> bytes:
        """At most so many octets, and at least one. Raises `OSError` when a file has no more of what was announced, or cannot be read."""
        first = self._pieces[0]
        if isinstance(first, _Span):
            piece = first.read(most)
            if not first.count:
                self._pieces.popleft()
        else:
            start = self._first_left
            if len(first) - start > most:
                piece = first[start : start + most]
                self._first_left += most
            else:
                piece = first[start:] if start else first
                self._first_left = 0
                self._pieces.popleft()
            self.queued -= len(piece)
            self._turns.queued -= len(piece)
            if self._waiters and self.queued < LOW_WATER:
                self._wake(None)
        self.moved += len(piece)
        if len(self.sample) < self._capture:
            self.sample += piece[: self._capture - len(self.sample)]
        return piece

    def close(self) -> None:
        """What is still here will not leave. Whoever waits is told. Idempotent."""
        self.is_closed = True
        self._pieces.clear()
        self._turns.queued -= self.queued
        self.queued = 0
        self._wake(_closed())

    def _wake(self, error: Exception | None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)


class _Span:
    """`count` octets of a regular file from `offset` on, that are still to be read."""

    __slots__ = ("count", "descriptor", "offset")

    def __init__(self, descriptor: int, offset: int, count: int) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.count = count

    def read(self, most: int) -> bytes:
        piece = os.pread(self.descriptor, min(most, self.count), self.offset)
        if not piece:
            raise OSError("the file became shorter while it was sent")
        self.offset += len(piece)
        self.count -= len(piece)
        return piece


def _closed() -> ConnectionResetError:
    return ConnectionResetError("the stream was closed")
