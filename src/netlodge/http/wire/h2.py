"""The HTTP/2 codec without I/O, for both roles: octets in, events out; what is to be said, octets out.

RFC 9113 §3.4 (preface), §4 (frames), §5 (streams, flow control, errors), §6 (each frame), §8 (messages); RFC 9218 §7.1, RFC 8441 §3. Which
step of a stream may follow which stands in `h2_states`, what makes a message in `h2_fields`, how fields are compressed in `hpack`.

A client's misbehaviour costs credit (`h2_credit`), and without credit the connection ends with ENHANCE_YOUR_CALM (§10.5).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.framing import is_bodiless
from netlodge.http.wire.h2_credit import Credit, Http2Limits
from netlodge.http.wire.h2_events import (
    ConnectionFailed,
    DataReceived,
    GoawayReceived,
    Http2Event,
    MessageEnded,
    PingAcknowledged,
    Priority,
    PriorityUpdated,
    PromiseReceived,
    RequestReceived,
    RequestTooLarge,
    ResponseReceived,
    SettingsAcknowledged,
    SettingsReceived,
    Stream,
    StreamEnded,
    WindowOpened,
)
from netlodge.http.wire.h2_fields import MalformedError, request_head, response_head, trailers
from netlodge.http.wire.h2_frames import (
    ACK,
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADER,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    PREFACE,
    WITH_PRIORITY,
    ErrorCode,
    Http2Error,
    Setting,
    StreamError,
    without_padding,
)
from netlodge.http.wire.h2_states import CLOSED, MISTAKES, REMOTE_DONE, RESERVED_REMOTE, TRANSITIONS, StreamStep
from netlodge.http.wire.hpack import Decoded, Field, HpackDecoder, HpackError, TableStates
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role

RESET_MEMORY: Final = 1000
"""Streams that we reset and still know of: what their peer had sent before it knew is no mistake (§5.1)."""
_PROTOCOL: Final = ErrorCode.PROTOCOL_ERROR


class Http2Codec:
    """One end of one connection. What is to be sent without being asked for (acknowledgements, resets, windows) gathers in `outgoing`."""

    def __init__(self, role: Role, limits: Http2Limits, states: TableStates) -> None:
        self._role = role
        self._limits = limits
        self._decoder = HpackDecoder(states)
        self._credit = Credit(limits)
        self._buffer = b""
        self._events: deque[Http2Event] = deque()
        self.outgoing: list[bytes] = []
        """What is to be sent, in order. Whoever sends puts what `send...` returned here, too: an acknowledgement of settings must not come after
        what they allowed."""
        self._is_open = role is Role.CLIENT
        """True once the client's preface was read."""
        self._has_settings = False
        self._has_failed = False
        self._block: tuple[int, int, Priority | None, list[bytes]] | None = None
        """A field block of which more is to come: stream, flags of its HEADERS, and its pieces. For PUSH_PROMISE the promised one is first."""
        self._promised = 0
        self._block_octets = 0
        self._resets: OrderedDict[int, None] = OrderedDict()
        self._table_update = b""
        self.streams: dict[int, Stream] = {}
        """Those that are neither idle nor closed."""
        self.theirs = 0
        """How many of them the peer has opened."""
        self.last_peer_id = 0
        self.last_own_id = 0
        self.goaway_id: int | None = None
        """The last of the peer's streams that we will look at, once we have said so."""
        self.send_window = DEFAULT_WINDOW
        self.receive_window = DEFAULT_WINDOW
        self._consumed = 0
        self.peer_settings: dict[int, int] = {
            Setting.HEADER_TABLE_SIZE: 4096,
            Setting.ENABLE_PUSH: 1,
            Setting.MAX_CONCURRENT_STREAMS: LARGEST_WINDOW,
            Setting.INITIAL_WINDOW_SIZE: DEFAULT_WINDOW,
            Setting.MAX_FRAME_SIZE: DEFAULT_FRAME,
            Setting.MAX_HEADER_LIST_SIZE: LARGEST_WINDOW,
            Setting.ENABLE_CONNECT_PROTOCOL: 0,
            Setting.NO_RFC7540_PRIORITIES: 0,
        }
        self._receivers = {
            frames.DATA: self._receive_data,
            frames.HEADERS: self._receive_headers,
            frames.PRIORITY: self._receive_priority,
            frames.RST_STREAM: self._receive_reset,
            frames.SETTINGS: self._receive_settings,
            frames.PUSH_PROMISE: self._receive_promise,
            frames.PING: self._receive_ping,
            frames.GOAWAY: self._receive_goaway,
            frames.WINDOW_UPDATE: self._receive_window,
            frames.CONTINUATION: self._receive_stray_continuation,
            frames.PRIORITY_UPDATE: self._receive_priority_update,
        }

    # --- the connection ---------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say what a connection begins with (§3.4): our settings, after the preface if we are the client."""
        limits = self._limits
        settings = [
            (Setting.MAX_HEADER_LIST_SIZE, limits.header_list_size),
            (Setting.INITIAL_WINDOW_SIZE, limits.stream_window),
            (Setting.MAX_FRAME_SIZE, limits.frame_size),
        ]
        if self._role is Role.SERVER:
            settings += [
                (Setting.MAX_CONCURRENT_STREAMS, limits.concurrent_streams),
                (Setting.ENABLE_CONNECT_PROTOCOL, 1),
            ]
        else:
            settings.append((Setting.ENABLE_PUSH, 1 if limits.takes_pushes else 0))
            self.outgoing.append(PREFACE)
        self.outgoing.append(frames.settings_frame(settings))
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
        return self._block is not None or bool(self._buffer)

    def refill_credit(self) -> None:
        """To be called about once a second: what a client may do in a second, it may do again."""
        self._credit.refill()

    def upgraded(self, head_method: str) -> Stream:
        """Stream 1, half-closed by the client: the request that asked for `Upgrade: h2c` (RFC 7540 §3.2)."""
        self.last_peer_id = 1
        stream = self._new_stream(1)
        stream.method = head_method
        stream.state = TRANSITIONS[TRANSITIONS[stream.state, StreamStep.RECEIVE_HEADERS], StreamStep.RECEIVE_END]
        stream.has_head = True
        return stream

    # --- receiving ----------------------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take octets as they arrive, in any segmentation. After a failure they are ignored."""
        if self._has_failed:
            return
        buffer = self._buffer + data if self._buffer else data
        try:
            self._buffer = buffer[self._read_frames(buffer) :]
        except Http2Error as error:
            self._fail(error)

    def next_event(self) -> Http2Event | None:
        """The next event, or None: more must come first."""
        return self._events.popleft() if self._events else None

    def _fail(self, error: Http2Error) -> None:
        self._has_failed = True
        self._buffer = b""
        self.outgoing.append(
            frames.goaway_frame(self.last_peer_id, error.code, error.detail.encode("ascii", "replace"))
        )
        self._events.append(ConnectionFailed(error.code, error.detail))

    def _read_frames(self, buffer: bytes) -> int:
        """Read every whole frame; return how many octets they were."""
        place = 0
        if not self._is_open:
            if not PREFACE.startswith(buffer[: len(PREFACE)]):
                raise Http2Error(_PROTOCOL, "The connection does not begin with the preface of HTTP/2.")
            if len(buffer) < len(PREFACE):
                return 0
            self._is_open = True
            place = len(PREFACE)
        largest = self._limits.frame_size
        while len(buffer) - place >= HEADER:
            length = buffer[place] << 16 | buffer[place + 1] << 8 | buffer[place + 2]
            if length > largest:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, f"A frame has {length} octets; {largest} are allowed.")
            start = place + HEADER
            end = start + length
            if end > len(buffer):
                break
            kind, flags = buffer[place + 3], buffer[place + 4]
            stream_id = int.from_bytes(buffer[place + 5 : start], "big") & LARGEST_WINDOW
            place = end
            self._receive_frame(kind, flags, stream_id, buffer[start:end])
        return place

    def _receive_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._has_settings:
            # "This sequence MUST be followed by a SETTINGS frame" (§3.4)
            if kind != frames.SETTINGS or flags & ACK:
                raise Http2Error(_PROTOCOL, "The first frame is no SETTINGS.")
            self._has_settings = True
        if self._block is not None:
            # "A receiver MUST treat the receipt of any other type of frame or a frame on a different stream as a connection error" (§6.2)
            if kind != frames.CONTINUATION or stream_id != self._block[0]:
                raise Http2Error(_PROTOCOL, "A field block is interrupted by another frame.")
            self._receive_continuation(flags, payload)
            return
        receive = self._receivers.get(kind)
        if receive is None:
            # "Implementations MUST ignore and discard frames of unknown types." (§4.1)
            self._credit.spend(1, "frames of unknown types")
            return
        try:
            receive(flags, stream_id, payload)
        except StreamError as error:
            self._end_stream_for(error)

    def _end_stream_for(self, error: StreamError) -> None:
        """A stream error (§5.4.2): reset the stream, and go on."""
        self._credit.spend_reset("streams that had to be reset")
        self.outgoing.append(frames.reset_frame(error.stream_id, error.code))
        stream = self.streams.get(error.stream_id)
        self._remember_reset(error.stream_id)
        if stream is not None:
            self._close(stream)
            if stream.has_head or stream.owner is not None:
                self._events.append(StreamEnded(stream, error.code, is_ours=True, detail=error.detail))

    def _remember_reset(self, stream_id: int) -> None:
        self._resets[stream_id] = None
        if len(self._resets) > RESET_MEMORY:
            self._resets.popitem(last=False)

    def _close(self, stream: Stream) -> None:
        stream.state = CLOSED
        if self.streams.pop(stream.stream_id, None) is not None and self._is_theirs(stream.stream_id):
            self.theirs -= 1

    def _is_theirs(self, stream_id: int) -> bool:
        """Clients have odd numbers (§5.1.1)."""
        return stream_id % 2 == (1 if self._role is Role.SERVER else 0)

    def _new_stream(self, stream_id: int) -> Stream:
        stream = Stream(stream_id, self.peer_settings[Setting.INITIAL_WINDOW_SIZE], self._limits.stream_window)
        self.streams[stream_id] = stream
        if self._is_theirs(stream_id):
            self.theirs += 1
        return stream

    def _advance(self, stream: Stream, step: StreamStep) -> None:
        """A step that the peer took. Raises for one that is not in the table."""
        after = TRANSITIONS.get((stream.state, step))
        if after is None:
            is_fatal, code = MISTAKES[stream.state]
            detail = f"{step.name} on a stream that is {stream.state.name}."
            raise Http2Error(code, detail) if is_fatal else StreamError(stream.stream_id, code, detail)
        stream.state = after

    def _known(self, stream_id: int, kind: str) -> Stream | None:
        """The stream that a frame is for; None if the frame is to be ignored, because we have reset the stream. Raises for a stream that is
        idle, or closed by its end."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            return stream
        if stream_id == 0:
            raise Http2Error(_PROTOCOL, f"{kind} belongs to a stream.")
        if self._is_idle(stream_id):
            raise Http2Error(_PROTOCOL, f"{kind} on a stream that is idle.")
        if stream_id in self._resets or (self.goaway_id is not None and stream_id > self.goaway_id):
            return None
        raise Http2Error(ErrorCode.STREAM_CLOSED, f"{kind} on a stream that is closed.")

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id > (self.last_peer_id if self._is_theirs(stream_id) else self.last_own_id)

    # DATA (§6.1)

    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        octets = len(payload)
        data = without_padding(flags, payload)
        self.receive_window -= octets
        if self.receive_window < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "More content than the connection's window allows.")
        try:
            stream = self._known(stream_id, "DATA")
        except Http2Error:
            self._give_back(octets)
            raise
        if stream is None:
            self._give_back(octets)
            return
        if not data and not flags & END_STREAM:
            self._credit.spend(1, "empty DATA frames")
        if not stream.has_head:
            raise Http2Error(_PROTOCOL, "DATA before the head.")
        try:
            self._advance(stream, StreamStep.RECEIVE_DATA)
            stream.receive_window -= octets
            if stream.receive_window < 0:
                raise StreamError(
                    stream_id, ErrorCode.FLOW_CONTROL_ERROR, "More content than the stream's window allows."
                )
            stream.received += len(data)
            if stream.expected is not None and stream.received > stream.expected:
                raise StreamError(stream_id, _PROTOCOL, "More content than Content-Length announced.")
        except StreamError:
            self._give_back(octets)
            raise
        if data:
            self._events.append(DataReceived(stream, data, octets))
        else:
            self._give_back(octets)
        if flags & END_STREAM:
            self._end_message(stream, None)

    def _end_message(self, stream: Stream, section: Iterable[Field] | None) -> None:
        if stream.expected is not None and stream.received != stream.expected:
            # "A request or response that is defined as having content when it contains a Content-Length header field is malformed if the value
            # [...] does not equal the sum of the DATA frame payload lengths" (§8.1.1)
            raise StreamError(stream.stream_id, _PROTOCOL, "Less content than Content-Length announced.")
        try:
            fields = trailers(section) if section is not None else None
        except MalformedError as error:
            raise StreamError(stream.stream_id, _PROTOCOL, str(error)) from None
        self._advance(stream, StreamStep.RECEIVE_END)
        self._events.append(MessageEnded(stream, fields))
        if stream.state is CLOSED:
            self._close(stream)

    def consumed(self, stream: Stream, octets: int) -> None:
        """Content was taken: let the peer send as much again (§6.9). Said when half a window has gathered."""
        stream.consumed += octets
        stream_window = self._limits.stream_window
        if stream.consumed * 2 >= stream_window and stream.stream_id in self.streams:
            self.outgoing.append(frames.window_update_frame(stream.stream_id, stream.consumed))
            stream.receive_window += stream.consumed
            stream.consumed = 0
        self._give_back(octets)

    def _give_back(self, octets: int) -> None:
        self._consumed += octets
        if self._consumed * 2 >= self._limits.connection_window:
            self.outgoing.append(frames.window_update_frame(0, self._consumed))
            self.receive_window += self._consumed
            self._consumed = 0

    # HEADERS, CONTINUATION (§6.2, §6.10)

    def _receive_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise Http2Error(_PROTOCOL, "HEADERS belongs to a stream.")
        block = without_padding(flags, payload)
        priority = None
        if flags & WITH_PRIORITY:
            if len(block) < 5:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short for its priority.")
            priority = _priority(stream_id, block)
            block = block[5:]
        self._block_octets = len(block)
        if flags & END_HEADERS:
            self._receive_block(stream_id, flags, priority, block)
        else:
            self._block = (stream_id, flags, priority, [block])

    def _receive_stray_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise Http2Error(_PROTOCOL, "CONTINUATION without a field block that it goes on with.")

    def _receive_continuation(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            return
        stream_id, first_flags, priority, pieces = self._block
        pieces.append(payload)
        self._block_octets += len(payload)
        if self._block_octets > self._limits.field_block_size:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "A field block is too long.")
        if not payload:
            self._credit.spend(1, "empty CONTINUATION frames")
        if len(pieces) > self._limits.continuations:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "A field block is in too many pieces.")
        if not flags & END_HEADERS:
            return
        self._block = None
        promised, self._promised = self._promised, 0
        try:
            if promised:
                self._receive_promised_block(stream_id, promised, b"".join(pieces))
            else:
                self._receive_block(stream_id, first_flags, priority, b"".join(pieces))
        except StreamError as error:
            self._end_stream_for(error)

    def _decode(self, block: bytes) -> Decoded:
        if len(block) > self._limits.field_block_size:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "A field block is too long.")
        try:
            return self._decoder.decode(block)
        except HpackError as error:
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, str(error)) from None

    def _receive_block(self, stream_id: int, flags: int, priority: Priority | None, block: bytes) -> None:
        decoded = self._decode(block)  # in any case: the tables of both sides must stay the same (§4.3)
        has_ended = bool(flags & END_STREAM)
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self._opened(stream_id)
            if stream is None:
                return
        if priority is not None:
            if priority.parent_id == stream_id:
                raise StreamError(stream_id, _PROTOCOL, "A stream that depends on itself.")
            self._events.append(priority)
        try:
            self._advance(stream, StreamStep.RECEIVE_HEADERS)
            if stream.has_head:
                if not has_ended:
                    raise StreamError(stream_id, _PROTOCOL, "A second head that is no trailer section.")
                self._end_message(stream, decoded.fields)
            elif self._role is Role.SERVER:
                self._receive_request(stream, decoded, has_ended=has_ended)
            else:
                self._receive_response(stream, decoded, has_ended=has_ended)
        except MalformedError as error:
            raise StreamError(stream_id, _PROTOCOL, str(error)) from None

    def _opened(self, stream_id: int) -> Stream | None:
        """The new stream of a peer's HEADERS; None if they are to be ignored."""
        if self._role is Role.CLIENT or not self._is_theirs(stream_id):
            if self._known(stream_id, "HEADERS") is None:
                return None
            raise Http2Error(_PROTOCOL, "A server opens streams by PUSH_PROMISE alone.")
        if not self._is_idle(stream_id):
            # "The identifier of a newly established stream MUST be numerically greater than all streams that the initiating endpoint has opened"
            # (§5.1.1)
            return self._known(stream_id, "HEADERS")
        self.last_peer_id = stream_id
        if self.goaway_id is not None and stream_id > self.goaway_id:
            return None
        if self.theirs >= self._limits.concurrent_streams:
            # §5.1.2: "[...] MUST treat this as a stream error (Section 5.4.2) of type PROTOCOL_ERROR or REFUSED_STREAM."
            raise StreamError(stream_id, ErrorCode.REFUSED_STREAM, "Too many streams at once.")
        return self._new_stream(stream_id)

    def _receive_request(self, stream: Stream, decoded: Decoded, *, has_ended: bool) -> None:
        stream.has_head = True
        if decoded.size > self._limits.header_list_size:
            stream.method = "GET"
            self._events.append(RequestTooLarge(stream))
        else:
            head, protocol = _request_of(decoded, ends=has_ended)
            stream.method = head.method
            stream.expected = head.content_length if "content-length" in head.fields else None
            self._events.append(RequestReceived(stream, head, has_ended, protocol))
        if has_ended:
            self._end_message(stream, None)

    def _receive_response(self, stream: Stream, decoded: Decoded, *, has_ended: bool) -> None:
        if decoded.size > self._limits.header_list_size:
            raise StreamError(stream.stream_id, ErrorCode.CANCEL, "The response's fields are too large.")
        status, fields = response_head(decoded.fields)
        if status < 200:
            if has_ended:
                raise MalformedError("An interim response ends the stream.")
        else:
            stream.has_head = True
            value = fields.get("content-length")
            if value is not None and not is_bodiless(stream.method, status):
                if not (value.isascii() and value.isdigit() and len(value) < 19):
                    raise MalformedError("Content-Length is not one decimal number.")
                stream.expected = int(value)
        self._events.append(ResponseReceived(stream, status, fields, has_ended))
        if has_ended:
            self._end_message(stream, None)

    # PRIORITY, PRIORITY_UPDATE (§6.3, RFC 9218 §7.1)

    def _receive_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise Http2Error(_PROTOCOL, "PRIORITY belongs to a stream.")
        if len(payload) != 5:
            raise StreamError(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY has five octets.")
        priority = _priority(stream_id, payload)
        if priority.parent_id == stream_id:
            raise StreamError(stream_id, _PROTOCOL, "A stream that depends on itself.")
        self._credit.spend(1, "PRIORITY frames")
        self._events.append(priority)

    def _receive_priority_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or self._role is Role.CLIENT:
            raise Http2Error(_PROTOCOL, "PRIORITY_UPDATE comes from clients, on stream 0.")
        if len(payload) < 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY_UPDATE names a stream in four octets.")
        prioritized = int.from_bytes(payload[:4], "big") & LARGEST_WINDOW
        if prioritized == 0 or (not self._is_theirs(prioritized) and self._is_idle(prioritized)):
            raise Http2Error(_PROTOCOL, "PRIORITY_UPDATE names no stream that may have a priority.")
        self._credit.spend(1, "PRIORITY_UPDATE frames")
        self._events.append(PriorityUpdated(prioritized, payload[4:].decode("latin-1")))

    # RST_STREAM (§6.4)

    def _receive_reset(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM has four octets.")
        if stream_id == 0 or (stream_id not in self.streams and self._is_idle(stream_id)):
            raise Http2Error(_PROTOCOL, "RST_STREAM on a stream that is idle.")
        self._credit.spend_reset("streams that were reset")
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._advance(stream, StreamStep.RECEIVE_RESET)
            self._close(stream)
            self._events.append(StreamEnded(stream, int.from_bytes(payload, "big")))

    # SETTINGS (§6.5)

    def _receive_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(_PROTOCOL, "SETTINGS concerns the connection.")
        if flags & ACK:
            if payload:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "An acknowledgement of settings is empty.")
            self._events.append(SettingsAcknowledged())
            return
        if len(payload) % 6:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is a list of six octets each.")
        self._credit.spend(1 + len(payload) // 6, "SETTINGS frames")
        settings = frames.parse_settings(payload)
        for key, value in settings:
            self._apply(key, value)
        self.outgoing.append(frames.SETTINGS_ACK)
        self._events.append(SettingsReceived(settings))

    def apply_upgrade_settings(self, payload: bytes) -> bool:
        """The settings of an HTTP2-Settings field (RFC 7540 §3.2.1), which are not acknowledged. False if they are none."""
        if len(payload) % 6:
            return False
        try:
            for key, value in frames.parse_settings(payload):
                self._apply(key, value)
        except Http2Error:
            return False
        return True

    def _apply(self, key: int, value: int) -> None:
        """§6.5.2."""
        if key == Setting.ENABLE_PUSH and (value > 1 or (value and self._role is Role.CLIENT)):
            raise Http2Error(_PROTOCOL, "ENABLE_PUSH is 0 or 1, and 0 from a server.")
        if key == Setting.INITIAL_WINDOW_SIZE:
            if value > LARGEST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large.")
            # "a receiver MUST adjust the size of all stream flow-control windows that it maintains by the difference" (§6.9.2)
            difference = value - self.peer_settings[key]
            for stream in self.streams.values():
                stream.send_window += difference
                if stream.send_window > LARGEST_WINDOW:
                    raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE makes a window too large.")
            if difference > 0 and self.streams:
                self._events.append(WindowOpened(None))
        if key == Setting.MAX_FRAME_SIZE and not DEFAULT_FRAME <= value <= LARGEST_FRAME:
            raise Http2Error(_PROTOCOL, "MAX_FRAME_SIZE is out of range.")
        if key in {Setting.ENABLE_CONNECT_PROTOCOL, Setting.NO_RFC7540_PRIORITIES} and value > 1:
            raise Http2Error(_PROTOCOL, "A setting that is 0 or 1 is neither.")
        if key == Setting.HEADER_TABLE_SIZE and value < self.peer_settings[key]:
            # What we send leaves the dynamic table empty: an update to zero says so, whatever the peer allows (RFC 7541 §4.2).
            self._table_update = b"\x20"
        if key in self.peer_settings:
            self.peer_settings[key] = value

    # PUSH_PROMISE (§6.6)

    def _receive_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._role is Role.SERVER or not self._limits.takes_pushes:
            raise Http2Error(_PROTOCOL, "PUSH_PROMISE where none may be.")
        stream = self._known(stream_id, "PUSH_PROMISE")
        block = without_padding(flags, payload)
        if len(block) < 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PUSH_PROMISE names a stream in four octets.")
        promised = int.from_bytes(block[:4], "big") & LARGEST_WINDOW
        if not promised or not self._is_theirs(promised) or not self._is_idle(promised):
            raise Http2Error(_PROTOCOL, "PUSH_PROMISE names a stream that cannot be promised.")
        self.last_peer_id = promised
        self._block_octets = len(block) - 4
        del stream
        if flags & END_HEADERS:
            self._receive_promised_block(stream_id, promised, block[4:])
        else:
            self._promised = promised
            self._block = (stream_id, flags, None, [block[4:]])

    def _receive_promised_block(self, stream_id: int, promised_id: int, block: bytes) -> None:
        decoded = self._decode(block)
        promised = self._new_stream(promised_id)
        promised.state = RESERVED_REMOTE
        stream = self.streams.get(stream_id)
        if stream is None:
            raise StreamError(promised_id, ErrorCode.CANCEL, "A promise on a stream that was reset.")
        try:
            head, _ = request_head(decoded.fields, ends=True)
        except MalformedError as error:
            raise StreamError(promised_id, _PROTOCOL, str(error)) from None
        promised.method = head.method
        self._events.append(PromiseReceived(stream, promised, decoded.fields))

    # PING, GOAWAY, WINDOW_UPDATE (§6.7 to §6.9)

    def _receive_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(_PROTOCOL, "PING concerns the connection.")
        if len(payload) != 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PING has eight octets.")
        if flags & ACK:
            self._events.append(PingAcknowledged(payload))
            return
        self._credit.spend(1, "PING frames")
        self.outgoing.append(frames.ping_frame(payload, is_ack=True))

    def _receive_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(_PROTOCOL, "GOAWAY concerns the connection.")
        if len(payload) < 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY has eight octets and more.")
        self._credit.spend(1, "GOAWAY frames")
        last = int.from_bytes(payload[:4], "big") & LARGEST_WINDOW
        self._events.append(GoawayReceived(last, int.from_bytes(payload[4:8], "big"), payload[8:]))

    def _receive_window(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE has four octets.")
        increment = int.from_bytes(payload, "big") & LARGEST_WINDOW
        self._credit.spend_window()
        if stream_id == 0:
            if not increment:
                raise Http2Error(_PROTOCOL, "WINDOW_UPDATE by nothing.")
            self.send_window += increment
            if self.send_window > LARGEST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "The connection's window is too large.")
            self._events.append(WindowOpened(None))
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id):
                raise Http2Error(_PROTOCOL, "WINDOW_UPDATE on a stream that is idle.")
            return
        self._advance(stream, StreamStep.RECEIVE_WINDOW)
        if not increment:
            raise StreamError(stream_id, _PROTOCOL, "WINDOW_UPDATE by nothing.")
        stream.send_window += increment
        if stream.send_window > LARGEST_WINDOW:
            raise StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "The stream's window is too large.")
        self._events.append(WindowOpened(stream))

    # --- sending ----------------------------------------------------------------------------------------------------------------------

    def _take_step(self, stream: Stream, step: StreamStep) -> None:
        after = TRANSITIONS.get((stream.state, step))
        if after is None:
            raise SendError(f"{step.name} on a stream that is {stream.state.name}.")
        stream.state = after
        if after is CLOSED:
            self._close(stream)

    def room(self, stream: Stream) -> int:
        """Octets of content that may be sent on the stream now."""
        return max(0, min(stream.send_window, self.send_window))

    def send_head(self, stream: Stream, block: bytes, *, ends: bool) -> bytes:
        """A head or a trailer section, as `hpack.encode_stateless` wrote it. Raises `SendError`."""
        self._take_step(stream, StreamStep.SEND_HEADERS)
        if self._table_update:
            block, self._table_update = self._table_update + block, b""
        octets = frames.header_frames(stream.stream_id, block, self.peer_settings[Setting.MAX_FRAME_SIZE], ends=ends)
        if ends:
            self._take_step(stream, StreamStep.SEND_END)
        return octets

    def send_data(self, stream: Stream, data: bytes, *, ends: bool) -> bytes:
        """Content, at most `room`. Raises `SendError`."""
        self._take_step(stream, StreamStep.SEND_DATA)
        if len(data) > self.room(stream):
            raise SendError("More content than the windows allow.")
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
        if (
            stream.state is not REMOTE_DONE
            or self._table_update
            or size > self.send_window
            or size > stream.send_window
        ):
            return None
        self.send_window -= size
        self._close(stream)
        number = stream.stream_id.to_bytes(4, "big")
        return b"".join((start, number, middle, number, body) if body else (start, number, middle))

    def reset(self, stream: Stream, code: ErrorCode) -> bytes:
        """End a stream before its end (§6.4); nothing if it has ended."""
        if stream.stream_id not in self.streams:
            return b""
        self._take_step(stream, StreamStep.SEND_RESET)
        self._remember_reset(stream.stream_id)
        return frames.reset_frame(stream.stream_id, code)

    def goaway(self, code: ErrorCode, *, last_stream_id: int | None = None, debug: bytes = b"") -> bytes:
        """§6.8. Without `last_stream_id` the streams that were begun are the last."""
        last = self.last_peer_id if last_stream_id is None else last_stream_id
        if last_stream_id is None:
            self.goaway_id = last
        return frames.goaway_frame(last, code, debug)

    def ping(self, payload: bytes) -> bytes:
        """§6.7."""
        return frames.ping_frame(payload, is_ack=False)

    def open(self, fields: list[Field], block: bytes, *, ends: bool) -> tuple[Stream, bytes]:
        """A client's request on a new stream. Raises `SendError` when there are no more numbers (§5.1.1)."""
        stream_id = self.last_own_id + 2 if self.last_own_id else 1
        if self._role is not Role.CLIENT or stream_id > LARGEST_WINDOW:
            raise SendError("No stream can be opened.")
        self.last_own_id = stream_id
        stream = self._new_stream(stream_id)
        stream.method = dict(fields).get(":method", "")
        return stream, self.send_head(stream, block, ends=ends)

    def promise(self, stream: Stream, method: str, block: bytes) -> tuple[Stream, bytes]:
        """A server's PUSH_PROMISE (§6.6, §8.4) in one frame. Raises `SendError` where none may be."""
        stream_id = self.last_own_id + 2
        is_possible = (
            self._role is Role.SERVER
            and self.peer_settings[Setting.ENABLE_PUSH]
            and stream_id <= LARGEST_WINDOW
            and (stream.state, StreamStep.SEND_DATA) in TRANSITIONS
            and len(self.streams) - self.theirs < self.peer_settings[Setting.MAX_CONCURRENT_STREAMS]
            and len(block) + 4 <= self.peer_settings[Setting.MAX_FRAME_SIZE]
        )
        if not is_possible:
            raise SendError("Nothing can be promised here.")
        self.last_own_id = stream_id
        promised = self._new_stream(stream_id)
        promised.method = method
        self._take_step(promised, StreamStep.SEND_PROMISE)
        if self._table_update:
            block, self._table_update = self._table_update + block, b""
        payload = stream_id.to_bytes(4, "big") + block
        return promised, frames.frame(frames.PUSH_PROMISE, END_HEADERS, stream.stream_id, payload)


def _request_of(decoded: Decoded, *, ends: bool) -> tuple[RequestHead, str | None]:
    """The head of a request that was not read from these very fields before. Raises `MalformedError`."""
    if decoded.head is None or decoded.head[0] is not ends:
        decoded.head = (ends, *request_head(decoded.fields, ends=ends))
    return decoded.head[1], decoded.head[2]


def _priority(stream_id: int, octets: bytes) -> Priority:
    """The five octets of a priority (RFC 7540 §6.3)."""
    word = int.from_bytes(octets[:4], "big")
    return Priority(stream_id, word & LARGEST_WINDOW, octets[4] + 1, bool(word >> 31))
