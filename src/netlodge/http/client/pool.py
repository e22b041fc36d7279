"""Connections that are kept for later: a few to each origin, each used by one exchange at a time.

RFC 9112 §9.3 (persistence), §9.3.1 (retrying requests), §9.4 (concurrency), §9.5 (failures and timeouts); RFC 2616 §8.1.4 said two
connections to a server; browsers have come to six.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from netlodge.http.client.connecting import Connect
from netlodge.http.client.errors import Phase, SlowError
from netlodge.http.client.h1 import H1Connection, Path, Times, Watch
from netlodge.http.client.origin import Origin

TICK: Final = 0.25
"""Seconds between two sweeps: how exact the times of `Times` are."""


class PoolLimits(NamedTuple):
    """What a pool keeps."""

    per_origin: int = 6
    """Connections to one origin at the same time. Chromium and Firefox: 6."""
    idle: float = 15.0
    """Seconds that a connection at rest is kept. Shorter than what servers keep (nginx 75 s, Apache 5 s), as a rule."""
    idle_count: int = 100
    """Connections at rest, over all origins; the one that has rested longest goes."""


@dataclass(slots=True)
class _Place:
    """The connections to one origin."""

    origin: Origin
    links: set[H1Connection] = field(default_factory=set)
    resting: list[H1Connection] = field(default_factory=list)
    """Those at rest, the last used last: it is taken first, so that those that nobody needs grow old."""
    opening: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Lease(NamedTuple):
    """A connection for one exchange."""

    link: H1Connection
    path: Path | None
    """How it came about; None if it was used before."""


class Pool:
    """Gives connections to origins. To be used on one loop; `close` it at the end."""

    def __init__(self, connect: Connect, *, limits: PoolLimits | None = None) -> None:
        self._connect = connect
        self._limits = limits or PoolLimits()
        self._places: dict[Origin, _Place] = {}
        self._since: dict[H1Connection, float] = {}
        """Since when the connections at rest are so, the longest first."""
        self._loop = asyncio.get_running_loop()
        self._ticking: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def lease(self, origin: Origin, times: Times, watch: Watch | None = None) -> Lease:
        """A connection for the next exchange: one that rests, a new one, or the first that becomes free.

        When the exchange is over the connection comes back by itself. Raises `DialError` or `ClientError`.
        """
        place = self._place(origin)
        deadline: float | None = None
        while True:
            link = await self._take_resting(place)
            if link is not None:
                return Lease(link, None)
            if len(place.links) + place.opening < self._limits.per_origin:
                return await self._open(place, origin, times, watch)
            now = self._loop.time()
            deadline = now + times.connect if deadline is None else deadline
            await self._wait(place, origin, times, deadline - now)

    async def close(self) -> None:
        """End all connections."""
        self._is_closed = True
        if self._ticking is not None:
            self._ticking.cancel()
        links = [link for place in self._places.values() for link in place.links]
        for link in links:
            link.close()
        if links:
            await asyncio.sleep(0)  # the loop closes their sockets in its next turn

    def sweep(self, now: float) -> None:
        """Called every `TICK` seconds: ends what takes too long, and what rests too long."""
        for place in tuple(self._places.values()):
            for link in tuple(place.links):
                link.sweep(now)
        for link, since in tuple(self._since.items()):
            if now - since < self._limits.idle:
                break
            link.close()

    @property
    def open_count(self) -> int:
        """Connections, at rest or not."""
        return sum(len(place.links) for place in self._places.values())

    @property
    def resting_count(self) -> int:
        return len(self._since)

    # --- within ----------------------------------------------------------------------------------------------------------

    def _place(self, origin: Origin) -> _Place:
        origin = origin.shared
        place = self._places.get(origin)
        if place is None:
            place = self._places[origin] = _Place(origin)
        return place

    async def _take_resting(self, place: _Place) -> H1Connection | None:
        while place.resting:
            link = place.resting.pop()
            del self._since[link]
            if link.is_stale():
                # The loop reads what waits, and tells the connection: what came is no answer to anything, but for TLS it may be news
                # that concern TLS alone.
                await asyncio.sleep(0)
            if link.is_open and not link.is_stale():
                return link
            link.close()
        return None

    async def _open(self, place: _Place, origin: Origin, times: Times, watch: Watch | None) -> Lease:
        place = self._places.setdefault(place.origin, place)  # its last connection may have ended just now
        place.opening += 1
        try:
            link, path = await self._connect(origin, times, watch)
        except BaseException:
            place.opening -= 1
            self._wake_one(place)
            self._drop_if_empty(place)
            raise
        place.opening -= 1
        place.links.add(link)
        link.when_free = lambda link: self._rest(place, link)
        link.when_lost = lambda link: self._lose(place, link)
        if not link.is_open:  # it ended while it was handed over
            self._lose(place, link)
        self._tick()
        return Lease(link, path)

    async def _wait(self, place: _Place, origin: Origin, times: Times, seconds: float) -> None:
        turn = self._loop.create_future()
        place.waiting.append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except TimeoutError:
            place.waiting.remove(turn)
            raise SlowError(Phase.QUEUE, origin.place, times.connect, limit=self._limits.per_origin) from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake_one(place)  # the turn was this one's, who does not take it
            else:
                place.waiting.remove(turn)
            raise

    def _rest(self, place: _Place, link: H1Connection) -> None:
        if self._is_closed:
            link.close()
            return
        place.resting.append(link)
        self._since[link] = self._loop.time()
        self._wake_one(place)
        while len(self._since) > self._limits.idle_count:
            next(iter(self._since)).close()

    def _lose(self, place: _Place, link: H1Connection) -> None:
        place.links.discard(link)
        if self._since.pop(link, None) is not None:
            place.resting.remove(link)
        self._wake_one(place)
        self._drop_if_empty(place)

    def _wake_one(self, place: _Place) -> None:
        while place.waiting:
            turn = place.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _drop_if_empty(self, place: _Place) -> None:
        if not (place.links or place.opening or place.waiting):
            self._places.pop(place.origin, None)

    def _tick(self) -> None:
        if self._ticking is None and not self._is_closed:
            self._ticking = self._loop.call_later(TICK, self._on_tick)

    def _on_tick(self) -> None:
        self._ticking = None
        self.sweep(self._loop.time())
        if any(place.links for place in self._places.values()):
            self._tick()
