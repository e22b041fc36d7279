"""Sessions as a visitor has them: cookies, expiry, rotation, forms, and what an attacker would try."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from netlodge.core.clock import FakeClock
from netlodge.http.handlers.error_pages import error_response
from netlodge.http.handlers.fields import FieldRule, FieldRules
from netlodge.http.handlers.sessions import CANDIDATES, Visits, key_of
from netlodge.http.message import Fields, FileBody, Handler, HttpError, Remember, Request, Response, Visit
from netlodge.http.rules.patterns import PathPattern
from netlodge.http.rules.received_cookies import parse_set_cookie
from netlodge.store.database import Database, DatabaseUnavailableError
from netlodge.store.sessions import SWEEP_EVERY, Lifetime, Sessions
from tests.http.handlers.asking import request_of

T = TypeVar("T")
Act = Callable[[Visit], object]

DAY = 86400
LIFETIME = Lifetime(idle=14 * DAY, absolute=90 * DAY, empty=7200)


@dataclass
class Browser:
    """A client that keeps cookies, and one only."""

    is_secure: bool = False
    jar: dict[str, str] = field(default_factory=dict)

    def request(self, act: Act, *, cookie: str | None = None) -> Request:
        line = "; ".join(f"{name}={value}" for name, value in self.jar.items()) if cookie is None else cookie
        request = request_of("GET", "/", {"cookie": line} if line else None)
        request.scheme = "https" if self.is_secure else "http"
        request.route["act"] = act  # type: ignore[assignment]
        return request

    def take(self, response: Response) -> None:
        for line in response.fields.get_all("set-cookie"):
            cookie = parse_set_cookie(line, now=0, request_path="/")
            assert cookie is not None, line
            if cookie.expires is not None and cookie.expires <= 0:
                self.jar.pop(cookie.name, None)
            else:
                self.jar[cookie.name] = cookie.value


class Acting:
    """The handler within: does to the visit what the test says, and answers with what came of it."""

    def __init__(self) -> None:
        self.response: Callable[[object], Response] = lambda result: Response(
            200, body=repr(result).encode(), remember=Remember(expires=float("inf"))
        )

    async def handle(self, request: Request) -> Response:
        act: Any = request.route["act"]
        assert request.visit is not None
        result = act(request.visit)
        if isinstance(result, Awaitable):
            result = await result
        return self.response(result)


class Lodge:
    """Sessions over a database of its own, with a clock that stands still. One `Visits` for each worker."""

    def __init__(self, url: str, *, size: int = 1000, timeout: float = 10) -> None:
        self.clock = FakeClock()
        self.database = Database(url, connections=3, timeout=timeout)
        self.sessions = Sessions(self.database, LIFETIME, size=size)
        self.acting = Acting()
        self.visits = self.worker()

    def worker(self) -> Visits:
        return Visits(self.acting, self.sessions, clock=self.clock, cookie="id", max_age=LIFETIME.idle)

    async def ask(
        self, browser: Browser, act: Act, *, cookie: str | None = None, handler: Handler | None = None
    ) -> Response:
        request = browser.request(act, cookie=cookie)
        try:
            response = await (handler or self.visits).handle(request)
        except HttpError as error:
            response = error_response(error, request)
        browser.take(response)
        return response

    async def rows(self) -> list[bytes]:
        return await self.database.read(lambda connection: list(connection.scalars(sa.text("SELECT key FROM session"))))


Script = Callable[[Lodge], Coroutine[object, object, T]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lodge.db'}"


def run(url: str, script: Script[T], **given: Any) -> T:
    async def whole() -> T:
        lodge = Lodge(url, **given)
        try:
            return await script(lodge)
        finally:
            await lodge.database.close()

    return asyncio.run(whole())


def look(visit: Visit) -> dict[str, Any]:
    return dict(visit.data)


def put(**values: Any) -> Act:
    return lambda visit: visit.data.update(values)


def text(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


# --- A session ---------------------------------------------------------------------------------------------------------


def test_what_is_put_into_a_visit_is_there_when_the_visitor_returns(url: str) -> None:
    async def script(lodge: Lodge) -> str:
        browser = Browser()
        await lodge.ask(browser, put(cart={"apple": 2}, name="Anna"))
        return text(await lodge.ask(browser, look))

    assert run(url, script) == "{'cart': {'apple': 2}, 'name': 'Anna'}"


def test_a_change_deep_in_the_data_is_kept(url: str) -> None:
    async def script(lodge: Lodge) -> str:
        browser = Browser()
        await lodge.ask(browser, put(cart={"apple": [2]}))
        await lodge.ask(browser, lambda visit: visit.data["cart"]["apple"].append(3))
        return text(await lodge.ask(browser, look))

    assert run(url, script) == "{'cart': {'apple': [2, 3]}}"


def test_data_may_be_replaced_as_a_whole(url: str) -> None:
    def replace(visit: Visit) -> None:
        visit.data = {"b": 2}

    async def script(lodge: Lodge) -> str:
        browser = Browser()
        await lodge.ask(browser, put(a=1))
        await lodge.ask(browser, replace)
        return text(await lodge.ask(browser, look))

    assert run(url, script) == "{'b': 2}"


def test_two_visitors_have_two_sessions(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        anna, bert = Browser(), Browser()
        await lodge.ask(anna, put(name="Anna"))
        await lodge.ask(bert, put(name="Bert"))
        return [text(await lodge.ask(browser, look)) for browser in (anna, bert, Browser())]

    assert run(url, script) == ["{'name': 'Anna'}", "{'name': 'Bert'}", "{}"]


def test_a_session_is_new_until_the_visitor_returns(url: str) -> None:
    def enter(visit: Visit) -> bool:
        visit.data["seen"] = 1
        return visit.is_new

    async def script(lodge: Lodge) -> list[str]:
        browser = Browser()
        return [text(await lodge.ask(browser, enter)) for _ in range(2)]

    assert run(url, script) == ["True", "False"]


def test_who_only_looks_around_gets_no_session(url: str) -> None:
    async def script(lodge: Lodge) -> tuple[list[str], list[bytes]]:
        response = await lodge.ask(Browser(), lambda visit: (visit.data, visit.is_new, visit.is_token("x")))
        return response.fields.get_all("set-cookie"), await lodge.rows()

    assert run(url, script) == ([], [])


def test_an_error_keeps_nothing(url: str) -> None:
    def fail(visit: Visit) -> None:
        visit.data["a"] = 1
        raise HttpError(404, "There is none.")

    async def script(lodge: Lodge) -> tuple[Fields, list[bytes]]:
        return (await lodge.ask(Browser(), fail)).fields, await lodge.rows()

    fields, rows = run(url, script)
    assert (fields.get("cache-control"), fields.list_of("vary"), "set-cookie" in fields) == (
        "no-store",
        ["cookie", "accept"],
        False,
    )
    assert rows == []


def test_two_workers_see_the_same_session_at_once(url: str) -> None:
    async def script(lodge: Lodge) -> str:
        browser, other = Browser(), lodge.worker()
        await lodge.ask(browser, put(a=1))
        await lodge.ask(browser, put(b=2), handler=other)
        return text(await lodge.ask(browser, look))

    assert run(url, script) == "{'a': 1, 'b': 2}"


def test_two_requests_at_once_lose_nothing_of_each_other(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        browser = Browser()
        await lodge.ask(browser, put(cart={"apple": 1}))
        both_have_read = asyncio.Barrier(2)

        def add(name: str) -> Act:
            async def act(visit: Visit) -> None:
                visit.data["cart"][name] = 1
                await both_have_read.wait()

            return act

        await asyncio.gather(lodge.ask(browser, add("pear")), lodge.ask(browser, add("plum")))
        found = text(await lodge.ask(browser, look))
        return sorted(re.findall(r"apple|pear|plum", found))

    assert run(url, script) == ["apple", "pear", "plum"]


# --- The cookie --------------------------------------------------------------------------------------------------------


def test_the_cookie_over_tls_is_bound_to_the_host(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        return (await lodge.ask(Browser(is_secure=True), put(a=1))).fields.get_all("set-cookie")

    (line,) = run(url, script)
    assert re.fullmatch(r"__Host-id=[\w-]{22}; Max-Age=1209600; Path=/; Secure; HttpOnly; SameSite=Lax", line, re.ASCII)


def test_the_cookie_without_tls_is_a_plain_one(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        return (await lodge.ask(Browser(), put(a=1))).fields.get_all("set-cookie")

    (line,) = run(url, script)
    assert re.fullmatch(r"id=[\w-]{22}; Max-Age=1209600; Path=/; HttpOnly; SameSite=Lax", line, re.ASCII)


def test_identifiers_are_128_random_bits_and_never_the_same(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        browsers = [Browser() for _ in range(300)]
        await asyncio.gather(*(lodge.ask(browser, put(a=1)) for browser in browsers))
        return [browser.jar["id"] for browser in browsers]

    identifiers = run(url, script)
    assert len(set(identifiers)) == 300
    # Each of the first 21 characters takes all sorts of values: 300 draws of 64 leave few out.
    assert all(len({identifier[place] for identifier in identifiers}) > 40 for place in range(21))


def test_the_database_holds_no_identifier(url: str, tmp_path: Path) -> None:
    async def script(lodge: Lodge) -> tuple[str, list[bytes]]:
        browser = Browser()
        await lodge.ask(browser, put(a=1))
        await lodge.ask(browser, lambda visit: visit.token)
        return browser.jar["id"], await lodge.rows()

    identifier, rows = run(url, script)
    assert rows == [key_of("id", identifier)]
    assert identifier.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_the_cookie_is_renewed_once_a_minute_of_use(url: str) -> None:
    async def script(lodge: Lodge) -> list[int]:
        browser, cookies = Browser(), []
        for act in (put(a=1), look, look, look, put(a=2), put(a=3)):
            cookies.append(len((await lodge.ask(browser, act)).fields.get_all("set-cookie")))
            await asyncio.gather(*lodge.visits._chores)
            lodge.clock.advance(40)
        return cookies

    assert run(url, script) == [1, 0, 1, 0, 1, 0]


# --- Caches ------------------------------------------------------------------------------------------------------------


def test_an_answer_that_used_the_visit_is_for_this_visitor_alone(url: str) -> None:
    async def script(lodge: Lodge) -> Response:
        return await lodge.ask(Browser(), look)

    response = run(url, script)
    assert response.remember is None
    assert response.fields.get("cache-control") == "private, no-cache"
    assert response.fields.get("vary") == "cookie"


def test_an_answer_that_did_not_is_for_everybody(url: str) -> None:
    async def script(lodge: Lodge) -> Response:
        browser = Browser()
        await lodge.ask(browser, put(a=1))
        lodge.clock.advance(120)
        return await lodge.ask(browser, lambda visit: None)

    response = run(url, script)
    assert response.remember is not None
    assert not {"cache-control", "vary", "set-cookie"} & response.fields.names


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), ("no-store", "cookie")),
        ((("cache-control", "max-age=60"), ("vary", "accept")), ("private, max-age=60", "accept, cookie")),
    ],
)
def test_an_error_of_one_that_used_the_visit_is_for_this_visitor_alone(
    url: str, given: tuple[tuple[str, str], ...], told: tuple[str, str]
) -> None:
    def fail(visit: Visit) -> None:
        assert not visit.data
        raise HttpError(404, fields=given)

    async def script(lodge: Lodge) -> Response:
        return await lodge.ask(Browser(), fail)

    fields = run(url, script).fields
    assert fields.get("cache-control") == told[0]
    assert fields.list_of("vary")[: len(told[1].split(","))] == told[1].split(", ")


def test_settings_of_a_site_do_not_open_it_to_shared_caches(url: str) -> None:
    rule = FieldRule(PathPattern("*"), cache_control="public, max-age=60")

    async def script(lodge: Lodge) -> list[str | None]:
        handler = FieldRules(lodge.visits, [rule])
        answers = [await lodge.ask(Browser(), act, handler=handler) for act in (put(a=1), lambda visit: None)]
        return [answer.fields.get("cache-control") for answer in answers]

    assert run(url, script) == ["private, no-cache", "public, max-age=60"]


# --- Ends --------------------------------------------------------------------------------------------------------------


def test_a_session_that_nobody_uses_expires(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        browser, found = Browser(), []
        await lodge.ask(browser, put(a=1))
        for days in (13, 13, 14):
            lodge.clock.advance(days * DAY)
            found.append(text(await lodge.ask(browser, look)))
            await asyncio.gather(*lodge.visits._chores)
        return found

    assert run(url, script) == ["{'a': 1}", "{'a': 1}", "{}"]


def test_a_session_in_which_nothing_was_put_lasts_while_it_is_used(url: str) -> None:
    async def script(lodge: Lodge) -> list[bool]:
        found = []
        for seconds in (7199, 7200):
            browser = Browser()
            await lodge.ask(browser, lambda visit: visit.token)
            lodge.clock.advance(5000)
            await lodge.ask(browser, look)
            await asyncio.gather(*lodge.visits._chores)
            lodge.clock.advance(seconds)
            found.append(text(await lodge.ask(browser, lambda visit: visit.is_new)) == "False")
        return found

    assert run(url, script) == [True, False]


def test_a_session_lasts_from_when_something_is_put_into_it(url: str) -> None:
    async def script(lodge: Lodge) -> str:
        browser = Browser()
        await lodge.ask(browser, lambda visit: visit.token)
        await lodge.ask(browser, put(a=1))
        lodge.clock.advance(13 * DAY)
        return text(await lodge.ask(browser, look))

    assert run(url, script) == "{'a': 1}"


def test_sessions_in_which_nothing_was_put_do_not_pile_up(url: str) -> None:
    async def script(lodge: Lodge) -> int:
        for _ in range(5):
            await lodge.ask(Browser(), lambda visit: visit.token)
        lodge.clock.advance(LIFETIME.empty)
        await lodge.ask(Browser(), put(a=1))
        await asyncio.gather(*lodge.visits._chores)
        return len(await lodge.rows())

    assert run(url, script) == 1


def test_a_session_that_is_used_every_day_expires_in_the_end(url: str) -> None:
    async def script(lodge: Lodge) -> int:
        browser = Browser()
        await lodge.ask(browser, put(a=1))
        for day in range(200):
            if text(await lodge.ask(browser, look)) == "{}":
                return day
            await asyncio.gather(*lodge.visits._chores)
            lodge.clock.advance(DAY)
        return -1

    assert run(url, script) == 90


def test_a_session_that_is_ended_is_gone_here_and_there(url: str) -> None:
    async def script(lodge: Lodge) -> tuple[list[str], dict[str, str], list[bytes], str]:
        browser = Browser(is_secure=True)
        await lodge.ask(browser, put(a=1))
        old = browser.jar["__Host-id"]
        lines = (await lodge.ask(browser, lambda visit: visit.end())).fields.get_all("set-cookie")
        again = text(await lodge.ask(browser, look, cookie=f"__Host-id={old}"))
        return lines, browser.jar, await lodge.rows(), again

    lines, jar, rows, again = run(url, script)
    assert lines == [
        "__Host-id=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; Secure; HttpOnly; SameSite=Lax"
    ]
    assert (jar, rows, again) == ({}, [], "{}")


def test_ending_a_session_that_never_began_does_nothing(url: str) -> None:
    def end(visit: Visit) -> None:
        visit.data["a"] = 1
        visit.end()
        visit.end()

    async def script(lodge: Lodge) -> tuple[list[str], list[bytes]]:
        return (await lodge.ask(Browser(), end)).fields.get_all("set-cookie"), await lodge.rows()

    assert run(url, script) == ([], [])


def test_what_is_put_in_after_the_end_begins_another(url: str) -> None:
    def restart(visit: Visit) -> None:
        visit.end()
        visit.data["notice"] = "Good bye"

    async def script(lodge: Lodge) -> tuple[int, bool, int, str]:
        browser = Browser()
        await lodge.ask(browser, put(a=1))
        old = browser.jar["id"]
        lines = (await lodge.ask(browser, restart)).fields.get_all("set-cookie")
        return len(lines), browser.jar["id"] != old, len(await lodge.rows()), text(await lodge.ask(browser, look))

    assert run(url, script) == (1, True, 1, "{'notice': 'Good bye'}")


def test_expired_sessions_are_removed_when_others_begin(url: str) -> None:
    async def script(lodge: Lodge) -> list[int]:
        await asyncio.gather(*(lodge.ask(Browser(), put(a=1)) for _ in range(5)))
        counts = [len(await lodge.rows())]
        lodge.clock.advance(LIFETIME.idle + SWEEP_EVERY)
        await lodge.ask(Browser(), put(a=1))
        await asyncio.gather(*lodge.visits._chores)
        return [*counts, len(await lodge.rows())]

    assert run(url, script) == [5, 1]


# --- Rotation, and fixation --------------------------------------------------------------------------------------------


def test_rotation_gives_another_identifier_and_keeps_the_data(url: str) -> None:
    def log_in(visit: Visit) -> None:
        visit.rotate()
        visit.data["user"] = "anna"

    async def script(lodge: Lodge) -> tuple[bool, str, str, int]:
        browser = Browser()
        await lodge.ask(browser, put(cart=1))
        old = browser.jar["id"]
        await lodge.ask(browser, log_in)
        with_old = text(await lodge.ask(Browser(), look, cookie=f"id={old}"))
        return browser.jar["id"] != old, text(await lodge.ask(browser, look)), with_old, len(await lodge.rows())

    assert run(url, script) == (True, "{'cart': 1, 'user': 'anna'}", "{}", 1)


def test_rotation_without_a_session_begins_none(url: str) -> None:
    async def script(lodge: Lodge) -> tuple[list[str], list[bytes]]:
        response = await lodge.ask(Browser(), lambda visit: visit.rotate())
        return response.fields.get_all("set-cookie"), await lodge.rows()

    assert run(url, script) == ([], [])


def test_an_identifier_that_somebody_made_up_is_never_taken_over(url: str) -> None:
    made_up = "A" * 22

    async def script(lodge: Lodge) -> tuple[str, str, list[bytes]]:
        victim = Browser(jar={"id": made_up})
        await lodge.ask(victim, put(secret=1))
        attacker = await lodge.ask(Browser(), look, cookie=f"id={made_up}")
        return victim.jar["id"], text(attacker), await lodge.rows()

    identifier, seen, rows = run(url, script)
    assert identifier != made_up
    assert seen == "{}"
    assert rows == [key_of("id", identifier)]


def test_an_attackers_own_session_is_worth_nothing_after_the_login(url: str) -> None:
    def log_in(visit: Visit) -> None:
        visit.rotate()
        visit.data["user"] = "anna"

    async def script(lodge: Lodge) -> str:
        attacker = Browser()
        await lodge.ask(attacker, put(a=1))
        victim = Browser(jar=dict(attacker.jar))
        await lodge.ask(victim, log_in)
        return text(await lodge.ask(attacker, look))

    assert run(url, script) == "{}"


def test_two_known_sessions_in_one_request_are_none(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        anna, planted = Browser(), Browser()
        await lodge.ask(anna, put(name="Anna"))
        await lodge.ask(planted, put(name="Mallory"))
        one, two = anna.jar["id"], planted.jar["id"]
        lines = (f"id={one}; id={two}", f"id={two}; id={one}", f"id={one}; id={'A' * 22}", f"id={one}; id={one}")
        return [text(await lodge.ask(Browser(), look, cookie=line)) for line in lines]

    assert run(url, script) == ["{}", "{}", "{'name': 'Anna'}", "{'name': 'Anna'}"]


def test_a_planted_session_does_not_win_by_pushing_the_own_one_out(url: str) -> None:
    async def script(lodge: Lodge) -> str:
        anna, planted = Browser(), Browser()
        await lodge.ask(anna, put(name="Anna"))
        await lodge.ask(planted, put(name="Mallory"))
        made_up = [f"id={n:022}" for n in range(CANDIDATES - 1)]
        line = "; ".join([f"id={planted.jar['id']}", *made_up, f"id={anna.jar['id']}"])
        return text(await lodge.ask(Browser(), look, cookie=line))

    assert run(url, script) == "{}"


def test_only_so_many_identifiers_are_looked_up(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        anna = Browser()
        await lodge.ask(anna, put(name="Anna"))
        made_up = [f"id={n:022}" for n in range(CANDIDATES)]
        own = f"id={anna.jar['id']}"
        lines = ("; ".join([*made_up[:-1], own]), "; ".join([*made_up, own]))
        return [text(await lodge.ask(Browser(), look, cookie=line)) for line in lines]

    assert run(url, script) == ["{'name': 'Anna'}", "{}"]


@pytest.mark.parametrize("name", ["id", "__host-id", "__HOST-id", "__Secure-id", " __Host-Id"])
def test_over_tls_only_the_bound_cookie_counts(url: str, name: str) -> None:
    async def script(lodge: Lodge) -> str:
        browser = Browser(is_secure=True)
        await lodge.ask(browser, put(a=1))
        return text(await lodge.ask(Browser(is_secure=True), look, cookie=f"{name}={browser.jar['__Host-id']}"))

    assert run(url, script) == "{}"


def test_an_identifier_from_one_side_is_none_on_the_other(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        plain, secure = Browser(), Browser(is_secure=True)
        await lodge.ask(plain, put(a=1))
        await lodge.ask(secure, put(a=1))
        over_tls = await lodge.ask(Browser(is_secure=True), look, cookie=f"__Host-id={plain.jar['id']}")
        without = await lodge.ask(Browser(), look, cookie=f"id={secure.jar['__Host-id']}")
        return [text(over_tls), text(without)]

    assert run(url, script) == ["{}", "{}"]


@pytest.mark.parametrize(
    "value", ["", "x", "A" * 21, "A" * 23, "A" * 21 + "=", "A" * 21 + "'", "\xe4" * 22, "A" * 100_000], ids=len
)
def test_what_is_no_identifier_is_not_looked_up(value: str) -> None:
    async def script(lodge: Lodge) -> str:
        return text(await lodge.ask(Browser(), look, cookie=f"id={value}"))

    # There is no database behind it to look anything up in.
    assert run("sqlite:////nowhere/at/all", script) == "{}"


# --- Forms -------------------------------------------------------------------------------------------------------------


def test_a_token_is_known_again_in_its_own_session_alone(url: str) -> None:
    async def script(lodge: Lodge) -> list[str]:
        anna, bert = Browser(), Browser()
        token = text(await lodge.ask(anna, lambda visit: visit.token)).strip("'")
        await lodge.ask(bert, lambda visit: visit.token)
        others = [token[:-2] + "AA", token + "A", token[:-4], "", "x", "\xe4", "=" * 43, "A" * 43, "A" * 40]
        askers = [(anna, token), (bert, token), (Browser(), token), *((anna, other) for other in others)]
        return [text(await lodge.ask(browser, lambda visit, t=t: visit.is_token(t))) for browser, t in askers]  # type: ignore[misc]

    assert run(url, script) == ["True", *["False"] * 11]


def test_a_token_begins_a_session_and_is_another_each_time_it_is_shown(url: str) -> None:
    def twice(visit: Visit) -> bool:
        return visit.token == visit.token

    async def script(lodge: Lodge) -> tuple[int, set[str], str]:
        browser = Browser()
        tokens = {text(await lodge.ask(browser, lambda visit: visit.token)) for _ in range(3)}
        return len(await lodge.rows()), tokens, text(await lodge.ask(browser, twice))

    rows, tokens, is_steady = run(url, script)
    assert rows == 1
    assert len(tokens) == 3
    assert is_steady == "True"  # within one answer


def test_a_token_does_not_outlive_the_rotation(url: str) -> None:
    def rotate(visit: Visit) -> str:
        visit.rotate()
        return visit.token

    async def script(lodge: Lodge) -> list[str]:
        browser = Browser()
        old = text(await lodge.ask(browser, lambda visit: visit.token)).strip("'")
        new = text(await lodge.ask(browser, rotate)).strip("'")
        return [text(await lodge.ask(browser, lambda visit, t=t: visit.is_token(t))) for t in (old, new)]  # type: ignore[misc]

    assert run(url, script) == ["False", "True"]


# --- Injection ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text_", ["a\r\nSet-Cookie: admin=1", "a; Domain=evil.example", "\x00", "</script>"])
def test_nothing_that_is_put_into_a_visit_reaches_the_head(url: str, text_: str) -> None:
    async def script(lodge: Lodge) -> tuple[Fields, str]:
        browser = Browser()
        fields = (await lodge.ask(browser, put(name=text_))).fields
        return fields, text(await lodge.ask(browser, lambda visit: visit.data["name"]))

    fields, back = run(url, script)
    assert back == repr(text_)
    assert len(fields.get_all("set-cookie")) == 1
    assert not any(text_ in value for _, value in fields)


# --- When it cannot be kept --------------------------------------------------------------------------------------------


def test_data_beyond_the_size_is_refused_and_the_rest_stays(url: str) -> None:
    async def script(lodge: Lodge) -> tuple[int, str, str]:
        browser = Browser()
        await lodge.ask(browser, put(a=1))
        response = await lodge.ask(browser, put(b="x" * 1000))
        return response.status, text(response), text(await lodge.ask(browser, look))

    status, explanation, left = run(url, script)
    assert (status, left) == (507, "{'a': 1}")
    assert "sessions.size" in explanation


def test_a_change_of_a_session_that_ended_meanwhile_is_refused(url: str) -> None:
    async def script(lodge: Lodge) -> tuple[int, list[str], list[bytes]]:
        browser = Browser()
        await lodge.ask(browser, put(a=1))
        other = Browser(jar=dict(browser.jar))

        async def late(visit: Visit) -> None:
            visit.data["b"] = 2
            await lodge.ask(other, lambda visit: visit.end())

        response = await lodge.ask(browser, late)
        return response.status, response.fields.get_all("set-cookie"), await lodge.rows()

    assert run(url, script) == (409, [], [])


def test_what_json_does_not_hold_is_a_defect(url: str) -> None:
    async def script(lodge: Lodge) -> None:
        with pytest.raises(TypeError, match="what JSON holds"):
            await lodge.ask(Browser(), put(a={1, 2}))

    run(url, script)


class Away(Database):
    """A database that is not there whenever the test says so."""

    is_away = False

    async def run(self, work: Any) -> Any:
        if self.is_away:
            raise DatabaseUnavailableError("/var/lib/secret.db is away.")
        return await super().run(work)

    async def read(self, work: Any) -> Any:
        if self.is_away:
            raise DatabaseUnavailableError("/var/lib/secret.db is away.")
        return await super().read(work)


def run_away(url: str, script: Script[T]) -> T:
    async def whole() -> T:
        lodge = Lodge(url)
        lodge.database = Away(url, connections=2, timeout=10)
        lodge.sessions = Sessions(lodge.database, LIFETIME, size=1000)
        lodge.visits = lodge.worker()
        try:
            return await script(lodge)
        finally:
            await lodge.database.close()

    return asyncio.run(whole())


def test_without_the_database_those_with_a_session_are_asked_to_come_back(url: str) -> None:
    async def script(lodge: Lodge) -> list[tuple[int, str | None]]:
        browser, away = Browser(), lodge.database
        assert isinstance(away, Away)
        await lodge.ask(browser, put(a=1))
        away.is_away = True
        asked = [(browser, look), (Browser(), put(b=1)), (Browser(), look), (Browser(), lambda visit: None)]
        answers = [await lodge.ask(*each) for each in asked]
        away.is_away = False
        answers.append(await lodge.ask(browser, look))
        assert "secret" not in "".join(text(each) for each in answers)
        return [(each.status, each.fields.get("retry-after")) for each in answers]

    assert run_away(url, script) == [(503, "2"), (503, "2"), (200, None), (200, None), (200, None)]


def test_noting_that_a_session_is_in_use_delays_and_fails_nobody(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async def script(lodge: Lodge) -> int:
        browser, away = Browser(), lodge.database
        assert isinstance(away, Away)
        await lodge.ask(browser, put(a=1))
        lodge.clock.advance(120)

        def leave(visit: Visit) -> dict[str, Any]:
            away.is_away = True
            return visit.data

        status = (await lodge.ask(browser, leave)).status
        await asyncio.gather(*lodge.visits._chores, return_exceptions=True)
        return status

    with caplog.at_level(logging.DEBUG):
        assert run_away(url, script) == 200
    assert not [record for record in caplog.records if record.name.startswith("netlodge")]


def test_an_answer_that_cannot_be_kept_is_given_back(url: str) -> None:
    class Body:
        closed = False

        def __aiter__(self) -> Any:
            raise AssertionError("nobody reads it")

        async def aclose(self) -> None:
            self.closed = True

    body = Body()

    async def script(lodge: Lodge) -> list[int]:
        lodge.acting.response = lambda result: Response(200, body=body)
        statuses = [(await lodge.ask(Browser(), put(b="x" * 1000))).status]
        file = open(__file__, "rb")  # noqa: SIM115
        with file:
            descriptor = os.dup(file.fileno())
            lodge.acting.response = lambda result: Response(200, body=FileBody(descriptor, [(0, 1)]))
            statuses.append((await lodge.ask(Browser(), put(b="x" * 1000))).status)
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(descriptor)
        return statuses

    assert run(url, script) == [507, 507]
    assert body.closed
