"""Stream connections over real sockets, on both event loops: one conformance suite of `core.contracts.Connection`."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop

from netlodge.core.contracts import Session
from netlodge.core.errors import CutShortError
from netlodge.net.connection import StreamConnection, peer_of
from netlodge.net.listener import DoorCounters, DoorLimits, StreamDoor
from netlodge.net.tally import Tally

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}
BIG = 32 * 1024 * 1024


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def runner(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as loop:
            loop.run(asyncio.wait_for(scenario, 20))

    return runner


class Cell:
    """A counter and a gauge."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        self.value += amount


class Script:
    """A session that records what it is told; `on_data` says what it does about it."""

    def __init__(self, connection: StreamConnection, on_data: Callable[[Script, bytes], None]) -> None:
        self.connection = connection
        self.received = b""
        self.has_ended = False
        self.losses = 0
        self.sweeps = 0
        self.retired: list[bool] = []
        self._on_data = on_data
        self.lost = asyncio.get_running_loop().create_future()

    def receive_data(self, data: bytes) -> None:
        self.received += data
        self._on_data(self, data)

    def receive_eof(self) -> None:
        self.has_ended = True
        self.connection.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.losses += 1
        self.lost.set_result(None)

    def sweep(self, now: float) -> None:
        self.sweeps += 1

    def retire(self, *, at_once: bool) -> None:
        self.retired.append(at_once)


class House:
    """A door on a free port of the loopback address, or at a path, and its sessions."""

    address: Any
    port: int
    copy: socket.socket
    """Of the listening socket, as a supervisor holds it."""

    def __init__(self, on_data: Callable[[Script, bytes], None], limits: DoorLimits | None = None) -> None:
        self.sessions: list[Script] = []
        self.port = 0
        self.open_gauge, self.accepted, self.defects = Cell(), Cell(), Cell()
        self.refusals: list[str] = []
        self.tally = Tally(1)

        def refused(limit: str) -> Cell:
            self.refusals.append(limit)
            return Cell()

        def new_session(connection: StreamConnection) -> Session:
            session = Script(connection, on_data)
            self.sessions.append(session)
            return session

        self.door = StreamDoor(
            "test",
            new_session,
            limits=limits or DoorLimits(),
            refuse=lambda limit: f"too many: {limit}\n".encode(),
            counters=DoorCounters(self.open_gauge, self.accepted, refused, self.defects),
            tally=self.tally.row(0),
        )

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def knock(self) -> socket.socket:
        """A client that waits at the door: connected, as far as the kernel is concerned."""
        client = socket.socket(socket.AF_INET if isinstance(self.address, tuple) else socket.AF_UNIX)
        client.connect(self.address)
        client.setblocking(False)
        return client


@asynccontextmanager
async def house(
    on_data: Callable[[Script, bytes], None], limits: DoorLimits | None = None, *, path: Path | None = None
) -> AsyncIterator[House]:
    place = House(on_data, limits)
    listening = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listening.bind(str(path) if path else ("127.0.0.1", 0))
    listening.listen(100)
    listening.setblocking(False)
    place.address = listening.getsockname()
    place.port = 0 if path else place.address[1]
    place.copy = listening.dup()
    await place.door.open([listening])
    try:
        yield place
    finally:
        place.copy.close()
        place.door.close()
        for _ in range(5):  # what was being accepted meanwhile comes a turn later
            place.door.abort()
            await asyncio.sleep(0)


async def end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until the condition holds (the scenario has a time limit)."""
    while not condition():  # noqa: ASYNC110  # what is waited for is the peer's kernel, which sets no event
        await asyncio.sleep(0)


def echo(session: Script, data: bytes) -> None:
    session.connection.write(data)


def test_what_is_written_arrives_in_order(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with house(echo) as place:
            reader, writer = await place.dial()
            writer.write(b"one ")
            assert await reader.readexactly(4) == b"one "
            writer.write(b"two")
            assert await reader.readexactly(3) == b"two"
            writer.write_eof()
            assert await reader.read() == b""
            await place.sessions[0].lost
            assert place.sessions[0].has_ended
            assert place.sessions[0].losses == 1
            assert place.open_gauge.value == 0
            assert place.accepted.value == 1
            assert place.tally.total() == 0
            await end(writer)

    run(scenario())


def test_more_than_the_kernel_takes_is_buffered_and_arrives_whole(run: Callable[..., None]) -> None:
    blob = os.urandom(1 << 20) * (BIG >> 20)

    def answer(session: Script, data: bytes) -> None:
        session.connection.write(blob)
        session.connection.write(b"and more")
        assert not session.connection.is_writable
        session.connection.close()

    async def scenario() -> None:
        async with house(answer) as place:
            reader, writer = await place.dial()
            writer.write(b"?")
            assert await reader.read(-1) == blob + b"and more"
            await end(writer)

    run(scenario())


def has_asked(place: House, sessions: int) -> bool:
    return len(place.sessions) == sessions and bool(place.sessions[-1].received)


def test_drained_returns_when_the_peer_took_it_and_raises_when_it_left(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with house(lambda session, data: None) as place:
            for leaves in (False, True):
                reader, writer = await place.dial()
                writer.write(b"?")
                await until(partial(has_asked, place, 1 + leaves))
                connection = place.sessions[-1].connection
                connection.write(b"x" * BIG)
                assert not connection.is_writable
                assert connection.unacknowledged() > 0
                waiting = asyncio.ensure_future(connection.drained())
                await asyncio.sleep(0)
                assert not waiting.done()
                if leaves:
                    writer.transport.abort()
                    with pytest.raises(ConnectionResetError):
                        await waiting
                    with pytest.raises(ConnectionResetError):
                        await connection.drained()
                else:
                    before = connection.progress
                    assert len(await reader.readexactly(BIG)) == BIG
                    await waiting
                    assert connection.is_writable
                    assert connection.progress > before
                    await connection.drained()
                    await end(writer)

    run(scenario())


def sending(path: Path, count: int, outcome: list[object]) -> Callable[[Script, bytes], None]:
    """Answer anything with `count` octets of the file, between a head and a tail."""

    async def send(connection: StreamConnection) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            connection.write(b"head")
            outcome.append(await connection.send_file(descriptor, 0, count))
            connection.write(b"tail")
        except ConnectionError as error:
            outcome.append(type(error))
        finally:
            os.close(descriptor)
            connection.close()

    tasks: list[Awaitable[None]] = []
    return lambda session, data: tasks.append(asyncio.ensure_future(send(session.connection)))


@pytest.mark.parametrize("beyond", [0, 1000])
def test_a_file_goes_out_by_the_kernel(run: Callable[..., None], tmp_path: Path, beyond: int) -> None:
    path = tmp_path / "file"
    content = os.urandom(1 << 20) * 16
    path.write_bytes(content)
    outcome: list[object] = []

    async def scenario() -> None:
        async with house(sending(path, len(content) + beyond, outcome)) as place:
            reader, writer = await place.dial()
            writer.write(b"?")
            assert await reader.read(-1) == b"head" + content + b"tail"
            assert outcome == [len(content)], "of a file that is shorter all there is is sent, and one can tell"
            await end(writer)

    run(scenario())


def test_a_file_waits_for_what_was_written_before(run: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"<file>" * 1000)
    before = b"x" * BIG
    outcome: list[object] = []
    answer = sending(path, 6000, outcome)

    def write_much_first(session: Script, data: bytes) -> None:
        session.connection.write(before)
        assert not session.connection.is_writable
        answer(session, data)

    async def scenario() -> None:
        async with house(write_much_first) as place:
            reader, writer = await place.dial()
            writer.write(b"?")
            assert await reader.read(-1) == before + b"head" + b"<file>" * 1000 + b"tail"
            assert outcome == [6000]
            await end(writer)

    run(scenario())


def test_a_peer_that_leaves_while_a_file_goes_out_ends_it(run: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    outcome: list[object] = []

    async def scenario() -> None:
        async with house(sending(path, 1 << 30, outcome)) as place:
            reader, writer = await place.dial()
            writer.write(b"?")
            await reader.readexactly(1000)
            assert not outcome
            writer.transport.abort()
            await until(lambda: outcome)
            assert outcome == [CutShortError]

    run(scenario())


def test_half_closing_lets_the_peer_go_on(run: Callable[..., None]) -> None:
    def say_goodbye(session: Script, data: bytes) -> None:
        if session.received == b"?":
            session.connection.write(b"bye")
            session.connection.write_eof()
            session.connection.write_eof()

    async def scenario() -> None:
        async with house(say_goodbye) as place:
            reader, writer = await place.dial()
            writer.write(b"?")
            assert await reader.read(-1) == b"bye"
            writer.write(b" still here")
            writer.write_eof()
            await place.sessions[0].lost
            assert place.sessions[0].received == b"? still here"
            await end(writer)

    run(scenario())


def test_after_the_end_nothing_is_written_and_nothing_raised(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with house(lambda session, data: session.connection.abort()) as place:
            reader, writer = await place.dial()
            writer.write(b"?")
            with suppress(ConnectionResetError):
                assert await reader.read(-1) == b""
            session = place.sessions[0]
            await session.lost
            connection = session.connection
            connection.write(b"x")
            connection.write_eof()
            connection.pause_reading()
            connection.resume_reading()
            connection.close()
            connection.abort()
            with pytest.raises(ConnectionResetError):
                await connection.send_file(0, 0, 1)
            assert connection.unacknowledged() == 0
            assert session.losses == 1
            await end(writer)

    run(scenario())


def test_paused_reading_holds_the_peer_back(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with house(lambda session, data: session.connection.pause_reading()) as place:
            _, writer = await place.dial()
            writer.write(b"a" * BIG)
            await until(lambda: place.sessions and place.sessions[0].received)
            session = place.sessions[0]
            first = len(session.received)
            assert writer.transport.get_write_buffer_size() > 0
            session._on_data = lambda session, data: None
            session.connection.resume_reading()
            await writer.drain()
            await until(lambda: len(session.received) == BIG)
            assert first < BIG
            await end(writer)

    run(scenario())


def test_a_defect_in_a_session_ends_its_connection_alone(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    def fall_over(session: Script, data: bytes) -> None:
        if data == b"bad":
            raise ValueError("a defect")
        session.connection.write(data)

    async def scenario() -> None:
        async with house(fall_over) as place:
            good_reader, good_writer = await place.dial()
            bad_reader, bad_writer = await place.dial()
            bad_writer.write(b"bad")
            with suppress(ConnectionResetError):
                assert await bad_reader.read(-1) == b""
            good_writer.write(b"good")
            assert await good_reader.readexactly(4) == b"good"
            assert place.defects.value == 1
            assert "a defect in the session of 127.0.0.1:" in caplog.text
            await end(good_writer)
            await end(bad_writer)

    run(scenario())


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (DoorLimits(connections=2), "limits.connections"),
        (DoorLimits(connections_per_client=2), "limits.connections_per_client"),
    ],
)
def test_a_connection_over_a_limit_is_told_so_and_closed(
    run: Callable[..., None], limits: DoorLimits, named: str
) -> None:
    async def scenario() -> None:
        async with house(echo, limits) as place:
            admitted = [await place.dial() for _ in range(2)]
            for reader, writer in admitted:
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
            reader, writer = await place.dial()
            writer.write(b"thrown away")
            assert await reader.read(-1) == f"too many: {named}\n".encode()
            assert place.refusals == [named]
            await end(writer)
            await end(admitted[0][1])
            await until(lambda: len(place.door.connections) == 1)
            reader, writer = await place.dial()
            writer.write(b"y")
            assert await reader.readexactly(1) == b"y"
            await end(writer)
            await end(admitted[1][1])

    run(scenario())


def test_a_farewell_ends_by_time_or_amount(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with house(echo, DoorLimits(connections=1)) as place:
            _, first = await place.dial()
            await until(lambda: place.sessions)
            for way in ("time", "amount"):
                reader, writer = await place.dial()
                assert (await reader.read(-1)).startswith(b"too many")
                if way == "time":
                    place.door.sweep(100.0)
                    place.door.sweep(101.0)
                    assert len(place.door.connections) == 2
                    place.door.sweep(102.0)
                else:
                    writer.write(b"x" * (2 << 20))
                await until(lambda: len(place.door.connections) == 1)
                await end(writer)
            await end(first)

    run(scenario())


async def ask(client: socket.socket) -> bytes:
    """What an `echo` answers; empty if it has closed."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, b"y")
    return await loop.sock_recv(client, 1)


def test_retiring_tells_every_session_and_takes_who_waits_at_the_door(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with house(echo) as place:
            place.copy.close()
            reader, writer = await place.dial()
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            place.door.sweep(1.0)
            with place.knock() as waiting:
                place.door.retire(at_once=True)
                assert place.sessions[0].retired == [True]
                assert place.sessions[0].sweeps == 1
                assert not place.door.is_empty
                await until(lambda: len(place.sessions) == 2)
                assert place.sessions[1].retired == [False], "who came last is given until the next sweep"
                place.door.sweep(2.0)
                assert place.sessions[1].retired == [False, True]
                assert await ask(waiting) == b"y"
            await until(lambda: not place.door._closing)
            with socket.socket() as probe:
                assert probe.connect_ex(place.address) == errno.ECONNREFUSED
            await end(writer)
            await until(lambda: place.door.is_empty)

    run(scenario())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_door_that_retires_takes_all_who_came_before_and_none_who_comes_after(
    run: Callable[..., None], kind: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with house(echo, path=tmp_path / "door" if kind == "unix" else None) as place:
            before = [place.knock() for _ in range(20)]
            place.door.retire(at_once=False)
            assert not place.door.is_empty, "who waited is still to be served"
            after = place.knock()
            assert [await ask(client) for client in before] == [b"y"] * 20
            assert {tuple(session.retired) for session in place.sessions} == {(False,)}
            for client in before:
                client.close()
            await until(lambda: place.door.is_empty)
            assert len(place.sessions) == 20
            place.copy.accept()[0].close()  # so it still waited, for whoever has the socket now
            after.close()

    run(scenario())


@pytest.mark.parametrize("turns", range(5))
def test_whoever_is_at_the_threshold_when_a_door_retires_is_served(run: Callable[..., None], turns: int) -> None:
    async def scenario() -> None:
        async with house(echo) as place:
            with place.knock() as client:
                for _ in range(turns):  # the loop accepts in one of them and makes the connection in another
                    await asyncio.sleep(0)
                place.door.retire(at_once=False)
                assert not place.door.is_empty
                assert await ask(client) == b"y"
            await until(lambda: place.door.is_empty)

    run(scenario())


def test_sockets_that_a_retiring_door_was_just_given_are_let_go(run: Callable[..., None]) -> None:
    async def scenario() -> None:
        async with house(echo) as place:
            with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as probe:
                address = listening.getsockname()
                opening = asyncio.ensure_future(place.door.open([listening.dup()]))
                await asyncio.sleep(0)
                place.door.retire(at_once=False)
                await opening
                await until(lambda: place.door.is_empty)
                listening.close()
                assert probe.connect_ex(address) == errno.ECONNREFUSED

    run(scenario())


def test_a_connection_that_cannot_be_taken_at_the_last_moment_is_a_defect_and_holds_nothing_up(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    def fall_over() -> StreamConnection:
        raise ValueError("a defect of the door")

    async def scenario() -> None:
        async with house(echo) as place:
            with place.knock() as client:
                place.door._new_connection = fall_over  # type: ignore[method-assign]
                place.door.retire(at_once=False)
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
                await until(lambda: place.door.is_empty)
                assert place.defects.value == 1
                assert "ValueError: a defect of the door" in caplog.text

    run(scenario())


@pytest.mark.parametrize("step", ["sweep", "retire", "retire at the door", "retire at the next sweep"])
def test_a_session_that_raises_when_it_is_swept_or_retired_ends_its_connection_alone(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall_over(session: Script, *_: object, **how: object) -> None:
        raise ZeroDivisionError(f"a defect in {step}")

    async def scenario() -> None:
        async with house(echo) as place:
            clients = [place.knock() for _ in range(4)]
            if step != "retire at the door":
                await until(lambda: len(place.sessions) == 4)
            if step.endswith("sweep"):
                place.door.retire(at_once=True)
            monkeypatch.setattr(Script, step.split(maxsplit=1)[0], fall_over)
            if step.endswith("sweep"):
                place.door.sweep(1.0)
            else:
                place.door.retire(at_once=False)
            for client in clients:
                with suppress(ConnectionResetError):
                    assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
                client.close()
            assert place.defects.value == 4
            assert caplog.text.count(f"ZeroDivisionError: a defect in {step}") == 4
            assert caplog.text.count("a defect in the session of 127.0.0.1:") == 4

    run(scenario())


def test_an_ipv4_mapped_peer_is_the_ipv4_client() -> None:
    assert peer_of(("::ffff:192.0.2.7", 80, 0, 0)) == ("192.0.2.7", 80)
    assert peer_of(("::1", 80, 0, 0)) == ("::1", 80)
    assert peer_of("") == ("unix:", 0)
    assert peer_of(None) == ("unix:", 0)
