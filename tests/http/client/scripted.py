"""A server for tests of the client: each connection plays the next script, which does exactly what a test wants of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvloop

from netlodge.http.client.client import Client, Cookies, Ways
from netlodge.http.client.connecting import Connector
from netlodge.http.client.content import Content
from netlodge.http.client.direct import Direct, FindProxy, no_proxy
from netlodge.http.client.exchanges import ClientRequest, ClientResponse
from netlodge.http.client.h1 import Times
from netlodge.http.client.pool import Pool, PoolLimits
from netlodge.http.message import Fields
from netlodge.http.rules.uri import parse_web_uri

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}
Run = Callable[[Coroutine[Any, Any, None]], None]


class Peer:
    """A connection as its script has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heads: list[bytes] = []

    async def request(self) -> bytes:
        """Read a request with its content; return the head, or nothing if the client has ended. Content is in `content`."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""
        self.heads.append(head)
        lower = head.lower()
        self.content = b""
        if b"content-length:" in lower:
            self.content = await self.reader.readexactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
        elif b"transfer-encoding: chunked" in lower:
            while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
                self.content += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readuntil(b"\r\n")
        return head

    async def head(self) -> bytes:
        """Read a head alone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        return head

    async def send(self, *octets: bytes) -> None:
        for piece in octets:
            self.writer.write(piece)
        await self.writer.drain()

    async def answer(self, *octets: bytes) -> bytes:
        """Read a request and send an answer."""
        head = await self.request()
        if head:
            await self.send(*octets)
        return head

    async def ended(self) -> None:
        """Return when the client has ended its side, or is gone."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """What came to it is in `peers`."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.peers: list[Peer] = []
        self.port = 0
        self.defects: list[BaseException] = []
        self.playing: set[asyncio.Task[None]] = set()

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self.playing.add(task)
        task.add_done_callback(self.playing.discard)
        script = self._scripts[min(len(self.peers), len(self._scripts)) - 1]
        try:
            await script(peer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except Exception as defect:
            self.defects.append(defect)
        finally:
            writer.close()

    @property
    def heads(self) -> list[bytes]:
        """Of all requests, in order of connections."""
        return [head for peer in self.peers for head in peer.heads]


@asynccontextmanager
async def serving(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server on loopback. The last script is that of all further connections."""
    server = Server(*scripts)
    listening = await asyncio.start_server(server._play, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for _ in range(3):  # those that were accepted just now begin to play first
            await asyncio.sleep(0)
        playing = tuple(server.playing)
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
        for peer in server.peers:
            peer.writer.transport.abort()
        await asyncio.sleep(0)
        assert not server.defects, server.defects


def says(*octets: bytes) -> Script:
    """Answers each request with the same octets, and closes when the client does."""

    async def script(peer: Peer) -> None:
        while await peer.answer(*octets):
            pass

    return script


def once(*octets: bytes) -> Script:
    """Answers one request, and closes."""

    async def script(peer: Peer) -> None:
        await peer.answer(*octets)

    return script


@asynccontextmanager
async def pooled(**options: Any) -> AsyncIterator[tuple[Pool, Direct]]:
    """A pool, and the sender on it."""
    limits: PoolLimits | None = options.pop("limits", None)
    find_proxy: FindProxy = options.pop("find_proxy", no_proxy)
    pool = Pool(Connector(**options), limits=limits)
    try:
        yield pool, Direct(pool, find_proxy=find_proxy)
    finally:
        await pool.close()


@asynccontextmanager
async def client(ways: Ways | None = None, cookies: Cookies | None = None, **options: Any) -> AsyncIterator[Client]:
    async with pooled(**options) as (_, direct):
        yield Client(direct, ways=ways, cookies=cookies)


def to(server: Server, target: str = "/", method: str = "GET", **options: Any) -> ClientRequest:
    """A request to the server."""
    scheme = options.pop("scheme", "http")
    fields: list[tuple[str, str]] = options.pop("fields", [])
    content: Content | None = options.pop("content", None)
    times = Times(**options.pop("times", {}))
    return ClientRequest(
        method, parse_web_uri(f"{scheme}://localhost:{server.port}{target}"), Fields(fields), content, times, **options
    )


async def body_of(response: ClientResponse) -> bytes:
    return await response.read_all(1 << 24)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something is so. The limit of time is the scenario's."""
    while not condition():  # noqa: ASYNC110 - nobody tells when it is
        await asyncio.sleep(0)


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    def runner(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as loop:
            loop.run(asyncio.wait_for(scenario, 20))

    return runner
