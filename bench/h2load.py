"""Load over HTTP/2: h2load, which keeps so many streams of each connection busy, and a client of our own whose heads nobody ever saw. On the
core that no server runs on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Final

from bench.load import ROOT, UNITS, LoadError, Round
from bench.processes import find, pinned
from bench.servers import Server

REQUESTS: Final = 10_000
"""Requests for each second of a round of many connections: h2load may never end if it is given a time that ends before all are open."""
MANY: Final = 500


def run_h2load(server: Server, path: str, *, connections: int, streams: int, seconds: int, core: str) -> Round:
    """Drive `server` for so many seconds, or with as many requests as that may be worth. Raises `LoadError` without h2load."""
    h2load = find("h2load")
    if h2load is None:
        raise LoadError("h2load is not installed")
    bound = ["-D", str(seconds)] if connections < MANY else ["-n", str(REQUESTS * seconds)]
    url = f"{server.scheme}://127.0.0.1:{server.port}{path}"
    command = [h2load, "-m", str(streams), "-c", str(connections), *bound, url]
    output, cpu_seconds = _run(server, command, core, seconds)
    return read_h2load(output, cpu_seconds)


def run_unseen(server: Server, path: str, *, streams: int, seconds: int, core: str) -> Round:
    """Drive `server` for so many seconds over one connection with requests of which no two have the same head."""
    command = [sys.executable, "-m", "bench.unseen_h2", str(server.port), path, str(streams), str(seconds)]
    output, cpu_seconds = _run(server, command, core, seconds)
    try:
        outcome = json.loads(output)
    except ValueError:
        return Round(1, 1.0, 0.0, 0.0, output.strip().splitlines()[-1] if output.strip() else "no output")
    fault = f"{outcome['failed']} answers were no success" if outcome["failed"] else ""
    return Round(outcome["requests"], outcome["seconds"], cpu_seconds, 0.0, fault)


def _run(server: Server, command: list[str], core: str, seconds: int) -> tuple[str, float]:
    """What the command printed, and what the server's tree cost meanwhile."""
    before = server.tree.cpu_seconds()
    try:
        outcome = subprocess.run(
            pinned(command, core),
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        return "it did not come to an end", 0.0
    return outcome.stdout + outcome.stderr, server.tree.cpu_seconds() - before


def read_h2load(output: str, cpu_seconds: float) -> Round:
    """What h2load printed, as a `Round`. It tells no percentiles. An error, an answer that is no success, or another protocol than h2 makes
    it a fault."""
    took = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", output)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    if took is None or counts is None or counts[2] == "0":
        return Round(1, 1.0, 0.0, 0.0, f"h2load: {output.strip().splitlines()[-1] if output.strip() else 'no output'}")
    faults = []
    if counts[1] != counts[2]:
        faults.append(counts[0])
    if "Application protocol: h2\n" not in output:
        faults.append("not by h2")
    return Round(int(counts[2]), float(took[1]) * UNITS[took[2]], cpu_seconds, 0.0, "; ".join(faults))
