"""One HTTP/1.x connection, from the server's side: bytes in, handler calls, bytes out.

RFC 9112 §9 (connections: persistence, pipelining, closing), §2.2, §7.1; RFC 9110 §10.1.1 (Expect), §15.2 (1xx), §7.8 (Upgrade).

A connection goes round this table; the rest of the file is what happens on the way:

    REST       between exchanges, nothing received            -> HEAD | EXCHANGE | LINGER
    HEAD       something was received, no head of it pending  -> REST | EXCHANGE | LINGER
    EXCHANGE   a handler is at work, or an answer leaves      -> REST | HEAD | DRAIN | LINGER | HANDED_OVER
    DRAIN      answered; the rest of the request's body is thrown away -> REST | HEAD | LINGER
    LINGER     the last answer is out and our side half-closed; what still comes is thrown away -> closed
    HANDED_OVER  the stream belongs to another session (an upgrade)

What was asked before, byte for byte, never leaves `receive_data`: see `core/recall.py`.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError, Task
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum

from netlodge.core.certificates import CoveredHosts
from netlodge.core.contracts import Connection
from netlodge.core.eager import continued, start_eagerly
from netlodge.core.errors import CutShortError
from netlodge.core.records import HttpRecord
from netlodge.http.message import BodyError, Fields, HttpError, MessageError, Request, Response, give_back
from netlodge.http.session.body import NO_BODY, IncomingBody, NoBody
from netlodge.http.session.exchange import (
    answer_of,
    answer_to,
    check_request,
    completed_fields,
    keep_alive_hint,
    may_be_drained,
    plain_answer,
    record_of,
    refusal_of,
    too_large,
)
from netlodge.http.session.pace import Pace
from netlodge.http.session.remembering import HttpAnswer, recalled, remember
from netlodge.http.session.sending import Http1Sink, Sending
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import Data, EndOfMessage, InformationalHead, RequestHead, ResponseHead
from netlodge.http.wire.framing import is_bodiless
from netlodge.http.wire.h1 import Http1Codec
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role

logger = logging.getLogger("netlodge.http")

PIPELINE_OCTETS = 64 * 1024
"""How much of later requests waits here while one is answered; then the client waits."""
BATCH_OCTETS = 256 * 1024
"""How much of remembered answers to pipelined requests is put together before it is sent."""
TURN_EXCHANGES = 32
"""Pipelined requests answered before other connections have their turn."""
AT_HAND_OCTETS = 64 * 1024
"""Content up to which it is handed over before the handler begins, if all of it came with the head."""
LAST_REQUESTS = 100
"""From here on `Keep-Alive: max` tells the client how many requests the connection is still good for."""
LINGER_SECONDS = 30.0
"""How long a client may go on sending after its last answer. Precedent: nginx `lingering_time`."""
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
        "_began", "_body", "_clock", "_codec", "_connection", "_drained", "_expects_continue", "_find", "_head", "_heard", "_hosts", "_is_lost",
        "_is_processing", "_is_reading_paused", "_is_retiring", "_journal", "_known", "_lingers_since", "_pace", "_peer_has_ended", "_phase",
        "_response_started", "_retires_at_once", "_service", "_spare", "_spare_at_codec", "_spare_at_sweep", "_task", "_tell_of_end",
    )  # fmt: skip

    def __init__(self, connection: Connection, service: HttpService, hosts: CoveredHosts | None = None) -> None:
        """`hosts` are those that the connection's certificate is for; None: requests for all may come."""
        limits = service.limits
        self._connection = connection
        self._service = service
        self._hosts = hosts
        self._codec = Http1Codec(Role.SERVER, limits.wire, service.memo)
        self._clock = service.clock
        self._find = service.recall.find
        self._known = service.requests.find
        self._journal = service.journal
        self._phase = REST
        limit = limits.requests_per_connection
        # How many requests this connection is good for before its last hundred.
        self._spare = self._spare_at_codec = self._spare_at_sweep = limit - LAST_REQUESTS if limit else NEVER
        self._pace = Pace(service.clock.now)
        self._task: Task[None] | None = None
        self._body: IncomingBody | NoBody = NO_BODY
        self._head: RequestHead | None = None
        self._heard = b""
        self._is_processing = False
        self._is_reading_paused = False
        self._is_retiring = False
        self._retires_at_once = False
        self._peer_has_ended = False
        self._tell_of_end: Callable[[], None] | None = None
        self._is_lost = False
        self._expects_continue = False
        self._response_started = False

    # --- from the connection -------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        phase = self._phase
        if phase is REST:
            if self._spare > 1:
                answer = self._find(data)
                hosts = self._hosts
                if answer is not None and (hosts is None or hosts[answer.host]):
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
                known = self._known(data)
                if known is not None and (hosts is None or hosts[known.head.host]):
                    self._codec.take_known(known.head)
                    self._begin_exchange(known.head, known.record.copy(), NO_BODY, None)
                    return
                data = self._answer_remembered(data)
                if not data:
                    return
            self._phase = phase = HEAD
            self._pace.begin(self._clock.now)
            if self._spare != self._spare_at_codec:  # the codec knows nothing of what was answered since
                self._codec.forget_empty_lines()
        elif phase is LINGER:
            self._pace.begin(self._clock.now)
            return
        codec = self._codec
        codec.receive_data(data)
        if phase is HEAD and len(self._heard) < HEARD_OCTETS:
            self._heard += data[:HEARD_OCTETS]
        if phase is EXCHANGE and self._body.has_ended:
            self._bound_pipeline()
        else:
            self._process()

    def receive_eof(self) -> None:
        self._peer_has_ended = True
        phase = self._phase
        if phase is REST or phase is LINGER:
            self._connection.close()
            return
        # A client that sent its request and half-closed still gets its answer; one that broke off in the middle does not.
        self._codec.receive_eof()
        if self._tell_of_end is not None:
            self._tell_of_end()
        if phase is not EXCHANGE or not self._body.has_ended:
            self._process()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        body, task = self._body, self._task
        is_told = isinstance(body, IncomingBody) and body.is_wanted
        if isinstance(body, IncomingBody):
            body.fail(BodyError("the client went away in the middle of its request"))
        # Whoever waits for the client, to send or to take, is told by an exception, and cleans up without being cancelled as well.
        if task is not None and self._connection.is_writable and not is_told:
            task.cancel()

    def retire(self, *, at_once: bool) -> None:
        self._is_retiring = True
        self._retires_at_once = at_once
        self._spare = 0  # what is remembered does not say that it is the last answer
        if at_once and self._phase is REST:
            self._linger()

    @property
    def awaits_head(self) -> bool:
        """True while nothing is under way, but at most the beginning of a head."""
        return self._phase is REST or self._phase is HEAD

    def sweep(self, now: float) -> None:
        phase, limits, pace = self._phase, self._service.limits, self._pace
        if phase is REST:
            if self._spare != self._spare_at_sweep:
                self._spare_at_sweep = self._spare
                pace.begin(now)
            elif pace.is_over(now, limits.idle_timeout):
                # A request may be on its way: a half-close lets the client see that nobody took it (RFC 9112 §9.5, §9.6).
                self._linger()
        elif phase is HEAD:
            if pace.is_over(now, limits.head_timeout):
                late = "The head of the request did not come in time."
                self._refuse(MessageError(408, late, setting="limits.head_timeout"), "timeout")
        elif phase is LINGER:
            waiting = self._connection.unacknowledged()
            limit = limits.send_timeout if waiting else limits.linger_timeout
            if (
                pace.is_stuck(now, (self._connection.progress, waiting), limit)
                or now - self._lingers_since >= LINGER_SECONDS + limit
            ):
                self._connection.abort()
        elif phase is not HANDED_OVER:
            self._sweep_exchange(now)

    def _sweep_exchange(self, now: float) -> None:
        limits, pace = self._service.limits, self._pace
        if not self._connection.is_writable:
            moved = (self._connection.progress, self._connection.unacknowledged())
            if pace.is_stuck(now, moved, limits.send_timeout):
                self._connection.abort()
            return
        pace.moves()
        body = self._body
        if body.has_ended or self._is_reading_paused or self._expects_continue:
            pace.pause(now)
        elif (limits.body_rate or self._phase is DRAIN) and pace.is_slow(now, limits.body_rate, limits.body_grace):
            if self._phase is DRAIN:
                self._linger()
            elif isinstance(body, IncomingBody):
                body.fail(MessageError(408, "The request's content came too slowly.", setting="limits.body_rate"))

    # --- remembered answers --------------------------------------------------------------------------------------------

    def _answer_remembered(self, data: bytes) -> bytes:
        """Answer the requests at the front of `data` that are remembered: by their octets where several came at once, or by their
        meaning. Return what is left to be read."""
        end = data.find(HEAD_END) + 4
        connection, hosts = self._connection, self._hosts
        wires: list[bytes] = []
        start = octets = 0
        while end >= 4 and self._spare > 1:
            answer, record = recalled(self._service, data[start:end], is_new=start == 0 and end == len(data))
            if answer is None or not (hosts is None or hosts[answer.host]):
                break
            self._spare -= 1
            wires.append(answer.wire)
            octets += len(answer.wire)
            start = end
            if not answer.is_plain:
                connection.write(b"".join(wires))
                self._codec.receive_data(data[start:])
                self._finish_remembered(answer, record)
                return b""
            self._journal((self._clock.wall, connection.peer, record))
            if octets >= BATCH_OCTETS:
                connection.write(b"".join(wires))
                wires.clear()
                octets = 0
                if not connection.is_writable:
                    break
            end = data.find(HEAD_END, start) + 4
        if wires:
            connection.write(b"".join(wires))
        if start == 0 or connection.is_writable:
            return data[start:]
        self._codec.receive_data(data[start:])
        self._hold_until_drained()
        return b""

    def _finish_remembered(self, answer: HttpAnswer, record: HttpRecord) -> None:
        """The octets of a remembered answer are out, and there is more to do: send a file, end the connection, or both."""
        self._enter_exchange(None, NO_BODY)
        self._start(self._finished_remembered(answer, record))

    async def _finished_remembered(self, answer: HttpAnswer, record: HttpRecord) -> None:
        connection, span = self._connection, answer.file
        if span is not None:
            sent = 0
            try:
                sent = await connection.send_file(span.descriptor, span.offset, span.count)
            except CutShortError as error:
                sent = error.sent
                raise
            finally:
                whole = record if sent == span.count else record.cut_short(sent)
                self._journal((self._clock.time(), connection.peer, whole))
            if sent < span.count:
                raise ConnectionAbortedError("the file became shorter while it was sent")
        else:
            self._journal((self._clock.time(), connection.peer, record))
            if not connection.is_writable:
                await connection.drained()
        if answer.closes:
            self._linger()
        else:
            self._next()

    def _hold_until_drained(self) -> None:
        """The client does not take its answers: answer no more before it does."""
        self._enter_exchange(None, NO_BODY)
        self._pause_reading()
        self._start(self._held())

    async def _held(self) -> None:
        await self._connection.drained()
        self._next()

    # --- requests --------------------------------------------------------------------------------------------------------

    def _process(self) -> None:
        """Take the codec's events as far as they go. What is answered at once is answered in this loop, not below it."""
        if self._is_processing or self._is_lost:
            return
        self._is_processing = True
        try:
            self._take_events()
            if self._phase is REST or self._phase is HEAD:
                buffered = self._codec.buffered
                self._phase = HEAD if buffered else REST
                if buffered <= PIPELINE_OCTETS:
                    self._resume_reading()
                if self._peer_has_ended and not buffered:
                    self._connection.close()
        except MessageError as error:
            self._refuse(error, "refused")
        finally:
            self._is_processing = False

    def _take_events(self) -> None:
        codec = self._codec
        begun = 0
        while self._phase is not LINGER and self._phase is not HANDED_OVER:
            if self._phase is EXCHANGE and self._head is None:
                return  # a remembered answer is on its way: what was read after it waits
            if begun == TURN_EXCHANGES and codec.buffered and self._phase is not EXCHANGE:
                self._service.loop.call_soon(self._process)
                self._bound_pipeline()
                return
            event = codec.next_event()
            kind = type(event)
            if kind is RequestHead:
                begun += 1
                self._begin(event)  # type: ignore[arg-type]
            elif kind is Data:
                self._take(event.data)  # type: ignore[union-attr]
            elif kind is EndOfMessage:
                self._body_ended(event.trailers)  # type: ignore[union-attr]
            else:
                return  # NEED_DATA, PAUSED or ConnectionClosed

    def _bound_pipeline(self) -> None:
        """Let the client wait if it sent more than may wait here."""
        if self._codec.buffered > PIPELINE_OCTETS:
            self._pause_reading()

    def _enter_exchange(self, head: RequestHead | None, body: IncomingBody | NoBody) -> None:
        """`head` is None for an answer that the codec knows nothing of."""
        self._phase = EXCHANGE
        self._head = head
        self._body = body
        self._expects_continue = False
        self._response_started = False
        self._pace.begin(self._clock.now)

    def _begin(self, head: RequestHead) -> None:
        """A request head is complete."""
        service = self._service
        self._heard = b""
        body: IncomingBody | NoBody = NO_BODY
        if head.content_length != 0:
            body = IncomingBody(self, head.content_length, service.loop, service.capture)
        else:
            self._codec.next_event()  # EndOfMessage: the message is over, and its exchange can be, too
        record = record_of(service, head)
        refusal: HttpError | None = None
        expects_continue = False
        try:
            # A server "MAY omit sending a 100 (Continue) response if it has already received some or all of the content".
            expects_continue = check_request(service, head, self._hosts) and not self._codec.buffered
            service.requests.note(head, record.copy())
        except HttpError as error:
            refusal = error
        length = head.content_length
        if refusal is None and length and length <= AT_HAND_OCTETS and length <= self._codec.buffered:
            self._feed_at_hand(body)
        self._begin_exchange(head, record, body, refusal, expects_continue=expects_continue)

    def _feed_at_hand(self, body: IncomingBody | NoBody) -> None:
        """A small content came with its head: a handler that reads it need not wait."""
        event = self._codec.next_event()
        if isinstance(event, Data) and isinstance(body, IncomingBody):
            body.feed(event.data)
            body.finish(None)
            self._codec.next_event()  # EndOfMessage

    def _begin_exchange(
        self,
        head: RequestHead,
        record: HttpRecord,
        body: IncomingBody | NoBody,
        refusal: HttpError | None,
        *,
        expects_continue: bool = False,
    ) -> None:
        """Let the handler begin. What it answers without having to wait leaves without a task."""
        service, connection = self._service, self._connection
        self._spare -= 1
        self._spare_at_codec = self._spare
        self._began = self._clock.monotonic()
        self._phase = EXCHANGE
        self._head = head
        self._body = body
        self._expects_continue = expects_continue
        self._response_started = False
        request = Request(
            head.method, head.target, head.form, head.scheme or service.scheme, head.host, head.port, head.path, head.query,
            head.version, head.fields, body, connection.peer, connection.local, self,
        )  # fmt: skip
        if refusal is not None:
            self._pace.begin(self._clock.now)
            self._start(self._exchange(head, request, record, refusal_of(service, refusal, request)))
            return
        work = service.handler.handle(request)
        try:
            waiting_for = work.send(None)
        except StopIteration as end:
            response: Response = end.value
            if self._answer_plainly(head, request, record, response):
                return
        except BodyError:
            self._note(record, request, "aborted")
            connection.abort()
            return
        except Exception as error:
            response = answer_to(service, request, error)
        else:
            self._pace.begin(self._clock.now)
            answer = answer_of(service, request, continued(work, waiting_for))
            self._task = service.loop.create_task(self._guarded(self._exchange(head, request, record, answer)))
            return
        self._pace.begin(self._clock.now)
        self._start(self._exchange(head, request, record, response))

    def _answer_plainly(self, head: RequestHead, request: Request, record: HttpRecord, response: Response) -> bool:
        """Send an answer whose head has left before, on a connection that goes on; False if it has to go the long way."""
        service, codec = self._service, self._codec
        if (
            self._spare <= 0
            or self._peer_has_ended
            or self._is_lost
            or not codec.is_persistent
            or head.version != "1.1"
        ):
            return False
        if response.remember is not None and service.recall.is_on:
            return False
        if not self._body.has_ended or self._body.is_broken:
            return False
        answer = plain_answer(service, head, response)
        if answer is None:
            return False
        octets, body = answer
        self._response_started = True
        self._connection.write(octets + body)
        codec.answered_elsewhere()
        record.status = response.status
        record.response_head = octets
        record.response_body = body[: service.capture]
        record.sent = len(body)
        self._note(record, request, "complete")
        self._head = None
        self._body = NO_BODY
        if not self._connection.is_writable:
            self._hold_until_drained()
        elif codec.buffered or self._is_processing:
            self._next()
        else:
            self._phase = REST
        return True

    def _take(self, data: bytes) -> None:
        """A piece of content came in."""
        body = self._body
        self._pace.receive(len(data))
        if self._phase is DRAIN:
            self._drained -= len(data)
            if self._drained < 0:
                self._linger()
        elif isinstance(body, IncomingBody) and not body.has_ended:
            body.feed(data)
            limit = self._service.limits.body_size
            if limit and body.received > limit:
                body.fail(too_large(limit))

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
                self._connection.write(self._codec.send(InformationalHead(100)))
        self._resume_reading()

    def body_full(self) -> None:
        self._pause_reading()

    def body_taken(self, octets: int) -> None:
        pass  # reading goes on when somebody waits for more

    def inform(self, status: int, fields: Fields) -> None:
        # "A server MUST NOT send a 1xx response to an HTTP/1.0 client." (RFC 9110 §15.2)
        if self._head is not None and self._head.version != "1.0" and not self._response_started:
            self._connection.write(self._codec.send(InformationalHead(status, fields=fields)))

    def when_ended(self, tell: Callable[[], None]) -> None:
        if self._peer_has_ended:
            tell()
        else:
            self._tell_of_end = tell

    # --- answers -----------------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[object, object, None]) -> None:
        """Run the exchange's coroutine; what has to wait goes on as a task of its own."""
        self._task = start_eagerly(self._guarded(work), self._service.loop.create_task)

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except (CancelledError, ConnectionError, BodyError):
            # The client is gone, or its request will never be whole: there is nothing to say, and nobody to say it to.
            self._connection.abort()
        except Exception:
            logger.exception("%s: a defect while sending an answer to %s", self._service.door, self._connection.peer)
            self._connection.abort()

    async def _exchange(
        self, head: RequestHead, request: Request, record: HttpRecord, answer: Response | Awaitable[Response]
    ) -> None:
        """One request's answer, from the handler's wait to the last octet."""
        service, connection, codec = self._service, self._connection, self._codec
        sending = Sending(Http1Sink(connection, codec), service.capture)
        outcome = "aborted"
        try:
            response = answer if isinstance(answer, Response) else await answer
            response, record.response_head = await self._rendered(head, request, response)
            record.status = response.status
            bodiless = is_bodiless(head.method, response.status)
            body = response.body
            if isinstance(body, bytes):
                if bodiless:
                    body = b""
                content = codec.send(Data(body)) if body else b""
                connection.write(b"".join((record.response_head, content, codec.send(EndOfMessage()))))
                sending.sent, sending.sample = len(body), body[: service.capture]
            else:
                connection.write(record.response_head)
                await sending.send(response, is_bodiless=bodiless)
            outcome = "complete"
            if not connection.is_writable:
                await connection.drained()
        finally:
            record.response_body = sending.sample
            record.sent = sending.sent
            self._note(record, request, outcome)
        if response.takeover is not None:
            self._hand_over(response)
        else:
            self._answered()

    async def _rendered(self, head: RequestHead, request: Request, response: Response) -> tuple[Response, bytes]:
        """The response with its head as it goes out. What cannot be put on the wire is a defect of its handler: then a 500."""
        client_closes = not self._codec.is_persistent
        self._response_started = True
        try:
            rendered = self._render_head(head, response)
        except SendError:
            logger.exception("%s: the answer to %s %s cannot be sent", self._service.door, head.method, head.target)
            await give_back(response.body)
            response = self._service.error_page(
                HttpError(500, "The server made an answer that cannot be sent."), request
            )
            return response, self._render_head(head, response)
        if response.remember is not None and self._may_remember(response, closes=client_closes):
            remember(self._service, head, response, rendered, closes=client_closes)
        if self._spare > 0 and self._codec.is_persistent and head.version == "1.1":
            self._service.answers.note(head, response, rendered)
        return response, rendered

    def _may_remember(self, response: Response, *, closes: bool) -> bool:
        """True if the answer fits every connection on which the same is asked: it ends this one only if the request asked for that
        (`closes`), and what was sent can be sent so again."""
        if self._spare <= 0 or self._is_retiring or self._peer_has_ended:
            return False
        is_sendable = isinstance(response.body, bytes) or self._connection.may_send_file
        return is_sendable and self._codec.is_persistent is not closes

    def _render_head(self, head: RequestHead, response: Response) -> bytes:
        """Having decided whether the connection goes on after this exchange (RFC 9112 §9.3, §9.6). Raises `SendError`."""
        pairs = completed_fields(self._service, head.method, response)
        if response.takeover is None and "connection" not in response.fields:
            if self._is_last(head):
                pairs.append(("connection", "close"))
            elif "connection" in head.fields and "keep-alive" in head.fields.list_of("connection"):
                left = self._spare + LAST_REQUESTS if self._spare <= 0 else None
                persists = self._codec.is_persistent
                pairs.extend(keep_alive_hint(head, pairs, self._service.limits.idle_timeout, left) if persists else [])
        return self._codec.send(ResponseHead(response.status, fields=Fields(pairs)))

    def _is_last(self, head: RequestHead) -> bool:
        """True if we end the connection after this exchange, whatever the client would like."""
        if self._is_retiring or self._spare + LAST_REQUESTS <= 0:
            return True
        if self._peer_has_ended and not self._codec.buffered:
            return True
        # A client that waits for 100 and gets a final answer instead may or may not send its content: nobody could tell what the
        # next octets are (RFC 9110 §10.1.1).
        return self._expects_continue or not may_be_drained(head, self._body, self._service.limits.drain_body)

    def _note(self, record: HttpRecord, request: Request, outcome: str) -> None:
        """Into the journal with an exchange that is over."""
        clock, body = self._clock, self._body
        record.outcome = outcome
        if "user" in request.route:
            record.user = request.route["user"]
        if body is not NO_BODY:
            record.request_body = body.sample
            record.received = body.received
        record.elapsed = clock.monotonic() - self._began
        self._journal((clock.time(), self._connection.peer, record))

    # --- after the answer ------------------------------------------------------------------------------------------------

    def _answered(self) -> None:
        """The answer is out: go on with the connection, or end it."""
        self._task = None
        body = self._body
        if not self._codec.is_persistent or body.is_broken:
            self._linger()
        elif body.has_ended:
            self._next()
        else:
            self._phase = DRAIN
            self._drained = self._service.limits.drain_body
            self._pace.begin(self._clock.now)
            if isinstance(body, IncomingBody):
                body.drop()
            self._resume_reading()

    def _next(self) -> None:
        """Both sides of the exchange are done: the next one may begin."""
        self._task = None
        self._tell_of_end = None
        if self._head is not None:
            self._head = None
            self._codec.start_next_cycle()
        self._body = NO_BODY
        self._phase = HEAD
        self._pace.begin(self._clock.now)
        if self._retires_at_once and not self._codec.buffered:
            self._linger()
        else:
            self._process()

    def _hand_over(self, response: Response) -> None:
        """The stream belongs to somebody else from here on, with what this session knows of it."""
        self._phase = HANDED_OVER
        self._task = None
        self._resume_reading()
        if response.takeover is not None:
            session = response.takeover(self._connection, self._codec.trailing_data)
            self._connection.session = session
            if self._is_retiring:
                session.retire(at_once=self._retires_at_once)
            if self._peer_has_ended:
                session.receive_eof()

    def _refuse(self, error: MessageError, outcome: str) -> None:
        """Bytes that are no request, or came too slowly: answer once in the protocol's words, and end (RFC 9112 §2.2)."""
        if self._phase is DRAIN:
            self._linger()
            return
        if self._phase is EXCHANGE:
            if isinstance(self._body, IncomingBody):
                self._body.fail(error)
            return
        service = self._service
        response = refusal_of(service, error, None)
        head = self._codec.send(
            ResponseHead(response.status, fields=Fields(completed_fields(service, "GET", response)))
        )
        body = response.body if isinstance(response.body, bytes) else b""
        self._connection.write(head + body)
        record = HttpRecord(
            door=service.door, scheme=service.scheme, status=response.status, request_head=self._heard[:HEARD_OCTETS],
            response_head=head, response_body=body, sent=len(body), outcome=outcome,
        )  # fmt: skip
        self._journal((self._clock.time(), self._connection.peer, record))
        self._linger()

    def _linger(self) -> None:
        """End our side, and read on for a while: a close with unread data would reset what is still on its way to the client
        (RFC 9112 §9.6)."""
        self._phase = LINGER
        self._task = None
        self._lingers_since = self._clock.now
        self._pace.begin(self._clock.now)
        self._connection.write_eof()
        if self._peer_has_ended:
            self._connection.close()
        else:
            self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self._connection.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._pace.pause(self._clock.now)
            self._connection.resume_reading()
