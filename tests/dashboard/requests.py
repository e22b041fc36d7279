"""Requests as a session would hand them to a handler."""

from __future__ import annotations

from collections.abc import Callable

from netlodge.core.contracts import Peer
from netlodge.http.message import Fields, Request, TargetForm


class NoBody:
    """Implements `http.message.RequestBody` for a request without content."""

    length: int | None = 0
    trailers: Fields | None = None

    async def read(self) -> bytes:
        return b""


class NoLink:
    """Implements `http.message.RequestLink` for a client that takes no interim responses."""

    def inform(self, status: int, fields: Fields) -> None:
        raise AssertionError("no interim response was expected")

    def when_ended(self, tell: Callable[[], None]) -> None:
        """This client does not go before it has its answer."""


def request(target: str, *, method: str = "GET", host: str = "localhost") -> Request:
    path, mark, query = target.partition("?")
    return Request(
        method=method,
        target=target,
        form=TargetForm.ORIGIN,
        scheme="http",
        host=host,
        port=None,
        path=path,
        query=query if mark else None,
        version="1.1",
        fields=Fields([("host", host)]),
        body=NoBody(),
        peer=Peer("127.0.0.1", 40000),
        local=Peer("127.0.0.1", 8000),
        link=NoLink(),
    )
