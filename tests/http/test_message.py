"""RFC 9110 §5.2, §5.3, §5.6.1, §15: fields keep their order, and look-ups see the lines of one name as one value."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest

from netlodge.http.message import REASONS, Fields, HttpError, MessageError

LINES = [("a", "1"), ("list", "x"), ("b", "2"), ("list", ""), ("list", "y")]


def test_the_lines_of_one_name_are_one_value_in_order() -> None:
    fields = Fields(LINES)
    assert fields.get("list") == "x, , y"
    assert fields.get_all("list") == ["x", "", "y"]
    assert fields.get("a") == "1"


def test_what_is_not_there_has_no_value() -> None:
    fields = Fields(LINES)
    assert fields.get("c") is None
    assert fields.get("c", "") == ""
    assert fields.get_all("c") == []
    assert fields.list_of("c") == []
    assert "c" not in fields


CHANGES: list[tuple[str, Callable[[Fields], None], list[tuple[str, str]]]] = [
    ("append", lambda f: f.append("list", "z"), [*LINES, ("list", "z")]),
    ("set what stands several times", lambda f: f.set("list", "z"), [("a", "1"), ("list", "z"), ("b", "2")]),
    ("set what is not there", lambda f: f.set("c", "3"), [*LINES, ("c", "3")]),
    ("set what is the default", lambda f: f.set_default("a", "9"), LINES),
    ("set the default", lambda f: f.set_default("c", "3"), [*LINES, ("c", "3")]),
    ("remove what stands several times", lambda f: f.remove("list"), [("a", "1"), ("b", "2")]),
    ("remove what is not there", lambda f: f.remove("c"), LINES),
]


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_change_keeps_the_order_and_the_look_ups(
    change: Callable[[Fields], None], expected: list[tuple[str, str]]
) -> None:
    fields = Fields(LINES)
    change(fields)
    assert list(fields) == expected
    assert len(fields) == len(expected)
    for name in ("a", "b", "c", "list"):
        values = [v for n, v in expected if n == name]
        assert fields.get_all(name) == values
        assert fields.get(name) == (", ".join(values) if values else None)
        assert (name in fields) == bool(values)


def test_a_copy_goes_its_own_way() -> None:
    fields = Fields(LINES)
    copy = fields.copy()
    assert copy == fields
    copy.append("c", "3")
    assert copy != fields
    assert "c" not in fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [("close", ["close"]), (" Close ,\tUpgrade", ["close", "upgrade"]), (",, a ,", ["a"]), ("", []), (" , ", [])],
)
def test_a_list_is_read_with_its_empty_members_left_out(value: str, expected: list[str]) -> None:
    assert Fields([("connection", value)]).list_of("connection") == expected


def test_every_status_has_the_phrase_of_the_rfc() -> None:
    assert set(REASONS) >= {status.value for status in HTTPStatus}
    assert (REASONS[413], REASONS[422]) == ("Content Too Large", "Unprocessable Content")


def test_an_error_says_its_status_and_a_malformed_message_ends_the_connection() -> None:
    assert str(HttpError(404, "Nothing here.")) == "404 Not Found: Nothing here."
    assert not HttpError(404).must_close
    assert MessageError(400, "No.").must_close
