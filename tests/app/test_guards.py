"""What stands before a site or a route, made from settings: in which order, and who gets past it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from netlodge.app.guards import logins_of
from netlodge.app.web import web_handler
from netlodge.config.loading import Sources, load
from netlodge.config.settings import Settings
from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Peer
from netlodge.http.message import Handler, Response
from tests.app.supplied import supplies
from tests.http.handlers.asking import answer, ask, get, holds, request_of

ROUTE = '[[web.site]]\nroutes = [{ path = "/", respond = "x", %s }]\n'
PREFLIGHT = {"origin": "https://app.example", "access-control-request-method": "PUT"}


def handler_of(folder: Path, text: str) -> Handler:
    (folder / "netlodge.toml").write_text(text)
    settings = load(Sources(directory=folder)).settings
    return web_handler(settings.web, supplies(settings, FakeClock()))


def ask_from(handler: Handler, host: str, target: str = "/", fields: Mapping[str, str] | None = None) -> Response:
    request = request_of("GET", target, fields)
    request.peer = Peer(host, 50000)
    return answer(handler, request)


class TestARoute:
    def test_with_nothing_set_is_open_and_remembered(self, tmp_path: Path) -> None:
        assert holds(get(handler_of(tmp_path, ROUTE % "access = {}, cors = {}"), "/"))

    def test_with_networks_is_for_them(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, ROUTE % 'access.networks = ["192.168.0.0/16"]')
        assert [ask_from(handler, host).status for host in ("192.168.1.1", "10.0.0.1")] == [200, 403]

    def test_with_a_rate_counts(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, ROUTE % 'access = { rate = "1/min", burst = 2 }')
        assert [get(handler, "/").status for _ in range(3)] == [200, 200, 429]
        assert ask_from(handler, "10.0.0.1").status == 200

    def test_with_a_login_asks_for_it(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, ROUTE % 'access = { login = true, realm = "Büro" }')
        response = get(handler, "/")
        assert response.status == 401
        assert response.fields.get_all("www-authenticate")[0] == 'Basic realm="B\xc3\xbcro", charset="UTF-8"'

    def test_looks_at_the_network_first_then_the_rate_then_the_login(self, tmp_path: Path) -> None:
        access = 'access = { networks = ["127.0.0.1"], rate = "1/min", burst = 1, login = true }'
        handler = handler_of(tmp_path, ROUTE % access)
        assert [ask_from(handler, "10.0.0.1").status for _ in range(2)] == [403, 403]
        assert [get(handler, "/").status for _ in range(2)] == [401, 429]

    def test_answers_a_preflight_before_all_of_that(self, tmp_path: Path) -> None:
        access = 'access = { networks = ["10.0.0.0/8"], login = true }, cors = { origins = ["https://app.example"] }'
        response = ask(handler_of(tmp_path, ROUTE % access), "OPTIONS", "/", PREFLIGHT)
        assert response.status == 204
        assert response.fields.get("access-control-allow-origin") == "https://app.example"

    def test_without_origins_has_no_cors(self, tmp_path: Path) -> None:
        response = get(handler_of(tmp_path, ROUTE % "cors = {}"), "/", {"origin": "https://app.example"})
        assert not {"vary", "access-control-allow-origin"} & response.fields.names


SITE = """
[[web.site]]
access = %s
routes = [
  { path = "/a/", respond = "a", cors = { origins = ["https://app.example"] } },
  { path = "/b/", respond = "b", access = { networks = ["10.0.0.0/8"] } },
]
[[web.site]]
hosts = ["other.example"]
routes = [{ path = "/", respond = "other" }]
"""


class TestASite:
    def test_guards_all_of_its_routes_and_what_no_route_is_for(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, SITE % "{ login = true }")
        assert [get(handler, target).status for target in ("/a/", "/b/", "/c/", "/")] == [401] * 4

    def test_without_access_has_nothing_where_no_route_is(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, SITE % "{}")
        assert [get(handler, target).status for target in ("/a/", "/b/", "/c/", "/")] == [200, 403, 404, 404]

    def test_is_asked_before_its_routes(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, SITE % "{ login = true }")
        assert ask_from(handler, "127.0.0.1", "/b/").status == 401
        handler = handler_of(tmp_path, SITE % '{ networks = ["127.0.0.1"] }')
        assert ask_from(handler, "127.0.0.1", "/b/").status == 403

    def test_counts_requests_over_all_of_its_routes(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, SITE % '{ rate = "1/min", burst = 3 }')
        assert [get(handler, target).status for target in ("/a/", "/c/", "/a/", "/a/", "/c/")] == [
            200,
            404,
            200,
            429,
            429,
        ]

    def test_says_nothing_to_other_sites(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, SITE % "{ login = true }")
        assert ask(handler, "GET", "/", host="other.example").status == 200

    def test_refuses_in_a_way_that_pages_of_other_origins_can_read(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, SITE % "{ login = true }")
        assert ask(handler, "OPTIONS", "/a/", PREFLIGHT).status == 204
        response = get(handler, "/a/", {"origin": "https://app.example"})
        assert response.status == 401
        assert response.fields.get("access-control-allow-origin") == "https://app.example"

    def test_lets_no_preflight_past_its_login_where_no_route_has_cors(self, tmp_path: Path) -> None:
        handler = handler_of(tmp_path, SITE % "{ login = true }")
        assert [ask(handler, "OPTIONS", target, PREFLIGHT).status for target in ("/b/", "/c/")] == [401, 401]


def test_the_users_of_a_route_narrow_down_those_of_its_site(tmp_path: Path) -> None:
    text = '[[web.site]]\naccess.login = true\nroutes = [{ path = "/", respond = "", access.users = ["Anna"] }]\n'
    (tmp_path / "netlodge.toml").write_text(text)
    settings = load(Sources(directory=tmp_path)).settings
    supplied = supplies(settings)

    class Everybody:
        def recall(self, shown: str, client: bytes) -> str:
            return shown

    supplied.logins = Everybody()  # type: ignore[assignment]
    handler = web_handler(settings.web, supplied)
    assert [get(handler, "/", {"authorization": name}).status for name in ("anna", "bert")] == [200, 403]


def test_a_lodge_without_logins_does_not_wait_for_the_database_library(tmp_path: Path) -> None:
    (tmp_path / "netlodge.toml").write_text(ROUTE % 'access.networks = ["::1"], cors.origins = ["*"]')
    settings = load(Sources(directory=tmp_path)).settings
    supplied = supplies(settings)
    web_handler(settings.web, supplied)
    assert supplied.logins is None


def test_one_worker_has_one_memory_of_logins(tmp_path: Path) -> None:
    supplied = supplies(Settings(data=tmp_path))
    assert logins_of(supplied) is logins_of(supplied)
