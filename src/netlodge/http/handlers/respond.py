"""A fixed answer, e.g. for the health checks of a load balancer.

RFC 9110 §9.3.1 (GET), §9.3.2 (HEAD), §13.2.1 (when preconditions are judged), §15 (status codes).
"""

from __future__ import annotations

from math import inf

from netlodge.http.handlers.at_hand import SELECTED_BY, answer_at_hand
from netlodge.http.message import Fields, Remember, Request, Response
from netlodge.http.rules.conditional import EntityTag
from netlodge.http.rules.methods import unless_read


class Respond:
    """Answers GET and HEAD with one status and one text. Raises `ValueError` if the status is none of a final response, or one
    that has no content (RFC 9110 §15.3.5, §15.3.6, §15.4.5) while there is text."""

    __slots__ = ("_content", "_content_type", "_etag", "_remember", "_status")

    def __init__(self, status: int = 200, text: str = "", *, content_type: str = "text/plain; charset=utf-8") -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is no status of a final response")
        if text and status in (204, 205, 304):
            raise ValueError(f"{status} has no content")
        self._status = status
        self._content = text.encode("utf-8")
        self._content_type = content_type
        self._etag = EntityTag.of(self._content) if self._content else None
        self._remember = Remember(inf, reads=SELECTED_BY)

    async def handle(self, request: Request) -> Response:
        if (told := unless_read(request.method)) is not None:
            return told
        fields = Fields([("content-type", self._content_type)] if self._content else ())
        # §13.2.1: "A server MUST ignore all received preconditions if its response to the same request without those conditions, prior
        # to processing the request content, would have been a status code other than a 2xx (Successful) or 412".
        if self._status >= 300:
            return Response(self._status, fields, self._content, remember=self._remember)
        return answer_at_hand(request, self._status, fields, self._content, etag=self._etag, remember=self._remember)
