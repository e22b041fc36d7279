"""The door for datagrams on real sockets of this machine, on both event loops."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter as Counts
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest
import uvloop

from netlodge.core.contracts import Peer
from netlodge.net.datagram import BATCH, CHATTERING_PORTS, DatagramCounters, DatagramDoor

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    def runner(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as loop:
            loop.run(asyncio.wait_for(scenario, 20))

    return runner


class Cell:
    def __init__(self, scene: Scene, name: str) -> None:
        self._scene = scene
        self._name = name

    def add(self, amount: int = 1) -> None:
        self._scene.counts[self._name] += amount
        self._scene.has_counted.set()


class Reverse:
    """Answers backwards; nothing to `silence`; breaks on `break`."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []

    def handle_datagram(self, data: bytes, peer: Peer) -> bytes | None:
        self.peers.append(peer)
        if data == b"break":
            raise RuntimeError("a defect")
        return None if data == b"silence" else data[::-1]


class Sockets:
    """A socket that is no socket: takes what `sendto` is to raise, and never has anything to read."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def sendto(self, data: bytes, address: object) -> int:
        raise self._error


def bound(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    sock.setblocking(False)
    return sock


class Scene:
    """A door with one socket, and a client."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET, **settings: Any) -> None:
        self.counts: Counts[str] = Counts()
        self.has_counted = asyncio.Event()
        self.service = Reverse()
        counters = DatagramCounters(
            received=Cell(self, "received"),
            answered=Cell(self, "answered"),
            dropped=lambda loss: Cell(self, loss),
            defects=Cell(self, "defects"),
        )
        self.door = DatagramDoor("test", self.service, counters=counters, **settings)
        self.socket = bound(family)
        self.address = self.socket.getsockname()
        self.client = bound(family)

    async def __aenter__(self) -> Self:
        await self.door.open([self.socket])
        return self

    async def __aexit__(self, *_: object) -> None:
        self.door.close()
        self.client.close()

    def send(self, data: bytes) -> None:
        self.client.sendto(data, self.address)

    async def heard(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.client, 65536)

    async def ask(self, data: bytes) -> bytes:
        self.send(data)
        return await self.heard()


class TestAnswers:
    @pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
    def test_goes_back_to_who_asked(self, run: Run, family: socket.AddressFamily) -> None:
        async def scenario() -> None:
            async with Scene(family) as scene:
                assert await scene.ask(b"abc") == b"cba"
                host, port = scene.client.getsockname()[:2]
                assert scene.service.peers == [Peer(host, port)]
                assert scene.counts == {"received": 1, "answered": 1}

        run(scenario())

    def test_an_empty_datagram_is_a_datagram(self, run: Run) -> None:
        async def scenario() -> None:
            async with Scene() as scene:
                assert await scene.ask(b"") == b""

        run(scenario())

    def test_silence_sends_nothing(self, run: Run) -> None:
        async def scenario() -> None:
            async with Scene() as scene:
                scene.send(b"silence")
                assert await scene.ask(b"after") == b"retfa"
                assert scene.counts == {"received": 2, "answered": 1}

        run(scenario())

    def test_more_than_a_batch_is_answered_in_order(self, run: Run) -> None:
        async def scenario() -> None:
            async with Scene() as scene:
                questions = [f"{number:03}".encode() for number in range(BATCH + 10)]
                for question in questions:
                    scene.send(question)
                assert [await scene.heard() for _ in questions] == [question[::-1] for question in questions]

        run(scenario())

    def test_a_defect_costs_one_datagram(self, run: Run, caplog: pytest.LogCaptureFixture) -> None:
        async def scenario() -> None:
            async with Scene() as scene:
                scene.send(b"break")
                assert await scene.ask(b"abc") == b"cba"
                assert scene.counts["defects"] == 1

        with caplog.at_level(logging.ERROR, "netlodge.net"):
            run(scenario())
        assert "a defect while answering a datagram" in caplog.text

    def test_a_closed_door_answers_no_more(self, run: Run) -> None:
        async def scenario() -> None:
            async with Scene() as scene:
                scene.door.close()
                assert scene.socket.fileno() == -1
                scene.door.close()

        run(scenario())


class TestLosses:
    def test_what_is_too_large_is_dropped(self, run: Run) -> None:
        async def scenario() -> None:
            async with Scene(size_limit=10) as scene:
                scene.send(b"x" * 11)
                assert await scene.ask(b"x" * 9 + b"y") == b"y" + b"x" * 9
                assert scene.counts == {"received": 2, "answered": 1, "oversize": 1}

        run(scenario())

    @pytest.mark.parametrize(
        ("error", "loss"),
        [
            (BlockingIOError(errno.EAGAIN, "full"), "blocked"),
            (OSError(errno.ENOBUFS, "full"), "blocked"),
            (OSError(errno.EMSGSIZE, "too long"), "oversize"),
            (ConnectionRefusedError(errno.ECONNREFUSED, "ICMP"), "unreachable"),
            (OSError(errno.ENETUNREACH, "no route"), "unreachable"),
        ],
    )
    def test_an_answer_that_cannot_leave_now_is_dropped(self, error: OSError, loss: str) -> None:
        scene = Scene()
        assert not scene.door._is_sent(Sockets(error), b"answer", ("127.0.0.1", 9))  # type: ignore[arg-type]
        assert scene.counts == {loss: 1}
        scene.socket.close()
        scene.client.close()

    def test_word_that_nobody_took_an_answer_ends_nothing(self, run: Run) -> None:
        async def scenario() -> None:
            async with Scene() as scene:
                # A connected socket is told by the kernel at once that nobody listens there (RFC 1122 §4.1.3.3).
                gone = bound()
                place = gone.getsockname()
                gone.close()
                scene.socket.connect(place)
                scene.socket.send(b"anybody?")
                await scene.has_counted.wait()
                assert scene.counts["unreachable"] == 1
                scene.socket.connect(scene.client.getsockname())
                assert await scene.ask(b"abc") == b"cba"

        run(scenario())


class TestNoEndlessTalk:
    """Two services that answer whatever they get must not be introduced to each other (RFC 862, RFC 864)."""

    def test_a_port_that_would_answer_the_answer_gets_none(self, run: Run) -> None:
        async def scenario() -> None:
            chatterer = bound()
            port = chatterer.getsockname()[1]
            async with Scene(unanswered_ports=frozenset({port})) as scene:
                chatterer.sendto(b"abc", scene.address)
                assert await scene.ask(b"after") == b"retfa"
                assert scene.counts == {"received": 2, "answered": 1, "chattering": 1}
                with pytest.raises(BlockingIOError):
                    chatterer.recv(10)
            chatterer.close()

        run(scenario())

    def test_the_doors_own_port_is_such_a_port(self, run: Run) -> None:
        async def scenario() -> None:
            async with Scene() as scene:
                scene.socket.sendto(b"to myself", scene.address)
                assert await scene.ask(b"after") == b"retfa"
                assert scene.counts == {"received": 2, "answered": 1, "chattering": 1}

        run(scenario())

    def test_unless_the_protocol_tells_answers_from_questions(self, run: Run) -> None:
        async def scenario() -> None:
            async with Scene(answers_own_port=True) as scene:
                twin = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                twin.bind(("127.0.0.2", scene.address[1]))
                twin.setblocking(False)
                twin.sendto(b"abc", scene.address)
                assert await asyncio.get_running_loop().sock_recv(twin, 10) == b"cba"
                twin.close()

        run(scenario())

    def test_the_ports_of_the_old_services_are_such_ports(self) -> None:
        assert {0, 7, 13, 17, 19} == CHATTERING_PORTS
