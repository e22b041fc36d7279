"""What was measured, and the budgets that it is held against: data, no measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.servers import (
    FLOOR,
    LODGE,
    LODGE_FIXED,
    LODGE_FIXED_TLS,
    LODGE_TLS,
    NGINX,
    NGINX_CACHE,
    NGINX_CACHE_TLS,
    NGINX_GZIP,
    NGINX_GZIP_STATIC,
    NGINX_TLS,
    SQUID,
)


@dataclass(slots=True)
class Row:
    """One server in one scenario: figures by name, each in the unit that its name ends in."""

    server: str
    figures: dict[str, float] = field(default_factory=dict)
    fault: str = ""
    """Why the row is invalid; empty if it is not."""


@dataclass(slots=True)
class Table:
    scenario: str
    title: str
    columns: tuple[str, ...]
    """The figures that are printed, in order."""
    rows: list[Row] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Servers that could not be started, and why."""

    def figure(self, server: str, name: str) -> float | None:
        """A valid row's figure, or None."""
        for row in self.rows:
            if row.server == server and not row.fault:
                return row.figures.get(name)
        return None


class Budget(NamedTuple):
    """A row of the table of budgets in docs/ARCHITECTURE.md: the lodge's figure, over another's if one is named, is at most so much."""

    work: str
    scenario: str
    figure: str
    against: str
    """The server whose figure divides; empty for a bound on the figure itself."""
    most: float
    ours: str = LODGE


BUDGETS = (
    Budget("remembered 1 KiB answer, log and metrics on", "small", "cpu_us", NGINX_CACHE, 0.65, LODGE_FIXED),
    Budget("remembered 1 KiB answer, log and metrics on", "small", "cpu_us", FLOOR, 1.6, LODGE_FIXED),
    Budget("static 1 KiB file", "small", "cpu_us", NGINX, 0.8),
    Budget("remembered 1 KiB answer over TLS 1.3", "tls", "cpu_us", NGINX_CACHE_TLS, 1.0, LODGE_FIXED_TLS),
    Budget("static 1 KiB file over TLS 1.3", "tls", "cpu_us", NGINX_TLS, 1.0, LODGE_TLS),
    Budget("full handshake of TLS 1.3", "handshakes", "cpu_us", NGINX_TLS, 1.5, LODGE_TLS),
    Budget(
        "remembered 1 KiB over HTTP/2 and TLS, 16 streams", "h2-16", "cpu_us", NGINX_CACHE_TLS, 0.6, LODGE_FIXED_TLS
    ),
    Budget("static 1 KiB file over HTTP/2 and TLS, 16 streams", "h2-16", "cpu_us", NGINX_TLS, 0.8, LODGE_TLS),
    Budget("request head not seen before, over HTTP/2 and TLS", "h2-unseen", "cpu_us", NGINX_TLS, 1.5, LODGE_TLS),
    Budget("1 MiB over HTTP/2 and TLS", "h2-large", "cpu_us", NGINX_TLS, 2.0, LODGE_TLS),
    Budget("1,000 connections of HTTP/2 and TLS", "h2-many", "cpu_us", NGINX_CACHE_TLS, 1.0, LODGE_FIXED_TLS),
    Budget("request head not seen before", "unseen", "cpu_us", SQUID, 1.0),
    Budget("1 MiB", "large", "cpu_us", NGINX, 2.0),
    Budget("1 MiB", "large", "cpu_us", SQUID, 0.25),
    # What was compressed once is sent again. nginx does it each time, or is given the file ready made.
    Budget("64 KiB of text, compressed", "compressed", "cpu_us", NGINX_GZIP, 0.1),
    Budget("64 KiB of text, compressed", "compressed", "cpu_us", NGINX_GZIP_STATIC, 1.2),
    Budget("memory for each of 10,000 idle connections, KiB", "idle", "kib_each", "", 12.0),
    # "Slow nobody", as a number: what the busy clients lose is within what two runs differ by.
    Budget("busy clients beside 10,000 idle connections", "idle", "slowdown", "", 1.15),
    Budget("busy clients beside 1,000 slow senders", "slow", "slowdown", "", 1.15),
    Budget("memory growth while a file of 4 GiB goes out, MiB", "huge", "growth_mib", "", 32.0),
)


class Verdict(NamedTuple):
    budget: Budget
    value: float | None
    """None if it could not be measured."""

    def __str__(self) -> str:
        budget = self.budget
        against = f" of {budget.against}" if budget.against else ""
        bound = f"<= {budget.most:g}{against}"
        if self.value is None:
            return f"  not measured  {budget.work}: {bound}"
        word = "met   " if self.value <= budget.most else "MISSED"
        return f"  {word}  {self.value:7.2f}  {budget.work}: {bound}"


def judge(tables: Sequence[Table]) -> list[Verdict]:
    """Each budget whose scenario was run, with the value that decides it."""
    verdicts = []
    for budget in BUDGETS:
        for table in tables:
            if table.scenario == budget.scenario:
                value = table.figure(budget.ours, budget.figure)
                if value is not None and budget.against:
                    other = table.figure(budget.against, budget.figure)
                    value = value / other if other else None
                verdicts.append(Verdict(budget, value))
    return verdicts
