"""Rates counted in shared memory: exact for one key, over two processes too, and what others in the table can do to it."""

from __future__ import annotations

import itertools
import math
import multiprocessing
from multiprocessing.connection import Connection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.rates import Places, Rate, RateTable, retry_after

NOW = 1000.0


def granted(table: RateTable, key: bytes, rate: Rate, moments: list[float]) -> list[bool]:
    places = table.places(key)
    return [table.take(places, rate, moment) == 0.0 for moment in moments]


class TestOneKey:
    def test_may_come_as_often_as_the_burst_at_once_and_then_once_an_interval(self) -> None:
        table, rate = RateTable(), Rate(interval=2.0, burst=3)
        moments = [NOW, NOW, NOW, NOW, NOW + 1.9, NOW + 2.0, NOW + 2.0, NOW + 4.0, NOW + 4.0]
        assert granted(table, b"a", rate, moments) == [True, True, True, False, False, True, False, True, False]

    def test_has_its_whole_burst_again_after_a_rest(self) -> None:
        table, rate = RateTable(), Rate(interval=2.0, burst=3)
        assert granted(table, b"a", rate, [NOW] * 4 + [NOW + 6.0] * 4) == [True, True, True, False] * 2

    def test_saves_up_no_more_than_the_burst(self) -> None:
        table, rate = RateTable(), Rate(interval=1.0, burst=2)
        assert granted(table, b"a", rate, [NOW, NOW + 1e6, NOW + 1e6, NOW + 1e6]) == [True, True, True, False]

    def test_is_told_how_long_to_wait_and_then_gets_in(self) -> None:
        table, rate = RateTable(), Rate(interval=2.5, burst=2)
        places = table.places(b"a")
        assert [table.take(places, rate, NOW) for _ in range(3)] == [0.0, 0.0, 2.5]
        assert table.wait(places, rate, NOW + 1.0) == 1.5
        assert table.wait(places, rate, NOW + 2.5) == 0.0
        assert table.take(places, rate, NOW + 2.5) == 0.0

    def test_is_not_counted_when_it_is_refused_or_only_asked_for(self) -> None:
        table, rate = RateTable(), Rate(interval=1.0, burst=1)
        places = table.places(b"a")
        table.take(places, rate, NOW)
        for _ in range(100):
            table.take(places, rate, NOW + 0.5)
            table.wait(places, rate, NOW + 0.5)
        assert table.take(places, rate, NOW + 1.0) == 0.0

    @given(
        frequency=st.floats(0.001, 1e6),
        burst=st.integers(1, 1000),
        start=st.floats(0, 1e8),
        steps=st.lists(st.floats(0, 100), max_size=50),
    )
    def test_gets_what_a_bucket_of_tokens_would_give(
        self, frequency: float, burst: int, start: float, steps: list[float]
    ) -> None:
        table, rate = RateTable(8), Rate.of(frequency, burst)
        places = table.places(b"a")
        tokens, last = float(burst), start
        for moment in itertools.accumulate([start, *steps]):
            tokens = min(burst, tokens + (moment - last) * frequency)
            last = moment
            is_granted = table.take(places, rate, moment) == 0.0
            if abs(tokens - 1) * rate.interval > 1e-5:  # nearer than that the sums of floats decide
                assert is_granted == (tokens >= 1)
            tokens -= is_granted

    @given(frequency=st.floats(0.0001, 1e6), burst=st.integers(1, 100), now=st.floats(0, 1e8))
    def test_who_comes_back_when_told_is_never_refused(self, frequency: float, burst: int, now: float) -> None:
        table, rate = RateTable(8), Rate.of(frequency, burst)
        places = table.places(b"a")
        for _ in range(burst):
            assert table.take(places, rate, now) == 0.0
        if wait := table.take(places, rate, now):
            assert table.take(places, rate, now + int(retry_after(wait))) == 0.0


@pytest.mark.parametrize(
    ("wait", "value"), [(0.001, "1"), (1.0, "1"), (1.0000001, "1"), (1.001, "2"), (59.5, "60"), (0.0, "1")]
)
def test_retry_after_is_whole_seconds_rounded_up(wait: float, value: str) -> None:
    """RFC 9110 §10.2.3: "delay-seconds = 1*DIGIT"."""
    assert retry_after(wait) == value


def take_in_turns(table: RateTable, pipe: Connection) -> None:
    """In another process: a grant for each moment that comes through the pipe."""
    places = table.places(b"a")
    while (moment := pipe.recv()) is not None:
        pipe.send(table.take(places, Rate(1.0, 5), moment))


def test_two_processes_count_together() -> None:
    table = RateTable()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=take_in_turns, args=(table, theirs))
    process.start()
    places, rate = table.places(b"a"), Rate(1.0, 5)
    waits = []
    for number in range(8):
        if number % 2:
            waits.append(table.take(places, rate, NOW))
        else:
            ours.send(NOW)
            waits.append(ours.recv())
    ours.send(None)
    process.join()
    assert waits == [0.0] * 5 + [1.0] * 3


class TestOthersInTheTable:
    def test_have_places_of_their_own(self) -> None:
        table, rate = RateTable(), Rate(1.0, 1)
        assert all(table.take(table.places(b"%d" % number), rate, NOW) == 0.0 for number in range(1000))

    def test_who_share_some_of_its_places_take_nothing_from_a_key(self) -> None:
        table, rate = RateTable(4), Rate(1.0, 10)
        places: Places = (0, 4, 8)
        for other in ((0, 4, 9), (0, 4, 10), (0, 5, 11)):
            for _ in range(20):
                table.take(other, rate, NOW)
        assert [table.take(places, rate, NOW) for _ in range(3)] == [0.0] * 3

    def test_who_share_all_of_its_places_count_like_one_with_it(self) -> None:
        table, rate = RateTable(1), Rate(1.0, 10)
        for _ in range(10):
            table.take(table.places(b"other"), rate, NOW)
        assert table.take(table.places(b"a"), rate, NOW) == 1.0

    def test_a_collision_gives_nobody_more_than_the_rate(self) -> None:
        table, rate = RateTable(2), Rate(1.0, 4)
        keys = [table.places(b"%d" % number) for number in range(20)]
        counts = [sum(table.take(places, rate, NOW) == 0.0 for _ in range(10)) for places in keys]
        assert max(counts) <= 4

    def test_at_their_bound_refuse_as_few_as_the_module_says(self) -> None:
        """Many addresses of one attacker, each kept at its bound all the time: the share of honest ones that are refused."""
        width, attackers, honest = 4096, 1000, 4000
        table, rate = RateTable(width), Rate(60.0, 2)
        for number in range(attackers):
            places = table.places(b"attacker %d" % number)
            while not table.take(places, rate, NOW):
                pass
        refused = sum(table.wait(table.places(b"honest %d" % number), rate, NOW) > 0 for number in range(honest))
        expected = honest * (1 - math.exp(-attackers / width)) ** 3  # about 40
        assert refused < expected + 6 * math.sqrt(expected)

    def test_leave_no_trace_when_their_time_is_over(self) -> None:
        table, rate = RateTable(16), Rate(1.0, 5)
        for number in range(1000):
            table.take(table.places(b"%d" % number), rate, NOW)
        later = NOW + 6.0
        assert [table.take(table.places(b"a"), rate, later) for _ in range(6)] == [0.0] * 5 + [1.0]

    def test_cannot_be_aimed_at_a_key_of_another_lodge(self) -> None:
        assert RateTable().places(b"a") != RateTable().places(b"a")
