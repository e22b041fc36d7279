"""From an origin to a connection on which exchanges can begin: the name, the dial, a tunnel through a proxy, TLS.

RFC 9110 §9.3.6 (CONNECT), RFC 8305 (`net.dial`). The whole way has one limit of time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

from netlodge.core.contracts import Session
from netlodge.http.client.errors import ClientError, Phase, ProtocolError, ProxyError, SlowError
from netlodge.http.client.h1 import H1Connection, Message, Path, Times, Watch
from netlodge.http.client.origin import Origin, Proxy
from netlodge.http.message import Fields
from netlodge.http.wire.h1 import RequestHead, WireLimits
from netlodge.net.connection import StreamConnection
from netlodge.net.dial import Address, Resolve, resolve_by_system
from netlodge.net.dialled import DialledConnection, dial_connection
from netlodge.net.tls import TlsStream
from netlodge.net.tls_client import TlsClientStream, client_context


class Connect(Protocol):
    """Makes a connection to an origin."""

    async def __call__(self, origin: Origin, times: Times, watch: Watch | None, /) -> tuple[H1Connection, Path]:
        """Raises `DialError` or `ClientError`."""
        ...


class Connector:
    """Implements `Connect`. `clock` gives monotonic seconds."""

    def __init__(
        self,
        *,
        context: Callable[[], ssl.SSLContext] = client_context,
        resolve: Resolve = resolve_by_system,
        local: str | None = None,
        limits: WireLimits | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`context` is called once, when TLS is first needed: the system's authorities take a while to read. `local`: the numeric address to
        dial from."""
        self._make_context = context
        self._context: ssl.SSLContext | None = None
        self._resolve = resolve
        self._local = local
        self._limits = limits or WireLimits()
        self.clock = clock or asyncio.get_running_loop().time

    async def __call__(self, origin: Origin, times: Times, watch: Watch | None = None, /) -> tuple[H1Connection, Path]:
        path = Path(started_at=self.clock())
        connection: StreamConnection | None = None
        try:
            async with asyncio.timeout(times.connect):
                proxy = origin.proxy
                if proxy is not None:
                    link, connection = await self._dial(origin, proxy.host, proxy.port, times, path)
                    if origin.is_secure:
                        received = await self._tunnel(link, origin, proxy, times, watch)
                        path.tunnelled_at = self.clock()
                        link = await self._protect(connection, origin, path, received)
                else:
                    link, connection = await self._dial(origin, origin.host_name, origin.port, times, path)
                    if origin.is_secure:
                        link = await self._protect(connection, origin, path)
        except TimeoutError:
            if connection is not None:
                connection.abort()
            raise SlowError(Phase.CONNECT, origin.place, times.connect) from None
        except BaseException:
            if connection is not None:
                connection.abort()
            raise
        if watch is not None:
            watch.connected(path)
        return link, path

    async def _dial(
        self, origin: Origin, host: str, port: int, times: Times, path: Path
    ) -> tuple[H1Connection, DialledConnection]:
        async def resolve(host: str, port: int) -> Sequence[Address]:
            found = await self._resolve(host, port)
            path.resolved_at = self.clock()
            return found

        connection = await dial_connection(
            partial(self._new_link, where=_named(origin, self_is_proxy=origin.proxy is not None)),
            host,
            port,
            timeout=times.connect,
            local=self._local,
            resolve=resolve,
        )
        path.connected_at = self.clock()
        path.peer = str(connection.peer)
        return cast("H1Connection", connection.session), connection

    def _new_link(self, connection: DialledConnection | TlsStream, *, where: str) -> Session:
        return H1Connection(connection, where, clock=self.clock, limits=self._limits)

    async def _tunnel(
        self, link: H1Connection, origin: Origin, proxy: Proxy, times: Times, watch: Watch | None
    ) -> bytes:
        """Have the proxy connect to the origin. Returns what came on the tunnel already: nothing, as a rule."""
        # "A client MUST send [...] the host and port number of the tunnel destination" (RFC 9112 §3.2.3), and Host says the same.
        fields = Fields([("host", origin.place)])
        if proxy.authorization:
            fields.append("proxy-authorization", proxy.authorization)
        exchange = link.begin(Message(RequestHead("CONNECT", origin.place, fields=fields), watch=watch), times)
        try:
            head = await exchange.head()
        except ClientError as error:
            error.was_sent = False  # to the origin
            raise
        if not exchange.switches:
            exchange.close()
            raise ProxyError(str(proxy), origin.place, head.status, head.reason)
        _, received = exchange.take_stream()
        return received

    async def _protect(
        self, connection: DialledConnection, origin: Origin, path: Path, received: bytes = b""
    ) -> H1Connection:
        if self._context is None:
            self._context = self._make_context()
        stream = TlsClientStream(
            connection, self._context, origin.host_name, origin.port, partial(self._new_link, where=origin.place)
        )
        connection.resume_reading()
        stream.start(received)
        await stream.opened
        path.secured_at = self.clock()
        path.tls = stream.facts
        if stream.protocol not in {"", "http/1.1"}:
            stream.abort()
            raise ProtocolError(f"{origin.place} chose {stream.protocol}, which was not offered.")
        return cast("H1Connection", stream.session)


def _named(origin: Origin, *, self_is_proxy: bool) -> str:
    return f"the proxy {origin.proxy}" if self_is_proxy else origin.place
