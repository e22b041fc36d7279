"""RFC 9110 §9.3.6, §9.3.7, §9.3.8."""

from __future__ import annotations

import pytest

from netlodge.http.handlers.respond import Respond
from netlodge.http.handlers.trace import ServerMethods
from netlodge.http.message import TargetForm
from tests.http.handlers.asking import answer, ask, content, request_of

INNER = Respond(200, "inner")
OFF, ON = ServerMethods(INNER), ServerMethods(INNER, trace=True)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_about_a_resource_is_handed_on(method: str) -> None:
    assert content(ask(ON, method, "/")) == b"inner"
    assert ask(ON, "POST", "/").status == 405
    assert ask(ON, "OPTIONS", "/").fields.get("allow") == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(("handler", "allow"), [(OFF, "GET, HEAD, OPTIONS"), (ON, "GET, HEAD, OPTIONS, TRACE")])
def test_options_of_the_server_itself(handler: ServerMethods, allow: str) -> None:
    response = answer(handler, request_of("OPTIONS", "*", form=TargetForm.ASTERISK))
    assert (response.status, response.fields.get("allow"), response.body) == (204, allow, b"")


def test_trace_is_off_by_default() -> None:
    response = ask(OFF, "TRACE", "/")
    assert response.status == 405
    assert "TRACE" not in (response.fields.get("allow") or "TRACE")


def test_trace_sends_the_request_back_without_what_is_sensitive() -> None:
    fields = {
        "via": "1.1 a",
        "authorization": "Basic x",
        "cookie": "a=b",
        "proxy-authorization": "y",
        "x-api-key": "z",
        "accept": "\xe9",
    }
    response = ask(ON, "TRACE", "/a?b", fields)
    assert response.status == 200
    assert response.fields.get("content-type") == "message/http"
    assert response.remember is None
    assert content(response) == b"TRACE /a?b HTTP/1.1\r\nhost: www.example.org\r\nvia: 1.1 a\r\naccept: \xe9\r\n\r\n"


def test_trace_with_content_is_refused() -> None:
    assert answer(ON, request_of("TRACE", "/", length=5)).status == 400


def test_connect_is_refused_where_there_is_no_proxy() -> None:
    request = request_of("CONNECT", "example.org:443", form=TargetForm.AUTHORITY)
    assert answer(ON, request).status == 405
