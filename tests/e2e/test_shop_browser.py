"""A person at the shop, with a browser that runs no script: shops, closes the browser, returns, and is recognised. Over HTTPS it is in
`test_shop_https.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.browser import Browser
from tests.e2e.lodge import Lodge
from tests.e2e.test_browser import colours

PICTURE = Path(__file__).resolve().parent / "picture.png"


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with Lodge(settings=None) as lodge:
        yield lodge


def shop(browser: Browser, start: str) -> None:
    """From the starter site to a receipt, as Ada. `start` is the address of the site, with a slash at its end."""
    browser.open(start)
    browser.follow('nav a[href="/shop/"]')
    assert "The shop at the lodge" in browser.text
    assert browser.style("ul.shelf", "display") == "grid"

    browser.follow('nav a[href="/shop/name"]')
    browser.type("#name", "Ada <b>Lovelace</b>")
    browser.submit()
    assert "Good to meet you, Ada <b>Lovelace</b>." in browser.text

    browser.type("#q", "tea")
    browser.submit()
    assert browser.url == f"{start}shop/?q=tea&sort=shelf"
    browser.follow('a[href="/shop/goods/tea"]')
    browser.type("#quantity", "3")
    browser.follow(".goods button")
    assert browser.url == f"{start}shop/basket"
    assert browser.attribute('input[name="quantity-tea"]', "value") == "3"
    browser.type('input[name="quantity-tea"]', "2")
    browser.submit()
    assert browser.attribute('input[name="quantity-tea"]', "value") == "2"

    browser.follow('a[href="/shop/checkout"]')
    assert browser.attribute("#name", "value") == "Ada <b>Lovelace</b>"
    browser.follow("form.column button")
    assert "Receipt" in browser.text
    assert "€9.00" in browser.text
    assert "collected by Ada <b>Lovelace</b>" in browser.text


def review(browser: Browser, start: str, picture: Path) -> None:
    """Put up words and a picture, and look at it."""
    browser.open(f"{start}shop/goods/bell")
    browser.click('input[name="stars"][value="4"]')
    browser.type("#words", "Heard it.")
    browser.choose_file("#picture", picture)
    browser.follow("#say ~ form button")
    assert browser.url == f"{start}shop/goods/bell#reviews"
    assert "Heard it." in browser.text
    browser.open(f"{start}shop/goods/bell")
    assert browser.size(".review img") == (24, 24)


def return_to_the_shop(browser: Browser, start: str) -> None:
    """The same browser, started anew."""
    browser.open(f"{start}shop/")
    assert "Welcome back, Ada <b>Lovelace</b>; you were last here on" in browser.text
    browser.follow('nav a[href="/shop/purchases"]')
    assert "2 × Pot of tea" in browser.text


def test_a_person_shops_without_a_script_and_is_recognised_when_returning(lodge: Lodge, tmp_path: Path) -> None:
    start = lodge.url("/")
    with Browser(tmp_path / "profile") as browser:
        shop(browser, start)
        review(browser, start, PICTURE)
        (cookie,) = browser.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Lax"
    with Browser(tmp_path / "profile") as browser:
        return_to_the_shop(browser, start)
    assert len(colours(PICTURE)) == 1
