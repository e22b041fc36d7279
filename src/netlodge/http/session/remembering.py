"""Which answers of HTTP/1 are remembered, for which requests, and how they are rendered again.

The rules of `core/recall.py`, in two tables. One is asked first, by the octets of a request, before anything is parsed. The other is
asked for a request that is new in its octets, by what of it the answer depends on (`wire/gist.py`), as its handler said
(`Remember.reads`).

RFC 9110 §6.6.1 (Date), RFC 9111 §5.1 (Age): the two fields that time changes in an answer.
"""

from __future__ import annotations

import os

from netlodge.core.recall import Answer
from netlodge.core.records import HttpRecord
from netlodge.http.message import SELECTING, Body, FileBody, Remember, Response
from netlodge.http.rules.dates import imf_fixdate
from netlodge.http.session.exchange import record_of
from netlodge.http.session.known import DATE_FIELD, DATE_OCTETS
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.framing import is_bodiless
from netlodge.http.wire.gist import CREDENTIALS, METHODS, gist_of

REMEMBERED_BODY = 64 * 1024
"""Octets of the largest body that is remembered whole. Of a larger file its open descriptor is kept, and the kernel sends it."""
DESCRIPTOR_COST = 64 * 1024
"""What an open descriptor counts in the table's account: so a table of 32 MiB holds 500 of them at most."""
_NO_RECORD = HttpRecord(door="")


class FileSpan:
    """A span of a file that stays open for as long as somebody refers to it: a remembered answer, or its transfer under way."""

    __slots__ = ("count", "descriptor", "offset")

    def __init__(self, descriptor: int, offset: int, count: int) -> None:
        self.descriptor = os.dup(descriptor)
        self.offset = offset
        self.count = count

    def __del__(self) -> None:
        os.close(self.descriptor)


class HttpAnswer(Answer):
    """A head whose first field is `Date`, and the body that follows it: at hand, or a span of a file. If `remember` says when the
    answer was born, an `Age` field follows the date."""

    __slots__ = ("_after_date", "_before_date", "_body", "_remember", "closes", "file", "host", "is_plain")

    record: HttpRecord

    def __init__(
        self,
        before_date: bytes,
        after_date: bytes,
        body: bytes,
        file: FileSpan | None,
        *,
        host: str,
        closes: bool,
        record: HttpRecord,
        remember: Remember,
    ) -> None:
        super().__init__(
            record=record,
            # The rendered answer is held twice: in pieces, and as it was sent last; and the record has the heads and a sample.
            octets=2 * (len(before_date) + len(after_date) + len(body))
            + len(record.request_head)
            + len(record.response_head)
            + len(record.response_body)
            + (DESCRIPTOR_COST if file else 0),
            expires=remember.expires,
            still_holds=remember.still_holds,
            slot=remember.slot,
            generation=remember.generation,
        )
        self._before_date = before_date
        self._after_date = after_date
        self._body = body
        self._remember = remember
        self.host = host
        """That of the target URI: not every connection is for it (RFC 9110 §7.4)."""
        self.file = file
        """What follows `wire`, if its octets are not in it."""
        self.closes = closes
        """True if the client asked for the end of the connection after it, and it says so."""
        self.is_plain = file is None and not closes
        """True if `wire` is all there is to do."""

    @classmethod
    def of(
        cls, head: bytes, body: bytes | FileSpan, *, host: str, closes: bool, record: HttpRecord, remember: Remember
    ) -> HttpAnswer:
        """From an answer as it was sent."""
        at = head.index(DATE_FIELD) + len(DATE_FIELD)
        octets, file = (body, None) if isinstance(body, bytes) else (b"", body)
        after_date = head[at + DATE_OCTETS :]
        return cls(head[:at], after_date, octets, file, host=host, closes=closes, record=record, remember=remember)

    def again(self, record: HttpRecord) -> HttpAnswer:
        """The same answer for another question (an answer belongs to one table)."""
        return HttpAnswer(
            self._before_date, self._after_date, self._body, self.file,
            host=self.host, closes=self.closes, record=record, remember=self._remember,
        )  # fmt: skip

    def render(self, now: float, second: int) -> bytes:
        born = self._remember.born
        age = b"" if born is None else b"\r\nAge: %d" % max(0, int(now - born))
        return b"".join((self._before_date, imf_fixdate(second).encode("ascii"), age, self._after_date, self._body))


def may_be_remembered(head: RequestHead, response: Response) -> bool:
    """True if anyone who asks the same may have the same answer: asked by nobody in particular, without content, and either small or one
    span of a file. The handler agreed by `Response.remember`; the session adds what concerns the connection."""
    if response.remember is None or head.method not in METHODS or head.content_length != 0:
        return False
    body = response.body
    if isinstance(body, bytes):
        if len(body) > REMEMBERED_BODY:
            return False
    elif not isinstance(body, FileBody) or len(body.parts) != 1 or isinstance(body.parts[0], bytes):
        return False
    if "set-cookie" in response.fields:
        return False
    return CREDENTIALS.isdisjoint(head.fields.names)


def remember(
    service: HttpService, head: RequestHead, response: Response, response_head: bytes, *, closes: bool
) -> None:
    """Keep an answer whose head was just rendered for whoever asks the same, if it may be kept and was asked for before. The body of
    `response` must still be open. `closes`: the request asked for the end of the connection, and nothing else did."""
    if not service.recall.is_on or response.remember is None or not may_be_remembered(head, response):
        return
    reads = response.remember.reads
    gist = gist_of(head.raw, service.limits.wire, service.memo) if reads is not None and reads <= SELECTING else None
    by_octets = service.recall.wants(head.raw)
    by_meaning = gist is not None and service.alike.wants(gist.question)
    if not by_octets and not by_meaning:
        return
    body = b"" if is_bodiless(head.method, response.status) else _kept_body(response.body)
    record = record_of(service, head)
    record.status = response.status
    record.response_head = response_head
    record.is_recalled = True
    if isinstance(body, bytes):
        record.sent = len(body)
        record.response_body = body[: service.capture]
    else:
        record.sent = body.count
    answer = HttpAnswer.of(
        response_head, body, host=head.host, closes=closes, record=record, remember=response.remember
    )
    if by_octets:
        service.recall.remember(head.raw, answer)
    if by_meaning and gist is not None:
        # Each use has a request head of its own.
        service.alike.remember(gist.question, answer.again(record.alike(request_head=b"", referer="", user_agent="")))


def recalled(service: HttpService, octets: bytes, *, is_new: bool) -> tuple[HttpAnswer | None, HttpRecord]:
    """The remembered answer to one whole head, and what its use is noted as. `is_new`: the octets are known not to be remembered."""
    answer = None if is_new else service.recall.find(octets)
    if answer is not None:
        return answer, answer.record
    gist = gist_of(octets, service.limits.wire, service.memo) if service.alike else None
    answer = service.alike.find(gist.question) if gist is not None else None
    if answer is None or gist is None:
        return None, _NO_RECORD
    record = answer.record.alike(request_head=octets, referer=gist.referer, user_agent=gist.user_agent)
    if service.recall.wants(octets):
        service.recall.remember(octets, answer.again(record))
    return answer, record


def _kept_body(body: Body) -> bytes | FileSpan:
    """The body in the form in which it is kept; `may_be_remembered` has looked at it."""
    if isinstance(body, FileBody) and isinstance(body.parts[0], tuple):
        return FileSpan(body.descriptor, *body.parts[0])
    return body if isinstance(body, bytes) else b""
