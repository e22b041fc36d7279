"""The basket in the session."""

from __future__ import annotations

from typing import Any

from netlodge.starter.shop import basket
from netlodge.starter.shop.goods import Goods, find


def goods(slug: str) -> Goods:
    found = find(slug)
    assert found is not None
    return found


def test_what_is_put_into_a_basket_is_in_it() -> None:
    data: dict[str, Any] = {}
    assert basket.lines(data) == []
    assert basket.add(data, goods("tea"), 2) == 2
    assert basket.add(data, goods("map"), 1) == 1
    assert basket.add(data, goods("tea"), 3) == 5
    assert [(line.goods.slug, line.title, line.quantity, line.total) for line in basket.lines(data)] == [
        ("tea", "Pot of tea", 5, 2250),
        ("map", "Walking map", 1, 550),
    ]
    assert basket.total(basket.lines(data)) == 2800
    assert basket.total([]) == 0


def test_no_more_of_one_kind_than_the_most_is_in_it() -> None:
    data: dict[str, Any] = {}
    basket.add(data, goods("tea"), 60)
    assert basket.add(data, goods("tea"), 60) == basket.MOST


def test_quantities_are_changed_and_goods_taken_out() -> None:
    data: dict[str, Any] = {"basket": {"tea": 1, "map": 2, "key": 3}}
    basket.change(data, {"tea": 7, "map": 0})
    assert data["basket"] == {"tea": 7, "key": 3}


def test_goods_that_are_no_longer_sold_are_left_out() -> None:
    assert basket.lines({"basket": {"abacus": 1, "tea": 1}}) == [basket.Line(goods("tea"), 1)]


def test_an_order_names_the_basket_until_it_changes() -> None:
    data: dict[str, Any] = {}
    basket.add(data, goods("tea"), 1)
    order = basket.order(data)
    assert basket.order(data) == order
    basket.change(data, {"tea": 1})
    assert basket.order(data) == order
    basket.change(data, {"tea": 2})
    assert basket.order(data) != order


def test_a_basket_that_was_bought_is_empty_and_the_visitor_stays() -> None:
    data: dict[str, Any] = {"name": "Ada"}
    basket.add(data, goods("tea"), 1)
    visitor = data["visitor"]
    basket.order(data)
    basket.clear(data)
    assert data == {"name": "Ada", "visitor": visitor}
    basket.add(data, goods("tea"), 1)
    assert data["visitor"] == visitor
