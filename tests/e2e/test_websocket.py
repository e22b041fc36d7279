"""WebSockets of a whole lodge, driven by the `websockets` library: bare ASGI, Starlette and FastAPI applications."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.browser import Browser, trust
from tests.e2e.lodge import Lodge, until, worker_of
from tests.e2e.websocket_site import BARE, FASTAPI, PAGE, STARLETTE

SETTINGS = """
[limits]
websocket_message = "32 MiB"
websocket_ping = "2 s"
[[web.site]]
routes = [
  { path = "/", app = "bare:app" },
  { path = "/mounted/", app = "bare:app", compress = false },
  { path = "/starlette/", app = "with_starlette:app" },
  { path = "/fastapi/", app = "with_fastapi:app" },
  { path = "/pages/", files = "site" },
  { path = "/chat/", app = "chat:app" },
]
"""
MANY = 200
LONG = 20 << 20
PATIENCE = 20.0
ROOT = Path(__file__).resolve().parents[2]


def example() -> str:
    """The application that docs/websocket.md shows."""
    text = (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
    return text.partition("```python\n")[2].partition("```")[0]


@contextlib.contextmanager
def running(settings: str = SETTINGS, *, workers: int = 1) -> Iterator[Lodge]:
    lodge = Lodge({"page.html": PAGE.encode()}, settings, workers=workers)
    for name, source in (("bare", BARE), ("with_starlette", STARLETTE), ("with_fastapi", FASTAPI), ("chat", example())):
        (lodge.folder / f"{name}.py").write_text(source)
    with lodge:
        yield lodge


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with running() as lodge:
        yield lodge


def to(lodge: Lodge, path: str = "/echo", **options: Any) -> connect:
    """A connection to be made, with no limits and no pings of its own."""
    return connect(f"ws://{lodge.doors['web']}{path}", proxy=None, max_size=None, ping_interval=None, **options)


def talk(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))


def ends(lodge: Lodge) -> list[str]:
    """How the WebSockets of the bare application ended, as far as they have."""
    path = lodge.folder / "ends.txt"
    return path.read_text().splitlines() if path.exists() else []


async def echoed(ws: ClientConnection, message: str | bytes) -> str | bytes:
    await ws.send(message)
    return await ws.recv()


# --- messages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_of_all_kinds_come_back(lodge: Lodge, compression: str | None) -> None:
    async def scenario() -> None:
        async with to(lodge, compression=compression) as ws:
            assert bool(ws.protocol.extensions) is (compression is not None)
            for message in ("text", "κόσμε \U0001f600", "", "words " * 10_000, b"", bytes(range(256)) * 1000):
                assert await echoed(ws, message) == message
            await ws.send(["in ", "three ", "fragments"])
            assert await ws.recv() == "in three fragments"
            await ws.send([bytes(100_000)] * 5)
            assert await ws.recv() == bytes(500_000)
        assert ws.close_code == 1000

    talk(scenario)


def test_a_route_that_compresses_nothing_compresses_no_messages(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge, "/mounted/echo") as ws:
            assert ws.protocol.extensions == []
            assert ws.response is not None
            assert ws.response.headers["x-root"] == "/mounted"
            assert await echoed(ws, "hello") == "hello"

    talk(scenario)


def test_a_message_of_20_mib_goes_both_ways_where_the_limit_allows_it(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge, compression=None) as ws:
            message = bytes(range(256)) * (LONG >> 8)
            assert await echoed(ws, message) == message

    talk(scenario)


def test_a_message_over_the_limit_is_1009(lodge: Lodge) -> None:
    async def scenario() -> None:
        ws = await to(lodge, "/toobig", compression=None)
        with pytest.raises(ConnectionClosed) as caught:
            await echoed(ws, bytes((32 << 20) + 1))
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
        assert "33554432 octets" in caught.value.rcvd.reason

    talk(scenario)
    until(lambda: any(line.startswith("toobig 1009") for line in ends(lodge)), "the application told")


def test_a_bomb_is_1009(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge) as ws:
            with pytest.raises(ConnectionClosed) as caught:
                await echoed(ws, bytes(40 << 20))
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009

    talk(scenario)


# --- handshakes ---------------------------------------------------------------------------------------------------------


def test_a_subprotocol_is_agreed_on(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge, subprotocols=["unknown", "chat", "other"]) as ws:
            assert ws.subprotocol == "chat"
        async with to(lodge) as ws:
            assert ws.subprotocol is None

    talk(scenario)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [("/refused", 403, "did not accept"), ("/denied", 401, "who are you?"), ("/starlette/denies", 418, "not you")],
)
def test_a_handshake_may_be_refused(lodge: Lodge, path: str, status: int, said: str) -> None:
    async def scenario() -> None:
        with pytest.raises(InvalidStatus) as caught:
            await to(lodge, path)
        response = caught.value.response
        assert response.status_code == status
        assert said.encode() in (response.body or b"")

    talk(scenario)


def test_another_version_is_refused_with_ours(lodge: Lodge) -> None:
    async def scenario() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", lodge.port())
        writer.write(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in head
        writer.close()

    talk(scenario)


def test_the_101_is_in_the_access_log(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge, "/logged"):
            pass

    talk(scenario)
    until(lambda: any('"GET /logged HTTP/1.1" 101' in line for line in lodge.log_lines), "the line")


# --- pings and closes -----------------------------------------------------------------------------------------------------


def test_a_ping_is_answered(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge) as ws:
            await (await ws.ping(b"data"))

    talk(scenario)


def test_a_silent_client_that_answers_pings_stays_and_one_that_does_not_is_gone(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge, "/lively") as ws:  # which is as silent, but for its pongs
            reader, writer = await asyncio.open_connection("127.0.0.1", lodge.port())
            writer.write(
                b"GET /frozen HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            with contextlib.suppress(ConnectionResetError):
                assert (await reader.read()).startswith(b"\x89\x00")  # until the lodge hangs up
            writer.close()
            assert await echoed(ws, "still here") == "still here"

    talk(scenario)
    until(lambda: "frozen 1006 " in ends(lodge), "the application told")


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (3000, ""), (4999, "grüße")])
def test_the_application_hears_why_a_client_closes(lodge: Lodge, code: int, reason: str) -> None:
    async def scenario() -> None:
        ws = await to(lodge, f"/c{code}")
        await ws.close(code, reason)
        assert ws.close_code == code

    talk(scenario)
    until(lambda: f"c{code} {code} {reason}" in ends(lodge), "the application told")
    label = str(code) if code < 3000 else f"{code // 1000}xxx"
    assert until(lambda: lodge.metric("netlodge_websockets_ended_total", code=label), "its end counted") >= 1


def test_the_client_hears_why_the_application_closes(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge, "/closes") as ws:
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        assert (ws.close_code, ws.close_reason) == (4321, "enough")

    talk(scenario)


def test_a_client_that_vanishes_is_1006_to_the_application(lodge: Lodge) -> None:
    async def scenario() -> None:
        ws = await to(lodge, "/vanishes")
        assert await echoed(ws, "x") == "x"
        ws.transport.abort()

    talk(scenario)
    until(lambda: "vanishes 1006 " in ends(lodge), "the application told")


def test_what_a_client_does_not_read_is_not_taken_from_the_application(lodge: Lodge) -> None:
    sent = lodge.folder / "sent.txt"

    async def scenario() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", lodge.port(), limit=1000)
        writer.write(
            b"GET /floods HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        before, now = -1, 0
        while now != before or not now:  # until it stands still
            before = now
            async with to(lodge) as ws:  # while it does, others are served
                for _ in range(50):
                    await echoed(ws, "x")
            now = int(sent.read_text() or 0) if sent.exists() else 0
        assert now < 200  # 20 MB: what the kernel takes
        writer.transport.abort()

    talk(scenario)
    until(lambda: "flood ended" in ends(lodge), "an OSError in the application")


# --- many -----------------------------------------------------------------------------------------------------------------


def test_many_at_once(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            connections = await asyncio.gather(*(stack.enter_async_context(to(lodge)) for _ in range(MANY)))
            for ws in connections:
                await ws.send(f"from {id(ws)}")
            for ws in connections:
                assert await ws.recv() == f"from {id(ws)}"

    talk(scenario)


# --- frameworks -------------------------------------------------------------------------------------------------------------


def test_starlette(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge, "/starlette/echo/me") as ws:
            assert await echoed(ws, "hello") == "me: hello"
        async with to(lodge, "/starlette/counts", subprotocols=["count"]) as ws:
            assert json.loads(await echoed(ws, "[1, 2, 3]")) == {"sum": 6}
        with pytest.raises(InvalidStatus):
            await to(lodge, "/starlette/nowhere")

    talk(scenario)


def test_fastapi(lodge: Lodge) -> None:
    async def scenario() -> None:
        path = "/fastapi/chat/hall?token=secret"
        async with to(lodge, path) as ann:
            async with to(lodge, path) as ben:
                await ben.send("hi")
                assert await ann.recv() == await ben.recv() == "hall: hi"
            assert await ann.recv() == "hall: somebody left"
        with pytest.raises(InvalidStatus) as caught:
            await to(lodge, "/fastapi/chat/hall")
        assert caught.value.response.status_code == 403

    talk(scenario)


def test_the_example_of_the_documentation(lodge: Lodge) -> None:
    async def scenario() -> None:
        async with to(lodge, "/chat/echo", origin="http://127.0.0.1:8080") as ws:
            assert await echoed(ws, "hello") == "hello"
        with pytest.raises(InvalidStatus) as caught:
            await to(lodge, "/chat/echo", origin="http://elsewhere.example")
        assert caught.value.response.status_code == 403

    talk(scenario)


# --- a browser --------------------------------------------------------------------------------------------------------------


def test_a_page_in_a_browser(lodge: Lodge, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", scripts=True) as browser:
        browser.open(lodge.url("/pages/page.html"))
        text = until(lambda: told if "closed 4000" in (told := browser.text) else "", "a close")
    assert "closed 4000 true chat permessage-deflate; client_max_window_bits=12 grüße, 70000 octets, xxxxx" in text
    until(lambda: "page 4000 enough" in ends(lodge), "the application told")


# --- over TLS -----------------------------------------------------------------------------------------------------------------


def secure(lodge: Lodge, path: str) -> connect:
    """As `to`, over TLS, of a client that trusts the lodge's authority."""
    context = ssl.create_default_context(cafile=lodge.data / "ca" / "root.pem")
    address = f"wss://localhost:{lodge.port('web_tls')}{path}"
    return connect(address, proxy=None, max_size=None, ping_interval=None, ssl=context)


def test_a_chat_over_tls(lodge: Lodge) -> None:
    async def scenario() -> None:
        path = "/fastapi/chat/attic?token=secret"
        async with secure(lodge, path) as ada, to(lodge, path) as bob:
            for speaker in (ada, bob, ada):
                await speaker.send("hello")
                assert [await ada.recv(), await bob.recv()] == ["attic: hello"] * 2
            # More than the kernel takes at once, both ways.
            long = "words " * 500_000
            await ada.send(long)
            assert [await ada.recv(), await bob.recv()] == [f"attic: {long}"] * 2
            await bob.close()
            assert await ada.recv() == "attic: somebody left"

    talk(scenario)


def test_a_page_in_a_browser_over_tls(lodge: Lodge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    trust(lodge.data)
    with Browser(tmp_path / "profile", scripts=True) as browser:
        browser.open(f"https://localhost:{lodge.port('web_tls')}/pages/page.html")
        text = until(lambda: told if "closed 4" in (told := browser.text) else "", "a close")
    assert "closed 4000 true chat" in text
    assert "grüße, 70000 octets, xxxxx" in text


# --- the life of a lodge ------------------------------------------------------------------------------------------------------


def test_a_reload_keeps_connections_and_a_shutdown_closes_them_with_1001() -> None:
    with running(workers=1) as lodge:

        async def scenario() -> None:
            old = await to(lodge, "/old")
            (worker,) = lodge.workers
            assert (await asyncio.to_thread(lodge.reload)).succeeded
            assert await echoed(old, "still here") == "still here"
            new = await to(lodge, "/new")
            assert await echoed(new, "here too") == "here too"
            port = new.local_address[1]
            assert await asyncio.to_thread(worker_of, port, [each.pid for each in lodge.workers]) != worker.pid
            lodge.process.send_signal(signal.SIGTERM)
            for ws in (old, new):
                with pytest.raises(ConnectionClosed):
                    await ws.recv()
            assert new.close_code == 1001
            assert old.close_code == 1012  # its worker had retired, and may not any longer

        talk(scenario)
        assert lodge.process.wait(PATIENCE) == 0
        assert sorted(ends(lodge)) == ["new 1001 ", "old 1012 "]


def test_the_time_to_retire_is_what_a_reload_leaves() -> None:
    with running(SETTINGS.replace("[limits]", '[drain]\ntimeout = "1 s"\n[limits]')) as lodge:

        async def scenario() -> None:
            async with to(lodge, "/old") as ws:
                await asyncio.to_thread(lodge.reload)
                with pytest.raises(ConnectionClosed):
                    await ws.recv()
                assert ws.close_code == 1012

        talk(scenario)
