"""Sites by host, routes by path. RFC 9110 §7.2, §7.4, §15.5.20."""

from __future__ import annotations

from pathlib import Path

import pytest

from netlodge.http.handlers.error_pages import ErrorPages
from netlodge.http.handlers.router import Route, Router, Site
from netlodge.http.message import Fields, HttpError, Request, Response
from tests.http.handlers.asking import ask, content, get, request_of


class Named:
    """Answers with its name, and the path and prefix that it saw."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def handle(self, request: Request) -> Response:
        seen = f"{self.name} {request.path} {request.route.get('prefix')!r}"
        return Response(200, Fields(), seen.encode("latin-1"))


def site(name: str, *hosts: str) -> Site:
    return Site(hosts, (Route("/", Named(name)),))


def seen(router: Router, target: str, host: str = "h") -> str:
    response = ask(router, "GET", target, host=host)
    return content(response).decode("latin-1") if response.status == 200 else str(response.status)


# Hosts.

SITES = (
    site("exact", "www.example.org", "[::1]"),
    site("wild", "*.example.org"),
    site("longer", "*.deep.example.org"),
    site("default"),
)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("www.example.org", "exact"),
        ("www.example.org.", "exact"),
        ("[::1]", "exact"),
        ("a.example.org", "wild"),
        ("a.b.example.org", "wild"),
        ("a.example.org.", "wild"),
        ("a.deep.example.org", "longer"),
        ("deep.example.org", "wild"),
        ("example.org", "default"),
        ("badexample.org", "default"),
        ("127.0.0.1", "default"),
        ("", "default"),
    ],
)
def test_the_host_says_which_site(host: str, name: str) -> None:
    assert seen(Router(SITES), "/", host).split()[0] == name


def test_a_host_that_no_site_has_is_misdirected() -> None:
    router = Router(SITES[:3])
    for host in ("example.net", "example.org", "", "org"):
        assert ask(router, "GET", "/", host=host).status == 421
    assert ask(Router(SITES[:1]), "GET", "/", host="a.example.org").status == 421


@pytest.mark.parametrize("host", [".example.org", "x..example.org", "..example.org", "a.example.org..", "."])
def test_a_host_with_an_empty_label_is_no_name_below_another(host: str) -> None:
    assert ask(Router(SITES[:3]), "GET", "/", host=host).status == 421


@pytest.mark.parametrize("host", ["[0:0:0:0:0:0:0:1]", "[::0001]", "[0::1]"])
@pytest.mark.parametrize("name", ["[::1]", "[0:0::1]"])
def test_an_ipv6_literal_is_the_same_host_in_every_form(host: str, name: str) -> None:
    router = Router([site("home", name)])
    assert seen(router, "/", host).startswith("home")
    assert seen(router, "/", "[::2]") == "421"


def test_a_literal_of_another_version_is_nobody() -> None:
    assert seen(Router(SITES[:3]), "/", "[v1.example.org]") == "421"


def test_two_forms_of_one_literal_are_one_host() -> None:
    with pytest.raises(ValueError, match="two sites"):
        Router([site("a", "[::1]"), site("b", "[0:0::1]")])


def test_a_star_is_the_default() -> None:
    assert seen(Router([site("all", "*")]), "/", "anything").startswith("all")


def test_hosts_of_the_settings_are_compared_without_case() -> None:
    assert seen(Router([site("x", "WWW.Example.ORG.")]), "/", "www.example.org").startswith("x")


@pytest.mark.parametrize(
    "sites",
    [
        [site("a", "h"), site("b", "h")],
        [site("a", "*.h"), site("b", "*.H")],
        [site("a"), site("b", "*")],
    ],
)
def test_a_host_that_two_sites_claim_is_an_error(sites: list[Site]) -> None:
    with pytest.raises(ValueError, match="two sites"):
        Router(sites)


def test_what_wraps_a_site_sees_the_requests_that_no_route_is_for(tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text("<p>lost")
    routes = (Route("/a/", Named("a")),)
    wrapped = Site((), routes, wrap=lambda inner: ErrorPages(inner, {404: tmp_path / "404.html"}))
    assert content(get(Router([wrapped]), "/b")) == b"<p>lost"
    assert seen(Router([wrapped]), "/a/") == "a /a/ '/a'"


# Paths.

ROUTER = Router(
    [
        Site(
            (),
            (
                Route("/api/", Named("api")),
                Route("/api/v2", Named("v2")),
                Route("/café/", Named("café".encode().decode("latin-1"))),
                Route("/one", Named("one")),
            ),
        ),
        Site(("rooted",), (Route("/", Named("root")), Route("/docs/", Named("docs")))),
    ]
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/api/", "api /api/ '/api'"),
        ("/api/users", "api /api/users '/api'"),
        ("/api/v2", "v2 /api/v2 '/api/v2'"),
        ("/api/v2/x", "v2 /api/v2/x '/api/v2'"),
        ("/api/v22", "api /api/v22 '/api'"),
        ("/%61pi/x", "api /api/x '/api'"),
        ("/api%2fx", "404"),
        ("/apis", "404"),
        ("/API/", "404"),
        ("/caf%c3%a9/x", "caf\xc3\xa9 /caf%C3%A9/x '/caf%C3%A9'"),
        ("/one", "one /one '/one'"),
        ("/one/", "one /one/ '/one'"),
        ("/ones", "404"),
        ("/", "404"),
        ("/api/../one", "400"),
        ("/api/%2e%2e/one", "400"),
        ("/api/.", "400"),
        ("/api/.git", "api /api/.git '/api'"),
        ("/api/%zz", "400"),
    ],
)
def test_the_longest_path_on_a_segment_boundary_answers(target: str, expected: str) -> None:
    assert seen(ROUTER, target) == expected


def test_a_path_without_its_slash_is_redirected_to_the_route() -> None:
    response = get(ROUTER, "/api?x=1")
    assert (response.status, response.fields.get("location")) == (301, "/api/?x=1")
    assert ask(ROUTER, "POST", "/api").status == 308
    assert ask(ROUTER, "GET", "/docs", host="rooted").status == 301
    assert seen(ROUTER, "/docs.html", "rooted").startswith("root")


def test_what_is_no_path_has_no_route() -> None:
    request = request_of("GET", "")
    request.path = ""
    with pytest.raises(HttpError, match="404"):
        ROUTER.handle(request).send(None)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ((Route("api/", Named("a")),), "slash"),
        ((Route("/api/", Named("a")), Route("/api", Named("b"))), "two routes"),
        ((Route("/a%62", Named("a")), Route("/ab", Named("b"))), "two routes"),
    ],
)
def test_routes_that_cannot_be_meant_are_an_error(routes: tuple[Route, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Router([Site((), routes)])
