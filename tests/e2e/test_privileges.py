"""Started as root with a `user`: nobody is root any more once the doors are open, and all goes on to work, logs and reloads included.

Where the tests do not run as root, the user is whoever runs them: then nothing is dropped, and all else holds alike.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.http_client import Client
from tests.e2e.lodge import SITE, Lodge, run_netlodge, until

IS_ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody") if IS_ROOT else pwd.getpwuid(os.geteuid())
PAGE = b"hello"


@pytest.fixture
def lodge() -> Iterator[Lodge]:
    with Lodge(
        {"index.html": PAGE}, f'user = "{USER.pw_name}"\n{SITE}', options=[f"--set=web.listen=127.0.0.1:{free_port()}"]
    ) as lodge:
        yield lodge


def free_port() -> int:
    """For root one that is only root's to take; 0 for anyone else."""
    for port in range(600, 1024) if IS_ROOT else ():
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return 0


def identity(pid: int) -> dict[str, set[int]]:
    """User and group ids of a process: real, effective, saved and of the file system; and its further groups (proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return {name: {int(number) for number in fields[name].split()} for name in ("Uid", "Gid", "Groups")}


def everyone(lodge: Lodge) -> list[int]:
    return [lodge.process.pid, *(worker.pid for worker in lodge.state.workers)]


def test_every_process_is_the_user_and_nobody_else(lodge: Lodge) -> None:
    assert len(everyone(lodge)) == 3
    for pid in everyone(lodge):
        who = identity(pid)
        assert who["Uid"] == {USER.pw_uid}
        assert who["Gid"] == {USER.pw_gid}
        assert 0 not in who["Groups"] or not IS_ROOT
        if IS_ROOT:
            capabilities = [
                line.split()[1]
                for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith(("CapEff", "CapPrm"))
            ]
            assert {int(each, 16) for each in capabilities} == {0}
    with Client(lodge.port()) as client:
        assert client.ask().body == PAGE


def test_what_the_lodge_made_is_the_users(lodge: Lodge) -> None:
    with Client(lodge.port()) as client:
        client.ask()
    until(lambda: lodge.log_lines, "a line in the log")
    made = [lodge.data, *lodge.data.rglob("*")]
    assert len(made) > 4
    assert {path.lstat().st_uid for path in made} == {USER.pw_uid}


def test_a_reload_and_a_new_worker_are_the_users_too(lodge: Lodge) -> None:
    assert lodge.reload().succeeded
    first = lodge.workers[0].pid
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in [worker.pid for worker in lodge.workers] and len(lodge.workers) == 2, "another worker")
    for pid in everyone(lodge):
        assert identity(pid)["Uid"] == {USER.pw_uid}
    with Client(lodge.port()) as client:
        assert client.ask().body == PAGE
    assert run_netlodge("status", cwd=lodge.folder).returncode == 0


def test_a_moved_log_is_opened_anew_and_no_line_is_lost(lodge: Lodge) -> None:
    log = lodge.data / "log" / "access.log"
    moved = log.with_name("access.log.1")
    with Client(lodge.port()) as client, Client(lodge.port()) as other:
        for _ in range(20):
            client.ask("/?before")
            other.ask("/?before")
        until(lambda: len(lodge.log_lines) == 40, "forty lines")
        os.rename(log, moved)
        client.ask("/?between")
        lodge.process.send_signal(signal.SIGUSR1)
        until(log.exists, "a new log")
        assert log.stat().st_uid == USER.pw_uid
        for _ in range(20):
            client.ask("/?after")
            other.ask("/?after")

    def written() -> int:
        return len(lodge.log_lines) + len(moved.read_text().splitlines())

    until(lambda: written() == 81, "all lines, each once")
    assert moved.read_text().count("?before") == 40
    assert "?after" in lodge.log_lines[-1]
