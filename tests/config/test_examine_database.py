"""Mistakes in the settings of the database and of the sessions, with the exact sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from netlodge.config.loading import Sources, load
from tests.config.test_mistakes import sentences

CASES = {
    "no URL": (
        '[database]\nurl = "lodge"',
        'netlodge.toml:2: database.url: must be a URL, such as "postgresql://USER:PASSWORD@HOST/NAME"; a password is percent-encoded.',
    ),
    "another database": (
        '[database]\nurl = "mysql://u:secret@127.0.0.1/x"',
        'netlodge.toml:2: database.url: must begin with "postgresql://" or "sqlite:///", and begins with "mysql:".',
    ),
    "another driver": (
        '[database]\nurl = "postgresql+asyncpg://127.0.0.1/x"',
        'netlodge.toml:2: database.url: must begin with "postgresql://" or "sqlite:///", and begins with "postgresql+asyncpg:".',
    ),
    "a host for SQLite": (
        '[database]\nurl = "sqlite://lodge/x.db"',
        'netlodge.toml:2: database.url: must have a path after "sqlite:///"; an absolute one makes it four slashes.',
    ),
    "SQLite in memory": (
        '[database]\nurl = "sqlite:///:memory:"',
        "netlodge.toml:2: database.url: must name a file: what is in memory alone is lost, and each worker would have its own.",
    ),
    "SQLite without a path": (
        '[database]\nurl = "sqlite://"',
        "netlodge.toml:2: database.url: must name a file: what is in memory alone is lost, and each worker would have its own.",
    ),
    "a relative path": (
        '[database]\nurl = "sqlite:///x.db"',
        'netlodge.toml:2: database.url: must have an absolute path, such as "sqlite:////srv/x.db": commands run elsewhere, too.',
    ),
    "parameters for SQLite": (
        '[database]\nurl = "sqlite:////x.db?mode=ro"',
        "netlodge.toml:2: database.url: takes no parameters for SQLite.",
    ),
    "a server without a database": (
        '[database]\nurl = "postgresql://127.0.0.1"',
        'netlodge.toml:2: database.url: must name a database, such as "postgresql://USER:PASSWORD@HOST/NAME".',
    ),
    "a cookie name with a space": (
        '[sessions]\ncookie = "my id"',
        'netlodge.toml:2: sessions.cookie = "my id": must be a token (RFC 9110 §5.6.2) of at most 64 characters, such as "session".',
    ),
    "a cookie name that goes on": (
        '[sessions]\ncookie = "id=1; Domain=example.org"',
        'netlodge.toml:2: sessions.cookie = "id=1; Domain=example.org": must be a token (RFC 9110 §5.6.2) of at most 64 characters, such as "session".',
    ),
    "a cookie name with a prefix": (
        '[sessions]\ncookie = "__Host-id"',
        'netlodge.toml:2: sessions.cookie = "__Host-id": must not begin with "__": over TLS it gets its prefix by itself.',
    ),
    "idle longer than absolute": (
        '[sessions]\nidle = "2 d"\nabsolute = "1 d"',
        'netlodge.toml:2: sessions.idle = "2 d": must not be longer than sessions.absolute, which is "1 d".',
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_told(tmp_path: Path, case: str) -> None:
    text, sentence = CASES[case]
    told = sentences(tmp_path, text)
    assert told == [sentence]
    assert "secret" not in told[0]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:////var/lib/netlodge/lodge.db",
        "postgresql://lodge:p%40ss@127.0.0.1:5432/lodge?sslmode=require",
        "postgresql+psycopg:///lodge?host=/run/postgresql",
    ],
)
def test_a_database_that_can_be_used(tmp_path: Path, url: str) -> None:
    (tmp_path / "netlodge.toml").write_text(f'[database]\nurl = "{url}"\n')
    settings = load(Sources(directory=tmp_path)).settings
    assert settings.database_url == (url or f"sqlite:///{tmp_path / 'lodge' / 'lodge.db'}")
