"""How the tests of HTTP/2 speak: frames and field blocks as octets, codecs that have met, and what one of them says, taken apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import (
    ConnectionFailed,
    DataReceived,
    Http2Event,
    RequestReceived,
    ResponseReceived,
    Stream,
)
from netlodge.http.wire.h2_frames import ErrorCode, Setting, frame, settings_frame
from netlodge.http.wire.hpack import Field, TableStates, encode_stateless
from netlodge.http.wire.states import Role

LIMITS = Http2Limits()
ES, EH = frames.END_STREAM, frames.END_HEADERS
GET: list[Field] = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "example.org")]
POST: list[Field] = [(":method", "POST"), *GET[1:]]
CONNECT: list[Field] = [(":method", "CONNECT"), (":authority", "example.org:443")]
OK: list[Field] = [(":status", "200")]
PING = frame(frames.PING, 0, 0, b"are you?")
PONG = frame(frames.PING, frames.ACK, 0, b"are you?")
BEGIN = frames.PREFACE + settings_frame([])
"""What a client begins with, at the least."""


class Frame(NamedTuple):
    """One frame that was sent."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def parsed(octets: bytes) -> list[Frame]:
    """The frames that `octets` are, and nothing is left over."""
    found = []
    while octets:
        length = int.from_bytes(octets[:3], "big")
        assert len(octets) >= 9 + length, "a frame is cut short"
        assert not octets[5] & 0x80, "the reserved bit is set"
        found.append(Frame(octets[3], octets[4], int.from_bytes(octets[5:9], "big"), octets[9 : 9 + length]))
        octets = octets[9 + length :]
    return found


def of_kind(octets: bytes, kind: int) -> list[Frame]:
    return [sent for sent in parsed(octets) if sent.kind == kind]


# --- what a peer says -----------------------------------------------------------------------------------------------------------


def headers(stream_id: int, fields: Iterable[Field] = GET, flags: int = EH | ES, *, prefix: bytes = b"") -> bytes:
    """HEADERS with `prefix` (padding length, priority) before the block."""
    return frame(frames.HEADERS, flags, stream_id, prefix + encode_stateless(fields))


def data(stream_id: int, octets: bytes = b"", flags: int = 0) -> bytes:
    return frame(frames.DATA, flags, stream_id, octets)


def continuation(stream_id: int, block: bytes = b"", flags: int = EH) -> bytes:
    return frame(frames.CONTINUATION, flags, stream_id, block)


def reset(stream_id: int, code: int = ErrorCode.CANCEL) -> bytes:
    return frames.reset_frame(stream_id, code)


def window(stream_id: int, increment: int) -> bytes:
    return frames.window_update_frame(stream_id, increment)


def priority(stream_id: int, parent_id: int = 0, weight: int = 16, *, is_exclusive: bool = False) -> bytes:
    return frame(frames.PRIORITY, 0, stream_id, priority_octets(parent_id, weight, is_exclusive=is_exclusive))


def priority_octets(parent_id: int = 0, weight: int = 16, *, is_exclusive: bool = False) -> bytes:
    return (parent_id | is_exclusive << 31).to_bytes(4, "big") + bytes((weight - 1,))


def priority_update(prioritized: int, value: str = "u=1") -> bytes:
    return frame(frames.PRIORITY_UPDATE, 0, 0, prioritized.to_bytes(4, "big") + value.encode())


def setting(key: int, value: int) -> bytes:
    return settings_frame([(key, value)])


def promise(stream_id: int, promised_id: int, fields: Iterable[Field] = GET, flags: int = EH) -> bytes:
    payload = promised_id.to_bytes(4, "big") + encode_stateless(fields)
    return frame(frames.PUSH_PROMISE, flags, stream_id, payload)


# --- codecs ---------------------------------------------------------------------------------------------------------------------


def states() -> TableStates:
    return TableStates(1 << 20)


def server(limits: Http2Limits = LIMITS, *settings: tuple[int, int]) -> Http2Codec:
    """A server that has met its client, whose `settings` are these, and has acknowledged them; nothing is left to be said."""
    codec = Http2Codec(Role.SERVER, limits, states())
    codec.begin()
    codec.receive_data(frames.PREFACE + settings_frame(settings) + frames.SETTINGS_ACK)
    return rested(codec)


def client(limits: Http2Limits = LIMITS, *settings: tuple[int, int]) -> Http2Codec:
    """A client that has met its server."""
    codec = Http2Codec(Role.CLIENT, limits, states())
    codec.begin()
    codec.receive_data(settings_frame(settings) + frames.SETTINGS_ACK)
    return rested(codec)


def rested(codec: Http2Codec) -> Http2Codec:
    """The codec, once all that happened is taken."""
    events = taken(codec)
    assert not [event for event in events if isinstance(event, ConnectionFailed)], events
    codec.take_outgoing()
    codec.refill_credit()
    return codec


def taken(codec: Http2Codec) -> list[Http2Event]:
    """All events that are there."""
    events = []
    while (event := codec.next_event()) is not None:
        events.append(event)
    return events


def fed(codec: Http2Codec, *segments: bytes) -> list[Http2Event]:
    """The events of these octets."""
    for segment in segments:
        codec.receive_data(segment)
    return taken(codec)


def said(codec: Http2Codec, *segments: bytes) -> list[Frame]:
    """What the codec says by itself to these octets."""
    for segment in segments:
        codec.receive_data(segment)
    return parsed(codec.take_outgoing())


def stream_of(codec: Http2Codec, stream_id: int) -> Stream:
    return codec.streams[stream_id]


def asked(codec: Http2Codec, fields: list[Field] | None = None, *, ends: bool = True) -> Stream:
    """The stream of a request that a client has sent."""
    fields = GET if fields is None else fields
    stream, _ = codec.open(fields, encode_stateless(fields), ends=ends)
    return stream


def described(events: Iterable[Http2Event]) -> list[tuple[object, ...]]:
    """Events as values that can be compared: streams by their numbers, content that follows itself in one."""
    found: list[tuple[object, ...]] = []
    for event in events:
        parts: list[object] = [type(event).__name__]
        for name in event.__dataclass_fields__:
            value = getattr(event, name)
            parts.append(value.stream_id if isinstance(value, Stream) else value)
        if isinstance(event, RequestReceived | ResponseReceived):
            parts = [repr(part) for part in parts]
        if isinstance(event, DataReceived) and found and found[-1][:2] == tuple(parts[:2]):
            _, stream_id, content, octets = found[-1]
            found[-1] = (parts[0], stream_id, content + event.data, octets + event.octets)  # type: ignore[operator]
            continue
        found.append(tuple(parts))
    return found


def window_of(codec: Http2Codec) -> int:
    """What the peer's INITIAL_WINDOW_SIZE is."""
    return codec.peer_settings[Setting.INITIAL_WINDOW_SIZE]
