"""The frames of HTTP/2: their types, flags, codes, and their octets.

RFC 9113 §4.1 (format), §6 (definitions), §7 (error codes); RFC 9218 §7.1 (PRIORITY_UPDATE); RFC 8441 §3, RFC 9218 §2.1 (settings). Pure
functions; what a frame means where, `h2` knows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from netlodge.core.errors import NetlodgeError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client begins with (§3.4)."""
HEADER: Final = 9
"""Octets before each payload."""
LARGEST_WINDOW: Final = (1 << 31) - 1
DEFAULT_WINDOW: Final = 65535
DEFAULT_FRAME: Final = 1 << 14
LARGEST_FRAME: Final = (1 << 24) - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE: Final = 0x10

END_STREAM: Final = 0x01
ACK: Final = 0x01
END_HEADERS: Final = 0x04
PADDED: Final = 0x08
WITH_PRIORITY: Final = 0x20


class ErrorCode(IntEnum):
    """§7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Setting(IntEnum):
    """§6.5.2, RFC 8441 §3, RFC 9218 §2.1."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8
    NO_RFC7540_PRIORITIES = 0x9


class Http2Error(NetlodgeError):
    """What ends the connection (§5.4.1)."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code.name}: {detail}")
        self.code = code
        self.detail = detail


class StreamError(Http2Error):
    """What ends one stream (§5.4.2)."""

    def __init__(self, stream_id: int, code: ErrorCode, detail: str) -> None:
        super().__init__(code, detail)
        self.stream_id = stream_id


_header = struct.Struct(">HBBBI").pack
_pair = struct.Struct(">HI")
_word = struct.Struct(">I").pack
_two_words = struct.Struct(">II").pack


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame (§4.1)."""
    length = len(payload)
    return _header(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def frame_header(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """The nine octets before a payload of `length` octets."""
    return _header(length >> 8, length & 0xFF, kind, flags, stream_id)


def settings_frame(settings: Iterable[tuple[int, int]]) -> bytes:
    """§6.5."""
    return frame(SETTINGS, 0, 0, b"".join(_pair.pack(key, value) for key, value in settings))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """The pairs in order; whoever calls has looked at the length."""
    return [(key, value) for key, value in _pair.iter_unpack(payload)]


def reset_frame(stream_id: int, code: int) -> bytes:
    """§6.4."""
    return frame(RST_STREAM, 0, stream_id, _word(code))


def ping_frame(payload: bytes, *, is_ack: bool) -> bytes:
    """§6.7: `payload` has eight octets."""
    return frame(PING, ACK if is_ack else 0, 0, payload)


def goaway_frame(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """§6.8."""
    return frame(GOAWAY, 0, 0, _two_words(last_stream_id, code) + debug)


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """§6.9."""
    return frame(WINDOW_UPDATE, 0, stream_id, _word(increment))


def header_frames(stream_id: int, block: bytes, frame_size: int, *, ends: bool) -> bytes:
    """A field block as one HEADERS frame and as many CONTINUATION frames as it takes (§6.2, §6.10)."""
    flags = END_STREAM if ends else 0
    if len(block) <= frame_size:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    pieces = [block[start : start + frame_size] for start in range(0, len(block), frame_size)]
    frames = [frame(HEADERS, flags, stream_id, pieces[0])]
    frames += [frame(CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]))
    return b"".join(frames)


def data_frames(stream_id: int, data: bytes, frame_size: int, *, ends: bool) -> bytes:
    """Content as DATA frames (§6.1); the last has END_STREAM if it `ends`. Nothing if there is nothing to say."""
    if not data and not ends:
        return b""
    if len(data) <= frame_size:
        return frame(DATA, END_STREAM if ends else 0, stream_id, data)
    frames = []
    for start in range(0, len(data), frame_size):
        piece = data[start : start + frame_size]
        is_last = start + frame_size >= len(data)
        frames.append(frame(DATA, END_STREAM if ends and is_last else 0, stream_id, piece))
    return b"".join(frames)


def without_padding(flags: int, payload: bytes) -> bytes:
    """The payload of DATA, HEADERS or PUSH_PROMISE without its padding. Raises `Http2Error`: "If the length of the padding is the length of
    the frame payload or greater, the recipient MUST treat this as a connection error (Section 5.4.1) of type PROTOCOL_ERROR." (§6.1)"""
    if not flags & PADDED:
        return payload
    if not payload:
        raise Http2Error(ErrorCode.FRAME_SIZE_ERROR, "A padded frame has no octet that says how far.")
    padding = payload[0]
    if padding >= len(payload):
        raise Http2Error(ErrorCode.PROTOCOL_ERROR, "The padding is longer than its frame.")
    return payload[1 : len(payload) - padding]
