"""Who may come in, by the network that a client is in.

RFC 9110 §15.5.4 (403).
"""

from __future__ import annotations

from netlodge.core.contracts import Counter
from netlodge.core.networks import Networks
from netlodge.http.message import Handler, HttpError, Request, Response


class NetworkAccess:
    """Lets those in whose address is in `networks`; others are answered 403, in the same words wherever they knock."""

    __slots__ = ("_inner", "_networks", "_refused")

    def __init__(self, inner: Handler, networks: Networks, *, refused: Counter) -> None:
        self._inner = inner
        self._networks = networks
        self._refused = refused

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError` 403."""
        if request.peer.host not in self._networks:
            self._refused.add()
            raise HttpError(403, "This is not open to the network that you ask from.")
        response = await self._inner.handle(request)
        response.remember = None  # a remembered answer goes to everybody
        return response
