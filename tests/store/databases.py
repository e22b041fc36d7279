"""Databases for tests: what runs on one runs on both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from netlodge.store.database import Database

T = TypeVar("T")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'lodge.db'}"
    else:
        with request.getfixturevalue("postgresql").database() as made:
            yield made


def using(made: Database, script: Callable[[Database], Coroutine[object, object, T]]) -> T:
    """Run the script on a loop, as a worker would, and close."""

    async def whole() -> T:
        try:
            return await script(made)
        finally:
            await made.close()

    return asyncio.run(whole())
