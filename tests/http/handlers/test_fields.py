"""Response fields by path."""

from __future__ import annotations

import pytest

from netlodge.http.handlers.fields import FieldRule, FieldRules
from netlodge.http.handlers.respond import Respond
from netlodge.http.message import Fields, HttpError, Request, Response
from netlodge.http.rules.patterns import PathPattern
from tests.http.handlers.asking import answer, ask, content, get, holds, request_of


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
    FieldRule(PathPattern("/assets/*"), cache_control="max-age=60"),
    FieldRule(PathPattern("/assets/*.css"), cache_control="max-age=31536000, immutable"),
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


def test_errors_get_the_fields_whether_returned_or_raised() -> None:
    for error in (get(FieldRules(Answering(500), RULES), "/"), get(FieldRules(Failing(), RULES), "/")):
        assert error.fields.get("x-content-type-options") == "nosniff"
    assert get(FieldRules(Failing(), RULES), "/").fields.get("x-reason") == "none"


def test_what_may_be_cached_is_not_said_of_errors_unless_they_are_what_was_asked_for() -> None:
    assert get(FieldRules(Answering(500), RULES), "/assets/a.png").fields.get("cache-control") == "no-cache"
    assert "cache-control" not in get(FieldRules(Failing(), RULES), "/assets/a.png").fields
    rules = [FieldRule(PathPattern("*"), cache_control="max-age=5", caches_errors=True)]
    assert get(FieldRules(Answering(410), rules), "/").fields.get("cache-control") == "max-age=5"
    assert "cache-control" not in get(FieldRules(Failing(), rules), "/").fields


def test_what_is_said_of_the_content_is_not_said_of_the_text_of_an_error() -> None:
    rules = [FieldRule(PathPattern("*"), {"content-encoding": "gzip", "content-language": "de"})]
    assert get(FieldRules(Answering(200), rules), "/").fields.get("content-encoding") == "gzip"
    assert {"content-encoding", "content-language"}.isdisjoint(get(FieldRules(Failing(), rules), "/").fields.names)


def test_a_path_that_is_malformed_gets_the_fields_of_the_site() -> None:
    response = get(FieldRules(Answering(200), RULES), "/%zz")
    assert (response.status, response.fields.get("x-content-type-options")) == (400, "nosniff")


@pytest.mark.parametrize(
    ("before", "added", "after"),
    [
        ("accept", "origin", "accept, origin"),
        ("Accept", "accept, origin", "Accept, origin"),
        ("accept", "*", "*"),
        ("*", "origin", "*"),
        (None, "origin", "origin"),
        ("accept", "", None),
    ],
)
def test_vary_is_added_to_what_the_handler_chose_by(before: str | None, added: str, after: str | None) -> None:
    class Choosing:
        async def handle(self, request: Request) -> Response:
            return Response(200, Fields([] if before is None else [("vary", before)]))

    response = get(FieldRules(Choosing(), [FieldRule(PathPattern("*"), {"vary": added})]), "/")
    assert response.fields.get_all("vary") == ([] if after is None else [after])


def test_an_error_varies_by_accept_and_by_what_is_configured() -> None:
    response = get(FieldRules(Failing(), [FieldRule(PathPattern("*"), {"vary": "origin"})]), "/")
    assert response.fields.get_all("vary") == ["origin, accept"]


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


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"if-match": "*"}, 200),
        ({"if-match": '"other"'}, 412),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
        ({"if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_fixed_answer_heeds_preconditions(method: str, condition: dict[str, str], status: int) -> None:
    assert ask(Respond(200, "pong"), method, "/", condition).status == status


def test_a_fixed_answer_has_a_tag_of_its_content() -> None:
    first, other = get(Respond(200, "pong"), "/"), get(Respond(200, "ping"), "/")
    tag = first.fields.get("etag") or ""
    assert tag.startswith('"')
    assert tag != other.fields.get("etag")
    again = get(Respond(200, "pong"), "/", {"if-none-match": f"W/{tag}"})
    assert (again.status, again.body, list(again.fields)) == (304, b"", [("etag", tag)])
    assert again.remember is not None
    assert again.remember.reads == frozenset({"if-match", "if-none-match"})
    assert get(Respond(200, "pong"), "/", {"if-match": tag}).status == 200


@pytest.mark.parametrize("status", [302, 404, 503])
def test_a_fixed_answer_that_is_no_success_ignores_preconditions(status: int) -> None:
    """A server MUST ignore all received preconditions if its response to the same request without those conditions [...] would have
    been a status code other than a 2xx (Successful) or 412. RFC 9110 §13.2.1"""
    response = get(Respond(status, "text"), "/", {"if-match": '"other"', "if-none-match": "*"})
    assert (response.status, "etag" in response.fields) == (status, False)


# --- What is for one person ---------------------------------------------------------------------------------------------


class Personal:
    """Answers as the handler of sessions does when a visit was looked at."""

    async def handle(self, request: Request) -> Response:
        fields = (("cache-control", "private, no-cache"), ("vary", "cookie"))
        if request.path == "/missing":
            raise HttpError(404, fields=fields)
        return Response(200, Fields(fields))


@pytest.mark.parametrize("path", ["/", "/missing"])
@pytest.mark.parametrize(
    "rule",
    [
        FieldRule(PathPattern("*"), cache_control="public, max-age=60"),
        FieldRule(PathPattern("*"), {"cache-control": "public, max-age=60"}),
        FieldRule(PathPattern("*"), {"cache-control": ""}),
        FieldRule(PathPattern("*"), {"vary": ""}, cache_control="public"),
    ],
)
def test_an_answer_for_one_visitor_stays_so_whatever_is_set(rule: FieldRule, path: str) -> None:
    fields = get(FieldRules(Personal(), [rule, rule]), path).fields
    assert fields.get("cache-control") == "private, no-cache"
    assert "cookie" in fields.list_of("vary")


@pytest.mark.parametrize(
    "rule",
    [
        FieldRule(PathPattern("*"), cache_control="public, max-age=60, s-maxage=600"),
        FieldRule(PathPattern("*"), {"cache-control": "public, max-age=60, s-maxage=600"}),
    ],
)
def test_an_answer_behind_a_login_gets_a_cache_control_as_private(rule: FieldRule) -> None:
    request = request_of("GET", "/")
    request.route["user"] = "anna"
    answered = answer(FieldRules(Respond(200, "x"), [rule]), request)
    assert answered.fields.get("cache-control") == "private, max-age=60"
    assert (
        get(FieldRules(Respond(200, "x"), [rule]), "/").fields.get("cache-control")
        == "public, max-age=60, s-maxage=600"
    )
