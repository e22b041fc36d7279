from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netlodge.cli.trace import command
from netlodge.core.contracts import Peer
from netlodge.observe.exchange import decode
from tests.dashboard.unix_lodge import unix_lodge
from tests.observe.samples import PEER, WALL, http_record, line_record

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} 127\.0\.0\.1:50312 GET http://www\.example\.org:8080(\S+) (\d{3}) 5 B 312 us")


def trace(data: Path, *options: str) -> Result:
    return CliRunner().invoke(command, ["--data", str(data), *options])


@contextmanager
def trace_process(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    program = "from netlodge.cli.trace import command; command()"
    arguments = [sys.executable, "-c", program, "--data", str(data), *options]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class TestWhatIsPrinted:
    def test_a_line_for_each_exchange_of_all_workers(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1, 2]) as (_, (one, two)):
            one.emit((WALL, PEER, http_record(target="/1")))
            two.emit((WALL + 1, PEER, http_record(target="/2", status=404)))
            result = trace(tmp_path, "--recent", "--count", "2")
        assert result.exit_code == 0
        found = [LINE.fullmatch(line) for line in result.output.splitlines()]
        assert {match and match[1] for match in found} == {"/1", "/2"}
        assert {match and match[2] for match in found} == {"200", "404"}

    @pytest.mark.parametrize(
        "options",
        [
            ("--door", "web"),
            ("--host", "www.example.org"),
            ("--status", "4xx"),
            ("--method", "POST"),
            ("--path", "wanted"),
            ("--peer", "192.0.2.0/24"),
        ],
    )
    def test_each_filter_reaches_the_worker(self, tmp_path: Path, options: tuple[str, str]) -> None:
        wanted = http_record(target="/wanted", status=418, method="POST")
        other = http_record(door="dashboard", host="other.example", target="/other")
        with unix_lodge(tmp_path, [1]) as (_, (worker,)):
            worker.emit((WALL, PEER, other), (WALL, Peer("192.0.2.9", 1), wanted))
            result = trace(tmp_path, "--recent", "--count", "1", *options)
        assert result.exit_code == 0
        assert "/wanted" in result.output
        assert "/other" not in result.output

    def test_verbose_shows_heads(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (_, (worker,)):
            worker.emit((WALL, PEER, http_record()))
            result = trace(tmp_path, "--recent", "--count", "1", "-v")
        assert "\n> GET /page?x=1 HTTP/1.1\n> Host: www.example.org:8080\n" in result.output
        assert "\n< HTTP/1.1 200 OK\n" in result.output

    def test_json_lines(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (_, (worker,)):
            worker.emit((WALL, PEER, http_record()), (WALL + 1, PEER, line_record()))
            result = trace(tmp_path, "--recent", "--count", "2", "--json")
        first, second = result.output.splitlines()
        assert json.loads(first)["kind"] == "http"
        assert json.loads(second)["question"] == "hello\n"
        assert decode(first) is not None

    def test_credentials_are_not_shown(self, tmp_path: Path) -> None:
        head = b"GET / HTTP/1.1\r\nAuthorization: Basic s3cr3t\r\n\r\n"
        for options in (["-v"], ["--json"]):
            with unix_lodge(tmp_path / options[0], [1]) as (lodge, (worker,)):
                worker.emit((WALL, PEER, http_record(request_head=head, target="/?token=s3cr3t")))
                result = trace(lodge.data, "--recent", "--count", "1", *options)
            assert "[redacted]" in result.output
            assert "s3cr3t" not in result.output


class TestItsLife:
    def test_it_prints_live_and_ctrl_c_is_no_failure(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (_, (worker,)), trace_process(tmp_path) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            worker.wait_for_traces(1)
            worker.emit((WALL, PEER, http_record(target="/live")))
            line = process.stdout.readline()
            assert LINE.fullmatch(line.rstrip("\n")), line
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr.read() == ""

    def test_it_goes_on_with_the_successor_of_a_killed_worker(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (lodge, (worker,)), trace_process(tmp_path, "--count", "2") as process:
            worker.wait_for_traces(1)
            worker.emit((WALL, PEER, http_record(target="/first")))
            assert process.stdout is not None
            assert "/first" in process.stdout.readline()
            worker.kill()
            successor = lodge.add_worker(2)
            successor.emit((WALL + 1, PEER, http_record(target="/second")))
            assert "/second" in process.stdout.readline()
            assert process.wait(10) == 0
            successor.retire()

    def test_a_reader_that_has_seen_enough_is_no_failure(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (_, (worker,)), trace_process(tmp_path) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            worker.wait_for_traces(1)
            process.stdout.close()
            worker.emit((WALL, PEER, http_record()))
            assert process.wait(10) == 0
            assert process.stderr.read() == ""

    def test_it_ends_soon_after_the_lodge(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (lodge, (worker,)), trace_process(tmp_path) as process:
            assert process.stderr is not None
            worker.wait_for_traces(1)
            worker.retire()
            lodge.lock.release()
            assert process.wait(5) == 3
            assert "has ended" in process.stderr.read()


class TestFailures:
    def test_no_lodge_is_one_sentence_and_exit_code_3(self, tmp_path: Path) -> None:
        result = trace(tmp_path)
        assert result.exit_code == 3
        assert result.output == (
            f"netlodge: No lodge runs on {tmp_path}. Start it with `netlodge up`, or name its data folder with --data.\n"
        )

    def test_a_lodge_of_another_user_is_one_sentence_and_exit_code_4(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", refuse)
        result = trace(tmp_path)
        assert result.exit_code == 4
        assert result.output.startswith("netlodge: You may not look into the lodge at")

    @pytest.mark.parametrize("options", [("--status", "abc"), ("--peer", "nobody"), ("--count", "0"), ("--what",)])
    def test_a_mistake_in_usage_is_exit_code_2(self, tmp_path: Path, options: tuple[str, ...]) -> None:
        assert trace(tmp_path, *options).exit_code == 2
