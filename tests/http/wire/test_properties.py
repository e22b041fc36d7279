"""What holds for any message and any octets: round trips, one outcome for every segmentation, no error but the codec's own."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from netlodge.http.message import Fields, MessageError
from netlodge.http.wire import grammar
from netlodge.http.wire.h1 import (
    ConnectionClosed,
    Data,
    EndOfMessage,
    Event,
    Http1Codec,
    RequestHead,
    ResponseHead,
    Role,
    SendError,
    render_head,
)
from netlodge.http.wire.readers import NOT_IN_TRAILERS
from tests.http.malformed import MALFORMED_REQUESTS, MALFORMED_RESPONSES
from tests.http.wire.feeding import LIMITS, client, feed, joined, outcome, server

TOKEN = st.text("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20).map(
    lambda text: text.strip(" \t")
)
RESERVED = {"host", "connection", "content-length", "transfer-encoding", "upgrade", "keep-alive"}
FIELDS = st.lists(st.tuples(TOKEN.filter(lambda name: name not in RESERVED), VALUE), max_size=8)
TRAILERS = st.lists(st.tuples(TOKEN.filter(lambda name: name not in NOT_IN_TRAILERS), VALUE), min_size=1, max_size=3)
PIECES = st.lists(st.binary(max_size=40), max_size=5)
PATH = st.text("abc/%:@.~-!$&'()*+,;=[]{}|", max_size=12).map(lambda text: "/" + text.replace("%", "%2f"))
CUTS = st.lists(st.integers(0, 400), max_size=12)


def cut(octets: bytes, cuts: list[int]) -> list[bytes]:
    """`octets` in segments that begin at the given places."""
    places = [0, *sorted({place % (len(octets) + 1) for place in cuts}), len(octets)]
    return [octets[a:b] for a, b in pairwise(places)]


def sent_message(codec: Http1Codec, head: Event, pieces: list[bytes], trailers: Fields | None) -> bytes:
    return codec.send(head) + b"".join(codec.send(Data(piece)) for piece in pieces) + codec.send(EndOfMessage(trailers))


def content(pieces: list[bytes]) -> list[Data]:
    body = b"".join(pieces)
    return [Data(body)] if body else []


@settings(max_examples=150, deadline=None)
@given(
    TOKEN.filter(lambda name: name != "connect"),
    PATH,
    FIELDS,
    PIECES,
    st.booleans(),
    st.none() | TRAILERS,
    CUTS,
    CUTS,
    st.data(),
)
def test_what_one_role_sends_the_other_reads(
    method: str,
    path: str,
    fields: list[tuple[str, str]],
    pieces: list[bytes],
    is_chunked: bool,
    trailers: list[tuple[str, str]] | None,
    cuts: list[int],
    more_cuts: list[int],
    data: st.DataObject,
) -> None:
    asking, serving = Http1Codec(Role.CLIENT, LIMITS), server()
    length = [] if is_chunked else [("content-length", str(sum(map(len, pieces))))]
    trailer_fields = Fields(trailers) if trailers and is_chunked else None
    head = RequestHead(method, path, fields=Fields([("host", "example.org"), *fields, *length]), is_chunked=is_chunked)
    received, *rest = feed(serving, cut(sent_message(asking, head, pieces, trailer_fields), cuts))
    assert isinstance(received, RequestHead)
    assert (received.method, received.path) == (method, path)
    expected = [*head.fields, ("transfer-encoding", "chunked")] if is_chunked else list(head.fields)
    assert list(received.fields) == expected
    assert rest == [*content(pieces), EndOfMessage(trailer_fields)]

    status = data.draw(st.sampled_from([200, 206, 404, 500, 599]))
    answer = ResponseHead(status, fields=Fields([*fields, *length]))
    octets = sent_message(serving, answer, pieces if method != "HEAD" else [], trailer_fields)
    got, *rest = feed(asking, cut(octets, more_cuts))
    assert isinstance(got, ResponseHead)
    assert (got.status, list(got.fields)[: len(fields)]) == (status, fields)
    assert rest == [*content(pieces), EndOfMessage(trailer_fields)]
    asking.start_next_cycle()
    serving.start_next_cycle()


# Octets that look like messages: parts of the table, glued, cut and garbled.
FRAGMENTS = sorted({line for case in MALFORMED_REQUESTS for line in case.octets[:300].split(b"\r\n")})
MESSAGES = [case.octets[:600] for case in [*MALFORMED_REQUESTS, *MALFORMED_RESPONSES]]
WIRE = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(FRAGMENTS), max_size=8).map(b"\r\n".join),
    st.lists(st.sampled_from([*FRAGMENTS, b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b":"]), max_size=12).map(b"".join),
    st.tuples(st.sampled_from(MESSAGES), st.integers(0, 600), st.binary(max_size=4)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    ),
    st.tuples(st.sampled_from(MESSAGES), st.integers(0, 600), st.integers(0, 4)).map(
        lambda parts: parts[0][: parts[1]] + parts[0][parts[1] + parts[2] :]
    ),
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(Role), WIRE, CUTS, st.booleans())
def test_segmentation_does_not_change_what_is_read(role: Role, octets: bytes, cuts: list[int], eof: bool) -> None:
    """Nothing but `MessageError` is raised, and the events are the same however the octets arrive. (The words of a refusal may differ if
    there are several faults: the first to arrive is named.)"""
    outcomes = []
    for segments in ([octets], cut(octets, cuts), [octets[at : at + 1] for at in range(len(octets))]):
        codec = server() if role is Role.SERVER else client()
        events, error = outcome(codec, segments, eof=eof)
        outcomes.append((events, error is not None))
        if error is not None:
            assert 400 <= error.status <= 505
    assert outcomes[0] == outcomes[1] == outcomes[2]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 1100), st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3), st.text(max_size=5)
)
def test_no_head_holds_more_lines_than_it_should(status: int, fields: list[tuple[str, str]], reason: str) -> None:
    try:
        octets = render_head(status, fields, reason)
    except SendError:
        return
    lines = octets.split(b"\r\n")
    assert len(lines) == len(fields) + 3
    assert lines[-2:] == [b"", b""]
    assert b"\n" not in octets.replace(b"\r\n", b"")
    assert b"\r" not in octets.replace(b"\r\n", b"")
    assert b"\x00" not in octets
    parsed = grammar.parse_field_lines([line.decode("latin-1") for line in lines[1:-2]])
    assert parsed == [(name, value.strip(" \t")) for name, value in fields]


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=0x17F), max_size=30))
def test_the_grammar_raises_nothing_but_its_error(text: str) -> None:
    for parse in (
        grammar.parse_authority,
        grammar.parse_connection,
        grammar.parse_request_line,
        grammar.parse_status_line,
        grammar.parse_version,
        lambda text: grammar.parse_target("GET", text),
        lambda text: grammar.parse_target("CONNECT", text),
        lambda text: grammar.parse_target("OPTIONS", text),
        lambda text: grammar.parse_field_lines([text]),
        lambda text: grammar.parse_field_lines(["a: b", text], is_response=True),
    ):
        with suppress(MessageError):
            parse(text)


def test_joining_keeps_what_it_joins() -> None:
    assert joined([Data(b"a"), Data(b"b"), EndOfMessage(), Data(b"c")]) == [Data(b"ab"), EndOfMessage(), Data(b"c")]
    assert cut(b"abc", [1, 1, 7]) == [b"", b"a", b"bc", b""] or b"".join(cut(b"abc", [1, 1, 7])) == b"abc"
    assert outcome(server(), [], eof=True) == ([ConnectionClosed()], None)
