"""Frames that arrive: what each means for its stream and its connection, and what a mistake in it costs.

RFC 9113 §4 (frames, field blocks), §6 (each frame), §8.1 (messages), §5.4 (errors of streams and of connections); RFC 9218 §7.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.framing import is_bodiless
from netlodge.http.wire.h2_connection import Http2Connection
from netlodge.http.wire.h2_events import (
    DataReceived,
    GoawayReceived,
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
    END_HEADERS,
    END_STREAM,
    HEADER,
    LARGEST_WINDOW,
    PREFACE,
    WITH_PRIORITY,
    ErrorCode,
    Http2Error,
    StreamError,
    without_padding,
)
from netlodge.http.wire.h2_states import CLOSED, RESERVED_REMOTE, StreamStep
from netlodge.http.wire.hpack import Decoded, Field, HpackDecoder, HpackError, TableStates
from netlodge.http.wire.states import Role

_PROTOCOL: Final = ErrorCode.PROTOCOL_ERROR


class FrameReceiver:
    """Reads what the peer of one connection sends."""

    def __init__(self, connection: Http2Connection, states: TableStates) -> None:
        self._connection = connection
        self._decoder = HpackDecoder(states)
        self._is_open = connection.role is Role.CLIENT
        """True once the client's preface was read."""
        self._has_settings = False
        self._block: tuple[int, int, Priority | None, list[bytes]] | None = None
        """A field block of which more is to come: stream, flags and priority of its first frame, and its pieces."""
        self._block_octets = 0
        self._promised = 0
        """The stream that the block promises, if it does."""
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

    @property
    def has_partial_block(self) -> bool:
        """True while a field block has begun and not ended."""
        return self._block is not None

    def read_frames(self, buffer: bytes) -> int:
        """Read every whole frame; return how many octets they were."""
        place = 0
        if not self._is_open:
            if not PREFACE.startswith(buffer[: len(PREFACE)]):
                raise Http2Error(_PROTOCOL, "The connection does not begin with the preface of HTTP/2.")
            if len(buffer) < len(PREFACE):
                return 0
            self._is_open = True
            place = len(PREFACE)
        largest = self._connection.limits.frame_size
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
            self._connection.credit.spend(1, "frames of unknown types")
            return
        try:
            receive(flags, stream_id, payload)
        except StreamError as error:
            self._connection.end_stream_for(error)

    # DATA (§6.1)

    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        octets = len(payload)
        data = without_padding(flags, payload)
        self._connection.receive_window -= octets
        if self._connection.receive_window < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "More content than the connection's window allows.")
        try:
            stream = self._connection.known(stream_id, "DATA")
        except Http2Error:
            self._connection.give_back(octets)
            raise
        if stream is None:
            self._connection.give_back(octets)
            return
        if not data and not flags & END_STREAM:
            self._connection.credit.spend(1, "empty DATA frames")
        if not stream.has_head:
            raise Http2Error(_PROTOCOL, "DATA before the head.")
        try:
            self._connection.advance(stream, StreamStep.RECEIVE_DATA)
            stream.receive_window -= octets
            if stream.receive_window < 0:
                raise StreamError(
                    stream_id, ErrorCode.FLOW_CONTROL_ERROR, "More content than the stream's window allows."
                )
            stream.received += len(data)
            if stream.expected is not None and stream.received > stream.expected:
                raise StreamError(stream_id, _PROTOCOL, "More content than Content-Length announced.")
        except StreamError:
            self._connection.give_back(octets)
            raise
        if data:
            self._connection.events.append(DataReceived(stream, data, octets))
        else:
            self._connection.give_back(octets)
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
        self._connection.advance(stream, StreamStep.RECEIVE_END)
        self._connection.events.append(MessageEnded(stream, fields))
        if stream.state is CLOSED:
            self._connection.close_stream(stream)

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
        if self._block_octets > self._connection.limits.field_block_size:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "A field block is too long.")
        if not payload:
            self._connection.credit.spend(1, "empty CONTINUATION frames")
        if len(pieces) > self._connection.limits.continuations:
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
            self._connection.end_stream_for(error)

    def _decode(self, block: bytes) -> Decoded:
        if len(block) > self._connection.limits.field_block_size:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "A field block is too long.")
        try:
            return self._decoder.decode(block)
        except HpackError as error:
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, str(error)) from None

    def _receive_block(self, stream_id: int, flags: int, priority: Priority | None, block: bytes) -> None:
        decoded = self._decode(block)  # in any case: the tables of both sides must stay the same (§4.3)
        has_ended = bool(flags & END_STREAM)
        stream = self._connection.streams.get(stream_id)
        if stream is None:
            stream = self._opened(stream_id)
            if stream is None:
                return
        if priority is not None:
            if priority.parent_id == stream_id:
                raise StreamError(stream_id, _PROTOCOL, "A stream that depends on itself.")
            self._connection.events.append(priority)
        try:
            self._connection.advance(stream, StreamStep.RECEIVE_HEADERS)
            if stream.has_head:
                if not has_ended:
                    raise StreamError(stream_id, _PROTOCOL, "A second head that is no trailer section.")
                self._end_message(stream, decoded.fields)
            elif self._connection.role is Role.SERVER:
                self._receive_request(stream, decoded, has_ended=has_ended)
            else:
                self._receive_response(stream, decoded, has_ended=has_ended)
        except MalformedError as error:
            raise StreamError(stream_id, _PROTOCOL, str(error)) from None

    def _opened(self, stream_id: int) -> Stream | None:
        """The new stream of a peer's HEADERS; None if they are to be ignored."""
        if self._connection.role is Role.CLIENT or not self._connection.is_theirs(stream_id):
            if self._connection.known(stream_id, "HEADERS") is None:
                return None
            raise Http2Error(_PROTOCOL, "A server opens streams by PUSH_PROMISE alone.")
        if not self._connection.is_idle(stream_id):
            # "The identifier of a newly established stream MUST be numerically greater than all streams that the initiating endpoint has opened"
            # (§5.1.1)
            return self._connection.known(stream_id, "HEADERS")
        self._connection.last_peer_id = stream_id
        if self._connection.goaway_id is not None and stream_id > self._connection.goaway_id:
            return None
        if self._connection.theirs >= self._connection.limits.concurrent_streams:
            # §5.1.2: "[...] MUST treat this as a stream error (Section 5.4.2) of type PROTOCOL_ERROR or REFUSED_STREAM."
            raise StreamError(stream_id, ErrorCode.REFUSED_STREAM, "Too many streams at once.")
        return self._connection.new_stream(stream_id)

    def _receive_request(self, stream: Stream, decoded: Decoded, *, has_ended: bool) -> None:
        stream.has_head = True
        if decoded.size > self._connection.limits.header_list_size:
            stream.method = "GET"
            self._connection.events.append(RequestTooLarge(stream))
        else:
            head, protocol = _request_of(decoded, ends=has_ended)
            stream.method = head.method
            stream.expected = head.content_length if "content-length" in head.fields else None
            self._connection.events.append(RequestReceived(stream, head, has_ended, protocol))
        if has_ended:
            self._end_message(stream, None)

    def _receive_response(self, stream: Stream, decoded: Decoded, *, has_ended: bool) -> None:
        if decoded.size > self._connection.limits.header_list_size:
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
        self._connection.events.append(ResponseReceived(stream, status, fields, has_ended))
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
        self._connection.credit.spend(1, "PRIORITY frames")
        self._connection.events.append(priority)

    def _receive_priority_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or self._connection.role is Role.CLIENT:
            raise Http2Error(_PROTOCOL, "PRIORITY_UPDATE comes from clients, on stream 0.")
        if len(payload) < 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY_UPDATE names a stream in four octets.")
        prioritized = int.from_bytes(payload[:4], "big") & LARGEST_WINDOW
        if prioritized == 0 or (not self._connection.is_theirs(prioritized) and self._connection.is_idle(prioritized)):
            raise Http2Error(_PROTOCOL, "PRIORITY_UPDATE names no stream that may have a priority.")
        self._connection.credit.spend(1, "PRIORITY_UPDATE frames")
        self._connection.events.append(PriorityUpdated(prioritized, payload[4:].decode("latin-1")))

    # RST_STREAM (§6.4)

    def _receive_reset(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM has four octets.")
        if stream_id == 0 or (stream_id not in self._connection.streams and self._connection.is_idle(stream_id)):
            raise Http2Error(_PROTOCOL, "RST_STREAM on a stream that is idle.")
        self._connection.credit.spend_reset("streams that were reset")
        stream = self._connection.streams.get(stream_id)
        if stream is not None:
            self._connection.advance(stream, StreamStep.RECEIVE_RESET)
            self._connection.close_stream(stream)
            self._connection.events.append(StreamEnded(stream, int.from_bytes(payload, "big")))

    # SETTINGS (§6.5)

    def _receive_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(_PROTOCOL, "SETTINGS concerns the connection.")
        if flags & ACK:
            if payload:
                raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "An acknowledgement of settings is empty.")
            self._connection.events.append(SettingsAcknowledged())
            return
        if len(payload) % 6:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is a list of six octets each.")
        self._connection.credit.spend(1 + len(payload) // 6, "SETTINGS frames")
        settings = frames.parse_settings(payload)
        for key, value in settings:
            self._connection.apply_setting(key, value)
        self._connection.outgoing.append(frames.SETTINGS_ACK)
        self._connection.events.append(SettingsReceived(settings))

    # PUSH_PROMISE (§6.6)

    def _receive_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._connection.role is Role.SERVER or not self._connection.limits.takes_pushes:
            raise Http2Error(_PROTOCOL, "PUSH_PROMISE where none may be.")
        stream = self._connection.known(stream_id, "PUSH_PROMISE")
        block = without_padding(flags, payload)
        if len(block) < 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PUSH_PROMISE names a stream in four octets.")
        promised = int.from_bytes(block[:4], "big") & LARGEST_WINDOW
        if not promised or not self._connection.is_theirs(promised) or not self._connection.is_idle(promised):
            raise Http2Error(_PROTOCOL, "PUSH_PROMISE names a stream that cannot be promised.")
        self._connection.last_peer_id = promised
        self._block_octets = len(block) - 4
        del stream
        if flags & END_HEADERS:
            self._receive_promised_block(stream_id, promised, block[4:])
        else:
            self._promised = promised
            self._block = (stream_id, flags, None, [block[4:]])

    def _receive_promised_block(self, stream_id: int, promised_id: int, block: bytes) -> None:
        decoded = self._decode(block)
        promised = self._connection.new_stream(promised_id)
        promised.state = RESERVED_REMOTE
        stream = self._connection.streams.get(stream_id)
        if stream is None:
            raise StreamError(promised_id, ErrorCode.CANCEL, "A promise on a stream that was reset.")
        try:
            head, _ = request_head(decoded.fields, ends=True)
        except MalformedError as error:
            raise StreamError(promised_id, _PROTOCOL, str(error)) from None
        promised.method = head.method
        self._connection.events.append(PromiseReceived(stream, promised, decoded.fields))

    # PING, GOAWAY, WINDOW_UPDATE (§6.7 to §6.9)

    def _receive_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(_PROTOCOL, "PING concerns the connection.")
        if len(payload) != 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "PING has eight octets.")
        if flags & ACK:
            self._connection.events.append(PingAcknowledged(payload))
            return
        self._connection.credit.spend(1, "PING frames")
        self._connection.outgoing.append(frames.ping_frame(payload, is_ack=True))

    def _receive_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(_PROTOCOL, "GOAWAY concerns the connection.")
        if len(payload) < 8:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY has eight octets and more.")
        self._connection.credit.spend(1, "GOAWAY frames")
        last = int.from_bytes(payload[:4], "big") & LARGEST_WINDOW
        self._connection.events.append(GoawayReceived(last, int.from_bytes(payload[4:8], "big"), payload[8:]))

    def _receive_window(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE has four octets.")
        increment = int.from_bytes(payload, "big") & LARGEST_WINDOW
        self._connection.credit.spend_window()
        if stream_id == 0:
            if not increment:
                raise Http2Error(_PROTOCOL, "WINDOW_UPDATE by nothing.")
            self._connection.send_window += increment
            if self._connection.send_window > LARGEST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "The connection's window is too large.")
            self._connection.events.append(WindowOpened(None))
            return
        stream = self._connection.streams.get(stream_id)
        if stream is None:
            if self._connection.is_idle(stream_id):
                raise Http2Error(_PROTOCOL, "WINDOW_UPDATE on a stream that is idle.")
            return
        self._connection.advance(stream, StreamStep.RECEIVE_WINDOW)
        if not increment:
            raise StreamError(stream_id, _PROTOCOL, "WINDOW_UPDATE by nothing.")
        stream.send_window += increment
        if stream.send_window > LARGEST_WINDOW:
            raise StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "The stream's window is too large.")
        self._connection.events.append(WindowOpened(stream))


def _request_of(decoded: Decoded, *, ends: bool) -> tuple[RequestHead, str | None]:
    """The head of a request that was not read from these very fields before. Raises `MalformedError`."""
    if decoded.head is None or decoded.head[0] is not ends:
        decoded.head = (ends, *request_head(decoded.fields, ends=ends))
    return decoded.head[1], decoded.head[2]


def _priority(stream_id: int, octets: bytes) -> Priority:
    """The five octets of a priority (RFC 7540 §6.3)."""
    word = int.from_bytes(octets[:4], "big")
    return Priority(stream_id, word & LARGEST_WINDOW, octets[4] + 1, bool(word >> 31))
