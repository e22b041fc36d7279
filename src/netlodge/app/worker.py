"""A worker: one process, one event loop, every door of the lodge.

The supervisor forks it with its share of the listening sockets. It serves until it is told to retire, ticks its clock four times a
second, and with the clock drains its journal and sweeps its connections.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from netlodge.core.clock import TICK, WorkerClock
from netlodge.core.records import Journal
from netlodge.net.certificates import without_names
from netlodge.net.lifeline import Lifeline
from netlodge.net.sockets import Endpoint

logger = logging.getLogger("netlodge.worker")

SWEEP_TICKS = round(1 / TICK)
"""Ticks between two sweeps of the connections."""
GARBAGE_THRESHOLD = 50_000
"""New objects between two looks for cyclic garbage. The journal makes many short-lived objects that are never part of a cycle."""


class Door(Protocol):
    """What a worker knows of its doors, streams and datagrams alike."""

    async def open(self, sockets: Sequence[socket.socket]) -> None: ...
    def sweep(self, now: float) -> None: ...
    def retire(self, *, at_once: bool) -> None:
        """When this returns, nothing is accepted any more."""
        ...

    def abort(self) -> None: ...
    @property
    def is_empty(self) -> bool: ...


class Rooms(Protocol):
    """All that a worker runs, composed for it by `app` once its loop is running."""

    @property
    def doors(self) -> Mapping[Endpoint, Door]: ...
    @property
    def own_sockets(self) -> Mapping[Endpoint, Sequence[socket.socket]]:
        """Sockets that the worker bound for itself."""
        ...

    async def start(self) -> None:
        """Called once, before any door is opened: what has to be ready for the first request (the startup of applications). An
        exception ends the worker; a `NetlodgeError` says why in a sentence."""
        ...

    async def finish(self) -> None:
        """Called once, when the last connection is gone and before `close`: what must not be broken off (the shutdown of
        applications). Takes a bounded time."""
        ...

    def drain_journal(self) -> None: ...
    def end_looking_on(self) -> None:
        """Nothing passes any more: let those go who look on. Idempotent."""
        ...

    def sample(self) -> None: ...
    def reopen_logs(self) -> None: ...
    def close(self) -> None: ...


class Worker:
    """Runs the rooms that `furnish` makes, until it is retired and empty."""

    def __init__(
        self,
        furnish: Callable[[WorkerClock, Journal, asyncio.AbstractEventLoop], Rooms],
        sockets: Mapping[Endpoint, Sequence[socket.socket]],
        lifeline: Lifeline,
    ) -> None:
        self._furnish = furnish
        self._sockets = sockets
        self._lifeline = lifeline
        self._clock = WorkerClock()
        self._journal: Journal = []
        self._ticks = 0
        self._is_retiring = False
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Serve; return the process's exit code."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._rooms = self._furnish(self._clock, self._journal, loop)
        await self._rooms.start()
        for endpoint, sockets in (*self._sockets.items(), *self._rooms.own_sockets.items()):
            await self._rooms.doors[endpoint].open(sockets)
        loop.add_signal_handler(signal.SIGTERM, self._retire, True)
        loop.add_signal_handler(signal.SIGUSR2, self._retire, False)
        loop.add_signal_handler(signal.SIGUSR1, self._rooms.reopen_logs)
        loop.add_reader(self._lifeline.fileno(), self._hear_supervisor)
        gc.collect()
        gc.freeze()  # what was made so far lives as long as the process: never look at it again
        gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)
        self._lifeline.ready()
        self._tick_handle = loop.call_later(TICK, self._tick)
        try:
            await self._ended
        finally:
            self._tick_handle.cancel()
            for door in self._doors():
                door.abort()
            await asyncio.sleep(0)  # the ends of the aborted connections
            await self._rooms.finish()
            self._rooms.close()
        return 0

    def _doors(self) -> Iterable[Door]:
        return dict.fromkeys(self._rooms.doors.values())

    def _tick(self) -> None:
        self._tick_handle = asyncio.get_running_loop().call_later(TICK, self._tick)
        self._clock.tick()
        self._rooms.drain_journal()
        self._ticks += 1
        if self._ticks % SWEEP_TICKS == 0:
            self._rooms.sample()
            for door in self._doors():
                door.sweep(self._clock.now)
        if self._is_retiring and not self._ended.done():
            self._end_when_empty()

    def _end_when_empty(self) -> None:
        """Who looks on stays until the last exchange has passed, and no longer: that is no work to be finished."""
        own = {self._rooms.doors[endpoint] for endpoint in self._rooms.own_sockets}
        if all(door.is_empty for door in self._doors() if door not in own):
            self._rooms.end_looking_on()
            if all(door.is_empty for door in own):
                self._ended.set_result(None)

    def _retire(self, at_once: bool) -> None:
        """SIGUSR2: a younger generation has taken over. SIGTERM: the lodge ends, or the time to retire is over."""
        is_first = not self._is_retiring
        self._is_retiring = True
        for door in self._doors():
            door.retire(at_once=at_once)
        if is_first:
            logger.debug("worker %d retires%s", os.getpid(), " at once" if at_once else "")
            self._lifeline.retired()

    def _hear_supervisor(self) -> None:
        handed = self._lifeline.receive()
        loop = asyncio.get_running_loop()
        if handed is None:
            loop.remove_reader(self._lifeline.fileno())
            if not self._is_retiring:
                logger.error("worker %d: the supervisor is gone; finishing what was begun, then ending", os.getpid())
            self._retire(True)
            loop.call_later(10.0, self._end)
            return
        for endpoint, sock in handed:
            if self._is_retiring:
                sock.close()
            else:
                task = loop.create_task(self._open(endpoint, sock))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    async def _open(self, endpoint: Endpoint, sock: socket.socket) -> None:
        """Serve a socket that was handed over. Those who wait in it wait on if that fails, until a worker takes the socket that can."""
        try:
            await self._rooms.doors[endpoint].open([sock])
        except Exception:
            logger.exception(
                "worker %d: cannot serve another socket of %s (%s)", os.getpid(), endpoint, endpoint.setting
            )

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def run_worker(worker: Worker, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> int:
    """Run `worker` on a new loop in this process, which was just forked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the supervisor decides
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.unraisablehook = without_names(sys.unraisablehook)
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(worker.run())
