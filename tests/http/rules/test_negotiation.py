"""RFC 9110 §12.4, §12.5.1, §12.5.5."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.negotiation import MEMBERS, MediaRanges, members_of, merge_vary, names, prefer, quality

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
        # A range with a parameter is for types that have it.
        ("text/html;level=1;q=0.4", "text/html", 0),
        ("text/html;level=1;q=0.4", "text/html;level=1", 400),
        ("text/html;level=1;q=0.4", 'text/html; Level="1"', 400),
        ("text/html;level=1, text/html;q=0.3", "text/html;level=1", 1000),
        ("text/html;level=1, text/html;q=0.3", "text/html;level=2", 300),
        ("text/*;level=1;q=0.2, text/*;q=0.1", "text/html;level=1", 200),
        ("text/html;q=0.2;level=1", "text/html;level=1", 200),
        ('text/html;x="a,b;c\\"d";q=0.2', 'text/html;x="a,b;c\\"d"', 200),
        # A charset says nothing of a type that has none.
        ("application/json;charset=utf-8;q=0.2", "application/json", 200),
        ("text/html;charset=UTF-8;q=0.2", "text/html; charset=utf-8", 200),
        ("text/html;charset=latin1", "text/html; charset=utf-8", 0),
        # What follows no grammar is passed over, and the rest counts.
        ("text/html;q=0.5;q=0.6, text/*;q=0.2", "text/html", 200),
        ('text/html;q="0.5", text/*;q=0.2', "text/html", 200),
        ("text/html;level, text/*;q=0.2", "text/html", 200),
        ("text/html;;q=0.5;", "text/html", 500),
        (",, ,text/html;q=0.5,;q=1", "text/html", 500),
        ('text/plain;x="text/html, text/html', "text/html", 0),
        ('a", text/html', "text/html", 0),
        ("text/html;q=0.2, text/html;q=0.3", "text/html", 200),
        ("text/html", "", 0),
        ("text/html", ";", 0),
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


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("text/plain;format=flowed", 1000),
        ("text/plain", 700),
        ("text/html", 300),
        ("image/jpeg", 500),
        ("text/plain;format=fixed", 400),
        ("text/html;level=3", 300),
    ],
)
def test_the_table_of_the_rfc(media_type: str, expected: int) -> None:
    """§12.5.1. (Its last row says 0.7, which no range of its example gives; RFC 2616 had a `text/html;q=0.7` there.)"""
    accept = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5"
    assert quality(accept, media_type) == expected


def test_no_field_is_no_preference() -> None:
    assert MediaRanges(None).quality("image/png") == 1000


@pytest.mark.parametrize("padding", ["a/b", 'a/b;x="y"'])
def test_of_a_long_list_the_first_members_are_read(padding: str) -> None:
    others = [padding] * (MEMBERS - 1)
    assert quality(", ".join([*others, "text/html"]), "text/html") == 1000
    assert quality(", ".join([*others, padding, "text/html"]), "text/html") == 0
    assert len(members_of(", ".join(others * 3))) == MEMBERS


@pytest.mark.parametrize(
    ("value", "added", "expected"),
    [
        (None, "accept", "accept"),
        ("Accept", "accept", "Accept"),
        ("accept, ,origin", "accept-language", "accept, origin, accept-language"),
        ("*", "accept", "*"),
        ("accept", "*", "*"),
    ],
)
def test_vary_names_each_field_once(value: str | None, added: str, expected: str) -> None:
    assert merge_vary(value, added) == expected


@given(st.text(st.sampled_from('text/html*;q=0.1, "\\'), max_size=30))
def test_no_value_makes_the_reader_fail(accept: str) -> None:
    assert 0 <= quality(accept, "text/html") <= 1000
