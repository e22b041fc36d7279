"""How often something may happen, counted over all workers in a bounded table: so many at once, then one after each interval.

The rule is the generic cell rate algorithm (GCRA; ITU-T I.371, annex A): of each key one number is kept, the moment at which all that
was granted so far will have been paid for (its "theoretical arrival time"). One more is granted unless that moment lies too far ahead.
It gives exactly what a bucket of `burst` tokens that is filled with one token each `interval` gives, without anybody filling it.

The numbers are doubles in memory that all workers share. A key has a place in each of three tables, chosen by a hash that only this
lodge knows, and its number is the least of the three; what is granted raises the three to the key's new number, never adds to
them. So

- a number is never too low: nobody gets more than the rate by colliding with others;
- it is too high only where others who are themselves at their bound share all three places. With `n` such others among `w` places a
  table, a key meets that with probability (1 - e^(-n/w))^3: for 1,000 among 65,536 about 3 in a million, for 10,000 about 3 in a
  thousand. Who refuses others that way must keep that many addresses at their bound all the time;
- no flood of keys takes any memory, and nothing has to be evicted: a number in the past is an empty place.

A read and the write after it are not one step: two workers that grant the same key within a microsecond may count it once. One double
is written as a whole on all machines that this runs on.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
from typing import Final, NamedTuple

WIDTH: Final = 65_536
"""Places in each table: 1.5 MiB in all, of which the kernel gives only what is written to."""
GRACE: Final = 1e-6
"""Seconds that sums of floating-point numbers may be wrong by without anybody being refused for it."""
_TABLES: Final = 3

Places = tuple[int, int, int]


class Rate(NamedTuple):
    """`burst` at once, and one more `interval` seconds after each."""

    interval: float
    burst: int

    @classmethod
    def of(cls, frequency: float, burst: int) -> Rate:
        """From times a second; `burst` at least 1."""
        return cls(1.0 / frequency, burst)

    @property
    def tolerance(self) -> float:
        """How far ahead, in seconds, a key's number may lie for one more to be granted."""
        return (self.burst - 1) * self.interval


class RateTable:
    """The shared memory. Make it before the workers are forked."""

    __slots__ = ("_salt", "_times", "_width")

    def __init__(self, width: int = WIDTH) -> None:
        self._salt = os.urandom(16)
        self._width = width
        self._times = memoryview(mmap.mmap(-1, _TABLES * width * 8)).cast("d")

    def places(self, key: bytes) -> Places:
        """Where the numbers of a key stand."""
        digest = hashlib.blake2b(key, digest_size=12, key=self._salt).digest()
        width = self._width
        return (
            int.from_bytes(digest[:4], "little") % width,
            width + int.from_bytes(digest[4:8], "little") % width,
            2 * width + int.from_bytes(digest[8:], "little") % width,
        )

    def wait(self, places: Places, rate: Rate, now: float) -> float:
        """Seconds until one more would be granted; 0.0: now. `now` is monotonic seconds, the same clock for all workers."""
        times = self._times
        wait = min(times[places[0]], times[places[1]], times[places[2]]) - rate.tolerance - now
        return wait if wait > GRACE else 0.0

    def take(self, places: Places, rate: Rate, now: float) -> float:
        """Grant one more, and return 0.0; or return the seconds until it would be granted, and count nothing."""
        times = self._times
        first, second, third = places
        due = min(times[first], times[second], times[third])
        wait = due - rate.tolerance - now
        if wait > GRACE:
            return wait
        due = max(due, now) + rate.interval
        for place in places:
            if times[place] < due:  # noqa: PLR1730  what does not change is not written: another worker may be writing it
                times[place] = due
        return 0.0


def retry_after(wait: float) -> str:
    """The value of a Retry-After field (RFC 9110 §10.2.3) for whoever has to wait so many seconds: whole ones, never too few."""
    return str(max(1, math.ceil(wait - GRACE)))
