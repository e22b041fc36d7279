"""Which exchanges someone wants to see: by door, host, status, method, part of the path, peer.

A selection travels in the query of the control socket's `/trace`, and is checked on both sides by the same code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from netlodge.core.contracts import Peer
from netlodge.core.errors import NetlodgeError
from netlodge.core.records import HttpRecord, Record

_STATUS = re.compile(r"[0-9]{3}|[0-9]xx|[0-9]{3}-[0-9]{3}")
_PORT = re.compile(r"(?<=[^:]):[0-9]*\Z")
"""`uri-host [ ":" port ]` (RFC 9110 §7.2): an IPv6 address stands in brackets, so that its colons begin no port."""


class SelectionError(NetlodgeError):
    """A filter that means nothing, e.g. a status of four digits."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Every filter that is set must match; an empty one lets all pass. Text as the user wrote it; `SelectionError` if it means nothing.

    `host`: exact without regard to case, `*.example.org` for any name under it; a port that the request names counts only if the filter names
    one too. `status`: `404`, `4xx`, `500-504`, or several with
    commas. `method`: one or several with commas. `path`: a part of the request target. `peer`: an address or a network.
    All but `door` and `peer` are about HTTP: sentences of line services do not match them.
    """

    door: str = ""
    host: str = ""
    status: str = ""
    method: str = ""
    path: str = ""
    peer: str = ""

    def __post_init__(self) -> None:
        for part in self._parts(self.status):
            if not _STATUS.fullmatch(part):
                raise SelectionError(f"The status {part!r} is none: write 404, 4xx or 500-504, several with commas.")
        self._network()

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Selection:
        """From a query; parameters that are no filters are passed over."""
        return cls(**{f.name: parameters[f.name] for f in fields(cls) if f.name in parameters})

    def parameters(self) -> dict[str, str]:
        """The filters that are set; the inverse of `from_parameters`."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name))}

    def wants_record(self, record: Record) -> bool:
        """Whether the filters let the record pass, whoever asked for it."""
        if self.door and record.door != self.door:
            return False
        if not (self.host or self.status or self.method or self.path):
            return True
        if not isinstance(record, HttpRecord):
            return False
        return (
            (not self.host or self._wants_host(record.host))
            and (not self.status or self._wants_status(record.status))
            and (not self.method or record.method.upper() in self._parts(self.method.upper()))
            and (not self.path or self.path in record.target)
        )

    def wants_peer(self, peer: Peer) -> bool:
        """Whether the filter by address lets this peer pass."""
        if not self.peer or self.peer == peer.host:
            return True
        network = self._network()
        try:
            return network is not None and ip_address(peer.host) in network
        except ValueError:
            return False

    def _wants_host(self, host: str) -> bool:
        wanted, host = self.host.lower(), host.lower()
        name = _PORT.sub("", host)
        if wanted.startswith("*."):
            return name.endswith(wanted[1:])
        return wanted in (host, name, name.strip("[]"))

    def _wants_status(self, status: int) -> bool:
        for part in self._parts(self.status):
            low, _, high = part.partition("-")
            if part == str(status) or part == f"{status // 100}xx" or (high and int(low) <= status <= int(high)):
                return True
        return False

    def _network(self) -> IPv4Network | IPv6Network | None:
        if not self.peer or self.peer == "unix:":
            return None
        try:
            return ip_network(self.peer, strict=False)
        except ValueError as error:
            raise SelectionError(f"The peer {self.peer!r} is neither an address nor a network.") from error

    @staticmethod
    def _parts(text: str) -> list[str]:
        return [part.strip() for part in text.split(",") if part.strip()]
