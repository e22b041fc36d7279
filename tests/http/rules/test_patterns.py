"""Patterns over paths."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.patterns import PathPattern


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/a/b", False),
        ("/a/*", "/a/", True),
        ("/a/*", "/a/b/c", True),
        ("/a/*", "/ab", False),
        ("*.css", "/deep/down/x.css", True),
        ("*.css", "/x.css.map", False),
        ("/docs/*.pdf", "/docs/a/b.pdf", True),
        ("/docs/*.pdf", "/other/b.pdf", False),
        ("*", "/anything", True),
        ("/a*b*c", "/abc", True),
        ("/a*b*c", "/a-b-b-c", True),
        ("/a*b*c", "/a-c", False),
        ("/a*a", "/a", False),
        ("/ab*ba", "/aba", False),
        ("/a.c", "/abc", False),
        ("/café/*", "/caf%C3%A9/x", True),
        ("/a b", "/a%20b", True),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, path: str, expected: bool) -> None:
    assert PathPattern(pattern).matches(path) is expected


def test_a_pattern_shows_what_was_written() -> None:
    assert repr(PathPattern("*.css")) == "PathPattern('*.css')"


@given(st.text(st.sampled_from("ab*"), max_size=8), st.text(st.sampled_from("ab"), max_size=10))
def test_matching_agrees_with_a_regular_expression(pattern: str, path: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), path) is not None
    assert PathPattern(pattern).matches(path) is expected
