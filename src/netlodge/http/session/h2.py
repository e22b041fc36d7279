"""One HTTP/2 connection, from the server's side: bytes in, handler calls, bytes out.

RFC 9113 §3.4 (beginning), §5.2 (windows), §5.4 (errors), §6.5.3 (settings in time), §6.8 (GOAWAY), §9.1 (persistence), §10.5 (what a client may cost);
RFC 7540 §3.2 (h2c); RFC 9218 §10 (who sends next). The codec knows frames and windows; each exchange is an `Http2Stream`, or an `Http2Tunnel` once
it was handed over; how they send stands in `h2_turns`. Here is what they share: what arrives, the deadlines and the end.

What is read at once is handled whole, then all that can be answered leaves in one write. An answer that is remembered never becomes an exchange,
unless it must wait.

The end of a connection has two steps, so that no request is lost (§6.8): `GOAWAY` with the largest number and a `PING`; when that comes back, or in
`GRACE_SECONDS`, `GOAWAY` with the number of the last request, and once that is answered, the end.
"""

from __future__ import annotations

import logging
from typing import Final

from netlodge.core.certificates import CoveredHosts
from netlodge.core.contracts import Connection
from netlodge.core.records import HttpRecord
from netlodge.http.message import HttpError
from netlodge.http.rules.priority import parse_priority
from netlodge.http.session.exchange import record_of
from netlodge.http.session.h2_answers import Http2Answer, frame_start
from netlodge.http.session.h2_push import Pushes
from netlodge.http.session.h2_stream import Http2Stream
from netlodge.http.session.h2_tunnel import Http2Tunnel
from netlodge.http.session.h2_turns import BATCH, QUANTUM, Turns
from netlodge.http.session.pace import Pace
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_events import (
    ConnectionFailed,
    DataReceived,
    GoawayReceived,
    Http2Event,
    MessageEnded,
    PingAcknowledged,
    Priority,
    PriorityUpdated,
    RequestReceived,
    RequestTooLarge,
    SettingsAcknowledged,
    SettingsReceived,
    Stream,
    StreamEnded,
    WindowOpened,
)
from netlodge.http.wire.h2_frames import (
    DATA,
    DEFAULT_FRAME,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_WINDOW,
    ErrorCode,
    Setting,
)
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role

logger = logging.getLogger("netlodge.http")

GRACE_PING: Final = b"goodbye?"
"""What goes out with the first GOAWAY of a graceful end: its acknowledgement says that the client has seen both."""
GRACE_SECONDS: Final = 1.0
"""How long it is waited for. "After allowing time for any in-flight stream creation (at least one round-trip time)" (§6.8)."""
LINGER_SECONDS: Final = 30.0
"""How long a client that takes what was sent, however slowly, is waited for after the end. Precedent: nginx `lingering_time`."""
NEVER: Final = 1 << 62


class Http2Session:
    """Implements `core.contracts.Session`."""

    __slots__ = (
        "_began", "_client_leaves", "_codec", "_find", "_goaway", "_has_heard", "_has_settings", "_is_ending", "_is_lost", "_is_retiring",
        "_out", "_pace", "_partial_since", "_rests_since", "_retires_at_once", "_since", "_spare", "_streams", "_unwritten", "at_work", "connection", "hosts", "pushes",
        "service", "turns",
    )  # fmt: skip

    def __init__(self, connection: Connection, service: HttpService, hosts: CoveredHosts | None = None) -> None:
        """`hosts` are those that the connection's certificate is for; None: requests for all may come."""
        now = service.clock.now
        self.connection = connection
        self.service = service
        self.hosts = hosts
        self.at_work = 0
        """Tasks that work on exchanges, those included whose stream has ended meanwhile."""
        self.pushes: Pushes | None = Pushes() if service.pushes else None
        self._codec = Http2Codec(Role.SERVER, service.http2, service.table_states)
        self._out = self._codec.outgoing
        self._find = service.recall_h2.find
        self._streams: dict[int, Http2Stream | Http2Tunnel] = {}
        self.turns = Turns(connection, self._codec, self._streams, service.loop, self._leave_if_done)
        self._spare = service.limits.requests_per_connection or NEVER
        """How many requests this connection is good for."""
        self._has_heard = False
        """True if something was read whole since the last sweep."""
        self._has_settings = False
        """True once our settings were acknowledged."""
        self._began = now
        self._rests_since = now
        self._partial_since: float | None = None
        self._pace = Pace(now)
        self._is_retiring = False
        self._retires_at_once = False
        self._client_leaves = False
        self._goaway = 0
        """How many GOAWAY frames were sent: of a graceful end there are two."""
        self._since = now
        """When the last of them was."""
        self._is_ending = False
        self._is_lost = False
        self._unwritten = 0
        """Octets of remembered answers since the last write."""
        if service.recall_h2.is_on:
            self._codec.answer_at_once = self._answer_at_once
        self._codec.begin()
        self.connection.write(self._codec.take_outgoing())

    def begin_upgraded(self, head: RequestHead, settings: bytes) -> None:
        """Answer the request that came over HTTP/1.1 and asked to go on like this, as stream 1; `settings` are those that came with it
        (RFC 7540 §3.2)."""
        if not self._codec.apply_upgrade_settings(settings):
            self._end(ErrorCode.PROTOCOL_ERROR, "The HTTP2-Settings are none.")
            return
        stream = self._codec.upgraded(head.method)
        self._begin(RequestReceived(stream, head, has_ended=True))
        self.turns.ask()

    # --- from the connection --------------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        if self._is_ending or self._is_lost:
            return
        codec, turns = self._codec, self.turns
        turns.is_held = True
        self._unwritten = 0
        try:
            codec.receive_data(data)
            while not self._is_ending and (event := codec.next_event()) is not None:
                if type(event) is RequestReceived:
                    self._begin(event)
                else:
                    self._handle(event)
        finally:
            turns.is_held = False
        turns.take()

    def receive_eof(self) -> None:
        # The client can say nothing more, not even that its windows are open: what cannot be sent now never can.
        if not self._is_ending:
            self._end(ErrorCode.NO_ERROR, "")
        self.connection.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        self._codec.answer_at_once = None
        self.turns.stop()
        self._lose_streams()

    def retire(self, *, at_once: bool) -> None:
        for stream in list(self._streams.values()):
            stream.retire(at_once=at_once)
        self._is_retiring = True
        self._retires_at_once = at_once
        if self._is_ending or self._is_lost:
            return
        if at_once and not self._streams:
            # What may be on its way is beyond the number that this GOAWAY names, so its client may safely ask again elsewhere.
            self._end(ErrorCode.NO_ERROR, "")
        else:
            self._leave()

    def sweep(self, now: float) -> None:
        self._codec.refill_credit()
        if self._is_ending:
            self._sweep_end(now)
            return
        self._sweep_streams(now)
        limits, connection = self.service.limits, self.connection
        if self._goaway == 1 and now - self._since >= GRACE_SECONDS:
            self._leave_finally()
        if not self._has_settings and 0 < limits.head_timeout <= now - self._began:
            self._time_out(ErrorCode.SETTINGS_TIMEOUT, "The settings were not acknowledged in time.")
        elif not connection.is_writable:
            if self._pace.is_stuck(now, (connection.progress, connection.unacknowledged()), limits.send_timeout):
                connection.abort()
        else:
            self._pace.moves()
            self._sweep_input(now)

    def _sweep_streams(self, now: float) -> None:
        partial_id, partial = self._codec.partial_data
        for stream_id, stream in list(self._streams.items()):
            stream.sweep(now, partial if stream_id == partial_id else 0)

    def _sweep_input(self, now: float) -> None:
        """A field block or a frame that does not come to its end, and a connection at rest. Content has its own floor."""
        limits, codec = self.service.limits, self._codec
        is_partial = codec.has_partial_block and not codec.partial_data[0]
        if not is_partial or self._has_heard:
            self._partial_since = None
        elif self._partial_since is None:
            self._partial_since = now
        elif 0 < limits.head_timeout <= now - self._partial_since:
            self._time_out(ErrorCode.ENHANCE_YOUR_CALM, "A frame did not come to its end in time.")
            return
        self._has_heard = False
        if self._streams:
            self._rests_since = now
        elif 0 < limits.idle_timeout <= now - self._rests_since:
            self._end(ErrorCode.NO_ERROR, "")

    # --- events ---------------------------------------------------------------------------------------------------------------------

    def _handle(self, event: Http2Event) -> None:
        self._has_heard = True
        if isinstance(event, MessageEnded):
            owner = self._streams.get(event.stream.stream_id)
            if owner is not None:
                owner.end_of_request(event.trailers)
        elif isinstance(event, DataReceived):
            owner = self._streams.get(event.stream.stream_id)
            if owner is not None:
                owner.take(event)
            else:
                self.drop(event.octets)
        elif isinstance(event, WindowOpened):
            if event.stream is not None:
                self.turns.unblock(event.stream)
        elif isinstance(event, StreamEnded):
            self._stream_ended(event)
        elif isinstance(event, RequestTooLarge):
            self._refuse(event.stream)
        elif isinstance(event, PriorityUpdated):
            self.turns.schedule.prioritize(event.stream_id, parse_priority(event.value), is_update=True)
        elif isinstance(event, Priority):
            self.turns.schedule.depend(event)
        elif isinstance(event, SettingsReceived):
            self._settings_came(event)
        elif isinstance(event, SettingsAcknowledged):
            self._has_settings = True
        elif isinstance(event, PingAcknowledged):
            if event.payload == GRACE_PING and self._goaway == 1:
                self._leave_finally()
        elif isinstance(event, GoawayReceived):
            self._client_leaves = True
        elif isinstance(event, ConnectionFailed):
            self._failed(event)

    def _begin(self, event: RequestReceived) -> None:
        service, stream, head = self.service, event.stream, event.head
        self._rests_since = service.clock.now
        self._has_heard = True
        self._spare -= 1
        if self._spare <= 0:
            self._leave()
        is_open = stream.stream_id in self._codec.streams
        is_ours = self._is_ours(head)
        if event.has_ended and is_open and is_ours:
            answer = self._find(head.raw)
            if answer is not None:
                self._answer_remembered(stream, head, answer)
                return
        known = service.requests.find(head.raw)
        record = record_of(service, head) if known is None else known.record.copy()
        if not is_open:
            # What came behind the request has reset its stream: there is nobody to work for.
            stream.owner = record
            self._note(record, "aborted")
            return
        if self.at_work >= service.http2.concurrent_streams:
            # Streams that were reset do not count as open, but who works for them does: RFC 9113 §10.5 (CVE-2023-44487).
            self._note(record, "refused")
            self.turns.put(self._codec.reset(stream, ErrorCode.REFUSED_STREAM))
            return
        exchange = Http2Stream(self, stream, head, record, protocol=event.protocol)
        self._add(exchange)
        exchange.begin(has_ended=event.has_ended, is_known=known is not None and is_ours)

    def _is_ours(self, head: RequestHead) -> bool:
        """True for a request that a remembered answer may be for; any other is judged when it is handled."""
        if head.scheme is not None and head.scheme != self.service.scheme:
            return False
        return self.hosts is None or self.hosts[head.host]

    def _answer_at_once(self, stream_id: int, head: RequestHead) -> bool:
        """Send an answer that is remembered before anything is made for its request (`h2_connection.AnswerAtOnce`)."""
        if self._spare <= 1 or not self.turns.is_free or not self._is_ours(head):
            return False
        answer = self._find(head.raw)
        if answer is None:
            return False
        octets = self._codec.send_at_once(stream_id, answer.start, answer.middle, answer.body)
        if octets is None:
            return False
        self._spare -= 1
        self._has_heard = True
        self._rests_since = self.service.clock.now
        self._put_remembered(octets, answer.record)
        return True

    def _put_remembered(self, octets: bytes, record: HttpRecord) -> None:
        """Send it with the others of this read; if they are many, not all in one: then it is seen whether the client takes them."""
        self._out.append(octets)
        self.service.journal((self.service.clock.wall, self.connection.peer, record))
        self._unwritten += len(octets)
        if self._unwritten >= BATCH:
            self._unwritten = 0
            self.turns.write_out()

    def _answer_remembered(self, stream: Stream, head: RequestHead, answer: Http2Answer) -> None:
        """At once, if the windows let it through and nobody waits before it."""
        record = answer.record
        if self.turns.is_free:
            octets = self._codec.send_remembered(stream, answer.start, answer.middle, answer.body)
            if octets is not None:
                self._put_remembered(octets, record)
                return
        again = record.alike(request_head=record.request_head, referer=record.referer, user_agent=record.user_agent)
        exchange = Http2Stream(self, stream, head, again)
        self._add(exchange)
        exchange.repeat(answer)

    def _refuse(self, stream: Stream) -> None:
        """Fields that are too large (§10.5.1)."""
        if stream.stream_id in self._codec.streams:
            record = HttpRecord(door=self.service.door, scheme=self.service.scheme, version="2")
            exchange = Http2Stream(self, stream, RequestHead("GET", "/", "2"), record)
            self._add(exchange)
            exchange.refuse(HttpError(431, "The fields of the request are too large.", setting="limits.head_size"))

    def _add(self, exchange: Http2Stream) -> None:
        stream_id = exchange.stream.stream_id
        exchange.stream.owner = exchange
        self._streams[stream_id] = exchange
        if "priority" in exchange.head.fields:
            priority = parse_priority(exchange.head.fields.get("priority") or "")
            self.turns.schedule.prioritize(stream_id, priority, is_update=False)

    def _stream_ended(self, event: StreamEnded) -> None:
        owner = self._streams.get(event.stream.stream_id)
        if event.is_ours:
            logger.debug("%s: a stream of %s was reset: %s", self.service.door, self.connection.peer, event.detail)
        if owner is not None:
            owner.lose()
        elif event.is_ours and event.stream.owner is None:
            # It never was a request (§8.1.1).
            self._note_failure(event.code, event.detail, "refused")

    def _settings_came(self, event: SettingsReceived) -> None:
        for key, value in event.settings:
            if key == Setting.INITIAL_WINDOW_SIZE:
                self.turns.unblock_all()
            elif key == Setting.NO_RFC7540_PRIORITIES and value:
                self.turns.schedule.heed_urgency()

    def _failed(self, event: ConnectionFailed) -> None:
        logger.debug("%s: %s: %s: %s", self.service.door, self.connection.peer, event.code.name, event.detail)
        self._note_failure(event.code, event.detail, "refused")
        self._close()

    def _note_failure(self, code: int, detail: str, outcome: str) -> None:
        """What came was no request: the note says what was wrong with it."""
        record = HttpRecord(door=self.service.door, scheme=self.service.scheme, version="2")
        name = ErrorCode(code).name
        record.request_head = f"{name}: {detail}\r\n".encode("latin-1", "replace")
        self._note(record, outcome)

    def _note(self, record: HttpRecord, outcome: str) -> None:
        record.outcome = outcome
        self.service.journal((self.service.clock.time(), self.connection.peer, record))

    def push(self, parent: Stream, head: RequestHead, block: bytes) -> None:
        """Promise a request that the client did not make, and have it answered (§8.4). Raises `SendError` where none may be promised."""
        if self._goaway or self._client_leaves:
            raise SendError("No streams are begun any more.")
        stream, octets = self._codec.promise(parent, head.method, block)
        self.turns.put(octets)
        exchange = Http2Stream(self, stream, head, record_of(self.service, head), is_pushed=True)
        self._add(exchange)
        self.service.loop.call_soon(self._begin_pushed, exchange)  # after the head that promised it, in no other's task

    def _begin_pushed(self, exchange: Http2Stream) -> None:
        if not exchange.is_over:
            exchange.begin(has_ended=True)

    # --- for the streams ------------------------------------------------------------------------------------------------------------

    def give_window(self, stream: Stream, octets: int) -> None:
        """Content was taken: the client may send as much again."""
        self._codec.consumed(stream, octets)
        if self._out:
            self.turns.ask()

    def drop(self, octets: int) -> None:
        """Content came that nobody will take: that is no reason to hold up other streams."""
        self._codec.give_back(octets)
        if self._out:
            self.turns.ask()

    def has_window(self, stream: Stream) -> bool:
        """True if the client lets the stream send."""
        return self._codec.room(stream) > 0

    def send_whole(self, exchange: Http2Stream, block: bytes, content: bytes) -> bool:
        """A head with all of its content, if it may leave at once without going before others. False if it may not: then nothing has happened."""
        codec, stream, size = self._codec, exchange.stream, len(content)
        if size and (size > QUANTUM or exchange.is_pushed or not self.turns.is_free):
            return False
        octets = None
        if len(block) <= DEFAULT_FRAME:
            # Mostly the request is all here: then both can be put together as if they were remembered.
            flags = END_HEADERS if size else END_HEADERS | END_STREAM
            start = frame_start(HEADERS, flags, len(block))
            middle = block + frame_start(DATA, END_STREAM, size) if size else block
            octets = codec.send_remembered(stream, start, middle, content)
        if octets is None:
            if size > codec.room(stream):
                return False
            octets = codec.send_head(stream, block, ends=not size)
            if size:
                octets += codec.send_data(stream, content, ends=True)
        self.turns.put(octets)
        return True

    def send_head(self, stream: Stream, block: bytes, *, ends: bool) -> None:
        """A head, interim or final."""
        if stream.stream_id in self._codec.streams:
            self.turns.put(self._codec.send_head(stream, block, ends=ends))

    def ended(self, stream: Stream, code: ErrorCode | None, *, was_queued: bool = True) -> None:
        """An exchange is over, on our side. `code` resets its stream, if it has not ended. `was_queued`: it may have had turns."""
        stream_id = stream.stream_id
        if code is not None and stream_id in self._codec.streams:
            self.turns.put(self._codec.reset(stream, code))
        self._streams.pop(stream_id, None)
        if was_queued:
            self.turns.forget(stream_id)
        if not self._streams and (self._is_retiring or self._goaway or self._client_leaves):
            self.turns.ask()  # it may have been the last

    def hand_over(self, stream: Stream, tunnel: Http2Tunnel) -> None:
        """A stream belongs to somebody else from here on."""
        stream.owner = tunnel
        self._streams[stream.stream_id] = tunnel

    def hand_on_retirement(self, tunnel: Http2Tunnel) -> None:
        """Tell a session that has just begun what the others were told before."""
        if self._is_retiring:
            tunnel.retire(at_once=self._retires_at_once)

    # --- the end --------------------------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """The first step of a graceful end."""
        if self._goaway or self._is_ending:
            return
        # "A server that is attempting to gracefully shut down a connection SHOULD send an initial GOAWAY frame with the last stream identifier set
        # to 2^31-1 and a NO_ERROR code." (§6.8)
        self._goaway = 1
        self._since = self.service.clock.now
        self.turns.put(self._codec.goaway(ErrorCode.NO_ERROR, last_stream_id=LARGEST_WINDOW))
        self.turns.put(self._codec.ping(GRACE_PING))

    def _leave_finally(self) -> None:
        """The second: what comes from now on is not looked at."""
        self._goaway = 2
        self._since = self.service.clock.now
        self.turns.put(self._codec.goaway(ErrorCode.NO_ERROR))

    def _leave_if_done(self) -> None:
        """Is this the end?"""
        if self._streams or self._is_ending or self._is_lost:
            return
        if self._goaway == 2:
            self._close()
        elif self._client_leaves or (self._is_retiring and self._retires_at_once):
            self._end(ErrorCode.NO_ERROR, "")

    def _time_out(self, code: ErrorCode, detail: str) -> None:
        """What had to come did not (`limits.head_timeout`)."""
        self._note_failure(code, detail, "timeout")
        self._end(code, detail)

    def _end(self, code: ErrorCode, detail: str) -> None:
        """Say that it is over, and why, and end the connection."""
        self._out.append(self._codec.goaway(code, debug=detail.encode("ascii")))
        self._close()

    def _close(self) -> None:
        """Half-close after what is to be sent, and wait a little for the client to do the same."""
        self._lose_streams()
        self.turns.write_out()
        self.turns.stop()
        self._is_ending = True
        self._since = self.service.clock.now
        self._pace.begin(self._since)
        self.connection.write_eof()

    def _lose_streams(self) -> None:
        for stream in list(self._streams.values()):
            stream.lose()

    def _sweep_end(self, now: float) -> None:
        """What was sent is still leaving, or the client does not end its side."""
        limits, connection = self.service.limits, self.connection
        waiting = connection.unacknowledged()
        limit = limits.send_timeout if waiting else limits.linger_timeout
        is_stuck = self._pace.is_stuck(now, (connection.progress, waiting), limit)
        if is_stuck or now - self._since >= LINGER_SECONDS + limit:
            connection.abort()
