"""Which certificate is shown to whom: chosen by the name that the client asks for, from one's own files first.

Every connection begins in the door's initial context, which has no certificate. Its name callback moves the connection to the context
of the name. The initial context is made once, by the supervisor, before it forks: OpenSSL makes the keys of session tickets with
it, so that a session of one worker is resumed by every other, and after a reload (RFC 8446 §2.2).

RFC 6066 §3 (server names), RFC 7301 §3.2 (ALPN).
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, cast

from netlodge.core.certificate_files import PairError, PairFiles
from netlodge.core.certificates import LOCALHOST, CertificateSource, host_name, is_address
from netlodge.core.contracts import Clock, Peer
from netlodge.net.own_certificates import OwnCertificates, ServerContext, context_of, new_context
from netlodge.net.tls_service import TlsObject

logger = logging.getLogger("netlodge.tls")

CLOCK_SLACK: Final = 3600.0
"""Seconds by which a clock may be set back without more ado. The local authority dates its certificates back by more."""
LOOKS: Final = 3
"""How often a file is looked at that another worker may be writing."""
VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Stock:
    """What the supervisor makes for a door, before it forks."""

    protocols: Sequence[str]
    """Offered by ALPN, best first."""
    initial: ssl.SSLContext
    own: OwnCertificates

    @classmethod
    def of(cls, protocols: Sequence[str]) -> Stock:
        return cls(protocols, new_context(protocols), OwnCertificates(protocols))

    def taking(self, wanted: Iterable[PairFiles]) -> Stock:
        """The same with these certificates of one's own. Raises `PairError`."""
        return replace(self, own=self.own.taking(wanted))


class _Kept(NamedTuple):
    """What a source gave, and between which times it is not asked again, in seconds since the epoch."""

    context: ServerContext
    since: float
    """Before then the clock has been set back, and the certificate may not hold yet."""
    until: float


class Certificates:
    """Implements `tls_service.Contexts` for one door of one worker."""

    def __init__(
        self,
        stock: Stock,
        sources: Sequence[CertificateSource],
        *,
        minimum: str,
        capacity: int,
        clock: Clock,
        protocols: Sequence[str] | None = None,
    ) -> None:
        """`minimum`: the oldest version, `1.2` or `1.3`. `capacity`: contexts kept of those that the `sources` (asked in order) gave.
        `protocols`: offered by ALPN in the place of the stock's, in this process."""
        self._stock = stock
        self._protocols = stock.protocols if protocols is None else protocols
        stock.own.offer(self._protocols)
        self._sources = sources
        self._capacity = capacity
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """By name. The least used are first."""
        initial = stock.initial
        initial.minimum_version = VERSIONS[minimum]
        initial.sslobject_class = TlsObject
        initial.sni_callback = self._choose

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, local: Peer) -> TlsObject:
        tls = cast("TlsObject", self._stock.initial.wrap_bio(incoming, outgoing, server_side=True))
        tls.local = local
        return tls

    def review(self) -> None:
        """Called about once a second."""
        self._stock.own.review()

    def _choose(self, tls: ssl.SSLObject, server_name: str | None, context: ssl.SSLContext) -> int | None:
        """OpenSSL asks this in each handshake, with the name that the client asked for. Returns the alert that ends it, or None."""
        # "Literal IPv4 and IPv6 addresses are not permitted" as names (RFC 6066 §3); clients that send one mean no name.
        is_named = server_name and not is_address(server_name)
        asked = host_name(server_name or "") if is_named else _address(cast("TlsObject", tls).local)
        chosen = self._context_for(asked) if asked is not None else None
        if chosen is None:
            # "If the server understood the ClientHello extension but does not recognize the server name, the server SHOULD [...] abort
            # the handshake by sending a fatal-level unrecognized_name(112) alert or continue the handshake." (RFC 6066 §3)
            logger.debug("no certificate for %r", server_name or asked)
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = chosen
        cast("TlsObject", tls).hosts = chosen.hosts
        return None

    def _context_for(self, name: str) -> ServerContext | None:
        own = self._stock.own.find(name)
        if own is not None:
            return own
        kept = self._kept
        found = kept.get(name)
        now = self._clock.wall
        if found is not None and found.since <= now < found.until:
            kept.move_to_end(name)
            return found.context
        for source in self._sources:
            credential = source.find(name, now)
            if credential is None:
                continue
            try:
                context = self._load(credential.files)
            except PairError as error:
                logger.warning("%s", error)
                continue
            kept[name] = _Kept(context, now - CLOCK_SLACK, credential.renew_at)
            kept.move_to_end(name)
            while len(kept) > self._capacity:
                kept.popitem(last=False)
            return context
        kept.pop(name, None)
        return None

    def _load(self, files: PairFiles) -> ServerContext:
        """A context with this certificate. Raises `PairError`.

        Two workers that are asked for one name at the same moment sign it both. If the other's file takes the place of ours between two
        looks at it, the key fits nothing: a moment later it does."""
        for _ in range(LOOKS - 1):
            with contextlib.suppress(PairError):
                return context_of(files, self._protocols)[0]
        return context_of(files, self._protocols)[0]


def without_names(hook: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """A `sys.unraisablehook` that passes all on to `hook` but what a client put in the place of a name: octets beyond ASCII there are
    refused by CPython, which reports them as a failure of ours, with a traceback. Nobody shall fill a log with that."""

    def report(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, UnicodeDecodeError) and isinstance(unraisable.object, bytes):
            logger.debug("no name: %r", unraisable.object)
        else:
            hook(unraisable)

    return report


def _address(local: Peer) -> str:
    """The name for a client that asks for none: the address that it dialled."""
    return LOCALHOST if local.host.startswith("unix:") else local.host.partition("%")[0]
