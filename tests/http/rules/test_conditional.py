"""RFC 9110 §8.8.3 (entity tags), §13.1 and §13.2 (preconditions)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.message import Fields
from netlodge.http.rules.conditional import (
    EntityTag,
    Outcome,
    depends_on_time,
    evaluate,
    is_strong_match,
    is_weak_match,
    parse_entity_tag,
    parse_entity_tags,
)
from netlodge.http.rules.dates import imf_fixdate

NOW = 1_700_000_000
MODIFIED = NOW - 1000
ETAG = EntityTag("now")
AT, BEFORE, AFTER = imf_fixdate(MODIFIED), imf_fixdate(MODIFIED - 1), imf_fixdate(MODIFIED + 1)
RFC850_AT = "Tuesday, 14-Nov-23 21:56:40 GMT"

PROCEED, WHOLE = Outcome.PROCEED, Outcome.PROCEED_WHOLE
NOT_MODIFIED, FAILED = Outcome.NOT_MODIFIED, Outcome.PRECONDITION_FAILED


def outcome(
    method: str,
    fields: dict[str, str],
    *,
    etag: EntityTag | None = ETAG,
    last_modified: int | None = MODIFIED,
    exists: bool = True,
    now: int = NOW,
) -> Outcome:
    return evaluate(method, Fields(fields.items()), etag=etag, last_modified=last_modified, exists=exists, now=now)


# §8.8.3


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ('"xyzzy"', EntityTag("xyzzy")),
        ('W/"xyzzy"', EntityTag("xyzzy", is_weak=True)),
        ('""', EntityTag("")),
        ('"a,b\\c"', EntityTag("a,b\\c")),
        ('"\xe9"', EntityTag("\xe9")),
        ('w/"xyzzy"', None),
        ('W"xyzzy"', None),
        ("xyzzy", None),
        ('"xyzzy', None),
        ('xyzzy"', None),
        ('"a b"', None),
        ('"a\x7f"', None),
        ('"a", "b"', None),
        (' "a"', None),
        ("", None),
    ],
)
def test_an_entity_tag_is_read_exactly(text: str, tag: EntityTag | None) -> None:
    assert parse_entity_tag(text) == tag
    if tag is not None:
        assert str(tag) == text


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('"a"', ["a"]),
        ('"a", "b"', ["a", "b"]),
        ('"a","b"', ["a", "b"]),
        ('"a" \t,\t "b"', ["a", "b"]),
        ('"a,b", "c"', ["a,b", "c"]),
        (', "a", , "b",', ["a", "b"]),
        (", ,", []),
        ("", []),
        ('"a" "b"', None),
        ('"a", b', None),
        ('"a", *', None),
        ("*", None),
        ('"a', None),
        ('"a" x', None),
    ],
)
def test_a_list_of_entity_tags_is_read_with_its_empty_members_left_out(text: str, tags: list[str] | None) -> None:
    found = parse_entity_tags(text)
    assert (found and [tag.opaque for tag in found]) == tags or (found == () and tags == [])


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [
        ('W/"1"', 'W/"1"', False, True),
        ('W/"1"', 'W/"2"', False, False),
        ('W/"1"', '"1"', False, True),
        ('"1"', 'W/"1"', False, True),
        ('"1"', '"1"', True, True),
        ('"1"', '"2"', False, False),
    ],
)
def test_comparison_is_as_in_the_table_of_the_rfc(one: str, other: str, strong: bool, weak: bool) -> None:
    a, b = parse_entity_tag(one), parse_entity_tag(other)
    assert a is not None
    assert b is not None
    assert is_strong_match(a, b) is strong
    assert is_weak_match(a, b) is weak


etags = st.builds(EntityTag, st.text(st.sampled_from("!#$,/:;abcXYZ09~\x80\xff\\"), max_size=8), is_weak=st.booleans())


@given(st.lists(etags, max_size=6), st.lists(st.sampled_from([", ", ",", " ,\t", ", , "]), min_size=6, max_size=6))
def test_a_rendered_list_is_read_back(tags: list[EntityTag], separators: list[str]) -> None:
    text = "".join(f"{tag}{separator}" for tag, separator in zip(tags, separators, strict=False))
    assert parse_entity_tags(text) == tuple(tags)


@given(st.text(st.sampled_from('W/"a,* \t'), max_size=12))
def test_no_text_makes_the_list_reader_fail(text: str) -> None:
    tags = parse_entity_tags(text)
    assert tags is None or all(parse_entity_tag(str(tag)) == tag for tag in tags)


# §13.1.1 to §13.1.4, each by itself


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        ("GET", {}, PROCEED),
        ("GET", {"if-match": '"now"'}, PROCEED),
        ("GET", {"if-match": '"old", "now"'}, PROCEED),
        ("GET", {"if-match": "*"}, PROCEED),
        ("GET", {"if-match": '"old"'}, FAILED),
        ("GET", {"if-match": 'W/"now"'}, FAILED),
        ("GET", {"if-match": "now"}, FAILED),
        ("GET", {"if-match": '*, "now"'}, FAILED),
        ("GET", {"if-match": ""}, FAILED),
        ("PUT", {"if-match": '"now"'}, PROCEED),
        ("PUT", {"if-match": '"old"'}, FAILED),
        ("GET", {"if-none-match": '"now"'}, NOT_MODIFIED),
        ("GET", {"if-none-match": 'W/"now"'}, NOT_MODIFIED),
        ("GET", {"if-none-match": '"old", W/"now"'}, NOT_MODIFIED),
        ("GET", {"if-none-match": "*"}, NOT_MODIFIED),
        ("HEAD", {"if-none-match": '"now"'}, NOT_MODIFIED),
        ("PUT", {"if-none-match": '"now"'}, FAILED),
        ("PUT", {"if-none-match": "*"}, FAILED),
        ("GET", {"if-none-match": '"old"'}, PROCEED),
        ("GET", {"if-none-match": "now"}, PROCEED),
        ("GET", {"if-none-match": '*, "x"'}, PROCEED),
        ("GET", {"if-none-match": ""}, PROCEED),
        ("GET", {"if-modified-since": AT}, NOT_MODIFIED),
        ("GET", {"if-modified-since": AFTER}, NOT_MODIFIED),
        ("GET", {"if-modified-since": RFC850_AT}, NOT_MODIFIED),
        ("GET", {"if-modified-since": BEFORE}, PROCEED),
        ("GET", {"if-modified-since": "yesterday"}, PROCEED),
        ("GET", {"if-modified-since": f"{AT}, {AT}"}, PROCEED),
        ("HEAD", {"if-modified-since": AT}, NOT_MODIFIED),
        ("POST", {"if-modified-since": AT}, PROCEED),
        ("GET", {"if-unmodified-since": AT}, PROCEED),
        ("GET", {"if-unmodified-since": AFTER}, PROCEED),
        ("GET", {"if-unmodified-since": BEFORE}, FAILED),
        ("GET", {"if-unmodified-since": "yesterday"}, PROCEED),
        ("PUT", {"if-unmodified-since": BEFORE}, FAILED),
        ("PUT", {"if-unmodified-since": f"{BEFORE}, {BEFORE}"}, PROCEED),
    ],
)
def test_a_precondition_by_itself(method: str, fields: dict[str, str], expected: Outcome) -> None:
    assert outcome(method, fields) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"if-match": "*"}, FAILED),
        ({"if-match": '"now"'}, FAILED),
        ({"if-none-match": "*"}, PROCEED),
        ({"if-none-match": '"now"'}, PROCEED),
        ({"if-modified-since": AFTER}, PROCEED),
        ({"if-unmodified-since": BEFORE}, PROCEED),
    ],
)
def test_what_does_not_exist_matches_nothing(fields: dict[str, str], expected: Outcome) -> None:
    assert outcome("PUT", fields, etag=None, last_modified=None, exists=False) is expected
    assert outcome("GET", fields, etag=None, last_modified=None, exists=False) is expected


# §13.2.2: the order


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # 1 before 3: a failed If-Match is a 412 even if If-None-Match would make a 304 of it.
        ({"if-match": '"old"', "if-none-match": '"now"'}, FAILED),
        ({"if-match": '"now"', "if-none-match": '"now"'}, NOT_MODIFIED),
        # 2 only when If-Match is absent.
        ({"if-match": '"now"', "if-unmodified-since": BEFORE}, PROCEED),
        ({"if-match": '"old"', "if-unmodified-since": AFTER}, FAILED),
        # 2 before 3 and 4.
        ({"if-unmodified-since": BEFORE, "if-none-match": '"now"'}, FAILED),
        ({"if-unmodified-since": BEFORE, "if-modified-since": AFTER}, FAILED),
        ({"if-unmodified-since": AT, "if-modified-since": AT}, NOT_MODIFIED),
        # 4 only when If-None-Match is absent.
        ({"if-none-match": '"old"', "if-modified-since": AFTER}, PROCEED),
        ({"if-none-match": '"now"', "if-modified-since": BEFORE}, NOT_MODIFIED),
        # 5 last.
        ({"if-none-match": '"now"', "range": "bytes=0-", "if-range": '"now"'}, NOT_MODIFIED),
        ({"if-none-match": '"old"', "range": "bytes=0-", "if-range": '"old"'}, WHOLE),
        ({"if-match": '"now"', "range": "bytes=0-", "if-range": '"now"'}, PROCEED),
        ({"if-match": '"old"', "range": "bytes=0-", "if-range": '"now"'}, FAILED),
    ],
)
def test_preconditions_are_evaluated_in_order(fields: dict[str, str], expected: Outcome) -> None:
    assert outcome("GET", fields) is expected


# §13.1.5


@pytest.mark.parametrize(
    ("if_range", "expected"),
    [
        ('"now"', PROCEED),
        ('"old"', WHOLE),
        ('W/"now"', WHOLE),
        ('"now', WHOLE),
        ('"now", "old"', WHOLE),
        (AT, PROCEED),
        (RFC850_AT, PROCEED),
        (BEFORE, WHOLE),
        (AFTER, WHOLE),
        ("yesterday", WHOLE),
    ],
)
def test_if_range_matches_exactly_or_the_whole_is_sent(if_range: str, expected: Outcome) -> None:
    assert outcome("GET", {"range": "bytes=0-", "if-range": if_range}) is expected


def test_if_range_without_range_is_ignored() -> None:
    assert outcome("GET", {"if-range": '"old"'}) is PROCEED


def test_if_range_is_for_get_alone() -> None:
    assert outcome("HEAD", {"range": "bytes=0-", "if-range": '"old"'}) is PROCEED


def test_if_range_never_matches_a_weak_or_a_missing_entity_tag() -> None:
    fields = {"range": "bytes=0-", "if-range": '"now"'}
    assert outcome("GET", fields, etag=EntityTag("now", is_weak=True)) is WHOLE
    assert outcome("GET", fields, etag=None) is WHOLE


def test_a_date_is_a_strong_validator_once_its_second_has_passed() -> None:
    fields = {"range": "bytes=0-", "if-range": AT}
    assert outcome("GET", fields, now=MODIFIED) is WHOLE
    assert outcome("GET", fields, now=MODIFIED + 1) is PROCEED


# What may be remembered


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"if-none-match": '"now"'}, False),
        ({"if-modified-since": AT, "if-unmodified-since": AT}, False),
        ({"if-modified-since": RFC850_AT}, True),
        ({"if-unmodified-since": "Tue Nov 14 21:56:40 2023"}, True),
        ({"if-range": '"now"'}, False),
        ({"if-range": AT}, False),
        ({"if-range": RFC850_AT}, True),
    ],
)
def test_what_hangs_on_the_time_is_known(fields: dict[str, str], expected: bool) -> None:
    assert depends_on_time(Fields(fields.items()), last_modified=MODIFIED, now=NOW) is expected


def test_within_the_second_of_the_change_a_date_in_if_range_hangs_on_the_time() -> None:
    fields = Fields([("if-range", AT)])
    assert depends_on_time(fields, last_modified=MODIFIED, now=MODIFIED) is True
    assert depends_on_time(fields, last_modified=None, now=MODIFIED) is False


conditions = st.dictionaries(
    st.sampled_from(["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range", "if-range"]),
    st.sampled_from(["*", '"now"', '"old"', 'W/"now"', AT, BEFORE, AFTER, "bytes=0-1", "nonsense", ""]),
)


@given(conditions, st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]), st.booleans())
def test_only_reads_are_not_modified_and_only_get_has_ranges(fields: dict[str, str], method: str, exists: bool) -> None:
    result = outcome(method, fields, exists=exists)
    if result is NOT_MODIFIED:
        assert method in ("GET", "HEAD")
    if result is WHOLE:
        assert method == "GET"
        assert "range" in fields
        assert "if-range" in fields
