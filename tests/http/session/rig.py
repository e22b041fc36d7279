"""A session on a bench: an in-memory connection, a clock that stands still, and a handler made of functions."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from netlodge.core.certificates import CoveredHosts
from netlodge.core.clock import FakeClock
from netlodge.core.recall import Recall
from netlodge.core.records import Entry, HttpRecord
from netlodge.http.message import Fields, HttpError, Request, Response
from netlodge.http.session.h1 import Http1Session
from netlodge.http.session.remembering import HttpAnswer
from netlodge.http.session.service import HttpLimits, HttpService
from tests.fakes import MemoryConnection

Act = Callable[[Request], Awaitable[Response]]


def error_page(error: HttpError, request: Request | None) -> Response:
    text = f"{error.status} {error.detail} {error.setting}".strip() + "\n"
    return Response(error.status, Fields([("content-type", "text/plain"), *error.fields]), text.encode())


class Acts:
    """A handler: one function for each path."""

    def __init__(self) -> None:
        self.acts: dict[str, Act] = {}
        self.requests: list[Request] = []

    def on(self, path: str, act: Act | Response) -> None:
        """What happens at a path: a function, or always this answer."""
        if isinstance(act, Response):
            response = act

            async def fixed(request: Request) -> Response:
                return Response(
                    response.status,
                    response.fields.copy(),
                    response.body,
                    response.trailers,
                    response.remember,
                    response.takeover,
                )

            self.acts[path] = fixed
        else:
            self.acts[path] = act

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        act = self.acts.get(request.path)
        if act is None:
            raise HttpError(404, "Nothing here.")
        return await act(request)


class Rig:
    """One connection to a service. Use within a running loop (`on_loop`)."""

    def __init__(self, *, limits: HttpLimits | None = None, octets: int = 1 << 20, may_send_file: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.clock = FakeClock()
        self.entries: list[Entry] = []
        self.handler = Acts()
        self.recall: Recall[bytes, HttpAnswer] = Recall(octets, self.clock)
        self.alike: Recall[str, HttpAnswer] = Recall(octets, self.clock)
        self.service = HttpService(
            self.handler,
            door="web",
            scheme="http",
            error_page=error_page,
            limits=limits or HttpLimits(),
            clock=self.clock,
            recall=self.recall,
            alike=self.alike,
            journal=self.entries.append,
            loop=loop,
        )
        self._may_send_file = may_send_file
        self.connect()

    def connect(self, hosts: CoveredHosts | None = None) -> MemoryConnection:
        """Another connection to the same service, whose certificate is for these hosts."""
        self.connection = MemoryConnection(may_send_file=self._may_send_file)
        self.session = Http1Session(self.connection, self.service, hosts)
        self.connection.session = self.session
        return self.connection

    def on(self, path: str, act: Act | Response) -> None:
        self.handler.on(path, act)

    @property
    def records(self) -> list[HttpRecord]:
        return [record for _, _, record in self.entries if isinstance(record, HttpRecord)]

    async def say(self, data: bytes) -> bytes:
        """Deliver `data`, let everything happen that needs no more, and return what was answered."""
        self.connection.deliver(data)
        return await self.hear()

    async def settle(self) -> None:
        """Let everything happen that needs no more."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def hear(self) -> bytes:
        await self.settle()
        return self.connection.take()

    def sweep(self, seconds: float) -> None:
        """Let time pass, second by second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            if not self.connection.is_closed:
                self.session.sweep(self.clock.now)


def on_loop(scenario: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a test of a coroutine function. Its parameters are fixtures."""

    @functools.wraps(scenario)
    def test(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(scenario(**fixtures), 20))

    return test


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


def head_of(answer: bytes) -> dict[str, str]:
    """The fields of the first head in `answer`, names in lower case."""
    head = answer.split(b"\r\n\r\n", 1)[0].decode("latin-1")
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in head.split("\r\n")[1:])}


def body_of(answer: bytes) -> bytes:
    return answer.split(b"\r\n\r\n", 1)[1]
