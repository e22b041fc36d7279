"""What a lodge leaves for others to find: the lock on its pid file, and its state."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlodge.core.errors import NetlodgeError
from netlodge.net.rundir import (
    PID_FILE,
    STATE_FILE,
    ReloadState,
    RunDirectory,
    RunningError,
    RunState,
    WorkerState,
    read_state,
    running_pid,
)

STATE = RunState(
    pid=12,
    started=1.5,
    phase="serving",
    generation=3,
    workers=[WorkerState(pid=13, index=0, slot=7, generation=3, phase="serving", started=2.5)],
    addresses=["127.0.0.1:8080"],
    reload=ReloadState(2, 2, 3.5, False, ["web.listen: a sentence."]),
)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[RunDirectory]:
    directory = RunDirectory(tmp_path / "data" / "run")
    directory.acquire()
    yield directory
    directory.release()


def test_a_lodge_that_runs_is_found_by_its_lock(held: RunDirectory) -> None:
    assert running_pid(held.path) == os.getpid()
    held.release()
    assert running_pid(held.path) is None
    assert list(held.path.iterdir()) == []


def test_a_number_without_a_lock_is_no_lodge(tmp_path: Path) -> None:
    (tmp_path / PID_FILE).write_text("1\n")
    assert running_pid(tmp_path) is None
    assert running_pid(tmp_path / "nowhere") is None
    assert running_pid(tmp_path / PID_FILE / "below a file") is None


@pytest.mark.parametrize("text", ["", "-1", "²", "1_0", "99999999999", "1 2"])
def test_a_pid_file_that_holds_no_pid_names_none(tmp_path: Path, text: str) -> None:
    (tmp_path / PID_FILE).write_text(text)
    with (tmp_path / PID_FILE).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert running_pid(tmp_path) is None


def test_a_second_lodge_is_told_of_the_first(held: RunDirectory) -> None:
    with pytest.raises(
        RunningError, match=rf"Another lodge \(pid {os.getpid()}\) keeps {held.path.parent}; end it with"
    ):
        RunDirectory(held.path).acquire()
    assert running_pid(held.path) == os.getpid()


def test_who_asks_whether_a_lodge_runs_keeps_none_from_starting(tmp_path: Path) -> None:
    (tmp_path / PID_FILE).touch()
    asking = (tmp_path / PID_FILE).open()
    fcntl.flock(asking, fcntl.LOCK_SH)
    directory = RunDirectory(tmp_path)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        asking.close()
        os.write(writer, b"x")
        try:
            directory.acquire()
        finally:
            os._exit(0 if running_pid(tmp_path) == os.getpid() else 1)
    os.read(reader, 1)
    asking.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(reader)
    os.close(writer)


def test_what_a_lodge_that_was_killed_left_is_no_obstacle(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        directory = RunDirectory(tmp_path)
        directory.acquire()
        directory.publish(STATE)
        os._exit(0)
    os.waitpid(pid, 0)
    assert read_state(tmp_path) == STATE
    directory = RunDirectory(tmp_path)
    directory.acquire()
    assert running_pid(tmp_path) == os.getpid()
    assert read_state(tmp_path) is None, "another lodge's state"
    directory.release()


def test_the_lock_is_not_the_workers(held: RunDirectory) -> None:
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        here.close()
        held.forget()
        there.send(b"x")
        there.recv(1)  # until the test is over
        os._exit(0)
    there.close()
    with here:
        assert here.recv(1) == b"x"
        assert running_pid(held.path) == os.getpid()
        held.forget()
        assert running_pid(held.path) is None
    os.waitpid(pid, 0)


def test_state_is_read_as_it_was_published(held: RunDirectory) -> None:
    assert read_state(held.path) is None
    held.publish(STATE)
    assert read_state(held.path) == STATE
    assert sorted(path.name for path in held.path.iterdir()) == [PID_FILE, STATE_FILE]


def test_state_in_another_form_is_none(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_text('{"pid": "one"}')
    assert read_state(tmp_path) is None


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NetlodgeError, match=r"data: cannot write in .*: Not a directory\.$"):
        RunDirectory(tmp_path / "file" / "run").acquire()
