"""RFC 9110 §11, §15.5.2, §15.5.4; RFC 7617, RFC 6750, RFC 6585 §4: who comes in, and what the others are told."""

from __future__ import annotations

import base64
from collections.abc import Coroutine
from typing import Any

import pytest

from netlodge.http.handlers.access import LoginAccess
from netlodge.http.handlers.respond import Respond
from netlodge.http.message import Fields, Request, Response
from netlodge.store.database import DatabaseUnavailableError
from netlodge.store.logins import Claim, LoginPausedError, LoginQueueError, PasswordClaim, TokenClaim
from tests.http.handlers.asking import answer, content, get, request_of


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


class FakeLogins:
    """Knows anna by her password and her token; remembers what was verified."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.remembered: dict[str, str] = {}
        self.claims: list[Claim] = []
        self.clients: list[bytes] = []

    def recall(self, shown: str, client: bytes) -> str | None:
        assert client == b"127.0.0.1"
        return self.remembered.get(shown)

    async def verify(self, shown: str, claim: Claim, client: bytes) -> str | None:
        self.claims.append(claim)
        self.clients.append(client)
        if self.trouble:
            raise self.trouble
        if claim in (PasswordClaim("anna", "open sesame"), TokenClaim("nl_anna")):
            self.remembered[shown] = "anna"
            return "anna"
        return None


class WhoIsIt:
    """Answers with the account that it was told of, in an answer that anyone may have."""

    async def handle(self, request: Request) -> Response:
        response = await Respond(200, request.route["user"]).handle(request)
        assert response.remember is not None
        return response


def guard(logins: FakeLogins | None = None, *, users: tuple[str, ...] = (), realm: str = "Staff") -> LoginAccess:
    return LoginAccess(WhoIsIt(), logins or FakeLogins(), realm=realm, users=users, client_of=str.encode)


def challenges(response: Response) -> list[str]:
    return response.fields.get_all("www-authenticate")


class TestCaches:
    """RFC 9111 §3.5: what answers credentials is shared only if it says that it may be."""

    @pytest.mark.parametrize(
        ("below", "told"),
        [("public, max-age=60", "private, max-age=60"), ("no-store", "no-store"), ("private", "private"), (None, None)],
    )
    def test_are_told_that_the_answer_is_private(self, below: str | None, told: str | None) -> None:
        class Cacheable:
            async def handle(self, request: Request) -> Response:
                return Response(200, Fields([("cache-control", below)] if below else ()))

        handler = LoginAccess(Cacheable(), FakeLogins(), realm="Staff", client_of=str.encode)
        assert get(handler, "/", basic("anna:open sesame")).fields.get("cache-control") == told


class TestPagesOfOtherSites:
    """A browser sends a password that it knows along with what any page asks for."""

    FOREIGN = ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "null"})

    @staticmethod
    def asked(method: str, fields: dict[str, str], *, token: bool = False, cors: bool = False) -> int:
        shown = {"authorization": "Bearer nl_anna"} if token else basic("anna:open sesame")
        request = request_of(method, "/", shown | fields)
        if cors:
            request.route["cors"] = "https://app.example"
        inner = Respond(200, "done")

        class Any:
            async def handle(self, request: Request) -> Response:
                return await inner.handle(request_of("GET", "/"))

        return answer(LoginAccess(Any(), FakeLogins(), realm="Staff", client_of=str.encode), request).status

    @pytest.mark.parametrize("fields", FOREIGN)
    def test_change_nothing_with_the_login_of_who_looks_at_them(self, fields: dict[str, str]) -> None:
        for method in ("POST", "PUT", "DELETE", "PATCH", "ANYTHING"):
            assert self.asked(method, fields) == 403
        assert self.asked("GET", fields | {"upgrade": "websocket", "connection": "upgrade"}) == 403

    @pytest.mark.parametrize("fields", FOREIGN)
    def test_may_lead_here_and_may_do_what_cors_lets_them(self, fields: dict[str, str]) -> None:
        assert self.asked("GET", fields) == self.asked("HEAD", fields) == self.asked("OPTIONS", fields) == 200
        assert self.asked("POST", fields, cors=True) == 200
        # A token is sent by whoever knows it, and not by a browser of itself.
        assert self.asked("POST", fields, token=True) == 200

    def test_are_not_pages_of_this_site_nor_other_clients(self) -> None:
        for fields in ({}, {"sec-fetch-site": "same-origin"}, {"origin": "http://www.example.org"}):
            assert self.asked("POST", fields) == 200


class TestWithoutCredentials:
    def test_the_answer_is_a_401_with_a_challenge_for_each_scheme(self) -> None:
        response = get(guard(), "/")
        assert response.status == 401
        assert challenges(response) == ['Basic realm="Staff", charset="UTF-8"', 'Bearer realm="Staff"']
        assert response.remember is None

    @pytest.mark.parametrize(
        "value", ["", "Basic", "Basic !", "Digest abc", "Bearer", 'Basic a="b"', "nonsense nonsense", "Basic " + "é"]
    )
    def test_what_cannot_be_read_is_nothing_to_verify(self, value: str) -> None:
        logins = FakeLogins()
        response = get(guard(logins), "/", {"authorization": value})
        assert response.status == 401
        assert logins.claims == []

    def test_nobody_below_is_asked(self) -> None:
        class Forbidden:
            async def handle(self, request: Request) -> Response:
                raise AssertionError("reached")

        handler = LoginAccess(Forbidden(), FakeLogins(), realm="x", client_of=str.encode)
        assert get(handler, "/").status == 401
        assert get(handler, "/", basic("anna:wrong")).status == 401


class TestWithCredentials:
    def test_the_right_ones_let_in_and_the_handler_knows_who_it_is(self) -> None:
        request = request_of("GET", "/", basic("anna:open sesame"))
        response = answer(guard(), request)
        assert (response.status, content(response)) == (200, b"anna")
        assert request.route["user"] == "anna"

    def test_a_token_lets_in(self) -> None:
        response = get(guard(), "/", {"authorization": "Bearer nl_anna"})
        assert content(response) == b"anna"

    def test_no_answer_behind_a_login_is_remembered_for_others(self) -> None:
        assert get(guard(), "/", basic("anna:open sesame")).remember is None

    def test_wrong_ones_are_a_401_that_does_not_say_which_part_was_wrong(self) -> None:
        answers = [get(guard(), "/", basic(text)) for text in ("anna:wrong", "nobody:open sesame")]
        assert [response.status for response in answers] == [401, 401]
        assert content(answers[0]) == content(answers[1])
        assert challenges(answers[0]) == challenges(answers[1])
        assert answers[0].fields == answers[1].fields

    def test_a_wrong_token_is_said_to_be_one(self) -> None:
        """RFC 6750 §3.1: invalid_token."""
        response = get(guard(), "/", {"authorization": "Bearer nl_other"})
        assert response.status == 401
        assert challenges(response)[1] == 'Bearer realm="Staff", error="invalid_token"'

    def test_the_user_of_a_request_that_was_refused_is_not_in_the_log(self) -> None:
        request = request_of("GET", "/", basic("anna:wrong"))
        answer(guard(), request)
        assert "user" not in request.route

    def test_who_asks_is_told_to_the_logins(self) -> None:
        logins = FakeLogins()
        get(guard(logins), "/", basic("anna:x"))
        assert logins.clients == [b"127.0.0.1"]

    def test_the_first_colon_ends_the_name(self) -> None:
        logins = FakeLogins()
        get(guard(logins), "/", basic("a:b:c"))
        assert logins.claims == [PasswordClaim("a", "b:c")]


class TestWhatIsRemembered:
    def test_is_not_verified_again_and_waits_for_nothing(self) -> None:
        logins = FakeLogins()
        handler = guard(logins)
        get(handler, "/", basic("anna:open sesame"))
        logins.claims.clear()
        request = request_of("GET", "/", basic("anna:open sesame"))
        run: Coroutine[Any, Any, Response] = handler.handle(request)
        with pytest.raises(StopIteration) as end:
            run.send(None)
        assert content(end.value.value) == b"anna"
        assert logins.claims == []


class TestUsers:
    def test_an_account_among_them_comes_in(self) -> None:
        assert get(guard(users=("anna", "bert")), "/", basic("anna:open sesame")).status == 200

    def test_another_account_is_forbidden_and_not_asked_again(self) -> None:
        response = get(guard(users=("bert",)), "/", basic("anna:open sesame"))
        assert response.status == 403
        assert challenges(response) == []


class TestTrouble:
    def test_too_many_failures_are_a_429_that_says_when_to_come_again(self) -> None:
        response = get(guard(FakeLogins(LoginPausedError(29.2))), "/", basic("anna:x"))
        assert response.status == 429
        assert response.fields.get("retry-after") == "30"
        assert b"limits.login_failures" in content(response)
        assert challenges(response) == []

    def test_too_many_that_wait_are_a_503(self) -> None:
        response = get(guard(FakeLogins(LoginQueueError())), "/", basic("anna:x"))
        assert (response.status, response.fields.get("retry-after")) == (503, "5")
        assert b"limits.login_queue" in content(response)

    def test_a_database_that_is_away_is_a_503_that_tells_nothing_of_it(self) -> None:
        trouble = DatabaseUnavailableError("postgresql://10.0.0.7 is away")
        response = get(guard(FakeLogins(trouble)), "/", basic("anna:x"))
        assert (response.status, response.fields.get("retry-after")) == (503, "5")
        assert b"10.0.0.7" not in content(response)


class TestInjection:
    def test_a_realm_stays_within_its_quotes(self) -> None:
        response = get(guard(realm='a", error="b\\'), "/")
        assert challenges(response)[0] == 'Basic realm="a\\", error=\\"b\\\\", charset="UTF-8"'

    def test_a_realm_that_would_split_the_answer_cannot_be_had(self) -> None:
        with pytest.raises(ValueError, match="control characters"):
            guard(realm="a\r\nSet-Cookie: b=c")

    @pytest.mark.parametrize("name", ["anna\r\nX-Evil: 1", 'anna" "', "anna\0"])
    def test_no_name_that_was_sent_is_in_the_answer(self, name: str) -> None:
        response = get(guard(), "/", basic(f"{name}:x"))
        assert response.status == 401
        assert b"anna" not in content(response)
        assert "anna" not in repr(list(response.fields))
