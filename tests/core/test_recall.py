"""The table of remembered answers: conditions, turns, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.clock import FakeClock
from netlodge.core.recall import ENTRY_OVERHEAD, SEEN_ONCE, Answer, Recall
from netlodge.core.records import LineRecord

RECORD = LineRecord(door="test", transport="tcp", question=b"", answer=b"")
FOREVER = float("inf")


class Stamped(Answer):
    """An answer that shows when it was rendered."""

    def render(self, now: float, second: int) -> bytes:
        return b"%d" % second


def table(octets: int = 1 << 20, generations: list[int] | None = None) -> tuple[Recall[bytes, Stamped], FakeClock]:
    clock = FakeClock()
    return Recall(octets, clock, generations), clock


def stamped(expires: float = FOREVER, octets: int = 10, **conditions: object) -> Stamped:
    return Stamped(record=RECORD, octets=octets, expires=expires, **conditions)  # type: ignore[arg-type]


def test_only_the_exact_bytes_find_the_answer() -> None:
    recall, clock = table()
    recall.remember(b"GET / HTTP/1.1", stamped())
    found = recall.find(b"GET / HTTP/1.1")
    assert found is not None
    assert found.wire == b"%d" % clock.second
    assert recall.find(b"GET / HTTP/1.1 ") is None
    assert recall.find(b"get / HTTP/1.1") is None


def test_an_expired_answer_is_dropped_at_the_instant() -> None:
    recall, clock = table()
    recall.remember(b"q", stamped(expires=clock.now + 5))
    clock.advance(4.9)
    assert recall.find(b"q") is not None
    clock.advance(0.1)
    assert recall.find(b"q") is None
    assert len(recall) == 0
    assert recall.dropped == 1
    assert recall.octets == 0


def test_a_new_generation_in_the_slot_ends_the_answer() -> None:
    generations = [0, 0, 7]
    recall, _ = table(generations=generations)
    recall.remember(b"q", stamped(slot=2, generation=7))
    recall.remember(b"other", stamped(slot=1, generation=0))
    assert recall.find(b"q") is not None
    generations[2] += 1
    assert recall.find(b"q") is None
    assert recall.find(b"other") is not None


def test_a_condition_that_fails_ends_the_answer() -> None:
    holds = True
    recall, _ = table()
    recall.remember(b"q", stamped(still_holds=lambda: holds))
    assert recall.find(b"q") is not None
    holds = False
    assert recall.find(b"q") is None


def test_conditions_are_looked_at_for_each_question() -> None:
    checks: list[int] = []

    def still_holds() -> bool:
        checks.append(1)
        return len(checks) < 4

    recall, _ = table()
    recall.remember(b"q", stamped(still_holds=still_holds))
    assert [recall.find(b"q") is not None for _ in range(5)] == [True, True, True, False, False]
    assert len(checks) == 4


def test_a_review_drops_what_holds_no_longer_although_nobody_asks() -> None:
    recall, _ = table()
    for number in range(10):
        recall.remember(b"%d" % number, stamped(still_holds=lambda number=number: number % 2 == 0))
    recall.review(1)  # begins a round
    recall.review(4)
    assert len(recall) == 8
    recall.review(100)
    assert len(recall) == 5
    assert recall.dropped == 5


def test_an_answer_is_rendered_once_a_second() -> None:
    recall, clock = table()
    recall.remember(b"q", stamped())
    first = recall.find(b"q")
    assert first is not None
    wire = first.wire
    again = recall.find(b"q")
    assert again is not None
    assert again.wire is wire
    clock.advance(1)
    later = recall.find(b"q")
    assert later is not None
    assert later.wire == b"%d" % clock.second != wire


def test_a_question_is_wanted_when_it_comes_the_second_time() -> None:
    recall, _ = table()
    assert not recall.wants(b"q")
    assert recall.wants(b"q")


def test_a_table_of_no_octets_wants_nothing() -> None:
    recall, _ = table(octets=0)
    assert not recall.wants(b"q")
    assert not recall.wants(b"q")
    recall.remember(b"q", stamped())
    assert recall.find(b"q") is None


def test_the_set_of_questions_seen_once_is_bounded() -> None:
    recall, _ = table()
    for number in range(SEEN_ONCE):
        assert not recall.wants(b"%d" % number)
    assert recall.wants(b"0")
    assert not recall.wants(b"one more")
    assert not recall.wants(b"0"), "the set began anew"


def test_an_answer_larger_than_an_eighth_of_the_table_is_not_kept() -> None:
    recall, _ = table(octets=80 * ENTRY_OVERHEAD)
    recall.remember(b"q", stamped(octets=10 * ENTRY_OVERHEAD))
    assert len(recall) == 0
    recall.remember(b"q", stamped(octets=8 * ENTRY_OVERHEAD))
    assert len(recall) == 1


def test_eviction_spares_what_was_used_once_more() -> None:
    recall, _ = table(octets=10 * (ENTRY_OVERHEAD + 11))
    for number in range(10):
        recall.remember(b"%d" % number, stamped())
    assert recall.find(b"0") is not None
    recall.remember(b"a", stamped())
    assert recall.find(b"0") is not None
    assert recall.find(b"1") is None
    assert recall.evicted == 1


def test_clear_forgets_everything() -> None:
    recall, _ = table()
    recall.wants(b"q")
    recall.remember(b"q", stamped())
    recall.clear()
    assert recall.find(b"q") is None
    assert recall.octets == 0
    assert not recall.wants(b"q")


def test_the_base_answer_says_that_it_cannot_be_rendered() -> None:
    with pytest.raises(TypeError, match="Answer"):
        Answer(record=RECORD, octets=1, expires=FOREVER).render(0.0, 0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4000), st.booleans()), max_size=200))
def test_the_account_never_exceeds_the_bound_and_is_exact(steps: list[tuple[int, int, bool]]) -> None:
    limit = 16 * ENTRY_OVERHEAD
    recall, _ = table(octets=limit)
    kept: dict[bytes, int] = {}
    for key, octets, is_use in steps:
        question = b"%d" % key
        if is_use:
            recall.find(question)
        else:
            recall.remember(question, stamped(octets=octets))
            kept[question] = len(question) + octets + ENTRY_OVERHEAD
        assert recall.octets <= limit
        held = {q: cost for q, cost in kept.items() if recall.find(q) is not None}
        assert recall.octets == sum(held.values()) or not held or len(held) == len(recall)
