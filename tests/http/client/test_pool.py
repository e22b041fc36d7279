"""Connections that are kept: RFC 9112 §9.3 (persistence), §9.3.1 (retrying), §9.4 (how many), §9.5 (closed while idle)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from netlodge.http.client.content import Octets, Stream
from netlodge.http.client.errors import ClosedError, Phase, SlowError
from netlodge.http.client.pool import PoolLimits
from netlodge.net.dial import DialError, DialFailure
from tests.http.client.scripted import Peer, Run, body_of, once, pooled, run, says, serving, to, until

__all__ = ["run"]

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_a_connection_is_used_again(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server, pooled() as (pool, direct):
            first = await direct.send(to(server))
            await body_of(first)
            second = await direct.send(to(server))
            await body_of(second)
            assert len(server.peers) == 1
            assert first.path is not None
            assert second.path is None
            assert (pool.open_count, pool.resting_count) == (1, 1)

    run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_that_does_not_persist_is_not_kept(run: Run, answer: bytes) -> None:
    async def scenario() -> None:
        async with serving(says(answer)) as server, pooled() as (pool, direct):
            for _ in range(2):
                await body_of(await direct.send(to(server)))
            assert pool.open_count == 0
            assert len(server.peers) == 2

    run(scenario())


def test_no_more_than_the_limit_are_open_and_others_wait_their_turn(run: Run) -> None:
    may_answer = asyncio.Event()

    async def wait(peer: Peer) -> None:
        while await peer.request():
            await may_answer.wait()
            await peer.send(SIZED)

    async def scenario() -> None:
        async with serving(wait) as server, pooled(limits=PoolLimits(per_origin=2)) as (pool, direct):
            asking = [asyncio.create_task(direct.send(to(server))) for _ in range(5)]
            await until(lambda: len(server.heads) == 2)
            assert pool.open_count == 2
            asking.pop().cancel()  # one that waits in the queue
            may_answer.set()
            for response in await asyncio.gather(*asking):
                assert await body_of(response) == b"hello"
            assert len(server.peers) == 2

    run(scenario())


def test_whoever_waits_too_long_for_a_connection_is_told(run: Run) -> None:
    async def stays(peer: Peer) -> None:
        await peer.request()
        await peer.ended()

    async def scenario() -> None:
        async with serving(stays) as server, pooled(limits=PoolLimits(per_origin=1)) as (_, direct):
            asking = asyncio.create_task(direct.send(to(server)))
            await until(lambda: server.heads)
            with pytest.raises(SlowError, match="no connection of the 1 to localhost") as caught:
                await direct.send(to(server, times={"connect": 0.01}))
            assert caught.value.phase is Phase.QUEUE
            assert not caught.value.was_sent
            asking.cancel()
            await asyncio.wait([asking])

    run(scenario())


def test_a_connection_at_rest_is_closed_in_time(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server, pooled(limits=PoolLimits(idle=10.0)) as (pool, direct):
            await body_of(await direct.send(to(server)))
            now = asyncio.get_running_loop().time()
            pool.sweep(now + 9)
            assert pool.resting_count == 1
            pool.sweep(now + 11)
            assert pool.open_count == 0

    run(scenario())


def test_no_more_rest_than_the_limit(run: Run) -> None:
    async def scenario() -> None:
        limits = PoolLimits(idle_count=1)
        async with serving(says(SIZED)) as one, serving(says(SIZED)) as other, pooled(limits=limits) as (pool, direct):
            await body_of(await direct.send(to(one)))
            await body_of(await direct.send(to(other)))
            assert pool.resting_count == pool.open_count == 1
            await body_of(await direct.send(to(other)))
            assert len(other.peers) == 1

    run(scenario())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_was_closed_at_rest_is_noticed_before_it_is_used(run: Run, method: str) -> None:
    """The end is in the kernel, and the loop has not looked yet: even a POST is safe."""

    async def scenario() -> None:
        async with serving(once(SIZED), says(SIZED)) as server, pooled() as (pool, direct):
            await body_of(await direct.send(to(server)))
            link = next(iter(pool._since))
            connection = link.connection
            await until(lambda: not link.is_open or connection.has_news())  # type: ignore[attr-defined]
            response = await direct.send(to(server, method=method, content=None if method == "GET" else Octets(b"x")))
            assert await body_of(response) == b"hello"
            assert len(server.peers) == 2

    run(scenario())


def test_what_comes_unasked_ends_a_connection_at_rest(run: Run) -> None:
    async def tells_more(peer: Peer) -> None:
        await peer.answer(SIZED)
        await asyncio.sleep(0)
        await peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await peer.ended()

    async def scenario() -> None:
        async with serving(tells_more, says(SIZED)) as server, pooled() as (pool, direct):
            await body_of(await direct.send(to(server)))
            await until(lambda: not pool.open_count)
            assert (await direct.send(to(server))).status == 200

    run(scenario())


async def _dies_on_second(peer: Peer) -> None:
    await peer.answer(SIZED)
    await peer.request()
    peer.reset()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_an_idempotent_request_is_sent_again_on_another_connection(run: Run, method: str) -> None:
    async def scenario() -> None:
        head = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with serving(_dies_on_second, says(head)) as server, pooled() as (_, direct):
            await body_of(await direct.send(to(server)))
            content = Octets(b"data") if method == "PUT" else None
            assert (await direct.send(to(server, method=method, content=content))).status == 204
            assert len(server.heads) == 3
            if content is not None:
                assert server.peers[1].content == b"data"

    run(scenario())


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_another_request_is_never_sent_twice(run: Run, method: str) -> None:
    async def scenario() -> None:
        async with serving(_dies_on_second, says(SIZED)) as server, pooled() as (_, direct):
            await body_of(await direct.send(to(server)))
            with pytest.raises(ClosedError):
                await direct.send(to(server, method=method, content=Octets(b"data")))
            assert len(server.peers) == 1

    run(scenario())


def test_a_stream_that_was_begun_is_not_sent_twice(run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"data"

    async def scenario() -> None:
        async with serving(_dies_on_second, says(SIZED)) as server, pooled() as (_, direct):
            await body_of(await direct.send(to(server)))
            with pytest.raises(ClosedError):
                await direct.send(to(server, method="PUT", content=Stream(pieces())))
            assert len(server.peers) == 1

    run(scenario())


def test_a_request_on_a_new_connection_is_not_sent_again(run: Run) -> None:
    async def dies(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async def scenario() -> None:
        async with serving(dies, says(SIZED)) as server, pooled() as (_, direct):
            with pytest.raises(ClosedError):
                await direct.send(to(server))
            assert len(server.peers) == 1

    run(scenario())


def test_a_request_that_was_answered_in_part_is_not_sent_again(run: Run) -> None:
    async def dies(peer: Peer) -> None:
        await peer.answer(SIZED)
        await peer.answer(b"HTTP/1.1 2")
        peer.reset()

    async def scenario() -> None:
        async with serving(dies, says(SIZED)) as server, pooled() as (_, direct):
            await body_of(await direct.send(to(server)))
            with pytest.raises(ClosedError):
                await direct.send(to(server))
            assert len(server.peers) == 1

    run(scenario())


def test_a_refused_connection_leaves_room_for_the_next(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server:
            request = to(server)
        async with pooled(limits=PoolLimits(per_origin=1)) as (pool, direct):
            for _ in range(2):
                with pytest.raises(DialError) as caught:
                    await direct.send(request)
                assert caught.value.failure is DialFailure.REFUSED
            assert pool.open_count == 0
            assert not pool._places

    run(scenario())
