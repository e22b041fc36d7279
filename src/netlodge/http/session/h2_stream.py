"""One exchange of HTTP/2: a stream, from the request's head to the note in the journal.

RFC 9113 §8.1 (messages; RST_STREAM after a complete answer), §5.2 (flow control), §5.4.2 (what ends a stream alone), §8.5 (CONNECT); RFC 9110
§10.1.1 (Expect), §15.2 (1xx). What is the same under every version stands in `exchange`, `body` and `sending`; when a stream may send is for its
connection to say (`h2`), and what waits for that stands in its `Outlet`.

An exchange is concluded once, in one of these ways, and that is when it is noted:

    its answer is out, to the last octet             complete
    the client resets it, or the connection ends     aborted
    it cannot be answered, or not to the end         aborted; the client is told by RST_STREAM

Most answers need no task: they are at hand, or are a file, and wait for their turn by themselves.
"""

from __future__ import annotations

import logging
import os
from asyncio import CancelledError, Task
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING

from netlodge.core.eager import continued, start_eagerly
from netlodge.core.records import HttpRecord
from netlodge.http.message import BodyError, Fields, FileBody, HttpError, Request, Response, give_back
from netlodge.http.session.body import NO_BODY, IncomingBody, NoBody
from netlodge.http.session.exchange import answer_of, answer_to, check_request, refusal_of, too_large
from netlodge.http.session.h2_answers import (
    Http2Answer,
    announced_length,
    encode_head,
    encode_interim,
    remember_for_h2,
)
from netlodge.http.session.h2_outlet import Outlet
from netlodge.http.session.h2_tunnel import Http2Tunnel, opening_answer, opening_request
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

_GONE = "the client went away in the middle of its request"
_ANSWERED = "the request was answered before all of it had come"


class Http2Stream:
    """Is the `BodySource` of its request's body and the handler's `RequestLink`."""

    # What most exchanges never change stands here, and not in each of them: they are made by the thousand.
    is_over = False
    """True once it is concluded."""
    outlet: Outlet | None = None
    """What waits for its turn, once something has to."""
    _request: Request | None = None
    _body: IncomingBody | NoBody = NO_BODY
    _expects_continue = False
    _has_answered = False
    _task: Task[None] | None = None
    _tell_of_end: Callable[[], None] | None = None
    _file = -1
    _sent = 0
    _sample = b""
    _has_eof = False
    """True once it is known that no more will come on a stream that may become a tunnel."""
    _early: tuple[DataReceived, ...] = ()
    """What has come on it so far."""
    _pace: Pace | None = None
    """Of the client as a sender."""
    _ahead = 0
    """Octets counted already of a frame that is not whole."""
    _stall: Pace | None = None
    """Of the client as a reader that has closed its window."""

    def __init__(
        self,
        session: Http2Session,
        stream: Stream,
        head: RequestHead,
        record: HttpRecord,
        *,
        protocol: str | None = None,
        is_pushed: bool = False,
    ) -> None:
        """`protocol` is that of an extended CONNECT (RFC 8441); `is_pushed`: nobody has asked for it."""
        self.session = session
        self.stream = stream
        self.head = head
        self.is_pushed = is_pushed
        self._record = record
        self._protocol = protocol
        self._began = session.service.clock.monotonic()

    # --- the request ----------------------------------------------------------------------------------------------------------------

    def begin(self, *, has_ended: bool, is_known: bool = False) -> None:
        """The head is here: let the handler begin. What it answers at once leaves with the rest of this turn. `is_known`: the same was asked
        before, and nothing was wrong with it."""
        session, head = self.session, self.head
        service, connection = session.service, session.connection
        self._has_eof = has_ended
        if not has_ended and head.method != "CONNECT":
            self._body = IncomingBody(self, head.content_length, service.loop, service.capture)
            self._pace = Pace(service.clock.now)
        request = self._request = Request(
            head.method, head.target, head.form, head.scheme or service.scheme, head.host, head.port, head.path, head.query,
            "2", head.fields, self._body, connection.peer, connection.local, self,
        )  # fmt: skip
        try:
            try:
                if not is_known:
                    request = self._judge(request, has_ended=has_ended)
                work = service.handler.handle(request)
                waiting_for = work.send(None)
            except StopIteration as end:
                response: Response = end.value
            except Exception as error:
                response = answer_to(service, request, error)
            else:
                self._run(self._respond(answer_of(service, request, continued(work, waiting_for))))
                return
            if not self._answer(response):
                self._run(self._send(response))
        except BodyError:
            self._break_off(ErrorCode.CANCEL)
        except Exception as defect:
            self._log_defect(defect)
            self._break_off(ErrorCode.INTERNAL_ERROR)

    def _judge(self, request: Request, *, has_ended: bool) -> Request:
        """The request as it goes to the handler, if nothing is wrong with it. Raises `HttpError`."""
        session, head = self.session, self.head
        # "MAY omit sending a 100 (Continue) response if it has already received some or all of the content": the codec is ahead of us.
        waits = check_request(session.service, head, session.hosts)
        self._expects_continue = waits and not has_ended and not self.stream.received
        session.service.requests.note(head, self._record.copy())
        if self._protocol is not None:
            request = self._request = opening_request(request, self._protocol)
        return request

    def refuse(self, error: HttpError) -> None:
        """Answer what never became a request."""
        self._record.outcome = "refused"
        self._answer(refusal_of(self.session.service, error, None))

    def repeat(self, answer: Http2Answer) -> None:
        """Send an answer that is remembered when its turn comes."""
        self._has_answered = True
        self._record.status = answer.record.status
        self._record.response_head = answer.record.response_head
        self._record.is_recalled = True
        self._queue(answer.wire, answer.body)

    def take(self, event: DataReceived) -> None:
        """Some content came."""
        session, body, size = self.session, self._body, len(event.data)
        if self.is_over:
            session.drop(event.octets)
            return
        if not isinstance(body, IncomingBody):
            if self.head.method == "CONNECT":
                self._early = (*self._early, event)
            else:
                session.drop(event.octets)
            return
        self._expects_continue = False
        if self._pace is not None:
            self._pace.receive(size - self._ahead)
            self._ahead = 0
        if body.has_ended:
            session.drop(event.octets)  # of no use any more: its window stays closed
            return
        if event.octets > size:
            session.give_window(self.stream, event.octets - size)
        body.feed(event.data)
        limit = session.service.limits.body_size
        if limit and body.received > limit:
            body.fail(too_large(limit))

    def end_of_request(self, trailers: Fields | None) -> None:
        """All of the request is here."""
        self._has_eof = True
        if isinstance(self._body, IncomingBody):
            self._body.finish(trailers)

    def sweep(self, now: float, partial: int) -> None:
        """End what took too long. `partial`: octets of content that are here of a frame that is not whole."""
        session, body, outlet = self.session, self._body, self.outlet
        limits = session.service.limits
        if outlet is not None and outlet.has_data and not session.has_window(self.stream):
            # Nothing but the client's window keeps it here.
            if self._stall is None:
                self._stall = Pace(now)
            if self._stall.is_stuck(now, (outlet.moved, 0), limits.send_timeout):
                self.lose(ErrorCode.CANCEL)
                return
        elif self._stall is not None:
            self._stall.moves()
        if self._pace is None or not isinstance(body, IncomingBody):
            return
        self._pace.receive(partial - self._ahead)
        self._ahead = partial
        if not body.is_wanted or body.has_ended or self._expects_continue:
            self._pace.pause(now)
        elif limits.body_rate and self._pace.is_slow(now, limits.body_rate, limits.body_grace):
            body.fail(HttpError(408, "The request's content came too slowly.", setting="limits.body_rate"))

    def retire(self, *, at_once: bool) -> None:
        """It goes on to its end."""

    # --- BodySource and RequestLink -------------------------------------------------------------------------------------------------

    def body_wanted(self) -> None:
        if self._expects_continue:
            self._expects_continue = False
            if not self._has_answered and not self.is_over:
                self.session.send_head(self.stream, encode_interim(100, ()), ends=False)

    def body_full(self) -> None:
        pass  # its window closes by itself

    def body_taken(self, octets: int) -> None:
        self.session.give_window(self.stream, octets)

    def inform(self, status: int, fields: Fields) -> None:
        if not self._has_answered and not self.is_over and not self.is_pushed:
            self.session.send_head(self.stream, encode_interim(status, fields), ends=False)

    def when_ended(self, tell: Callable[[], None]) -> None:
        # A client that gives up resets its stream, and the handler is cancelled; but not everybody who works for it is.
        if self.is_over:
            tell()
        else:
            self._tell_of_end = tell

    # --- the answer -----------------------------------------------------------------------------------------------------------------

    def _run(self, work: Coroutine[object, object, None]) -> None:
        """Run what is left to do; what has to wait goes on as a task of its own."""
        self.session.at_work += 1
        self._task = start_eagerly(self._guarded(work), self.session.service.loop.create_task)

    async def _guarded(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except (CancelledError, BodyError):
            self._break_off(ErrorCode.CANCEL)
        except ConnectionError as error:
            # The client's, which has ended it already; or that of whoever makes the answer, which the client must not take for whole.
            logger.debug("%s: an answer to %s broke off: %s", self.session.service.door, self.head.target, error)
            self._break_off_after_all()
        except Exception as defect:
            self._log_defect(defect)
            self._break_off_after_all()
        finally:
            self._task = None
            self.session.at_work -= 1

    async def _respond(self, answer: Awaitable[Response]) -> None:
        """From the handler's wait to its answer."""
        response = await answer
        if self.is_over:
            await give_back(response.body)
        elif not self._answer(response):
            await self._send(response)

    def _answer(self, response: Response) -> bool:
        """Send an answer that is all here, or is a file; False if it goes the long way."""
        body = response.body
        if response.takeover is not None or response.trailers is not None or self._protocol is not None:
            return False
        if not isinstance(body, bytes):
            if not isinstance(body, FileBody):
                return False
            self._file = body.descriptor  # closed in any case from here on
        answered, block = self._encoded(response)
        if answered is not response:
            self._close_file()
            response = answered
            body = response.body if isinstance(response.body, bytes) else b""
        session, record = self.session, self._record
        bodiless = is_bodiless(self.head.method, response.status)
        if isinstance(body, bytes):
            if response.remember is not None and (session.pushes is None or "link" not in response.fields):
                remember_for_h2(session.service, self.head, response, block, record.response_head)
            if bodiless:
                body = b""
            if session.send_whole(self, block, body):
                self._sent, self._sample = len(body), body[: session.service.capture]
                self._conclude("complete")
            else:
                self._queue(block, body)
        elif bodiless:
            session.send_whole(self, block, b"")
            self._conclude("complete")
        else:
            self._queue(block, body)
        return True

    async def _send(self, response: Response) -> None:
        """Any answer, to the point where all of it waits for its turn."""
        if response.takeover is not None or self._protocol is not None:
            response = await self._opened(response)
        try:
            answered, block = self._encoded(response)
        except BaseException:
            await give_back(response.body)
            raise
        if answered is not response:
            await give_back(response.body)
            response = answered
        session = self.session
        if response.takeover is not None:
            session.send_head(self.stream, block, ends=False)
            self._hand_over(response)
        elif is_bodiless(self.head.method, response.status):
            session.send_whole(self, block, b"")
            self._conclude("complete")
            await give_back(response.body)
        else:
            outlet = self._outlet()
            outlet.expected = announced_length(response)
            session.send_head(self.stream, block, ends=False)
            await Sending(outlet, 0).send(response, is_bodiless=False)

    def _encoded(self, response: Response) -> tuple[Response, bytes]:
        """The answer with its head as it goes out. What cannot be sent is a defect of its handler: then a 500."""
        service, record = self.session.service, self._record
        try:
            block, record.response_head = encode_head(service, self.head, response)
        except SendError:
            logger.exception("%s: the answer to %s %s cannot be sent", service.door, self.head.method, self.head.target)
            error = HttpError(500, "The server made an answer that cannot be sent.")
            response = service.error_page(error, self._request)
            block, record.response_head = encode_head(service, self.head, response)
        record.status = response.status
        if self.session.pushes is not None:
            self.session.pushes.promise(self, response)
        self._has_answered = True
        return response, block

    def _queue(self, block: bytes, body: bytes | FileBody) -> None:
        """The head leaves now, the content when its turn comes."""
        self.session.send_head(self.stream, block, ends=False)
        outlet = self._outlet()
        if isinstance(body, bytes):
            if body:
                outlet.write(body)
        else:
            outlet.write_file(body)
        outlet.end(None)

    def _outlet(self) -> Outlet:
        session = self.session
        if self.outlet is None:
            self.outlet = Outlet(self.stream, session.turns, session.service.loop, session.service.capture)
        return self.outlet

    async def _opened(self, response: Response) -> Response:
        """The answer to an opening handshake as HTTP/2 has it."""
        answer = opening_answer(response, self.head.method, is_extended=self._protocol is not None)
        if answer is None:
            await give_back(response.body)
            error = HttpError(501, "There is nothing here that speaks this protocol.")
            return refusal_of(self.session.service, error, self._request)
        return answer

    def _hand_over(self, response: Response) -> None:
        """The stream belongs to somebody else from here on."""
        session = self.session
        if self.is_over or response.takeover is None:
            return
        early, self._early = self._early, ()
        self._conclude("complete", is_handed_over=True)
        tunnel = Http2Tunnel(session, self.stream)
        session.hand_over(self.stream, tunnel)
        tunnel.begin(response.takeover, early, has_eof=self._has_eof)
        session.hand_on_retirement(tunnel)

    # --- the end --------------------------------------------------------------------------------------------------------------------

    def went_out(self) -> None:
        """The last octet was handed to the connection."""
        if self.outlet is None or self.outlet.reset is None:
            self._conclude("complete")
        else:
            self._break_off(self.outlet.reset)

    def broke(self, error: OSError) -> None:
        """What was to be sent cannot be read."""
        logger.debug("%s: an answer to %s broke off: %s", self.session.service.door, self.head.target, error)
        self._break_off(ErrorCode.INTERNAL_ERROR)

    def lose(self, code: ErrorCode | None = None) -> None:
        """The stream was closed before its time, or the connection is gone; or, with a `code`, it is to be reset."""
        body, task, outlet = self._body, self._task, self.outlet
        is_told = body.is_wanted or (outlet is not None and outlet.is_awaited)
        self._break_off(code)
        if self._tell_of_end is not None:
            self._tell_of_end()
        # As in HTTP/1.1: whoever waits for the client is told by an exception, and cleans up without being cancelled as well.
        if task is not None and not is_told:
            task.cancel()

    def _break_off(self, code: ErrorCode | None) -> None:
        self._conclude("aborted", code)

    def _break_off_after_all(self) -> None:
        """There will be no more of an answer, but what there is may leave."""
        if not self.is_over and self.outlet is not None and self.outlet.has_data:
            self.outlet.break_off(ErrorCode.INTERNAL_ERROR)
        else:
            self._break_off(ErrorCode.INTERNAL_ERROR)

    def _conclude(
        self, outcome: str, code: ErrorCode | None = ErrorCode.NO_ERROR, *, is_handed_over: bool = False
    ) -> None:
        """It is over, on our side: note it, and let go of all that it has. `code` resets the stream if it has not ended: after a complete answer
        "a server MAY request that the client abort transmission of a request without error by sending a RST_STREAM with an error code of
        NO_ERROR" (§8.1)."""
        if self.is_over:
            return
        self.is_over = True
        session, body, outlet = self.session, self._body, self.outlet
        if outlet is not None:
            self._sent, self._sample = outlet.moved, outlet.sample
            outlet.close()
        self._note(outcome)
        if not is_handed_over:
            session.ended(self.stream, code, was_queued=outlet is not None or "priority" in self.head.fields)
        if isinstance(body, IncomingBody):
            body.drop()
            body.fail(BodyError(_GONE if outcome != "complete" else _ANSWERED))
        if self._early:
            session.drop(sum(event.octets for event in self._early))
            self._early = ()
        if self._file >= 0:
            self._close_file()

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _note(self, outcome: str) -> None:
        """Into the journal."""
        service, record, body = self.session.service, self._record, self._body
        if outcome != "complete" or record.outcome != "refused":
            record.outcome = outcome
        if self._request is not None and "user" in self._request.route:
            record.user = self._request.route["user"]
        record.sent = self._sent
        record.response_body = self._sample
        if body is not NO_BODY:
            record.request_body = body.sample
            record.received = body.received
        record.elapsed = service.clock.monotonic() - self._began
        service.journal((service.clock.time(), self.session.connection.peer, record))

    def _log_defect(self, defect: Exception) -> None:
        session = self.session
        if self.is_pushed and isinstance(defect, SendError):
            return  # the client takes fewer pushes at once than when this was promised
        what = "%s: a defect while sending an answer to %s"
        logger.error(what, session.service.door, session.connection.peer, exc_info=defect)
