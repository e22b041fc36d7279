"""`netlodge reload`, `stop` and `status`: speak to a running lodge by its data folder.

The lodge is found by the lock on its pid file, told by a signal, and answers in `run/state.json`; so each command knows how it went,
and says so in its exit code.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec

from netlodge.config.errors import SettingsError
from netlodge.config.loading import Sources, load
from netlodge.core.errors import NetlodgeError
from netlodge.net.rundir import RunState, read_state, running_pid

NOT_RUNNING: Final = 3
"""Exit code when no lodge runs there: what init scripts return for it (LSB 5.0 §22.2)."""

_LOOK_AGAIN: Final = 0.05
"""Seconds between two looks at what the lodge says."""
_CODES: Final = "Exit codes: 0 done, 1 not (the reason is printed), 2 settings or usage, 3 no lodge runs there."


class _NotRunning(click.ClickException):
    exit_code = NOT_RUNNING

    def __init__(self, data: Path) -> None:
        super().__init__(f"no lodge runs in {data}; `netlodge up` starts one, `--data` names another folder.")

    def show(self, file: Any = None) -> None:
        click.echo(f"netlodge: {self.message}", file=file, err=True)


class _Lodge(NamedTuple):
    """A lodge that runs."""

    data: Path
    pid: int

    @property
    def run(self) -> Path:
        return self.data / "run"

    def is_running(self) -> bool:
        return running_pid(self.run) == self.pid

    def tell(self, number: signal.Signals) -> None:
        """Send a signal. Raises `NetlodgeError` if this user may not; that the lodge has just ended is no error."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise NetlodgeError(
                f"the lodge in {self.data} (pid {self.pid}) is another user's; try again as that user or as root."
            ) from None

    def state(self) -> RunState | None:
        """What it says now; None before it said anything."""
        state = read_state(self.run)
        return state if state is not None and state.pid == self.pid else None

    def states(self, timeout: float) -> Iterator[RunState | None]:
        """What it says, again and again, until it has ended (then None, last) or the time is over."""
        deadline = time.monotonic() + timeout
        while self.is_running():
            if (state := self.state()) is not None:
                yield state
            if time.monotonic() >= deadline:
                return
            time.sleep(_LOOK_AGAIN)
        yield None


def find_lodge(config: Path | None, data: Path | None) -> _Lodge:
    """The lodge that the options, or else the settings file and the defaults, lead to. Raises `SettingsError`, and a
    `ClickException` with exit code 3 when none runs."""
    folders = tuple(_folders(config, data))
    for folder in folders:
        try:
            pid = running_pid(folder / "run")
        except OSError as error:
            raise NetlodgeError(f"cannot look into {folder / 'run'}: {error.strerror}.") from error
        if pid is not None:
            return _Lodge(folder, pid)
    if data is None:
        load(Sources(config=config))  # if the settings are why it was not found, says so
    raise _NotRunning(folders[0])


def _folders(config: Path | None, data: Path | None) -> Iterator[Path]:
    """Where it may keep its data. A mistake in the settings file, made after the start, must not hide a lodge that runs."""
    here = Path.cwd()
    if data is not None:
        yield Path(os.path.abspath(data))
        return
    try:
        yield load(Sources(config=config)).settings.data
    except SettingsError:
        yield from [here / config.parent] if config is not None else [here]
        yield here / "lodge"
    if config is None:
        yield here / ".lodge"  # where `--files .` keeps it


def _which_lodge(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say which lodge is meant."""
    function = click.option(
        "--config", metavar="FILE", type=click.Path(path_type=Path), help="The settings file it was started with."
    )(function)
    return click.option(
        "--data", metavar="DIR", type=click.Path(path_type=Path), help="Its data folder, in place of the key data."
    )(function)


@click.command(epilog=_CODES)
@_which_lodge
@click.option("--timeout", metavar="SECONDS", type=float, default=120.0, show_default=True, help="How long to wait.")
def reload(config: Path | None, data: Path | None, timeout: float) -> None:
    """Have a running lodge read its settings again.

    New processes take over the same addresses; the old ones finish what they have. No connection is refused or cut. When the new
    settings have a mistake, or the new processes do not come up, the reason is printed and the lodge goes on as before.
    """
    lodge = find_lodge(config, data)
    before = lodge.state()
    began = before.reload.began if before is not None else 0
    lodge.tell(signal.SIGHUP)
    for state in lodge.states(timeout):
        if state is None:
            raise NetlodgeError(f"the lodge in {lodge.data} (pid {lodge.pid}) has ended.")
        if state.reload.ended > began:
            if not state.reload.succeeded:
                for sentence in state.reload.sentences:
                    click.echo(sentence, err=True)
                raise NetlodgeError("the reload failed; the lodge goes on with its old settings.")
            click.echo(f"Reloaded: generation {state.generation}, on {', '.join(state.addresses)}.")
            return
    raise NetlodgeError(
        f"no answer from the lodge (pid {lodge.pid}) within {timeout:g} s; `netlodge status` may tell more."
    )


@click.command(epilog=_CODES)
@_which_lodge
@click.option("--now", "is_now", is_flag=True, help="End at once, and cut what is under way.")
@click.option("--timeout", metavar="SECONDS", type=float, default=120.0, show_default=True, help="How long to wait.")
def stop(config: Path | None, data: Path | None, timeout: float, *, is_now: bool) -> None:
    """Have a running lodge finish what it has begun, and end.

    It takes no new connections from then on. What is not finished within `drain.stop_timeout` is cut.
    """
    lodge = find_lodge(config, data)
    lodge.tell(signal.SIGTERM)
    left = -1
    for state in lodge.states(timeout):
        if state is None:
            click.echo(f"The lodge in {lodge.data} (pid {lodge.pid}) has ended.")
            return
        if state.phase != "stopping":
            continue
        if is_now:
            lodge.tell(signal.SIGTERM)  # a second one; sent before the first was heard, it would be the same one
            is_now = False
        elif left != len(state.workers):
            left = len(state.workers)
            click.echo(f"Waiting for {left} worker{'' if left == 1 else 's'} to finish.", err=True)
    raise NetlodgeError(
        f"the lodge (pid {lodge.pid}) has not ended within {timeout:g} s; `netlodge stop --now` cuts what is under way."
    )


@click.command(epilog=_CODES)
@_which_lodge
@click.option("--json", "is_json", is_flag=True, help="Print what the lodge says as it says it.")
def status(config: Path | None, data: Path | None, *, is_json: bool) -> None:
    """Show what a running lodge is doing: its processes, its addresses, and how the last reload went."""
    lodge = find_lodge(config, data)
    state = next(lodge.states(timeout=5.0), None)
    if state is None:
        raise _NotRunning(lodge.data)
    click.echo(msgspec.json.encode(state).decode() if is_json else _describe(lodge, state, time.time()))


def _describe(lodge: _Lodge, state: RunState, now: float) -> str:
    lines = [
        f"The lodge in {lodge.data} is {state.phase} (pid {state.pid}), started {_when(state.started, now)}.",
        f"It listens on {', '.join(state.addresses)}." if state.addresses else "It listens on nothing.",
    ]
    lines += [
        f"Worker {worker.index} of generation {worker.generation} is {worker.phase} (pid {worker.pid}), "
        f"started {_when(worker.started, now)}."
        for worker in state.workers
    ]
    last = state.reload
    if last.began > last.ended:
        lines.append(f"Reload {last.began} is under way.")
    elif last.ended:
        lines.append(f"Reload {last.ended} {'was done' if last.succeeded else 'failed'} {_when(last.at, now)}.")
        lines += [f"  {sentence}" for sentence in last.sentences]
    return "\n".join(lines)


def _when(moment: float, now: float) -> str:
    """`2026-01-31 12:00:00 (5 min ago)`, in local time."""
    ago = max(0, round(now - moment))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if ago >= size:
            text = f"{ago // size} {unit}"
            break
    else:
        text = f"{ago} s"
    return f"{datetime.fromtimestamp(moment).astimezone():%Y-%m-%d %H:%M:%S} ({text} ago)"
