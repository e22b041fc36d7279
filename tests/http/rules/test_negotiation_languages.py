"""RFC 9110 §12.5.4, RFC 4647 §3.3.1 and §3.4, RFC 5646 §2.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.negotiation_languages import NO_FIT, Languages, is_language

EXAMPLE = "da, en-gb;q=0.8, en;q=0.7"


@pytest.mark.parametrize(
    ("value", "tag", "expected"),
    [
        # The example of §12.5.4.
        (EXAMPLE, "da", 1000),
        (EXAMPLE, "en-GB", 800),
        (EXAMPLE, "en-US", 700),
        (EXAMPLE, "en", 700),
        (EXAMPLE, "fr", None),
        # RFC 4647 §3.3.1: "de-de" matches "de-DE-1996", but not "de-Deva" or "de-Latn-DE".
        ("de-de", "de-DE-1996", 1000),
        ("de-de", "de-Deva", None),
        ("de-de", "de-Latn-DE", None),
        ("de", "deu", None),
        ("de-AT", "de", None),
        # The longest range has the say, whatever its place and its weight.
        ("en;q=0.9, en-US;q=0", "en-US", 0),
        ("en-US;q=0, en;q=0.9", "en-US", 0),
        ("en-US;q=0, en;q=0.9", "en-GB", 900),
        # "*" matches what no other range does.
        ("*;q=0.3, de;q=0.1", "de", 100),
        ("*;q=0.3, de;q=0.1", "fr", 300),
        ("*;q=0.3, *;q=0.4", "fr", 300),
        ("*;q=0", "fr", 0),
        # No language.
        ("*;q=0.3, de", "", 300),
        ("de", "", None),
        # Absent, empty, and what is no range.
        (None, "de", 1000),
        ("", "de", None),
        ("de_AT, de;x=y, deutschland", "de", None),
        ("-".join(["de"] * 17), "de", None),
        ("de;q=0.2, de;q=0.3", "de", 200),
    ],
)
def test_basic_filtering(value: str | None, tag: str, expected: int | None) -> None:
    assert Languages(value).quality(tag) == expected


@pytest.mark.parametrize(
    ("value", "tag", "quality", "left"),
    [
        ("de-AT", "de", 1000, "de"),
        ("zh-Hant-CN-x-private1-private2", "zh-Hant", 1000, "zh-Hant"),
        ("zh-Hant-CN-x-private1-private2", "zh", 1000, "zh"),
        ("en-GB;q=0.4", "en-US", 400, "en"),
        # Of two ranges that fit in the end, the better one counts.
        ("en-GB, en-AU;q=0.4", "en-AU", 1000, "en"),
        ("de-AT;q=0", "de", 0, ""),
        ("*", "de", 0, ""),
        ("fr", "de", 0, ""),
        ("de-AT", "", 0, ""),
        (None, "de", 0, ""),
    ],
)
def test_lookup_truncates_the_range(value: str | None, tag: str, quality: int, left: str) -> None:
    fit = Languages(value).fallback(tag)
    assert (fit.quality, fit.length) == (quality, len(left))


def test_lookup_removes_a_single_letter_with_what_it_began() -> None:
    """RFC 4647 §3.4: after "zh-Hant-CN-x-private1" comes "zh-Hant-CN"."""
    languages = Languages("zh-Hant-CN-x-private1-private2")
    assert languages.fallback("zh-Hant-CN-x-private1").length == len("zh-Hant-CN-x-private1")
    assert languages.fallback("zh-Hant-CN-x-other").length == len("zh-Hant-CN")


def test_of_equal_ranges_the_earlier_fits_better() -> None:
    languages = Languages("de, en-US, fr")
    assert languages.fallback("de") > languages.fallback("en-US") > languages.fallback("fr") > NO_FIT


@pytest.mark.parametrize(
    "tag",
    [
        "de",
        "DE",
        "de-AT",
        "zh-Hant-TW",
        "sr-Latn",
        "es-419",
        "sl-rozaj-biske",
        "de-1996",
        "en-a-bbb-x-a",
        "ast",
        "yue",
        "min-ID",
    ],
)
def test_a_language_is_known_by_its_tag(tag: str) -> None:
    assert is_language(tag)


@pytest.mark.parametrize(
    "text", ["min", "old", "map", "tar", "xx", "english", "x", "de_AT", "de-", "", "2", "de-abcdefghi", "i-klingon"]
)
def test_what_is_in_no_language_is_not_taken_for_one(text: str) -> None:
    assert not is_language(text)


@given(st.text(st.sampled_from("ade-*;q=01., "), max_size=40), st.text(st.sampled_from("ade-"), max_size=12))
def test_no_value_makes_the_reader_fail(value: str, tag: str) -> None:
    languages = Languages(value)
    quality = languages.quality(tag)
    assert quality is None or 0 <= quality <= 1000
    assert languages.fallback(tag) >= NO_FIT
    if quality and tag and "*" not in value:
        # What a range matches is at the end of a lookup, too.
        assert languages.fallback(tag).quality >= quality
