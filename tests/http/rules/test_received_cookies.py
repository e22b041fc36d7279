"""RFC 6265bis §5: reading Set-Cookie as a client."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.received_cookies import (
    AGE_LIMIT,
    EXPIRED,
    ReceivedCookie,
    default_path,
    domain_matches,
    parse_cookie_date,
    parse_set_cookie,
    path_matches,
)

NOW = 1_700_000_000


def received(line: str, *, request_path: str = "/docs/page") -> ReceivedCookie | None:
    return parse_set_cookie(line, now=NOW, request_path=request_path)


# --- §5.1.1 Dates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("08:49:37 6 november 1994", 784111777),
        ("1994-Nov-06 08:49:37", 784111777),
        ("94-Nov-06 08:49:37", None),  # the first number that may be a day is taken for one
        ("6 Nov 1994 8:49:37x", 784111777),
        ("6th Nov 1994ad 08:49:37.5", 784111777),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01-Jan-70 00:00:01 GMT", 1),
        ("Wed, 31-Dec-69 23:59:59 GMT", 3155759999),
        ("1 Jan 1601 0:0:0", -11644473600),
        ("1 Jan 1600 0:0:0", None),
        ("1 Jan 100 0:0:0", None),
        ("31 Dec 9999 23:59:59", 253402300799),
        ("30 Feb 2024 0:0:0", None),
        ("29 Feb 2024 0:0:0", 1709164800),
        ("29 Feb 2023 0:0:0", None),
        ("0 Jan 2024 0:0:0", None),
        ("32 Jan 2024 0:0:0", None),
        ("1 Jan 2024 24:0:0", None),
        ("1 Jan 2024 0:60:0", None),
        ("1 Jan 2024 0:0:60", None),
        ("1 Jan 2024", None),
        ("1 Jan 0:0:0", None),
        ("Jan 2024 0:0:0", None),
        ("1 2024 0:0:0", None),
        ("1 Jan 20245 0:0:0", None),
        ("1 Jan 2024 0:0:000", None),
        ("", None),
        ("1 J\xe4n 2024 0:0:0", None),
        ("\uff11 Jan 2024 0:0:0", None),
    ],
)
def test_5_1_1_a_date_is_read(text: str, moment: int | None) -> None:
    assert parse_cookie_date(text) == moment


@given(st.text(st.characters(max_codepoint=255)))
def test_5_1_1_any_text_is_a_date_or_none(text: str) -> None:
    parse_cookie_date(text)


# --- §5.1.3, §5.1.4 Domains and paths ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "domain", "matches"),
    [
        ("site.example", "site.example", True),
        ("www.site.example", "site.example", True),
        ("a.b.site.example", "site.example", True),
        ("notsite.example", "site.example", False),
        ("site.example", "www.site.example", False),
        ("127.0.0.1", "0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("[::1]", "[::1]", True),
    ],
)
def test_5_1_3_a_domain_matches_itself_and_what_is_below(host: str, domain: str, matches: bool) -> None:
    assert domain_matches(host, domain) is matches


@pytest.mark.parametrize(
    ("request_path", "path"),
    [("", "/"), ("x", "/"), ("*", "/"), ("/", "/"), ("/a", "/"), ("/a/", "/a"), ("/a/b", "/a"), ("/a/b/c", "/a/b")],
)
def test_5_1_4_the_default_path_is_the_folder(request_path: str, path: str) -> None:
    assert default_path(request_path) == path


@pytest.mark.parametrize(
    ("request_path", "cookie_path", "matches"),
    [
        ("/", "/", True),
        ("/a", "/", True),
        ("/a", "/a", True),
        ("/a/b", "/a", True),
        ("/a/b", "/a/", True),
        ("/ab", "/a", False),
        ("/a", "/a/", False),
        ("/b", "/a", False),
    ],
)
def test_5_1_4_a_path_matches_itself_and_what_is_below(request_path: str, cookie_path: str, matches: bool) -> None:
    assert path_matches(request_path, cookie_path) is matches


# --- §5.6 Set-Cookie --------------------------------------------------------------------------------------------------


def test_5_6_a_cookie_without_attributes() -> None:
    cookie = received("SID=31d4")
    assert cookie == ReceivedCookie("SID", "31d4", None, "", "/docs", False, False, "Default")
    assert cookie is not None
    assert cookie.is_host_only


def test_5_6_a_cookie_with_all_attributes() -> None:
    line = "a = 1 ; EXPIRES=Sun, 06 Nov 2023 08:49:37 GMT; Domain=.Site.Example; PATH=/x ; secure; httponly=no; SameSite=strict"
    cookie = received(line)
    assert cookie == ReceivedCookie("a", "1", 1699260577, "site.example", "/x", True, True, "Strict")
    assert cookie is not None
    assert not cookie.is_host_only


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("a", "", "a"),
        ("=a", "", "a"),
        ("a=", "a", ""),
        ("a==b=", "a", "=b="),
        ('a="b"', "a", '"b"'),
        ("a b=c d", "a b", "c d"),
        ("\ta\t=\tb\tc\t", "a", "b\tc"),
        ("a=%41", "a", "%41"),
        ("a=\xe4", "a", "\xe4"),
        ("a=" + "x" * 4095, "a", "x" * 4095),
        ("a=b;;; ;=;x=y;Secure", "a", "b"),
    ],
)
def test_5_6_name_and_value(line: str, name: str, value: str) -> None:
    cookie = received(line)
    assert cookie is not None
    assert (cookie.name, cookie.value) == (name, value)


@pytest.mark.parametrize(
    "line",
    [
        "", "=", " = ", "a=b\r", "a=b\nc", "a\x00=b", "a=b; Path=/\x7f", "a=" + "x" * 4096, "a=1; Domain=s\xe4.example",
        # §5.7, steps 19 to 22
        "a=1; SameSite=None",
        "__Secure-SID=12345; Domain=site.example",
        "__SECURE-SID=12345",
        "__Host-SID=12345",
        "__host-SID=12345; Secure",
        "__Host-SID=12345; Path=/",
        "__HOST-SID=12345; Secure; Domain=site.example; Path=/",
        "__Host-SID=12345; Secure; Path=/docs",
        "__Host-SID",
        "=__SECURE-SID=1",
    ],
)  # fmt: skip
def test_5_6_a_cookie_that_is_ignored(line: str) -> None:
    assert received(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "a=1; SameSite=None; Secure",
        "__Secure-SID=12345; Domain=site.example; Secure",
        "__secure-SID=12345; Secure",
        "__Host-SID=12345; Secure; Path=/",
        "__HOST-SID=12345; Secure; Path=/",
    ],
)
def test_5_4_a_cookie_that_keeps_its_promise(line: str) -> None:
    assert received(line) is not None


def test_5_4_the_default_path_does_not_keep_the_promise_of_host() -> None:
    assert received("__Host-SID=12345; Secure", request_path="/") is None


@pytest.mark.parametrize(
    ("attributes", "field", "value"),
    [
        ("Max-Age=10", "expires", NOW + 10),
        ("Max-Age=0", "expires", EXPIRED),
        ("Max-Age=000", "expires", EXPIRED),
        ("Max-Age=-1", "expires", EXPIRED),
        ("Max-Age=-0", "expires", EXPIRED),
        ("Max-Age=007", "expires", NOW + 7),
        ("Max-Age=99999999999999999999", "expires", NOW + AGE_LIMIT),
        ("Max-Age=9999999999", "expires", NOW + AGE_LIMIT),
        ("Max-Age=" + "9" * 1024, "expires", NOW + AGE_LIMIT),
        ("Max-Age=" + "0" * 1023 + "9", "expires", NOW + 9),
        ("Max-Age=" + "0" * 1024 + "9", "expires", None),  # too long
        ("Max-Age=", "expires", None),
        ("Max-Age", "expires", None),
        ("Max-Age=-", "expires", None),
        ("Max-Age=+1", "expires", None),
        ("Max-Age=1.5", "expires", None),
        ("Max-Age=1_0", "expires", None),
        ("Max-Age=\xb2", "expires", None),
        ("Max-Age=1; Max-Age=2", "expires", NOW + 2),
        ("Max-Age=1; Max-Age=x", "expires", NOW + 1),
        ("Max-Age=1; Expires=Sun, 06 Nov 2033 08:49:37 GMT", "expires", NOW + 1),
        ("Expires=Sun, 06 Nov 2033 08:49:37 GMT", "expires", NOW + AGE_LIMIT),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", "expires", 0),
        ("Expires=soon", "expires", None),
        ("Domain=", "domain", ""),
        ("Domain=..a", "domain", ".a"),
        ("Domain=a; Domain=b", "domain", "b"),
        ("Domain=a; Domain=" + "b" * 1025, "domain", "a"),
        ("Path=x", "path", "/docs"),
        ("Path=", "path", "/docs"),
        ("Path=/a; Path=x", "path", "/docs"),
        ("Path=/a=b", "path", "/a=b"),
        ("Path=/" + "a" * 1024, "path", "/docs"),
        ("SameSite", "same_site", "Default"),
        ("SameSite=Sometimes", "same_site", "Default"),
        ("SameSite=LAX", "same_site", "Lax"),
        ("SameSite=Strict; SameSite=Lax", "same_site", "Lax"),
        ("SameSite=none; Secure", "same_site", "None"),
        ("Secure=false", "is_secure", True),
        ("Partitioned", "is_secure", False),
    ],
)
def test_5_6_attributes(attributes: str, field: str, value: Any) -> None:
    assert getattr(received(f"a=1; {attributes}"), field) == value


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_5_6_any_line_is_a_cookie_or_none(line: str, path: str) -> None:
    cookie = received(line, request_path=path)
    if cookie is not None:
        assert cookie.path.startswith("/")
        assert len(cookie.name) + len(cookie.value) <= 4096
