"""One request and its answer as an ASGI application sees them: `receive` and `send`.

ASGI 3.0, HTTP messages of version 2.5, with the extensions of `EXTENSIONS`. RFC 9110 §6.5.1 (trailers), §8.6 (Content-Length), §10.1.4
(TE), §15.2 (interim responses), RFC 8297 (early hints).

The application fills a small buffer, the session empties it. An answer that is whole before the session has seen any of it leaves as octets at
hand; any other as a stream. A client that went away is told to the application by `http.disconnect` and by `OSError` from `send`, never by
cancelling it: it may have things to finish.
"""

from __future__ import annotations

import logging
import os
import stat
from asyncio import AbstractEventLoop, CancelledError, Future, Task
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from netlodge.core.contracts import Clock
from netlodge.http.handlers.application_answers import (
    BUFFER,
    ClientGoneError,
    Nothing,
    ProtocolError,
    has_no_content,
    remember_answer,
)
from netlodge.http.handlers.asgi_heads import Head, Heads
from netlodge.http.handlers.asgi_scope import AsgiMessage
from netlodge.http.message import BodyError, Fields, FileBody, HttpError, Request, Response

logger = logging.getLogger("netlodge.applications")

EXTENSIONS: Final[dict[str, Any]] = {"http.response.pathsend": {}, "http.response.early_hint": {}}
"""What the application may send beyond the core of the specification."""
EXTENSIONS_WITH_TRAILERS: Final[dict[str, Any]] = {**EXTENSIONS, "http.response.trailers": {}}
"""For clients that take trailers."""


class Stage(Enum):
    """How far the answer is, from the application's side."""

    BEFORE = "no answer was begun"
    BEGUN = "the content of its answer has no end yet"
    TRAILING = "the trailers of its answer have no end yet"
    OVER = "its answer is whole"


BEFORE, BEGUN, TRAILING, OVER = Stage


@dataclass(frozen=True, slots=True)
class Host:
    """What all exchanges of one application share."""

    name: str
    """What the log calls it."""
    clock: Clock
    loop: AbstractEventLoop
    abandon: Callable[[Task[None]], None]
    """Told of an application that still runs when nobody waits for its answer any more."""
    heads: Heads = field(default_factory=Heads)


class Exchange:
    """`receive` and `send` of one request; towards the handler `ended`, `is_ready`, `ready`, `answer` and `leave`."""

    # Most exchanges need few of these: the rest stand here once, and not in each of them. None that can be changed.
    stage = BEFORE
    failure: BaseException | None = None
    """Why the application ended without the end of its answer."""
    # What was asked.
    _is_told = False
    """True once all of the request was handed to the application."""
    _received = 0
    _refusal: HttpError | BodyError | None = None
    """What was wrong with the request's content."""
    _is_gone = False
    _peer_has_ended = False
    """True once the client will send no more. It may wait for the answer still, so that is sent."""
    # What is answered.
    _is_bodiless = False
    _has_trailers = False
    _trailers: Fields | None = None
    _has_begun = False
    """True once content was sent, be it empty: the head may leave."""
    _is_handed_over = False
    _octets = 0
    """Of `_pieces`."""
    _sent = 0
    _file: FileBody | None = None
    # Who waits, and where the application goes on.
    _session: Future[None] | None = None
    _listeners: tuple[Future[None], ...] = ()
    _task: Task[None] | None = None

    def __init__(self, request: Request, host: Host) -> None:
        self._request = request
        self._host = host
        self._pieces: list[bytes] = []
        self._status: int
        self._head: Head

    # --- the application's side ------------------------------------------------------------------------------------------

    async def receive(self) -> AsgiMessage:
        """The next message: the request's content piece by piece, then `http.disconnect` when the answer is whole or the client gone."""
        while self.stage is not OVER and not self._is_gone:
            if not self._is_told:
                return await self._receive_content()
            if self._peer_has_ended:
                break
            await self._change()
        return {"type": "http.disconnect"}

    async def _receive_content(self) -> AsgiMessage:
        body = self._request.body
        length = body.length
        if length == 0:
            self._is_told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        try:
            piece = await body.read()
        except (BodyError, HttpError) as error:
            # To the application it is all one: the rest will not come.
            self._refusal = error
            self.leave()
            return {"type": "http.disconnect"}
        if self.stage is OVER or self._is_gone:
            return {"type": "http.disconnect"}
        self._received += len(piece)
        self._is_told = not piece or self._received == length
        return {"type": "http.request", "body": piece, "more_body": not self._is_told}

    async def send(self, message: AsgiMessage) -> None:
        """Take a message of the answer; wait while the client does not take what was sent before.

        Raises `ClientGoneError`, and `ProtocolError` for what may not be sent now; what comes after the end is ignored.
        """
        kind = message["type"]
        if self._is_gone:
            raise ClientGoneError("the client went away")
        if kind == "http.response.body":
            if self.stage is not BEGUN:
                self._refuse(kind)
                return
            body = message.get("body", b"")
            if body:
                self._add(body if type(body) is bytes else _octets_of(body))
            self._has_begun = True
            if not message.get("more_body", False):
                self._end_content()
            if self._session is not None:
                self._wake_session()
            if self._octets >= BUFFER and self.stage is BEGUN:
                await self._until_taken()
        elif kind == "http.response.start":
            if self.stage is not BEFORE:
                self._refuse(kind)
                return
            self._begin(message)
        else:
            self._send_other(kind, message)

    def _begin(self, message: AsgiMessage) -> None:
        status = message["status"]
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ProtocolError(f"the status of an answer must be a number from 200 to 999, not {status!r}")
        self._head = self._host.heads.of(message.get("headers", ()))
        self._status = int(status)
        self._is_bodiless = has_no_content(self._request.method, status)
        # Of trailers, the specification: "The ASGI server will only send the trailing headers in case the client has sent" that it takes them.
        self._has_trailers = bool(message.get("trailers", False)) and takes_trailers(self._request)
        self.stage = BEGUN

    def _add(self, piece: bytes) -> None:
        announced = self._head.announced
        if self._is_bodiless and (self._is_handed_over or announced is not None):
            return
        octets = len(piece)
        self._sent += octets
        if announced is not None and self._sent > announced:
            raise ProtocolError(f"the content is longer than the {announced} octets of content-length")
        self._pieces.append(piece)
        self._octets += octets

    def _end_content(self) -> None:
        announced = self._head.announced
        if announced is not None and self._sent < announced and not self._is_bodiless:
            raise ProtocolError(f"the content has {self._sent} octets of the {announced} of content-length")
        self.stage = TRAILING if self._has_trailers else OVER
        if self._listeners:
            self._wake_listeners()

    def _send_other(self, kind: object, message: AsgiMessage) -> None:
        if kind == "http.response.trailers" and self.stage is TRAILING:
            if self._trailers is None:
                self._trailers = Fields()
            for name, value in self._host.heads.fields_of(message.get("headers", ())):
                self._trailers.append(name, value)
            if not message.get("more_trailers", False):
                self.stage = OVER
                self._wake_listeners()
                self._wake_session()
        elif kind == "http.response.pathsend" and self.stage is BEGUN and not self._has_begun:
            self._send_file(message["path"])
        elif kind == "http.response.early_hint" and self.stage in {BEFORE, BEGUN}:
            if not self._has_begun:
                links = (("link", bytes(link).decode("latin-1")) for link in message.get("links", ()))
                self._request.link.inform(103, Fields(links))
        else:
            self._refuse(kind)

    def _send_file(self, path: str) -> None:
        """Raises `OSError` for a file that cannot be opened, or is none."""
        if self._is_bodiless:
            if self._status not in {204, 304}:
                self._head = Head(self._head.fields.copy())
                self._head.fields.set_default("content-length", str(os.stat(path).st_size))
        else:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                self._file = FileBody(descriptor, [(0, self._length_of_file(descriptor, path))])
            except BaseException:
                os.close(descriptor)
                raise
        self._has_begun = True
        self._sent = self._head.announced or 0
        self._end_content()
        if self._session is not None:
            self._wake_session()

    def _length_of_file(self, descriptor: int, path: str) -> int:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ProtocolError(f"{path} is no regular file")
        announced = self._head.announced
        length = status.st_size if announced is None else announced
        if status.st_size < length:
            raise ProtocolError(f"{path} has {status.st_size} octets of the {length} of content-length")
        return length

    def _refuse(self, kind: object) -> None:
        # "If `more_body` is False, response will be taken as complete and closed, and any further messages on the channel will be
        # ignored."
        if self.stage is not OVER:
            raise ProtocolError(f"{kind!r} cannot be sent now: {self.stage.value}")

    async def _until_taken(self) -> None:
        while self._octets >= BUFFER:
            await self._change()
            if self._is_gone:
                raise ClientGoneError("the client went away")

    async def _change(self) -> None:
        """Wait until something happened that the application waits for."""
        listener = self._host.loop.create_future()
        self._listeners = (*self._listeners, listener)
        try:
            await listener
        finally:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def _wake_listeners(self) -> None:
        listeners, self._listeners = self._listeners, ()
        for listener in listeners:
            if not listener.done():
                listener.set_result(None)

    # --- the application's end -------------------------------------------------------------------------------------------

    def end(self, error: BaseException | None) -> bool:
        """The application has returned, or raised `error`: its answer is not waited for any longer. Returns whether that is well: the answer
        is whole, or nobody waits for it."""
        self._task = None
        is_fine = self.stage is OVER or self._is_gone
        if not is_fine:
            self.failure = error or ProtocolError(f"it returned, but {self.stage.value}")
            self._wake_session()
        return is_fine

    def ended(self, error: BaseException | None) -> None:
        """The same, and whatever is not well is written to the log."""
        was_told = self._is_gone
        if self.end(error):
            after = " after its client went away" if was_told else " after its answer was whole"
            if error is not None and not (was_told and isinstance(error, CancelledError | ClientGoneError)):
                # What a vanished client brings about is not worth a line each time: anyone can vanish as often as they like.
                self._log(logging.DEBUG if was_told else logging.ERROR, f"it failed{after}", error)
        else:
            self._log(logging.ERROR, str(self.failure) if error is None else "it failed", error)

    def _log(self, level: int, what: str, error: BaseException | None) -> None:
        request = self._request
        logger.log(
            level, "%s answering %s %s: %s", self._host.name, request.method, request.target, what, exc_info=error
        )

    # --- the session's side ----------------------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """True once the answer is whole."""
        return self.stage is OVER

    @property
    def is_gone(self) -> bool:
        """True once nobody waits for the answer any more."""
        return self._is_gone

    @property
    def is_ready(self) -> bool:
        """True once there is something for the session to do: an answer, the beginning of one, or a failure."""
        return self._has_begun or self.failure is not None or self._is_gone

    async def ready(self) -> None:
        """Wait for that. To be called by one task at a time."""
        while not self.is_ready:
            await self.wait()

    async def wait(self) -> None:
        """Wait until the application did something, or ended."""
        self._session = self._host.loop.create_future()
        try:
            await self._session
        finally:
            self._session = None

    def _wake_session(self) -> None:
        if self._session is not None and not self._session.done():
            self._session.set_result(None)

    def answer(self) -> Response:
        """The answer as far as it is there; once `is_ready`. Raises `HttpError` if there is none, and `BodyError` if there is nobody to
        have it."""
        if self._is_gone:
            raise self._refusal or BodyError("the client went away")
        if self.failure is not None:
            raise HttpError(500, "The application failed while it made this answer; the log says why.")
        self._is_handed_over = True
        status, fields, pieces = self._status, self._head.fields.copy(), self._pieces
        if self._file is not None:
            return Response(status, fields, self._file)
        if self._is_bodiless:
            response = Response(status, fields, self._bodiless())
            self.take()
            return response
        if self.stage is OVER and self._trailers is None:
            content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if not self._head.may_be_remembered:
                return Response(status, fields, content)
            remember = remember_answer(self._host.clock, self._request, status, fields, len(content))
            return Response(status, fields, content, remember=remember)
        return Response(status, fields, Content(self), self._all_trailers if self._has_trailers else None)

    def _all_trailers(self) -> Fields:
        return self._trailers or Fields()

    def _bodiless(self) -> bytes | Nothing:
        """Content that will not leave, of the right length for its head."""
        if "content-length" in self._head.fields or self._status in {204, 304}:
            return b""
        return b"".join(self._pieces) if self.stage is OVER and self._pieces else Nothing()

    def take(self) -> bytes:
        """All content that waits; the application may go on."""
        pieces = self._pieces
        octets = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._octets = 0
        if self._listeners:
            self._wake_listeners()
        return octets

    def leave(self) -> None:
        """Nobody waits for the answer any more: the client is gone, or there is something wrong with its request."""
        if self._is_gone:
            return
        self._is_gone = True
        self._pieces.clear()
        if self._file is not None and not self._is_handed_over:
            os.close(self._file.descriptor)
            self._file = None
        self._wake_listeners()
        self._wake_session()
        if self._task is not None:
            self._host.abandon(self._task)

    def peer_ended(self) -> None:
        """The client ended its side: who asks whether it is gone is told that it is."""
        self._peer_has_ended = True
        self._wake_listeners()

    def goes_on_as(self, task: Task[None]) -> None:
        """The application waits, and goes on in `task`."""
        self._task = task
        if self.stage is not OVER:
            self._request.link.when_ended(self.peer_ended)
        if self._is_gone:
            self._host.abandon(task)


class Content:
    """Implements `message.Chunks`: the content of an answer that is not whole yet."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> Content:
        return self

    async def __anext__(self) -> bytes:
        """Raises `ConnectionAbortedError` if the application will not go on: that is in its own log line already."""
        exchange = self._exchange
        while True:
            if octets := exchange.take():
                return octets
            if exchange.stage is OVER:
                raise StopAsyncIteration
            if exchange.failure is not None or exchange.is_gone:
                raise ConnectionAbortedError("the application broke its answer off")
            await exchange.wait()

    async def aclose(self) -> None:
        if self._exchange.stage is not OVER:
            self._exchange.leave()


def takes_trailers(request: Request) -> bool:
    """Whether the client says that it keeps trailers (RFC 9110 §10.1.4)."""
    return "te" in request.fields and "trailers" in request.fields.list_of("te")


def _octets_of(body: object) -> bytes:
    if isinstance(body, bytearray | memoryview | bytes):
        return bytes(body)
    raise ProtocolError(f"body must be bytes, not {type(body).__name__}")
