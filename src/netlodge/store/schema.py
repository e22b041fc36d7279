"""Tables that come into being when they are first needed, and grow with the program: a list of steps for each subject.

How far a subject has come stands in the table `netlodge_schema`. The steps that are missing are taken in order, in one transaction
and by one process, however many start at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy

from netlodge.store.trouble import UnusableError

Step = Callable[[sqlalchemy.Connection], None]
"""Takes the tables of a subject from one version to the next. What a step did once it does for ever: a change is another step."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one subject. Their version is the number of steps taken."""

    subject: str
    """At most 63 characters; other subjects have other tables."""
    steps: tuple[Step, ...]


VERSIONS: Final = sqlalchemy.Table(
    "netlodge_schema",
    sqlalchemy.MetaData(),
    sqlalchemy.Column("subject", sqlalchemy.String(63), primary_key=True),
    sqlalchemy.Column("version", sqlalchemy.Integer, nullable=False),
)


def missing(connection: sqlalchemy.Connection, schemas: Sequence[Schema]) -> list[Schema]:
    """Those of the subjects that have steps to take. Raises `UnusableError` if one has come further than this program."""
    if not connection.dialect.has_table(connection, VERSIONS.name):
        return list(schemas)
    versions = {row.subject: row.version for row in connection.execute(sqlalchemy.select(VERSIONS))}
    for schema in schemas:
        if versions.get(schema.subject, 0) > len(schema.steps):
            raise UnusableError(
                f"The database has version {versions[schema.subject]} of {schema.subject}, and this netlodge knows version "
                f"{len(schema.steps)}: a newer one has used it. Use that, or set database.url to another."
            )
    return [schema for schema in schemas if versions.get(schema.subject, 0) < len(schema.steps)]


def bring_up(connection: sqlalchemy.Connection, schemas: Sequence[Schema]) -> None:
    """Take the steps that are missing, within the transaction of `connection`, which nobody else can have at the same time."""
    VERSIONS.create(connection, checkfirst=True)
    for schema in missing(connection, schemas):
        of_subject = VERSIONS.c.subject == schema.subject
        version = connection.scalar(sqlalchemy.select(VERSIONS.c.version).where(of_subject))
        for step in schema.steps[version or 0 :]:
            step(connection)
        now = {"version": len(schema.steps)}
        if version is None:
            connection.execute(VERSIONS.insert().values(subject=schema.subject, **now))
        else:
            connection.execute(VERSIONS.update().where(of_subject).values(**now))
