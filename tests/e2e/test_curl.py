"""curl against a lodge: what everyone tries first, and what scripts rely on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.http_client import Client
from tests.e2e.lodge import PATIENCE, Lodge

BIG = bytes(range(256)) * 4096
PAGE = b"<p>hello</p>\n"
SETTINGS = """
[limits]
request_line_size = "1 KiB"
head_size = "4 KiB"
field_count = 20
body_size = "1 MiB"
[web]
trace = false
[[web.site]]
hosts = ["www.example.org", "*.example.net"]
routes = [
  { path = "/", respond = "a named host\\n" },
  { path = "/old/", redirect = "/new/", status = 308 },
  { path = "/found", redirect = "https://example.org/", status = 302 },
]
[[web.site]]
routes = [{ path = "/", files = "site" }]
"""


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    site = {"index.html": PAGE, "big.bin": BIG, "docs/index.html": b"docs", "a b.txt": b"space", ".hidden": b"secret"}
    with Lodge(site, SETTINGS) as lodge:
        (lodge.folder / "secret.txt").write_text("outside")
        (lodge.site / "link.txt").symlink_to(lodge.folder / "secret.txt")
        yield lodge


def curl(lodge: Lodge, path: str, *options: str, stdin: bytes = b"") -> tuple[dict[str, object], bytes]:
    """What curl says of the transfer (its `%{json}`), and the body."""
    out = lodge.folder / "body"
    out.unlink(missing_ok=True)
    command = [
        "curl",
        "-sS",
        "--max-time",
        "20",
        "--noproxy",
        "*",
        "-o",
        str(out),
        "-w",
        "%{json}",
        *options,
        lodge.url(path),
    ]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout), out.read_bytes() if out.exists() else b""


def heads(lodge: Lodge, path: str, *options: str) -> str:
    """The heads that curl received, with the body behind them."""
    command = ["curl", "-sS", "-i", "--max-time", "20", "--noproxy", "*", *options, lodge.url(path)]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True).stdout.decode("latin-1")


class TestConnections:
    @pytest.mark.parametrize(("option", "version"), [("--http1.0", "1.1"), ("--http1.1", "1.1")])
    def test_both_versions_get_the_page(self, lodge: Lodge, option: str, version: str) -> None:
        said, body = curl(lodge, "/", option)
        assert (said["http_code"], body, said["http_version"]) == (200, PAGE, version)

    def test_one_connection_serves_many_urls(self, lodge: Lodge) -> None:
        urls = [lodge.url(f"/?{number}") for number in range(5)]
        command = [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "-w",
            "%{num_connects} ",
            *[part for url in urls for part in ("-o", "/dev/null", url)],
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        assert done.stdout.split() == ["1", "0", "0", "0", "0"]

    def test_http_1_0_keeps_the_connection_if_asked(self, lodge: Lodge) -> None:
        url = lodge.url("/")
        command = [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "--http1.0",
            "-H",
            "Connection: keep-alive",
            "-w",
            "%{num_connects} ",
        ]
        done = subprocess.run(
            [*command, "-o", "/dev/null", url, "-o", "/dev/null", url],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        assert done.stdout.split() == ["1", "0"]

    def test_http_1_0_ends_the_connection_if_not(self, lodge: Lodge) -> None:
        assert "\r\nConnection: close\r\n" in heads(lodge, "/", "--http1.0")


class TestRanges:
    def test_single(self, lodge: Lodge) -> None:
        said, body = curl(lodge, "/big.bin", "-r", "1000-1999")
        assert (said["http_code"], body) == (206, BIG[1000:2000])

    def test_suffix(self, lodge: Lodge) -> None:
        said, body = curl(lodge, "/big.bin", "-r", "-10")
        assert (said["http_code"], body) == (206, BIG[-10:])

    def test_several(self, lodge: Lodge) -> None:
        text = heads(lodge, "/big.bin", "-r", "0-1,100000-100003")
        assert text.startswith("HTTP/1.1 206 ")
        assert "Content-Type: multipart/byteranges; boundary=" in text
        assert f"Content-Range: bytes 0-1/{len(BIG)}" in text
        assert f"Content-Range: bytes 100000-100003/{len(BIG)}" in text

    def test_beyond_the_end(self, lodge: Lodge) -> None:
        text = heads(lodge, "/big.bin", "-r", f"{len(BIG)}-")
        assert text.startswith("HTTP/1.1 416 ")
        assert f"Content-Range: bytes */{len(BIG)}" in text

    def test_a_broken_off_download_is_resumed(self, lodge: Lodge, tmp_path: Path) -> None:
        file = tmp_path / "big.bin"
        file.write_bytes(BIG[:300_001])
        command = [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "-C",
            "-",
            "-o",
            str(file),
            "-w",
            "%{http_code} %{size_download}",
            lodge.url("/big.bin"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        assert done.stdout == f"206 {len(BIG) - 300_001}"
        assert file.read_bytes() == BIG


class TestConditions:
    def test_an_entity_tag_that_fits_saves_the_body(self, lodge: Lodge, tmp_path: Path) -> None:
        tag = tmp_path / "tag"
        first, body = curl(lodge, "/", "--etag-save", str(tag))
        assert (first["http_code"], body) == (200, PAGE)
        second, body = curl(lodge, "/", "--etag-compare", str(tag))
        assert (second["http_code"], body) == (304, b"")

    def test_a_date_that_fits_saves_the_body(self, lodge: Lodge) -> None:
        date = next(
            line.partition(": ")[2]
            for line in heads(lodge, "/big.bin", "-I").split("\r\n")
            if line.startswith("Last-Modified")
        )
        assert curl(lodge, "/big.bin", "-z", date)[0]["http_code"] == 304
        assert curl(lodge, "/big.bin", "-z", "Sun, 06 Nov 1994 08:49:37 GMT")[0]["http_code"] == 200


class TestMethods:
    def test_head(self, lodge: Lodge) -> None:
        text = heads(lodge, "/big.bin", "-I")
        assert text.startswith("HTTP/1.1 200 ")
        assert f"Content-Length: {len(BIG)}\r\n" in text
        assert text.endswith("\r\n\r\n")

    def test_options(self, lodge: Lodge) -> None:
        text = heads(lodge, "/", "-X", "OPTIONS")
        assert text.startswith("HTTP/1.1 204 ")
        assert "Allow: GET, HEAD, OPTIONS" in text

    def test_options_of_the_server(self, lodge: Lodge) -> None:
        text = heads(lodge, "", "-X", "OPTIONS", "--request-target", "*")
        assert text.startswith(("HTTP/1.1 204 ", "HTTP/1.1 200 "))

    def test_trace_is_off(self, lodge: Lodge) -> None:
        text = heads(lodge, "/", "-X", "TRACE")
        assert text.startswith("HTTP/1.1 405 ")
        assert "Allow: " in text

    def test_an_unknown_one(self, lodge: Lodge) -> None:
        assert heads(lodge, "/", "-X", "BREW").startswith("HTTP/1.1 501 ")

    def test_a_post_that_asks_first_is_refused_before_it_sends(self, lodge: Lodge, tmp_path: Path) -> None:
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(1_000_000))
        said, body = curl(lodge, "/", "-H", "Expect: 100-continue", "--data-binary", f"@{upload}")
        assert said["http_code"] == 405
        assert said["size_upload"] == 0
        assert b"POST" in body or b"405" in body

    def test_a_post_that_sends_at_once_gets_its_answer_and_the_next_connection_is_clean(
        self, lodge: Lodge, tmp_path: Path
    ) -> None:
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(1_000_000))
        said, _ = curl(lodge, "/", "-H", "Expect:", "--data-binary", f"@{upload}")
        assert said["http_code"] == 405
        assert curl(lodge, "/")[1] == PAGE

    def test_a_small_post_keeps_the_connection(self, lodge: Lodge) -> None:
        url = lodge.url("/")
        command = [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "-w",
            "%{http_code} %{num_connects} ",
            "-o",
            "/dev/null",
            "-d",
            "a=b",
            url,
        ]
        done = subprocess.run(
            [*command, "-o", "/dev/null", url], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        assert done.stdout.split() == ["405", "1", "405", "0"]


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/../secret.txt",
            "/docs/../../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/%2e%2e%2fsecret.txt",
            "/..%5csecret.txt",
            "/%252e%252e/secret.txt",
            "/docs/..%c0%af../secret.txt",
            "/%c0%ae%c0%ae/secret.txt",
            "/....//secret.txt",
            "/.%00./secret.txt",
            "/secret.txt%00.html",
            "/link.txt",
            "/.hidden",
            "/%2ehidden",
            "//etc/passwd",
            "/file:///etc/passwd",
        ],
    )
    def test_nothing_outside_the_root_and_nothing_hidden_comes_out(self, lodge: Lodge, path: str) -> None:
        said, body = curl(lodge, path, "--path-as-is")
        assert said["http_code"] in {301, 400, 403, 404}
        assert b"outside" not in body
        assert b"secret" not in body or b"secret.txt" in body
        assert b"root:" not in body

    def test_a_space_is_decoded_once(self, lodge: Lodge) -> None:
        assert curl(lodge, "/a%20b.txt")[1] == b"space"
        assert curl(lodge, "/a%2520b.txt")[0]["http_code"] == 404

    def test_a_folder_is_redirected_to_its_slash(self, lodge: Lodge) -> None:
        said, body = curl(lodge, "/docs?x=1", "-L")
        assert (said["http_code"], body, said["num_redirects"]) == (200, b"docs", 1)
        assert str(said["url_effective"]).endswith("/docs/?x=1")


class TestHosts:
    @pytest.mark.parametrize(
        ("host", "body"),
        [
            ("www.example.org", b"a named host\n"),
            ("WWW.Example.ORG:8080", b"a named host\n"),
            ("a.example.net", b"a named host\n"),
            ("a.b.example.net", b"a named host\n"),
            ("example.net", PAGE),
            ("127.0.0.1", PAGE),
            ("other.test", PAGE),
        ],
    )
    def test_the_host_chooses_the_site(self, lodge: Lodge, host: str, body: bytes) -> None:
        assert curl(lodge, "/", "-H", f"Host: {host}")[1] == body

    def test_redirects_keep_what_follows_and_the_query(self, lodge: Lodge) -> None:
        text = heads(lodge, "/old/a/b?c=d", "-H", "Host: www.example.org")
        assert text.startswith("HTTP/1.1 308 ")
        assert "\r\nLocation: /new/a/b?c=d\r\n" in text

    def test_redirects_elsewhere(self, lodge: Lodge) -> None:
        text = heads(lodge, "/found", "-H", "Host: www.example.org")
        assert text.startswith("HTTP/1.1 302 ")
        assert "\r\nLocation: https://example.org/\r\n" in text


class TestLimits:
    def test_a_url_too_long_names_its_limit(self, lodge: Lodge) -> None:
        said, body = curl(lodge, "/" + "a" * 2000)
        assert said["http_code"] == 414
        assert b"limits.request_line_size" in body

    def test_fields_too_many_name_their_limit(self, lodge: Lodge) -> None:
        said, body = curl(lodge, "/", *[part for number in range(30) for part in ("-H", f"X-{number}: y")])
        assert said["http_code"] == 431
        assert b"limits.field_count" in body

    def test_fields_too_long_name_their_limit(self, lodge: Lodge) -> None:
        said, body = curl(lodge, "/", "-H", "X: " + "y" * 5000)
        assert said["http_code"] == 431
        assert b"limits.head_size" in body

    def test_a_body_too_large_names_its_limit(self, lodge: Lodge, tmp_path: Path) -> None:
        upload = tmp_path / "upload"
        upload.write_bytes(bytes(3_000_000))
        said, body = curl(lodge, "/", "--data-binary", f"@{upload}")
        assert said["http_code"] == 413
        assert b"limits.body_size" in body

    @pytest.mark.parametrize(("version", "status"), [("2.0", 505), ("3.7", 505)])
    def test_a_version_of_another_major_number(self, lodge: Lodge, version: str, status: int) -> None:
        with Client(lodge.port()) as client:
            client.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
            answer = client.receive()
            assert answer.status == status
            assert answer.fields["content-type"].startswith("text/plain")
            assert b"HTTP/1.1" in answer.body
            assert client.is_ended()

    def test_an_expectation_that_cannot_be_met(self, lodge: Lodge) -> None:
        said, _ = curl(lodge, "/", "-H", "Expect: coffee")
        assert said["http_code"] == 417


class TestTrace:
    def test_sends_the_request_back_without_its_secrets(self) -> None:
        settings = '[web]\ntrace = true\n[[web.site]]\nroutes = [{ path = "/", files = "site" }]\n'
        with Lodge({"index.html": PAGE}, settings, workers=1) as lodge:
            text = heads(
                lodge,
                "/x",
                "-X",
                "TRACE",
                "-H",
                "X-Seen: yes",
                "-H",
                "Authorization: Basic c2VjcmV0",
                "-b",
                "session=1",
            )
            head, _, body = text.partition("\r\n\r\n")
            assert head.startswith("HTTP/1.1 200 ")
            assert "\r\nContent-Type: message/http" in head
            assert body.startswith("TRACE /x HTTP/1.1\r\n")
            assert "x-seen: yes" in body.lower()
            assert "c2VjcmV0" not in body
            assert "session=1" not in body
