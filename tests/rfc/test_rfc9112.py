"""HTTP/1.1, in the order of RFC 9112: what the codec does with each requirement that a codec can meet.

What must be refused is in `tests/http/malformed.py`, by section, and run by `tests/http/wire/test_malformed.py`. Here stands what must be
taken, and what must be said. Every message is fed whole, octet by octet, and with octets behind it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netlodge.http.message import Fields, MessageError, TargetForm
from netlodge.http.wire.h1 import (
    NEED_DATA,
    PAUSED,
    ConnectionClosed,
    Data,
    EndOfMessage,
    Event,
    Http1Codec,
    InformationalHead,
    RequestHead,
    ResponseHead,
    Role,
    SendError,
    State,
)
from tests.http.malformed import request
from tests.http.wire.feeding import (
    LIMITS,
    SEGMENTATIONS,
    client,
    feed,
    octet_by_octet,
    outcome,
    refusal,
    request_head,
    server,
    whole,
)

NEXT = b"GET /next HTTP/1.1\r\nHost: n\r\n\r\n"


def read_request(octets: bytes) -> list[Event]:
    """The events of one request, the same in every segmentation and with another request behind."""
    readings = [feed(server(), segmentation(octets)) for segmentation in SEGMENTATIONS]
    with_more = server()
    readings.append(feed(with_more, [octets + NEXT]))
    assert with_more.next_event() is PAUSED
    assert with_more.buffered == len(NEXT)
    assert all(reading == readings[0] for reading in readings)
    assert isinstance(readings[0][-1], EndOfMessage)
    return readings[0]


def read_response(octets: bytes, asked: RequestHead | None = None, *, eof: bool = False) -> list[Event]:
    """The events of one response, the same in every segmentation."""
    readings = [feed(client(asked), segmentation(octets), eof=eof) for segmentation in SEGMENTATIONS]
    assert all(reading == readings[0] for reading in readings)
    return readings[0]


def ask(method: str, *fields: tuple[str, str], target: str = "/") -> RequestHead:
    return RequestHead(method, target, fields=Fields([("host", "example.org"), *fields]))


def answered(octets: bytes, *fields: tuple[str, str], status: int = 200, body: bytes = b"") -> tuple[Http1Codec, bytes]:
    """A server that has read the request in `octets` and answered it: itself, and what it sent."""
    codec = server()
    feed(codec, [octets])
    sent = codec.send(ResponseHead(status, fields=Fields(fields)))
    sent += codec.send(Data(body)) if body else b""
    return codec, sent + codec.send(EndOfMessage())


# --- 2 Message ------------------------------------------------------------------------------------------------------------------


def test_2_1_a_message_is_a_head_and_a_body() -> None:
    octets = request(b"Content-Length: 5", line=b"POST /a?b HTTP/1.1", body=b"hello")
    head, data, end = read_request(octets)
    assert isinstance(head, RequestHead)
    assert (head.method, head.target, head.version) == ("POST", "/a?b", "1.1")
    assert list(head.fields) == [("host", "example.org"), ("content-length", "5")]
    assert (head.content_length, head.is_chunked) == (5, False)
    assert head.raw == octets[:-5]
    assert data == Data(b"hello")
    assert end == EndOfMessage(None)


def test_2_1_a_head_may_have_no_fields() -> None:
    head, _ = read_request(b"GET / HTTP/1.0\r\n\r\n")
    assert isinstance(head, RequestHead)
    assert len(head.fields) == 0


def test_2_2_empty_lines_before_a_request_are_ignored() -> None:
    for count in (1, 2, 10):
        head, _ = read_request(b"\r\n" * count + request())
        assert isinstance(head, RequestHead)
        assert head.raw == request()


def test_2_2_empty_lines_after_a_request_are_ignored() -> None:
    codec = server()
    events, error = outcome(codec, [request() + b"\r\n" + request()])
    assert error is None
    assert [type(event) for event in events] == [RequestHead, EndOfMessage] * 2
    assert outcome(codec, [b"\r\n"], eof=True) == ([ConnectionClosed()], None)


def test_2_2_values_are_octets_not_characters() -> None:
    head = request_head(request(b"X: \xc3\xa9\xe2\x80\xa8\x85"))
    assert head.fields.get("x") == "\u00c3\u00a9\u00e2\u0080\u00a8\u0085"


def test_2_3_the_version_is_known() -> None:
    assert request_head(request()).version == "1.1"
    assert request_head(request(line=b"GET / HTTP/1.0")).version == "1.0"


def test_2_3_a_higher_minor_version_is_read_as_the_highest_known() -> None:
    codec, sent = answered(request(line=b"GET / HTTP/1.7"))
    assert request_head(request(line=b"GET / HTTP/1.7")).version == "1.1"
    assert sent.startswith(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n")
    assert codec.is_persistent


def test_2_3_what_is_sent_is_version_1_1() -> None:
    _, sent = answered(b"GET / HTTP/1.0\r\n\r\n", ("content-length", "0"))
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert Http1Codec(Role.CLIENT, LIMITS).send(ask("GET")).startswith(b"GET / HTTP/1.1\r\n")


# --- 3 Request line -------------------------------------------------------------------------------------------------------------


def test_3_a_line_of_8000_octets_is_supported() -> None:
    target = b"/" + b"a" * (8000 - len(b"GET / HTTP/1.1"))
    head, _ = read_request(request(line=b"GET " + target + b" HTTP/1.1"))
    assert isinstance(head, RequestHead)
    assert len(head.target) == len(target)


@pytest.mark.parametrize("method", ["GET", "get", "M-SEARCH", "!#$%&'*+-.^_`|~09AZaz", "X" * 1000])
def test_3_1_a_method_is_any_token_and_case_sensitive(method: str) -> None:
    assert request_head(request(line=f"{method} / HTTP/1.1".encode())).method == method


def test_3_2_host_names_the_target() -> None:
    for value, host, port in [
        (b"example.org", "example.org", None),
        (b"EXAMPLE.org:8080", "example.org", 8080),
        (b"example.org:", "example.org", None),
        (b"127.0.0.1:80", "127.0.0.1", 80),
        (b"[::1]", "[::1]", None),
        (b"[2001:DB8::1]:443", "[2001:db8::1]", 443),
        (b"a_b.example", "a_b.example", None),
        (b"%41.example", "%41.example", None),
        (b" \t example.org \t", "example.org", None),
    ]:
        head = request_head(request(host=b"Host:" + value))
        assert (head.host, head.port) == (host, port)


def test_3_2_http_1_0_may_do_without_host() -> None:
    head = request_head(b"GET / HTTP/1.0\r\n\r\n")
    assert (head.host, head.port) == ("", None)


def test_3_2_the_host_of_http_1_0_must_be_valid_too() -> None:
    for host in (b"Host:", b"Host: a\r\nHost: a", b"Host: a/b"):
        assert refusal(server(), whole(request(line=b"GET / HTTP/1.0", host=host))).status == 400


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", None),
        ("/where?q=now", "/where", "q=now"),
        ("/?", "/", ""),
        ("/a?b?c", "/a", "b?c"),
        ("//a//", "//a//", None),
        ("/%41%2f", "/%41%2f", None),
        ("/a:b@c;d,e=f!$&'()*+~-._", "/a:b@c;d,e=f!$&'()*+~-._", None),
        ("/[]{}|^`\\", "/[]{}|^`\\", None),
        ("/?a[]={1}|%", "/", "a[]={1}|%"),
    ],
)
def test_3_2_1_origin_form(target: str, path: str, query: str | None) -> None:
    head = request_head(request(line=f"GET {target} HTTP/1.1".encode()))
    assert (head.form, head.path, head.query, head.scheme) == (TargetForm.ORIGIN, path, query, None)
    assert head.target == target


@pytest.mark.parametrize(
    ("target", "scheme", "host", "port", "path", "query"),
    [
        ("http://www.example.org/pub/WWW", "http", "www.example.org", None, "/pub/WWW", None),
        ("HTTPS://Example.ORG:8443/?q", "https", "example.org", 8443, "/", "q"),
        ("http://example.net", "http", "example.net", None, "/", None),
        ("http://example.net?q", "http", "example.net", None, "/", "q"),
        ("http://[::1]:8080/a", "http", "[::1]", 8080, "/a", None),
        ("coap+tcp://example.net/a", "coap+tcp", "example.net", None, "/a", None),
    ],
)
def test_3_2_2_absolute_form_overrules_host(
    target: str, scheme: str, host: str, port: int | None, path: str, query: str | None
) -> None:
    for host_field in (b"Host: other.test:1", b"Host:"):
        head = request_head(request(line=f"GET {target} HTTP/1.1".encode(), host=host_field))
        assert head.form is TargetForm.ABSOLUTE
        assert (head.scheme, head.host, head.port, head.path, head.query) == (scheme, host, port, path, query)


def test_3_2_2_absolute_form_in_http_1_0_needs_no_host() -> None:
    assert request_head(b"GET http://example.org/ HTTP/1.0\r\n\r\n").host == "example.org"


def test_3_2_3_authority_form_belongs_to_connect() -> None:
    for target, host, port in [("example.org:443", "example.org", 443), ("[::1]:80", "[::1]", 80)]:
        head = request_head(request(line=f"CONNECT {target} HTTP/1.1".encode()))
        assert head.form is TargetForm.AUTHORITY
        assert (head.host, head.port, head.path) == (host, port, "")


def test_3_2_4_asterisk_form_belongs_to_options() -> None:
    head = request_head(request(line=b"OPTIONS * HTTP/1.1"))
    assert (head.form, head.path, head.host) == (TargetForm.ASTERISK, "", "example.org")


def test_3_2_4_options_of_a_whole_server_in_absolute_form() -> None:
    head = request_head(request(line=b"OPTIONS http://example.org:8001 HTTP/1.1"))
    assert (head.form, head.path, head.port) == (TargetForm.ABSOLUTE, "", 8001)
    assert request_head(request(line=b"OPTIONS http://example.org?q HTTP/1.1")).path == "/"


# --- 4 Status line --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "version", "status", "reason"),
    [
        (b"HTTP/1.1 204 No Content", "1.1", 204, "No Content"),
        (b"HTTP/1.1 204 ", "1.1", 204, ""),
        (b"HTTP/1.1 204", "1.1", 204, ""),
        (b"HTTP/1.0 304 Nicht ver\xe4ndert", "1.0", 304, "Nicht ver\u00e4ndert"),
        (b"HTTP/1.1 304  two spaces\tand a tab", "1.1", 304, " two spaces\tand a tab"),
    ],
)
def test_4_a_status_line_is_read(line: bytes, version: str, status: int, reason: str) -> None:
    head, end = read_response(line + b"\r\n\r\n")
    assert isinstance(head, ResponseHead)
    assert (head.version, head.status, head.reason) == (version, status, reason)
    assert end == EndOfMessage(None)


def test_4_the_space_after_the_status_is_sent_without_a_reason() -> None:
    assert answered(request(), status=299)[1].startswith(b"HTTP/1.1 299 \r\n")


def test_4_empty_lines_before_a_response_are_ignored() -> None:
    head, _ = read_response(b"\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert isinstance(head, ResponseHead)
    assert head.raw == b"HTTP/1.1 204 No Content\r\n\r\n"


# --- 5 Field syntax -------------------------------------------------------------------------------------------------------------


def test_5_field_names_are_case_insensitive() -> None:
    head = request_head(request(b"ACCEPT: a", b"aCCept: b", b"x-UNKNOWN: c"))
    assert head.fields.get("accept") == "a, b"
    assert head.fields.get("x-unknown") == "c"


def test_5_1_whitespace_around_a_value_is_no_part_of_it() -> None:
    for line in (b"X:a b", b"X: a b", b"X:\ta b\t", b"X:  a b  \t "):
        assert request_head(request(line)).fields.get("x") == "a b"
    assert request_head(request(b"X:")).fields.get("x") == ""


def test_5_1_a_value_may_hold_colons_and_tabs() -> None:
    assert request_head(request(b"X: a:b\tc: d")).fields.get("x") == "a:b\tc: d"


def test_5_1_whitespace_before_a_colon_is_removed_from_responses() -> None:
    head, _ = read_response(b"HTTP/1.1 204 No Content\r\nX \t: y\r\n\r\n")
    assert isinstance(head, ResponseHead)
    assert list(head.fields) == [("x", "y")]


def test_5_2_a_folded_value_in_a_response_is_one_line() -> None:
    head, _ = read_response(b"HTTP/1.1 204 No Content\r\nX: a\r\n b\r\n\t  c: d \r\nY: \r\n e\r\nZ: f\r\n \r\n\r\n")
    assert isinstance(head, ResponseHead)
    assert list(head.fields) == [("x", "a b c: d"), ("y", "e"), ("z", "f")]


def test_5_2_folds_are_not_sent() -> None:
    codec = server()
    feed(codec, [request()])
    with pytest.raises(SendError):
        codec.send(ResponseHead(200, fields=Fields([("x", "a\r\n b")])))


# --- 6 Message body -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "UNKNOWN"])
def test_6_framing_of_requests_does_not_depend_on_the_method(method: str) -> None:
    octets = request(b"Content-Length: 2", line=f"{method} / HTTP/1.1".encode(), body=b"ab")
    assert read_request(octets)[1:] == [Data(b"ab"), EndOfMessage(None)]


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b"\t chunked \t"])
def test_6_1_chunked_is_case_insensitive(value: bytes) -> None:
    octets = request(b"Transfer-Encoding:" + value, line=b"POST / HTTP/1.1", body=b"3\r\nabc\r\n0\r\n\r\n")
    head, data, end = read_request(octets)
    assert isinstance(head, RequestHead)
    assert (head.content_length, head.is_chunked) == (None, True)
    assert (data, end) == (Data(b"abc"), EndOfMessage(None))


def test_6_1_transfer_encoding_is_not_sent_to_http_1_0() -> None:
    codec, sent = answered(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", body=b"hello")
    assert sent == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
    assert codec.our_state is State.LAST


@pytest.mark.parametrize("status", [204, 304])
def test_6_1_transfer_encoding_is_not_sent_without_a_body(status: int) -> None:
    assert b"Transfer-Encoding" not in answered(request(), status=status)[1]


def test_6_1_head_is_not_chunked() -> None:
    codec, sent = answered(request(line=b"HEAD / HTTP/1.1"))
    assert sent == b"HTTP/1.1 200 OK\r\n\r\n"
    assert codec.is_persistent


def test_6_2_content_length_is_kept_for_head_and_304() -> None:
    for line, status in ((b"HEAD / HTTP/1.1", 200), (b"GET / HTTP/1.1", 304)):
        codec, sent = answered(request(line=line), ("content-length", "1234"), status=status)
        assert b"\r\nContent-Length: 1234\r\n" in sent
        assert codec.our_state is State.DONE


def test_6_2_content_length_is_not_sent_with_204() -> None:
    assert answered(request(), ("x", "y"), ("content-length", "0"), status=204)[1] == (
        b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"
    )


def test_6_2_what_is_sent_is_as_long_as_announced() -> None:
    for body in (b"hell", b"hello!"):
        with pytest.raises(SendError):
            answered(request(), ("content-length", "5"), body=body)
    assert answered(request(), ("content-length", "5"), body=b"hello")[1].endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("line", [b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"])
def test_6_3_case_1_a_bodiless_status_ends_with_its_head(line: bytes) -> None:
    events = read_response(line + b"\r\nContent-Length: 5\r\n\r\n")
    assert [type(event) for event in events] == [ResponseHead, EndOfMessage]


def test_6_3_case_1_an_answer_to_head_ends_with_its_head() -> None:
    for field in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
        events = read_response(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n", ask("HEAD"))
        assert [type(event) for event in events] == [ResponseHead, EndOfMessage]


def test_6_3_case_1_interim_responses_have_no_body() -> None:
    events = read_response(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    )
    assert [type(event) for event in events] == [InformationalHead, InformationalHead, ResponseHead, EndOfMessage]
    assert events[1] == InformationalHead(103, "Early Hints", Fields([("link", "</a>")]))


def test_6_3_case_2_connect_that_succeeded_is_a_tunnel() -> None:
    asked = ask("CONNECT", target="example.org:443")
    codec = client(asked)
    events = feed(codec, [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\x16\x03"])
    assert [type(event) for event in events] == [ResponseHead, EndOfMessage]
    assert (codec.our_state, codec.their_state) == (State.TUNNEL, State.TUNNEL)
    assert codec.trailing_data == b"\x16\x03"
    assert codec.next_event() is PAUSED


def test_6_3_case_2_connect_that_failed_is_not() -> None:
    asked = ask("CONNECT", target="example.org:443")
    events = read_response(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", asked)
    assert events[1:] == [Data(b"no"), EndOfMessage(None)]


def test_6_3_case_4_a_chunked_response() -> None:
    events = read_response(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX : y\r\n\r\n")
    assert events[1:] == [Data(b"ab"), EndOfMessage(Fields([("x", "y")]))]


def test_6_3_case_5_a_response_may_repeat_one_length() -> None:
    for fields in (b"Content-Length: 2, 2", b"Content-Length: 2\r\nContent-Length: 2"):
        head, data, _ = read_response(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nab")
        assert isinstance(head, ResponseHead)
        assert head.fields.get_all("content-length") == ["2"]
        assert (head.content_length, data) == (2, Data(b"ab"))


def test_6_3_case_6_a_body_of_known_length() -> None:
    head, data, end = read_request(request(b"Content-Length: 0005", line=b"PUT / HTTP/1.1", body=b"he\r\n\r"))
    assert isinstance(head, RequestHead)
    assert (head.content_length, data, end) == (5, Data(b"he\r\n\r"), EndOfMessage(None))


def test_6_3_case_6_a_body_that_ends_early_is_an_error_and_no_end() -> None:
    codec = server()
    events, error = outcome(codec, [request(b"Content-Length: 5", body=b"hell")], eof=True)
    assert events[1:] == [Data(b"hell")]
    assert error is not None
    assert error.status == 400
    events, error = outcome(client(), [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"], eof=True)
    assert events[1:] == [Data(b"hell")]
    assert error is not None
    assert error.status == 502


def test_6_3_case_7_a_request_without_length_has_no_body() -> None:
    head, end = read_request(request(line=b"POST / HTTP/1.1"))
    assert isinstance(head, RequestHead)
    assert (head.content_length, head.is_chunked, end) == (0, False, EndOfMessage(None))


def test_6_3_case_8_a_response_without_length_ends_with_the_stream() -> None:
    events = read_response(b"HTTP/1.1 200 OK\r\n\r\nhello", eof=True)
    assert events[1:] == [Data(b"hello"), EndOfMessage(None), ConnectionClosed()]
    assert read_response(b"HTTP/1.1 200 OK\r\n\r\n", eof=True)[1:] == [EndOfMessage(None), ConnectionClosed()]


# --- 7 Transfer codings ---------------------------------------------------------------------------------------------------------


def read_chunks(body: bytes) -> tuple[bytes, Fields | None]:
    events = read_request(request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.1", body=body))
    end = events[-1]
    assert isinstance(end, EndOfMessage)
    return b"".join(event.data for event in events if isinstance(event, Data)), end.trailers


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"0\r\n\r\n", b""),
        (b"000\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1\r\na\r\n0002\r\nbc\r\n0\r\n\r\n", b"abc"),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"a\r\n\r\n0\r\n\r\n\r\n0\r\n0\r\n\r\n", b"\r\n0\r\n\r\n\r\n0"),
        (b"1A\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", b"x" * 26),
        (b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", b"x" * 26),
    ],
)
def test_7_1_chunks_are_decoded(body: bytes, content: bytes) -> None:
    assert read_chunks(body) == (content, None)


def test_7_1_a_chunk_of_any_size_is_handed_on_as_it_comes() -> None:
    codec = server()
    codec.receive_data(request(b"Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\nabc"))
    assert isinstance(codec.next_event(), RequestHead)
    assert codec.next_event() == Data(b"abc")
    assert codec.next_event() is NEED_DATA
    assert codec.buffered == 0


def test_7_1_content_of_unknown_length_is_sent_in_chunks() -> None:
    assert answered(request(), body=b"a" * 26)[1].endswith(b"\r\n\r\n1a\r\n" + b"a" * 26 + b"\r\n0\r\n\r\n")


def test_7_1_an_empty_piece_of_content_does_not_end_it() -> None:
    codec = server()
    feed(codec, [request()])
    codec.send(ResponseHead(200))
    assert codec.send(Data(b"")) == b""
    assert codec.send(Data(b"a")) == b"1\r\na\r\n"


@pytest.mark.parametrize(
    "extension",
    [
        b";a",
        b";a=b",
        b';a="b;c=\\"\\\r"'.replace(b"\r", b"d"),
        b" ; a = b",
        b"\t;\ta\t=\tb",
        b";a;b=c;d",
        b';a=""',
        b';a="\xff\t "',
    ],
)
def test_7_1_1_chunk_extensions_are_ignored(extension: bytes) -> None:
    assert read_chunks(b"2" + extension + b"\r\nab\r\n0" + extension + b"\r\n\r\n") == (b"ab", None)


def test_7_1_1_extensions_may_be_long_if_the_content_is() -> None:
    """Signed chunks: what is bounded is extensions in place of content."""
    signed = b"100;chunk-signature=" + b"f" * 64 + b"\r\n" + b"x" * 256 + b"\r\n"
    codec = server()
    events, error = outcome(codec, [request(b"Transfer-Encoding: chunked", body=signed * 400 + b"0\r\n\r\n")])
    assert error is None
    assert len(events) == 3


def test_7_1_1_content_that_came_before_pays_for_no_extensions() -> None:
    content = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"
    padded = (b"1;" + b"a" * 99 + b"\r\nx\r\n") * 170
    assert refusal(server(), [request(b"Transfer-Encoding: chunked", body=content + padded)]).setting == (
        "limits.chunk_extension_size"
    )


def test_7_1_2_trailers_are_kept_apart_from_the_head() -> None:
    body, trailers = read_chunks(b"1\r\na\r\n0\r\nX-Sum: 1\r\nx-sum:2 \r\n\r\n")
    assert (body, trailers) == (b"a", Fields([("x-sum", "1"), ("x-sum", "2")]))


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "HOST", "Authorization", "Cookie", "Trailer"])
def test_7_1_2_trailers_that_must_come_before_the_content_are_discarded(name: str) -> None:
    _, trailers = read_chunks(f"0\r\n{name}: 5\r\nX: y\r\n\r\n".encode())
    assert trailers == Fields([("x", "y")])


def test_7_1_2_trailers_are_sent_after_chunks() -> None:
    codec = server()
    feed(codec, [request()])
    codec.send(ResponseHead(200))
    with pytest.raises(SendError):
        codec.send(EndOfMessage(Fields([("content-length", "5")])))
    assert codec.send(EndOfMessage(Fields([("x-sum", "1")]))) == b"0\r\nX-Sum: 1\r\n\r\n"


def test_7_1_2_trailers_are_left_out_where_there_is_no_place_for_them() -> None:
    codec = server()
    feed(codec, [request()])
    codec.send(ResponseHead(200, fields=Fields([("content-length", "0")])))
    assert codec.send(EndOfMessage(Fields([("x-sum", "1")]))) == b""


# --- 8 Incomplete messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        b"G",
        b"GET / HTTP/1.1\r\n",
        request()[:-1],
        request(b"Transfer-Encoding: chunked", body=b""),
        request(b"Transfer-Encoding: chunked", body=b"5\r\nhel"),
        request(b"Transfer-Encoding: chunked", body=b"5\r\nhello"),
        request(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
        request(b"Transfer-Encoding: chunked", body=b"0\r\n"),
        request(b"Transfer-Encoding: chunked", body=b"0\r\nX: y\r\n"),
        request(b"Content-Length: 1"),
    ],
)
def test_8_a_request_that_ends_early_is_an_error(octets: bytes) -> None:
    for segmentation in SEGMENTATIONS:
        events, error = outcome(server(), segmentation(octets), eof=True)
        assert error is not None
        assert error.status == 400
        assert not any(isinstance(event, EndOfMessage) for event in events)


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP",
    ],
)
def test_8_a_response_that_ends_early_is_an_error(octets: bytes) -> None:
    events, error = outcome(client(), [octets], eof=True)
    assert error is not None
    assert error.status == 502
    assert not any(isinstance(event, EndOfMessage) for event in events)


# --- 9 Connection management ----------------------------------------------------------------------------------------------------


def test_9_2_octets_that_answer_no_request_are_no_response() -> None:
    for octets in (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"H"):
        codec = Http1Codec(Role.CLIENT, LIMITS)
        assert refusal(codec, [octets]).status == 502
    codec = Http1Codec(Role.CLIENT, LIMITS)
    assert outcome(codec, [b"\r\n"]) == ([], None)
    assert outcome(codec, [], eof=True) == ([ConnectionClosed()], None)


@pytest.mark.parametrize(
    ("version", "connection", "persists"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"close", False),
        (b"1.1", b"Close", False),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"keep-alive, close", False),
        (b"1.1", b"foo,, close ,bar", False),
        (b"1.1", b"closed", True),
        (b"1.0", b"", False),
        (b"1.0", b"keep-alive", True),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
        (b"1.0", b"foo", False),
    ],
)
def test_9_3_what_a_request_says_of_persistence(version: bytes, connection: bytes, *, persists: bool) -> None:
    fields = [b"Connection: " + connection] if connection else []
    codec, sent = answered(request(*fields, line=b"GET / HTTP/" + version), ("content-length", "0"))
    assert codec.is_persistent is persists
    assert (b"\r\nConnection: close\r\n" in sent) is not persists
    assert (b"\r\nConnection: keep-alive\r\n" in sent) is (persists and version == b"1.0")
    if persists:
        codec.start_next_cycle()
        assert isinstance(feed(codec, [request()])[0], RequestHead)
    else:
        assert (codec.our_state, codec.their_state) == (State.LAST, State.LAST)
        with pytest.raises(SendError):
            codec.start_next_cycle()


@pytest.mark.parametrize(
    ("head", "persists"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive", True),
        (b"HTTP/1.1 200 OK", False),
    ],
)
def test_9_3_what_a_response_says_of_persistence(head: bytes, *, persists: bool) -> None:
    codec = client()
    feed(codec, [head + b"\r\n\r\n"])
    assert codec.is_persistent is persists
    if persists:
        codec.start_next_cycle()
        assert codec.send(ask("GET")).startswith(b"GET")
    else:
        with pytest.raises(SendError):
            codec.start_next_cycle()


def test_9_3_the_server_may_end_what_would_persist() -> None:
    codec, sent = answered(request(), ("content-length", "0"), ("connection", "close"))
    assert sent.count(b"Connection: close") == 1
    assert not codec.is_persistent


def test_9_3_nothing_is_read_past_a_request_before_its_answer() -> None:
    codec = server()
    events = feed(codec, [request() + request()])
    assert [type(event) for event in events] == [RequestHead, EndOfMessage]
    assert codec.next_event() is PAUSED


def test_9_3_a_body_that_was_not_read_keeps_the_next_exchange_from_beginning() -> None:
    codec = server()
    feed(codec, [request(b"Content-Length: 5", body=b"he")])
    codec.send(ResponseHead(413, fields=Fields([("content-length", "0")])))
    codec.send(EndOfMessage())
    assert codec.is_persistent
    with pytest.raises(SendError):
        codec.start_next_cycle()
    assert feed(codec, [b"llo"]) == [Data(b"llo"), EndOfMessage(None)]
    codec.start_next_cycle()


@pytest.mark.parametrize("segmentation", SEGMENTATIONS)
def test_9_3_2_pipelined_requests_are_read_in_order(segmentation: Callable[[bytes], list[bytes]]) -> None:
    octets = b"".join(
        request(b"Content-Length: 1", line=f"PUT /{number} HTTP/1.1".encode(), body=b"x") for number in range(5)
    )
    events, error = outcome(server(), segmentation(octets), eof=True)
    assert error is None
    assert [event.target for event in events if isinstance(event, RequestHead)] == ["/0", "/1", "/2", "/3", "/4"]
    assert events[-1] == ConnectionClosed()


def test_9_6_no_request_is_read_after_close() -> None:
    codec = server()
    events, error = outcome(codec, [request(b"Connection: close") + request()])
    assert ([type(event) for event in events], error) == ([RequestHead, EndOfMessage], None)
    assert codec.their_state is State.LAST
    assert codec.next_event() is PAUSED


def test_9_6_a_client_that_said_close_sends_no_other_request() -> None:
    codec = client(ask("GET", ("connection", "close")))
    feed(codec, [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
    assert (codec.our_state, codec.their_state) == (State.LAST, State.LAST)
    with pytest.raises(SendError):
        codec.send(ask("GET"))


def test_9_6_a_half_close_after_a_request_still_gets_its_answer() -> None:
    codec = server()
    assert feed(codec, [request()], eof=True)[-1] == ConnectionClosed()
    sent = codec.send(ResponseHead(200, fields=Fields([("content-length", "0")]))) + codec.send(EndOfMessage())
    assert sent == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


# --- 11 Security considerations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\x00b", "\r\n\r\n<html>", "a\x7f", "\u20ac", "a\u010d\u010ab"]
)
def test_11_1_a_response_cannot_be_split(value: str) -> None:
    codec = server()
    feed(codec, [request()])
    for head in (ResponseHead(200, fields=Fields([("location", value)])), ResponseHead(200, value)):
        with pytest.raises(SendError):
            codec.send(head)
    assert codec.send(ResponseHead(204)).startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "Content-Length", "X", "\u00e9"])
def test_11_1_a_field_name_cannot_split_a_response(name: str) -> None:
    codec = server()
    feed(codec, [request()])
    with pytest.raises(SendError):
        codec.send(ResponseHead(200, fields=Fields([(name, "a")])))


def test_11_2_the_error_of_a_smuggled_request_ends_the_connection() -> None:
    codec = server()
    with pytest.raises(MessageError) as caught:
        feed(codec, octet_by_octet(request(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG")))
    assert caught.value.must_close
    assert b"Connection: close" in codec.send(ResponseHead(caught.value.status))
