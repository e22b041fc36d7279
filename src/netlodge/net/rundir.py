"""What a running lodge leaves in `DATA/run` for others to find: who it is (`netlodge.pid`) and how it does (`state.json`).

The pid file is locked (flock(2)) for as long as the supervisor lives, however it ends. A lock that can be had means that no lodge
runs, whatever the file says; so a number that another process has since been given is never mistaken for a lodge.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

import msgspec

from netlodge.core.errors import NetlodgeError

PID_FILE = "netlodge.pid"
STATE_FILE = "state.json"

_TRIES = 5
_TRY_AGAIN = 0.02
"""Seconds. Who asks whether a lodge runs holds the lock for some microseconds."""


class RunningError(NetlodgeError):
    """Another lodge keeps this data directory."""


class WorkerState(msgspec.Struct, frozen=True):
    """One worker, as `netlodge status` shows it."""

    pid: int
    index: int
    slot: int
    generation: int
    phase: str
    """`starting`, or the state of its generation (`netlodge.net.generation.State`)."""
    started: float
    """Seconds since the epoch, as all times here."""


class ReloadState(msgspec.Struct, frozen=True):
    """The last reload. Reloads are numbered from 1; who wants to know how his went waits for `ended` to pass the `began` that stood
    here before he asked."""

    began: int = 0
    ended: int = 0
    at: float = 0.0
    """When the last one ended."""
    succeeded: bool = True
    sentences: list[str] = []
    """Why it did not."""


class RunState(msgspec.Struct, frozen=True):
    """How a lodge does."""

    pid: int
    started: float
    phase: str
    """`starting`, `serving` or `stopping`."""
    generation: int
    """The youngest that serves; 0 before the first."""
    workers: list[WorkerState]
    addresses: list[str]
    reload: ReloadState


class RunDirectory:
    """The supervisor's hold on `DATA/run`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Make the directory, lock the pid file and write it. Raises `RunningError` when a lodge lives here already,
        `NetlodgeError` when this user may not write here."""
        try:
            self._acquire()
        except OSError as error:
            raise NetlodgeError(f"data: cannot write in {self.path}: {error.strerror}.") from error

    def _acquire(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / PID_FILE
        for tries in range(_TRIES, -1, -1):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            if _may_lock(descriptor, fcntl.LOCK_EX) and _is_still_at(descriptor, file):
                break
            os.close(descriptor)
            if not tries:
                raise RunningError(
                    f"Another lodge (pid {_read_pid(file) or 'unknown'}) keeps {self.path.parent}; "
                    f"end it with `netlodge stop --data {self.path.parent}`, or set another `data` directory."
                )
            time.sleep(_TRY_AGAIN)
        self._descriptor = descriptor
        (self.path / STATE_FILE).unlink(missing_ok=True)  # of a lodge that was killed
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())

    def publish(self, state: RunState) -> None:
        """Replace `state.json` in one step. Raises `OSError`."""
        new = self.path / f"{STATE_FILE}.new"
        new.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
        os.replace(new, self.path / STATE_FILE)

    def release(self) -> None:
        """Remove what was left here. The lock goes last: whoever gets it finds nothing of ours."""
        for name in (STATE_FILE, PID_FILE):
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
        self.forget()

    def forget(self) -> None:
        """Close the lock's descriptor and leave the files: what a worker does after the fork, since the lock is the supervisor's."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def running_pid(path: Path) -> int | None:
    """The pid of the lodge whose run directory this is; None if none runs. Raises `OSError` when this user may not look."""
    file = path / PID_FILE
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return None if _may_lock(descriptor, fcntl.LOCK_SH) else _read_pid(file)
    finally:
        os.close(descriptor)


def read_state(path: Path) -> RunState | None:
    """What the lodge last published; None if there is nothing (yet), or not in this form. Raises `OSError`."""
    try:
        return msgspec.json.decode((path / STATE_FILE).read_bytes(), type=RunState)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def _may_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still_at(descriptor: int, file: Path) -> bool:
    """Whether the file that was locked is the one that stands there: its last owner may have removed it in between."""
    try:
        there = file.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _read_pid(file: Path) -> int | None:
    with contextlib.suppress(OSError):
        text = file.read_text(errors="replace").strip()
        if text.isascii() and text.isdigit() and len(text) <= 10:
            return int(text)
    return None
