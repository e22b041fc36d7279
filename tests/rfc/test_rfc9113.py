"""HTTP/2, in the order of RFC 9113: what the codec does with each requirement that a codec can meet, in both roles.

What a client does wrong, and what becomes of it, is in `tests/http/h2_mistakes.py`, by section; the states of streams are in
`tests/http/wire/test_h2_states.py`. Here stands what must be taken, what must be said, and what a server can do wrong.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from netlodge.http.message import Fields, TargetForm
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import EndOfMessage, RequestHead
from netlodge.http.wire.h1 import Http1Codec
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import (
    ConnectionFailed,
    DataReceived,
    GoawayReceived,
    Http2Event,
    MessageEnded,
    PingAcknowledged,
    Priority,
    PriorityUpdated,
    PromiseReceived,
    RequestReceived,
    RequestTooLarge,
    ResponseReceived,
    SettingsAcknowledged,
    SettingsReceived,
    Stream,
    StreamEnded,
    WindowOpened,
)
from netlodge.http.wire.h2_frames import ErrorCode, Setting, frame, settings_frame
from netlodge.http.wire.h2_states import CLOSED, LOCAL_DONE, REMOTE_DONE, RESERVED_LOCAL, RESERVED_REMOTE
from netlodge.http.wire.hpack import Field, HpackDecoder, encode_stateless
from netlodge.http.wire.limits import WireLimits
from netlodge.http.wire.render import SendError
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
    Frame,
    asked,
    client,
    continuation,
    data,
    fed,
    headers,
    of_kind,
    parsed,
    priority,
    priority_octets,
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

PUSHES = Http2Limits(takes_pushes=True)
T = TypeVar("T")


def failure(codec: Http2Codec, *segments: bytes) -> ErrorCode:
    """The code with which the connection ends at these octets."""
    last = fed(codec, *segments)[-1]
    assert isinstance(last, ConnectionFailed), last
    return last.code


def only(events: list[Http2Event], kind: type[T]) -> T:
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, events
    return found[0]


def request(fields: list[Field], *, ends: bool = True) -> RequestHead:
    """The head that a server reads from these."""
    return only(fed(server(), headers(1, fields, EH | (ES if ends else 0))), RequestReceived).head


def opened(codec: Http2Codec, number: int = 1, *, ends: bool = False) -> Stream:
    """A request's stream, at its server."""
    codec.receive_data(headers(number, GET if ends else POST, EH | (ES if ends else 0)))
    return rested(codec).streams[number]


def settings_of(octets: bytes) -> dict[int, int]:
    return dict(frames.parse_settings(of_kind(octets, frames.SETTINGS)[0].payload))


# --- 3 Starting HTTP/2 ----------------------------------------------------------------------------------------------------------


def test_3_4_a_server_begins_with_settings() -> None:
    codec = Http2Codec(Role.SERVER, LIMITS, states())
    codec.begin()
    octets = codec.take_outgoing()
    assert settings_of(octets) == {
        Setting.MAX_HEADER_LIST_SIZE: LIMITS.header_list_size,
        Setting.INITIAL_WINDOW_SIZE: LIMITS.stream_window,
        Setting.MAX_FRAME_SIZE: LIMITS.frame_size,
        Setting.MAX_CONCURRENT_STREAMS: LIMITS.concurrent_streams,
        Setting.ENABLE_CONNECT_PROTOCOL: 1,
    }
    first, second = parsed(octets)
    assert (first.kind, first.flags, first.stream_id) == (frames.SETTINGS, 0, 0)
    assert second == Frame(*frame_parts(window(0, LIMITS.connection_window - 65535)))


def frame_parts(octets: bytes) -> Frame:
    return parsed(octets)[0]


def test_3_4_a_client_begins_with_the_preface_and_settings() -> None:
    codec = Http2Codec(Role.CLIENT, LIMITS, states())
    codec.begin()
    octets = codec.take_outgoing()
    assert octets[:24] == bytes.fromhex("505249202a20485454502f322e300d0a0d0a534d0d0a0d0a")
    assert settings_of(octets[24:])[Setting.ENABLE_PUSH] == 0
    assert Setting.MAX_CONCURRENT_STREAMS not in settings_of(octets[24:])


def test_3_4_settings_are_acknowledged_after_the_preface() -> None:
    codec = Http2Codec(Role.SERVER, LIMITS, states())
    codec.begin()
    codec.receive_data(BEGIN)
    sent = parsed(codec.take_outgoing())
    assert [one.kind for one in sent] == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.SETTINGS]
    assert sent[-1] == frame_parts(frames.SETTINGS_ACK)


def test_3_4_a_client_may_go_on_at_once() -> None:
    codec = Http2Codec(Role.SERVER, LIMITS, states())
    codec.begin()
    assert only(fed(codec, BEGIN + headers(1)), RequestReceived).head.path == "/"


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        b"\x16\x03\x01",
        frames.PREFACE + PING,
        frames.PREFACE + headers(1),
        frames.PREFACE + frames.SETTINGS_ACK,
        frames.PREFACE + frame(0xFE, 0, 0),
    ],
)
def test_3_4_an_invalid_preface_ends_the_connection(octets: bytes) -> None:
    """ "Clients and servers MUST treat an invalid connection preface as a connection error (Section 5.4.1) of type PROTOCOL_ERROR." """
    for segments in ([octets], [octets[at : at + 1] for at in range(len(octets))]):
        codec = Http2Codec(Role.SERVER, LIMITS, states())
        codec.begin()
        assert failure(codec, *segments) is ErrorCode.PROTOCOL_ERROR


def test_3_4_the_preface_of_a_server_is_settings() -> None:
    codec = Http2Codec(Role.CLIENT, LIMITS, states())
    assert failure(codec, PING) is ErrorCode.PROTOCOL_ERROR


def test_3_4_a_preface_that_has_begun_is_waited_for() -> None:
    codec = Http2Codec(Role.SERVER, LIMITS, states())
    assert fed(codec, frames.PREFACE[:23]) == []
    assert codec.has_partial_block
    assert isinstance(only(fed(codec, frames.PREFACE[23:] + settings_frame([])), SettingsReceived), SettingsReceived)
    assert not codec.has_partial_block


# --- 4 HTTP frames --------------------------------------------------------------------------------------------------------------


def test_4_1_the_header_of_a_frame() -> None:
    assert frame(0x06, 0x01, 0x01020304, b"ab") == b"\x00\x00\x02\x06\x01\x01\x02\x03\x04ab"
    assert frames.frame_header(0, 0, 1, 0x010203) == b"\x01\x02\x03\x00\x00\x00\x00\x00\x01"


def test_4_2_a_frame_is_no_longer_than_the_peer_takes() -> None:
    codec = server(LIMITS, (Setting.MAX_FRAME_SIZE, 20_000), (Setting.INITIAL_WINDOW_SIZE, 100_000))
    stream = opened(codec)
    block = encode_stateless([*OK, ("x", "\n" * 45_000)])
    sent = parsed(codec.send_head(stream, block, ends=False))
    assert [(one.kind, len(one.payload)) for one in sent] == [(1, 20_000), (9, 20_000), (9, len(block) - 40_000)]
    assert [len(one.payload) for one in parsed(codec.send_data(stream, b"x" * 50_000, ends=False))] == [
        20_000,
        20_000,
        10_000,
    ]


def test_4_2_frames_of_the_announced_size_are_taken() -> None:
    codec = server(Http2Limits(frame_size=100_000))
    opened(codec)
    assert only(fed(codec, data(1, b"x" * 100_000)), DataReceived).octets == 100_000
    assert failure(codec, data(1, b"x" * 100_001)) is ErrorCode.FRAME_SIZE_ERROR


def test_4_2_a_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    assert failure(server(), data(1, b"x" * 20_000)[:9]) is ErrorCode.FRAME_SIZE_ERROR


def test_4_3_a_field_block_is_one_unit_however_it_is_cut() -> None:
    fields = [*GET, ("accept", "*/*"), ("user-agent", "x" * 50)]
    block = encode_stateless(fields)
    expected = request(fields)
    for cuts in ([1], [0], [10, 11, 40], range(1, 15)):
        places = [0, *cuts, len(block)]
        pieces = [block[a:b] for a, b in pairwise(places)]
        octets = frame(frames.HEADERS, ES, 1, pieces[0])
        octets += b"".join(continuation(1, piece, 0) for piece in pieces[1:-1])
        octets += continuation(1, pieces[-1])
        assert only(fed(server(), octets), RequestReceived).head == expected


def test_4_3_a_block_is_sent_without_anything_between() -> None:
    codec = server()
    sent = parsed(codec.send_head(opened(codec), encode_stateless([*OK, ("x", "\n" * 40_000)]), ends=True))
    assert [one.kind for one in sent] == [frames.HEADERS, frames.CONTINUATION, frames.CONTINUATION]
    assert [one.flags for one in sent] == [ES, 0, EH]


def test_4_3_1_the_table_of_the_peer_is_never_used_and_its_reduction_is_answered() -> None:
    """ "Once an endpoint acknowledges a change to SETTINGS_HEADER_TABLE_SIZE that reduces the maximum below the current size of the dynamic
    table, its HPACK encoder MUST start the next field block with a Dynamic Table Size Update instruction" """
    codec = server()
    one, two = opened(codec, 1), opened(codec, 3)
    codec.receive_data(setting(Setting.HEADER_TABLE_SIZE, 8192))
    assert codec.table_update == b""
    codec.receive_data(setting(Setting.HEADER_TABLE_SIZE, 100))
    assert parsed(codec.send_head(one, b"\x88", ends=True))[0].payload == b"\x20\x88"
    assert parsed(codec.send_head(two, b"\x88", ends=True))[0].payload == b"\x88"


def test_4_3_1_a_promise_too_begins_with_the_change() -> None:
    codec = server()
    stream = opened(codec)
    codec.receive_data(setting(Setting.HEADER_TABLE_SIZE, 0))
    _, octets = codec.promise(stream, "GET", b"\x82")
    assert parsed(octets)[0].payload == b"\x00\x00\x00\x02\x20\x82"


# --- 5 Streams and multiplexing -------------------------------------------------------------------------------------------------


def test_5_1_1_clients_have_odd_numbers_and_servers_even_ones() -> None:
    asking, serving = client(), server()
    assert [asked(asking).stream_id for _ in range(3)] == [1, 3, 5]
    stream = opened(serving)
    assert [serving.promise(stream, "GET", b"\x82")[0].stream_id for _ in range(3)] == [2, 4, 6]


def test_5_1_1_numbers_are_not_used_again() -> None:
    codec = client()
    codec.last_own_id = frames.LARGEST_WINDOW - 2
    assert asked(codec).stream_id == frames.LARGEST_WINDOW
    assert not codec.may_open
    with pytest.raises(SendError):
        asked(codec)


def test_5_1_1_a_server_opens_no_stream() -> None:
    with pytest.raises(SendError):
        asked(server())
    assert not server().may_open


def test_5_1_1_a_client_opens_no_stream_of_the_servers() -> None:
    codec = client()
    assert failure(codec, headers(2, OK)) is ErrorCode.PROTOCOL_ERROR
    assert failure(client(), headers(1, OK)) is ErrorCode.PROTOCOL_ERROR


def test_5_1_1_a_stream_that_was_passed_over_is_closed() -> None:
    codec = server()
    opened(codec, 9)
    assert not codec.is_idle(3)
    assert failure(codec, headers(3)) is ErrorCode.PROTOCOL_ERROR


def test_5_1_1_what_was_passed_over_is_known_for_long() -> None:
    codec = server()
    for number in (1, 5, *range(7, 207, 2)):
        opened(codec, number)
        codec.receive_data(reset(number))
        rested(codec)
    assert failure(codec, headers(3)) is ErrorCode.PROTOCOL_ERROR


def test_5_1_2_the_limit_of_the_peer_is_kept() -> None:
    codec = client(LIMITS, (Setting.MAX_CONCURRENT_STREAMS, 2))
    asked(codec)
    assert codec.may_open
    asked(codec)
    assert not codec.may_open
    with pytest.raises(SendError):
        asked(codec)
    codec.receive_data(headers(1, OK))
    assert asked(codec).stream_id == 5


def test_5_1_2_the_limit_holds_for_pushes() -> None:
    codec = server(LIMITS, (Setting.MAX_CONCURRENT_STREAMS, 2))
    stream = opened(codec)
    promised = [codec.promise(stream, "GET", b"\x82")[0] for _ in range(2)]
    with pytest.raises(SendError):
        codec.promise(stream, "GET", b"\x82")
    codec.receive_data(setting(Setting.MAX_CONCURRENT_STREAMS, 1))
    codec.send_head(promised[1], b"\x88", ends=False)
    with pytest.raises(SendError):
        codec.send_head(promised[0], b"\x88", ends=False)
    assert promised[0].state is RESERVED_LOCAL
    codec.send_data(promised[1], b"", ends=True)
    codec.send_head(promised[0], b"\x88", ends=True)


def test_5_1_2_streams_past_our_limit_are_refused_and_may_be_asked_for_again() -> None:
    codec = server(Http2Limits(concurrent_streams=1))
    opened(codec)
    refused = said(codec, headers(3) + headers(5, POST, EH) + data(5, b"a", ES))
    assert refused == parsed(reset(3, ErrorCode.REFUSED_STREAM) + reset(5, ErrorCode.REFUSED_STREAM))
    assert taken(codec) == []
    codec.receive_data(reset(1))
    assert only(fed(codec, headers(7)), RequestReceived).stream.stream_id == 7


def test_5_2_1_the_windows_of_the_peer_are_kept() -> None:
    codec = server()
    stream = opened(codec)
    assert codec.room(stream) == 65535
    with pytest.raises(SendError):
        codec.send_data(stream, b"x" * 65536, ends=True)
    assert (codec.room(stream), stream.send_window, codec.send_window) == (65535,) * 3
    codec.send_data(stream, b"x" * 65535, ends=False)
    assert codec.room(stream) == 0
    with pytest.raises(SendError):
        codec.send_data(stream, b"x", ends=True)


def test_5_2_1_a_stream_cannot_take_what_the_connection_has_not() -> None:
    codec = server()
    one, two = opened(codec, 1), opened(codec, 3)
    codec.send_data(one, b"x" * 65535, ends=True)
    assert (codec.room(two), two.send_window) == (0, 65535)
    assert only(fed(codec, window(0, 10)), WindowOpened).stream is None
    assert codec.room(two) == 10


def test_5_3_2_priorities_of_rfc_7540_are_read() -> None:
    codec = server()
    events = fed(
        codec,
        priority(3, 0, 200) + headers(5, GET, EH | ES | 0x20, prefix=priority_octets(3, 1, is_exclusive=True)),
    )
    assert [event for event in events if isinstance(event, Priority)] == [
        Priority(3, 0, 200, False),
        Priority(5, 3, 1, True),
    ]
    assert [type(event) for event in events] == [Priority, Priority, RequestReceived, MessageEnded]


def test_5_3_2_priorities_are_ignored_for_who_said_that_they_mean_nothing() -> None:
    codec = server(LIMITS, (Setting.NO_RFC7540_PRIORITIES, 1))
    events = fed(codec, priority(3) + headers(5, GET, EH | ES | 0x20, prefix=priority_octets(5)))
    assert [type(event) for event in events] == [RequestReceived, MessageEnded]


def test_5_3_2_a_priority_may_change_at_any_time() -> None:
    codec = server()
    events = fed(codec, priority_update(1, "u=0") + headers(1, POST, EH) + priority_update(1, "u=7, i"))
    assert [event for event in events if isinstance(event, PriorityUpdated)] == [
        PriorityUpdated(1, "u=0"),
        PriorityUpdated(1, "u=7, i"),
    ]


def test_5_3_2_a_server_sends_no_priority_update() -> None:
    assert failure(client(), priority_update(1)) is ErrorCode.PROTOCOL_ERROR


def test_5_3_2_what_was_prioritized_and_has_begun_makes_room() -> None:
    codec = server(Http2Limits(concurrent_streams=2))
    for number in (1, 3, 5, 7):
        assert fed(codec, priority_update(number))
        opened(codec, number)
        codec.receive_data(reset(number))
    assert failure(codec, priority_update(9) + priority_update(11) + priority_update(13)) is ErrorCode.PROTOCOL_ERROR


def test_5_4_1_goaway_names_the_last_stream_and_the_reason() -> None:
    codec = server()
    opened(codec, 5)
    last = said(codec, PING + frame(frames.PING, 0, 0, b"short"))[-1]
    assert last.kind == frames.GOAWAY
    assert last.payload == b"\x00\x00\x00\x05\x00\x00\x00\x06PING has eight octets."


def test_5_4_1_after_it_nothing_is_read() -> None:
    codec = server()
    codec.receive_data(data(0))
    assert [type(event) for event in fed(codec, PING + headers(1))] == [ConnectionFailed]
    assert PONG not in codec.take_outgoing()


def test_5_4_1_after_it_nothing_is_kept() -> None:
    codec = server()
    codec.receive_data(headers(1)[:12])
    codec.receive_data(headers(1)[12:] + data(0) + PING[:5])
    assert not codec.has_partial_block


def test_5_4_2_a_stream_error_concerns_one_stream() -> None:
    codec = server()
    one, two = opened(codec, 1), opened(codec, 3)
    assert said(codec, window(1, 0)) == parsed(reset(1, ErrorCode.PROTOCOL_ERROR))
    ended = only(taken(codec), StreamEnded)
    assert (ended.stream, ended.code, ended.is_ours) == (one, ErrorCode.PROTOCOL_ERROR, True)
    assert ended.detail
    assert only(fed(codec, data(3, b"a", ES)), DataReceived).stream is two


def test_5_4_2_a_reset_is_not_answered_with_a_reset() -> None:
    """ "To avoid looping, an endpoint MUST NOT send a RST_STREAM in response to a RST_STREAM frame." """
    codec = server()
    opened(codec)
    assert said(codec, reset(1) + reset(1)) == []


def test_5_4_2_a_stream_is_reset_once() -> None:
    codec = server()
    stream = opened(codec)
    assert said(codec, window(1, 0) + data(1, b"a") + headers(1) + priority(1, 1) + window(1, 0)) == parsed(reset(1, 1))
    assert codec.reset(stream, ErrorCode.CANCEL) == b""


def test_5_4_2_what_comes_after_a_reset_counts_for_the_connection() -> None:
    codec = server()
    stream = opened(codec)
    codec.reset(stream, ErrorCode.CANCEL)
    for _ in range(31):
        assert said(codec, data(1, b"x" * 16384)) == []
    assert said(codec, data(1, b"x" * 16384)) == parsed(window(0, 32 * 16384))
    assert codec.receive_window == LIMITS.connection_window


def test_5_5_what_is_unknown_is_ignored() -> None:
    codec = server()
    assert fed(codec, frame(0xAA, 0xFF, 0, b"x") + frame(0x0A, 0, 1, b"x") + setting(0xFFFF, 1)) == [
        SettingsReceived([(0xFFFF, 1)])
    ]
    assert 0xFFFF not in codec.peer_settings


# --- 6 Frame definitions --------------------------------------------------------------------------------------------------------


def test_6_1_content_comes_with_what_it_takes_of_the_windows() -> None:
    codec = server()
    stream = opened(codec)
    events = fed(codec, data(1, b"\x04hello\0\0\0\0", frames.PADDED) + data(1, b"", ES))
    assert events == [DataReceived(stream, b"hello", 10), MessageEnded(stream)]
    assert stream.receive_window == LIMITS.stream_window - 10
    assert codec.receive_window == LIMITS.connection_window - 10


def test_6_1_padding_alone_is_given_back_at_once() -> None:
    codec = server(Http2Limits(stream_window=65535, connection_window=65535))
    opened(codec)
    sent = []
    for _ in range(1000):
        sent += said(codec, data(1, b"\xff" + b"\0" * 255, frames.PADDED))
    assert taken(codec) == []
    assert {one.kind for one in sent} == {frames.WINDOW_UPDATE}
    assert {one.stream_id for one in sent} == {0, 1}


def test_6_1_content_is_sent_with_its_end() -> None:
    codec = server()
    stream = opened(codec, ends=True)
    codec.send_head(stream, b"\x88", ends=False)
    assert codec.send_data(stream, b"", ends=False) == b""
    assert parsed(codec.send_data(stream, b"hello", ends=True)) == [Frame(frames.DATA, ES, 1, b"hello")]
    assert stream.state is CLOSED


def test_6_1_content_that_fills_its_frames_ends_with_the_last() -> None:
    codec = server()
    sent = parsed(codec.send_data(opened(codec, ends=True), b"x" * 49152, ends=True))
    assert [(len(one.payload), one.flags) for one in sent] == [(16384, 0), (16384, 0), (16384, ES)]


def test_6_2_a_head_may_be_the_whole_message() -> None:
    codec = server()
    stream = opened(codec, ends=True)
    assert stream.state is REMOTE_DONE
    assert parsed(codec.send_head(stream, b"\x89", ends=True)) == [Frame(frames.HEADERS, ES | EH, 1, b"\x89")]
    assert codec.streams == {}


def test_6_3_a_priority_changes_no_state() -> None:
    codec = server()
    assert fed(codec, priority(1, 0, 1, is_exclusive=True)) == [Priority(1, 0, 1, True)]
    assert codec.is_idle(1)
    assert only(fed(codec, headers(1)), RequestReceived)


def test_6_4_a_reset_ends_a_stream() -> None:
    codec = server()
    stream = opened(codec)
    assert fed(codec, reset(1, 0xABCD)) == [StreamEnded(stream, 0xABCD)]
    assert stream.state is CLOSED
    with pytest.raises(SendError):
        codec.send_data(stream, b"a", ends=True)
    assert parsed(codec.reset(opened(codec, 3), ErrorCode.CANCEL)) == [Frame(frames.RST_STREAM, 0, 3, b"\0\0\0\x08")]


def test_6_5_settings_are_in_order_and_the_last_holds() -> None:
    codec = server()
    octets = settings_frame([(Setting.INITIAL_WINDOW_SIZE, 100), (Setting.INITIAL_WINDOW_SIZE, 1)])
    assert said(codec, octets) == [Frame(frames.SETTINGS, frames.ACK, 0, b"")]
    assert only(taken(codec), SettingsReceived).settings == [(4, 100), (4, 1)]
    assert opened(codec).send_window == 1


def test_6_5_2_settings_begin_with_their_initial_values() -> None:
    codec = server()
    assert codec.peer_settings == {1: 4096, 2: 1, 3: (1 << 31) - 1, 4: 65535, 5: 16384, 6: (1 << 31) - 1, 8: 0, 9: 0}
    codec.receive_data(settings_frame([(1, 1), (2, 0), (3, 3), (4, 4), (5, 55555), (6, 6), (8, 1), (9, 1), (7, 7)]))
    assert codec.peer_settings == {1: 1, 2: 0, 3: 3, 4: 4, 5: 55555, 6: 6, 8: 1, 9: 1}


@pytest.mark.parametrize(
    ("key", "value"), [(Setting.ENABLE_PUSH, 1), (Setting.ENABLE_CONNECT_PROTOCOL, 2), (Setting.MAX_FRAME_SIZE, 0)]
)
def test_6_5_2_what_a_server_must_not_set(key: Setting, value: int) -> None:
    assert failure(client(), setting(key, value)) is ErrorCode.PROTOCOL_ERROR


def test_6_5_2_what_a_server_may_set() -> None:
    codec = client()
    codec.receive_data(settings_frame([(Setting.ENABLE_PUSH, 0), (Setting.ENABLE_CONNECT_PROTOCOL, 1)]))
    assert codec.peer_settings[Setting.ENABLE_CONNECT_PROTOCOL] == 1


def test_6_5_3_each_settings_frame_is_acknowledged_at_once_and_in_order() -> None:
    sent = said(server(), settings_frame([]) + PING + settings_frame([]))
    assert [one.kind for one in sent] == [frames.SETTINGS, frames.PING, frames.SETTINGS]


def test_6_5_3_the_acknowledgement_of_ours_is_told_once() -> None:
    codec = Http2Codec(Role.SERVER, LIMITS, states())
    codec.begin()
    codec.receive_data(BEGIN)
    rested(codec)
    assert fed(codec, frames.SETTINGS_ACK + frames.SETTINGS_ACK) == [SettingsAcknowledged()]


def test_6_6_a_promise_reserves_a_stream() -> None:
    serving, asking = server(), client(PUSHES)
    carrier = asked(asking)
    stream = opened(serving, ends=True)
    promised, octets = serving.promise(stream, "GET", encode_stateless(GET))
    assert (promised.state, stream.state) == (RESERVED_LOCAL, REMOTE_DONE)
    received = only(fed(asking, octets), PromiseReceived)
    assert (received.stream, received.promised.stream_id, received.fields) == (carrier, 2, tuple(GET))
    assert (received.promised.state, carrier.state) == (RESERVED_REMOTE, LOCAL_DONE)


def test_6_6_a_promise_may_come_in_pieces_and_padded() -> None:
    asking = client(PUSHES)
    asked(asking)
    block = encode_stateless(GET)
    octets = frame(frames.PUSH_PROMISE, frames.PADDED, 1, b"\x02\x80\x00\x00\x02" + block[:3] + b"\0\0")
    assert only(fed(asking, octets + continuation(1, block[3:])), PromiseReceived).promised.stream_id == 2


@pytest.mark.parametrize(
    "octets",
    [
        promise(0, 2),
        promise(5, 2),
        promise(1, 3),
        promise(1, 0),
        promise(1, 2) + promise(1, 2),
        promise(1, 4) + promise(1, 2),
        promise(1, 2) + promise(2, 4),
        promise(1, 2) + headers(2, OK, EH) + promise(2, 4),
        headers(1, OK) + promise(1, 2),
        promise(1, 2, GET, 0) + PING,
        promise(1, 2, GET, 0) + headers(1, OK),
    ],
)
def test_6_6_a_promise_that_cannot_be_ends_the_connection(octets: bytes) -> None:
    codec = client(PUSHES)
    asked(codec)
    assert failure(codec, octets) is ErrorCode.PROTOCOL_ERROR


def test_6_6_a_promise_on_a_stream_that_the_server_has_ended_ends_the_connection() -> None:
    codec = client(PUSHES)
    asked(codec, POST, ends=False)
    assert failure(codec, headers(1, OK) + promise(1, 2)) is ErrorCode.PROTOCOL_ERROR


def test_6_6_a_promise_too_short_or_with_too_much_padding() -> None:
    for octets, code in [
        (frame(frames.PUSH_PROMISE, EH, 1, b"\0\0\0"), ErrorCode.FRAME_SIZE_ERROR),
        (frame(frames.PUSH_PROMISE, EH | frames.PADDED, 1, b"\x05\0\0\0\2"), ErrorCode.PROTOCOL_ERROR),
    ]:
        codec = client(PUSHES)
        asked(codec)
        assert failure(codec, octets) is code


def test_6_6_who_lets_nobody_push_ends_the_connection() -> None:
    codec = client()
    asked(codec)
    assert failure(codec, promise(1, 2)) is ErrorCode.PROTOCOL_ERROR


def test_6_6_nothing_is_promised_where_the_peer_does_not_let_us() -> None:
    codec = server(LIMITS, (Setting.ENABLE_PUSH, 0))
    with pytest.raises(SendError):
        codec.promise(opened(codec), "GET", b"\x82")


def test_6_6_a_promise_on_a_stream_that_we_reset_reserves_and_is_refused() -> None:
    codec = client(PUSHES)
    stream = asked(codec)
    codec.reset(stream, ErrorCode.CANCEL)
    assert said(codec, promise(1, 2)) == parsed(reset(2, ErrorCode.CANCEL))
    assert not codec.is_idle(2)
    assert said(codec, headers(2, OK)) == []


def test_6_7_a_ping_is_answered_with_its_octets() -> None:
    codec = server()
    assert said(codec, PING) == parsed(PONG)
    assert taken(codec) == []
    assert fed(codec, PONG) == [PingAcknowledged(b"are you?")]
    assert parsed(codec.ping(b"12345678")) == [Frame(frames.PING, 0, 0, b"12345678")]
    with pytest.raises(SendError):
        codec.ping(b"1234567")


def test_6_8_goaway_is_told() -> None:
    assert fed(client(), frames.goaway_frame(5, 0xEE, b"why")) == [GoawayReceived(5, 0xEE, b"why")]


def test_6_8_after_it_nothing_new_is_begun() -> None:
    codec = client()
    asked(codec)
    codec.receive_data(frames.goaway_frame(1, 0))
    assert not codec.may_open
    with pytest.raises(SendError):
        asked(codec)
    serving = server()
    stream = opened(serving)
    serving.receive_data(frames.goaway_frame(0, 0))
    with pytest.raises(SendError):
        serving.promise(stream, "GET", b"\x82")


def test_6_8_a_warning_lets_streams_come_that_are_on_their_way() -> None:
    codec = server()
    opened(codec)
    assert (
        parsed(codec.goaway(ErrorCode.NO_ERROR, last_stream_id=frames.LARGEST_WINDOW))[0].payload
        == b"\x7f\xff\xff\xff\0\0\0\0"
    )
    assert only(fed(codec, headers(3)), RequestReceived).stream.stream_id == 3
    assert parsed(codec.goaway(ErrorCode.NO_ERROR))[0].payload == b"\0\0\0\3\0\0\0\0"
    assert fed(codec, headers(5)) == []


def test_6_8_what_comes_after_it_is_ignored_but_counted() -> None:
    codec = server()
    opened(codec)
    codec.goaway(ErrorCode.NO_ERROR)
    block = encode_stateless(POST) + b"\x40\x01a\x01b"
    assert fed(codec, frame(frames.HEADERS, EH, 3, block) + data(3, b"x" * 100) + window(3, 1) + reset(3)) == []
    assert codec.receive_window == LIMITS.connection_window - 100
    trailers = only(fed(codec, frame(frames.HEADERS, EH | ES, 1, b"\xbe")), MessageEnded).trailers
    assert trailers == Fields([("a", "b")])


def test_6_8_the_last_stream_never_grows() -> None:
    """ "Endpoints MUST NOT increase the value they send in the last stream identifier" """
    codec = server()
    opened(codec)
    codec.goaway(ErrorCode.NO_ERROR)
    codec.receive_data(headers(7))
    assert codec.goaway(ErrorCode.NO_ERROR, last_stream_id=frames.LARGEST_WINDOW)[9:13] == b"\0\0\0\1"
    assert said(codec, data(0))[-1].payload[:4] == b"\0\0\0\1"


def test_6_9_content_that_was_taken_opens_the_windows_again() -> None:
    codec = server(Http2Limits(stream_window=65536, connection_window=131072))
    stream = opened(codec)
    codec.receive_data(data(1, b"x" * 16384) * 4)
    events = [event for event in taken(codec) if isinstance(event, DataReceived)]
    for event in events[:3]:
        codec.consumed(stream, event.octets)
    assert codec.take_outgoing() == window(1, 32768)
    codec.consumed(stream, events[3].octets)
    assert codec.take_outgoing() == window(1, 32768) + window(0, 65536)
    assert (stream.receive_window, codec.receive_window) == (65536, 131072)


def test_6_9_a_stream_that_has_ended_needs_no_window() -> None:
    codec = server()
    stream = opened(codec)
    codec.receive_data(data(1, b"x" * 16384) * 15 + data(1, b"x" * 16384, ES))
    codec.consumed(stream, 16 * 16384)
    assert codec.take_outgoing() == b""
    codec.send_head(stream, b"\x88", ends=True)
    codec.consumed(stream, 16 * 16384)
    assert codec.take_outgoing() == window(0, 32 * 16384)


def test_6_9_1_an_end_needs_no_window() -> None:
    codec = server(LIMITS, (Setting.INITIAL_WINDOW_SIZE, 0))
    stream = opened(codec)
    assert codec.room(stream) == 0
    assert parsed(codec.send_data(stream, b"", ends=True)) == [Frame(frames.DATA, ES, 1, b"")]


def test_6_9_1_a_window_of_one_octet_lets_one_octet_through() -> None:
    codec = server(LIMITS, (Setting.INITIAL_WINDOW_SIZE, 1))
    stream = opened(codec)
    assert codec.room(stream) == 1
    assert only(fed(codec, window(1, 2)), WindowOpened).stream is stream
    assert codec.room(stream) == 3


def test_6_9_2_the_initial_size_changes_the_windows_of_all_streams() -> None:
    codec = server()
    one, two = opened(codec, 1), opened(codec, 3)
    codec.send_data(one, b"x" * 60_000, ends=False)
    assert only(fed(codec, setting(Setting.INITIAL_WINDOW_SIZE, 16384)), SettingsReceived)
    assert (one.send_window, two.send_window, codec.send_window) == (16384 - 60_000, 16384, 5535)
    assert codec.room(one) == 0
    assert codec.room(two) == 5535
    codec.receive_data(window(1, 60_000 - 16384))
    assert codec.room(one) == 0
    codec.receive_data(window(1, 1))
    assert codec.room(one) == 1
    events = fed(codec, setting(Setting.INITIAL_WINDOW_SIZE, 20000))
    assert [event.stream for event in events if isinstance(event, WindowOpened)] == [one, one, None]
    assert one.send_window == 1 + 20000 - 16384
    for no_larger in (20000, 10000):
        events = fed(codec, setting(Setting.INITIAL_WINDOW_SIZE, no_larger))
        assert [type(event) for event in events] == [SettingsReceived]


def test_6_9_2_what_we_give_cannot_be_less_than_the_initial_size() -> None:
    """A smaller window would hold only once the peer knows of it (§6.9.3)."""
    wrong: list[dict[str, Any]] = [
        {"stream_window": 65534},
        {"connection_window": 65534},
        {"stream_window": 1 << 31},
        {"frame_size": 16383},
    ]
    for limits in wrong:
        with pytest.raises(ValueError, match="window"):
            replace(LIMITS, **limits)
    codec = Http2Codec(Role.SERVER, Http2Limits(stream_window=65535, connection_window=65535), states())
    codec.begin()
    assert of_kind(codec.take_outgoing(), frames.WINDOW_UPDATE) == []
    assert codec.receive_window == 65535


def test_6_10_a_long_block_goes_on_in_continuations() -> None:
    codec = client()
    block = encode_stateless([*GET, ("x", "\n" * 20_000)])
    stream, octets = codec.open(GET, block, ends=True)
    sent = parsed(octets)
    assert [(one.kind, one.flags, one.stream_id) for one in sent] == [(1, ES, 1), (9, EH, 1)]
    assert b"".join(one.payload for one in sent) == block
    assert stream.state is LOCAL_DONE


# --- 7 Error codes --------------------------------------------------------------------------------------------------------------


def test_7_the_codes() -> None:
    assert [code.name for code in ErrorCode] == [
        "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
        "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    ]  # fmt: skip
    assert list(ErrorCode) == list(range(14))


# --- 8 Expressing HTTP semantics ------------------------------------------------------------------------------------------------


def test_8_1_a_request_is_a_head_content_and_trailers() -> None:
    codec = server()
    events = fed(
        codec, headers(1, [*POST, ("trailer", "x")], EH) + data(1, b"ab") + data(1, b"c") + headers(1, [("x", "y")])
    )
    head, one, two, end = events
    assert isinstance(head, RequestReceived)
    assert (head.head.method, head.head.content_length, head.has_ended) == ("POST", None, False)
    assert isinstance(one, DataReceived)
    assert isinstance(two, DataReceived)
    assert (one.data, two.data) == (b"ab", b"c")
    assert end == MessageEnded(head.stream, Fields([("x", "y")]))


def test_8_1_what_is_no_trailer_field_is_left_out() -> None:
    codec = server()
    opened(codec)
    trailers = [("content-length", "5"), ("x", "y"), ("authorization", "z"), ("host", "h")]
    assert only(fed(codec, headers(1, trailers)), MessageEnded).trailers == Fields([("x", "y")])


def test_8_1_interim_responses_come_before_the_final_one() -> None:
    codec = client()
    stream = asked(codec)
    octets = headers(1, [(":status", "100")], EH) + headers(1, [(":status", "103"), ("link", "</a>")], EH)
    octets += headers(1, OK, EH) + data(1, b"a", ES)
    events = fed(codec, octets)
    assert [event.status for event in events if isinstance(event, ResponseReceived)] == [100, 103, 200]
    assert events[-1] == MessageEnded(stream)
    assert stream.state is CLOSED


def test_8_1_an_answer_may_be_whole_before_its_question() -> None:
    codec = server()
    stream = opened(codec)
    codec.send_head(stream, b"\x88", ends=True)
    assert parsed(codec.reset(stream, ErrorCode.NO_ERROR)) == [Frame(frames.RST_STREAM, 0, 1, b"\0\0\0\0")]
    assert fed(codec, data(1, b"rest", ES)) == []


@pytest.mark.parametrize(
    "octets",
    [
        headers(1, [(":status", "100")]),
        headers(1, [(":status", "101")], EH),
        headers(1, [("x", "y")], EH),
        headers(1, [(":status", "20")], EH),
        headers(1, [(":status", "2000")], EH),
        headers(1, [(":status", "099")], EH),
        headers(1, [(":status", "2\xb20")], EH),
        headers(1, [*OK, *OK], EH),
        headers(1, [*OK, (":method", "GET")], EH),
        headers(1, [("x", "y"), *OK], EH),
        headers(1, [*OK, ("connection", "close")], EH),
        headers(1, [*OK, ("X", "y")], EH),
        headers(1, [*OK, ("x", "a\nb")], EH),
        headers(1, [*OK, ("content-length", "x")], EH),
        headers(1, [*OK, ("content-length", "1" * 19)], EH),
        headers(1, [*OK, ("content-length", "1"), ("content-length", "1")], EH),
        headers(1, [*OK, ("content-length", "5")], EH) + data(1, b"four", ES),
        headers(1, [*OK, ("content-length", "3")], EH) + data(1, b"four"),
        headers(1, [*OK, ("content-length", "3")]),
        headers(1, [(":status", "204")], EH) + data(1, b"a"),
        headers(1, [(":status", "304"), ("content-length", "3")], EH) + data(1, b"abc", ES),
        headers(1, OK, EH) + headers(1, OK, EH),
        headers(1, OK, EH) + headers(1, [(":status", "200")]),
        data(1, b"a"),
        headers(1, [(":status", "100")], EH) + data(1, b"a"),
    ],
)
def test_8_1_1_a_malformed_response_is_an_error_of_its_stream(octets: bytes) -> None:
    """ "Clients MUST NOT accept a malformed response." """
    codec = client()
    stream = asked(codec)
    sent = said(codec, octets)
    assert sent == parsed(reset(1, ErrorCode.PROTOCOL_ERROR))
    ended = taken(codec)[-1]
    assert isinstance(ended, StreamEnded)
    assert (ended.stream, ended.is_ours) == (stream, True)


def test_8_1_1_responses_without_content_may_have_a_length() -> None:
    for method, status in [("HEAD", "200"), ("GET", "304"), ("GET", "204")]:
        codec = client()
        asked(codec, [(":method", method), *GET[1:]])
        events = fed(codec, headers(1, [(":status", status), ("content-length", "5")], EH) + data(1, b"", ES))
        assert [type(event) for event in events] == [ResponseReceived, MessageEnded]


def test_8_1_1_content_of_the_announced_length() -> None:
    codec = client()
    asked(codec)
    events = fed(codec, headers(1, [*OK, ("content-length", "4")], EH) + data(1, b"fo") + data(1, b"ur", ES))
    assert [type(event) for event in events] == [ResponseReceived, DataReceived, DataReceived, MessageEnded]


def test_8_2_1_values_are_octets() -> None:
    assert request([*GET, ("x", "\xe9\xff \t~")]).fields.get("x") == "\xe9\xff \t~"


def test_8_2_2_te_asks_for_trailers() -> None:
    assert request([*GET, ("te", "trailers")]).fields.get("te") == "trailers"


def test_8_2_3_the_crumbs_of_cookies_are_one() -> None:
    head = request([*GET, ("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e=f")])
    assert list(head.fields) == [("host", "example.org"), ("x", "y"), ("cookie", "a=b; c=d; e=f")]
    assert request([*GET, ("cookie", "a=b"), ("cookie", "c=d")]).fields.get_all("cookie") == ["a=b; c=d"]
    assert request([*GET, ("cookie", "a=b"), ("x", "y")]).fields.get("cookie") == "a=b"


def test_8_3_1_a_request_reads_as_in_every_version() -> None:
    head = request(
        [(":method", "POST"), (":scheme", "HTTPS"), (":path", "/a?b=c"), (":authority", "Example.org:8443"), ("x", "y")]
    )
    assert (head.method, head.target, head.version, head.form) == ("POST", "/a?b=c", "2", TargetForm.ORIGIN)
    assert (head.scheme, head.host, head.port, head.path, head.query) == ("https", "example.org", 8443, "/a", "b=c")
    assert list(head.fields) == [("host", "Example.org:8443"), ("x", "y")]
    assert head.raw == b"POST /a?b=c HTTP/2.0\r\nhost: Example.org:8443\r\nx: y\r\n\r\n"
    assert head.content_length == 0


def test_8_3_1_the_authority_stands_in_place_of_the_host() -> None:
    """ "The recipient of a HTTP/2 request MUST NOT use the Host header field to determine the target URI if ":authority" is present." """
    head = request([*GET, ("host", "EXAMPLE.ORG:443")])
    assert head.fields.get_all("host") == ["example.org"]
    assert (head.host, head.port) == ("example.org", None)
    assert request([*GET[:3], ("x", "y"), ("host", "only:1")]).fields.get_all("host") == ["only:1"]


def test_8_3_1_other_schemes_are_read_too() -> None:
    assert request([GET[0], (":scheme", "coap+tcp"), *GET[2:]]).scheme == "coap+tcp"


def test_8_3_1_the_server_as_a_whole() -> None:
    head = request([(":method", "OPTIONS"), GET[1], (":path", "*"), GET[3]])
    assert (head.form, head.path, head.target) == (TargetForm.ASTERISK, "", "*")


def test_8_3_2_a_response_has_a_status() -> None:
    codec = client()
    stream = asked(codec)
    events = fed(codec, headers(1, [(":status", "418"), ("server", "pot")]))
    assert events == [ResponseReceived(stream, 418, Fields([("server", "pot")]), True), MessageEnded(stream)]


def test_8_4_a_push_is_a_request_and_its_response() -> None:
    serving, asking = server(), client(PUSHES)
    asked(asking)
    promised, octets = serving.promise(opened(serving, ends=True), "GET", encode_stateless(GET))
    octets += serving.send_head(promised, b"\x88", ends=False)
    assert promised.state is REMOTE_DONE
    octets += serving.send_data(promised, b"pushed", ends=True)
    assert promised.state is CLOSED
    kinds = [PromiseReceived, ResponseReceived, DataReceived, MessageEnded]
    assert [type(event) for event in fed(asking, octets)] == kinds
    assert 2 not in asking.streams


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (POST, ErrorCode.PROTOCOL_ERROR),
        ([(":method", "OPTIONS"), *GET[1:]], ErrorCode.PROTOCOL_ERROR),
        ([*GET, ("content-length", "1")], ErrorCode.PROTOCOL_ERROR),
        (GET[:3], ErrorCode.PROTOCOL_ERROR),
        ([*GET, ("X", "y")], ErrorCode.PROTOCOL_ERROR),
        (OK, ErrorCode.PROTOCOL_ERROR),
        ([*GET, ("x", "y" * 40_000)], ErrorCode.CANCEL),
    ],
)
def test_8_4_what_cannot_be_pushed_is_refused(fields: list[Field], code: ErrorCode) -> None:
    codec = client(PUSHES)
    asked(codec)
    block = encode_stateless(fields)
    octets = frame(frames.PUSH_PROMISE, 0, 1, b"\0\0\0\2" + block[:16000])
    octets += b"".join(
        continuation(1, block[at : at + 16000], 0) for at in range(16000, len(block), 16000)
    ) + continuation(1)
    assert said(codec, octets) == parsed(reset(2, code))
    assert not [event for event in taken(codec) if isinstance(event, PromiseReceived)]


def test_8_4_1_a_push_belongs_to_a_request_of_the_client() -> None:
    codec = server()
    promised, _ = codec.promise(opened(codec), "GET", b"\x82")
    codec.send_head(promised, b"\x88", ends=False)
    with pytest.raises(SendError):
        codec.promise(promised, "GET", b"\x82")


def test_8_4_1_a_promise_is_one_frame() -> None:
    codec = server()
    with pytest.raises(SendError):
        codec.promise(opened(codec), "GET", b"\x82" * 16_381)
    assert len(parsed(codec.promise(codec.streams[1], "GET", b"\x82" * 16_380)[1])) == 1


def test_8_4_2_a_push_can_be_refused_by_its_client() -> None:
    codec = server()
    promised, _ = codec.promise(opened(codec), "GET", b"\x82")
    assert fed(codec, reset(2, ErrorCode.REFUSED_STREAM)) == [StreamEnded(promised, ErrorCode.REFUSED_STREAM)]
    with pytest.raises(SendError):
        codec.send_head(promised, b"\x88", ends=True)
    asking = client(PUSHES)
    asked(asking)
    received = only(fed(asking, promise(1, 2)), PromiseReceived)
    assert asking.reset(received.promised, ErrorCode.CANCEL) == reset(2)
    assert fed(asking, headers(2, OK, EH) + data(2, b"a", ES)) == []


def test_8_5_connect_makes_a_tunnel() -> None:
    codec = server()
    event = only(fed(codec, headers(1, CONNECT, EH)), RequestReceived)
    assert (event.head.form, event.head.host, event.head.port) == (TargetForm.AUTHORITY, "example.org", 443)
    assert (event.head.scheme, event.head.path, event.protocol) == (None, "", None)
    assert only(fed(codec, data(1, b"octets")), DataReceived).data == b"octets"


def test_8_5_a_tunnel_carries_nothing_but_content() -> None:
    codec = client()
    stream = asked(codec, CONNECT, ends=False)
    events = fed(codec, headers(1, [*OK, ("content-length", "0")], EH) + data(1, b"octets"))
    assert [type(event) for event in events] == [ResponseReceived, DataReceived]
    assert said(codec, headers(1, [("x", "y")])) == parsed(reset(1, ErrorCode.PROTOCOL_ERROR))
    assert stream.state is CLOSED


def test_8_5_a_connect_that_failed_is_an_ordinary_answer() -> None:
    codec = client()
    asked(codec, CONNECT, ends=False)
    events = fed(codec, headers(1, [(":status", "502")], EH) + data(1, b"no") + headers(1, [("x", "y")]))
    assert [type(event) for event in events] == [ResponseReceived, DataReceived, MessageEnded]


def test_8_5_extended_connect_names_a_protocol() -> None:
    """RFC 8441 §4."""
    event = only(
        fed(server(), headers(1, [CONNECT[0], (":protocol", "websocket"), GET[1], (":path", "/chat"), GET[3]], EH)),
        RequestReceived,
    )
    assert event.protocol == "websocket"
    assert (event.head.method, event.head.path, event.head.host, event.head.scheme) == (
        "CONNECT",
        "/chat",
        "example.org",
        "https",
    )


def test_8_7_what_was_not_looked_at_can_be_told() -> None:
    codec = server(Http2Limits(concurrent_streams=1))
    opened(codec)
    assert said(codec, headers(3)) == parsed(reset(3, ErrorCode.REFUSED_STREAM))
    assert taken(codec) == []


def test_8_8_the_examples() -> None:
    """Each example's frames, as a client and a server that have met exchange them."""
    asking, serving = client(), server()
    ask = [GET[0], GET[1], (":path", "/resource"), GET[3], ("accept", "image/jpeg")]
    _, octets = asking.open(ask, encode_stateless(ask), ends=True)
    stream = only(fed(serving, octets), RequestReceived).stream
    answer = [(":status", "304"), ("etag", '"xyzzy"'), ("expires", "Thu, 23 Jan 2014 08:00:00 GMT")]
    events = fed(asking, serving.send_head(stream, encode_stateless(answer), ends=True))
    assert only(events, ResponseReceived).fields == Fields(answer[1:])

    send = [
        POST[0],
        (":path", "/resource"),
        GET[1],
        ("content-type", "image/jpeg"),
        ("host", "example.org"),
        ("content-length", "123"),
    ]
    posting, octets = asking.open(send, encode_stateless(send), ends=False)
    octets += asking.send_data(posting, b"x" * 123, ends=True)
    stream = only(fed(serving, octets), RequestReceived).stream
    octets = serving.send_head(stream, encode_stateless([(":status", "100"), ("extension-field", "bar")]), ends=False)
    octets += serving.send_head(
        stream, encode_stateless([*OK, ("content-type", "image/jpeg"), ("trailer", "foo")]), ends=False
    )
    octets += serving.send_data(stream, b"x" * 123, ends=False)
    octets += serving.send_head(stream, encode_stateless([("foo", "bar")]), ends=True)
    events = fed(asking, octets)
    assert [type(event) for event in events] == [ResponseReceived, ResponseReceived, DataReceived, MessageEnded]
    assert only(events, MessageEnded).trailers == Fields([("foo", "bar")])
    assert (asking.streams, serving.streams) == ({}, {})


# --- 10 Security considerations -------------------------------------------------------------------------------------------------


def test_10_3_a_request_reads_the_same_when_it_goes_on_in_http_1() -> None:
    head = request(
        [*GET[:2], (":path", "/a%20b?c=d"), GET[3], ("cookie", "a=b"), ("x", "\xe9 ;\t."), ("cookie", "c=d"), ("y", "")]
    )
    codec = Http1Codec(Role.SERVER, WireLimits())
    codec.receive_data(head.raw.replace(b" HTTP/2.0\r\n", b" HTTP/1.1\r\n", 1))
    again = codec.next_event()
    assert isinstance(again, RequestHead)
    assert (again.method, again.target, again.host, again.port) == (head.method, head.target, head.host, head.port)
    assert again.fields == head.fields
    assert isinstance(codec.next_event(), EndOfMessage)
    assert codec.buffered == 0


def test_10_5_1_fields_that_are_too_large_can_be_answered() -> None:
    codec = server()
    fields = [*POST, ("x", "y" * 33_000)]
    event = only(fed(codec, frames.header_frames(1, encode_stateless(fields), 16384, ends=False)), RequestTooLarge)
    assert parsed(codec.send_head(event.stream, encode_stateless([(":status", "431")]), ends=True))
    assert [type(event) for event in fed(codec, data(1, b"a", ES))] == [DataReceived, MessageEnded]


def test_10_5_1_the_limit_is_of_fields_as_they_count() -> None:
    size = sum(len(name) + len(value) + 32 for name, value in GET)
    limits = Http2Limits(header_list_size=size)
    assert only(fed(server(limits), headers(1)), RequestReceived)
    assert only(fed(server(limits), headers(1, [*GET[:2], (":path", "/a"), GET[3]])), RequestTooLarge)


def test_10_5_1_a_response_that_is_too_large_is_discarded() -> None:
    codec = client()
    asked(codec)
    octets = frames.header_frames(1, encode_stateless([*OK, ("x", "y" * 33_000)]), 16384, ends=True)
    assert said(codec, octets) == parsed(reset(1, ErrorCode.CANCEL))


def test_10_5_1_trailers_may_be_as_large_as_a_head() -> None:
    codec = server(Http2Limits(header_list_size=1000))
    opened(codec, 1)
    opened(codec, 3)
    assert said(codec, headers(1, [("x", "y" * (1000 - 33))])) == []
    assert said(codec, headers(3, [("x", "y" * (1000 - 32))])) == parsed(reset(3, ErrorCode.PROTOCOL_ERROR))


def test_10_5_1_trailers_that_are_too_large_make_a_malformed_message() -> None:
    for size in (33_000, 70_000):
        codec = server(Http2Limits(field_block_size=100_000))
        opened(codec)
        octets = frames.header_frames(1, encode_stateless([("x", "y" * size)]), 16384, ends=True)
        assert said(codec, octets) == parsed(reset(1, ErrorCode.PROTOCOL_ERROR))


def test_what_is_encoded_is_what_hpack_reads() -> None:
    """The blocks of these tests say what they seem to say."""
    assert HpackDecoder(states()).decode(encode_stateless(POST)).fields == tuple(POST)
