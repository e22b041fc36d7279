from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.contracts import Peer
from netlodge.core.records import Entry, HttpRecord, Record
from netlodge.observe import tap
from netlodge.observe.metrics import Registry
from netlodge.observe.selection import Selection
from netlodge.observe.tap import ENTRY_OCTETS, Gap, Ring
from tests.observe.samples import PEER, WALL, http_record, line_record


def entry(number: int, **changes: object) -> Entry:
    return WALL + number, PEER, http_record(target=f"/{number}", **changes)


def numbers(entries: list[Entry] | list[Entry | Gap]) -> list[object]:
    return [item.dropped if isinstance(item, Gap) else int(item[0] - WALL) for item in entries]


class TestTheRing:
    def test_it_keeps_the_newest(self) -> None:
        ring = Ring(3, 1_000_000)
        ring.emit([entry(0), entry(1)])
        assert numbers(ring.snapshot()) == [0, 1]
        ring.emit([entry(2), entry(3)])
        assert numbers(ring.snapshot()) == [1, 2, 3]

    def test_of_a_batch_longer_than_itself_it_takes_the_end_and_counts_the_rest(self) -> None:
        registry = Registry()
        ring = Ring(3, 1_000_000, passed_over=registry.counter("lodge_over_total", "Passed over."))
        ring.emit([entry(number) for number in range(10)])
        assert numbers(ring.snapshot()) == [7, 8, 9]
        assert registry.value("lodge_over_total") == 7

    def test_octets_are_bounded(self) -> None:
        ring = Ring(1000, 10_000)
        for number in range(20):
            ring.emit([entry(number, response_body=b"x" * 3000)])
        assert numbers(ring.snapshot()) == [18, 19]

    def test_an_entry_larger_than_the_ring_is_not_kept(self) -> None:
        ring = Ring(1000, 10_000)
        ring.emit([entry(0, response_body=b"x" * 20_000)])
        assert len(ring.snapshot()) == 0
        ring.emit([entry(1)])
        assert numbers(ring.snapshot()) == [1]

    def test_a_record_that_entries_share_is_paid_for_once(self) -> None:
        ring = Ring(1000, 20_000)
        record = http_record(response_body=b"x" * 15_000)
        ring.emit([(WALL, PEER, record)] * 5)
        assert len(ring.snapshot()) == 5

    def test_a_ring_of_none_keeps_none(self) -> None:
        registry = Registry()
        ring = Ring(0, 0, passed_over=registry.counter("lodge_over_total", "Passed over."))
        ring.emit([entry(0)])
        assert ring.snapshot() == []
        assert registry.value("lodge_over_total") == 1

    @given(
        batches=st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000)), max_size=8), max_size=8),
        entries=st.integers(0, 6),
        octets=st.integers(0, 8000),
    )
    def test_bounds_hold_for_any_traffic(self, batches: list[list[tuple[int, int]]], entries: int, octets: int) -> None:
        ring = Ring(entries, octets, redact=False)
        shared = [http_record(request_head=b"", response_head=b"", response_body=b"y" * 700) for _ in range(4)]
        for batch in batches:
            ring.emit(
                [
                    (WALL, PEER, http_record(response_body=b"x" * size) if which == 0 else shared[which])
                    for which, size in batch
                ]
            )
            kept = ring.snapshot()
            records = {record for _, _, record in kept if isinstance(record, HttpRecord)}
            size = sum(
                len(r.request_head) + len(r.response_head) + len(r.request_body) + len(r.response_body) for r in records
            )
            assert len(kept) <= entries
            assert size + ENTRY_OCTETS * len(kept) <= octets or not kept

    def test_a_snapshot_is_selected(self) -> None:
        ring = Ring(10, 1_000_000)
        ring.emit([entry(0), entry(1, status=404), (WALL + 2, Peer("192.0.2.1", 1), http_record(status=404))])
        ring.emit([(WALL + 3, PEER, line_record())])
        assert numbers(ring.snapshot(Selection(status="4xx"))) == [1, 2]
        assert numbers(ring.snapshot(Selection(status="4xx", peer="192.0.2.1"))) == [2]
        assert numbers(ring.snapshot(Selection(door="uppercase"))) == [3]
        assert numbers(ring.snapshot(Selection(door="cellar"))) == []

    def test_a_busy_line_service_does_not_push_out_the_web(self) -> None:
        registry = Registry()
        ring = Ring(3, 10_000, passed_over=registry.counter("lodge_over_total", "Passed over."))
        ring.emit([entry(0), *((WALL + number, PEER, line_record()) for number in range(1, 5)), entry(5)])
        ring.emit([(WALL + 6, PEER, line_record(question=b"x" * 9_000))])
        assert numbers(ring.snapshot()) == [0, 5, 6]
        assert registry.value("lodge_over_total") == 1

    def test_families_are_merged_by_time(self) -> None:
        ring = Ring(10, 1_000_000)
        ring.emit([(WALL + 1, PEER, line_record()), entry(2), (WALL + 3, PEER, line_record()), entry(4)])
        assert numbers(ring.snapshot()) == [1, 2, 3, 4]

    def test_a_record_that_entries_share_is_redacted_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        redacted: list[Record] = []

        def note(record: Record) -> Record:
            redacted.append(record)
            return record

        monkeypatch.setattr(tap, "redact", note)
        ring = Ring(10, 1_000_000)
        ring.emit([(WALL, PEER, http_record(response_body=b"x" * tap.BATCH_OCTETS))] * 5)
        assert [len(batch) for batch in ring.batches()] == [1] * 5
        assert len(redacted) == 1

    def test_credentials_do_not_leave_it(self) -> None:
        head = b"GET / HTTP/1.1\r\nCookie: s3cr3t\r\n\r\n"
        ring = Ring(10, 1_000_000)
        ring.emit([entry(0, request_head=head)])
        ((_, _, record),) = ring.snapshot()
        assert isinstance(record, HttpRecord)
        assert record.request_head == b"GET / HTTP/1.1\r\nCookie: [redacted]\r\n\r\n"

    def test_credentials_leave_it_when_the_lodge_is_told_so(self) -> None:
        head = b"GET / HTTP/1.1\r\nCookie: s3cr3t\r\n\r\n"
        ring = Ring(10, 1_000_000, redact=False)
        ring.emit([entry(0, request_head=head)])
        ((_, _, record),) = ring.snapshot()
        assert isinstance(record, HttpRecord)
        assert record.request_head == head


class TestSubscriptions:
    def test_a_subscriber_gets_what_passes_from_then_on(self) -> None:
        async def script() -> None:
            ring = Ring(10, 1_000_000)
            ring.emit([entry(0)])
            subscription = ring.subscribe()
            ring.emit([entry(1), entry(2)])
            ring.emit([entry(3)])
            assert numbers(await subscription.take()) == [1, 2, 3]

        asyncio.run(script())

    def test_it_waits_for_what_it_selected(self) -> None:
        async def script() -> None:
            ring = Ring(10, 1_000_000)
            waiting = asyncio.create_task(ring.subscribe(Selection(status="404")).take())
            await asyncio.sleep(0)
            ring.emit([entry(1)])
            await asyncio.sleep(0)
            assert not waiting.done()
            ring.emit([entry(2), entry(3, status=404)])
            assert numbers(await waiting) == [3]

        asyncio.run(script())

    def test_it_sees_more_of_a_batch_than_the_ring_keeps(self) -> None:
        async def script() -> None:
            ring = Ring(1, 1_000_000)
            subscription = ring.subscribe()
            ring.emit([entry(number) for number in range(5)])
            assert numbers(await subscription.take()) == [0, 1, 2, 3, 4]

        asyncio.run(script())

    def test_what_a_slow_reader_misses_is_counted_and_told_in_its_place(self) -> None:
        async def script() -> None:
            registry = Registry()
            ring = Ring(10, 1_000_000, dropped=registry.counter("lodge_dropped_total", "Dropped."))
            subscription = ring.subscribe(capacity=3)
            ring.emit([entry(0), entry(1)])
            ring.emit([entry(2), entry(3), entry(4)])
            ring.emit([entry(5)])
            assert numbers(await subscription.take()) == [0, 1, 2, 3]
            ring.emit([entry(6)])
            assert numbers(await subscription.take()) == [6]
            assert registry.value("lodge_dropped_total") == 3

        asyncio.run(script())

    def test_a_gap_comes_last_and_is_a_gap(self) -> None:
        async def script() -> None:
            ring = Ring(10, 1_000_000)
            subscription = ring.subscribe(capacity=1)
            ring.emit([entry(0), entry(1)])
            assert (await subscription.take())[1:] == [Gap(1)]

        asyncio.run(script())

    def test_much_is_taken_in_batches(self) -> None:
        async def script() -> None:
            ring = Ring(1, 1)
            subscription = ring.subscribe(capacity=3)
            ring.emit([entry(number, response_body=b"x" * tap.BATCH_OCTETS) for number in range(5)])
            assert [numbers(await subscription.take()) for _ in range(3)] == [[0], [1], [2, 2]]
            ring.close()
            assert await subscription.take() == []

        asyncio.run(script())

    def test_credentials_do_not_pass(self) -> None:
        async def script() -> None:
            ring = Ring(10, 1_000_000)
            subscription = ring.subscribe()
            ring.emit([entry(0, request_head=b"GET / HTTP/1.1\r\nAuthorization: s3cr3t\r\n\r\n")])
            ((_, _, record),) = [item for item in await subscription.take() if not isinstance(item, Gap)]
            assert isinstance(record, HttpRecord)
            assert record.request_head == b"GET / HTTP/1.1\r\nAuthorization: [redacted]\r\n\r\n"

        asyncio.run(script())

    @pytest.mark.parametrize("by", ["subscriber", "ring"])
    def test_after_the_end_what_is_queued_is_given_and_then_nothing(self, by: str) -> None:
        async def script() -> None:
            ring = Ring(10, 1_000_000)
            subscription = ring.subscribe()
            ring.emit([entry(0)])
            for _ in range(2):
                subscription.close() if by == "subscriber" else ring.close()
            ring.emit([entry(1)])
            assert numbers(await subscription.take()) == [0]
            assert await subscription.take() == []

        asyncio.run(script())

    def test_the_end_wakes_who_waits(self) -> None:
        async def script() -> None:
            ring = Ring(10, 1_000_000)
            waiting = asyncio.create_task(ring.subscribe().take())
            await asyncio.sleep(0)
            ring.close()
            assert await waiting == []

        asyncio.run(script())


def test_what_entries_behind_would_push_out_is_not_taken_in() -> None:
    ring = Ring(3, 1 << 20)
    entries = [(float(number), PEER, http_record()) for number in range(6)]
    ring.emit(entries[:4], behind=entries[4:])
    assert [entry[0] for entry in ring.snapshot()] == [3.0]
    ring.emit(entries[4:])
    assert [entry[0] for entry in ring.snapshot()] == [3.0, 4.0, 5.0]
    ring.emit(entries[:1], behind=entries[:3])
    assert [entry[0] for entry in ring.snapshot()] == [3.0, 4.0, 5.0]
