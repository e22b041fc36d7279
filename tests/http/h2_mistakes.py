"""What a client can do on an HTTP/2 connection, right and wrong, and what a server makes of it. As data.

The cases are those that conformance suites ask for (sections 3 to 8 of RFC 9113, 2 to 6 of RFC 7541), and more. Whoever carries HTTP/2 can
be held against this table: the codec in all segmentations, a whole lodge over a socket.
"""

from __future__ import annotations

from typing import NamedTuple

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_frames import ErrorCode, Setting, frame, settings_frame
from netlodge.http.wire.hpack import encode_stateless
from tests.http.wire.h2_feeding import (
    CONNECT,
    EH,
    ES,
    GET,
    POST,
    continuation,
    data,
    headers,
    priority,
    priority_octets,
    priority_update,
    reset,
    setting,
    window,
)

PADDED, PRIORITY = frames.PADDED, frames.WITH_PRIORITY
LARGEST = frames.LARGEST_WINDOW


class Connection(NamedTuple):
    """The connection ends with this code."""

    code: ErrorCode


class OfStream(NamedTuple):
    """One stream is reset with this code; the connection lives."""

    stream_id: int
    code: ErrorCode


class Taken(NamedTuple):
    """It is no mistake: nothing is reset, and the connection lives."""


class Answer(NamedTuple):
    """In a script: the server answers the stream, wholly."""

    stream_id: int


class Reset(NamedTuple):
    """In a script: the server resets the stream."""

    stream_id: int


class Goaway(NamedTuple):
    """In a script: the server says GOAWAY, with the streams that were begun."""


Step = bytes | Answer | Reset | Goaway


class Case(NamedTuple):
    """What a client says after its preface and the acknowledgement of the server's settings, what the server does meanwhile, and what becomes
    of it."""

    section: str
    name: str
    script: tuple[Step, ...]
    outcome: Connection | OfStream | Taken


PROTOCOL, SIZE, CLOSED = ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR, ErrorCode.STREAM_CLOSED
FLOW, COMPRESSION, REFUSED = ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.COMPRESSION_ERROR, ErrorCode.REFUSED_STREAM
TAKEN = Taken()


def fine(section: str, name: str, *script: Step) -> Case:
    return Case(section, name, script, TAKEN)


def fatal(section: str, name: str, code: ErrorCode, *script: Step) -> Case:
    return Case(section, name, script, Connection(code))


def failed(section: str, name: str, code: ErrorCode, *script: Step, stream_id: int = 1) -> Case:
    return Case(section, name, script, OfStream(stream_id, code))


OPEN = headers(1, POST, EH)
"""A request whose content is to come."""
BLOCK = encode_stateless(GET)
FIRST, REST = BLOCK[:5], BLOCK[5:]
MORE = encode_stateless([("x", "y")])


def malformed(section: str, name: str, *fields: tuple[str, str]) -> Case:
    """A request that is none."""
    return failed(section, name, PROTOCOL, headers(1, fields))


def with_field(section: str, name: str, *fields: tuple[str, str]) -> Case:
    return malformed(section, name, *GET, *fields)


def raw(section: str, name: str, block: bytes) -> Case:
    """A block that is none."""
    return fatal(section, name, COMPRESSION, frame(frames.HEADERS, EH | ES, 1, block))


CASES: list[Case] = [
    # --- 3.4 connection preface: SETTINGS may come again, and be empty
    fine("9113 §3.4", "SETTINGS, empty", settings_frame([])),
    # --- 4.1 frame format
    fine("9113 §4.1", "a frame of unknown type", frame(0x16, 0, 0, b"x" * 8)),
    fine("9113 §4.1", "a frame of unknown type on an idle stream", frame(0xFE, 0xFF, 7, b"")),
    fine("9113 §4.1", "a frame of unknown type on a stream", OPEN, frame(0xFE, 0, 1, b"x"), data(1, b"a", ES)),
    fine("9113 §4.1", "a frame of unknown type on a closed stream", headers(1), Answer(1), frame(0xFE, 0, 1, b"x")),
    fine("9113 §4.1", "unknown flags on PING", frame(frames.PING, 0xFE, 0, b"x" * 8)),
    fine("9113 §4.1", "unknown flags on DATA", OPEN, data(1, b"a", 0xF6 | ES)),
    fine("9113 §4.1", "unknown flags on HEADERS", headers(1, GET, 0xD2 | EH | ES)),
    fine("9113 §4.1", "unknown flags on SETTINGS", frame(frames.SETTINGS, 0xFE, 0)),
    fine("9113 §4.1", "unknown flags on WINDOW_UPDATE", frame(frames.WINDOW_UPDATE, 0xFF, 0, b"\0\0\0\1")),
    fine("9113 §4.1", "unknown flags on PRIORITY", frame(frames.PRIORITY, 0xFF, 3, priority_octets())),
    fine("9113 §4.1", "unknown flags on RST_STREAM", OPEN, frame(frames.RST_STREAM, 0xFF, 1, b"\0\0\0\x08")),
    fine("9113 §4.1", "the reserved bit of a header", frame(frames.PING, 0, 1 << 31, b"x" * 8)),
    fine("9113 §4.1", "the reserved bit of HEADERS", headers(1 | 1 << 31)),
    # --- 4.2 frame size
    fine("9113 §4.2", "DATA of 2^14 octets", OPEN, data(1, b"x" * (1 << 14))),
    fine("9113 §4.2", "an unknown frame of 2^14 octets", frame(0xFE, 0, 0, b"x" * (1 << 14))),
    fatal("9113 §4.2", "DATA of 2^14 + 1 octets", SIZE, OPEN, data(1, b"x" * ((1 << 14) + 1))),
    fatal("9113 §4.2", "HEADERS of 2^14 + 1 octets", SIZE, headers(1, prefix=b"\x20" * (1 << 14))),
    fatal("9113 §4.2", "an unknown frame of 2^14 + 1 octets", SIZE, frame(0xFE, 0, 0, b"x" * ((1 << 14) + 1))),
    fatal("9113 §4.2", "SETTINGS of 2^14 + 2 octets", SIZE, frame(frames.SETTINGS, 0, 0, b"\0" * 16386)),
    # --- 4.3 field blocks
    raw("9113 §4.3", "a literal without its string", b"\x40"),
    raw("9113 §4.3", "an index that is in no table", b"\xff\x81\x01"),
    fatal("9113 §4.3", "PRIORITY within a block", PROTOCOL, headers(1, GET, ES), priority(1), continuation(1)),
    fatal("9113 §4.3", "HEADERS of another stream within", PROTOCOL, headers(1, GET, ES), headers(3), continuation(1)),
    fine("9113 §4.3", "a block in the pieces of a field", frame(frames.HEADERS, ES, 1, FIRST), continuation(1, REST)),
    fatal(
        "9113 §4.3", "a block that is none on a stream that was reset", COMPRESSION,
        OPEN, Reset(1), frame(frames.HEADERS, EH | ES, 1, b"\x40"),
    ),
    fine(
        "9113 §4.3", "a block on a stream that was reset is read for its tables",
        OPEN, Reset(1), frame(frames.HEADERS, EH | ES, 1, b"\x40\x01a\x01b"), frame(frames.HEADERS, EH | ES, 3, BLOCK + b"\xbe"),
    ),
    fine(
        "9113 §4.3", "a block of a stream that was refused by GOAWAY is read for its tables",
        OPEN, Goaway(), frame(frames.HEADERS, EH | ES, 3, BLOCK + b"\x40\x01a\x01b"), frame(frames.HEADERS, EH | ES, 5, b"\xbe"),
    ),
    # --- 5.1 stream states
    fatal("9113 §5.1", "idle: DATA", PROTOCOL, data(1, b"test", ES)),
    fatal("9113 §5.1", "idle: RST_STREAM", PROTOCOL, reset(1)),
    fatal("9113 §5.1", "idle: WINDOW_UPDATE", PROTOCOL, window(1, 100)),
    fatal("9113 §5.1", "idle: CONTINUATION", PROTOCOL, continuation(1, BLOCK)),
    fine("9113 §5.1", "idle: PRIORITY", priority(1), headers(1)),
    fine("9113 §5.1", "idle: HEADERS", headers(1)),
    failed("9113 §5.1", "half-closed (remote): DATA", CLOSED, headers(1), data(1, b"test", ES)),
    failed("9113 §5.1", "half-closed (remote): HEADERS", CLOSED, headers(1), headers(1)),
    failed("9113 §5.1", "half-closed (remote), by DATA: DATA", CLOSED, OPEN, data(1, b"a", ES), data(1, b"b")),
    failed("9113 §5.1", "half-closed (remote), by trailers: DATA", CLOSED, OPEN, headers(1, [("x", "y")]), data(1)),
    fatal("9113 §5.1", "half-closed (remote): CONTINUATION", PROTOCOL, headers(1), continuation(1, BLOCK)),
    fine("9113 §5.1", "half-closed (remote): WINDOW_UPDATE", headers(1), window(1, 9)),
    fine("9113 §5.1", "half-closed (remote): PRIORITY", headers(1), priority(1, 3)),
    fine("9113 §5.1", "half-closed (remote): RST_STREAM", headers(1), reset(1)),
    fine("9113 §5.1", "half-closed (local): DATA, trailers", OPEN, Answer(1), data(1, b"a"), headers(1, [("x", "y")])),
    fine("9113 §5.1", "half-closed (local): WINDOW_UPDATE", OPEN, Answer(1), window(1, 9)),
    fine("9113 §5.1", "half-closed (local): RST_STREAM", OPEN, Answer(1), reset(1)),
    fatal("9113 §5.1", "closed by the client's RST_STREAM: DATA", CLOSED, OPEN, reset(1), data(1, b"test", ES)),
    fatal("9113 §5.1", "closed by the client's RST_STREAM: HEADERS", CLOSED, OPEN, reset(1), headers(1)),
    fatal("9113 §5.1", "closed by the client's RST_STREAM: CONTINUATION", PROTOCOL, OPEN, reset(1), continuation(1)),
    fine("9113 §5.1", "closed by the client's RST_STREAM: another", OPEN, reset(1), reset(1)),
    fine("9113 §5.1", "closed by the client's RST_STREAM: PRIORITY", OPEN, reset(1), priority(1)),
    fine("9113 §5.1", "closed by the client's RST_STREAM: WINDOW_UPDATE", OPEN, reset(1), window(1, 1)),
    fatal("9113 §5.1", "closed: DATA", CLOSED, headers(1), Answer(1), data(1, b"test", ES)),
    fatal("9113 §5.1", "closed: HEADERS", CLOSED, headers(1), Answer(1), headers(1)),
    fatal("9113 §5.1", "closed, before a gap: HEADERS", CLOSED, headers(1), Answer(1), headers(7), headers(1)),
    fatal("9113 §5.1", "closed: CONTINUATION", PROTOCOL, headers(1), Answer(1), continuation(1, BLOCK)),
    fine("9113 §5.1", "closed: PRIORITY", headers(1), Answer(1), priority(1)),
    fine("9113 §5.1", "closed: WINDOW_UPDATE", headers(1), Answer(1), window(1, 1)),
    fine("9113 §5.1", "closed: WINDOW_UPDATE by nothing", headers(1), Answer(1), window(1, 0)),
    fine("9113 §5.1", "closed: RST_STREAM", headers(1), Answer(1), reset(1)),
    fine("9113 §5.1", "reset by us: DATA", OPEN, Reset(1), data(1, b"a"), data(1, b"", ES)),
    fine("9113 §5.1", "reset by us: HEADERS", OPEN, Reset(1), headers(1, [("x", "y")])),
    fine("9113 §5.1", "reset by us: HEADERS in pieces", OPEN, Reset(1), headers(1, [("x", "y")], ES), continuation(1)),
    fine("9113 §5.1", "reset by us: WINDOW_UPDATE, RST_STREAM", OPEN, Reset(1), window(1, 1), reset(1)),
    failed("9113 §5.1", "reset for a mistake: DATA", PROTOCOL, OPEN, headers(1, POST, EH), data(1, b"a")),
    # --- 5.1.1 stream identifiers
    fatal("9113 §5.1.1", "an even number", PROTOCOL, headers(2)),
    fatal("9113 §5.1.1", "an even number, after a request", PROTOCOL, headers(1), Answer(1), headers(4)),
    fatal("9113 §5.1.1", "a smaller number than before", PROTOCOL, headers(5), headers(3)),
    fatal("9113 §5.1.1", "the first number, passed over", PROTOCOL, headers(3), headers(1)),
    fatal("9113 §5.1.1", "HEADERS on 0", PROTOCOL, headers(0)),
    fine("9113 §5.1.1", "the largest number", headers(LARGEST)),
    fine("9113 §5.1.1", "numbers with gaps", headers(1), headers(7), headers(9), headers(101)),
    # --- 5.1.2 stream concurrency
    failed(
        "9113 §5.1.2", "a stream too many", REFUSED, *(headers(number, POST, EH) for number in range(1, 259, 2)), stream_id=257
    ),
    failed(
        "9113 §5.1.2", "a stream too many, with content", REFUSED,
        *(headers(number, POST, EH) for number in range(1, 259, 2)), data(257, b"a", ES), stream_id=257,
    ),
    fine("9113 §5.1.2", "as many as allowed", *(headers(number, POST, EH) for number in range(1, 257, 2))),
    fine(
        "9113 §5.1.2", "room again once one has ended",
        *(headers(number, POST, EH) for number in range(1, 257, 2)), reset(101), headers(257),
    ),
    # --- 5.3.1 of RFC 7540: dependencies
    failed("7540 §5.3.1", "HEADERS that depends on itself", PROTOCOL, headers(1, GET, EH | ES | PRIORITY, prefix=priority_octets(1))),
    failed("7540 §5.3.1", "PRIORITY that depends on itself", PROTOCOL, OPEN, priority(1, 1)),
    fatal("7540 §5.3.1", "PRIORITY that depends on itself, on an idle stream", PROTOCOL, priority(1, 1)),
    fine("7540 §5.3.1", "PRIORITY that depends on itself, on a closed stream", headers(1), Answer(1), priority(1, 1)),
    fine(
        "9218 §2.1", "PRIORITY that depends on itself, from one who said that it means nothing",
        setting(Setting.NO_RFC7540_PRIORITIES, 1), OPEN, priority(1, 1),
    ),
    # --- 5.4.1 connection errors: see every other; 5.5 extensions
    fatal("9113 §5.5", "an unknown frame within a block", PROTOCOL, headers(1, GET, ES), frame(0x16, 0, 1, b"x")),
    fatal("9113 §5.5", "an unknown frame on 0 within a block", PROTOCOL, headers(1, GET, ES), frame(0x16, 0, 0, b"x")),
    fine("9113 §5.5", "an unknown setting", setting(0xFF, 1)),
    # --- 6.1 DATA
    fine("9113 §6.1", "DATA", OPEN, data(1, b"test", ES)),
    fine("9113 §6.1", "several DATA", OPEN, data(1, b"te"), data(1, b"st"), data(1, b"", ES)),
    fine("9113 §6.1", "DATA with padding", OPEN, data(1, b"\x03test\0\0\0", PADDED | ES)),
    fine("9113 §6.1", "DATA with padding of no length", OPEN, data(1, b"\x00test", PADDED | ES)),
    fine("9113 §6.1", "DATA of padding alone", OPEN, data(1, b"\x03\0\0\0", PADDED | ES)),
    fatal("9113 §6.1", "DATA on 0", PROTOCOL, data(0, b"test", ES)),
    fatal("9113 §6.1", "padding as long as the frame", PROTOCOL, OPEN, data(1, b"\x05test", PADDED | ES)),
    fatal("9113 §6.1", "padding longer than the frame", PROTOCOL, OPEN, data(1, b"\xfftest", PADDED | ES)),
    fatal("9113 §6.1", "padding without its length", SIZE, OPEN, data(1, b"", PADDED | ES)),
    # --- 6.2 HEADERS
    fine("9113 §6.2", "HEADERS with padding", headers(1, GET, EH | ES | PADDED, prefix=b"\x00")),
    fine("9113 §6.2", "HEADERS with padding behind", frame(frames.HEADERS, EH | ES | PADDED, 1, b"\x02" + BLOCK + b"\0\0")),
    fine("9113 §6.2", "HEADERS with a priority", headers(1, GET, EH | ES | PRIORITY, prefix=priority_octets(0, 256))),
    fine(
        "9113 §6.2", "HEADERS with padding and priority",
        frame(frames.HEADERS, EH | ES | PADDED | PRIORITY, 1, b"\x01" + priority_octets(3, 1, is_exclusive=True) + BLOCK + b"\0"),
    ),
    fatal("9113 §6.2", "HEADERS, then PRIORITY, then CONTINUATION", PROTOCOL, headers(1, GET, ES), priority(1), continuation(1)),
    fatal("9113 §6.2", "HEADERS, then DATA within", PROTOCOL, OPEN, headers(3, GET, ES), data(1, b"a")),
    fatal("9113 §6.2", "HEADERS, then CONTINUATION of another stream", PROTOCOL, headers(1, GET, ES), continuation(3)),
    fatal("9113 §6.2", "HEADERS, then WINDOW_UPDATE of the connection", PROTOCOL, headers(1, GET, ES), window(0, 1)),
    fatal("9113 §6.2", "padding as long as the frame", PROTOCOL, frame(frames.HEADERS, EH | ES | PADDED, 1, b"\x02\x82")),
    fatal("9113 §6.2", "padding without its length", SIZE, frame(frames.HEADERS, EH | ES | PADDED, 1)),
    fatal("9113 §6.2", "too short for its priority", SIZE, frame(frames.HEADERS, EH | ES | PRIORITY, 1, b"\0\0\0\0")),
    # --- 6.3 PRIORITY
    fine("9113 §6.3", "PRIORITY with weight 1", priority(1, 0, 1)),
    fine("9113 §6.3", "PRIORITY with weight 256", priority(1, 0, 256)),
    fine("9113 §6.3", "PRIORITY with a dependency", priority(1, 0), priority(3, 1), headers(1)),
    fine("9113 §6.3", "PRIORITY, exclusive", priority(3, 1, is_exclusive=True)),
    fine("9113 §6.3", "PRIORITY on an even stream", priority(2, 0)),
    fatal("9113 §6.3", "PRIORITY on 0", PROTOCOL, priority(0, 3)),
    failed("9113 §6.3", "PRIORITY of 4 octets", SIZE, OPEN, frame(frames.PRIORITY, 0, 1, b"\0" * 4)),
    failed("9113 §6.3", "PRIORITY of 6 octets", SIZE, OPEN, frame(frames.PRIORITY, 0, 1, b"\0" * 6)),
    fatal("9113 §6.3", "PRIORITY of 4 octets, idle stream", SIZE, frame(frames.PRIORITY, 0, 1, b"\0" * 4)),
    # --- 6.4 RST_STREAM
    fine("9113 §6.4", "RST_STREAM", OPEN, reset(1)),
    fatal("9113 §6.4", "RST_STREAM on 0", PROTOCOL, reset(0)),
    fatal("9113 §6.4", "RST_STREAM on an idle stream", PROTOCOL, reset(1)),
    fatal("9113 §6.4", "RST_STREAM on an idle stream of the server's", PROTOCOL, reset(2)),
    fatal("9113 §6.4", "RST_STREAM of 3 octets", SIZE, OPEN, frame(frames.RST_STREAM, 0, 1, b"\0" * 3)),
    fatal("9113 §6.4", "RST_STREAM of 5 octets", SIZE, OPEN, frame(frames.RST_STREAM, 0, 1, b"\0" * 5)),
    # --- 6.5 SETTINGS
    fine("9113 §6.5", "SETTINGS", settings_frame([(1, 0), (2, 0), (3, 0), (4, 0), (5, 16384), (6, 0)])),
    fine("9113 §6.5", "an acknowledgement that nobody asked for", frames.SETTINGS_ACK),
    fatal("9113 §6.5", "an acknowledgement with a payload", SIZE, frame(frames.SETTINGS, frames.ACK, 0, b"\0")),
    fatal("9113 §6.5", "an acknowledgement with a setting", SIZE, frame(frames.SETTINGS, frames.ACK, 0, b"\0" * 6)),
    fatal("9113 §6.5", "SETTINGS on a stream", PROTOCOL, frame(frames.SETTINGS, 0, 1, b"\0\3\0\0\0\x64")),
    fatal("9113 §6.5", "an acknowledgement on a stream", PROTOCOL, OPEN, frame(frames.SETTINGS, frames.ACK, 1)),
    fatal("9113 §6.5", "SETTINGS of 3 octets", SIZE, frame(frames.SETTINGS, 0, 0, b"\0\3\0")),
    fatal("9113 §6.5", "SETTINGS of 7 octets", SIZE, frame(frames.SETTINGS, 0, 0, b"\0" * 7)),
    fatal("9113 §6.5.2", "ENABLE_PUSH of 2", PROTOCOL, setting(Setting.ENABLE_PUSH, 2)),
    fine("9113 §6.5.2", "ENABLE_PUSH of 0, then 1", setting(Setting.ENABLE_PUSH, 0), setting(Setting.ENABLE_PUSH, 1)),
    fatal("9113 §6.5.2", "INITIAL_WINDOW_SIZE of 2^31", FLOW, setting(Setting.INITIAL_WINDOW_SIZE, 1 << 31)),
    fatal("9113 §6.5.2", "INITIAL_WINDOW_SIZE of 2^32 - 1", FLOW, setting(Setting.INITIAL_WINDOW_SIZE, (1 << 32) - 1)),
    fine("9113 §6.5.2", "INITIAL_WINDOW_SIZE of 2^31 - 1", setting(Setting.INITIAL_WINDOW_SIZE, LARGEST)),
    fatal("9113 §6.5.2", "MAX_FRAME_SIZE of 2^14 - 1", PROTOCOL, setting(Setting.MAX_FRAME_SIZE, (1 << 14) - 1)),
    fatal("9113 §6.5.2", "MAX_FRAME_SIZE of 2^24", PROTOCOL, setting(Setting.MAX_FRAME_SIZE, 1 << 24)),
    fine("9113 §6.5.2", "MAX_FRAME_SIZE of 2^24 - 1", setting(Setting.MAX_FRAME_SIZE, (1 << 24) - 1)),
    fine("9113 §6.5.2", "HEADER_TABLE_SIZE of 2^32 - 1", setting(Setting.HEADER_TABLE_SIZE, (1 << 32) - 1)),
    fatal(
        "9113 §6.5.3", "a wrong value that a right one follows", PROTOCOL,
        settings_frame([(Setting.ENABLE_PUSH, 2), (Setting.ENABLE_PUSH, 0)]),
    ),
    fine("8441 §3", "ENABLE_CONNECT_PROTOCOL means nothing to a server", setting(Setting.ENABLE_CONNECT_PROTOCOL, 2)),
    fatal("9218 §2.1", "NO_RFC7540_PRIORITIES of 2", PROTOCOL, setting(Setting.NO_RFC7540_PRIORITIES, 2)),
    # --- 6.6 PUSH_PROMISE
    fatal("9113 §6.6", "PUSH_PROMISE", PROTOCOL, OPEN, frame(frames.PUSH_PROMISE, EH, 1, b"\0\0\0\2" + BLOCK)),
    fatal("9113 §6.6", "PUSH_PROMISE on 0", PROTOCOL, frame(frames.PUSH_PROMISE, EH, 0, b"\0\0\0\2" + BLOCK)),
    # --- 6.7 PING
    fine("9113 §6.7", "PING", frame(frames.PING, 0, 0, b"h2spec\0\0")),
    fine("9113 §6.7", "an acknowledgement of PING", frame(frames.PING, frames.ACK, 0, b"invalid\0")),
    fatal("9113 §6.7", "PING on a stream", PROTOCOL, frame(frames.PING, 0, 3, b"\0" * 8)),
    fatal("9113 §6.7", "PING of 6 octets", SIZE, frame(frames.PING, 0, 0, b"\0" * 6)),
    fatal("9113 §6.7", "PING of 9 octets", SIZE, frame(frames.PING, frames.ACK, 0, b"\0" * 9)),
    # --- 6.8 GOAWAY
    fine("9113 §6.8", "GOAWAY", frames.goaway_frame(0, ErrorCode.NO_ERROR, b"bye")),
    fine("9113 §6.8", "GOAWAY, and the streams before it go on", OPEN, frames.goaway_frame(0, 0), data(1, b"a", ES)),
    fatal("9113 §6.8", "GOAWAY on a stream", PROTOCOL, frame(frames.GOAWAY, 0, 1, b"\0" * 8)),
    fatal("9113 §6.8", "GOAWAY of 7 octets", SIZE, frame(frames.GOAWAY, 0, 0, b"\0" * 7)),
    fine("9113 §6.8", "after our GOAWAY: a new stream, its content and end", OPEN, Goaway(), headers(3, POST, EH), data(3, b"a"), reset(3)),
    fine("9113 §6.8", "after our GOAWAY: an old stream", OPEN, Goaway(), data(1, b"a", ES)),
    # --- 6.9 WINDOW_UPDATE
    fine("9113 §6.9", "WINDOW_UPDATE", window(0, 1)),
    fine("9113 §6.9", "WINDOW_UPDATE on a stream", OPEN, window(1, 1)),
    fine("9113 §6.9", "the reserved bit", frame(frames.WINDOW_UPDATE, 0, 0, b"\x80\0\0\1")),
    fatal("9113 §6.9", "by nothing", PROTOCOL, window(0, 0)),
    fatal("9113 §6.9", "by nothing but the reserved bit", PROTOCOL, frame(frames.WINDOW_UPDATE, 0, 0, b"\x80\0\0\0")),
    failed("9113 §6.9", "by nothing, on a stream", PROTOCOL, OPEN, window(1, 0)),
    fatal("9113 §6.9", "of 3 octets", SIZE, frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\1")),
    fatal("9113 §6.9", "of 5 octets, on a stream", SIZE, OPEN, frame(frames.WINDOW_UPDATE, 0, 1, b"\0\0\0\0\1")),
    fine("9113 §6.9.1", "up to 2^31 - 1", window(0, LARGEST - 65535)),
    fatal("9113 §6.9.1", "beyond 2^31 - 1", FLOW, window(0, LARGEST)),
    fatal("9113 §6.9.1", "beyond 2^31 - 1, in two", FLOW, window(0, LARGEST - 65535), window(0, 1)),
    failed("9113 §6.9.1", "beyond 2^31 - 1, on a stream", FLOW, OPEN, window(1, LARGEST)),
    failed("9113 §6.9.1", "beyond 2^31 - 1, on a stream, in two", FLOW, OPEN, window(1, LARGEST - 65535), window(1, 1)),
    fatal(
        "9113 §6.9.2", "a window beyond 2^31 - 1 by the initial size", FLOW,
        OPEN, window(1, LARGEST - 65535), setting(Setting.INITIAL_WINDOW_SIZE, 65536),
    ),
    fine("9113 §6.9.2", "a window below zero", OPEN, setting(Setting.INITIAL_WINDOW_SIZE, 0), window(1, 1)),
    failed("9113 §6.9", "more content than a stream's window", FLOW, OPEN, *[data(1, b"x" * 16384)] * 17),
    fine("9113 §6.9", "content as large as a stream's window", OPEN, *[data(1, b"x" * 16384)] * 16),
    fatal(
        "9113 §6.9", "more content than the connection's window", FLOW,
        *(headers(number, POST, EH) for number in (1, 3, 5, 7, 9)),
        *(data(number, b"x" * 16384) for number in (1, 3, 5, 7) for _ in range(16)), data(9, b"x"),
    ),
    # --- 6.10 CONTINUATION
    fine("9113 §6.10", "CONTINUATION", headers(1, GET, ES), continuation(1, MORE, 0), continuation(1, MORE)),
    fine("9113 §6.10", "CONTINUATION, empty", headers(1, GET, ES), continuation(1, b"", 0), continuation(1)),
    fine("9113 §6.10", "unknown flags", headers(1, GET, ES), continuation(1, b"", 0xFF)),
    fatal("9113 §6.10", "followed by a frame of another kind", PROTOCOL, headers(1, GET, ES), continuation(1, MORE, 0), data(1, b"a", ES)),
    fatal("9113 §6.10", "on 0", PROTOCOL, headers(1, GET, ES), continuation(0, MORE)),
    fatal("9113 §6.10", "after HEADERS with END_HEADERS", PROTOCOL, headers(1), continuation(1, MORE)),
    fatal("9113 §6.10", "after CONTINUATION with END_HEADERS", PROTOCOL, headers(1, GET, ES), continuation(1), continuation(1)),
    fatal("9113 §6.10", "after DATA", PROTOCOL, OPEN, data(1, b"a"), continuation(1, MORE)),
    fatal("9113 §6.10", "without anything before", PROTOCOL, continuation(1, BLOCK)),
    # --- 7 error codes
    fine("9113 §7", "GOAWAY with an unknown code", frames.goaway_frame(0, 0xFF)),
    fine("9113 §7", "RST_STREAM with an unknown code", OPEN, reset(1, 0xFFFFFFFF)),
    # --- 8.1 message framing
    failed("9113 §8.1", "a second HEADERS that does not end", PROTOCOL, OPEN, headers(1, [("x", "y")], EH)),
    failed("9113 §8.1", "trailers that do not end", PROTOCOL, OPEN, data(1, b"a"), headers(1, [("x", "y")], EH)),
    fine("9113 §8.1", "trailers", OPEN, data(1, b"a"), headers(1, [("x", "y")])),
    fine("9113 §8.1", "trailers in pieces", OPEN, data(1, b"a"), headers(1, [("x", "y")], ES), continuation(1)),
    failed("9113 §8.1", "a pseudo-field in trailers", PROTOCOL, OPEN, headers(1, [(":method", "GET")])),
    failed("9113 §8.1", "an unknown pseudo-field in trailers", PROTOCOL, OPEN, headers(1, [("x", "y"), (":x", "y")])),
    # --- 8.1.1 malformed messages
    failed("9113 §8.1.1", "less content than announced", PROTOCOL, headers(1, [*POST, ("content-length", "5")], EH), data(1, b"test", ES)),
    failed("9113 §8.1.1", "more content than announced", PROTOCOL, headers(1, [*POST, ("content-length", "3")], EH), data(1, b"test", ES)),
    failed(
        "9113 §8.1.1", "more content than announced, in several", PROTOCOL,
        headers(1, [*POST, ("content-length", "5")], EH), data(1, b"tes"), data(1, b"tes", ES),
    ),
    failed(
        "9113 §8.1.1", "less content than announced, before trailers", PROTOCOL,
        headers(1, [*POST, ("content-length", "5")], EH), data(1, b"test"), headers(1, [("x", "y")]),
    ),
    failed("9113 §8.1.1", "no content where some was announced", PROTOCOL, headers(1, [*POST, ("content-length", "1")])),
    failed("9113 §8.1.1", "content where none was announced", PROTOCOL, headers(1, [*POST, ("content-length", "0")], EH), data(1, b"a")),
    fine(
        "9113 §8.1.1", "content as announced, in several, with padding",
        headers(1, [*POST, ("content-length", "5")], EH), data(1, b"te"), data(1, b"\x02st!\0\0", PADDED), data(1, b"", ES),
    ),
    with_field("9113 §8.1.1", "two lengths that differ", ("content-length", "1"), ("content-length", "2")),
    with_field("9113 §8.1.1", "a length that is no number", ("content-length", "+0")),
    # --- 8.2.1 field validity
    with_field("9113 §8.2.1", "a name in upper case", ("X-TEST", "ok")),
    with_field("9113 §8.2.1", "a name with a space", ("x y", "ok")),
    with_field("9113 §8.2.1", "a name with a colon", ("x:y", "ok")),
    with_field("9113 §8.2.1", "a name with a control", ("x\ny", "ok")),
    with_field("9113 §8.2.1", "a name with an octet beyond ASCII", ("x\xe9", "ok")),
    with_field("9113 §8.2.1", "no name", ("", "ok")),
    with_field("9113 §8.2.1", "a value with NUL", ("x", "a\0b")),
    with_field("9113 §8.2.1", "a value with LF", ("x", "a\nb")),
    with_field("9113 §8.2.1", "a value with CR", ("x", "a\rb")),
    with_field("9113 §8.2.1", "a value with CR LF and a field", ("x", "a\r\nhost: b")),
    with_field("9113 §8.2.1", "a value that begins with a space", ("x", " a")),
    with_field("9113 §8.2.1", "a value that ends with a tab", ("x", "a\t")),
    with_field("9113 §8.2.1", "a value of a space", ("x", " ")),
    fine("9113 §8.2.1", "an empty value, and one of octets", headers(1, [*GET, ("x", ""), ("y", "\xe9 \t\xff")])),
    failed("9113 §8.2.1", "a name in upper case in trailers", PROTOCOL, OPEN, headers(1, [("X", "y")])),
    # --- 8.2.2 connection-specific fields
    with_field("9113 §8.2.2", "connection", ("connection", "keep-alive")),
    with_field("9113 §8.2.2", "keep-alive", ("keep-alive", "timeout=5")),
    with_field("9113 §8.2.2", "proxy-connection", ("proxy-connection", "keep-alive")),
    with_field("9113 §8.2.2", "transfer-encoding", ("transfer-encoding", "chunked")),
    with_field("9113 §8.2.2", "upgrade", ("upgrade", "websocket")),
    with_field("9113 §8.2.2", "te with another value", ("te", "trailers, deflate;q=0.5")),
    fine("9113 §8.2.2", "te: trailers", headers(1, [*GET, ("te", "trailers")])),
    failed("9113 §8.2.2", "connection in trailers", PROTOCOL, OPEN, headers(1, [("connection", "close")])),
    # --- 8.3 control data
    with_field("9113 §8.3", "an unknown pseudo-field after the others", (":test", "ok")),
    malformed("9113 §8.3", "an unknown pseudo-field", *GET[:2], (":test", "ok"), *GET[2:]),
    malformed("9113 §8.3", "a pseudo-field of responses", (":status", "200"), *GET),
    malformed("9113 §8.3", "a pseudo-field after a field", *GET[:3], ("x", "y"), GET[3]),
    malformed("9113 §8.3", "two methods", GET[0], *GET),
    malformed("9113 §8.3", "two schemes", GET[1], *GET),
    malformed("9113 §8.3", "two paths", GET[2], *GET),
    malformed("9113 §8.3", "two authorities", GET[3], *GET),
    # --- 8.3.1 request pseudo-fields
    malformed("9113 §8.3.1", "no fields at all"),
    malformed("9113 §8.3.1", "no method", *GET[1:]),
    malformed("9113 §8.3.1", "no scheme", GET[0], *GET[2:]),
    malformed("9113 §8.3.1", "no path", *GET[:2], GET[3]),
    malformed("9113 §8.3.1", "an empty path", *GET[:2], (":path", ""), GET[3]),
    malformed("9113 §8.3.1", "an empty scheme", GET[0], (":scheme", ""), *GET[2:]),
    malformed("9113 §8.3.1", "a scheme that is none", GET[0], (":scheme", "https://a"), *GET[2:]),
    malformed("9113 §8.3.1", "an empty method", (":method", ""), *GET[1:]),
    malformed("9113 §8.3.1", "a method that is no token", (":method", "GET /x HTTP/1.1\r\nx:"), *GET[1:]),
    malformed("9113 §8.3.1", "a path that begins without a slash", *GET[:2], (":path", "index.html"), GET[3]),
    malformed("9113 §8.3.1", "a path that is a URI", *GET[:2], (":path", "http://example.org/"), GET[3]),
    malformed("9113 §8.3.1", "a path with a space", *GET[:2], (":path", "/ HTTP/1.1"), GET[3]),
    malformed("9113 §8.3.1", "a path with CR LF", *GET[:2], (":path", "/\r\nx: y"), GET[3]),
    malformed("9113 §8.3.1", "a path with a fragment", *GET[:2], (":path", "/#a"), GET[3]),
    malformed("9113 §8.3.1", "an asterisk with GET", *GET[:2], (":path", "*"), GET[3]),
    fine("9113 §8.3.1", "an asterisk with OPTIONS", headers(1, [(":method", "OPTIONS"), GET[1], (":path", "*"), GET[3]])),
    malformed("9113 §8.3.1", "an authority with userinfo", *GET[:3], (":authority", "me@example.org")),
    malformed("9113 §8.3.1", "an empty authority", *GET[:3], (":authority", "")),
    malformed("9113 §8.3.1", "an authority with a space", *GET[:3], (":authority", "a b")),
    malformed("9113 §8.3.1", "neither authority nor host", *GET[:3]),
    malformed("9113 §8.3.1", "two hosts", *GET[:3], ("host", "a"), ("host", "a")),
    with_field("9113 §8.3.1", "a host that is another", ("host", "example.net")),
    with_field("9113 §8.3.1", "a host with another port", ("host", "example.org:444")),
    with_field("9113 §8.3.1", "a host that is none", ("host", "a/b")),
    fine("9113 §8.3.1", "a host that is the same", headers(1, [*GET, ("host", "EXAMPLE.org:443")])),
    fine("9113 §8.3.1", "a host in place of the authority", headers(1, [*GET[:3], ("host", "example.org")])),
    # --- 8.5 CONNECT
    fine("9113 §8.5", "CONNECT", headers(1, CONNECT, EH), data(1, b"a"), data(1, b"", ES)),
    malformed("9113 §8.5", "CONNECT with a path", *CONNECT, (":path", "/")),
    malformed("9113 §8.5", "CONNECT with a scheme", *CONNECT, (":scheme", "https")),
    malformed("9113 §8.5", "CONNECT without an authority", CONNECT[0]),
    malformed("9113 §8.5", "CONNECT without a port", CONNECT[0], (":authority", "example.org")),
    failed("9113 §8.5", "trailers in a tunnel", PROTOCOL, headers(1, CONNECT, EH), data(1, b"a"), headers(1, [("x", "y")])),
    # --- RFC 8441: extended CONNECT
    fine("8441 §4", "extended CONNECT", headers(1, [CONNECT[0], (":protocol", "websocket"), *GET[1:]], EH), data(1, b"a")),
    malformed("8441 §4", "a protocol without CONNECT", GET[0], (":protocol", "websocket"), *GET[1:]),
    malformed("8441 §4", "extended CONNECT without a path", CONNECT[0], (":protocol", "websocket"), GET[1], GET[3]),
    malformed("8441 §4", "extended CONNECT without a scheme", CONNECT[0], (":protocol", "websocket"), *GET[2:]),
    malformed("8441 §4", "extended CONNECT without an authority", CONNECT[0], (":protocol", "websocket"), *GET[1:3]),
    malformed("8441 §4", "a protocol that is none", CONNECT[0], (":protocol", "web socket"), *GET[1:]),
    malformed("8441 §4", "a protocol of no length", CONNECT[0], (":protocol", ""), *GET[1:]),
    # --- RFC 9218: PRIORITY_UPDATE
    fine("9218 §7.1", "before the request", priority_update(1), headers(1)),
    fine("9218 §7.1", "after the request", headers(1), priority_update(1)),
    fine("9218 §7.1", "on a closed stream", headers(1), Answer(1), priority_update(1)),
    fine("9218 §7.1", "with a value that is none", priority_update(1, "\x00=")),
    fatal("9218 §7.1", "on a stream", PROTOCOL, frame(frames.PRIORITY_UPDATE, 0, 1, b"\0\0\0\1u=1")),
    fatal("9218 §7.1", "for 0", PROTOCOL, priority_update(0)),
    fatal("9218 §7.1", "for a push that was not promised", PROTOCOL, priority_update(2)),
    fine("9218 §7.1", "without a value", priority_update(1, "")),
    fatal("9218 §7.1", "too short", SIZE, frame(frames.PRIORITY_UPDATE, 0, 0, b"\0\0\0")),
    fatal("9218 §7.1", "for more streams than there may be", PROTOCOL, *(priority_update(n) for n in range(1, 259, 2))),
    fine("9218 §7.1", "for as many streams as there may be", *(priority_update(n) for n in range(1, 257, 2))),
    fatal(
        "9218 §7.1", "for more streams than there may be, with those that are open", PROTOCOL,
        OPEN, *(priority_update(n) for n in range(3, 259, 2)),
    ),
    # --- RFC 7541
    raw("7541 §2.3.3", "an index of the dynamic table, which is empty", BLOCK + b"\xbe"),
    raw("7541 §2.3.3", "a name with an index of the dynamic table", BLOCK + b"\x7e\x01a"),
    raw("7541 §4.2", "a change of size at the end of a block", BLOCK + b"\x20"),
    raw("7541 §5.1", "an integer that is too large", BLOCK + b"\xff\xff\xff\xff\xff\x0f"),
    raw("7541 §5.1", "an integer of zeros", BLOCK + b"\xff\x80\x80\x80\x80\x80\x00"),
    raw("7541 §5.2", "padding of more than 7 bits", BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
    raw("7541 §5.2", "padding of zeros", BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
    raw("7541 §5.2", "EOS in a string", BLOCK + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"),
    raw("7541 §5.2", "a string that ends after the block", BLOCK + b"\x00\x7f\x80\x01"),
    raw("7541 §6.1", "index 0", BLOCK + b"\x80"),
    raw("7541 §6.3", "a table that is larger than allowed", b"\x3f\xe2\x1f" + BLOCK),
    fine("7541 §6.1", "an indexed field", frame(frames.HEADERS, EH | ES, 1, BLOCK + b"\x90")),
    fine("7541 §6.2.1", "a literal with indexing, with an indexed name", frame(frames.HEADERS, EH | ES, 1, BLOCK + b"\x7a\x01a")),
    fine("7541 §6.2.1", "a literal with indexing, with a new name", frame(frames.HEADERS, EH | ES, 1, BLOCK + b"\x40\x01x\x01a")),
    fine("7541 §6.2.1", "a literal with indexing, in the Huffman code", frame(frames.HEADERS, EH | ES, 1, BLOCK + b"\x40\x81\xf3\x81\x1f")),
    fine("7541 §6.2.2", "a literal without indexing", frame(frames.HEADERS, EH | ES, 1, BLOCK + b"\x0f\x2b\x01a\x00\x01x\x01a")),
    fine("7541 §6.2.3", "a literal never indexed", frame(frames.HEADERS, EH | ES, 1, BLOCK + b"\x1f\x2b\x01a\x10\x01x\x01a")),
    fine("7541 §6.3", "changes of size at the beginning", frame(frames.HEADERS, EH | ES, 1, b"\x20\x3f\xe1\x1f" + BLOCK)),
    # --- exchanges
    fine("9113 §8.8", "GET", headers(1)),
    fine("9113 §8.8", "HEAD", headers(1, [(":method", "HEAD"), *GET[1:]])),
    fine("9113 §8.8", "POST", OPEN, data(1, b"test", ES)),
    fine("9113 §8.8", "POST with trailers", OPEN, data(1, b"test"), headers(1, [("x-test", "ok")])),
    fine("9113 §8.8", "requests that are interleaved", OPEN, headers(3, POST, EH), data(1, b"a"), data(3, b"a", ES), data(1, b"a", ES)),
]  # fmt: skip
