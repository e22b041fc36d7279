"""Asks a handler as a session would, without one: a request is made of a target and fields, and errors become their answers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping

from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Peer
from netlodge.http.handlers.error_pages import error_response
from netlodge.http.message import Fields, FileBody, Handler, HttpError, Request, Response, TargetForm


class NoBody:
    """The content of a request that has none, or (with `length`) says that it has some."""

    def __init__(self, length: int = 0) -> None:
        self.length = length
        self.trailers: Fields | None = None

    async def read(self) -> bytes:
        return b""


class NoLink:
    """A client that wants no interim responses."""

    def inform(self, status: int, fields: Fields) -> None:
        raise AssertionError(f"nobody should send {status} here")

    def when_ended(self, tell: Callable[[], None]) -> None:
        """This client does not go before it has its answer."""


def request_of(
    method: str,
    target: str,
    fields: Mapping[str, str] | None = None,
    *,
    host: str = "www.example.org",
    form: TargetForm = TargetForm.ORIGIN,
    length: int = 0,
    version: str = "1.1",
) -> Request:
    path, mark, query = target.partition("?")
    return Request(
        method=method,
        target=target,
        form=form,
        scheme="http",
        host=host,
        port=None,
        path=path if form is TargetForm.ORIGIN else "",
        query=query if mark else None,
        version=version,
        fields=Fields({"host": host, **(fields or {})}.items()),
        body=NoBody(length),
        peer=Peer("127.0.0.1", 50000),
        local=Peer("127.0.0.1", 8080),
        link=NoLink(),
    )


def answer(handler: Handler, request: Request) -> Response:
    """The handler's answer; its `HttpError` as the session words it."""

    async def handle() -> Response:
        try:
            return await handler.handle(request)
        except HttpError as error:
            return error_response(error, request)

    return asyncio.run(handle())


def ask(
    handler: Handler,
    method: str,
    target: str,
    fields: Mapping[str, str] | None = None,
    *,
    host: str = "www.example.org",
) -> Response:
    return answer(handler, request_of(method, target, fields, host=host))


def get(handler: Handler, target: str, fields: Mapping[str, str] | None = None) -> Response:
    return ask(handler, "GET", target, fields)


def content(response: Response) -> bytes:
    """The octets of the body, as the session would send them; a file's descriptor is closed, as the session would."""
    body = response.body
    if isinstance(body, bytes):
        return body
    assert isinstance(body, FileBody)
    try:
        pieces = [
            part if isinstance(part, bytes) else os.pread(body.descriptor, part[1], part[0]) for part in body.parts
        ]
    finally:
        os.close(body.descriptor)
    assert sum(map(len, pieces)) == body.length
    return b"".join(pieces)


def holds(response: Response) -> bool:
    """Whether the answer was given to be remembered, and still holds."""
    remember = response.remember
    return remember is not None and (remember.still_holds is None or remember.still_holds())


def later() -> FakeClock:
    """A clock that stands an hour from now: every file that a test writes has long settled."""
    return FakeClock(float(int(time.time()) + 3600))
