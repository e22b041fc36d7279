"""The command: `python -m bench [--scenario NAME ...] [--quick] [--rounds N] [--seconds S] [--only SERVER ...]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.processes import cores
from bench.report import render, render_budgets, write_json
from bench.scenarios import SCENARIOS, Effort, make_site, many_files, run_scenario
from bench.servers import STARTERS

RESULTS = Path(__file__).parent / "results"
GIB = 1 << 30


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Netlodge beside the servers it is compared with."
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument(
        "--only", action="append", choices=list(STARTERS), metavar="SERVER", help=f"one of {', '.join(STARTERS)}"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server (5)")
    parser.add_argument("--seconds", type=int, default=2, help="seconds of each round (2)")
    parser.add_argument("--quick", action="store_true", help="two rounds of one second, and a file of 1 GiB")
    parser.add_argument("--smoke", action="store_true", help="every driver for a moment; the figures mean nothing")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse(sys.argv[1:])
    effort = Effort(options.rounds, options.seconds, 10_000, 1_000, 4 * GIB, tuple(options.only or ()))
    if options.quick:
        effort = Effort(2, 1, 10_000, 1_000, GIB, effort.only)
    if options.smoke:
        effort = Effort(1, 1, 300, 100, GIB // 8, effort.only)
    server_core, load_core = cores()
    print(f"Servers run on core {server_core}, the load on core {load_core}.")
    if server_core == load_core:
        print("There is only one core: servers and load share it, and requests per second say little.")
    tables = []
    with many_files() as files, tempfile.TemporaryDirectory(prefix="netlodge-bench-") as folder:
        if files < effort.idle + 1000:
            print(f"At most {files} files may be open here (ulimit -Hn): too few for {effort.idle} idle connections.")
        place = Path(folder)
        # Workers that have given up root read here as well.
        place.chmod(0o755)
        make_site(place / "site", effort.huge_octets)
        for scenario in SCENARIOS:
            if options.scenario and scenario.name not in options.scenario:
                continue
            table = run_scenario(scenario, effort, place)
            print(*render(table), sep="\n", flush=True)
            tables.append(table)
    print(*render_budgets(tables), sep="\n")
    print(f"\nAll figures: {write_json(tables, RESULTS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
