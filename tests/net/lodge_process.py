"""Drives a `small_lodge` in a process of its own: every wait is for a line of its log, a socket or a process's end, and bounded."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from netlodge.net.rundir import RunState, read_state

PATIENCE = 20.0
"""Seconds until a test gives up."""
ROOT = Path(__file__).resolve().parents[2]


class Client:
    """One connection to a lodge."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        family = (
            socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        )
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.lines = self.sock.makefile("rb")

    def send(self, line: str) -> None:
        self.sock.sendall(line.encode() + b"\n")

    def receive(self) -> str:
        """The next line; empty at the end."""
        return self.lines.readline().decode().rstrip("\n")

    def ask(self, line: str = "who") -> str:
        self.send(line)
        return self.receive()

    def worker(self) -> int:
        """The pid of the worker at the other end."""
        return int(self.ask().split()[1])

    def close(self) -> None:
        self.lines.close()
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LodgeProcess:
    """A lodge that runs for the length of a `with`. Options are those of `small_lodge.Settings`."""

    def __init__(self, data: Path, *, environment: dict[str, str] | None = None, **options: Any) -> None:
        self.data = data
        self.run = data / "run"
        self.options: dict[str, Any] = {"run": str(self.run)}
        self.settings = data / "settings.json"
        self.log: list[str] = []
        self._next = 0
        self._pending = b""
        self.set(**options)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.net.small_lodge", str(self.settings)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        assert self.process.stderr is not None
        self._stderr = self.process.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stderr, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            state = self.state()
            self.process.kill()
            self.process.wait(PATIENCE)
            for worker in state.workers if state else ():
                kill(worker.pid)
        self._selector.close()
        self._stderr.close()

    def set(self, **options: Any) -> None:
        """Change the settings file."""
        self.options |= options
        self.settings.write_text(json.dumps(self.options))

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the log, after those that were expected before."""
        deadline = time.monotonic() + PATIENCE
        while True:
            while self._next < len(self.log):
                self._next += 1
                if match := re.search(pattern, self.log[self._next - 1]):
                    return match
            if not self._read(deadline):
                log = "\n".join(self.log)
                raise AssertionError(f"no line like {pattern!r} in the log:\n{log}")

    def _read(self, deadline: float) -> bool:
        """Take in more of the log; False at its end, or when the time is over."""
        if not self._selector.select(max(0.0, deadline - time.monotonic())):
            return False
        data = os.read(self._stderr.fileno(), 65536)
        *lines, self._pending = (self._pending + data).split(b"\n")
        self.log += [line.decode() for line in lines]
        return bool(data)

    def ready(self) -> list[tuple[str, int] | str]:
        """Wait until it is up; return its addresses in the order of its settings."""
        count = len(self.options.get("listen", [()])) + len(self.options.get("unix", []))
        return [self._announced() for _ in range(count)]

    def _announced(self) -> tuple[str, int] | str:
        address = json.loads(self.expect(r"announced \S+ at (.*), \d+$")[1])
        return address if isinstance(address, str) else (address[0], address[1])

    def state(self) -> RunState | None:
        return read_state(self.run)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):  # to the end of the log, which the workers hold open, too
            pass
        return self.process.wait(max(0.0, deadline - time.monotonic()))

    @property
    def text(self) -> str:
        return "\n".join(self.log)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_for_end(pid: int) -> None:
    """Wait for the end of a process that need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            assert selector.select(PATIENCE), f"process {pid} lives on"
    finally:
        os.close(descriptor)


def freeze(pid: int) -> None:
    """Stop a process in its tracks, and return when it stands still."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
