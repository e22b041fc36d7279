"""TLS towards a server: the client's side of `net.tls`, in front of a session, over a stream that was dialled or tunnelled.

The certificate is verified against the system's authorities and those that are named beside them. What is put on the wire, and how
the ends of both sides are told, is `TlsStream`'s; a client only begins by itself, and says to whoever waits what became of it.

RFC 8446 (TLS 1.3), RFC 6066 §3 (names), RFC 7301 (ALPN), RFC 9525 §6 (whose certificate it is, which OpenSSL checks).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

from netlodge.core.certificates import CoveredHosts
from netlodge.core.contracts import Peer, Session
from netlodge.core.errors import NetlodgeError
from netlodge.net.connection import StreamConnection
from netlodge.net.dial import DialError, DialFailure, tls_detail
from netlodge.net.dialled import DialledConnection
from netlodge.net.tls import TlsStream
from netlodge.net.tls_service import TlsCounters, TlsObject, TlsService

HTTP1: Final = ("http/1.1",)
"""What is offered by ALPN as long as nothing else is spoken."""


class TrustError(NetlodgeError):
    """A file of authorities cannot be used."""


def client_context(
    authorities: Iterable[Path] = (), *, is_verifying: bool = True, protocols: Sequence[str] = HTTP1
) -> ssl.SSLContext:
    """TLS 1.2 or later, which trusts the system's authorities and those in the PEM files `authorities`; with `is_verifying` off anyone at
    all. `protocols` are offered by ALPN, best first. Raises `TrustError`."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in authorities:
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise TrustError(
                f"{path} holds no certificates that can be read ({error}). Name a file with certificates in PEM."
            ) from error
    if not is_verifying:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    context.sslobject_class = TlsObject
    return context


class TlsFacts(NamedTuple):
    """What was agreed on in a handshake."""

    version: str
    """`TLSv1.3`, ..."""
    cipher: str
    protocol: str
    """By ALPN; empty if the server chose none."""
    subject: str
    """The common name in the server's certificate; empty if it was not verified."""
    issuer: str
    until: str
    """When the certificate ends, as OpenSSL writes it."""


class TlsClientStream(TlsStream):
    """Like `TlsStream`, towards the server `host`. `start` begins; `opened` is done when the session that `new_session` made may write, or
    raises `DialError`."""

    __slots__ = ("_context", "_host", "_port", "facts", "opened")

    def __init__(
        self,
        connection: StreamConnection,
        context: ssl.SSLContext,
        host: str,
        port: int,
        new_session: Callable[[TlsStream], Session],
    ) -> None:
        """`host`: a name or a numeric address, without brackets. What `connection` receives goes to this stream from now on."""
        super().__init__(connection, _NOT_COUNTED, new_session)
        self._context = context
        self._host = host
        self._port = port
        self.facts: TlsFacts | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection.session = self

    def start(self, received: bytes = b"") -> None:
        """Say hello. `received`: what came already on the stream, e.g. together with the answer to a CONNECT."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # A scope is no part of a certificate's name.
        name = self._host.partition("%")[0]
        try:
            tls = self._context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        except ValueError:  # a name that begins or ends with a dot, or that no certificate can have
            self._end_shaking("its name cannot stand in a certificate")
            return
        self._tls = cast("TlsObject", tls)
        self._tls.hosts = CoveredHosts(())  # that is a server's to know
        self._shake_hands(received)

    def has_news(self) -> bool:
        """See `net.dialled`."""
        return isinstance(self._connection, DialledConnection) and self._connection.has_news()

    def receive_eof(self) -> None:
        if self._is_open:
            super().receive_eof()
        else:
            self._end_shaking("the peer hung up in the handshake")

    def connection_lost(self, error: Exception | None) -> None:
        if not self._is_open:
            self._end_shaking("the peer hung up in the handshake")
        super().connection_lost(error)

    def _open(self, tls: TlsObject) -> None:
        self.facts = facts_of(tls)
        super()._open(tls)
        if not self.opened.done():
            self.opened.set_result(None)

    def _fail(self, error: ssl.SSLError) -> None:
        octets = self._outgoing.read()
        if octets:
            self._connection.write(octets)  # the alert: the server's log says why
        self._end_shaking(tls_detail(error))

    def _end_shaking(self, detail: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._release()
        self._connection.close()
        if not self.opened.done():
            self.opened.set_exception(DialError(DialFailure.TLS_FAILED, self._host, self._port, detail))


def facts_of(tls: ssl.SSLObject) -> TlsFacts:
    """What the handshake that `tls` has done agreed on."""
    certificate = tls.getpeercert() or {}
    cipher = tls.cipher()
    return TlsFacts(
        version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        protocol=tls.selected_alpn_protocol() or "",
        subject=_common_name(certificate.get("subject")),
        issuer=_common_name(certificate.get("issuer")),
        until=str(certificate.get("notAfter", "")),
    )


def _common_name(name: object) -> str:
    """From the tuples of tuples of pairs in which the `ssl` module gives a name."""
    if not isinstance(name, tuple):
        return ""
    attributes = dict(pair for part in name for pair in part)
    return str(attributes.get("commonName") or attributes.get("organizationName") or "")


class _Nobody:
    """Counts nothing, and shows no certificate: implements `Counter` and `Contexts`."""

    __slots__ = ()

    def add(self, amount: int = 1) -> None:
        pass

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, local: Peer) -> TlsObject:
        raise NotImplementedError("a client brings its own context")


_NOBODY: Final = _Nobody()
_NOT_COUNTED: Final = TlsService(
    contexts=_NOBODY,
    counters=TlsCounters(
        handshakes=lambda version, is_resumed: _NOBODY, failures=lambda reason: _NOBODY, truncated=_NOBODY
    ),
    handshake_timeout=float("inf"),
)
"""Whoever dials bounds the time of the handshake."""
