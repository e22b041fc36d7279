"""Coroutines that run at once, each as a task of its own from its first line: what asyncio and AnyIO need of a task holds for them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

import anyio
import pytest
import uvloop

from netlodge.core.tasks_at_once import TasksAtOnce

Scenario = Callable[[TasksAtOnce], Coroutine[Any, Any, None]]
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Runs a scenario on each kind of loop."""

    def run_on_loop(scenario: Scenario) -> None:
        async def main() -> None:
            await asyncio.wait_for(scenario(TasksAtOnce(asyncio.get_running_loop())), 20)

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main())

    return run_on_loop


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


# --- At once ------------------------------------------------------------------------------------------------------------


def test_what_need_not_wait_is_over_at_once(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        done: list[str] = []

        async def work() -> None:
            done.append("ran")

        assert tasks.start(work()) is None
        assert done == ["ran"]

    run(scenario)


def test_an_exception_before_the_first_wait_is_raised_here(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        async def work() -> None:
            raise ValueError("at once")

        with pytest.raises(ValueError, match="at once"):
            tasks.start(work())
        outer = asyncio.current_task()
        assert outer is not None
        assert tasks.start(asyncio.sleep(0)) is not None

    run(scenario)


def test_the_current_task_is_the_callers_again_afterwards(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        outer = asyncio.current_task()
        seen: list[object] = []

        async def work() -> None:
            seen.append(asyncio.current_task())

        tasks.start(work())
        assert asyncio.current_task() is outer
        assert seen[0] is not outer

    run(scenario)


def test_it_runs_from_a_callback_without_a_task(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        loop = asyncio.get_running_loop()
        seen: list[object] = []

        async def work() -> None:
            seen.append(asyncio.current_task())

        def callback() -> None:
            tasks.start(work())
            seen.append(asyncio.current_task())

        loop.call_soon(callback)
        await turns()
        assert isinstance(seen[0], asyncio.Task)
        assert seen[1] is None

    run(scenario)


# --- The same task before and after the first wait ------------------------------------------------------------------------


def test_the_current_task_stays_the_same_over_a_wait(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        gate = asyncio.get_running_loop().create_future()
        seen: list[object] = []

        async def work() -> None:
            seen.append(asyncio.current_task())
            await gate
            seen.append(asyncio.current_task())

        for _ in range(2):  # a task that was made just now, and one that waited already
            gate = asyncio.get_running_loop().create_future()
            task = tasks.start(work())
            await turns()
            gate.set_result(None)
            assert task is not None
            await task
        assert seen[0] is seen[1]
        assert seen[2] is seen[3]
        assert seen[0] is not seen[2]

    run(scenario)


def test_what_it_waits_for_gives_its_result_and_its_error(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        seen: list[object] = []

        async def work() -> None:
            seen.append(await first)
            try:
                await second
            except KeyError:
                seen.append("caught")

        task = tasks.start(work())
        first.set_result(42)
        await turns()
        second.set_exception(KeyError("x"))
        assert task is not None
        await task
        assert seen == [42, "caught"]

    run(scenario)


def test_giving_others_their_turn_is_a_wait(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        order: list[str] = []

        async def work(name: str) -> None:
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

        started = [tasks.start(work(name)) for name in "ab"]
        await asyncio.gather(*(task for task in started if task is not None))
        assert order == ["a", "b", "a", "b"]

    run(scenario)


def test_who_is_told_of_the_end_is_told_what_was_raised(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        told: list[object] = []

        async def work(error: Exception | None) -> None:
            await asyncio.sleep(0)
            if error:
                raise error

        defect = ValueError("late")
        for error in (None, defect):
            task = tasks.start(work(error), told.append)
            assert task is not None
            await task
        assert told == [None, defect]

    run(scenario)


def test_without_anybody_to_be_told_the_task_has_the_exception(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            raise ValueError("late")

        task = tasks.start(work())
        assert task is not None
        with pytest.raises(ValueError, match="late"):
            await task

    run(scenario)


# --- Cancelling --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns_before", [0, 1, 3])
def test_a_cancelled_task_cancels_what_it_waits_for(run: Callable[[Scenario], None], turns_before: int) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        gate = asyncio.get_running_loop().create_future()
        seen: list[str] = []

        async def work() -> None:
            try:
                await gate
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        await_parked = tasks.start(work())
        assert await_parked is not None
        await turns(turns_before)
        await_parked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await await_parked
        assert seen == ["cancelled"]
        assert gate.cancelled()

    run(scenario)


def test_a_task_that_cancels_itself_learns_of_it_where_it_waits(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[str] = []

        async def work(wait: Callable[[], Any]) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            seen.append("goes on")
            try:
                await wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
            assert task.uncancel() == 0

        loop = asyncio.get_running_loop()
        for wait in (loop.create_future, lambda: asyncio.sleep(0)):
            for _ in range(2):
                task = tasks.start(work(wait))
                assert task is not None
                await task
                await turns()
        assert seen == ["goes on", "cancelled"] * 4

    run(scenario)


def test_what_refuses_to_be_cancelled_does_not_keep_the_task(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        over = asyncio.get_running_loop().create_future()

        class Stubborn:
            """Waits for a future that is over already, as code written in C may."""

            def __await__(self) -> Generator[Any, Any, None]:
                over._asyncio_future_blocking = True
                yield over

        async def work() -> None:
            over.set_result(None)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await Stubborn()

        task = tasks.start(work())
        assert task is not None
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario)


def test_a_cancelled_task_in_waiting_is_replaced(run: Callable[[Scenario], None]) -> None:
    """As a program does that cancels all tasks but its own."""

    async def scenario(tasks: TasksAtOnce) -> None:
        async def work() -> None:
            assert asyncio.current_task() is not None

        tasks.start(work())
        await turns()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task() and "work" not in repr(task.get_coro()):
                task.cancel()
        tasks.start(work())
        later = tasks.start(asyncio.sleep(0))
        assert later is not None
        await later

    with suppress(asyncio.CancelledError):  # wait_for's own task is among them on Python 3.11
        run(scenario)


# --- Scopes that take hold of the current task -----------------------------------------------------------------------------


def test_asyncio_timeout_ends_what_takes_too_long(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[str] = []

        async def work(seconds: float) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await asyncio.get_running_loop().create_future()
            except TimeoutError:
                seen.append("timeout")

        for seconds in (0, 0.001):
            task = tasks.start(work(seconds))
            assert task is not None
            await task
        assert seen == ["timeout", "timeout"]

    run(scenario)


def test_asyncio_timeout_that_nothing_waits_in_leaves_no_trace(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[asyncio.Task[Any] | None] = []

        async def work() -> None:
            async with asyncio.timeout(60):  # noqa: ASYNC100  nothing waits: that is the point
                pass

        async def look() -> None:
            seen.append(asyncio.current_task())

        tasks.start(work())
        tasks.start(look())
        assert seen[0] is not None
        assert seen[0].cancelling() == 0

    run(scenario)


def test_an_asyncio_task_group_ends_with_its_children(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[object] = []

        async def child(value: int) -> None:
            await asyncio.sleep(0)
            seen.append(value)

        async def failing() -> None:
            await asyncio.sleep(0)
            raise ValueError("child")

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(child(1))
                group.create_task(child(2))
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(failing())
                    await asyncio.get_running_loop().create_future()
            except* ValueError:
                seen.append("failed")

        task = tasks.start(work())
        assert task is not None
        await task
        assert seen == [1, 2, "failed"]

    run(scenario)


def test_anyio_scopes_and_task_groups_hold(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[object] = []

        async def work() -> None:
            with anyio.CancelScope() as scope:  # noqa: ASYNC100  nothing waits: that is the point
                pass
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anyio.sleep_forever()
            seen.append(scope.cancelled_caught)
            with anyio.move_on_after(0.001) as scope:
                await anyio.sleep_forever()
            seen.append(scope.cancelled_caught)
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0)
            with anyio.CancelScope() as outer:
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep_forever)
                    outer.cancel()
            seen.append(outer.cancelled_caught)
            seen.append(await anyio.to_thread.run_sync(lambda: "thread"))

        task = tasks.start(work())
        assert task is not None
        await task
        assert seen == [True, True, True, "thread"]

    run(scenario)


def test_a_cancelled_anyio_scope_before_the_first_wait_ends_the_wait(run: Callable[[Scenario], None]) -> None:
    """How Starlette asks whether the client is gone."""

    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[object] = []

        async def work() -> None:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await asyncio.get_running_loop().create_future()
            seen.append(scope.cancelled_caught)
            await asyncio.sleep(0)
            seen.append("goes on")

        for _ in range(2):
            task = tasks.start(work())
            assert task is not None
            await task
        assert seen == [True, "goes on"] * 2

    run(scenario)


def test_anyio_finds_its_loop_and_task_where_there_was_none(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[object] = []

        async def work() -> None:
            seen.append(anyio.get_current_task().id == id(asyncio.current_task()))
            seen.append(anyio.current_time() > 0)

        asyncio.get_running_loop().call_soon(tasks.start, work())
        await turns()
        assert seen == [True, True]

    run(scenario)


# --- Nobody finds the traces of another ---------------------------------------------------------------------------------------


def test_each_has_a_context_of_its_own(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
        variable.set("outer")
        seen: list[str] = []

        async def work(value: str) -> None:
            seen.append(variable.get())
            variable.set(value)
            await asyncio.sleep(0)
            seen.append(variable.get())

        async def quick(value: str) -> None:
            seen.append(variable.get())
            variable.set(value)

        tasks.start(quick("quick"))
        tasks.start(quick("again"))
        started = [tasks.start(work(value)) for value in ("a", "b")]
        await asyncio.gather(*(task for task in started if task is not None))
        assert seen == ["outer"] * 4 + ["a", "b"]
        assert variable.get() == "outer"

    run(scenario)


def mark_by_name(task: asyncio.Task[Any]) -> None:
    task.set_name("mine")


def mark_by_attribute(task: asyncio.Task[Any]) -> None:
    task.request = "mine"  # type: ignore[attr-defined]


def mark_by_cancelling(task: asyncio.Task[Any]) -> None:
    task.cancel()


KEPT: list[object] = []
MARKS = [mark_by_name, mark_by_attribute, mark_by_cancelling, KEPT.append, lambda task: KEPT.append(weakref.ref(task))]


@pytest.mark.parametrize("mark", MARKS, ids=["name", "attribute", "cancel", "reference", "weak reference"])
def test_a_task_that_somebody_left_a_mark_on_serves_nobody_else(
    run: Callable[[Scenario], None], mark: Callable[[asyncio.Task[Any]], None]
) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[int] = []
        names: list[str] = []

        async def work(*, marks: bool) -> None:
            task = asyncio.current_task()
            assert task is not None
            seen.append(id(task))
            names.append(task.get_name())
            if marks:
                mark(task)

        tasks.start(work(marks=False))
        tasks.start(work(marks=False))
        assert seen[0] == seen[1], "one that leaves no mark is used again"
        tasks.start(work(marks=True))
        gc.collect()
        tasks.start(work(marks=False))
        assert seen[3] not in seen[:3]
        assert "mine" not in names

    run(scenario)
    KEPT.clear()


def test_a_callback_of_the_task_is_called_when_its_work_is_over(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[str] = []

        async def work() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(lambda task: seen.append("over"))

        tasks.start(work())
        tasks.start(work())
        await turns()
        assert seen == ["over", "over"]

    run(scenario)


def test_one_that_starts_another_keeps_its_own_task(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        seen: list[object] = []

        async def inner() -> None:
            seen.append(asyncio.current_task())

        async def outer() -> None:
            before = asyncio.current_task()
            tasks.start(inner())
            seen.append(asyncio.current_task() is before)
            seen.append(before)

        tasks.start(outer())
        assert seen[1] is True
        assert seen[0] is not seen[2]

    run(scenario)


# --- Its end -------------------------------------------------------------------------------------------------------------------


def test_closing_lets_the_task_in_waiting_end(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        async def work() -> None:
            pass

        before = asyncio.all_tasks()
        tasks.start(work())
        await turns()
        assert len(asyncio.all_tasks()) == len(before) + 1
        tasks.close()
        tasks.close()
        await turns()
        assert asyncio.all_tasks() == before
        tasks.start(work())

    run(scenario)


def test_who_looks_at_a_task_finds_its_coroutine(run: Callable[[Scenario], None]) -> None:
    async def scenario(tasks: TasksAtOnce) -> None:
        gate = asyncio.get_running_loop().create_future()

        async def work() -> None:
            await gate

        task = tasks.start(work())
        assert task is not None
        steps: Any = task.get_coro()
        assert inspect.getcoroutinestate(steps) == inspect.CORO_SUSPENDED
        assert steps.cr_code is work.__code__
        assert steps.cr_frame.f_code is work.__code__
        assert steps.cr_await is not None
        assert task.get_stack()
        with pytest.raises(TypeError, match="not awaited"):
            steps.__await__()
        task.cancel()
        await turns()

    run(scenario)


def test_a_loop_that_ends_closes_what_still_waits(run: Callable[[Scenario], None]) -> None:
    cleaned: list[str] = []

    async def scenario(tasks: TasksAtOnce) -> None:
        async def work() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                cleaned.append("cleaned")

        scenario.kept = tasks.start(work())  # type: ignore[attr-defined]

    run(scenario)
    assert cleaned == ["cleaned"]
