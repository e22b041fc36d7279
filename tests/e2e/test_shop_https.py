"""The shop over HTTPS, with clients that trust the lodge's authority: a browser that closes and returns, over HTTP/2 and HTTP/1.1; httpx and
requests with the authority's file."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests

from tests.e2e.browser import Browser, trust
from tests.e2e.lodge import Lodge
from tests.e2e.test_shop import hidden
from tests.e2e.test_shop_browser import PICTURE, return_to_the_shop, review, shop


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with Lodge(settings=None) as lodge:
        yield lodge


def start_of(lodge: Lodge) -> str:
    """Where the site begins."""
    return f"https://localhost:{lodge.port('web_tls')}/"


def root_of(lodge: Lodge) -> str:
    return str(lodge.data / "ca" / "root.pem")


# --- A browser ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "options"), [("h2", []), ("http/1.1", ["--disable-http2"])])
def test_a_person_shops_over_https_and_is_recognised_when_returning(
    lodge: Lodge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, options: list[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    trust(lodge.data)
    start = start_of(lodge)
    with Browser(tmp_path / "profile", options=options) as browser:
        shop(browser, start)
        review(browser, start, PICTURE)
        (cookie,) = browser.cookies()
        # RFC 6265bis §4.1.3.2: a name that no plain connection, no other host and no other path can plant.
        assert cookie["name"].startswith("__Host-")
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
        assert (cookie["domain"], cookie["path"]) == ("localhost", "/")
        assert browser.protocols == {protocol}
        # A cookie of HTTPS is not sent where others can listen.
        browser.open(f"http://localhost:{lodge.port()}/shop/")
        assert "Welcome back" not in browser.text
    with Browser(tmp_path / "profile", options=options) as browser:
        return_to_the_shop(browser, start)
        assert browser.protocols == {protocol}


# --- Libraries ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("http2", [True, False])
def test_httpx_shops(lodge: Lodge, http2: bool) -> None:
    context = ssl.create_default_context(cafile=root_of(lodge))
    client = httpx.Client(base_url=start_of(lodge), verify=context, http2=http2, trust_env=False)
    with client:
        page = client.get("/shop/goods/tea")
        assert page.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        answer = client.post(
            "/shop/basket/add", data={"token": hidden(page.text, "token"), "goods": "tea", "quantity": "3"}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/shop/basket")
        assert 'name="quantity-tea"' in client.get("/shop/basket").text
        assert [name.startswith("__Host-") for name in client.cookies] == [True]


def test_requests_shops(lodge: Lodge) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = root_of(lodge)
        start = f"{start_of(lodge)}shop"
        page = session.get(f"{start}/goods/bell", timeout=30).text
        answer = session.post(
            f"{start}/basket/add",
            data={"token": hidden(page, "token"), "goods": "bell", "quantity": "1"},
            timeout=30,
        )
        assert (answer.status_code, answer.url) == (200, f"{start}/basket")
        assert 'name="quantity-bell"' in answer.text


def test_who_does_not_know_the_authority_refuses(lodge: Lodge) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(start_of(lodge), trust_env=False)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(start_of(lodge), timeout=30)
