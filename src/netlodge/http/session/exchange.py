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
