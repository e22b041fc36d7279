"""The unmodified clients of a networking course against a whole lodge."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.lines
from tests.e2e.http_client import Client
from tests.e2e.lodge import NETLODGE, PATIENCE, Lodge

PROGRAMS = Path(tests.lines.__file__).parent / "textbook"
SERVICES = ("uppercase", "count", "echo", "discard", "daytime")


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with Lodge(only="lines", services=SERVICES) as lodge:
        yield lodge


def textbook(program: str, port: int, *arguments: str) -> list[str]:
    # A program of a course, on a machine whose own charset need not be UTF-8.
    return [sys.executable, "-X", "utf8", str(PROGRAMS / program), str(port), *arguments]


def output_of(command: list[str], typed: str) -> list[str]:
    done = subprocess.run(command, input=typed.encode(), capture_output=True, timeout=PATIENCE, check=True)
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("service", "typed", "shown"),
    [
        ("uppercase", "hello, world", "HELLO, WORLD"),
        ("uppercase", "grüße aus köln", "GRÜSSE AUS KÖLN"),
        ("echo", "hello", "hello"),
        ("count", "a banana", "3"),
    ],
)
def test_a_sentence_without_a_newline_is_answered(lodge: Lodge, service: str, typed: str, shown: str) -> None:
    assert output_of(textbook("tcp_client.py", lodge.port(service)), typed) == [f"From Server: {shown}"]


def test_more_sentences_on_the_same_connection_are_answered(lodge: Lodge) -> None:
    typed = "one\nzwölf\nthree"
    shown = ["From Server: ONE", "From Server: ZWÖLF", "From Server: THREE"]
    assert output_of(textbook("tcp_conversation.py", lodge.port("uppercase")), typed) == shown


def test_a_client_that_was_there_before_the_lodge_loses_its_first_datagram_only() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    client = subprocess.Popen(
        textbook("udp_client.py", port, "0.3"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"too early\n")
        assert client.stdout.readline() == b"(lost)\n"
        with Lodge(only="lines", options=["--set", f"lines.uppercase=127.0.0.1:{port}"]):
            client.stdin.write("in time, grüße\n".encode())
            assert client.stdout.readline().decode() == "IN TIME, GRÜSSE\n"
    finally:
        client.communicate()


def test_netlodge_talk_sends_a_datagram() -> None:
    with Lodge(only="lines", services=["uppercase"]) as lodge:
        command = [NETLODGE, "talk", "--udp", "127.0.0.1", str(lodge.udp_port())]
        assert output_of(command, "hello\n") == ["HELLO"]


def test_netcat_is_answered_and_let_go(lodge: Lodge) -> None:
    command = ["nc", "-N", "-w", "10", "127.0.0.1", str(lodge.port("uppercase"))]
    assert output_of(command, "one\ntwo\n") == ["ONE", "TWO"]


def test_a_character_cut_in_two_comes_out_whole_and_a_broken_one_is_told(lodge: Lodge) -> None:
    with Client(lodge.port("uppercase")) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in "grüße\n".encode():
            client.send(bytes([octet]))
        assert client.take(8).decode() == "GRÜSSE\n"
        client.send(b"\xff\xfe\n")
        assert b"UTF-8" in client.receive_line()
        client.send(b"again\n")
        assert client.receive_line() == b"AGAIN\n"


def test_a_sentence_too_long_is_refused_by_name_and_the_next_one_answered(lodge: Lodge) -> None:
    with Client(lodge.port("count")) as client:
        client.send(b"a" * 70_000 + b"\n")
        assert b"limits.line_size" in client.receive_line()
        client.send(b"a banana\n")
        assert client.receive_line() == b"3\n"
