"""What the HTTP/2 codec offers to its session beside what the RFC asks for: answers framed before, the way from HTTP/1.1, what has come in part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_connection import RESET_MEMORY, SKIP_MEMORY
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import DataReceived, MessageEnded, Priority, RequestReceived, Stream, StreamEnded
from netlodge.http.wire.h2_fields import MalformedError, request_head, response_head, trailers
from netlodge.http.wire.h2_frames import ErrorCode, Setting, frame, frame_header, settings_frame
from netlodge.http.wire.h2_states import CLOSED, REMOTE_DONE
from netlodge.http.wire.hpack import Field, TableStates, encode_stateless
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role
from tests.http.wire.feeding import SEGMENTATIONS
from tests.http.wire.h2_feeding import (
    BEGIN,
    EH,
    ES,
    GET,
    LIMITS,
    OK,
    PING,
    PONG,
    POST,
    Frame,
    asked,
    client,
    continuation,
    data,
    described,
    fed,
    headers,
    parsed,
    priority_octets,
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

SERVED = (
    headers(1)
    + headers(3, [*POST, ("content-length", "5")], EH)
    + headers(5, POST, 0x20 | 0x08, prefix=b"\x00" + priority_octets(3, 9))
    + continuation(5)
    + data(3, b"he")
    + data(5, b"\x03abc\0\0\0", 0x08)
    + window(3, 100)
    + PING
    + data(3, b"llo", ES)
    + setting(Setting.INITIAL_WINDOW_SIZE, 100_000)
    + frame(0xEE, 0, 0, b"?")
    + headers(5, [("x", "y")])
    + headers(7, POST, EH)
    + reset(7)
    + headers(9, [("x", "y")])
    + frames.goaway_frame(0, 0, b"done")
)
"""Some of everything that a client says."""


@pytest.mark.parametrize("segmentation", SEGMENTATIONS)
def test_the_way_in_which_octets_arrive_changes_nothing(segmentation: Callable[[bytes], list[bytes]]) -> None:
    whole, other = server(), server()
    events, sent = fed(whole, SERVED), whole.take_outgoing()
    assert described(fed(other, *segmentation(SERVED))) == described(events)
    assert other.take_outgoing() == sent
    assert len(events) > 15


def test_what_follows_changes_nothing() -> None:
    alone, followed = server(), server()
    events = described(fed(alone, SERVED))
    assert described(fed(followed, SERVED + PING[:12])) == events
    assert followed.has_partial_block
    assert not alone.has_partial_block
    assert said(followed, PING[12:]) == parsed(alone.take_outgoing() + PONG)


# --- answers that were framed before --------------------------------------------------------------------------------------------


def remembered(body: bytes) -> tuple[bytes, bytes, bytes]:
    """An answer with this content, framed but for the number of its stream."""
    block = encode_stateless(OK)
    start = frame_header(frames.HEADERS, EH if body else EH | ES, 0, len(block))[:5]
    return start, block + (frame_header(frames.DATA, ES, 0, len(body))[:5] if body else b""), body


def begun(codec: Http2Codec, number: int = 1, fields: list[Field] = GET, flags: int = EH | ES) -> Stream:
    codec.receive_data(headers(number, fields, flags))
    return rested(codec).streams[number]


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_a_remembered_answer_is_what_would_be_sent_otherwise(body: bytes) -> None:
    short, long = server(), server()
    stream, other = begun(short, 3), begun(long, 3)
    octets = short.send_remembered(stream, *remembered(body))
    expected = long.send_head(other, encode_stateless(OK), ends=not body)
    if body:
        expected += long.send_data(other, body, ends=True)
    assert octets == expected
    assert stream.state is CLOSED
    assert (short.streams, short.theirs, short.send_window) == (long.streams, long.theirs, long.send_window)


def test_a_remembered_answer_goes_the_long_way_where_it_must() -> None:
    codec = server(LIMITS, (Setting.INITIAL_WINDOW_SIZE, 4))
    small = begun(codec)
    assert codec.send_remembered(small, *remembered(b"hello")) is None
    assert (small.state, codec.send_window) == (REMOTE_DONE, 65535)
    assert codec.send_remembered(small, *remembered(b"four"))

    codec = server()
    first, second = begun(codec, 1), begun(codec, 3)
    codec.send_data(first, b"x" * 65531, ends=False)
    assert codec.send_remembered(second, *remembered(b"hello")) is None
    assert codec.send_remembered(second, *remembered(b"four"))
    assert codec.send_window == 0

    still_open = begun(server(), 1, POST, EH)
    assert codec.send_remembered(still_open, *remembered(b"")) is None

    codec = server()
    stream = begun(codec)
    codec.receive_data(setting(Setting.HEADER_TABLE_SIZE, 0))
    assert codec.send_remembered(stream, *remembered(b"")) is None
    assert codec.send_head(stream, b"\x88", ends=True)
    assert codec.send_remembered(begun(codec, 3), *remembered(b""))


# --- answers before there is a stream ---------------------------------------------------------------------------------------------


class Known:
    """Answers `hello` at once to whatever it is asked, if the windows let it."""

    def __init__(self, codec: Http2Codec) -> None:
        self.codec = codec
        self.asked: list[tuple[int, str]] = []
        self.is_willing = True
        codec.answer_at_once = self.answer

    def answer(self, stream_id: int, head: RequestHead) -> bool:
        self.asked.append((stream_id, head.target))
        octets = self.codec.send_at_once(stream_id, *remembered(b"hello")) if self.is_willing else None
        if octets is not None:
            self.codec.outgoing.append(octets)
        return octets is not None


def repeated(codec: Http2Codec) -> Known:
    """A connection on which GET came once, on stream 1, which is reset."""
    codec.receive_data(headers(1) + reset(1))
    rested(codec)
    codec.take_outgoing()
    return Known(codec)


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_an_answer_at_once_is_what_would_be_sent_otherwise(body: bytes) -> None:
    short, long = server(), server()
    expected = long.send_remembered(begun(long, 3), *remembered(body))
    assert short.send_at_once(3, *remembered(body)) == expected
    assert (short.streams, short.theirs, short.send_window) == (long.streams, long.theirs, long.send_window)


def test_a_request_that_is_answered_at_once_makes_no_stream() -> None:
    codec = server()
    known = repeated(codec)
    assert not fed(codec, headers(3) + headers(7))
    assert known.asked == [(3, "/"), (7, "/")]
    assert [each.stream_id for each in parsed(codec.take_outgoing())] == [3, 3, 7, 7]
    assert (codec.streams, codec.theirs, codec.last_peer_id) == ({}, 0, 7)
    # They are closed like any other: what may still come is ignored, what may not is a mistake.
    assert not fed(codec, window(3, 1) + reset(7))
    assert said(codec, headers(5))[-1].kind == frames.GOAWAY


def test_what_is_not_answered_at_once_goes_the_long_way() -> None:
    codec = server()
    known = repeated(codec)
    known.is_willing = False
    assert [type(event) for event in fed(codec, headers(3))] == [RequestReceived, MessageEnded]
    known.is_willing = True
    assert len(fed(codec, headers(5, POST, EH))) == 1  # its content may come
    assert len(fed(codec, headers(7, GET, EH | ES | 0x20, prefix=priority_octets(0, 1)))) == 3  # its place in the tree
    assert len(fed(codec, headers(9, [*GET, ("new", "1")]))) == 2  # not heard before
    assert known.asked == [(3, "/")]
    assert not fed(codec, headers(11))
    # One that has to be handled goes first.
    events = fed(codec, headers(13, [*GET, ("new", "2")]) + headers(15))
    assert [event.stream.stream_id for event in events if isinstance(event, RequestReceived)] == [13, 15]


def test_content_may_follow_the_same_head() -> None:
    codec = server()
    known = repeated(codec)
    assert [type(event) for event in fed(codec, headers(3, GET, EH) + data(3, b"", ES))] == [
        RequestReceived,
        MessageEnded,
    ]
    assert len(fed(codec, headers(5))) == 2  # what was read of the head last is that content follows
    assert not known.asked


def test_windows_and_tables_hold_for_answers_at_once() -> None:
    codec = server(LIMITS, (Setting.INITIAL_WINDOW_SIZE, 4))
    repeated(codec)
    assert len(fed(codec, headers(3))) == 2
    codec = server()
    repeated(codec)
    codec.send_window = 4
    assert len(fed(codec, headers(3))) == 2
    assert codec.send_window == 4
    codec.send_window = 5
    assert not fed(codec, headers(5))
    assert codec.send_window == 0
    codec = server()
    repeated(codec)
    fed(codec, setting(Setting.HEADER_TABLE_SIZE, 0))
    assert len(fed(codec, headers(3))) == 2


def test_limits_and_mistakes_are_as_ever() -> None:
    codec = server(replace(LIMITS, concurrent_streams=1))
    known = repeated(codec)
    fed(codec, headers(3, POST, EH))
    assert not fed(codec, headers(5))
    assert said(codec, PING)[0].kind == frames.RST_STREAM
    assert said(codec, headers(4))[-1].kind == frames.GOAWAY
    codec = server()
    known = repeated(codec)
    codec.outgoing.append(codec.goaway(ErrorCode.NO_ERROR))
    assert not fed(codec, headers(3))
    assert not known.asked


# --- from HTTP/1.1 (RFC 7540 §3.2) ----------------------------------------------------------------------------------------------


def test_an_upgraded_request_is_stream_1() -> None:
    codec = Http2Codec(Role.SERVER, LIMITS, states())
    codec.begin()
    assert codec.apply_upgrade_settings(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 9)])[9:])
    stream = codec.upgraded("GET")
    assert (stream.stream_id, stream.state, stream.send_window, codec.theirs) == (1, REMOTE_DONE, 9, 1)
    begin = parsed(codec.take_outgoing())
    assert [one.kind for one in begin] == [
        frames.SETTINGS,
        frames.WINDOW_UPDATE,
    ]  # what came with the request is not acknowledged
    assert parsed(codec.send_head(stream, b"\x88", ends=True)) == [Frame(frames.HEADERS, EH | ES, 1, b"\x88")]
    assert [type(event).__name__ for event in fed(codec, BEGIN + headers(3))] == [
        "SettingsReceived",
        "RequestReceived",
        "MessageEnded",
    ]


def test_the_request_of_an_upgrade_is_over_for_its_client() -> None:
    codec = Http2Codec(Role.SERVER, LIMITS, states())
    codec.begin()
    codec.upgraded("GET")
    codec.receive_data(BEGIN)
    rested(codec)
    assert said(codec, data(1, b"more")) == parsed(reset(1, ErrorCode.STREAM_CLOSED))


@pytest.mark.parametrize("payload", [b"\0", b"\0\2\0\0\0\2", b"\0\5\0\0\0\0"])
def test_settings_that_are_none_are_no_upgrade(payload: bytes) -> None:
    assert not Http2Codec(Role.SERVER, LIMITS, states()).apply_upgrade_settings(payload)


# --- what has come in part ------------------------------------------------------------------------------------------------------


def test_what_has_come_in_part_is_known() -> None:
    codec = server()
    assert not codec.has_partial_block
    codec.receive_data(headers(1, GET, ES))
    assert codec.has_partial_block
    codec.receive_data(continuation(1))
    assert not codec.has_partial_block
    codec.receive_data(headers(3)[:5])
    assert codec.has_partial_block
    assert codec.partial_data == (0, 0)


def test_content_that_has_come_in_part_is_counted_for_its_stream() -> None:
    codec = server()
    begun(codec, 1, POST, EH)
    octets = data(1, b"x" * 1000)
    for start, end, expected in [(0, 5, (0, 0)), (5, 9, (1, 0)), (9, 500, (1, 491)), (500, 1009, (0, 0))]:
        codec.receive_data(octets[start:end])
        assert codec.partial_data == expected
    codec.receive_data(PING[:12])
    assert codec.partial_data == (0, 0)


# --- memory ---------------------------------------------------------------------------------------------------------------------


def test_streams_that_were_reset_are_remembered_for_a_while() -> None:
    codec = server(Http2Limits(resets=10_000))
    for number in range(1, 2 * RESET_MEMORY + 4, 2):
        codec.reset(begun(codec, number, POST, EH), ErrorCode.CANCEL)
    assert said(codec, data(2 * RESET_MEMORY + 1, b"a") + data(5, b"a")) == []
    assert said(codec, data(1, b"a"))[-1].kind == frames.GOAWAY  # too long ago to be on its way


def test_gaps_in_the_numbers_are_remembered_for_a_while() -> None:
    codec = server()
    for number in range(5, 8 * SKIP_MEMORY, 4):
        codec.receive_data(headers(number) + reset(number))
        rested(codec)
    assert not codec.was_skipped(3)
    assert codec.was_skipped(8 * SKIP_MEMORY - 5)
    assert not codec.was_skipped(8 * SKIP_MEMORY - 3)
    assert not codec.was_skipped(8 * SKIP_MEMORY - 6)  # no number of the client's


def test_a_head_is_made_once_of_the_same_octets() -> None:
    table = TableStates(1 << 20)
    heads = []
    for flags in (EH | ES, EH | ES, EH, EH):
        codec = Http2Codec(Role.SERVER, LIMITS, table)
        codec.receive_data(BEGIN + headers(1, POST, flags))
        heads += [event.head for event in taken(codec) if isinstance(event, RequestReceived)]
    assert heads[0] is heads[1]
    assert heads[2] is heads[3]
    assert [head.content_length for head in heads] == [0, 0, None, None]


def test_a_list_is_as_large_as_the_shared_tables_make_it() -> None:
    """Whoever shares tables with a smaller bound has that bound: fields that were not made are no request."""
    codec = Http2Codec(Role.SERVER, LIMITS, TableStates(1 << 20, list_limit=200))
    codec.receive_data(BEGIN + headers(1) + headers(3, [*GET, ("x", "y" * 50)]))
    kinds = [type(event).__name__ for event in taken(codec)]
    assert kinds == ["SettingsReceived", "RequestReceived", "MessageEnded", "RequestTooLarge", "MessageEnded"]


# --- errors of ours -------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_sent_changes_nothing() -> None:
    codec = server()
    stream = begun(codec, 1, POST, EH)
    codec.send_data(stream, b"", ends=True)
    before = (stream.state, stream.send_window, codec.send_window)
    for wrong in (
        lambda: codec.send_head(stream, b"\x88", ends=True),
        lambda: codec.send_data(stream, b"a", ends=True),
        lambda: codec.promise(stream, "GET", b"\x82"),
        lambda: codec.open(GET, b"\x82", ends=True),
    ):
        with pytest.raises(SendError):
            wrong()
        assert (stream.state, stream.send_window, codec.send_window) == before
        assert (list(codec.streams), codec.last_own_id) == ([1], 0)


def test_a_client_promises_nothing() -> None:
    codec = client()
    with pytest.raises(SendError):
        codec.promise(asked(codec, POST, ends=False), "GET", b"\x82")


def test_a_stream_that_is_over_is_reset_by_nothing() -> None:
    codec = server()
    stream = begun(codec)
    codec.send_head(stream, b"\x88", ends=True)
    assert codec.reset(stream, ErrorCode.CANCEL) == b""
    assert codec.take_outgoing() == b""


def test_a_stream_that_was_never_announced_can_end() -> None:
    codec = server()
    codec.receive_data(headers(1, [("x", "y")]))
    events = taken(codec)
    assert [type(event) for event in events] == [StreamEnded]
    assert codec.streams == {}


def test_a_mistake_in_a_field_is_named_and_cut_short() -> None:
    for fields, words in [
        ([(":" + "x" * 100_000, "y")], "':" + "x" * 39 + "'"),
        ([("X\r\n" * 50, "y")], repr(("X\r\n" * 50)[:40])),
        ([("x" * 100_000, "\n")], "x" * 40),
        ([("te", "\xe9" * 100_000)], repr("\xe9" * 40)),
    ]:
        with pytest.raises(MalformedError) as caught:
            trailers(fields)
        assert words in str(caught.value)
        assert len(str(caught.value)) < 300
        assert "\r" not in str(caught.value)


def test_fields_of_a_request_that_hpack_did_not_check() -> None:
    with pytest.raises(MalformedError):
        request_head([*GET, ("content-length", "1" * 19)], ends=False)
    with pytest.raises(MalformedError):
        response_head([])
    assert request_head([*POST, ("content-length", "5")], ends=False)[0].content_length == 5


# --- priorities, promises -------------------------------------------------------------------------------------------------------


def test_a_priority_within_a_block_in_pieces_is_told_with_its_end() -> None:
    codec = server()
    codec.receive_data(headers(1, GET, ES | 0x20, prefix=priority_octets(5, 7, is_exclusive=True)))
    assert taken(codec) == []
    codec.receive_data(continuation(1))
    assert taken(codec)[0] == Priority(1, 5, 7, True)


def test_a_client_that_takes_pushes_says_how_many() -> None:
    codec = Http2Codec(Role.CLIENT, Http2Limits(takes_pushes=True, concurrent_streams=7), states())
    codec.begin()
    settings = dict(frames.parse_settings(parsed(codec.take_outgoing()[24:])[0].payload))
    assert (settings[Setting.ENABLE_PUSH], settings[Setting.MAX_CONCURRENT_STREAMS]) == (1, 7)


def test_the_content_of_a_push_counts_as_any() -> None:
    codec = client(Http2Limits(takes_pushes=True))
    asked(codec)
    codec.receive_data(promise(1, 2) + headers(2, OK, EH) + data(2, b"abc", ES))
    events = taken(codec)
    content = next(event for event in events if isinstance(event, DataReceived))
    assert (content.stream.stream_id, content.octets) == (2, 3)
    assert isinstance(events[-1], MessageEnded)
    assert codec.receive_window == LIMITS.connection_window - 3
