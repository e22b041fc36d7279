"""Requests on connections of a pool: what a request needs to be a message, and what happens when a connection fails.

RFC 9110 §7.2 (Host), §8.6 (Content-Length), §8.3 (Content-Type), §10.1.1 (Expect), §11.7.2 (Proxy-Authorization); RFC 9112 §3.2
(target forms), §9.3.1 (retrying requests).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from netlodge.http.client.errors import ClientError
from netlodge.http.client.exchanges import ClientRequest, ClientResponse
from netlodge.http.client.h1 import Exchange, Message
from netlodge.http.client.origin import Origin, Proxy
from netlodge.http.client.pool import Lease, Pool
from netlodge.http.message import Fields
from netlodge.http.rules.repeating import may_repeat
from netlodge.http.rules.uri import WebUri
from netlodge.http.wire.h1 import RequestHead, ResponseHead

ATTEMPTS: Final = 8
"""Connections that a request is sent on before it fails: all those that may rest for one origin, and new ones."""
_WITH_CONTENT: Final = frozenset({"POST", "PUT", "PATCH"})
_NOT_THE_USERS: Final = frozenset({"transfer-encoding", "content-length"})

FindProxy = Callable[[WebUri], Proxy | None]
"""Which proxy a request goes through; None: none."""


def no_proxy(_: WebUri) -> Proxy | None:
    return None


class Direct:
    """Implements `Sender` on a pool of connections."""

    def __init__(self, pool: Pool, *, find_proxy: FindProxy = no_proxy) -> None:
        self._pool = pool
        self._find_proxy = find_proxy

    async def send(self, request: ClientRequest, /) -> ClientResponse:
        began_at = asyncio.get_running_loop().time()
        response = await self._send(request, began_at)
        content = request.content
        if response.status == 417 and "expect" in request.fields and (content is None or content.is_replayable):
            # "A client that receives a 417 (Expectation Failed) status code in response to a request containing a 100-continue expectation
            # SHOULD repeat that request without a 100-continue expectation" (RFC 9110 §10.1.1)
            await response.give_up()
            fields = request.fields.copy()
            fields.remove("expect")
            request.fields = fields
            response = await self._send(request, began_at)
        return response

    async def _send(self, request: ClientRequest, began_at: float) -> ClientResponse:
        origin = Origin.of(request.uri, self._find_proxy(request.uri))
        content = request.content
        for attempt in range(1, ATTEMPTS + 1):
            message = Message(_head(request, origin), content, request.inform, request.watch)
            lease = await self._pool.lease(origin, request.times, request.watch)
            try:
                exchange = lease.link.begin(message, request.times)
                head = await exchange.head()
            except ClientError as error:
                if attempt < ATTEMPTS and may_repeat(
                    request.method,
                    was_sent=error.was_sent,
                    was_answered=error.was_answered,
                    is_reused=lease.path is None,
                    is_replayable=content is None or content.is_replayable,
                ):
                    continue
                raise
            return _response(request, head, exchange, lease, began_at)
        raise AssertionError("the last attempt returns or raises")


def _response(
    request: ClientRequest, head: ResponseHead, exchange: Exchange, lease: Lease, began_at: float
) -> ClientResponse:
    return ClientResponse(
        request,
        head.status,
        head.reason,
        head.version,
        head.fields,
        exchange,
        exchange,
        lease.path,
        began_at,
    )


def _head(request: ClientRequest, origin: Origin) -> RequestHead:
    fields = Fields(_fields(request, origin))
    uri = request.uri
    target = uri.absolute_target if origin.forwards else uri.target
    content = request.content
    return RequestHead(request.method, target, fields=fields, is_chunked=content is not None and content.length is None)


def _fields(request: ClientRequest, origin: Origin) -> Iterable[tuple[str, str]]:
    given = request.fields
    # "a user agent SHOULD generate Host as the first header field following the request line" (RFC 9110 §7.2)
    yield "host", given.get("host") or request.uri.authority
    for name, value in given:
        if name != "host" and name not in _NOT_THE_USERS:
            yield name, value
    content = request.content
    if content is not None:
        if content.media_type and "content-type" not in given:
            yield "content-type", content.media_type
        if content.length is not None:
            yield "content-length", str(content.length)
    elif request.method in _WITH_CONTENT:
        # "A user agent SHOULD send Content-Length in a request when the method defines a meaning for enclosed content and it is not sending
        # Transfer-Encoding. For example, [...] a value of 0" (RFC 9110 §8.6)
        yield "content-length", "0"
    if origin.forwards and origin.proxy is not None and origin.proxy.authorization:
        yield "proxy-authorization", origin.proxy.authorization
