"""What the shop writes down for good, in SQLite and in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlodge.starter.shop.ledger import Item, Ledger, Picture, Purchase, Review
from netlodge.store.database import Database

TEA = Item("tea", "Pot of tea", 450, 2)
MAP = Item("map", "Walking map", 550, 1)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, runner: asyncio.Runner) -> Iterator[Database]:
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'lodge.db'}", connections=2, timeout=5)
        yield made
        runner.run(made.close())
        return
    with request.getfixturevalue("postgresql").database() as url:
        made = Database(url, connections=3, timeout=5)
        yield made
        runner.run(made.close())


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def purchase(key: str, *, placed: int = 1000, items: tuple[Item, ...] = (TEA, MAP)) -> Purchase:
    return Purchase(key, placed, "Ada", "mind the step", items)


def test_a_purchase_is_there_with_its_items_in_order(ledger: Ledger, runner: asyncio.Runner) -> None:
    async def use() -> None:
        assert await ledger.record("ada", purchase("one"))
        assert await ledger.purchases("ada") == [purchase("one")]
        assert (await ledger.purchases("ada"))[0].total == 1450
        assert await ledger.purchases("ada", "one") == [purchase("one")]
        assert await ledger.purchases("ada", "two") == []
        assert await ledger.purchases("bob") == []
        assert await ledger.purchases("bob", "one") == []

    runner.run(use())


def test_purchases_are_shown_newest_first(ledger: Ledger, runner: asyncio.Runner) -> None:
    async def use() -> None:
        for key, placed in (("a", 10), ("b", 30), ("c", 20)):
            await ledger.record("ada", purchase(key, placed=placed, items=(TEA,)))
        assert [each.key for each in await ledger.purchases("ada")] == ["b", "c", "a"]

    runner.run(use())


def test_a_basket_is_bought_once_however_often_and_at_how_many_places_at_once(
    database: Database, ledger: Ledger, runner: asyncio.Runner
) -> None:
    async def use() -> None:
        other = Ledger(database)
        done = await asyncio.gather(*(each.record("ada", purchase("one")) for each in (ledger, other) * 5))
        assert sorted(done) == [False] * 9 + [True]
        assert await ledger.purchases("ada") == [purchase("one")]
        # The first one holds.
        assert not await ledger.record("eve", Purchase("one", 2000, "Eve", "", (MAP,)))
        assert await ledger.purchases("ada") == [purchase("one")]

    runner.run(use())


def test_words_and_a_picture_are_kept_and_what_is_said_again_takes_their_place(
    ledger: Ledger, runner: asyncio.Runner
) -> None:
    async def use() -> None:
        picture = Picture(bytes(range(256)), "image/png")
        await ledger.say("ada", "tea", Review("one", 10, "Ada", 5, "Hot.", True), picture)
        await ledger.say("bob", "tea", Review("two", 20, "Bob", 3, "Warm.", False), None)
        await ledger.say("bob", "map", Review("three", 20, "Bob", 4, "True.", False), None)
        assert await ledger.reviews("tea") == [
            Review("two", 20, "Bob", 3, "Warm.", False),
            Review("one", 10, "Ada", 5, "Hot.", True),
        ]
        assert await ledger.picture("one") == picture
        assert await ledger.picture("two") is None
        assert await ledger.picture("none") is None
        again = Review("four", 30, "Ada", 1, "Cold.", False)
        await asyncio.gather(*(ledger.say("ada", "tea", again, None) for _ in range(2)))
        assert (await ledger.reviews("tea"))[0] == again
        assert len(await ledger.reviews("tea")) == 2
        assert await ledger.picture("one") is None

    runner.run(use())


def test_who_is_forgotten_leaves_what_was_sold_and_no_more(ledger: Ledger, runner: asyncio.Runner) -> None:
    async def use() -> None:
        await ledger.record("ada", purchase("one"))
        await ledger.record("bob", purchase("two"))
        await ledger.say("ada", "tea", Review("one", 10, "Ada", 5, "Hot.", True), Picture(b"x", "image/gif"))
        await ledger.say("bob", "tea", Review("two", 20, "Bob", 3, "Warm.", False), None)
        await ledger.forget("ada")
        assert await ledger.purchases("ada") == []
        assert await ledger.purchases("bob") == [purchase("two")]
        assert [review.name for review in await ledger.reviews("tea")] == ["Bob"]
        assert await ledger.picture("one") is None
        assert await ledger.purchases("") == [Purchase("one", 1000, "", "", (TEA, MAP))]

    runner.run(use())
