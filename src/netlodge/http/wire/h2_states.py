"""The states of an HTTP/2 stream as a literal table; nothing else in the codec decides what may follow what.

RFC 9113 §5.1. The table is the figure of that section: a frame that is sent or received is a step, END_STREAM is a step of its own that
follows the frame which carried it.

    IDLE            not used yet
    RESERVED_LOCAL  promised by us, RESERVED_REMOTE promised by the peer (PUSH_PROMISE)
    OPEN            both sides may send
    LOCAL_DONE      we have sent END_STREAM ("half-closed (local)")
    REMOTE_DONE     the peer has ("half-closed (remote)")
    CLOSED          both, or a reset

What a peer does that is not in the table is an error, and `MISTAKES` says which.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from netlodge.http.wire.h2_frames import ErrorCode


class StreamState(Enum):
    """Where a stream is; see the module's text."""

    IDLE = auto()
    RESERVED_LOCAL = auto()
    RESERVED_REMOTE = auto()
    OPEN = auto()
    LOCAL_DONE = auto()
    REMOTE_DONE = auto()
    CLOSED = auto()

    __hash__ = object.__hash__


class StreamStep(Enum):
    """What happens on a stream."""

    SEND_HEADERS = auto()
    SEND_DATA = auto()
    SEND_END = auto()
    SEND_RESET = auto()
    SEND_PROMISE = auto()
    RECEIVE_HEADERS = auto()
    RECEIVE_DATA = auto()
    RECEIVE_END = auto()
    RECEIVE_RESET = auto()
    RECEIVE_PROMISE = auto()
    RECEIVE_WINDOW = auto()

    __hash__ = object.__hash__


IDLE, RESERVED_LOCAL, RESERVED_REMOTE, OPEN, LOCAL_DONE, REMOTE_DONE, CLOSED = StreamState
_S, _E = StreamState, StreamStep

TRANSITIONS: Final[dict[tuple[StreamState, StreamStep], StreamState]] = {
    (_S.IDLE, _E.SEND_HEADERS): _S.OPEN,
    (_S.IDLE, _E.RECEIVE_HEADERS): _S.OPEN,
    (_S.IDLE, _E.SEND_PROMISE): _S.RESERVED_LOCAL,
    (_S.IDLE, _E.RECEIVE_PROMISE): _S.RESERVED_REMOTE,
    (_S.RESERVED_LOCAL, _E.SEND_HEADERS): _S.REMOTE_DONE,
    (_S.RESERVED_LOCAL, _E.SEND_RESET): _S.CLOSED,
    (_S.RESERVED_LOCAL, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.RESERVED_LOCAL, _E.RECEIVE_WINDOW): _S.RESERVED_LOCAL,
    (_S.RESERVED_REMOTE, _E.RECEIVE_HEADERS): _S.LOCAL_DONE,
    (_S.RESERVED_REMOTE, _E.SEND_RESET): _S.CLOSED,
    (_S.RESERVED_REMOTE, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.OPEN, _E.SEND_HEADERS): _S.OPEN,  # an interim or final response, trailers
    (_S.OPEN, _E.SEND_DATA): _S.OPEN,
    (_S.OPEN, _E.SEND_END): _S.LOCAL_DONE,
    (_S.OPEN, _E.SEND_RESET): _S.CLOSED,
    (_S.OPEN, _E.RECEIVE_HEADERS): _S.OPEN,
    (_S.OPEN, _E.RECEIVE_DATA): _S.OPEN,
    (_S.OPEN, _E.RECEIVE_END): _S.REMOTE_DONE,
    (_S.OPEN, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.OPEN, _E.RECEIVE_WINDOW): _S.OPEN,
    (_S.LOCAL_DONE, _E.SEND_RESET): _S.CLOSED,
    (_S.LOCAL_DONE, _E.RECEIVE_HEADERS): _S.LOCAL_DONE,
    (_S.LOCAL_DONE, _E.RECEIVE_DATA): _S.LOCAL_DONE,
    (_S.LOCAL_DONE, _E.RECEIVE_END): _S.CLOSED,
    (_S.LOCAL_DONE, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.LOCAL_DONE, _E.RECEIVE_WINDOW): _S.LOCAL_DONE,
    (_S.REMOTE_DONE, _E.SEND_HEADERS): _S.REMOTE_DONE,
    (_S.REMOTE_DONE, _E.SEND_DATA): _S.REMOTE_DONE,
    (_S.REMOTE_DONE, _E.SEND_END): _S.CLOSED,
    (_S.REMOTE_DONE, _E.SEND_RESET): _S.CLOSED,
    (_S.REMOTE_DONE, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.REMOTE_DONE, _E.RECEIVE_WINDOW): _S.REMOTE_DONE,
    # "An endpoint that sends a frame with the END_STREAM flag set or a RST_STREAM frame might receive a WINDOW_UPDATE or RST_STREAM frame
    # from its peer in the time before the peer receives and processes the frame that closes the stream."
    (_S.CLOSED, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.CLOSED, _E.RECEIVE_WINDOW): _S.CLOSED,
}

MISTAKES: Final[dict[StreamState, tuple[bool, ErrorCode]]] = {
    # "Receiving any frame other than HEADERS or PRIORITY on a stream in this state MUST be treated as a connection error of type
    # PROTOCOL_ERROR."
    _S.IDLE: (True, ErrorCode.PROTOCOL_ERROR),
    # "Receiving any type of frame other than RST_STREAM, PRIORITY, or WINDOW_UPDATE on a stream in this state MUST be treated as a connection
    # error of type PROTOCOL_ERROR."
    _S.RESERVED_LOCAL: (True, ErrorCode.PROTOCOL_ERROR),
    # "Receiving any type of frame other than HEADERS, RST_STREAM, or PRIORITY on a stream in this state MUST be treated as a connection error
    # of type PROTOCOL_ERROR."
    _S.RESERVED_REMOTE: (True, ErrorCode.PROTOCOL_ERROR),
    _S.OPEN: (True, ErrorCode.PROTOCOL_ERROR),
    _S.LOCAL_DONE: (True, ErrorCode.PROTOCOL_ERROR),
    # "If an endpoint receives additional frames, other than WINDOW_UPDATE, PRIORITY, or RST_STREAM, for a stream that is in this state, it MUST
    # respond with a stream error of type STREAM_CLOSED."
    _S.REMOTE_DONE: (False, ErrorCode.STREAM_CLOSED),
    # §5.1: "An endpoint MAY treat receipt of any other type of frame on a closed stream as a connection error (Section 5.4.1) of type STREAM_CLOSED",
    # unless it was us who reset it.
    _S.CLOSED: (True, ErrorCode.STREAM_CLOSED),
}
"""What a frame is that a peer must not send in a state: whether the connection ends, and the code."""
