"""One attempt to do errands in one transaction, and what is known of it when it fails.

Each errand has a savepoint of its own where there are several, so that one that fails takes nothing of the others along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy

from netlodge.store.errands import PENDING, Errand

if TYPE_CHECKING:
    from netlodge.store.trouble import Backend


Outcome = tuple[object, BaseException | None]
"""A result, or an error."""


class ConnectingError(Exception):
    """There is no connection to be had; `cause` says why."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def connect(engine: sqlalchemy.Engine) -> sqlalchemy.Connection:
    """A connection, or `ConnectingError`."""
    try:
        return engine.connect()
    except Exception as error:
        raise ConnectingError(error) from error


class GivenUpError(Exception):
    """Nobody waits for the errand any more; it must not be committed."""


class Transaction:
    """An attempt. If `run` raises, nothing was changed, unless `is_committing`: then nobody can tell."""

    __slots__ = ("_backend", "_engine", "culprit", "is_committing")

    def __init__(self, backend: Backend, engine: sqlalchemy.Engine) -> None:
        self._backend = backend
        self._engine = engine
        self.culprit: Errand | None = None
        """The errand that broke the transaction for all, if one did."""
        self.is_committing = False

    def run(self, errands: Sequence[Errand]) -> None:
        """Do the errands and commit; those without an `error` have their `result` then. Raises what broke the transaction."""
        outcomes: list[Outcome] = []
        with connect(self._engine) as connection, connection.begin() as transaction:
            for errand in errands:
                self.culprit = errand
                errand.begin(self._backend.severance(connection))
                try:
                    if len(errands) == 1:
                        outcomes.append((self._alone(errand, connection), None))
                    else:
                        outcomes.append(self._aside(errand, connection))
                finally:
                    errand.finish()
            self.culprit = None
            self.is_committing = True
            try:
                transaction.commit()
            except BaseException:
                connection.invalidate()  # it may still be in the transaction, and nobody would take it out of it
                raise
        for errand, outcome in zip(errands, outcomes, strict=True):
            errand.result, errand.error = outcome

    def _alone(self, errand: Errand, connection: sqlalchemy.Connection) -> object:
        result = errand.work(connection)
        if errand.is_given_up:
            raise GivenUpError
        return result

    def _aside(self, errand: Errand, connection: sqlalchemy.Connection) -> Outcome:
        """In a savepoint: of what is the errand's own fault only it gets to know."""
        try:
            with connection.begin_nested():
                return self._alone(errand, connection), None
        except BaseException as error:
            if self._backend.trouble_of(error, is_connecting=False) is not None:
                raise
            return PENDING, error
