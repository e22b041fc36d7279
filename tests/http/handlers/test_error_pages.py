"""Error bodies. RFC 9110 §15.5, §15.6."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netlodge.http.handlers.error_pages import PAGE_OCTETS, ErrorPages, error_response
from netlodge.http.message import Fields, HttpError, MessageError, Request, Response
from tests.http.handlers.asking import answer, content, get, request_of

TOO_LARGE = HttpError(
    413, "The content has more than 10 octets.", setting="limits.body_size", fields=[("retry-after", "9")]
)


class Failing:
    def __init__(self, error: HttpError) -> None:
        self.error = error

    async def handle(self, request: Request) -> Response:
        raise self.error


class Answering:
    async def handle(self, request: Request) -> Response:
        return Response(404, Fields(), b"the application's own")


def test_the_body_says_what_is_wrong_and_which_setting_it_was() -> None:
    response = error_response(TOO_LARGE, request_of("GET", "/"))
    assert response.status == 413
    assert response.fields.get("content-type") == "text/plain; charset=utf-8"
    assert response.fields.get("retry-after") == "9"
    assert response.fields.get("vary") == "accept"
    assert content(response).decode().splitlines() == [
        "413 Content Too Large",
        "The content has more than 10 octets.",
        "The limit is set by limits.body_size.",
    ]


def test_bytes_that_were_no_request_get_plain_text() -> None:
    response = error_response(MessageError(400, "No request line."))
    assert content(response) == b"400 Bad Request\nNo request line.\n"
    assert "vary" not in response.fields


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
        ("application/json", "text/plain; charset=utf-8"),
    ],
)
def test_a_browser_gets_a_page(accept: str, kind: str) -> None:
    response = error_response(TOO_LARGE, request_of("GET", "/", {"accept": accept}))
    assert response.fields.get("content-type") == kind
    assert b"limits.body_size" in content(response)


def test_nothing_in_a_page_is_markup_that_was_not_meant() -> None:
    response = error_response(HttpError(400, "<script>"), request_of("GET", "/", {"accept": "text/html"}))
    assert b"<script>" not in content(response)
    assert b"&lt;script&gt;" in content(response)


def test_a_status_without_a_reason_and_a_detail_is_still_an_answer() -> None:
    assert content(error_response(HttpError(499))) == b"499 Error\n"


def test_a_page_of_ones_own_takes_the_place_of_the_default(tmp_path: Path) -> None:
    page = tmp_path / "413.html"
    page.write_text("<p>too much")
    handler = ErrorPages(Failing(TOO_LARGE), {413: page})
    response = get(handler, "/")
    assert response.status == 413
    assert content(response) == b"<p>too much"
    assert response.fields.get("content-type") == "text/html; charset=utf-8"
    assert response.fields.get("retry-after") == "9"
    page.write_text("<p>edited")
    assert content(get(handler, "/")) == b"<p>edited"


def test_an_error_without_a_page_and_one_that_ends_the_connection_pass_through(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("page")
    for error, pages in [(TOO_LARGE, {404: page}), (HttpError(400, "in doubt", must_close=True), {400: page})]:
        with pytest.raises(HttpError) as raised:
            ErrorPages(Failing(error), pages).handle(request_of("GET", "/")).send(None)
        assert raised.value is error


def test_a_page_that_cannot_be_read_is_logged_and_the_default_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    response = answer(ErrorPages(Failing(TOO_LARGE), {413: tmp_path / "missing.html"}), request_of("GET", "/"))
    assert b"413 Content Too Large" in content(response)
    assert "missing.html" in caplog.text


def test_answers_that_a_handler_returns_are_its_own(tmp_path: Path) -> None:
    page = tmp_path / "404.html"
    page.write_text("page")
    assert content(get(ErrorPages(Answering(), {404: page}), "/")) == b"the application's own"


def test_a_page_that_is_too_large_is_logged_and_the_default_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = tmp_path / "413.html"
    page.write_bytes(b"x" * PAGE_OCTETS)
    handler = ErrorPages(Failing(TOO_LARGE), {413: page})
    assert content(get(handler, "/")) == b"x" * PAGE_OCTETS
    page.write_bytes(b"x" * (PAGE_OCTETS + 1))
    assert b"413 Content Too Large" in content(get(handler, "/"))
    assert "413.html" in caplog.text


def test_a_page_that_became_a_fifo_holds_nobody_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    page = tmp_path / "413.html"
    os.mkfifo(page)
    # Opened for writing too, so that a reader that would wait gets to the end of this test all the same.
    descriptor = os.open(page, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(descriptor, b"from the pipe")
        assert b"413 Content Too Large" in content(get(ErrorPages(Failing(TOO_LARGE), {413: page}), "/"))
    finally:
        os.close(descriptor)
    assert "Not a regular file" in caplog.text
