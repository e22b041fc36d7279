"""What a client will ask for next is sent before it asks, where an answer says so and the client lets us.

RFC 9113 §8.4 (server push), §6.6 (PUSH_PROMISE). An answer to GET that says `Link: </style.css>; rel=preload` promises what is there, on its own
origin. The promised request goes to the same handler as any other; its answer goes out after all that was asked for. Clients have given up
push, so it is off unless a service turns it on, and costs nothing then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netlodge.http.message import Response
from netlodge.http.rules.links import preloaded_paths
from netlodge.http.wire.h2_fields import MalformedError, request_head
from netlodge.http.wire.hpack import encode_stateless
from netlodge.http.wire.render import SendError

if TYPE_CHECKING:
    from netlodge.http.session.h2_stream import Http2Stream

PER_ANSWER: Final = 16
"""Most promises of one answer."""
PER_CONNECTION: Final = 128
"""Most promises of one connection. Nothing is promised twice, so all of them are kept."""
HANDED_ON: Final = ("accept-encoding", "accept-language", "user-agent", "authorization", "cookie")
"""The fields of a request that hold for what it promises, too: the same client would send them there."""


class Pushes:
    """One connection's. Not made where push is off."""

    __slots__ = ("_promised",)

    def __init__(self) -> None:
        self._promised: set[tuple[str, str]] = set()

    def promise(self, exchange: Http2Stream, response: Response) -> None:
        """Promise what `response` says will be needed, before its head goes out: "The server SHOULD send PUSH_PROMISE (Section 6.6) frames
        prior to sending any frames that reference the promised responses." (§8.4.1)"""
        link = response.fields.get("link")
        head = exchange.head
        if link is None or head.method != "GET" or exchange.is_pushed or not 200 <= response.status < 300:
            return
        authority = head.fields.get("host") or ""
        told = [(name, value) for name in HANDED_ON for value in head.fields.get_all(name)]
        # What was asked for on this connection is there, or on its way.
        self._promised.add((authority, head.target))
        for path in preloaded_paths(link)[:PER_ANSWER]:
            if (authority, path) in self._promised or len(self._promised) >= PER_CONNECTION:
                continue
            scheme = head.scheme or exchange.session.service.scheme
            fields = [(":method", "GET"), (":scheme", scheme), (":authority", authority), (":path", path), *told]
            try:
                promised, _ = request_head(fields, ends=True)
                exchange.session.push(exchange.stream, promised, encode_stateless(fields))
            except (MalformedError, SendError):
                return  # it lets us no more, or the link is none
            self._promised.add((authority, path))
