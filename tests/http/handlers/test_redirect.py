"""RFC 9110 §10.2.2, §15.4."""

from __future__ import annotations

import pytest

from netlodge.http.handlers.redirect import Redirect
from netlodge.http.handlers.router import Route, Router, Site
from tests.http.handlers.asking import ask, content, get, holds


def through(path: str, redirect: Redirect) -> Router:
    return Router([Site((), (Route(path, redirect),))])


@pytest.mark.parametrize(
    ("route", "to", "target", "location"),
    [
        ("/old/", "/new/", "/old/", "/new/"),
        ("/old/", "/new/", "/old/a/b?c=d", "/new/a/b?c=d"),
        ("/old/", "/new", "/old/a/b?c=d", "/new?c=d"),
        ("/old", "/new/", "/old", "/new/"),
        ("/old", "/new/", "/old/x", "/new/x"),
        ("/", "https://www.example.net/", "/a?b", "https://www.example.net/a?b"),
        ("/", "https://www.example.net", "/a", "https://www.example.net"),
        ("/", "/new?x=1", "/a?b=2", "/new?x=1"),
        ("/", "/new#part", "/a?b=2", "/new#part"),
        ("/", "/new/?next=/", "/a", "/new/?next=/"),
        ("/old/", "/café/", "/old/%c3%a9", "/caf%C3%A9/%C3%A9"),
        ("/", "/", "/a", "/a"),
    ],
)
def test_where_a_redirect_leads(route: str, to: str, target: str, location: str) -> None:
    response = get(through(route, Redirect(to)), target)
    assert response.status == 302
    assert response.fields.get("location") == location


@pytest.mark.parametrize("target", ["//evil.example/", "/\\evil.example", "/%5cevil.example", "///evil.example"])
@pytest.mark.parametrize("to", ["/", "https://www.example.net/"])
def test_no_path_leads_to_a_host_that_was_not_meant(target: str, to: str) -> None:
    location = get(through("/", Redirect(to)), target).fields.get("location") or ""
    rest = location.removeprefix("https://www.example.net")
    assert rest.startswith("/")
    assert not rest.startswith(("//", "/\\"))


def test_the_query_may_hold_anything_and_the_location_not() -> None:
    location = get(Redirect("/new"), '/old?a="<b>\x80\\').fields.get("location")
    assert location == "/new?a=%22%3Cb%3E%80%5C"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_each_status_has_a_note_with_the_link(status: int, method: str) -> None:
    response = ask(Redirect("/new?a=1&b='", status), method, "/old")
    assert response.status == status
    assert b"""<a href="/new?a=1&amp;b=&#x27;">""" in content(response)
    assert holds(response)


@pytest.mark.parametrize(
    ("to", "status"), [("/new", 300), ("/new", 304), ("new", 301), ("//host/", 301), ("javascript:x", 301), ("", 301)]
)
def test_what_is_no_redirect_is_an_error(to: str, status: int) -> None:
    with pytest.raises(ValueError, match=r"not one of|neither a path"):
        Redirect(to, status)
