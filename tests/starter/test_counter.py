"""The shop as its customers meet it: pages, forms, and what they do."""

from __future__ import annotations

import asyncio
import re

import pytest

from netlodge.http.handlers.native import FormLimits, Lodging, is_lodge_application
from netlodge.http.message import BodyError, HttpError, Request
from netlodge.http.rules.forms import URLENCODED
from netlodge.starter import shop as package
from netlodge.starter.shop.counter import clean
from netlodge.starter.shop.pages import POLICY, moment, money
from netlodge.starter.shop.pictures import LARGEST
from netlodge.store.database import Database, DatabaseUnavailableError
from tests.http.handlers.asking import content, request_of
from tests.http.handlers.form_requests import PiecesBody, multipart, post, urlencoded
from tests.http.wire.multipart_writer import Field
from tests.starter.customer import Customer, Page, Shop, page_of, place_of
from tests.starter.test_pictures import PNG

EVIL = "<script>alert(1)</script>\"'&"


@pytest.fixture
def ada(shop: Shop) -> Customer:
    return shop.customer()


def test_it_is_an_application_for_the_lodge() -> None:
    assert is_lodge_application(package.shop)


# --- every page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pages(ada: Customer) -> dict[str, Page]:
    """A page of each kind."""
    paths = ["/", "/?q=tea", "/?q=coffee", "/goods/tea", "/basket", "/purchases", "/name", "/forget", "/forgotten"]
    pages = {path: ada.get(path) for path in paths}
    ada.put_into_basket("tea")
    pages["full basket"] = ada.get("/basket")
    pages["checkout"] = ada.get("/checkout")
    ada.send("/goods/tea/review", [Field("stars", b"4"), Field("words", b"Hot."), Field("picture", PNG, "x.png")])
    pages["with a review"] = ada.get("/goods/tea")
    place = place_of(ada.post("/checkout", {"order": ada.order(), "name": "Ada", "note": "A note"}))
    assert place is not None
    pages["receipt"] = ada.get(place.removeprefix("/shop"))
    pages["with purchases"] = ada.get("/purchases")
    pages["not found"] = ada.get("/nowhere", status=404)
    return pages


def test_pages_work_without_a_script_and_have_none(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert not page.all("script")
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
        assert not [name for _, attributes in page.tags for name in attributes if name == "style"]
        assert "javascript:" not in page.markup


def test_pages_can_be_used_by_keyboard_and_screen_reader(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
        assert page.tags[[tag for tag, _ in page.tags].index("body") + 1] == ("a", {"class": "skip", "href": "#main"})
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        labelled = {label.get("for") for label in page.all("label")}
        for tag in ("input", "textarea", "select"):
            for field in page.all(tag):
                if field.get("type") not in {"hidden", "radio"}:
                    assert field.get("id") in labelled or field.get("aria-label"), field
        for image in page.all("img"):
            assert "alt" in image
        for _, attributes in page.tags:
            for name in ("aria-labelledby", "aria-describedby"):
                assert attributes.get(name) in {None, *ids}


def test_every_form_that_does_something_carries_the_token(pages: dict[str, Page]) -> None:
    seen = 0
    for page in pages.values():
        for block in re.findall(r"<form.*?</form>", page.markup, re.DOTALL):
            form = Page(block)
            if form.all("form")[0]["method"] == "post":
                assert form.value("token") == "t" * 32
                seen += 1
            else:
                assert "token" not in block
    assert seen >= 8


def test_every_link_leads_to_a_page(pages: dict[str, Page], ada: Customer) -> None:
    links = {attributes["href"] for page in pages.values() for tag, attributes in page.tags if tag in {"a", "link"}}
    own = {link for link in links if link and link.startswith("/shop")}
    assert len(own) > 10
    for link in own:
        # Nothing is left to be paid for by now.
        assert ada.ask(request_of("GET", link)).status == (303 if link == "/shop/checkout" else 200), link


def test_pages_are_sent_so_that_nothing_foreign_runs_in_them(ada: Customer) -> None:
    for path, status in (("/", 200), ("/nowhere", 404)):
        response = ada.ask(request_of("GET", f"/shop{path}"))
        assert response.status == status
        get = response.fields.get
        assert get("content-type") == "text/html; charset=utf-8"
        assert get("content-security-policy") == POLICY
        assert "script-src" not in POLICY
        assert "default-src 'none'" in POLICY
        assert get("x-content-type-options") == "nosniff"
        assert get("referrer-policy") == "same-origin"
        assert get("cache-control") == "private, no-cache"
        assert response.remember is None


def test_the_style_is_the_sites_and_the_shops(ada: Customer) -> None:
    response = ada.ask(request_of("GET", "/shop/style.css"))
    assert response.fields.get("content-type") == "text/css; charset=utf-8"
    assert b"--lamp" in content(response)
    assert b".shelf" in content(response)
    again = ada.ask(request_of("GET", "/shop/style.css", {"if-none-match": response.fields.get("etag") or ""}))
    assert again.status == 304


def test_links_begin_where_the_shop_is(shop: Shop) -> None:
    request = request_of("GET", "/a/b/")
    request.route["prefix"] = "/a/b"
    page = page_of(shop.runner.run(shop.handler.handle(request)))
    assert 'action="/a/b/"' in page.markup
    assert "/shop" not in page.markup


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("DELETE", "/", 405, "GET, HEAD, OPTIONS"),
        ("POST", "/", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/basket/add", 405, "OPTIONS, POST"),
        ("BREW", "/goods/tea", 501, None),
        ("OPTIONS", "/basket", 204, "GET, HEAD, OPTIONS, POST"),
        ("GET", "/goods/coffee", 404, None),
        ("GET", "/goods/Tea", 404, None),
        ("GET", "/pictures/" + "0" * 32, 404, None),
        ("GET", "/purchases/" + "0" * 32, 404, None),
        ("HEAD", "/", 200, None),
    ],
)
def test_other_methods_and_addresses_are_told_apart(
    ada: Customer, method: str, path: str, status: int, allow: str | None
) -> None:
    response = ada.ask(request_of(method, f"/shop{path}"))
    assert response.status == status
    assert response.fields.get("allow") == allow


# --- looking -----------------------------------------------------------------------------------------------------------


def test_a_search_stands_in_the_url(ada: Customer) -> None:
    page = ada.get("/?q=night&sort=price")
    assert page.value("q") == "night"
    assert [link["href"] for link in page.all("a") if "/goods/" in (link["href"] or "")] == [
        "/shop/goods/lantern",
        "/shop/goods/blanket",
    ]
    assert {"value": "price", "selected": None} in page.all("option")
    assert "Nothing of the goods fits “coffee”" in ada.get("/?q=coffee").text
    assert "1 of the goods fits “tea”" in ada.get("/?q=tea").text


def test_what_is_searched_for_is_text_in_the_page(ada: Customer) -> None:
    page = ada.get("/?q=%3Cscript%3Ealert(1)%3C/script%3E%22%27%26")
    assert not page.all("script")
    assert page.value("q") == EVIL


def test_who_only_looks_over_the_shelf_leaves_nothing(ada: Customer) -> None:
    ada.get("/")
    ada.get("/?q=tea")
    ada.get("/basket")
    ada.get("/purchases")
    assert not ada.visit.begins
    assert ada.visit.data == {}


# --- the visitor -------------------------------------------------------------------------------------------------------


def test_a_returning_visitor_is_greeted_by_name_and_told_of_the_last_time(ada: Customer, shop: Shop) -> None:
    assert "Tell the porter your name" in ada.get("/").text
    assert place_of(ada.post("/name", {"name": "  Ada \u202e Lovelace "})) == "/shop/"
    page = ada.get("/")
    assert "Good to meet you, Ada Lovelace." in page.text
    assert "Good day, Ada Lovelace." in page.text
    then = shop.clock.second
    shop.clock.advance(3600)
    page = ada.get("/")
    assert f"Welcome back, Ada Lovelace; you were last here on {moment(then)}." in page.text
    assert {"datetime": "2023-11-14T22:13:20Z"} in page.all("time")
    assert "Good to meet you" not in page.text  # it was said


def test_a_look_within_the_same_minute_is_not_another_one(ada: Customer, shop: Shop) -> None:
    ada.post("/name", {"name": "Ada"})
    ada.get("/")
    then = ada.visit.data["seen"]
    shop.clock.advance(59)
    ada.get("/")
    assert ada.visit.data["seen"] == then


def test_a_name_changes_the_identifier_of_the_session(shop: Shop) -> None:
    ada = shop.customer()
    before = ada.visit
    ada.post("/name", {"name": "Ada"})
    assert before.rotations == 1


def test_a_name_is_text_wherever_it_is_shown(ada: Customer) -> None:
    ada.post("/name", {"name": EVIL})
    for path in ("/", "/name", "/goods/tea"):
        page = ada.get(path)
        assert not page.all("script")
        assert EVIL in page.text
    assert ada.get("/name").value("name") == EVIL


def test_a_name_that_is_none_is_asked_for_again(ada: Customer) -> None:
    response = ada.post("/name", {"name": " \u200b "})
    assert response.status == 422
    page = page_of(response)
    assert "Please write a name." in page.text
    assert [field["aria-invalid"] for field in page.all("input") if "aria-invalid" in field] == ["true"]
    assert "name" not in ada.visit.data


def test_who_wants_to_be_forgotten_is(ada: Customer, shop: Shop) -> None:
    ada.post("/name", {"name": "Ada"})
    ada.put_into_basket("tea")
    ada.send("/goods/tea/review", [Field("stars", b"5"), Field("words", b"Ada was here")])
    ada.post("/checkout", {"order": ada.order(), "name": "Ada", "note": ""})
    assert place_of(ada.post("/forget", {})) == "/shop/forgotten"
    assert ada.visit.data == {}
    assert "Ada" not in ada.get("/").text
    assert "Ada" not in ada.get("/goods/tea").text
    assert "nothing yet" in ada.get("/purchases").text


def test_who_left_nothing_can_be_forgotten_too(ada: Customer) -> None:
    assert place_of(ada.post("/forget", {})) == "/shop/forgotten"


# --- the basket --------------------------------------------------------------------------------------------------------


def test_a_basket_is_filled_changed_and_emptied(ada: Customer) -> None:
    ada.put_into_basket("tea", 3)
    ada.put_into_basket("map")
    page = ada.get("/basket")
    assert "Walking map: 1 in your basket." in page.text
    assert page.value("quantity-tea") == "3"
    assert "€19.00" in page.text
    assert "Basket 4 in it" in page.text
    ada.post("/basket", {"quantity-tea": "5", "quantity-map": "0", "quantity-abacus": "7"})
    assert ada.visit.data["basket"] == {"tea": 5}
    ada.post("/basket", {"quantity-tea": "5", "remove": "tea"})
    assert "nothing in it yet" in ada.get("/basket").text


@pytest.mark.parametrize("quantity", ["", "0", "-1", "100", "1.5", "1e1", "٣", "one", "0x1", "+1"])
def test_what_is_no_quantity_is_told(ada: Customer, quantity: str) -> None:
    response = ada.post("/basket/add", {"goods": "tea", "quantity": quantity})
    assert response.status == 422
    assert "whole number from 1 to 99" in page_of(response).text
    assert "basket" not in ada.visit.data


def test_goods_that_are_not_sold_are_not_put_into_a_basket(ada: Customer) -> None:
    assert ada.post("/basket/add", {"goods": "abacus", "quantity": "1"}).status == 404


# --- buying ------------------------------------------------------------------------------------------------------------


def test_a_purchase_is_written_down_and_shown(ada: Customer, shop: Shop) -> None:
    ada.put_into_basket("tea", 3)
    ada.put_into_basket("map")
    order = ada.order()
    place = place_of(ada.post("/checkout", {"order": order, "name": "Ada", "note": EVIL}))
    assert place == f"/shop/purchases/{order}"
    page = ada.get(f"/purchases/{order}")
    for words in ("Thank you", "collected by Ada", "Pot of tea", "€13.50", "€19.00", EVIL, moment(shop.clock.second)):
        assert words in page.text
    assert not page.all("script")
    assert "3 × Pot of tea, 1 × Walking map" in ada.get("/purchases").text
    assert "nothing in it yet" in ada.get("/basket").text


def test_a_form_that_is_sent_twice_buys_once(ada: Customer) -> None:
    ada.put_into_basket("tea")
    form = {"order": ada.order(), "name": "Ada", "note": ""}
    first, second = (place_of(ada.post("/checkout", form)) for _ in range(2))
    assert first == second
    assert len(re.findall("/purchases/", ada.get("/purchases").markup)) == 1


def test_a_form_that_is_sent_twice_at_once_buys_once(ada: Customer, shop: Shop) -> None:
    """Two workers that both had the basket before either had sold it."""
    ada.put_into_basket("tea")
    order = ada.order()
    data = dict(ada.visit.data)
    places = []
    for _ in range(2):
        ada.visit.data = dict(data)
        places.append(place_of(ada.post("/checkout", {"order": order, "name": "Ada", "note": ""})))
    assert places[0] == places[1]
    assert len(re.findall("/purchases/", ada.get("/purchases").markup)) == 1


def test_a_basket_that_changed_meanwhile_is_not_bought(ada: Customer) -> None:
    ada.put_into_basket("tea")
    order = ada.order()
    ada.put_into_basket("blanket")
    response = ada.post("/checkout", {"order": order, "name": "Ada", "note": ""})
    assert response.status == 409
    assert "Look it over" in page_of(response).text
    assert "nothing yet" in ada.get("/purchases").text


@pytest.mark.parametrize("order", ["", "x", "0" * 32])
def test_an_order_that_is_none_buys_nothing(ada: Customer, order: str) -> None:
    assert ada.post("/checkout", {"order": order, "name": "Ada"}).status == 409


def test_a_purchase_without_a_name_is_asked_for_it_again(ada: Customer) -> None:
    ada.put_into_basket("tea")
    order = ada.order()
    response = ada.post("/checkout", {"order": order, "name": " ", "note": "mind the step"})
    assert response.status == 422
    page = page_of(response)
    assert "who will collect" in page.text
    assert "mind the step" in page.text
    assert place_of(ada.post("/checkout", {"order": page.value("order"), "name": "Ada"}))


def test_there_is_nothing_to_pay_for_an_empty_basket(ada: Customer) -> None:
    assert place_of(ada.ask(request_of("GET", "/shop/checkout"))) == "/shop/basket"


def test_the_purchase_of_another_is_not_shown(ada: Customer, shop: Shop) -> None:
    ada.put_into_basket("tea")
    order = ada.order()
    ada.post("/checkout", {"order": order, "name": "Ada"})
    bob = shop.customer()
    bob.put_into_basket("map")
    assert "no such purchase of yours" in bob.get(f"/purchases/{order}", status=404).text
    assert bob.post("/checkout", {"order": order, "name": "Bob"}).status == 409


# --- saying ------------------------------------------------------------------------------------------------------------


def review(*more: Field, stars: bytes = b"4", words: bytes = b"Hot, and\r\nstrong.") -> list[Field]:
    return [Field("stars", stars), Field("words", words), *more]


def test_words_and_a_picture_are_put_up(ada: Customer) -> None:
    ada.post("/name", {"name": "Ada"})
    picture = Field("picture", PNG + b"rest", "../cat.html", "text/html")
    assert place_of(ada.send("/goods/tea/review", review(picture))) == "/shop/goods/tea#reviews"
    page = ada.get("/goods/tea")
    assert "Hot, and\nstrong." in page.markup
    assert "4 of 5 stars" in page.text
    (image,) = [image for image in page.all("img") if "/pictures/" in (image["src"] or "")]
    assert image["alt"] == "Picture that Ada sent"
    response = ada.ask(request_of("GET", image["src"] or ""))
    assert response.status == 200
    assert content(response) == PNG + b"rest"
    assert response.fields.get("content-type") == "image/png"  # as found, not as said
    assert response.fields.get("x-content-type-options") == "nosniff"
    assert response.fields.get("content-security-policy") == "default-src 'none'; sandbox"


def test_words_are_text_and_a_guest_has_no_name(ada: Customer) -> None:
    ada.send("/goods/tea/review", review(Field("picture", b"", ""), words=EVIL.encode()))
    page = ada.get("/goods/tea")
    assert not page.all("script")
    assert EVIL in page.text
    assert "A guest" in page.text
    assert not [image for image in page.all("img") if "/pictures/" in (image["src"] or "")]


@pytest.mark.parametrize(
    "content_",
    [b"<svg onload=alert(1)>", b"<!doctype html>", b"GIF", b"", b"%PDF-1.7", b"\x00" * 100],
)
def test_a_file_that_is_no_picture_is_refused(ada: Customer, content_: bytes) -> None:
    response = ada.send("/goods/tea/review", review(Field("picture", content_, "cat.png", "image/png")))
    assert response.status == 415
    assert "“cat.png” is not a picture" in page_of(response).text
    assert "Nobody has said anything" in ada.get("/goods/tea").text


def test_a_picture_that_is_too_large_is_refused(ada: Customer) -> None:
    response = ada.send("/goods/tea/review", review(Field("picture", PNG + bytes(LARGEST), "cat.png")))
    assert response.status == 413
    assert "2 MiB at most" in page_of(response).text


def test_a_file_beyond_the_limit_of_the_lodge_is_refused_with_its_name(ada: Customer) -> None:
    response = ada.send("/goods/tea/review", review(Field("picture", PNG + bytes(5 << 20), "cat.png")))
    assert response.status == 413
    assert "limits.form_file_size" in page_of(response).text


@pytest.mark.parametrize(("stars", "words"), [(b"0", b"x"), (b"6", b"x"), (b"", b"x"), (b"4", b" \r\n ")])
def test_a_review_without_stars_or_words_is_asked_for_them_again(ada: Customer, stars: bytes, words: bytes) -> None:
    response = ada.send("/goods/tea/review", review(stars=stars, words=words))
    assert response.status == 422
    assert "one to five stars" in page_of(response).text


# --- forms of others ---------------------------------------------------------------------------------------------------

DOING = ["/basket", "/basket/add", "/checkout", "/name", "/forget", "/goods/tea/review"]


@pytest.mark.parametrize("path", DOING)
@pytest.mark.parametrize("token", ["", "foreign"])
def test_a_form_without_the_token_of_the_visit_does_nothing(ada: Customer, path: str, token: str) -> None:
    ada.put_into_basket("tea")
    before = dict(ada.visit.data)
    response = ada.post(path, {"goods": "map", "quantity": "1", "name": "Eve", "remove": "tea"}, token=token)
    assert response.status == 403
    assert "load the page again" in page_of(response).text
    assert ada.visit.data == before


@pytest.mark.parametrize("path", DOING)
def test_a_form_from_a_page_of_another_site_does_nothing(ada: Customer, path: str) -> None:
    for fields in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}, {"origin": "null"}):
        response = ada.ask(urlencoded(f"/shop{path}", [("token", "t" * 32), ("name", "Eve")], fields))
        assert response.status == 403
        assert "another site" in page_of(response).text
    assert "name" not in ada.visit.data


# --- when something is wrong -------------------------------------------------------------------------------------------


def test_another_kind_of_content_is_told(ada: Customer) -> None:
    response = ada.ask(post("/shop/name", "application/json", [b"{}"]))
    assert response.status == 415
    assert response.fields.get("accept") == f"{URLENCODED}, multipart/form-data"
    assert page_of(response).all("h1")


def test_a_client_that_vanishes_is_answered_nothing(ada: Customer) -> None:
    with pytest.raises(BodyError):
        ada.ask(multipart("/shop/goods/tea/review", review(), cut=True))


def test_an_error_that_ends_the_connection_is_the_sessions_to_tell(ada: Customer) -> None:
    request = post("/shop/name", URLENCODED, [])
    request.body = PiecesBody([b"x"], error=HttpError(413, "", setting="limits.body_size", must_close=True))
    with pytest.raises(HttpError):
        ada.ask(request)


def test_a_database_that_is_away_is_told_with_what_to_do(runner: asyncio.Runner) -> None:
    class Away(Database):
        async def read(self, work: object) -> None:  # type: ignore[override]
            raise DatabaseUnavailableError("away")

    shop = Shop(Away("sqlite://", connections=1, timeout=1), runner)
    response = shop.customer().ask(request_of("GET", "/shop/goods/tea"))
    assert response.status == 503
    assert response.fields.get("retry-after") == "5"
    assert "try again" in page_of(response).text
    assert shop.customer().get("/").text  # what needs no database is there


def test_without_sessions_whoever_runs_the_lodge_is_told_what_to_set(shop: Shop) -> None:
    def ask(request: Request) -> str:
        response = shop.runner.run(shop.handler.handle(request))
        assert response.status == 500
        return page_of(response).text

    assert "sessions = true" in ask(request_of("GET", "/basket"))
    assert "sessions = true" in ask(urlencoded("/name", [("name", "Ada")]))
    assert shop.runner.run(shop.handler.handle(request_of("GET", "/"))).status == 200


def test_the_limits_of_forms_are_those_of_the_lodge(database: Database, runner: asyncio.Runner) -> None:
    lodging = Lodging(database, Shop(database, runner).clock, FormLimits(2, 100, 100))
    handler = package.shop.make_handler(lodging)
    response = runner.run(handler.handle(request_of("GET", "/?a&b&c")))
    assert response.status == 413
    assert "limits.form_fields" in page_of(response).text


# --- words and numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        (" a  b\tc\r\nd ", "a b c d"),
        ("a\0b\x1b[1mc", "ab[1mc"),
        ("\u202eevil", "evil"),
        ("größe 日本 🙂", "größe 日本 🙂"),
        ("x" * 20, "x" * 10),
        ("123456789 x", "123456789"),
    ],
)
def test_text_is_kept_without_what_could_harm(text: str, kept: str) -> None:
    assert clean(text, 10) == kept


def test_lines_are_kept_where_they_are_wanted() -> None:
    assert clean("a\r\n\r\n\r\n\r\nb \x0b c\n", 100, lines=True) == "a\n\nb c"


def test_money_is_whole_cents() -> None:
    assert [money(cents) for cents in (0, 5, 450, 123456)] == ["€0.00", "€0.05", "€4.50", "€1234.56"]


def test_a_moment_is_told_in_utc() -> None:
    assert moment(1_700_000_000) == "14 November 2023 at 22:13 UTC"
