"""Every malformed message of the table is refused, with the same words in every segmentation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netlodge.http.message import Fields
from netlodge.http.wire.h1 import NEED_DATA, Http1Codec, RequestHead, ResponseHead, State
from tests.http.malformed import MALFORMED_REQUESTS, MALFORMED_RESPONSES, Malformed, request
from tests.http.wire.feeding import SEGMENTATIONS, client, in_halves, octet_by_octet, outcome, refusal, server, whole

Segmentation = Callable[[bytes], list[bytes]]


def label(case: object) -> str:
    return f"{case.section} {case.name}" if isinstance(case, Malformed) else getattr(case, "__name__", "")


@pytest.mark.parametrize("segmentation", SEGMENTATIONS, ids=label)
@pytest.mark.parametrize("case", MALFORMED_REQUESTS, ids=label)
def test_a_malformed_request_is_refused(case: Malformed, segmentation: Segmentation) -> None:
    codec = server()
    error = refusal(codec, segmentation(case.octets))
    assert (error.status, error.setting) == (case.status, case.setting)
    assert error.must_close
    assert codec.their_state is State.BROKEN
    assert not codec.is_persistent


@pytest.mark.parametrize("case", MALFORMED_REQUESTS, ids=label)
def test_a_malformed_request_is_refused_whatever_follows(case: Malformed) -> None:
    if case.name.endswith(("never ends", "HTTP/0.9", "SSH banner", "TLS handshake")):
        error = refusal(server(), [case.octets, b"\r\n\r\n" + request()])
    else:
        error = refusal(server(), [case.octets + request()])
    assert (error.status, error.setting) == (case.status, case.setting)


@pytest.mark.parametrize("case", MALFORMED_REQUESTS, ids=label)
def test_after_the_refusal_nothing_is_read_and_one_answer_closes(case: Malformed) -> None:
    codec = server()
    first = refusal(codec, whole(case.octets))
    codec.receive_data(request())
    again = refusal(codec, [])
    assert (again.status, again.detail) == (first.status, first.detail)
    assert codec.buffered == 0
    head = codec.send(ResponseHead(first.status, fields=Fields([("content-length", "0")])))
    assert b"\r\nConnection: close\r\n" in head


@pytest.mark.parametrize("case", MALFORMED_REQUESTS, ids=label)
def test_a_malformed_request_is_refused_after_a_good_one(case: Malformed) -> None:
    events, error = outcome(server(), [request(), case.octets])
    assert isinstance(events[0], RequestHead)
    assert error is not None
    assert error.status == case.status


@pytest.mark.parametrize("segmentation", SEGMENTATIONS, ids=label)
@pytest.mark.parametrize("case", MALFORMED_RESPONSES, ids=label)
def test_a_malformed_response_is_no_answer(case: Malformed, segmentation: Segmentation) -> None:
    codec = client()
    error = refusal(codec, segmentation(case.octets))
    assert (error.status, error.setting) == (502, case.setting)
    assert not codec.is_persistent


def test_there_are_enough_of_them_and_no_two_are_the_same() -> None:
    assert len(MALFORMED_REQUESTS) >= 150
    assert len({case.octets for case in MALFORMED_REQUESTS}) == len(MALFORMED_REQUESTS)
    assert len({(case.section, case.name) for case in MALFORMED_REQUESTS}) == len(MALFORMED_REQUESTS)


EARLY = [
    (b"GET / HTTP/1.1\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\rb", 400),
    (b"GET / HTTP/1.1\r\r", 400),
    (b"GET /\r\n", 400),
    (b"GET / HTTP/2.0\r\n", 505),
    (b"G(T / HTTP/1.1\r\n", 400),
    (b"(", 400),
    (b"\x16\x03\x01", 400),
    (b"\r\n\x16", 400),
    (b"SSH-2.0-OpenSSH_9.2p1\r\n", 400),
    (b"GET /" + b"a" * 9000, 414),
    (b"GET / HTTP/1.1\r\nX: " + b"a" * 33_000, 431),
    (request(b"Transfer-Encoding: chunked", body=b"5\n"), 400),
    (request(b"Transfer-Encoding: chunked", body=b"5\r5"), 400),
    (request(b"Transfer-Encoding: chunked", body=b"0\r\nX\n"), 400),
]


@pytest.mark.parametrize("segmentation", SEGMENTATIONS, ids=label)
@pytest.mark.parametrize(("octets", "status"), EARLY)
def test_what_cannot_become_a_message_is_refused_before_its_end(
    octets: bytes, status: int, segmentation: Segmentation
) -> None:
    assert refusal(server(), segmentation(octets)).status == status


@pytest.mark.parametrize(
    ("size", "status"), [(8193 + len("GET / HTTP/1.1") - 1, 414), (40_000, 414)], ids=["by one octet", "by far"]
)
def test_a_request_line_is_refused_at_the_octet_that_is_too_much(size: int, status: int) -> None:
    codec = server()
    octets = b"GET /" + b"a" * size
    codec.receive_data(octets[:8193])
    assert codec.next_event() is NEED_DATA
    assert refusal(codec, [octets[8193:8194]]).status == status


@pytest.mark.parametrize("segmentation", [whole, octet_by_octet, in_halves], ids=label)
def test_messages_at_their_limits_pass(segmentation: Segmentation) -> None:
    line = b"GET /" + b"a" * (8192 - len("GET / HTTP/1.1")) + b" HTTP/1.1"
    head = request(*[b"X: y"] * 99, line=line)
    filled = request(*[b"X: y"] * 98, b"X: " + b"z" * (32_768 - len(head) + 1), line=line)
    assert len(filled) == 32_768
    for octets in (head, filled, b"\r\n" * 10 + filled):
        codec: Http1Codec = server()
        events, error = outcome(codec, segmentation(octets))
        assert error is None
        assert isinstance(events[0], RequestHead)
        assert len(events[0].fields) == 100
