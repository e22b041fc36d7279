"""How the WebSocket codec's tests make frames by hand, and feed them: whole, octet by octet, and with more behind them."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from netlodge.http.wire.events import Pause
from netlodge.http.wire.states import Role
from netlodge.http.wire.websocket import WebSocketCodec
from netlodge.http.wire.websocket_deflate import Deflate
from netlodge.http.wire.websocket_events import Event, Fragment, WebSocketError
from netlodge.http.wire.websocket_states import FIN

KEY = b"\x37\xfa\x21\x3d"
"""The masking key of the examples in RFC 6455 §5.7."""
LIMIT = 1 << 20


def xor(octets: bytes, key: bytes) -> bytes:
    """Masking as §5.3 words it."""
    return bytes(octet ^ key[place % 4] for place, octet in enumerate(octets))


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, bits: int = 0, key: bytes | None = KEY) -> bytes:
    """A frame as a client sends it (`key` None: as a server does). `bits` are reserved bits to set, from 0x10 to 0x70."""
    mask = 0x80 if key else 0
    first = (FIN if fin else 0) | bits | opcode
    if len(payload) < 126:
        head = bytes((first, mask | len(payload)))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, mask | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, mask | 127, len(payload))
    return head + key + xor(payload, key) if key else head + payload


def server(*, limit: int = LIMIT, deflate: Deflate | None = None) -> WebSocketCodec:
    return WebSocketCodec(Role.SERVER, message_limit=limit, deflate=deflate)


def client(*, limit: int = LIMIT, deflate: Deflate | None = None) -> WebSocketCodec:
    return WebSocketCodec(Role.CLIENT, message_limit=limit, deflate=deflate, makes_keys=lambda: KEY)


def outcome(codec: WebSocketCodec, segments: Iterable[bytes]) -> tuple[list[Event], WebSocketError | None]:
    """All events but `Fragment`, which says nothing, and the error that ended them."""
    events: list[Event] = []
    try:
        for segment in segments:
            codec.receive_data(segment)
            while not isinstance(event := codec.next_event(), Pause):
                if not isinstance(event, Fragment):
                    events.append(event)
    except WebSocketError as error:
        return events, error
    return events, None
