"""`netlodge up`: load the settings, make the data folder on first start, run the lodge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from netlodge.cli.data_folder import prepare
from netlodge.cli.errors import NothingStartedError
from netlodge.config.loading import Loaded, Sources, load
from netlodge.core.errors import NetlodgeError

_EPILOG: Final = """\
\b
Examples:
  netlodge up                                     the lodge in ./lodge, made on first start
  netlodge up --files public                      serve a folder on the web door
  netlodge up --app shop.main:app                 serve an application, ASGI or WSGI
  netlodge up --only web --workers 2              the web alone, in two processes
  netlodge up --set web.listen=0.0.0.0:8080       let the network in
  netlodge up --set 'limits.body_size="10 MiB"'   any key, as in the file

\b
The settings file is the one after --config, else ./netlodge.toml, else netlodge.toml in the data folder.
Signals: HUP reads the settings again, USR1 opens the logs anew, TERM finishes what was begun, TERM twice ends at once.
Exit codes: 0 stopped as asked; 1 a failure while running; 2 settings, usage or an address in use: nothing was started.
"""


@click.command(epilog=_EPILOG)
@click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="The settings file.")
@click.option(
    "--files",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Serve this folder, in place of the sites in the settings.",
)
@click.option(
    "--app",
    metavar="MODULE:NAME",
    help="Serve this application, in place of the sites in the settings. Modules are looked for here first.",
)
@click.option(
    "--only", metavar="DOORS", multiple=True, help="Start these doors alone, with commas between: web,lines,dashboard."
)
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Set one key, over the file. May be given again."
)
@click.option("--workers", metavar="N", type=int, help="Worker processes, in place of the key workers.")
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder that keeps everything, in place of the key data.",
)
@click.pass_context
def command(
    ctx: click.Context,
    config: Path | None,
    files: Path | None,
    app: str | None,
    only: tuple[str, ...],
    overrides: tuple[str, ...],
    workers: int | None,
    data: Path | None,
) -> None:
    """Open the lodge: start every door that has an address.

    On first start it makes its folder, ./lodge, with a settings file in which everything is a comment, and a small site to replace.
    It listens on this machine alone until the settings say otherwise. It runs until it is stopped.
    """
    sources = Sources(
        config=config,
        files=files,
        app=app,
        data=data,
        only=tuple(name.strip() for part in only for name in part.split(",") if name.strip()),
        overrides=overrides,
        workers=workers,
    )
    loaded = load(sources)
    made = prepare(loaded)
    if made:
        loaded = load(sources)
        names = ", ".join(os.path.relpath(path, loaded.settings.data) for path in made if path != loaded.settings.data)
        click.echo(f"Made {loaded.settings.data}: {names}.")
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)

    def reload() -> Loaded:
        return load(sources)

    # Imported here so that help and mistakes in the settings do not wait for the whole server to load.
    from netlodge.app.lodge import run

    try:
        code = run(loaded, reload=reload)
    except NetlodgeError as error:
        raise NothingStartedError(str(error)) from error
    ctx.exit(code)
