"""How many may do one thing at once in a worker: for what holds memory or descriptors for as long as a slow client likes.

RFC 9110 §15.6.4 (503), §10.2.3 (Retry-After).
"""

from __future__ import annotations

from types import TracebackType
from typing import Final

from netlodge.http.message import HttpError

AGAIN_AFTER: Final = "5"
"""Retry-After, in seconds."""


class Turns:
    """A context manager that as many may be in at once as there are turns; one more is refused, and not kept waiting: waiting would
    hold what the turns are there to bound."""

    __slots__ = ("_left", "_setting", "_what")

    def __init__(self, most: int, what: str, *, setting: str) -> None:
        """`what` they do, in the plural; `setting` is the key that says how many."""
        self._left = most
        self._what = what
        self._setting = setting

    def __enter__(self) -> None:
        """Raises `HttpError` 503."""
        if not self._left:
            raise HttpError(
                503,
                f"As many {self._what} as can be taken at once are under way. Try again soon.",
                setting=self._setting,
                fields=[("retry-after", AGAIN_AFTER)],
            )
        self._left -= 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left += 1
