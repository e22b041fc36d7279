"""What every exchange does, whichever version carries it: judge the request, call the handler, complete its answer, and note what passed.

RFC 9110 §6.6.1 (Date), §7.4 (misdirected requests), §8.6 (Content-Length), §10.1.1 (Expect), §10.2.4 (Server).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from netlodge.core.certificates import CoveredHosts
from netlodge.core.records import HttpRecord
from netlodge.http.message import BodyError, FileBody, HttpError, Request, Response
from netlodge.http.session.body import IncomingBody, NoBody
from netlodge.http.session.known import key_of
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.framing import is_bodiless
from netlodge.http.wire.limits import WireLimits

logger = logging.getLogger("netlodge.http")


async def answer_of(service: HttpService, request: Request, work: Awaitable[Response]) -> Response:
    """What the handler answers in the end; see `answer_to`. Raises the same."""
    try:
        return await work
    except Exception as error:
        return answer_to(service, request, error)


def answer_to(service: HttpService, request: Request, error: Exception) -> Response:
    """The answer that an exception of the handler calls for: an `HttpError` is one, everything else a defect.

    Raises `BodyError` again: the client went away in the middle of the request, and there is nobody to answer.
    """
    if isinstance(error, HttpError):
        return refusal_of(service, error, request)
    if isinstance(error, BodyError):
        raise error
    logger.error(
        "%s: a defect while answering %s %s of %s",
        service.door,
        request.method,
        request.target,
        request.peer,
        exc_info=error,
    )
    return service.error_page(HttpError(500, "The server failed while it made this answer; its log says why."), request)


def check_request(service: HttpService, head: RequestHead, hosts: CoveredHosts | None) -> bool:
    """What of a request is for the connection to judge; `hosts` are those that its certificate is for, None if it may be for all. Returns
    whether the client waits for 100 (Continue). Raises `HttpError`."""
    if head.version == "2":
        _check_sizes(service.limits.wire, head)
    # "a request for an "https" resource MUST be rejected unless it has been received over a connection that has been secured via a
    # certificate valid for that target URI's origin" (RFC 9110 §7.4); and nothing else than http(s) is served here.
    if head.scheme is not None and head.scheme != service.scheme:
        raise HttpError(421, f"This connection is for {service.scheme} alone.")
    if hosts is not None and not hosts[head.host]:
        raise HttpError(421, f"The certificate of this connection is not for {head.host}: ask for that over another.")
    limit = service.limits.body_size
    if limit and head.content_length and head.content_length > limit:
        raise too_large(limit)
    # RFC 9110 §10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation."
    if "expect" not in head.fields or head.version == "1.0":
        return False
    has_body = head.content_length != 0
    if head.fields.list_of("expect") != ["100-continue"]:
        raise HttpError(417, "The only expectation that can be met is 100-continue.", must_close=has_body)
    return has_body


def _check_sizes(limits: WireLimits, head: RequestHead) -> None:
    """What the wire of HTTP/1 refuses before it reads on, and that of HTTP/2 has no need to: the same limits for whoever handles it."""
    if len(head.method) + len(head.target) + len("  HTTP/2.0") > limits.request_line_size:
        raise HttpError(414, "The target is too long.", setting="limits.request_line_size")
    if len(head.fields) > limits.field_count:
        raise HttpError(431, "The head has too many fields.", setting="limits.field_count")


def too_large(limit: int) -> HttpError:
    """The refusal of content beyond `limits.body_size`."""
    return HttpError(
        413, f"The request's content is larger than {limit:d} octets.", setting="limits.body_size", must_close=True
    )


def may_be_drained(head: RequestHead, body: IncomingBody | NoBody, limit: int) -> bool:
    """True if what is left of a request's content is worth reading, to keep the connection (RFC 9112 §9.3)."""
    if body.is_broken or body.has_ended:
        return not body.is_broken
    left = body.received if head.content_length is None else head.content_length - body.received
    return left <= limit


def keep_alive_hint(
    head: RequestHead, pairs: list[tuple[str, str]], idle_timeout: float, left: int | None
) -> list[tuple[str, str]]:
    """How long the connection will last, for a client that asked to keep it (RFC 2068 §19.7.1.1 has the field): `idle_timeout` in seconds,
    and how many requests are `left`, if that is to be told. Nothing for an answer that only the end of the connection can delimit."""
    if head.version == "1.0" and all(name != "content-length" for name, _ in pairs):
        return []
    hints = [f"timeout={int(idle_timeout)}"] if idle_timeout >= 1 else []
    if left is not None:
        hints.append(f"max={left}")
    return [("keep-alive", ", ".join(hints))] if hints else []


def refusal_of(service: HttpService, error: HttpError, request: Request | None) -> Response:
    """The answer that says `error`; it ends the connection if the error asks for it."""
    response = service.error_page(error, request)
    if error.must_close:
        response.fields.set("connection", "close")
    return response


def completed_fields(service: HttpService, request_method: str, response: Response) -> list[tuple[str, str]]:
    """The response's fields with what the session adds: `date` first, `server`, and `content-length` where it is known."""
    fields = response.fields
    pairs = [("date", service.date)]
    if service.server_field and "server" not in fields:
        pairs.append(("server", service.server_field))
    if "date" in fields:  # the clock is the session's
        fields.remove("date")
    pairs.extend(fields)
    if "content-length" not in fields:
        body = response.body
        status = response.status
        # "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx or 204"; for 304 it would
        # have to be that of the 200 (RFC 9110 §8.6), which only the handler knows.
        if status >= 200 and status not in {204, 304} and not (request_method == "CONNECT" and status < 300):
            if isinstance(body, bytes):
                pairs.append(("content-length", str(len(body))))
            elif isinstance(body, FileBody):
                pairs.append(("content-length", str(body.length)))
    return pairs


def plain_answer(service: HttpService, head: RequestHead, response: Response) -> tuple[bytes, bytes] | None:
    """Head and content of an answer whose head has left before, on a connection that goes on; None if it goes the long way."""
    key = key_of(head, response)
    parts = service.answers.find(key) if key is not None else None
    body = response.body
    if parts is None or not isinstance(body, bytes):
        return None
    octets = b"".join((parts[0], service.date_octets, parts[1]))
    return octets, b"" if is_bodiless(head.method, response.status) else body


def record_of(service: HttpService, head: RequestHead) -> HttpRecord:
    """The note of an exchange for the journal, as far as its request is concerned."""
    record = HttpRecord(door=service.door, scheme=service.scheme)
    get = head.fields.get
    record.version = head.version
    record.method = head.method
    record.target = head.target
    record.host = get("host", "") or ""
    record.referer = get("referer", "") or ""
    record.user_agent = get("user-agent", "") or ""
    record.request_head = head.raw
    return record
