"""ASGI applications as handlers: Starlette, FastAPI, Django and whatever else is an ASGI 3.0 application, in the worker's own loop.

An application runs as a task of its own from its first line (`core/tasks_at_once.py`), but one that answers without waiting costs no task, no
future and no queue: its answer is at hand when `handle` has called it. Everything else waits for what `asgi_exchange.Exchange` says.

Nobody's application runs for ever unseen. When its client goes away it is told, and has a time of grace; what it still does after a whole
answer (a background task) is its own affair until the worker ends.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, CancelledError, Task, TimerHandle, wait
from collections.abc import Callable, Coroutine
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, cast

from netlodge.core.contracts import Clock
from netlodge.core.tasks_at_once import TasksAtOnce
from netlodge.http.handlers.asgi_exchange import (
    EXTENSIONS,
    EXTENSIONS_WITH_TRAILERS,
    Exchange,
    Host,
    takes_trailers,
)
from netlodge.http.handlers.asgi_scope import AsgiApplication, AsgiMessage, AsgiReceive, AsgiSend, ScopeMaker
from netlodge.http.message import Handler, Request, Response
from netlodge.http.rules.websocket import is_websocket_handshake

logger = logging.getLogger("netlodge.applications")

MOST_ABANDONED = 1000
"""Applications of one route that may still run for clients that went away. One more, and the oldest is cancelled at once."""
SECONDS_TO_END = 1.0
"""How long a cancelled application has to end."""


class Asgi:
    """One application on one route of one worker."""

    def __init__(
        self,
        application: AsgiApplication,
        name: str,
        *,
        grace: float,
        scopes: ScopeMaker,
        clock: Clock,
        loop: AbstractEventLoop,
        websocket: Handler | None = None,
    ) -> None:
        """`name` is what the log calls it; `grace` is how many seconds it may go on after its client went away. `scopes` makes its scopes,
        `websocket` answers its WebSocket handshakes."""
        self._application = cast(
            Callable[[AsgiMessage, AsgiReceive, AsgiSend], Coroutine[Any, Any, None]],
            application if is_called_as_coroutine(application) else partial(_called, application),
        )
        self._name = name
        self._grace = grace
        self._scopes = scopes
        self._loop = loop
        self._websocket = websocket
        self._tasks = TasksAtOnce(loop)
        self._host = Host(name, clock, loop, self._abandon)
        self._running: set[Task[None]] = set()
        self._abandoned: dict[Task[None], float] = {}
        """When the time of each is over, in that order, on the loop's clock."""
        self._sweep: TimerHandle | None = None

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError`: 500 if the application fails or ends without an answer, and what the request's content calls for."""
        names = request.fields.names
        if "upgrade" in names and self._websocket is not None and is_websocket_handshake(request):
            return await self._websocket.handle(request)
        exchange = Exchange(request, self._host)
        scope = self._scopes.scope_of(request)
        scope["type"] = "http"
        scope["method"] = request.method
        scope["scheme"] = request.scheme
        has_trailers = "te" in names and takes_trailers(request)
        scope["extensions"] = EXTENSIONS_WITH_TRAILERS.copy() if has_trailers else EXTENSIONS.copy()
        work = self._application(scope, exchange.receive, exchange.send)
        try:
            task = self._tasks.start(work, exchange.ended)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # a SystemExit of one request is no reason to end the worker
            exchange.ended(error)
            return exchange.answer()
        if task is not None:
            await self._wait(exchange, task)
        elif not exchange.is_over:
            exchange.ended(None)
        return exchange.answer()

    async def _wait(self, exchange: Exchange, task: Task[None]) -> None:
        """Wait for an application that has to wait itself, until it has begun to answer."""
        self._running.add(task)
        task.add_done_callback(self._forget)
        exchange.goes_on_as(task)
        try:
            await exchange.ready()
        except CancelledError:
            exchange.leave()
            raise

    async def finish(self, patience: float) -> None:
        """Let the applications that still run end for `patience` seconds; cancel those that do not."""
        self._tasks.close()
        if self._sweep is not None:
            self._sweep.cancel()
        if self._running:
            _, late = await wait(self._running, timeout=patience)
            for task in late:
                logger.warning("%s still runs as the worker ends: cancelled", self._name)
                task.cancel()
            if late:
                await wait(late, timeout=SECONDS_TO_END)

    # --- applications without a client -------------------------------------------------------------------------------------

    def _abandon(self, task: Task[None]) -> None:
        """Nobody waits for what `task` does."""
        if task.done():
            return
        self._abandoned[task] = self._loop.time() + self._grace
        if len(self._abandoned) > MOST_ABANDONED:
            oldest = next(iter(self._abandoned))
            del self._abandoned[oldest]
            oldest.cancel()
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._grace, self._cut_off)

    def _cut_off(self) -> None:
        """Cancel those whose time is over. Who goes on nevertheless is cancelled again."""
        now = self._loop.time()
        self._sweep = None
        for task, deadline in tuple(self._abandoned.items()):
            if deadline > now:
                self._sweep = self._loop.call_at(deadline, self._cut_off)
                return
            logger.warning("%s still ran %g s after its client went away: cancelled", self._name, self._grace)
            del self._abandoned[task]
            task.cancel()
            self._abandon(task)

    def _forget(self, task: Task[None]) -> None:
        self._running.discard(task)
        self._abandoned.pop(task, None)


def is_called_as_coroutine(target: object) -> bool:
    """Whether calling `target` makes a coroutine, and does nothing else yet: it is a coroutine function, or an object with one to call it by."""
    while isinstance(target, partial):
        target = target.func
    if isinstance(target, type):
        return False
    return iscoroutinefunction(target) or iscoroutinefunction(getattr(target, "__call__", None))  # noqa: B004


async def _called(application: AsgiApplication, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
    """Call within the task and its context what may do something when it is called."""
    await application(scope, receive, send)
