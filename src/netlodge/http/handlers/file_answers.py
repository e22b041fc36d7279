"""From a version of a file and a request to the answer: preconditions, ranges, fields, body.

RFC 9110 §8.8.2 (Last-Modified), §13.2 (preconditions), §14.2 (Range), §15.3.7 (206), §15.4.5 (304), §15.5.13 (412), §15.5.17 (416).
"""

from __future__ import annotations

import os
from typing import Final

from netlodge.core.contracts import Clock
from netlodge.http.handlers.file_versions import Choice, FileVersion, signature_of
from netlodge.http.handlers.root import Root
from netlodge.http.message import Fields, FileBody, HttpError, Remember, Request, Response
from netlodge.http.rules import conditional, ranges
from netlodge.http.rules.conditional import Outcome
from netlodge.http.rules.dates import imf_fixdate
from netlodge.http.rules.ranges import Span

_IN_304: Final = frozenset({"content-location", "etag", "vary"})
"""§15.4.5: what "MUST" go into a 304 if it "would have been sent in a 200". Outer handlers add Cache-Control to both alike."""


class FileAnswers:
    """Answers GET and HEAD with a file that was chosen.

    `range_limit` is `limits.ranges`; `boundary_secret` (at most 64 octets) keeps boundaries from being guessed.
    """

    __slots__ = ("_boundary_secret", "_clock", "_range_limit", "_root")

    def __init__(self, root: Root, *, clock: Clock, range_limit: int, boundary_secret: bytes) -> None:
        self._root = root
        self._clock = clock
        self._range_limit = range_limit
        self._boundary_secret = boundary_secret

    def answer(self, request: Request, choice: Choice) -> Response:
        """Raises `HttpError` 412 or 416, and `OSError` if a file that was not in memory cannot be opened."""
        version = choice.version
        if version.body is not None or request.method == "HEAD":
            return self._respond(request, choice, -1)
        descriptor, status = self._root.open_file(version.path)
        try:
            if signature_of(status) != version.signature:
                # Changed since it was looked at: what is open now goes out as it is, and promises nothing.
                choice = choice.of(FileVersion(version.path, status, version.media_type))
            response = self._respond(request, choice, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if not isinstance(response.body, FileBody):
            os.close(descriptor)
        return response

    def _respond(self, request: Request, choice: Choice, descriptor: int) -> Response:
        asked = request.fields
        version = choice.version
        fields = Fields(choice.pairs)
        remember = choice.remember
        now = self._clock.second
        if self._range_limit == 0:
            fields.set("accept-ranges", "none")
        modified = version.last_modified
        if modified is not None and modified > now:
            # §8.8.2.1: "an origin server [...] MUST NOT generate a Last-Modified date that is later than the server's time of
            # message origination", and "MUST replace that value with the message origination date".
            # The conditions are judged by the date that is sent; being that of now, it is never a strong validator.
            modified = now
            fields.set("last-modified", imf_fixdate(now))
            remember = None
        if (
            "if-none-match" in asked
            or "if-modified-since" in asked
            or "range" in asked
            or "if-match" in asked
            or "if-unmodified-since" in asked
        ):
            if conditional.depends_on_time(asked, last_modified=modified, now=now):
                remember = None
            outcome = conditional.evaluate(
                request.method, asked, etag=version.etag, last_modified=modified, exists=True, now=now
            )
            if outcome is Outcome.PRECONDITION_FAILED:
                raise HttpError(412, "The file is not, or no longer, the one that the request has in mind.")
            if outcome is Outcome.NOT_MODIFIED:
                return Response(304, _not_modified_fields(fields), remember=remember)
            # §14.2: "GET is the only method for which range handling is defined."
            if outcome is Outcome.PROCEED and request.method == "GET" and (value := asked.get("range")) is not None:
                spans = ranges.select_spans(value, version.size, limit=self._range_limit)
                # Of a compressed file the parts of a multipart answer would be compressed, and the whole of it would not.
                if spans is not None and (len(spans) < 2 or "content-encoding" not in fields):
                    return self._partial(version, spans, fields, remember, descriptor, is_resumed="if-range" in asked)
        if version.body is not None:
            return Response(200, fields, version.body, remember=remember)
        if request.method == "HEAD":
            fields.append("content-length", str(version.size))
            return Response(200, fields, remember=remember)
        return Response(200, fields, FileBody(descriptor, [(0, version.size)]), remember=remember)

    def _partial(
        self,
        version: FileVersion,
        spans: tuple[Span, ...],
        fields: Fields,
        remember: Remember | None,
        descriptor: int,
        *,
        is_resumed: bool,
    ) -> Response:
        if not spans:
            # "A server that generates a 416 response to a byte-range request SHOULD generate a Content-Range header field
            # specifying the current length of the selected representation".
            unsatisfied = ("content-range", ranges.unsatisfied_range(version.size))
            raise HttpError(416, f"None of the ranges lies within the {version.size} octets.", fields=[unsatisfied])
        if is_resumed:
            # §15.3.7: after If-Range "SHOULD NOT generate other representation header fields beyond those required". The type
            # stays: media elements of browsers refuse a part without one, and nginx and Go send it too.
            # And of what was compressed before, a client that forgot it takes the octets for something else.
            fields.remove("last-modified")
            fields.remove("content-language")
        parts: list[bytes | tuple[int, int]]
        if len(spans) == 1:
            fields.append("content-range", ranges.content_range(spans[0], version.size))
            parts = [(spans[0].offset, spans[0].size)]
        else:
            # §15.3.7.2: "a server MUST NOT generate a Content-Range header field in the HTTP header section of a multiple part
            # response".
            boundary = ranges.boundary(self._boundary_secret, repr(version.signature), spans)
            parts = ranges.multipart_parts(spans, version.size, content_type=version.media_type, boundary=boundary)
            fields.set("content-type", f"multipart/byteranges; boundary={boundary}")
        content = version.body
        if content is None:
            return Response(206, fields, FileBody(descriptor, parts), remember=remember)
        pieces = (part if isinstance(part, bytes) else content[part[0] : part[0] + part[1]] for part in parts)
        return Response(206, fields, b"".join(pieces), remember=remember)


def _not_modified_fields(fields: Fields) -> Fields:
    """§15.4.5: "Last-Modified might be useful if the response does not have an ETag field"."""
    kept = _IN_304 if "etag" in fields else _IN_304 | {"last-modified"}
    return Fields(pair for pair in fields if pair[0] in kept)
