"""What the answers of all applications have in common, whichever way they are called: fields that are not theirs, and who else may have them.

RFC 9110 §7.6.1 (Connection), §8.6 (Content-Length), RFC 9111 §3 and §4.2 (in `rules.caching`).
"""

from __future__ import annotations

from typing import Final

from netlodge.core.contracts import Clock
from netlodge.http.message import Fields, Remember, Request
from netlodge.http.rules.caching import reuse_of

BUFFER: Final = 64 * 1024
"""Octets of an answer that wait for the session before the application has to."""
REMEMBERED_BODY: Final = 64 * 1024
"""Octets of the largest answer that others may be given."""
NOT_ITS_OWN: Final = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
"""Fields of the connection and of the framing: the session's to set. Of Connection, `close` is left to the application."""


class ClientGoneError(OSError):
    """Raised to an application that goes on with an answer, or a request, whose client went away."""


class ProtocolError(RuntimeError):
    """An application did what its protocol does not allow, or not now."""


def announced_length(fields: Fields) -> int | None:
    """The Content-Length that an application gave; None if it gave none. Raises `ProtocolError`."""
    value = fields.get("content-length")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise ProtocolError(f"content-length must be one decimal number, not {value!r}")
    return int(value)


def has_no_content(method: str, status: int) -> bool:
    """Whether an answer ends with its head, whatever an application gives beside it (RFC 9110 §6.4.1)."""
    return method == "HEAD" or status == 204 or status == 304  # noqa: PLR1714  quicker than a set on the hot path


def speaks_of_freshness(fields: Fields) -> bool:
    """False for an answer that nobody else may be given, whatever else it says."""
    return "cache-control" in fields or "expires" in fields


def remember_answer(clock: Clock, request: Request, status: int, fields: Fields, length: int) -> Remember | None:
    """Whether anyone may be given this answer of `length` octets without asking the application, as its own Cache-Control says."""
    if not speaks_of_freshness(fields):
        return None
    if length > REMEMBERED_BODY or "age" in fields:  # the session would add another Age
        return None
    reuse = reuse_of(request.method, request.fields, status, fields, now=clock.wall)
    if reuse is None:
        return None
    return Remember(clock.now + reuse.seconds, reads=reuse.selected_by, born=clock.now)


class Nothing:
    """Implements `message.Chunks`: content of an unknown length, of an answer that has none to send. RFC 9110 §8.6: a server "MUST NOT send
    Content-Length in such a response unless its field value equals the decimal number of octets that would have been sent in the content of
    a response if the same request had used the GET method"."""

    __slots__ = ()

    def __aiter__(self) -> Nothing:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration
