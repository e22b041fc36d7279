"""RFC 9111 §5.2.2: answers for one visitor."""

from __future__ import annotations

import pytest

from netlodge.http.rules.cache_control import is_private, made_private


@pytest.mark.parametrize(
    ("value", "private"),
    [
        (None, False),
        ("", False),
        ("max-age=60", False),
        ("public, max-age=60", False),
        ("no-cache", False),
        ("private", True),
        ("max-age=60,Private", True),
        ("no-cache , NO-STORE", True),
        ('private="x-field"', False),
        ("not-private", False),
    ],
)
def test_5_2_2_7_what_is_private(value: str | None, private: bool) -> None:
    assert is_private(value) is private


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, "private, no-cache"),
        ("", "private"),
        ("max-age=60", "private, max-age=60"),
        ("public, max-age=60, S-MaxAge=900, proxy-revalidate, must-revalidate", "private, max-age=60, must-revalidate"),
        ("private, max-age=60", "private, max-age=60"),
        ("no-store", "no-store"),
        ('private="x-field"', 'private, private="x-field"'),
    ],
)
def test_5_2_2_7_an_answer_is_made_private(value: str | None, result: str) -> None:
    assert made_private(value) == result
