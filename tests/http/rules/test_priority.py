"""Priorities (RFC 9218 §4), as Dictionaries of Structured Fields (RFC 9651 §4.2.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.priority import Priority, parse_priority

DEFAULT = Priority(3, is_incremental=False)
URGENT = Priority(1, is_incremental=True)


class TestParameters:
    """RFC 9218 §4.1, §4.2."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("u=0", Priority(0)),
            ("u=5, i", Priority(5, is_incremental=True)),
            ("i", Priority(3, is_incremental=True)),
            ("i=?1", Priority(3, is_incremental=True)),
            ("i=?0", DEFAULT),
            ("u=7,i=?0", Priority(7)),
            ("", DEFAULT),
            ("  ", DEFAULT),
        ],
    )
    def test_are_urgency_and_incremental(self, value: str, expected: Priority) -> None:
        assert parse_priority(value) == expected

    @pytest.mark.parametrize("urgency", range(8))
    def test_every_urgency_is_read(self, urgency: int) -> None:
        assert parse_priority(f"u={urgency}").urgency == urgency

    @pytest.mark.parametrize(
        "value",
        [
            "u=8",
            "u=-1",
            "u=12",
            "u=3.0",
            "u=1.5",
            "u",
            "u=?1",
            'u="1"',
            "u=one",
            "u=:MQ==:",
            "u=(1)",
            "u=999999999999999",
        ],
    )
    def test_an_urgency_out_of_range_or_of_another_type_is_ignored_alone(self, value: str) -> None:
        assert parse_priority(f"{value}, i") == Priority(3, is_incremental=True)

    @pytest.mark.parametrize("value", ["i=1", "i=0", "i=true", 'i="?1"', "i=()", "i=(?1)", "i=1.0"])
    def test_what_is_no_boolean_is_ignored_alone(self, value: str) -> None:
        assert parse_priority(f"u=1, {value}") == Priority(1)

    def test_unknown_ones_are_ignored(self) -> None:
        assert parse_priority("u=1, x, visible=?1, *a.b-c_1=token, i, y=(1 2)") == URGENT


class TestDictionary:
    """RFC 9651 §4.2: whatever is no Dictionary is ignored as a whole."""

    @pytest.mark.parametrize(
        "value",
        [
            "u=1,i",
            "  u=1 \t,\t  i \t ",
            "u=1;a, i;b=2",
            'u=1; a; b=1.5;c=?0;d=tok/en:;e=:aGk=:;f="q\\"\\\\", i; z',
            "i=?0, u=7, u=1, i",
            "u=01, i",
            'u=1, a=(), b=( 1 ), c=(1 "a" tok;x=1);p, i',
            'u=1, a="", b="!,=;[]", i',
            "u=1, a=*tok!#$%&'*+-.^_`|~:/9, i",
            "u=1, a=::, b=:YQ:, c=:YWI:, d=:YWJj:, i",
            "u=1, a=-1, b=-0.001, c=123456789012.123, d=123456789012345, i",
        ],
    )
    def test_what_is_one_is_read(self, value: str) -> None:
        assert parse_priority(value) == URGENT

    def test_zero_may_be_negative(self) -> None:
        assert parse_priority("u=-0") == Priority(0)

    def test_the_last_of_a_name_stands(self) -> None:
        assert parse_priority("u=1, u=2") == Priority(2)
        assert parse_priority("u=1, u=9") == DEFAULT
        assert parse_priority("u=1, u") == DEFAULT
        assert parse_priority("i, i=?0") == DEFAULT

    @pytest.mark.parametrize(
        "value",
        [
            "u=1, i,",
            ", u=1, i",
            "u=1,, i",
            "u=1 i",
            "u=1; i; =, i",
            "U=1, i",
            "u = 1, i",
            "u =1, i",
            "u= 1, i",
            "u=, i",
            "u=1, i=?2",
            "u=1, i=?",
            "u=1, i=?1x",
            "u=1, i, 1=2",
            "u=1, i, -a",
            "u=1, i, a=1.",
            "u=1, i, a=.5",
            "u=1, i, a=1.2345",
            "u=1, i, a=1.2.3",
            "u=1, i, a=-",
            "u=1, i, a=--1",
            "u=1, i, a=1234567890123456",
            "u=1, i, a=1234567890123.1",
            'u=1, i, a="b',
            'u=1, i, a="b\\c"',
            'u=1, i, a="\t"',
            'u=1, i, a="\xe9"',
            "u=1, i, a=:YQ=:",
            "u=1, i, a=:Y:",
            "u=1, i, a=:Y Q:",
            "u=1, i, a=:YQ==",
            "u=1, i, a=(1",
            "u=1, i, a=(1,2)",
            "u=1, i, a=(1 (2))",
            "u=1, i, a=(\t1)",
            'u=1, i, a=("a""b")',
            "u=1, i, a=()b",
            "u=1, i, a;",
            "u=1, i, a;\tb",
            "u=1, i, a;b=",
            "u=1, i, a;b=(1)",
            "u=1, i\n",
            "u=1, i, \xe9",
            "u=1, i, a=\u0661",
            "\tu=1, i",
            "u=\uff11, i",
        ],
    )
    def test_what_is_none_is_ignored(self, value: str) -> None:
        assert parse_priority(value) == DEFAULT

    @pytest.mark.parametrize("value", ["a=@1659578233", 'a=%"x"'])
    def test_types_that_came_later_are_none(self, value: str) -> None:
        """RFC 9651 §2.4: "a field whose definition references RFC 8941 cannot, because it will be treated as invalid"."""
        assert parse_priority(f"u=1, i, {value}") == DEFAULT


@given(st.one_of(st.text(max_size=60), st.text('uix=?01;, ()"\\:.-*at\t', max_size=40)))
def test_any_text_is_read(value: str) -> None:
    priority = parse_priority(value)
    assert 0 <= priority.urgency <= 7
    if priority != DEFAULT:
        assert parse_priority(value + ",") == DEFAULT
        assert parse_priority(f"{value}, zz;z=1") == priority


def test_a_long_text_takes_no_longer_than_it_is() -> None:
    """No pattern here tries again what it has read: this would not end otherwise."""
    for hostile in (
        'a="' + "\\\\" * 50_000,
        "a=(" + "1 " * 50_000,
        "a" + ";b=1" * 50_000 + "=",
        "a=:" + "YQ" * 50_000,
        "a;" + " " * 90_000,
    ):
        assert parse_priority(hostile) == DEFAULT
