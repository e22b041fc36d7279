"""The scenarios: who is driven, with what, and which figures come out.

Rounds are interleaved (A B C, A B C, ...), so that whatever else happens on the machine happens to all. A server's processor
time is the kernel's account of its whole process tree, and is read before and after each round.
"""

from __future__ import annotations

import gzip
import resource
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from bench.h2load import run_h2load, run_unseen
from bench.load import Holders, LoadError, Round, download, run_handshakes, run_wrk
from bench.processes import cores
from bench.results import Row, Table
from bench.servers import LODGE_FIXED_TLS, Server, Setting, end_line_up, start_line_up

SMALL: Final = "/1k.txt"
LARGE: Final = "/1m.bin"
HUGE: Final = "/huge.bin"
TEXT: Final = "/64k.txt"

MEASURED: Final = ("cpu_us", "cpu_us_least", "requests_per_s", "p99_ms")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything."""

    rounds: int
    seconds: int
    idle: int
    slow: int
    huge_octets: int
    only: tuple[str, ...]
    """Servers to start, by their names in `STARTERS`; empty for all that the scenario wants."""


class Scenario(NamedTuple):
    name: str
    title: str
    starters: tuple[str, ...]
    run: Callable[[Setting, Effort, Table], None]
    workers: int = 1


# --- Files ------------------------------------------------------------------------------------------------------------


def make_site(site: Path, huge_octets: int) -> None:
    """The files that all servers serve. The huge one is sparse: it takes no room on the disk."""
    site.mkdir(parents=True)
    (site / SMALL[1:]).write_bytes(b"a" * 1024)
    (site / LARGE[1:]).write_bytes(b"a" * (1 << 20))
    lines = (
        f"{number:x} is line {number} of a text, and {number * number % 9973} is in it\n" for number in range(2000)
    )
    text = "".join(lines)
    (site / TEXT[1:]).write_text(text[: 64 << 10])
    (site / f"{TEXT[1:]}.gz").write_bytes(gzip.compress(text[: 64 << 10].encode(), 6))
    with (site / HUGE[1:]).open("wb") as file:
        file.truncate(huge_octets)
    for path in (site, *site.iterdir()):
        path.chmod(0o755)


# --- Busy clients -----------------------------------------------------------------------------------------------------


def loader(
    setting: Setting, effort: Effort, path: str = SMALL, *, connections: int = 64, script: str = ""
) -> Callable[[Server], Round]:
    """One round of wrk, for any server of the setting."""
    _, core = cores()
    load_core = str(core) if setting.workers == 1 else setting.core

    def load(server: Server) -> Round:
        return run_wrk(
            server,
            path,
            connections=connections,
            seconds=effort.seconds,
            core=load_core,
            threads=setting.workers,
            script=script,
        )

    return load


def interleave(servers: list[Server], rounds: int, load: Callable[[Server], Round]) -> dict[str, list[Round]]:
    results: dict[str, list[Round]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            results[server.name].append(load(server))
    return results


def summarize(name: str, rounds: list[Round]) -> Row:
    """Median and least of the rounds. One round with a fault makes the row invalid."""
    faults = [r.fault for r in rounds if r.fault]
    figures = {
        "cpu_us": statistics.median(r.cpu_us for r in rounds),
        "cpu_us_least": min(r.cpu_us for r in rounds),
        "requests_per_s": statistics.median(r.rate for r in rounds),
        "p99_ms": 1e3 * statistics.median(r.p99 for r in rounds),
    }
    return Row(name, figures, faults[0] if faults else "")


def drive(path: str, *, connections: int = 64, script: str = "") -> Callable[[Setting, Effort, Table], None]:
    """A scenario of busy clients alone."""

    def run(setting: Setting, effort: Effort, table: Table) -> None:
        # The large body is for those who can send it.
        servers = [s for s in setting.servers if path != LARGE or s.name != "C loop"]
        load = loader(setting, effort, path, connections=connections, script=script)
        for name, rounds in interleave(servers, effort.rounds, load).items():
            table.rows.append(summarize(name, rounds))

    return run


def one_of_each_tree(servers: list[Server]) -> list[Server]:
    """Where memory is measured: the second row of a tree would find what the first one left allocated."""
    return list({id(server.tree): server for server in reversed(servers)}.values())[::-1]


def drive_beside(kind: str) -> Callable[[Setting, Effort, Table], None]:
    """A scenario of 64 busy clients, first alone, then beside many connections that rest (`idle`) or dribble (`slow`)."""

    def run(setting: Setting, effort: Effort, table: Table) -> None:
        count = effort.idle if kind == "idle" else effort.slow
        load = loader(setting, effort)
        for server in one_of_each_tree(setting.servers):
            alone = [load(server) for _ in range(effort.rounds)]
            before = server.tree.pss_bytes()
            try:
                with Holders(kind, server, SMALL, count, str(cores()[1])) as holders:
                    grown = server.tree.pss_bytes() - before
                    beside = [load(server) for _ in range(effort.rounds)]
            except LoadError as error:
                table.rows.append(Row(server.name, fault=str(error)))
                continue
            row = summarize(server.name, [*beside, *(r for r in alone if r.fault)])
            lone = summarize(server.name, alone)
            row.figures["kib_each"] = grown / 1024 / count
            row.figures["alone_requests_per_s"] = lone.figures["requests_per_s"]
            row.figures["alone_p99_ms"] = lone.figures["p99_ms"]
            row.figures["slowdown"] = lone.figures["requests_per_s"] / row.figures["requests_per_s"]
            row.figures["kept"] = holders.kept
            if kind == "idle" and holders.kept < count and not row.fault:
                row.fault = f"only {holders.kept} of {count} connections were kept"
            table.rows.append(row)

    return run


def drive_handshakes(setting: Setting, effort: Effort, table: Table) -> None:
    """Full handshakes, one after the other: what each costs."""
    servers = one_of_each_tree(setting.servers)

    def load(server: Server) -> Round:
        return run_handshakes(server, seconds=effort.seconds, core=str(cores()[1]))

    for name, rounds in interleave(servers, effort.rounds, load).items():
        table.rows.append(summarize(name, rounds))


def drive_h2(
    path: str,
    *,
    connections: int = 10,
    streams: int = 16,
    is_unseen: bool = False,
    without: tuple[str, ...] = (),
) -> Callable[[Setting, Effort, Table], None]:
    """A scenario of clients that speak HTTP/2, `without` some servers: those that have no such answer."""

    def run(setting: Setting, effort: Effort, table: Table) -> None:
        servers = [server for server in setting.servers if server.name not in without]

        def load(server: Server) -> Round:
            core = str(cores()[1])
            if is_unseen:
                return run_unseen(server, path, streams=streams, seconds=effort.seconds, core=core)
            return run_h2load(server, path, connections=connections, streams=streams, seconds=effort.seconds, core=core)

        for name, rounds in interleave(servers, effort.rounds, load).items():
            table.rows.append(summarize(name, rounds))

    return run


def drive_huge(setting: Setting, effort: Effort, table: Table) -> None:
    """One download of a huge file: how much more memory the server took, at its peak, than before."""
    for server in one_of_each_tree(setting.servers):
        before = server.tree.rss_bytes()
        server.tree.reset_peak()
        cpu_before = server.tree.cpu_seconds()
        done = download(server, HUGE, str(cores()[1]))
        fault = done.fault or ("" if done.octets == effort.huge_octets else f"{done.octets} octets arrived")
        figures = {
            "growth_mib": (server.tree.peak_rss_bytes() - before) / (1 << 20),
            "mib_per_s": done.octets / (1 << 20) / max(done.seconds, 1e-6),
            "cpu_s": server.tree.cpu_seconds() - cpu_before,
        }
        table.rows.append(Row(server.name, figures, fault))


# --- The list ---------------------------------------------------------------------------------------------------------

ALL: Final = ("floor", "nginx", "varnish", "squid", "uvicorn", "granian", "lodge")

OF_TLS: Final = ("nginx-tls", "lodge-tls")
OF_HTTP2: Final = ("nginx-tls", "granian-tls", "hypercorn-tls", "lodge-tls")

SCENARIOS: Final = (
    Scenario("small", "1 KiB, keep-alive, 64 connections", (*ALL, "lodge-fixed", "lodge-parsing"), drive(SMALL)),
    Scenario(
        "asgi",
        "1 KiB from a bare ASGI application, 64 connections",
        ("floor", "uvicorn", "granian", "hypercorn", "lodge-app"),
        drive(SMALL),
    ),
    Scenario(
        "login",
        "1 KiB behind a login by Basic, 64 connections",
        ("nginx-login", "lodge-login"),
        drive(SMALL, script="login.lua"),
    ),
    Scenario("tls", "1 KiB over TLS 1.3, keep-alive, 64 connections", OF_TLS, drive(SMALL)),
    Scenario("handshakes", "full handshakes of TLS 1.3, one after the other", OF_TLS, drive_handshakes),
    Scenario(
        "h2-1",
        "1 KiB over HTTP/2 and TLS, 1 stream on each of 64 connections",
        OF_HTTP2,
        drive_h2(SMALL, connections=64, streams=1),
    ),
    Scenario("h2-16", "1 KiB over HTTP/2 and TLS, 16 streams on each of 10 connections", OF_HTTP2, drive_h2(SMALL)),
    Scenario(
        "h2-100",
        "1 KiB over HTTP/2 and TLS, 100 streams on each of 10 connections",
        OF_HTTP2,
        drive_h2(SMALL, streams=100),
    ),
    Scenario(
        "h2-unseen",
        "1 KiB over HTTP/2 and TLS, each request head never seen before, 16 at a time",
        OF_TLS,
        drive_h2(SMALL, is_unseen=True),
    ),
    Scenario(
        "h2-large",
        "1 MiB over HTTP/2 and TLS, 4 streams on each of 10 connections",
        OF_TLS,
        drive_h2(LARGE, streams=4, without=(LODGE_FIXED_TLS,)),
    ),
    Scenario(
        "h2-many",
        "1 KiB over HTTP/2 and TLS, 1,000 connections, handshakes included",
        OF_TLS,
        drive_h2(SMALL, connections=1000, streams=4),
    ),
    Scenario("unseen", "1 KiB, each request head never seen before", ALL, drive(SMALL, script="unseen.lua")),
    Scenario("large", "1 MiB, 64 connections", ALL[1:], drive(LARGE)),
    Scenario(
        "compressed",
        "64 KiB of text to clients that take gzip",
        ("nginx-gzip", "lodge"),
        drive(TEXT, script="compressed.lua"),
    ),
    Scenario("many", "1 KiB, 1,000 connections", ALL, drive(SMALL, connections=1000)),
    Scenario(
        "workers",
        "1 KiB, two workers (on both cores, which the load shares)",
        ("floor", "nginx", "granian", "uvicorn", "lodge"),
        drive(SMALL),
        workers=2,
    ),
    Scenario(
        "idle",
        "10,000 idle connections (fewer in a smoke run), and 64 busy ones beside",
        ("nginx", "granian", "lodge"),
        drive_beside("idle"),
    ),
    Scenario(
        "slow",
        "1,000 slow senders (fewer in a smoke run), and 64 busy connections beside",
        ("nginx", "lodge"),
        drive_beside("slow"),
    ),
    Scenario(
        "huge",
        "a sparse file of 4 GiB (1 GiB if quick, less in a smoke run) to one client",
        ("nginx", "lodge"),
        drive_huge,
    ),
)

COLUMNS: Final = {
    "idle": ("kib_each", "slowdown", "cpu_us", "requests_per_s", "alone_requests_per_s", "p99_ms", "alone_p99_ms"),
    "slow": ("slowdown", "cpu_us", "requests_per_s", "alone_requests_per_s", "p99_ms", "alone_p99_ms", "kept"),
    "huge": ("growth_mib", "mib_per_s", "cpu_s"),
    "handshakes": MEASURED[:3],
    **dict.fromkeys(("h2-1", "h2-16", "h2-100", "h2-unseen", "h2-large", "h2-many"), MEASURED[:3]),
}


def run_scenario(scenario: Scenario, effort: Effort, place: Path) -> Table:
    """Start the scenario's servers, run it, end them. Never raises for a server's sake: its row says what happened."""
    server_core, load_core = cores()
    setting = Setting(
        place=place / scenario.name,
        site=place / "site",
        core=str(server_core) if scenario.workers == 1 else f"{server_core},{load_core}",
        workers=scenario.workers,
    )
    table = Table(scenario.name, scenario.title, COLUMNS.get(scenario.name, MEASURED))
    wanted = tuple(name for name in scenario.starters if not effort.only or name in effort.only)
    try:
        start_line_up(setting, wanted)
        table.absent = setting.absent
        scenario.run(setting, effort, table)
    finally:
        end_line_up(setting)
    return table


@contextmanager
def many_files() -> Iterator[int]:
    """Raise the limit of open files as far as it goes, for us and what we start; yields it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
