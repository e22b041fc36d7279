"""How long a client may take: told of what moves, asked once a second by the session's sweep. Pure; the time is an argument.

RFC 9112 §9.5 (a server may time out a connection whenever it wishes), §9.6. The limits and their precedents stand in the settings.
"""

from __future__ import annotations


class Pace:
    """One connection's. `since` is when the present wait began; times are monotonic seconds, a limit of 0 never ends."""

    __slots__ = ("_octets", "_seconds", "_waiting", "since")

    def __init__(self, now: float) -> None:
        self.begin(now)

    def begin(self, now: float) -> None:
        """Something new is waited for from now on."""
        self.since = now
        self._octets = 0
        self._seconds = 0.0
        self._waiting = (-1, -1)

    def is_over(self, now: float, limit: float) -> bool:
        """True if the wait has taken as long as it may."""
        return limit > 0 and now - self.since >= limit

    def is_stuck(self, now: float, waiting: tuple[int, int], limit: float) -> bool:
        """Of a reader: true if it took nothing for as long as it may. `waiting` is what changes when it takes something: how often the
        kernel took more for it, and how many octets it has before it (which may be as many as before, when both move)."""
        if waiting != self._waiting:
            self._waiting = waiting
            self.since = now
            return False
        return self.is_over(now, limit)

    def moves(self) -> None:
        """Of a reader: nothing waits for it."""
        self._waiting = (-1, -1)

    def pause(self, now: float) -> None:
        """Of a sender: the time until now does not count, because nothing was taken from it."""
        self.since = now

    def receive(self, octets: int) -> None:
        """Of a sender: some content came."""
        self._octets += octets

    def is_slow(self, now: float, rate: int, grace: float) -> bool:
        """Of a sender: true if over `grace` seconds (in which it was listened to) it brought less than `rate` octets for each. A rate of
        0 asks for one octet in that time."""
        self._seconds += now - self.since
        self.since = now
        if self._seconds < grace:
            return False
        is_slow = self._octets < max(rate * self._seconds, 1)
        self._octets = 0
        self._seconds = 0.0
        return is_slow
