"""Durations, sizes and rates: what they read, what they refuse, and that they write what they read."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.config.errors import SettingValueError
from netlodge.config.quantities import Duration, Rate, Size
from netlodge.lines.wire import TooLong


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500 ms", 0.5),
        ("500ms", 0.5),
        ("75 s", 75),
        ("1.5 s", 1.5),
        ("2 min", 120),
        ("1 h", 3600),
        ("1 d", 86400),
        ("0 s", 0),
        (30, 30),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_seconds(written: str | float, seconds: float) -> None:
    assert Duration.parse(written) == seconds


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("75", 'lacks a unit; did you mean "75 s"?'),
        ("5 m", 'has no known unit; did you mean "5 min"?'),
        ("5 seconds", 'has no known unit; did you mean "5 s"?'),
        ("5 parsecs", "has no known unit; the units are ms, s, min, h, d"),
        ("soon", 'must be a duration such as "10 s"'),
        ("-5 s", 'must be a duration such as "10 s"'),
        ("+5 s", 'must be a duration such as "10 s"'),
        ("1_0 s", 'must be a duration such as "10 s"'),
        ("٣ s", 'must be a duration such as "10 s"'),
        (" 5 s", 'must be a duration such as "10 s"'),
        ("1e3 s", 'must be a duration such as "10 s"'),
        ("", 'must be a duration such as "10 s"'),
        (-1, 'must be a duration such as "10 s"'),
        (float("inf"), 'must be a duration such as "10 s"'),
        (float("nan"), 'must be a duration such as "10 s"'),
    ],
)
def test_what_is_no_duration_is_refused_with_a_hint(written: str | float, complaint: str) -> None:
    with pytest.raises(SettingValueError) as caught:
        Duration.parse(written)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (0.5, "500 ms"),
        (75, "75 s"),
        (60, "1 min"),
        (90, "90 s"),
        (7200, "2 h"),
        (86400, "1 d"),
        (1.5, "1500 ms"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_that_holds_it(seconds: float, written: str) -> None:
    assert str(Duration(seconds)) == written
    assert f"{Duration(seconds)}" == written


@given(st.integers(0, 10**12).map(lambda milliseconds: milliseconds / 1000))
def test_durations_read_back_as_they_were_written(seconds: float) -> None:
    assert Duration.parse(str(Duration(seconds))) == seconds


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        ("512 B", 512),
        ("64 KiB", 65536),
        ("64KiB", 65536),
        ("1.5 KiB", 1536),
        ("10 GiB", 10 * 2**30),
        ("1 TiB", 2**40),
        ("5 kB", 5000),
        ("5 MB", 5_000_000),
        ("2 GB", 2_000_000_000),
        (4096, 4096),
        (0, 0),
    ],
)
def test_a_size_is_octets(written: str | int, octets: int) -> None:
    assert Size.parse(written) == octets


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("64", 'lacks a unit; did you mean "64 B"?'),
        ("64 KB", 'has no known unit; did you mean "64 KiB"?'),
        ("1 G", 'has no known unit; did you mean "1 GiB"?'),
        ("1 PiB", "has no known unit; the units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB"),
        ("0.3 KiB", "is no whole number of octets"),
        ("5 B/s", 'must be a size such as "64 KiB"'),
        ("big", 'must be a size such as "64 KiB"'),
        (-1, 'must be a size such as "64 KiB"'),
    ],
)
def test_what_is_no_size_is_refused_with_a_hint(written: str | int, complaint: str) -> None:
    with pytest.raises(SettingValueError) as caught:
        Size.parse(written)
    assert str(caught.value) == complaint


@given(st.integers(0, 2**49))
def test_sizes_and_rates_read_back_as_they_were_written(octets: int) -> None:
    assert Size.parse(str(Size(octets))) == octets
    assert Rate.parse(str(Rate(octets))) == octets


@pytest.mark.parametrize("written", ["500 B/s", "500 B", 500])
def test_a_rate_may_leave_out_that_it_is_per_second(written: str | int) -> None:
    assert Rate.parse(written) == 500
    assert str(Rate.parse(written)) == "500 B/s"


def test_a_rate_hints_at_a_unit_per_second() -> None:
    with pytest.raises(SettingValueError, match='did you mean "5 B/s"'):
        Rate.parse("5")
    with pytest.raises(SettingValueError, match='did you mean "5 KiB/s"'):
        Rate.parse("5 K/s")


@given(st.text())
def test_no_text_raises_anything_but_the_complaint(text: str) -> None:
    for kind in (Duration, Size, Rate):
        with suppress(SettingValueError):
            assert kind.parse(text) >= 0


def test_a_message_that_names_a_size_has_one_unit() -> None:
    reply = TooLong(Size.parse("1 KiB"), "\n").reply
    assert reply == "error: the sentence is longer than 1024 octets (limits.line_size)"
