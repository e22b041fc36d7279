"""The seam between TLS and whoever has certificates: the local authority today, an ACME client one day. And for whom a certificate is.

RFC 6066 §3 (the name a client asks for), RFC 8555 (ACME); RFC 9525 §6.3 (names with `*`), §6.4 (addresses), for RFC 9110 §4.2.2 and §7.4.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from netlodge.core.certificate_files import PairFiles

LONGEST_NAME: Final = 250
"""Of the 253 octets that a name may have (RFC 1035 §2.3.4), what leaves room for `.pem` in the name of a file."""
LOCALHOST: Final = "localhost"
COVERED_KEPT: Final = 256
"""Hosts that `CoveredHosts` keeps at a time: a certificate with a `*` is for any number of them."""

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


class CoveredHosts(dict[str, bool]):
    """For which hosts a certificate is: `covered[host]`, where `host` is that of a target URI (`http.message.Request.host`). The port is no
    part of it.

    It is asked before every answer over TLS, so what it has said once costs a look into a table. The table is bounded, and holds none
    but covered hosts: a client that asks for others leaves nothing behind.
    """

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[str]) -> None:
        """`names` as in `Pair.names`: names, in which the first label may be `*`, and addresses."""
        super().__init__()
        self._names = frozenset(names)

    def __missing__(self, host: str) -> bool:
        # Without a Host, which HTTP/1.0 lets be, the connection's own is meant.
        is_covered = not host or self._is_named(host)
        if is_covered and len(host) <= LONGEST_NAME:
            if len(self) >= COVERED_KEPT:
                self.clear()
            self[host] = True
        return is_covered

    def _is_named(self, host: str) -> bool:
        address = _address(host.removeprefix("[").removesuffix("]"))
        if address:
            return address in self._names
        name = host.lower().removesuffix(".")
        return name in self._names or pattern_of(name) in self._names


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


def pattern_of(name: str) -> str:
    """The only pattern that a name fits, with a `*` in the place of its first label (RFC 9525 §6.3); empty for a name of one label."""
    _, dot, parent = name.partition(".")
    return f"*.{parent}" if dot else ""


def is_address(name: str) -> bool:
    """Whether it is a numeric address, without brackets."""
    return bool(_address(name))


def _address(text: str) -> str:
    """A numeric address in the form in which certificates are compared by it; empty for what is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
