"""Clients that mean no good: every malformed message that we know of, made-up octets, and clients that take all the time there is.

Each gets the protocol's own answer and its end; nobody else notices.
"""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Iterator

import pytest

from tests.e2e.http_client import Answer, BrokenAnswerError, Client, request
from tests.e2e.lodge import SITE, Lodge, until
from tests.http.malformed import MALFORMED_REQUESTS, Malformed, chunked

PAGE = b"x" * 1024
BIG = bytes(32 << 20)
QUICK = f"""
[limits]
head_timeout = "1 s"
idle_timeout = "1 s"
body_grace = "1 s"
send_timeout = "1 s"
linger_timeout = "1 s"
{SITE}"""


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with Lodge({"index.html": PAGE}, workers=1) as lodge:
        yield lodge


@pytest.fixture(scope="module")
def witness(lodge: Lodge) -> Iterator[Client]:
    """Somebody on the same worker who has no part in any of this."""
    with Client(lodge.port()) as client:
        yield client


def statuses(case: Malformed) -> set[int]:
    """What may be answered. Nothing here takes content; so a fault in it is often met only after the answer was given."""
    return {case.status, 405} if case.octets.startswith(chunked(b"")) else {case.status}


def refusal(lodge: Lodge, case: Malformed, size: int) -> Answer:
    """The one answer to the octets, sent `size` at a time, after which the connection must end without a reset."""
    with Client(lodge.port()) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(case.octets), size):
            client.send(case.octets[start : start + size])
        answer = client.receive()
        assert client.rest() == b""
        return answer


def id_of(case: Malformed) -> str:
    return f"{case.section}: {case.name}"


class TestMalformedMessages:
    @pytest.mark.parametrize("case", MALFORMED_REQUESTS, ids=id_of)
    def test_are_refused_once_and_cost_nobody_else_anything(
        self, lodge: Lodge, witness: Client, case: Malformed
    ) -> None:
        answer = refusal(lodge, case, 1 << 20)
        assert answer.status in statuses(case)
        if answer.status == case.status:
            assert answer.closes
            assert answer.fields["content-type"].startswith("text/plain")
            assert case.setting.encode() in answer.body
        assert witness.ask().body == PAGE

    @pytest.mark.parametrize("case", [case for case in MALFORMED_REQUESTS if len(case.octets) < 200], ids=id_of)
    def test_are_refused_octet_by_octet_too(self, lodge: Lodge, witness: Client, case: Malformed) -> None:
        assert refusal(lodge, case, 1).status in statuses(case)
        assert witness.ask().body == PAGE

    def test_hide_nothing_behind_a_good_one(self, lodge: Lodge) -> None:
        """What stands behind a message whose end is in doubt is never answered."""
        for case in MALFORMED_REQUESTS:
            with Client(lodge.port()) as client:
                client.send(request() + case.octets + request("/smuggled") * 2)
                assert client.receive().body == PAGE
                assert client.receive().status in statuses(case)
                assert client.rest() == b"", id_of(case)

    def test_are_counted(self) -> None:
        with Lodge({"index.html": PAGE}, workers=1) as lodge:
            for case in MALFORMED_REQUESTS[:10]:
                refusal(lodge, case, 1 << 20)
            until(lambda: lodge.metric("netlodge_http_bad_messages_total", door="web") == 10, "ten bad messages")
            assert lodge.metric("netlodge_defects_total") == 0


class TestMadeUpOctets:
    def test_get_an_answer_of_ours_or_none(self, lodge: Lodge, witness: Client) -> None:
        chance = random.Random(9112)
        for number in range(500):
            with Client(lodge.port()) as client:
                octets = made_up(chance, number)
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    client.send(octets)
                    client.sock.shutdown(socket.SHUT_WR)
                    said = client.rest()
                    assert said == b"" or said.startswith(b"HTTP/1.1 "), octets
            if number % 50 == 0:
                assert witness.ask().body == PAGE
        assert witness.ask().body == PAGE
        assert lodge.metric("netlodge_defects_total") == 0


def made_up(chance: random.Random, number: int) -> bytes:
    """Pure noise, or a message with some octets gone wrong."""
    if number % 4 == 0:
        return chance.randbytes(chance.randrange(1, 3000))
    octets = bytearray(chance.choice(MALFORMED_REQUESTS).octets[:4000] if number % 2 else request("/a?b=c", "X: y") * 3)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(octets) + 1)
        octets[at : at + chance.randrange(3)] = chance.choice(
            [b"", b"\r\n", b"\0", b" ", b":", b"\xff", b"\r", b"\n", b"0"]
        )
    return bytes(octets)


@pytest.fixture(scope="module")
def quick() -> Iterator[Lodge]:
    with Lodge({"index.html": PAGE, "big.bin": BIG}, QUICK, workers=1) as lodge:
        yield lodge


class TestClientsThatTakeTheirTime:
    def test_with_a_head_are_told_and_closed(self, quick: Lodge) -> None:
        with Client(quick.port()) as client:
            octets = iter(request("/", "X: " + "y" * 10_000))
            answer = until(lambda: dribble(client, octets), "an answer")
            assert answer.status == 408
            assert answer.closes
            assert b"limits.head_timeout" in answer.body
            assert client.rest() == b""

    def test_with_the_head_of_a_later_request_are_told_and_closed(self, quick: Lodge) -> None:
        with Client(quick.port()) as client:
            assert client.ask().status == 200
            client.send(request()[:30])
            answer = client.receive()
            assert answer.status == 408
            assert client.is_ended()

    def test_with_nothing_are_closed_without_a_word(self, quick: Lodge) -> None:
        with Client(quick.port()) as silent, Client(quick.port()) as resting:
            assert resting.ask().status == 200
            assert silent.rest() == b""
            assert resting.rest() == b""

    def test_with_empty_lines_are_told_and_closed(self, quick: Lodge) -> None:
        with Client(quick.port()) as client:
            client.send(b"\r\n")
            assert client.rest()[:13] in {b"", b"HTTP/1.1 408 "}

    @pytest.mark.parametrize("fields", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
    def test_with_content_that_nobody_wants_are_answered_and_closed(self, quick: Lodge, fields: str) -> None:
        with Client(quick.port()) as client:
            client.send(request("/", fields, method="POST"))
            assert client.receive().status == 405
            octets = iter(b"1\r\nx\r\n" * 5000)
            until(lambda: is_over(client, octets), "an end")

    def test_with_reading_are_cut(self, quick: Lodge) -> None:
        with Client(quick.port(), receive_buffer=65536) as client:
            client.send(request("/big.bin"))
            client.receive_head()
            until(lambda: quick.metric("netlodge_connections_open", door="web") == 0, "the end of the connection")
            with pytest.raises((BrokenAnswerError, ConnectionResetError)):
                client.take(len(BIG))

    def test_with_reading_remembered_answers_are_cut(self, quick: Lodge) -> None:
        with Client(quick.port(), receive_buffer=65536) as client:
            client.sock.setblocking(False)
            with contextlib.suppress(OSError):
                for _ in range(200_000):
                    client.send(request() * 10)
            until(lambda: quick.metric("netlodge_connections_open", door="web") == 0, "the end of the connection")

    def test_but_do_read_are_not(self, quick: Lodge) -> None:
        """Longer than `limits.send_timeout` in all, but never so long without taking anything."""
        with Client(quick.port(), receive_buffer=65536) as client:
            client.send(request("/big.bin"))
            client.receive_head()
            began, taken = time.monotonic(), 0
            while time.monotonic() - began < 2.5:
                client.take(1 << 14)
                taken += 1 << 14
                until(lambda: quick.metric("netlodge_connections_open", door="web") == 1, "its connection open")
            client.take(len(BIG) - taken)
            assert client.ask().body == PAGE

    def test_all_at_once_slow_nobody(self, quick: Lodge) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(Client(quick.port())).send(b"GET / HTTP/1.1\r\nHost: ")
            with Client(quick.port()) as client:
                client.sock.settimeout(2.0)
                for _ in range(50):
                    assert client.ask().body == PAGE
            until(
                lambda: quick.metric("netlodge_http_incomplete_total", outcome="timeout") >= 200,
                "the end of all of them",
            )


def dribble(client: Client, octets: Iterator[int]) -> Answer | None:
    """Send one more octet; the answer if there is one already."""
    client.send(bytes([next(octets)]))
    client.sock.settimeout(0.05)
    try:
        return client.receive()
    except TimeoutError:
        return None
    finally:
        client.sock.settimeout(20.0)


def is_over(client: Client, octets: Iterator[int]) -> bool:
    """Send one more octet; whether the connection has ended."""
    client.sock.settimeout(0.05)
    try:
        client.send(bytes([next(octets)]))
        return client.sock.recv(1) == b""
    except TimeoutError:
        return False
    except (ConnectionResetError, BrokenPipeError):
        return True
