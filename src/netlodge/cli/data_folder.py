"""What a new lodge begins with: its folders, a settings file in which everything is a comment, and a small site (`starter/www`)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from netlodge.config.doors import speaks_tls
from netlodge.config.errors import Problem, SettingsError
from netlodge.config.loading import FILE_NAME, Loaded
from netlodge.config.reference import starter_toml
from netlodge.config.schema import to_toml
from netlodge.net.privileges import Account, find_account

SITE: Final = "www"
"""Folder of the starter site, in the data folder."""


def obstacles(folder: Path) -> list[Path]:
    """What stands in `folder` where `write` would put something."""
    return [path for path in (folder / FILE_NAME, folder / SITE) if os.path.lexists(path)]


def write(folder: Path) -> list[Path]:
    """Write the starter file and the starter site into `folder`, over whatever has the same name; other files stay.

    Makes `folder`, for its owner alone, if it is not there. Returns what was written: the file and the site's folder.
    Raises `SettingsError` if the disk refuses.
    """
    try:
        _make_folder(folder)
        return [_write_settings(folder), _write_site(folder)]
    except OSError as error:
        raise _refused("", folder, error) from None


def prepare(loaded: Loaded) -> list[Path]:
    """Make what is missing of the data folder, before the first start: the folder itself and those for logs and the control
    socket, each for its owner alone; the local authority, if a door speaks TLS; the starter site, if the default site is served and not
    there; the starter file, if there is no settings file at all.

    Returns what was made; empty on every later start. Settings that were loaded before something was made should be loaded anew.
    Started as root, it gives what it makes to the user that the workers become. Raises `SettingsError` if the disk refuses.
    """
    settings = loaded.settings
    made: list[Path] = []
    try:
        for folder in (settings.data, settings.log_folder, settings.run_folder):
            if not folder.is_dir():
                made.append(_make_folder(folder))
        if speaks_tls(settings, loaded.doors):
            from netlodge.store.authority import make_root  # `netlodge init` does not wait for the library that signs

            made += make_root(settings.ca_folder, time.time())
        if loaded.source is None and not os.path.lexists(settings.data / FILE_NAME):
            made.append(_write_settings(settings.data))
        site = settings.data / SITE
        is_served = any(route.files == site for each in settings.web.site for route in each.routes)
        if is_served and not os.path.lexists(site):
            made.append(_write_site(settings.data))
        if os.geteuid() == 0 and settings.user:
            for path in made:
                _give(path, find_account(settings.user, settings.group))
    except OSError as error:
        raise _refused("data", settings.data, error) from None
    return made


def _make_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _write_settings(folder: Path) -> Path:
    path = folder / FILE_NAME
    path.write_text(starter_toml(), encoding="utf-8")
    return path


def _write_site(folder: Path) -> Path:
    for name, source in _files(resources.files("netlodge") / "starter" / SITE):
        target = folder / SITE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    return folder / SITE


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _files(item, f"{prefix}{item.name}/")
        else:
            yield f"{prefix}{item.name}", item


def _give(path: Path, account: Account) -> None:
    """Change the owner of a file, or of a folder and all that is in it."""
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        os.chown(each, account.uid, account.gid, follow_symlinks=False)


def _refused(key: str, folder: Path, error: OSError) -> SettingsError:
    where = f": {error.filename}" if error.filename and str(error.filename) != str(folder) else ""
    complaint = f"cannot be written to{where}: {(error.strerror or 'unknown reason').lower()}"
    return SettingsError([Problem("", key, to_toml(str(folder)), complaint)])
