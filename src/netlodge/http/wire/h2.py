"""The HTTP/2 codec without I/O, for both roles: octets in, events out; what is to be said, octets out.

RFC 9113 §3.4 (preface), §4 (frames), §5 (streams, flow control, errors), §6 (each frame), §8 (messages); RFC 9218 §7.1, RFC 8441 §3; RFC 7540
§3.2 (Upgrade). Which step of a stream may follow which stands in `h2_states`, what makes a message in `h2_fields`, how fields are
compressed in `hpack`. What arrives, `h2_receiving` and `h2_messages` read; here is what leaves.

A peer's misbehaviour costs credit (`h2_credit`), and without credit the connection ends with ENHANCE_YOUR_CALM (§10.5).
"""

from __future__ import annotations

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_connection import Http2Connection
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import ConnectionFailed, Http2Event, Stream
from netlodge.http.wire.h2_frames import (
    DEFAULT_WINDOW,
    END_HEADERS,
    LARGEST_WINDOW,
    PREFACE,
    ErrorCode,
    Http2Error,
    Setting,
)
from netlodge.http.wire.h2_receiving import FrameReceiver
from netlodge.http.wire.h2_states import CLOSED, REMOTE_DONE, RESERVED_LOCAL, TRANSITIONS, StreamStep
from netlodge.http.wire.hpack import DEFAULT_TABLE, Field, TableStates
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role


class Http2Codec(Http2Connection):
    """One end of one connection: `receive_data` and `next_event` for what arrives, `send_...` for what leaves."""

    def __init__(self, role: Role, limits: Http2Limits, states: TableStates) -> None:
        super().__init__(role, limits)
        self._receiver = FrameReceiver(self, states)
        self._table_limit = states.limit
        self._buffer = b""
        self._has_failed = False

    def begin(self) -> None:
        """Say what a connection begins with (§3.4): our settings, after the preface if we are the client."""
        limits = self.limits
        settings = [
            (Setting.MAX_HEADER_LIST_SIZE, limits.header_list_size),
            (Setting.INITIAL_WINDOW_SIZE, limits.stream_window),
            (Setting.MAX_FRAME_SIZE, limits.frame_size),
        ]
        if self.role is Role.SERVER:
            settings += [
                (Setting.MAX_CONCURRENT_STREAMS, limits.concurrent_streams),
                (Setting.ENABLE_CONNECT_PROTOCOL, 1),
            ]
        else:
            settings.append((Setting.ENABLE_PUSH, 1 if limits.takes_pushes else 0))
            if limits.takes_pushes:
                settings.append((Setting.MAX_CONCURRENT_STREAMS, limits.concurrent_streams))
            self.outgoing.append(PREFACE)
        if self._table_limit != DEFAULT_TABLE:
            settings.append((Setting.HEADER_TABLE_SIZE, self._table_limit))
        self.outgoing.append(frames.settings_frame(settings))
        self.unacknowledged += 1
        if limits.connection_window > DEFAULT_WINDOW:
            self.outgoing.append(frames.window_update_frame(0, limits.connection_window - DEFAULT_WINDOW))
            self.receive_window = limits.connection_window

    def take_outgoing(self) -> bytes:
        """What is to be sent now, once."""
        octets = b"".join(self.outgoing)
        self.outgoing.clear()
        return octets

    @property
    def has_partial_block(self) -> bool:
        """True while a field block has begun and not ended, or a frame has."""
        return bool(self._buffer) or self._receiver.has_partial_block

    @property
    def partial_data(self) -> tuple[int, int]:
        """Of a DATA frame that has begun and not ended: its stream, and how many octets of its payload are here. (0, 0) if none has."""
        buffer = self._buffer
        if len(buffer) < frames.HEADER or buffer[3] != frames.DATA:
            return 0, 0
        return int.from_bytes(buffer[5:9], "big") & LARGEST_WINDOW, len(buffer) - frames.HEADER

    def refill_credit(self) -> None:
        """To be called about once a second: what a peer may do in a second, it may do again. Not while it takes nothing of what was written:
        so what waits for it, an acknowledgement for each of its frames, is bounded by one second's credit."""
        self.credit.refill()

    def upgraded(self, head_method: str) -> Stream:
        """Stream 1, half-closed by the client: the request that asked for `Upgrade: h2c` (RFC 7540 §3.2)."""
        self.use_peer_id(1)
        stream = self.new_stream(1)
        stream.method = head_method
        stream.state = TRANSITIONS[TRANSITIONS[stream.state, StreamStep.RECEIVE_HEADERS], StreamStep.RECEIVE_END]
        stream.has_head = True
        return stream

    def apply_upgrade_settings(self, payload: bytes) -> bool:
        """The settings of an HTTP2-Settings field (RFC 7540 §3.2.1), which are not acknowledged. False if they are none."""
        if len(payload) % 6:
            return False
        try:
            for key, value in frames.parse_settings(payload):
                self.apply_setting(key, value)
        except Http2Error:
            return False
        return True

    # --- receiving ----------------------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take octets as they arrive, in any segmentation. After a failure they are ignored."""
        if self._has_failed:
            return
        buffer = self._buffer + data if self._buffer else data
        try:
            self._buffer = buffer[self._receiver.read_frames(buffer) :]
        except Http2Error as error:
            self._has_failed = True
            self._buffer = b""
            debug = error.detail.encode("ascii", "replace")
            self.outgoing.append(frames.goaway_frame(self.last_stream_id, error.code, debug))
            self.events.append(ConnectionFailed(error.code, error.detail))

    def next_event(self) -> Http2Event | None:
        """The next event, or None: more must come first."""
        return self.events.popleft() if self.events else None

    # --- sending ----------------------------------------------------------------------------------------------------------------------

    def _take_step(self, stream: Stream, step: StreamStep) -> None:
        after = TRANSITIONS.get((stream.state, step))
        if after is None:
            raise SendError(f"{step.name} on a stream that is {stream.state.name}.")
        stream.state = after
        if after is CLOSED:
            self.close_stream(stream)

    def room(self, stream: Stream) -> int:
        """Octets of content that may be sent on the stream now."""
        return max(0, min(stream.send_window, self.send_window))

    def send_head(self, stream: Stream, block: bytes, *, ends: bool) -> bytes:
        """A head or a trailer section, as `hpack.encode_stateless` wrote it. Raises `SendError`."""
        if stream.state is RESERVED_LOCAL and self._active() >= self.peer_settings[Setting.MAX_CONCURRENT_STREAMS]:
            raise SendError("The peer takes no more streams at once.")
        self._take_step(stream, StreamStep.SEND_HEADERS)
        block = self._updated(block)
        octets = frames.header_frames(stream.stream_id, block, self.peer_settings[Setting.MAX_FRAME_SIZE], ends=ends)
        if ends:
            self._take_step(stream, StreamStep.SEND_END)
        return octets

    def send_data(self, stream: Stream, data: bytes, *, ends: bool) -> bytes:
        """Content, at most `room`; none if that is all and it does not end. Raises `SendError`."""
        if len(data) > self.room(stream):
            raise SendError("More content than the windows allow.")
        self._take_step(stream, StreamStep.SEND_DATA)
        stream.send_window -= len(data)
        self.send_window -= len(data)
        octets = frames.data_frames(stream.stream_id, data, self.peer_settings[Setting.MAX_FRAME_SIZE], ends=ends)
        if ends:
            self._take_step(stream, StreamStep.SEND_END)
        return octets

    def send_remembered(self, stream: Stream, start: bytes, middle: bytes, body: bytes) -> bytes | None:
        """A whole answer that was framed before, but for the number of the stream: `start`, the number, `middle`, and if there is a `body` the
        number again and the body. None if it must go the long way: then nothing has happened."""
        size = len(body)
        if stream.state is not REMOTE_DONE or self.table_update or size > self.send_window or size > stream.send_window:
            return None
        self.send_window -= size
        self.close_stream(stream)
        number = stream.stream_id.to_bytes(4, "big")
        return b"".join((start, number, middle, number, body) if body else (start, number, middle))

    def send_at_once(self, stream_id: int, start: bytes, middle: bytes, body: bytes) -> bytes | None:
        """The same on a stream that nobody has made yet, nor will (`h2_connection.AnswerAtOnce`)."""
        size = len(body)
        if self.table_update or size > self.send_window or size > self.peer_settings[Setting.INITIAL_WINDOW_SIZE]:
            return None
        self.send_window -= size
        number = stream_id.to_bytes(4, "big")
        return b"".join((start, number, middle, number, body) if body else (start, number, middle))

    def reset(self, stream: Stream, code: ErrorCode) -> bytes:
        """End a stream before its end (§6.4); nothing if it has ended."""
        if stream.stream_id not in self.streams:
            return b""
        self._take_step(stream, StreamStep.SEND_RESET)
        self.remember_reset(stream.stream_id)
        return frames.reset_frame(stream.stream_id, code)

    def goaway(self, code: ErrorCode, *, last_stream_id: int | None = None, debug: bytes = b"") -> bytes:
        """§6.8. Without `last_stream_id` the streams that were begun are the last, and those after them are ignored from now on; with
        2^31-1 it is only a warning."""
        last = self.last_stream_id if last_stream_id is None else last_stream_id
        if self.goaway_id is not None:
            last = min(last, self.goaway_id)
        if last != LARGEST_WINDOW:
            self.goaway_id = last
        return frames.goaway_frame(last, code, debug)

    def ping(self, payload: bytes) -> bytes:
        """§6.7. Raises `SendError` unless the payload has eight octets."""
        if len(payload) != 8:
            raise SendError("PING has eight octets.")
        return frames.ping_frame(payload, is_ack=False)

    def _active(self) -> int:
        """How many streams count "toward the maximum number of streams that an endpoint is permitted to open" (§5.1.2)."""
        return sum(
            not self.is_theirs(stream.stream_id) and stream.state is not RESERVED_LOCAL
            for stream in self.streams.values()
        )

    def _may_begin(self, stream_id: int) -> bool:
        """Whether we may open or promise this stream: "Receivers of a GOAWAY frame MUST NOT open additional streams on the connection" (§6.8),
        and "Endpoints MUST NOT exceed the limit set by their peer." (§5.1.2) What is promised and not begun counts here, for it shall be."""
        own = len(self.streams) - self.theirs
        return (
            not self.has_goaway
            and stream_id <= LARGEST_WINDOW
            and own < self.peer_settings[Setting.MAX_CONCURRENT_STREAMS]
        )

    @property
    def may_open(self) -> bool:
        """For a client: whether a request may be sent now. If not, there are too many, or this connection takes no more."""
        return self.role is Role.CLIENT and self._may_begin(self._next_id)

    @property
    def _next_id(self) -> int:
        return self.last_own_id + 2 if self.last_own_id else (1 if self.role is Role.CLIENT else 2)

    def open(self, fields: list[Field], block: bytes, *, ends: bool) -> tuple[Stream, bytes]:
        """A client's request on a new stream. Raises `SendError` unless it `may_open` one."""
        if not self.may_open:
            raise SendError("No stream can be opened.")
        self.last_own_id = stream_id = self._next_id
        stream = self.new_stream(stream_id)
        stream.method = dict(fields).get(":method", "")
        return stream, self.send_head(stream, block, ends=ends)

    def promise(self, stream: Stream, method: str, block: bytes) -> tuple[Stream, bytes]:
        """A server's PUSH_PROMISE (§6.6, §8.4) in one frame. Raises `SendError` where none may be."""
        promised_id = self._next_id
        is_possible = (
            self.role is Role.SERVER
            and self.peer_settings[Setting.ENABLE_PUSH]
            and self._may_begin(promised_id)
            # "PUSH_PROMISE frames MUST only be sent on a peer-initiated stream" (§6.6)
            and self.is_theirs(stream.stream_id)
            and 4 + len(self.table_update) + len(block) <= self.peer_settings[Setting.MAX_FRAME_SIZE]
        )
        if not is_possible:
            raise SendError("Nothing can be promised here.")
        self._take_step(stream, StreamStep.SEND_PROMISE)
        self.last_own_id = promised_id
        promised = self.new_stream(promised_id)
        promised.method = method
        self._take_step(promised, StreamStep.SEND_PROMISE)
        payload = promised_id.to_bytes(4, "big") + self._updated(block)
        return promised, frames.frame(frames.PUSH_PROMISE, END_HEADERS, stream.stream_id, payload)

    def _updated(self, block: bytes) -> bytes:
        """A block with the change of the table's size that must come before it (RFC 7541 §4.2)."""
        update, self.table_update = self.table_update, b""
        return update + block if update else block
