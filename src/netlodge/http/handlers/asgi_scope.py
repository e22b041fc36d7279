"""What an ASGI application is told of a request: its connection scope.

ASGI 3.0, HTTP connection scope of version 2.5: what is common to `http` and `websocket`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from netlodge.http.message import Request, TargetForm

AsgiMessage = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[AsgiMessage]]
AsgiSend = Callable[[AsgiMessage], Awaitable[None]]
AsgiApplication = Callable[[AsgiMessage, AsgiReceive, AsgiSend], Awaitable[None]]

ASGI_VERSION = "3.0"
SPEC_VERSION = "2.5"
"""Of the HTTP and WebSocket messages: from 2.4 on, `send` raises `OSError` once the client is gone."""

ACCOUNT: Final = "netlodge.user"
"""The key of the scope, there only behind a login, whose value is the account's name: what `REMOTE_USER` is to WSGI. ASGI has none for it."""

_VERSIONS: Final = {"version": ASGI_VERSION, "spec_version": SPEC_VERSION}


class ScopeMaker:
    """Makes the scopes of one application. `state` is what its lifespan left; each scope has a shallow copy."""

    __slots__ = ("_prefix", "_root_path", "_state")

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state
        self._prefix = ""
        self._root_path = ""

    def scope_of(self, request: Request) -> dict[str, Any]:
        """All but `type`, and `method`, `scheme`, `extensions` or `subprotocols`, which depend on it.

        `path` is the whole path, as a client sees it; `root_path` is the part of it that led to the application, from
        `request.route["prefix"]`. `raw_path` is as it came. The account that a login has verified is in `ACCOUNT`.
        """
        prefix = request.route.get("prefix", "")
        if prefix != self._prefix:
            self._prefix, self._root_path = prefix, decoded_path(prefix)
        path, query = request.path, request.query
        peer, local = request.peer, request.local
        if "%" in request.target or not path.isascii():
            raw_path, path = _raw_path(request), decoded_path(path)
        else:
            raw_path = path.encode("ascii")
        scope = {
            "asgi": _VERSIONS.copy(),
            "http_version": request.version,
            "path": path,
            "raw_path": raw_path,
            "query_string": query.encode("latin-1") if query else b"",
            "root_path": self._root_path,
            "headers": list(request.fields.octets),
            # A Unix socket has no port.
            "client": peer if peer.port else None,
            "server": local if local.port else None,
            "state": self._state.copy(),
        }
        if "user" in request.route:
            scope[ACCOUNT] = request.route["user"]
        return scope


def decoded_path(path: str) -> str:
    """A path "with percent-encoded sequences and UTF-8 byte sequences decoded into characters"; octets that are no UTF-8 become U+FFFD."""
    return unquote_to_bytes(path.encode("latin-1")).decode("utf-8", "replace")


def _raw_path(request: Request) -> bytes:
    """The path of the target, without its query, as it came: what routes a request may have written it in another way."""
    target = request.target
    if request.form is TargetForm.ABSOLUTE:
        start = target.find("/", target.index("://") + 3)
        target = target[start:] if start != -1 else ""
    return target.partition("?")[0].encode("latin-1") or request.path.encode("latin-1")
