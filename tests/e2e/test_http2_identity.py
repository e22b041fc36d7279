"""One site over HTTP/1.1 and over HTTP/2, both by TLS: the same statuses, fields and contents, whatever is asked.

Handlers do not know which version carried a request; so what differs would be a defect of one of the sessions. Each exchange is made several
times in a row, so that what can be remembered is.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from netlodge.http.wire.h2_frames import ErrorCode
from tests.e2e.http2_client import Http2Client, ResetError
from tests.e2e.http_client import Client
from tests.e2e.lodge import Lodge
from tests.e2e.test_http2 import context_of
from tests.e2e.test_identity import FIELDS, ODD, SETTINGS, TARGETS, root

__all__ = ["root"]  # a fixture

REPEATS = 3
OF_HTTP1 = {"connection", "keep-alive", "transfer-encoding", "upgrade"}
"""What concerns the connection has no place in HTTP/2 (RFC 9113 §8.2.2); nor is it asked here, because it changes the answer."""


class Asked(NamedTuple):
    method: str
    target: str
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def asked(etag: str) -> Iterator[Asked]:
    texts = [
        field.format(etag=etag)
        for field in FIELDS
        if field and not field.startswith(("Connection", "Upgrade", "Expect: c"))
    ]
    choices = [(), *(tuple(_fields(text)) for text in texts)]
    targets = [target for target in TARGETS if target.startswith("/")]
    for target, fields in product(targets[::2], choices):
        yield Asked("GET", target, fields)
    for method, target in product(("GET", "HEAD"), (*targets, *(each for each in ODD if each.startswith("/")))):
        yield Asked(method, target)
    for method, target in product(
        ("OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "BREW", "get", "POST"), ("/", "/docs", "/missing")
    ):
        yield Asked(method, target)
        if method != "TRACE":
            yield Asked(method, target, (), b"some content")
    yield Asked("OPTIONS", "*")


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\r\n"):
        name, _, value = line.partition(": ")
        yield name.lower(), value


class Seen(NamedTuple):
    status: int
    fields: list[tuple[str, str]]
    body: bytes


MALFORMED = Seen(400, [], b"")
"""What is no request is told so in HTTP/1.1 by an answer that ends the connection, in HTTP/2 by a reset of its stream (§8.1.1)."""


def seen(status: int, fields: list[tuple[str, str]], body: bytes) -> Seen:
    """What is to be the same, the value of Date and random boundaries blotted out."""
    kept = sorted((name, "?" if name == "date" else value) for name, value in fields if name not in OF_HTTP1)
    text = dict(kept).get("content-type", "")
    if match := re.fullmatch(r"multipart/byteranges; boundary=(\S+)", text):
        kept = [(name, value.replace(match[1], "?")) for name, value in kept]
        body = body.replace(match[1].encode(), b"?")
    return Seen(status, kept, body)


class OverHttp1:
    def __init__(self, lodge: Lodge, context: ssl.SSLContext) -> None:
        self._lodge = lodge
        self._context = context
        self._client: Client | None = None

    def ask(self, request: Asked) -> Seen:
        if self._client is None:
            self._client = Client(self._lodge.port("web_tls"))
            self._client.sock = self._context.wrap_socket(self._client.sock, server_hostname="localhost")
        client = self._client
        fields = [f"{name}: {value}" for name, value in request.fields]
        answer = client.ask(request.target, *fields, method=request.method, body=request.body)
        lines = answer.octets.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        if answer.closes:
            self.close()
            if answer.status == 400:
                return MALFORMED
        return seen(
            answer.status, [(n.lower(), v) for n, _, v in (line.partition(": ") for line in lines)], answer.body
        )

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def ask_over_http2(client: Http2Client, request: Asked) -> Seen:
    try:
        answer = client.ask(request.target, *request.fields, method=request.method, body=request.body)
    except ResetError as error:
        return MALFORMED if error.code == ErrorCode.PROTOCOL_ERROR else Seen(error.code, [], b"")
    return seen(answer.status, answer.fields, answer.body)


def test_both_versions_answer_alike(root: Path) -> None:
    with Lodge({}, SETTINGS.format(root=root, recall="true", requests=0), workers=1) as lodge:
        over_http1 = OverHttp1(lodge, context_of(lodge, "http/1.1"))
        over_http2 = Http2Client(lodge.port("web_tls"), context_of(lodge))
        with over_http2:
            etag = dict(over_http2.ask("/").fields)["etag"]
            requests = list(asked(etag))
            assert len(requests) > 250
            for request in requests:
                for _ in range(REPEATS):
                    expected = over_http1.ask(request)
                    got = ask_over_http2(over_http2, request)
                    if request.method == "TRACE" and got.status == 200:
                        # The request as it came, which differs in its first line.
                        got, expected = got._replace(body=b"", fields=[]), expected._replace(body=b"", fields=[])
                    assert got == expected, request
            over_http1.close()
        assert lodge.metric("netlodge_http_recalled_total") > 250


LIMITS = """
[limits]
request_line_size = 300
field_count = 20
head_size = 2000
body_size = 10
[[web.site]]
routes = [{ path = "/", files = "site" }]
"""


@pytest.fixture(scope="module")
def narrow() -> Iterator[Lodge]:
    with Lodge({"index.html": b"x"}, LIMITS, workers=1) as lodge:
        yield lodge


@pytest.mark.parametrize(
    ("limit", "fields", "target", "status"),
    [
        ("request_line_size", (), "/" + "a" * 300, 414),
        ("field_count", tuple((f"x-{number}", "a") for number in range(21)), "/", 431),
        ("head_size", (("x", "a" * 2000),), "/", 431),
        ("body_size", (("content-length", "11"),), "/", 413),
    ],
)
def test_limits_hold_in_both(
    narrow: Lodge, limit: str, fields: tuple[tuple[str, str], ...], target: str, status: int
) -> None:
    with Client(narrow.port()) as client:
        assert client.ask(target, *(f"{name}: {value}" for name, value in fields)).status == status
    with Http2Client(narrow.port()) as client:
        answer = client.receive(client.begin(target, *fields, ends="content-length" not in dict(fields)))
        assert answer.status == status
        assert f"limits.{limit}".encode() in answer.body
