"""A line service on real sockets, for clients that no one here wrote."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter as Counts
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from netlodge.core.clock import FakeClock
from netlodge.lines.datagrams import LineDatagrams
from netlodge.lines.services import SERVICES
from netlodge.lines.session import LineLimits, LineSession, refuse
from netlodge.net.connection import StreamConnection
from netlodge.net.datagram import DatagramCounters, DatagramDoor
from netlodge.net.listener import DoorCounters, DoorLimits, StreamDoor


class Cell:
    """Implements `core.contracts.Counter` and `Gauge`: counts under a name."""

    def __init__(self, counts: Counts[str], name: str) -> None:
        self._counts = counts
        self._name = name

    def add(self, amount: int = 1) -> None:
        self._counts[self._name] += amount


class NoTally:
    """Implements `net.listener.Tally` for a door without limits."""

    def enter(self, host: str) -> int:
        return 1

    def leave(self, host: str) -> None:
        pass

    def total(self) -> int:
        return 1


def datagram_counters(counts: Counts[str]) -> DatagramCounters:
    return DatagramCounters(
        received=Cell(counts, "received"),
        answered=Cell(counts, "answered"),
        dropped=lambda loss: Cell(counts, loss),
        defects=Cell(counts, "defects"),
    )


def loopback(kind: socket.SocketKind, port: int = 0) -> socket.socket:
    """A socket bound to a port of 127.0.0.1."""
    sock = socket.socket(socket.AF_INET, kind)
    if kind is socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


@asynccontextmanager
async def serve_stream(service: str, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """The service over TCP. Its clock runs fast: a second of silence is over as soon as the loop has nothing better to do."""
    clock = FakeClock()
    counts: Counts[str] = Counts()

    def new_session(connection: StreamConnection) -> LineSession:
        return LineSession(
            connection,
            door=service,
            service=SERVICES[service],
            clock=clock,
            journal_append=lambda entry: None,
            limits=LineLimits(),
        )

    door = StreamDoor(
        service,
        new_session,
        limits=DoorLimits(),
        refuse=refuse,
        counters=DoorCounters(
            open=Cell(counts, "open"),
            accepted=Cell(counts, "accepted"),
            refused=lambda limit: Cell(counts, limit),
            defects=Cell(counts, "defects"),
        ),
        tally=NoTally(),
    )
    await door.open(sockets)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(0.02)
            clock.advance(0.25)
            door.sweep(clock.now)

    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        door.close()
        door.abort()
        assert not counts["defects"]


@asynccontextmanager
async def serve_datagrams(service: str, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """The service over UDP."""
    counts: Counts[str] = Counts()
    answering = LineDatagrams(
        door=service,
        service=SERVICES[service],
        clock=FakeClock(),
        journal_append=lambda entry: None,
        limits=LineLimits(),
    )
    door = DatagramDoor(service, answering, counters=datagram_counters(counts))
    await door.open(sockets)
    try:
        yield
    finally:
        door.close()
        assert not counts["defects"]
