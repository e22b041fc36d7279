"""Certificates of one's own: files that the settings name, chosen by the names that stand in them, and taken up again when they change.

RFC 9525 §6.3 (names with `*`).
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from netlodge.core.certificate_files import Pair, PairError, PairFiles, read_pair
from netlodge.core.certificates import CoveredHosts, pattern_of

logger = logging.getLogger("netlodge.tls")

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption alone, as in Mozilla's intermediate recommendation. TLS 1.3 has no others."""


class ServerContext(ssl.SSLContext):
    """OpenSSL's settings for connections that show one certificate, with what is to be known of that."""

    hosts: CoveredHosts
    """For which it is. Not there while there is no certificate."""


def new_context(protocols: Sequence[str]) -> ServerContext:
    """A server's context without a certificate, that offers `protocols` by ALPN, best first."""
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # Which of them is quickest, the client knows better: it may have no AES in hardware.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    # What renegotiation was good for, TLS 1.3 does otherwise; what it was bad for is RFC 5746 §1.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(list(protocols))
    return context


Signature = tuple[int, ...]
"""What changes when one of the files is written or replaced."""


class OwnCertificate:
    """A pair of files of one's own: what was good in them last."""

    def __init__(self, files: PairFiles, protocols: Sequence[str]) -> None:
        """Raises `PairError`."""
        self.files = files
        self._protocols = protocols
        self._seen = self._tried = _signature(files)
        self._context, self._pair = context_of(files, protocols)

    @property
    def names(self) -> tuple[str, ...]:
        """The names and addresses that the certificate is for; in names a first label may be `*`."""
        return self._pair.names

    @property
    def context(self) -> ServerContext:
        return self._context

    def offer(self, protocols: Sequence[str]) -> None:
        """Offer these by ALPN, best first, from now on."""
        self._protocols = protocols
        self._context.set_alpn_protocols(list(protocols))

    def review(self) -> bool:
        """Take up the files if they have changed and rest: of two that are replaced one after the other, the first alone fits nothing.
        Returns whether they were taken up. What is wrong with them is logged, once."""
        before, self._seen = self._seen, _signature(self.files)
        if self._seen in (self._tried, ()) or self._seen != before:
            return False
        self._tried = self._seen
        try:
            self._context, self._pair = context_of(self.files, self._protocols)
        except PairError as error:
            logger.warning("%s The certificate before it stays in use.", error)
            return False
        logger.info("%s has changed and is in use, for %s.", self.files.certificate, ", ".join(self.names))
        return True


class OwnCertificates:
    """The certificates that the settings name, for one door. The supervisor loads them; workers inherit them and keep them fresh."""

    def __init__(
        self, protocols: Sequence[str], held: Mapping[PairFiles, OwnCertificate] = MappingProxyType({})
    ) -> None:
        self._protocols = protocols
        self._all = held
        self._index()

    def taking(self, wanted: Iterable[PairFiles]) -> OwnCertificates:
        """Those of `wanted` alone, in its order. One that is here already goes along with what was good of it last, however its files
        look now. Raises `PairError` for a new one that cannot be used."""
        taken: dict[PairFiles, OwnCertificate] = {}
        for files in wanted:
            held = self._all.get(files)
            if held is None:
                held = OwnCertificate(files, self._protocols)
            else:
                held.review()
                held.review()  # whoever reloads has written what was to be written
            taken[files] = held
        return OwnCertificates(self._protocols, taken)

    def offer(self, protocols: Sequence[str]) -> None:
        """Offer these by ALPN, best first, from now on. For a worker, whose copy this is: the supervisor may keep a stock for several
        readings of the settings."""
        self._protocols = protocols
        for held in self._all.values():
            held.offer(protocols)

    def review(self) -> None:
        """Take up what has changed. Called about once a second; two `stat` for each certificate."""
        changed = [held for held in self._all.values() if held.review()]
        if changed:
            self._index()

    def find(self, name: str) -> ServerContext | None:
        """The context for a name: of a certificate that has it exactly, else of one with a pattern; the first in the settings wins."""
        return self._by_name.get(name) or self._by_name.get(pattern_of(name))

    def _index(self) -> None:
        self._by_name = {name: held.context for held in reversed(list(self._all.values())) for name in held.names}


def _signature(files: PairFiles) -> Signature:
    """Empty when one of the files is not there: it may be on its way."""
    try:
        return tuple(
            number
            for path in files
            for status in (os.stat(path),)
            for number in (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
        )
    except OSError:
        return ()


def context_of(files: PairFiles, protocols: Sequence[str]) -> tuple[ServerContext, Pair]:
    """A context that shows this certificate. Raises `PairError`."""
    context = new_context(protocols)
    pair = read_pair(files, context)
    context.hosts = CoveredHosts(pair.names)
    return context, pair
