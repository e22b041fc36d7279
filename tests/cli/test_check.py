"""`netlodge check`: says what is wrong, starts nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netlodge.cli.main import main


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def test_a_valid_file_is_summed_up() -> None:
    Path("mine.toml").write_text("workers = 2")
    result = run("mine.toml")
    assert result.stdout == "mine.toml is valid: 3 doors (web, lines, dashboard) on 8 addresses.\n"
    assert (result.exit_code, result.stderr) == (0, "")


def test_without_a_file_the_defaults_are_looked_at() -> None:
    result = run("--set", "lines.uppercase=", "--set", "dashboard.listen=", "--set", "web.listen=127.0.0.1:80")
    assert result.stdout == "There is no settings file; the defaults are valid: 1 door (web) on 3 addresses.\n"


def test_every_mistake_is_told_and_nothing_is_made() -> None:
    Path("netlodge.toml").write_text("workers = 0\n[limits]\nrange = 1")
    result = run()
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        'netlodge.toml:1: workers = 0: must be "auto" or a whole number from 1 to 256.',
        'netlodge.toml:3: limits.range = 1: there is no such key; did you mean "limits.ranges"?',
    ]
    assert [path.name for path in Path().iterdir()] == ["netlodge.toml"]


def test_a_warning_is_no_mistake() -> None:
    Path("netlodge.toml").write_text('data = "/nonexistent"\n[[web.site]]\nroutes = [{ path = "/", files = "." }]')
    result = run()
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: netlodge.toml lies in ")


class TestBind:
    @pytest.mark.parametrize("transport", ["TCP", "UDP"])
    def test_an_address_in_use_is_named(self, transport: str) -> None:
        kind = socket.SOCK_STREAM if transport == "TCP" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as taken:
            # Like a lodge that runs: it shares its port with its own workers, but with nobody else.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            taken.bind(("127.0.0.1", 0))
            if transport == "TCP":
                taken.listen()
            port = taken.getsockname()[1]
            options = [f"--set=lines.echo=127.0.0.1:{port}", "--set=web.listen=", "--set=dashboard.listen="]
            result = run("--bind", "--set=lines.uppercase=", *options)
        assert result.exit_code == 2
        place = f"127.0.0.1:{port}" + ("" if transport == "TCP" else "/udp")
        assert result.stderr.startswith(f"lines.echo[0]: cannot listen on {place}: the port is in use by ")
        assert f"(pid {os.getpid()})" in result.stderr
        assert result.stderr.count("\n") == 1

    def test_addresses_that_are_free_are_let_go_again(self) -> None:
        options = [
            "--set=web.listen=127.0.0.1:0,[::1]:0",
            "--set=lines.uppercase=127.0.0.1:0",
            "--set=dashboard.listen=",
        ]
        result = run("--bind", *options)
        assert (result.exit_code, result.stderr) == (0, "")

    def test_an_address_of_another_machine_is_named(self) -> None:
        result = run("--bind", "--set=web.listen=192.0.2.1:0", "--set=lines.uppercase=", "--set=dashboard.listen=")
        assert result.stderr.startswith("web.listen[0]: cannot listen on 192.0.2.1:0: this machine has no such address")
