from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.contracts import Peer
from netlodge.core.records import HttpFacts, HttpRecord, LineRecord
from netlodge.observe.exchange import ExchangeError, decode, encode
from netlodge.observe.tap import Gap
from tests.observe.samples import PEER, WALL, http_record, line_record

FACTS = ("door", "scheme", *HttpFacts.__annotations__)
LATIN = st.text(st.characters(max_codepoint=255))


@given(
    st.builds(
        HttpRecord,
        door=LATIN,
        scheme=LATIN,
        version=LATIN,
        method=LATIN,
        target=LATIN,
        host=LATIN,
        status=st.integers(0, 999),
        elapsed=st.floats(0, 1e6),
        received=st.integers(0, 2**60),
        sent=st.integers(0, 2**60),
        referer=LATIN,
        user_agent=LATIN,
        user=LATIN,
        request_head=st.binary(),
        response_head=st.binary(),
        request_body=st.binary(),
        response_body=st.binary(),
        outcome=LATIN,
        is_recalled=st.booleans(),
    )
)
def test_any_http_exchange_comes_back_as_it_was(record: HttpRecord) -> None:
    line = encode((WALL, Peer("::1", 5), record))
    assert line.isascii()
    assert line.isprintable()
    decoded = decode(line)
    assert decoded is not None
    assert not isinstance(decoded, Gap)
    wall, peer, again = decoded
    assert (wall, peer) == (WALL, Peer("::1", 5))
    assert isinstance(again, HttpRecord)
    assert [getattr(again, name) for name in FACTS] == [getattr(record, name) for name in FACTS]


@given(question=st.binary(), answer=st.binary())
def test_any_sentence_comes_back_as_it_was(question: bytes, answer: bytes) -> None:
    decoded = decode(encode((WALL, PEER, line_record(question=question, answer=answer, transport="udp"))))
    assert decoded is not None
    assert not isinstance(decoded, Gap)
    assert isinstance(decoded[2], LineRecord)
    assert (decoded[2].question, decoded[2].answer, decoded[2].transport) == (question, answer, "udp")


def test_a_gap_comes_back() -> None:
    assert decode(encode(Gap(7))) == Gap(7)


def test_a_line_can_be_read_by_a_person() -> None:
    said = json.loads(encode((WALL, PEER, http_record(response_body=b"\xff"))))
    assert said["time"] == "2000-10-10T20:55:36.250Z"
    assert said["peer"] == {"host": "127.0.0.1", "port": 50312}
    assert said["request_head"].startswith("GET /page?x=1 HTTP/1.1\r\n")
    assert said["response_body_base64"] == "/w=="
    assert "response_body" not in said


def test_kinds_from_the_future_are_passed_over() -> None:
    assert decode('{"kind": "hologram"}') is None


@pytest.mark.parametrize(
    "line", ["", "x", "[]", "1", "{}", '{"kind": "http"}', '{"kind": "line", "door": 1}', b"\xff", '{"kind":"gap"}']
)
def test_a_line_that_is_no_exchange_is_an_error_and_nothing_else(line: str | bytes) -> None:
    with pytest.raises(ExchangeError):
        decode(line)
