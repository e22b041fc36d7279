"""The content of a request on its way from the wire to the handler: a bounded buffer with one reader.

RFC 9110 §6.4 (content), §10.1.1 (100-continue is sent when somebody begins to read).
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections import deque
from typing import Protocol

from netlodge.http.message import Fields

HIGH_WATER = 128 * 1024
"""Octets buffered at which the client is made to wait. A read of the socket brings at most 256 KiB."""


class BodySource(Protocol):
    """Where a body comes from: the session."""

    def body_wanted(self) -> None:
        """Somebody waits for more: let the client send."""
        ...

    def body_full(self) -> None:
        """Nobody takes what is here: make the client wait."""
        ...

    def body_taken(self, octets: int) -> None:
        """Somebody took so much: as much again may come."""
        ...


class IncomingBody:
    """Implements `message.RequestBody`. The session calls `feed`, `finish` and `fail`; the handler calls `read`."""

    __slots__ = (
        "_capture",
        "_error",
        "_has_ended",
        "_loop",
        "_octets",
        "_pieces",
        "_source",
        "_waiter",
        "length",
        "received",
        "sample",
        "trailers",
    )

    def __init__(self, source: BodySource, length: int | None, loop: AbstractEventLoop, capture: int = 0) -> None:
        """`capture` is how many octets are kept in `sample`, for whoever looks on."""
        self._source = source
        self._loop = loop
        self._pieces: deque[bytes] = deque()
        self._octets = 0
        self._has_ended = False
        self._error: Exception | None = None
        self._waiter: Future[None] | None = None
        self.length = length
        self.received = 0
        self.sample = b""
        self._capture = capture
        self.trailers: Fields | None = None

    @property
    def has_ended(self) -> bool:
        """True once all of it has come in, or will not."""
        return self._has_ended or self._error is not None

    @property
    def is_broken(self) -> bool:
        """True if it will never be whole."""
        return self._error is not None

    @property
    def is_wanted(self) -> bool:
        """True while somebody waits for more of it."""
        return self._waiter is not None

    async def read(self) -> bytes:
        while True:
            if self._pieces:
                piece = self._pieces.popleft()
                self._octets -= len(piece)
                self._source.body_taken(len(piece))
                return piece
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return b""
            if self._waiter is not None:
                raise RuntimeError("two readers of one body")
            self._waiter = self._loop.create_future()
            try:
                self._source.body_wanted()
                await self._waiter
            finally:
                self._waiter = None

    def feed(self, data: bytes) -> None:
        """More has come."""
        self.received += len(data)
        if len(self.sample) < self._capture:
            self.sample += data[: self._capture - len(self.sample)]
        self._pieces.append(data)
        self._octets += len(data)
        if self._octets >= HIGH_WATER:
            self._source.body_full()
        self._wake()

    def finish(self, trailers: Fields | None) -> None:
        """All has come."""
        self.trailers = trailers
        self._has_ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """No more will come; what is buffered can still be read, then `error` is raised."""
        if not self._has_ended:
            self._error = error
            self._wake()

    def drop(self) -> None:
        """Nobody will read what is here."""
        self._pieces.clear()
        self._source.body_taken(self._octets)
        self._octets = 0

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class NoBody:
    """The body of a request that has none."""

    __slots__ = ()
    length = 0
    received = 0
    sample = b""
    has_ended = True
    is_wanted = False
    is_broken = False
    trailers: Fields | None = None

    async def read(self) -> bytes:
        return b""


NO_BODY = NoBody()
