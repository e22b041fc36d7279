"""Coroutines run at once, and as a task only when they wait."""

from __future__ import annotations

import asyncio

import pytest

from netlodge.core.eager import continued, start_eagerly


def no_task(coroutine: object) -> None:
    raise AssertionError("a coroutine that need not wait was made a task")


def test_what_need_not_wait_is_over_at_once() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("ran")

    assert start_eagerly(work(), no_task) is None
    assert done == ["ran"]


def test_an_exception_before_the_first_wait_is_raised_here() -> None:
    async def work() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        start_eagerly(work(), no_task)


def test_what_waits_goes_on_as_a_task_with_its_result() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gate: asyncio.Future[int] = loop.create_future()
        second: asyncio.Future[int] = loop.create_future()
        steps: list[str] = []

        async def work() -> int:
            steps.append("began")
            first = await gate
            steps.append("passed")
            return first + await second

        task = start_eagerly(work(), loop.create_task)
        assert task is not None
        assert steps == ["began"]
        gate.set_result(40)
        second.set_result(2)
        assert await task == 42
        assert steps == ["began", "passed"]

    asyncio.run(scenario())


def test_an_error_of_what_it_waits_for_reaches_the_coroutine() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gate: asyncio.Future[int] = loop.create_future()

        async def work() -> str:
            try:
                await gate
            except KeyError:
                return "caught"
            return "missed"

        task = start_eagerly(work(), loop.create_task)
        assert task is not None
        gate.set_exception(KeyError("x"))
        assert await task == "caught"

    asyncio.run(scenario())


def test_cancelling_reaches_the_coroutine_and_its_cleanup() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        cleaned: list[str] = []

        async def work() -> None:
            try:
                await loop.create_future()
            finally:
                cleaned.append("cleaned")

        task = start_eagerly(work(), loop.create_task)
        assert task is not None
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned == ["cleaned"]

    asyncio.run(scenario())


def test_cancelling_before_the_first_step_reaches_the_coroutine_as_well() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        ends: list[str] = []

        async def within() -> None:
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                ends.append("within")
                raise

        async def work() -> None:
            coroutine = within()
            try:
                await continued(coroutine, coroutine.send(None))
            finally:
                ends.append("around")

        task = start_eagerly(work(), loop.create_task)
        assert task is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ends == ["within", "around"]

    asyncio.run(scenario())


def test_a_task_that_is_never_awaited_closes_its_coroutine() -> None:
    cleaned: list[str] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        async def work() -> None:
            try:
                await loop.create_future()
            finally:
                cleaned.append("cleaned")

        rests: list[object] = []
        start_eagerly(work(), rests.append)
        rest = rests.pop()
        rest.send(None)  # type: ignore[attr-defined]
        rest.close()  # type: ignore[attr-defined]

    asyncio.run(scenario())
    assert cleaned == ["cleaned"]
