"""What the TLS connections of one door share, and the words for what becomes of their handshakes.

RFC 8446 §6 (alerts), RFC 6066 §3 (names), RFC 7301 (ALPN, by the contexts).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from netlodge.core.certificates import CoveredHosts
from netlodge.core.contracts import Connection, Counter, Peer, Session

INTERNAL_ERROR: Final = b"\x15\x03\x03\x00\x02\x02\x50"
"""A whole record: the fatal alert `internal_error`, for "an internal error unrelated to the peer or the correctness of the protocol"
(RFC 8446 §6.2). Said to clients over a limit of the door, before any handshake: it costs no computation."""

PLAIN: Final = "plain"
GARBAGE: Final = "garbage"
TIMEOUT: Final = "timeout"
GONE: Final = "gone"
NAME: Final = "name"
VERSION: Final = "version"
CIPHER: Final = "cipher"
REJECTED: Final = "rejected"
PROTOCOL: Final = "protocol"
FAILURES: Final = (PLAIN, GARBAGE, TIMEOUT, GONE, NAME, VERSION, CIPHER, REJECTED, PROTOCOL)
"""Why there was no TLS: the client spoke in the clear; spoke neither; was too slow; left; asked for a name that nobody here has a
certificate for; offers only versions, or ciphers, that are not spoken; sent an alert (it does not trust the certificate, as a rule);
or broke the protocol otherwise."""
VERSIONS: Final = ("TLSv1.2", "TLSv1.3")

_REASONS: Final = {
    "CALLBACK_FAILED": NAME,
    "NO_SHARED_CIPHER": CIPHER,
    "NO_SUITABLE_KEY_SHARE": CIPHER,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": CIPHER,
    "UNSUPPORTED_PROTOCOL": VERSION,
    "VERSION_TOO_LOW": VERSION,
    "WRONG_VERSION_NUMBER": VERSION,
}
"""What OpenSSL calls it."""


class TlsObject(ssl.SSLObject):
    """OpenSSL's side of one connection, with what the choice of a certificate may depend on beside the name, and what was chosen."""

    local: Peer
    """The address that the client dialled."""
    hosts: CoveredHosts
    """For which the certificate is that was chosen. Not there before."""


class Contexts(Protocol):
    """Where TLS gets its certificates: see `net.certificates`."""

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, local: Peer) -> TlsObject:
        """The server's side of a new connection to `local`."""
        ...


class Cleartext(NamedTuple):
    """What becomes of those who speak in the clear where TLS is spoken."""

    is_spoken: Callable[[bytes], bool | None]
    """Whether these first octets are of the protocol that is known here; None: more are needed to tell."""
    new_session: Callable[[Connection], Session]
    """Answers them, in the clear."""


@dataclass(frozen=True, slots=True)
class TlsCounters:
    handshakes: Callable[[str, bool], Counter]
    """By version (one of `VERSIONS`), and whether an earlier session was resumed."""
    failures: Callable[[str], Counter]
    """By one of `FAILURES`."""
    truncated: Counter
    """Connections whose peer ended the stream without saying so in TLS."""


@dataclass(frozen=True, slots=True)
class TlsService:
    """What all TLS connections of one door share."""

    contexts: Contexts
    counters: TlsCounters
    handshake_timeout: float
    """Seconds from the first sweep that sees the connection to the end of the handshake."""
    cleartext: Cleartext | None = None


def reason_of(error: ssl.SSLError) -> str:
    """Which of `FAILURES` this error of a handshake is."""
    reason = error.reason or ""
    return REJECTED if "ALERT" in reason else _REASONS.get(reason, PROTOCOL)
