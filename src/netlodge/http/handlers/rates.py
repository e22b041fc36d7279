"""How often one client may ask.

RFC 6585 §4 (429), RFC 9110 §10.2.3 (Retry-After).
"""

from __future__ import annotations

from collections.abc import Callable

from netlodge.core.contracts import Clock, Counter
from netlodge.core.rates import Rate, RateTable, retry_after
from netlodge.http.message import Handler, HttpError, Request, Response


class RateLimit:
    """Lets each client through at `rate`, counted over all workers; what is beyond is answered 429 and not counted.

    `scope` tells this limit from others in the same table. `client_of` says who counts as one client, from `Peer.host`.
    """

    __slots__ = ("_client_of", "_clock", "_inner", "_rate", "_refused", "_scope", "_table")

    def __init__(
        self,
        inner: Handler,
        table: RateTable,
        rate: Rate,
        *,
        scope: str,
        client_of: Callable[[str], bytes],
        clock: Clock,
        refused: Counter,
    ) -> None:
        self._inner = inner
        self._table = table
        self._rate = rate
        self._scope = scope.encode("utf-8") + b"\0"
        self._client_of = client_of
        self._clock = clock
        self._refused = refused

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError` 429, which says when to come again, and what the handler raises."""
        table = self._table
        places = table.places(self._scope + self._client_of(request.peer.host))
        wait = table.take(places, self._rate, self._clock.monotonic())
        if wait:
            self._refused.add()
            after = retry_after(wait)
            raise HttpError(
                429,
                f"You ask more often than this is open for. Try again in {after} s.",
                setting="access.rate",
                fields=[("retry-after", after)],
            )
        response = await self._inner.handle(request)
        response.remember = None  # what is remembered is not counted
        return response
