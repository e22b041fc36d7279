"""RFC 9111: what may be kept, for how long, and whose it is. Tables of cases, in the order of the sections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.message import Fields
from netlodge.http.rules.caching import (
    LONGEST,
    Reuse,
    delta_seconds,
    freshness_lifetime,
    initial_age,
    may_store,
    parse_cache_control,
    reuse_of,
    varies_by,
)

NOW = 784111777.5  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:50:37 GMT"


def fields(**values: str) -> Fields:
    return Fields((name.replace("_", "-"), value) for name, value in values.items())


# --- §1.2.2 Delta seconds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("60", 60),
        ("0060", 60),
        ("2147483648", LONGEST),
        ("2147483649", LONGEST),
        ("9" * 10_000, LONGEST),
        ("0" * 10_000 + "7", 7),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1_0", None),
        (" 1", None),
        ("٣", None),
    ],
)
def test_1_2_2_seconds_are_digits_and_bounded(text: str, seconds: int | None) -> None:
    assert delta_seconds(text) == seconds


# --- §3 Storing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "cache_control", "shared", "may"),
    [
        ("GET", 200, "", True, True),
        ("HEAD", 200, "", True, True),
        ("POST", 200, "max-age=60", True, False),
        ("GET", 103, "max-age=60", True, False),
        ("GET", 302, "", True, False),
        ("GET", 302, "max-age=60", True, True),
        ("GET", 302, "public", True, True),
        ("GET", 302, "s-maxage=60", True, True),
        ("GET", 302, "s-maxage=60", False, False),
        ("GET", 302, "private", False, True),
        ("GET", 206, "max-age=60", True, False),
        ("GET", 304, "max-age=60", True, False),
        ("GET", 200, "no-store", True, False),
        ("GET", 200, "no-store", False, False),
        ("GET", 200, "no-store, must-understand", True, True),
        ("GET", 299, "no-store, must-understand, max-age=60", True, False),
        ("GET", 200, "private", True, False),
        ("GET", 200, 'private="x-name"', True, False),
        ("GET", 200, "private", False, True),
    ],
)
def test_3_what_a_cache_may_store(method: str, status: int, cache_control: str, shared: bool, may: bool) -> None:
    directives = parse_cache_control(cache_control)
    assert directives is not None
    assert may_store(method, Fields(), status, Fields(), directives, shared=shared) is may


def test_3_expires_alone_allows_to_store() -> None:
    assert may_store("GET", Fields(), 302, fields(expires=LATER), {}, shared=True)


@pytest.mark.parametrize(
    ("cache_control", "shared", "may"),
    [
        ("max-age=60", True, False),
        ("max-age=60", False, True),
        ("public", True, True),
        ("s-maxage=60", True, True),
        ("must-revalidate, max-age=60", True, True),
    ],
)
def test_3_5_answers_to_authorization_are_stored_where_that_is_said(
    cache_control: str, shared: bool, may: bool
) -> None:
    directives = parse_cache_control(cache_control)
    assert directives is not None
    request = fields(authorization="Basic eDp5")
    assert may_store("GET", request, 200, Fields(), directives, shared=shared) is may


# --- §4.1 Vary ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vary", "names"),
    [
        (None, frozenset()),
        ("Accept-Encoding, accept", frozenset({"accept-encoding", "accept"})),
        ("*", None),
        ("accept, *", None),
    ],
)
def test_4_1_vary_names_what_selects(vary: str | None, names: frozenset[str] | None) -> None:
    assert varies_by(Fields() if vary is None else fields(vary=vary)) == names


# --- §4.2.1 Freshness lifetime --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cache_control", "expires", "shared", "lifetime"),
    [
        ("s-maxage=1, max-age=2", LATER, True, 1),
        ("s-maxage=1, max-age=2", LATER, False, 2),
        ("max-age=2", LATER, True, 2),
        ('max-age="2"', None, True, 2),
        ("max-age", LATER, True, 0),
        ("max-age=x", LATER, True, 0),
        ("s-maxage=x, max-age=60", None, True, 0),
        ("", LATER, True, 60),
        ("", DATE, True, 0),
        ("", "Sun, 06 Nov 1994 08:40:37 GMT", True, 0),
        ("", "0", True, 0),
        ("", "Sun, 06 Nov 2994 08:49:37 GMT", True, LONGEST),
        ("", None, True, None),
    ],
)
def test_4_2_1_the_first_that_tells_counts(
    cache_control: str, expires: str | None, shared: bool, lifetime: int | None
) -> None:
    directives = parse_cache_control(cache_control)
    assert directives is not None
    told = Fields() if expires is None else fields(expires=expires)
    assert freshness_lifetime(told, directives, now=NOW, shared=shared) == lifetime


def test_4_2_1_expires_is_counted_from_date() -> None:
    told = fields(date="Sun, 06 Nov 1994 08:49:07 GMT", expires=LATER)
    assert freshness_lifetime(told, {}, now=NOW, shared=True) == 90


# --- §5.1 Age -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "seconds"), [(["5"], 5), (["5", "9"], 5), ([], 0), (["x"], None), (["5, 9"], None)])
def test_5_1_age(age: list[str], seconds: int | None) -> None:
    assert initial_age(Fields(("age", value) for value in age)) == seconds


# --- §5.2 Cache-Control ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        ("", {}),
        ("max-age=60", {"max-age": "60"}),
        ("Max-Age=60, PUBLIC", {"max-age": "60", "public": None}),
        ("a=b,c", {"a": "b", "c": None}),
        (" , a ,, b = c", None),
        (",a,,b,", {"a": None, "b": None}),
        ('private="set-cookie, x\\"y"', {"private": 'set-cookie, x"y'}),
        ('no-cache=""', {"no-cache": ""}),
        ("max-age=60, max-age=60", {"max-age": "60"}),
        ("max-age=60, max-age=70", None),
        ("max-age=60, max-age", None),
        ("max-age=60; public", None),
        ("max-age =60", None),
        ('x="open', None),
        ("=1", None),
        ("a b", None),
        ("max-age=60\n", None),
        ("größe=1", None),
    ],
)
def test_5_2_directives(value: str, directives: dict[str, str | None] | None) -> None:
    assert parse_cache_control(value) == directives


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_5_2_any_value_is_read_or_refused(value: str) -> None:
    directives = parse_cache_control(value)
    assert directives is None or all(name == name.lower() and "=" not in name for name in directives)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True), st.none() | st.text('ab"\\ ,=', max_size=5)))
def test_5_2_what_was_written_is_read(directives: dict[str, str | None]) -> None:
    def written(argument: str | None) -> str:
        if argument is None:
            return ""
        return '="' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'

    value = ", ".join(name + written(argument) for name, argument in directives.items())
    assert parse_cache_control(value) == directives


# --- All of it: who else may have an answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
def test_anyone_may_have_what_says_how_long_it_is_fresh(status: int) -> None:
    given = fields(cache_control="public, max-age=60", vary="accept")
    assert reuse_of("GET", Fields(), status, given, now=NOW) == Reuse(60, 0, frozenset({"accept"}))


def test_the_age_it_came_with_counts() -> None:
    given = fields(cache_control="max-age=60", age="10")
    assert reuse_of("GET", Fields(), 200, given, now=NOW) == Reuse(50, 10, frozenset())


def test_expires_alone_tells_how_long() -> None:
    assert reuse_of("HEAD", Fields(), 200, fields(expires=LATER), now=NOW) == Reuse(60, 0, frozenset())


@pytest.mark.parametrize(
    "cache_control",
    [
        "public",
        "max-age=0",
        "s-maxage=0, max-age=60",
        "private, max-age=60",
        'private="x", max-age=60',
        "no-store, max-age=60",
        "no-cache, max-age=60",
        'no-cache="x", max-age=60',
        "must-understand, max-age=60",
        "max-age=60, max-age=61",
        "max-age=1.5",
        "max-age=-1",
        "max-age = 60",
        "",
    ],
)
def test_nobody_else_may_have_what_does_not_say_so_clearly(cache_control: str) -> None:
    assert reuse_of("GET", Fields(), 200, fields(cache_control=cache_control), now=NOW) is None


@pytest.mark.parametrize("status", [103, 201, 206, 302, 303, 304, 307, 400, 401, 403, 500, 502, 503, 299])
def test_only_answers_whose_status_is_understood_are_for_others(status: int) -> None:
    assert reuse_of("GET", Fields(), status, fields(cache_control="public, max-age=60"), now=NOW) is None


@pytest.mark.parametrize(
    ("method", "request_fields", "more"),
    [
        ("POST", {}, {}),
        ("get", {}, {}),
        ("GET", {"authorization": "Basic eDp5"}, {}),
        ("GET", {"proxy-authorization": "Basic eDp5"}, {}),
        ("GET", {"cookie": "a=b"}, {}),
        ("GET", {"cache-control": "no-cache"}, {}),
        ("GET", {"pragma": "no-cache"}, {}),
        ("GET", {}, {"set-cookie": "a=b"}),
        ("GET", {}, {"vary": "*"}),
        ("GET", {}, {"age": "60"}),
        ("GET", {}, {"age": "sixty"}),
    ],
)
def test_what_concerns_one_client_is_for_no_other(
    method: str, request_fields: dict[str, str], more: dict[str, str]
) -> None:
    given = Fields([("cache-control", "public, max-age=60"), *more.items()])
    assert reuse_of(method, Fields(request_fields.items()), 200, given, now=NOW) is None


def test_without_a_word_on_freshness_it_is_for_no_other() -> None:
    assert reuse_of("GET", Fields(), 200, fields(vary="accept"), now=NOW) is None
