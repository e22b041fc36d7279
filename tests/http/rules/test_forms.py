"""application/x-www-form-urlencoded by the WHATWG URL standard, and the names of files."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.message import HttpError
from netlodge.http.rules.forms import SLICE, base_name, parse_query, parse_urlencoded, serialize_urlencoded

# --- parsing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "pairs"),
    [
        (b"", []),
        (b"&&", []),
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a", [("a", "")]),
        (b"=a", [("", "a")]),
        (b"=", [("", "")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a;b=c;d", [("a;b", "c;d")]),
        (b"a+b=c+d%2B", [("a b", "c d+")]),
        (b"%61%3D%26=%3d", [("a=&", "=")]),
        # What is no escape stands for itself.
        (b"100%=%&x=%4&y=%zz&z=%u0041", [("100%", "%"), ("x", "%4"), ("y", "%zz"), ("z", "%u0041")]),
        (b"q=gr%C3%B6%C3%9Fe", [("q", "größe")]),
        ("q=größe".encode(), [("q", "größe")]),
        # UTF-8 decode without BOM: what is malformed is replaced, a mark at the beginning stays.
        (b"q=%FF&r=%E2%82", [("q", "\ufffd"), ("r", "\ufffd")]),
        (b"q=%EF%BB%BFx", [("q", "\ufeffx")]),
        (b"q=a%00b%0D%0A", [("q", "a\0b\r\n")]),
    ],
)
def test_a_form_is_names_and_values(octets: bytes, pairs: list[tuple[str, str]]) -> None:
    assert parse_urlencoded(octets) == pairs


def test_a_query_is_a_form() -> None:
    assert parse_query(None) == []
    assert parse_query("") == []
    assert parse_query("q=lamp+oil&sort=price") == [("q", "lamp oil"), ("sort", "price")]
    assert parse_query("q=gr\u00c3\u00b6n") == [("q", "grön")]  # one character for each octet


def test_too_many_fields_are_refused() -> None:
    assert len(parse_urlencoded(b"a&b&&c&", limit=3)) == 3
    with pytest.raises(HttpError) as caught:
        parse_urlencoded(b"a&b&c", limit=2)
    assert (caught.value.status, caught.value.setting) == (413, "limits.form_fields")
    with pytest.raises(HttpError):
        parse_query("a&b&c", limit=2)


@given(st.text("a&=+%2bF;", max_size=30))
def test_reading_agrees_with_the_standard_library(text: str) -> None:
    assert parse_query(text) == parse_qsl(text, keep_blank_values=True)


@pytest.mark.parametrize("shift", range(7))
@pytest.mark.parametrize("piece", [b"%41", b"%c3%a9", b"%", b"%4", b"%zz", b"\xff", "é".encode(), b"a"])
def test_a_long_value_is_read_like_a_short_one(piece: bytes, shift: int) -> None:
    """Wherever it is cut into slices."""
    value = b"x" * shift + piece * (2 * SLICE // len(piece) + 9)
    assert parse_urlencoded(b"a=" + value) == [("a", unquote_to_bytes(value).decode("utf-8", "replace"))]


@given(st.binary(max_size=60))
def test_any_octets_are_a_form(octets: bytes) -> None:
    pairs = parse_urlencoded(octets)
    assert parse_urlencoded(serialize_urlencoded(pairs).encode()) == pairs


# --- serializing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([], ""),
        ([("a", "1"), ("b", "")], "a=1&b="),
        ([("a b", "+&=")], "a+b=%2B%26%3D"),
        ([("az", "AZ09*-._")], "az=AZ09*-._"),
        ([("t", "~!'()/:;@$,")], "t=%7E%21%27%28%29%2F%3A%3B%40%24%2C"),
        ([("ö", "\r\n\0")], "%C3%B6=%0D%0A%00"),
        ([("s", "\ud800")], "s=%3F"),
    ],
)
def test_a_form_is_written_as_browsers_do(pairs: list[tuple[str, str]], text: str) -> None:
    assert serialize_urlencoded(pairs) == text


@given(st.lists(st.tuples(st.text(), st.text())))
def test_what_is_written_is_read_as_it_was(pairs: list[tuple[str, str]]) -> None:
    assert parse_urlencoded(serialize_urlencoded(pairs).encode()) == pairs


# --- names of files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("holiday.jpg", "holiday.jpg"),
        ("größe 日本.png", "größe 日本.png"),
        ("/etc/passwd", "passwd"),
        ("../../../x.png", "x.png"),
        (r"C:\Users\ada\x.png", "x.png"),
        ("a/b\\c.txt", "c.txt"),
        ("..", ""),
        (".", ""),
        ("/", ""),
        ("", ""),
        (".htaccess", "htaccess"),
        (" x. ", "x"),
        ("a\0b\r\nc\x7f\u0085.txt", "abc.txt"),
        ("\u202egpj.exe", "gpj.exe"),
        ('<a href="x">|?*:.txt', "a href=x.txt"),
        ("con", "_con"),
        ("COM1.txt", "_COM1.txt"),
        ("console.log", "console.log"),
        ("\ud800x", "x"),
        ("a" * 300 + ".jpg", "a" * 251 + ".jpg"),
        ("ö" * 300 + ".jpg", "ö" * 125 + ".jpg"),
        ("a" * 300, "a" * 255),
        ("a." + "b" * 300, "a." + "b" * 253),
        ("a" * 252 + " .. b" + "c" * 20, "a" * 252),
    ],
)
def test_a_file_name_is_data_and_no_path(file_name: str, name: str) -> None:
    assert base_name(file_name) == name


@given(st.text(max_size=300))
def test_a_base_name_is_safe_and_is_its_own(file_name: str) -> None:
    name = base_name(file_name)
    assert not set(name) & set('/\\\0\r\n"<>:|?*')
    assert name not in {".", ".."}
    assert len(name.encode()) <= 255
    assert base_name(name) == name
