"""A WebSocket as an ASGI application sees it: its scope, `receive` and `send`, and the handler that brings them together with a bearer.

ASGI 3.0, WebSocket messages of version 2.5, with the extension `websocket.http.response`. RFC 6455 §4.2.2 (the answer to the handshake), §7.4.1
(status codes).

The application runs in a task of its own, from the handshake until it returns. It is told that a client is gone by `websocket.disconnect`, and by
`OSError` from `send`, never by cancelling it: it may have things to finish. What it may send when stands in one table, `AFTER`.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from asyncio import AbstractEventLoop, CancelledError, Future, Task
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Final

from netlodge.core.contracts import Clock, Connection
from netlodge.http.handlers.application_answers import ClientGoneError, ProtocolError
from netlodge.http.handlers.asgi_exchange import Exchange, Host
from netlodge.http.handlers.asgi_heads import Heads
from netlodge.http.handlers.asgi_scope import AsgiApplication, AsgiMessage
from netlodge.http.message import HttpError, Request, Response, Takeover, WebSocketChannel, WebSocketEnd
from netlodge.http.rules.websocket import DeflateTerms, Handshake, agreed_deflate, answer_fields, read_handshake

logger = logging.getLogger("netlodge.applications")

OpenChannel = Callable[[Connection, bytes, DeflateTerms | None], WebSocketChannel]
"""Makes the bearer of a WebSocket that was accepted: given the stream, what came already behind the handshake, and what was agreed in it."""

GONE: Final = 1006
"""RFC 6455 §7.1.5: the connection ended without a Close."""
NORMAL: Final = 1000
INTERNAL_ERROR: Final = 1011
CANCEL_SECONDS: Final = 1.0
"""How long an application that was cancelled is waited for."""


class Stage(Enum):
    """How far a WebSocket is, from the application's side."""

    CONNECTING = "the handshake waits for an answer"
    DENYING = "the handshake is answered as a request"
    OPEN = "it was accepted"
    CLOSED = "it was closed"

    __hash__ = object.__hash__


CONNECTING, DENYING, OPEN, CLOSED = Stage

AFTER: Final[dict[tuple[Stage, str], Stage]] = {
    (CONNECTING, "websocket.accept"): OPEN,
    (CONNECTING, "websocket.close"): CLOSED,
    (CONNECTING, "websocket.http.response.start"): DENYING,
    (DENYING, "websocket.http.response.body"): DENYING,
    (OPEN, "websocket.send"): OPEN,
    (OPEN, "websocket.close"): CLOSED,
}
"""What an application may send when, and where that leads."""


class AsgiWebSocket:
    """Answers a WebSocket handshake (`rules.websocket.is_websocket_handshake`) with an ASGI application. One for each application and route."""

    def __init__(
        self,
        application: AsgiApplication,
        *,
        scope_of: Callable[[Request], dict[str, Any]],
        open_session: OpenChannel,
        clock: Clock,
        loop: AbstractEventLoop,
        grace: float,
        compress: bool = True,
    ) -> None:
        """`scope_of` makes what is common to the scopes of `http` and `websocket`; `grace` is how many seconds the application may go on when
        the client is gone; `compress`: agree to permessage-deflate."""
        self._application = application
        self._scope_of = scope_of
        self._open_session = open_session
        self._clock = clock
        self._loop = loop
        self._grace = grace
        self._compress = compress
        self._names = Heads()
        self._tasks: set[Task[None]] = set()

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError`: 400 and 426 for a handshake that is not as it should be, 403 if the application refuses it, 500 if it fails."""
        handshake = read_handshake(request)
        scope = self._scope_of(request)
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if request.scheme == "https" else "ws"
        scope["subprotocols"] = list(handshake.subprotocols)
        scope["extensions"] = {"websocket.http.response": {}}
        socket = _Socket(
            request,
            handshake,
            agreed_deflate(handshake.offers) if self._compress else None,
            open_session=self._open_session,
            names=self._names,
            clock=self._clock,
            loop=self._loop,
        )
        task = self._loop.create_task(self._conduct(request, scope, socket))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        socket.when_gone = partial(self._abandon, task, request)
        try:
            return await socket.answered()
        except CancelledError:
            socket.leave()
            raise

    async def finish(self, patience: float) -> None:
        """Give the applications that still run `patience` seconds to end by themselves, then cancel them."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=patience)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CANCEL_SECONDS)

    def _abandon(self, task: Task[None], request: Request) -> None:
        """Nobody is there any more for whom `task` could do anything."""
        if not task.done():
            timer = self._loop.call_later(self._grace, self._cut_off, task, request)
            task.add_done_callback(lambda _: timer.cancel())

    def _cut_off(self, task: Task[None], request: Request) -> None:
        logger.warning(
            "the application of the WebSocket %s still ran %g s after its end: cancelled", request.target, self._grace
        )
        task.cancel()

    async def _conduct(self, request: Request, scope: dict[str, Any], socket: _Socket) -> None:
        """Call the application, and see to it that its end is told. Raises nothing of its own."""
        try:
            await self._application(scope, socket.receive, socket.send)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # a SystemExit of one WebSocket is no reason to end the worker
            was_told = socket.was_told
            socket.end(error)
            if not (was_told and isinstance(error, CancelledError | ClientGoneError)):
                # What a vanished client brings about is not worth a line each time.
                level = logging.DEBUG if was_told else logging.ERROR
                logger.log(level, "the application failed at the WebSocket %s", request.target, exc_info=error)
        else:
            if not socket.end(None):
                logger.error("the application left the handshake of the WebSocket %s unanswered", request.target)


class _Socket:
    """`receive` and `send` of one WebSocket; towards the handler `answered`, `leave` and `end`."""

    __slots__ = (
        "_answer", "_channel", "_clock", "_close_code", "_deflate", "_denial", "_handshake", "_is_answered", "_is_connected", "_is_gone", "_loop", "_names", "_open_session",
        "_request", "_settled", "_stage", "was_told", "when_gone",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        handshake: Handshake,
        deflate: DeflateTerms | None,
        *,
        open_session: OpenChannel,
        names: Heads,
        clock: Clock,
        loop: AbstractEventLoop,
    ) -> None:
        self._request = request
        self._handshake = handshake
        self._deflate = deflate
        self._open_session = open_session
        self._names = names
        self._clock = clock
        self._loop = loop
        self._stage = CONNECTING
        self._is_connected = False
        self._is_gone = False
        self.was_told = False
        """True once the application knows that it is over."""
        self.when_gone: Callable[[], None] | None = None
        """Called when the client is gone for good."""
        self._channel: WebSocketChannel | None = None
        self._denial: Exchange | None = None
        self._answer: Response | Exchange | HttpError | None = None
        """Held no longer than until it is taken: see `_takeover`."""
        self._is_answered: Future[None] = loop.create_future()
        self._close_code = 0
        """With which the application ended before the stream was handed over."""
        self._settled = asyncio.Event()
        """Set once it is known whether there is, or will be, a channel."""

    # --- the application's side ------------------------------------------------------------------------------------------

    async def receive(self) -> AsgiMessage:
        """The next message: `websocket.connect`, then what the client sends, then `websocket.disconnect`."""
        if not self._is_connected:
            self._is_connected = True
            return {"type": "websocket.connect"}
        await self._settled.wait()
        message = WebSocketEnd(GONE) if self._channel is None else await self._channel.receive()
        if isinstance(message, str):
            return {"type": "websocket.receive", "text": message}
        if isinstance(message, WebSocketEnd):
            self.was_told = True
            return {"type": "websocket.disconnect", "code": message.code, "reason": message.reason}
        return {"type": "websocket.receive", "bytes": message}

    async def send(self, message: AsgiMessage) -> None:
        """Raises `ClientGoneError` once it is closed, by either side; `ProtocolError`, and `ValueError`, for what may not be sent."""
        kind = message["type"]
        after = AFTER.get((self._stage, kind))
        if self._is_gone or (self._stage is CLOSED and any(known == kind for _, known in AFTER)):
            raise self._gone("the WebSocket is closed")
        if after is None:
            raise ProtocolError(f"{kind!r} cannot be sent now: {self._stage.value}")
        if self._stage is OPEN:
            await self._send_on(after, message)
        elif after is OPEN:
            await self._accept(message)
        elif after is CLOSED:
            self._stage = CLOSED
            self._refuse(HttpError(403, "The application did not accept the WebSocket."))
        else:
            await self._deny(message)

    async def _accept(self, message: AsgiMessage) -> None:
        fields = self._names.fields_of(message.get("headers") or ())
        for name in fields.names:
            if name.startswith("sec-websocket-"):
                raise ProtocolError(f"{name} is not the application's to set (the subprotocol goes into `subprotocol`)")
        answer = answer_fields(self._handshake, subprotocol=message.get("subprotocol"), deflate=self._deflate)
        for name, value in fields:
            if name != "connection":
                answer.append(name, value)
        self._stage = OPEN
        self._answer_with(Response(101, answer, takeover=self._takeover()))
        await self._settled.wait()
        if self._channel is None:
            raise self._gone("the client went away")

    def _answer_with(self, answer: Response | Exchange | HttpError) -> None:
        if not self._is_answered.done():
            self._answer = answer
            self._is_answered.set_result(None)

    def _takeover(self) -> Takeover:
        def take_over(connection: Connection, received: bytes) -> WebSocketChannel:
            self._channel = channel = self._open_session(connection, received, self._deflate)
            channel.when_lost = self.when_gone
            self._settled.set()
            if self._close_code:
                channel.close(self._close_code)
            return channel

        # An answer that never leaves, because the client vanished or somebody on its way failed, is dropped with its takeover: the
        # application must not wait for it.
        weakref.finalize(take_over, self.leave).atexit = False
        return take_over

    async def _send_on(self, after: Stage, message: AsgiMessage) -> None:
        channel = self._channel
        if channel is None:
            raise ProtocolError("the handshake is not over: wait for the `send` of `websocket.accept` first")
        if after is CLOSED:
            channel.close(message.get("code") or NORMAL, message.get("reason") or "")
            self._stage = CLOSED
            return
        content = _content_of(message)
        try:
            await channel.send(content)
        except ConnectionResetError as error:
            raise self._gone(str(error)) from None

    def _gone(self, why: str) -> ClientGoneError:
        self.was_told = True
        return ClientGoneError(why)

    async def _deny(self, message: AsgiMessage) -> None:
        """The extension's messages are those of an ordinary answer, under other names."""
        if self._denial is None:
            self._denial = Exchange(
                self._request, Host("the denial of a WebSocket", self._clock, self._loop, _let_be, self._names)
            )
            self._stage = DENYING
            self._answer_with(self._denial)
        kind = message["type"].removeprefix("websocket.")
        await self._denial.send({**message, "type": kind})
        if kind == "http.response.body" and not message.get("more_body", False):
            self._stage = CLOSED
            self._settled.set()

    # --- the handler's side ----------------------------------------------------------------------------------------------

    async def answered(self) -> Response:
        """What the application answers to the handshake."""
        await self._is_answered
        answer, self._answer = self._answer, None
        if isinstance(answer, Exchange):
            await answer.ready()
            answer = answer.answer()
            answer.remember = None
        if not isinstance(answer, Response):
            raise answer or HttpError(500)
        return answer

    def leave(self) -> None:
        """Nobody waits for the answer any more, or it did not leave."""
        if self._channel is None and not self._is_gone:
            self._is_gone = True
            self._settled.set()
            if self.when_gone is not None:
                self.when_gone()
        if self._denial is not None:
            self._denial.leave()

    def end(self, failure: BaseException | None) -> bool:
        """The application has returned, or raised `failure`. Returns whether the handshake was answered, or nobody waits for that."""
        if self._denial is not None:
            return self._denial.end(failure)
        if self._stage is CONNECTING:
            self._refuse(HttpError(500, "The application failed while it answered the handshake; the log says why."))
            is_fine, self._is_gone = self._is_gone, True
            return is_fine
        if self._stage is OPEN:
            self._close_code = NORMAL if failure is None else INTERNAL_ERROR
            if self._channel is not None:
                self._channel.close(self._close_code)
        return True

    def _refuse(self, error: HttpError) -> None:
        self._settled.set()
        self._answer_with(error)


def _content_of(message: AsgiMessage) -> str | bytes:
    """What a `websocket.send` sends: "Exactly one of `bytes` or `text` must be non-`None`." """
    text, octets = message.get("text"), message.get("bytes")
    if isinstance(text, str) and octets is None:
        return text
    if isinstance(octets, bytes | bytearray | memoryview) and text is None:
        return bytes(octets)
    raise ProtocolError("exactly one of `text` (a str) and `bytes` (bytes) must be given")


def _let_be(task: Task[None]) -> None:
    """The application of a WebSocket goes on after its client: what it does then is its own affair."""
