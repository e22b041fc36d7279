"""The states of an HTTP/2 stream as a literal table; nothing else in the codec decides what may follow what.

RFC 9113 §5.1. The table is the figure of that section: a frame that is sent or received is a step, and END_STREAM is a step of its own that
follows the frame which carried it ("the END_STREAM flag is processed as a separate event to the frame that bears it").

    IDLE             not used yet
    RESERVED_LOCAL   promised by us (PUSH_PROMISE)
    RESERVED_REMOTE  promised by the peer
    OPEN             both sides may send
    LOCAL_DONE       we have sent END_STREAM: half-closed (local)
    REMOTE_DONE      the peer has sent END_STREAM: half-closed (remote)
    CLOSED           both have, or one of them has reset the stream

PUSH_PROMISE takes a step on two streams: the one that is promised leaves IDLE, the one that carries it stays as it was. PRIORITY and the
WINDOW_UPDATE that we send are no steps: they change no state. What we try and the table does not have is a defect here; what a peer does
that it does not have is its mistake, and `mistake` says which.
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

    __hash__ = object.__hash__  # members are singletons: identity is enough, and ten times faster than Enum's own


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
    (_S.IDLE, _E.SEND_PROMISE): _S.RESERVED_LOCAL,
    (_S.IDLE, _E.RECEIVE_HEADERS): _S.OPEN,
    (_S.IDLE, _E.RECEIVE_PROMISE): _S.RESERVED_REMOTE,
    (_S.RESERVED_LOCAL, _E.SEND_HEADERS): _S.REMOTE_DONE,
    (_S.RESERVED_LOCAL, _E.SEND_RESET): _S.CLOSED,
    (_S.RESERVED_LOCAL, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.RESERVED_LOCAL, _E.RECEIVE_WINDOW): _S.RESERVED_LOCAL,
    (_S.RESERVED_REMOTE, _E.SEND_RESET): _S.CLOSED,
    (_S.RESERVED_REMOTE, _E.RECEIVE_HEADERS): _S.LOCAL_DONE,
    (_S.RESERVED_REMOTE, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.OPEN, _E.SEND_HEADERS): _S.OPEN,  # an interim or final response, trailers
    (_S.OPEN, _E.SEND_DATA): _S.OPEN,
    (_S.OPEN, _E.SEND_END): _S.LOCAL_DONE,
    (_S.OPEN, _E.SEND_RESET): _S.CLOSED,
    (_S.OPEN, _E.SEND_PROMISE): _S.OPEN,
    (_S.OPEN, _E.RECEIVE_HEADERS): _S.OPEN,
    (_S.OPEN, _E.RECEIVE_DATA): _S.OPEN,
    (_S.OPEN, _E.RECEIVE_END): _S.REMOTE_DONE,
    (_S.OPEN, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.OPEN, _E.RECEIVE_PROMISE): _S.OPEN,
    (_S.OPEN, _E.RECEIVE_WINDOW): _S.OPEN,
    (_S.LOCAL_DONE, _E.SEND_RESET): _S.CLOSED,
    # "An endpoint can receive any type of frame in this state."
    (_S.LOCAL_DONE, _E.RECEIVE_HEADERS): _S.LOCAL_DONE,
    (_S.LOCAL_DONE, _E.RECEIVE_DATA): _S.LOCAL_DONE,
    (_S.LOCAL_DONE, _E.RECEIVE_END): _S.CLOSED,
    (_S.LOCAL_DONE, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.LOCAL_DONE, _E.RECEIVE_PROMISE): _S.LOCAL_DONE,
    (_S.LOCAL_DONE, _E.RECEIVE_WINDOW): _S.LOCAL_DONE,
    (_S.REMOTE_DONE, _E.SEND_HEADERS): _S.REMOTE_DONE,
    (_S.REMOTE_DONE, _E.SEND_DATA): _S.REMOTE_DONE,
    (_S.REMOTE_DONE, _E.SEND_END): _S.CLOSED,
    (_S.REMOTE_DONE, _E.SEND_RESET): _S.CLOSED,
    (_S.REMOTE_DONE, _E.SEND_PROMISE): _S.REMOTE_DONE,
    (_S.REMOTE_DONE, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.REMOTE_DONE, _E.RECEIVE_WINDOW): _S.REMOTE_DONE,
    # "An endpoint that sends a frame with the END_STREAM flag set or a RST_STREAM frame might receive a WINDOW_UPDATE or RST_STREAM frame
    # from its peer in the time before the peer receives and processes the frame that closes the stream."
    (_S.CLOSED, _E.RECEIVE_RESET): _S.CLOSED,
    (_S.CLOSED, _E.RECEIVE_WINDOW): _S.CLOSED,
}

_MISTAKES: Final[dict[StreamState, tuple[bool, ErrorCode]]] = {
    # "Receiving any frame other than HEADERS or PRIORITY on a stream in this state MUST be treated as a connection error (Section 5.4.1) of
    # type PROTOCOL_ERROR."
    _S.IDLE: (True, ErrorCode.PROTOCOL_ERROR),
    # "Receiving any type of frame other than RST_STREAM, PRIORITY, or WINDOW_UPDATE on a stream in this state MUST be treated as a connection
    # error (Section 5.4.1) of type PROTOCOL_ERROR."
    _S.RESERVED_LOCAL: (True, ErrorCode.PROTOCOL_ERROR),
    # "Receiving any type of frame other than HEADERS, RST_STREAM, or PRIORITY on a stream in this state MUST be treated as a connection error
    # (Section 5.4.1) of type PROTOCOL_ERROR."
    _S.RESERVED_REMOTE: (True, ErrorCode.PROTOCOL_ERROR),
    # "If an endpoint receives additional frames, other than WINDOW_UPDATE, PRIORITY, or RST_STREAM, for a stream that is in this state, it MUST
    # respond with a stream error (Section 5.4.2) of type STREAM_CLOSED."
    _S.REMOTE_DONE: (False, ErrorCode.STREAM_CLOSED),
    # "An endpoint MAY treat receipt of any other type of frame on a closed stream as a connection error (Section 5.4.1) of type STREAM_CLOSED,
    # except as noted below." What is noted below is for streams that we have reset: their frames never get here.
    _S.CLOSED: (True, ErrorCode.STREAM_CLOSED),
}


def mistake(state: StreamState, step: StreamStep) -> tuple[bool, ErrorCode]:
    """What a peer's step is that the table does not have: whether the connection ends, and the code."""
    if step is StreamStep.RECEIVE_PROMISE:
        # "A receiver MUST treat the receipt of a PUSH_PROMISE on a stream that is neither "open" nor "half-closed (local)" as a connection
        # error (Section 5.4.1) of type PROTOCOL_ERROR." (§6.6)
        return True, ErrorCode.PROTOCOL_ERROR
    return _MISTAKES[state]
