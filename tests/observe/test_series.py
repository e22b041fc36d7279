from __future__ import annotations

import os

import msgspec
import pytest

from netlodge.config.limits import Limits
from netlodge.core.records import Record
from netlodge.observe.metrics import Registry
from netlodge.observe.series import (
    ConnectionSeries,
    ExchangeSeries,
    LodgeSeries,
    ObserverSeries,
    RecallSeries,
    WebSocketSeries,
    WorkerSeries,
)
from tests.observe.prometheus import parse
from tests.observe.samples import http_record, line_record


def counted(*exchanges: tuple[Record, int]) -> Registry:
    registry = Registry(slots=2)
    series = ExchangeSeries(registry, http_doors=["web", "dashboard"], line_doors=["uppercase"])
    series.count(dict(exchanges))
    return registry


class TestHttp:
    @pytest.mark.parametrize(
        ("changes", "labels"),
        [
            ({}, {"door": "web", "method": "GET", "code": "2xx"}),
            ({"status": 304}, {"door": "web", "method": "GET", "code": "3xx"}),
            ({"method": "get"}, {"method": "other"}),  # methods are case-sensitive (RFC 9110 §9.1)
            ({"method": "BREW"}, {"method": "other", "code": "2xx"}),
            ({"method": ""}, {"method": "other"}),
            ({"status": 0}, {"code": "none"}),
            ({"status": 999}, {"code": "none"}),
            ({"status": -5}, {"code": "none"}),
            ({"door": "cellar"}, {"door": "other"}),
        ],
    )
    def test_a_request_counts_under_labels_from_fixed_sets(
        self, changes: dict[str, object], labels: dict[str, str]
    ) -> None:
        registry = counted((http_record(**changes), 3))
        assert registry.value("netlodge_http_requests_total") == 3
        assert registry.value("netlodge_http_requests_total", **labels) == 3

    def test_octets_of_content_are_those_of_all_the_exchanges(self) -> None:
        registry = counted((http_record(received=7, sent=1000), 2), (http_record(sent=1), 1))
        assert registry.value("netlodge_http_request_content_bytes_total", door="web") == 14
        assert registry.value("netlodge_http_response_content_bytes_total", door="web") == 2001

    @pytest.mark.parametrize(("version", "label"), [("1.0", "1.0"), ("1.1", "1.1"), ("2", "2"), ("", "other")])
    def test_versions_are_counted(self, version: str, label: str) -> None:
        registry = counted((http_record(version=version), 3))
        assert registry.value("netlodge_http_versions_total", door="web", version=label) == 3
        assert registry.value("netlodge_http_versions_total") == 3

    def test_recalled_answers_are_counted(self) -> None:
        registry = counted((http_record(is_recalled=True), 5), (http_record(), 1))
        assert registry.value("netlodge_http_recalled_total") == 5

    def test_durations_fall_into_buckets(self) -> None:
        registry = counted((http_record(elapsed=0.02), 4))
        samples = parse(registry.render())["netlodge_http_request_duration_seconds"].samples
        bucket = "netlodge_http_request_duration_seconds_bucket"
        assert samples[bucket, (("door", "web"), ("le", "0.01"))] == 0
        assert samples[bucket, (("door", "web"), ("le", "0.025"))] == 4

    @pytest.mark.parametrize(("status", "label"), [(400, "400"), (431, "431"), (418, "other")])
    def test_a_refused_message_is_bad_by_its_status(self, status: int, label: str) -> None:
        registry = counted((http_record(outcome="refused", status=status), 1))
        assert registry.value("netlodge_http_bad_messages_total", status=label) == 1
        assert registry.value("netlodge_http_incomplete_total") == 0

    @pytest.mark.parametrize("outcome", ["aborted", "timeout", "failed"])
    def test_what_did_not_end_well_is_counted_by_its_end(self, outcome: str) -> None:
        registry = counted((http_record(outcome=outcome), 2))
        assert registry.value("netlodge_http_incomplete_total", outcome=outcome) == 2

    def test_an_outcome_from_the_future_harms_nobody(self) -> None:
        registry = counted((http_record(outcome="teleported"), 1))
        assert registry.value("netlodge_http_requests_total") == 1


class TestLines:
    def test_sentences_and_datagrams_are_counted_by_service(self) -> None:
        registry = counted((line_record(), 3), (line_record(transport="udp"), 1), (line_record(door="new"), 1))
        name = "netlodge_lines_exchanges_total"
        assert registry.value(name, service="uppercase", transport="tcp") == 3
        assert registry.value(name, service="uppercase", transport="udp") == 1
        assert registry.value(name, service="other") == 1
        assert registry.value("netlodge_lines_received_bytes_total", service="uppercase", transport="tcp") == 18
        assert registry.value("netlodge_lines_sent_bytes_total", service="other") == 6

    def test_refused_sentences_are_counted(self) -> None:
        registry = counted((line_record(outcome="refused"), 1), (line_record(outcome="?"), 1))
        assert registry.value("netlodge_lines_incomplete_total") == 1


def test_everything_that_is_registered_renders_as_prometheus_reads_it() -> None:
    registry = counted((http_record(), 1), (line_record(), 1))
    ConnectionSeries(registry, "web").refused("limits.connections").add()
    ObserverSeries(registry)
    LodgeSeries(registry, "0.1.0").start(1_700_000_000.5)
    WorkerSeries(registry)
    metrics = parse(registry.render())
    assert metrics["process_start_time_seconds"].samples["process_start_time_seconds", ()] == 1_700_000_000
    assert metrics["netlodge_generation"].samples["netlodge_generation", ()] == 1
    assert len(metrics) > 20


def test_a_second_generation_finds_the_series_of_the_first() -> None:
    registry = counted((http_record(), 1))
    ExchangeSeries(registry, http_doors=["web", "new"]).count({http_record(): 1})
    assert registry.value("netlodge_http_requests_total", door="web") == 2


def test_a_refusal_by_an_unknown_limit_counts_as_other() -> None:
    registry = Registry()
    ConnectionSeries(registry, "web").refused("limits.new").add()
    assert registry.value("netlodge_connections_refused_total", limit="other") == 1


def test_a_worker_says_what_it_costs() -> None:
    registry = Registry()
    series = WorkerSeries(registry)
    pid = os.fork()
    if pid == 0:
        try:
            registry.bind(5)
            series.start(1_700_000_000.0)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    samples = parse(registry.render())
    worker = (("worker", "5"),)
    assert samples["netlodge_workers"].samples["netlodge_workers", ()] == 1
    assert samples["netlodge_worker_start_time_seconds"].samples["netlodge_worker_start_time_seconds", worker] > 0
    assert samples["process_resident_memory_bytes"].samples["process_resident_memory_bytes", worker] > 1_000_000
    assert samples["process_cpu_seconds_total"].samples["process_cpu_seconds_total", worker] > 0
    registry.clear_gauges(5)
    assert registry.value("netlodge_workers") == 0
    assert "process_resident_memory_bytes" not in registry.render()


def test_what_recall_tables_hold_and_let_go_is_seen() -> None:
    registry = Registry()
    series = RecallSeries(registry, "web")
    series.sample("octets", answers=5, octets=7000, dropped=2, evicted=1)
    series.sample("octets", answers=3, octets=4000, dropped=3, evicted=1)
    series.sample("meaning", answers=1, octets=1100, dropped=0, evicted=4)
    series.sample("h2", answers=2, octets=900, dropped=0, evicted=0)
    said = {
        name: tuple(registry.value(f"netlodge_recall_{name}", door="web", table=table) for table in series.TABLES)
        for name in ("answers", "bytes", "dropped_total", "evicted_total")
    }
    assert said == {
        "answers": (3, 1, 2),
        "bytes": (4000, 1100, 900),
        "dropped_total": (3, 0, 0),
        "evicted_total": (1, 4, 0),
    }


def test_the_limits_that_refuse_connections_are_settings() -> None:
    settings = {f"limits.{field.name}" for field in msgspec.structs.fields(Limits)}
    assert settings.issuperset(ConnectionSeries.LIMITS)


class TestWebSockets:
    @pytest.mark.parametrize(
        ("code", "label"),
        [(1000, "1000"), (1006, "1006"), (1015, "other"), (3000, "3xxx"), (4999, "4xxx"), (9999, "other")],
    )
    def test_ends_are_counted_under_codes_from_a_fixed_set(self, code: int, label: str) -> None:
        registry = Registry(slots=2)
        series = WebSocketSeries(registry, {1000, 1006})
        series.open.add(1)
        series.ended(code).add()
        assert registry.value("netlodge_websockets_open") == 1
        assert registry.value("netlodge_websockets_ended_total", code=label) == 1
