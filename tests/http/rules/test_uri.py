"""URIs: RFC 3986 resolution with the RFC's own examples, and what people type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.uri import (
    Reference,
    UriError,
    parse_reference,
    parse_web_uri,
    remove_dot_segments,
    resolve,
    resolve_web_uri,
)

BASE = "http://a/b/c/d;p?q"

# RFC 3986 §5.4.1
NORMAL = {
    "g:h": "g:h", "g": "http://a/b/c/g", "./g": "http://a/b/c/g", "g/": "http://a/b/c/g/", "/g": "http://a/g", "//g": "http://g",
    "?y": "http://a/b/c/d;p?y", "g?y": "http://a/b/c/g?y", "#s": "http://a/b/c/d;p?q#s", "g#s": "http://a/b/c/g#s",
    "g?y#s": "http://a/b/c/g?y#s", ";x": "http://a/b/c/;x", "g;x": "http://a/b/c/g;x", "g;x?y#s": "http://a/b/c/g;x?y#s",
    "": "http://a/b/c/d;p?q", ".": "http://a/b/c/", "./": "http://a/b/c/", "..": "http://a/b/", "../": "http://a/b/",
    "../g": "http://a/b/g", "../..": "http://a/", "../../": "http://a/", "../../g": "http://a/g",
}  # fmt: skip
# RFC 3986 §5.4.2; of the two readings of `http:g` the strict one.
ABNORMAL = {
    "../../../g": "http://a/g", "../../../../g": "http://a/g", "/./g": "http://a/g", "/../g": "http://a/g", "g.": "http://a/b/c/g.",
    ".g": "http://a/b/c/.g", "g..": "http://a/b/c/g..", "..g": "http://a/b/c/..g", "./../g": "http://a/b/g", "./g/.": "http://a/b/c/g/",
    "g/./h": "http://a/b/c/g/h", "g/../h": "http://a/b/c/h", "g;x=1/./y": "http://a/b/c/g;x=1/y", "g;x=1/../y": "http://a/b/c/y",
    "g?y/./x": "http://a/b/c/g?y/./x", "g?y/../x": "http://a/b/c/g?y/../x", "g#s/./x": "http://a/b/c/g#s/./x",
    "g#s/../x": "http://a/b/c/g#s/../x", "http:g": "http:g",
}  # fmt: skip


@pytest.mark.parametrize(("reference", "target"), [*NORMAL.items(), *ABNORMAL.items()])
def test_a_reference_is_resolved_as_the_examples_of_rfc_3986_5_4(reference: str, target: str) -> None:
    assert str(resolve(parse_reference(BASE), parse_reference(reference))) == target


def test_a_path_is_merged_with_a_base_without_one() -> None:
    assert str(resolve(parse_reference("http://a"), parse_reference("g"))) == "http://a/g"


@pytest.mark.parametrize(
    ("path", "without"),
    [
        ("/a/b/c/./../../g", "/a/g"), ("mid/content=5/../6", "mid/6"), ("/..", "/"), ("/.", "/"), ("..", ""), (".", ""), ("../a", "a"),
        ("/a/..", "/"), ("a/..", ""), ("/", "/"), ("", ""), ("a/.", "a/"), ("/../../a/", "/a/"), ("//../a", "/a"),
    ],
)  # fmt: skip
def test_dot_segments_are_removed(path: str, without: str) -> None:
    assert remove_dot_segments(path) == without


@given(st.text())
def test_any_string_is_a_reference_and_is_put_together_again(text: str) -> None:
    assert str(parse_reference(text)) == text


def test_what_has_no_name_of_a_scheme_is_a_path() -> None:
    assert parse_reference("1a:b") == Reference(None, None, "1a:b", None, None)
    assert parse_reference("1a://b/c") == Reference(None, None, "1a://b/c", None, None)


TYPED = {
    "http://example.org": "http://example.org/",
    "HTTP://Example.ORG:80/a": "http://example.org/a",
    "https://example.org:443/?": "https://example.org/?",
    "https://example.org:8443/#x": "https://example.org:8443/#x",
    "  http://example.org/\ta\nb ": "http://example.org/ab",
    "http:\\\\example.org\\a?b\\c": "http://example.org/a?b\\c",
    "http://example.org/a b": "http://example.org/a%20b",
    "http://example.org/ä?ä": "http://example.org/%C3%A4?%C3%A4",
    "http://example.org/100%": "http://example.org/100%25",
    "http://example.org/%7ea%2f%2F%e4": "http://example.org/~a%2F%2F%E4",
    "http://example.org/?a=100%": "http://example.org/?a=100%",
    "http://example.org/a/../%2e%2E/b": "http://example.org/b",
    "http://example.org?a": "http://example.org/?a",
    "http://example.org./": "http://example.org/",
    "http://bücher.example/": "http://xn--bcher-kva.example/",
    "http://b%C3%BCcher.example/": "http://xn--bcher-kva.example/",
    "http://[::0001]:8080/": "http://[::1]:8080/",
    "http://127.1/": "http://127.0.0.1/",
    "http://0x7f000001/": "http://127.0.0.1/",
    "http://2130706433/": "http://127.0.0.1/",
    "http://0177.0.0.0x1/": "http://127.0.0.1/",
    "http://0x/": "http://0.0.0.0/",
    "http://u:p@ss@example.org:/": "http://example.org/",
    "http://user@example.org/": "http://example.org/",
}


@pytest.mark.parametrize(("typed", "read"), TYPED.items())
def test_what_people_type_is_read_in_one_spelling(typed: str, read: str) -> None:
    uri = parse_web_uri(typed)
    assert str(uri) == read
    assert parse_web_uri(str(uri)) == uri.without_credentials()


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("localhost:8080/a", "http://localhost:8080/a"), ("//localhost/", "http://localhost/"), ("[::1]:80", "http://[::1]/"),
        ("https://a/", "https://a/"), ("a?b=http://c", "http://a/?b=http://c"),
    ],
)  # fmt: skip
def test_the_scheme_may_be_left_out_where_one_is_meant(typed: str, read: str) -> None:
    assert str(parse_web_uri(typed, default_scheme="http")) == read


@pytest.mark.parametrize(
    "typed",
    [
        "", "example.org", "ftp://example.org/", "mailto:a@b", "http://", "http:///a", "http://:80/", "http://a:0/", "http://a:65536/",
        "http://a:+1/", "http://a:1_0/", "http://a:٣/", "http://a b/", "http://a..b/", "http://.a/", "http://[::1/", "http://[::1]x/",
        "http://[1.2.3.4]/", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://1.2.3.256/", "http://09/", "http://a.1/", "http://a_1.0x/",
        "http://a%00b/", "http://a%2fb/", "http://xn--a\u2014\ud800/", "http://" + "1" * 50 + "/", "http://\u00ad/", "http:g",
    ],
)  # fmt: skip
def test_what_is_no_uri_of_the_web_is_refused(typed: str) -> None:
    with pytest.raises(UriError):
        parse_web_uri(typed)


@given(st.text())
def test_nothing_but_its_own_error_is_ever_raised(text: str) -> None:
    for uri in (text, f"http://{text}", f"http://a/{text}"):
        try:
            read = parse_web_uri(uri)
        except UriError:
            continue
        assert parse_web_uri(str(read)) == read.without_credentials()


def test_userinfo_is_decoded_and_shown_to_nobody() -> None:
    uri = parse_web_uri("http://a%40b:p%3Aq@example.org/x")
    assert (uri.user, uri.password) == ("a@b", "p:q")
    assert "p" not in str(uri).removeprefix("http://example")
    assert "@" not in uri.authority + uri.absolute_target
    assert parse_web_uri("http://example.org/").user is None


def test_the_parts_that_a_message_needs() -> None:
    uri = parse_web_uri("https://[::1]:8443/a?b#c")
    assert (uri.authority, uri.target, uri.absolute_target) == ("[::1]:8443", "/a?b", "https://[::1]:8443/a?b")
    assert uri.host_name == "::1"
    assert uri.is_secure
    assert uri.is_same_origin(parse_web_uri("https://[0::1]:8443/"))
    assert not uri.is_same_origin(parse_web_uri("http://[::1]:8443/"))


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/x", "http://a/x#f"), ("x", "http://a/b/x#f"), ("?y", "http://a/b/c?y#f"), ("#g", "http://a/b/c?q#g"), ("//h/", "http://h/#f"),
        ("https://h/ x", "https://h/%20x#f"), ("/\xc3\xa4", "http://a/%C3%A4#f"), ("/\xe4", "http://a/%E4#f"), ("\\x", "http://a/x#f"),
        ("http://b\xc3\xbccher/", "http://xn--bcher-kva/#f"), (" ", "http://a/b/c?q#f"),
    ],
)  # fmt: skip
def test_location_is_resolved_against_the_request_and_inherits_its_fragment(location: str, target: str) -> None:
    assert str(resolve_web_uri(parse_web_uri("http://u:p@a/b/c?q#f"), location)) == target


@pytest.mark.parametrize("location", ["ftp://a/", "http:", "http://", "javascript:alert(1)"])
def test_location_that_leads_out_of_the_web_is_refused(location: str) -> None:
    with pytest.raises(UriError):
        resolve_web_uri(parse_web_uri("http://a/"), location)
