"""How an HTTP/2 connection sends: whose turn it is, as far as the windows go, and everything in as few writes as can be.

RFC 9113 §5.2 (windows), §6.9; RFC 9218 §10 (the order, by `h2_schedule`); RFC 9113 §10.5 (what waits for a client that takes nothing).

Heads, acknowledgements and small answers are put behind one another as they arise. A turn then lets those send that have more, and writes it all. One
is taken at the end of each read; whatever happens outside of one (a handler is done, a window was given back) asks for one, and has it before
anything else is read. So no call of a stream ever comes back to that stream.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from netlodge.core.contracts import Connection
from netlodge.http.session.h2_outlet import Outlet
from netlodge.http.session.h2_schedule import Schedule
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_events import Stream

logger = logging.getLogger("netlodge.http")

QUANTUM: Final = 16 * 1024
"""Octets that a stream sends in its turn, before another has its own."""
LARGE_QUANTUM: Final = 64 * 1024
"""The same where no more than `FEW` streams have something to send: nobody waits long, and each turn has its cost."""
FEW: Final = 4
BATCH: Final = 64 * 1024
"""Octets put together before they are written. Much more, and the memory for it comes from the kernel each time (measured: 40% more of a
processor's time for large content with 256 KiB)."""
TURN: Final = 1024 * 1024
"""Octets sent before other connections have their turn."""
BACKLOG: Final = 256 * 1024
"""Octets of heads and acknowledgements that wait for a client which takes nothing, from which on nothing more of it is read."""


class Sender(Protocol):
    """Who has an outlet: an exchange, or a tunnel."""

    @property
    def outlet(self) -> Outlet | None: ...

    def went_out(self) -> None:
        """All of the outlet was sent, and its end."""
        ...

    def broke(self, error: OSError) -> None:
        """What is in the outlet cannot be read."""
        ...


class Turns:
    """One connection's. `senders` are its streams by number; `when_taken` is called at the end of each turn."""

    __slots__ = (
        "_awaiting_room", "_backlog", "_blocked", "_codec", "_connection", "_has_asked", "_is_over", "_is_paused", "_loop", "_out", "_senders",
        "_when_taken", "is_held", "queued", "schedule",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        codec: Http2Codec,
        senders: Mapping[int, Sender],
        loop: AbstractEventLoop,
        when_taken: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._codec = codec
        self._out = codec.outgoing
        self._senders = senders
        self._loop = loop
        self._when_taken = when_taken
        self.schedule = Schedule()
        self._blocked: set[int] = set()
        """Streams that have something to send, and no window."""
        self.queued = 0
        """Octets in memory that wait, of all outlets."""
        self.is_held = False
        """True while a turn is sure to come: then none need be asked for."""
        self._has_asked = False
        self._awaiting_room: Task[None] | None = None
        self._backlog = 0
        """Octets written while the connection took no more."""
        self._is_paused = False
        self._is_over = False

    # --- what is to be sent -----------------------------------------------------------------------------------------------------------

    @property
    def is_free(self) -> bool:
        """True if what is put out now goes before nobody, and does not have to wait for the connection."""
        return not self.schedule and self._connection.is_writable

    def put(self, octets: bytes) -> None:
        """Send this with the rest of the turn."""
        self._out.append(octets)
        if not self.is_held:
            self.ask()

    def wants_to_send(self, outlet: Outlet) -> None:
        """An outlet has something, after it had nothing."""
        if outlet.stream.stream_id not in self._blocked:
            self.schedule.wake(outlet.stream.stream_id)
            self.ask()

    def has_ended(self, outlet: Outlet) -> None:
        """An outlet has nothing more, and nothing waits in it."""
        if outlet.stream.stream_id in self._codec.streams:
            self._end(outlet, is_said=False)
            self.ask()

    def forget(self, stream_id: int) -> None:
        """A stream has ended."""
        self._blocked.discard(stream_id)
        self.schedule.forget(stream_id)

    def unblock(self, stream: Stream) -> None:
        """The window of a stream may be open."""
        if stream.send_window > 0 and stream.stream_id in self._blocked:
            self._blocked.discard(stream.stream_id)
            self.schedule.wake(stream.stream_id)

    def unblock_all(self) -> None:
        """The windows of all streams may be open."""
        for stream_id in list(self._blocked):
            outlet = self._senders[stream_id].outlet
            if outlet is not None:
                self.unblock(outlet.stream)

    # --- turns ------------------------------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Have a turn soon."""
        if not (self.is_held or self._has_asked or self._is_over):
            self._has_asked = True
            self._loop.call_soon(self._take_later)

    def _take_later(self) -> None:
        self._has_asked = False
        try:
            self.take()
        except Exception:
            logger.exception("a defect while sending to %s: its connection ends", self._connection.peer)
            self._connection.abort()

    def take(self) -> None:
        """Let those send whose turn it is, as far as the windows and the connection allow, and write it all."""
        if self._is_over:
            return
        if self.schedule and self._codec.send_window > 0:
            self.is_held = True
            try:
                self._give()
            finally:
                self.is_held = False
        self.write_out()
        if not self._connection.is_writable:
            if self._awaiting_room is None:
                self._awaiting_room = self._loop.create_task(self._await_room())
        elif self.schedule and self._codec.send_window > 0:
            self.ask()  # after others had theirs
        self._when_taken()

    def _give(self) -> None:
        codec, schedule, connection = self._codec, self.schedule, self._connection
        unwritten = written = 0
        while schedule and codec.send_window > 0 and connection.is_writable and written < TURN:
            stream_id = schedule.next()
            sender = self._senders[stream_id]
            outlet = sender.outlet
            most = QUANTUM if len(schedule) > FEW else LARGE_QUANTUM
            if outlet is None or (room := min(codec.room(outlet.stream), most)) <= 0:
                schedule.rest(stream_id)
                self._blocked.add(stream_id)
                continue
            try:
                piece = outlet.next_piece(room)
            except OSError as error:
                sender.broke(error)
                continue
            schedule.sent(stream_id, len(piece))
            has_more = outlet.has_data
            is_last = outlet.has_all and not has_more
            ends = is_last and outlet.trailer_block is None and outlet.reset is None
            self._out.append(codec.send_data(outlet.stream, piece, ends=ends))
            unwritten += len(piece)
            if not has_more:
                schedule.rest(stream_id)
            if is_last:
                self._end(outlet, is_said=ends)
            if unwritten >= BATCH:
                self.write_out()
                written += unwritten
                unwritten = 0

    def _end(self, outlet: Outlet, *, is_said: bool) -> None:
        """All the content of an outlet is out. `is_said`: its last frame has END_STREAM."""
        stream, codec = outlet.stream, self._codec
        if outlet.trailer_block is not None:
            self._out.append(codec.send_head(stream, outlet.trailer_block, ends=True))
        elif not is_said and outlet.reset is None:
            self._out.append(codec.send_data(stream, b"", ends=True))
        outlet.is_out = True
        self._senders[stream.stream_id].went_out()

    # --- writing ----------------------------------------------------------------------------------------------------------------------

    def write_out(self) -> None:
        """Write what was put out."""
        if not self._out or self._is_over:
            return
        octets = self._codec.take_outgoing()
        connection = self._connection
        if connection.is_writable:
            self._backlog = 0
        else:
            self._backlog += len(octets)
            if self._backlog > BACKLOG and not self._is_paused:
                # Heads and acknowledgements have no windows. Who takes none of them is listened to no more.
                self._is_paused = True
                connection.pause_reading()
        connection.write(octets)

    async def _await_room(self) -> None:
        try:
            await self._connection.drained()
        except ConnectionError:
            return
        finally:
            self._awaiting_room = None
        self._read_on()
        self.ask()

    def _read_on(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._connection.resume_reading()

    def stop(self) -> None:
        """Nothing is sent any more, and what comes is read, for it may be the end."""
        self._is_over = True
        self._read_on()
        if self._awaiting_room is not None:
            self._awaiting_room.cancel()
