from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from netlodge.core.records import Entry, Journal
from netlodge.observe.access_log import AccessLog
from netlodge.observe.journal import BATCH, COMPLAINT_SECONDS, Observer
from netlodge.observe.metrics import Registry
from netlodge.observe.series import ExchangeSeries
from netlodge.observe.tap import Ring
from tests.observe.samples import PEER, WALL, http_record, line_record


class BrokenRing(Ring):
    def emit(self, batch: Sequence[Entry], behind: Sequence[Entry] = ()) -> None:
        raise RuntimeError("a defect")


def test_what_passed_is_counted_logged_and_kept(tmp_path: Path) -> None:
    registry = Registry()
    ring = Ring(10, 1_000_000)
    log = AccessLog(str(tmp_path / "log"))
    series = ExchangeSeries(registry, http_doors=["web"], line_doors=["uppercase"])
    observer = Observer(series=series, log=log, ring=ring)
    hot = http_record(is_recalled=True)
    journal: Journal = [(WALL, PEER, hot)] * 3 + [(WALL, PEER, http_record(status=404)), (WALL, PEER, line_record())]
    observer.drain(journal)
    log.close()
    assert journal == []
    assert registry.value("netlodge_http_requests_total", code="2xx") == 3
    assert registry.value("netlodge_http_requests_total", code="4xx") == 1
    assert registry.value("netlodge_lines_exchanges_total") == 1
    assert len(ring.snapshot()) == 5
    assert (tmp_path / "log").read_bytes().count(b"\n") == 4


def test_the_list_that_sessions_hold_stays_the_same() -> None:
    ring = Ring(10, 1_000_000)
    observer = Observer(ring=ring)
    journal: Journal = [(WALL, PEER, http_record())]
    append = journal.append
    observer.drain(journal)
    append((WALL, PEER, http_record()))
    observer.drain(journal)
    assert len(ring.snapshot()) == 2


def test_nothing_looks_on_and_nothing_fails() -> None:
    journal: Journal = [(WALL, PEER, http_record())]
    Observer().drain(journal)
    assert journal == []


def test_a_defect_in_one_part_costs_the_others_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    now = 5.0
    log = AccessLog(str(tmp_path / "log"))
    observer = Observer(
        series=ExchangeSeries(registry, http_doors=["web"]),
        log=log,
        ring=BrokenRing(1, 1),
        failures=registry.counter("lodge_failures_total", "Failures."),
        monotonic=lambda: now,
    )
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            observer.drain([(WALL, PEER, http_record())])
        now += COMPLAINT_SECONDS
        observer.drain([(WALL, PEER, http_record())])
    log.close()
    assert registry.value("netlodge_http_requests_total") == 4
    assert registry.value("lodge_failures_total") == 4
    assert (tmp_path / "log").read_bytes().count(b"\n") == 4
    assert [record.message for record in caplog.records] == ["A defect in observation: 1 entries are lost to it."] * 2


def test_a_defect_in_counting_still_empties_the_journal(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observer(series=ExchangeSeries(Registry()), ring=Ring(10, 1_000_000))
    journal: Journal = [(WALL, PEER, object())]  # type: ignore[list-item]
    observer.drain(journal)
    assert journal == []
    assert "A defect" in caplog.text


def test_a_long_journal_is_taken_in_batches() -> None:
    lines: list[tuple[int, int]] = []

    class Looker(Ring):
        def emit(self, batch: Sequence[Entry], behind: Sequence[Entry] = ()) -> None:
            lines.append((len(batch), len(behind)))

    observer = Observer(ring=Looker(10, 1000))
    journal: Journal = [(WALL, PEER, http_record()) for _ in range(2 * BATCH + 1)]
    assert [observer.drain(journal) for _ in range(4)] == [True, True, False, False]
    assert lines == [(BATCH, BATCH + 1), (BATCH, 1), (1, 0)]
    assert journal == []
