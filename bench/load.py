"""Where the load comes from: wrk, curl, and connections that are merely there. All on the core that no server runs on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.processes import find, pinned
from bench.servers import Server

HERE = Path(__file__).parent
ROOT = HERE.parent


class LoadError(Exception):
    """The load could not be made, or the server did not answer it as it should."""


@dataclass(frozen=True, slots=True)
class Round:
    """One run of wrk against one server."""

    requests: int
    seconds: float
    cpu_seconds: float
    """Processor time of the server's tree meanwhile."""
    p99: float
    """Seconds within which 99 of 100 answers came."""
    fault: str
    """Why the figures mean nothing; empty if they do."""

    @property
    def cpu_us(self) -> float:
        return 1e6 * self.cpu_seconds / self.requests

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def run_wrk(
    server: Server, path: str, *, connections: int, seconds: int, core: str, threads: int, script: str
) -> Round:
    """Drive `server` with `connections` that each ask again as soon as they are answered. Raises `LoadError` without wrk."""
    wrk = find("wrk")
    if wrk is None:
        raise LoadError("wrk is not installed")
    command = [wrk, "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s", "--latency"]
    if script:
        command += ["-s", str(HERE / script)]
    command += [f"{server.scheme}://127.0.0.1:{server.port}{path}", *([server.name.replace(" ", "")] if script else [])]
    before = server.tree.cpu_seconds()
    outcome = subprocess.run(
        pinned(command, core),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    cpu_seconds = server.tree.cpu_seconds() - before
    return read_wrk(outcome.stdout + outcome.stderr, cpu_seconds)


def run_handshakes(server: Server, *, seconds: int, core: str) -> Round:
    """Shake hands with `server` again and again, a new session each time, by TLS 1.3. One at a time: what counts is what it costs the
    server. Raises `LoadError` without openssl."""
    openssl = find("openssl")
    if openssl is None:
        raise LoadError("openssl is not installed")
    command = [openssl, "s_time", "-connect", f"127.0.0.1:{server.port}", "-new", "-tls1_3", "-time", str(seconds)]
    before = server.tree.cpu_seconds()
    started = time.monotonic()
    outcome = subprocess.run(
        pinned(command, core),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    elapsed = time.monotonic() - started
    return read_s_time(outcome.stdout + outcome.stderr, elapsed, server.tree.cpu_seconds() - before)


def read_s_time(output: str, seconds: float, cpu_seconds: float) -> Round:
    """What `openssl s_time` printed, as a `Round` whose requests are handshakes."""
    total = re.search(r"(\d+) connections in \d+ real seconds", output)
    if total is None or total[1] == "0" or "ERROR" in output:
        return Round(1, 1.0, 0.0, 0.0, f"openssl: {output.strip().splitlines()[-1] if output.strip() else 'no output'}")
    return Round(int(total[1]), seconds, cpu_seconds, 0.0, "")


def read_wrk(output: str, cpu_seconds: float) -> Round:
    """What wrk printed, as a `Round`. An error or an answer that is no success makes it a fault."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b", output)
    if total is None or total[1] == "0":
        return Round(1, 1.0, 0.0, 0.0, f"wrk: {output.strip().splitlines()[-1] if output.strip() else 'no output'}")
    slowest = re.search(r"^\s+99%\s+([\d.]+)(us|ms|s|m)\s*$", output, re.MULTILINE)
    faults = re.findall(r"(Socket errors: .*|Non-2xx or 3xx responses: \d+)", output)
    return Round(
        requests=int(total[1]),
        seconds=float(total[2]) * UNITS[total[3]],
        cpu_seconds=cpu_seconds,
        p99=float(slowest[1]) * UNITS[slowest[2]] if slowest else 0.0,
        fault="; ".join(faults),
    )


class Holders:
    """A child that keeps many connections to one server: resting after one exchange, or sending a head an octet a second.

    `with Holders(...)`: they are there when the block begins; at its end `kept` says how many the server had not closed.
    """

    def __init__(self, kind: str, server: Server, path: str, count: int, core: str) -> None:
        command = [sys.executable, "-m", "bench.holders", kind, str(server.port), path, str(count)]
        self._command = pinned(command, core)
        self.kept = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.strip() != "ready":
            rest, _ = self._process.communicate(timeout=10)
            raise LoadError((line + rest).strip().splitlines()[-1] if line + rest else "the connections were not made")
        return self

    def __exit__(self, *_: object) -> None:
        try:
            output, _error = self._process.communicate(input="", timeout=30)
            self.kept = json.loads(output)["kept"]
        except (subprocess.TimeoutExpired, ValueError, KeyError):
            self._process.kill()
            self._process.communicate()


@dataclass(frozen=True, slots=True)
class Download:
    octets: int
    seconds: float
    fault: str


def download(server: Server, path: str, core: str) -> Download:
    """Fetch `path` once with curl and throw it away."""
    curl = find("curl")
    if curl is None:
        raise LoadError("curl is not installed")
    command = [curl, "--silent", "--show-error", "--output", "/dev/null", "--max-time", "120"]
    command += ["--write-out", "%{http_code} %{size_download} %{time_total}", f"http://127.0.0.1:{server.port}{path}"]
    outcome = subprocess.run(pinned(command, core), capture_output=True, text=True, timeout=150, check=False)
    status, octets, seconds = outcome.stdout.split()
    fault = outcome.stderr.strip() or ("" if status == "200" else f"status {status}")
    return Download(int(octets), float(seconds), fault)
