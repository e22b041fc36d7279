"""What the shop writes down for good: purchases, and what visitors say of the goods. Each promise is one transaction of `store.database`.

A purchase is written under the name of its basket (`basket.order`), which is unique: the same basket is bought once, however often and
from however many workers at a time it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from netlodge.store.database import Database
from netlodge.store.schema import Schema

REVIEWS_SHOWN: Final = 50
PURCHASES_SHOWN: Final = 100

_TABLES: Final = sa.MetaData()

PURCHASES: Final = sa.Table(
    "shop_purchases",
    _TABLES,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("visitor", sa.String(32), nullable=False, index=True),
    sa.Column("placed", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
ITEMS: Final = sa.Table(
    "shop_items",
    _TABLES,
    sa.Column("purchase", sa.ForeignKey(PURCHASES.c.key), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("goods", sa.String(64), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
)
REVIEWS: Final = sa.Table(
    "shop_reviews",
    _TABLES,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("goods", sa.String(64), nullable=False, index=True),
    sa.Column("visitor", sa.String(32), nullable=False, index=True),
    sa.Column("posted", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("stars", sa.Integer, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("picture", sa.LargeBinary),
    sa.Column("picture_type", sa.String(32)),
    sa.UniqueConstraint("goods", "visitor"),
)

SCHEMA: Final = Schema("shop", (_TABLES.create_all,))


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a purchase, with the title and the price that held then."""

    goods: str
    title: str
    price: int
    """In cents, of one."""
    quantity: int

    @property
    def total(self) -> int:
        return self.price * self.quantity


@dataclass(frozen=True, slots=True)
class Purchase:
    """What somebody bought at once."""

    key: str
    placed: int
    """Seconds since the epoch."""
    name: str
    note: str
    items: tuple[Item, ...]

    @property
    def total(self) -> int:
        """In cents."""
        return sum(item.total for item in self.items)


@dataclass(frozen=True, slots=True)
class Review:
    """What a visitor says of goods. `has_picture`: it is had by `Ledger.picture`, under the same key."""

    key: str
    posted: int
    """Seconds since the epoch."""
    name: str
    stars: int
    words: str
    has_picture: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """The octets of a picture, and what they are."""

    content: bytes
    media_type: str


class Ledger:
    """Every method raises `DatabaseUnavailableError`."""

    def __init__(self, database: Database) -> None:
        database.require(SCHEMA)
        self._database = database

    async def record(self, visitor: str, purchase: Purchase) -> bool:
        """Write a purchase down. Returns False if it stood there already: then nothing was changed."""

        def work(connection: sa.Connection) -> bool:
            row = {"visitor": visitor, "placed": purchase.placed, "name": purchase.name, "note": purchase.note}
            try:
                with connection.begin_nested():
                    connection.execute(PURCHASES.insert().values(key=purchase.key, **row))
            except sa.exc.IntegrityError:
                return False
            connection.execute(
                ITEMS.insert(),
                [
                    {
                        "purchase": purchase.key,
                        "place": place,
                        "goods": item.goods,
                        "title": item.title,
                        "price": item.price,
                        "quantity": item.quantity,
                    }
                    for place, item in enumerate(purchase.items)
                ],
            )
            return True

        return await self._database.run(work)

    async def purchases(self, visitor: str, key: str | None = None) -> list[Purchase]:
        """The purchases of a visitor, newest first; with `key` that one alone, if it is theirs."""
        wanted = PURCHASES.select().where(PURCHASES.c.visitor == visitor)
        if key is not None:
            wanted = wanted.where(PURCHASES.c.key == key)
        newest = wanted.order_by(PURCHASES.c.placed.desc(), PURCHASES.c.key)

        def work(connection: sa.Connection) -> list[Purchase]:
            rows = connection.execute(newest.limit(PURCHASES_SHOWN)).all()
            keys = [row.key for row in rows]
            items = connection.execute(ITEMS.select().where(ITEMS.c.purchase.in_(keys)).order_by(ITEMS.c.place)).all()
            return [
                Purchase(
                    row.key, row.placed, row.name, row.note, _items(item for item in items if item.purchase == row.key)
                )
                for row in rows
            ]

        return await self._database.read(work)

    async def say(self, visitor: str, goods: str, review: Review, picture: Picture | None) -> None:
        """Put up what a visitor says, in the place of what they said before."""

        row = {
            "key": review.key,
            "posted": review.posted,
            "name": review.name,
            "stars": review.stars,
            "words": review.words,
            "picture": picture.content if picture else None,
            "picture_type": picture.media_type if picture else None,
        }

        def work(connection: sa.Connection) -> None:
            try:
                with connection.begin_nested():
                    connection.execute(REVIEWS.insert().values(goods=goods, visitor=visitor, **row))
            except sa.exc.IntegrityError:
                theirs = REVIEWS.update().where(REVIEWS.c.goods == goods, REVIEWS.c.visitor == visitor)
                connection.execute(theirs.values(**row))

        await self._database.run(work)

    async def reviews(self, goods: str) -> list[Review]:
        """What was said of goods, newest first."""
        columns = [REVIEWS.c[name] for name in ("key", "posted", "name", "stars", "words", "picture_type")]
        wanted = sa.select(*columns).where(REVIEWS.c.goods == goods)
        wanted = wanted.order_by(REVIEWS.c.posted.desc(), REVIEWS.c.key).limit(REVIEWS_SHOWN)

        def work(connection: sa.Connection) -> Sequence[sa.Row[tuple[str, int, str, int, str, str | None]]]:
            return connection.execute(wanted).all()

        rows = await self._database.read(work)
        return [
            Review(row.key, row.posted, row.name, row.stars, row.words, row.picture_type is not None) for row in rows
        ]

    async def picture(self, key: str) -> Picture | None:
        """The picture of a review."""
        wanted = sa.select(REVIEWS.c.picture, REVIEWS.c.picture_type).where(REVIEWS.c.key == key)
        row = await self._database.read(lambda connection: connection.execute(wanted).one_or_none())
        return Picture(bytes(row.picture), row.picture_type) if row is not None and row.picture is not None else None

    async def forget(self, visitor: str) -> None:
        """Take away what a visitor said, and from their purchases what tells who it was. What was sold stays."""

        def work(connection: sa.Connection) -> None:
            connection.execute(REVIEWS.delete().where(REVIEWS.c.visitor == visitor))
            theirs = PURCHASES.update().where(PURCHASES.c.visitor == visitor)
            connection.execute(theirs.values(visitor="", name="", note=""))

        await self._database.run(work)


def _items(rows: Iterable[sa.Row[tuple[object, ...]]]) -> tuple[Item, ...]:
    return tuple(Item(row.goods, row.title, row.price, row.quantity) for row in rows)
