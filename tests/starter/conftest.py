"""Databases for the shop: a new one for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlodge.store.database import Database
from tests.starter.customer import Shop


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def database(tmp_path: Path, runner: asyncio.Runner) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'lodge.db'}", connections=2, timeout=5)
    yield made
    runner.run(made.close())


@pytest.fixture
def shop(database: Database, runner: asyncio.Runner) -> Shop:
    return Shop(database, runner)
