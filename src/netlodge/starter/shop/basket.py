"""The basket of a visitor: what stands in the session, and what it means.

The session holds `{"basket": {slug: quantity}}`. With the first thing comes `"visitor"`, by which the ledger knows whose a purchase is.
`"order"` is made when the basket is about to be paid, and names it as it is then: every change takes it away, and a purchase is written
under it once. So a form that is sent twice buys once, and one that shows an older basket buys nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from netlodge.starter.shop.goods import Goods, find

MOST: Final = 99
"""Of one kind of goods."""

Data = dict[str, Any]
"""`message.Visit.data`. Only whole values are put into it, so that a change is one for whoever keeps it."""


class Line(NamedTuple):
    """Some of one kind of goods."""

    goods: Goods
    quantity: int

    @property
    def title(self) -> str:
        return self.goods.title

    @property
    def total(self) -> int:
        """In cents."""
        return self.goods.price * self.quantity


def lines(data: Data) -> list[Line]:
    """What is in the basket, in the order in which it was put there. Goods that the shop no longer has are left out."""
    found = ((find(slug), quantity) for slug, quantity in data.get("basket", {}).items())
    return [Line(goods, quantity) for goods, quantity in found if goods is not None]


def total(basket: Iterable[Line]) -> int:
    """In cents."""
    return sum(line.total for line in basket)


def add(data: Data, goods: Goods, quantity: int) -> int:
    """Put some more into the basket, up to `MOST`. Returns how many are in it now."""
    data.setdefault("visitor", secrets.token_hex(16))
    wanted: int = min(MOST, data.get("basket", {}).get(goods.slug, 0) + quantity)
    change(data, {goods.slug: wanted})
    return wanted


def change(data: Data, quantities: dict[str, int]) -> None:
    """Have so many of each of these in the basket; none of those with 0."""
    before = data.get("basket", {})
    after = {slug: quantity for slug, quantity in {**before, **quantities}.items() if quantity}
    if after != before:
        data["basket"] = after
        data.pop("order", None)


def order(data: Data) -> str:
    """The name of the basket as it is now."""
    if "order" not in data:
        data["order"] = secrets.token_hex(16)
    return str(data["order"])


def clear(data: Data) -> None:
    """What was in the basket has been bought."""
    data.pop("basket", None)
    data.pop("order", None)
