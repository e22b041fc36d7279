"""Frames that arrive: how they are told apart, and what those mean that concern the connection as a whole.

RFC 9113 §3.4 (preface), §4 (frames, field blocks in pieces), §6 (each frame), §5.4 (errors of streams and of connections), §5.5 (unknown
frames); RFC 9218 §7.1 (PRIORITY_UPDATE). What DATA, HEADERS and PUSH_PROMISE say of their messages, `h2_messages` knows.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_connection import Http2Connection
from netlodge.http.wire.h2_events import (
    GoawayReceived,
    PingAcknowledged,
    Priority,
    PriorityUpdated,
    SettingsAcknowledged,
    SettingsReceived,
    StreamEnded,
    WindowOpened,
)
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
from netlodge.http.wire.h2_messages import MessageReceiver
from netlodge.http.wire.h2_states import StreamStep
from netlodge.http.wire.hpack import TableStates
from netlodge.http.wire.states import Role

_PROTOCOL: Final = ErrorCode.PROTOCOL_ERROR
_SIZE: Final = ErrorCode.FRAME_SIZE_ERROR


class _Block(NamedTuple):
    """A field block of which more is to come."""

    stream_id: int
    ends: bool
    priority: Priority | None
    promised_id: int
    """The stream that it promises, or 0."""
    pieces: list[bytes]


class FrameReceiver:
    """Reads what the peer of one connection sends."""

    def __init__(self, connection: Http2Connection, states: TableStates) -> None:
        self._connection = connection
        self._messages = MessageReceiver(connection, states)
        self._is_open = connection.role is Role.CLIENT
        """True once the client's preface was read."""
        self._has_settings = False
        self._block: _Block | None = None
        self._block_octets = 0
        self._prioritized: set[int] = set()
        """Streams that have a priority before they are open."""
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
        """Read every whole frame; return how many octets they were. Raises `Http2Error`."""
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
                raise Http2Error(_SIZE, f"A frame has {length} octets; {largest} are allowed.")
            start = place + HEADER
            end = start + length
            if end > len(buffer):
                break
            kind, flags = buffer[place + 3], buffer[place + 4]
            # The reserved bit "MUST be ignored when receiving" (§4.1).
            stream_id = int.from_bytes(buffer[place + 5 : start], "big") & LARGEST_WINDOW
            place = end
            self._receive_frame(kind, flags, stream_id, buffer[start:end])
        return place

    def _receive_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._has_settings:
            # "This sequence MUST be followed by a SETTINGS frame (Section 6.5), which MAY be empty." (§3.4)
            if kind != frames.SETTINGS or flags & ACK:
                raise Http2Error(_PROTOCOL, "The first frame is no SETTINGS.")
            self._has_settings = True
        try:
            if self._block is not None:
                # "A receiver MUST treat the receipt of any other type of frame or a frame on a different stream as a connection error
                # (Section 5.4.1) of type PROTOCOL_ERROR." (§6.2)
                if kind != frames.CONTINUATION or stream_id != self._block.stream_id:
                    raise Http2Error(_PROTOCOL, "A field block is interrupted by another frame.")
                self._receive_continuation(self._block, flags, payload)
                return
            receive = self._receivers.get(kind)
            if receive is None:
                # "Implementations MUST ignore and discard frames of unknown types." (§4.1)
                self._connection.credit.spend(1, "frames of unknown types")
                return
            receive(flags, stream_id, payload)
        except StreamError as error:
            self._connection.end_stream_for(error)

    # DATA (§6.1)

    def _receive_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        data = without_padding(flags, payload)
        self._messages.receive_data(stream_id, data, len(payload), ends=bool(flags & END_STREAM))

    # HEADERS, CONTINUATION (§6.2, §6.10)

    def _receive_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise Http2Error(_PROTOCOL, "HEADERS belongs to a stream.")
        block = without_padding(flags, payload)
        priority = None
        if flags & WITH_PRIORITY:
            if len(block) < 5:
                raise Http2Error(_SIZE, "HEADERS is too short for its priority.")
            priority = _priority(stream_id, block)
            block = block[5:]
        ends = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._messages.receive_block(stream_id, block, priority, ends=ends)
        else:
            self._begin_block(_Block(stream_id, ends, priority, 0, [block]))

    def _begin_block(self, block: _Block) -> None:
        self._block = block
        self._block_octets = len(block.pieces[0])

    def _receive_stray_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        # "A CONTINUATION frame MUST be preceded by a HEADERS, PUSH_PROMISE or CONTINUATION frame without the END_HEADERS flag set. A recipient that
        # observes violation of this rule MUST respond with a connection error (Section 5.4.1) of type PROTOCOL_ERROR." (§6.10)
        raise Http2Error(_PROTOCOL, "CONTINUATION without a field block that it goes on with.")

    def _receive_continuation(self, block: _Block, flags: int, payload: bytes) -> None:
        limits = self._connection.limits
        block.pieces.append(payload)
        self._block_octets += len(payload)
        if self._block_octets > limits.field_block_size:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "A field block is too long.")
        if len(block.pieces) > limits.continuations:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "A field block is in too many pieces.")
        if not payload:
            self._connection.credit.spend(1, "empty CONTINUATION frames")
        if not flags & END_HEADERS:
            return
        self._block = None
        octets = b"".join(block.pieces)
        if block.promised_id:
            self._messages.receive_promise(block.stream_id, block.promised_id, octets)
        else:
            self._messages.receive_block(block.stream_id, octets, block.priority, ends=block.ends)

    # PRIORITY, PRIORITY_UPDATE (§6.3, RFC 9218 §7.1)

    def _receive_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise Http2Error(_PROTOCOL, "PRIORITY belongs to a stream.")
        self._connection.credit.spend(1, "PRIORITY frames")
        if len(payload) != 5:
            raise StreamError(stream_id, _SIZE, "PRIORITY has five octets.")
        self._messages.prioritize(_priority(stream_id, payload))

    def _receive_priority_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        connection = self._connection
        if stream_id or connection.role is Role.CLIENT:
            raise Http2Error(_PROTOCOL, "PRIORITY_UPDATE comes from clients, on stream 0.")
        if len(payload) < 4:
            raise Http2Error(_SIZE, "PRIORITY_UPDATE names a stream in four octets.")
        connection.credit.spend(1, "PRIORITY_UPDATE frames")
        prioritized = int.from_bytes(payload[:4], "big") & LARGEST_WINDOW
        if connection.is_idle(prioritized):
            # "Servers that receive a PRIORITY_UPDATE for a push stream in the "idle" state MUST respond with a connection error of type
            # PROTOCOL_ERROR."
            if not connection.is_theirs(prioritized):
                raise Http2Error(_PROTOCOL, "PRIORITY_UPDATE for a push that was not promised.")
            self._prioritize_idle(prioritized)
        elif prioritized == 0:
            raise Http2Error(_PROTOCOL, "PRIORITY_UPDATE names no stream.")
        elif prioritized not in connection.streams:
            # "Servers can discard frames where the prioritized stream ID refers to a stream in the "half-closed (local)" or "closed" state"
            return
        connection.events.append(PriorityUpdated(prioritized, payload[4:].decode("latin-1")))

    def _prioritize_idle(self, stream_id: int) -> None:
        connection = self._connection
        waiting = {number for number in self._prioritized if connection.is_idle(number)}
        waiting.add(stream_id)
        self._prioritized = waiting
        # "The number of streams that have been prioritized but remain in the "idle" state plus the number of active streams [...] MUST NOT exceed
        # the value of the SETTINGS_MAX_CONCURRENT_STREAMS parameter. Servers that receive such a PRIORITY_UPDATE MUST respond with a connection
        # error of type PROTOCOL_ERROR."
        if len(waiting) + connection.theirs > connection.limits.concurrent_streams:
            raise Http2Error(_PROTOCOL, "PRIORITY_UPDATE for more streams than there may be.")

    # RST_STREAM (§6.4)

    def _receive_reset(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(_SIZE, "RST_STREAM has four octets.")
        stream = self._connection.known(stream_id, StreamStep.RECEIVE_RESET)
        self._connection.credit.spend_reset("streams that were reset")
        if stream is not None:  # in whatever state: each has this step, and it leads to one end
            self._connection.close_stream(stream)
            self._connection.events.append(StreamEnded(stream, int.from_bytes(payload, "big")))

    # SETTINGS (§6.5)

    def _receive_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        connection = self._connection
        if stream_id:
            raise Http2Error(_PROTOCOL, "SETTINGS concerns the connection.")
        if flags & ACK:
            if payload:
                raise Http2Error(_SIZE, "An acknowledgement of settings is empty.")
            connection.credit.spend(1, "SETTINGS frames")
            if connection.unacknowledged:
                connection.unacknowledged -= 1
                connection.events.append(SettingsAcknowledged())
            return
        if len(payload) % 6:
            raise Http2Error(_SIZE, "SETTINGS is a list of six octets each.")
        connection.credit.spend(1 + len(payload) // 6, "SETTINGS frames")
        settings = frames.parse_settings(payload)
        for key, value in settings:
            connection.apply_setting(key, value)
        # "Once all values have been processed, the recipient MUST immediately emit a SETTINGS frame with the ACK flag set." (§6.5.3)
        connection.outgoing.append(frames.SETTINGS_ACK)
        connection.events.append(SettingsReceived(settings))

    # PUSH_PROMISE (§6.6)

    def _receive_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        connection = self._connection
        if connection.role is Role.SERVER or not connection.limits.takes_pushes:
            raise Http2Error(_PROTOCOL, "PUSH_PROMISE where none may be.")
        block = without_padding(flags, payload)
        if len(block) < 4:
            raise Http2Error(_SIZE, "PUSH_PROMISE names a stream in four octets.")
        stream = connection.known(stream_id, StreamStep.RECEIVE_PROMISE)
        if stream is not None:
            connection.advance(stream, StreamStep.RECEIVE_PROMISE)
        promised_id = int.from_bytes(block[:4], "big") & LARGEST_WINDOW
        # "A receiver MUST treat the receipt of a PUSH_PROMISE that promises an illegal stream identifier (Section 5.1.1) as a connection error
        # (Section 5.4.1) of type PROTOCOL_ERROR." It comes on a stream that we have begun.
        if (
            connection.is_theirs(stream_id)
            or not connection.is_theirs(promised_id)
            or not connection.is_idle(promised_id)
        ):
            raise Http2Error(_PROTOCOL, "PUSH_PROMISE names a stream that cannot be promised.")
        connection.use_peer_id(promised_id)
        if flags & END_HEADERS:
            self._messages.receive_promise(stream_id, promised_id, block[4:])
        else:
            self._begin_block(_Block(stream_id, False, None, promised_id, [block[4:]]))

    # PING, GOAWAY, WINDOW_UPDATE (§6.7 to §6.9)

    def _receive_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(_PROTOCOL, "PING concerns the connection.")
        if len(payload) != 8:
            raise Http2Error(_SIZE, "PING has eight octets.")
        self._connection.credit.spend(1, "PING frames")
        if flags & ACK:
            self._connection.events.append(PingAcknowledged(payload))
        else:
            self._connection.outgoing.append(frames.ping_frame(payload, is_ack=True))

    def _receive_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2Error(_PROTOCOL, "GOAWAY concerns the connection.")
        if len(payload) < 8:
            raise Http2Error(_SIZE, "GOAWAY has eight octets and more.")
        self._connection.credit.spend(1, "GOAWAY frames")
        self._connection.has_goaway = True
        last = int.from_bytes(payload[:4], "big") & LARGEST_WINDOW
        self._connection.events.append(GoawayReceived(last, int.from_bytes(payload[4:8], "big"), payload[8:]))

    def _receive_window(self, flags: int, stream_id: int, payload: bytes) -> None:
        connection = self._connection
        if len(payload) != 4:
            raise Http2Error(_SIZE, "WINDOW_UPDATE has four octets.")
        increment = int.from_bytes(payload, "big") & LARGEST_WINDOW
        connection.credit.spend_window()
        if stream_id == 0:
            if not increment:
                raise Http2Error(_PROTOCOL, "WINDOW_UPDATE by nothing.")
            connection.send_window += increment
            if connection.send_window > LARGEST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "The connection's window is too large.")
            connection.events.append(WindowOpened(None))
            return
        stream = connection.known(stream_id, StreamStep.RECEIVE_WINDOW)
        if stream is None:
            return
        connection.advance(stream, StreamStep.RECEIVE_WINDOW)
        # "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window increment of 0 as a stream error (Section 5.4.2)
        # of type PROTOCOL_ERROR; errors on the connection flow-control window MUST be treated as a connection error (Section 5.4.1)." (§6.9)
        if not increment:
            raise StreamError(stream_id, _PROTOCOL, "WINDOW_UPDATE by nothing.")
        stream.send_window += increment
        if stream.send_window > LARGEST_WINDOW:
            raise StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "The stream's window is too large.")
        connection.events.append(WindowOpened(stream))


def _priority(stream_id: int, octets: bytes) -> Priority:
    """The five octets of a priority (RFC 7540 §6.3)."""
    word = int.from_bytes(octets[:4], "big")
    return Priority(stream_id, word & LARGEST_WINDOW, octets[4] + 1, bool(word >> 31))
