"""A door: the listening sockets of one service in one worker, the connections that came in, and the limits on them."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from netlodge.core.contracts import Counter, Gauge, Refusal, Session
from netlodge.net.connection import Farewell, StreamConnection
from netlodge.net.sockets import BACKLOG

logger = logging.getLogger("netlodge.net")

ACCEPTS_PER_TURN = 4
"""Connections accepted from a socket in one turn of the loop. libuv accepts one for each descriptor it watches; under load, when a turn
answers a thousand requests, those at the door would wait for seconds. So it is given several descriptors of the same socket."""
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
        self._own: list[socket.socket] = []
        """A descriptor of each listening socket that no server closes: what waits there last is accepted from it."""
        self._closing: set[asyncio.Task[None]] = set()
        self._is_retiring = False
        self._retires_at_once = False

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to accept. The sockets are bound and listening or to be listened on; the door owns them from here."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            own = sock.dup()
            own.setblocking(False)
            self._own.append(own)
            make = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
            for each in [sock, *(sock.dup() for _ in range(1, ACCEPTS_PER_TURN))]:
                self._servers.append(await make(self._new_connection, sock=each, backlog=BACKLOG))
        if self._is_retiring:  # told so while it waited
            self._stop_accepting()

    def _new_connection(self) -> StreamConnection:
        return StreamConnection(self, asyncio.get_running_loop())

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
            self._tell_to_retire(connection, at_once=False)

    def leave(self, connection: StreamConnection) -> None:
        """Called by a connection that ended."""
        self.connections.discard(connection)
        self._tally.leave(connection.peer.host)
        self._counters.open.add(-1)

    @property
    def is_empty(self) -> bool:
        """True when no connection is left, and none can come."""
        return not self.connections and not self._servers and not self._closing

    def count_defect(self) -> None:
        self._counters.defects.add()

    def sweep(self, now: float) -> None:
        """Let each session end what took too long. Called about once a second."""
        for connection in tuple(self.connections):
            if self._retires_at_once:  # those that came last were given until now
                self._tell_to_retire(connection, at_once=True)
            try:
                connection.session.sweep(now)
            except Exception as defect:
                self.fail(connection, defect)

    def close(self) -> None:
        """Accept no more. Connections go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for sock in self._own:
            sock.close()
        self._own.clear()

    def retire(self, *, at_once: bool) -> None:
        """Take what waits at the door, accept no more, and let each session finish (see `Session.retire`).

        Every connection that the kernel had taken when this was called is served; none is accepted after it returned."""
        if not self._is_retiring:
            self._is_retiring = True
            self._stop_accepting()
        self._retires_at_once = at_once
        for connection in tuple(self.connections):
            self._tell_to_retire(connection, at_once=at_once)

    def abort(self) -> None:
        """End what is left, now."""
        for connection in tuple(self.connections):
            connection.abort()

    # --- within ------------------------------------------------------------------------------------------------------------

    def _stop_accepting(self) -> None:
        """Have the loop accept no more, and accept by hand what waits."""
        loop = asyncio.get_running_loop()
        servers, self._servers = self._servers, []
        for server in servers:
            if isinstance(loop, asyncio.SelectorEventLoop):
                # This loop accepts in one turn and attaches to the server in the next, which fails once the server is closed.
                for sock in server.sockets:
                    loop.remove_reader(sock.fileno())
            else:
                server.close()
        waiting = [sock for own in self._own for sock in _accept_all(own)]
        for own in self._own:
            own.close()
        self._own.clear()
        task = loop.create_task(self._take_the_last(waiting, servers))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _take_the_last(self, waiting: Sequence[socket.socket], servers: Sequence[asyncio.Server]) -> None:
        """Make connections of what was accepted by hand, and wait for those that the loop had accepted before."""
        await asyncio.gather(*map(self._take, waiting))
        for _ in range(2):  # a turn to attach to the server, and one for `connection_made`
            await asyncio.sleep(0)
        for server in servers:
            server.close()

    async def _take(self, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._new_connection, sock)
        except Exception:
            logger.exception("%s: a connection that waited at the door could not be taken", self.name)
            self.count_defect()
            sock.close()

    def _tell_to_retire(self, connection: StreamConnection, *, at_once: bool) -> None:
        try:
            connection.session.retire(at_once=at_once)
        except Exception as defect:
            self.fail(connection, defect)

    def fail(self, connection: StreamConnection, defect: Exception) -> None:
        """A session raised: that costs its own connection alone."""
        logger.error(
            "%s: a defect in the session of %s; this connection is closed, others go on",
            self.name, connection.peer, exc_info=defect,
        )  # fmt: skip
        self.count_defect()
        connection.abort()


def _accept_all(listening: socket.socket) -> list[socket.socket]:
    """What waits in a non-blocking socket now; while more and more come, no more than could wait at a time."""
    accepted: list[socket.socket] = []
    for _ in range(BACKLOG):
        try:
            sock, _ = listening.accept()
        except BlockingIOError:
            break
        except ConnectionAbortedError:
            continue  # it left while it waited (accept(2))
        except OSError as error:
            logger.warning("What still waits at %s is left to others: %s.", listening.getsockname(), error.strerror)
            break
        accepted.append(sock)
    return accepted
