"""Response fields by path."""

from __future__ import annotations

import pytest

from netlodge.http.handlers.fields import FieldRule, FieldRules
from netlodge.http.handlers.respond import Respond
from netlodge.http.message import Fields, HttpError, Request, Response
from netlodge.http.rules.patterns import PathPattern
from tests.http.handlers.asking import ask, content, get, holds


class Answering:
    def __init__(self, status: int) -> None:
        self.status = status

    async def handle(self, request: Request) -> Response:
        return Response(self.status, Fields([("cache-control", "no-cache"), ("x-powered-by", "magic")]))


class Failing:
    async def handle(self, request: Request) -> Response:
        raise HttpError(404, fields=[("x-reason", "none")])


RULES = (
    FieldRule(PathPattern("*"), {"x-content-type-options": "nosniff", "x-powered-by": ""}),
    FieldRule(PathPattern("/assets/*"), {"cache-control": "max-age=60"}),
    FieldRule(PathPattern("/assets/*.css"), {"cache-control": "max-age=31536000, immutable"}),
    FieldRule(PathPattern("*"), {"strict-transport-security": "max-age=1"}, on_errors=True),
)


@pytest.mark.parametrize(
    ("path", "cache_control"),
    [
        ("/", "no-cache"),
        ("/assets/a.png", "max-age=60"),
        ("/%61ssets/a.png", "max-age=60"),
        ("/assets/a.css", "max-age=31536000, immutable"),
    ],
)
@pytest.mark.parametrize("status", [200, 206, 301, 304])
def test_a_later_rule_wins_over_an_earlier_one_and_over_the_handler(path: str, cache_control: str, status: int) -> None:
    response = get(FieldRules(Answering(status), RULES), path)
    assert response.fields.get("cache-control") == cache_control
    assert response.fields.get("x-content-type-options") == "nosniff"


def test_an_empty_value_takes_a_field_away() -> None:
    assert "x-powered-by" not in get(FieldRules(Answering(200), RULES), "/").fields


def test_errors_get_only_what_is_meant_for_them_whether_returned_or_raised() -> None:
    returned = get(FieldRules(Answering(500), RULES), "/assets/a.png")
    assert returned.fields.get("cache-control") == "no-cache"
    assert returned.fields.get("strict-transport-security") == "max-age=1"
    raised = get(FieldRules(Failing(), RULES), "/assets/a.png")
    assert raised.fields.get("x-reason") == "none"
    assert raised.fields.get("strict-transport-security") == "max-age=1"
    assert "x-content-type-options" not in raised.fields


# respond


def test_a_fixed_answer_is_the_same_for_everyone() -> None:
    response = get(Respond(200, "pong\n"), "/health")
    assert (response.status, content(response)) == (200, b"pong\n")
    assert response.fields.get("content-type") == "text/plain; charset=utf-8"
    assert holds(response)


def test_a_fixed_answer_may_be_empty() -> None:
    response = get(Respond(204), "/")
    assert (response.status, content(response), len(response.fields)) == (204, b"", 0)


def test_a_fixed_answer_can_only_be_read() -> None:
    assert ask(Respond(), "OPTIONS", "/").fields.get("allow") == "GET, HEAD, OPTIONS"
    assert ask(Respond(), "POST", "/").status == 405


@pytest.mark.parametrize("status", [0, 100, 199, 600])
def test_a_status_that_ends_nothing_is_an_error(status: int) -> None:
    with pytest.raises(ValueError, match="final"):
        Respond(status)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_that_has_no_content_has_no_text(status: int) -> None:
    with pytest.raises(ValueError, match="no content"):
        Respond(status, "text")
