"""The doors of a lodge, and every address that each of them listens on with the key that put it there."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple

from netlodge.config.address import Address
from netlodge.config.errors import KeyPath, dotted
from netlodge.config.settings import Settings

DOORS = ("web", "lines", "dashboard")
"""Every door there is, in the order in which they are started and shown."""

LINE_SERVICES = ("uppercase", "count", "echo", "discard", "daytime")


class Listen(NamedTuple):
    """One address that a door listens on."""

    door: str
    service: str
    """What answers there: one of `LINE_SERVICES`; for other doors their own name."""
    path: KeyPath
    address: Address
    has_datagrams: bool
    """True when the address is served on UDP too."""
    is_tls: bool = False

    @property
    def key(self) -> str:
        """The setting that put it there, e.g. `web.listen[0]`."""
        return dotted(self.path)


def listens(settings: Settings) -> Iterator[Listen]:
    """Every address in the settings, door by door, in the order in which they are written."""
    for index, address in enumerate(settings.web.listen):
        yield Listen("web", "web", ("web", "listen", index), address, has_datagrams=False)
    for index, address in enumerate(settings.web.listen_tls):
        yield Listen("web", "web_tls", ("web", "listen_tls", index), address, has_datagrams=False, is_tls=True)
    for service in LINE_SERVICES:
        addresses: tuple[Address, ...] = getattr(settings.lines, service)
        for index, address in enumerate(addresses):
            yield Listen("lines", service, ("lines", service, index), address, has_datagrams=True)
    for index, address in enumerate(settings.dashboard.listen):
        yield Listen("dashboard", "dashboard", ("dashboard", "listen", index), address, has_datagrams=False)


def speaks_tls(settings: Settings, doors: Container[str]) -> bool:
    """Whether one of these doors speaks TLS somewhere."""
    return any(listen.is_tls and listen.door in doors for listen in listens(settings))
