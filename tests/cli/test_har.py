from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

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


class TestTheFile:
    @staticmethod
    def export(tmp_path: Path, file: Path) -> Result:
        with unix_lodge(tmp_path, [1]) as (_, (worker,)):
            worker.emit((WALL, PEER, http_record()))
            return CliRunner().invoke(command, ["--data", str(tmp_path), "-o", str(file)])

    @pytest.mark.parametrize("stood_there", [False, True])
    def test_only_its_owner_may_read_it(self, tmp_path: Path, stood_there: bool) -> None:
        file = tmp_path / "lodge.har"
        if stood_there:
            file.write_text("old")
            file.chmod(0o644)
        assert self.export(tmp_path, file).exit_code == 0
        assert file.stat().st_mode & 0o777 == 0o600
        check(json.loads(file.read_text()))

    def test_a_link_that_stands_there_is_not_followed(self, tmp_path: Path) -> None:
        victim, file = tmp_path / "victim", tmp_path / "lodge.har"
        victim.write_text("mine")
        file.symlink_to(victim)
        assert self.export(tmp_path, file).exit_code == 0
        assert victim.read_text() == "mine"
        assert not file.is_symlink()

    def test_what_cannot_be_written_is_a_sentence_and_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        pipe = tmp_path / "there" / "lodge.har"
        os.mkfifo(pipe)
        for file in (pipe, tmp_path / "nowhere" / "lodge.har"):
            result = self.export(tmp_path, file)
            assert result.exit_code == 1
            assert result.stderr.startswith(f"netlodge: Cannot write {file} (")
        assert list(pipe.parent.iterdir()) == [pipe]
