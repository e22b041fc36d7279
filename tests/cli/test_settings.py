"""`netlodge settings`, and the table of commands with what all of them have in common."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner, Result

from netlodge.cli.main import COMMANDS, main
from netlodge.config import reference
from netlodge.core.errors import NetlodgeError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


class TestSettings:
    def test_all_are_explained(self) -> None:
        result = run("settings")
        assert result.exit_code == 0
        assert 'limits.head_timeout = "10 s"\n' in result.stdout
        assert "[[web.site.routes]]\n" in result.stdout

    def test_one_is_explained(self) -> None:
        assert run("settings", "web.trace").stdout.startswith("web.trace = false\n    true or false\n")

    @pytest.mark.parametrize(
        ("key", "hint"),
        [
            ("limits.hed_size", '; did you mean "limits.head_size"?'),
            ("head_size", "; did you mean limits.head_size?"),
            ("xyzzy", "; `netlodge settings` lists them all."),
        ],
    )
    def test_one_that_does_not_exist_gets_the_nearest(self, key: str, hint: str) -> None:
        result = run("settings", key)
        assert result.exit_code == 2
        assert f"There is no setting '{key}'{hint}" in result.stderr

    def test_the_page_and_the_starter_file_are_printed_as_they_are_written(self) -> None:
        assert run("settings", "--markdown").stdout == reference.markdown()
        assert run("settings", "--toml").stdout == reference.starter_toml()


class TestCommands:
    def test_the_version_is_the_packages(self) -> None:
        assert run("--version").stdout == f"netlodge {version('netlodge')}\n"

    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_can_be_asked_for_help(self, name: str) -> None:
        result = run(name, "--help")
        assert result.exit_code == 0, result.exception
        assert result.stdout.startswith(f"Usage: main {name} ")

    def test_help_lists_all_without_loading_any(self) -> None:
        result = run("--help")
        for name, (_, summary) in COMMANDS.items():
            assert f"  {name} " in result.stdout
            assert summary.split()[0] in result.stdout

    def test_the_table_costs_no_command_anything(self) -> None:
        """`netlodge talk` must start at once: nothing heavy is loaded before a command is called."""
        program = "import sys, netlodge.cli.main; print(*sorted(sys.modules))"
        loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        modules = set(loaded.stdout.split())
        assert "netlodge.cli.main" in modules
        assert not modules & {"msgspec", "uvloop", "asyncio", "netlodge.config.settings", "netlodge.cli.up"}

    def test_one_that_does_not_exist_gets_the_nearest(self) -> None:
        result = run("staus")
        assert result.exit_code == 2
        assert "There is no command 'staus'; did you mean 'status'?" in result.stderr
        assert "There is no command 'xyzzy'; the commands are up, init," in run("xyzzy").stderr

    def test_a_failure_while_running_is_one_sentence_and_exit_code_1(self, monkeypatch: pytest.MonkeyPatch) -> None:
        @click.command()
        def failing() -> None:
            raise NetlodgeError("the lodge has burned down.")

        monkeypatch.setattr("netlodge.cli.up.command", failing)
        result = run("up")
        assert (result.exit_code, result.stderr) == (1, "netlodge: the lodge has burned down.\n")
