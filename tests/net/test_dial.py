"""Dialling, on both event loops: to real sockets of this machine, and to names whose addresses the test makes up."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from netlodge.net import dial as dialling
from netlodge.net.dial import (
    ADDRESS_COUNT,
    Address,
    DialError,
    DialFailure,
    Resolve,
    dial,
    dial_stream,
    find_addresses,
    look_up,
    take_turns,
)
from tests.net.certificate import self_signed, server_context

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


def four(host: str, port: int = 1) -> Address:
    return Address(socket.AF_INET, (host, port))


def six(host: str, port: int = 1) -> Address:
    return Address(socket.AF_INET6, (host, port, 0, 0))


def names(*addresses: Address) -> Resolve:
    """A resolver to whom every name has these addresses."""

    async def resolve(host: str, port: int) -> Sequence[Address]:
        return addresses

    return resolve


@asynccontextmanager
async def greeter(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says who greets, and hangs up."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"hello {writer.get_extra_info('peername')[0]}".encode())
        writer.close()

    server = await asyncio.start_server(greet, host, 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def greeting(host: str, port: int, **options: Any) -> bytes:
    reader, writer = await dial_stream(host, port, timeout=10, **options)
    heard = await reader.read()
    writer.close()
    await writer.wait_closed()
    return heard


async def failure_of(attempt: Coroutine[Any, Any, Any]) -> DialError:
    with pytest.raises(DialError) as caught:
        await attempt
    return caught.value


class TestAddresses:
    """RFC 8305 §4: the families take turns, from the family of the first."""

    def test_families_alternate(self) -> None:
        given = [six("2001:db8::1"), six("2001:db8::2"), six("2001:db8::3"), four("192.0.2.1")]
        assert take_turns(given) == [six("2001:db8::1"), four("192.0.2.1"), six("2001:db8::2"), six("2001:db8::3")]

    def test_the_resolvers_first_stays_first(self) -> None:
        assert take_turns([four("192.0.2.1"), four("192.0.2.2"), six("2001:db8::1")]) == [
            four("192.0.2.1"),
            six("2001:db8::1"),
            four("192.0.2.2"),
        ]

    def test_none_are_none(self) -> None:
        assert take_turns([]) == []

    def test_a_numeric_address_asks_no_resolver(self, run: Run) -> None:
        async def forbidden(host: str, port: int) -> Sequence[Address]:
            raise AssertionError(host)

        async def scenario() -> None:
            assert await find_addresses("192.0.2.1", 80, resolve=forbidden) == [four("192.0.2.1", 80)]
            assert await find_addresses("2001:db8::1", 80, resolve=forbidden) == [six("2001:db8::1", 80)]

        run(scenario())

    def test_only_so_many_are_tried(self, run: Run) -> None:
        async def scenario() -> None:
            many = names(*[four(f"192.0.2.{last}") for last in range(200)])
            assert len(await find_addresses("many.example", 80, resolve=many)) == ADDRESS_COUNT

        run(scenario())

    def test_the_systems_resolver_knows_this_machine(self) -> None:
        assert four("127.0.0.1", 80) in look_up("localhost", 80)


class TestConnecting:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_to_a_numeric_address(self, run: Run, host: str) -> None:
        async def scenario() -> None:
            async with greeter(host) as port:
                assert await greeting(host, port) == f"hello {host}".encode()

        run(scenario())

    def test_to_a_name(self, run: Run) -> None:
        async def scenario() -> None:
            async with greeter() as port:
                assert await greeting("localhost", port) == b"hello 127.0.0.1"

        run(scenario())

    def test_with_a_protocol_of_ones_own(self, run: Run) -> None:
        class Listening(asyncio.Protocol):
            def __init__(self) -> None:
                self.heard = asyncio.get_running_loop().create_future()

            def data_received(self, data: bytes) -> None:
                self.heard.set_result(data)

        async def scenario() -> None:
            async with greeter() as port:
                transport, protocol = await dial(Listening, "127.0.0.1", port, timeout=10)
                assert await protocol.heard == b"hello 127.0.0.1"
                transport.close()

        run(scenario())

    def test_from_an_address_of_ones_choice(self, run: Run) -> None:
        async def scenario() -> None:
            async with greeter() as port:
                assert await greeting("127.0.0.1", port, local="127.0.0.2") == b"hello 127.0.0.2"
                error = await failure_of(greeting("127.0.0.1", port, local="::1"))
                assert error.failure is DialFailure.UNREACHABLE

        run(scenario())

    def test_nobody_dials_what_the_resolver_left_out(self, run: Run) -> None:
        async def scenario() -> None:
            error = await failure_of(greeting("localhost", free_port(), resolve=names()))
            assert error.failure is DialFailure.NAME_UNKNOWN

        run(scenario())


class TestHappyEyeballs:
    """RFC 8305 §5: an attempt starts when the one before failed, or has not succeeded for a while."""

    def test_the_next_address_is_tried_at_once_when_one_refuses(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dialling, "ATTEMPT_DELAY", 1000.0)

        async def scenario() -> None:
            async with greeter() as port:
                dead = four("127.0.0.1", free_port())
                assert await greeting("name.example", port, resolve=names(dead, dead, four("127.0.0.1", port)))

        run(scenario())

    def test_the_next_address_is_tried_while_one_is_silent(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dialling, "ATTEMPT_DELAY", 0.01)
        started: list[Address] = []
        abandoned: list[Address] = []

        async def connect(address: Address, local: str | None) -> socket.socket:
            started.append(address)
            if address.sockaddr[0] == "192.0.2.1":
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    abandoned.append(address)
                    raise
            return await real_connect(address, local)

        real_connect = dialling._connect
        monkeypatch.setattr(dialling, "_connect", connect)

        async def scenario() -> None:
            async with greeter() as port:
                silent, answering = four("192.0.2.1", port), four("127.0.0.1", port)
                assert await greeting("name.example", port, resolve=names(silent, answering)) == b"hello 127.0.0.1"
                assert started == [silent, answering]
                assert abandoned == [silent]

        run(scenario())

    def test_a_loser_that_connects_in_the_last_moment_is_closed(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pairs: dict[Address, tuple[socket.socket, socket.socket]] = {}
        slow, quick = four("192.0.2.1"), four("192.0.2.2")

        async def connect(address: Address, local: str | None) -> socket.socket:
            pairs[address] = socket.socketpair()
            if address == slow:
                with suppress(asyncio.CancelledError):  # it came too late
                    await asyncio.get_running_loop().create_future()
            return pairs[address][0]

        monkeypatch.setattr(dialling, "_connect", connect)
        monkeypatch.setattr(dialling, "ATTEMPT_DELAY", 0.01)

        async def scenario() -> None:
            assert await dialling._connect_first([slow, quick], "name.example", 1, None) is pairs[quick][0]
            while pairs[slow][0].fileno() >= 0:  # noqa: ASYNC110 - it takes a few turns of the loop
                await asyncio.sleep(0)
            assert pairs[quick][0].fileno() >= 0

        try:
            run(scenario())
        finally:
            for pair in pairs.values():
                for sock in pair:
                    sock.close()


class TestFailures:
    """Each failure says what happened and what to try."""

    def test_refused(self, run: Run) -> None:
        async def scenario() -> None:
            port = free_port()
            error = await failure_of(greeting("127.0.0.1", port))
            assert (error.failure, error.host, error.port) == (DialFailure.REFUSED, "127.0.0.1", port)
            assert str(error) == (
                f"127.0.0.1 refuses port {port}. Check the port, and that the server is running and listens on this address"
            )

        run(scenario())

    def test_the_name_is_unknown(self, run: Run) -> None:
        async def unknown(host: str, port: int) -> Sequence[Address]:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")

        async def scenario() -> None:
            error = await failure_of(greeting("nowhere.example", 80, resolve=unknown))
            assert error.failure is DialFailure.NAME_UNKNOWN
            assert "dig nowhere.example" in str(error)

        run(scenario())

    def test_the_name_can_be_none(self, run: Run) -> None:
        async def scenario() -> None:
            error = await failure_of(greeting("x" * 64 + ".example", 80))
            assert error.failure is DialFailure.NAME_UNKNOWN

        run(scenario())

    def test_nothing_happened_in_time(self, run: Run) -> None:
        async def slow(host: str, port: int) -> Sequence[Address]:
            await asyncio.get_running_loop().create_future()
            return []

        async def scenario() -> None:
            error = await failure_of(dial_stream("slow.example", 80, timeout=0.01, resolve=slow))
            assert error.failure is DialFailure.TIMED_OUT

        run(scenario())

    @pytest.mark.parametrize(
        ("errors", "failure"),
        [
            ([OSError(errno.ENETUNREACH, "Network is unreachable")], DialFailure.UNREACHABLE),
            ([OSError(errno.EHOSTUNREACH, "x"), ConnectionRefusedError(errno.ECONNREFUSED, "x")], DialFailure.REFUSED),
            ([TimeoutError(errno.ETIMEDOUT, "x"), OSError(errno.ENETUNREACH, "x")], DialFailure.TIMED_OUT),
            ([TimeoutError(errno.ETIMEDOUT, "x"), ConnectionResetError(errno.ECONNRESET, "x")], DialFailure.REFUSED),
        ],
    )
    def test_of_several_the_one_that_got_furthest_is_told(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, errors: list[OSError], failure: DialFailure
    ) -> None:
        left = list(errors)

        async def connect(address: Address, local: str | None) -> socket.socket:
            raise left.pop(0)

        monkeypatch.setattr(dialling, "_connect", connect)

        async def scenario() -> None:
            error = await failure_of(greeting("name.example", 80, resolve=names(*[four("192.0.2.1")] * len(errors))))
            assert error.failure is failure

        run(scenario())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of `localhost`."""
    return self_signed(tmp_path_factory.mktemp("tls"))


class TestTls:
    @pytest.fixture
    def server_side(self, certificate: Path) -> ssl.SSLContext:
        return server_context(certificate)

    def test_with_a_certificate_that_holds(self, run: Run, certificate: Path, server_side: ssl.SSLContext) -> None:
        async def scenario() -> None:
            trusting = ssl.create_default_context(cafile=certificate)
            async with greeter(tls=server_side) as port:
                assert await greeting("localhost", port, tls=trusting) == b"hello 127.0.0.1"

        run(scenario())

    def test_with_a_certificate_of_nobody_known(self, run: Run, server_side: ssl.SSLContext) -> None:
        async def scenario() -> None:
            async with greeter(tls=server_side) as port:
                error = await failure_of(greeting("localhost", port, tls=ssl.create_default_context()))
                assert error.failure is DialFailure.TLS_FAILED
                assert "certificate does not hold" in str(error)

        run(scenario())

    def test_with_a_certificate_of_another_name(self, run: Run, certificate: Path, server_side: ssl.SSLContext) -> None:
        async def scenario() -> None:
            trusting = ssl.create_default_context(cafile=certificate)
            async with greeter(tls=server_side) as port:
                error = await failure_of(greeting("127.0.0.1", port, tls=trusting))
                assert error.failure is DialFailure.TLS_FAILED
                assert "IP address mismatch" in str(error)

        run(scenario())

    def test_with_a_port_that_speaks_something_else(self, run: Run) -> None:
        async def scenario() -> None:
            async with greeter() as port:
                error = await failure_of(greeting("127.0.0.1", port, tls=ssl.create_default_context()))
                assert error.failure is DialFailure.TLS_FAILED
                assert "what it speaks is not TLS" in str(error)

        run(scenario())

    def test_with_a_port_that_hangs_up(self, run: Run) -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.transport.abort()

        async def scenario() -> None:
            server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                error = await failure_of(greeting("127.0.0.1", port, tls=ssl.create_default_context()))
                assert error.failure is DialFailure.TLS_FAILED
                assert "hung up in the handshake" in str(error)

        run(scenario())

    def test_with_a_port_that_says_nothing(self, run: Run) -> None:
        async def scenario() -> None:
            with socket.create_server(("127.0.0.1", 0)) as silent:
                dialled = dial_stream(
                    "127.0.0.1", silent.getsockname()[1], timeout=0.1, tls=ssl.create_default_context()
                )
                assert (await failure_of(dialled)).failure is DialFailure.TIMED_OUT

        run(scenario())
