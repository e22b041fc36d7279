"""A fixed answer, e.g. for the health checks of a load balancer.

RFC 9110 §9.3.1 (GET), §9.3.2 (HEAD), §15 (status codes).
"""

from __future__ import annotations

from math import inf

from netlodge.http.message import Fields, Remember, Request, Response
from netlodge.http.rules.methods import READ_ONLY, method_error


class Respond:
    """Answers GET and HEAD with one status and one text. Raises `ValueError` if the status is none of a final response, or one
    that has no content (RFC 9110 §15.3.5, §15.3.6, §15.4.5) while there is text."""

    __slots__ = ("_content_type", "_content", "_remember", "_status")

    def __init__(self, status: int = 200, text: str = "", *, content_type: str = "text/plain; charset=utf-8") -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is no status of a final response")
        if text and status in (204, 205, 304):
            raise ValueError(f"{status} has no content")
        self._status = status
        self._content = text.encode("utf-8")
        self._content_type = content_type
        self._remember = Remember(inf, reads=frozenset())

    async def handle(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            if request.method == "OPTIONS":
                return Response(204, Fields([("allow", READ_ONLY)]))
            raise method_error(request.method, READ_ONLY)
        fields = Fields([("content-type", self._content_type)] if self._content else ())
        return Response(self._status, fields, self._content, remember=self._remember)
