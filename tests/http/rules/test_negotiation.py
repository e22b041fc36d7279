"""RFC 9110 §12.4.2, §12.5.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.negotiation import names, prefer, quality

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "media_type", "expected"),
    [
        # The first example of §12.5.1.
        ("text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, */*;q=0.5", "text/html", 300),
        ("text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "image/jpeg", 500),
        ("text/html;q=0.7, text/*", "text/html", 700),
        ("text/html;q=0, */*", "text/html", 0),
        ("TEXT/HTML;Q=0.5", "text/html", 500),
        ("text/html ; q=0.25", "text/html", 250),
        ("text/html;q=1.000", "text/html", 1000),
        ("text/html;level=1;q=0.4", "text/html", 400),
        ("text/html;q=2", "text/html", 0),
        ("text/html;q=1.5, */*;q=0.1", "text/html", 100),
        ("text/html;q=", "text/html", 0),
        ("text", "text/html", 0),
        ("*", "text/html", 0),
        ("", "text/html", 0),
        ("image/*", "text/html", 0),
    ],
)
def test_the_most_specific_range_gives_the_quality(accept: str, media_type: str, expected: int) -> None:
    assert quality(accept, media_type) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        (BROWSER, "text/html"),
        ("text/html;q=0.5, text/plain;q=0.4", "text/html"),
        ("text/html, text/plain", "text/plain"),
        ("image/png", None),
    ],
)
def test_the_best_offer_is_preferred_and_of_equals_the_first(accept: str | None, expected: str | None) -> None:
    assert prefer(accept, ["text/plain", "text/html"]) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [(BROWSER, True), ("text/html;q=0", False), ("*/*", False), ("text/*", False), (None, False), ("", False)],
)
def test_a_wildcard_does_not_name_a_type(accept: str | None, expected: bool) -> None:
    assert names(accept, "text/html") is expected


@given(st.text(st.sampled_from("text/html*;q=0.1, "), max_size=30))
def test_no_value_makes_the_reader_fail(accept: str) -> None:
    assert 0 <= quality(accept, "text/html") <= 1000
