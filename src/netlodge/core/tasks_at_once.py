"""Run coroutines at once, each as a task of its own, and pay for a task only when one of them has to wait.

`core.eager` runs a coroutine at once too, but without a current task until it first waits. Code of others needs one from its first line:
`asyncio.timeout`, `asyncio.TaskGroup` and AnyIO's scopes take hold of `asyncio.current_task()` and compare or cancel it later. So here a real
task is made beforehand and kept **in waiting**: parked on a future of its own. A coroutine runs as that task's first step, under the task's
name and in a context of its own. If it ends without waiting, the task is as it was and serves the next one; if it waits, the task is woken
to go on with it, and another takes its place.

`asyncio.tasks._enter_task` and `_leave_task` are what the documentation of asyncio ("Extending") names for who runs tasks in another way. From
Python 3.12 on an eager task does nearly the same, but is made anew each time.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from sys import getrefcount
from typing import Any, Self, cast
from weakref import getweakrefcount

Work = Coroutine[Any, Any, object]
Ended = Callable[[BaseException | None], None]
"""Told of the end of a coroutine that had to wait: what it raised, if it did."""


class _Steps(Coroutine[Any, Any, None]):
    """What a task in waiting runs: nothing, until it is given a coroutine that already waits for something."""

    __slots__ = (
        "_context",
        "_ended",
        "_has_taken_over",
        "_is_awake",
        "_loop",
        "_parking",
        "_waits_for",
        "_work",
        "is_marked",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parking: asyncio.Future[None] | None = None
        self._work: Work | None = None
        self._context: Context | None = None
        self._ended: Ended | None = None
        self._waits_for: Any = None
        self._has_taken_over = False
        self._is_awake = False
        self.is_marked = False
        """True once something was done to the task."""

    def take(self, work: Work, context: Context, waits_for: Any, ended: Ended | None) -> None:
        """From the next turn of the loop on: go on with `work`."""
        self._work = work
        self._context = context
        self._ended = ended
        self._waits_for = waits_for
        self.wake()

    def wake(self) -> None:
        """Go on; without work that is to end."""
        self._is_awake = True
        if self._parking is not None and not self._parking.done():
            self._parking.set_result(None)

    def send(self, value: Any, /) -> Any:
        if self._has_taken_over:
            return self._run(cast(Work, self._work).send, value)
        if self._work is None:
            if self._is_awake:
                raise StopIteration
            self._parking = self._loop.create_future()
            return next(iter(self._parking))  # as `await` does
        self._has_taken_over = True
        waits_for, self._waits_for = self._waits_for, None
        if waits_for is None:  # it let others have their turn, and they had it
            return self._run(self._work.send, None)
        return waits_for

    def throw(self, error: Any, _value: Any = None, _trace: Any = None, /) -> Any:
        if self._work is None:
            raise error
        if not self._has_taken_over:
            # Cancelled while it ran, or since. A task cancels what it waits for, and only if that will not be cancelled itself.
            self._has_taken_over = True
            waits_for, self._waits_for = self._waits_for, None
            if isinstance(error, asyncio.CancelledError) and waits_for is not None and waits_for.cancel():
                return waits_for
        return self._run(self._work.throw, error)

    def close(self) -> None:
        if self._work is not None:
            self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("a task in waiting is not awaited by its coroutine")

    def _run(self, step: Callable[..., Any], argument: Any) -> Any:
        try:
            return cast(Context, self._context).run(step, argument)
        except StopIteration:
            self._tell(None)
            raise
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            if not self._tell(error):
                raise
            raise StopIteration from None

    def _tell(self, error: BaseException | None) -> bool:
        """Tell of the end who is to be told, if anybody is. Who is told often knows the task: nothing is to be left of that circle."""
        ended, self._ended = self._ended, None
        if ended is None:
            return False
        ended(error)
        return True

    # What shows where a task stands (`asyncio.Task.print_stack`, `inspect.getcoroutinestate`) asks its coroutine.

    @property
    def cr_frame(self) -> Any:
        return getattr(self._work, "cr_frame", None)

    @property
    def cr_code(self) -> Any:
        return getattr(self._work, "cr_code", None)

    @property
    def cr_await(self) -> Any:
        return getattr(self._work, "cr_await", None)

    @property
    def cr_running(self) -> bool:
        return bool(getattr(self._work, "cr_running", False))

    @property
    def cr_suspended(self) -> bool:
        return bool(getattr(self._work, "cr_suspended", True))


class _TaskInWaiting(asyncio.Task[None]):
    """Has it noted with its steps when something is done to it that would still show on whoever uses it next."""

    __slots__ = ()

    def _mark(self) -> None:
        cast(_Steps, self.get_coro()).is_marked = True

    def __setattr__(self, name: str, value: object) -> None:
        self._mark()
        super().__setattr__(name, value)

    def cancel(self, msg: Any | None = None) -> bool:
        self._mark()
        return super().cancel(msg)

    def add_done_callback(self, callback: Callable[[Self], object], /, *, context: Context | None = None) -> None:
        self._mark()
        super().add_done_callback(callback, context=context)

    def set_name(self, value: object, /) -> None:
        self._mark()
        super().set_name(value)


class TasksAtOnce:
    """Starts coroutines on one loop, each at once and as a task of its own."""

    __slots__ = ("_loop", "_steps", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._task: _TaskInWaiting | None = None
        self._steps = _Steps(loop)

    def start(self, work: Work, ended: Ended | None = None) -> asyncio.Task[None] | None:
        """Run `work` until it ends or first waits, in a copy of the context. Called on the running loop, from within a task or none.

        Returns None if it ended (an exception is raised here), else the task that goes on with it. The loop holds its tasks weakly: keep
        it. Such a task calls `ended` at the end of `work`, and then has no exception of its own.
        """
        loop, task, steps = self._loop, self._task, self._steps
        if task is None or steps.is_marked:
            steps = _Steps(loop)
            task = _TaskInWaiting(steps, loop=loop)
        self._task = None  # whoever is started meanwhile has another
        context = copy_context()
        known_by = getrefcount(task) + getweakrefcount(task)
        outer = asyncio.current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, task)
        try:
            waits_for = context.run(work.send, None)
        except StopIteration:
            waits_for = steps
        except BaseException:
            steps.wake()
            raise
        finally:
            _leave_task(loop, task)
            if outer is not None:
                _enter_task(loop, outer)
        if waits_for is not steps:
            steps.take(work, context, waits_for, ended)
            return task
        if steps.is_marked or getrefcount(task) + getweakrefcount(task) != known_by:
            steps.wake()  # somebody knows it, and is to see it end
        else:
            self._task, self._steps = task, steps
        return None

    def close(self) -> None:
        """Let the task in waiting end, in the next turn of the loop. Another `start` makes another."""
        if self._task is not None:
            self._steps.wake()
            self._task = None
