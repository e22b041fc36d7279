"""What the workers will need, imported once before they are forked.

A lodge without a database waits for none, so the database is imported where it is first needed. But that must not be in the workers: they
would each wait for it, each keep a copy, and once root is dropped they may not even be allowed to read where Python is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Final

from netlodge.config.loading import SHOP
from netlodge.config.settings import Settings

_DATABASE: Final = ("netlodge.store.schema", "netlodge.store.transaction")
_SQLITE: Final = ("netlodge.store.sqlite", "sqlalchemy.dialects.sqlite.pysqlite")
_POSTGRESQL: Final = ("netlodge.store.postgresql", "sqlalchemy.dialects.postgresql.psycopg", "psycopg")
_SESSIONS: Final = ("netlodge.http.handlers.sessions", "netlodge.store.sessions")
_LOGINS: Final = (
    "netlodge.http.handlers.access",
    "netlodge.store.login_failures",
    "netlodge.store.logins",
    "netlodge.store.passwords",
)
_COUNTER: Final = ("netlodge.starter.shop.counter",)


def preload(settings: Settings) -> None:
    """Import what handlers made from these settings import late."""
    for name in dict.fromkeys(modules_of(settings)):
        import_module(name)


def modules_of(settings: Settings) -> Iterator[str]:
    """The names of those modules."""
    routes = [route for site in settings.web.site for route in site.routes]
    has_sessions = any(route.sessions for route in routes)
    has_logins = any(
        site.access.login or any(route.access.login or route.uploads == "login" for route in site.routes)
        for site in settings.web.site
    )
    has_shop = any(route.app == SHOP for route in routes)
    if has_sessions or has_logins or has_shop:
        yield from _DATABASE
        yield from _SQLITE if settings.database_url.startswith("sqlite") else _POSTGRESQL
    if has_sessions:
        yield from _SESSIONS
    if has_logins:
        yield from _LOGINS
    if has_shop:
        yield from _COUNTER
