"""A worker between its supervisor and its doors: what it says, and what becomes of a door that fails."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
import uvloop

from netlodge.app.worker import Worker
from netlodge.core.clock import WorkerClock
from netlodge.core.records import Journal
from netlodge.net.lifeline import Lifeline, SupervisorEnd, lifeline
from netlodge.net.sockets import Endpoint

ENDPOINT = Endpoint.tcp("127.0.0.1", 0, "web.listen[0]")
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


class NarrowDoor:
    """A door that fails on the second socket it is given, and notes whether the supervisor was told too early."""

    def __init__(self, above: SupervisorEnd) -> None:
        self.opened: list[socket.socket] = []
        self.retired: list[tuple[bool, bool]] = []
        """`at_once`, and whether `retired` had been said before."""
        self._above = above

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        self.opened += sockets
        if len(self.opened) > 1:
            raise ZeroDivisionError("the door is stuck")

    def sweep(self, now: float) -> None:
        pass

    def retire(self, *, at_once: bool) -> None:
        self._above.receive()
        self.retired.append((at_once, self._above.is_retired))

    def abort(self) -> None:
        for sock in self.opened:
            sock.close()

    @property
    def is_empty(self) -> bool:
        return True


class OneRoom:
    """Implements `worker.Rooms` around a door."""

    def __init__(self, door: NarrowDoor) -> None:
        self.doors = {ENDPOINT: door}
        self.own_sockets: Mapping[Endpoint, Sequence[socket.socket]] = {}

    async def start(self) -> None:
        pass

    async def finish(self) -> None:
        pass

    def drain_journal(self) -> None:
        pass

    def end_looking_on(self) -> None:
        pass

    def sample(self) -> None:
        pass

    def reopen_logs(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _garbage() -> Iterator[None]:
    """A worker sets the collector for its process."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


Meet = Callable[[SupervisorEnd, NarrowDoor], None]


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Callable[[Meet], NarrowDoor]:
    """Runs a worker and calls what is given once it is ready; returns the door when the worker has ended."""

    def runner(meet: Meet) -> NarrowDoor:
        above, below = lifeline()
        door = NarrowDoor(above)

        def furnish(clock: WorkerClock, journal: Journal, loop: asyncio.AbstractEventLoop) -> OneRoom:
            loop.call_soon(wait_for_ready, loop)
            return OneRoom(door)

        def wait_for_ready(loop: asyncio.AbstractEventLoop) -> None:
            above.receive()
            if above.is_ready:
                meet(above, door)
            else:
                loop.call_soon(wait_for_ready, loop)

        worker = Worker(furnish, {ENDPOINT: [socket.create_server(("127.0.0.1", 0))]}, Lifeline(below, [ENDPOINT]))
        with below, asyncio.Runner(loop_factory=LOOPS[request.param]) as loop:
            assert loop.run(asyncio.wait_for(worker.run(), 20)) == 0
        above.receive()
        above.close()
        return door

    return runner


def test_a_door_that_cannot_serve_a_socket_that_was_handed_over_is_told_and_the_worker_goes_on(
    run: Callable[[Meet], NarrowDoor], caplog: pytest.LogCaptureFixture
) -> None:
    def hand_over(above: SupervisorEnd, door: NarrowDoor) -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as another:
            assert above.hand_over(0, another)

        def end_when_told() -> None:
            if len(door.opened) < 2:
                loop.call_soon(end_when_told)
            else:
                loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)

        end_when_told()

    run(hand_over)
    assert f"worker {os.getpid()}: cannot serve another socket of 127.0.0.1:0 (web.listen[0])" in caplog.text
    assert "ZeroDivisionError: the door is stuck" in caplog.text


def test_the_supervisor_is_told_once_that_every_door_accepts_no_more(run: Callable[[Meet], NarrowDoor]) -> None:
    ends: list[SupervisorEnd] = []

    def retire_twice(above: SupervisorEnd, door: NarrowDoor) -> None:
        ends.append(above)
        os.kill(os.getpid(), signal.SIGUSR2)
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)

    door = run(retire_twice)
    assert door.retired == [(False, False), (True, True)]
    assert ends[0].is_retired
