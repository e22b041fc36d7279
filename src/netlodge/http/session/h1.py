"""One HTTP/1.x connection, from the server's side: bytes in, handler calls, bytes out.

RFC 9112 §9 (connections: persistence, pipelining, closing), §2.2, §7.1; RFC 9110 §10.1.1 (Expect), §15.2 (1xx), §7.8 (Upgrade).

A connection goes round this table; the rest of the file is what happens on the way:

    REST       between exchanges, nothing received      -> HEAD | EXCHANGE | LINGER
    HEAD       part of a request head was received      -> EXCHANGE | LINGER
    EXCHANGE   a handler is at work, or its answer leaves -> REST | HEAD | DRAIN | LINGER | HANDED_OVER
    DRAIN      answered; the rest of the request's body is thrown away -> REST | HEAD | LINGER
    LINGER     the last answer is out and our side half-closed; what still comes is thrown away -> closed
    HANDED_OVER  the stream belongs to another session (an upgrade)

What was asked before, byte for byte, never leaves `receive_data`: see `core/recall.py`.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError, Task
from enum import Enum
from typing import Any

from netlodge.core.contracts import Connection
from netlodge.core.eager import start_eagerly
from netlodge.core.records import HttpRecord
from netlodge.http.message import (
    BodyError,
    Fields,
    HttpError,
    MessageError,
    Request,
    Response,
)
from netlodge.http.session.body import NO_BODY, IncomingBody, NoBody
from netlodge.http.session.exchange import (
    answer_of,
    completed_fields,
    has_no_content,
    record_of,
    refusal_of,
)
from netlodge.http.session.remembering import HttpAnswer, question_of, remember
from netlodge.http.session.sending import send_streamed
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import (
    Data,
    EndOfMessage,
    InformationalHead,
    RequestHead,
    ResponseHead,
)
from netlodge.http.wire.h1 import Http1Codec
from netlodge.http.wire.states import Role

logger = logging.getLogger("netlodge.http")

PIPELINE_OCTETS = 64 * 1024
"""How much of later requests waits here while one is answered; then the client waits."""
LAST_REQUESTS = 100
"""From here on `Keep-Alive: max` tells the client how many requests the connection is still good for."""
HEARD_OCTETS = 1024
"""How much of what turns out to be no request is shown to whoever looks on."""
NEVER = 1 << 62
HEAD_END = b"\r\n\r\n"


class Phase(Enum):
    """Where a connection stands; see the module's table."""

    REST = "rest"
    HEAD = "head"
    EXCHANGE = "exchange"
    DRAIN = "drain"
    LINGER = "linger"
    HANDED_OVER = "handed over"


REST, HEAD, EXCHANGE, DRAIN, LINGER, HANDED_OVER = Phase


class Http1Session:
    """Implements `core.contracts.Session`; is the `BodySource` of its requests' bodies and their `RequestLink`."""

    __slots__ = (
        "_body", "_body_octets", "_body_seconds", "_clock", "_codec", "_connection", "_drained", "_expects_continue", "_find",
        "_head", "_heard", "_is_processing", "_is_reading_paused", "_is_receiving", "_is_retiring", "_journal", "_began", "_peer_has_ended", "_phase",
        "_progress", "_ready", "_response_started", "_retires_at_once", "_service", "_since", "_spare", "_spare_seen", "_task",
    )  # fmt: skip

    def __init__(self, connection: Connection, service: HttpService) -> None:
        limits = service.limits
        self._connection = connection
        self._service = service
        self._codec = Http1Codec(Role.SERVER, limits.wire, service.memo)
        self._clock = service.clock
        self._ready = service.recall.ready
        self._find = service.recall.find
        self._journal = service.journal
        self._phase = REST
        limit = limits.requests_per_connection
        # How many requests this connection is good for before its last hundred.
        self._spare = limit - LAST_REQUESTS if limit else NEVER
        self._spare_seen = self._spare
        self._since = service.clock.now
        self._task: Task[None] | None = None
        self._body: IncomingBody | NoBody = NO_BODY
        self._head: RequestHead | None = None
        self._heard = b""
        self._is_processing = False
        self._is_receiving = False
        self._is_reading_paused = False
        self._is_retiring = False
        self._retires_at_once = False
        self._peer_has_ended = False
        self._expects_continue = False
        self._response_started = False
        self._progress = -1

    # --- from the connection -------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        phase = self._phase
        if phase is REST:
            if self._spare > 0:
                answer = self._ready(data) or self._find(data)
                if answer is not None:
                    self._spare -= 1
                    connection = self._connection
                    connection.write(answer.wire)
                    if not answer.is_plain:
                        self._finish_remembered(answer, answer.record)
                        return
                    self._journal((self._clock.wall, connection.peer, answer.record))
                    if not connection.is_writable:
                        self._hold_until_drained()
                    return
                data = self._answer_remembered(data)
                if not data:
                    return
            self._phase = HEAD
            self._since = self._clock.now
        elif phase is LINGER:
            self._drained -= len(data)
            if self._drained < 0:
                self._connection.abort()
            return
        codec = self._codec
        codec.receive_data(data)
        if phase is not EXCHANGE and len(self._heard) < HEARD_OCTETS:
            self._heard += data[:HEARD_OCTETS]
        if phase is EXCHANGE and self._body.has_ended:
            if codec.buffered > PIPELINE_OCTETS:
                self._pause_reading()
        else:
            self._is_receiving = True
            self._process()
            self._is_receiving = False

    def receive_eof(self) -> None:
        self._peer_has_ended = True
        if self._phase is EXCHANGE or self._phase is DRAIN:
            # A client that sent its request and half-closed still gets its answer; one that broke off in the middle does not.
            self._codec.receive_eof()
            if not self._body.has_ended:
                self._process()
        else:
            self._connection.close()

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(self._body, IncomingBody):
            self._body.fail(BodyError("the client went away in the middle of its request"))
        if self._task is not None:
            # After a reader of the body was told: whoever handles that by itself is not cancelled in the middle of it.
            self._service.loop.call_soon(self._task.cancel)

    def retire(self, *, at_once: bool) -> None:
        self._is_retiring = True
        self._retires_at_once = at_once
        self._spare = 0  # what is remembered does not say that it is the last answer
        if at_once and self._phase is REST:
            self._linger()

    def sweep(self, now: float) -> None:
        phase, limits = self._phase, self._service.limits
        if phase is REST:
            if self._spare != self._spare_seen:
                self._spare_seen = self._spare
                self._since = now
            elif limits.idle_timeout and now - self._since >= limits.idle_timeout:
                # A request may be on its way: a half-close lets the client see that nobody took it (RFC 9112 §9.5, §9.6).
                self._linger()
        elif phase is HEAD:
            if limits.head_timeout and now - self._since >= limits.head_timeout:
                self._refuse(
                    MessageError(408, "The head of the request did not come in time.", setting="limits.head_timeout"),
                    "timeout",
                )
        elif phase is LINGER:
            self._sweep_linger(now)
        elif phase is EXCHANGE or phase is DRAIN:
            if not self._connection.is_writable:
                self._sweep_slow_reader(now)
            elif not self._body.has_ended and not self._is_reading_paused:
                self._sweep_slow_sender(now)

    # --- remembered answers --------------------------------------------------------------------------------------------

    def _answer_remembered(self, data: bytes) -> bytes:
        """Answer the remembered requests at the front of pipelined `data`; return what is left."""
        end = data.find(HEAD_END) + 4
        if end == len(data) or end < 4:
            return data
        wires, start = [], 0
        connection = self._connection
        while end >= 4 and self._spare > 0:
            answer = self._find(data[start:end])
            if answer is None or not answer.is_plain:
                break
            self._spare -= 1
            wires.append(answer.wire)
            self._journal((self._clock.wall, connection.peer, answer.record))
            start = end
            end = data.find(HEAD_END, start) + 4
        if wires:
            connection.write(b"".join(wires))
            if not connection.is_writable:
                self._hold_until_drained()
                if start < len(data):  # wait with the rest until the client took what it was sent
                    self._codec.receive_data(data[start:])
                return b""
        return data[start:]

    def _finish_remembered(self, answer: HttpAnswer, record: HttpRecord) -> None:
        """The octets of a remembered answer are out, and there is more to do: send a file, end the connection, or both."""
        self._phase = EXCHANGE
        self._body = NO_BODY
        self._since = self._clock.now
        self._start(self._finished_remembered(answer, record))

    async def _finished_remembered(self, answer: HttpAnswer, record: HttpRecord) -> None:
        connection, span = self._connection, answer.file
        if span is not None:
            sent = 0
            try:
                sent = await connection.send_file(span.descriptor, span.offset, span.count)
            finally:
                if sent < span.count:
                    self._journal((self._clock.time(), connection.peer, record.cut_short(sent)))
            if sent < span.count:
                raise ConnectionAbortedError("the file became shorter while it was sent")
        elif not connection.is_writable:
            await connection.drained()
        self._journal((self._clock.time(), connection.peer, record))
        if answer.closes:
            self._linger()
        else:
            self._next()

    def _hold_until_drained(self) -> None:
        """The client does not take its answers: answer no more before it does."""
        self._phase = EXCHANGE
        self._body = NO_BODY
        self._since = self._clock.now
        self._pause_reading()
        self._start(self._held())

    async def _held(self) -> None:
        await self._connection.drained()
        self._next()

    # --- requests --------------------------------------------------------------------------------------------------------

    def _process(self) -> None:
        """Take the codec's events as far as they go. What a handler answers at once is answered in this loop, not below it."""
        if self._is_processing:
            return
        self._is_processing = True
        codec = self._codec
        try:
            while self._phase is not LINGER and self._phase is not HANDED_OVER:
                event = codec.next_event()
                kind = type(event)
                if kind is RequestHead:
                    if not self._answer_alike(event):  # type: ignore[arg-type]
                        self._begin(event)  # type: ignore[arg-type]
                elif kind is Data:
                    self._take(event.data)  # type: ignore[union-attr]
                elif kind is EndOfMessage:
                    self._body_ended(event.trailers)  # type: ignore[union-attr]
                else:
                    break  # NEED_DATA, PAUSED or ConnectionClosed
            if self._phase is REST or self._phase is HEAD:
                self._phase = HEAD if codec.buffered else REST
                if self._peer_has_ended:
                    self._connection.close()
        except MessageError as error:
            self._refuse(error, "refused")
        finally:
            self._is_processing = False

    def _answer_alike(self, head: RequestHead) -> bool:
        """Answer a request whose bytes are new but which asks what was asked before. Returns whether it is answered.

        Only for what is received in this turn of the loop (see `core/recall.py`), not for what waited while another was answered.
        """
        if not self._is_receiving or self._spare <= 0:
            return False
        service = self._service
        if not service.alike:
            return False
        question = question_of(head)
        answer = service.alike.find(question) if question is not None else None
        if answer is None:
            return False
        codec, connection = self._codec, self._connection
        codec.next_event()  # EndOfMessage: there is no content
        codec.answered_elsewhere()
        connection.write(answer.wire)
        self._spare -= 1
        self._heard = b""
        get = head.fields.get
        record = answer.record.alike(
            request_head=head.raw, referer=get("referer", "") or "", user_agent=get("user-agent", "") or ""
        )
        if service.recall.wants(head.raw):
            service.recall.remember(head.raw, answer.again(record))
        self._phase = HEAD
        if not answer.is_plain:
            self._finish_remembered(answer, record)
            return True
        self._journal((service.clock.wall, connection.peer, record))
        if not connection.is_writable:
            self._hold_until_drained()
        return True

    def _begin(self, head: RequestHead) -> None:
        """A request head is complete: let the handler begin."""
        service = self._service
        self._phase = EXCHANGE
        self._spare -= 1
        self._heard = b""
        self._head = head
        self._began = service.clock.monotonic()
        self._response_started = False
        has_body = head.is_chunked or bool(head.content_length)
        if has_body:
            body: IncomingBody | NoBody = IncomingBody(
                self, None if head.is_chunked else head.content_length, service.loop
            )
            self._body_seconds = 0.0
            self._body_octets = 0
            self._since = service.clock.now
        else:
            body = NO_BODY
            self._codec.next_event()  # EndOfMessage: the message is over, and its exchange can be, too
        self._body = body
        self._expects_continue = False
        request: Request | None = None
        refusal: HttpError | None = None
        try:
            request = self._request(head, body)
            if has_body:
                self._check_body(head)
            if "expect" in head.fields:
                self._check_expectation(head, has_body=has_body)
        except HttpError as error:
            refusal = error
        self._start(self._exchange(head, request, refusal))

    def _request(self, head: RequestHead, body: IncomingBody | NoBody) -> Request:
        connection = self._connection
        return Request(
            head.method, head.target, head.form, head.scheme or self._service.scheme, head.host, head.port, head.path, head.query,
            head.version, head.fields, body, connection.peer, connection.local, self,
        )  # fmt: skip

    def _check_body(self, head: RequestHead) -> None:
        limit = self._service.limits.body_size
        if limit and head.content_length and head.content_length > limit:
            raise HttpError(
                413,
                f"The request's content is larger than {limit} octets.",
                setting="limits.body_size",
                must_close=True,
            )

    def _check_expectation(self, head: RequestHead, *, has_body: bool) -> None:
        """RFC 9110 §10.1.1; HTTP/1.0 knows no expectations: "A server that receives a 100-continue expectation in an HTTP/1.0 request
        MUST ignore that expectation." """
        if head.version == "1.0":
            return
        if head.fields.list_of("expect") != ["100-continue"]:
            raise HttpError(417, "The only expectation that can be met is 100-continue.", must_close=has_body)
        # A server "MAY omit sending a 100 (Continue) response if it has already received some or all of the content".
        self._expects_continue = has_body and not self._codec.buffered

    def _take(self, data: bytes) -> None:
        """A piece of content came in."""
        body = self._body
        if self._phase is DRAIN:
            self._drained -= len(data)
            if self._drained < 0:
                self._linger()
            return
        if isinstance(body, IncomingBody) and not body.has_ended:
            self._body_octets += len(data)
            body.feed(data)
            limit = self._service.limits.body_size
            if limit and body.received > limit:
                body.fail(
                    HttpError(
                        413,
                        f"The request's content is larger than {limit} octets.",
                        setting="limits.body_size",
                        must_close=True,
                    )
                )

    def _body_ended(self, trailers: Fields | None) -> None:
        if isinstance(self._body, IncomingBody):
            self._body.finish(trailers)
        if self._phase is DRAIN:
            self._next()

    # --- BodySource and RequestLink ----------------------------------------------------------------------------------------

    def body_wanted(self) -> None:
        if self._expects_continue:
            self._expects_continue = False
            if not self._response_started:
                self._connection.write(self._codec.send(InformationalHead(100, "", Fields())))
        self._resume_reading()

    def body_full(self) -> None:
        self._pause_reading()

    def inform(self, status: int, fields: Fields) -> None:
        # "A server MUST NOT send a 1xx response to an HTTP/1.0 client." (RFC 9110 §15.2)
        if self._head is not None and self._head.version != "1.0" and not self._response_started:
            self._connection.write(self._codec.send(InformationalHead(status, "", fields)))

    # --- answers -----------------------------------------------------------------------------------------------------------

    def _start(self, work: Any) -> None:
        """Run the exchange's coroutine; what has to wait goes on as a task of its own."""
        self._task = start_eagerly(self._guarded(work), self._service.loop.create_task)

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except (CancelledError, ConnectionError, BodyError):
            # The client is gone, or its request will never be whole: there is nothing to say, and nobody to say it to.
            self._connection.abort()
        except Exception:
            logger.exception("%s: a defect while sending an answer to %s", self._service.door, self._connection.peer)
            self._connection.abort()

    async def _exchange(self, head: RequestHead, request: Request | None, refusal: HttpError | None) -> None:
        """One request's answer, from the handler's call to the last octet."""
        service = self._service
        if refusal is not None or request is None:
            response = refusal_of(service, refusal or HttpError(400), request)
        else:
            try:
                response = await answer_of(service, request)
            except (BodyError, CancelledError):
                self._note(head, request, 0, b"", 0, b"", "aborted")
                raise
        sent, response_head, sample, outcome = 0, b"", b"", "aborted"
        try:
            client_closes = not self._codec.is_persistent
            response_head = self._send_head(head, response)
            if response.remember is not None and self._may_remember(response, closes=client_closes):
                remember(service, head, response, response_head, closes=client_closes)
            body = response.body
            if isinstance(body, bytes):
                if has_no_content(head.method, response.status):
                    body = b""
                content = self._codec.send(Data(body)) if body else b""
                end = self._codec.send(EndOfMessage(None))
                self._connection.write(b"".join((response_head, content, end)))
                sent, sample, outcome = len(body), body, "complete"
            else:
                self._connection.write(response_head)
                sent, sample = await send_streamed(
                    self._connection, self._codec, response, is_bodiless=has_no_content(head.method, response.status),
                    capture=service.capture,
                )  # fmt: skip
                outcome = "complete"
            if not self._connection.is_writable:
                await self._connection.drained()
        finally:
            self._note(head, request, response.status, response_head, sent, sample, outcome)
        if response.takeover is not None:
            self._hand_over(response)
        else:
            self._answered()

    def _may_remember(self, response: Response, *, closes: bool) -> bool:
        """True if the answer fits every connection on which the same is asked: it ends this one only if the request asked for that
        (`closes`), and what was sent can be sent so again."""
        if self._spare <= 0 or self._is_retiring or self._peer_has_ended:
            return False
        is_sendable = isinstance(response.body, bytes) or self._connection.may_send_file
        return is_sendable and self._codec.is_persistent is not closes

    def _send_head(self, head: RequestHead, response: Response) -> bytes:
        """Render the head, having decided whether the connection goes on after this exchange (RFC 9112 §9.3, §9.6)."""
        service, limits = self._service, self._service.limits
        self._response_started = True
        pairs = completed_fields(service, head.method, response)
        remaining = self._spare + LAST_REQUESTS
        if "connection" in response.fields and "close" in response.fields.list_of("connection"):
            pass
        elif self._is_retiring or remaining <= 0 or self._peer_has_ended or self._body_will_not_be_drained(head):
            if response.takeover is None:
                pairs.append(("connection", "close"))
        elif (
            "connection" in head.fields
            and "keep-alive" in head.fields.list_of("connection")
            and response.takeover is None
        ):
            hint = f"timeout={int(limits.idle_timeout)}" if limits.idle_timeout else ""
            if remaining <= LAST_REQUESTS:
                hint += f", max={remaining}"
            if hint:
                pairs.append(("keep-alive", hint))
        return self._codec.send(ResponseHead(response.status, "", "1.1", Fields(pairs)))

    def _body_will_not_be_drained(self, head: RequestHead) -> bool:
        """True if the rest of the request's body is not worth reading, or may never come."""
        if self._body.is_broken:
            return True
        if self._body.has_ended:
            return False
        # A client that waits for 100 and gets a final answer instead may or may not send its content: nobody could tell what the
        # next octets are (RFC 9110 §10.1.1).
        if self._expects_continue:
            return True
        if self._body.is_wanted or head.content_length is None:
            return not isinstance(self._body, IncomingBody) or self._body.received > self._service.limits.drain_body
        return head.content_length - self._body.received > self._service.limits.drain_body

    def _note(
        self,
        head: RequestHead,
        request: Request | None,
        status: int,
        response_head: bytes,
        sent: int,
        sample: bytes,
        outcome: str,
    ) -> None:
        service = self._service
        clock = service.clock
        record = record_of(
            service, head, request, status=status, response_head=response_head, response_body=sample[: service.capture],
            request_body=self._body.sample, received=self._body.received, sent=sent, elapsed=clock.monotonic() - self._began, outcome=outcome,
        )  # fmt: skip
        self._journal((clock.time(), self._connection.peer, record))

    # --- after the answer ------------------------------------------------------------------------------------------------

    def _answered(self) -> None:
        """The answer is out: go on with the connection, or end it."""
        self._task = None
        self._head = None
        if not self._codec.is_persistent:
            self._linger()
        elif self._body.has_ended:
            self._next()
        else:
            self._phase = DRAIN
            self._drained = self._service.limits.drain_body
            if isinstance(self._body, IncomingBody):
                self._body.drop()
            self._resume_reading()

    def _next(self) -> None:
        """Both sides of the exchange are done: the next one may begin."""
        self._task = None
        if self._codec.their_state_is_done:
            self._codec.start_next_cycle()
        self._body = NO_BODY
        self._phase = HEAD
        self._since = self._clock.now
        self._resume_reading()
        if self._retires_at_once and not self._codec.buffered:
            self._linger()
        else:
            self._process()

    def _hand_over(self, response: Response) -> None:
        """The stream belongs to somebody else from here on."""
        self._phase = HANDED_OVER
        self._task = None
        self._resume_reading()
        takeover = response.takeover
        if takeover is not None:
            self._connection.session = takeover(self._connection, self._codec.trailing_data)

    def _refuse(self, error: MessageError, outcome: str) -> None:
        """Bytes that are no request, or came too slowly: answer once in the protocol's words, and end (RFC 9112 §2.2)."""
        if self._phase is EXCHANGE or self._phase is DRAIN:
            if isinstance(self._body, IncomingBody) and not self._body.has_ended:
                self._body.fail(error)
            if self._phase is DRAIN:
                self._linger()
            return
        response = refusal_of(self._service, error, None)
        pairs = completed_fields(self._service, "GET", response)
        head = self._codec.send(ResponseHead(response.status, "", "1.1", Fields(pairs)))
        body = response.body if isinstance(response.body, bytes) else b""
        self._connection.write(head + body)
        record = HttpRecord(
            door=self._service.door, scheme=self._service.scheme, status=response.status, request_head=self._heard[:HEARD_OCTETS],
            response_head=head, response_body=body, sent=len(body), outcome=outcome,
        )  # fmt: skip
        self._journal((self._clock.time(), self._connection.peer, record))
        self._linger()

    def _linger(self) -> None:
        """End our side, and read on for a while: a close with unread data would reset what is still on its way to the client
        (RFC 9112 §9.6)."""
        self._phase = LINGER
        self._since = self._clock.now
        self._drained = max(self._service.limits.drain_body, 1 << 20)
        self._connection.write_eof()
        if self._peer_has_ended:
            self._connection.close()
        else:
            self._resume_reading()

    # --- time --------------------------------------------------------------------------------------------------------------

    def _sweep_slow_reader(self, now: float) -> None:
        """The client does not take what it asked for: end it when nothing has moved for `limits.send_timeout`."""
        waiting = self._connection.unacknowledged()
        if waiting != self._progress:
            self._progress = waiting
            self._since = now
        elif self._service.limits.send_timeout and now - self._since >= self._service.limits.send_timeout:
            self._connection.abort()

    def _sweep_linger(self, now: float) -> None:
        """A client may still be reading its last answer: the time runs while nothing of it moves."""
        waiting = self._connection.unacknowledged()
        if waiting != self._progress:
            self._progress = waiting
            self._since = now
        elif now - self._since >= (
            self._service.limits.send_timeout if waiting else self._service.limits.linger_timeout
        ):
            self._connection.abort()

    def _sweep_slow_sender(self, now: float) -> None:
        """The client sends its content too slowly: over each `limits.body_grace` it must bring `limits.body_rate` octets a second."""
        limits = self._service.limits
        self._body_seconds += now - self._since
        self._since = now
        if not limits.body_rate or self._body_seconds < limits.body_grace:
            return
        if self._body_octets < limits.body_rate * self._body_seconds:
            error = MessageError(408, "The request's content came too slowly.", setting="limits.body_rate")
            if self._phase is DRAIN:
                self._linger()
            elif isinstance(self._body, IncomingBody):
                self._body.fail(error)
        self._body_seconds = 0.0
        self._body_octets = 0

    def _pause_reading(self) -> None:
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self._connection.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused:
            self._is_reading_paused = False
            if isinstance(self._body, IncomingBody):
                self._since = self._clock.now
            self._connection.resume_reading()
