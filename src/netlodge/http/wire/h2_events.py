"""What the HTTP/2 codec reads: the parts of messages by stream, and what concerns the connection (RFC 9113 §5, §6, §8.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from netlodge.http.message import Fields
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.h2_frames import ErrorCode
from netlodge.http.wire.h2_states import IDLE, StreamState


@dataclass(slots=True, eq=False)
class Stream:
    """One stream as the codec knows it. To be read by others; `owner` is theirs."""

    stream_id: int
    send_window: int
    """Octets of content that we may send. Below zero after the peer made its initial window smaller (§6.9.2)."""
    receive_window: int
    state: StreamState = IDLE
    method: str = ""
    expected: int | None = None
    """Octets of content that the head announced; None if it did not."""
    received: int = 0
    has_head: bool = False
    """True once a request, or a final response, was received."""
    is_tunnel: bool = False
    """True once CONNECT has made it one: no field section follows (§8.5)."""
    consumed: int = 0
    """Octets given back since the last WINDOW_UPDATE."""
    owner: object = None


@dataclass(slots=True)
class RequestReceived:
    """A request's head. `protocol` is that of an extended CONNECT (RFC 8441)."""

    stream: Stream
    head: RequestHead
    has_ended: bool
    protocol: str | None = None


@dataclass(slots=True)
class RequestTooLarge:
    """A request whose fields are more than SETTINGS_MAX_HEADER_LIST_SIZE: to be answered 431 (§10.5.1)."""

    stream: Stream


@dataclass(slots=True)
class ResponseReceived:
    """The head of a response, interim ones too."""

    stream: Stream
    status: int
    fields: Fields
    has_ended: bool


@dataclass(slots=True)
class DataReceived:
    """Some content. `octets` of the windows are to be given back (`consumed`) when it was taken: its padding counts, too."""

    stream: Stream
    data: bytes
    octets: int


@dataclass(slots=True)
class MessageEnded:
    """The peer's message is complete."""

    stream: Stream
    trailers: Fields | None = None


@dataclass(slots=True)
class StreamEnded:
    """A stream was closed before its end. `is_ours`: by us, for what the peer did; maybe before anything else was read from it."""

    stream: Stream
    code: int
    is_ours: bool = False
    detail: str = ""


@dataclass(slots=True)
class PromiseReceived:
    """The server will answer a request that it made up itself (§8.4)."""

    stream: Stream
    promised: Stream
    fields: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class WindowOpened:
    """More may be sent: on one stream, or (None) on all."""

    stream: Stream | None


@dataclass(slots=True)
class Priority:
    """What a client said of a stream's place in the tree of RFC 7540 §5.3, which RFC 9113 §5.3.2 keeps parsing. The stream may be idle or
    closed."""

    stream_id: int
    parent_id: int
    weight: int
    """1 to 256."""
    is_exclusive: bool


@dataclass(slots=True)
class PriorityUpdated:
    """A PRIORITY_UPDATE (RFC 9218 §7.1): `value` is that of a Priority field. The stream may be idle, and the client's request come with
    a Priority field of its own later: "the most recently received PRIORITY_UPDATE frame can be considered as the most up-to-date information
    that overrides any other signal" (RFC 9218 §7)."""

    stream_id: int
    value: str


@dataclass(slots=True)
class SettingsReceived:
    """The peer's settings, in order; they were acknowledged and are in force."""

    settings: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class SettingsAcknowledged:
    """Ours are in force at the peer's (§6.5.3)."""


@dataclass(slots=True)
class PingAcknowledged:
    payload: bytes


@dataclass(slots=True)
class GoawayReceived:
    """The peer begins no more, and has not looked at streams after `last_stream_id` (§6.8)."""

    last_stream_id: int
    code: int
    debug: bytes


@dataclass(slots=True)
class ConnectionFailed:
    """The peer did what ends the connection: a GOAWAY that says so is among what is to be sent, and nothing more will be read."""

    code: ErrorCode
    detail: str


Http2Event = (
    RequestReceived
    | RequestTooLarge
    | ResponseReceived
    | DataReceived
    | MessageEnded
    | StreamEnded
    | PromiseReceived
    | WindowOpened
    | Priority
    | PriorityUpdated
    | SettingsReceived
    | SettingsAcknowledged
    | PingAcknowledged
    | GoawayReceived
    | ConnectionFailed
)
