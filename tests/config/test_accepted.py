"""What `check` accepts can be started: the handlers of the web door are made of each of these settings, and answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from netlodge.app.web import web_handler
from netlodge.config.loading import Sources, load
from netlodge.core.clock import FakeClock
from netlodge.http.message import Handler
from tests.app.supplied import supplies
from tests.http.handlers.asking import ask, content, get

ROUTE = '[[web.site]]\nroutes = [{ path = "/", %s }]\n'


def handler_of(folder: Path, text: str, clock: FakeClock | None = None) -> Handler:
    (folder / "www").mkdir(exist_ok=True)
    (folder / "www/index.html").write_text("<p>home")
    (folder / "www/page.html").write_text("<p>page")
    (folder / "netlodge.toml").write_text(text)
    settings = load(Sources(directory=folder)).settings
    return web_handler(settings.web, supplies(settings, clock))


ACCEPTED = {
    "nothing: the folder www of the data, which is not there yet": ("", 404),
    "text": (ROUTE % 'respond = "pong"', 200),
    **{
        f"text with status {status}": (ROUTE % f'respond = "x", status = {status}', status)
        for status in (200, 302, 599)
    },
    **{
        f"no text with status {status}": (ROUTE % f'respond = "", status = {status}', status)
        for status in (204, 205, 304)
    },
    **{
        f"a redirect with status {status}": (ROUTE % f'redirect = "/new/", status = {status}', status)
        for status in (301, 302, 303, 307, 308)
    },
    "a redirect to another host": (ROUTE % 'redirect = "https://www.example.org/a?b"', 302),
    "files": (ROUTE % 'files = "www", listing = true, hidden = true, index = ["a.b", ".c"]', 200),
    "a fallback": (ROUTE % 'files = "www", fallback = "page.html"', 200),
    "routes that differ by an encoded slash": (
        '[[web.site]]\nroutes = [{ path = "/a%2Fb", respond = "" }, { path = "/a/b", respond = "" }, { path = "/", respond = "" }]',
        200,
    ),
    "routes that differ by octets that are no UTF-8": (
        '[[web.site]]\nroutes = [{ path = "/%FE", respond = "" }, { path = "/%FF", respond = "" }, { path = "/", respond = "" }]',
        200,
    ),
    "hosts of each kind": (
        ROUTE % 'respond = "x"' + 'hosts = ["a.example", "*.A.example", "[::1]", "[::2]", "127.0.0.1", "*"]',
        200,
    ),
    "an error page": (ROUTE % 'respond = ""' + 'error_pages = { 404 = "www/page.html", 413 = "www/page.html" }', 200),
    "fields": (
        ROUTE % 'respond = ""' + 'fields = [{ path = "*", cache_control = "no-store", set = { vary = "" } }]',
        200,
    ),
    "media types": (
        ROUTE % 'respond = ""' + 'media_types = { ".tar.gz" = "application/x-tgz", ".gz" = "text/x" }',
        200,
    ),
    "trace": ("web.trace = true", 404),
}


@pytest.mark.parametrize(("text", "status"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_is_accepted_can_be_started(tmp_path: Path, text: str, status: int) -> None:
    handler = handler_of(tmp_path, text)
    response = get(handler, "/")
    content(response)
    assert response.status == status


def test_fields_of_settings_go_on_every_answer(tmp_path: Path) -> None:
    text = """\
[[web.site]]
routes = [
  { path = "/", files = "www", cache_control = "max-age=60", fields = { Strict-Transport-Security = "max-age=1" } },
  { path = "/gone", respond = "gone", status = 410, cache_control = "max-age=9", fields = { X-Why = "moved out" } },
]
fields = [{ path = "*", set = { X-Content-Type-Options = "nosniff" } }]
error_pages = { 404 = "www/page.html" }
"""
    handler = handler_of(tmp_path, text)
    found, missing, gone = get(handler, "/"), get(handler, "/missing"), get(handler, "/gone")
    assert [response.status for response in (found, missing, gone)] == [200, 404, 410]
    assert {response.fields.get("x-content-type-options") for response in (found, missing, gone)} == {"nosniff"}
    assert missing.fields.get("strict-transport-security") == "max-age=1"
    assert content(missing) == b"<p>page"
    assert [response.fields.get("cache-control") for response in (found, missing, gone)] == [
        "max-age=60",
        None,
        "max-age=9",
    ]
    assert gone.fields.get("x-why") == "moved out"


@pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    [
        ("GET", "/%zz", {}, 400),
        ("GET", "/missing", {}, 404),
        ("POST", "/", {}, 405),
        ("GET", "/", {"if-match": '"other"'}, 412),
        ("GET", "/", {"range": "bytes=1000-"}, 416),
        ("BREW", "/", {}, 501),
    ],
)
def test_the_errors_that_a_site_raises_have_its_pages(
    tmp_path: Path, method: str, target: str, fields: dict[str, str], status: int
) -> None:
    text = ROUTE % 'files = "www"' + f'error_pages = {{ {status} = "www/page.html" }}'
    response = ask(handler_of(tmp_path, text), method, target, fields)
    assert (response.status, content(response)) == (status, b"<p>page")
    assert load(Sources(directory=tmp_path)).warnings == ()


@pytest.mark.parametrize("status", [408, 413, 414, 417, 421, 431, 505])
def test_a_page_that_is_never_used_is_worth_a_warning(tmp_path: Path, status: int) -> None:
    handler_of(tmp_path, ROUTE % 'respond = ""' + f'error_pages = {{ {status} = "www/page.html" }}')
    assert load(Sources(directory=tmp_path)).warnings == (
        f"web.site[0].error_pages.{status} is not used: an error {status} is never a site's own, and has the built-in text.",
    )
