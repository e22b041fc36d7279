"""Passwords as they are kept: RFC 9106, in PHC strings."""

from __future__ import annotations

import pytest

from netlodge.store.passwords import COST, Cost, Passwords, argon2id

CHEAP = Cost(memory=8, iterations=1, lanes=1)


class Derivations:
    """Counts what is asked of Argon2id, and does it."""

    def __init__(self) -> None:
        self.costs: list[Cost] = []

    def __call__(self, password: bytes, salt: bytes, cost: Cost, length: int) -> bytes:
        self.costs.append(cost)
        return argon2id(password, salt, cost, length)


class TestKept:
    def test_a_hash_of_another_implementation_is_verified(self) -> None:
        """The reference implementation's own test vector."""
        kept = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
        assert Passwords().verify("password", kept)
        assert not Passwords().verify("Password", kept)

    def test_a_new_one_says_how_it_was_made(self) -> None:
        assert Passwords().hash("open sesame").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert Cost(19456, 2, 1) == COST

    def test_is_verified_by_its_own_password_alone(self) -> None:
        passwords = Passwords(CHEAP)
        kept = passwords.hash("open sesame")
        assert passwords.verify("open sesame", kept)
        assert not passwords.verify("open sesame ", kept)
        assert not passwords.verify("", kept)

    def test_has_a_salt_of_its_own_each_time(self) -> None:
        passwords = Passwords(CHEAP)
        assert len({passwords.hash("open sesame") for _ in range(5)}) == 5

    def test_of_an_older_cost_is_verified_and_known_for_outdated(self) -> None:
        kept = Passwords(CHEAP).hash("open sesame")
        today = Passwords(Cost(16, 1, 1))
        assert today.verify("open sesame", kept)
        assert today.is_outdated(kept)
        assert not today.is_outdated(today.hash("open sesame"))

    @pytest.mark.parametrize(
        "kept",
        [
            "", "x", "open sesame", "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=8,t=9999,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=8,t=1,p=9999$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=8,t=1,p=2$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQab$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPcAA",
        ],
    )  # fmt: skip
    def test_what_is_no_hash_of_ours_matches_nothing_and_costs_the_same(self, kept: str) -> None:
        derive = Derivations()
        passwords = Passwords(CHEAP, derive)
        assert not passwords.verify("open sesame", kept)
        assert derive.costs == [CHEAP]
        assert passwords.is_outdated(kept)


class TestAnAccountThatIsNotThere:
    def test_takes_the_same_work_as_a_wrong_password(self) -> None:
        derive = Derivations()
        passwords = Passwords(CHEAP, derive)
        kept = passwords.hash("open sesame")
        derive.costs.clear()
        assert not passwords.verify("wrong password", kept)
        assert not passwords.verify("wrong password", None)
        assert derive.costs == [CHEAP, CHEAP]


class TestText:
    """RFC 8265 §4.2: when two passwords are the same text."""

    @pytest.mark.parametrize(("one", "other"), [("größe 7", "gro\u0308ße 7"), ("a b", "a\u00a0b"), ("a b", "a\u3000b")])
    def test_the_same_in_another_form_is_the_same(self, one: str, other: str) -> None:
        passwords = Passwords(CHEAP)
        assert passwords.verify(other, passwords.hash(one))

    @pytest.mark.parametrize(("one", "other"), [("Größe", "größe"), ("ab", "a b"), ("ａ", "a")])
    def test_what_looks_different_is_different(self, one: str, other: str) -> None:
        passwords = Passwords(CHEAP)
        assert not passwords.verify(other, passwords.hash(one))
