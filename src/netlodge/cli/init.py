"""`netlodge init`: write the starter file and the starter site into a folder, to be looked at before the first start."""

from __future__ import annotations

from pathlib import Path

import click

from netlodge.cli import data_folder


@click.command(
    epilog="""\
\b
Examples:
  netlodge init                a lodge in ./lodge, where `netlodge up` looks for it
  netlodge init /srv/lodge     a lodge elsewhere: netlodge up --data /srv/lodge

Exit codes: 0 written, 2 something is there already, or the folder cannot be written to."""
)
@click.argument("folder", metavar="[DIR]", default="lodge", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Write over the settings file and the starter site's files.")
def command(folder: Path, *, force: bool) -> None:
    """Write a settings file with comments, and a small site, into DIR (./lodge).

    Every setting stands in the file as a comment, with its default. Nothing that is there is written over.
    """
    found = data_folder.obstacles(folder)
    if found and not force:
        names = " and ".join(str(path) for path in found)
        raise click.UsageError(f"{names} {'is' if len(found) == 1 else 'are'} there already; --force writes over.")
    settings, site = data_folder.write(folder)
    options = "" if folder == Path("lodge") else f" --data {folder}"
    click.echo(f"Wrote {settings} and {site}.\nStart it: netlodge up{options}")
