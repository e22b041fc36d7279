from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from netlodge.cli.metrics import command
from tests.dashboard.unix_lodge import unix_lodge
from tests.observe.prometheus import parse


def test_any_worker_tells_the_numbers_of_all(tmp_path: Path) -> None:
    with unix_lodge(tmp_path, [1, 2]) as (lodge, (one, _)):
        lodge.registry.counter("lodge_things_total", "Things.").add(5)
        one.kill()
        result = CliRunner().invoke(command, ["--data", str(tmp_path)])
    assert result.exit_code == 0
    assert parse(result.output)["lodge_things_total"].samples == {("lodge_things_total", ()): 5}


def test_no_lodge_is_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--data", str(tmp_path)])
    assert result.exit_code == 3
    assert result.output.count("\n") == 1


def test_the_data_folder_is_that_of_the_settings_file_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netlodge.toml").write_text('data = "elsewhere"\n')
    with unix_lodge(tmp_path / "elsewhere", [1]) as (lodge, _):
        lodge.registry.counter("lodge_things_total", "Things.")
        assert CliRunner().invoke(command, []).exit_code == 0


@pytest.mark.parametrize("settings", [None, "no toml"])
def test_without_settings_that_can_be_read_it_is_the_folder_lodge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if settings:
        (tmp_path / "netlodge.toml").write_text(settings)
    with unix_lodge(tmp_path / "lodge", [1]) as (lodge, _):
        lodge.registry.counter("lodge_things_total", "Things.")
        assert CliRunner().invoke(command, []).exit_code == 0
