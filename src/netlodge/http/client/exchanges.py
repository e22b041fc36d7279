"""A request and its answer as whoever uses the client has them, and the seam at which one is exchanged for the other.

RFC 9110 §3.4 (messages), §6 (content). A `Sender` sends one request and returns its answer; what stands around it (a cache that answers
instead, say) is a `Sender` as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from netlodge.core.contracts import Connection
from netlodge.http.client.content import Content
from netlodge.http.client.errors import ClientError, Phase, SlowError
from netlodge.http.client.h1 import Exchange, Inform, Path, Times, Watch
from netlodge.http.message import Fields
from netlodge.http.rules.uri import WebUri

GIVEN_UP: Final = 64 * 1024
"""Octets of an answer that nobody wants (a redirect's, say) that are read so that its connection can be used again."""


@dataclass(slots=True)
class ClientRequest:
    """What is to be sent. Fields that concern the connection, the framing and the host are the sender's."""

    method: str
    uri: WebUri
    fields: Fields = field(default_factory=Fields)
    content: Content | None = None
    times: Times = field(default_factory=Times)
    inform: Inform | None = None
    watch: Watch | None = None


class Source(Protocol):
    """Where the body of an answer comes from. `Exchange` is one."""

    trailers: Fields | None

    async def read(self) -> bytes: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class ClientResponse:
    """An answer whose head has come. Its body is read by `read` or `async for`, in pieces as they come; `close` when no more is wanted."""

    request: ClientRequest
    status: int
    reason: str
    version: str
    fields: Fields
    source: Source
    exchange: Exchange | None = None
    """Of the connection that it came on; None if it came on none."""
    path: Path | None = None
    """How that connection came about; None if it had been used before."""
    began_at: float = 0.0
    """When the request was given to the sender, on the loop's clock."""
    deadline: float | None = None
    """When the total time ends, on the loop's clock."""
    history: tuple[ClientResponse, ...] = ()
    """The redirects that led here, the first one first."""
    on_piece: Callable[[int], None] | None = None
    """Told how large each piece is that was read."""

    async def read(self) -> bytes:
        """The next piece of the body; nothing at its end and ever after. Raises `ClientError`."""
        piece = await (self.source.read() if self.deadline is None else self._read_in_time(self.deadline))
        if self.on_piece is not None:
            self.on_piece(len(piece))
        return piece

    async def _read_in_time(self, deadline: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline):
                return await self.source.read()
        except TimeoutError:
            self.close()
            raise total_time_is_over(self.request) from None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    async def read_all(self, limit: int) -> bytes:
        """The whole body. Raises `ClientError` if there are more than `limit` octets."""
        pieces = []
        size = 0
        async for piece in self:
            size += len(piece)
            if size > limit:
                self.close()
                raise ClientError(f"The answer of {self.request.uri} has more than {limit} octets.")
            pieces.append(piece)
        return b"".join(pieces)

    @property
    def trailers(self) -> Fields | None:
        """Once the end was read."""
        return self.source.trailers

    def close(self) -> None:
        """No more is wanted. Idempotent."""
        self.source.close()

    async def give_up(self) -> None:
        """Like `close`, but a short rest is read, so that the connection can be used again."""
        try:
            left = GIVEN_UP
            while left > 0 and (piece := await self.read()):
                left -= len(piece)
        except ClientError:
            pass
        self.close()

    def take_stream(self) -> tuple[Connection, bytes]:
        """After 101, or 2xx to CONNECT: the stream, which is the caller's from now on and does not read until `resume_reading`, and
        what came on it already (RFC 9110 §7.8, §9.3.6)."""
        if self.exchange is None or not self.exchange.switches:
            raise ClientError(f"{self.request.uri} did not switch protocols: {self.status} {self.reason}.")
        return self.exchange.take_stream()

    def timings(self) -> dict[str, float]:
        """Seconds from the beginning to the end of each phase that there was: `name`, `connect`, `tunnel`, `tls`, `sent`, `first_octet`,
        `head`, `total`."""
        moments: dict[str, float] = {}
        if self.path is not None:
            moments |= {
                "name": self.path.resolved_at,
                "connect": self.path.connected_at,
                "tunnel": self.path.tunnelled_at,
                "tls": self.path.secured_at,
            }
        if self.exchange is not None:
            moments |= {
                "sent": self.exchange.sent_at,
                "first_octet": self.exchange.heard_at,
                "head": self.exchange.head_at,
                "total": self.exchange.ended_at,
            }
        return {name: moment - self.began_at for name, moment in moments.items() if moment >= 0}


class Sender(Protocol):
    """Sends one request, exactly as it is said, and returns the answer to it."""

    async def send(self, request: ClientRequest, /) -> ClientResponse:
        """Raises `DialError` or `ClientError`."""
        ...


def total_time_is_over(request: ClientRequest) -> SlowError:
    return SlowError(Phase.TOTAL, request.uri.authority, request.times.total or 0.0)
