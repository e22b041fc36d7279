"""The contract of `store.database.Database`, held by SQLite and by a real PostgreSQL alike; then what each has of its own."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pwd
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
import sqlalchemy as sa

from netlodge.store.database import Database, DatabaseCounters, DatabaseUnavailableError
from netlodge.store.schema import Schema
from tests.store.databases import url, using
from tests.store.postgresql import PASSWORD, Postgresql

__all__ = ["url"]

T = TypeVar("T")

NOTE = sa.Table(
    "note",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),
)


def make_notes(connection: sa.Connection) -> None:
    NOTE.create(connection)


def add_color(connection: sa.Connection) -> None:
    connection.execute(sa.text("ALTER TABLE note ADD COLUMN color TEXT DEFAULT 'white'"))


NOTES = Schema("notes", (make_notes,))


def put(number: int, text: str = "") -> Callable[[sa.Connection], None]:
    def work(connection: sa.Connection) -> None:
        connection.execute(NOTE.insert().values(id=number, text=text))

    return work


def numbers(connection: sa.Connection) -> list[int]:
    return list(connection.scalars(sa.select(NOTE.c.id).order_by(NOTE.c.id)))


class Count:
    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        self.value += amount


class Durations:
    def __init__(self) -> None:
        self.noted: list[float] = []

    def note(self, seconds: float, times: int = 1) -> None:
        self.noted += [seconds] * times

    def flush(self) -> None: ...


class Counted(NamedTuple):
    works: Count
    commits: Count
    failures: Count
    seconds: Durations


def counters() -> tuple[DatabaseCounters, Count, Count, Count]:
    counted = Counted(Count(), Count(), Count(), Durations())
    return counted, counted.works, counted.commits, counted.failures


def database(url: str, *, timeout: float = 5, connections: int = 3, **given: Any) -> Database:
    made = Database(url, connections=connections, timeout=timeout, **given)
    made.require(NOTES)
    return made


def prepared(url: str) -> str:
    """The tables are there: for tests whose own database has little patience."""
    one = database(url, timeout=30)
    one.run_here(lambda connection: None)
    one.close_here()
    return url


async def retry(ask: Callable[[Callable[[sa.Connection], T]], Coroutine[Any, Any, T]], work: Callable[..., T]) -> T:
    """Ask until the database is there again, for some seconds."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return await ask(work)
        except DatabaseUnavailableError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def raw(url: str) -> Iterator[sa.Engine]:
    """Another program that uses the same database."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        yield engine
    finally:
        engine.dispose()


# --- A promise is one transaction -------------------------------------------------------------------------------------


def test_what_is_done_is_there_for_others(url: str) -> None:
    async def script(one: Database) -> list[int]:
        await one.run(put(1))
        await one.run(put(2))
        other = database(url)
        try:
            return await other.read(numbers)
        finally:
            await other.close()

    assert using(database(url), script) == [1, 2]


def test_the_result_is_what_the_work_returned(url: str) -> None:
    async def script(one: Database) -> int | None:
        return await one.run(lambda connection: connection.scalar(sa.select(41 + sa.literal(1))))

    assert using(database(url), script) == 42


def test_work_that_raises_changes_nothing(url: str) -> None:
    def half(connection: sa.Connection) -> None:
        put(1)(connection)
        raise LookupError("half way")

    async def script(one: Database) -> list[int]:
        with pytest.raises(LookupError, match="half way"):
            await one.run(half)
        return await one.read(numbers)

    assert using(database(url), script) == []


def test_one_that_fails_among_many_harms_no_other(url: str) -> None:
    async def script(one: Database) -> tuple[list[object], list[int]]:
        await one.run(put(3))
        results = await asyncio.gather(*(one.run(put(n)) for n in range(8)), return_exceptions=True)
        return [type(result) for result in results], await one.read(numbers)

    results, kept = using(database(url), script)
    assert results == [type(None)] * 3 + [sa.exc.IntegrityError] + [type(None)] * 4
    assert kept == list(range(8))


def test_work_may_go_on_after_a_failure_in_a_savepoint(url: str) -> None:
    def twice(connection: sa.Connection) -> str:
        put(1)(connection)
        try:
            with connection.begin_nested():
                put(1)(connection)
        except sa.exc.IntegrityError:
            put(2)(connection)
            return "there already"
        return "new"

    async def script(one: Database) -> tuple[str, list[int]]:
        return await one.run(twice), await one.read(numbers)

    assert using(database(url), script) == ("there already", [1, 2])


def test_an_error_in_a_statement_is_no_unavailability(url: str) -> None:
    async def script(one: Database) -> None:
        with pytest.raises(sa.exc.DBAPIError, match="nothing_there"):
            await one.run(lambda connection: connection.execute(sa.text("SELECT * FROM nothing_there")))

    using(database(url), script)


def test_an_error_does_not_tell_what_was_to_be_kept(url: str) -> None:
    async def script(one: Database) -> str:
        await one.run(put(1))
        with pytest.raises(sa.exc.IntegrityError) as caught:
            await one.run(put(1, "a secret"))
        return str(caught.value)

    assert "a secret" not in using(database(url), script)


def test_reading_changes_nothing(url: str) -> None:
    async def script(one: Database) -> list[int]:
        with pytest.raises(sa.exc.DBAPIError):
            await one.read(put(1))
        return await one.read(numbers)

    assert using(database(url), script) == []


def test_text_is_kept_as_it_is(url: str) -> None:
    text = "Grüße, 世界 🏠 'quoted' %s :name\n"

    async def script(one: Database) -> str | None:
        await one.run(put(1, text))
        return await one.read(lambda connection: connection.scalar(sa.select(NOTE.c.text)))

    assert using(database(url), script) == text


def test_many_that_count_at_once_lose_no_count(url: str) -> None:
    def count(connection: sa.Connection) -> None:
        value = int(connection.scalar(sa.select(NOTE.c.text).where(NOTE.c.id == 1).with_for_update()) or 0)
        connection.execute(NOTE.update().values(text=str(value + 1)))

    async def script(one: Database) -> str | None:
        await one.run(put(1, "0"))
        await asyncio.gather(*(one.run(count) for _ in range(50)))
        return await one.read(lambda connection: connection.scalar(sa.select(NOTE.c.text)))

    assert using(database(url), script) == "50"


def test_a_command_works_in_its_own_thread(url: str) -> None:
    one = database(url)
    try:
        assert one.run_here(lambda connection: (put(7)(connection), threading.current_thread())[1]) is (
            threading.main_thread()
        )
        with pytest.raises(sa.exc.IntegrityError):
            one.run_here(put(7))
        assert one.run_here(numbers) == [7]
    finally:
        one.close_here()


def test_nobody_connects_before_somebody_asks() -> None:
    before = threading.active_count()
    one = database("postgresql://nobody@127.0.0.1:1/nothing")
    asyncio.run(one.close())
    assert threading.active_count() == before


def test_the_counters_tell_what_was_done(url: str) -> None:
    counted, works, commits, failures = counters()

    async def script(one: Database) -> None:
        await one.run(put(1))
        with pytest.raises(sa.exc.IntegrityError):
            await one.run(put(1))

    using(database(url, counters=counted), script)
    assert (works.value, commits.value, failures.value) == (2, 1, 0)


# --- Who waits, and for how long ---------------------------------------------------------------------------------------


def test_a_lock_is_waited_for_only_so_long(url: str) -> None:
    async def script(one: Database) -> list[int]:
        with raw(url) as other, other.connect() as holder:
            holder.execute(NOTE.insert().values(id=1, text="held"))
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailableError, match=r"database\.timeout"):
                await one.run(put(1))
            assert time.monotonic() - began >= 0.3
            holder.rollback()
        await retry(one.run, lambda connection: connection.execute(NOTE.insert().values(id=2, text="")))
        return await retry(one.read, numbers)

    assert using(database(prepared(url), timeout=0.3), script) == [2]


def test_work_that_takes_too_long_is_given_up_and_not_kept(url: str) -> None:
    goes_on = threading.Event()

    def slow(connection: sa.Connection) -> None:
        put(1)(connection)
        assert goes_on.wait(10)

    async def script(one: Database) -> list[int]:
        with pytest.raises(DatabaseUnavailableError, match=r"within 0\.3 s"):
            await one.run(slow)
        goes_on.set()
        await retry(one.run, lambda connection: connection.execute(NOTE.delete().where(NOTE.c.id == 2)))
        return await retry(one.read, numbers)

    assert using(database(prepared(url), timeout=0.3, connections=1), script) == []


def test_work_whose_asker_went_away_is_not_kept(url: str) -> None:
    began, goes_on = threading.Event(), threading.Event()

    def slow(connection: sa.Connection) -> None:
        put(1)(connection)
        began.set()
        assert goes_on.wait(10)

    async def script(one: Database) -> list[int]:
        task = asyncio.create_task(one.run(slow))
        queued = asyncio.create_task(one.run(put(3)))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        queued.cancel()
        await asyncio.wait([task, queued])
        goes_on.set()
        await one.run(put(2))
        return await one.read(numbers)

    assert using(database(url, connections=1), script) == [2]


def test_whoever_waits_for_a_thread_waits_only_so_long(url: str) -> None:
    goes_on = threading.Event()

    async def script(one: Database) -> list[int]:
        busy = [asyncio.create_task(one.run(lambda _: goes_on.wait(10))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(DatabaseUnavailableError):
            await one.run(put(1))
        goes_on.set()
        await asyncio.wait(busy)
        for task in busy:
            task.exception()
        return await retry(one.read, numbers)

    assert using(database(prepared(url), timeout=0.3, connections=1), script) == []


def test_closing_finishes_what_was_asked_and_refuses_the_rest(url: str) -> None:
    async def script() -> list[int]:
        one = database(url)
        asked = [asyncio.create_task(one.run(put(n))) for n in range(5)]
        await asyncio.sleep(0)
        await one.close()
        assert all(task.done() for task in asked)
        with pytest.raises(DatabaseUnavailableError, match="closing"):
            await one.run(put(9))
        other = database(url)
        try:
            return await other.read(numbers)
        finally:
            await other.close()

    assert asyncio.run(script()) == [0, 1, 2, 3, 4]
    for thread in threading.enumerate():
        if thread.name.startswith("database"):
            thread.join(10)
            assert not thread.is_alive()


# --- Schema -----------------------------------------------------------------------------------------------------------


def test_the_tables_of_two_subjects_are_made_once_each(url: str) -> None:
    taken: list[str] = []
    one = Database(url, connections=1, timeout=5)
    first = Schema("first", (lambda connection: taken.append("first"),))
    one.require(first)
    one.require(first)
    try:
        one.run_here(lambda connection: None)
        one.require(Schema("second", (lambda connection: taken.append("second"),)))
        one.run_here(lambda connection: None)
        one.run_here(lambda connection: None)
    finally:
        one.close_here()
    assert taken == ["first", "second"]


def test_a_later_program_takes_the_steps_that_are_missing(url: str) -> None:
    one = database(url)
    one.run_here(put(1))
    one.close_here()
    later = Database(url, connections=1, timeout=5)
    later.require(Schema("notes", (make_notes, add_color)))
    try:
        assert later.run_here(lambda connection: connection.scalar(sa.text("SELECT color FROM note"))) == "white"
    finally:
        later.close_here()


def test_an_earlier_program_says_that_it_is_too_old(url: str) -> None:
    later = Database(url, connections=1, timeout=5)
    later.require(Schema("notes", (make_notes, add_color)))
    later.run_here(lambda connection: None)
    later.close_here()

    async def script(one: Database) -> None:
        with pytest.raises(DatabaseUnavailableError, match="has version 2 of notes, and this netlodge knows version 1"):
            await one.run(put(1))

    using(database(url), script)


def test_a_step_that_fails_leaves_nothing_and_is_taken_again(url: str) -> None:
    attempts: list[int] = []

    def fails_once(connection: sa.Connection) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise LookupError("not yet")

    one = Database(url, connections=1, timeout=5)
    one.require(Schema("notes", (make_notes, fails_once)))
    try:
        with pytest.raises(LookupError):
            one.run_here(put(1))
        one.run_here(put(1))
        assert one.run_here(numbers) == [1]
    finally:
        one.close_here()


def start_at_once(url: str, number: int, barrier: Any) -> None:
    one = Database(url, connections=1, timeout=20)
    one.require(Schema("notes", (make_notes, add_color)))
    barrier.wait(20)
    one.run_here(put(number))
    one.close_here()


def test_several_processes_that_start_at_once_make_the_tables_once(url: str) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=start_at_once, args=(url, number, barrier)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4
    with raw(url) as other, other.connect() as connection:
        assert numbers(connection) == [0, 1, 2, 3]
        assert connection.execute(sa.text("SELECT * FROM netlodge_schema")).all() == [("notes", 2)]


def test_the_example_of_the_document_works(url: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "database.md").read_text()
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert program is not None
    names: dict[str, Any] = {}
    exec(program[1], names)

    async def script(one: Database) -> list[str]:
        ledger = names["Ledger"](one)
        await ledger.record("a pear")
        await ledger.record("two plums")
        found: list[str] = await ledger.all()
        return found

    assert using(database(url), script) == ["a pear", "two plums"]


# --- SQLite -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lodge.db"


def test_sqlite_is_for_its_owner_alone_and_durable(file: Path) -> None:
    def look(connection: sa.Connection) -> list[object]:
        put(1)(connection)
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    async def script(one: Database) -> list[object]:
        found = await one.run(look)
        modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
        assert modes == {"lodge.db": 0o600, "lodge.db-wal": 0o600, "lodge.db-shm": 0o600}
        return found

    assert using(database(f"sqlite:///{file}"), script) == ["wal", 2, 1]  # 2: FULL


def test_what_root_makes_belongs_to_whom_the_folder_belongs(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "only root gives files away: run this test as root"
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path, nobody.pw_uid, nobody.pw_gid)

    async def script(one: Database) -> set[tuple[int, int, int]]:
        await one.run(put(1))
        found = [path.stat() for path in tmp_path.iterdir()]
        assert len(found) == 3
        return {(each.st_uid, each.st_gid, each.st_mode & 0o777) for each in found}

    owned = using(database(f"sqlite:///{tmp_path / 'lodge.db'}"), script)
    assert owned == {(nobody.pw_uid, nobody.pw_gid, 0o600)}


def test_sqlite_groups_the_commits_of_those_who_ask_at_once(file: Path) -> None:
    counted, works, commits, _ = counters()

    async def script(one: Database) -> None:
        await asyncio.gather(*(one.run(put(n)) for n in range(200)))

    using(database(f"sqlite:///{file}", counters=counted), script)
    assert works.value == 200
    assert commits.value < 50


def test_sqlite_readers_wait_for_no_writer(file: Path) -> None:
    async def script(one: Database) -> list[int]:
        await one.run(put(1))
        holder = sqlite3.connect(file, isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")
            return await one.read(numbers)
        finally:
            holder.close()

    assert using(database(f"sqlite:///{file}", timeout=2), script) == [1]


def test_a_constraint_that_is_looked_at_in_the_end_fails_the_one_who_broke_it(file: Path) -> None:
    leaf = "CREATE TABLE leaf (note INTEGER REFERENCES note (id) DEFERRABLE INITIALLY DEFERRED)"

    async def script(one: Database) -> tuple[list[object], list[int]]:
        await one.run(lambda connection: connection.exec_driver_sql(leaf))
        broken = one.run(lambda connection: connection.exec_driver_sql("INSERT INTO leaf VALUES (99)"))
        results = await asyncio.gather(one.run(put(1)), broken, one.run(put(2)), return_exceptions=True)
        return [type(result) for result in results], await one.read(numbers)

    assert using(database(f"sqlite:///{file}"), script) == ([type(None), sa.exc.IntegrityError, type(None)], [1, 2])


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (lambda file: file.mkdir(), "cannot be opened"),
        (lambda file: file.write_bytes(b"no database at all, but a text of some length" * 30), "is no SQLite database"),
        (lambda file: file.parent.rmdir(), "cannot be opened"),
    ],
    ids=["a folder", "another file", "no folder"],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, prepare: Callable[[Path], object], complaint: str) -> None:
    file = tmp_path / "in" / "lodge.db"
    file.parent.mkdir()
    prepare(file)

    async def script(one: Database) -> None:
        with pytest.raises(DatabaseUnavailableError, match=complaint) as caught:
            await one.run(put(1))
        assert str(file) in str(caught.value)

    using(database(f"sqlite:///{file}"), script)


def test_a_damaged_file_is_named(file: Path) -> None:
    one = database(f"sqlite:///{file}")
    for number in range(300):
        one.run_here(put(number, "x" * 300))
    one.close_here()
    octets = bytearray(file.read_bytes())
    octets[4096:] = b"\xff" * (len(octets) - 4096)
    file.write_bytes(octets)

    async def script(one: Database) -> None:
        with pytest.raises(DatabaseUnavailableError, match="is damaged"):
            await one.read(numbers)

    using(database(f"sqlite:///{file}"), script)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid():
        pytest.fail("a file system can be mounted by root alone: run this test as root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_said_and_got_over(small_disk: Path) -> None:
    ballast = small_disk / "ballast"

    async def script(one: Database) -> list[int]:
        await one.run(put(1))
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free))
        asked = [one.run(put(n, "x" * 50_000)) for n in range(2, 8)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(result) for result in results} == {DatabaseUnavailableError}
        assert "no room left" in str(results[0])
        assert await one.read(numbers) == [1]
        ballast.unlink()
        await one.run(put(2, "x" * 50_000))
        return await one.read(numbers)

    assert using(database(f"sqlite:///{small_disk / 'lodge.db'}"), script) == [1, 2]


def test_a_lodge_without_a_database_does_not_import_one() -> None:
    look = (
        "import sys, netlodge.app.lodge; print(*[m for m in ('sqlalchemy', 'psycopg', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def test_a_server_that_is_away_is_said_at_once_and_missed_no_longer_than_it_is_away(postgresql: Postgresql) -> None:
    counted, _, _, failures = counters()

    async def script(one: Database) -> list[int]:
        await one.run(put(1))
        with postgresql.stopped():
            with pytest.raises(DatabaseUnavailableError, match=r"cannot be reached|was lost") as caught:
                await one.run(put(2))
            assert PASSWORD not in str(caught.value)
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailableError):
                await one.run(put(2))
            assert time.monotonic() - began < 0.5  # nobody tried
        return await retry(one.run, numbers)

    with postgresql.database() as url:
        assert using(database(url, counters=counted), script) == [1]
    assert failures.value >= 2


def test_a_server_that_stands_still_is_waited_for_only_so_long(postgresql: Postgresql) -> None:
    async def script(one: Database) -> list[int]:
        await retry(one.read, numbers)
        with postgresql.frozen():
            began = time.monotonic()
            results = await asyncio.gather(*(one.run(put(n)) for n in (2, 3, 4, 5)), return_exceptions=True)
            assert {type(result) for result in results} == {DatabaseUnavailableError}
            assert time.monotonic() - began < 5
        return await retry(one.run, numbers)

    with postgresql.database() as url:
        assert using(database(prepared(url), timeout=0.5, connections=2), script) == []


def test_connections_that_were_cut_at_rest_cost_nobody_anything(postgresql: Postgresql) -> None:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

    async def script(one: Database) -> list[int]:
        await asyncio.gather(*(one.run(put(n)) for n in range(3)))
        with raw(there) as other, other.connect() as connection:
            assert len(connection.execute(sa.text(cut)).all()) >= 1
        await one.run(put(3))
        return await one.read(numbers)

    with postgresql.database() as there:
        assert using(database(there), script) == [0, 1, 2, 3]


def test_transactions_that_wait_for_one_another_both_come_to_their_end(postgresql: Postgresql) -> None:
    both_hold_one = threading.Barrier(2)
    attempts: list[int] = []

    def move(first: int, second: int) -> Callable[[sa.Connection], None]:
        def work(connection: sa.Connection) -> None:
            attempts.append(first)
            connection.execute(NOTE.update().where(NOTE.c.id == first).values(text=NOTE.c.text + "x"))
            if len(attempts) <= 2:
                both_hold_one.wait(10)
            connection.execute(NOTE.update().where(NOTE.c.id == second).values(text=NOTE.c.text + "x"))

        return work

    async def script(one: Database) -> list[str]:
        await one.run(put(1))
        await one.run(put(2))
        await asyncio.gather(one.run(move(1, 2)), one.run(move(2, 1)))
        return await one.read(lambda connection: list(connection.scalars(sa.select(NOTE.c.text))))

    with postgresql.database() as url:
        assert using(database(url, connections=2), script) == ["xx", "xx"]
    assert len(attempts) == 3


def test_a_database_that_is_not_there_is_named_without_the_password(postgresql: Postgresql) -> None:
    async def script(one: Database) -> None:
        with pytest.raises(DatabaseUnavailableError, match=r"postgresql://lodge:\*\*\*@127.*no_such") as caught:
            await one.run(put(1))
        assert PASSWORD not in str(caught.value)

    using(database(postgresql.url_of("no_such")), script)
