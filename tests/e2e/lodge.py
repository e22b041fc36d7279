"""A whole lodge for a test: `netlodge up` as a process tree of its own, in a folder of its own, on ports that the system chose.

    with Lodge({"index.html": b"hello"}) as lodge:
        lodge.port("web"), lodge.workers, lodge.metric("netlodge_http_requests_total", door="web")

Whatever happens, all of its processes end with the `with`. What the lodge said on standard error stands beside the failure of the
test; a traceback in it fails the test by itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from netlodge.net.rundir import ReloadState, RunState, WorkerState, read_state
from tests.observe import prometheus

NETLODGE = str(Path(sys.executable).with_name("netlodge"))
PATIENCE = 30.0
"""Seconds until a test gives up on something that takes a moment."""
LOOK_AGAIN = 0.01
SITE = '[[web.site]]\nroutes = [{ path = "/", files = "site" }]\n'
"""Settings that serve the folder `site` beside the settings file."""
DEFECTS = re.compile(r"Traceback|defect|never awaited|Exception ignored|ResourceWarning")

T = TypeVar("T")


def until(condition: Callable[[], T | None], what: str, *, patience: float = PATIENCE) -> T:
    """What `condition` returns, as soon as that is true. Fails after `patience` seconds, saying `what` did not come about."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"within {patience:g} s: not {what}"
        time.sleep(LOOK_AGAIN)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors(pid: int) -> int:
    """How many descriptors a process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def run_netlodge(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of netlodge that ends by itself."""
    return subprocess.run(
        [NETLODGE, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


class Lodge:
    """A lodge that runs for the length of a `with`.

    `site` has the files of `self.site` by path; `settings` is the text of its settings file (None: it finds none, and makes its own);
    `options` go to `netlodge up`. Every address is 127.0.0.1 with port 0: of the doors that `only` names, and of the line
    `services`.
    """

    def __init__(
        self,
        site: Mapping[str, bytes] = {},
        settings: str | None = SITE,
        *,
        options: Sequence[str] = (),
        workers: int | None = 2,
        only: str = "web,dashboard",
        services: Sequence[str] = (),
    ) -> None:
        # Not pytest's folder, which is closed to all but its owner: `user = "nobody"` must get in.
        self.folder = Path(tempfile.mkdtemp(prefix="netlodge-e2e-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "lodge"
        self.site = self.folder / "site"
        self.settings = self.folder / "netlodge.toml"
        self.site.mkdir()
        for name, content in site.items():
            self.put(name, content)
        if settings is not None:
            self.settings.write_text(settings)
        addresses = [f"{key}=127.0.0.1:0" for key in ("web.listen", "web.listen_tls", "dashboard.listen")]
        addresses += [f"lines.{service}=127.0.0.1:0" for service in services]
        self.command = [NETLODGE, "up"]
        if workers is not None:  # else as the settings say
            self.command += ["--workers", str(workers)]
        if only:
            self.command += ["--only", only]
        for address in addresses:
            self.command += ["--set", address]
        self.command += options
        self.doors: dict[str, str] = {}
        """The first address of each door, as the lodge announced it."""
        self._process: subprocess.Popen[bytes] | None = None

    def put(self, name: str, content: bytes) -> Path:
        """Write a file of the site."""
        path = self.site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    # --- its life --------------------------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start it, and do not wait."""
        with open(self.folder / "out", "wb") as out, open(self.folder / "err", "wb") as err:
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def __enter__(self) -> Self:
        try:
            self.launch()
            until(lambda: "Watch what passes" in self.output or self.process.poll() is not None, "open")
            assert self.process.poll() is None, "it ended at once"
            for line in self.output.splitlines():
                if match := re.match(r"  (\w+) +([^ ,]+)", line):
                    self.doors[match[1]] = match[2]
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end()
            if error is not None:
                error.add_note(f"--- what the lodge said:\n{self.errors}")
            else:
                assert not DEFECTS.search(self.errors), self.errors
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        state = read_state(self.data / "run")
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3.0)
                break
        for worker in state.workers if state else ():
            if is_alive(worker.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        """Its standard output so far."""
        return (self.folder / "out").read_text()

    @property
    def errors(self) -> str:
        """Its standard error so far."""
        path = self.folder / "err"
        return path.read_text() if path.exists() else ""

    @property
    def state(self) -> RunState:
        return until(lambda: read_state(self.data / "run"), "a state.json")

    @property
    def workers(self) -> list[WorkerState]:
        """Those of the generation that serves, all of them up."""
        state = self.state
        return [
            worker for worker in state.workers if worker.generation == state.generation and worker.phase == "serving"
        ]

    def reload(self) -> ReloadState:
        """SIGHUP; how it went."""
        before = self.state.reload.began
        self.process.send_signal(signal.SIGHUP)
        return until(lambda: r if (r := self.state.reload).ended > before else None, "an end of the reload")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    # --- what it shows ---------------------------------------------------------------------------------------------------

    def port(self, door: str = "web") -> int:
        return int(self.doors[door].rpartition(":")[2])

    def udp_port(self) -> int:
        """The port of the one line service that was asked for, where it takes datagrams."""
        (address,) = [each for each in self.state.addresses if each.endswith("/udp")]
        return int(address.removesuffix("/udp").rpartition(":")[2])

    def url(self, path: str = "/", door: str = "web") -> str:
        return f"http://{self.doors[door]}{path}"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of `name` that have these labels, as Prometheus would read them now."""
        with urllib.request.urlopen(self.url("/metrics", "dashboard"), timeout=PATIENCE) as answer:
            metrics = prometheus.parse(answer.read().decode())
        return sum(
            value
            for metric in metrics.values()
            for (sample, pairs), value in metric.samples.items()
            if sample == name and labels.items() <= dict(pairs).items()
        )

    @property
    def log_lines(self) -> list[str]:
        """The access log so far, without what `metric` asked."""
        path = self.data / "log" / "access.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if '"GET /metrics HTTP' not in line]


def worker_of(port: int, pids: Sequence[int]) -> int:
    """Which of these processes has the connection whose other end is this port of ours."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port:
            inodes.add(f"socket:[{fields[9]}]")
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(entry) in inodes:
                    return pid
    raise AssertionError(f"nobody has the connection from port {port}")
