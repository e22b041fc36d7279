"""From the settings to what must be bound: every address of every door that is started."""

from __future__ import annotations

from netlodge.config.doors import Listen, listens
from netlodge.config.loading import Loaded
from netlodge.config.settings import Settings
from netlodge.net.sockets import Endpoint


def endpoints_of(loaded: Loaded) -> dict[Endpoint, Listen]:
    """Each endpoint with the setting that asks for it, door by door; a line service has one for streams and one for datagrams."""
    return {
        endpoint: listen
        for listen in listens(loaded.settings)
        if listen.door in loaded.doors
        for endpoint in _endpoints(listen)
    }


def _endpoints(listen: Listen) -> list[Endpoint]:
    address = listen.address
    if address.is_unix:
        return [Endpoint.unix(address.path, listen.key)]
    # What nobody asked for may be missing: the defaults listen on ::1, and a machine may have no IPv6.
    is_optional = address.host == "::1" and _is_default(listen)
    endpoints = [Endpoint.tcp(address.host, address.port, listen.key, is_optional=is_optional)]
    if listen.has_datagrams:
        endpoints.append(Endpoint.udp(address.host, address.port, listen.key, is_optional=is_optional))
    return endpoints


def _is_default(listen: Listen) -> bool:
    return any(other.path == listen.path and other.address == listen.address for other in listens(Settings()))
