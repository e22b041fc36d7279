"""What all processes of a lodge share, made by the supervisor before it forks: the numbers, the tally, the generations."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

from netlodge import __version__
from netlodge.config.doors import LINE_SERVICES, Listen
from netlodge.core.rates import RateTable
from netlodge.http.wire.websocket_states import ABNORMAL, CLOSE_CODES, NO_STATUS
from netlodge.net.certificates import Stock
from netlodge.net.service import MAX_SLOTS
from netlodge.net.tally import Tally
from netlodge.net.tls_service import FAILURES, VERSIONS
from netlodge.observe.metrics import Registry
from netlodge.observe.series import (
    AccessSeries,
    ConnectionSeries,
    DatabaseSeries,
    DatagramSeries,
    ExchangeSeries,
    LodgeSeries,
    ObserverSeries,
    RecallSeries,
    TlsSeries,
    WebSocketSeries,
    WorkerSeries,
)

GENERATION_SLOTS = 65536
"""Slots in the array by which all workers learn that something remembered has changed. Two things in one slot only cost a look."""

HTTP_DOORS = ("web", "web_tls", "dashboard", "control")
TLS_DOORS = {"web_tls": ("h2", "http/1.1")}
"""The doors that speak TLS, each with the protocols that it can offer by ALPN, best first."""


class Series:
    """Every number that the lodge counts."""

    def __init__(self, registry: Registry) -> None:
        self.exchanges = ExchangeSeries(registry, http_doors=HTTP_DOORS, line_doors=LINE_SERVICES)
        self.connections = {door: ConnectionSeries(registry, door) for door in (*HTTP_DOORS, *LINE_SERVICES)}
        self.datagrams = {door: DatagramSeries(registry, door) for door in LINE_SERVICES}
        self.tls = {door: TlsSeries(registry, door, versions=VERSIONS, failures=FAILURES) for door in TLS_DOORS}
        self.websockets = WebSocketSeries(registry, CLOSE_CODES | {NO_STATUS, ABNORMAL})
        self.recall = {door: RecallSeries(registry, door) for door in HTTP_DOORS}
        self.observer = ObserverSeries(registry)
        self.access = AccessSeries(registry)
        self.database = DatabaseSeries(registry)
        self.worker = WorkerSeries(registry)
        self.lodge = LodgeSeries(registry, __version__)


class Shared:
    """One per lodge. `announced` is what the serving generation listens on, `tls` what it has for the doors that speak TLS."""

    def __init__(self) -> None:
        self.registry = Registry(slots=MAX_SLOTS)
        self.tally = Tally(MAX_SLOTS)
        self.generations = memoryview(mmap.mmap(-1, GENERATION_SLOTS * 4)).cast("I")
        self.request_rates = RateTable()
        self.login_failures = RateTable()
        # A client that is taken for a known one by a collision is let guess more: with 60,000 known ones that happens to 2 in 10,000.
        self.known_logins = RateTable(width=1 << 20)
        self.series = Series(self.registry)
        self.announced: Sequence[Listen] = ()
        self.tls = {door: Stock.of(protocols) for door, protocols in TLS_DOORS.items()}

    def forget_worker(self, slot: int) -> None:
        """The worker in `slot` is gone: what it held is given back, what it counted stays."""
        self.registry.clear_gauges(slot)
        self.tally.clear(slot)
