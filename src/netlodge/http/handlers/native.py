"""Applications that are written for the lodge itself: they make a handler from what the lodge has at hand.

    class Shop:
        def make_handler(self, lodging: Lodging) -> Handler: ...

    shop = Shop()

A route that names such an object (`app = "shop:shop"`) is answered by its handler, within the same chain as every other: sessions,
access control and remembered answers included. RFC 9110 §15.6.4 (503).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeGuard, runtime_checkable

from netlodge.core.contracts import Clock
from netlodge.http.handlers.turns import AGAIN_AFTER, Turns
from netlodge.http.message import Handler, HttpError, Request, Response
from netlodge.store.database import Database, DatabaseUnavailableError


@dataclass(frozen=True, slots=True)
class FormLimits:
    """What a form may hold: `limits.form_fields`, `limits.form_field_size`, `limits.form_file_size`, `limits.form_size` and
    `limits.form_head_size`, sizes in octets; and how many large ones a worker reads at once: `limits.forms`."""

    fields: int
    field_size: int
    file_size: int
    size: int = 4 << 20
    head_size: int = 8 << 10
    turns: Turns = field(default_factory=lambda: Turns(100, "large forms", setting="limits.forms"))


@dataclass(frozen=True, slots=True)
class Lodging:
    """What the lodge has for an application of its own, in one worker."""

    database: Database
    """Not connected to until something is asked of it."""
    clock: Clock
    forms: FormLimits


@runtime_checkable
class LodgeApplication(Protocol):
    """An application that is a handler already. Holds no state of a worker itself: that belongs to the handlers that it makes."""

    def make_handler(self, lodging: Lodging) -> Handler:
        """The handler of one route in one worker. Called before the doors open, on the worker's loop; an exception ends the start."""
        ...


class WithDatabase:
    """The handler of an application, which need not say each time what is to be said while the database is not available."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Handler) -> None:
        self._inner = inner

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError` 503, and what the handler raises."""
        try:
            return await self._inner.handle(request)
        except DatabaseUnavailableError as error:
            raise HttpError(
                503,
                "What is kept in the database cannot be reached at the moment. Try again soon.",
                fields=[("retry-after", AGAIN_AFTER)],
            ) from error


def is_lodge_application(candidate: object) -> TypeGuard[LodgeApplication]:
    """True for an object, not a class, with a `make_handler`."""
    return not isinstance(candidate, type) and isinstance(candidate, LodgeApplication)
