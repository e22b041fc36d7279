"""Accounts and their tokens in the database: what stands there, and every statement about it.

A function here takes a connection within a transaction of `Database.run` or `Database.read`, whose `SCHEMA` was required.

Whoever verified a login remembers it for a while. So that all of them, in whatever process or machine, learn of a change, each one counts
up `account_changes.number` in the same transaction and notes the new number with the account. A process that asks for the number every second
knows whether anything has changed since; if so, it asks of each remembered account whether its own number is still the same.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import sqlalchemy
from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table, Text

from netlodge.core.account_names import NAME_LENGTH
from netlodge.core.errors import NetlodgeError
from netlodge.store.schema import Schema

METADATA: Final = MetaData()

ACCOUNTS: Final = Table(
    "accounts",
    METADATA,
    Column("name", String(NAME_LENGTH), primary_key=True),  # as `normal_name` makes it
    Column("password", Text, nullable=False),  # a PHC string
    Column("created", BigInteger, nullable=False),  # seconds since the epoch
    Column("change", BigInteger, nullable=False),
)
TOKENS: Final = Table(
    "account_tokens",
    METADATA,
    Column("digest", String(64), primary_key=True),  # SHA-256 in hexadecimal digits
    Column("account", String(NAME_LENGTH), nullable=False, index=True),
    Column("label", String(64), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=True),
    sqlalchemy.UniqueConstraint("account", "label"),
)
CHANGES: Final = Table(
    "account_changes",
    METADATA,
    Column("id", Integer, primary_key=True),  # there is one row
    Column("number", BigInteger, nullable=False),
)


def _make_tables(connection: Connection) -> None:
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(CHANGES.insert().values(id=1, number=0))


SCHEMA: Final = Schema("accounts", (_make_tables,))

TOKEN_PREFIX: Final = "nl_"  # noqa: S105  no secret
"""By which a token that lies about can be known for one."""
_TOKEN_OCTETS: Final = 32


class AccountError(NetlodgeError):
    """An account or a token that should be there is not, or the other way round."""


class Account(NamedTuple):
    """A row of `accounts`. `change` is never the same for two states of an account, nor for two accounts of one name."""

    name: str
    password: str
    created: int
    change: int


class Token(NamedTuple):
    """What is known of a token: not the token."""

    account: str
    label: str
    created: int
    expires: int | None


class TokenHolder(NamedTuple):
    """Whose a token is, and until when it may be taken for that (seconds since the epoch; None: no end is set)."""

    name: str
    change: int
    expires: int | None


# --- accounts ---------------------------------------------------------------------------------------------------------


def add(connection: Connection, *, name: str, password: str, now: int) -> None:
    """Raises `AccountError` if there is one of this name."""
    change = _count_change(
        connection
    )  # first: of two that add the same name the second waits, and sees that of the first
    if find(connection, name) is not None:
        raise account_exists(name)
    connection.execute(ACCOUNTS.insert().values(name=name, password=password, created=now, change=change))


def find(connection: Connection, name: str) -> Account | None:
    row = connection.execute(
        sqlalchemy.select(ACCOUNTS.c.name, ACCOUNTS.c.password, ACCOUNTS.c.created, ACCOUNTS.c.change).where(
            ACCOUNTS.c.name == name
        )
    ).first()
    return None if row is None else Account(*row)


def change_of(connection: Connection, name: str) -> int | None:
    """The number of the account's last change; None if it is not there."""
    return connection.execute(sqlalchemy.select(ACCOUNTS.c.change).where(ACCOUNTS.c.name == name)).scalar()


def everyone(connection: Connection) -> Sequence[tuple[str, int, int]]:
    """Name, when it was made, and how many tokens it has, by name."""
    count = sqlalchemy.func.count(TOKENS.c.digest)
    rows = connection.execute(
        sqlalchemy.select(ACCOUNTS.c.name, ACCOUNTS.c.created, count)
        .outerjoin(TOKENS, TOKENS.c.account == ACCOUNTS.c.name)
        .group_by(ACCOUNTS.c.name, ACCOUNTS.c.created)
        .order_by(ACCOUNTS.c.name)
    )
    return [(name, created, tokens) for name, created, tokens in rows]


def set_password(connection: Connection, *, name: str, password: str) -> None:
    """Raises `AccountError` if the account is not there. Its tokens stay."""
    change = _count_change(connection)
    changed = connection.execute(
        ACCOUNTS.update().where(ACCOUNTS.c.name == name).values(password=password, change=change)
    )
    if not changed.rowcount:
        raise unknown_account(name)


def renew_hash(connection: Connection, *, account: Account, password: str) -> None:
    """Keep another hash of the same password, unless the account was changed since it was read. No login has to be proved anew."""
    connection.execute(
        ACCOUNTS.update()
        .where(ACCOUNTS.c.name == account.name, ACCOUNTS.c.change == account.change)
        .values(password=password)
    )


def remove(connection: Connection, name: str) -> None:
    """With its tokens. Raises `AccountError` if it is not there."""
    _count_change(connection)
    connection.execute(TOKENS.delete().where(TOKENS.c.account == name))
    if not connection.execute(ACCOUNTS.delete().where(ACCOUNTS.c.name == name)).rowcount:
        raise unknown_account(name)


def account_exists(name: str) -> AccountError:
    return AccountError(f"There is an account `{name}` already; `netlodge user passwd {name}` sets its password.")


def unknown_account(name: str) -> AccountError:
    return AccountError(f"There is no account `{name}`; `netlodge user list` shows those there are.")


# --- tokens -----------------------------------------------------------------------------------------------------------


def new_token() -> str:
    """A token that nobody guesses: 256 random bits, in the alphabet of RFC 6750 §2.1."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_OCTETS)


def digest_of(token: str) -> str:
    """What is kept of a token. It is random, so that a plain hash cannot be turned round by guessing."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def add_token(connection: Connection, *, digest: str, token: Token) -> None:
    """Raises `AccountError` if the account is not there, or has a token with this label."""
    if change_of(connection, token.account) is None:
        raise unknown_account(token.account)
    if any(other.label == token.label for other in tokens_of(connection, token.account)):
        raise AccountError(
            f"`{token.account}` has a token `{token.label}` already; choose another label, or revoke it."
        )
    connection.execute(TOKENS.insert().values(digest=digest, **token._asdict()))


def free_label(connection: Connection, name: str) -> str:
    """`token-1`, or the first further one that the account has no token with."""
    taken = {token.label for token in tokens_of(connection, name)}
    return next(label for number in range(1, len(taken) + 2) if (label := f"token-{number}") not in taken)


def tokens_of(connection: Connection, name: str) -> list[Token]:
    """By label."""
    rows = connection.execute(
        sqlalchemy.select(TOKENS.c.account, TOKENS.c.label, TOKENS.c.created, TOKENS.c.expires)
        .where(TOKENS.c.account == name)
        .order_by(TOKENS.c.label)
    )
    return [Token(*row) for row in rows]


def find_holder(connection: Connection, digest: str) -> TokenHolder | None:
    """Whose the token with this digest is; None if it is nobody's, or was revoked."""
    row = connection.execute(
        sqlalchemy.select(ACCOUNTS.c.name, ACCOUNTS.c.change, TOKENS.c.expires)
        .join(ACCOUNTS, ACCOUNTS.c.name == TOKENS.c.account)
        .where(TOKENS.c.digest == digest)
    ).first()
    return None if row is None else TokenHolder(*row)


def revoke_token(connection: Connection, *, name: str, label: str) -> None:
    """Raises `AccountError` if there is no such account or token."""
    change = _count_change(connection)
    connection.execute(ACCOUNTS.update().where(ACCOUNTS.c.name == name).values(change=change))
    gone = connection.execute(TOKENS.delete().where(TOKENS.c.account == name, TOKENS.c.label == label))
    if not gone.rowcount:
        if change_of(connection, name) is None:
            raise unknown_account(name)
        raise AccountError(f"`{name}` has no token `{label}`; `netlodge user token {name} --list` shows those it has.")


# --- changes ----------------------------------------------------------------------------------------------------------


def last_change(connection: Connection) -> int:
    """The number of the last change of any account; 0 before the first."""
    number: int = connection.execute(sqlalchemy.select(CHANGES.c.number)).scalar_one()
    return number


def _count_change(connection: Connection) -> int:
    """The number of the change that this transaction makes. The row is locked from here to its end, so that numbers become visible in
    their order."""
    connection.execute(CHANGES.update().values(number=CHANGES.c.number + 1))
    return last_change(connection)
