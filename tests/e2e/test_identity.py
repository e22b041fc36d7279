"""With the recall table switched off, every answer is the same: octet by octet, the value of Date aside.

Every exchange of a long list is sent to a lodge that remembers, twice, and to one that does not; each of them several times in a row, so
that what can be remembered is. Both serve the same files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from tests.e2e.http_client import Client
from tests.e2e.lodge import Lodge
from tests.http.malformed import MALFORMED_REQUESTS

REPEATS = 4
PAST = 1_600_000_000
SETTINGS = """
[recall]
enabled = {recall}
[web]
trace = true
h2c = "off"
[limits]
requests_per_connection = {requests}
[[web.site]]
hosts = ["other.test"]
routes = [{{ path = "/", respond = "another site\\n" }}, {{ path = "/old/", redirect = "/new/" }}]
[[web.site]]
error_pages = {{ 404 = "{root}/404.html" }}
fields = [{{ path = "*.css", cache_control = "max-age=60" }}]
routes = [
  {{ path = "/", files = "{root}" }},
  {{ path = "/list/", files = "{root}/docs", listing = true }},
  {{ path = "/app/", files = "{root}/docs", fallback = "a.txt" }},
]
"""


@dataclass(frozen=True)
class Exchange:
    """Octets, and for each request in them whether its answer has no content because it asks with HEAD. `ends`: there is no more to come
    on the connection after them, whatever the last answer says (it may be out before the fault in the content is seen)."""

    octets: bytes
    heads: tuple[bool, ...]
    ends: bool = False

    @classmethod
    def of(
        cls, method: str, target: str, *fields: str, version: str = "1.1", host: str = "localhost", body: bytes = b""
    ) -> Exchange:
        lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *fields, "", ""]
        return cls("\r\n".join(lines).encode("latin-1") + body, (method == "HEAD",))

    def __add__(self, other: Exchange) -> Exchange:
        return Exchange(self.octets + other.octets, self.heads + other.heads)


FIELDS = (
    "",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: Keep-Alive, X",
    "Accept: text/html",
    "Accept: application/json",
    "Accept-Encoding: gzip, br",
    "User-Agent: Mozilla/5.0 (X11; Linux) \xe4",
    "Cookie: a=b",
    "Authorization: Basic eDp4",
    "Expect: 100-continue",
    "Expect: coffee",
    'If-None-Match: "x"',
    "If-None-Match: *",
    'If-None-Match: W/"x", {etag}',
    "If-None-Match: {etag}",
    "If-Match: {etag}",
    'If-Match: "x"',
    "If-Modified-Since: Sun, 13 Sep 2020 12:26:40 GMT",
    "If-Modified-Since: Sunday, 13-Sep-20 12:26:39 GMT",
    "If-Unmodified-Since: Sun Sep 13 12:26:40 2020",
    "If-Unmodified-Since: Sun, 13 Sep 2020 12:26:39 GMT",
    "Range: bytes=0-0",
    "Range: bytes=-3",
    "Range: bytes=2-",
    "Range: bytes=0-1,4-5",
    "Range: bytes=9999999-",
    "Range: lines=1-2",
    "Range: bytes=1-2\r\nIf-Range: {etag}",
    'Range: bytes=1-2\r\nIf-Range: "x"',
    "Range: bytes=1-2\r\nRange: bytes=3-4",
    "Upgrade: websocket\r\nConnection: upgrade",
    "Content-Length: 0",
)
TARGETS = (
    "/",
    "/index.html",
    "/index.html?a=b",
    "/%69ndex.html",
    "/style.css",
    "/big.bin",
    "/docs",
    "/docs/",
    "/docs/a.txt",
    "//docs///a.txt",
    "/missing",
    "/list/",
    "/app/page",
    "http://localhost/index.html",
)
ODD = (
    "/%2e%2e/index.html", "/..", "/a%00b", "/a%2fb", "/%ff", "/.hidden", "/link.txt", "/a%5cb", "/docs/..", "/%C3%A9", "/list", "/app",
    "/" + "a" * 300, "http://other.test/", "http://other.test/old/x?y", "https://localhost/", "http://localhost", "/?", "/#",
)  # fmt: skip


def exchanges(etag: str) -> Iterator[Exchange]:
    of = Exchange.of
    for method, target, fields in product(("GET", "HEAD"), TARGETS, FIELDS):
        yield of(method, target, *([fields.format(etag=etag)] if fields else []))
    for method, target in product(("GET", "HEAD", "OPTIONS", "TRACE", "POST"), ODD):
        yield of(method, target)
    for method, target in product(
        ("OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "BREW", "get", "CONNECT"), ("/", "/docs", "*", "a:80")
    ):
        yield of(method, target)
    for target, fields in product(("/", "/missing", "/docs"), ("", "Connection: keep-alive", "Range: bytes=0-1")):
        yield of("GET", target, *([fields] if fields else []), version="1.0")
        yield of("HEAD", target, *([fields] if fields else []), version="1.0")
    for host in ("other.test", "OTHER.test:80", "localhost:1", "[::1]", "", "a b", "a,b", "unknown.test"):
        yield of("GET", "/", host=host)
    for framing, body in (
        (("Content-Length: 5",), b"hello"),
        (("Transfer-Encoding: chunked",), b"5\r\nhello\r\n0\r\n\r\n"),
        (("Transfer-Encoding: chunked", "Trailer: X"), b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    ):
        for method, target in product(("GET", "POST", "OPTIONS", "TRACE"), ("/", "/missing")):
            yield of(method, target, *framing, body=body)
    page, head, missing, last = (
        of("GET", "/"),
        of("HEAD", "/index.html"),
        of("GET", "/missing"),
        of("GET", "/", "Connection: close"),
    )
    big = of("GET", "/big.bin", "Range: bytes=0-99")
    yield page + page
    yield page + head + missing + page + big + page
    yield Exchange(b"\r\n" + page.octets, page.heads)
    yield head + last
    yield page + last + page
    yield Exchange(page.octets + b"GET / HTTP/1.1\r\n\r\n", (False, False))
    for case in MALFORMED_REQUESTS:
        yield Exchange(case.octets, (False,), ends=True)


class Talk:
    """One client of one lodge: a connection for as long as the lodge keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client: Client | None = None

    def exchange(self, exchange: Exchange) -> bytes:
        """All octets that come for these, the value of Date and the random boundary blotted out; a mark at the end if it was one."""
        if self._client is None:
            self._client = Client(self._port)
        client = self._client
        client.send(exchange.octets)
        received = b""
        for is_head in exchange.heads:
            answer = client.receive(is_head=is_head)
            received += answer.octets
            if answer.closes:
                break
        if answer.closes or exchange.ends:
            received += client.rest() + b"<end>"
            self.close()
        assert not client.pending
        return blotted(received)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def blotted(octets: bytes) -> bytes:
    for boundary in re.findall(rb"\r\nContent-Type: multipart/byteranges; boundary=(\S+)\r\n", octets):
        octets = octets.replace(boundary, b"?")
    return re.sub(rb"\r\nDate: [^\r]*\r\n", b"\r\nDate: ?\r\n", octets)


def transcript(port: int, wanted: list[Exchange]) -> list[list[bytes]]:
    talk = Talk(port)
    try:
        return [[talk.exchange(exchange) for _ in range(REPEATS)] for exchange in wanted]
    finally:
        talk.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    files = {"index.html": b"<p>hello", "style.css": b"p {}", "404.html": b"nothing", "docs/a.txt": b"a", "docs/index.html": b"docs",
             "big.bin": bytes(range(256)) * 1000, ".hidden": b"hidden"}  # fmt: skip
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (PAST, PAST))
    (root / "link.txt").symlink_to("/etc/passwd")
    return root


def lodge(root: Path, *, recall: bool, requests: int = 0) -> Lodge:
    # One worker, so that every repetition meets what the one before it left.
    return Lodge({}, SETTINGS.format(root=root, recall=str(recall).lower(), requests=requests), workers=1)


def test_the_table_changes_no_octet(root: Path) -> None:
    with lodge(root, recall=True) as on, lodge(root, recall=False) as off:
        with Client(off.port()) as client:
            etag = client.ask("/").fields["etag"]
        wanted = list(exchanges(etag))
        assert len(wanted) > 1000
        without = transcript(off.port(), wanted)
        assert off.metric("netlodge_http_recalled_total") == 0
        for _ in range(2):
            for exchange, expected, got in zip(wanted, without, transcript(on.port(), wanted), strict=True):
                assert got == expected, exchange.octets
        assert on.metric("netlodge_http_recalled_total") > 1000


def test_the_last_requests_of_a_connection_are_told_alike(root: Path) -> None:
    """`limits.requests_per_connection`: the hints count down, and the last answer is the last."""
    wanted = [Exchange.of("GET", "/", *fields) for fields in ((), ("Connection: keep-alive",))] * 70
    with lodge(root, recall=True, requests=130) as on, lodge(root, recall=False, requests=130) as off:
        for exchanges_of_one in (wanted, wanted[1::2] * 3):
            expected, got = (transcript(each.port(), exchanges_of_one) for each in (off, on))
            assert got == expected
            octets = b"".join(answer for answers in got for answer in answers)
            assert b"<end>" in octets
            assert b"max=1\r\n" in octets
        assert on.metric("netlodge_http_recalled_total") > 0
