"""Whose turn it is (RFC 9218 §10, RFC 7540 §5.3): tables of cases, and random histories against plain models."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netlodge.http.rules.priority import Priority
from netlodge.http.session.h2_schedule import KEPT, Schedule
from netlodge.http.session.h2_tree import DEEPEST, DEFAULT_WEIGHT, NODES, DependencyTree
from netlodge.http.wire.h2_events import Priority as Dependency

QUANTUM = 1000


def turns(schedule: Schedule | DependencyTree, count: int) -> list[int]:
    """Who has his turn, one after the other."""
    order = []
    for _ in range(count):
        stream_id = schedule.next()
        schedule.sent(stream_id, QUANTUM)
        order.append(stream_id)
    return order


def shares(schedule: Schedule | DependencyTree, count: int) -> dict[int, int]:
    return dict(Counter(turns(schedule, count)))


def awake(*stream_ids: int) -> Schedule:
    schedule = Schedule()
    for stream_id in stream_ids:
        schedule.wake(stream_id)
    return schedule


def urgent(schedule: Schedule, stream_id: int, urgency: int, *, incremental: bool = False) -> None:
    schedule.prioritize(stream_id, Priority(urgency, incremental), is_update=True)


# --- Nothing was said -------------------------------------------------------------------------------------------------------------------


def test_streams_of_a_client_that_says_nothing_share_alike() -> None:
    assert turns(awake(1, 3, 5), 6) == [1, 3, 5, 1, 3, 5]


def test_sharing_is_by_octets() -> None:
    schedule = awake(1, 3)
    sent = Counter[int]()
    for _ in range(40):
        stream_id = schedule.next()
        octets = 1000 if stream_id == 1 else 100
        schedule.sent(stream_id, octets)
        sent[stream_id] += octets
    assert abs(sent[1] - sent[3]) <= 1000


def test_who_comes_late_shares_from_then_on() -> None:
    schedule = awake(1, 3)
    turns(schedule, 100)
    schedule.wake(5)
    assert shares(schedule, 30) == {1: 10, 3: 10, 5: 10}


def test_who_rests_has_no_turn_and_saves_none_up() -> None:
    schedule = awake(1, 3)
    turns(schedule, 10)
    schedule.rest(3)
    assert set(turns(schedule, 50)) == {1}
    schedule.wake(3)
    assert shares(schedule, 20) == {1: 10, 3: 10}


def test_waking_twice_is_waking_once() -> None:
    schedule = awake(1, 1, 3)
    assert len(schedule) == 2
    schedule.rest(1)
    schedule.rest(1)
    assert turns(schedule, 2) == [3, 3]
    schedule.forget(3)
    assert not schedule


# --- RFC 9218 §10 -----------------------------------------------------------------------------------------------------------------------


def test_urgent_goes_before_less_urgent() -> None:
    schedule = awake(1, 3, 5)
    urgent(schedule, 1, 5)
    urgent(schedule, 3, 0)
    urgent(schedule, 5, 3)
    order = []
    while schedule:
        order += turns(schedule, 2)
        schedule.forget(order[-1])
    assert order == [3, 3, 5, 5, 1, 1]


def test_what_is_of_use_only_as_a_whole_goes_in_the_order_of_requests() -> None:
    schedule = awake(5, 1, 3)
    schedule.heed_urgency()
    assert turns(schedule, 3) == [1, 1, 1]
    schedule.forget(1)
    assert turns(schedule, 2) == [3, 3]


def test_what_is_of_use_in_parts_shares() -> None:
    schedule = awake(1, 3, 5)
    for stream_id in (1, 3, 5):
        urgent(schedule, stream_id, 3, incremental=True)
    assert turns(schedule, 6) == [1, 3, 5, 1, 3, 5]


def test_neither_kind_starves_the_other() -> None:
    schedule = awake(1, 3, 5, 7)
    urgent(schedule, 3, 3, incremental=True)
    urgent(schedule, 7, 3, incremental=True)
    assert shares(schedule, 20) == {1: 10, 3: 5, 7: 5}


def test_a_change_of_priority_counts_at_once() -> None:
    schedule = awake(1, 3)
    urgent(schedule, 1, 3)
    assert turns(schedule, 1) == [1]
    urgent(schedule, 3, 1)
    assert turns(schedule, 1) == [3]
    urgent(schedule, 3, 7)
    assert turns(schedule, 1) == [1]


def test_an_update_overrides_the_field_whichever_came_first() -> None:
    schedule = awake(1, 3)
    schedule.prioritize(1, Priority(7), is_update=True)
    schedule.prioritize(1, Priority(0), is_update=False)
    assert schedule.next() == 3
    schedule.prioritize(1, Priority(0), is_update=True)
    assert schedule.next() == 1


def test_a_priority_said_before_the_request_is_kept() -> None:
    schedule = Schedule()
    urgent(schedule, 9, 0)
    for stream_id in (1, 3, 9):
        schedule.wake(stream_id)
    assert schedule.next() == 9


def test_what_is_kept_of_priorities_is_bounded() -> None:
    schedule = Schedule()
    for stream_id in range(1, 20 * KEPT, 2):
        urgent(schedule, stream_id, stream_id % 8)
    assert len(schedule.heed_urgency()._priorities) <= KEPT


def test_changing_priorities_for_ever_keeps_nothing() -> None:
    schedule = awake(1, 3, 5)
    for count in range(10_000):
        urgent(schedule, 5, count % 2 + 3)
        urgent(schedule, 3, 3)
    assert all(len(level.in_turn) < 50 for level in schedule.heed_urgency()._levels)


# --- Server push --------------------------------------------------------------------------------------------------------------------------


def test_what_was_not_asked_for_comes_last_and_in_order() -> None:
    schedule = awake(4, 2, 1, 6)
    assert turns(schedule, 2) == [1, 1]
    schedule.forget(1)
    assert turns(schedule, 2) == [2, 2]
    schedule.rest(2)
    assert turns(schedule, 1) == [4]
    schedule.forget(4)
    assert turns(schedule, 1) == [6]
    schedule.wake(2)
    assert turns(schedule, 1) == [2]


def test_no_priority_brings_it_forward() -> None:
    schedule = awake(2, 1)
    urgent(schedule, 2, 0)
    urgent(schedule, 1, 7)
    assert schedule.next() == 1


# --- RFC 7540 §5.3 ------------------------------------------------------------------------------------------------------------------------


def depends(
    tree: Schedule | DependencyTree, stream_id: int, parent: int = 0, weight: int = 16, *, exclusive: bool = False
) -> None:
    tree.depend(Dependency(stream_id, parent, weight, exclusive))


def test_5_3_1_a_parent_goes_before_its_children() -> None:
    schedule = awake(1, 3, 5)
    depends(schedule, 3, 1)
    depends(schedule, 5, 3)
    assert turns(schedule, 2) == [1, 1]
    schedule.rest(1)
    assert turns(schedule, 2) == [3, 3]
    schedule.forget(3)
    assert turns(schedule, 2) == [5, 5]
    schedule.wake(1)
    assert turns(schedule, 1) == [1]


def test_5_3_2_siblings_share_by_weight() -> None:
    schedule = awake(1, 3)
    depends(schedule, 1, weight=4)
    depends(schedule, 3, weight=12)
    assert shares(schedule, 160) == {1: 40, 3: 120}


def test_5_3_2_a_subtree_shares_by_the_weight_of_its_root() -> None:
    schedule = awake(3, 5, 7)
    depends(schedule, 1, weight=4)
    depends(schedule, 3, 1, weight=100)
    depends(schedule, 5, 1, weight=100)
    depends(schedule, 7, weight=12)
    assert shares(schedule, 160) == {3: 20, 5: 20, 7: 120}


def test_5_3_1_an_exclusive_one_takes_over_the_children() -> None:
    schedule = awake(3, 5, 7)
    depends(schedule, 1)
    depends(schedule, 3, 1)
    depends(schedule, 5, 1)
    depends(schedule, 7, 1, exclusive=True)
    assert turns(schedule, 2) == [7, 7]
    schedule.forget(7)
    assert shares(schedule, 20) == {3: 10, 5: 10}


def test_5_3_3_a_stream_that_depends_on_its_own_child_is_put_below_it() -> None:
    # The figure of the section: A above B and C, C above D and E, D above F; then A depends on D.
    a, b, c, d, e, f = 1, 3, 5, 7, 9, 11
    tree = DependencyTree()
    for stream_id, parent in ((a, 0), (b, a), (c, a), (d, c), (e, c), (f, d)):
        depends(tree, stream_id, parent)
    depends(tree, a, d)
    assert parents_of(tree) == {a: d, b: a, c: a, d: 0, e: c, f: d}
    tree = DependencyTree()
    for stream_id, parent in ((a, 0), (b, a), (c, a), (d, c), (e, c), (f, d)):
        depends(tree, stream_id, parent)
    depends(tree, a, d, exclusive=True)
    assert parents_of(tree) == {a: d, b: a, c: a, d: 0, e: c, f: a}


def test_5_3_4_what_depended_on_a_stream_that_is_forgotten_moves_up_with_its_share() -> None:
    tree = DependencyTree()
    depends(tree, 1, weight=10)
    depends(tree, 3, 1, weight=1)
    depends(tree, 5, 1, weight=3)
    for stream_id in range(7, 7 + 2 * (NODES - 2), 2):
        depends(tree, stream_id)
    assert len(tree) == NODES
    assert {number: (parents_of(tree)[number], tree._nodes[number].weight) for number in (3, 5)} == {
        3: (0, 2),
        5: (0, 7),
    }
    assert 1 not in parents_of(tree)


def test_5_3_5_a_stream_that_depends_on_one_nobody_spoke_of_stands_below_it() -> None:
    schedule = awake(3)
    depends(schedule, 3, 99)
    schedule.wake(99)
    assert turns(schedule, 1) == [99]


def test_the_tree_is_no_deeper_than_it_may_be() -> None:
    tree = DependencyTree()
    for number in range(1, 400):
        depends(tree, number, number - 1)
    assert max(depth_of(tree, number) for number in tree._nodes) <= DEEPEST
    for number in range(1000, 1400):
        depends(tree, number, 0, exclusive=True)
    assert max(depth_of(tree, number) for number in tree._nodes) <= DEEPEST


def test_a_client_that_speaks_as_rfc_9218_has_it_has_no_tree() -> None:
    schedule = awake(1, 3)
    depends(schedule, 1, 3)
    assert schedule.next() == 3
    urgent(schedule, 1, 3)
    assert schedule.next() == 1
    depends(schedule, 1, 3)
    assert schedule.next() == 1


def parents_of(tree: DependencyTree) -> dict[int, int]:
    return {number: node.parent.stream_id for number, node in tree._nodes.items() if node.parent is not None}


def depth_of(tree: DependencyTree, stream_id: int) -> int:
    depth = 0
    while stream_id:
        stream_id = parents_of(tree)[stream_id]
        depth += 1
        assert depth <= len(tree), "a circle"
    return depth


# --- Random histories -------------------------------------------------------------------------------------------------------------------


class Forest:
    """A plain model of the tree: parents, weights, who is ready. Who may have the next turn it says by looking at all of them."""

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}
        self.weights: dict[int, int] = {}
        self.ready: set[int] = set()

    def ancestors(self, stream_id: int) -> list[int]:
        found = []
        while stream_id:
            stream_id = self.parents[stream_id]
            found.append(stream_id)
        return found

    def place(self, stream_id: int) -> None:
        if stream_id and stream_id not in self.parents:
            self.parents[stream_id] = 0
            self.weights[stream_id] = DEFAULT_WEIGHT

    def depend(self, stream_id: int, parent: int, weight: int, exclusive: bool) -> None:
        self.place(stream_id)
        self.place(parent)
        if stream_id in self.ancestors(parent):
            self.parents[parent] = self.parents[stream_id]
        self.weights[stream_id] = weight
        self.parents[stream_id] = parent
        if exclusive:
            for child, above in self.parents.items():
                if above == parent and child != stream_id:
                    self.parents[child] = stream_id

    def may_be_next(self) -> set[int]:
        return {each for each in self.ready if self.ready.isdisjoint(self.ancestors(each))}


STREAMS = st.integers(1, 12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wake"), STREAMS),
        st.tuples(st.just("rest"), STREAMS),
        st.tuples(st.just("send"), STREAMS),
        st.tuples(st.just("depend"), STREAMS, st.integers(0, 12), st.integers(1, 256), st.booleans()),
    ),
    max_size=60,
)


@given(STEPS)
@settings(deadline=None)
def test_the_tree_is_as_the_plain_model_has_it(steps: list[tuple[object, ...]]) -> None:
    tree, model = DependencyTree(), Forest()
    for step, stream_id, *rest in steps:
        assert isinstance(stream_id, int)
        if step == "wake":
            tree.wake(stream_id)
            model.place(stream_id)
            model.ready.add(stream_id)
        elif step == "rest":
            tree.rest(stream_id)
            model.ready.discard(stream_id)
        elif step == "depend" and rest[0] != stream_id:
            parent, weight, exclusive = rest
            depends(tree, stream_id, int(str(parent)), int(str(weight)), exclusive=bool(exclusive))
            model.depend(stream_id, int(str(parent)), int(str(weight)), bool(exclusive))
        assert bool(tree) == bool(model.ready)
        if model.ready:
            following = tree.next()
            assert following in model.may_be_next()
            if step == "send":
                tree.sent(following, 1 + stream_id * 100)
        assert parents_of(tree) == model.parents
        for number, node in tree._nodes.items():
            below = {each for each in model.ready if each == number or number in model.ancestors(each)}
            assert bool(node.busy) == bool(below)


@given(st.lists(st.integers(1, 256), min_size=2, max_size=6))
@settings(deadline=None, max_examples=50)
def test_siblings_share_by_weight_whatever_it_is(weights: list[int]) -> None:
    tree = DependencyTree()
    for number, weight in enumerate(weights, 1):
        depends(tree, number, 0, weight)
        tree.wake(number)
    rounds = 3000
    shared = shares(tree, rounds)
    for number, weight in enumerate(weights, 1):
        assert shared.get(number, 0) == pytest.approx(rounds * weight / sum(weights), abs=len(weights) + 1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("wake"), STREAMS, st.just(0), st.just(False)),
            st.tuples(st.just("rest"), STREAMS, st.just(0), st.just(False)),
            st.tuples(st.just("send"), STREAMS, st.just(0), st.just(False)),
            st.tuples(st.just("say"), STREAMS, st.integers(0, 7), st.booleans()),
            st.tuples(st.just("forget"), STREAMS, st.just(0), st.just(False)),
        ),
        max_size=80,
    )
)
@settings(deadline=None)
def test_the_next_is_always_among_the_most_urgent(steps: list[tuple[str, int, int, bool]]) -> None:
    schedule = Schedule()
    schedule.heed_urgency()
    said: dict[int, Priority] = {}
    ready: set[int] = set()
    for step, number, urgency, incremental in steps:
        stream_id = 2 * number - 1
        if step == "wake":
            schedule.wake(stream_id)
            ready.add(stream_id)
        elif step == "rest":
            schedule.rest(stream_id)
            ready.discard(stream_id)
        elif step == "forget":
            schedule.forget(stream_id)
            ready.discard(stream_id)
            said.pop(stream_id, None)
        elif step == "say":
            urgent(schedule, stream_id, urgency, incremental=incremental)
            said[stream_id] = Priority(urgency, incremental)
        assert len(schedule) == len(ready)
        if ready:
            following = schedule.next()
            priorities = {each: said.get(each, Priority()) for each in ready}
            first = min(priority.urgency for priority in priorities.values())
            assert priorities[following].urgency == first
            if not priorities[following].is_incremental:
                in_turn = [each for each, p in priorities.items() if p.urgency == first and not p.is_incremental]
                assert following == min(in_turn)
            if step == "send":
                schedule.sent(following, 100)
