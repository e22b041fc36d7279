"""`netlodge trace`: the exchanges of a running lodge, printed as they pass."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import click

from netlodge.cli.running import data_option, failures_as_sentences, run_folder
from netlodge.core.records import Entry
from netlodge.dashboard.follow import Follower
from netlodge.net.rundir import running_pid
from netlodge.observe.exchange import encode
from netlodge.observe.render import Renderer
from netlodge.observe.selection import Selection, SelectionError
from netlodge.observe.tap import Gap


@click.command("trace")
@data_option
@click.option("--door", default="", metavar="NAME", help="Only what passes this door, e.g. web.")
@click.option("--host", default="", metavar="NAME", help="Only requests for this host; *.example.org for all under it.")
@click.option("--status", default="", metavar="CODES", help="Only these: 404, 4xx, 500-504; several with commas.")
@click.option("--method", default="", metavar="METHODS", help="Only these, e.g. GET,POST.")
@click.option("--path", default="", metavar="TEXT", help="Only requests with this text in the target.")
@click.option("--peer", default="", metavar="ADDRESS", help="Only from this address or network.")
@click.option("-v", "--verbose", is_flag=True, help="Show heads, and content as far as it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines with all that is recorded.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N exchanges.")
@click.option("--recent", is_flag=True, help="Begin with what passed last, as far as it is kept.")
def command(
    data: Path | None,
    door: str,
    host: str,
    status: str,
    method: str,
    path: str,
    peer: str,
    *,
    verbose: bool,
    as_json: bool,
    count: int | None,
    recent: bool,
) -> None:
    """Print exchanges as they pass through the running lodge. Ctrl-C ends it."""
    try:
        selection = Selection(door=door, host=host, status=status, method=method, path=path, peer=peer)
    except SelectionError as error:
        raise click.UsageError(str(error)) from error
    render = encode if as_json else Renderer(is_verbose=verbose, has_colour=sys.stdout.isatty()).render
    folder = run_folder(data)
    try:
        with (
            failures_as_sentences(),
            closing(Follower(folder, selection, is_running=partial(_is_running, folder), is_recent=recent)) as follower,
        ):
            _print(follower, render, count)
    except KeyboardInterrupt:
        # The one way to end a trace is no failure.
        return
    except BrokenPipeError:
        # `| head` has seen enough; nothing is left to be flushed into the broken pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_running(folder: Path) -> bool:
    try:
        return running_pid(folder) is not None
    except OSError:
        return True  # nothing that this user may see says otherwise


def _print(follower: Follower, render: Callable[[Entry | Gap], str], count: int | None) -> None:
    if sys.stdout.isatty() and sys.stderr.isatty():
        click.echo("Exchanges as they pass; Ctrl-C ends.", err=True)
    left = count
    for batch in follower:
        for item in batch:
            click.echo(render(item))
            if left is not None and not isinstance(item, Gap):
                left -= 1
                if not left:
                    return
