"""`netlodge har`: what the workers' rings hold, as one HTTP archive for a browser's network panel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import click

from netlodge import __version__
from netlodge.cli.running import data_option, failures_as_sentences, run_folder
from netlodge.core.records import Entry
from netlodge.dashboard.client import ask_all
from netlodge.observe import har
from netlodge.observe.exchange import decode
from netlodge.observe.tap import Gap


@click.command("har")
@data_option
@click.option(
    "-o",
    "--output",
    type=click.File("w", encoding="utf-8", lazy=True, atomic=True),
    default="-",
    metavar="FILE",
    help="Where the archive goes. Default: standard output.",
)
def command(data: Path | None, output: IO[str]) -> None:
    """Export the latest exchanges of the running lodge as HAR 1.2."""
    with failures_as_sentences():
        entries: list[Entry] = []
        for answer in ask_all(run_folder(data), "/ring"):
            decoded = (decode(line) for line in answer.splitlines() if line)
            entries += [item for item in decoded if item is not None and not isinstance(item, Gap)]
        archive = har.build(entries, __version__)
    json.dump(archive, output, indent=1)
    output.write("\n")
