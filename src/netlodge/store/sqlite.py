"""SQLite as the database: one file, one writer at a time, readers that wait for nobody.

Each commit is durable (WAL with `synchronous=FULL`: one fsync), so one thread writes, and takes all the work that has gathered during
the last fsync into the next.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

import sqlalchemy

from netlodge.store.trouble import Kind, Trouble

if TYPE_CHECKING:
    from netlodge.store.errands import Severance

GROUP: Final = 128
"""Pieces of work in one transaction at most. At a tenth of a millisecond each they hold the others up for about one fsync."""
_PRAGMAS: Final = ("PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON", "PRAGMA journal_size_limit=16777216")

_SENTENCES: Final = {
    sqlite3.SQLITE_BUSY: "{file} was locked by another process for longer than database.timeout",
    sqlite3.SQLITE_LOCKED: "{file} was locked for longer than database.timeout",
    sqlite3.SQLITE_PROTOCOL: "{file} was locked for longer than database.timeout",
    sqlite3.SQLITE_FULL: "There is no room left on the disk for {file}; make some",
    sqlite3.SQLITE_IOERR: "The disk under {file} failed or has no room left",
    sqlite3.SQLITE_READONLY: "{file} cannot be written to; look at its owner and mode, and whether the disk is mounted read-only",
    sqlite3.SQLITE_CANTOPEN: "{file} cannot be opened; look at the owner and mode of it and of its folder",
    sqlite3.SQLITE_PERM: "{file} may not be opened; look at its owner and mode",
    sqlite3.SQLITE_NOMEM: "There is no memory left to work on {file}",
    sqlite3.SQLITE_INTERRUPT: "Work on {file} took longer than database.timeout and was broken off",
    sqlite3.SQLITE_CORRUPT: "{file} is damaged; put a backup in its place",
    sqlite3.SQLITE_NOTADB: "{file} is no SQLite database; move it away, or set database.url",
}
"""What is not a mistake in a statement, by primary result code."""


class SqliteBackend:
    """Implements `trouble.Backend` for the file at `path`, which is made when it is first used, for its owner alone."""

    writer_threads = 1
    group = GROUP

    def __init__(self, path: str, *, connections: int, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self.reader_threads = connections

    @cached_property
    def writer(self) -> sqlalchemy.Engine:
        # IMMEDIATE: who has begun can commit. A transaction that reads first and wants to write then may find that it came too late.
        return self._engine("BEGIN IMMEDIATE", connections=1)

    @cached_property
    def reader(self) -> sqlalchemy.Engine:
        return self._engine("BEGIN", "PRAGMA query_only=ON", connections=self.reader_threads)

    def _engine(self, begin: str, *pragmas: str, connections: int) -> sqlalchemy.Engine:
        engine = sqlalchemy.create_engine(
            "sqlite://",
            creator=lambda: self._connect((*_PRAGMAS, *pragmas)),
            poolclass=sqlalchemy.QueuePool,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,  # what was to be kept has no place in a log
            pool_timeout=self._timeout,
        )

        @sqlalchemy.event.listens_for(engine, "begin")
        def _begin(connection: sqlalchemy.Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    def _connect(self, pragmas: tuple[str, ...]) -> sqlite3.Connection:
        # If that fails, SQLite says more exactly what is wrong, and may well read what cannot be written.
        with contextlib.suppress(OSError):
            _make(self._path)
        # No isolation level: the module's own idea of when a transaction begins is switched off, `begin` says it.
        connection = sqlite3.connect(
            self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            self._use_wal(connection)
            for pragma in pragmas:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """SQLite does not wait for its turn to change the journal's mode, which several workers that start at once will want."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if _primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def trouble_of(self, error: BaseException, *, is_connecting: bool) -> Trouble | None:
        if isinstance(error, sqlalchemy.exc.TimeoutError):
            return Trouble(Kind.UNABLE, f"All connections to {self._path} were busy for longer than database.timeout.")
        cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
        if not isinstance(cause, sqlite3.Error):
            return None
        sentence = _SENTENCES.get(_primary(cause))
        if sentence is None:
            return None
        kind = Kind.UNWRITABLE if _primary(cause) == sqlite3.SQLITE_READONLY else Kind.UNABLE
        return Trouble(kind, f"{sentence.format(file=self._path)} ({cause}).")

    def severance(self, connection: sqlalchemy.Connection) -> Severance:
        return _Interruption(cast("sqlite3.Connection", connection.connection.dbapi_connection))

    def lock_schema(self, connection: sqlalchemy.Connection) -> None:
        """BEGIN IMMEDIATE has done it."""


def _make(path: str) -> None:
    """Make the file if it is not there, for its owner alone. SQLite gives those beside it (-wal, -shm) the same owner and mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.geteuid() == 0:
            # A command that root runs: the workers have become whom the folder belongs to.
            folder = os.stat(os.path.dirname(path) or ".")
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    finally:
        os.close(descriptor)


class _Interruption:
    """Implements `errands.Severance`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cut(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
            self._connection.interrupt()

    def close(self) -> None:
        """Nothing to give back."""


def _primary(error: sqlite3.Error) -> int:
    """The primary result code; 0 if the error came from the module and not from the library."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
