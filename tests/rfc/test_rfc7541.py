"""HPACK, in the order of RFC 7541. What is said by the text stands in `tests/http/wire/test_hpack.py`, by section, and the examples of
Appendix C are data there; here they are run as the appendix has them, on one connection of HTTP/2 each, and both ways.
"""

from __future__ import annotations

import pytest

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire import huffman
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_events import ConnectionFailed, MessageEnded, RequestReceived, ResponseReceived
from netlodge.http.wire.h2_frames import ErrorCode, Setting, frame
from netlodge.http.wire.hpack import STATIC, HpackDecoder, HpackEncoder, TableStates, encode_integer, encode_stateless
from netlodge.http.wire.states import Role
from tests.http.wire.h2_feeding import EH, ES, GET, LIMITS, asked, client, fed, of_kind, rested, server
from tests.http.wire.test_hpack import EXAMPLES


def test_2_3_1_the_static_table_has_61_entries() -> None:
    """Appendix A."""
    assert len(STATIC) == 61
    assert STATIC[1] == (":method", "GET")
    assert STATIC[60] == ("www-authenticate", "")
    decoder = HpackDecoder(TableStates(1 << 20))
    for index, field in enumerate(STATIC, 1):
        assert decoder.decode(encode_integer(index, 7, 0x80)).fields == (field,)


def test_2_2_each_direction_has_a_table_of_its_own() -> None:
    codec = server()
    events = fed(codec, frame(frames.HEADERS, EH | ES, 1, encode_stateless(GET) + b"\x40\x01a\x01b"))
    assert isinstance(events[0], RequestReceived)
    assert of_kind(codec.send_head(events[0].stream, b"\x88", ends=True), frames.HEADERS)[0].payload == b"\x88"


def test_4_2_a_table_of_another_size_is_told() -> None:
    codec = Http2Codec(Role.SERVER, LIMITS, TableStates(1 << 20, limit=8192))
    codec.begin()
    settings = of_kind(codec.take_outgoing(), frames.SETTINGS)[0].payload
    assert dict(frames.parse_settings(settings))[Setting.HEADER_TABLE_SIZE] == 8192


@pytest.mark.parametrize("section", ["C.3", "C.4"])
def test_c_3_and_c_4_requests_on_one_connection(section: str) -> None:
    lists, _, blocks = EXAMPLES[section]
    codec = server()
    for number, ((wanted, _), block) in enumerate(zip(lists, blocks, strict=True)):
        events = fed(codec, frame(frames.HEADERS, EH | ES, 2 * number + 1, bytes.fromhex(block)))
        assert isinstance(events[0], RequestReceived)
        head = events[0].head
        pseudo = dict(wanted)
        assert (head.method, head.scheme, head.target) == (pseudo[":method"], pseudo[":scheme"], pseudo[":path"])
        assert list(head.fields) == [("host", "www.example.com"), *wanted[4:]]


@pytest.mark.parametrize("section", ["C.5", "C.6"])
def test_c_5_and_c_6_responses_on_one_connection(section: str) -> None:
    lists, limit, blocks = EXAMPLES[section]
    codec = Http2Codec(Role.CLIENT, LIMITS, TableStates(1 << 20, limit=limit))
    codec.receive_data(frames.settings_frame([]))
    rested(codec)
    for (wanted, _), block in zip(lists, blocks, strict=True):
        number = asked(codec).stream_id
        events = fed(codec, frame(frames.HEADERS, EH | ES, number, bytes.fromhex(block)))
        assert isinstance(events[0], ResponseReceived)
        assert (":status", str(events[0].status)) == wanted[0]
        assert list(events[0].fields) == list(wanted[1:])
        assert isinstance(events[1], MessageEnded)


@pytest.mark.parametrize(("section", "limit"), [("C.4", 4096), ("C.6", 256)])
def test_c_4_and_c_6_are_what_the_encoder_would_say(section: str, limit: int) -> None:
    """Octet by octet, but for the size of the table (which the appendix agrees on before), and the cookie, which is never indexed here."""
    lists, _, blocks = EXAMPLES[section]
    encoder = HpackEncoder(limit)
    encoder.encode([])
    decoder = HpackDecoder(TableStates(1 << 20, limit=limit))
    for (wanted, _), block in zip(lists, blocks, strict=True):
        octets = encoder.encode(wanted)
        assert decoder.decode(octets).fields == wanted
        if section == "C.4":
            assert octets.hex() == block


def test_b_the_code_is_that_of_the_appendix() -> None:
    """Some codes as they stand there, the shortest and the longest among them."""
    for octet, bits in [
        (ord("0"), "00000"),
        (ord("a"), "00011"),
        (ord(" "), "010100"),
        (ord("z"), "1111011"),
        (ord("&"), "11111000"),
        (ord("X"), "11111100"),
        (ord("!"), "1111111000"),
        (0x00, "1111111111000"),
        (0x5C, "1111111111111110000"),
        (0xF9, "1111111111111111111111111110"),
        (0x0A, "111111111111111111111111111100"),
        (0x16, "111111111111111111111111111110"),
    ]:
        padded = bits + "1" * (-len(bits) % 8)
        assert huffman.encode(bytes([octet])) == int(padded, 2).to_bytes(len(padded) // 8, "big")


def test_6_a_block_that_is_none_ends_the_connection() -> None:
    for codec in (server(), client()):
        if codec.role is Role.CLIENT:
            asked(codec)
        failed = fed(codec, frame(frames.HEADERS, EH | ES, 1, b"\x80"))[-1]
        assert isinstance(failed, ConnectionFailed)
        assert failed.code is ErrorCode.COMPRESSION_ERROR
