"""When a client sends a request again by itself: after a connection failed, and after a redirect, and what changes then.

RFC 9110 §9.2.1 and §9.2.2 (safe and idempotent methods), §15.4 (redirection; each status says what becomes of the method); RFC 9112
§9.3.1 (retrying requests).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from netlodge.http.message import Fields

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110 §9.2.1."""
IDEMPOTENT: Final = SAFE | {"PUT", "DELETE"}
"""RFC 9110 §9.2.2."""
FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses whose Location is gone to. 300 offers a choice, which is the user's; 304 is no redirect."""

# RFC 9110 §15.4: "it is known [...] safe to drop".
_OF_CONTENT: Final = (
    "content-encoding", "content-language", "content-location", "content-type", "content-length", "digest", "content-digest",
    "repr-digest", "last-modified", "expect",
)  # fmt: skip
_OF_RESOURCE: Final = (
    "authorization", "cookie", "cookie2", "origin", "referer", "proxy-authorization", "host",
    "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
)  # fmt: skip
"""What was meant for the resource that redirects, and is for nobody else to see."""


def may_repeat(method: str, *, was_sent: bool, was_answered: bool, is_reused: bool, is_replayable: bool) -> bool:
    """Whether a request whose connection failed is sent again on another one.

    `was_sent`: some of it may have reached the server. `is_reused`: the connection had carried an exchange before, so that the server may
    have closed it in the meantime. `is_replayable`: its content can be had again. RFC 9110 §9.2.2: "A client SHOULD NOT automatically
    retry a request with a non-idempotent method unless it has some means to know that the request semantics are actually
    idempotent [...] or some means to detect that the original request was never applied."
    """
    if was_answered or not is_reused or not is_replayable:
        return False
    return not was_sent or method in IDEMPOTENT


class Redirected(NamedTuple):
    """What a redirect makes of a request."""

    method: str
    keeps_content: bool
    fields: Fields


def is_redirect(status: int, fields: Fields) -> bool:
    """Whether an answer says where to go, and a client goes there."""
    return status in FOLLOWED and "location" in fields


def redirected(method: str, status: int, fields: Fields, *, is_same_origin: bool) -> Redirected:
    """The request that follows a redirect, from the method and the fields of the one that was redirected (RFC 9110 §15.4)."""
    kept = fields.copy()
    # 301 and 302: "For historical reasons, a user agent MAY change the request method from POST to GET for the subsequent request." 303:
    # "to perform a retrieval request". 307 and 308: "the user agent MUST NOT change the request method".
    becomes_get = (status in {301, 302} and method == "POST") or (status == 303 and method not in {"GET", "HEAD"})
    if becomes_get:
        for name in _OF_CONTENT:
            kept.remove(name)
    if not is_same_origin:
        if "if-range" in kept:
            kept.remove("range")  # without its condition it could bring a part of something else
        for name in _OF_RESOURCE:
            kept.remove(name)
    return Redirected("GET" if becomes_get else method, not becomes_get, kept)
