"""What wrong logins lead to, as a function of time."""

from __future__ import annotations

from netlodge.app.shared import Shared
from netlodge.core.rates import Rate, RateTable
from netlodge.store.login_failures import LoginFailures, _pair_key

NOW = 5000.0
HOME, CAFE = b"\x7f\0\0\1", b"\x7f\0\0\2"
LIMIT = 3


def failures() -> LoginFailures:
    return LoginFailures(RateTable(), RateTable(), Rate(interval=30.0, burst=LIMIT))


def fail(counted: LoginFailures, client: bytes, name: str, times: int, now: float = NOW) -> None:
    for _ in range(times):
        counted.failed(client, name, now)


def test_below_the_limit_nobody_waits() -> None:
    counted = failures()
    fail(counted, HOME, "anna", LIMIT - 1)
    assert counted.wait(HOME, "anna", NOW) == 0.0


def test_at_the_limit_one_waits_until_one_failure_is_forgotten() -> None:
    counted = failures()
    fail(counted, HOME, "anna", LIMIT)
    assert counted.wait(HOME, "anna", NOW) == 30.0
    assert counted.wait(HOME, "anna", NOW + 29.0) == 1.0
    assert counted.wait(HOME, "anna", NOW + 30.0) == 0.0
    fail(counted, HOME, "anna", 1, NOW + 30.0)
    assert counted.wait(HOME, "anna", NOW + 30.0) == 30.0


def test_a_client_is_counted_over_all_names() -> None:
    counted = failures()
    for name in ("anna", "bert", ""):
        fail(counted, HOME, name, 1)
    assert counted.wait(HOME, "carl", NOW) == 30.0
    assert counted.wait(HOME, "", NOW) == 30.0
    assert counted.wait(CAFE, "carl", NOW) == 0.0


def test_an_account_is_counted_over_all_clients() -> None:
    counted = failures()
    for number in range(LIMIT):
        fail(counted, b"client %d" % number, "anna", 1)
    assert counted.wait(CAFE, "anna", NOW) == 30.0
    assert counted.wait(CAFE, "bert", NOW) == 0.0


def test_a_client_that_has_logged_in_is_not_kept_out_by_others() -> None:
    counted = failures()
    counted.succeeded(HOME, "anna", NOW)
    fail(counted, CAFE, "anna", LIMIT)  # somebody elsewhere tries the same account
    fail(counted, HOME, "bert", LIMIT)  # somebody at the same address tries another
    assert counted.wait(HOME, "anna", NOW) == 0.0
    assert counted.wait(CAFE, "anna", NOW) == 30.0
    assert counted.wait(HOME, "bert", NOW) == 30.0


def test_a_client_that_has_logged_in_cannot_guess_without_end() -> None:
    counted = failures()
    counted.succeeded(HOME, "anna", NOW)
    fail(counted, HOME, "anna", LIMIT)
    assert counted.wait(HOME, "anna", NOW) == 30.0
    assert counted.wait(CAFE, "anna", NOW) == 0.0


def test_a_client_is_known_for_a_week() -> None:
    counted = failures()
    counted.succeeded(HOME, "anna", NOW)
    later = NOW + 7 * 86400 + 1
    for number in range(LIMIT):
        fail(counted, b"client %d" % number, "anna", 1, later)
    assert counted.wait(HOME, "anna", later) == 30.0


def test_one_account_is_not_known_for_another() -> None:
    counted = failures()
    counted.succeeded(HOME, "anna", NOW)
    fail(counted, CAFE, "bert", LIMIT)
    assert counted.wait(HOME, "bert", NOW) == 30.0


def test_a_stranger_is_not_taken_for_a_known_client_though_very_many_are_known() -> None:
    """Whoever has an account and a network could make many known: each stranger that collides with them would be let guess more."""
    shared = Shared()
    counted = LoginFailures(shared.login_failures, shared.known_logins, Rate(interval=30.0, burst=LIMIT))
    for number in range(60_000):
        counted.succeeded(b"%08d" % number, "mallory", NOW)
    strangers = (b"%08d" % number for number in range(3000))
    # As a known client each would have a count of its own; as strangers they share that of the account.
    taken_for_known = sum(
        counted._keys(stranger, "anna", NOW) == (_pair_key(stranger, "anna"),) for stranger in strangers
    )
    assert taken_for_known <= 8
