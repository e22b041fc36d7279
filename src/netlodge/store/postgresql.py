"""PostgreSQL as the database, through psycopg: for several lodges that share one, or for whoever keeps one anyway.

The server groups the commits of its connections into one fsync by itself, so work runs side by side, each in its own transaction.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy

from netlodge.store.trouble import Kind, Trouble

if TYPE_CHECKING:
    from netlodge.store.errands import Severance

_SCHEMA_LOCK: Final = int.from_bytes(b"netlodge")
"""The advisory lock of those who change the schema: a number that no other program happens to take."""
_KEEPALIVE_SECONDS: Final = 15
"""A connection at rest asks after its server so often: firewalls forget connections that say nothing for some minutes."""

_CONFLICTS: Final = ("40001", "40P01")
"""serialization_failure, deadlock_detected"""
_UNABLE: Final = {
    "42501": "The account of the database may not do what is needed; GRANT CREATE, USAGE ON SCHEMA public lets it make its tables.",
    "53100": "The database server's disk is full; make room there.",
    "53200": "The database server is out of memory.",
    "55P03": "A lock in the database was held by another for longer than database.timeout.",
    "57014": "Work in the database took longer than database.timeout and was broken off.",
}
_GONE: Final = ("08", "57P")
"""Classes of states that say that a connection is over, or is not to be had: connection exceptions, shutdown and crash."""


class PostgresqlBackend:
    """Implements `trouble.Backend`. `url` is as SQLAlchemy writes it."""

    reader_threads = 0
    group = 1

    def __init__(self, url: sqlalchemy.URL, *, connections: int, timeout: float) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self._timeout = timeout
        self.writer_threads = connections

    @property
    def _place(self) -> str:
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    @cached_property
    def writer(self) -> sqlalchemy.Engine:
        limit = max(1, int(self._timeout * 1000))
        engine = sqlalchemy.create_engine(
            self._url,
            pool_size=self.writer_threads,
            max_overflow=0,
            hide_parameters=True,  # what was to be kept has no place in a log
            pool_timeout=self._timeout,
            connect_args={
                "connect_timeout": math.ceil(self._timeout),
                "tcp_user_timeout": limit,
                "keepalives_idle": _KEEPALIVE_SECONDS,
                "keepalives_interval": _KEEPALIVE_SECONDS,
                "keepalives_count": 2,
                "application_name": "netlodge",
            },
        )

        # Not by `options` in the address: pools between here and the server do not all know it.
        @sqlalchemy.event.listens_for(engine, "connect")
        def _set_limits(connection: Any, _record: object) -> None:
            connection.autocommit = True
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
                connection.execute(f"SET {name} = {limit}")
            connection.autocommit = False

        return engine

    @cached_property
    def reader(self) -> sqlalchemy.Engine:
        return self.writer.execution_options(postgresql_readonly=True)

    def trouble_of(self, error: BaseException, *, is_connecting: bool) -> Trouble | None:
        if isinstance(error, sqlalchemy.exc.TimeoutError):
            return Trouble(Kind.UNABLE, f"All connections to {self._place} were busy for longer than database.timeout.")
        if not isinstance(error, sqlalchemy.exc.DBAPIError):
            return None
        state = getattr(error.orig, "sqlstate", None) or ""
        if is_connecting:
            return Trouble(Kind.UNREACHABLE, f"The database {self._place} cannot be reached: {_one_line(error.orig)}.")
        if state in _CONFLICTS:
            return Trouble(Kind.CONFLICT, "Too many changes in the database were in each other's way; try again.")
        if state == "25006":  # read_only_sql_transaction
            return Trouble(Kind.UNWRITABLE, f"The database {self._place} can only be read from; is it a standby?")
        if state in _UNABLE:
            return Trouble(Kind.UNABLE, _UNABLE[state])
        if error.connection_invalidated or state.startswith(_GONE):
            return Trouble(Kind.CUT, f"The connection to the database {self._place} was lost: {_one_line(error.orig)}.")
        if state.startswith(("53", "58")):  # insufficient resources; system error
            return Trouble(Kind.UNABLE, f"The database server cannot go on: {_one_line(error.orig)}.")
        return None

    def severance(self, connection: sqlalchemy.Connection) -> Severance:
        return _Shutdown(connection.connection.dbapi_connection.fileno())  # type: ignore[union-attr]

    def lock_schema(self, connection: sqlalchemy.Connection) -> None:
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))


class _Shutdown:
    """Implements `errands.Severance`: shuts the socket down, which ends any wait on it. A server that is stopped in its tracks, or
    behind a cable that was pulled, says nothing, and its client library waits for ever."""

    __slots__ = ("_socket",)

    def __init__(self, descriptor: int) -> None:
        # A descriptor of its own: the driver may close its own at any time, and its number may be another socket's the moment after.
        self._socket = socket.socket(fileno=os.dup(descriptor))

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


def _one_line(error: BaseException | None) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip()).rstrip(".")
