"""Starting programs on a chosen core, and asking the kernel what they cost: processor time and memory of a whole tree."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


class StartError(Exception):
    """A server that could not be started; the text says why, and its rows are left out."""


def cores() -> tuple[int, int]:
    """The core that servers run on and the one that the load comes from: the same if this machine gives us only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[min(1, len(allowed) - 1)]


def pinned(command: Sequence[str], core: str) -> list[str]:
    """`command`, held to the cores of the list `core` (as taskset reads it)."""
    return ["taskset", "-c", core, *command]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment.

    From below those that the kernel gives to clients: otherwise a client's own port may be the one chosen, and whoever dials a
    server that is not there yet may even reach itself.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(10_000, lowest - 1000), lowest)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def find(program: str) -> str | None:
    """The path of an installed program: Debian keeps servers in /usr/sbin, which is not in everyone's PATH."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


class ProcessTree:
    """A program that the harness started, with all its descendants."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> None:
        """Start `command`; what it prints goes to the file `log`."""
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | (environment or {}),
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """The root and every descendant alive now."""
        children: dict[int, list[int]] = {}
        for entry in PROC.iterdir():
            if entry.name.isdigit() and (stat := _stat(int(entry.name))):
                children.setdefault(int(stat[1]), []).append(int(entry.name))
        found, rest = [], [self._process.pid]
        while rest:
            pid = rest.pop()
            found.append(pid)
            rest.extend(children.get(pid, ()))
        return found

    def cpu_seconds(self) -> float:
        """User and system time of the tree so far. A process that ended is in the account of the parent that waited for it."""
        ticks = 0
        for pid in self.pids():
            if stat := _stat(pid):
                ticks += sum(int(stat[field]) for field in (11, 12, 13, 14))  # utime, stime, cutime, cstime
        return ticks / TICKS_PER_SECOND

    def pss_bytes(self) -> int:
        """Proportional set size of the tree: a page shared by several processes is counted once in all."""
        return sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in self.pids())

    def rss_bytes(self) -> int:
        return sum(_kilobytes(pid, "status", "VmRSS") for pid in self.pids())

    def peak_rss_bytes(self) -> int:
        """Sum of the processes' peaks of resident memory since `reset_peak`."""
        return sum(_kilobytes(pid, "status", "VmHWM") for pid in self.pids())

    def reset_peak(self) -> None:
        """Make what is resident now the peak (`5` to clear_refs, Linux 4.0)."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                (PROC / str(pid) / "clear_refs").write_text("5")

    def wait_for_port(self, port: int, seconds: float = 20.0) -> None:
        """Return when something accepts on 127.0.0.1:`port`. Raises `StartError` if the program ends first, or takes longer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StartError(f"ended with status {self._process.returncode}: {self.last_words()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.02)
        raise StartError(f"did not listen on port {port} within {seconds:.0f} s: {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it printed nothing"

    def end(self, seconds: float = 5.0) -> None:
        """Ask the root to end, then kill whatever of the tree is left. Only processes of this tree are signalled."""
        tree = self.pids()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            tree = self.pids()
            self._process.kill()
            self._process.wait()
        session = self._process.pid
        for pid in tree:
            # A number may have been given to another process meanwhile: the session says whether it is still ours.
            if (stat := _stat(pid)) and int(stat[3]) == session:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command's name (`state` is 0, `ppid` 1, `session` 3), or None if it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _kilobytes(pid: int, file: str, name: str) -> int:
    try:
        text = (PROC / str(pid) / file).read_text()
    except OSError:
        return 0
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
