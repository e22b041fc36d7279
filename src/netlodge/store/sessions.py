"""Sessions as they are kept: what belongs to a visitor, under a key that cannot be turned back into the visitor's identifier.

One row each. A change names the version that it was made from; if another request has changed the session meanwhile, both changes are
merged (`merging.py`), within the transaction. Times are whole seconds since the epoch, and come from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, insert, select

from netlodge.core.errors import NetlodgeError
from netlodge.store.database import Database
from netlodge.store.merging import merge
from netlodge.store.schema import Schema

SWEEP_EVERY: Final = 60
"""Seconds between two removals of expired sessions, over all workers and machines."""
SWEEP_MOST: Final = 200
"""Expired sessions removed at once, which takes a few milliseconds. Where there are more, the next go right after."""

_TABLES: Final = MetaData()
_SESSION: Final = Table(
    "session",
    _TABLES,
    Column("key", LargeBinary(32), primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False, index=True),
)
_SWEEP: Final = Table(
    "session_sweep",
    _TABLES,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("swept", BigInteger, nullable=False),
)


def _create(connection: sqlalchemy.Connection) -> None:
    _TABLES.create_all(connection, checkfirst=False)
    connection.execute(insert(_SWEEP).values(only=1, swept=0))


_EMPTY: Final = b"{}"
_PLAIN: Final = frozenset({str, int, bool, type(None)})

SCHEMA: Final = Schema("sessions", (_create,))


class SessionTooLargeError(NetlodgeError):
    """The data of a session has more octets than it may have."""


class SessionGoneError(NetlodgeError):
    """The session ended, or has another identifier, since it was read."""


@dataclass(frozen=True, slots=True)
class KeptSession:
    """A session as it was read. `data` is JSON, an object."""

    key: bytes
    data: bytes
    version: int
    created: int
    used: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long sessions last, in seconds: unused, at most, and unused while nothing is in them. A page with a form begins such a session,
    for whoever asks, and as often as somebody asks who keeps no cookies: they must not pile up."""

    idle: int
    absolute: int
    empty: int

    def expiry(self, data: bytes, created: int, used: int) -> int:
        idle = min(self.idle, self.empty) if data == _EMPTY else self.idle
        return min(used + idle, created + self.absolute)


class Sessions:
    """The sessions in a database. All methods raise `DatabaseUnavailableError`; then nothing was changed, or nobody can tell."""

    def __init__(self, database: Database, lifetime: Lifetime, *, size: int) -> None:
        """`size` is the most octets of a session's data."""
        self._database = database
        self._lifetime = lifetime
        self._size = size
        database.require(SCHEMA)

    async def find(self, keys: Sequence[bytes], now: int) -> list[KeptSession]:
        """Those of the sessions with these keys that are alive."""

        def work(connection: sqlalchemy.Connection) -> list[KeptSession]:
            columns = (_SESSION.c.key, _SESSION.c.data, _SESSION.c.version, _SESSION.c.created, _SESSION.c.used)
            return [KeptSession(*row) for row in connection.execute(select(*columns).where(_SESSION.c.key.in_(keys)))]

        # By the lifetime that is set now: it may be a shorter one than when the row was written.
        return [kept for kept in await self._database.read(work) if now < self._expiry(kept, kept.data, kept.used)]

    def _expiry(self, kept: KeptSession, data: bytes, used: int) -> int:
        return self._lifetime.expiry(data, kept.created, used)

    async def begin(self, key: bytes, data: bytes, now: int) -> None:
        """Keep a new session. Raises `SessionTooLargeError`."""
        self._check_size(data)
        values = {"key": key, "data": data, "version": 1, "created": now, "used": now}
        values["expires"] = self._lifetime.expiry(data, now, now)
        await self._database.run(lambda connection: connection.execute(insert(_SESSION).values(values)) and None)

    async def change(self, kept: KeptSession, data: bytes, now: int, *, key: bytes | None = None) -> None:
        """Put `data` in the place of what was read, and with `key` have the session under that from now on, and not under the old one.

        Raises `SessionTooLargeError`, and `SessionGoneError` if it has ended or moved: nothing was changed then.
        """
        if data != kept.data:  # what became too large by a smaller setting may stay
            self._check_size(data)
        values = {"key": key or kept.key, "used": now}
        here = _SESSION.c.key == kept.key

        def work(connection: sqlalchemy.Connection) -> None:
            change = _SESSION.update().values(**values, version=_SESSION.c.version + 1)
            unchanged = here & (_SESSION.c.version == kept.version)
            expires = self._expiry(kept, data, now)
            if connection.execute(change.where(unchanged).values(data=data, expires=expires)).rowcount:
                return
            theirs = connection.scalar(select(_SESSION.c.data).where(here).with_for_update())
            if theirs is None:
                raise SessionGoneError("The session has ended, or has another identifier now.")
            merged = encode(merge(decode(kept.data), decode(data), decode(theirs)))
            self._check_size(merged)
            connection.execute(change.where(here).values(data=merged, expires=self._expiry(kept, merged, now)))

        await self._database.run(work)

    async def touch(self, kept: KeptSession, now: int) -> None:
        """The session is in use."""
        values = {"used": now, "expires": self._expiry(kept, kept.data, now)}
        change = _SESSION.update().where(_SESSION.c.key == kept.key, _SESSION.c.used < now).values(**values)
        await self._database.run(lambda connection: connection.execute(change) and None)

    async def end(self, key: bytes) -> None:
        """Forget the session. No error if it is gone already."""
        removal = _SESSION.delete().where(_SESSION.c.key == key)
        await self._database.run(lambda connection: connection.execute(removal) and None)

    async def sweep(self, now: int) -> int:
        """Remove some of the sessions that have expired, unless that was done less than `SWEEP_EVERY` seconds ago by anybody. Returns
        how many."""

        def work(connection: sqlalchemy.Connection) -> int:
            turn = _SWEEP.update().where(_SWEEP.c.swept <= now - SWEEP_EVERY).values(swept=now)
            if not connection.execute(turn).rowcount:
                return 0
            expired = select(_SESSION.c.key).where(_SESSION.c.expires <= now).order_by(_SESSION.c.expires)
            removed = connection.execute(
                _SESSION.delete().where(_SESSION.c.key.in_(expired.limit(SWEEP_MOST)))
            ).rowcount
            if removed == SWEEP_MOST:  # there are more: the next need not wait
                connection.execute(_SWEEP.update().values(swept=now - SWEEP_EVERY))
            return removed

        return await self._database.run(work)

    def _check_size(self, data: bytes) -> None:
        if len(data) > self._size:
            raise SessionTooLargeError(f"A session may hold {self._size} octets, and this one would hold {len(data)}.")


def encode(data: dict[str, Any]) -> bytes:
    """JSON. Raises `TypeError` for what would come back as something else: a tuple, a number as a key, NaN."""
    octets = msgspec.json.encode(data)
    if not _is_json(data):
        raise TypeError(
            "The data of a session may hold what JSON holds: objects with text as keys, lists, text, numbers, true, false, null"
        )
    return octets


def decode(octets: bytes) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(octets)
    return data


def _is_json(value: object) -> bool:
    kind = type(value)
    if kind in _PLAIN:
        return True
    if isinstance(value, dict):
        return all(type(name) is str for name in value) and all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return kind is float and value - value == 0  # type: ignore[operator]
