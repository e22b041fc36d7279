"""RFC 8265 §3.3, RFC 8264 §5.2.1: which names there are, and which are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.account_names import AccountNameError, normal_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("anna", "anna"),
        ("Anna", "anna"),
        ("ＡＮＮＡ", "anna"),
        ("Jürgen", "jürgen"),
        ("Ju\u0308rgen", "jürgen"),
        ("Strauß", "strauss"),
        ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ("ﾊﾅ", "ハナ"),
        ("花子", "花子"),
        ("anna.b-c_d+e@example.org", "anna.b-c_d+e@example.org"),
        ("7of9", "7of9"),
        ("a" * 64, "a" * 64),
    ],
)
def test_a_name_has_one_form(text: str, name: str) -> None:
    assert normal_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a b", "a:b", "-a", ".a", "@", "a/b", "a\\b", 'a"b', "a,b", "a\tb", "a\nb", "a\0b", "a\x7fb", "\u0308a",
        "a\u200bb", "a\u202eb", "a\ufeff", "a\ud800", "a'b", "a%41", "a" * 65, "a" * 100_000, "ß" * 33, "½", "a\xa0b", "😀",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(AccountNameError, match=r"A name has letters and digits"):
        normal_name(text)


def test_what_is_wrong_is_shown_without_harm() -> None:
    with pytest.raises(AccountNameError) as caught:
        normal_name("a\x1b[2J")
    assert "U+001B" in str(caught.value)
    assert "\x1b" not in str(caught.value)


@given(st.text(max_size=70))
def test_a_form_is_its_own_form_and_holds_nothing_that_needs_escaping(text: str) -> None:
    try:
        name = normal_name(text)
    except AccountNameError:
        return
    assert normal_name(name) == name
    assert normal_name(unicodedata.normalize("NFD", name)) == name
    assert name.isprintable()
    assert not set(name) & set(' :"\\,\0')
