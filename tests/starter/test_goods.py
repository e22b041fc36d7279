"""What is on the shelf, and how it is searched."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from netlodge.starter.shop.goods import SHELF, find, search


def slugs(query: str, sort: str = "shelf") -> list[str]:
    return [goods.slug for goods in search(query, sort)]


def test_goods_have_a_name_a_price_in_cents_and_a_drawing() -> None:
    assert len({goods.slug for goods in SHELF}) == len(SHELF) >= 8
    drawings = resources.files("netlodge") / "starter" / "shop" / "drawings"
    for goods in SHELF:
        assert re.fullmatch(r"[a-z]+", goods.slug)
        assert isinstance(goods.price, int)
        assert goods.price > 0
        assert (drawings / f"{goods.slug}.svg").read_text().startswith("<svg")


def test_goods_are_found_by_their_slug() -> None:
    assert find("tea") == SHELF[3]
    assert find("coffee") is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tea", ["tea"]),
        ("LANTERN", ["lantern"]),
        ("night", ["lantern", "blanket"]),
        ("night bench", ["blanket"]),
        ("  key  ", ["key"]),
        ("porter’s", ["umbrella"]),
        ("coffee", []),
    ],
)
def test_every_word_of_a_search_is_in_what_it_finds(query: str, found: list[str]) -> None:
    assert slugs(query) == found


def test_goods_are_shown_in_the_order_asked_for() -> None:
    assert slugs("") == [goods.slug for goods in SHELF]
    assert slugs("", "price")[:2] == ["tea", "map"]
    assert slugs("", "title")[0] == "bell"
    assert slugs("", "nonsense") == slugs("")
