"""Peers that mean ill: each of their ways is bounded by a named limit, and ends with ENHANCE_YOUR_CALM or the fitting error.

RFC 9113 §10.5, and the attacks that implementations were found open to. What a limit lets through is what an honest peer needs.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import count

import pytest

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import ConnectionFailed, RequestTooLarge, StreamEnded
from netlodge.http.wire.h2_frames import ErrorCode, Setting, frame, settings_frame
from netlodge.http.wire.hpack import HpackDecoder, TableStates, encode_integer, encode_stateless
from netlodge.http.wire.states import Role
from tests.http.wire.h2_feeding import (
    BEGIN,
    CONNECT,
    EH,
    ES,
    GET,
    LIMITS,
    OK,
    PING,
    PONG,
    POST,
    asked,
    client,
    continuation,
    data,
    fed,
    headers,
    parsed,
    priority,
    priority_update,
    promise,
    reset,
    rested,
    said,
    server,
    setting,
    states,
    taken,
    window,
)

CALM = ErrorCode.ENHANCE_YOUR_CALM
OPEN = headers(1, POST, EH)


def verdict(codec: Http2Codec) -> ErrorCode | None:
    """The code with which the connection has ended, if it has."""
    failures = [event.code for event in taken(codec) if isinstance(event, ConnectionFailed)]
    return failures[0] if failures else None


def rounds_until_the_end(codec: Http2Codec, attack: bytes, most: int) -> int:
    """How often the same octets are taken before the connection ends for them; `most` if it does not."""
    for round_number in range(most):
        codec.receive_data(attack)
        if verdict(codec) is CALM:
            return round_number
    return most


# --- frames that bring nothing forward ------------------------------------------------------------------------------------------

FLOODS = {
    "PING (CVE-2019-9512)": (b"", PING),
    "acknowledgements of PING": (b"", PONG),
    "SETTINGS (CVE-2019-9515)": (b"", settings_frame([])),
    "acknowledgements of SETTINGS": (b"", frames.SETTINGS_ACK),
    "PRIORITY": (b"", priority(3, 0)),
    "PRIORITY_UPDATE": (b"", priority_update(1)),
    "PRIORITY_UPDATE for a closed stream": (OPEN + reset(1), priority_update(1)),
    "empty DATA (CVE-2019-9518)": (OPEN, data(1)),
    "DATA of padding": (OPEN, data(1, b"\xff" + b"\0" * 255, frames.PADDED)),
    "empty DATA on a stream that was reset for a mistake": (OPEN + window(1, 0), data(1)),
    "unknown frames": (b"", frame(0xFE, 0, 0)),
    "GOAWAY": (b"", frames.goaway_frame(0, 0)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection(name: str) -> None:
    before, attack = FLOODS[name]
    codec = server(replace(LIMITS, control_frames=100))
    codec.receive_data(before)
    rested(codec)
    assert rounds_until_the_end(codec, attack, 300) == 100


@pytest.mark.parametrize("name", FLOODS)
def test_what_is_no_flood_passes(name: str) -> None:
    before, attack = FLOODS[name]
    codec = server()
    codec.receive_data(before)
    rested(codec)
    for _ in range(20):
        codec.receive_data(attack * 50)
        codec.refill_credit()
    assert verdict(codec) is None


def test_each_setting_counts() -> None:
    """RFC 9113 §10.5: "This might be done by pointlessly changing settings, sending multiple undefined settings, or changing the same setting
    multiple times in the same frame." """
    codec = server(replace(LIMITS, control_frames=100))
    assert fed(codec, settings_frame([(0xAA, 0)] * 99))
    assert verdict(codec) is None
    codec.refill_credit()
    codec.receive_data(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)] * 100))
    assert verdict(codec) is CALM


def test_what_waits_for_a_peer_that_reads_nothing_is_bounded() -> None:
    """Its session refills the credit only while the peer takes what is written: so no more than one credit's worth ever waits."""
    chance = random.Random(5)
    codec = server()
    answered = 0
    for number in count(1, 2):
        codec.receive_data(
            chance.choice(
                [
                    PING,
                    settings_frame([]),
                    headers(number),
                    headers(number, [("x", "y")]),
                    headers(number, POST, EH) + window(number, 0),
                ]
            )
        )
        answered += len(codec.take_outgoing())
        if verdict(codec) is CALM:
            break
    assert 2000 < answered < 17 * LIMITS.control_frames + 13 * LIMITS.resets + 100


def test_empty_continuations_end_the_connection() -> None:
    codec = server(replace(LIMITS, control_frames=100, continuations=1000))
    codec.receive_data(headers(1, GET, ES))
    assert rounds_until_the_end(codec, continuation(1, b"", 0), 300) == 100


def test_interim_responses_without_end_end_the_connection() -> None:
    codec = client(replace(LIMITS, control_frames=100))
    asked(codec)
    assert rounds_until_the_end(codec, headers(1, [(":status", "103")], EH), 300) == 100


# --- resets ---------------------------------------------------------------------------------------------------------------------


def test_a_rapid_reset_ends_the_connection() -> None:
    """CVE-2023-44487."""
    codec = server()
    for number in count(1, 2):
        codec.receive_data(headers(number) + reset(number))
        if (code := verdict(codec)) is not None:
            break
    assert (code, number) == (CALM, 2 * LIMITS.resets + 1)
    assert codec.theirs == 1


def test_resets_at_a_human_pace_pass() -> None:
    codec = server()
    for number in range(1, 4001, 2):
        codec.receive_data(headers(number) + reset(number))
        if number % 199 == 0:
            codec.refill_credit()
    assert verdict(codec) is None


PROVOCATIONS = {
    "WINDOW_UPDATE by nothing": lambda n: headers(n) + window(n, 0),
    "WINDOW_UPDATE beyond the largest window": lambda n: headers(n) + window(n, frames.LARGEST_WINDOW),
    "PRIORITY that depends on itself": lambda n: headers(n) + priority(n, n),
    "PRIORITY of 4 octets": lambda n: headers(n) + frame(frames.PRIORITY, 0, n, b"\0" * 4),
    "DATA after the end": lambda n: headers(n) + data(n, b"a"),
    "HEADERS after the end": lambda n: headers(n) + headers(n),
    "more content than announced": lambda n: headers(n, [*POST, ("content-length", "1")], EH) + data(n, b"ab"),
    "less content than announced": lambda n: headers(n, [*POST, ("content-length", "1")], EH) + data(n, b"", ES),
    "a second head": lambda n: headers(n, POST, EH) + headers(n, POST, EH),
    "trailers that are none": lambda n: headers(n, POST, EH) + headers(n, [("X", "y")]),
    "trailers in a tunnel": lambda n: headers(n, CONNECT, EH) + headers(n, [("x", "y")]),
    "a malformed request": lambda n: headers(n, [("x", "y")]),
}


@pytest.mark.parametrize("name", PROVOCATIONS)
def test_resets_that_we_are_made_to_send_end_the_connection(name: str) -> None:
    """CVE-2025-8671 (MadeYouReset), CVE-2019-9514: each reset would let the next request in while the work on the last goes on."""
    codec = server()
    begun = 0
    for number in count(1, 2):
        codec.receive_data(PROVOCATIONS[name](number))
        events = taken(codec)
        begun += sum(isinstance(event, StreamEnded) and event.is_ours for event in events)
        if failed := [event for event in events if isinstance(event, ConnectionFailed)]:
            break
    assert failed[0].code is CALM
    assert begun == LIMITS.resets
    assert len(parsed(codec.take_outgoing())) == LIMITS.resets + 1


def test_mistakes_on_streams_that_are_over_count_too() -> None:
    codec = server()
    codec.receive_data(OPEN + reset(1))
    rested(codec)
    assert rounds_until_the_end(codec, priority(1, 1), 1000) == LIMITS.resets


def test_requests_beyond_the_limit_end_the_connection() -> None:
    codec = server(replace(LIMITS, concurrent_streams=10))
    for number in count(1, 2):
        codec.receive_data(headers(number, POST, EH))
        if (code := verdict(codec)) is not None:
            break
    assert (code, number) == (CALM, 2 * (10 + LIMITS.resets) + 1)
    assert len(codec.streams) == 10


def test_who_could_not_know_the_limit_is_refused_more_gently() -> None:
    """RFC 9113 §10.5: "In particular, immediately after establishing a connection, limits set by a server are not known to clients and could be
    exceeded without being an obvious protocol violation." """
    codec = Http2Codec(Role.SERVER, replace(LIMITS, concurrent_streams=10), states())
    codec.begin()
    codec.receive_data(BEGIN + b"".join(headers(number, POST, EH) for number in range(1, 1001, 2)))
    assert verdict(codec) is None
    codec.receive_data(b"".join(headers(number, POST, EH) for number in range(1001, 2201, 2)))
    assert verdict(codec) is CALM


# --- windows --------------------------------------------------------------------------------------------------------------------


def test_windows_in_dribbles_end_the_connection() -> None:
    """CVE-2019-9511, CVE-2019-9517: each could make us send a frame of one octet."""
    for number in (0, 1):
        codec = server(replace(LIMITS, window_updates=100))
        codec.receive_data(OPEN)
        rested(codec)
        assert rounds_until_the_end(codec, window(number, 1), 300) == 100


def test_windows_for_much_content_pass() -> None:
    codec = server()
    codec.receive_data(OPEN)
    for _ in range(9_999):
        codec.receive_data(window(0, 1) + window(1, 1))
    assert verdict(codec) is None


def test_much_content_costs_no_credit() -> None:
    codec = server(replace(LIMITS, control_frames=10))
    for number in range(1, 41, 2):
        codec.receive_data(headers(number, POST, EH) + data(number, b"a") * 50 + data(number, b"", ES))
        codec.send_head(codec.streams[number], encode_stateless(OK), ends=True)
    assert verdict(codec) is None


def test_content_that_is_not_taken_stops() -> None:
    codec = server()
    numbers = range(1, 256, 2)
    codec.receive_data(b"".join(headers(number, POST, EH) for number in numbers))
    rested(codec)
    taken_in = 0
    for number in numbers:
        codec.receive_data(data(number, b"x" * 16384))
        if (code := verdict(codec)) is not None:
            break
        taken_in += 16384
    assert code is ErrorCode.FLOW_CONTROL_ERROR
    assert taken_in == LIMITS.connection_window


# --- field blocks ---------------------------------------------------------------------------------------------------------------


def test_a_block_in_many_pieces_ends_the_connection() -> None:
    """CVE-2024-27316 (CONTINUATION flood)."""
    codec = server()
    codec.receive_data(headers(1, GET, ES))
    assert rounds_until_the_end(codec, continuation(1, b"\x82", 0), 100) == LIMITS.continuations - 1


def test_a_block_that_is_too_long_ends_the_connection() -> None:
    codec = server()
    codec.receive_data(headers(1, GET, ES))
    assert rounds_until_the_end(codec, continuation(1, b"\0" * 16384, 0), 100) == 3
    codec = server(replace(LIMITS, frame_size=100_000))
    codec.receive_data(frame(frames.HEADERS, EH | ES, 1, b"\x82" * 65_537))
    assert verdict(codec) is CALM


def test_a_block_as_long_as_allowed_passes() -> None:
    block = encode_stateless([*GET, ("x", "\n" * 500)])
    for size, expected in [(len(block), None), (len(block) - 1, CALM)]:
        limits = replace(LIMITS, field_block_size=size)
        for octets in (
            frame(frames.HEADERS, EH | ES, 1, block),
            frame(frames.HEADERS, ES, 1, block[:100]) + continuation(1, block[100:]),
        ):
            codec = server(limits)
            codec.receive_data(octets)
            assert verdict(codec) is expected


def test_the_octets_of_a_block_are_not_looked_at_before_its_end() -> None:
    codec = server()
    codec.receive_data(headers(1, GET, ES) + continuation(1, b"\x80", 0) + continuation(1, b"\x80", 0))
    assert verdict(codec) is None
    codec.receive_data(continuation(1))
    assert verdict(codec) is ErrorCode.COMPRESSION_ERROR


LARGE = b"\x40\x01a" + encode_integer(4000, 7) + b"b" * 4000
"""A field that nearly fills the dynamic table."""


def test_a_bomb_ends_the_connection() -> None:
    """CVE-2016-6581: a list of a million octets from a thousand."""
    codec = server()
    codec.receive_data(frame(frames.HEADERS, EH | ES, 1, encode_stateless(GET) + LARGE))
    assert verdict(codec) is None
    assert codec.reset(codec.streams[1], ErrorCode.CANCEL)
    codec.receive_data(frame(frames.HEADERS, EH | ES, 3, b"\xbe" * 16_000))
    assert verdict(codec) is CALM


def test_a_list_is_never_made_larger_than_allowed() -> None:
    table = TableStates(1 << 20, list_limit=LIMITS.header_list_size)
    decoder = HpackDecoder(table)
    decoder.decode(LARGE)
    before = table.octets
    decoded = decoder.decode(b"\xbe" * 65_000)
    assert decoded.fields == ()
    assert decoded.size == 65_000 * 4033
    assert table.octets == before


def test_a_list_a_little_too_large_costs_little() -> None:
    codec = server()
    for number in range(1, 2001, 2):
        codec.receive_data(frame(frames.HEADERS, EH | ES, number, encode_stateless(GET) + LARGE + b"\xbe" * 8))
        assert [type(event) for event in taken(codec)][:1] == [RequestTooLarge]
        codec.send_head(codec.streams[number], encode_stateless([(":status", "431")]), ends=True)
    codec.receive_data(frame(frames.HEADERS, EH | ES, 2001, encode_stateless(GET) + LARGE + b"\xbe" * 8))
    assert verdict(codec) is CALM


@pytest.mark.parametrize(
    "block",
    [
        b"\xff" * 16_000,
        b"\x3f" + b"\xff" * 100,
        b"\xff\xff\xff\xff\x7f",
        b"\x00\x7f\xff\xff\xff\x7fa",
        b"\x3f\xff\xff\xff\x7f",
    ],
)
def test_huge_integers_end_the_connection(block: bytes) -> None:
    codec = server()
    codec.receive_data(frame(frames.HEADERS, EH | ES, 1, block))
    assert verdict(codec) is ErrorCode.COMPRESSION_ERROR


def test_games_with_the_size_of_the_table_lead_nowhere() -> None:
    """Sizes to and fro, entries that push each other out, and entries that are larger than the table: the table stays within its bound, and
    what is shared by all connections within its own."""
    table = TableStates(1 << 18)
    codec = Http2Codec(Role.SERVER, LIMITS, table)
    codec.receive_data(BEGIN)
    chance = random.Random(3)
    for number in range(1, 801, 2):
        sizes = b"".join(encode_integer(chance.choice([0, 40, 4096]), 5, 0x20) for _ in range(chance.randrange(4)))
        entries = b"".join(b"\x40\x02%02d\x02ab" % chance.randrange(100) for _ in range(chance.randrange(30)))
        codec.receive_data(
            frame(frames.HEADERS, EH | ES, number, sizes + encode_stateless(GET) + entries) + reset(number)
        )
        codec.refill_credit()
        state = codec._receiver._messages._decoder.state
        assert state.size <= state.capacity <= 4096
        assert table.octets <= 1 << 18
    assert verdict(codec) is None


def test_a_peer_that_plays_with_our_table_gains_nothing() -> None:
    codec = server()
    for size in range(4095, 4000, -1):
        codec.receive_data(setting(Setting.HEADER_TABLE_SIZE, size))
        codec.receive_data(setting(Setting.HEADER_TABLE_SIZE, 1 << 31))
    assert codec.table_update == b"\x20"


# --- priorities, pushes ---------------------------------------------------------------------------------------------------------


def test_priorities_before_their_streams_are_bounded() -> None:
    codec = server(replace(LIMITS, control_frames=10_000))
    for number in range(1, 257, 2):
        codec.receive_data(priority_update(number) * 3)
    assert verdict(codec) is None
    assert len(codec._receiver._prioritized) == LIMITS.concurrent_streams
    codec.receive_data(priority_update(999))
    assert verdict(codec) is ErrorCode.PROTOCOL_ERROR


def test_promises_that_nobody_keeps_are_bounded() -> None:
    """RFC 9113 §10.5: "A client that accepts server push SHOULD limit the number of streams it allows to be in the "reserved (remote)"
    state." """
    codec = client(Http2Limits(takes_pushes=True, concurrent_streams=3))
    asked(codec)
    sent = said(codec, b"".join(promise(1, number) for number in range(2, 12, 2)))
    assert sent == parsed(reset(8, CALM) + reset(10, CALM))
    assert sorted(codec.streams) == [1, 2, 4, 6]
    assert verdict(codec) is None
    for number in range(12, 1000, 2):
        codec.receive_data(promise(1, number))
    assert verdict(codec) is CALM


# --- everything at once ---------------------------------------------------------------------------------------------------------


def test_octets_one_by_one_cost_what_they_are() -> None:
    """What has not come whole is kept, and no more than one frame of it."""
    codec = server()
    codec.receive_data(OPEN)
    for octet in data(1, b"x" * 2000):
        codec.receive_data(bytes((octet,)))
        assert len(codec._buffer) <= 2009
    assert codec._buffer == b""


def test_an_honest_client_in_a_hurry_loses_nothing() -> None:
    """A thousand requests in a second, with what browsers say beside them."""
    codec = server()
    for number in range(1, 2001, 2):
        octets = headers(number, GET, EH | ES | 0x20, prefix=b"\x80\0\0\0\xff")
        octets += window(0, 1000) + (PING + priority_update(number, "u=2") if number % 19 == 1 else b"")
        codec.receive_data(octets + (reset(number) if number % 17 == 1 else b""))
        if number in codec.streams:
            codec.send_head(codec.streams[number], encode_stateless(OK), ends=True)
    assert verdict(codec) is None
