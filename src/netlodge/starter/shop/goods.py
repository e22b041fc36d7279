"""What the shop has on its shelves, and how it is searched. Prices are whole cents: money is counted, never measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Goods:
    """One kind of thing for sale. `slug` is its name in URLs, in the basket and in the ledger; `drawings/SLUG.svg` shows it."""

    slug: str
    title: str
    price: int
    """In cents."""
    words: str


SHELF: Final = (
    Goods("lantern", "Storm lantern", 2450, "Burns all night in a wind that puts out a candle. The oil is in it."),
    Goods("key", "Spare key", 890, "Brass, cut while you wait. It opens the garden gate, and nothing else."),
    Goods(
        "umbrella", "Porter’s umbrella", 1990, "Room for two and a parcel. Left behind more often than any other thing."
    ),
    Goods("tea", "Pot of tea", 450, "Black, strong, and ready. The cup is on loan."),
    Goods("bell", "Hand bell", 1275, "Heard on the third floor. Kindly do not ring it after ten."),
    Goods("blanket", "Wool blanket", 3900, "For the bench by the door, or for the night train."),
    Goods("paper", "Letter paper", 650, "Forty sheets with the lodge on them. The post goes at six."),
    Goods("map", "Walking map", 550, "Every path within a day’s walk, with the wet ones marked."),
)

SORTS: Final = {"shelf": "As on the shelf", "title": "By name", "price": "Cheapest first"}
"""The orders in which goods are shown, by their name in the URL."""


def find(slug: str) -> Goods | None:
    return next((goods for goods in SHELF if goods.slug == slug), None)


def search(query: str, sort: str = "shelf", shelf: Iterable[Goods] = SHELF) -> list[Goods]:
    """The goods in whose title or description every word of `query` occurs, in any case; all of them, if there is none."""
    words = query.casefold().split()
    found = [goods for goods in shelf if all(word in f"{goods.title} {goods.words}".casefold() for word in words)]
    if sort == "title":
        found.sort(key=lambda goods: goods.title.casefold())
    elif sort == "price":
        found.sort(key=lambda goods: goods.price)
    return found
