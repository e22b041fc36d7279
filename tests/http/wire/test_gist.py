"""What a request asks at a glance, and what takes a closer look. That nothing malformed has a gist stands in
tests/http/session/test_remembering.py, beside those who rely on it."""

from __future__ import annotations

import pytest

from netlodge.http.wire.gist import Gist, gist_of
from netlodge.http.wire.limits import WireLimits
from netlodge.http.wire.memo import HeadMemo

LIMITS = WireLimits(request_line_size=100, head_size=600, field_count=6)


def glance(*lines: bytes, memo: HeadMemo | None = None) -> Gist | None:
    return gist_of(b"\r\n".join((*lines, b"", b"")), LIMITS, memo or HeadMemo())


def test_it_is_the_request_line_the_host_and_what_selects() -> None:
    assert glance(
        b"GET /a?b HTTP/1.1", b"Host: EXAMPLE.org:81", b"User-Agent: u", b"Range: r", b"Accept:  a ", b"X-Other: o"
    ) == Gist("GET /a?b HTTP/1.1\nexample.org\n81\naccept:a\nrange:r", "u", "")


def test_the_log_gets_every_line_of_its_fields() -> None:
    gist = glance(b"GET / HTTP/1.1", b"Host: a", b"User-Agent: u", b"User-Agent: v", b"Referer: r", b"Referer: s")
    assert gist == Gist("GET / HTTP/1.1\na\nNone", "u, v", "r, s")


@pytest.mark.parametrize("option", [b"keep-alive", b"close"])
def test_what_is_said_of_the_connection_is_asked_too(option: bytes) -> None:
    gist = glance(b"HEAD / HTTP/1.1", b"Host: a", b"Connection: " + option)
    assert gist is not None
    assert gist.question == f"HEAD / HTTP/1.1\na\nNone\nconnection:{option.decode()}"


@pytest.mark.parametrize(
    "lines",
    [
        (b"POST / HTTP/1.1", b"Host: a"),
        (b"GET / HTTP/1.0", b"Host: a"),
        (b"GET / HTTP/1.2", b"Host: a"),
        (b"GET / HTTP/2.0", b"Host: a"),
        (b"GET http://a/ HTTP/1.1", b"Host: a"),
        (b"GET  / HTTP/1.1", b"Host: a"),
        (b"GET / HTTP/1.1",),
        (b"GET / HTTP/1.1", b"Host: a", b"Host: a"),
        (b"GET / HTTP/1.1", b"Host: a b"),
        (b"GET / HTTP/1.1", b"Host: a", b"Connection: Close"),
        (b"GET / HTTP/1.1", b"Host: a", b"Connection: x"),
        (b"GET / HTTP/1.1", b"Host: a", b"Content-Length: 0"),
        (b"GET / HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked"),
        (b"GET / HTTP/1.1", b"Host: a", b"Expect: 100-continue"),
        (b"GET / HTTP/1.1", b"Host: a", b"Upgrade: h2c"),
        (b"GET / HTTP/1.1", b"Host: a", b"Keep-Alive: 1"),
        (b"GET / HTTP/1.1", b"Host: a", b"Cookie: a=b"),
        (b"GET / HTTP/1.1", b"Host: a", b"Authorization: x"),
        (b"GET / HTTP/1.1", b"Host: a", b"Proxy-Authorization: x"),
        (b"GET / HTTP/1.1", b"Host: a", b"X: \x00"),
        (b"GET / HTTP/1.1", b"Host: a", b"X: a\nb"),
        (b"GET / HTTP/1.1", b"Host: a", b"X : a"),
        (b"GET / HTTP/1.1", b"Host: a", b" folded"),
        (b"GET / HTTP/1.1", b"Host: a", *[b"X: y"] * 6),
        (b"GET /" + b"a" * 100 + b" HTTP/1.1", b"Host: a"),
        (b"GET / HTTP/1.1", b"Host: a", b"X: " + b"y" * 600),
        (b"", b"GET / HTTP/1.1", b"Host: a"),
    ],
)
def test_anything_else_takes_a_closer_look(lines: tuple[bytes, ...]) -> None:
    assert glance(*lines) is None


def test_a_line_is_known_when_it_came_before_and_the_memory_of_lines_is_bounded() -> None:
    memo = HeadMemo()
    for number in range(600):
        assert glance(b"GET /%d HTTP/1.1" % number, b"Host: a", memo=memo) is not None
    assert memo.knows_request_line("GET /599 HTTP/1.1")
    assert not memo.knows_request_line("GET /0 HTTP/1.1")
    memo.keep_request_line("GET /" + "a" * 300 + " HTTP/1.1")
    assert not memo.knows_request_line("GET /" + "a" * 300 + " HTTP/1.1")
