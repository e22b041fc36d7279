"""One HTTP/2 connection, from the server's side: bytes in, handler calls, bytes out.

RFC 9113 §3.4, §5, §6.8 (GOAWAY), §9.1 (persistence), §10.5; RFC 9218 §10 (who sends next). The codec knows frames and windows; each exchange
is an `Http2Stream`; here is what they share: the connection, its order of sending, its deadlines and its end.

What is answered in one turn leaves in one write. An answer that is remembered never becomes a stream of its own here.
"""

from __future__ import annotations

import logging
from asyncio import Task
from typing import Final

from netlodge.core.contracts import Connection
from netlodge.core.records import HttpRecord
from netlodge.http.message import HttpError
from netlodge.http.rules.priority import parse_priority
from netlodge.http.session.exchange import record_of
from netlodge.http.session.h2_answers import Http2Answer
from netlodge.http.session.h2_schedule import Schedule
from netlodge.http.session.h2_stream import Http2Stream
from netlodge.http.session.pace import Pace
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_events import (
    ConnectionFailed,
    DataReceived,
    Http2Event,
    MessageEnded,
    PingAcknowledged,
    Priority,
    PriorityUpdated,
    RequestReceived,
    RequestTooLarge,
    SettingsAcknowledged,
    Stream,
    StreamEnded,
    WindowOpened,
)
from netlodge.http.wire.h2_frames import LARGEST_WINDOW, ErrorCode
from netlodge.http.wire.states import Role

logger = logging.getLogger("netlodge.http")

QUANTUM: Final = 16 * 1024
"""Octets that a stream sends in its turn, before another has its own."""
BATCH: Final = 256 * 1024
"""Octets put together before they are written."""
SETTINGS_TIMEOUT: Final = 10.0
"""Seconds in which the client acknowledges our settings (RFC 9113 §6.5.3)."""
GRACE_PING: Final = b"goodbye?"
"""What goes out with the first GOAWAY of a graceful end: its acknowledgement says that the client has seen both."""


class Http2Session:
    """Implements `core.contracts.Session`."""

    __slots__ = (
        "_blocked", "_codec", "_credit_at", "_goaway", "_has_settings", "_is_ending", "_is_flushing", "_is_lost", "_is_retiring", "_out", "_pace",
        "_pumping", "_ready", "_schedule", "_streams", "connection", "service", "unfinished",
    )  # fmt: skip

    def __init__(self, connection: Connection, service: HttpService) -> None:
        self.connection = connection
        self.service = service
        self._codec = Http2Codec(Role.SERVER, service.http2, service.table_states)
        self._out = self._codec.outgoing
        self._streams: dict[int, Http2Stream] = {}
        self.unfinished: set[int] = set()
        """Streams whose answer is not wholly out."""
        self._ready: dict[int, Http2Stream] = {}
        """Streams that have something to send and a window for it."""
        self._blocked: dict[int, Http2Stream] = {}
        """Streams that have something to send, and no window."""
        self._schedule = Schedule()
        self._is_flushing = False
        self._pumping: Task[None] | None = None
        self._pace = Pace(service.clock.now)
        self._has_settings = False
        self._is_retiring = False
        self._is_ending = False
        self._is_lost = False
        self._goaway = 0
        """How many GOAWAY frames were sent: of a graceful end there are two."""
        self._codec.begin()
        self.connection.write(self._codec.take_outgoing())

    def begin_upgraded(self, head: RequestHead, settings: bytes) -> None:
        """Answer the request that came over HTTP/1.1 and asked to go on like this, as stream 1; `settings` are those that came with it
        (RFC 7540 §3.2)."""
        if not self._codec.apply_upgrade_settings(settings):
            self._end(ErrorCode.PROTOCOL_ERROR, "The HTTP2-Settings are none.")
            return
        stream = self._codec.upgraded(head.method)
        self._handle(RequestReceived(stream, head, has_ended=True))
        self._pump()

    # --- from the connection ------------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        if self._is_ending:
            return
        codec = self._codec
        codec.receive_data(data)
        self._is_flushing = True  # what is answered in this turn waits for its end
        try:
            while (event := codec.next_event()) is not None:
                self._handle(event)
        finally:
            self._is_flushing = False
        self._pump()

    def receive_eof(self) -> None:
        # The client can say nothing more, not even that its windows are open: what cannot be sent now never can.
        if not self._is_ending:
            self._end(ErrorCode.NO_ERROR, "")
        self.connection.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        if self._pumping is not None:
            self._pumping.cancel()
        for stream in list(self._streams.values()):
            stream.lose()
        self._streams.clear()

    def retire(self, *, at_once: bool) -> None:
        if self._is_retiring:
            return
        self._is_retiring = True
        # §6.8: first "a GOAWAY frame with the last stream identifier set to 2^31-1 and a NO_ERROR code", so that no request in flight is lost.
        self._goaway = 1
        self._write(self._codec.goaway(ErrorCode.NO_ERROR, last_stream_id=LARGEST_WINDOW))
        self._write(self._codec.ping(GRACE_PING))
        self._pace.begin(self.service.clock.now)

    def sweep(self, now: float) -> None:
        limits, pace, codec = self.service.limits, self._pace, self._codec
        codec.refill_credit()
        if self._is_ending:
            if pace.is_over(now, limits.linger_timeout):
                self.connection.abort()
            return
        if self._goaway == 1 and pace.is_over(now, 1.0):
            self._second_goaway()
        for stream in list(self._streams.values()):
            stream.is_slow(now)
        if not self._has_settings and pace.is_over(now, min(limits.head_timeout, SETTINGS_TIMEOUT)):
            self._end(ErrorCode.SETTINGS_TIMEOUT, "The settings were not acknowledged in time.")
        elif self._blocked or not self.connection.is_writable:
            moved = (
                self.connection.progress + sum(s.moved for s in self._streams.values()),
                self.connection.unacknowledged(),
            )
            if pace.is_stuck(now, moved, limits.send_timeout):
                self.connection.abort()
        elif self._streams or codec.has_partial_block:
            pace.moves()
            if not codec.has_partial_block:
                pace.begin(now)
            elif pace.is_over(now, limits.head_timeout):
                self._end(ErrorCode.ENHANCE_YOUR_CALM, "A field block did not come in time.")
        elif pace.is_over(now, limits.idle_timeout):
            self._end(ErrorCode.NO_ERROR, "")

    # --- events -----------------------------------------------------------------------------------------------------------------------

    def _handle(self, event: Http2Event) -> None:
        kind = type(event)
        if kind is RequestReceived:
            self._begin(event)  # type: ignore[arg-type]
        elif isinstance(event, DataReceived):
            owner = event.stream.owner
            if isinstance(owner, Http2Stream):
                owner.take(event)
            else:
                self.give_window(event.stream, event.octets)
        elif isinstance(event, MessageEnded):
            if isinstance(event.stream.owner, Http2Stream):
                event.stream.owner.end_of_request(event.trailers)
        elif isinstance(event, WindowOpened):
            self._unblock(event.stream)
        elif isinstance(event, StreamEnded):
            self._stream_ended(event)
        elif isinstance(event, RequestTooLarge):
            self._refuse(event.stream)
        elif isinstance(event, PriorityUpdated):
            self._schedule.prioritize(event.stream_id, parse_priority(event.value))
        elif isinstance(event, Priority):
            self._schedule.depend(event)
        elif isinstance(event, SettingsAcknowledged):
            self._has_settings = True
            self._pace.begin(self.service.clock.now)
        elif isinstance(event, PingAcknowledged):
            if event.payload == GRACE_PING and self._goaway == 1:
                self._second_goaway()
        elif isinstance(event, ConnectionFailed):
            self._failed(event)

    def _begin(self, event: RequestReceived) -> None:
        service, stream, head = self.service, event.stream, event.head
        self._pace.begin(service.clock.now)
        if event.has_ended:
            answer = service.recall_h2.find(head.raw)
            if answer is not None and self._answer_remembered(stream, answer):
                return
        known = service.requests.find(head.raw)
        if known is not None:
            record = known.record.copy()
        else:
            record = record_of(service, head)
            service.requests.note(head, record.copy())
        exchange = Http2Stream(self, stream, head, record)
        stream.owner = exchange
        self._streams[stream.stream_id] = exchange
        self.unfinished.add(stream.stream_id)
        if "priority" in head.fields:
            self._schedule.prioritize(stream.stream_id, parse_priority(head.fields.get("priority") or ""))
        exchange.begin(has_ended=event.has_ended)

    def _answer_remembered(self, stream: Stream, answer: Http2Answer) -> bool:
        """Send an answer that is remembered, if the windows let it through and nobody waits before it."""
        octets = self._codec.send_remembered(stream, answer.start, answer.middle, answer.body)
        if octets is None:
            return False
        self._out.append(octets)
        self.service.journal((self.service.clock.wall, self.connection.peer, answer.record))
        return True

    def _refuse(self, stream: Stream) -> None:
        """Fields that are too large (§10.5.1)."""
        head = RequestHead("GET", "/", "2")
        error = HttpError(431, "The fields of the request are too large.", setting="limits.head_size")
        record = HttpRecord(door=self.service.door, scheme=self.service.scheme)
        exchange = Http2Stream(self, stream, head, record)
        stream.owner = exchange
        self._streams[stream.stream_id] = exchange
        self.unfinished.add(stream.stream_id)
        exchange.refuse(error)

    def _stream_ended(self, event: StreamEnded) -> None:
        owner = event.stream.owner
        if event.is_ours:
            logger.debug("%s: a stream of %s was reset: %s", self.service.door, self.connection.peer, event.detail)
        if isinstance(owner, Http2Stream):
            owner.lose()
            self._forget(owner)

    def _failed(self, event: ConnectionFailed) -> None:
        logger.debug("%s: %s: %s: %s", self.service.door, self.connection.peer, event.code.name, event.detail)
        record = HttpRecord(door=self.service.door, scheme=self.service.scheme, version="2", outcome="refused")
        record.request_head = f"{event.code.name}: {event.detail}\r\n".encode("latin-1", "replace")
        self.service.journal((self.service.clock.time(), self.connection.peer, record))
        self._close()

    # --- for the streams ----------------------------------------------------------------------------------------------------------

    def give_window(self, stream: Stream, octets: int) -> None:
        """Content was taken: the client may send as much again."""
        self._codec.consumed(stream, octets)
        if not self._is_flushing and not self._is_lost:
            self._write_out()

    def may_send(self, stream: Stream, octets: int) -> bool:
        """True if an answer of so many octets may leave at once, whole, without going before others."""
        return octets <= QUANTUM and not self._ready and self._codec.room(stream) >= octets and not self._is_lost

    def send_whole(self, stream: Stream, block: bytes, body: bytes) -> None:
        """Head and content in one."""
        codec = self._codec
        self._out.append(codec.send_head(stream, block, ends=not body))
        if body:
            self._out.append(codec.send_data(stream, body, ends=True))
        self.unfinished.discard(stream.stream_id)
        self._flush()

    def send_head(self, stream: Stream, block: bytes, *, ends: bool) -> None:
        """A head, interim or final."""
        if stream.stream_id in self._codec.streams:
            self._write(self._codec.send_head(stream, block, ends=ends))
            if ends:
                self.unfinished.discard(stream.stream_id)

    def wants_to_send(self, exchange: Http2Stream) -> None:
        """A stream has something to send, or its end."""
        self._ready[exchange.stream.stream_id] = exchange
        self._pump()

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End a stream before its end."""
        self._write(self._codec.reset(stream, code))

    def ended(self, exchange: Http2Stream) -> None:
        """An exchange is over, on our side."""
        stream = exchange.stream
        if stream.stream_id in self._codec.streams and stream.stream_id not in self.unfinished:
            # "a server MAY request that the client abort transmission of a request without error by sending a RST_STREAM with an error code of
            # NO_ERROR after sending a complete response" (§8.1)
            self._write(self._codec.reset(stream, ErrorCode.NO_ERROR))
        self._forget(exchange)

    def _forget(self, exchange: Http2Stream) -> None:
        stream_id = exchange.stream.stream_id
        self._streams.pop(stream_id, None)
        self._ready.pop(stream_id, None)
        self._blocked.pop(stream_id, None)
        self.unfinished.discard(stream_id)
        self._schedule.forget(stream_id)
        if self._goaway == 2 and not self._streams and not self._is_flushing:
            self._close()

    # --- sending -------------------------------------------------------------------------------------------------------------------------

    def _unblock(self, stream: Stream | None) -> None:
        if stream is None:
            self._ready.update(self._blocked)
            self._blocked.clear()
        elif stream.stream_id in self._blocked:
            self._ready[stream.stream_id] = self._blocked.pop(stream.stream_id)

    def _pump(self) -> None:
        """Let those send whose turn it is, as far as the windows and the connection allow."""
        if self._is_flushing or self._is_lost:
            return
        if self._ready:
            self._is_flushing = True
            try:
                self._take_turns()
            finally:
                self._is_flushing = False
        self._flush()
        if self._ready and self._pumping is None and not self.connection.is_writable:
            self._pumping = self.service.loop.create_task(self._pump_when_drained())
        if self._goaway == 2 and not self._streams and not self._is_ending:
            self._close()

    def _take_turns(self) -> None:
        codec, ready, schedule = self._codec, self._ready, self._schedule
        octets = 0
        while ready and self.connection.is_writable:
            stream_id = next(iter(ready)) if len(ready) == 1 else schedule.next(ready)
            exchange = ready[stream_id]
            room = codec.room(exchange.stream)
            if not room and exchange.queued:
                self._blocked[stream_id] = ready.pop(stream_id)
                continue
            piece, is_last = exchange.next_piece(min(room, QUANTUM))
            if piece or is_last:
                self._out.append(codec.send_data(exchange.stream, piece, ends=is_last))
                octets += len(piece)
                schedule.sent(stream_id, len(piece))
            if not is_last and (block := exchange.trailer_block()) is not None:
                self._out.append(codec.send_head(exchange.stream, block, ends=True))
                is_last = True
            if is_last:
                ready.pop(stream_id, None)
                self.unfinished.discard(stream_id)
                exchange.finished()
            elif not exchange.queued:
                ready.pop(stream_id, None)
            if octets >= BATCH:
                self._write_out()
                octets = 0

    async def _pump_when_drained(self) -> None:
        try:
            await self.connection.drained()
        except ConnectionError:
            return
        finally:
            self._pumping = None
        self._pump()

    def _write(self, octets: bytes) -> None:
        if octets:
            self._out.append(octets)
            self._flush()

    def _flush(self) -> None:
        if not self._is_flushing:
            self._write_out()

    def _write_out(self) -> None:
        if self._out and not self._is_lost:
            self.connection.write(self._codec.take_outgoing())

    # --- the end -----------------------------------------------------------------------------------------------------------------------

    def _second_goaway(self) -> None:
        self._goaway = 2
        self._write(self._codec.goaway(ErrorCode.NO_ERROR))
        if not self._streams and not self._is_flushing:
            self._close()

    def _end(self, code: ErrorCode, detail: str) -> None:
        """Say that it is over, and why, and end the connection."""
        self._write(self._codec.goaway(code, debug=detail.encode("ascii")))
        self._close()

    def _close(self) -> None:
        """Half-close after what is to be sent, and wait a little for the client to do the same."""
        self._write_out()
        self._is_ending = True
        self._pace.begin(self.service.clock.now)
        for stream in list(self._streams.values()):
            stream.lose()
        self._streams.clear()
        self.connection.write_eof()
