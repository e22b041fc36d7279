"""`netlodge reload`, `stop` and `status` against lodges that run: what they print, and how they exit."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from netlodge.cli import control
from netlodge.cli.main import main
from tests.net.lodge_process import Client, LodgeProcess, wait_for_end

Start = Callable[..., LodgeProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start_one(data: Path = tmp_path, **options: Any) -> LodgeProcess:
            data.mkdir(exist_ok=True)
            lodge = stack.enter_context(LodgeProcess(data, **options))
            lodge.ready()
            return lodge

        yield start_one


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a lodge."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# --- Which lodge ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["reload", "stop", "status"])
def test_where_no_lodge_runs_it_says_so(tmp_path: Path, command: str) -> None:
    result = run(command, "--data", tmp_path)
    assert result.exit_code == 3
    assert f"netlodge: no lodge runs in {tmp_path}; `netlodge up` starts one" in result.stderr


def test_a_lodge_that_was_killed_does_not_run(start: Start) -> None:
    lodge = start()
    lodge.send(signal.SIGKILL)
    lodge.wait()
    assert (lodge.run / "netlodge.pid").exists()
    assert run("status", "--data", lodge.data).exit_code == 3


def test_the_lodge_is_found_by_the_settings_file(start: Start, elsewhere: Path) -> None:
    lodge = start()
    (elsewhere / "netlodge.toml").write_text(f'data = "{lodge.data}"\n')
    assert f"(pid {lodge.process.pid})" in run("status").stdout
    (elsewhere / "netlodge.toml").rename(elsewhere / "other.toml")
    assert run("status").exit_code == 3
    assert f"(pid {lodge.process.pid})" in run("status", "--config", "other.toml").stdout


@pytest.mark.parametrize("folder", ["lodge", ".lodge"])
def test_the_lodge_is_found_where_it_is_made_by_default(start: Start, elsewhere: Path, folder: str) -> None:
    lodge = start(elsewhere / folder)
    assert f"(pid {lodge.process.pid})" in run("status").stdout


def test_a_mistake_in_the_settings_file_hides_no_lodge_that_runs(start: Start, elsewhere: Path) -> None:
    lodge = start(elsewhere / "lodge")
    (elsewhere / "lodge" / "netlodge.toml").write_text("this is no TOML")
    assert f"(pid {lodge.process.pid})" in run("status").stdout
    assert f"(pid {lodge.process.pid})" in run("status", "--config", "lodge/netlodge.toml").stdout


def test_a_mistake_in_the_settings_file_is_told_when_no_lodge_is_found(elsewhere: Path) -> None:
    (elsewhere / "netlodge.toml").write_text("this is no TOML")
    result = run("status")
    assert result.exit_code == 2
    assert "netlodge.toml:1" in result.stderr


def test_a_lodge_of_another_user_is_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    lodge = start()

    def refuse(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    result = run("stop", "--data", lodge.data)
    monkeypatch.undo()
    assert result.exit_code == 1
    assert f"(pid {lodge.process.pid}) is another user's; try again as that user or as root." in result.stderr


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_shows_processes_and_addresses(start: Start) -> None:
    lodge = start(workers=2)
    result = run("status", "--data", lodge.data)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"The lodge in {lodge.data} is serving (pid {lodge.process.pid}), started 2")
    assert lines[1].startswith("It listens on 127.0.0.1:")
    assert [line.partition(" (pid")[0] for line in lines[2:]] == [
        "Worker 0 of generation 1 is serving",
        "Worker 1 of generation 1 is serving",
    ]


def test_status_for_programs(start: Start) -> None:
    lodge = start(workers=2)
    state = json.loads(run("status", "--json", "--data", lodge.data).stdout)
    assert state["pid"] == lodge.process.pid
    assert state["phase"] == "serving"
    assert [worker["slot"] for worker in state["workers"]] == [0, 1]
    assert state["reload"] == {"began": 0, "ended": 0, "at": 0.0, "succeeded": True, "sentences": []}


def test_status_tells_how_the_last_reload_went(start: Start) -> None:
    lodge = start()
    lodge.set(unheard_of=1)
    run("reload", "--data", lodge.data)
    shown = run("status", "--data", lodge.data).stdout
    assert "Reload 1 failed 2" in shown
    assert "\n  the settings are wrong: " in shown
    lodge.options.pop("unheard_of")
    lodge.set()
    run("reload", "--data", lodge.data)
    assert "Reload 2 was done 2" in run("status", "--data", lodge.data).stdout


def test_status_shows_a_reload_under_way(start: Start) -> None:
    lodge = start()
    lodge.set(trouble="hang")
    lodge.send(signal.SIGHUP)
    lodge.expect("Generation 2: starting")
    lodge.send(signal.SIGUSR1)
    lodge.expect("reopened by")  # one turn later, so that the state is published
    shown = run("status", "--data", lodge.data).stdout
    assert "Worker 0 of generation 2 is starting" in shown
    assert "Reload 1 is under way." in shown


@pytest.mark.parametrize(
    ("ago", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (200000, "2 d"), (-5, "0 s")]
)
def test_how_long_ago(ago: float, text: str) -> None:
    assert control._when(1_700_000_000 - ago, 1_700_000_000).endswith(f"({text} ago)")


# --- reload -----------------------------------------------------------------------------------------------------------


def test_reload_returns_when_the_new_generation_serves(start: Start) -> None:
    lodge = start()
    state = lodge.state()
    assert state is not None
    host, _, port = state.addresses[0].partition(":")
    lodge.set(answer="two")
    result = run("reload", "--data", lodge.data)
    assert result.exit_code == 0
    assert result.stdout == f"Reloaded: generation 2, on {state.addresses[0]}.\n"
    answers = set()
    for _ in range(10):
        with Client((host, int(port))) as client:
            answers.add(client.ask().split()[0])
    assert "two" in answers


def test_reload_of_settings_with_a_mistake_says_which_and_fails(start: Start) -> None:
    lodge = start()
    lodge.set(unheard_of=1)
    result = run("reload", "--data", lodge.data)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("the settings are wrong: ")
    assert lines[1] == "And this is a second sentence."
    assert lines[2] == "netlodge: the reload failed; the lodge goes on with its old settings."


def test_reload_does_not_take_an_earlier_reload_for_its_own(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    lodge = start()
    gate = lodge.data / "gate"
    os.mkfifo(gate)
    lodge.set(gate=str(gate))
    lodge.send(signal.SIGHUP)
    lodge.expect("Generation 2: starting")
    tell = control._Lodge.tell

    def tell_and_open(self: control._Lodge, number: signal.Signals) -> None:
        tell(self, number)
        lodge.set(gate="", unheard_of=1)
        os.close(os.open(gate, os.O_WRONLY))

    monkeypatch.setattr(control._Lodge, "tell", tell_and_open)
    result = run("reload", "--data", lodge.data)
    assert result.exit_code == 1, "reload 1 was done, and reload 2, which was asked for, failed"
    lodge.expect("Reload 1: done")
    lodge.expect("Reload 2 failed")


def test_reload_does_not_wait_for_ever(start: Start) -> None:
    lodge = start()
    lodge.set(trouble="hang")
    result = run("reload", "--data", lodge.data, "--timeout", "0.1")
    assert result.exit_code == 1
    assert f"no answer from the lodge (pid {lodge.process.pid}) within 0.1 s" in result.stderr


def test_reload_of_a_lodge_that_dies_fails(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    lodge = start()
    tell = control._Lodge.tell

    def kill(self: control._Lodge, number: signal.Signals) -> None:
        tell(self, signal.SIGKILL)

    monkeypatch.setattr(control._Lodge, "tell", kill)
    result = run("reload", "--data", lodge.data)
    assert result.exit_code == 1
    assert f"(pid {lodge.process.pid}) has ended." in result.stderr


# --- stop -------------------------------------------------------------------------------------------------------------


def test_stop_returns_when_the_lodge_has_ended(start: Start) -> None:
    lodge = start()
    result = run("stop", "--data", lodge.data)
    assert result.exit_code == 0
    assert result.stdout == f"The lodge in {lodge.data} (pid {lodge.process.pid}) has ended.\n"
    assert lodge.wait() == 0


def test_stop_gives_up_waiting_and_stop_now_cuts(start: Start) -> None:
    lodge = start(stop=600.0)
    state = lodge.state()
    assert state is not None
    host, _, port = state.addresses[0].partition(":")
    with Client((host, int(port))) as under_way:
        under_way.ask("wait")
        result = run("stop", "--data", lodge.data, "--timeout", "0.3")
        assert result.exit_code == 1
        assert "Waiting for 1 worker to finish.\n" in result.stderr
        assert f"the lodge (pid {lodge.process.pid}) has not ended within 0.3 s; `netlodge stop --now`" in result.stderr
        assert run("stop", "--now", "--data", lodge.data).exit_code == 0
        wait_for_end(state.workers[0].pid)
        assert under_way.receive() == ""
    assert lodge.wait() == 0
