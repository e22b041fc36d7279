"""One exchange with a server that may do anything: RFC 9112 §6.3, §7, §8, §9; RFC 9110 §10.1.1, §15.2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from netlodge.http.client.content import Octets, Stream
from netlodge.http.client.direct import Direct
from netlodge.http.client.errors import (
    ClientError,
    ClosedError,
    Phase,
    ProtocolError,
    RequestError,
    SlowError,
    TruncatedError,
    UploadError,
)
from netlodge.http.client.exchanges import ClientRequest
from netlodge.http.client.h1 import INTERIM_COUNT, READ_AHEAD
from netlodge.http.message import Fields
from tests.http.client.scripted import Peer, Run, body_of, once, pooled, run, says, serving, to, until

__all__ = ["run"]

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"


# --- RFC 9112 §6.3 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [SIZED, CHUNKED, UNTIL_CLOSE], ids=["sized", "chunked", "until close"])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_body_is_read_however_it_ends_and_comes(run: Run, answer: bytes, step: int) -> None:
    async def slow(peer: Peer) -> None:
        await peer.request()
        for place in range(0, len(answer), step):
            await peer.send(answer[place : place + step])
            await asyncio.sleep(0)

    async def scenario() -> None:
        async with serving(slow) as server, pooled() as (_, direct):
            response = await direct.send(to(server, "/a?b"))
            assert (response.status, response.reason, response.version) == (200, "OK", "1.1")
            assert await body_of(response) == b"hello"
            assert await response.read() == b""
            assert (response.trailers is not None) == (answer is CHUNKED)
            assert server.heads == [f"GET /a?b HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode()]

    run(scenario())


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n'),
    ],
)
def test_a_head_can_be_all(run: Run, method: str, answer: bytes) -> None:
    async def scenario() -> None:
        async with serving(says(answer)) as server, pooled() as (pool, direct):
            for _ in range(2):
                response = await direct.send(to(server, method=method))
                assert await body_of(response) == b""
            assert pool.open_count == len(server.peers) == 1

    run(scenario())


# --- RFC 9112 §8 ------------------------------------------------------------------------------------------------------


async def _failure_of(direct: Direct, request: ClientRequest) -> ClientError | None:
    """Why there was no whole answer; None if there was."""
    try:
        await body_of(await direct.send(request))
    except ClientError as error:
        return error
    return None


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("answer", [SIZED, CHUNKED, UNTIL_CLOSE], ids=["sized", "chunked", "until close"])
def test_an_answer_that_ends_early_is_never_taken_for_whole(run: Run, answer: bytes, is_reset: bool) -> None:
    head_size = answer.index(b"\r\n\r\n") + 4
    cuts = range(0, len(answer), 3) if is_reset else range(len(answer))

    async def scenario() -> None:
        for cut in cuts:

            async def script(peer: Peer, cut: int = cut) -> None:
                await peer.request()
                await peer.send(answer[:cut])
                if is_reset:
                    peer.reset()

            async with serving(script) as server, pooled() as (pool, direct):
                error = await _failure_of(direct, to(server))
                if isinstance(error, TruncatedError):
                    assert cut >= head_size or is_reset
                    assert error.missing == (5 - error.received if answer is SIZED else None)
                    if answer is SIZED and not is_reset:
                        assert error.missing == len(answer) - cut
                        assert f"{error.missing} octets are missing" in str(error)
                elif isinstance(error, ClosedError):
                    assert cut < head_size or is_reset
                    assert error.was_sent
                    assert error.was_answered == (cut > 0) or is_reset
                else:
                    assert error is None
                    assert answer is UNTIL_CLOSE
                    assert cut >= head_size
                    assert not is_reset
                assert pool.open_count == 0

    run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        b"hello, this is no HTTP at all\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 40000,
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(run: Run, answer: bytes) -> None:
    async def stays(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.ended()

    async def scenario() -> None:
        async with serving(stays) as server, pooled() as (pool, direct):
            with pytest.raises(ProtocolError, match="localhost"):
                await direct.send(to(server))
            assert pool.open_count == 0
            assert len(server.peers) == 1

    run(scenario())


@pytest.mark.parametrize(
    "chunks", [b"x\r\n", b"5\r\nhelloX\r\n", b"5\nhello\r\n", b"-1\r\n", b"0" * 40 + b"\r\n", b"5;" + b"a" * 40000]
)
def test_a_broken_chunk_ends_the_body_with_an_error(run: Run, chunks: bytes) -> None:
    async def stays(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", chunks)
        await peer.ended()

    async def scenario() -> None:
        async with serving(stays) as server, pooled() as (pool, direct):
            response = await direct.send(to(server))
            with pytest.raises(ProtocolError):
                await body_of(response)
            assert pool.open_count == 0

    run(scenario())


def test_what_follows_an_answer_unasked_is_nobodys(run: Run) -> None:
    async def scenario() -> None:
        async with (
            serving(says(SIZED + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")) as server,
            pooled() as (_, direct),
        ):
            for _ in range(3):
                assert await body_of(await direct.send(to(server))) == b"hello"
            assert len(server.peers) == 3

    run(scenario())


# --- RFC 9110 §15.2 ---------------------------------------------------------------------------------------------------


def test_interim_answers_are_passed_on_and_100_is_not(run: Run) -> None:
    told: list[tuple[int, Fields]] = []

    async def scenario() -> None:
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
        async with serving(once(interim, SIZED)) as server, pooled() as (_, direct):
            request = to(server)
            request.inform = lambda status, fields: told.append((status, fields))
            assert await body_of(await direct.send(request)) == b"hello"

    run(scenario())
    assert told == [(103, Fields([("link", "</a>; rel=preload")]))]


def test_a_flood_of_interim_answers_ends(run: Run) -> None:
    async def flood(peer: Peer) -> None:
        await peer.request()
        while True:
            await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")

    async def scenario() -> None:
        async with serving(flood) as server, pooled() as (_, direct):
            with pytest.raises(ProtocolError, match=str(INTERIM_COUNT)):
                await direct.send(to(server))

    run(scenario())


# --- Time -------------------------------------------------------------------------------------------------------------


async def _in_time(seconds: float, *pieces: bytes) -> None:
    """Sweep after `seconds` of the pool's time, when the server has sent `pieces`."""
    has_sent = asyncio.Event()

    async def drips(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)
        has_sent.set()
        await peer.ended()

    async with serving(drips) as server, pooled() as (pool, direct):

        async def ask() -> bytes:
            return await body_of(await direct.send(to(server, times={"head": 30.0, "body": 20.0})))

        asking = asyncio.create_task(ask())
        await has_sent.wait()
        now = asyncio.get_running_loop().time
        while pool.open_count and not asking.done():
            pool.sweep(now())
            pool.sweep(now() + seconds)
            await asyncio.sleep(0)
        await asking


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 200 OK\r\n", b"A: a\r\n", b"B")])
def test_a_head_that_drips_does_not_last_for_ever(run: Run, pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(SlowError, match=r"30 seconds .* did not answer") as caught:
        run(_in_time(31, *pieces))
    assert caught.value.phase is Phase.HEAD


def test_a_body_that_stops_is_given_up(run: Run) -> None:
    with pytest.raises(SlowError, match=r"20 seconds .* middle") as caught:
        run(_in_time(21, SIZED[:-1]))
    assert caught.value.phase is Phase.BODY


def test_all_of_it_can_have_one_time(run: Run) -> None:
    async def stays(peer: Peer) -> None:
        await peer.request()
        await peer.send(SIZED[:-1])
        await peer.ended()

    async def scenario() -> None:
        async with serving(stays) as server, pooled() as (_, direct):
            response = await direct.send(to(server))
            response.deadline = asyncio.get_running_loop().time() + 0.01
            with pytest.raises(SlowError, match="was not done"):
                await body_of(response)

    run(scenario())


# --- RFC 9112 §9.5: answers before the request ends -------------------------------------------------------------------


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(65536)


@pytest.mark.parametrize("ends", ["closes", "stays", "resets"])
def test_an_early_refusal_ends_the_upload_and_is_the_answer(run: Run, ends: str) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(100_000)
        await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        if ends == "stays":
            await peer.ended()
        # Closing with octets unread resets the connection, as many servers do by mistake.

    async def scenario() -> None:
        async with serving(refuse) as server, pooled() as (pool, direct):
            response = await direct.send(to(server, method="PUT", content=Stream(_endless())))
            assert response.status == 413
            assert await body_of(response) == b"no"
            assert pool.open_count == 0

    run(scenario())


def test_an_early_answer_that_is_no_refusal_lets_the_upload_go_on(run: Run) -> None:
    """As an echo does: both bodies flow at once."""
    pieces = [b"%06d" % number for number in range(500)]
    turn = asyncio.Semaphore(1)

    async def talk() -> AsyncIterator[bytes]:
        for piece in pieces:
            await turn.acquire()
            yield piece

    async def echo(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(await peer.reader.readuntil(b"\r\n"), 16):
            piece = (await peer.reader.readexactly(size + 2))[:-2]
            await peer.send(b"%x\r\n%b\r\n" % (size, piece))
        await peer.reader.readexactly(2)
        await peer.send(b"0\r\n\r\n")
        await peer.answer(SIZED)

    async def scenario() -> None:
        async with serving(echo) as server, pooled() as (_, direct):
            response = await direct.send(to(server, method="POST", content=Stream(talk())))
            heard = []
            async for piece in response:
                heard.append(piece)
                turn.release()
            assert b"".join(heard) == b"".join(pieces)
            assert await body_of(await direct.send(to(server))) == b"hello"
            assert len(server.peers) == 1

    run(scenario())


def test_an_upload_is_finished_after_an_answer_that_ended_first(run: Run) -> None:
    may_go_on = asyncio.Event()

    async def talk() -> AsyncIterator[bytes]:
        yield b"first"
        await may_go_on.wait()
        yield b"second"

    async def answer_first(peer: Peer) -> None:
        await peer.head()
        await peer.send(SIZED)
        assert await peer.reader.readuntil(b"0\r\n\r\n") == b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
        await peer.answer(SIZED)

    async def scenario() -> None:
        async with serving(answer_first) as server, pooled(limits=None) as (pool, direct):
            response = await direct.send(to(server, method="POST", content=Stream(talk())))
            assert await body_of(response) == b"hello"
            assert pool.resting_count == 0
            may_go_on.set()
            await until(lambda: pool.resting_count)
            assert await body_of(await direct.send(to(server))) == b"hello"
            assert len(server.peers) == 1

    run(scenario())


def test_a_server_that_ends_its_side_without_an_answer_has_not_answered(run: Run) -> None:
    async def half_close(peer: Peer) -> None:
        await peer.request()
        peer.writer.write_eof()
        await peer.ended()

    async def scenario() -> None:
        async with serving(half_close) as server, pooled() as (_, direct):
            with pytest.raises(ClosedError, match="without an answer"):
                await direct.send(to(server))

    run(scenario())


# --- RFC 9110 §10.1.1 -------------------------------------------------------------------------------------------------

EXPECT = [("expect", "100-continue")]


def test_content_waits_for_100_continue(run: Run) -> None:
    async def wants_it(peer: Peer) -> None:
        await peer.head()
        assert not peer.reader._buffer  # type: ignore[attr-defined]
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await peer.reader.readexactly(4) == b"data"
        await peer.send(SIZED)

    async def scenario() -> None:
        async with serving(wants_it) as server, pooled() as (_, direct):
            request = to(server, method="PUT", content=Octets(b"data"), fields=EXPECT, times={"go_on": 15.0})
            assert await body_of(await direct.send(request)) == b"hello"

    run(scenario())


def test_content_does_not_wait_for_ever(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server, pooled() as (_, direct):
            request = to(server, method="PUT", content=Octets(b"data"), fields=EXPECT, times={"go_on": 0.01})
            assert await body_of(await direct.send(request)) == b"hello"
            assert server.peers[0].content == b"data"

    run(scenario())


def test_content_that_is_refused_beforehand_is_not_sent(run: Run) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        assert not await peer.reader.read()

    async def scenario() -> None:
        async with serving(refuse) as server, pooled() as (_, direct):
            request = to(server, method="PUT", content=Octets(b"data"), fields=EXPECT, times={"go_on": 15.0})
            assert (await direct.send(request)).status == 403

    run(scenario())


def test_an_expectation_that_fails_is_dropped(run: Run) -> None:
    async def fail(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")

    async def scenario() -> None:
        async with serving(fail, says(SIZED)) as server, pooled() as (_, direct):
            request = to(server, method="PUT", content=Octets(b"data"), fields=EXPECT, times={"go_on": 15.0})
            assert (await direct.send(request)).status == 200
            assert b"xpect" not in server.peers[1].heads[0]
            assert server.peers[1].content == b"data"

    run(scenario())


# --- What is sent -----------------------------------------------------------------------------------------------------


def test_content_is_sized_or_chunked_and_named(run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b""
        yield b"two"

    async def scenario() -> None:
        async with serving(says(SIZED)) as server, pooled() as (_, direct):
            await body_of(await direct.send(to(server, method="POST", content=Octets(b"x" * 200_000, "text/plain"))))
            assert server.peers[0].content == b"x" * 200_000
            await body_of(await direct.send(to(server, method="POST", content=Stream(pieces()))))
            assert server.peers[0].content == b"onetwo"
            await body_of(await direct.send(to(server, method="POST")))
            sized, chunked, none = server.heads
            assert b"\r\nContent-Type: text/plain\r\nContent-Length: 200000\r\n" in sized
            assert b"\r\nTransfer-Encoding: chunked\r\n" in chunked
            assert b"\r\nContent-Length: 0\r\n" in none

    run(scenario())


@pytest.mark.parametrize("length", [2, 4])
def test_content_that_is_not_as_long_as_announced_breaks_the_request_off(run: Run, length: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"

    async def stays(peer: Peer) -> None:
        await peer.ended()

    async def scenario() -> None:
        async with serving(stays) as server, pooled() as (pool, direct):
            with pytest.raises(UploadError, match=r"octets (longer|shorter)"):
                await direct.send(to(server, method="PUT", content=Stream(pieces(), length)))
            assert pool.open_count == 0

    run(scenario())


@pytest.mark.parametrize(
    "request_",
    [{"fields": [("a", "b\r\nc: d")]}, {"fields": [("a b", "c")]}, {"method": "G T"}, {"fields": [("a", "\u20ac")]}, {"fields": [("host", "a b")]}],
)  # fmt: skip
def test_what_cannot_stand_in_a_message_never_leaves(run: Run, request_: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server, pooled() as (_, direct):
            with pytest.raises(RequestError):
                await direct.send(to(server, **request_))
            assert await body_of(await direct.send(to(server))) == b"hello"
            assert len(server.heads) == 1

    run(scenario())


# --- Backpressure, giving up, other protocols -------------------------------------------------------------------------


def test_what_is_not_read_is_not_taken(run: Run) -> None:
    sent = 0

    async def pour(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.writer.transport.set_write_buffer_limits(high=0)
        while True:
            await peer.send(bytes(1 << 16))
            sent += 1 << 16

    async def scenario() -> None:
        async with serving(pour) as server, pooled() as (_, direct):
            response = await direct.send(to(server))
            before = -1
            while before != sent:
                before = sent
                for _ in range(200):
                    await asyncio.sleep(0)
            exchange = response.exchange
            assert exchange is not None
            assert exchange.received < READ_AHEAD + (1 << 19)
            assert len(await response.read()) > 0
            response.close()
            with pytest.raises(ClientError):
                await response.read()

    run(scenario())


def test_an_answer_that_is_given_up_costs_its_connection_unless_little_is_left(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server, pooled() as (pool, direct):
            await (await direct.send(to(server))).give_up()
            assert pool.resting_count == 1
        large = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000)
        async with serving(says(large)) as server, pooled() as (pool, direct):
            await (await direct.send(to(server))).give_up()
            assert pool.open_count == 0

    run(scenario())


def test_whoever_is_cancelled_leaves_no_connection_in_doubt(run: Run) -> None:
    async def stays(peer: Peer) -> None:
        await peer.request()
        await peer.ended()

    async def scenario() -> None:
        async with serving(stays) as server, pooled() as (pool, direct):
            asking = asyncio.create_task(direct.send(to(server)))
            await until(lambda: server.heads)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert pool.open_count == 0

    run(scenario())


def test_an_upgrade_hands_the_stream_over(run: Run) -> None:
    class Other:
        def __init__(self) -> None:
            self.heard = b""

        def receive_data(self, data: bytes) -> None:
            self.heard += data

        def receive_eof(self) -> None:
            pass

        def connection_lost(self, error: Exception | None) -> None:
            pass

        def sweep(self, now: float) -> None:
            pass

        def retire(self, *, at_once: bool) -> None:
            pass

    async def switch(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst")
        assert await peer.reader.readexactly(4) == b"ping"
        await peer.send(b"pong")
        await peer.ended()

    async def scenario() -> None:
        async with serving(switch) as server, pooled() as (pool, direct):
            response = await direct.send(to(server, fields=[("upgrade", "x")]))
            assert response.status == 101
            connection, octets = response.take_stream()
            assert octets == b"first"
            assert pool.open_count == 0
            session = connection.session = Other()
            connection.resume_reading()
            connection.write(b"ping")
            await until(lambda: session.heard == b"pong")
            connection.close()
            await asyncio.sleep(0)

    run(scenario())


def test_an_answer_that_does_not_switch_hands_nothing_over(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server, pooled() as (_, direct):
            with pytest.raises(ClientError, match="did not switch"):
                (await direct.send(to(server))).take_stream()

    run(scenario())
