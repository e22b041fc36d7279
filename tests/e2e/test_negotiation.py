"""Negotiation against a lodge: variants, what was compressed before, and compression on the fly, with clients that others wrote."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import httpx
import pytest

from tests.e2e.http_client import Client, request
from tests.e2e.lodge import PATIENCE, Lodge, until
from tests.http.handlers.test_compressor import READERS

TEXT = b"".join(b"line %d of a text\n" % number for number in range(1000))
LARGE = os.urandom(200_000).hex().encode()
HUGE = b"".join(b"%08d of many lines\n" % number for number in range(150_000))
PAST = 1_600_000_000
SETTINGS = """
[recall]
enabled = {recall}
[web]
server_field = ""
[[web.site]]
routes = [
  {{ path = "/", files = "{root}" }},
  {{ path = "/variants/", files = "{root}", variants = true }},
  {{ path = "/english/", files = "{root}", variants = true, language = "en" }},
  {{ path = "/pre/", files = "{root}", precompressed = true }},
  {{ path = "/plain/", files = "{root}", compress = false }},
  {{ path = "/told/", respond = "{told}" }},
]
"""
CODINGS = ("br", "zstd", "gzip")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    files = {
        "text.txt": TEXT,
        "large.txt": LARGE,
        "huge.txt": HUGE,
        "small.txt": b"small",
        "image.png": TEXT,
        "changing.txt": TEXT,
        "page.en.html": b"<p>English" * 200,
        "page.de.html": b"<p>Deutsch" * 200,
        "page.html.fr": b"<p>Francais",
        "logo.svg": b"<svg/>",
        "logo.png": b"png",
        "pre.txt": TEXT,
        "pre.txt.gz": gzip.compress(TEXT),
        "pre.txt.br": brotli.compress(TEXT),
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
        os.utime(root / name, (PAST, PAST))
    return root


def lodge_of(root: Path, *, recall: bool) -> Lodge:
    return Lodge({}, SETTINGS.format(root=root, recall=str(recall).lower(), told="text " * 500), workers=1)


@pytest.fixture(scope="module")
def lodge(root: Path) -> Iterator[Lodge]:
    with lodge_of(root, recall=True) as lodge:
        yield lodge


def curl(lodge: Lodge, path: str, *options: str) -> tuple[str, bytes]:
    """Status and heads as curl received them, and the body as it gives it to whoever asked."""
    command = ["curl", "-sS", "-D", "-", "-o", "/dev/stderr", "--max-time", "20", "--noproxy", "*", *options]
    done = subprocess.run([*command, lodge.url(path)], capture_output=True, timeout=PATIENCE, check=True)
    return done.stdout.decode("latin-1"), done.stderr


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("path", "content"), [("/text.txt", TEXT), ("/large.txt", LARGE), ("/huge.txt", HUGE)])
def test_curl_reads_what_was_compressed(lodge: Lodge, path: str, content: bytes, coding: str) -> None:
    for _ in range(3):  # made, kept, and remembered
        heads, body = curl(lodge, path, "--compressed", "-H", f"Accept-Encoding: {coding}")
        assert body == content
        assert f"\r\nContent-Encoding: {coding}\r\n" in heads
        assert ("Transfer-Encoding: chunked" in heads) is (path == "/huge.txt")


def test_curl_takes_what_it_knows(lodge: Lodge) -> None:
    heads, body = curl(lodge, "/text.txt", "--compressed")
    assert (body, "Content-Encoding: br" in heads) == (TEXT, True)
    heads, body = curl(lodge, "/text.txt")
    assert (body, "Content-Encoding" in heads, "Vary: accept-encoding" in heads) == (TEXT, False, True)
    heads, body = curl(lodge, "/huge.txt", "--compressed", "--http1.0")
    assert (body, "Connection: close" in heads) == (HUGE, True)
    for path in ("/plain/text.txt", "/small.txt", "/image.png"):
        heads, _ = curl(lodge, path, "--compressed")
        assert "Content-Encoding" not in heads
        assert "Vary" not in heads


def test_curl_gets_a_range_of_the_file_as_it_is(lodge: Lodge) -> None:
    heads, body = curl(lodge, "/text.txt", "--compressed", "-r", "100-199")
    assert (body, "Content-Encoding" in heads) == (TEXT[100:200], False)
    assert heads.startswith("HTTP/1.1 206 ")


def test_curl_does_not_fetch_again_what_it_has(lodge: Lodge, tmp_path: Path) -> None:
    etag = tmp_path / "etag"
    for status in ("200", "304"):
        options = ["--compressed", "--etag-save", str(etag), "--etag-compare", str(etag)]
        heads, _ = curl(lodge, "/text.txt", *options)
        assert heads.startswith(f"HTTP/1.1 {status} ")
        assert 'ETag: W/"' in heads


def test_httpx_reads_each_language(lodge: Lodge) -> None:
    with httpx.Client(base_url=lodge.url("/variants/"), trust_env=False) as client:
        for language, begins in {"de-AT, de;q=0.9": "<p>Deutsch", "en": "<p>English", "fr": "<p>Francais"}.items():
            answer = client.get("page", headers={"Accept-Language": language})
            assert answer.text.startswith(begins)
            again = client.get("page", headers={"Accept-Language": language, "If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.headers["content-location"]) == (304, answer.headers["content-location"])
        refused = client.get("page", headers={"Accept-Language": "it", "Accept": "text/html"})
        assert refused.status_code == 406
        assert 'href="page.de.html"' in refused.text
        assert client.get("logo", headers={"Accept": "image/svg+xml"}).text == "<svg/>"
        english = client.get(lodge.url("/english/page"), headers={"Accept-Language": "it"})
        assert english.headers["content-language"] == "en"


def test_what_was_compressed_before_is_sent(lodge: Lodge, root: Path) -> None:
    heads, body = curl(lodge, "/pre/pre.txt", "--compressed")
    assert (body, "Content-Encoding: br" in heads) == (TEXT, True)
    _, body = curl(lodge, "/pre/pre.txt", "-H", "Accept-Encoding: gzip", "-r", "2-9")
    assert body == (root / "pre.txt.gz").read_bytes()[2:10]


def test_a_file_that_changed_is_compressed_anew_at_once(lodge: Lodge, root: Path) -> None:
    path = root / "changing.txt"
    with Client(lodge.port()) as client:
        for number in range(5):
            content = b"number %d\n" % number * 500
            replacement = path.with_suffix(".new")
            replacement.write_bytes(content)
            replacement.replace(path)
            for _ in range(3):
                answer = client.ask("/changing.txt", "Accept-Encoding: gzip")
                assert answer.fields["content-encoding"] == "gzip"
                assert gzip.decompress(answer.body) == content


def test_a_new_variant_is_found_at_once(lodge: Lodge, root: Path) -> None:
    path = root / "new.en.html"
    path.write_bytes(b"English")
    with Client(lodge.port()) as client:
        asked = "Accept-Language: de, en;q=0.1"
        until(lambda: client.ask("/variants/new", asked).status == 200, "settled")
        for _ in range(4):
            assert client.ask("/variants/new", asked).body == b"English"
        (root / "new.de.html").write_bytes(b"Deutsch")
        assert client.ask("/variants/new", asked).body == b"Deutsch"
        (root / "new.de.html").unlink()
        assert client.ask("/variants/new", asked).body == b"English"


FIELDS = (
    *(f"Accept-Encoding: {coding}" for coding in (*CODINGS, "*", "gzip;q=0", "gzip, identity;q=0", "identity;q=0")),
    "",
    "Accept-Language: de",
    "Accept-Language: it, *;q=0",
    "Accept: image/svg+xml",
    "Accept-Encoding: gzip\r\nRange: bytes=1-9",
    "Accept-Encoding: gzip\r\nRange: bytes=1-9\r\nIf-Range: Sun, 13 Sep 2020 12:26:40 GMT",
    "Accept-Encoding: gzip\r\nIf-None-Match: {coded}",
    "Accept-Encoding: br\r\nIf-None-Match: {coded}",
)
TARGETS = (
    "/text.txt", "/small.txt", "/image.png", "/told/", "/missing", "/variants/page", "/variants/logo", "/variants/text.txt",
    "/english/page.html", "/pre/pre.txt", "/pre/text.txt", "/plain/text.txt", "/large.txt",
)  # fmt: skip


def test_the_table_changes_no_octet(root: Path) -> None:
    """As in `test_identity`, for what is negotiated; and what HEAD is told is what GET is told."""
    with lodge_of(root, recall=True) as on, lodge_of(root, recall=False) as off:
        with Client(on.port()) as remembering, Client(off.port()) as forgetful:
            coded = forgetful.ask("/text.txt", "Accept-Encoding: gzip").fields["etag"]
            for target, fields in product(TARGETS, FIELDS):
                lines = [fields.format(coded=coded)] if fields else []
                told = []
                for method in ("GET", "HEAD"):
                    octets = request(target, *lines, method=method)
                    answers = set()
                    for client in (remembering,) * 4 + (forgetful,) * 2:
                        client.send(octets)
                        answer = client.receive(is_head=method == "HEAD")
                        date = f"Date: {answer.fields.pop('date')}".encode()
                        answers.add(answer.octets.replace(date, b""))
                    assert len(answers) == 1, octets
                    told.append({name: answer.fields[name] for name in answer.fields if name != "content-length"})
                assert told[0] == told[1] or "Range" in fields
        assert on.metric("netlodge_http_recalled_total") > 500
        assert off.metric("netlodge_http_recalled_total") == 0


def test_every_coding_has_a_reader() -> None:
    assert set(READERS) == set(CODINGS)
