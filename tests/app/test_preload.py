from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from netlodge.app.preload import modules_of, preload
from netlodge.config.loading import Sources, load
from netlodge.config.settings import Settings

ROUTE = '[[web.site]]\nroutes = [{ path = "/", %s }]\n'


def settings(folder: Path, text: str) -> Settings:
    (folder / "www").mkdir(exist_ok=True)
    (folder / "netlodge.toml").write_text(text)
    return load(Sources(directory=folder)).settings


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        (ROUTE % 'respond = "x"', set(), {"netlodge.store.transaction"}),
        (ROUTE % 'respond = "x", sessions = true', {"netlodge.store.sessions", "netlodge.store.sqlite"}, {"psycopg"}),
        (ROUTE % 'respond = "x", access = { login = true }', {"netlodge.store.logins"}, {"netlodge.store.sessions"}),
        (ROUTE % 'files = "www", uploads = "login"', {"netlodge.store.logins"}, {"psycopg"}),
        (
            ROUTE % 'respond = "x", sessions = true' + '[database]\nurl = "postgresql://a@127.0.0.1/b"\n',
            {"psycopg", "netlodge.store.postgresql"},
            {"netlodge.store.sqlite"},
        ),
        ("", {"netlodge.starter.shop.counter", "netlodge.store.sessions"}, {"psycopg"}),
    ],
)
def test_what_is_imported_early_is_what_the_settings_need(
    tmp_path: Path, text: str, wanted: set[str], unwanted: set[str]
) -> None:
    found = set(modules_of(settings(tmp_path, text)))
    assert wanted <= found
    assert not unwanted & found
    assert bool(found) is bool(wanted)


def test_all_of_it_is_there_and_then_imported(tmp_path: Path) -> None:
    one = settings(tmp_path, "")
    assert all(find_spec(name) for name in modules_of(one))
    preload(one)
    assert set(modules_of(one)) <= set(sys.modules)
