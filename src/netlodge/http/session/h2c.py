"""From HTTP/1.1 to HTTP/2 on one connection in the clear: `Upgrade: h2c`.

RFC 7540 §3.2 (the request that asks for it is answered as stream 1), §3.2.1 (HTTP2-Settings); RFC 9113 §3.1 (nobody need do so any more). RFC
9110 §7.8 (a server may ignore any upgrade): what is out of the ordinary is answered over HTTP/1.1.

Behind a proxy that hands the field on, this is a tunnel past it: the proxy takes all that follows for the answer to one request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial

from netlodge.core.contracts import Connection, Session
from netlodge.http.message import Fields, Handler, Request, Response
from netlodge.http.session.h2 import Http2Session
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.h2_fields import CONNECTION_FIELDS, MalformedError, request_head

PROTOCOL = "h2c"
SETTINGS_FIELD = "http2-settings"
_OF_HTTP1 = CONNECTION_FIELDS | {"host", "te", SETTINGS_FIELD}


class UpgradesToHttp2:
    """A handler around that of a door in the clear: answers 101 to those who ask for HTTP/2 as they should, and leaves all others to
    the inner one. `service` says what the connection is for from then on; its handler is asked for the answer proper."""

    __slots__ = ("_inner", "_service")

    def __init__(self, inner: Handler, service: Callable[[], HttpService]) -> None:
        self._inner = inner
        self._service = service

    async def handle(self, request: Request) -> Response:
        if "upgrade" in request.fields:
            asked = asked_for(request)
            if asked is not None:
                fields = Fields([("connection", "Upgrade"), ("upgrade", PROTOCOL)])
                return Response(101, fields, takeover=partial(self._take_over, *asked))
        return await self._inner.handle(request)

    def _take_over(self, head: RequestHead, settings: bytes, connection: Connection, trailing: bytes) -> Session:
        session = Http2Session(connection, self._service())
        session.begin_upgraded(head, settings)
        if trailing:
            session.receive_data(trailing)
        return session


def asked_for(request: Request) -> tuple[RequestHead, bytes] | None:
    """The request as HTTP/2 has it and the client's first settings, if it asks to go on with HTTP/2 as RFC 7540 §3.2 has it; None if
    not. A request with content is not taken along: all of it would have to come before."""
    fields = request.fields
    if request.version != "1.1" or PROTOCOL not in fields.list_of("upgrade") or request.body.length != 0:
        return None
    # "A server MUST NOT upgrade the connection to HTTP/2 if this header field is not present or if more than one is present." "A client that
    # makes such a request MUST send it as a connection option, too." (§3.2.1)
    values = fields.get_all(SETTINGS_FIELD)
    if len(values) != 1 or not {"upgrade", SETTINGS_FIELD} <= set(fields.list_of("connection")):
        return None
    settings = _decoded(values[0])
    if settings is None or len(settings) % 6:
        return None
    authority = fields.get("host") or ""
    target = request.path + ("" if request.query is None else f"?{request.query}")
    pseudo = [(":method", request.method), (":scheme", request.scheme), (":authority", authority)]
    pseudo.append((":path", target or "*"))
    options = fields.list_of("connection")
    rest = [(name, value) for name, value in fields if name not in _OF_HTTP1 and name not in options]
    try:
        head, _ = request_head([*pseudo, *rest], ends=True)
    except MalformedError:
        return None
    return head, settings


def _decoded(value: str) -> bytes | None:
    """ "token68": base64url without the padding (RFC 7540 §3.2.1, RFC 4648 §5)."""
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        return None
