"""Makes the settings of a lodge from a file and what the command line adds, or says everything that is wrong with them.

The order, weakest first: defaults, the file, the quick forms (`--files`, `--app`, `--data`, `--workers`), `--set`. `load` reads the file system
and the working directory it is given, nothing else; calling it again with the same `Sources` is how a reload reads changed settings.
"""

from __future__ import annotations

import os
import re
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from netlodge.config.build import SettingsBuilder, nearest
from netlodge.config.doors import DOORS, listens
from netlodge.config.errors import KeyPath, Problem, SettingsError, dotted
from netlodge.config.examine import ERROR_PAGE_STATUSES, examine, shows
from netlodge.config.examine_access import warn_of_access
from netlodge.config.examine_apps import complaint_about_app
from netlodge.config.examine_secrets import examine_secrets
from netlodge.config.examine_tls import warn_of_tls
from netlodge.config.examine_uploads import examine_uploads, warn_of_uploads
from netlodge.config.locate import key_lines
from netlodge.config.schema import entries, is_list
from netlodge.config.settings import Route, Settings, Site

FILE_NAME: Final = "netlodge.toml"
SHOP: Final = "netlodge.starter.shop:shop"
"""The application of the starter site (docs/shop.md)."""
_DEFAULT_DATA: Final = "lodge"
_HIDDEN_DATA: Final = ".lodge"
_FILE_SIZE_LIMIT: Final = 16 * 1024 * 1024
"""A settings file is written by a person; what is larger is another file."""

_KEY_TUPLE: Final = re.compile(r"\((?:'[^']*',? ?)+\)")
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where settings come from: what stood on the command line. Relative paths here are counted from `directory`."""

    config: Path | None = None
    """The settings file; None: `netlodge.toml` in `directory`, else the one in the data folder, else none."""
    data: Path | None = None
    """The data folder, in place of the key `data`."""
    files: Path | None = None
    """A folder that is served as the only site."""
    app: str | None = None
    """An application, as `module:name`, that is the only site; its modules are looked for in `directory` first."""
    only: tuple[str, ...] = ()
    """The doors to start; empty: all that have an address."""
    overrides: tuple[str, ...] = ()
    """`KEY=VALUE`, as if it stood in the file: relative paths in it are counted from the file's folder."""
    workers: int | None = None
    directory: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings that a lodge can be started with. All paths in them are absolute, and `settings.web.site` has at least one site."""

    settings: Settings
    source: Path | None
    """The file they were read from; None if there is none."""
    label: str
    """How messages call that file: relative to the working directory where that is shorter; empty if there is none."""
    base: Path
    """The folder that relative paths are counted from."""
    doors: tuple[str, ...]
    """The doors to start, in order; each has at least one address in the settings."""
    warnings: tuple[str, ...] = ()
    """What is allowed but hardly meant, a sentence each."""


def load(sources: Sources) -> Loaded:
    """Read, check and complete the settings.

    Raises `SettingsError` with every problem that was found. Nothing is written anywhere.
    """
    reader = _Reader(sources)
    return reader.read()


def default_site(folder: Path) -> Site:
    """One site for every host: the files of `folder`, its `404.html`, if there is one, for what it has not, and the shop that comes along."""
    page = folder / "404.html"
    shop = Route(path="/shop/", app=SHOP, sessions=True)
    return Site(routes=(Route(path="/", files=folder), shop), error_pages={404: page} if page.is_file() else {})


class _Reader:
    """One reading: collects the tree and where each part of it came from."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._problems: list[Problem] = []
        self._labels: dict[KeyPath, str] = {}
        """Which option of the command line gave a value."""
        self._lines: dict[KeyPath, int] = {}
        self._source = self._find_file()
        self._file_label = self._shorten(self._source) if self._source else ""
        self._base = self._source.parent if self._source else sources.directory

    def read(self) -> Loaded:
        tree = self._read_file(self._source) if self._source else {}
        self._apply_quick_forms(tree)
        for override in self._sources.overrides:
            self._apply_override(tree, override)
        builder = SettingsBuilder(self._base, self._locate)
        settings = builder.build(tree)
        findings = chain(
            examine(settings, lambda path: dotted(builder.as_written(path))),
            examine_secrets(settings, self._source),
            examine_uploads(settings, self._base, self._source),
        )
        for path, value, complaint in findings:
            builder.complain(builder.as_written(path), value, complaint)
        self._problems += builder.problems
        doors = self._choose_doors(settings)
        if self._problems:
            raise SettingsError(self._problems)
        if not settings.web.site:
            site = default_site(settings.data / "www")
            settings = msgspec.structs.replace(settings, web=msgspec.structs.replace(settings.web, site=(site,)))
        warnings = tuple(self._warnings(settings))
        return Loaded(
            settings=settings,
            source=self._source,
            label=self._file_label,
            base=self._base,
            doors=doors,
            warnings=warnings,
        )

    # The file

    def _find_file(self) -> Path | None:
        directory = self._sources.directory
        if self._sources.config is not None:
            return Path(os.path.abspath(directory / self._sources.config))
        folders = [directory, directory / (self._sources.data or _DEFAULT_DATA)]
        if self._needs_hidden_data():
            folders.append(directory / _HIDDEN_DATA)
        for folder in folders:
            if os.path.lexists(folder / FILE_NAME):
                return Path(os.path.abspath(folder / FILE_NAME))
        return None

    def _needs_hidden_data(self) -> bool:
        """A lodge made inside the folder that `--files` serves would show its own logs: it takes a hidden name there."""
        sources = self._sources
        if sources.files is None or sources.data is not None:
            return False
        return shows(sources.directory / sources.files, sources.directory / _DEFAULT_DATA, hidden=False)

    def _read_file(self, path: Path) -> dict[str, Any]:
        try:
            with path.open("rb") as file:
                content = file.read(_FILE_SIZE_LIMIT + 1)
        except OSError as error:
            reason = (
                "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            )
            raise SettingsError([self._file_problem(reason)]) from None
        if len(content) > _FILE_SIZE_LIMIT:
            raise SettingsError([self._file_problem("is too large to be a settings file")])
        try:
            text = content.decode("utf-8").replace("\r\n", "\n")
            tree = tomllib.loads(text)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise SettingsError([self._file_problem("is not in UTF-8", line)]) from None
        except tomllib.TOMLDecodeError as error:
            raise SettingsError([self._syntax_problem(str(error), text)]) from None
        except RecursionError:
            raise SettingsError([self._file_problem("is nested too deeply")]) from None
        self._lines = key_lines(text)
        return tree

    def _file_problem(self, complaint: str, line: int = 0) -> Problem:
        return Problem(self._file_label, "", "", complaint, line)

    def _syntax_problem(self, message: str, text: str) -> Problem:
        """The parser's message, with the place moved to where a place belongs."""
        found = _PLACE.search(message)
        line, column = text.count("\n") + 1, 0
        if found and found[1]:
            line, column = int(found[1]), int(found[2])
        place = f" at column {column}" if column else " at the end of the file"
        what = _KEY_TUPLE.sub(_undo_tuple, message[: found.start()] if found else message)
        return self._file_problem(f"is no TOML{place}: {what[:1].lower()}{what[1:]}", line)

    # The command line

    def _apply_quick_forms(self, tree: dict[str, Any]) -> None:
        sources = self._sources
        if sources.data is not None:
            self._put(tree, ("data",), str(sources.directory / sources.data), "--data")
        if sources.workers is not None:
            self._put(tree, ("workers",), sources.workers, "--workers")
        if sources.app is not None:
            self._apply_app(tree, sources.app)
        if sources.files is None:
            return
        folder = Path(os.path.abspath(sources.directory / sources.files))
        if not folder.is_dir():
            complaint = "is no folder" if folder.exists() else "there is no such folder"
            self._problems.append(Problem("--files", "", str(sources.files), complaint))
            return
        page = folder / "404.html"
        site = {
            "routes": [{"path": "/", "files": str(folder)}],
            "error_pages": {"404": str(page)} if page.is_file() else {},
        }
        self._put(tree, ("web", "site"), [site], "--files")
        if self._source is None and self._needs_hidden_data():
            self._put(tree, ("data",), str(sources.directory / _HIDDEN_DATA), "--files")

    def _apply_app(self, tree: dict[str, Any], app: str) -> None:
        if self._sources.files is not None:
            self._problems.append(Problem("--app", "", app, "cannot go with --files: both are the only site"))
        elif complaint := complaint_about_app(app):
            self._problems.append(Problem("--app", "", app, complaint))
        else:
            folder = str(self._sources.directory)
            site = {"routes": [{"path": "/", "app": app, "app_folder": folder}]}
            self._put(tree, ("web", "site"), [site], "--app")

    def _apply_override(self, tree: dict[str, Any], override: str) -> None:
        key, equals, text = override.partition("=")
        try:
            path = _parse_key(key) if equals else ()
        except tomllib.TOMLDecodeError:
            path = ()
        if not path:
            complaint = "must be KEY=VALUE, such as limits.head_timeout=5s"
            self._problems.append(Problem("--set", "", override, complaint))
            return
        self._put(tree, path, _parse_value(path, text), "--set")

    def _put(self, tree: dict[str, Any], path: tuple[str, ...], value: object, label: str) -> None:
        table: Any = tree
        for depth, part in enumerate(path[:-1], 1):
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                complaint = f"{dotted(path[:depth])} is no table, so it has no such key"
                self._problems.append(Problem(label, dotted(path), "", complaint))
                return
        table[path[-1]] = value
        self._labels[path] = label

    def _locate(self, path: KeyPath) -> tuple[str, int]:
        for end in range(len(path), 0, -1):
            if path[:end] in self._labels:
                return self._labels[path[:end]], 0
            if path[:end] in self._lines:
                return self._file_label, self._lines[path[:end]]
        # A table that the file does not have was made by an option for a key below it.
        made_by = (label for below, label in self._labels.items() if below[: len(path)] == path)
        return next(made_by, self._file_label), 0

    def _choose_doors(self, settings: Settings) -> tuple[str, ...]:
        """The doors to start. One that was asked for by name must exist and have an address."""
        has_address = {listen.door for listen in listens(settings)}
        for name in self._sources.only:
            if name not in DOORS:
                hint = nearest(name, list(DOORS)) or f"; the doors are {', '.join(DOORS)}"
                self._problems.append(Problem("--only", "", name, f"there is no such door{hint}"))
            elif name not in has_address and not self._problems:
                self._problems.append(Problem("--only", "", name, "has no address to listen on in the settings"))
        doors = tuple(door for door in DOORS if door in has_address and door in (self._sources.only or DOORS))
        if not doors and not self._problems:
            self._problems.append(
                self._file_problem("no door has an address to listen on, so there is nothing to start")
            )
        return doors

    def _warnings(self, settings: Settings) -> Iterable[str]:
        yield from warn_of_access(settings)
        yield from warn_of_uploads(settings)
        yield from warn_of_tls(settings, time.time())
        for index, site in enumerate(settings.web.site):
            for status in site.error_pages:
                if status not in ERROR_PAGE_STATUSES:
                    key = dotted(("web", "site", index, "error_pages", str(status)))
                    yield f"{key} is not used: an error {status} is never a site's own, and has the built-in text."
            for route in site.routes:
                if self._source is None:
                    continue
                if route.files is not None and shows(route.files, self._source, hidden=route.hidden):
                    yield f"{self._file_label} lies in {route.files}, which is served: everyone can read the settings."

    def _shorten(self, path: Path) -> str:
        relative = os.path.relpath(path, self._sources.directory)
        return str(path) if relative.startswith("..") else relative


def _undo_tuple(found: re.Match[str]) -> str:
    """The parser shows keys as Python tuples: `('web', 'listen')` is `web.listen` to people."""
    return dotted(tuple(re.findall(r"'([^']*)'", found[0])))


def _parse_key(text: str) -> tuple[str, ...]:
    """`a.b."c.d"` as its parts. Raises `TOMLDecodeError`."""
    tree: object = tomllib.loads(f"{text.strip()} = 0") if "\n" not in text else {}
    path: list[str] = []
    while isinstance(tree, dict) and len(tree) == 1:
        ((part, tree),) = tree.items()
        path.append(part)
    return tuple(path)


def _parse_value(path: tuple[str, ...], text: str) -> object:
    """A value as in TOML; what is no TOML is a string, or for a list of plain values its elements between commas."""
    try:
        tree = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        tree = {}
    if set(tree) == {"value"}:
        return tree["value"]
    for entry in entries(Settings):
        if entry.path == path and is_list(entry.hint.kind):
            return [part.strip() for part in text.split(",") if part.strip()]
    return text.strip()
