"""`netlodge check`: everything that is wrong in a settings file, without starting anything."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from netlodge.config.doors import Listen, listens
from netlodge.config.errors import Problem, SettingsError
from netlodge.config.loading import Loaded, Sources, load
from netlodge.config.schema import to_toml

_EPILOG: Final = """\
\b
Examples:
  netlodge check                        the file that `netlodge up` would take
  netlodge check site.toml --bind       also: are the addresses free?

Exit codes: 0 valid, 2 not; each mistake is one sentence with its line, its key, and the nearest right one."""


@click.command(epilog=_EPILOG)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Set one key, over the file. May be given again."
)
@click.option("--bind", is_flag=True, help="Also try to listen on every address, and let go of it again.")
def command(file: Path | None, overrides: tuple[str, ...], *, bind: bool) -> None:
    """Say what is wrong in a settings file; start nothing.

    Values, contradictions between them, and the files and folders that they name are looked at.
    """
    loaded = load(Sources(config=file, overrides=overrides))
    if bind:
        problems = list(_try_addresses(loaded))
        if problems:
            raise SettingsError(problems)
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    subject = f"{loaded.label} is valid" if loaded.source else "There is no settings file; the defaults are valid"
    addresses = sum(listen.door in loaded.doors for listen in listens(loaded.settings))
    click.echo(
        f"{subject}: {_count(len(loaded.doors), 'door')} ({', '.join(loaded.doors)}) on {_count(addresses, 'address', 'es')}."
    )


def _count(number: int, noun: str, ending: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else ending}"


def _try_addresses(loaded: Loaded) -> Iterator[Problem]:
    for listen in listens(loaded.settings):
        if listen.address.is_unix:
            continue  # bound by making the file, which replaces what a lodge that crashed has left
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) if listen.has_datagrams else (socket.SOCK_STREAM,):
            reason = _try_bind(listen, kind)
            if reason:
                transport = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
                yield Problem("", listen.key, to_toml(listen.address), f"cannot be bound on {transport}: {reason}")


def _try_bind(listen: Listen, kind: socket.SocketKind) -> str:
    """Why nothing can listen there; empty if something can. Without SO_REUSEPORT, so that a lodge that runs is noticed too."""
    family = socket.AF_INET6 if ":" in listen.address.host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # getaddrinfo reads the scope of a link-local address, fe80::1%eth0.
            found = socket.getaddrinfo(
                listen.address.host, listen.address.port, family, kind, flags=socket.AI_NUMERICHOST
            )
            probe.bind(found[0][4])
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
    except OSError as error:
        match error.errno:
            case errno.EADDRINUSE:
                return "something listens there already"
            case errno.EADDRNOTAVAIL:
                return "this machine has no such address"
            case errno.EACCES:
                return "ports below 1024 need privileges"
        return (error.strerror or str(error)).lower()
    return ""
