"""Forms that a page of another site sent."""

from __future__ import annotations

import pytest

from netlodge.http.handlers.csrf import FIELD, check_source, check_token
from netlodge.http.handlers.forms import Form
from netlodge.http.message import HttpError
from tests.http.handlers.asking import request_of
from tests.http.handlers.form_requests import MemoryVisit


def test_what_a_browser_says_of_a_page_of_another_site_is_enough_to_refuse_it() -> None:
    check_source(request_of("POST", "/", {"sec-fetch-site": "same-origin"}))
    with pytest.raises(HttpError) as caught:
        check_source(request_of("POST", "/", {"sec-fetch-site": "cross-site"}))
    assert caught.value.status == 403


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
