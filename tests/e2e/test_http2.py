"""HTTP/2 with clients that no one here wrote: curl, nghttp, h2load, httpx; over TLS by ALPN, and in the clear by prior knowledge and by
`Upgrade: h2c`. A lodge of two workers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.browser import Browser
from tests.e2e.http2_client import Http2Client
from tests.e2e.lodge import PATIENCE, Lodge, run_netlodge, until
from tests.net.certificate import self_signed

SETTINGS = """
[web]
h2c = "upgrade"
[[web.site]]
routes = [
  { path = "/", files = "site", uploads = "anyone" },
  { path = "/fixed", respond = "fixed\\n" },
]
"""
BIG = os.urandom(1 << 20) * 24
PAGE = b"<h1>The lodge is open</h1>"


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    lodge = Lodge({"index.html": PAGE, "1k.txt": b"a" * 1024, "1m.bin": BIG[: 1 << 20], "big.bin": BIG}, SETTINGS)
    lodge.site.chmod(0o777)
    with lodge:
        yield lodge


def root_of(lodge: Lodge) -> Path:
    return lodge.data / "ca" / "root.pem"


def secure(lodge: Lodge, path: str = "/") -> str:
    return f"https://localhost:{lodge.port('web_tls')}{path}"


def plain(lodge: Lodge, path: str = "/") -> str:
    return f"http://localhost:{lodge.port()}{path}"


def context_of(lodge: Lodge, *protocols: str) -> ssl.SSLContext:
    """Of a client that trusts the lodge's authority alone, and speaks these."""
    context = ssl.create_default_context(cafile=root_of(lodge))
    context.set_alpn_protocols(list(protocols or ("h2",)))
    return context


def run(*command: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(lodge: Lodge, *arguments: str, stdin: bytes = b"") -> bytes:
    return run("curl", "-sS", "--noproxy", "*", "--cacert", str(root_of(lodge)), *arguments, stdin=stdin)


def nghttp(*arguments: str) -> str:
    return run("nghttp", "--no-verify-peer", *arguments).decode()


def logged(lodge: Lodge, text: str) -> int:
    return sum(text in line for line in lodge.log_lines)


# --- RFC 9113 §3: which version a connection speaks ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--tls-max", "1.2"]], ids=["TLS 1.3", "TLS 1.2"])
def test_3_2_a_client_of_tls_that_offers_h2_gets_it(lodge: Lodge, options: list[str]) -> None:
    said = curl(lodge, *options, "-w", " %{http_version}", secure(lodge))
    assert said == PAGE + b" 2"


@pytest.mark.parametrize("options", [["--no-alpn"], ["--http1.1"]], ids=" ".join)
def test_3_2_a_client_of_tls_that_does_not_offer_it_speaks_http_1(lodge: Lodge, options: list[str]) -> None:
    assert curl(lodge, *options, "-w", " %{http_version}", secure(lodge)) == PAGE + b" 1.1"


def test_3_2_h2_goes_before_http_1_1(lodge: Lodge) -> None:
    with Http2Client(lodge.port("web_tls"), context_of(lodge, "http/1.1", "h2")) as client:
        assert client.ask("/").body == PAGE


def test_3_3_prior_knowledge(lodge: Lodge) -> None:
    assert curl(lodge, "--http2-prior-knowledge", "-w", " %{http_version}", plain(lodge)) == PAGE + b" 2"
    assert curl(lodge, "-w", " %{http_version}", plain(lodge)) == PAGE + b" 1.1"


def test_rfc_7540_3_2_upgrade(lodge: Lodge) -> None:
    said = curl(lodge, "--http2", "-i", "-w", " %{http_version}", plain(lodge, "/1k.txt"))
    assert said.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\n\r\nHTTP/2 200 \r\n" in said
    assert said.endswith(b"a" * 1024 + b" 2")
    assert "HTTP Upgrade success" in nghttp("-nvu", f"http://127.0.0.1:{lodge.port()}/1k.txt")


def test_what_is_off_is_not_spoken_until_a_reload_turns_it_on(tmp_path: Path) -> None:
    sites = SETTINGS.replace('[web]\nh2c = "upgrade"\n', "")
    own = '[[web.site]]\nhosts = ["own.example"]\nroutes = [{ path = "/", respond = "own" }]\n'
    own += '[[tls.certificate]]\ncertificate = "own.pem"\nkey = "own.pem"\n'
    lodge = Lodge({"index.html": PAGE}, f'[web]\nhttp2 = false\nh2c = "off"\n{sites}{own}', workers=1)
    self_signed(lodge.folder, "own", "DNS:own.example")

    def versions() -> list[bytes]:
        """As curl and we agree on it: over TLS, with a certificate of our own, in the clear with an upgrade."""
        own_url = f"https://own.example:{lodge.port('web_tls')}/"
        at = ["--resolve", f"own.example:{lodge.port('web_tls')}:127.0.0.1"]
        commands = [[secure(lodge)], ["-k", *at, own_url], ["--http2", plain(lodge)]]
        return [curl(lodge, "-o", "/dev/null", "-w", "%{http_version}", *each) for each in commands]

    def code_of_prior_knowledge() -> int:
        command = ["curl", "-sS", "--noproxy", "*", "--http2-prior-knowledge", plain(lodge)]
        return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode

    with lodge:
        assert versions() == [b"1.1"] * 3
        assert code_of_prior_knowledge() != 0
        lodge.settings.write_text(f"{sites}{own}")
        assert lodge.reload().succeeded
        # As it comes: no upgrade.
        assert versions() == [b"2", b"2", b"1.1"]
        assert code_of_prior_knowledge() == 0


# --- curl -----------------------------------------------------------------------------------------------------------------------


def test_curl_sees_the_head_of_a_file(lodge: Lodge) -> None:
    head = curl(lodge, "-I", secure(lodge, "/1k.txt")).decode()
    assert head.startswith("HTTP/2 200 \r\n")
    assert "\r\ncontent-length: 1024\r\n" in head
    assert "connection" not in head


@pytest.mark.parametrize("place", ["secure", "clear"])
def test_curl_gets_a_large_file_whole_and_in_parts(lodge: Lodge, place: str) -> None:
    options = (
        [secure(lodge, "/big.bin")] if place == "secure" else ["--http2-prior-knowledge", plain(lodge, "/big.bin")]
    )
    for _ in range(2):
        assert hashlib.sha256(curl(lodge, *options)).digest() == hashlib.sha256(BIG).digest()
    assert curl(lodge, "-r", "1000000-1000009", *options) == BIG[1000000:1000010]


def test_curl_uploads(lodge: Lodge, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(BIG)
    for size, expected in ((0, b"201 2"), (1, b"204 2")):
        source = str(file) if size else "/dev/null"
        said = curl(lodge, "-T", source, "-w", "%{http_code} %{http_version}", secure(lodge, "/upload.bin"))
        assert said == expected
    assert (lodge.site / "upload.bin").read_bytes() == BIG
    assert curl(lodge, "-X", "DELETE", "-w", "%{http_code}", secure(lodge, "/upload.bin")) == b"204"
    # Of a length that nobody knows beforehand.
    assert curl(lodge, "-T", "-", "-w", "%{http_code}", secure(lodge, "/piped.bin"), stdin=BIG[:1_000_000]) == b"201"
    assert (lodge.site / "piped.bin").read_bytes() == BIG[:1_000_000]


def test_curl_asks_for_many_things_at_once_on_one_connection(lodge: Lodge, tmp_path: Path) -> None:
    before = logged(lodge, "/1k.txt?")
    said = curl(
        lodge, "-Z", "--parallel-max", "100", "-o", str(tmp_path / "#1"),
        "-w", "%{http_version} %{http_code} %{num_connects}\n", secure(lodge, "/1k.txt?[1-100]"),
    )  # fmt: skip
    lines = said.decode().splitlines()
    assert sorted(set(lines)) == ["2 200 0", "2 200 1"]
    assert lines.count("2 200 1") == 1
    assert all((tmp_path / str(number)).read_bytes() == b"a" * 1024 for number in range(1, 101))
    until(lambda: logged(lodge, "/1k.txt?") == before + 100, "all of them in the log")


# --- nghttp ---------------------------------------------------------------------------------------------------------------------


def test_nghttp_multiplexes_with_a_tree_of_priorities(lodge: Lodge) -> None:
    urls = [secure(lodge, f"/{name}") for name in ("", "1k.txt", "fixed", "1m.bin", "missing")]
    said = nghttp("-nsv", "-m", "10", *urls)
    assert said.count(":status: 200") == 40
    assert said.count(":status: 404") == 10
    assert "GOAWAY" not in said.replace("send GOAWAY", "")
    assert "RST_STREAM" not in said


@pytest.mark.parametrize(
    "options",
    [["-w", "14", "-W", "14"], ["-c", "0"], ["-c", "65536"], ["-b", "50"], ["--continuation"], ["-w", "30", "-W", "30"]],
    ids=" ".join,
)  # fmt: skip
def test_nghttp_sets_its_windows_tables_and_padding(lodge: Lodge, options: list[str]) -> None:
    said = nghttp("-v", *options, "-n", secure(lodge, "/1m.bin"), secure(lodge, "/1k.txt"))
    assert said.count(":status: 200") == 2
    assert "RST_STREAM" not in said


def test_nghttp_waits_for_100(lodge: Lodge, tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_bytes(BIG[:3_000_000])
    said = nghttp("-v", "-H:method: PUT", "--expect-continue", "-d", str(file), secure(lodge, "/expected.bin"))
    assert said.index(":status: 100") < said.index("send DATA frame") < said.index(":status: 201")
    assert (lodge.site / "expected.bin").read_bytes() == BIG[:3_000_000]


def test_nghttp_sends_trailers(lodge: Lodge, tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_bytes(b"content")
    said = nghttp("-v", "-H:method: PUT", "--trailer", "x-checksum: 1", "-d", str(file), secure(lodge, "/trailed.txt"))
    assert ":status: 201" in said
    assert (lodge.site / "trailed.txt").read_bytes() == b"content"


def test_nghttp_is_told_what_the_server_takes(lodge: Lodge) -> None:
    said = nghttp("-nv", secure(lodge))
    for setting in (
        "MAX_CONCURRENT_STREAMS(0x03):128",
        "MAX_HEADER_LIST_SIZE(0x06):32768",
        "INITIAL_WINDOW_SIZE(0x04):262144",
    ):
        assert f"SETTINGS_{setting}" in said


def test_nghttp_is_pushed_what_a_route_says_only_where_that_is_on_and_it_lets_us() -> None:
    """§8.4."""
    preload = 'fields = { link = "</style.css>; rel=preload; as=style" }'
    sites = f'[[web.site]]\nroutes = [{{ path = "/", files = "site" }}, {{ path = "/pushed/", files = "site", {preload} }}]\n'
    with Lodge({"index.html": PAGE, "style.css": b"p {}"}, f"[web]\npush = true\n{sites}", workers=1) as lodge:
        for _ in range(3):  # remembered or not
            said = nghttp("-nv", secure(lodge, "/pushed/"))
            assert re.search(r"recv PUSH_PROMISE frame .*\n.*\n.*promised_stream_id=2", said)
            assert said.count(":status: 200") == 2
            assert "recv (stream_id=13) :path: /style.css" in said
            assert "PUSH_PROMISE" not in nghttp("-nv", "--no-push", secure(lodge, "/pushed/"))
            assert "PUSH_PROMISE" not in nghttp("-nv", secure(lodge, "/"))
        until(lambda: logged(lodge, '"GET /style.css HTTP/2.0" 200') == 3, "the pushed answers in the log")
        lodge.settings.write_text(sites)
        assert lodge.reload().succeeded
        assert "PUSH_PROMISE" not in nghttp("-nv", secure(lodge, "/pushed/"))


# --- h2load ---------------------------------------------------------------------------------------------------------------------


def test_h2load_gets_every_answer_and_each_is_logged_and_counted_once() -> None:
    with Lodge({"1k.txt": b"a" * 1024}, SETTINGS) as lodge:
        cases: dict[str, list[str]] = {
            secure(lodge, "/1k.txt"): [],
            secure(lodge, "/1k.txt?parsed"): ["-H", "cookie: a=b"],
            f"http://127.0.0.1:{lodge.port()}/fixed": [],
        }
        for url, options in cases.items():
            said = run("h2load", "-n", "5000", "-c", "10", "-m", "16", *options, url).decode()
            assert "5000 succeeded, 0 failed, 0 errored, 0 timeout" in said
            assert "5000 2xx" in said
        for url in cases:
            line = f'"GET {url[url.index("/", 8) :]} HTTP/2.0" 200 '
            until(lambda line=line: logged(lodge, line) >= 5000, "all of them in the log")  # type: ignore[misc]
            assert logged(lodge, line) == 5000
        until(lambda: lodge.metric("netlodge_http_versions_total", version="2") >= 15000, "all of them counted")
        assert lodge.metric("netlodge_http_versions_total", version="2") == 15000
        assert lodge.metric("netlodge_http_versions_total", version="2", door="web") == 5000
        assert 5000 < lodge.metric("netlodge_http_recalled_total") < 10000
        assert lodge.metric("netlodge_http_requests_total", door="web_tls", method="GET", code="2xx") == 10000
        until(lambda: lodge.metric("netlodge_recall_answers", table="h2") >= 2, "answers in the table of HTTP/2")
        assert lodge.metric("netlodge_defects_total") == 0


# --- httpx ----------------------------------------------------------------------------------------------------------------------


def test_httpx_asks_in_parallel_and_uploads(lodge: Lodge) -> None:
    async def script() -> None:
        async with httpx.AsyncClient(http2=True, verify=context_of(lodge, "h2", "http/1.1"), trust_env=False) as client:
            answers = await asyncio.gather(*(client.get(secure(lodge, f"/1k.txt?{number}")) for number in range(50)))
            assert {(answer.http_version, answer.status_code) for answer in answers} == {("HTTP/2", 200)}
            assert (await client.get(secure(lodge, "/big.bin"))).content == BIG
            put = await client.put(secure(lodge, "/httpx.bin"), content=BIG[:5_000_000])
            assert put.status_code == 201
            gone = await client.delete(secure(lodge, "/httpx.bin"))
            assert gone.status_code == 204
            refused = await client.post(secure(lodge, "/1k.txt"), content=b"a" * 100_000)
            assert refused.status_code == 405

    asyncio.run(script())


# --- A browser --------------------------------------------------------------------------------------------------------------------


PICTURES = range(200)
ECHO = """
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"] + " by HTTP/" + scope["http_version"]})
"""
SCRIPT = b"""
const said = document.getElementById("said"), socket = new WebSocket("wss://" + location.host + "/echo");
socket.onopen = () => socket.send("hello");
socket.onmessage = event => { said.textContent = "heard " + event.data; socket.close(1000); };
socket.onclose = event => { said.textContent += ", closed with " + event.code; };
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Lodge]:
    picture = (Path(__file__).parent / "picture.png").read_bytes()
    page = "".join(f'<img id="p{number}" src="/pictures/{number}.png">' for number in PICTURES)
    files = {"index.html": page.encode(), **{f"pictures/{number}.png": picture for number in PICTURES}}
    files |= {"echo.html": b'<p id="said"></p><script src="/echo.js"></script>', "echo.js": SCRIPT}
    routes = '{ path = "/", files = "site" }, { path = "/echo", app = "echo:app" }'
    lodge = Lodge(files, f"[[web.site]]\nroutes = [{routes}]\n")
    (lodge.folder / "echo.py").write_text(ECHO)
    with lodge:
        yield lodge


@pytest.fixture(scope="module")
def browser(site: Lodge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    # That it trusts the lodge's authority once that is installed is shown in test_https.py.
    options = ["--ignore-certificate-errors"]
    with Browser(tmp_path_factory.mktemp("profile"), scripts=True, options=options) as browser:
        yield browser


def test_a_browser_loads_200_pictures_over_one_connection(site: Lodge, browser: Browser) -> None:
    browser.open(f"https://127.0.0.1:{site.port('web_tls')}/")
    assert {browser.size(f"#p{number}") for number in (0, 99, 199)} == {(24, 24)}
    until(lambda: logged(site, '.png HTTP/2.0" 200') == len(PICTURES), "all of them in the log")
    archive = json.loads(run_netlodge("har", cwd=site.folder).stdout)
    pictures = [each for each in archive["log"]["entries"] if each["request"]["url"].endswith(".png")]
    assert len(pictures) == len(PICTURES)
    assert len({each["connection"] for each in pictures}) == 1


def test_rfc_8441_a_browser_speaks_websocket_on_a_stream(site: Lodge, browser: Browser) -> None:
    browser.open(f"https://127.0.0.1:{site.port('web_tls')}/echo.html")
    until(lambda: browser.text == "heard hello by HTTP/2, closed with 1000", "an echo")
    until(lambda: logged(site, '"CONNECT /echo HTTP/2.0" 200'), "a line in the log")
    assert logged(site, "HTTP/1.1") == 0


# --- What is seen of it ---------------------------------------------------------------------------------------------------------


def test_the_log_and_the_archive_call_it_by_its_name(lodge: Lodge) -> None:
    curl(lodge, "-o", "/dev/null", "-H", "Cookie: id=secret", secure(lodge, "/1k.txt?seen"))
    until(lambda: logged(lodge, '"GET /1k.txt?seen HTTP/2.0" 200 1024 "-" "curl/'), "a line")
    archive = json.loads(run_netlodge("har", cwd=lodge.folder).stdout)
    (entry,) = [each for each in archive["log"]["entries"] if each["request"]["url"].endswith("/1k.txt?seen")]
    assert entry["request"]["httpVersion"] == entry["response"]["httpVersion"] == "HTTP/2"
    assert entry["request"]["url"] == secure(lodge, "/1k.txt?seen")
    assert {"name": "content-length", "value": "1024"} in entry["response"]["headers"]
    assert "secret" not in json.dumps(entry)


def test_a_trace_shows_heads_in_the_common_form(lodge: Lodge) -> None:
    for _ in range(3):  # remembered or not
        curl(lodge, "-o", "/dev/null", secure(lodge, "/fixed"))
    said = run_netlodge(
        "trace", "--recent", "--count", "1", "--door", "web_tls", "--path", "/fixed", "--verbose", cwd=lodge.folder
    ).stdout
    assert "> GET /fixed HTTP/2.0\n> host: localhost:" in said
    assert re.search(r"^< HTTP/2\.0 200 OK$", said, re.MULTILINE)
