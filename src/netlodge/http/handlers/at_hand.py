"""Answers whose octets are all at hand: an entity tag is made of them, and the preconditions are judged by it.

RFC 9110 §8.8.3 (ETag), §13.2 (preconditions), §15.4.5 (304), §15.5.13 (412).
"""

from __future__ import annotations

from typing import Final

from netlodge.http.message import Fields, HttpError, Remember, Request, Response
from netlodge.http.rules import conditional
from netlodge.http.rules.conditional import EntityTag, Outcome

SELECTED_BY: Final = frozenset({"if-match", "if-none-match"})
"""The request fields that such an answer depends on: it has no date, so the conditions about one are passed over (§13.1.3, §13.1.4)."""

_NOT_IN_304: Final = frozenset({"content-type"})
"""§15.4.5: a sender "SHOULD NOT generate representation metadata other than the above listed fields"."""


def answer_at_hand(
    request: Request,
    status: int,
    fields: Fields,
    content: bytes,
    *,
    etag: EntityTag | None,
    remember: Remember | None = None,
) -> Response:
    """The answer of a status below 300 to GET or HEAD, or 304. `fields` become those of the answer. Raises `HttpError` 412."""
    if etag is not None:
        fields.set("etag", str(etag))
    outcome = conditional.evaluate(request.method, request.fields, etag=etag, last_modified=None, exists=True, now=0)
    if outcome is Outcome.PRECONDITION_FAILED:
        raise HttpError(412, "What is here is not, or no longer, what the request has in mind.")
    if outcome is Outcome.NOT_MODIFIED:
        kept = (pair for pair in fields if pair[0] not in _NOT_IN_304)
        return Response(304, Fields(kept), remember=remember)
    return Response(status, fields, content, remember=remember)
