"""Run a coroutine at once, and make a task only of one that has to wait.

Most handlers have their answer at hand. A task for each would cost more than the answer itself.
"""

from __future__ import annotations

import types
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


@types.coroutine
def continued(coroutine: Coroutine[Any, Any, T], waiting_for: Any) -> Generator[Any, Any, T]:
    """`yield from coroutine`, for a coroutine that was started already (`coroutine.send(None)`) and waits for `waiting_for`."""
    while True:
        try:
            value = yield waiting_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            try:
                waiting_for = coroutine.throw(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
        else:
            try:
                waiting_for = coroutine.send(value)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
