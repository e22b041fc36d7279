"""RFC 9110 §14.1, §14.2, §14.4, §14.6, §15.3.7, §17.15."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.ranges import (
    Span,
    boundary,
    coalesce,
    content_range,
    multipart_parts,
    select_spans,
    unsatisfied_range,
)

LENGTH = 10_000


def spans(*pairs: tuple[int, int]) -> tuple[Span, ...]:
    """Given as the RFC counts: first and last position."""
    return tuple(Span(first, last - first + 1) for first, last in pairs)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # The examples of §14.1.2.
        ("bytes=0-499", spans((0, 499))),
        ("bytes=500-999", spans((500, 999))),
        ("bytes=-500", spans((9500, 9999))),
        ("bytes=9500-", spans((9500, 9999))),
        ("bytes=0-0,-1", spans((0, 0), (9999, 9999))),
        ("bytes= 0-999, 4500-5499, -1000", spans((0, 999), (4500, 5499), (9000, 9999))),
        ("bytes=500-600,601-999", spans((500, 999))),
        ("bytes=500-700,601-999", spans((500, 999))),
        # Clipped to the representation.
        ("bytes=9999-20000", spans((9999, 9999))),
        ("bytes=0-99999999999999999999999999999999", spans((0, 9999))),
        ("bytes=-20000", spans((0, 9999))),
        ("bytes=-99999999999999999999999999999999", spans((0, 9999))),
        ("bytes=0000000000000000000000000000000001-2", spans((1, 2))),
        # Units are case-insensitive, lists may have empty members.
        ("BYTES=0-1", spans((0, 1))),
        ("bytes=,0-1,,", spans((0, 1))),
        ("bytes=\t0-1 , 5-6", spans((0, 1), (5, 6))),
        # What cannot be satisfied is left out; if nothing remains, 416.
        ("bytes=0-1,10000-", spans((0, 1))),
        ("bytes=10000-", ()),
        ("bytes=10000-10001,20000-", ()),
        ("bytes=-0", ()),
        ("bytes=99999999999999999999999999999999-", ()),
        # Other units, and what is no ranges-specifier, are ignored.
        ("lines=0-1", None),
        ("bytes", None),
        ("bytes=", None),
        ("bytes=,", None),
        ("bytes=abc", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,5-4", None),
        ("bytes=--1", None),
        ("bytes=+1-2", None),
        ("bytes=1_0-20", None),
        ("bytes=0x1-2", None),
        ("bytes=1-2-3", None),
        ("bytes=1 -2", None),
        ("bytes=²-3", None),
        ("bytes =0-1", None),
        ("bytes:0-1", None),
        ("bytes=0-1, bytes=2-3", None),
        ("", None),
    ],
)
def test_which_bytes_are_asked_for(value: str, expected: tuple[Span, ...] | None) -> None:
    assert select_spans(value, LENGTH) == expected


def test_nothing_has_no_ranges() -> None:
    assert select_spans("bytes=0-", 0) is None
    assert select_spans("bytes=-1", 0) is None


def test_more_range_specs_than_the_limit_are_ignored() -> None:
    asked = ",".join(f"{n * 10}-{n * 10}" for n in range(5))
    assert len(select_spans(f"bytes={asked}", LENGTH, limit=5) or ()) == 5
    assert select_spans(f"bytes={asked}", LENGTH, limit=4) is None
    assert select_spans("bytes=0-1", LENGTH, limit=0) is None


def test_a_set_of_overlapping_ranges_costs_no_more_than_the_file() -> None:
    asked = ",".join(f"{n}-" for n in range(60))
    assert select_spans(f"bytes={asked}", LENGTH) == spans((0, LENGTH - 1))


@pytest.mark.parametrize(
    ("given_spans", "expected"),
    [
        ([], []),
        ([(0, 5)], [(0, 5)]),
        ([(0, 5), (5, 5)], [(0, 10)]),
        ([(0, 5), (6, 5)], [(0, 5), (6, 5)]),
        # Parts keep the order of asking; what was joined stands where its first member stood.
        ([(20, 5), (0, 5)], [(20, 5), (0, 5)]),
        ([(20, 5), (0, 5), (22, 10)], [(20, 12), (0, 5)]),
        ([(0, 5), (20, 5), (3, 10)], [(0, 13), (20, 5)]),
        ([(10, 1), (0, 30), (5, 1)], [(0, 30)]),
    ],
)
def test_spans_that_touch_are_made_one(given_spans: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    assert coalesce([Span(*pair) for pair in given_spans]) == tuple(Span(*pair) for pair in expected)


def test_content_range_is_worded_as_in_the_rfc() -> None:
    assert content_range(Span(42, 1192), 1234) == "bytes 42-1233/1234"
    assert unsatisfied_range(1234) == "bytes */1234"


def test_a_boundary_is_the_same_for_the_same_answer_and_another_for_any_other() -> None:
    one = boundary(b"secret", "v1", [Span(0, 1), Span(5, 1)])
    assert one == boundary(b"secret", "v1", [Span(0, 1), Span(5, 1)])
    others = {
        boundary(b"other", "v1", [Span(0, 1), Span(5, 1)]),
        boundary(b"secret", "v2", [Span(0, 1), Span(5, 1)]),
        boundary(b"secret", "v1", [Span(0, 1), Span(5, 2)]),
    }
    assert len({one, *others}) == 4
    assert one.isalnum()
    assert len(one) <= 70  # RFC 2046 §5.1.1


specs = st.one_of(
    st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    st.integers(0, 300).map(lambda first: f"{first}-"),
    st.integers(0, 300).map(lambda size: f"-{size}"),
)


def bytes_of(spec: str, length: int) -> set[int]:
    """What a range-spec means, said as plainly as can be."""
    first, _, last = spec.partition("-")
    if not first:
        return set(range(max(0, length - int(last)), length))
    return {n for n in range(length) if int(first) <= n and (not last or n <= int(last))}


@given(st.lists(specs, min_size=1, max_size=8), st.integers(1, 250))
def test_the_spans_are_the_bytes_that_were_asked_for_each_once(asked: list[str], length: int) -> None:
    found = select_spans("bytes=" + ",".join(asked), length)
    assert found is not None
    octets = [n for span in found for n in range(span.offset, span.offset + span.size)]
    assert sorted(octets) == sorted(set().union(*(bytes_of(spec, length) for spec in asked)))


@given(st.text(st.sampled_from("bytes=0123456789-, \t+_x²"), max_size=20), st.integers(0, 100))
def test_no_value_makes_the_reader_fail_or_leave_the_file(value: str, length: int) -> None:
    for prefix in ("", "bytes="):
        for span in select_spans(prefix + value, length) or ():
            assert span.size > 0
            assert 0 <= span.offset <= span.last < length


@given(st.lists(specs, min_size=2, max_size=6))
def test_multipart_content_is_read_by_a_reader_of_mail(asked: list[str]) -> None:
    content = bytes(range(250))
    chosen = select_spans("bytes=" + ",".join(asked), len(content)) or (Span(0, 1),)
    mark = boundary(b"k", "v", chosen)
    parts = multipart_parts(chosen, len(content), content_type="text/plain; charset=utf-8", boundary=mark)
    octets = b"".join(part if isinstance(part, bytes) else content[part[0] : part[0] + part[1]] for part in parts)
    head = f"Content-Type: multipart/byteranges; boundary={mark}\r\n\r\n".encode()
    read = BytesParser(policy=HTTP).parsebytes(head + octets)
    pieces = list(read.iter_parts())
    assert [piece["content-range"] for piece in pieces] == [content_range(span, len(content)) for span in chosen]
    assert {(piece.get_content_type(), piece.get_content_charset()) for piece in pieces} == {("text/plain", "utf-8")}
    # The mail reader normalises line ends, which binary content has too: so the octets are compared without it.
    for span in chosen:
        assert (
            content_range(span, 250).encode() + b"\r\n\r\n" + content[span.offset : span.last + 1] + b"\r\n--" in octets
        )
    assert octets.endswith(f"\r\n--{mark}--\r\n".encode())
