"""`netlodge ca`: the lodge's local authority, shown, given away, and put where the programs of this machine look for whom to trust."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click

from netlodge.cli.trust_stores import Outcome, change_browsers, change_system
from netlodge.config.loading import Sources, load
from netlodge.store.authority import ROOT_KEY, Root, read_root

_EPILOG: Final = """\
\b
Examples:
  netlodge ca show                         who it is, until when, its fingerprint
  netlodge ca export > lodge.pem           for another machine; --der for Android and Windows
  netlodge ca install                      this machine's programs trust the lodge
  sudo netlodge ca install --no-browsers   the system's store alone, which only root may write

\b
Exit codes: 0 done; 1 there is no authority yet, or something could not be done (it is said what); 2 settings or usage."""


@click.group("ca", epilog=_EPILOG)
def command() -> None:
    """Show, export and install the local authority that signs the lodge's certificates.

    `netlodge up` makes it when a door first speaks TLS. Its certificate is for everyone; its key never leaves the data folder.
    """


def _lodge_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="The settings file."),
        click.option("--data", metavar="DIR", type=click.Path(path_type=Path), help="The lodge's data folder."),
    ):
        function = option(function)
    return function


def _root(config: Path | None, data: Path | None) -> Root:
    """The authority of the lodge that the options name. Raises `NetlodgeError`."""
    return read_root(load(Sources(config=config, data=data)).settings.ca_folder)


@command.command()
@_lodge_options
def show(config: Path | None, data: Path | None) -> None:
    """Say who the authority is, until when, and by which fingerprint it is known."""
    root = _root(config, data)
    certificate = root.certificate
    facts = {
        "Authority": root.name,
        "Valid": f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}",
        "SHA-256": root.fingerprint,
        "File": str(root.path),
    }
    for name, value in facts.items():
        click.echo(f"{name + ':':<11}{value}")
    if root.ends < time.time():
        click.echo(f"Its time is over. Remove {root.path.parent} for a new one, and install that.", err=True)
    key = root.path.with_name(ROOT_KEY)
    if key.exists() and key.stat().st_mode & 0o077:
        click.echo(f"Others may read its key! Run: chmod 600 {key}", err=True)


@command.command()
@_lodge_options
@click.option("--der", "is_der", is_flag=True, help="In DER, in place of PEM.")
@click.option(
    "--output", metavar="FILE", type=click.Path(path_type=Path), help="Into this file, not to standard output."
)
def export(config: Path | None, data: Path | None, output: Path | None, *, is_der: bool) -> None:
    """Write the authority's certificate, to be trusted on another machine."""
    root = _root(config, data)
    octets = root.der if is_der else root.pem
    if output is None:
        click.echo(octets, nl=False)
        return
    try:
        output.write_bytes(octets)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from error
    click.echo(f"Wrote {output} (SHA-256 {root.fingerprint}).")


def _store_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--system/--no-system", "has_system", default=True, help="The system's store."),
        click.option("--browsers/--no-browsers", "has_browsers", default=True, help="Firefox, Thunderbird, Chromium."),
    ):
        function = option(function)
    return function


@command.command()
@_lodge_options
@_store_options
@click.pass_context
def install(
    ctx: click.Context, config: Path | None, data: Path | None, *, has_system: bool, has_browsers: bool
) -> None:
    """Have this machine's programs trust the lodge: the system's store, and your browsers' profiles."""
    root = _root(config, data)
    _change(ctx, root, is_removal=False, has_system=has_system, has_browsers=has_browsers)


@command.command()
@_lodge_options
@_store_options
@click.pass_context
def remove(ctx: click.Context, config: Path | None, data: Path | None, *, has_system: bool, has_browsers: bool) -> None:
    """Take the lodge's authority out of those stores again."""
    root = _root(config, data)
    _change(ctx, root, is_removal=True, has_system=has_system, has_browsers=has_browsers)


def _change(ctx: click.Context, root: Root, *, is_removal: bool, has_system: bool, has_browsers: bool) -> None:
    click.echo(f"{root.name}, SHA-256 {root.fingerprint}")
    outcomes: list[Outcome] = []
    if has_system:
        outcomes += _told([change_system(root, is_removal=is_removal)])
    if has_browsers:
        outcomes += _told(change_browsers(root, Path.home(), is_removal=is_removal))
    if not all(outcome.is_done for outcome in outcomes):
        ctx.exit(1)


def _told(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    """The same, each told as soon as it is there."""
    for outcome in outcomes:
        click.echo(f"  {outcome.store}: {outcome.text}", err=not outcome.is_done)
        yield outcome
