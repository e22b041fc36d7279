"""How a command finds the lodge that runs, and what it says when it cannot: one sentence and an exit code.

Exit codes: 3 if no lodge runs on the data folder, 4 if this user may not look into it, 1 for any other failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import click

from netlodge.config.errors import SettingsError
from netlodge.config.loading import Sources, load
from netlodge.core.errors import NetlodgeError
from netlodge.dashboard.client import NotPermittedError, NotRunningError

_DEFAULT_DATA: Final = Path("lodge")

_Command = Callable[..., Any]


class Failure(click.ClickException):
    """Ends the command with a sentence on standard error."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"netlodge: {self.message}", file=file, err=True)


class NotRunning(Failure):
    exit_code = 3


class NotPermitted(Failure):
    exit_code = 4


def data_option(command: _Command) -> _Command:
    """`--data DIR`: the folder of the lodge to ask."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Data folder of the lodge to ask. Default: the one of the settings file here, else ./lodge.",
    )(command)


def run_folder(data: Path | None) -> Path:
    """Where the sockets of the lodge's workers stand."""
    if data is None:
        try:
            data = load(Sources()).settings.data
        except SettingsError:
            # A file that is broken now may have been whole when the lodge began.
            data = _DEFAULT_DATA
    return data.absolute() / "run"


@contextmanager
def failures_as_sentences() -> Iterator[None]:
    """Whatever Netlodge foresees, and goes wrong in here, ends the command with its sentence."""
    try:
        yield
    except NotRunningError as error:
        hint = "Start it with `netlodge up`, or name its data folder with --data."
        raise NotRunning(f"{error} {hint}") from error
    except NotPermittedError as error:
        raise NotPermitted(str(error)) from error
    except NetlodgeError as error:
        raise Failure(str(error)) from error
