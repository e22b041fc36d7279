"""The least ASGI application that answers as the files of the benchmark do: what an application server costs by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

SMALL = b"a" * 1024
LARGE = b"a" * (1 << 20)


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer `/1m.bin` with 1 MiB, and any other path with 1 KiB. Other scopes than `http` are not served."""
    if scope["type"] != "http":
        return
    body = LARGE if scope["path"] == "/1m.bin" else SMALL
    head = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
