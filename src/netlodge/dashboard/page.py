"""The status page: what the metrics say, for a person. No script, nothing loaded; the browser asks again by itself.

Everything shown comes from the metrics registry, so any worker can answer for all.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Final

from netlodge.observe.metrics import Registry
from netlodge.observe.render import size

REFRESH_SECONDS: Final = 5

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --mark: #2a7f62; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
header { display: flex; align-items: baseline; gap: 1rem; flex-wrap: wrap; border-bottom: 3px solid var(--mark); }
h1 { margin: 0; font-size: 1.75rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
p, footer { color: var(--soft); margin: .25rem 0; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: normal; font-size: .85rem; }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
td { font-variant-numeric: tabular-nums; }
td.text, th.text { text-align: left; white-space: normal; }
"""

STYLE_SOURCE: Final = f"'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
"""The one style that the page's Content-Security-Policy lets in."""


@dataclass(frozen=True, slots=True)
class Door:
    """A door as the page names it: its name in the settings (and in the metrics), and where it listens."""

    name: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Worker:
    slot: str
    started: float
    cpu: float
    memory: float


def render_page(registry: Registry, doors: Sequence[Door], version: str, wall: float) -> str:
    """The whole document. `wall` is now, in seconds since the epoch."""
    started = registry.value("process_start_time_seconds")
    workers = _workers(registry)
    facts = [
        ("up for", _span(wall - started) if started else "?"),
        ("workers", f"{len(workers)}"),
        ("HTTP requests", _count(registry.value("netlodge_http_requests_total"))),
        ("answered from recall", _share(registry)),
        ("content sent", size(int(registry.value("netlodge_http_response_content_bytes_total")))),
        ("connections open", _count(registry.value("netlodge_connections_open"))),
        ("sentences and datagrams", _count(registry.value("netlodge_lines_exchanges_total"))),
        ("bad messages", _count(registry.value("netlodge_http_bad_messages_total"))),
        ("worker restarts", _count(registry.value("netlodge_worker_restarts_total"))),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{REFRESH_SECONDS}">
<title>Netlodge</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>Netlodge</h1><p>version {escape(version)}, generation {registry.value("netlodge_generation"):.0f}</p></header>
<main>
<dl>
{_facts(facts)}
</dl>
<h2>Doors</h2>
{_table(("door", "listens on", "open", "accepted", "exchanges", "4xx", "5xx", "sent"), _door_rows(registry, doors))}
<h2>Workers</h2>
{_table(("worker", "up for", "CPU time", "memory"), _worker_rows(workers, wall))}
</main>
<footer>The same numbers for Prometheus: <a href="/metrics">/metrics</a>. Exchanges as they pass: <code>netlodge trace</code>.</footer>
</body>
</html>
"""


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The second column is text if its head says where a door listens; all other columns are numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        opened = [f'{tag} class="text"' if head == "listens on" else tag for head in heads]
        return "".join(f"<{start}>{escape(cell)}</{tag}>" for start, cell in zip(opened, row, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table>\n<tr>{cells("th", heads)}</tr>\n{body}\n</table></div>'


def _door_rows(registry: Registry, doors: Iterable[Door]) -> Iterable[Sequence[str]]:
    for door in doors:
        exchanges = registry.value("netlodge_http_requests_total", door=door.name) + registry.value(
            "netlodge_lines_exchanges_total", service=door.name
        )
        sent = registry.value("netlodge_http_response_content_bytes_total", door=door.name) + registry.value(
            "netlodge_lines_sent_bytes_total", service=door.name
        )
        yield (
            door.name,
            ", ".join(door.addresses),
            _count(registry.value("netlodge_connections_open", door=door.name)),
            _count(registry.value("netlodge_connections_accepted_total", door=door.name)),
            _count(exchanges),
            _count(registry.value("netlodge_http_requests_total", door=door.name, code="4xx")),
            _count(registry.value("netlodge_http_requests_total", door=door.name, code="5xx")),
            size(int(sent)),
        )


def _workers(registry: Registry) -> list[_Worker]:
    """The workers that live: a dead one's row has no start."""
    by_name = {family.name: {s.labels: s.value for s in family.samples} for family in registry.families()}
    starts = by_name.get("netlodge_worker_start_time_seconds", {})
    return [
        _Worker(
            slot=dict(labels)["worker"],
            started=started,
            cpu=by_name.get("process_cpu_seconds_total", {}).get(labels, 0),
            memory=by_name.get("process_resident_memory_bytes", {}).get(labels, 0),
        )
        for labels, started in starts.items()
    ]


def _worker_rows(workers: Iterable[_Worker], wall: float) -> Iterable[Sequence[str]]:
    for worker in workers:
        yield worker.slot, _span(wall - worker.started), f"{worker.cpu:.2f} s", size(int(worker.memory))


def _share(registry: Registry) -> str:
    requests = registry.value("netlodge_http_requests_total")
    return f"{registry.value('netlodge_http_recalled_total') / requests:.0%}" if requests else "-"


def _count(number: float) -> str:
    """With thin spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\N{THIN SPACE}")


def _span(seconds: float) -> str:
    """The two largest units, e.g. `3 d 4 h`."""
    left = max(0, int(seconds))
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
