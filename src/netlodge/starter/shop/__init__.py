"""The shop at the lodge: an application written for the lodge itself, and an example of one.

`app = "netlodge.starter.shop:shop"` on a route with `sessions = true` serves it. docs/shop.md is a tour of how it is built.
"""

from __future__ import annotations

import asyncio
from typing import Final

from netlodge.http.handlers.native import LodgeApplication, Lodging
from netlodge.http.message import Handler, Request, Response

__all__ = ["shop"]


class Shop:
    """Implements `LodgeApplication`."""

    def make_handler(self, lodging: Lodging) -> Handler:
        return _OpenedByTheFirst(lodging)


class _OpenedByTheFirst:
    """The shop, loaded when somebody first comes in: templates and tables take a while, and most lodges are started for something else.
    In a thread, so that nobody else waits for it."""

    def __init__(self, lodging: Lodging) -> None:
        self._lodging = lodging
        self._counter: Handler | None = None

    async def handle(self, request: Request) -> Response:
        if self._counter is None:
            self._counter = await asyncio.to_thread(_open, self._lodging)
        return await self._counter.handle(request)


def _open(lodging: Lodging) -> Handler:
    from netlodge.starter.shop.counter import Counter

    return Counter(lodging)


shop: Final[LodgeApplication] = Shop()
