"""Sessions and the database through a whole lodge: workers that die, servers that go away, disks that are full."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lodge import Lodge, until
from tests.store.postgresql import PASSWORD, Postgresql

NOTEBOOK = b'''
"""An application that keeps what `/put?TEXT` says, and `/get` tells it again; `/look` asks for nothing."""

import os

from netlodge.http.message import Fields, Response


class Notebook:
    def make_handler(self, lodging):
        return self

    async def handle(self, request):
        said = ""
        if request.path == "/put":
            request.visit.data["said"] = request.query
        if request.path == "/get":
            said = request.visit.data.get("said", "nothing")
        return Response(200, Fields([("x-worker", str(os.getpid()))]), said.encode())


notebook = Notebook()
'''

SETTINGS = """
[[web.site]]
routes = [{ path = "/", app = "notebook:notebook", sessions = true }]
"""


DOCUMENT = Path(__file__).parents[2] / "docs" / "sessions.md"


class Visitor:
    """A client with a cookie, on a new connection for each request: any worker may have it."""

    def __init__(self, lodge: Lodge) -> None:
        self._lodge = lodge
        self.cookie = ""

    def ask(self, path: str) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self._lodge.port(), timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"cookie": self.cookie} if self.cookie else {})
            answer = connection.getresponse()
            text = answer.read().decode()
        if line := answer.headers.get("set-cookie"):
            self.cookie = line.partition(";")[0]
        return answer.status, text, answer.headers

    def says(self, path: str) -> tuple[int, str]:
        status, text, _ = self.ask(path)
        return status, text


def lodge_with(settings: str = SETTINGS, *, workers: int = 2) -> Lodge:
    made = Lodge(settings=settings, workers=workers)
    (made.folder / "notebook.py").write_bytes(NOTEBOOK)
    return made


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with lodge_with() as started:
        yield started


def test_any_worker_knows_the_visitor(lodge: Lodge) -> None:
    visitor, asked = Visitor(lodge), set()
    assert visitor.says("/put?hello") == (200, "")

    def all_were_asked() -> bool:
        status, text, headers = visitor.ask("/get")
        assert (status, text) == (200, "hello")
        asked.add(headers["x-worker"])
        return len(asked) == 2

    until(all_were_asked, "every worker was asked")


def test_visitors_who_ask_in_the_same_octets_are_told_apart(lodge: Lodge) -> None:
    visitors = [Visitor(lodge) for _ in range(6)]
    for visitor in visitors:
        visitor.ask("/put?x")
    assert len({visitor.cookie for visitor in visitors}) == 6


def test_a_session_outlives_its_workers(lodge: Lodge) -> None:
    visitor = Visitor(lodge)
    visitor.ask("/put?still+here")
    before = {worker.pid for worker in lodge.workers}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len({worker.pid for worker in lodge.workers} - before) == 2, "two new workers")
    assert visitor.says("/get") == (200, "still+here")


def test_the_database_is_for_its_owner_alone(lodge: Lodge) -> None:
    Visitor(lodge).ask("/put?x")
    assert {path.stat().st_mode & 0o777 for path in lodge.data.glob("lodge.db*")} == {0o600}


def test_nothing_in_a_request_is_told_in_the_head_of_the_answer(lodge: Lodge) -> None:
    visitor = Visitor(lodge)
    _, _, headers = visitor.ask("/put?a%0d%0aset-cookie:%20b=c;d")
    assert headers.get_all("set-cookie") == [headers["set-cookie"]]
    assert visitor.says("/get") == (200, "a%0d%0aset-cookie:%20b=c;d")


def test_the_database_is_counted(lodge: Lodge) -> None:
    before = lodge.metric("netlodge_database_commits_total")
    Visitor(lodge).ask("/put?x")
    assert lodge.metric("netlodge_database_commits_total") > before
    assert lodge.metric("netlodge_database_work_duration_seconds_count") > 0


def test_postgresql_may_go_away_and_come_back_while_the_lodge_serves(postgresql: Postgresql) -> None:
    with (
        postgresql.database() as url,
        lodge_with(f'{SETTINGS}\n[database]\nurl = "{url}"\ntimeout = "3 s"\n') as lodge,
    ):
        visitor = Visitor(lodge)
        assert visitor.says("/put?hello") == (200, "")
        with postgresql.stopped():
            for path in ("/get", "/put?again", "/get"):
                began = time.monotonic()
                status, text, headers = visitor.ask(path)
                assert (status, headers["retry-after"]) == (503, "2")
                assert "Try again" in text
                assert time.monotonic() - began < 10
            assert Visitor(lodge).says("/look") == (200, "")  # who has no session needs no database
            assert Visitor(lodge).says("/get") == (200, "nothing")
            assert lodge.metric("netlodge_database_failures_total") >= 3
        until(lambda: visitor.says("/get") == (200, "hello"), "the visitor known again")
        pids = {worker.pid for worker in lodge.workers}
        with postgresql.frozen():
            began = time.monotonic()
            assert visitor.says("/get")[0] == 503
            assert time.monotonic() - began < 10
        until(lambda: visitor.says("/get") == (200, "hello"), "the visitor known again")
        assert {worker.pid for worker in lodge.workers} == pids
        until(lambda: "the database is not available" in lodge.errors, "a line that it is away")
        until(lambda: "the database is available again" in lodge.errors, "a line that it is back")
        assert PASSWORD not in lodge.errors


def test_a_full_disk_is_said_and_got_over(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "a file system can be mounted by root alone: run this test as root"
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    try:
        with lodge_with(f'{SETTINGS}\n[database]\nurl = "sqlite:///{disk}/lodge.db"\n', workers=1) as lodge:
            visitor = Visitor(lodge)
            assert visitor.says("/put?small") == (200, "")
            ballast = disk / "ballast"
            ballast.write_bytes(bytes(shutil.disk_usage(disk).free))
            large = "/put?" + "x" * 6000
            statuses = [visitor.says(large)[0] for _ in range(3)]
            assert statuses == [503, 503, 503]
            assert visitor.says("/get") == (200, "small")
            ballast.unlink()
            assert visitor.says(large) == (200, "")
            assert visitor.says("/get") == (200, "x" * 6000)
            assert "no room left" in lodge.errors
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_the_example_of_the_document_counts_visits() -> None:
    text = DOCUMENT.read_text()
    settings, program = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("toml", "python"))
    assert settings is not None
    assert program is not None
    lodge = Lodge(settings=settings[1], workers=1)
    (lodge.folder / "greeter.py").write_text(program[1])
    with lodge:
        visitor = Visitor(lodge)
        for times in (1, 2):
            assert visitor.says("/") == (200, f"You have been here {times} times.\n")
