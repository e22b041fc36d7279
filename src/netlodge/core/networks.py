"""Which networks an address is in: who may ask is said by networks in the settings, and looked up for each request.

RFC 4632 §3.1 (IPv4 prefixes), RFC 4291 §2.3 (IPv6 prefixes) and §2.5.5.2 (IPv4 addresses in IPv6 ones).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

UNIX: Final = "unix:"
"""Stands for every client of a Unix socket, as in `Peer.host`."""

_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
_MAPPED_NETWORK: Final = IPv6Network("::ffff:0:0/96")


class NetworkError(ValueError):
    """Text that is no network; `str(error)` says why, to be put behind the text."""


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """A network as `192.168.0.0/16` or `2001:db8::/32`, or one address. IPv4 networks in IPv6 form become what they stand for.

    Raises `NetworkError`: also for an address with bits beyond the prefix, because somebody meant another one of the two.
    """
    try:
        network = ip_network(text)
    except ValueError:
        try:
            meant = ip_network(text, strict=False)
        except ValueError:
            raise NetworkError('must be a network or an address, such as "192.168.0.0/16" or "::1"') from None
        raise NetworkError(
            f'has bits set beyond its prefix; did you mean the network "{meant}", or the address "{text.partition("/")[0]}"?'
        ) from None
    if "%" in text:
        raise NetworkError("must not have a zone: a network is the same on every interface")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED_NETWORK):
        mapped = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((mapped, network.prefixlen - 96))
    return network


class Networks:
    """A set of networks and addresses, and `"unix:"` for those who come by Unix sockets. Raises `NetworkError`."""

    __slots__ = ("_has_unix", "_v4", "_v6")

    def __init__(self, networks: Iterable[str]) -> None:
        self._has_unix = False
        self._v4: list[tuple[int, int]] = []
        self._v6: list[tuple[int, int]] = []
        for text in networks:
            if text == UNIX:
                self._has_unix = True
                continue
            network = parse_network(text)
            pairs = self._v4 if network.version == 4 else self._v6
            pairs.append((int(network.netmask), int(network.network_address)))

    def __contains__(self, host: str) -> bool:
        """Whether an address is in one of them. `host` is a `Peer.host`; what is no address is in none."""
        pairs = self._v4
        try:
            if ":" not in host:
                octets = socket.inet_pton(socket.AF_INET, host)
            elif host.startswith(UNIX):
                return self._has_unix
            else:
                octets = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
                if octets[:12] == _MAPPED:
                    octets = octets[12:]
                else:
                    pairs = self._v6
        except OSError:
            return False
        address = int.from_bytes(octets, "big")
        return any(address & mask == network for mask, network in pairs)
