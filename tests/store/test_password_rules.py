"""NIST SP 800-63B §5.1.1.2: which passwords may be chosen."""

from __future__ import annotations

import pytest

from netlodge.store.password_rules import complaint_about


@pytest.mark.parametrize(
    "password",
    [
        "correct horse",
        "Tr0ub4dor&3",
        "größe ist sieben",
        "hunter2hunter2",
        "z" * 4 + "kJ9w!x",
        "x7Z" + "y" * 1021,
        "花子は花が好きだ",
    ],
)
def test_most_passwords_will_do(password: str) -> None:
    assert complaint_about(password, "anna") == ""


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("", "at least 8"),
        ("kJ9w!x7", "has 7 characters"),
        ("x7Ab" * 300, "1024 at most"),
        ("aaaaaaaaaa", "too few different"),
        ("ababababab", "too few different"),
        ("Password1", "tried first"),
        ("PASSWORT123", "tried first"),
        ("12345678", "tried first"),
        ("987654321", "tried first"),
        ("abcdefgh", "tried first"),
        ("qwertyuiop", "tried first"),
        ("1qaz2wsx3edc", "tried first"),
        ("abcdabcdabcd", "tried first"),
        ("Anna-Lena12", "little more than the name"),
        ("netlodge1", "little more than the name"),
        ("kJ9w!x7\tb", "control characters"),
        ("kJ9w!x7\x7fb", "control characters"),
    ],
)
def test_those_that_are_guessed_first_are_refused_with_the_reason(password: str, word: str) -> None:
    complaint = complaint_about(password, "anna-lena")
    assert word in complaint
    assert password == "" or password not in complaint
