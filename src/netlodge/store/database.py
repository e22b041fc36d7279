"""The database: what must not be lost, in SQLite or PostgreSQL through SQLAlchemy Core.

Every promise is one transaction. The event loop never waits for a disk or a network: work runs in a few threads of the database's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy

from netlodge.core.errors import NetlodgeError

T = TypeVar("T")


class DatabaseUnavailableError(NetlodgeError):
    """The database did not answer in time, cannot be reached, or has no room. Nothing was changed, or nobody can tell (a commit whose
    answer was lost): whoever asked says so with a 503 and can be asked again."""


class Database:
    """One per worker (and per command). Connects when it is first used, and again by itself after it was cut."""

    def __init__(self, url: str, *, connections: int, timeout: float) -> None:
        """`timeout` in seconds, for a connection to be had and for a lock."""
        self._url = url

    async def run(self, work: Callable[[sqlalchemy.Connection], T]) -> T:
        """Call `work` in a thread, within one transaction that is durable when this returns. Raises `DatabaseUnavailableError`, and
        whatever `work` raises (then nothing was changed)."""
        raise NotImplementedError

    def run_here(self, work: Callable[[sqlalchemy.Connection], T]) -> T:
        """The same in this thread, for commands. Raises the same."""
        raise NotImplementedError

    async def close(self) -> None: ...
