"""What is kept of sessions, on SQLite and PostgreSQL alike. The time is an argument."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from netlodge.store.database import Database
from netlodge.store.sessions import (
    SWEEP_EVERY,
    SWEEP_MOST,
    KeptSession,
    Lifetime,
    SessionGoneError,
    Sessions,
    SessionTooLargeError,
    decode,
    encode,
)
from tests.store.databases import url, using

__all__ = ["url"]

NOW = 1_700_000_000
KEY, OTHER = b"k" * 32, b"o" * 32
LIFETIME = Lifetime(idle=100, absolute=1000, empty=100)

Script = Callable[[Sessions], Awaitable[Any]]


def run(url: str, script: Script, *, lifetime: Lifetime = LIFETIME, size: int = 1000) -> Any:
    async def whole(database: Database) -> Any:
        return await script(Sessions(database, lifetime, size=size))

    return using(Database(url, connections=3, timeout=10), whole)


async def one(sessions: Sessions, key: bytes = KEY, now: int = NOW) -> KeptSession:
    (kept,) = await sessions.find([key], now)
    return kept


def test_a_session_is_found_as_it_was_begun(url: str) -> None:
    async def script(sessions: Sessions) -> list[KeptSession]:
        await sessions.begin(KEY, b'{"a":"\xc3\xa4\\u0000"}', NOW)
        return await sessions.find([OTHER, KEY], NOW)

    assert run(url, script) == [KeptSession(KEY, b'{"a":"\xc3\xa4\\u0000"}', 1, NOW, NOW)]


def test_a_key_that_nobody_began_finds_nothing(url: str) -> None:
    async def script(sessions: Sessions) -> list[KeptSession]:
        return await sessions.find([KEY], NOW)

    assert run(url, script) == []


@pytest.mark.parametrize(
    ("used_at", "asked_at", "alive"),
    [
        ([], NOW + 99, True),
        ([], NOW + 100, False),
        ([NOW + 99], NOW + 198, True),
        ([NOW + 99], NOW + 199, False),
        (list(range(NOW + 90, NOW + 990, 90)), NOW + 999, True),
        (list(range(NOW + 90, NOW + 999, 90)), NOW + 1000, False),
    ],
)
def test_a_session_ends_when_it_is_not_used_and_when_it_is_old(
    url: str, used_at: list[int], asked_at: int, alive: bool
) -> None:
    async def script(sessions: Sessions) -> bool:
        await sessions.begin(KEY, b"{}", NOW)
        for now in used_at:
            await sessions.touch(await one(sessions, now=now), now)
        return bool(await sessions.find([KEY], asked_at))

    assert run(url, script) is alive


def test_a_shorter_lifetime_holds_for_sessions_that_are_there(url: str) -> None:
    async def begin(sessions: Sessions) -> None:
        await sessions.begin(KEY, b"{}", NOW)

    async def find(sessions: Sessions) -> bool:
        return bool(await sessions.find([KEY], NOW + 50))

    run(url, begin)
    assert run(url, find)
    assert not run(url, find, lifetime=Lifetime(idle=50, absolute=1000, empty=50))


@pytest.mark.parametrize(
    ("change", "other", "asked_at", "alive"),
    [
        (None, None, NOW + 9, True),
        (None, None, NOW + 10, False),
        (b'{"a":1}', None, NOW + 99, True),
        # What is in it after both counts, whatever either had.
        (b'{"a":1}', b'{"b":1}', NOW + 99, True),
        (b"{}", b'{"b":1}', NOW + 99, True),
    ],
)
def test_a_session_in_which_nothing_is_lasts_shorter(
    url: str, change: bytes | None, other: bytes | None, asked_at: int, alive: bool
) -> None:
    async def script(sessions: Sessions) -> tuple[bool, int]:
        await sessions.begin(KEY, b"{}", NOW)
        kept = await one(sessions)
        for data in (other, change):
            if data is not None:
                await sessions.change(kept, data, NOW)
        is_found = bool(await sessions.find([KEY], asked_at))
        return is_found, await sessions.sweep(asked_at)

    assert run(url, script, lifetime=Lifetime(idle=100, absolute=1000, empty=10)) == (alive, not alive)


def test_a_change_is_kept_and_counts_as_use(url: str) -> None:
    async def script(sessions: Sessions) -> KeptSession:
        await sessions.begin(KEY, b"{}", NOW)
        await sessions.change(await one(sessions), b'{"a":1}', NOW + 10)
        return await one(sessions, now=NOW + 105)

    assert run(url, script) == KeptSession(KEY, b'{"a":1}', 2, NOW, NOW + 10)


def test_changes_that_were_made_at_once_are_both_kept(url: str) -> None:
    async def script(sessions: Sessions) -> dict[str, Any]:
        await sessions.begin(KEY, b'{"cart":{"x":1}}', NOW)
        read = await one(sessions)
        changes = [encode({"cart": {"x": 1, f"y{n}": n}}) for n in range(10)]
        await asyncio.gather(*(sessions.change(read, change, NOW) for change in changes))
        return decode((await one(sessions)).data)

    assert run(url, script) == {"cart": {"x": 1} | {f"y{n}": n for n in range(10)}}


def test_a_moved_session_has_its_new_key_alone(url: str) -> None:
    async def script(sessions: Sessions) -> tuple[list[KeptSession], KeptSession]:
        await sessions.begin(KEY, b'{"a":1}', NOW)
        await sessions.change(await one(sessions), b'{"a":2}', NOW + 1, key=OTHER)
        return await sessions.find([KEY], NOW + 1), await one(sessions, OTHER)

    assert run(url, script) == ([], KeptSession(OTHER, b'{"a":2}', 2, NOW, NOW + 1))


def test_a_session_that_moves_takes_along_what_others_changed(url: str) -> None:
    async def script(sessions: Sessions) -> dict[str, Any]:
        await sessions.begin(KEY, b"{}", NOW)
        read = await one(sessions)
        await sessions.change(read, b'{"theirs":1}', NOW)
        await sessions.change(read, b'{"mine":1}', NOW, key=OTHER)
        return decode((await one(sessions, OTHER)).data)

    assert run(url, script) == {"theirs": 1, "mine": 1}


@pytest.mark.parametrize("goes", ["ended", "moved"])
def test_a_change_of_a_session_that_is_gone_is_told(url: str, goes: str) -> None:
    async def script(sessions: Sessions) -> list[KeptSession]:
        await sessions.begin(KEY, b"{}", NOW)
        read = await one(sessions)
        if goes == "ended":
            await sessions.end(KEY)
        else:
            await sessions.change(read, b"{}", NOW, key=OTHER)
        with pytest.raises(SessionGoneError):
            await sessions.change(read, b'{"a":1}', NOW)
        await sessions.touch(read, NOW + 1)
        await sessions.end(KEY)
        return await sessions.find([KEY], NOW)

    assert run(url, script) == []


def test_a_session_holds_only_so_much(url: str) -> None:
    async def script(sessions: Sessions) -> list[str]:
        with pytest.raises(SessionTooLargeError, match="1000 octets, and this one would hold 1001"):
            await sessions.begin(OTHER, b"x" * 1001, NOW)
        await sessions.begin(KEY, encode({"a": "x" * 600}), NOW)
        read = await one(sessions)
        with pytest.raises(SessionTooLargeError):
            await sessions.change(read, b"x" * 1001, NOW)
        await sessions.change(read, encode({"a": "x" * 600, "b": "x" * 100}), NOW)
        with pytest.raises(SessionTooLargeError):  # each fits; both together do not
            await sessions.change(read, encode({"a": "x" * 600, "c": "x" * 350}), NOW)
        return list(decode((await one(sessions)).data))

    assert run(url, script) == ["a", "b"]


def test_expired_sessions_are_removed_a_few_at_a_time_and_not_often(url: str) -> None:
    count = sa.text("SELECT count(*) FROM session")

    async def whole(database: Database) -> list[int]:
        sessions = Sessions(database, LIFETIME, size=1000)
        keys = [n.to_bytes(32) for n in range(SWEEP_MOST + 50)]
        await asyncio.gather(*(sessions.begin(key, b"{}", NOW) for key in keys))
        await sessions.begin(KEY, b"{}", NOW + 90)
        removed = [await sessions.sweep(NOW + when) for when in (50, 100, 110, 111, 112, 112 + SWEEP_EVERY)]
        left = await database.read(lambda connection: connection.scalar(count))
        return [*removed, left or 0]

    # Too early (though that was a turn), not its turn yet, a full batch and so the next at once, the rest, not its turn, nothing left.
    assert using(Database(url, connections=3, timeout=10), whole) == [0, 0, SWEEP_MOST, 50, 0, 0, 1]


def test_of_many_who_sweep_at_once_one_does(url: str) -> None:
    async def script(sessions: Sessions) -> list[int]:
        await sessions.begin(KEY, b"{}", NOW)
        return sorted(await asyncio.gather(*(sessions.sweep(NOW + 100) for _ in range(5))))

    assert run(url, script) == [0, 0, 0, 0, 1]


# --- What may be kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [None, True, 0, -1, 2**53, 1.5, "", "ä\x00\U0001f3e0", [], [1, [2]], {}, {"": {"a": None}}], ids=repr
)
def test_what_json_holds_comes_back_the_same(value: Any) -> None:
    back = decode(encode({"it": value}))["it"]
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "value", [(1,), {1: 2}, {1}, b"x", float("nan"), float("inf"), [{"a": (1,)}], object()], ids=repr
)
def test_what_json_does_not_hold_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        encode({"it": value})
