"""Stub: the interface stands, the rest is being written (see issue 3)."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from netlodge.core.contracts import Connection, Session
from netlodge.http.message import Request, Response

AsgiEvent = MutableMapping[str, Any]
AsgiScope = MutableMapping[str, Any]
AsgiApplication = Callable[
    [AsgiScope, Callable[[], Awaitable[AsgiEvent]], Callable[[AsgiEvent], Awaitable[None]]], Awaitable[None]
]


class AsgiWebSocket:
    """Answers a WebSocket handshake (`rules.websocket.is_websocket_handshake(request)`) with an ASGI application.

    One for each application and route. `scope_of(request)` makes what is common to the scopes of `http` and `websocket` (`asgi`, `http_version`,
    `path`, `raw_path`, `query_string`, `root_path`, `headers`, `client`, `server`, `state`); this handler sets `type`, `scheme` (`ws`,
    `wss`), `subprotocols` and `extensions`. `open_session` is `session.websocket.WebSocketSession` with its limits, from `app`.
    `compress`: agree to permessage-deflate.
    """

    def __init__(
        self,
        application: AsgiApplication,
        *,
        scope_of: Callable[[Request], dict[str, Any]],
        open_session: Callable[[Connection, bytes, Any], Session],
        loop: AbstractEventLoop,
        compress: bool = True,
    ) -> None: ...

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError`: 400, 403 and 426."""
        raise NotImplementedError

    async def finish(self, patience: float) -> None:
        """Give the applications that still run `patience` seconds to end by themselves, then cancel them."""
