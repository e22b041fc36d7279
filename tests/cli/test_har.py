from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from netlodge.cli.har import command
from tests.dashboard.unix_lodge import unix_lodge
from tests.observe.har_checker import check
from tests.observe.samples import PEER, WALL, http_record, line_record


def test_the_rings_of_all_workers_become_one_archive_in_order_of_time(tmp_path: Path) -> None:
    with unix_lodge(tmp_path, [1, 2]) as (_, (one, two)):
        one.emit((WALL, PEER, http_record(target="/1")), (WALL + 2, PEER, http_record(target="/3")))
        two.emit((WALL + 1, PEER, http_record(target="/2")), (WALL + 1, PEER, line_record()))
        result = CliRunner().invoke(command, ["--data", str(tmp_path)])
    assert result.exit_code == 0
    archive = json.loads(result.output)
    check(archive)
    urls = [entry["request"]["url"] for entry in archive["log"]["entries"]]
    assert urls == [f"http://www.example.org:8080/{number}" for number in (1, 2, 3)]


def test_it_goes_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lodge.har"
    with unix_lodge(tmp_path, [1]) as (_, (worker,)):
        worker.emit((WALL, PEER, http_record(response_body=b"\xff\x00")))
        result = CliRunner().invoke(command, ["--data", str(tmp_path), "-o", str(file)])
    assert (result.exit_code, result.output) == (0, "")
    check(json.loads(file.read_text()))


def test_without_a_lodge_no_file_is_written(tmp_path: Path) -> None:
    file = tmp_path / "lodge.har"
    result = CliRunner().invoke(command, ["--data", str(tmp_path), "-o", str(file)])
    assert result.exit_code == 3
    assert not file.exists()
