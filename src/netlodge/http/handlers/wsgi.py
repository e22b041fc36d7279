"""WSGI applications as handlers: Flask, Django and whatever else is called by PEP 3333, in a pool of threads beside the worker's loop.

Each request has a thread for as long as its application runs. The thread fills a small buffer, the loop empties it as the client takes it;
when the buffer is full the thread waits, and when the client is gone it is told by an `OSError`. A thread cannot be ended from outside: so
there are `threads` of them and no more, `queue` requests may wait for one, and the next is told to come back later (503).

PEP 3333; RFC 9110 §15.6.4 (503), §10.2.3 (Retry-After), §6.4.1 (answers without content).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from asyncio import AbstractEventLoop, CancelledError
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import Condition
from types import TracebackType
from typing import Any

from netlodge.core.contracts import Clock
from netlodge.http.handlers.application_answers import (
    BUFFER,
    NOT_ITS_OWN,
    ClientGoneError,
    Nothing,
    ProtocolError,
    announced_length,
    has_no_content,
    remember_answer,
)
from netlodge.http.handlers.wsgi_environ import Environ, FileWrapper, Input, environ_of
from netlodge.http.message import BodyError, Fields, FileBody, HttpError, Request, Response

logger = logging.getLogger("netlodge.applications")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApplication = Callable[[Environ, StartResponse], Iterable[bytes]]

RETRY_AFTER = "1"
"""Seconds after which a client may come back when all threads are taken."""


class Threads:
    """The threads of one worker in which WSGI applications run."""

    def __init__(self, threads: int, queue: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="wsgi")
        self._most = threads + queue
        self._taken: set[Future[None]] = set()

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` in the next free thread. Raises `HttpError` 503 if too many wait already. Called on the loop.

        Who went away meanwhile keeps the place: else those who come and go could make the queue as long as they like."""
        if len(self._taken) >= self._most:
            # Those that ended since are only known to their threads.
            self._taken = {future for future in self._taken if not future.done()}
        if len(self._taken) >= self._most:
            raise HttpError(
                503,
                "The application is busy; try again in a moment.",
                setting="limits.app_queue",
                fields=[("retry-after", RETRY_AFTER)],
            )
        future = self._pool.submit(copy_context().run, work)
        self._taken.add(future)

    async def finish(self, patience: float) -> None:
        """Let what runs end for `patience` seconds. What still runs then ends with the process."""
        running = [asyncio.wrap_future(future) for future in self._taken if not future.done()]
        if running:
            _, late = await asyncio.wait(running, timeout=patience)
            if late:
                logger.warning("%d WSGI request(s) still run as the worker ends", len(late))
        self._pool.shutdown(wait=False, cancel_futures=True)


class Wsgi:
    """One application on one route of one worker. `name` is what the log calls it."""

    __slots__ = ("_application", "_clock", "_loop", "_name", "_threads")

    def __init__(
        self, application: WsgiApplication, name: str, *, threads: Threads, clock: Clock, loop: AbstractEventLoop
    ) -> None:
        self._application = application
        self._name = name
        self._threads = threads
        self._clock = clock
        self._loop = loop

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError`: 500 if the application fails, 503 if too many requests wait, and what the request's content calls for."""
        call = Call(self._application, self._name, request, self._loop)
        self._threads.submit(call.run)
        try:
            await call.ready()
        except CancelledError:
            call.leave()
            raise
        return call.answer(self._clock)


class Call:
    """One call of an application: `run` in its thread, the rest on the loop. What both touch is guarded by `_shared`."""

    def __init__(self, application: WsgiApplication, name: str, request: Request, loop: AbstractEventLoop) -> None:
        self._application = application
        self._name = name
        self._request = request
        self._loop = loop
        self._shared = Condition()
        # The thread's alone.
        self._head: tuple[int, Fields] | None = None
        self._announced: int | None = None
        self._sent = 0
        self._is_list = False
        """True if all content came at once."""
        # Shared.
        self._status = 0
        self._fields = Fields()
        self._pieces: list[bytes] = []
        self._octets = 0
        self._file: FileBody | None = None
        self._is_begun = False
        """True once the head may leave."""
        self._is_over = False
        self._has_failed = False
        self._is_gone = False
        self._is_awaited = False
        self._refusal: HttpError | BodyError | None = None
        """What was wrong with the request's content."""
        # The loop's alone.
        self._waiter: asyncio.Future[None] | None = None

    # --- in the thread ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Call the application and pass on what it gives. Raises nothing of its own."""
        if self._is_gone:
            return
        try:
            self._run()
        except BaseException as error:  # a SystemExit of one request is no reason to end the worker
            self._failed(error)
        else:
            with self._shared:
                self._is_begun = self._is_over = True
                self._tell()

    def _run(self) -> None:
        wsgi_input = Input(self._next_piece, self._request.body.length)
        result = self._application(environ_of(self._request, wsgi_input), self._start_response)
        try:
            if isinstance(result, FileWrapper) and self._send_file(result):
                return
            if isinstance(result, list | tuple):
                self._is_list = True
                result = (b"".join(result),)
            for piece in result:
                self._write(piece)
                if self._is_begun and self._is_bodiless:
                    break  # nothing of the rest would be sent
            if self._head is None:
                raise ProtocolError("it ended without calling start_response")
            self._begin()
            self._check_length()
        finally:
            # "If the iterable returned by the application has a close() method, the server or gateway must call that method upon completion
            # of the current request, whether the request was completed normally, or terminated early".
            if hasattr(result, "close"):
                result.close()

    @property
    def _is_bodiless(self) -> bool:
        return self._head is not None and has_no_content(self._request.method, self._head[0])

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self._is_begun:  # "if exc_info is provided, and the HTTP headers have already been sent, start_response must raise an error"
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # else the traceback would keep this frame alive
        elif self._head is not None:
            raise ProtocolError("start_response was called a second time without exc_info")
        code = status[:3] if isinstance(status, str) else ""
        if not (code.isascii() and code.isdigit() and 200 <= int(code) <= 999):
            raise ProtocolError(f'the status of an answer must be a text such as "200 OK", not {status!r:.100}')
        pairs = []
        for name, value in headers:
            if not (isinstance(name, str) and isinstance(value, str)):
                raise ProtocolError(f"headers must be pairs of text, not {(name, value)!r:.200}")
            lower = name.lower()
            if lower not in NOT_ITS_OWN:
                pairs.append((lower, value))
            elif lower == "connection" and value.strip().lower() == "close":
                pairs.append((lower, "close"))
        fields = Fields(pairs)
        self._announced = announced_length(fields)
        self._head = int(code), fields
        return self._write_now

    def _write_now(self, piece: bytes) -> None:
        """The `write` of PEP 3333, for applications of old."""
        self._write(piece)

    def _write(self, piece: bytes) -> None:
        if not isinstance(piece, bytes):
            raise ProtocolError(f"content must be bytes, not {type(piece).__name__}")
        if not piece:
            return
        if self._head is None:
            raise ProtocolError("content came before start_response was called")
        self._sent += len(piece)
        is_bodiless = self._is_bodiless
        if self._announced is not None and self._sent > self._announced and not is_bodiless:
            raise ProtocolError(f"the content is longer than the {self._announced} octets of Content-Length")
        if self._is_list:
            self._check_length()
        self._begin()
        if is_bodiless and not self._is_list:
            return
        with self._shared:
            self._pieces.append(piece)
            self._octets += len(piece)
            # All of it is there: what the application still does (its close) need not be waited for.
            if self._is_list or self._sent == self._announced:
                self._is_over = True
            self._tell()
            while self._octets >= BUFFER and not self._is_gone and not is_bodiless and not self._is_over:
                self._shared.wait()
            if self._is_gone:
                raise ClientGoneError("the client went away")

    def _check_length(self) -> None:
        if self._announced is not None and self._sent < self._announced and not self._is_bodiless:
            raise ProtocolError(f"the content has {self._sent} octets of the {self._announced} of Content-Length")

    def _begin(self) -> None:
        """The head may leave: "the application can replace it until the first non-empty block"."""
        if self._is_begun or self._head is None:
            return
        with self._shared:
            self._status, self._fields = self._head
            self._is_begun = True

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Leave a real file to the kernel. False for what is none, and for an answer that does not take one."""
        fileno = getattr(wrapper.filelike, "fileno", None)
        tell = getattr(wrapper.filelike, "tell", None)
        if self._head is None or self._is_begun or self._is_bodiless or fileno is None or tell is None:
            return False
        try:
            descriptor, offset = fileno(), tell()
            status = os.fstat(descriptor)
        except (OSError, ValueError):
            return False
        left = status.st_size - offset
        length = left if self._announced is None else self._announced
        if not stat.S_ISREG(status.st_mode) or not 0 <= length <= left:
            return False
        file = FileBody(os.dup(descriptor), [(offset, length)])
        with self._shared:
            if self._is_gone:
                os.close(file.descriptor)
                return True
            self._status, self._fields = self._head
            self._file = file
            self._is_begun = self._is_over = True
            self._tell()
        return True

    def _next_piece(self) -> bytes:
        """The next piece of the request's content, for the application."""
        if self._is_gone:
            raise ClientGoneError("the client went away")
        try:
            return asyncio.run_coroutine_threadsafe(self._request.body.read(), self._loop).result()
        except (BodyError, HttpError) as error:
            with self._shared:
                self._refusal = error
                self._is_gone = True
                self._tell()
            raise ClientGoneError(str(error)) from error
        except BaseException as error:
            raise ClientGoneError("the request ended") from error

    def _failed(self, error: BaseException) -> None:
        with self._shared:
            was_told, is_whole = self._is_gone, self._is_over
            self._has_failed = not is_whole
            self._tell()
        if was_told and isinstance(error, ClientGoneError):
            return
        after = ", after its client went away" if was_told else ", after its answer was whole" if is_whole else ""
        request = self._request
        logger.log(
            # What a vanished client brings about is not worth a line each time: anyone can vanish as often as they like.
            logging.DEBUG if was_told else logging.ERROR,
            "%s failed answering %s %s%s",
            self._name,
            request.method,
            request.target,
            after,
            exc_info=error,
        )

    def _tell(self) -> None:
        """Have the loop look, if it waits. Called with `_shared` held."""
        if self._is_awaited:
            self._is_awaited = False
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._wake)

    # --- on the loop -----------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, is_there: Callable[[], Any]) -> None:
        """Wait until `is_there`, which is asked with `_shared` held."""
        while True:
            with self._shared:
                if is_there():
                    return
                self._is_awaited = True
                self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def ready(self) -> None:
        """Wait until there is an answer, the beginning of one, or a failure."""
        await self._wait(lambda: (self._is_begun and (self._pieces or self._is_over)) or self._is_done)

    @property
    def _is_done(self) -> bool:
        return self._has_failed or self._is_gone

    def answer(self, clock: Clock) -> Response:
        """The answer as far as it is there; once `ready`. Raises `HttpError` if there is none, and `BodyError` if there is nobody to have it."""
        request = self._request
        with self._shared:
            if self._refusal is not None:
                raise self._refusal
            if self._has_failed or not self._is_begun:
                raise HttpError(500, "The application failed while it made this answer; the log says why.")
            status, fields = self._status, self._fields
            if self._file is not None:
                file, self._file = self._file, None
                return Response(status, fields, file)
            if has_no_content(request.method, status):
                return Response(status, fields, self._bodiless())
            if self._is_over:
                content = b"".join(self._pieces)
                return Response(
                    status, fields, content, remember=remember_answer(clock, request, status, fields, len(content))
                )
        return Response(status, fields, Content(self))

    def _bodiless(self) -> bytes | Nothing:
        if "content-length" in self._fields or self._status in {204, 304}:
            return b""
        return b"".join(self._pieces) if self._is_over and self._pieces else Nothing()

    async def take(self) -> bytes:
        """All content that waits, once there is some; `b""` at the end. The thread may go on. Raises `ConnectionAbortedError` if the
        application will not: that is in its own log line already."""
        await self._wait(lambda: self._pieces or self._is_over or self._is_done)
        with self._shared:
            if not self._pieces and not self._is_over:
                raise ConnectionAbortedError("the application broke its answer off")
            content = b"".join(self._pieces)
            self._pieces.clear()
            self._octets = 0
            self._shared.notify_all()
            return content

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        with self._shared:
            self._is_gone = True
            self._pieces.clear()
            if self._file is not None:
                os.close(self._file.descriptor)
                self._file = None
            self._shared.notify_all()
        self._wake()


class Content:
    """Implements `message.Chunks`: the content of an answer that is not whole yet."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __aiter__(self) -> Content:
        return self

    async def __anext__(self) -> bytes:
        content = await self._call.take()
        if not content:
            raise StopAsyncIteration
        return content

    async def aclose(self) -> None:
        self._call.leave()
