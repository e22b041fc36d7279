"""The worker's clock: read from memory a hundred thousand times a second, moved four times a second."""

from __future__ import annotations

import time

TICK = 0.25
"""Seconds between two moves of the clock. Dates are whole seconds, and timeouts are checked once a second."""


class WorkerClock:
    """Implements `contracts.Clock` over the operating system's clocks; `tick` is called by the worker every `TICK`."""

    __slots__ = ("now", "second", "wall")

    def __init__(self) -> None:
        self.tick()

    def tick(self) -> None:
        self.now: float = time.monotonic()
        self.wall: float = time.time()
        self.second: int = int(self.wall)

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


class FakeClock:
    """A clock for tests: stands still until `advance`."""

    __slots__ = ("now", "second", "wall")

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.now: float = 1000.0
        self.wall: float = wall
        self.second: int = int(wall)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds
        self.second = int(self.wall)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.wall
