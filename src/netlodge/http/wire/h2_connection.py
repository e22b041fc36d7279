"""What both directions of an HTTP/2 connection share: its streams, its windows, the peer's settings, and what is to be said.

RFC 9113 §5.1 (which streams there are), §5.2 and §6.9 (windows), §5.4 (errors), §6.5.2 (settings). `h2_receiving` and `h2` work on it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from netlodge.http.wire import h2_frames as frames
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
from netlodge.http.wire.h2_states import CLOSED, MISTAKES, TRANSITIONS, StreamStep
from netlodge.http.wire.states import Role

RESET_MEMORY: Final = 1000
"""Streams that we reset and still know of: what their peer had sent before it knew is no mistake (§5.1)."""
_PROTOCOL: Final = ErrorCode.PROTOCOL_ERROR


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
        self._resets: OrderedDict[int, None] = OrderedDict()
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

    def known(self, stream_id: int, kind: str) -> Stream | None:
        """The stream that a frame is for; None if the frame is to be ignored, because we have reset the stream. Raises for a stream that is
        idle, or closed by its end."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            return stream
        if stream_id == 0:
            raise Http2Error(_PROTOCOL, f"{kind} belongs to a stream.")
        if self.is_idle(stream_id):
            raise Http2Error(_PROTOCOL, f"{kind} on a stream that is idle.")
        if stream_id in self._resets or (self.goaway_id is not None and stream_id > self.goaway_id):
            return None
        raise Http2Error(ErrorCode.STREAM_CLOSED, f"{kind} on a stream that is closed.")

    def advance(self, stream: Stream, step: StreamStep) -> None:
        """A step that the peer took. Raises for one that is not in the table."""
        after = TRANSITIONS.get((stream.state, step))
        if after is None:
            is_fatal, code = MISTAKES[stream.state]
            detail = f"{step.name} on a stream that is {stream.state.name}."
            raise Http2Error(code, detail) if is_fatal else StreamError(stream.stream_id, code, detail)
        stream.state = after

    def remember_reset(self, stream_id: int) -> None:
        """What still comes for a stream that we reset is to be ignored."""
        self._resets[stream_id] = None
        if len(self._resets) > RESET_MEMORY:
            self._resets.popitem(last=False)

    def end_stream_for(self, error: StreamError) -> None:
        """A stream error (§5.4.2): reset the stream, and go on."""
        self.credit.spend_reset("streams that had to be reset")
        self.outgoing.append(frames.reset_frame(error.stream_id, error.code))
        stream = self.streams.get(error.stream_id)
        self.remember_reset(error.stream_id)
        if stream is not None:
            self.close_stream(stream)
            if stream.has_head or stream.owner is not None:
                self.events.append(StreamEnded(stream, error.code, is_ours=True, detail=error.detail))

    def consumed(self, stream: Stream, octets: int) -> None:
        """Content was taken: let the peer send as much again (§6.9). Said when half a window has gathered."""
        stream.consumed += octets
        stream_window = self.limits.stream_window
        if stream.consumed * 2 >= stream_window and stream.stream_id in self.streams:
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
        if key == Setting.ENABLE_PUSH and (value > 1 or (value and self.role is Role.CLIENT)):
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
                self.events.append(WindowOpened(None))
        if key == Setting.MAX_FRAME_SIZE and not DEFAULT_FRAME <= value <= LARGEST_FRAME:
            raise Http2Error(_PROTOCOL, "MAX_FRAME_SIZE is out of range.")
        if key in {Setting.ENABLE_CONNECT_PROTOCOL, Setting.NO_RFC7540_PRIORITIES} and value > 1:
            raise Http2Error(_PROTOCOL, "A setting that is 0 or 1 is neither.")
        if key == Setting.HEADER_TABLE_SIZE and value < self.peer_settings[key]:
            # What we send leaves the dynamic table empty: an update to zero says so, whatever the peer allows (RFC 7541 §4.2).
            self.table_update = b"\x20"
        if key in self.peer_settings:
            self.peer_settings[key] = value
