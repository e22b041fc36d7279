"""RFC 6265bis §4: reading Cookie and writing Set-Cookie."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.cookies import Cookie, CookieError, cookie_values, parse_cookies
from netlodge.http.rules.received_cookies import parse_set_cookie

# --- §4.2 Cookie ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ([], []),
        ([""], []),
        (["SID=31d4d96e407aad42"], [("SID", "31d4d96e407aad42")]),
        (["SID=31d4d96e407aad42; lang=en-US"], [("SID", "31d4d96e407aad42"), ("lang", "en-US")]),
        (["a=1;b=2;\tc=3 ; d = 4 "], [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]),
        (["a=1; b=2", "c=3"], [("a", "1"), ("b", "2"), ("c", "3")]),
        (["a=1; a=2; A=3"], [("a", "1"), ("a", "2"), ("A", "3")]),
        (["a=b=c=="], [("a", "b=c==")]),
        (['a="b c"; d="'], [("a", '"b c"'), ("d", '"')]),
        (["a="], [("a", "")]),
        (["=a"], [("", "a")]),
        (["a"], [("", "a")]),
        (["; ;=; a=1;;"], [("a", "1")]),
        (["a=1, b=2"], [("a", "1, b=2")]),
        (["a=%3B%00; b=\xe4"], [("a", "%3B%00"), ("b", "\xe4")]),
    ],
)
def test_4_2_a_cookie_field_is_taken_apart(lines: list[str], cookies: list[tuple[str, str]]) -> None:
    assert parse_cookies(lines) == cookies


@given(st.lists(st.text(st.characters(max_codepoint=255))))
def test_4_2_any_cookie_field_is_taken_apart(lines: list[str]) -> None:
    for name, value in parse_cookies(lines):
        assert name or value
        assert ";" not in name + value
        assert "=" not in name


def test_4_2_2_all_values_of_a_name_are_given_each_once() -> None:
    assert cookie_values(["id=1; id=2; ID=3", "id=1; x=4"], "id") == ["1", "2"]


def test_4_1_3_a_prefix_in_other_capitals_is_another_name() -> None:
    assert cookie_values(["__HOST-id=evil; __host-id=evil; __Host-id=good"], "__Host-id") == ["good"]


# --- §4.1 Set-Cookie --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie", "line"),
    [
        (Cookie("a", "1"), "a=1; Path=/; HttpOnly; SameSite=Lax"),
        (Cookie("a", "", path="", is_http_only=False, same_site=""), "a="),
        (Cookie("a", '"b"', same_site="Strict"), 'a="b"; Path=/; HttpOnly; SameSite=Strict'),
        (
            Cookie("__Host-id", "x", max_age=0, expires=784111777, is_secure=True),
            "__Host-id=x; Max-Age=0; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/; Secure; HttpOnly; SameSite=Lax",
        ),
        (
            Cookie("__Secure-id", "x", domain="site.example", path="/a b", is_secure=True, same_site="None"),
            "__Secure-id=x; Domain=site.example; Path=/a b; Secure; HttpOnly; SameSite=None",
        ),
    ],
)
def test_4_1_1_a_cookie_is_rendered(cookie: Cookie, line: str) -> None:
    assert cookie.render() == line


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"name": ""}, "no token"),
        ({"name": "a b"}, "no token"),
        ({"name": "a;b"}, "no token"),
        ({"name": "a=b"}, "no token"),
        ({"name": "a\r\nX: y"}, "no token"),
        ({"name": "ä"}, "no token"),
        ({"name": "a\n"}, "no token"),
        ({"value": "a;b"}, "encode it"),
        ({"value": "a; Domain=evil.example"}, "encode it"),
        ({"value": "a\r\nSet-Cookie: b=c"}, "encode it"),
        ({"value": "a\n"}, "encode it"),
        ({"value": "a,b"}, "encode it"),
        ({"value": "a b"}, "encode it"),
        ({"value": "a\\b"}, "encode it"),
        ({"value": '"a'}, "encode it"),
        ({"value": 'a"b'}, "encode it"),
        ({"value": "\x7f"}, "encode it"),
        ({"value": "ä"}, "encode it"),
        ({"value": "x" * 4096}, "too long"),
        ({"max_age": -1}, "negative"),
        ({"domain": ".site.example"}, "no host name"),
        ({"domain": "site.example."}, "no host name"),
        ({"domain": "site_.example"}, "no host name"),
        ({"domain": "-a.example"}, "no host name"),
        ({"domain": "a;b"}, "no host name"),
        ({"domain": "a.example\n"}, "no host name"),
        ({"domain": "a" * 64}, "no host name"),
        ({"domain": "a." * 127}, "no host name"),
        ({"path": "a"}, "no path"),
        ({"path": "/a;b"}, "no path"),
        ({"path": "/a\r\nb"}, "no path"),
        ({"path": "/a "}, "no path"),
        ({"path": "/ä"}, "no path"),
        ({"path": "/" + "a" * 1024}, "too long"),
        ({"same_site": "None"}, "wants Secure"),
        ({"name": "__Secure-a"}, "promises Secure"),
        ({"name": "__SECURE-a"}, "promises Secure"),
        ({"name": "__Host-a"}, "promises Secure"),
        ({"name": "__Host-a", "is_secure": True, "path": "/a"}, "promises Path"),
        ({"name": "__Host-a", "is_secure": True, "path": ""}, "promises Path"),
        ({"name": "__host-a", "is_secure": True, "domain": "a.example"}, "promises Path"),
    ],
)
def test_4_1_1_a_cookie_that_breaks_a_rule_cannot_be_made(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CookieError, match=complaint):
        Cookie(**{"name": "a", "value": "1", **given})


def test_4_1_1_the_complaint_does_not_repeat_the_value() -> None:
    with pytest.raises(CookieError) as caught:
        Cookie("a", "secret;")
    assert "secret" not in str(caught.value)


@given(
    st.from_regex(re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,50}"), fullmatch=True),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='",;\\')),
    st.one_of(st.none(), st.integers(0, 400 * 86400)),
)
def test_what_is_rendered_is_what_a_client_reads(name: str, value: str, max_age: int | None) -> None:
    line = Cookie(name, value, max_age=max_age, is_secure=True).render()
    received = parse_set_cookie(line, now=1000, request_path="/x/y")
    assert received is not None
    assert (received.name, received.value, received.path) == (name, value, "/")
    assert (received.is_secure, received.is_http_only, received.same_site) == (True, True, "Lax")
    if max_age:
        assert received.expires == 1000 + max_age
    assert parse_cookies([f"{received.name}={received.value}"]) == [(name, value)]
