"""What both directions of an HTTP/2 connection share: its streams, its windows, the peer's settings, and what is to be said.

RFC 9113 §5.1 (which streams there are), §5.2 and §6.9 (windows), §5.4 (errors), §6.5.2 (settings). `h2_receiving` and `h2` work on it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.h2_credit import Credit, Http2Limits
from netlodge.http.wire.h2_events import Http2Event, Stream, StreamEnded, WindowOpened
from netlodge.http.wire.h2_frames import (
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    ErrorCode,
    Http2Error,
    Setting,
    StreamError,
)
from netlodge.http.wire.h2_states import CLOSED, IDLE, TRANSITIONS, StreamStep, mistake
from netlodge.http.wire.states import Role

RESET_MEMORY: Final = 1000
"""Streams that we reset and still know of: what their peer had sent before it knew is no mistake (§5.1)."""
SKIP_MEMORY: Final = 32
"""Gaps in the peer's numbers that we still know of."""
_PROTOCOL: Final = ErrorCode.PROTOCOL_ERROR

AnswerAtOnce = Callable[[int, RequestHead], bool]
"""Asked for a request on a new stream that came before, octet by octet, ends with its head, and is the first of what was read that nobody has
taken yet. True if the whole answer is among what is to be sent: then there is no stream to be made, for it would be closed before anything
else is read."""


class Http2Connection:
    """The state of one end of one connection."""

    def __init__(self, role: Role, limits: Http2Limits) -> None:
        self.role = role
        self.limits = limits
        self.credit = Credit(limits)
        self.events: deque[Http2Event] = deque()
        """What was read and not taken yet."""
        self.outgoing: list[bytes] = []
        """What is to be sent, in order: acknowledgements, resets and windows by themselves; and whoever sends puts what `send...` returned
        here, too, for an acknowledgement of settings must not come after what they allowed."""
        self.table_update = b""
        """What the next field block begins with."""
        self.answer_at_once: AnswerAtOnce | None = None
        """A server may set this; see there."""
        self.streams: dict[int, Stream] = {}
        """Those that are neither idle nor closed."""
        self.theirs = 0
        """How many of them the peer has opened or promised."""
        self.last_peer_id = 0
        self.last_own_id = 0
        self.goaway_id: int | None = None
        """The last of the peer's streams that we will look at, once we have said so."""
        self.has_goaway = False
        """True once the peer has said that it takes no new streams."""
        self.unacknowledged = 0
        """SETTINGS frames of ours that the peer has not acknowledged."""
        self.send_window = DEFAULT_WINDOW
        self.receive_window = DEFAULT_WINDOW
        self._resets: OrderedDict[int, None] = OrderedDict()
        self._skipped: deque[range] = deque(maxlen=SKIP_MEMORY)
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

    # --- streams (§5.1) -------------------------------------------------------------------------------------------------------------

    def new_stream(self, stream_id: int) -> Stream:
        """A stream that was idle until now."""
        stream = Stream(stream_id, self.peer_settings[Setting.INITIAL_WINDOW_SIZE], self.limits.stream_window)
        self.streams[stream_id] = stream
        if self.is_theirs(stream_id):
            self.theirs += 1
        return stream

    def close_stream(self, stream: Stream) -> None:
        """A stream is over."""
        stream.state = CLOSED
        if self.streams.pop(stream.stream_id, None) is not None and self.is_theirs(stream.stream_id):
            self.theirs -= 1

    def is_theirs(self, stream_id: int) -> bool:
        """Clients have odd numbers (§5.1.1)."""
        return stream_id % 2 == (1 if self.role is Role.SERVER else 0)

    def is_idle(self, stream_id: int) -> bool:
        """True for a number that was not used yet."""
        return stream_id > (self.last_peer_id if self.is_theirs(stream_id) else self.last_own_id)

    def use_peer_id(self, stream_id: int) -> None:
        """The peer has opened or promised a stream that was idle: so all before it that still were are closed (§5.1.1)."""
        if stream_id - self.last_peer_id > 2:
            self._skipped.append(range(self.last_peer_id + 1, stream_id))
        self.last_peer_id = stream_id

    def was_skipped(self, stream_id: int) -> bool:
        """True for a number that was passed over, and cannot be used any more."""
        return self.is_theirs(stream_id) and any(stream_id in numbers for numbers in self._skipped)

    def known(self, stream_id: int, step: StreamStep) -> Stream | None:
        """The stream that a frame of the peer's is for; None if the frame is to be ignored, because the stream is closed and that is no
        mistake. Raises `Http2Error` if it is one, and for a stream that is idle."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            return stream
        if stream_id == 0:
            raise Http2Error(_PROTOCOL, "A frame that belongs to a stream names none.")
        state = IDLE if self.is_idle(stream_id) else CLOSED
        if state is CLOSED and ((state, step) in TRANSITIONS or self.was_reset(stream_id)):
            return None
        _, code = mistake(state, step)
        raise Http2Error(code, f"{step.name} on a stream that is {state.name}.")

    def advance(self, stream: Stream, step: StreamStep) -> None:
        """A step that the peer took. Raises `Http2Error` or `StreamError` for one that is not in the table."""
        after = TRANSITIONS.get((stream.state, step))
        if after is None:
            is_fatal, code = mistake(stream.state, step)
            detail = f"{step.name} on a stream that is {stream.state.name}."
            raise Http2Error(code, detail) if is_fatal else StreamError(stream.stream_id, code, detail)
        stream.state = after

    # --- errors (§5.4) --------------------------------------------------------------------------------------------------------------

    def was_reset(self, stream_id: int) -> bool:
        """True for a stream that we ended, or would not begin: "An endpoint MUST minimally process and then discard any frames it receives
        in this state." (§5.1) "Once the GOAWAY is sent, the sender will ignore frames sent on streams initiated by the receiver if the stream
        has an identifier higher than the included last stream identifier." (§6.8)"""
        return stream_id in self._resets or (
            self.goaway_id is not None and stream_id > self.goaway_id and self.is_theirs(stream_id)
        )

    def remember_reset(self, stream_id: int) -> None:
        """What still comes for a stream that we reset is to be ignored."""
        self._resets[stream_id] = None
        if len(self._resets) > RESET_MEMORY:
            self._resets.popitem(last=False)

    def refuse(self, stream_id: int) -> None:
        """A stream too many (§5.1.2): the client may ask again. It is no more than bad luck as long as the client could not know."""
        if self.unacknowledged:
            self.credit.spend(1, "streams at once")
        else:
            self.credit.spend_reset("streams at once")
        self.outgoing.append(frames.reset_frame(stream_id, ErrorCode.REFUSED_STREAM))
        self.remember_reset(stream_id)

    def end_stream_for(self, error: StreamError) -> None:
        """A stream error (§5.4.2): reset the stream, and go on. Raises `Http2Error` if there is no stream to be reset, or no credit."""
        self.credit.spend_reset("streams that had to be reset")
        stream_id = error.stream_id
        stream = self.streams.get(stream_id)
        if stream is None:
            if self.is_idle(stream_id):
                # "RST_STREAM frames MUST NOT be sent for a stream in the "idle" state." (§6.4) "In particular, an endpoint MAY choose to treat a
                # stream error as a connection error." (§5.4.1)
                raise Http2Error(error.code, error.detail)
            return  # "An endpoint MUST NOT send frames other than PRIORITY on a closed stream." (§5.1)
        self.outgoing.append(frames.reset_frame(stream_id, error.code))
        self.remember_reset(stream_id)
        self.close_stream(stream)
        self.events.append(StreamEnded(stream, error.code, is_ours=True, detail=error.detail))

    @property
    def last_stream_id(self) -> int:
        """What a GOAWAY names. "Endpoints MUST NOT increase the value they send in the last stream identifier" (§6.8)."""
        return self.last_peer_id if self.goaway_id is None else min(self.goaway_id, self.last_peer_id)

    # --- windows (§5.2, §6.9) -------------------------------------------------------------------------------------------------------

    def consumed(self, stream: Stream, octets: int) -> None:
        """Content was taken: let the peer send as much again. Said when half a window has gathered, and if the peer can still send."""
        stream.consumed += octets
        if stream.consumed * 2 >= self.limits.stream_window and (stream.state, StreamStep.RECEIVE_DATA) in TRANSITIONS:
            self.outgoing.append(frames.window_update_frame(stream.stream_id, stream.consumed))
            stream.receive_window += stream.consumed
            stream.consumed = 0
        self.give_back(octets)

    def give_back(self, octets: int) -> None:
        """Content was taken, or will never be: let the connection's window open again."""
        self._consumed += octets
        if self._consumed * 2 >= self.limits.connection_window:
            self.outgoing.append(frames.window_update_frame(0, self._consumed))
            self.receive_window += self._consumed
            self._consumed = 0

    # --- settings (§6.5.2) ----------------------------------------------------------------------------------------------------------

    def apply_setting(self, key: int, value: int) -> None:
        """One setting of the peer's is in force from now on. Raises `Http2Error`."""
        is_server = self.role is Role.SERVER
        if key == Setting.ENABLE_PUSH and (value > 1 or (value and not is_server)):
            raise Http2Error(_PROTOCOL, "ENABLE_PUSH is 0 or 1, and 0 from a server.")
        if key == Setting.INITIAL_WINDOW_SIZE:
            self._resize_windows(value)
        if key == Setting.MAX_FRAME_SIZE and not DEFAULT_FRAME <= value <= LARGEST_FRAME:
            raise Http2Error(_PROTOCOL, "MAX_FRAME_SIZE is out of range.")
        # "Receipt of this parameter by a server does not have any impact." (RFC 8441 §3)
        if key == Setting.ENABLE_CONNECT_PROTOCOL and value > 1 and not is_server:
            raise Http2Error(_PROTOCOL, "ENABLE_CONNECT_PROTOCOL is 0 or 1.")
        if key == Setting.NO_RFC7540_PRIORITIES and value > 1:
            raise Http2Error(_PROTOCOL, "NO_RFC7540_PRIORITIES is 0 or 1.")
        if key == Setting.HEADER_TABLE_SIZE and value < self.peer_settings[key]:
            # What we send leaves the dynamic table empty: an update to zero says so, whatever the peer allows (RFC 7541 §4.2).
            self.table_update = b"\x20"
        if key in self.peer_settings:
            self.peer_settings[key] = value

    def _resize_windows(self, value: int) -> None:
        if value > LARGEST_WINDOW:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large.")
        # "When the value of SETTINGS_INITIAL_WINDOW_SIZE changes, a receiver MUST adjust the size of all stream flow-control windows that it
        # maintains by the difference between the new value and the old value." (§6.9.2)
        difference = value - self.peer_settings[Setting.INITIAL_WINDOW_SIZE]
        for stream in self.streams.values():
            stream.send_window += difference
            if stream.send_window > LARGEST_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE makes a window too large.")
        if difference > 0 and self.streams:
            self.events.append(WindowOpened(None))
