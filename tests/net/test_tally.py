"""Counting clients over workers: several processes, collisions, a worker that dies."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.net.tally import Tally, client_key

HOSTS = st.ip_addresses(v=4).map(str)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unix:", "unix:", True),
        ("unix:", "192.0.2.1", False),
        ("not an address", "not an address", True),
        ("not an address", "nor this", False),
        ("no:address", "nor:this", False),
    ],
)
def test_who_counts_as_one_client(one: str, other: str, is_same: bool) -> None:
    assert (client_key(one) == client_key(other)) is is_same


def test_a_client_is_counted_over_all_workers() -> None:
    tally = Tally(slots=4)
    first, second = tally.row(0), tally.row(3)
    assert [first.enter("192.0.2.1"), second.enter("192.0.2.1"), first.enter("192.0.2.1")] == [1, 2, 3]
    assert second.enter("192.0.2.7") == 1
    first.leave("192.0.2.1")
    assert tally.count("192.0.2.1") == 2
    assert first.total() == tally.total() == 3


def test_what_a_dead_worker_held_is_given_back() -> None:
    tally = Tally(slots=3)
    for slot in range(3):
        for host in ("192.0.2.1", "2001:db8::1", "unix:"):
            tally.row(slot).enter(host)
    tally.clear(1)
    assert [tally.count(host) for host in ("192.0.2.1", "2001:db8::1", "unix:")] == [2, 2, 2]
    assert tally.total() == 6


def test_who_leaves_without_having_come_is_a_defect() -> None:
    with pytest.raises(ValueError, match="invalid value"):
        Tally(slots=1).row(0).leave("192.0.2.1")


@given(st.lists(HOSTS, max_size=60), st.sampled_from([1, 2, 8, 8192]))
def test_a_count_is_never_too_low(hosts: list[str], width: int) -> None:
    tally = Tally(slots=2, width=width)
    for at, host in enumerate(hosts):
        assert tally.row(at % 2).enter(host) >= hosts[: at + 1].count(host)
    for at, host in enumerate(hosts):
        tally.row(at % 2).leave(host)
    assert tally.total() == 0
    assert not any(tally.count(host) for host in hosts)


def test_a_neighbour_in_one_bucket_does_not_count() -> None:
    tally = Tally(slots=1, width=64)
    row = tally.row(0)
    mine = tally.buckets("192.0.2.1")
    others = [f"198.51.100.{n}" for n in range(256)]
    neighbours = [host for host in others if (tally.buckets(host)[0] == mine[0]) != (tally.buckets(host)[1] == mine[1])]
    in_first = [host for host in neighbours if tally.buckets(host)[0] == mine[0]]
    assert in_first, "about 4 of 256 are expected in each bucket"
    for host in in_first:
        row.enter(host)
    assert row.enter("192.0.2.1") == 1


def test_nobody_outside_can_tell_which_clients_share_a_bucket() -> None:
    hosts = [f"198.51.100.{n}" for n in range(64)]
    one, other = Tally(slots=1), Tally(slots=1)
    assert [one.buckets(host) for host in hosts] != [other.buckets(host) for host in hosts]


def test_the_memory_is_shared_with_forked_workers() -> None:
    tally = Tally(slots=128)
    tally.row(0).enter("192.0.2.1")
    pid = os.fork()
    if pid == 0:
        os._exit(tally.row(127).enter("192.0.2.1"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert tally.count("192.0.2.1") == 2
    tally.clear(127)
    assert tally.count("192.0.2.1") == 1


def test_a_sum_is_right_up_to_the_largest_counts() -> None:
    tally = Tally(slots=3, width=1)
    for slot, amount in enumerate((2**31, 2**31 - 2, 0)):
        tally.add(0, slot, amount)
    assert tally.sum_of(0) == 2**32 - 2
