"""What a site says of HTTPS: redirects, Strict-Transport-Security, and the answer to those who speak plainly where TLS is spoken."""

from __future__ import annotations

import asyncio

import pytest

from netlodge.http.handlers.https import Https, TellHttps, is_request
from netlodge.http.message import Fields, Handler, HttpError, Request, Response, TargetForm
from tests.http.handlers.asking import request_of


class Site:
    """Answers everything, or fails as asked."""

    def __init__(self, error: HttpError | None = None, fields: Fields | None = None) -> None:
        self._error = error
        self._fields = fields or Fields()

    async def handle(self, request: Request) -> Response:
        if self._error is not None:
            raise self._error
        return Response(200, self._fields.copy(), b"inside")


def ask(handler: Handler, request: Request, *, scheme: str = "http") -> Response:
    request.scheme = scheme
    return asyncio.run(handler.handle(request))


# --- Redirects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "target", "port", "location"),
    [
        ("www.example.org", "/", 443, "https://www.example.org/"),
        ("www.example.org", "/a%20b/?c=d&e", 443, "https://www.example.org/a%20b/?c=d&e"),
        ("www.example.org", "/x", 8443, "https://www.example.org:8443/x"),
        ("[::1]", "/x", 8443, "https://[::1]:8443/x"),
        ("www.example.org", "//evil.example/x", 443, "https://www.example.org/evil.example/x"),
        ("www.example.org", "/.well-known/security.txt", 443, "https://www.example.org/.well-known/security.txt"),
        ("", "/x", 8443, "https://127.0.0.1:8443/x"),
    ],
)
def test_a_plain_request_is_sent_to_the_same_place(host: str, target: str, port: int, location: str) -> None:
    response = ask(Https(Site(), redirect_to=port), request_of("POST", target, host=host))
    assert response.status == 308
    assert response.fields.get("location") == location


def test_the_redirect_is_remembered_where_the_request_says_all() -> None:
    site = Https(Site(), redirect_to=443)
    remember = ask(site, request_of("GET", "/")).remember
    assert remember is not None
    assert remember.reads == frozenset()
    assert ask(site, request_of("GET", "/", host="")).remember is None


def test_a_challenge_is_answered_in_the_clear() -> None:
    site = Https(Site(), redirect_to=443)
    assert ask(site, request_of("GET", "/.well-known/acme-challenge/abc")).body == b"inside"


def test_what_came_by_tls_is_answered_there() -> None:
    assert ask(Https(Site(), redirect_to=443), request_of("GET", "/"), scheme="https").body == b"inside"


def test_without_a_redirect_both_are_answered() -> None:
    assert ask(Https(Site(), hsts=10), request_of("GET", "/")).body == b"inside"


# --- RFC 6797 -----------------------------------------------------------------------------------------------------------


def hsts(response: Response) -> list[str]:
    return response.fields.get_all("strict-transport-security")


def test_browsers_are_told_over_tls_alone() -> None:
    site = Https(Site(), redirect_to=443, hsts=600)
    assert hsts(ask(site, request_of("GET", "/"), scheme="https")) == ["max-age=600"]
    assert hsts(ask(site, request_of("GET", "/"))) == []
    assert hsts(ask(site, request_of("GET", "/.well-known/acme-challenge/x"))) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_host_that_is_an_address_is_told_nothing(host: str) -> None:
    assert hsts(ask(Https(Site(), hsts=600), request_of("GET", "/", host=host), scheme="https")) == []


def test_an_error_tells_it_too() -> None:
    site = Https(Site(HttpError(404, fields=[("x", "y")])), hsts=600)
    with pytest.raises(HttpError) as caught:
        ask(site, request_of("GET", "/"), scheme="https")
    assert caught.value.fields == (("x", "y"), ("strict-transport-security", "max-age=600"))


def test_what_the_site_says_itself_goes_before_it() -> None:
    own = Fields([("strict-transport-security", "max-age=1; includeSubDomains")])
    site = Https(Site(fields=own), hsts=600)
    assert hsts(ask(site, request_of("GET", "/"), scheme="https")) == ["max-age=1; includeSubDomains"]


def test_nothing_asked_for_is_nothing_told() -> None:
    assert hsts(ask(Https(Site(), redirect_to=443), request_of("GET", "/"), scheme="https")) == []


# --- In the clear, where TLS is spoken ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "target", "uri"),
    [
        ("localhost", 8443, "/a?b", "https://localhost:8443/a?b"),
        ("www.example.org", None, "/", "https://www.example.org/"),
        ("www.example.org", 443, "/", "https://www.example.org/"),
        ("", None, "/", "https://127.0.0.1:8080/"),
        ("[::1]", 8443, "/<b>", "https://[::1]:8443/%3Cb%3E"),
    ],
)
def test_who_speaks_in_the_clear_is_told_what_to_ask_for(host: str, port: int | None, target: str, uri: str) -> None:
    request = request_of("GET", target, host=host)
    request.port = port
    with pytest.raises(HttpError) as caught:
        ask(TellHttps(), request)
    assert caught.value.status == 400
    assert caught.value.must_close
    assert caught.value.detail.endswith(f" {uri}")


def test_a_request_for_no_path_is_told_too() -> None:
    with pytest.raises(HttpError, match=r"https://www\.example\.org/$"):
        ask(TellHttps(), request_of("OPTIONS", "*", form=TargetForm.ASTERISK))


@pytest.mark.parametrize(
    ("octets", "verdict"),
    [
        (b"G", None),
        (b"GET", None),
        (b"GET ", True),
        (b"GET / HTTP/1.1\r\n", True),
        (b"PROPFIND /", True),
        (b"PRI * HTTP/2.0\r\n", True),
        (b" GET", False),
        (b"get /", False),
        (b"GET1 ", False),
        (b"SSH-2.0-x", False),
        (b"\x80\x2e\x01", False),
        (b"\r\nGET ", False),
    ],
)
def test_a_request_is_known_by_its_method(octets: bytes, verdict: bool | None) -> None:
    assert is_request(octets) is verdict
