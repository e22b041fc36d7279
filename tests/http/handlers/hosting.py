"""Hosts an application as a route would, for tests that ask it without a session: requests with content, answers that stream."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Peer
from netlodge.http.handlers.asgi import Asgi
from netlodge.http.handlers.asgi_scope import ScopeMaker
from netlodge.http.message import Fields, FileBody, Handler, Request, Response
from tests.http.handlers.asking import content as content_at_hand
from tests.http.handlers.asking import request_of


class Incoming:
    """Implements `message.RequestBody`: content that the test feeds."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self.trailers: Fields | None = None
        self.reads = 0
        self._pieces: list[bytes] = []
        self._end: Exception | None = None
        self._has_ended = False
        self._change = asyncio.Event()

    async def read(self) -> bytes:
        self.reads += 1
        while not self._pieces:
            if self._end is not None:
                raise self._end
            if self._has_ended:
                return b""
            self._change.clear()
            await self._change.wait()
        return self._pieces.pop(0)

    def feed(self, *pieces: bytes) -> None:
        self._pieces.extend(pieces)
        self._change.set()

    def finish(self) -> None:
        self._has_ended = True
        self._change.set()

    def fail(self, error: Exception) -> None:
        self._end = error
        self._change.set()


class Link:
    """Notes the interim responses that a handler sends."""

    def __init__(self) -> None:
        self.informed: list[tuple[int, list[tuple[str, str]]]] = []
        self.tell: Callable[[], None] = lambda: None

    def inform(self, status: int, fields: Fields) -> None:
        self.informed.append((status, list(fields)))

    def when_ended(self, tell: Callable[[], None]) -> None:
        self.tell = tell


def posted(target: str, length: int | None, fields: Mapping[str, str] | None = None) -> tuple[Request, Incoming]:
    """A POST whose content the test feeds; `length` None: chunked."""
    request = request_of("POST", target, fields)
    body = Incoming(length)
    request.body = body
    return request, body


def asked(
    method: str, target: str, fields: Mapping[str, str] | None = None, *, prefix: str = "", peer: Peer | None = None
) -> Request:
    """A request without content, as a router hands it on, with a `Link`."""
    request = request_of(method, target, fields)
    request.link = Link()
    if peer is not None:
        request.peer = request.local = peer
    if prefix:
        request.route["prefix"] = prefix
    return request


def hosted(
    application: Any, *, grace: float = 30.0, state: dict[str, Any] | None = None, websocket: Handler | None = None
) -> Asgi:
    """An ASGI application on the running loop."""
    return Asgi(
        application,
        "shop:app",
        grace=grace,
        scopes=ScopeMaker(state if state is not None else {}),
        clock=FakeClock(),
        loop=asyncio.get_running_loop(),
        websocket=websocket,
    )


def at_once(handler: Handler, request: Request) -> Response:
    """The answer of a handler that must not wait for it."""
    work = handler.handle(request)
    try:
        work.send(None)
    except StopIteration as end:
        response: Response = end.value
        return response
    work.close()
    raise AssertionError("the handler waits")


async def turns(number: int = 10) -> None:
    """Let everything happen that needs no more."""
    for _ in range(number):
        await asyncio.sleep(0)


async def content(response: Response) -> bytes:
    """All content of an answer, as a session would send it, be it at hand, a file or a stream."""
    body = response.body
    if isinstance(body, bytes | FileBody):
        return content_at_hand(response)
    pieces = [piece async for piece in body]
    assert all(pieces), "an empty piece would end a chunked body"
    if hasattr(body, "aclose"):
        await body.aclose()
    return b"".join(pieces)


def on_loop(scenario: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a test of a coroutine function, with its parameters."""

    @functools.wraps(scenario)
    def test(*arguments: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(scenario(*arguments, **named), 20))

    return test
