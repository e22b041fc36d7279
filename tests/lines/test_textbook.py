"""The unmodified clients of a networking course, as programs of their own, against the services on real sockets and both loops."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.lines.serving import loopback, serve_datagrams, serve_stream

PROGRAMS = Path(__file__).parent / "textbook"
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


async def start(program: str, *arguments: str) -> Process:
    # A program of a course, on a machine whose own charset need not be UTF-8.
    return await asyncio.create_subprocess_exec(
        sys.executable, "-X", "utf8", str(PROGRAMS / program), *arguments, stdin=PIPE, stdout=PIPE
    )


async def output_of(program: str, port: int, typed: str) -> str:
    client = await start(program, str(port))
    output, _ = await client.communicate(typed.encode())
    assert client.returncode == 0
    return output.decode()


class TestOverTcp:
    @pytest.mark.parametrize(
        ("service", "typed", "shown"),
        [
            ("uppercase", "hello, world", "HELLO, WORLD"),
            ("uppercase", "grüße aus köln", "GRÜSSE AUS KÖLN"),
            ("echo", "hello", "hello"),
            ("count", "a banana", "3"),
        ],
    )
    def test_a_sentence_without_a_newline_is_answered(self, run: Run, service: str, typed: str, shown: str) -> None:
        async def scenario() -> None:
            listening = loopback(socket.SOCK_STREAM)
            port = listening.getsockname()[1]
            async with serve_stream(service, [listening]):
                assert await output_of("tcp_client.py", port, typed) == f"From Server: {shown}\n"

        run(scenario())

    @pytest.mark.parametrize(
        ("service", "typed", "shown"),
        [
            ("uppercase", ["one", "zwölf", "three"], ["ONE", "ZWÖLF", "THREE"]),
            ("count", ["a banana", "n banana"], ["3", "2"]),
        ],
    )
    def test_more_sentences_on_the_same_connection_are_answered(
        self, run: Run, service: str, typed: list[str], shown: list[str]
    ) -> None:
        async def scenario() -> None:
            listening = loopback(socket.SOCK_STREAM)
            port = listening.getsockname()[1]
            async with serve_stream(service, [listening]):
                output = await output_of("tcp_conversation.py", port, "\n".join(typed))
            assert output.splitlines() == [f"From Server: {answer}" for answer in shown]

        run(scenario())

    def test_a_client_that_asks_nothing_is_told_the_time(self, run: Run) -> None:
        async def scenario() -> None:
            listening = loopback(socket.SOCK_STREAM)
            async with serve_stream("daytime", [listening]):
                reader, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
                writer.write(b"hello\r\n" * 1000)
                assert (await reader.read()).endswith(b"-UTC\r\n")
                writer.close()
                await writer.wait_closed()

        run(scenario())


class TestOverUdp:
    def test_a_sentence_is_answered(self, run: Run) -> None:
        async def scenario() -> None:
            bound = loopback(socket.SOCK_DGRAM)
            port = bound.getsockname()[1]
            async with serve_datagrams("uppercase", [bound]):
                client = await start("udp_client.py", str(port), "5")
                output, _ = await client.communicate("hello\ngrüße".encode())
            assert output.decode().splitlines() == ["HELLO", "GRÜSSE"]

        run(scenario())

    def test_a_client_that_was_there_before_the_server_loses_its_first_datagram_only(self, run: Run) -> None:
        async def scenario() -> None:
            reserved = loopback(socket.SOCK_DGRAM)
            port = reserved.getsockname()[1]
            reserved.close()
            client = await start("udp_client.py", str(port), "0.3")
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(b"too early\n")
            assert await client.stdout.readline() == b"(lost)\n"
            async with serve_datagrams("uppercase", [loopback(socket.SOCK_DGRAM, port)]):
                client.stdin.write(b"in time\n")
                assert await client.stdout.readline() == b"IN TIME\n"
                client.stdin.close()
                assert await client.wait() == 0

        run(scenario())
