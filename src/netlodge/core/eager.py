"""Run a coroutine at once, and make a task only of one that has to wait.

Most handlers have their answer at hand. A task for each would cost more than the answer itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


def start_eagerly(
    coroutine: Coroutine[Any, Any, T], create_task: Callable[[Coroutine[Any, Any, T]], Any]
) -> Any | None:
    """Run `coroutine` until it ends or first waits.

    Returns None if it ended (its result is dropped; an exception is raised here), else the task, made by `create_task`, that
    goes on with it. Until it first waits there is no current task: what needs one (`asyncio.timeout`, for example) must be
    run in a task of its own.
    """
    try:
        waiting_for = coroutine.send(None)
    except StopIteration:
        return None
    return create_task(continued(coroutine, waiting_for))


def continued(coroutine: Coroutine[Any, Any, T], waiting_for: Any) -> Coroutine[Any, Any, T]:
    """What is left of a coroutine that was started already (`coroutine.send(None)`) and waits for `waiting_for`."""
    return _Rest(coroutine, waiting_for)


class _Rest(Coroutine[Any, Any, T]):
    """The rest of a coroutine.

    Not a generator: what is thrown into a generator that has not begun, as when a task is cancelled before its first step, would never reach
    the coroutine.
    """

    __slots__ = ("_coroutine", "_has_begun", "_waiting_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waiting_for: Any) -> None:
        self._coroutine = coroutine
        self._waiting_for = waiting_for
        self._has_begun = False

    def send(self, value: Any) -> Any:
        if self._has_begun:
            return self._coroutine.send(value)
        self._has_begun = True
        waiting_for, self._waiting_for = self._waiting_for, None
        return waiting_for

    def throw(self, *error: Any) -> Any:
        self._has_begun = True
        self._waiting_for = None
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self  # type: ignore[return-value]  # it has all of one that `await` uses

    def __next__(self) -> Any:
        return self.send(None)
