"""A circuit breaker: after a server could not be reached, nobody else waits for it for a moment, and then one may try.

Pure: the time is an argument.
"""

from __future__ import annotations

from typing import Final

REST: Final = 1.0
"""Seconds between two attempts to reach a server that was not there. Long enough that a dead server costs nothing, short enough that
nobody notices that it took a while to see that it is back."""


class Breaker:
    """Closed while all is well; open for `rest` seconds after a failure; then half open: one is let through, and how that went decides."""

    __slots__ = ("_complaint", "_is_trying", "_rest", "_retry_at")

    def __init__(self, rest: float = REST) -> None:
        self._rest = rest
        self._complaint = ""
        self._retry_at = 0.0
        self._is_trying = False

    def refusal(self, now: float) -> str:
        """Why nobody is let through now (monotonic seconds); empty: go on, and say with `worked`, `failed` or `undecided` how it went."""
        if not self._complaint:
            return ""
        if self._is_trying or now < self._retry_at:
            return self._complaint
        self._is_trying = True
        return ""

    def worked(self) -> None:
        self._complaint = ""
        self._is_trying = False

    def failed(self, now: float, complaint: str) -> None:
        """`complaint` is the sentence for all who are refused from here on; not empty."""
        self._complaint = complaint
        self._retry_at = now + self._rest
        self._is_trying = False

    def undecided(self) -> None:
        """Whoever was let through came back without having tried."""
        self._is_trying = False
