"""What a server must make of what a client sends: cases of one's own after the groups of the Autobahn test suite, in its order.

Each case is what comes, the events that it means, and the status code with which the connection fails (0: it does not).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from netlodge.http.wire.websocket_events import Binary, Close, Event, Ping, Pong, Text
from netlodge.http.wire.websocket_states import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.http.wire.websocket_feeding import frame


class Case(NamedTuple):
    group: str
    name: str
    octets: bytes
    events: list[Event]
    code: int = 0


GREETING = "Hello-µ@ßöäüàá-UTF-8!!"
GREETING_OCTETS = GREETING.encode()


def _framing() -> Iterator[Case]:
    for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 70000):
        yield Case("1", f"text of {size}", frame(TEXT, b"*" * size), [Text("*" * size)])
        yield Case("1", f"binary of {size}", frame(BINARY, b"\xfe" * size), [Binary(b"\xfe" * size)])


def _pings() -> Iterator[Case]:
    for name, payload in (("empty", b""), ("text", b"Hello"), ("no text", b"\x00\xff\xfe\xfd"), ("125", b"\xfe" * 125)):
        yield Case("2", f"ping {name}", frame(PING, payload), [Ping(payload)])
        yield Case("2", f"pong unasked {name}", frame(PONG, payload), [Pong(payload)])
    yield Case("2", "ping of 126", frame(PING, b"\xfe" * 126), [], 1002)
    yield Case("2", "pong of 126", frame(PONG, b"\xfe" * 126), [], 1002)
    yield Case(
        "2", "ten pings", b"".join(frame(PING, b"%d" % i) for i in range(10)), [Ping(b"%d" % i) for i in range(10)]
    )


def _reserved_bits() -> Iterator[Case]:
    for bits in range(0x10, 0x80, 0x10):
        yield Case("3", f"bits {bits:#x} in a text", frame(TEXT, b"x", bits=bits), [], 1002)
        yield Case(
            "3", f"bits {bits:#x} after a text", frame(TEXT, b"x") + frame(TEXT, b"y", bits=bits), [Text("x")], 1002
        )
        yield Case("3", f"bits {bits:#x} in a ping", frame(PING, bits=bits), [], 1002)
        yield Case("3", f"bits {bits:#x} in a close", frame(CLOSE, bits=bits), [], 1002)


def _opcodes() -> Iterator[Case]:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Case("4", f"opcode {opcode}", frame(opcode, b"x"), [], 1002)
        yield Case("4", f"opcode {opcode} after a text", frame(TEXT, b"x") + frame(opcode), [Text("x")], 1002)
        yield Case("4", f"opcode {opcode} within a text", frame(TEXT, b"x", fin=False) + frame(opcode), [], 1002)


def _fragmentation() -> Iterator[Case]:
    def begin(data: bytes, opcode: int = TEXT) -> bytes:
        return frame(opcode, data, fin=False)

    def more(data: bytes) -> bytes:
        return frame(CONTINUATION, data, fin=False)

    def last(data: bytes) -> bytes:
        return frame(CONTINUATION, data)

    ping = frame(PING, b"ping")
    yield Case("5", "ping in two", frame(PING, b"a", fin=False) + last(b"b"), [], 1002)
    yield Case("5", "pong in two", frame(PONG, b"a", fin=False) + last(b"b"), [], 1002)
    yield Case("5", "close in two", frame(CLOSE, b"\x03", fin=False) + last(b"\xe8"), [], 1002)
    yield Case("5", "text in two", begin(b"one") + last(b"two"), [Text("onetwo")])
    yield Case("5", "binary in two", begin(b"\xff", BINARY) + last(b"\xfe"), [Binary(b"\xff\xfe")])
    yield Case("5", "text around a ping", begin(b"one") + ping + last(b"two"), [Ping(b"ping"), Text("onetwo")])
    yield Case("5", "text around a pong", begin(b"one") + frame(PONG) + last(b"two"), [Pong(b""), Text("onetwo")])
    yield Case(
        "5",
        "text around pings",
        begin(b"1") + ping + more(b"2") + ping + last(b"3"),
        [Ping(b"ping"), Ping(b"ping"), Text("123")],
    )
    yield Case("5", "empty fragments", begin(b"") + more(b"") + last(b""), [Text("")])
    yield Case("5", "empty binary fragments", begin(b"", BINARY) + last(b""), [Binary(b"")])
    yield Case("5", "empty fragments around one", begin(b"") + more(b"middle") + last(b""), [Text("middle")])
    yield Case("5", "continuation of nothing", last(b"x") + frame(TEXT, b"y"), [], 1002)
    yield Case("5", "continuation of nothing, unfinished", more(b"x") + frame(TEXT, b"y"), [], 1002)
    yield Case("5", "continuation after a text", frame(TEXT, b"x") + last(b"y"), [Text("x")], 1002)
    yield Case("5", "continuation after fragments", begin(b"1") + last(b"2") + last(b"3"), [Text("12")], 1002)
    yield Case("5", "text within a text", begin(b"1") + frame(TEXT, b"2"), [], 1002)
    yield Case("5", "binary within a text", begin(b"1") + frame(BINARY, b"2"), [], 1002)
    yield Case("5", "text within a binary", begin(b"1", BINARY) + begin(b"2"), [], 1002)
    yield Case("5", "close within a text", begin(b"1") + frame(CLOSE), [Close()])


VALID = {
    "empty": "",
    "greeting": GREETING,
    "kosme": "κόσμε",
    "first of 1 octet": "\x00",
    "first of 2": "\x80",
    "first of 3": "ࠀ",
    "first of 4": "\U00010000",
    "last of 1": "\x7f",
    "last of 2": "߿",
    "last of 3": "\uffff",
    "last of 4": "\U0010ffff",
    "before the surrogates": "\ud7ff",
    "after the surrogates": "\ue000",
    "replacement": "\ufffd",
    "noncharacters": "\ufffe\uffff\U0001fffe\U0010ffff\ufdd0",
}
INVALID = {
    "lone continuation": b"\x80",
    "last continuation": b"\xbf",
    "seven continuations": b"\x80\xbf\x80\xbf\x80\xbf\x80",
    "lonely start of 2": b"\xc3 ",
    "lonely start of 3": b"\xe1\x80 ",
    "lonely start of 4": b"\xf1\x80\x80 ",
    "end missing of 2": b"\xc3",
    "end missing of 3": b"\xe1\x80",
    "end missing of 4": b"\xf1\x80\x80",
    "octet fe": b"\xfe",
    "octet ff": b"\xff",
    "overlong slash in 2": b"\xc0\xaf",
    "overlong slash in 3": b"\xe0\x80\xaf",
    "overlong slash in 4": b"\xf0\x80\x80\xaf",
    "overlong end of 2": b"\xc1\xbf",
    "overlong end of 3": b"\xe0\x9f\xbf",
    "overlong end of 4": b"\xf0\x8f\xbf\xbf",
    "overlong NUL": b"\xc0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "five octets": b"\xf8\x88\x80\x80\x80",
    "six octets": b"\xfc\x84\x80\x80\x80\x80",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
}


def _utf8() -> Iterator[Case]:
    for name, text in VALID.items():
        octets = text.encode()
        yield Case("6", name, frame(TEXT, octets), [Text(text)])
        split = [octets[at : at + 1] for at in range(len(octets))] or [b""]
        frames = b"".join(
            frame(CONTINUATION if place else TEXT, piece, fin=place == len(split) - 1)
            for place, piece in enumerate(split)
        )
        yield Case("6", f"{name}, octet by octet", frames, [Text(text)])
    for name, octets in INVALID.items():
        yield Case("6", name, frame(TEXT, b"a" + octets), [], 1007)
        yield Case(
            "6", f"{name}, in the last fragment", frame(TEXT, b"a", fin=False) + frame(CONTINUATION, octets), [], 1007
        )
        yield Case("6", f"{name}, as binary", frame(BINARY, octets), [Binary(octets)])
    yield Case(
        "6", "in a close", frame(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"), [], 1007
    )


def _close() -> Iterator[Case]:
    after = frame(TEXT, b"more") + frame(PING)
    yield Case("7", "normal", frame(CLOSE, b"\x03\xe8"), [Close(1000)])
    yield Case("7", "after a text", frame(TEXT, b"x") + frame(CLOSE, b"\x03\xe8"), [Text("x"), Close(1000)])
    yield Case("7", "more behind it", frame(CLOSE, b"\x03\xe8") + after, [Close(1000)])
    yield Case("7", "two of them", frame(CLOSE) * 2, [Close()])
    yield Case("7", "empty", frame(CLOSE), [Close()])
    yield Case("7", "one octet", frame(CLOSE, b"\x03"), [], 1002)
    yield Case("7", "with a reason", frame(CLOSE, b"\x03\xe8Hello"), [Close(1000, "Hello")])
    yield Case("7", "with the longest reason", frame(CLOSE, b"\x03\xe8" + b"*" * 123), [Close(1000, "*" * 123)])
    yield Case("7", "with a reason that is too long", frame(CLOSE, b"\x03\xe8" + b"*" * 124), [], 1002)
    yield Case("7", "with a reason that is no UTF-8", frame(CLOSE, b"\x03\xe8\xff"), [], 1007)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        yield Case("7", f"code {code}", frame(CLOSE, code.to_bytes(2, "big")), [Close(code)])
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Case("7", f"code {code}", frame(CLOSE, code.to_bytes(2, "big")), [], 1002)


def _heads() -> Iterator[Case]:
    """What that suite leaves out: §5.1 and §5.2 on masks and lengths."""
    yield Case("head", "no mask", frame(TEXT, b"x", key=None), [], 1002)
    yield Case("head", "no mask on a ping", frame(PING, key=None), [], 1002)
    yield Case("head", "125 in two octets", b"\x82\xfe\x00\x7d", [], 1002)
    yield Case("head", "0 in two octets", b"\x82\xfe\x00\x00", [], 1002)
    yield Case("head", "65535 in eight octets", b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", [], 1002)
    yield Case("head", "64 bits", b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", [], 1002)
    yield Case("head", "63 bits", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + b"\x00" * 4, [], 1009)


CASES = [
    *_framing(),
    *_pings(),
    *_reserved_bits(),
    *_opcodes(),
    *_fragmentation(),
    *_utf8(),
    *_close(),
    *_heads(),
]
