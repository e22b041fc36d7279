"""What every exchange does, whichever version carries it: call the handler, complete its answer, and note what passed.

RFC 9110 §6.6.1 (Date), §8.6 (Content-Length), §10.2.4 (Server).
"""

from __future__ import annotations

import logging

from netlodge.core.records import HttpRecord
from netlodge.http.message import BodyError, FileBody, HttpError, Request, Response
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import RequestHead

logger = logging.getLogger("netlodge.http")


async def answer_of(service: HttpService, request: Request) -> Response:
    """What the handler answers; its `HttpError` and its defects become the answers they call for.

    Raises `BodyError` when the client went away in the middle of the request: there is nobody to answer.
    """
    try:
        return await service.handler.handle(request)
    except HttpError as error:
        return refusal_of(service, error, request)
    except BodyError:
        raise
    except Exception:
        logger.exception(
            "%s: a defect while answering %s %s of %s", service.door, request.method, request.target, request.peer
        )
        return service.error_page(
            HttpError(500, "The server failed while it made this answer; its log says why."), request
        )


def refusal_of(service: HttpService, error: HttpError, request: Request | None) -> Response:
    """The answer that says `error`; it ends the connection if the error asks for it."""
    response = service.error_page(error, request)
    if error.must_close:
        response.fields.set("connection", "close")
    return response


def has_no_content(method: str, status: int) -> bool:
    """True for answers that end with their head, whatever their fields say (RFC 9112 §6.3, cases 1 and 2)."""
    return method == "HEAD" or status in {204, 304} or 100 <= status < 200 or (method == "CONNECT" and status < 300)


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


def record_of(
    service: HttpService,
    head: RequestHead,
    request: Request | None,
    *,
    status: int,
    response_head: bytes = b"",
    response_body: bytes = b"",
    request_body: bytes = b"",
    received: int = 0,
    sent: int = 0,
    elapsed: float = 0.0,
    outcome: str = "complete",
) -> HttpRecord:
    """The note of one exchange for the journal."""
    record = HttpRecord(door=service.door, scheme=service.scheme)
    fields = head.fields
    get = fields.get
    record.version = head.version
    record.method = head.method
    record.target = head.target
    record.host = get("host", "") or ""
    record.status = status
    record.elapsed = elapsed
    record.received = received
    record.sent = sent
    record.referer = get("referer", "") or ""
    record.user_agent = get("user-agent", "") or ""
    if request is not None and "user" in request.route:
        record.user = request.route["user"]
    record.request_head = head.raw
    record.response_head = response_head
    record.request_body = request_body
    record.response_body = response_body
    record.outcome = outcome
    return record
