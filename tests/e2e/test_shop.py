"""The shop of the starter site, with the whole lodge behind it: curl with its cookie jar, httpx, and workers that die."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from tests.e2e.http_client import Client
from tests.e2e.lodge import Lodge, descriptors, until, worker_of
from tests.http.wire.multipart_writer import BOUNDARY, Field, part

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 40
FORM = "Content-Type: application/x-www-form-urlencoded"
EVIL = "<script>alert(1)</script>\"'&"


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with Lodge(settings=None) as lodge:
        yield lodge


class Visitor(httpx.Client):
    """A browser as far as cookies and forms go."""

    def __init__(self, lodge: Lodge) -> None:
        super().__init__(base_url=lodge.url("/shop"), timeout=30, follow_redirects=False, trust_env=False)

    @property
    def cookie(self) -> str:
        """What the field Cookie says."""
        ((name, value),) = self.cookies.items()
        return f"{name}={value}"

    def page(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def hidden(self, path: str, name: str = "token") -> str:
        """The value of a hidden field on a page."""
        return hidden(self.page(path), name)

    def submit(self, path: str, page: str, **fields: str) -> httpx.Response:
        """Send a form with the token that `page` has in it."""
        return self.post(path, data={"token": self.hidden(page), **fields})

    def buy(self, goods: str, quantity: int = 1) -> None:
        answer = self.submit("/basket/add", f"/goods/{goods}", goods=goods, quantity=str(quantity))
        assert answer.headers["location"] == "/shop/basket"


def hidden(page: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]+)">', page)
    assert found, page
    return found[1]


@pytest.fixture
def ada(lodge: Lodge) -> Iterator[Visitor]:
    with Visitor(lodge) as visitor:
        yield visitor


class Curl:
    """curl with a cookie jar."""

    def __init__(self, lodge: Lodge, folder: Path) -> None:
        self.lodge = lodge
        self.jar = folder / "jar"

    def __call__(self, path: str, *options: str) -> tuple[int, str]:
        """Status and text."""
        command = ["curl", "-sS", "-b", str(self.jar), "-c", str(self.jar), "-w", "\n%{http_code}", *options]
        done = subprocess.run([*command, self.lodge.url(f"/shop{path}")], capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        text, _, status = done.stdout.decode("utf-8", "replace").rpartition("\n")
        return int(status), text


@pytest.fixture
def curl(lodge: Lodge, tmp_path: Path) -> Curl:
    return Curl(lodge, tmp_path)


# --- looking and coming back -------------------------------------------------------------------------------------------


def test_the_starter_site_leads_to_the_shop(lodge: Lodge) -> None:
    assert 'href="/shop/"' in httpx.get(lodge.url("/"), trust_env=False).text
    answer = httpx.get(lodge.url("/shop"), trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (301, "/shop/")


def test_a_visitor_who_only_looks_gets_no_cookie(ada: Visitor) -> None:
    for path in ("/", "/?q=tea&sort=price", "/style.css", "/basket"):
        assert "set-cookie" not in ada.get(path).headers


def test_curl_is_greeted_by_name_when_it_returns(curl: Curl) -> None:
    status, page = curl("/name")
    assert status == 200
    assert curl("/name", "-d", f"token={hidden(page, 'token')}", "-d", "name=Ada")[0] == 303
    assert "Good to meet you, Ada." in curl("/")[1]
    assert "Welcome back, Ada; you were last here on" in curl("/")[1]


def test_a_search_is_a_form_by_get(curl: Curl) -> None:
    status, page = curl("/", "-G", "--data-urlencode", "q=porter’s parcel", "--data-urlencode", "sort=price")
    assert status == 200
    assert 'value="porter’s parcel"' in page
    assert re.findall(r'"/shop/goods/([a-z]+)"', page) == ["umbrella"]


def test_a_name_is_text_and_nothing_else(ada: Visitor) -> None:
    ada.submit("/name", "/name", name=EVIL)
    for path in ("/", "/name", "/goods/tea"):
        page = ada.page(path)
        assert "<script" not in page
        assert EVIL in unescape(page)
    policy = ada.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "script-src" not in policy


# --- basket and till ---------------------------------------------------------------------------------------------------


def test_the_basket_survives_the_worker_that_served_it(lodge: Lodge, ada: Visitor) -> None:
    ada.buy("tea", 3)
    answer = ada.get("/basket")
    port = answer.extensions["network_stream"].get_extra_info("client_addr")[1]
    pids = [worker.pid for worker in lodge.workers]
    victim = worker_of(port, pids)
    os.kill(victim, signal.SIGKILL)
    ada._transport.close()  # its connection is cut, as a browser would find
    until(lambda: victim not in (now := [worker.pid for worker in lodge.workers]) and len(now) == 2, "a new worker")
    assert 'name="quantity-tea" value="3"' in ada.page("/basket")


def test_a_basket_is_bought_once_though_the_form_is_sent_by_many_at_once(lodge: Lodge, ada: Visitor) -> None:
    ada.buy("tea", 2)
    ada.buy("map")
    page = ada.page("/checkout")
    form = {"token": hidden(page, "token"), "order": hidden(page, "order"), "name": "Ada", "note": "at six"}
    cookie = ada.cookie
    places: list[str] = []

    def send() -> None:
        # A connection each, so that both workers have their share.
        with Client(lodge.port()) as client:
            answer = client.ask(
                "/shop/checkout", f"Cookie: {cookie}", FORM, method="POST", body=urlencode(form).encode()
            )
            places.append(f"{answer.status} {answer.fields.get('location')}")

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(places) == {f"303 /shop/purchases/{form['order']}"}
    receipt = ada.page(f"/purchases/{form['order']}")
    assert "€14.50" in receipt
    assert "at six" in receipt
    assert len(re.findall(r'href="/shop/purchases/\w+"', ada.page("/purchases"))) == 1
    assert "nothing in it yet" in ada.page("/basket")


def test_who_is_forgotten_is_a_stranger(ada: Visitor) -> None:
    ada.submit("/name", "/name", name="Ada")
    ada.buy("tea")
    answer = ada.submit("/forget", "/forget")
    assert answer.headers["location"] == "/shop/forgotten"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert "Ada" not in ada.page("/")
    assert "nothing in it yet" in ada.page("/basket")


# --- pictures ----------------------------------------------------------------------------------------------------------


def test_curl_sends_a_picture_and_gets_it_back_as_what_it_is(curl: Curl, tmp_path: Path) -> None:
    picture = tmp_path / 'my "cat".html'
    picture.write_bytes(PNG)
    token = hidden(curl("/goods/bell")[1], "token")
    fields = ["-F", f"token={token}", "-F", "stars=5", "--form-string", "words=Loud; and <b>clear</b>"]
    file = f'picture=@"{str(picture).replace(chr(34), chr(92) + chr(34))}";type=text/html'
    assert curl("/goods/bell/review", *fields, "-F", file)[0] == 303
    page = curl("/goods/bell")[1]
    assert "Loud; and &lt;b&gt;clear&lt;/b&gt;" in page
    place = re.search(r'"(/shop/pictures/\w+)"', page)
    assert place
    answer = httpx.get(curl.lodge.url(place[1]), trust_env=False)
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 415, "is not a picture"),
        (b"<!doctype html><script>alert(1)</script>", 415, "is not a picture"),
        (PNG + bytes(2 << 20), 413, "2 MiB at most"),
        (PNG + bytes(17 << 20), 413, "limits.form_file_size"),
    ],
    ids=["svg", "html", "beyond the shop's limit", "beyond the lodge's limit"],
)
def test_what_is_no_picture_or_too_large_is_refused(
    lodge: Lodge, ada: Visitor, content: bytes, status: int, words: str
) -> None:
    token = ada.hidden("/goods/key")
    answer = ada.post(
        "/goods/key/review",
        data={"token": token, "stars": "1", "words": "x"},
        files={"picture": ("cat.png", content, "image/png")},
    )
    assert answer.status_code == status
    assert words in answer.text
    assert "Nobody has said anything" in ada.page("/goods/key")


def test_a_client_that_vanishes_in_the_middle_leaves_nothing(lodge: Lodge, ada: Visitor) -> None:
    token = ada.hidden("/goods/tea")
    # Every worker has by now what it keeps open anyway.
    for _ in range(10):
        with Client(lodge.port()) as client:
            assert client.ask("/shop/goods/tea").status == 200
    pids = [worker.pid for worker in lodge.workers]
    with Client(lodge.port()) as client:
        client.ask("/")
        pid = worker_of(client.sock.getsockname()[1], pids)
        before = descriptors(pid)
        octets = part(Field("token", token.encode())) + part(Field("picture", bytes(4 << 20), "cat.png"))
        head = [
            "POST /shop/goods/tea/review HTTP/1.1",
            "Host: localhost",
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            f"Content-Length: {len(octets) + 1000}",
            f"Cookie: {ada.cookie}",
            "",
            "",
        ]
        client.send("\r\n".join(head).encode() + octets)
        until(lambda: descriptors(pid) > before, "a temporary file")
        client.reset()
    until(lambda: descriptors(pid) < before, "its end")  # with that of the connection
    assert ada.get("/").status_code == 200


# --- forms of others ---------------------------------------------------------------------------------------------------


def test_a_form_without_the_token_of_this_visit_does_nothing(lodge: Lodge, ada: Visitor) -> None:
    ada.submit("/name", "/name", name="Ada")
    with Visitor(lodge) as eve:
        foreign = eve.hidden("/name")
    for token in ({}, {"token": ""}, {"token": foreign}, {"token": "é"}):
        answer = ada.post("/name", data={"name": "Mallory", **token})
        assert answer.status_code == 403
        assert "load the page again" in answer.text
    assert "Mallory" not in ada.page("/")


def test_a_form_from_a_page_of_another_site_does_nothing(ada: Visitor) -> None:
    token = ada.hidden("/name")
    for fields in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        answer = ada.post("/name", data={"token": token, "name": "Mallory"}, headers=fields)
        assert answer.status_code == 403
        assert "another site" in answer.text
    own = str(ada.base_url.copy_with(path="")).rstrip("/")
    assert ada.post("/name", data={"token": token, "name": "Ada"}, headers={"origin": own}).status_code == 303
