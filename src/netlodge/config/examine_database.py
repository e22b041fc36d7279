"""What is wrong with the settings of the database and of the sessions.

RFC 6265bis §4.1.1 (names of cookies) and §4.1.3 (their prefixes); RFC 9110 §5.6.2 (tokens).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from netlodge.config.errors import KeyPath
from netlodge.config.settings import Settings

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LONGEST_NAME: Final = 64
_SCHEMES: Final = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")


def examine_database(settings: Settings) -> Iterator[tuple[KeyPath, object, str]]:
    """Findings, as `examine.examine` gives them."""
    complaint = _url_complaint(settings.database.url)
    if complaint:
        yield ("database", "url"), None, complaint  # not shown: a password may stand in it
    sessions = settings.sessions
    if not _TOKEN.fullmatch(sessions.cookie) or len(sessions.cookie) > _LONGEST_NAME:
        yield (
            ("sessions", "cookie"),
            sessions.cookie,
            f'must be a token (RFC 9110 §5.6.2) of at most {_LONGEST_NAME} characters, such as "session"',
        )
    elif sessions.cookie.startswith("__"):
        yield ("sessions", "cookie"), sessions.cookie, 'must not begin with "__": over TLS it gets its prefix by itself'
    if sessions.idle > sessions.absolute:
        yield (
            ("sessions", "idle"),
            sessions.idle,
            f'must not be longer than sessions.absolute, which is "{sessions.absolute}"',
        )


def _url_complaint(url: str) -> str:
    """Why `url` is no database that can be used; empty if it is one, or is left to the lodge."""
    if not url:
        return ""
    from sqlalchemy import make_url  # here: it takes a third of a second, and most settings have no URL
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return 'must be a URL, such as "postgresql://USER:PASSWORD@HOST/NAME"; a password is percent-encoded'
    if parsed.drivername not in _SCHEMES:
        return f'must begin with "postgresql://" or "sqlite:///", and begins with "{parsed.drivername}:"'
    if parsed.get_backend_name() == "sqlite":
        if parsed.host:
            return 'must have a path after "sqlite:///"; an absolute one makes it four slashes'
        if not parsed.database or parsed.database == ":memory:":
            return "must name a file: what is in memory alone is lost, and each worker would have its own"
        if not Path(parsed.database).is_absolute():
            return (
                f'must have an absolute path, such as "sqlite:////srv/{parsed.database}": commands run elsewhere, too'
            )
        if parsed.query:
            return "takes no parameters for SQLite"
    elif not parsed.database:
        return 'must name a database, such as "postgresql://USER:PASSWORD@HOST/NAME"'
    return ""
