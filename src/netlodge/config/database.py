"""Settings of what is kept in the database, and of the sessions in it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from netlodge.config.quantities import Duration, Size
from netlodge.config.schema import doc

_MIB = 1024 * 1024
_YEAR = 366 * 86400


class Database(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the lodge keeps what must not be lost: accounts and sessions."""

    url: Annotated[
        str,
        doc(
            "Database to use, as SQLAlchemy writes it: `postgresql://USER:PASSWORD@HOST/NAME`. Empty: the SQLite file `lodge.db` in `data`.",
            example='"postgresql://lodge@127.0.0.1/lodge"',
        ),
    ] = ""
    connections: Annotated[
        int,
        doc(
            "Connections to the database that each worker holds at most.",
            least=1,
            most=1000,
            precedent="SQLAlchemy 5 and 10 more.",
        ),
    ] = 4
    timeout: Annotated[
        Duration,
        doc(
            "How long to wait for the database; then the answer is 503.",
            least=0.1,
            most=600,
            precedent="SQLAlchemy `pool_timeout` 30 s; Python's sqlite3 5 s.",
        ),
    ] = Duration.parse("5 s")


class Sessions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the lodge remembers of a visitor from request to request, on routes with `sessions`."""

    cookie: Annotated[
        str,
        doc("Name of the cookie. Over TLS it has `__Host-` in front."),
    ] = "session"
    idle: Annotated[
        Duration,
        doc("How long a session lasts that nobody uses.", least=1, most=_YEAR, precedent="Django 14 days; PHP 24 min."),
    ] = Duration.parse("14 d")
    absolute: Annotated[
        Duration, doc("How long a session lasts, used or not.", least=1, most=_YEAR, precedent="OWASP: some bound.")
    ] = Duration.parse("90 d")
    empty: Annotated[
        Duration,
        doc(
            "How long a session lasts that nobody uses and that holds nothing yet: a form was shown, and not sent. Whoever keeps no cookies "
            "begins one with each such page.",
            least=1,
            most=_YEAR,
            precedent="Rails and Django keep a secret of forms in a cookie alone.",
        ),
    ] = Duration.parse("2 h")
    size: Annotated[
        Size,
        doc(
            "Most octets of data that one session holds, as JSON.",
            least=64,
            most=16 * _MIB,
            precedent="A cookie holds 4096.",
        ),
    ] = Size.parse("64 KiB")
