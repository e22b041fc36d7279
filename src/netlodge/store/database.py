"""The database: what must not be lost, in SQLite or PostgreSQL through SQLAlchemy Core.

Every promise is one transaction. The event loop never waits for a disk or a network: work runs in a few threads of the database's own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from netlodge.core.contracts import Counter
from netlodge.core.errors import NetlodgeError
from netlodge.store.breaker import Breaker
from netlodge.store.errands import PENDING, Errand, Lane
from netlodge.store.trouble import Backend, Kind, Trouble, UnusableError

if TYPE_CHECKING:
    import sqlalchemy

    from netlodge.store.schema import Schema
    from netlodge.store.transaction import Transaction

# SQLAlchemy is imported with the first work: a third of a second that a lodge without accounts and sessions does not spend.

T = TypeVar("T")

logger = logging.getLogger("netlodge.database")

ATTEMPTS: Final = 6
"""How often a transaction is tried that others were in the way of, or whose connection had ended before it began."""
PAUSE: Final = 0.05
"""Seconds between two attempts, at most; a random part of it, so that those who met do not meet again."""
CUT_GRACE: Final = 1.0
"""Seconds that the database itself has to give up what takes too long, before its connection is broken off."""


class DatabaseUnavailableError(NetlodgeError):
    """The database did not answer in time, cannot be reached, or has no room. Nothing was changed, or nobody can tell (a commit whose
    answer was lost): whoever asked says so with a 503 and can be asked again."""


class Seconds(Protocol):
    """A histogram of durations (`observe.metrics.Histogram`)."""

    def note(self, seconds: float, times: int = 1) -> None: ...
    def flush(self) -> None: ...


class DatabaseCounters(Protocol):
    """What is counted of a database (`observe.series.DatabaseSeries`)."""

    @property
    def works(self) -> Counter:
        """Pieces of work that were done, or failed by their own fault."""
        ...

    @property
    def commits(self) -> Counter:
        """Transactions that were committed; several pieces of work may have been in one."""
        ...

    @property
    def failures(self) -> Counter:
        """Pieces of work that the database was not available for."""
        ...

    @property
    def seconds(self) -> Seconds:
        """From asking to having the result."""
        ...


class Database:
    """One per worker (and per command). Connects when it is first used, and again by itself after it was cut.

    What is handed to it may be called again, in a new transaction, when another transaction was in its way: it changes nothing but the
    database. It goes on after a statement that failed only if that was within `connection.begin_nested()`.
    """

    def __init__(self, url: str, *, connections: int, timeout: float, counters: DatabaseCounters | None = None) -> None:
        """`url` is one of SQLAlchemy's for SQLite (`sqlite:///PATH`) or PostgreSQL (`postgresql://...`), which has been checked.
        `timeout` in seconds: for a connection to be had, for a lock, and for a piece of work as a whole."""
        self._url = url
        self._connections = connections
        self._timeout = timeout
        self._counters = counters
        self._breaker = Breaker()
        self._is_closed = False
        self._is_in_trouble = False
        self._schemas: list[Schema] = []
        self._prepared = 0
        self._preparing = threading.Lock()
        self._lanes: tuple[Lane, Lane] | None = None

    def require(self, schema: Schema) -> None:
        """Have the tables of `schema` there before the next work is done. To be called when a store is made; idempotent."""
        if schema not in self._schemas:
            self._schemas.append(schema)

    async def run(self, work: Callable[[sqlalchemy.Connection], T]) -> T:
        """Call `work` in a thread, within one transaction that is durable when this returns. Raises `DatabaseUnavailableError`, and
        whatever `work` raises (then nothing was changed)."""
        return cast("T", await self._asked(work, is_reading=False))

    async def read(self, work: Callable[[sqlalchemy.Connection], T]) -> T:
        """The same for work that changes nothing: on SQLite it waits for no writer. Raises the same; a statement that would change
        something fails."""
        return cast("T", await self._asked(work, is_reading=True))

    def run_here(self, work: Callable[[sqlalchemy.Connection], T]) -> T:
        """`run` in this thread, for commands. Raises the same."""
        errand = Errand(work, None, time.monotonic())
        self._perform([errand])
        if errand.error is not None:
            raise errand.error
        return cast("T", errand.result)

    async def close(self) -> None:
        """Finish what was begun, for about `timeout` seconds at most, and let the connections go. Whoever asks from then on is refused."""
        self._is_closed = True
        if self._lanes is None:
            return
        await asyncio.gather(*(lane.close(self._timeout + 2 * CUT_GRACE) for lane in set(self._lanes)))
        self.close_here()

    def close_here(self) -> None:
        """Let the connections go that commands made with `run_here`."""
        self._is_closed = True
        if "_backend" in self.__dict__:
            for engine in (self._backend.reader, self._backend.writer):
                engine.dispose()

    # --- on the event loop ---------------------------------------------------------------------------------------------

    def _asked(self, work: Callable[[sqlalchemy.Connection], Any], *, is_reading: bool) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        now = time.monotonic()
        refusal = "The lodge is closing." if self._is_closed else self._breaker.refusal(now)
        if refusal:
            self._count_failure()
            future.set_exception(DatabaseUnavailableError(refusal))
            return future
        errand = Errand(work, future, now, is_reading=is_reading)
        errand.timer = loop.call_later(self._timeout, self._give_up, loop, errand)
        writers, readers = self._lanes = self._lanes or self._new_lanes(loop)
        (readers if is_reading else writers).put(errand)
        return future

    def _new_lanes(self, loop: asyncio.AbstractEventLoop) -> tuple[Lane, Lane]:
        backend = self._backend
        new_lane = partial(Lane, perform=self._perform, settle=self._settle, loop=loop)
        writers = new_lane("database", threads=backend.writer_threads, batch=backend.group)
        if not backend.reader_threads:
            return writers, writers
        return writers, new_lane("database-read", threads=backend.reader_threads, batch=1)

    def _give_up(self, loop: asyncio.AbstractEventLoop, errand: Errand) -> None:
        """The time of an errand is over, begun or not. A thread that hangs in it gets a moment to come back by itself."""
        errand.timer = loop.call_later(CUT_GRACE, errand.sever)
        if errand.future is not None and not errand.future.done():
            self._count_failure()
            errand.future.set_exception(
                DatabaseUnavailableError(f"The database did not answer within {self._timeout:g} s (database.timeout).")
            )

    def _settle(self, errands: Sequence[Errand]) -> None:
        """What came back from a thread."""
        for errand in errands:
            if errand.timer is not None:
                errand.timer.cancel()
            if errand.is_of_reachability:
                self._breaker.failed(time.monotonic(), str(errand.error))
                self._refuse_waiting(str(errand.error))
            elif errand.is_done:
                self._breaker.worked()
            else:
                self._breaker.undecided()
            self._deliver(errand)
        if self._counters is not None:
            self._counters.commits.add(sum(errand.commits for errand in errands))
            self._counters.seconds.flush()

    def _refuse_waiting(self, complaint: str) -> None:
        """Those who wait would only find out one after the other."""
        for lane in set(self._lanes or ()):
            for errand in lane.take_back():
                errand.error = DatabaseUnavailableError(complaint)
                if errand.timer is not None:
                    errand.timer.cancel()
                self._deliver(errand)

    def _deliver(self, errand: Errand) -> None:
        self._tell_of(errand)
        if errand.future is None or errand.future.done():
            return
        if isinstance(errand.error, DatabaseUnavailableError):
            self._count_failure()
        elif self._counters is not None:
            self._counters.works.add()
            self._counters.seconds.note(time.monotonic() - errand.began)
        if errand.error is not None:
            errand.future.set_exception(errand.error)
        elif errand.result is not PENDING:
            errand.future.set_result(errand.result)

    def _tell_of(self, errand: Errand) -> None:
        """Say once that the database is not available and why, and once that it is again: not for each who asks."""
        is_unavailable = isinstance(errand.error, DatabaseUnavailableError)
        if is_unavailable and not self._is_in_trouble:
            logger.error("the database is not available: %s", errand.error)
        elif self._is_in_trouble and errand.is_done and not is_unavailable:
            logger.warning("the database is available again")
        self._is_in_trouble = is_unavailable or (self._is_in_trouble and not errand.is_done)

    def _count_failure(self) -> None:
        if self._counters is not None:
            self._counters.failures.add()

    # --- in a thread ---------------------------------------------------------------------------------------------------

    @cached_property
    def _backend(self) -> Backend:
        """Made in the process that uses it: connections do not survive a fork."""
        from sqlalchemy import make_url

        url = make_url(self._url)
        if url.get_backend_name() == "sqlite":
            from netlodge.store.sqlite import SqliteBackend

            return SqliteBackend(url.database or "", connections=self._connections, timeout=self._timeout)
        from netlodge.store.postgresql import PostgresqlBackend

        return PostgresqlBackend(url, connections=self._connections, timeout=self._timeout)

    def _perform(self, errands: Sequence[Errand]) -> None:
        """Do the errands in one transaction; in several, where one of them broke it for all. Raises nothing: each has its outcome.

        They are all reading or none is."""
        from netlodge.store.transaction import ConnectingError, Transaction

        engine = self._backend.reader if errands[0].is_reading else self._backend.writer
        attempts = 0
        while left := [errand for errand in errands if not (errand.is_done or errand.is_given_up)]:
            attempts += 1
            transaction = Transaction(self._backend, engine)
            try:
                self._prepare()
                transaction.run(left)
                left[0].commits = 1
                return
            except ConnectingError as error:
                trouble = self._backend.trouble_of(error.cause, is_connecting=True)
                guilty = left
                failure: BaseException = error.cause
            except BaseException as error:
                trouble = self._trouble_of(error)
                guilty = left if transaction.culprit is None else [transaction.culprit]
                failure = error
                if attempts < ATTEMPTS and _may_repeat(trouble, transaction, guilty):
                    if trouble is not None and trouble.kind is Kind.CONFLICT:
                        time.sleep(random.random() * PAUSE)  # noqa: S311  no secret: those who met should not meet again
                    continue
            if transaction.is_committing and trouble is None and len(guilty) > 1:
                # A constraint that is looked at in the end alone: nobody can tell whose work it was.
                for errand in guilty:
                    self._perform([errand])
            else:
                for errand in guilty:
                    _fail(errand, failure, trouble)

    def _trouble_of(self, error: BaseException) -> Trouble | None:
        if isinstance(error, UnusableError):
            return Trouble(Kind.UNABLE, str(error))
        return self._backend.trouble_of(error, is_connecting=False)

    def _prepare(self) -> None:
        """Have the tables there that were asked for."""
        if self._prepared == len(self._schemas):
            return
        from netlodge.store.schema import bring_up, missing
        from netlodge.store.transaction import connect

        with self._preparing:
            schemas = self._schemas[:]
            with connect(self._backend.reader) as connection, connection.begin():
                wanted = missing(connection, schemas[self._prepared :])
            if wanted:
                with connect(self._backend.writer) as connection, connection.begin():
                    self._backend.lock_schema(connection)
                    bring_up(connection, wanted)
            self._prepared = len(schemas)


def _may_repeat(trouble: Trouble | None, transaction: Transaction, errands: Sequence[Errand]) -> bool:
    """Whether the same may well go right now: and a commit whose answer was lost may have gone right the first time."""
    if trouble is None or transaction.is_committing or all(errand.is_given_up for errand in errands):
        return False
    return trouble.kind in {Kind.CONFLICT, Kind.CUT}


def _fail(errand: Errand, error: BaseException, trouble: Trouble | None) -> None:
    if trouble is None or (trouble.kind is Kind.UNWRITABLE and errand.is_reading):
        errand.error = error
        return
    errand.error = DatabaseUnavailableError(trouble.sentence)
    errand.error.__cause__ = error
    errand.is_of_reachability = trouble.kind in {Kind.UNREACHABLE, Kind.CUT}
