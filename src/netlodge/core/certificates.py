"""The seam between TLS and whoever has certificates: the local authority today, an ACME client one day.

RFC 6066 §3 (the name a client asks for), RFC 8555 (ACME).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple, Protocol

from netlodge.core.certificate_files import PairFiles

LONGEST_NAME: Final = 250
"""Of the 253 octets that a name may have (RFC 1035 §2.3.4), what leaves room for `.pem` in the name of a file."""
LOCALHOST: Final = "localhost"

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


class Credential(NamedTuple):
    """A certificate that may be shown now, and its key."""

    files: PairFiles
    renew_at: float
    """Seconds since the epoch: from then on the source is asked again, some time before the certificate ends."""


class CertificateSource(Protocol):
    """Has certificates for names, or gets them.

    It is asked in the middle of a handshake, so it answers at once. The local authority signs one on the spot. A source that has to
    ask others (ACME, RFC 8555) has ordered its certificates before anybody asks: for the names of the settings alone, from the
    supervisor or from one worker that holds a lock in its folder; it answers the challenges itself (`http-01` by a handler for
    `/.well-known/acme-challenge/`, which is never redirected; `tls-alpn-01` by a certificate for a handshake of the protocol
    `acme-tls/1`), writes what it is given into its folder, and renews it after two thirds of its time. Then `find` only looks into
    the folder: None as long as nothing is there, and the next source in line is asked.
    """

    def find(self, name: str, now: float) -> Credential | None:
        """The certificate for `name`: a host name as `host_name` returns it, or a numeric address. `now` is seconds since the epoch.

        None: it has none, and will not get one in time. Raises nothing: what goes wrong it logs.
        """
        ...


def host_name(text: str) -> str | None:
    """A name from the wire or the settings in the form in which certificates hold it: in lower case, without the dot at its end. None
    if it is no host name (RFC 1123 §2.1; an underscore is let pass), or a pattern."""
    name = text.lower().removesuffix(".")
    if len(name) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        return None
    return None if is_address(name) else name


def is_address(name: str) -> bool:
    """Whether it is a numeric address, without brackets."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
