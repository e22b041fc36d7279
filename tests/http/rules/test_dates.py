"""RFC 9110 §5.6.7."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.dates import FIRST_SECOND, LAST_SECOND, imf_fixdate, is_imf_fixdate, parse_date

EXAMPLE = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
NOW = 1_700_000_000  # in November 2023


def moment(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (EXAMPLE, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
        (moment(2000, 2, 29), "Tue, 29 Feb 2000 00:00:00 GMT"),
        (FIRST_SECOND, "Mon, 01 Jan 0001 00:00:00 GMT"),
        (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_a_moment_is_rendered_in_the_preferred_format(second: int, text: str) -> None:
    assert imf_fixdate(second) == text


@pytest.mark.parametrize("second", [FIRST_SECOND - 1, LAST_SECOND + 1])
def test_a_moment_that_four_digits_cannot_tell_is_not_rendered(second: int) -> None:
    with pytest.raises(ValueError, match="outside the years"):
        imf_fixdate(second)


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_all_three_formats_are_read(text: str) -> None:
    assert parse_date(text, now=NOW) == EXAMPLE


def test_a_day_of_two_digits_is_read_in_asctime_format() -> None:
    assert parse_date("Wed Nov 16 08:49:37 1994", now=NOW) == EXAMPLE + 10 * 86400


def test_a_leap_second_is_the_second_after() -> None:
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT", now=NOW) == moment(2017, 1, 1)


def test_a_wrong_weekday_is_let_pass() -> None:
    assert parse_date("Mon, 06 Nov 1994 08:49:37 GMT", now=NOW) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Sun, 06 Nov 1994 23:59:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Thu, 31 Nov 1994 08:49:37 GMT",
        "Tue, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, ²6 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 31-Feb-94 08:49:37 GMT",
        "Sun Nov 06 08:49:37 94",
        "Sun Nov  06 08:49:37 1994",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text, now=NOW) is None


@pytest.mark.parametrize(
    ("text", "now", "year"),
    [
        ("Sunday, 06-Nov-94 08:49:37 GMT", moment(2023, 6, 1), 1994),
        ("Sunday, 06-Nov-24 08:49:37 GMT", moment(2023, 6, 1), 2024),
        ("Sunday, 06-Nov-72 08:49:37 GMT", moment(2023, 6, 1), 2072),
        ("Sunday, 06-Nov-73 08:49:37 GMT", moment(2023, 6, 1), 1973),
        ("Sunday, 06-Nov-73 08:49:37 GMT", moment(2023, 11, 6, 8, 49, 37), 2073),
        ("Sunday, 06-Nov-73 08:49:37 GMT", moment(2023, 11, 6, 8, 49, 36), 1973),
        ("Sunday, 06-Nov-05 08:49:37 GMT", moment(2095, 6, 1), 2105),
        ("Sunday, 06-Nov-94 08:49:37 GMT", moment(1995, 6, 1), 1994),
    ],
)
def test_two_digits_of_a_year_are_within_fifty_years_from_now(text: str, now: int, year: int) -> None:
    assert parse_date(text, now=now) == moment(year, 11, 6, 8, 49, 37)


def test_a_day_that_is_none_in_the_century_meant_is_none() -> None:
    assert parse_date("Tuesday, 29-Feb-00 00:00:00 GMT", now=moment(2023, 6, 1)) == moment(2000, 2, 29)
    assert parse_date("Monday, 29-Feb-00 00:00:00 GMT", now=moment(2090, 6, 1)) is None


def test_only_the_preferred_format_is_the_preferred_format() -> None:
    assert is_imf_fixdate("Sun, 06 Nov 1994 08:49:37 GMT")
    assert not is_imf_fixdate("Sunday, 06-Nov-94 08:49:37 GMT")
    assert not is_imf_fixdate("Sun Nov  6 08:49:37 1994")


@given(st.integers(FIRST_SECOND, LAST_SECOND))
def test_what_is_rendered_is_read_back(second: int) -> None:
    assert parse_date(imf_fixdate(second), now=NOW) == second


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001  made aware below
def test_rendering_agrees_with_the_calendar_of_the_standard_library(when: datetime) -> None:
    when = when.replace(tzinfo=UTC, microsecond=0)
    second = int((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    assert imf_fixdate(second) == when.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert parse_date(f"{when:%a %b} {when.day:2d} {when:%H:%M:%S %Y}", now=NOW) == second


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    result = parse_date(text, now=NOW)
    assert result is None or isinstance(result, int)
