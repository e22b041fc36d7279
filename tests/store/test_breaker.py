"""The breaker: closed, open, half open."""

from __future__ import annotations

from netlodge.store.breaker import Breaker


def test_while_all_is_well_everyone_goes_through() -> None:
    breaker = Breaker(rest=1.0)
    breaker.worked()
    assert [breaker.refusal(now) for now in (0.0, 0.0, 5.0)] == ["", "", ""]


def test_after_a_failure_nobody_goes_through_for_the_rest() -> None:
    breaker = Breaker(rest=1.0)
    breaker.failed(10.0, "It is away.")
    assert [breaker.refusal(now) for now in (10.0, 10.999)] == ["It is away."] * 2


def test_then_one_goes_through_and_the_others_wait_for_what_becomes_of_it() -> None:
    breaker = Breaker(rest=1.0)
    breaker.failed(10.0, "It is away.")
    assert [breaker.refusal(11.0), breaker.refusal(11.0), breaker.refusal(20.0)] == ["", "It is away.", "It is away."]


def test_one_that_worked_lets_everyone_through() -> None:
    breaker = Breaker(rest=1.0)
    breaker.failed(10.0, "It is away.")
    assert not breaker.refusal(11.0)
    breaker.worked()
    assert [breaker.refusal(11.1), breaker.refusal(11.1)] == ["", ""]


def test_one_that_failed_begins_the_rest_anew() -> None:
    breaker = Breaker(rest=1.0)
    breaker.failed(10.0, "It is away.")
    assert not breaker.refusal(11.0)
    breaker.failed(13.0, "It is still away.")
    assert [breaker.refusal(13.9), breaker.refusal(14.0)] == ["It is still away.", ""]


def test_one_that_did_not_try_leaves_the_turn_to_the_next() -> None:
    breaker = Breaker(rest=1.0)
    breaker.failed(10.0, "It is away.")
    assert not breaker.refusal(11.0)
    breaker.undecided()
    assert [breaker.refusal(11.1), breaker.refusal(11.1)] == ["", "It is away."]
