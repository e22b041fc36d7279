"""A WebSocket on a bench: its session on an in-memory connection, a clock that stands still, and the client's codec at the other end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, NamedTuple

from netlodge.core.clock import FakeClock
from netlodge.http.rules.websocket import DeflateTerms
from netlodge.http.session.websocket import WebSocketLimits, WebSocketSession
from netlodge.http.wire.events import Pause
from netlodge.http.wire.states import Role
from netlodge.http.wire.websocket import WebSocketCodec
from netlodge.http.wire.websocket_deflate import Deflate
from netlodge.http.wire.websocket_events import Event, Fragment
from tests.fakes import MemoryConnection


class Counts(Counter[int]):
    """Implements `WebSocketCounters`: how often a WebSocket ended with which code, and under 0 how many are open."""

    @property
    def open(self) -> Cell:
        return Cell(self, 0)

    def ended(self, code: int) -> Cell:
        return Cell(self, code)


class Cell(NamedTuple):
    counts: Counts
    key: int

    def add(self, amount: int = 1) -> None:
        self.counts[self.key] += amount


class WebSocketRig:
    """Use within a running loop (`on_loop`)."""

    def __init__(
        self,
        *,
        limits: WebSocketLimits | None = None,
        received: bytes = b"",
        deflate: DeflateTerms | None = None,
        connection: MemoryConnection | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.counts = Counts()
        self.connection = connection or MemoryConnection()
        self.client = WebSocketCodec(
            Role.CLIENT, message_limit=1 << 30, deflate=None if deflate is None else Deflate(12, 12)
        )
        self.session = WebSocketSession(
            self.connection,
            received,
            deflate,
            limits=limits or WebSocketLimits(message=1 << 20),
            clock=self.clock,
            loop=asyncio.get_running_loop(),
            counters=self.counts,
        )
        self.connection.session = self.session

    def say(self, *events: Event) -> None:
        """The client sends."""
        self.connection.deliver(b"".join(map(self.client.send, events)))

    def heard(self) -> list[Event]:
        """What the client has been sent since the last time."""
        self.client.receive_data(self.connection.take())
        events: list[Event] = []
        while not isinstance(event := self.client.next_event(), Pause):
            if not isinstance(event, Fragment):
                events.append(event)
        return events

    def pass_time(self, seconds: int) -> None:
        """Second by second, with a sweep after each."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.session.sweep(self.clock.now)

    @staticmethod
    def start(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work)


async def turns() -> None:
    """Let everything happen that needs no more."""
    for _ in range(50):
        await asyncio.sleep(0)
