"""RFC 9110 §12.5.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.negotiation_codings import BY_EXTENSION, IDENTITY, ORDER, Codings


@pytest.mark.parametrize(
    ("value", "gzip", "identity"),
    [
        # The examples of the section.
        ("compress, gzip", 1000, 1),
        ("", 0, 1),
        ("*", 1000, 1000),
        ("compress;q=0.5, gzip;q=1.0", 1000, 1),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", 1000, 500),
        # Rule 1: any is acceptable to who says nothing, and none is best.
        (None, 1, 1000),
        # Rule 2: "identity;q=0", or "*;q=0" without a more specific entry.
        ("identity;q=0", 0, 0),
        ("*;q=0", 0, 0),
        ("gzip, *;q=0", 1000, 0),
        ("*;q=0, identity;q=0.1", 0, 100),
        # Rule 3: a listed coding is acceptable unless its qvalue is 0.
        ("gzip;q=0", 0, 1),
        ("gzip;q=0, *", 0, 1000),
        ("GZip", 1000, 1),
        ("x-gzip;q=0.3", 300, 1),
        ("gzip;q=0.2, x-gzip;q=0.3", 200, 1),
        # No members.
        ("gzip;q=2", 0, 1),
        ("gzip;level=9", 0, 1),
        ("gzip deflate", 0, 1),
    ],
)
def test_which_codings_are_acceptable(value: str | None, gzip: int, identity: int) -> None:
    codings = Codings(value)
    assert (codings.quality("gzip"), codings.quality(IDENTITY)) == (gzip, identity)
    assert codings.refuse_identity is (identity == 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, IDENTITY),
        ("", IDENTITY),
        ("deflate", IDENTITY),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip, br;q=0.9", "gzip"),
        ("*", "br"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=0.5, identity", IDENTITY),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("identity;q=0", None),
        ("deflate, *;q=0", None),
        ("br;q=0, identity;q=0, *", "zstd"),
    ],
)
def test_the_best_coding_is_chosen_and_of_equals_the_first(value: str | None, expected: str | None) -> None:
    assert Codings(value).choose() == expected


def test_every_coding_that_is_offered_has_an_extension() -> None:
    assert set(ORDER) <= set(BY_EXTENSION.values())


@given(st.text(st.sampled_from("gzipbr*;q=01., "), max_size=40))
def test_what_is_chosen_is_acceptable(value: str) -> None:
    codings = Codings(value)
    chosen = codings.choose()
    if chosen is None:
        assert all(codings.quality(coding) == 0 for coding in (*ORDER, IDENTITY))
    else:
        assert codings.quality(chosen) == max(codings.quality(coding) for coding in (*ORDER, IDENTITY)) > 0
