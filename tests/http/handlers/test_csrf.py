"""Forms that a page of another site sent."""

from __future__ import annotations

import pytest

from netlodge.http.handlers.csrf import FIELD, check_source, check_token
from netlodge.http.handlers.forms import Form
from netlodge.http.message import HttpError
from tests.http.handlers.asking import request_of
from tests.http.handlers.form_requests import MemoryVisit


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://www.example.org"},
        {"origin": "https://www.example.org"},  # TLS ends at a proxy before us
        {"origin": "http://WWW.example.org:80"},
        # The browser knows better than a proxy that changes Host.
        {"sec-fetch-site": "same-origin", "origin": "https://elsewhere.example"},
    ],
)
def test_a_page_of_this_site_may_send_a_form(fields: dict[str, str]) -> None:
    check_source(request_of("POST", "/", fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "nonsense"},
        {"sec-fetch-site": "cross-site", "origin": "http://www.example.org"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://www.example.org.evil.example"},
        {"origin": "http://www.example.org:8080"},
        {"origin": "http://www.example.org:x"},
        {"origin": "ftp://www.example.org"},
        {"origin": "http://[::1"},
        {"origin": "http://www.example.org, http://www.example.org"},
    ],
)
def test_a_page_of_another_site_may_not(fields: dict[str, str]) -> None:
    with pytest.raises(HttpError) as caught:
        check_source(request_of("POST", "/", fields))
    assert caught.value.status == 403


def test_an_origin_with_a_port_or_an_address_is_told_by_all_of_it() -> None:
    request = request_of("POST", "/", {"origin": "http://[::1]:8080"}, host="[::1]")
    request.port = 8080
    check_source(request)
    request.port = 8081
    with pytest.raises(HttpError):
        check_source(request)


def test_a_form_carries_the_token_of_its_visit() -> None:
    request = request_of("POST", "/")
    request.visit = MemoryVisit(token="secret")
    check_token(request, Form([(FIELD, "secret")]))
    for form in (Form(), Form([(FIELD, "")]), Form([(FIELD, "other")]), Form([("other", "secret")])):
        with pytest.raises(HttpError) as caught:
            check_token(request, form)
        assert caught.value.status == 403
        assert "load the page again" in caught.value.detail


def test_without_sessions_whoever_runs_the_lodge_is_told_what_to_set() -> None:
    with pytest.raises(HttpError) as caught:
        check_token(request_of("POST", "/"), Form([(FIELD, "")]))
    assert caught.value.status == 500
    assert "sessions = true" in caught.value.detail
