"""Request methods: which are known, and what a resource says to those it does not support.

RFC 9110 §9.1, §9.3.7 (OPTIONS), §10.2.1 (Allow), §15.5.6 (405), §15.6.2 (501).
"""

from __future__ import annotations

from typing import Final

from netlodge.http.message import Fields, HttpError, Response

KNOWN: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""The methods of RFC 9110 §9.3 and RFC 5789. Case-sensitive."""

READ_ONLY: Final = "GET, HEAD, OPTIONS"
"""Allow of a resource that can only be read."""

WRITABLE: Final = "GET, HEAD, OPTIONS, PUT, DELETE"
"""Allow of a resource that clients may also replace and remove."""


def method_error(method: str, allow: str) -> HttpError:
    """The error for a method that the resource does not support.

    §9.1: "An origin server that receives a request method that is unrecognized or not implemented SHOULD respond with the 501
    (Not Implemented) status code"; one "recognized and implemented, but not allowed for the target resource, SHOULD [get] 405".
    """
    if method not in KNOWN:
        return HttpError(501, "The method is not one that this server knows.")
    # §15.5.6: "The origin server MUST generate an Allow header field in a 405 response".
    return HttpError(405, f"Methods allowed here: {allow}.", fields=[("allow", allow)])


def options_response(allow: str) -> Response:
    """The answer to OPTIONS: §9.3.7 "SHOULD send any header fields that might indicate optional features implemented by the server and
    applicable to that resource (e.g., Allow)"."""
    return Response(204, Fields([("allow", allow)]))


def unless_read(method: str) -> Response | None:
    """What a resource that can only be read says to a method: None to GET and HEAD, which are its own to answer, and its methods to
    OPTIONS. Raises `HttpError` 405 or 501 for any other."""
    if method != "GET" and method != "HEAD":  # noqa: PLR1714  quicker than a set on the hot path
        if method == "OPTIONS":
            return options_response(READ_ONLY)
        raise method_error(method, READ_ONLY)
    return None
