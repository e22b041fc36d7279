"""The codec as its users see it: verbs, states, upgrades, bodies that leave by another way, what it holds and how early it speaks."""

from __future__ import annotations

import pytest

from netlodge.http.message import Fields
from netlodge.http.wire.h1 import (
    NEED_DATA,
    PAUSED,
    ConnectionClosed,
    Data,
    EndOfMessage,
    HeadMemo,
    Http1Codec,
    InformationalHead,
    RequestHead,
    ResponseHead,
    Role,
    SendError,
    State,
    render_head,
)
from tests.http.malformed import request
from tests.http.wire.feeding import LIMITS, client, feed, octet_by_octet, outcome, refusal, server

UPGRADE = request(b"Connection: Upgrade", b"Upgrade: websocket")
EMPTY = Fields([("content-length", "0")])


def asked(octets: bytes | None = None) -> Http1Codec:
    """A server that has read a request, a plain GET unless given."""
    codec = server()
    feed(codec, [octets or request()])
    return codec


# --- a conversation between the two roles -------------------------------------------------------------------------------------


def test_two_codecs_talk_to_each_other() -> None:
    ours, theirs = Http1Codec(Role.CLIENT, LIMITS), server()
    for number in range(3):
        head = RequestHead("POST", f"/{number}", fields=Fields([("host", "example.org")]), is_chunked=True)
        octets = ours.send(head) + ours.send(Data(b"ping")) + ours.send(EndOfMessage(Fields([("x-sum", "1")])))
        received, data, end = feed(theirs, [octets])
        assert isinstance(received, RequestHead)
        assert (received.target, received.is_chunked, data) == (f"/{number}", True, Data(b"ping"))
        assert end == EndOfMessage(Fields([("x-sum", "1")]))
        octets = theirs.send(InformationalHead(103, fields=Fields([("link", "</a>")])))
        octets += theirs.send(ResponseHead(200, fields=Fields([("content-length", "4")])))
        octets += theirs.send(Data(b"pong")) + theirs.send(EndOfMessage())
        assert [type(event) for event in feed(ours, [octets])] == [InformationalHead, ResponseHead, Data, EndOfMessage]
        ours.start_next_cycle()
        theirs.start_next_cycle()
    ours.send(ConnectionClosed())
    assert feed(theirs, [], eof=True) == [ConnectionClosed()]
    assert not ours.is_persistent
    assert not theirs.is_persistent


def test_events_after_the_end_say_the_same_again() -> None:
    codec = server()
    codec.receive_eof()
    assert codec.next_event() == ConnectionClosed()
    assert codec.next_event() == ConnectionClosed()
    assert codec.send(ConnectionClosed()) == b""
    assert codec.send(ConnectionClosed()) == b""


def test_no_data_is_no_event() -> None:
    codec = server()
    codec.receive_data(b"")
    assert codec.next_event() is NEED_DATA
    assert codec.buffered == 0


def test_what_waits_is_counted() -> None:
    codec = asked(request() + b"GET /next")
    assert codec.next_event() is PAUSED
    assert codec.buffered == len(codec.trailing_data) == 9
    assert codec.their_state_is_done
    codec.send(ResponseHead(200, fields=EMPTY))
    codec.send(EndOfMessage())
    codec.start_next_cycle()
    assert codec.next_event() is NEED_DATA
    assert codec.buffered == 9


# --- bodies -------------------------------------------------------------------------------------------------------------------


def test_a_body_is_handed_on_as_the_object_that_came() -> None:
    codec = server()
    feed(codec, [request(b"Content-Length: 10000")])
    piece = bytes(5000)
    codec.receive_data(piece)
    event = codec.next_event()
    assert isinstance(event, Data)
    assert event.data is piece
    assert codec.next_event() is NEED_DATA
    assert codec.buffered == 0


def test_identity_content_leaves_as_the_object_that_was_given() -> None:
    codec = asked()
    codec.send(ResponseHead(200, fields=Fields([("content-length", "5")])))
    content = b"hello"
    assert codec.send(Data(content)) is content


def test_content_may_leave_by_another_way() -> None:
    codec = asked()
    assert not codec.sends_identity
    codec.send(ResponseHead(200, fields=Fields([("content-length", "10")])))
    assert codec.sends_identity
    codec.sent_elsewhere(6)
    assert codec.send(Data(b"abc")) == b"abc"
    with pytest.raises(SendError):
        codec.sent_elsewhere(2)
    with pytest.raises(SendError):
        codec.send(EndOfMessage())
    codec.sent_elsewhere(1)
    codec.send(EndOfMessage())
    assert not codec.sends_identity
    with pytest.raises(SendError):
        codec.sent_elsewhere(0)


def test_content_until_close_may_leave_by_another_way() -> None:
    codec = asked(b"GET / HTTP/1.0\r\n\r\n")
    codec.send(ResponseHead(200))
    assert codec.sends_identity
    codec.sent_elsewhere(1 << 40)
    assert codec.send(EndOfMessage()) == b""


def test_chunks_cannot_leave_by_another_way() -> None:
    codec = asked()
    codec.send(ResponseHead(200))
    assert not codec.sends_identity
    with pytest.raises(SendError):
        codec.sent_elsewhere(1)


@pytest.mark.parametrize(
    ("octets", "status"), [(request(line=b"HEAD / HTTP/1.1"), 200), (request(), 204), (request(), 304), (UPGRADE, 101)]
)
def test_no_content_is_sent_where_none_belongs(octets: bytes, status: int) -> None:
    codec = asked(octets)
    codec.send(ResponseHead(status, fields=Fields([("upgrade", "websocket")])))
    with pytest.raises(SendError):
        codec.send(Data(b"a"))
    assert codec.send(EndOfMessage()) == b""


# --- what must not be sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        ResponseHead(200, fields=Fields([("transfer-encoding", "chunked")])),
        ResponseHead(200, fields=Fields([("content-length", "five")])),
        ResponseHead(200, fields=Fields([("content-length", "5"), ("content-length", "5")])),
        ResponseHead(200, fields=Fields([("connection", "a b")])),
        ResponseHead(100),
        ResponseHead(99),
        ResponseHead(1000),
        ResponseHead(101, fields=Fields([("upgrade", "websocket")])),
        InformationalHead(200),
        InformationalHead(101),
        InformationalHead(103, fields=EMPTY),
        InformationalHead(103, fields=Fields([("transfer-encoding", "chunked")])),
        RequestHead("GET", "/", fields=Fields([("host", "a")])),
        Data(b"a"),
        EndOfMessage(),
    ],
)
def test_what_a_server_must_not_send_changes_nothing(head: ResponseHead | InformationalHead) -> None:
    codec = asked()
    with pytest.raises(SendError):
        codec.send(head)
    assert codec.our_state is State.IDLE
    assert codec.is_persistent
    assert codec.send(ResponseHead(200, fields=EMPTY)) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        RequestHead("GE T", "/", fields=Fields([("host", "a")])),
        RequestHead("GET", "a b", fields=Fields([("host", "a")])),
        RequestHead("GET", "/\r\n", fields=Fields([("host", "a")])),
        RequestHead("GET", "*", fields=Fields([("host", "a")])),
        RequestHead("GET", "/"),
        RequestHead("GET", "/", fields=Fields([("host", "a"), ("host", "b")])),
        RequestHead("GET", "/", fields=Fields([("host", "a b")])),
        RequestHead("GET", "/", fields=Fields([("host", "a"), ("transfer-encoding", "chunked")])),
        RequestHead("POST", "/", fields=Fields([("host", "a"), ("content-length", "1")]), is_chunked=True),
        RequestHead("CONNECT", "a:1", fields=Fields([("host", "a"), ("content-length", "1")])),
        RequestHead("CONNECT", "a:1", fields=Fields([("host", "a")]), is_chunked=True),
        ResponseHead(200),
        InformationalHead(103),
    ],
)
def test_what_a_client_must_not_send_changes_nothing(head: RequestHead) -> None:
    codec = Http1Codec(Role.CLIENT, LIMITS)
    with pytest.raises(SendError):
        codec.send(head)
    assert codec.our_state is State.IDLE
    assert codec.send(RequestHead("GET", "/", fields=Fields([("host", "a")]))) == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_no_interim_response_is_sent_to_http_1_0_or_to_nobody() -> None:
    for codec in (asked(b"GET / HTTP/1.0\r\n\r\n"), server()):
        with pytest.raises(SendError):
            codec.send(InformationalHead(100))


def test_a_request_is_framed_as_its_head_says() -> None:
    for fields, is_chunked, octets in [
        ([("content-length", "2")], False, b"Content-Length: 2\r\n\r\nab"),
        ([], True, b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
    ]:
        codec = Http1Codec(Role.CLIENT, LIMITS)
        head = RequestHead("PUT", "/", fields=Fields([("host", "a"), *fields]), is_chunked=is_chunked)
        sent = codec.send(head) + codec.send(Data(b"ab")) + codec.send(EndOfMessage())
        assert sent == b"PUT / HTTP/1.1\r\nHost: a\r\n" + octets


def test_an_absolute_target_is_sent_with_its_host() -> None:
    codec = Http1Codec(Role.CLIENT, LIMITS)
    head = RequestHead("GET", "http://a.test/b?c", fields=Fields([("host", "a.test")]))
    assert codec.send(head) == b"GET http://a.test/b?c HTTP/1.1\r\nHost: a.test\r\n\r\n"


# --- connection fields --------------------------------------------------------------------------------------------------------


def test_a_hint_brings_its_connection_option() -> None:
    codec = asked()
    head = codec.send(ResponseHead(200, fields=Fields([("content-length", "0"), ("keep-alive", "timeout=5")])))
    assert head.endswith(b"Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n\r\n")


def test_a_connection_option_is_not_said_twice() -> None:
    codec = asked(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head = codec.send(ResponseHead(200, fields=Fields([("content-length", "0"), ("connection", "keep-alive")])))
    assert head.count(b"keep-alive") == 1


def test_an_answer_without_a_request_is_the_last() -> None:
    codec = server()
    codec.receive_data(b"GET / HT")
    assert codec.next_event() is NEED_DATA
    sent = codec.send(ResponseHead(408, fields=EMPTY)) + codec.send(EndOfMessage())
    assert sent == b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    codec.receive_data(b"TP/1.1\r\nHost: a\r\n\r\n")
    assert codec.next_event() is PAUSED
    assert (codec.our_state, codec.their_state) == (State.LAST, State.LAST)
    assert not codec.is_persistent


def test_an_answer_without_length_or_request_ends_with_the_stream() -> None:
    codec = server()
    assert codec.send(ResponseHead(408)) == b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"


def test_an_early_answer_that_closes_leaves_the_rest_to_be_drained() -> None:
    codec = asked(request(b"Content-Length: 5", body=b"he"))
    codec.send(ResponseHead(413, fields=Fields([("content-length", "0"), ("connection", "close")])))
    codec.send(EndOfMessage())
    assert (codec.our_state, codec.their_state) == (State.LAST, State.BODY)
    assert feed(codec, [b"llo"]) == [Data(b"llo"), EndOfMessage()]
    assert codec.their_state is State.LAST


def test_a_body_that_breaks_can_still_be_answered() -> None:
    codec = server()
    refusal(codec, [request(b"Transfer-Encoding: chunked", body=b"x\r\n")])
    sent = codec.send(ResponseHead(400, fields=EMPTY)) + codec.send(EndOfMessage())
    assert b"Connection: close" in sent
    assert (codec.our_state, codec.their_state) == (State.LAST, State.BROKEN)


def test_an_answer_that_is_cut_off_is_broken() -> None:
    codec = asked()
    codec.send(ResponseHead(200))
    codec.send(ConnectionClosed())
    assert codec.our_state is State.BROKEN
    with pytest.raises(SendError):
        codec.send(EndOfMessage())


# --- upgrades and tunnels (RFC 9110 §7.8, §9.3.6) -----------------------------------------------------------------------------


def test_an_upgrade_hands_over_what_came_after_the_request() -> None:
    codec = asked(UPGRADE + b"\x81\x00")
    head = codec.send(ResponseHead(101, fields=Fields([("upgrade", "websocket")])))
    assert head == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    assert codec.send(EndOfMessage()) == b""
    assert (codec.our_state, codec.their_state) == (State.TUNNEL, State.TUNNEL)
    assert codec.next_event() is PAUSED
    assert codec.trailing_data == b"\x81\x00"
    assert not codec.is_persistent
    with pytest.raises(SendError):
        codec.send(ResponseHead(200))


def test_an_upgrade_may_name_its_option_itself() -> None:
    codec = asked(UPGRADE)
    head = codec.send(ResponseHead(101, fields=Fields([("upgrade", "websocket"), ("connection", "Upgrade")])))
    assert head.lower().count(b"connection:") == 1


@pytest.mark.parametrize(
    "octets",
    [
        request(b"Upgrade: websocket"),
        request(b"Connection: upgrade"),
        request(b"Connection: upgrade", b"Upgrade: websocket", line=b"GET / HTTP/1.0"),
        request(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"hell"),
    ],
    ids=["no option", "no field", "HTTP/1.0", "request not complete"],
)
def test_an_upgrade_needs_an_offer(octets: bytes) -> None:
    codec = asked(octets)
    with pytest.raises(SendError):
        codec.send(ResponseHead(101, fields=Fields([("upgrade", "websocket")])))
    assert codec.our_state is State.IDLE


def test_an_upgrade_names_its_protocol() -> None:
    with pytest.raises(SendError):
        asked(UPGRADE).send(ResponseHead(101))


def test_an_offer_may_be_declined() -> None:
    codec = asked(UPGRADE)
    assert codec.send(ResponseHead(200, fields=EMPTY)) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    codec.send(EndOfMessage())
    codec.start_next_cycle()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_connect_makes_a_tunnel(version: bytes) -> None:
    codec = asked(request(line=b"CONNECT example.org:443 HTTP/" + version) + b"\x16\x03")
    head = codec.send(ResponseHead(200, fields=Fields([("content-length", "0"), ("x", "y")])))
    assert head == b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"
    codec.send(EndOfMessage())
    assert (codec.our_state, codec.their_state) == (State.TUNNEL, State.TUNNEL)
    assert codec.trailing_data == b"\x16\x03"


def test_connect_that_is_refused_is_an_exchange_like_any_other() -> None:
    codec = asked(request(line=b"CONNECT example.org:443 HTTP/1.1"))
    assert codec.send(ResponseHead(403, fields=EMPTY)) == b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    codec.send(EndOfMessage())
    codec.start_next_cycle()


def test_connect_from_a_client_that_half_closed() -> None:
    codec = server()
    feed(codec, [request(line=b"CONNECT example.org:443 HTTP/1.1")], eof=True)
    codec.send(ResponseHead(200))
    codec.send(EndOfMessage())
    assert (codec.our_state, codec.their_state) == (State.TUNNEL, State.CLOSED)


def test_a_client_offers_and_gets_an_upgrade() -> None:
    codec = Http1Codec(Role.CLIENT, LIMITS)
    sent = codec.send(RequestHead("GET", "/", fields=Fields([("host", "a"), ("upgrade", "websocket")])))
    assert sent.endswith(b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    codec.send(EndOfMessage())
    octets = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81"
    assert [type(event) for event in feed(codec, octet_by_octet(octets))] == [ResponseHead, EndOfMessage]
    assert (codec.our_state, codec.their_state, codec.trailing_data) == (State.TUNNEL, State.TUNNEL, b"\x81")


def test_a_client_says_its_option_once() -> None:
    codec = Http1Codec(Role.CLIENT, LIMITS)
    fields = Fields([("host", "a"), ("upgrade", "websocket"), ("connection", "upgrade")])
    assert codec.send(RequestHead("GET", "/", fields=fields)).count(b"Connection:") == 1


def test_a_server_cannot_switch_before_the_request_is_complete() -> None:
    codec = Http1Codec(Role.CLIENT, LIMITS)
    fields = Fields([("host", "a"), ("upgrade", "websocket"), ("content-length", "5")])
    codec.send(RequestHead("POST", "/", fields=fields))
    assert refusal(codec, [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"]).status == 502


# --- early, and in linear time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_segments_of_any_small_size(size: int) -> None:
    octets = request(b"Transfer-Encoding: chunked", body=b"2;a\r\nab\r\n0\r\nX: y\r\n\r\n")
    codec = server()
    events = feed(codec, [octets[at : at + size] for at in range(0, len(octets), size)])
    assert isinstance(events[0], RequestHead)
    assert events[1:] == [Data(b"ab"), EndOfMessage(Fields([("x", "y")]))]


def test_each_octet_of_a_head_is_searched_a_bounded_number_of_times() -> None:
    codec = server()
    octets = request(*[b"X: " + b"y" * 200] * 90)[:-2]
    searched = 0
    for octet in octet_by_octet(octets):
        before = codec._buffer._searched
        codec.receive_data(octet)
        assert codec.next_event() is NEED_DATA
        searched += codec.buffered - max(0, before - 1)
        assert codec._buffer._searched >= codec.buffered - 3
    assert searched <= 5 * len(octets)


def test_a_long_request_line_is_searched_once() -> None:
    codec = server()
    for octet in octet_by_octet(b"GET /" + b"a" * 300):
        codec.receive_data(octet)
        assert codec.next_event() is NEED_DATA
        assert codec._searched_line == codec.buffered - 1


def test_the_line_of_an_incomplete_head_is_checked_once() -> None:
    codec = server()
    codec.receive_data(b"GET / HTTP/1.1\r\nHost: a")
    assert codec.next_event() is NEED_DATA
    assert codec._searched_line == -1
    assert [type(event) for event in feed(codec, [b"\r\n", b"\r\n"])] == [RequestHead, EndOfMessage]


def test_the_limit_of_a_request_line_holds_for_its_end_in_the_next_segment() -> None:
    codec = server()
    codec.receive_data(b"GET /" + b"a" * 8000)
    assert codec.next_event() is NEED_DATA
    assert refusal(codec, [b"a" * 200 + b" HTTP/1.1\r\nHost: a"]).status == 414


def test_empty_lines_may_come_in_pieces() -> None:
    codec = server()
    assert feed(codec, [b"\r", b"\n\r", b"\n"]) == []
    assert codec.buffered == 0
    assert outcome(codec, [b"\r\n\r\n\r\n\r\n", request()])[1] is None
    assert refusal(server(), octet_by_octet(b"\r\n" * 11)).status == 400


def test_a_connection_at_rest_holds_nothing() -> None:
    codec = server()
    feed(codec, octet_by_octet(request()))
    assert codec._buffer._octets == b""


def test_a_memo_may_be_shared() -> None:
    memo = HeadMemo()
    heads = []
    for _ in range(2):
        codec = Http1Codec(Role.SERVER, LIMITS, memo)
        codec.receive_data(request(b"Accept: */*"))
        heads.append(codec.next_event())
    assert heads[0] == heads[1]


# --- heads as octets ----------------------------------------------------------------------------------------------------------


def test_a_head_is_spelled_as_people_expect() -> None:
    fields = [
        ("etag", '"a"'),
        ("www-authenticate", "Basic"),
        ("te", "trailers"),
        ("x-my-field", "1"),
        ("dnt", ""),
        ("sec-websocket-accept", "x"),
    ]
    assert render_head(401, fields) == (
        b'HTTP/1.1 401 Unauthorized\r\nETag: "a"\r\nWWW-Authenticate: Basic\r\nTE: trailers\r\nX-My-Field: 1\r\nDNT: \r\n'
        b"Sec-WebSocket-Accept: x\r\n\r\n"
    )


def test_a_head_may_have_its_own_reason_and_version() -> None:
    assert render_head(200, [], "Fine") == b"HTTP/1.1 200 Fine\r\n\r\n"
    assert render_head(200, [], version="1.0") == b"HTTP/1.0 200 OK\r\n\r\n"
    assert render_head(599, []) == b"HTTP/1.1 599 \r\n\r\n"


def test_octets_pass_through_values() -> None:
    assert render_head(200, [("x", "\u00e9\t\u00ff")]) == b"HTTP/1.1 200 OK\r\nX: \xe9\t\xff\r\n\r\n"


def test_a_tls_client_on_a_plain_port_is_told() -> None:
    assert "TLS" in refusal(server(), [b"\x16\x03\x01"]).detail
    assert "TLS" not in refusal(server(), [b"\x00"]).detail


def test_a_client_with_nothing_to_read_waits() -> None:
    codec = client()
    assert codec.next_event() is NEED_DATA
    assert feed(codec, [], eof=True) == [ConnectionClosed()]


# --- answers that leave by another way ----------------------------------------------------------------------------------------


def test_an_exchange_may_be_answered_elsewhere() -> None:
    codec = asked(request() + request(line=b"GET /2 HTTP/1.1"))
    codec.answered_elsewhere()
    head = codec.next_event()
    assert isinstance(head, RequestHead)
    assert head.target == "/2"


@pytest.mark.parametrize("octets", [request(b"Connection: close"), b"GET / HTTP/1.0\r\n\r\n"])
def test_the_last_exchange_may_be_answered_elsewhere_and_stays_the_last(octets: bytes) -> None:
    codec = asked(octets + request())
    codec.answered_elsewhere()
    assert not codec.is_persistent
    assert codec.next_event() is PAUSED


@pytest.mark.parametrize("octets", [request(b"Content-Length: 1"), b""])
def test_what_cannot_be_answered_elsewhere(octets: bytes) -> None:
    codec = server()
    feed(codec, [octets])
    with pytest.raises(SendError):
        codec.answered_elsewhere()


def test_an_answer_that_began_cannot_be_answered_elsewhere() -> None:
    codec = asked()
    codec.send(ResponseHead(200))
    with pytest.raises(SendError):
        codec.answered_elsewhere()
