"""One exchange of HTTP/2: a stream, from the request's head to the note in the journal.

RFC 9113 §8.1 (messages), §8.1.1 (malformed ones), §5.2 (flow control); RFC 9110 §10.1.1 (Expect), §15.2 (1xx). What is the same under every
version stands in `exchange`, `body` and `sending`; when a stream may send is for its connection to say (`h2`).
"""

from __future__ import annotations

import logging
from asyncio import CancelledError, Future, Task
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from netlodge.core.eager import continued, start_eagerly
from netlodge.core.records import HttpRecord
from netlodge.http.message import BodyError, Fields, HttpError, Request, Response, give_back
from netlodge.http.session.body import NO_BODY, IncomingBody, NoBody
from netlodge.http.session.exchange import answer_of, answer_to, refusal_of, too_large
from netlodge.http.session.h2_answers import encode_head, encode_section, remember_for_h2
from netlodge.http.session.pace import Pace
from netlodge.http.session.sending import Sending
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.framing import is_bodiless
from netlodge.http.wire.h2_events import DataReceived, Stream
from netlodge.http.wire.h2_frames import ErrorCode
from netlodge.http.wire.render import SendError

if TYPE_CHECKING:
    from netlodge.http.session.h2 import Http2Session

logger = logging.getLogger("netlodge.http")

HIGH_WATER: Final = 256 * 1024
"""Octets of an answer that wait here for their turn until its handler is made to wait."""


class Http2Stream:
    """Is the `BodySource` of its request's body, the handler's `RequestLink`, and the `Sink` of its answer."""

    __slots__ = (
        "_began", "_body", "_expects_continue", "_has_answered", "_is_lost", "_offset", "_pieces", "_queued", "_record", "_request", "_sending", "_session",
        "_task", "_trailers", "_waiters", "has_all", "head", "may_send_file", "moved", "pace", "stream",
    )  # fmt: skip

    def __init__(self, session: Http2Session, stream: Stream, head: RequestHead, record: HttpRecord) -> None:
        self._session = session
        self.stream = stream
        self.head = head
        self._record = record
        self._began = session.service.clock.monotonic()
        self._body: IncomingBody | NoBody = NO_BODY
        self._request: Request | None = None
        self._expects_continue = False
        self._has_answered = False
        self._is_lost = False
        self._pieces: deque[bytes] = deque()
        self._offset = 0
        """Octets of the first piece that have left."""
        self._queued = 0
        self.has_all = False
        """True once all of the answer is here or out."""
        self._trailers: Fields | None = None
        self._waiters: list[Future[None]] = []
        self._task: Task[None] | None = None
        self._sending: Sending | None = None
        self.may_send_file = False
        self.pace = Pace(session.service.clock.now)
        self.moved = 0
        """Grows with whatever left."""

    # --- the request --------------------------------------------------------------------------------------------------------

    def begin(self, *, has_ended: bool) -> None:
        """The head is here: let the handler begin. What it answers at once leaves with the rest of this turn."""
        session, head = self._session, self.head
        service, connection = session.service, session.connection
        if not has_ended:
            self._body = IncomingBody(self, head.content_length, service.loop, service.capture)
        request = self._request = Request(
            head.method, head.target, head.form, head.scheme or service.scheme, head.host, head.port, head.path, head.query,
            "2", head.fields, self._body, connection.peer, connection.local, self,
        )  # fmt: skip
        try:
            self._check(has_ended=has_ended)
            work = service.handler.handle(request)
            waiting_for = work.send(None)
        except StopIteration as end:
            self._answer(end.value)
        except HttpError as error:
            self._answer(refusal_of(service, error, request))
        except BodyError:
            self._give_up()
        except Exception as error:
            self._answer(answer_to(service, request, error))
        else:
            self._start(answer_of(service, request, continued(work, waiting_for)))

    def refuse(self, error: HttpError) -> None:
        """Answer what never became a request."""
        self._answer(refusal_of(self._session.service, error, None))

    def _check(self, *, has_ended: bool) -> None:
        """What of a request is for the connection to judge. Raises `HttpError`."""
        service, head = self._session.service, self.head
        if head.scheme is not None and head.scheme != service.scheme:
            raise HttpError(421, f"This connection is for {service.scheme} alone.")
        limit = service.limits.body_size
        if limit and head.content_length and head.content_length > limit:
            raise too_large(limit)
        if "expect" in head.fields:
            if head.fields.list_of("expect") != ["100-continue"]:
                raise HttpError(417, "The only expectation that can be met is 100-continue.")
            self._expects_continue = not has_ended

    def take(self, event: DataReceived) -> None:
        """Some content came."""
        body, padding = self._body, event.octets - len(event.data)
        if padding:
            self._session.give_window(self.stream, padding)
        self._expects_continue = False
        if (self._has_answered and self.has_all) or body.has_ended or not isinstance(body, IncomingBody):
            self._session.give_window(self.stream, len(event.data))
            return
        self.pace.receive(len(event.data))
        body.feed(event.data)
        limit = self._session.service.limits.body_size
        if limit and body.received > limit:
            body.fail(too_large(limit))

    def end_of_request(self, trailers: Fields | None) -> None:
        """All of the request is here."""
        if isinstance(self._body, IncomingBody):
            self._body.finish(trailers)

    def lose(self, error: Exception | None = None) -> None:
        """The stream was closed before its time, or the connection is gone."""
        if self._is_lost:
            return
        self._is_lost = True
        body, task = self._body, self._task
        is_told = isinstance(body, IncomingBody) and body.is_wanted
        if isinstance(body, IncomingBody):
            body.fail(error or BodyError("the client went away in the middle of its request"))
        is_waiting = bool(self._waiters)
        self._wake(ConnectionResetError("the stream was closed"))
        # As in HTTP/1.1: whoever waits for the client is told by an exception, and cleans up without being cancelled as well.
        if task is not None and not is_told and not is_waiting:
            task.cancel()

    # --- BodySource -------------------------------------------------------------------------------------------------------------

    def body_wanted(self) -> None:
        if self._expects_continue:
            self._expects_continue = False
            if not self._has_answered and not self._is_lost:
                self._session.send_head(self.stream, encode_section([(":status", "100")]), ends=False)

    def body_full(self) -> None:
        pass  # its window closes by itself

    def body_taken(self, octets: int) -> None:
        self._session.give_window(self.stream, octets)

    # --- RequestLink ------------------------------------------------------------------------------------------------------------

    def inform(self, status: int, fields: Fields) -> None:
        if not self._has_answered and not self._is_lost:
            self._session.send_head(self.stream, encode_section([(":status", str(status)), *fields]), ends=False)

    def when_ended(self, tell: Callable[[], None]) -> None:
        """A client that gives up resets its stream; the end of its side says nothing."""

    # --- the answer --------------------------------------------------------------------------------------------------------------

    def _start(self, answer: Response | Awaitable[Response]) -> None:
        self._task = start_eagerly(self._guarded(answer), self._session.service.loop.create_task)

    async def _guarded(self, answer: Response | Awaitable[Response]) -> None:
        try:
            await self._respond(answer)
        except (CancelledError, ConnectionError, BodyError):
            self._session.reset(self.stream, ErrorCode.CANCEL)
        except Exception:
            logger.exception(
                "%s: a defect while sending an answer to %s", self._session.service.door, self._session.connection.peer
            )
            self._session.reset(self.stream, ErrorCode.INTERNAL_ERROR)
        finally:
            self._session.ended(self)

    def _answer(self, response: Response) -> None:
        """An answer that is here at once."""
        body = response.body
        session = self._session
        if isinstance(body, bytes) and response.trailers is None and response.takeover is None:
            if is_bodiless(self.head.method, response.status):
                body = b""
            if not body or session.may_send(self.stream, len(body)):
                head = self._encoded(response)
                if head is None:
                    return
                block, self._record.response_head = head
                self._record.status = response.status
                self._has_answered = self.has_all = True
                if response.remember is not None:
                    remember_for_h2(session.service, self.head, response, *head)
                session.send_whole(self.stream, block, body)
                self._note("complete", len(body), body[: session.service.capture])
                session.ended(self)
                return
        self._start(response)

    def _encoded(self, response: Response) -> tuple[bytes, bytes] | None:
        """The head of an answer, as it is sent and as it is shown. What cannot be sent is a defect of its handler: then None, and a 500 is on
        its way."""
        service = self._session.service
        try:
            return encode_head(service, self.head, response)
        except SendError:
            logger.exception("%s: the answer to %s %s cannot be sent", service.door, self.head.method, self.head.target)
            error = HttpError(500, "The server made an answer that cannot be sent.")
            self._answer(service.error_page(error, self._request))
            return None

    async def _respond(self, answer: Response | Awaitable[Response]) -> None:
        session, record = self._session, self._record
        sending = self._sending = Sending(self, session.service.capture)
        outcome = "aborted"
        try:
            response = answer if isinstance(answer, Response) else await answer
            record.status = response.status
            head = self._encode_or_replace(response)
            if self._is_lost:
                await give_back(response.body)
                raise ConnectionResetError("the stream was closed")
            response, block, record.response_head = head
            bodiless = is_bodiless(self.head.method, response.status)
            record.status = response.status
            self._has_answered = True
            ends = (bodiless or response.body == b"") and response.trailers is None
            session.send_head(self.stream, block, ends=ends)
            if ends:
                self.has_all = True
                await give_back(response.body)
            else:
                await sending.send(response, is_bodiless=bodiless)
                await self._left()
            outcome = "complete"
        finally:
            self._note(outcome, sending.sent, sending.sample)

    def _encode_or_replace(self, response: Response) -> tuple[Response, bytes, bytes]:
        service = self._session.service
        try:
            return response, *encode_head(service, self.head, response)
        except SendError:
            logger.exception("%s: the answer to %s %s cannot be sent", service.door, self.head.method, self.head.target)
            error = HttpError(500, "The server made an answer that cannot be sent.")
            page = service.error_page(error, self._request)
            return page, *encode_head(service, self.head, page)

    def _give_up(self) -> None:
        self._note("aborted", 0, b"")
        self._session.reset(self.stream, ErrorCode.CANCEL)
        self._session.ended(self)

    def _note(self, outcome: str, sent: int, sample: bytes) -> None:
        """Into the journal with an exchange that is over."""
        service, record, body = self._session.service, self._record, self._body
        record.outcome = outcome
        if self._request is not None and "user" in self._request.route:
            record.user = self._request.route["user"]
        record.sent = sent
        record.response_body = sample
        if body is not NO_BODY:
            record.request_body = body.sample
            record.received = body.received
        record.elapsed = service.clock.monotonic() - self._began
        service.journal((service.clock.time(), self._session.connection.peer, record))

    # --- Sink ------------------------------------------------------------------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        return self._queued < HIGH_WATER and not self._is_lost

    def write(self, data: bytes) -> None:
        if self._is_lost:
            raise ConnectionResetError("the stream was closed")
        self._pieces.append(data)
        self._queued += len(data)
        self._session.wants_to_send(self)

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        raise SendError("A stream is one of many on its connection: the kernel cannot send for it.")

    async def drained(self) -> None:
        while not self.is_writable:
            await self._wait()

    def end(self, trailers: Fields | None) -> None:
        self._trailers = trailers
        self.has_all = True
        self._session.wants_to_send(self)

    async def _left(self) -> None:
        """Return when the last octet was handed to the connection."""
        while self._queued or self.stream.stream_id in self._session.unfinished:
            await self._wait()

    async def _wait(self) -> None:
        if self._is_lost:
            raise ConnectionResetError("the stream was closed")
        waiter: Future[None] = self._session.service.loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self, error: Exception | None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)

    # --- for the connection ------------------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """Octets that wait for their turn."""
        return self._queued

    @property
    def is_waited_for(self) -> bool:
        """True while the client is slow to send what somebody waits for."""
        return isinstance(self._body, IncomingBody) and not self._body.has_ended and self._body.is_wanted

    def is_slow(self, now: float) -> bool:
        """Whether the client has sent too slowly for too long; the handler is told if so."""
        limits, body = self._session.service.limits, self._body
        if not self.is_waited_for or self._expects_continue:
            self.pace.pause(now)
            return False
        if limits.body_rate and self.pace.is_slow(now, limits.body_rate, limits.body_grace):
            if isinstance(body, IncomingBody):
                body.fail(HttpError(408, "The request's content came too slowly.", setting="limits.body_rate"))
            return True
        return False

    def next_piece(self, most: int) -> tuple[bytes, bool]:
        """At most so many octets, at least one unless none are left; and whether they are the last of the stream."""
        if not self._pieces:
            return b"", self.has_all and self._trailers is None
        first, start = self._pieces[0], self._offset
        if len(first) - start > most:
            piece = first[start : start + most]
            self._offset += most
        else:
            piece = first[start:] if start else first
            self._offset = 0
            self._pieces.popleft()
        self._queued -= len(piece)
        self.moved += len(piece)
        if self._queued < HIGH_WATER // 2:
            self._wake(None)
        return piece, self.has_all and not self._pieces and self._trailers is None

    def trailer_block(self) -> bytes | None:
        """The trailer section, if it is all that is left."""
        if self.has_all and not self._pieces and self._trailers is not None:
            return encode_section(self._trailers)
        return None

    def finished(self) -> None:
        """The last octet was handed to the connection."""
        self._wake(None)
