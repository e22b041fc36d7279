"""Load over HTTP/2: h2load, which keeps so many streams of each connection busy. On the core that no server runs on."""

from __future__ import annotations

import re
import secrets
import subprocess
from pathlib import Path
from typing import Final

from bench.load import UNITS, LoadError, Round
from bench.processes import find, pinned
from bench.servers import Server

TARGETS: Final = 15_000
"""Targets for each second of a round where each is asked for once."""
REQUESTS: Final = 10_000
"""Requests for each second of a round of many connections: h2load may never end if it is given a time that ends before all are open."""
MANY: Final = 500


def run_h2load(
    server: Server,
    path: str,
    *,
    connections: int,
    streams: int,
    seconds: int,
    core: str,
    list_folder: Path | None = None,
) -> Round:
    """Drive `server` for so many seconds, or with as many requests as that may be worth; with `list_folder` by targets that nobody asked for
    before (`path` with a query; they are listed there), on one connection. Raises `LoadError` without h2load."""
    h2load = find("h2load")
    if h2load is None:
        raise LoadError("h2load is not installed")
    base = f"{server.scheme}://127.0.0.1:{server.port}"
    command = [h2load, "-m", str(streams), "-c", str(connections if list_folder is None else 1)]
    if list_folder is not None:
        paths, mark, count = list_folder / "paths", secrets.token_hex(4), TARGETS * seconds
        paths.write_text("".join(f"{path}?{mark}{number}\n" for number in range(count)))
        command += ["-n", str(count), "-B", base, "-i", str(paths)]
    elif connections < MANY:
        command += ["-D", str(seconds), f"{base}{path}"]
    else:
        command += ["-n", str(REQUESTS * seconds), f"{base}{path}"]
    before = server.tree.cpu_seconds()
    try:
        outcome = subprocess.run(
            pinned(command, core),
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Round(1, 1.0, 0.0, 0.0, "h2load: it did not come to an end")
    return read_h2load(outcome.stdout + outcome.stderr, server.tree.cpu_seconds() - before)


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
