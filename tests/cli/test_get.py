"""`netlodge get`: what it sends, what it shows (as golden texts), where it puts bodies, and how it ends."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from netlodge.cli.get import ExitCode
from netlodge.cli.get_screen import Heads, Progress, duration, quantity
from netlodge.cli.main import main
from tests.http.client.scripted import Peer, Script, Server, once, says, serving

NETLODGE = str(Path(sys.executable).with_name("netlodge"))
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"


@contextmanager
def server(*scripts: Script) -> Iterator[Server]:
    """A scripted server in a thread of its own."""
    ready = threading.Event()
    found: list[Server] = []
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with serving(*scripts) as running:
            found.append(running)
            ends.append((asyncio.get_running_loop(), asyncio.Event()))
            ready.set()
            await ends[0][1].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        loop, ended = ends[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


def get(*args: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["get", *args], input=stdin)


def url(running: Server, target: str = "/") -> str:
    return f"http://localhost:{running.port}{target}"


# --- What is shown ----------------------------------------------------------------------------------------------------


def test_the_body_goes_to_standard_output_and_nothing_else_does() -> None:
    with server(says(SIZED)) as running:
        done = get(url(running))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "hello\n", "")


VERBOSE = """\
* connected to 127.0.0.1:PORT
> GET /a?token=[redacted] HTTP/1.1
> Host: localhost:PORT
> User-Agent: me
> Authorization: [redacted]
> Accept: */*
>
< HTTP/1.1 103 Early Hints
< Link: </x>
<
< HTTP/1.1 200 OK
< Set-Cookie: [redacted]
< x-odd: Â\\x9b31m
< Content-Length: 6
<
"""


def test_both_messages_are_shown_as_they_go_over_the_wire() -> None:
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=secret\r\nx-odd: \xc2\x9b31m\r\nContent-Length: 6\r\n\r\nhello\n"
    )
    with server(says(answer)) as running:
        done = get("-v", "-u", "me:secret", "-H", "User-Agent: me", url(running, "/a?token=secret"))
        shown = done.stderr.replace(str(running.port), "PORT")
        assert done.stdout == "hello\n"
        assert shown == VERBOSE
        assert "secret" not in done.stderr
        open_ = get("-v", "--show-credentials", "-u", "me:secret", url(running))
        assert "> Authorization: Basic bWU6c2VjcmV0\n" in open_.stderr
        assert "< Set-Cookie: a=secret\n" in open_.stderr


def test_the_exchange_is_one_json_object() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    gone = b"HTTP/1.1 302 Found\r\nLocation: /b?token=secret\r\nContent-Length: 0\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.answer(gone)
        await peer.answer(answer)

    with server(script) as running:
        done = get("--json", "-L", url(running, "/a"))
    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert report["status"] == 200
    assert report["url"].endswith("/b?token=[redacted]")
    assert report["redirects"] == [{"url": url(running, "/a"), "method": "GET", "status": 302}]
    assert ["set-cookie", "[redacted]"] in report["fields"]
    assert report["trailers"] == [["x-sum", "1"]]
    assert report["body"] == "hello\n"
    assert report["sizes"]["response_body"] == 6
    assert report["connection"] is None  # that of the redirect, used again
    assert report["timings"].keys() == {"sent", "first_octet", "head", "total"}


def test_json_says_what_failed() -> None:
    with server(once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")) as running:
        done = get("--json", url(running))
    assert done.exit_code == ExitCode.PROTOCOL
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "protocol"
    assert "4 octets are missing" in error["message"]


def test_heads_alone_are_printed() -> None:
    with server(says(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")) as running:
        done = get("-I", url(running))
        assert done.stdout == "HTTP/1.1 200 OK\nContent-Length: 6\n"
        assert running.heads[0].startswith(b"HEAD / ")


# --- What is sent -----------------------------------------------------------------------------------------------------


def test_data_are_forms(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"c\r\n&d")
    with server(says(SIZED)) as running:
        assert get("-d", "a=1", "-d", f"@{file}", url(running)).exit_code == 0
        assert running.peers[0].content == b"a=1&c&d"
        assert b"POST / " in running.heads[0]
        assert b"Content-Type: application/x-www-form-urlencoded" in running.heads[0]
        assert get("--data-binary", f"@{file}", "-X", "PATCH", "-H", "Content-Type: a/b", url(running)).exit_code == 0
        assert running.peers[1].content == b"c\r\n&d"
        assert b"PATCH / " in running.heads[1]
        assert b"Content-Type: a/b" in running.heads[1]
        assert get("-T", "-", url(running), stdin=b"from stdin").exit_code == 0
        assert running.peers[2].content == b"from stdin"
        assert b"Transfer-Encoding: chunked" in running.heads[2]


def test_forms_have_files(tmp_path: Path) -> None:
    file = tmp_path / 'a"b.txt'
    file.write_bytes(b"\0content")
    with server(says(SIZED)) as running:
        assert get("-F", "a=1", "-F", f"file=@{file};type=a/b", url(running)).exit_code == 0
        content = running.peers[0].content
        boundary = running.heads[0].split(b"boundary=")[1].split(b"\r\n")[0]
    assert content == (
        b'--%b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a%%22b.txt"\r\nContent-Type: a/b\r\n\r\n\0content\r\n--%b--\r\n'
    ) % (boundary, boundary, boundary)


def test_cookies_are_kept_from_call_to_call(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n"
    file = tmp_path / "cookies"
    with server(says(answer)) as running:
        for _ in range(2):
            assert get("--cookies", str(file), url(running)).exit_code == 0
        assert get("--private", url(running)).exit_code == 0
        assert [b"Cookie: a=1" in head for head in running.heads] == [False, True, False]
    assert file.stat().st_mode & 0o777 == 0o600


# --- Files ------------------------------------------------------------------------------------------------------------

BIG = bytes(range(256)) * 4000


def versions(etag: bytes, content: bytes, *, cut: int = 0) -> Script:
    """A server that knows ranges: first an answer that is cut, then those that a proper server gives."""

    async def script(peer: Peer) -> None:
        head = await peer.request()
        if b"Range: bytes=" not in head or (b"If-Range: " + etag) not in head:
            size = cut or len(content)
            await peer.send(
                b"HTTP/1.1 200 OK\r\nETag: %b\r\nContent-Length: %d\r\n\r\n" % (etag, len(content)), content[:size]
            )
            return
        first = int(head.split(b"bytes=")[1].split(b"-")[0])
        rest = content[first:]
        if not rest:
            await peer.send(b"HTTP/1.1 416 No\r\nContent-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n" % len(content))
            return
        span = b"bytes %d-%d/%d" % (first, len(content) - 1, len(content))
        await peer.send(
            b"HTTP/1.1 206 Partial Content\r\nETag: %b\r\nContent-Range: %b\r\nContent-Length: %d\r\n\r\n" % (etag, span, len(rest)), rest
        )  # fmt: skip

    return script


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "f"
    with server(versions(b'"1"', BIG, cut=100_000), versions(b'"1"', BIG)) as running:
        cut = get("-o", str(file), url(running))
        assert cut.exit_code == ExitCode.PROTOCOL
        assert f"{len(BIG) - 100_000} octets are missing" in cut.stderr
        assert not file.exists()
        assert (tmp_path / "f.part").read_bytes() == BIG[:100_000]
        assert get("-C", "-o", str(file), url(running)).exit_code == 0
        assert b"Range: bytes=100000-\r\n" in running.heads[1]
    assert file.read_bytes() == BIG
    assert list(tmp_path.iterdir()) == [file]


def test_parts_of_two_versions_are_never_joined(tmp_path: Path) -> None:
    file = tmp_path / "f"
    with server(versions(b'"1"', BIG, cut=100_000), versions(b'"2"', BIG[::-1])) as running:
        get("-o", str(file), url(running))
        assert get("-C", "-o", str(file), url(running)).exit_code == 0
    assert file.read_bytes() == BIG[::-1]


@pytest.mark.parametrize(
    "lie",
    [
        b'ETag: "2"\r\nContent-Range: bytes 100000-1023999/1024000\r\n',
        b"Content-Range: bytes 100000-1023999/1024000\r\n",
        b'ETag: "1"\r\nContent-Range: bytes 99999-1023999/1024000\r\n',
        b'ETag: "1"\r\nContent-Range: bytes 100000-/1024000\r\n',
        b'ETag: "1"\r\n',
    ],
)
def test_a_part_that_does_not_fit_is_refused(tmp_path: Path, lie: bytes) -> None:
    file = tmp_path / "f"
    answer = b"HTTP/1.1 206 Partial Content\r\n%bContent-Length: 5\r\n\r\nwrong" % lie
    with server(versions(b'"1"', BIG, cut=100_000), says(answer)) as running:
        get("-o", str(file), url(running))
        assert get("-C", "-o", str(file), url(running)).exit_code == ExitCode.PROTOCOL
    assert (tmp_path / "f.part").read_bytes() == BIG[:100_000]
    assert not file.exists()


def test_without_a_strong_validator_one_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "f"
    with server(versions(b'W/"1"', BIG, cut=100_000), versions(b'W/"1"', BIG)) as running:
        get("-o", str(file), url(running))
        done = get("-C", "-o", str(file), url(running))
        assert "beginning anew" in done.stderr
        assert b"Range" not in running.heads[1]
    assert file.read_bytes() == BIG


def test_what_was_there_already_is_not_fetched(tmp_path: Path) -> None:
    file = tmp_path / "f"
    (tmp_path / "f.part").write_bytes(BIG)
    with server(versions(b'"1"', BIG), versions(b'"1"', BIG[:-1])) as running:
        state = {"uri": url(running), "validator": '"1"'}
        (tmp_path / "f.part.json").write_bytes(msgspec.json.encode(state))
        assert get("-C", "-o", str(file), url(running)).exit_code == 0
        assert file.read_bytes() == BIG
        (tmp_path / "f.part").write_bytes(BIG)
        (tmp_path / "f.part.json").write_bytes(msgspec.json.encode(state))
        # It has shrunk, against what its validator promised.
        assert get("-C", "-o", str(file), url(running)).exit_code == 0
    assert file.read_bytes() == BIG[:-1]


def test_files_are_named_like_the_end_of_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with server(says(SIZED)) as running:
        assert get("-O", url(running, "/a/b%2F..%2Fc?d")).exit_code == 0
        assert get("-O", url(running, "/a/")).exit_code == ExitCode.USAGE
    assert [path.name for path in tmp_path.iterdir()] == ["b_.._c"]


# --- How it ends ------------------------------------------------------------------------------------------------------


def test_exit_codes_tell_the_kinds_of_failure_apart(tmp_path: Path) -> None:
    async def stays(peer: Peer) -> None:
        await peer.ended()

    gzip = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
    around = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
    with (
        server(stays) as slow,
        server(says(b"garbage\r\n\r\n")) as garbage,
        server(says(gzip)) as coded,
        server(says(around)) as circle,
        server(says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone")) as missing,
    ):
        cases = [
            ((url(missing),), 0, ""),
            (("-f", url(missing)), 22, "answers 404 Not Found"),
            (("http://localhost:1/",), 6, "refuses port 1"),
            (("--timeout", "0.05", url(slow)), 7, "Allow more time"),
            ((url(garbage),), 9, "speaks HTTP"),
            (("--compressed", url(coded)), 12, "cannot be decoded"),
            (("-L", "--max-redirects", "3", url(circle)), 10, "redirects"),
            (("-x", f"localhost:{missing.port}", "https://localhost/"), 11, "proxy"),
            (("-o", str(tmp_path / "no" / "f"), url(missing)), 1, "cannot be written"),
            (("ftp://localhost/",), 2, "http://"),
            (("-d", "@/no/such/file", url(missing)), 2, "Check the path"),
            (("-d", "a", "-F", "a=b", url(missing)), 2, "one of them"),
            (("-C", url(missing)), 2, "-o or -O"),
            (("--private", "--cookies", "x", url(missing)), 2, "--private"),
            (("-H", "nonsense", url(missing)), 2, "Name: value"),
            (("-H", "a: b\r\nc: d", url(missing)), 2, "control character"),
            (("-T", "x", "-I", url(missing)), 2, "x cannot be sent"),
        ]
        for args, code, words in cases:
            done = get(*args)
            assert (done.exit_code, words in done.stderr) == (code, True), (args, done.exit_code, done.stderr)


def test_insecure_is_said_aloud() -> None:
    with server(says(SIZED)) as running:
        assert "WARNING: --insecure" in get("-k", url(running)).stderr


# --- Progress ---------------------------------------------------------------------------------------------------------


def on_terminal(*args: str) -> bytes:
    """What `netlodge get` writes to a terminal as its standard error."""
    ours, its = pty.openpty()
    process = subprocess.Popen([NETLODGE, "get", *args], stderr=its, stdout=its, stdin=subprocess.DEVNULL)
    os.close(its)
    shown = b""
    with suppress(OSError):
        while data := os.read(ours, 65536):
            shown += data
    os.close(ours)
    assert process.wait(20) == 0
    return shown


def test_a_terminal_sees_progress_and_no_controls(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000)
    with server(says(answer)) as running:
        shown = on_terminal("-o", str(tmp_path / "f"), url(running))
        assert b"1.9 MiB of 1.9 MiB  100%" in shown
        assert shown.endswith(b"\n")
        assert not on_terminal("-s", "-o", str(tmp_path / "f"), url(running))
    with server(says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x1b]0;pwn\x07\n")) as running:
        assert on_terminal(url(running)) == b"\\x1b]0;pwn\\x07\r\n"


def test_progress_tells_how_much_how_fast_and_how_long() -> None:
    now = [0.0]
    terminal = io.StringIO()
    progress = Progress(terminal, clock=lambda: now[0])
    progress.begin(1 << 20, 5 << 20)
    now[0] = 2.0
    progress.add(2 << 20)
    assert terminal.getvalue() == "\r3.0 MiB of 5.0 MiB  60%  1.0 MiB/s  0:02 left"
    now[0] = 2.1
    progress.add(1)
    assert terminal.getvalue().count("\r") == 1
    progress.begin(0, None)
    now[0] = 4.2
    progress.add(100)
    assert terminal.getvalue().rpartition("\r")[2].rstrip() == "100 B  48 B/s  0:02"


def test_quantities_and_durations() -> None:
    assert [quantity(n) for n in (0, 999, 1000, 1 << 20, 5 << 40, 1 << 52)] == [
        "0 B",
        "999 B",
        "1.0 KiB",
        "1.0 MiB",
        "5.0 TiB",
        "4096.0 TiB",
    ]
    assert [duration(n) for n in (0, 59.9, 61, 3661)] == ["0:00", "0:59", "1:01", "1:01:01"]


def test_heads_without_credentials_are_shown_whole() -> None:
    lines: list[str] = []
    Heads(lines.append, shows_credentials=False).received_head(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n")
    assert lines == ["< HTTP/1.1 200 OK", "< A: b", "<"]
