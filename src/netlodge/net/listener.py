"""A door: the listening sockets of one service in one worker, the connections that came in, and the limits on them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from netlodge.core.contracts import Counter, Gauge, Refusal, Session
from netlodge.net.connection import Farewell, StreamConnection

ACCEPTS_PER_TURN = 4
"""Connections accepted from a socket in one turn of the loop. libuv accepts one for each descriptor it watches; under load, when a turn
answers a thousand requests, those at the door would wait for seconds. So it is given several descriptors of the same socket."""
LAST_ACCEPT = 0.05
"""Seconds in which a retiring door still takes what waits at it."""
FAREWELL_SECONDS = 2.0
"""How long a connection over a limit may take to read why."""


class Tally(Protocol):
    """How many connections each client holds, over all workers (`net.tally`)."""

    def enter(self, host: str) -> int: ...
    def leave(self, host: str) -> None: ...
    def total(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """For the whole lodge, all doors and workers together. Zero: no limit."""

    connections: int = 0
    connections_per_client: int = 0


@dataclass(frozen=True, slots=True)
class DoorCounters:
    """What a door counts."""

    open: Gauge
    accepted: Counter
    refused: Callable[[str], Counter]
    """By the limit's key path."""
    defects: Counter


class StreamDoor:
    """Accepts connections on given sockets and gives each a session.

    `refuse` renders the last message to a connection over a limit. `new_session` makes the session of an admitted one.
    """

    def __init__(
        self,
        name: str,
        new_session: Callable[[StreamConnection], Session],
        *,
        limits: DoorLimits,
        refuse: Refusal,
        counters: DoorCounters,
        tally: Tally,
    ) -> None:
        self.name = name
        self.connections: set[StreamConnection] = set()
        self._new_session = new_session
        self._limits = limits
        self._refuse = refuse
        self._counters = counters
        self._tally = tally
        self._servers: list[asyncio.Server] = []
        self._is_retiring = False
        self._retires_at_once = False

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to accept. The sockets are bound and listening or to be listened on; the door owns them from here."""
        loop = asyncio.get_running_loop()
        for sock in [*sockets, *(sock.dup() for sock in sockets for _ in range(1, ACCEPTS_PER_TURN))]:
            make = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
            self._servers.append(await make(lambda: StreamConnection(self, loop), sock=sock, backlog=4096))

    def admit(self, connection: StreamConnection) -> None:
        """Called by a connection that was just made: gives it its session, or its farewell."""
        counters, limits = self._counters, self._limits
        of_client = self._tally.enter(connection.peer.host)
        self.connections.add(connection)
        counters.open.add(1)
        counters.accepted.add()
        limit = ""
        if limits.connections_per_client and of_client > limits.connections_per_client:
            limit = "limits.connections_per_client"
        elif limits.connections and self._tally.total() > limits.connections:
            limit = "limits.connections"
        if limit:
            counters.refused(limit).add()
            connection.session = Farewell(connection, self._refuse(limit), seconds=FAREWELL_SECONDS)
            return
        connection.session = self._new_session(connection)
        if self._is_retiring:
            connection.session.retire(at_once=False)

    def leave(self, connection: StreamConnection) -> None:
        """Called by a connection that ended."""
        self.connections.discard(connection)
        self._tally.leave(connection.peer.host)
        self._counters.open.add(-1)

    @property
    def is_empty(self) -> bool:
        """True when no connection is left, and none can come."""
        return not self.connections and not self._servers

    def count_defect(self) -> None:
        self._counters.defects.add()

    def sweep(self, now: float) -> None:
        """Let each session end what took too long. Called about once a second."""
        for connection in tuple(self.connections):
            if self._retires_at_once:  # those that came last were given until now
                connection.session.retire(at_once=True)
            connection.session.sweep(now)

    def close(self) -> None:
        """Accept no more. Connections go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def retire(self, *, at_once: bool) -> None:
        """Take what waits at the door, then accept no more, and let each session finish (see `Session.retire`).

        Every connection that the kernel had taken when this was called is served."""
        if not self._is_retiring:
            asyncio.get_running_loop().call_later(LAST_ACCEPT, self.close)
        self._is_retiring = True
        self._retires_at_once = at_once
        for connection in tuple(self.connections):
            connection.session.retire(at_once=at_once)

    def abort(self) -> None:
        """End what is left, now."""
        for connection in tuple(self.connections):
            connection.abort()
