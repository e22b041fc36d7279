"""The WebSocket codec, section by section of RFC 6455 and RFC 7692; what the groups of the Autobahn suite ask is in `websocket_cases`."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from netlodge.http.wire.events import NEED_DATA, PAUSED
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role
from netlodge.http.wire.websocket import WebSocketCodec
from netlodge.http.wire.websocket_deflate import FINAL_BLOCKS, TAIL, Deflate
from netlodge.http.wire.websocket_events import (
    Binary,
    Close,
    Event,
    Fragment,
    Message,
    Ping,
    Pong,
    Text,
    WebSocketError,
)
from netlodge.http.wire.websocket_masking import apply_mask, rotated
from netlodge.http.wire.websocket_states import (
    BINARY,
    BROKEN,
    CLOSE,
    CLOSED,
    CONTINUATION,
    FIN,
    IN_BINARY,
    IN_TEXT,
    OPEN,
    PING,
    RSV1,
    TEXT,
    TRANSITIONS,
    State,
    may_be_in_close,
    why_not,
)
from tests.http.wire.feeding import SEGMENTATIONS, octet_by_octet
from tests.http.wire.websocket_cases import CASES, INVALID, Case
from tests.http.wire.websocket_feeding import KEY, client, frame, outcome, server, xor

Segment = Callable[[bytes], list[bytes]]

DEFLATE = Deflate()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}")
@pytest.mark.parametrize("segment", SEGMENTATIONS)
def test_what_comes_is_understood_or_refused(case: Case, segment: Segment) -> None:
    if segment is octet_by_octet and len(case.octets) > 2000:
        segment = lambda octets: [*octet_by_octet(octets[:300]), octets[300:-300], *octet_by_octet(octets[-300:])]  # noqa: E731
    codec = server()
    events, error = outcome(codec, segment(case.octets))
    assert events == case.events
    assert (error.code if error else 0) == case.code
    if error:
        assert codec.their_state is BROKEN
        assert len(error.detail.encode()) <= 123  # it goes into a Close
        assert codec.buffered == 0


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.code], ids=lambda case: f"{case.group}: {case.name}"
)
def test_what_follows_is_the_next_event(case: Case) -> None:
    codec = server()
    events, _ = outcome(codec, [case.octets + frame(TEXT, b"next")])
    closes = isinstance(events[-1], Close)
    assert events == case.events if closes else [*case.events, Text("next")]
    assert codec.their_state is (CLOSED if closes else OPEN)


# --- §5.2, §5.4, §5.5: what may follow what ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_5_each_step_that_is_not_in_the_table_is_refused(state: State) -> None:
    begin = {OPEN: b"", IN_TEXT: frame(TEXT, fin=False), IN_BINARY: frame(BINARY, fin=False)}
    for step in (*range(16), *range(FIN, FIN + 16)):
        if state not in begin:
            assert (state, step) not in TRANSITIONS
            continue
        codec = server()
        _, error = outcome(codec, [begin[state] + frame(step & 0x0F, fin=bool(step & FIN))])
        after = TRANSITIONS.get((state, step))
        if after is None:
            assert error is not None
            assert error.code == 1002
            assert error.detail == why_not(state, step)
        else:
            assert error is None
            assert codec.their_state is after


def test_5_after_an_error_the_same_is_raised_again_and_nothing_is_read() -> None:
    codec = server()
    _, error = outcome(codec, [frame(3)])
    codec.receive_data(frame(TEXT, b"x"))
    with pytest.raises(WebSocketError) as again:
        codec.next_event()
    assert again.value is error
    assert codec.buffered == 0


def test_5_5_1_after_a_close_nothing_is_read() -> None:
    codec = server()
    outcome(codec, [frame(CLOSE)])
    codec.receive_data(frame(TEXT, b"x"))
    assert codec.next_event() is PAUSED
    assert codec.buffered == 0


# --- §5.3: masking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 799, 800, 801, 802, 803, 10_000])
def test_5_3_masking_is_the_exclusive_or_of_each_octet(size: int) -> None:
    octets = bytes(at * 7 % 256 for at in range(size))
    for key in (KEY, b"\x00\x00\x00\x00", b"\xff\x00\xff\x80"):
        assert apply_mask(octets, key) == xor(octets, key)
        assert apply_mask(apply_mask(octets, key), key) == octets


@pytest.mark.parametrize("count", range(9))
def test_5_3_the_key_turns_with_what_was_read(count: int) -> None:
    octets = b"abcdefghijklm"
    assert xor(octets, KEY)[count:] == xor(octets[count:], rotated(KEY, count))


def test_5_3_each_frame_of_a_client_has_a_fresh_key() -> None:
    codec = WebSocketCodec(Role.CLIENT, message_limit=100)
    keys = {codec.send(Binary(b"12345678"))[2:6] for _ in range(50)}
    assert len(keys) == 50


def test_5_1_a_client_refuses_masked_frames() -> None:
    _, error = outcome(client(), [frame(TEXT, b"x")])
    assert error is not None
    assert error.code == 1002


# --- §5.7: examples -------------------------------------------------------------------------------------------------------

EXAMPLES: list[tuple[str, bytes, Event]] = [
    ("unmasked text", bytes.fromhex("8105 48656c6c6f"), Text("Hello")),
    ("unmasked ping", bytes.fromhex("8905 48656c6c6f"), Ping(b"Hello")),
    ("256 octets", bytes.fromhex("827e0100") + bytes(256), Binary(bytes(256))),
    ("64 KiB", bytes.fromhex("827f0000000000010000") + bytes(65536), Binary(bytes(65536))),
]
MASKED_EXAMPLES: list[tuple[str, bytes, Event]] = [
    ("masked text", bytes.fromhex("8185 37fa213d 7f9f4d5158"), Text("Hello")),
    ("masked pong", bytes.fromhex("8a85 37fa213d 7f9f4d5158"), Pong(b"Hello")),
]


@pytest.mark.parametrize(("name", "octets", "event"), EXAMPLES)
def test_5_7_examples_of_a_server(name: str, octets: bytes, event: Event) -> None:
    assert outcome(client(), [octets]) == ([event], None)
    assert outcome(client(), [octets[:4], octets[4:]]) == ([event], None)
    assert server().send(event) == octets


@pytest.mark.parametrize(("name", "octets", "event"), MASKED_EXAMPLES)
def test_5_7_examples_of_a_client(name: str, octets: bytes, event: Event) -> None:
    assert outcome(server(), [octets]) == ([event], None)
    assert client().send(event) == octets


def test_5_7_the_example_of_fragments() -> None:
    octets = bytes.fromhex("0103 48656c") + bytes.fromhex("8002 6c6f")
    assert outcome(client(), [octets]) == ([Text("Hello")], None)
    assert list(server().fragments(Text("Hello"), 3)) == [octets[:5], octets[5:]]


# --- §6.1: sending --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [Text(""), Text("aß" * 50), Binary(b""), Binary(bytes(range(100)))])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_6_1_a_message_may_leave_in_fragments(message: Message, size: int) -> None:
    sender = client()
    frames = list(sender.fragments(message, size))
    content = message.data.encode() if isinstance(message, Text) else message.data
    assert len(frames) == max(1, -(-len(content) // size))
    assert outcome(server(), frames) == ([message], None)
    assert sender.our_state is OPEN


def test_5_4_each_call_reads_one_frame_at_most() -> None:
    codec = server()
    codec.receive_data(
        frame(TEXT, b"a", fin=False) + frame(0, b"b", fin=False) + frame(0, b"c") + frame(TEXT, b"d")[:-1]
    )
    read = [codec.next_event() for _ in range(4)]
    assert read == [Fragment(), Fragment(), Text("abc"), NEED_DATA]
    assert codec.next_event() is NEED_DATA


def test_5_4_a_ping_may_be_sent_between_fragments_but_no_message() -> None:
    codec = server()
    frames = codec.fragments(Text("abc"), 2)
    octets = next(frames)
    assert codec.our_state is IN_TEXT
    octets += codec.send(Ping(b"p"))
    with pytest.raises(SendError):
        codec.send(Binary(b"no"))
    octets += next(frames)
    assert outcome(client(), [octets]) == ([Ping(b"p"), Text("abc")], None)


def test_5_5_1_nothing_is_sent_after_a_close() -> None:
    codec = server()
    frames = codec.fragments(Text("abc"), 2)
    next(frames)
    assert codec.send(Close(1001, "bye")) == b"\x88\x05\x03\xe9bye"
    assert codec.our_state is CLOSED
    with pytest.raises(SendError):
        next(frames)
    for event in (Text("x"), Binary(b""), Ping(), Pong(), Close()):
        with pytest.raises(SendError):
            codec.send(event)


UNSENDABLE: list[Event] = [
    Ping(b"x" * 126),
    Pong(b"x" * 126),
    Close(1005, "a reason without a code"),
    Close(1006),
    Close(1015),
    Close(999),
    Close(5000),
    Close(1000, "x" * 124),
    Text("\ud800"),
]


@pytest.mark.parametrize("event", UNSENDABLE, ids=repr)
def test_what_must_not_be_sent_is_refused(event: Event) -> None:
    codec = server()
    with pytest.raises(SendError):
        codec.send(event)
    assert codec.our_state is OPEN


def test_7_4_a_close_without_a_code_is_empty() -> None:
    assert server().send(Close()) == b"\x88\x00"


def test_7_4_2_what_may_be_in_a_close() -> None:
    allowed = [code for code in range(65536) if may_be_in_close(code)]
    assert allowed == [1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)]


# --- §8.1: UTF-8 ----------------------------------------------------------------------------------------------------------


FIRST_WRONG = {
    "lone continuation": 0,
    "last continuation": 0,
    "seven continuations": 0,
    "lonely start of 2": 1,
    "lonely start of 3": 2,
    "lonely start of 4": 3,
    "octet fe": 0,
    "octet ff": 0,
    "overlong slash in 2": 0,
    "overlong slash in 3": 1,
    "overlong slash in 4": 1,
    "overlong end of 2": 0,
    "overlong end of 3": 1,
    "overlong end of 4": 1,
    "overlong NUL": 0,
    "beyond U+10FFFF": 1,
    "five octets": 0,
    "six octets": 0,
    "first surrogate": 1,
    "last surrogate": 1,
    "pair of surrogates": 1,
}
"""Which octet of a sequence can no longer become UTF-8. Those whose end is missing are wrong only when the message ends."""


@pytest.mark.parametrize("name", FIRST_WRONG)
def test_8_1_what_cannot_become_utf8_is_refused_before_the_message_ends(name: str) -> None:
    before = "κόσμε".encode()
    octets = octet_by_octet(frame(TEXT, before + INVALID[name] + b"edited" * 10))
    wrong = 6 + len(before) + FIRST_WRONG[name]
    codec = server()
    assert outcome(codec, octets[:wrong]) == ([], None)
    _, error = outcome(codec, octets[wrong : wrong + 1])
    assert error is not None
    assert error.code == 1007


def test_8_1_the_table_has_all_that_can_be_noticed_early() -> None:
    assert FIRST_WRONG.keys() == {name for name in INVALID if not name.startswith("end missing")}


def test_8_1_a_character_in_two_fragments_leaves_nothing_to_the_next_message() -> None:
    octets = frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"\xa4")
    assert outcome(server(), [octets * 3]) == ([Text("ä")] * 3, None)


# --- §10.4: limits ----------------------------------------------------------------------------------------------------------


def test_10_4_a_message_of_the_limit_passes_and_a_longer_one_does_not() -> None:
    assert outcome(server(limit=10), [frame(BINARY, b"x" * 10)]) == ([Binary(b"x" * 10)], None)
    _, error = outcome(server(limit=10), [frame(BINARY, b"x" * 11)[:6]])
    assert error is not None
    assert (error.code, error.setting) == (1009, "limits.websocket_message")


def test_10_4_fragments_are_added_up() -> None:
    octets = frame(TEXT, b"x" * 6, fin=False) + frame(CONTINUATION, b"y" * 4, fin=False)
    assert outcome(server(limit=10), [octets + frame(CONTINUATION)]) == ([Text("x" * 6 + "y" * 4)], None)
    _, error = outcome(server(limit=10), [octets + frame(CONTINUATION, b"z")])
    assert error is not None
    assert error.code == 1009


def test_10_4_a_message_counts_by_itself() -> None:
    octets = frame(TEXT, b"x" * 6, fin=False) + frame(CONTINUATION, b"y" * 4) + frame(TEXT, b"z" * 10)
    assert outcome(server(limit=10), [octets])[1] is None


def test_10_4_a_control_frame_is_no_message() -> None:
    assert outcome(server(limit=10), [frame(PING, b"x" * 100)])[1] is None


# --- RFC 7692 -----------------------------------------------------------------------------------------------------------------

HELLO = bytes.fromhex("f248cdc9c90700")


def pair(deflate: Deflate = DEFLATE, *, limit: int = 1 << 20) -> tuple[WebSocketCodec, WebSocketCodec]:
    """A client and a server that have agreed on the same for both directions."""
    return client(limit=limit, deflate=deflate), server(limit=limit, deflate=deflate)


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def test_7692_7_2_3_1_one_compressed_block_in_one_frame_or_two() -> None:
    assert outcome(server(deflate=DEFLATE), [frame(TEXT, HELLO, bits=RSV1)]) == ([Text("Hello")], None)
    two = frame(TEXT, HELLO[:3], fin=False, bits=RSV1) + frame(CONTINUATION, HELLO[3:])
    assert outcome(server(deflate=DEFLATE), octet_by_octet(two)) == ([Text("Hello")], None)


def test_7692_7_2_3_2_the_window_is_shared_with_the_message_before() -> None:
    again = bytes.fromhex("f200110000")
    octets = frame(TEXT, HELLO, bits=RSV1) + frame(TEXT, again, bits=RSV1)
    assert outcome(server(deflate=DEFLATE), [octets]) == ([Text("Hello"), Text("Hello")], None)
    _, error = outcome(server(deflate=Deflate(they_keep_context=False)), [octets])
    assert error is not None
    assert error.code == 1007


OTHER_BLOCKS = {
    "§7.2.3.3 no compression": "00050 0faff 48656c6c6f 00".replace(" ", ""),
    "§7.2.3.4 BFINAL": "f348cdc9c9070000",
    "§7.2.3.5 two blocks": "f24805000000ffffcac9c90700",
    "two ends": "f348cdc9c90700f348cdc9c9070000",
}


@pytest.mark.parametrize("name", OTHER_BLOCKS)
@pytest.mark.parametrize("segment", SEGMENTATIONS)
def test_7692_7_2_3_other_blocks(name: str, segment: Segment) -> None:
    octets = frame(TEXT, bytes.fromhex(OTHER_BLOCKS[name]), bits=RSV1) + frame(TEXT, HELLO, bits=RSV1)
    text = "HelloHello" if name == "two ends" else "Hello"
    assert outcome(server(deflate=DEFLATE), segment(octets)) == ([Text(text), Text("Hello")], None)


def test_7692_7_2_3_6_an_empty_message() -> None:
    assert outcome(server(deflate=DEFLATE), [frame(TEXT, b"\x00", bits=RSV1)]) == ([Text("")], None)
    assert outcome(server(deflate=DEFLATE), [frame(TEXT, b"", bits=RSV1)]) == ([Text("")], None)


def test_7692_a_stream_that_ends_again_and_again_is_refused() -> None:
    final = bytes.fromhex("0300")  # a last block with nothing in it
    assert outcome(server(deflate=DEFLATE), [frame(BINARY, final * 10 + b"\x00", bits=RSV1) * 100])[1] is None
    _, error = outcome(server(deflate=DEFLATE), [frame(BINARY, final * (FINAL_BLOCKS + 1), bits=RSV1)])
    assert error is not None
    assert error.code == 1007


def test_7692_6_a_message_may_be_sent_uncompressed() -> None:
    octets = frame(TEXT, b"plain") + frame(TEXT, HELLO, bits=RSV1) + frame(TEXT, b"plain")
    assert outcome(server(deflate=DEFLATE), [octets]) == ([Text("plain"), Text("Hello"), Text("plain")], None)


@pytest.mark.parametrize(
    "octets",
    [
        frame(TEXT, HELLO[:3], fin=False, bits=RSV1) + frame(CONTINUATION, HELLO[3:], bits=RSV1),
        frame(PING, bits=RSV1),
        frame(CLOSE, bits=RSV1),
        frame(TEXT, HELLO, bits=0x20),
        frame(TEXT, HELLO, bits=RSV1 | 0x10),
    ],
)
def test_7692_6_other_reserved_bits_are_refused(octets: bytes) -> None:
    _, error = outcome(server(deflate=DEFLATE), [octets])
    assert error is not None
    assert error.code == 1002


def test_7692_the_content_is_checked_as_any_other() -> None:
    _, error = outcome(server(deflate=DEFLATE), [frame(TEXT, raw_deflate(b"\xff"), bits=RSV1)])
    assert error is not None
    assert error.code == 1007
    _, error = outcome(server(deflate=DEFLATE), [frame(BINARY, b"\xff\xff", bits=RSV1)])
    assert error is not None
    assert error.code == 1007


def test_7692_8_a_bomb_is_noticed_when_it_is_too_long_and_not_when_it_has_gone_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = raw_deflate(bytes(64 << 20))
    assert len(bomb) < 70_000
    made: list[int] = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, bits: int) -> None:
            self._stream = real(bits)

        def decompress(self, data: bytes, most: int) -> bytes:
            result = self._stream.decompress(data, most)
            made.append(len(result))
            return result

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    _, error = outcome(server(limit=10_000, deflate=DEFLATE), [frame(BINARY, bomb, bits=RSV1)])
    assert error is not None
    assert error.code == 1009
    assert sum(made) == 10_001


def test_7692_8_what_a_compressed_message_becomes_is_added_up() -> None:
    octets = raw_deflate(bytes(1000))
    pieces = frame(BINARY, octets[:-2], bits=RSV1, fin=False) + frame(CONTINUATION, octets[-2:])
    for limit, code in ((1000, 0), (999, 1009)):
        _, error = outcome(server(limit=limit, deflate=DEFLATE), octet_by_octet(pieces))
        assert (error.code if error else 0) == code
    two = frame(BINARY, raw_deflate(bytes(600)) + TAIL, bits=RSV1, fin=False)
    _, error = outcome(server(limit=1000, deflate=DEFLATE), [two + frame(CONTINUATION, raw_deflate(bytes(600)))])
    assert error is not None
    assert error.code == 1009


def test_7692_a_compressed_message_may_be_longer_than_what_it_holds() -> None:
    noise = bytes((at * at * 31 + at // 7) % 256 for at in range(1000))
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    octets = (stored.compress(noise) + stored.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
    assert len(octets) > 1000
    assert outcome(server(limit=1000, deflate=DEFLATE), [frame(BINARY, octets, bits=RSV1)]) == ([Binary(noise)], None)


@pytest.mark.parametrize(
    "deflate",
    [
        Deflate(),
        Deflate(9, 9),
        Deflate(12, 15),
        Deflate(15, 12),
        Deflate(12, 12, we_keep_context=False, they_keep_context=False),
    ],
)
@pytest.mark.parametrize("size", [1, 100, 5000, 1 << 20])
def test_7692_7_2_what_one_end_compresses_the_other_reads(deflate: Deflate, size: int) -> None:
    mirrored = Deflate(
        deflate.their_window_bits, deflate.our_window_bits, deflate.they_keep_context, deflate.we_keep_context
    )
    ours, theirs = client(deflate=mirrored), server(deflate=deflate)
    messages: list[Message] = [
        Text("tick"),
        Text("words and words and " * 40),
        Binary(bytes(range(256)) * 20),
        Text("words and words and " * 40),
    ]
    for message in messages:
        octets = list(theirs.fragments(message, size))
        assert outcome(ours, octets) == ([message], None)
        assert outcome(theirs, [ours.send(message)]) == ([message], None)


def test_7692_7_1_1_without_context_a_message_stands_by_itself() -> None:
    message = Text("the quick brown fox jumps over the lazy dog")
    keeps, forgets = server(deflate=Deflate()), server(deflate=Deflate(we_keep_context=False))
    first, second = keeps.send(message), keeps.send(message)
    assert len(second) < len(first) / 2
    assert forgets.send(message) == forgets.send(message) == first


def test_short_messages_are_not_compressed() -> None:
    ours, _ = pair()
    assert not ours.send(Text("x" * 31))[0] & RSV1
    assert ours.send(Text("x" * 32))[0] & RSV1


def test_need_data_is_told_until_there_is_an_event() -> None:
    codec = server()
    assert codec.next_event() is NEED_DATA
    codec.receive_data(frame(TEXT, b"abc")[:-1])
    assert codec.next_event() is NEED_DATA
    assert codec.next_event() is NEED_DATA
