from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.observe.heads import parse_head


@pytest.mark.parametrize(
    ("octets", "start_line", "fields"),
    [
        (b"", "", ()),
        (b"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1", ()),
        (b"GET / HTTP/1.1\r\nA: 1\r\na:\t2 \r\n\r\n", "GET / HTTP/1.1", (("A", "1"), ("a", "2"))),
        (b"GET / HTTP/1.1\nA: 1\rB: 2", "GET / HTTP/1.1", (("A", "1"), ("B", "2"))),
        (b"x\r\nA: 1\r\n  2\r\n\t3\r\n", "x", (("A", "1 2 3"),)),
        (b"x\r\nno colon\r\n: no name\r\n", "x", (("no colon", ""), ("", "no name"))),
        (b"x\r\n folded onto nothing\r\n", "x", (("folded onto nothing", ""),)),
        (b"x\r\nA: \xff:\r\n", "x", (("A", "\xff:"),)),
    ],
)
def test_any_octets_give_lines_and_fields(octets: bytes, start_line: str, fields: tuple[tuple[str, str], ...]) -> None:
    head = parse_head(octets)
    assert head.start_line == start_line
    assert head.fields == fields


def test_a_field_is_found_without_regard_to_case() -> None:
    head = parse_head(b"x\r\nSet-Cookie: a\r\nset-cookie: b\r\n")
    assert head.get("set-cookie") == "a"
    assert head.get_all("set-cookie") == ["a", "b"]
    assert head.get("cookie") == ""


@given(st.binary())
def test_nothing_is_raised(octets: bytes) -> None:
    parse_head(octets)
