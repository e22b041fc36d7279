"""`netlodge har`: what the workers' rings hold, as one HTTP archive for a browser's network panel."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final

import click

from netlodge import __version__
from netlodge.cli.running import Failure, data_option, failures_as_sentences, run_folder
from netlodge.core.records import Entry
from netlodge.dashboard.client import ask_all
from netlodge.observe import har
from netlodge.observe.exchange import decode
from netlodge.observe.tap import Gap

STANDARD_OUTPUT: Final = Path("-")


@click.command("har")
@data_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=STANDARD_OUTPUT,
    metavar="FILE",
    help="Where the archive goes; only you may read the file. Default: standard output.",
)
def command(data: Path | None, output: Path) -> None:
    """Export the latest exchanges of the running lodge as HAR 1.2."""
    with failures_as_sentences():
        entries: list[Entry] = []
        for answer in ask_all(run_folder(data), "/ring"):
            decoded = (decode(line) for line in answer.splitlines() if line)
            entries += [item for item in decoded if item is not None and not isinstance(item, Gap)]
        archive = har.build(entries, __version__)
    text = json.dumps(archive, indent=1) + "\n"
    if output == STANDARD_OUTPUT:
        click.echo(text, nl=False)
        return
    try:
        _write_private(output, text)
    except OSError as error:
        raise Failure(f"Cannot write {output} ({error.strerror or error}).") from error


def _write_private(path: Path, text: str) -> None:
    """Put a file that only its owner may read at `path`, whole or not at all, in place of what file stands there.

    What people did on a site is in it, redacted or not. The file is made under a name that nobody knew (mode 0600, `O_EXCL`) and renamed: a
    symbolic link that somebody put there is replaced, not followed. Raises `OSError`."""
    if path.exists() and not path.is_file():
        raise OSError("it is no regular file; write to standard output and redirect it")
    descriptor, made = mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(made, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(made)
        raise
