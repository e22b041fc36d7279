"""What the lodge says when its doors are open: a line for each, and a command to try it with."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from netlodge import __version__
from netlodge.config.doors import Listen
from netlodge.config.settings import Settings
from netlodge.net.sockets import Endpoint, name_of

_EXAMPLES = {
    "web": "curl http://{address}/",
    "web_tls": "curl --cacert {ca} https://{address}/",
    "dashboard": "curl http://{address}/metrics",
    "uppercase": "echo hello | netlodge talk {host} {port}",
    "count": "echo 'a banana' | netlodge talk {host} {port}",
    "echo": "echo hello | netlodge talk {host} {port}",
    "discard": "echo hello | netlodge talk {host} {port}",
    "daytime": "netlodge talk {host} {port} < /dev/null",
}

LOOPBACK = ("127.0.0.1", "::1")
"""Addresses that have a name on every machine."""


def welcome(
    settings: Settings,
    source: Path | None,
    addresses: Mapping[Endpoint, Listen],
    bound: Mapping[Endpoint, Sequence[socket.socket]],
) -> str:
    """The text, several lines, for the endpoints that were bound."""
    places: dict[str, list[str]] = {}
    examples: dict[str, str] = {}
    for endpoint, sockets in bound.items():
        listen = addresses.get(endpoint)
        if listen is None or not sockets:
            continue
        address = sockets[0].getsockname()
        if endpoint.kind == "stream":
            places.setdefault(listen.service, []).append(name_of("stream", address))
            examples.setdefault(listen.service, _example(listen.service, address, settings))
        elif name_of("stream", address) not in places.get(listen.service, ()):
            # With port 0 the system chose another one for datagrams; else it goes without saying.
            places.setdefault(listen.service, []).append(name_of("datagram", address))
    lines = [f"Netlodge {__version__} is open (pid {os.getpid()})."]
    width = max((len(service) for service in places), default=0)
    where = {service: ", ".join(found) for service, found in places.items()}
    span = max((len(text) for text in where.values()), default=0)
    lines += [f"  {service:<{width}}  {where[service]:<{span}}  {examples.get(service, '')}" for service in places]
    file = _shown(source) if source else "defaults (`netlodge init` writes a file to change)"
    lines.append(f"Settings: {file}. Data: {_shown(settings.data)}.")
    lines.append("Watch what passes with `netlodge trace`; end with Ctrl-C.")
    return "\n".join(lines)


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    here = Path.cwd()
    return f"./{path.relative_to(here)}" if path.is_relative_to(here) and path != here else str(path)


def _example(service: str, address: tuple[str, int] | str, settings: Settings) -> str:
    ca = _shown(settings.ca_folder / "root.pem")
    if isinstance(address, str):
        trust, scheme = (f" --cacert {ca}", "https") if service == "web_tls" else ("", "http")
        return f"curl{trust} --unix-socket {address} {scheme}://localhost/"
    host, port = address[:2]
    place = name_of("stream", address)
    if service == "web_tls" and host in LOOPBACK and _answers_to_any(settings):
        place = f"localhost:{port}"
    return _EXAMPLES[service].format(address=place, host=host, port=port, ca=ca)


def _answers_to_any(settings: Settings) -> bool:
    """Whether one of the sites is for every host."""
    return any(not site.hosts or "*" in site.hosts for site in settings.web.site)
