"""`netlodge metrics`: the numbers of all workers, once, as Prometheus would get them."""

from __future__ import annotations

from pathlib import Path

import click

from netlodge.cli.running import data_option, failures_as_sentences, run_folder
from netlodge.dashboard.client import ask_any


@click.command("metrics")
@data_option
def command(data: Path | None) -> None:
    """Print the metrics of the running lodge (Prometheus text format)."""
    with failures_as_sentences():
        click.echo(ask_any(run_folder(data), "/metrics"), nl=False)
