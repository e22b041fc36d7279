"""The CORS protocol of the Fetch standard, from the server's side: "HTTP requests", "HTTP responses", "HTTP new-header syntax"."""

from __future__ import annotations

import pytest

from netlodge.http.handlers.cors import Cors, CorsPolicy
from netlodge.http.handlers.respond import Respond
from netlodge.http.message import Fields, HttpError, Request, Response
from tests.http.handlers.asking import ask, content, get, holds

APP = "https://app.example"
OTHER = "https://other.example"


def cors(inner: object = None, **policy: object) -> Cors:
    return Cors(inner or Respond(200, "x"), CorsPolicy(**({"origins": [APP]} | policy)))  # type: ignore[arg-type]


def preflight(handler: Cors, origin: str = APP, method: str = "PUT", fields: str = "") -> Response:
    asked = {"origin": origin, "access-control-request-method": method}
    return ask(handler, "OPTIONS", "/", asked | ({"access-control-request-headers": fields} if fields else {}))


def allowed(response: Response) -> dict[str, str]:
    return {name: value for name, value in response.fields if name.startswith("access-control-")}


class Refuses:
    async def handle(self, request: Request) -> Response:
        raise HttpError(401, "no", fields=[("www-authenticate", "x"), ("vary", "accept-language")])


class TestRequests:
    def test_a_page_of_an_allowed_origin_may_read_the_answer(self) -> None:
        response = get(cors(), "/", {"origin": APP})
        assert allowed(response) == {"access-control-allow-origin": APP}
        assert response.fields.get("vary") == "origin"
        assert content(response) == b"x"

    @pytest.mark.parametrize(
        "origin",
        [
            OTHER,
            "null",
            "",
            APP.upper(),
            APP + "/",
            APP + ":443",
            "http://app.example",
            f"{APP} {OTHER}",
            "https://app.example.evil.example",
        ],
    )
    def test_a_page_of_another_origin_may_not(self, origin: str) -> None:
        response = get(cors(), "/", {"origin": origin})
        assert allowed(response) == {}
        assert response.fields.get("vary") == "origin"
        assert content(response) == b"x"

    def test_a_request_without_an_origin_passes_and_only_learns_that_origin_matters(self) -> None:
        response = get(cors(), "/")
        assert allowed(response) == {}
        assert response.fields.get("vary") == "origin"

    def test_with_any_origin_the_answer_is_the_same_for_all(self) -> None:
        handler = cors(origins=["*"], exposes=["etag"])
        answers = [get(handler, "/", fields) for fields in ({}, {"origin": APP}, {"origin": "null"})]
        for response in answers:
            assert allowed(response) == {"access-control-allow-origin": "*", "access-control-expose-headers": "etag"}
            assert "vary" not in response.fields

    def test_credentials_and_fields_are_allowed_with_the_origin_alone(self) -> None:
        handler = cors(credentials=True, exposes=["etag", "x-total"])
        assert allowed(get(handler, "/", {"origin": APP})) == {
            "access-control-allow-origin": APP,
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "etag, x-total",
        }
        assert allowed(get(handler, "/", {"origin": OTHER})) == {}

    def test_credentials_never_go_with_any_origin(self) -> None:
        for policy in ({"origins": ["*"]}, {"methods": ["*"]}, {"fields": ["*"]}, {"exposes": ["*"]}):
            with pytest.raises(ValueError, match="no wildcard"):
                cors(credentials=True, **policy)

    def test_what_a_handler_below_says_gives_way(self) -> None:
        class Permissive:
            async def handle(self, request: Request) -> Response:
                fields = Fields([("access-control-allow-origin", "*"), ("access-control-allow-credentials", "true")])
                return Response(200, fields)

        assert allowed(get(cors(Permissive()), "/", {"origin": OTHER})) == {}
        assert allowed(get(cors(Permissive(), origins=["*"]), "/")) == {"access-control-allow-origin": "*"}


class TestErrors:
    def test_carry_the_fields_so_that_the_page_can_read_them(self) -> None:
        response = get(cors(Refuses()), "/", {"origin": APP})
        assert response.status == 401
        assert allowed(response) == {"access-control-allow-origin": APP}
        assert response.fields.get("www-authenticate") == "x"
        assert response.fields.get("vary") == "accept-language, origin, accept"

    def test_for_another_origin_carry_none(self) -> None:
        assert allowed(get(cors(Refuses()), "/", {"origin": OTHER})) == {}


class TestPreflights:
    def test_are_answered_before_anybody_asks_for_a_login(self) -> None:
        response = preflight(cors(Refuses(), methods=["PUT"], fields=["x-token"], max_age=600))
        assert (response.status, response.body) == (204, b"")
        assert allowed(response) == {
            "access-control-allow-origin": APP,
            "access-control-allow-methods": "GET, HEAD, POST, PUT",
            "access-control-allow-headers": "x-token",
            "access-control-max-age": "600",
        }
        assert response.fields.get("vary") == "origin"

    def test_of_another_origin_are_answered_without_leave(self) -> None:
        response = preflight(cors(methods=["PUT"]), OTHER)
        assert (response.status, allowed(response)) == (204, {})
        assert response.fields.get("vary") == "origin"

    def test_say_whether_credentials_may_come(self) -> None:
        assert allowed(preflight(cors(credentials=True)))["access-control-allow-credentials"] == "true"
        assert "access-control-allow-credentials" not in allowed(preflight(cors()))

    def test_of_any_origin_with_any_method_say_so(self) -> None:
        response = preflight(cors(origins=["*"], methods=["*"], fields=["*", "authorization"]))
        assert allowed(response) == {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "*",
            "access-control-allow-headers": "*, authorization",
            "access-control-max-age": "0",
        }

    def test_allow_what_is_set_whatever_they_ask_for(self) -> None:
        handler = cors(methods=["PUT"])
        asked = [
            preflight(handler, method=method, fields=fields) for method, fields in (("PUT", ""), ("DELETE", "x-evil"))
        ]
        assert allowed(asked[0]) == allowed(asked[1])

    @pytest.mark.parametrize(
        ("method", "fields"),
        [
            ("OPTIONS", {"origin": APP}),
            ("OPTIONS", {"access-control-request-method": "PUT"}),
            ("OPTIONS", {}),
            ("GET", {"origin": APP, "access-control-request-method": "PUT"}),
        ],
    )
    def test_are_known_by_all_three_signs(self, method: str, fields: dict[str, str]) -> None:
        assert ask(cors(Refuses()), method, "/", fields).status == 401


class TestRemembered:
    def test_an_answer_that_is_the_same_for_all_stays_remembered_as_it_was(self) -> None:
        plain = get(Respond(200, "x"), "/")
        response = get(cors(origins=["*"]), "/", {"origin": APP})
        assert holds(response)
        assert response.remember == plain.remember

    def test_one_that_depends_on_the_origin_is_only_for_the_very_same_octets(self) -> None:
        inner = Respond(200, "x")
        response = get(cors(inner), "/", {"origin": APP})
        assert response.remember is not None
        assert response.remember.reads is None
        kept = get(inner, "/").remember
        assert kept is not None
        assert kept.reads is not None  # the handler's own stays as it was


class TestCredentials:
    @pytest.mark.parametrize(
        ("credentials", "origin", "noted"),
        [(True, APP, APP), (True, OTHER, None), (True, None, None), (False, APP, None)],
    )
    def test_who_may_send_them_is_noted_for_those_who_ask_for_them(
        self, credentials: bool, origin: str | None, noted: str | None
    ) -> None:
        seen: list[str | None] = []

        class Inner:
            async def handle(self, request: Request) -> Response:
                seen.append(request.route.get("cors"))
                return Response(200)

        ask(cors(Inner(), credentials=credentials), "POST", "/", {"origin": origin} if origin else None)
        assert seen == [noted]
