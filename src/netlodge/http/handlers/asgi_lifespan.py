"""The lifespan of an ASGI application in one worker: its startup before the first request, its shutdown after the last.

ASGI 3.0, lifespan protocol 2.0. An application that does not know the protocol says so by an exception, or by returning at once: then there is
no startup and no shutdown, and nothing is wrong.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from netlodge.core.errors import NetlodgeError
from netlodge.http.handlers.asgi_scope import ASGI_VERSION, AsgiApplication, AsgiMessage

logger = logging.getLogger("netlodge.applications")

SPEC_VERSION = "2.0"
SECONDS_TO_END = 1.0
"""How long an application that was cancelled has to end."""


class Lifespan:
    """One application's. `name` is what errors and the log call it; `timeout` seconds are for either end of it."""

    def __init__(self, application: AsgiApplication, name: str, *, timeout: float) -> None:
        self._application = application
        self._name = name
        self._timeout = timeout
        self.state: dict[str, Any] = {}
        """What the startup leaves for the requests (`scope["state"]`)."""
        self._messages: asyncio.Queue[AsgiMessage] = asyncio.Queue()
        self._answers: asyncio.Queue[AsgiMessage] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Raises `NetlodgeError`, a sentence, if the application says that it failed, or says nothing in time."""
        scope = {
            "type": "lifespan",
            "asgi": {"version": ASGI_VERSION, "spec_version": SPEC_VERSION},
            "state": self.state,
        }
        task = asyncio.create_task(self._run(scope), name=f"lifespan of {self._name}")
        answer = await self._answer_to("lifespan.startup", task)
        if answer is None and not task.done():
            await _end(task, 0)
            raise NetlodgeError(
                f"{self._name}: its startup took longer than limits.app_start_timeout, {self._timeout:g} s."
            )
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await _end(task, SECONDS_TO_END)
            raise NetlodgeError(f"{self._name}: its startup failed: {_last_line(answer.get('message', ''))}")
        if answer is not None:  # else it does not know the protocol
            self._task = task

    async def shutdown(self) -> None:
        """Raises nothing: what goes wrong is written to the log."""
        task = self._task
        if task is None or task.done():
            return
        answer = await self._answer_to("lifespan.shutdown", task)
        if answer is None and not task.done():
            logger.warning("%s: its shutdown took longer than %g s: cancelled", self._name, self._timeout)
            await _end(task, 0)
        elif answer is not None and answer["type"] == "lifespan.shutdown.failed":
            logger.error("%s: its shutdown failed: %s", self._name, _last_line(answer.get("message", "")))
        await _end(task, SECONDS_TO_END)

    async def _run(self, scope: dict[str, Any]) -> None:
        try:
            await self._application(scope, self._messages.get, self._take)
        except Exception as error:
            # "If an exception is raised when calling the application callable with a lifespan.startup message or a scope of type lifespan, the
            # server must continue but not send any lifespan events."
            logger.debug("%s: its lifespan ended with an exception", self._name, exc_info=error)

    async def _take(self, message: AsgiMessage) -> None:
        self._answers.put_nowait(message)

    async def _answer_to(self, event: str, task: asyncio.Task[None]) -> AsgiMessage | None:
        """Send an event and wait for its answer; None if the application ended without one, or the time is over."""
        self._messages.put_nowait({"type": event})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait({answer, task}, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None


async def _end(task: asyncio.Task[None], patience: float) -> None:
    """Let an application end by itself for `patience` seconds; cancel it if it does not."""
    _, late = await asyncio.wait({task}, timeout=patience)
    if late:
        task.cancel()
        await asyncio.wait({task}, timeout=SECONDS_TO_END)


def _last_line(message: str) -> str:
    """Frameworks send the whole traceback; its last line is what went wrong."""
    lines = [line.strip() for line in str(message).splitlines() if line.strip()]
    return lines[-1] if lines else "it does not say why."
