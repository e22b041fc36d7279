"""What an HTTP/1 client over a limit of its door is told before its connection ends, without a session.

RFC 9110 §15.6.4 (503), §10.2.3 (Retry-After); RFC 9112 §9.4 (servers may limit connections).
"""

from __future__ import annotations

from netlodge.core.contracts import Refusal
from netlodge.http.message import Fields, HttpError
from netlodge.http.session.exchange import completed_fields, refusal_of
from netlodge.http.session.service import HttpService
from netlodge.http.wire.render import render_head

RETRY_SECONDS = 10


def refusal_of_connection(service: HttpService) -> Refusal:
    """The refusal of a door that serves `service`."""

    def refuse(limit: str) -> bytes:
        error = HttpError(
            503,
            "There are too many connections.",
            setting=limit,
            fields=[("retry-after", str(RETRY_SECONDS))],
            must_close=True,
        )
        response = refusal_of(service, error, None)
        head = render_head(response.status, Fields(completed_fields(service, "GET", response)), "")
        return head + response.body if isinstance(response.body, bytes) else head

    return refuse
