"""Hosts as they are compared. RFC 9110 §4.2.3, RFC 3986 §3.2.2, RFC 5952 §4, RFC 1034 §3.1."""

from __future__ import annotations

import pytest

from netlodge.http.rules.hosts import has_empty_label, normal_host


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("WWW.Example.ORG.", "www.example.org"),
        ("a..", "a."),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[2001:DB8::0]", "[2001:db8::]"),
        ("[V1.X]", "[v1.x]"),
        ("[]", "[]"),
        ("127.0.0.1", "127.0.0.1"),
        ("", ""),
    ],
)
def test_equal_hosts_have_one_form(host: str, normal: str) -> None:
    assert normal_host(host) == normal


@pytest.mark.parametrize("host", [".a", "a.", "a..b", "."])
def test_a_name_with_nothing_between_its_dots_is_none(host: str) -> None:
    assert has_empty_label(host)


@pytest.mark.parametrize("host", ["a", "a.b", "[::1]"])
def test_other_names_have_no_empty_label(host: str) -> None:
    assert not has_empty_label(host)
