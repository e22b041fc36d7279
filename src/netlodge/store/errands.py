"""Work for the database's own threads: what is to be done, who waits for it, and the threads that take it in order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import sqlalchemy

PENDING: Final = object()
"""What an errand has brought while nobody has done it."""


class Severance(Protocol):
    """The means to break off, from another thread, what a connection is waiting for."""

    def cut(self) -> None:
        """Whatever the connection waits for fails soon. Must not raise."""
        ...

    def close(self) -> None:
        """The connection is about to be given back: `cut` has no meaning any more."""
        ...


class Errand:
    """One piece of work, and what came of it: `result`, or `error`. Made on the event loop, done in a thread, settled on the loop."""

    __slots__ = (
        "_lock", "_severance", "began", "commits", "error", "future", "is_of_reachability", "is_reading", "result", "timer", "work",
    )  # fmt: skip

    def __init__(
        self,
        work: Callable[[sqlalchemy.Connection], Any],
        future: asyncio.Future[Any] | None,
        began: float,
        *,
        is_reading: bool = False,
    ) -> None:
        """`future` is for who waits on the loop; None: whoever does the errand has it at hand. `began` in monotonic seconds."""
        self.work = work
        self.future = future
        self.began = began
        self.is_reading = is_reading
        self.result: Any = PENDING
        self.error: BaseException | None = None
        self.commits = 0
        """1 in one of the errands of a transaction that was committed."""
        self.is_of_reachability = False
        """Whether `error` says that the server could not be reached."""
        self.timer: asyncio.TimerHandle | None = None
        self._severance: Severance | None = None
        self._lock = threading.Lock()

    @property
    def is_given_up(self) -> bool:
        """Nobody waits any more, as the time is over or who waited was cancelled: it is not to be begun, and not to be committed."""
        return self.future is not None and self.future.done()

    @property
    def is_done(self) -> bool:
        return self.error is not None or self.result is not PENDING

    def begin(self, severance: Severance) -> None:
        """In the thread: from here to `finish`, `sever` breaks the connection off."""
        with self._lock:
            self._severance = severance

    def finish(self) -> None:
        with self._lock:
            if self._severance is not None:
                self._severance.close()
            self._severance = None

    def sever(self) -> None:
        """On the loop: let the thread go that does this errand, if one still does."""
        with self._lock:
            if self._severance is not None:
                self._severance.cut()


class Lane:
    """Threads that take what waits, oldest first, up to `batch` errands at once. They are started when there is work for them, and end
    with the process: a thread that hangs in a dead server keeps nobody from leaving."""

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        batch: int,
        perform: Callable[[Sequence[Errand]], None],
        settle: Callable[[Sequence[Errand]], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`perform` is called in a thread and gives every errand an outcome; `settle` is then called with them on the loop."""
        self._name = name
        self._most = threads
        self._batch = batch
        self._perform = perform
        self._settle = settle
        self._loop = loop
        self._waiting: deque[Errand] = deque()
        self._condition = threading.Condition()
        self._idle = 0
        self._threads = 0
        self._is_closing = False
        self._closed = loop.create_future()

    def put(self, errand: Errand) -> None:
        with self._condition:
            self._waiting.append(errand)
            if self._idle >= len(self._waiting) or self._threads == self._most:
                self._condition.notify()
                return
            self._threads += 1
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def take_back(self) -> list[Errand]:
        """What nobody has begun, and nobody will."""
        with self._condition:
            waiting = list(self._waiting)
            self._waiting.clear()
        return waiting

    async def close(self, patience: float) -> None:
        """Return when all that was put is done, or after `patience` seconds."""
        with self._condition:
            self._is_closing = True
            self._condition.notify_all()
            if not self._threads:
                return
        await asyncio.wait([self._closed], timeout=patience)

    def _run(self) -> None:
        while errands := self._take():
            self._perform(errands)
            self._tell(self._settle, errands)
        with self._condition:
            self._threads -= 1
            is_last = not self._threads
        if is_last:
            self._tell(self._end)

    def _take(self) -> list[Errand]:
        with self._condition:
            self._idle += 1
            while not self._waiting and not self._is_closing:
                self._condition.wait()
            self._idle -= 1
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch))]

    def _end(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        # The loop is closed when the worker was in a hurry to end; then nobody waits either.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)
