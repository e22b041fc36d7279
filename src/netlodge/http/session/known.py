"""Request heads that came before, and answer heads that left before: what is a pure function of octets need not be done twice.

`core/recall.py` remembers whole answers; this is for those that cannot be remembered. An application's clients send the same head again
and again, byte for byte, and its answers differ in their content more than in their fields: so the one is not parsed again, and the other
not checked and framed again (RFC 9112 §2.1 to §6). Whatever is out of the ordinary is not kept here, and goes the long way each time.

Both are bounded, so a flood of distinct ones can only empty them, and `forget` empties them now and then: a request's credentials are not
kept for long. How long an answer takes tells nobody more than whether exactly the octets that they sent came before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from netlodge.core.records import HttpRecord
from netlodge.http.message import Response
from netlodge.http.wire.events import RequestHead

ENTRIES: Final = 1024
"""Most heads kept of either kind. When there are more, all are forgotten: what comes often is back at once."""
LENGTH: Final = 4096
"""Octets of the longest head kept."""
DATE_FIELD: Final = b"\r\nDate: "
DATE_OCTETS: Final = 29

_OUT_OF_THE_ORDINARY: Final = frozenset({"expect", "upgrade"})


class KnownRequest(NamedTuple):
    """A whole request without content, and its note for the journal as far as the request is concerned. Neither is ever changed."""

    head: RequestHead
    record: HttpRecord


class KnownRequests:
    """Requests by their octets, kept when they come a second time."""

    __slots__ = ("_requests", "_seen", "find")

    def __init__(self) -> None:
        self._requests: dict[bytes, KnownRequest] = {}
        self._seen: set[int] = set()
        self.find: Callable[[bytes], KnownRequest | None] = self._requests.get
        """What is known of exactly these octets."""

    def note(self, head: RequestHead, record: HttpRecord) -> None:
        """A request was read that nothing is wrong with, and that expects nothing. `record` is not changed afterwards."""
        raw, fields = head.raw, head.fields
        if head.version == "1.0" or head.content_length != 0 or head.method == "CONNECT" or len(raw) > LENGTH:
            return
        # "keep-alive" says nothing of an HTTP/1.1 connection that is not so anyway.
        if fields.get("connection", "keep-alive") != "keep-alive" or not _OUT_OF_THE_ORDINARY.isdisjoint(fields.names):
            return
        known = hash(raw)
        if known not in self._seen:
            if len(self._seen) >= 4 * ENTRIES:
                self._seen.clear()
            self._seen.add(known)
            return
        if len(self._requests) >= ENTRIES:
            self._requests.clear()
        record.kin = {}
        self._requests[raw] = KnownRequest(head, record)

    def forget(self) -> None:
        """Keep nothing of what came so far."""
        self._requests.clear()
        self._seen.clear()


AnswerKey = tuple[object, ...]
"""All that the octets of an answer's head depend on, but for its date."""


def key_of(head: RequestHead, response: Response) -> AnswerKey | None:
    """The key of an answer with its content at hand, on a connection that goes on; None if it goes the long way."""
    body, fields = response.body, response.fields
    if type(body) is not bytes or response.takeover is not None or response.trailers is not None:
        return None
    if "connection" in fields or "set-cookie" in fields:
        return None
    # Whoever says "keep-alive" is told how long the connection lasts.
    return response.status, head.method == "HEAD", head.fields.get("connection"), len(body), *fields


class KnownAnswers:
    """Answer heads by their keys: what stands before their date, and what stands after it."""

    __slots__ = ("_heads", "find")

    def __init__(self) -> None:
        self._heads: dict[AnswerKey, tuple[bytes, bytes]] = {}
        self.find: Callable[[AnswerKey], tuple[bytes, bytes] | None] = self._heads.get
        """The parts of a head, if one with this key has left before."""

    def note(self, head: RequestHead, response: Response, octets: bytes) -> None:
        """The head of the answer to a request left, on a connection that goes on after it."""
        key = key_of(head, response)
        if key is None or len(octets) > LENGTH:
            return
        if len(self._heads) >= ENTRIES:
            self._heads.clear()
        at = octets.index(DATE_FIELD) + len(DATE_FIELD)
        self._heads[key] = octets[:at], octets[at + DATE_OCTETS :]

    def forget(self) -> None:
        """Keep nothing of what left so far."""
        self._heads.clear()


BlockParts = tuple[bytes, bytes]
"""A field block of HTTP/2 but for its date, and the head as it is shown, but for its date."""


class KnownBlocks:
    """Heads of HTTP/2 by all that they depend on but for the date; bounded, and emptied when full."""

    __slots__ = ("_blocks", "find")

    def __init__(self) -> None:
        self._blocks: dict[tuple[object, ...], BlockParts] = {}
        self.find: Callable[[tuple[object, ...]], BlockParts | None] = self._blocks.get
        """The parts of a head, if one with this key has left before."""

    def keep(self, key: tuple[object, ...], parts: BlockParts) -> None:
        """A head was encoded."""
        if len(parts[1]) > LENGTH:
            return
        if len(self._blocks) >= ENTRIES:
            self._blocks.clear()
        self._blocks[key] = parts

    def forget(self) -> None:
        """Keep nothing of what left so far."""
        self._blocks.clear()
