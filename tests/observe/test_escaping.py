from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.observe.escaping import escape_for_log, octets, printable, to_json


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("", ""),
        ("plain text ~!", "plain text ~!"),
        ('"', "\\x22"),
        ("\\", "\\x5C"),
        ("\\x22", "\\x5Cx22"),
        ("\x00\t\n\r\x1f", "\\x00\\x09\\x0A\\x0D\\x1F"),
        ("\x7f\x80\xff", "\\x7F\\x80\\xFF"),
        ("é", "\\xE9"),
        ("€", "\\xE2\\x82\\xAC"),
    ],
)
def test_for_the_log(text: str, escaped: str) -> None:
    assert escape_for_log(text) == escaped


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain", "plain"),
        ("Zürich €".encode(), "Zürich €"),
        (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        (b"a\tb\r\n", "a\\x09b\\x0d\\x0a"),
        (b"\\x1b", "\\\\x1b"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("\x85\u202e".encode(), "\\xc2\\x85\\xe2\\x80\\xae"),  # C1 control, bidirectional override
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),  # a surrogate is no UTF-8
        (b"", ""),
    ],
)
def test_for_a_terminal(data: bytes, shown: str) -> None:
    assert printable(data) == shown


@given(st.binary())
def test_a_terminal_gets_only_what_prints_and_nothing_is_lost(data: bytes) -> None:
    shown = printable(data)
    assert shown.isprintable()
    assert undo(shown) == data


def undo(shown: str) -> bytes:
    data, position = b"", 0
    while position < len(shown):
        if shown[position] != "\\":
            data += shown[position].encode()
            position += 1
        elif shown[position + 1] == "\\":
            data += b"\\"
            position += 2
        else:
            data += bytes.fromhex(shown[position + 2 : position + 4])
            position += 4
    return data


@given(st.text())
def test_json_is_printable_ascii_and_reads_back(text: str) -> None:
    line = to_json({"text": text})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"text": text}


@given(st.binary())
def test_octets_undo_the_reading_as_iso_8859_1(data: bytes) -> None:
    assert octets(data.decode("latin-1")) == data


@given(st.text(st.characters()))
def test_octets_exist_for_any_text(text: str) -> None:
    octets(text)
