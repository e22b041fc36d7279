"""What can be wrong with a database that is nobody's mistake in this program, as a kind and a sentence."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from netlodge.core.errors import NetlodgeError

if TYPE_CHECKING:
    import sqlalchemy

    from netlodge.store.errands import Severance


class UnusableError(NetlodgeError):
    """This program cannot work with what it found in the database, and says why."""


class Kind(Enum):
    """What follows from a trouble."""

    UNREACHABLE = "unreachable"
    """There is no connection to be had: others need not try for a moment."""
    CUT = "cut"
    """A connection that stood has ended: a new one may do, and what was not committed can be done again."""
    CONFLICT = "conflict"
    """Two transactions were in each other's way, and this one was chosen to be done again."""
    UNWRITABLE = "unwritable"
    """The database is there and takes no changes."""
    UNABLE = "unable"
    """The database is there and cannot: locked, full, damaged."""


class Trouble(NamedTuple):
    kind: Kind
    sentence: str
    """For the person who runs the lodge: what happened, where, what to do. Holds no password."""


class Backend(Protocol):
    """What one kind of database knows of itself. Made in the process that uses it; connects only when an engine is used."""

    @property
    def writer(self) -> sqlalchemy.Engine:
        """For transactions that may change something; they begin when SQLAlchemy says so, not at the first statement."""
        ...

    @property
    def reader(self) -> sqlalchemy.Engine:
        """For transactions that may not."""
        ...

    @property
    def writer_threads(self) -> int: ...
    @property
    def reader_threads(self) -> int:
        """0: those of the writer read, too."""
        ...

    @property
    def group(self) -> int:
        """How many pieces of work that change something go into one transaction, at most."""
        ...

    def trouble_of(self, error: BaseException, *, is_connecting: bool) -> Trouble | None:
        """What is wrong, or None for what is the work's own: a constraint, a statement that is wrong."""
        ...

    def severance(self, connection: sqlalchemy.Connection) -> Severance: ...

    def lock_schema(self, connection: sqlalchemy.Connection) -> None:
        """Until the end of the transaction nobody else changes the schema, on any machine."""
        ...
