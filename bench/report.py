"""The tables as one reads them, and as a program does."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.results import Table, judge
from bench.servers import FLOOR, NGINX, NGINX_CACHE, NGINX_CACHE_TLS, NGINX_TLS

HEADINGS = {
    "cpu_us": "CPU us/req",
    "cpu_us_least": "least",
    "requests_per_s": "req/s",
    "p99_ms": "p99 ms",
    "kib_each": "KiB each",
    "slowdown": "slowdown",
    "alone_requests_per_s": "alone",
    "alone_p99_ms": "alone p99",
    "kept": "kept",
    "growth_mib": "grew MiB",
    "mib_per_s": "MiB/s",
    "cpu_s": "CPU s",
}
WHOLE = {"requests_per_s", "alone_requests_per_s", "kept", "mib_per_s"}
RATIOS = (
    (NGINX, "/nginx"),
    (NGINX_TLS, "/nginx"),
    (NGINX_CACHE, "/nginx cache"),
    (NGINX_CACHE_TLS, "/nginx cache"),
    (FLOOR, "/C loop"),
)


def render(table: Table) -> Iterator[str]:
    """The lines of one table: figures, and the ratios of processor time where there is something to divide by."""
    ratios = [(name, heading) for name, heading in RATIOS if table.figure(name, "cpu_us") and "cpu_us" in table.columns]
    yield f"\n{table.title}"
    yield f"  {'':<32}" + "".join(f"{h:>13}" for h in (*(HEADINGS[c] for c in table.columns), *(h for _, h in ratios)))
    for row in table.rows:
        if row.fault:
            yield f"  {row.server:<32}  INVALID: {row.fault}"
            continue
        cells = [f"{row.figures[c]:>13,.0f}" if c in WHOLE else f"{row.figures[c]:>13.2f}" for c in table.columns]
        for name, _heading in ratios:
            cells.append(f"{row.figures['cpu_us'] / (table.figure(name, 'cpu_us') or 1):>13.2f}")
        yield f"  {row.server:<32}" + "".join(cells)
    for name, reason in table.absent.items():
        yield f"  {name:<32}  left out: {reason}"


def render_budgets(tables: Sequence[Table]) -> Iterator[str]:
    verdicts = judge(tables)
    if verdicts:
        yield "\nBudgets"
        yield from map(str, verdicts)


def write_json(tables: Sequence[Table], folder: Path) -> Path:
    """Everything that was measured, in a file named after the time; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    verdicts = [
        {
            **verdict.budget._asdict(),
            "value": verdict.value,
            "met": verdict.value is not None and verdict.value <= verdict.budget.most,
        }
        for verdict in judge(tables)
    ]
    document = {"machine": machine, "tables": [asdict(table) for table in tables], "budgets": verdicts}
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
