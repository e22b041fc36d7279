"""`netlodge check`: everything that is wrong in a settings file, without starting anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from netlodge.app.addresses import endpoints_of
from netlodge.cli.errors import NothingStartedError
from netlodge.config.doors import listens
from netlodge.config.loading import Loaded, Sources, load
from netlodge.net.sockets import BindError, bind

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
            raise NothingStartedError("\n".join(problems))
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    subject = f"{loaded.label} is valid" if loaded.source else "There is no settings file; the defaults are valid"
    addresses = sum(listen.door in loaded.doors for listen in listens(loaded.settings))
    click.echo(
        f"{subject}: {_count(len(loaded.doors), 'door')} ({', '.join(loaded.doors)}) on {_count(addresses, 'address', 'es')}."
    )


def _count(number: int, noun: str, ending: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else ending}"


def _try_addresses(loaded: Loaded) -> Iterator[str]:
    """A sentence for each address that nothing can listen on now. What is bound is let go of at once."""
    for endpoint in endpoints_of(loaded):
        if endpoint.path:
            continue  # bound by making the file, which replaces what a lodge that crashed has left
        try:
            for sock in bind(endpoint, 1):
                sock.close()
        except BindError as error:
            yield str(error)
