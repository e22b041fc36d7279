"""From a plain TOML tree to typed settings: every value is checked, and every mistake is noted rather than the first alone."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args, get_origin

import msgspec

from netlodge.config.address import Address, LogTarget
from netlodge.config.errors import KeyPath, Problem, SettingValueError, dotted
from netlodge.config.schema import (
    VALUE_TYPES,
    Entry,
    Hint,
    children,
    entries,
    expected,
    is_list,
    is_mapping,
    is_table,
    is_union,
    to_toml,
)
from netlodge.config.settings import Settings

Locate = Callable[[KeyPath], tuple[str, int]]
"""Says where a key was written: a file and a line (0 if unknown), an option of the command line, or nothing."""

_BROKEN: Final = object()
"""Stands for a value that could not be made; its problem has been noted."""

_LONGEST_VALUE: Final = 60
_LIKENESS: Final = 0.6
"""Below this ratio of difflib a key is no misspelling of another."""


class SettingsBuilder:
    """Makes `Settings` from what `tomllib` gives. `problems` has what was wrong; a value that is wrong is replaced by its default, a
    table in a list that has anything wrong is left out, so that what is looked at afterwards brings up no mistakes that are none.
    """

    def __init__(self, base: Path, locate: Locate) -> None:
        self._base = base
        self._locate = locate
        self._kept: dict[KeyPath, list[int]] = {}
        """Of each list: which of its elements, by their place in the file, came out right."""
        self.problems: list[Problem] = []

    def build(self, tree: Mapping[str, object]) -> Settings:
        """Relative paths in `tree`, and in the defaults, are counted from `base`."""
        # Never broken: every key at the top has a default.
        return cast("Settings", self._table(Settings, tree, ()))

    def complain(self, path: KeyPath, value: object, complaint: str) -> None:
        """Note a problem with the value at `path`, as written; a value of None is not shown, a long
        one not whole, unless it is a path."""
        shown = "" if value is None else to_toml(value)
        if len(shown) > _LONGEST_VALUE and not isinstance(value, Path):
            shown = shown[: _LONGEST_VALUE - 1] + "…"
        where, line = self._locate(path)
        self.problems.append(Problem(where, dotted(path), shown, complaint, line))

    def as_written(self, path: KeyPath) -> KeyPath:
        """The place in the file of what stands at `path` in the settings that were made, where broken elements are left out."""
        written: KeyPath = ()
        for part in path:
            written = (*written, self._kept[written][part] if isinstance(part, int) and written in self._kept else part)
        return written

    def _table(self, kind: type[msgspec.Struct], value: object, path: KeyPath) -> msgspec.Struct | object:
        if not isinstance(value, Mapping):
            self.complain(path, value, "must be a table")
            return _BROKEN
        known = {entry.name: entry for entry in children(kind)}
        for key in value:
            if key not in known:
                self.complain(
                    (*path, key),
                    None if isinstance(value[key], Mapping) else value[key],
                    self._unknown(path, key, list(known)),
                )
        members: dict[str, Any] = {}
        is_complete = True
        for name, entry in known.items():
            member = (
                self._value(entry.hint, value[name], (*path, name)) if name in value else self._default(entry, path)
            )
            if member is _BROKEN:
                is_complete = is_complete and entry.default is not msgspec.NODEFAULT
            else:
                members[name] = member
        return kind(**members) if is_complete else _BROKEN

    def _default(self, entry: Entry, path: KeyPath) -> object:
        if entry.default is msgspec.NODEFAULT:
            self.complain((*path, entry.name), None, "must be given")
            return _BROKEN
        if entry.table is not None and not is_list(entry.hint.kind):
            return self._table(entry.table, {}, (*path, entry.name))
        return self._resolved(entry.default)

    def _value(self, hint: Hint, value: object, path: KeyPath) -> object:
        if is_table(hint.kind):
            return self._table(hint.kind, value, path)
        if is_list(hint.kind):
            return self._list(hint, value, path)
        if is_mapping(hint.kind):
            return self._mapping(hint, value, path)
        try:
            return self._resolved(_leaf(hint, value))
        except SettingValueError as error:
            self.complain(path, value, str(error))
            return _BROKEN

    def _list(self, hint: Hint, value: object, path: KeyPath) -> object:
        if not isinstance(value, list):
            like = f", such as {to_toml([value])}" if isinstance(value, str) else ""
            self.complain(path, value, f"must be {expected(hint)}{like}")
            return ()
        made = []
        kept = self._kept.setdefault(path, [])
        for index, item in enumerate(value):
            before = len(self.problems)
            member = self._value(hint.element, item, (*path, index))
            if member is not _BROKEN and len(self.problems) == before:
                made.append(member)
                kept.append(index)
        return tuple(made)

    def _mapping(self, hint: Hint, value: object, path: KeyPath) -> object:
        if not isinstance(value, Mapping):
            self.complain(path, value, f"must be {expected(hint)}")
            return {}
        key_kind, value_kind = get_args(hint.kind)
        made: dict[Any, object] = {}
        for key, item in value.items():
            if key_kind is int and not (key.isascii() and key.isdigit() and len(key) <= 9):
                self.complain((*path, key), None, "must be a whole number")
                continue
            member = self._value(Hint(value_kind), item, (*path, key))
            if member is not _BROKEN:
                made[int(key) if key_kind is int else key] = member
        return made

    def _resolved(self, value: object) -> object:
        """Count a relative path from the base folder."""
        if isinstance(value, Path):
            return Path(os.path.abspath(self._base / value))
        if isinstance(value, Address | LogTarget):
            return value.resolved(self._base)
        return value

    @staticmethod
    def _unknown(path: KeyPath, key: str, here: list[str]) -> str:
        """The complaint about a key that does not exist: with the nearest one at its level, or elsewhere if that is nearer."""
        at_level = tuple(part for part in path if isinstance(part, str))
        best, best_likeness = "", _LIKENESS
        for entry in entries(Settings):
            parts = tuple(part.removesuffix("[]") for part in entry.path)
            likeness = difflib.SequenceMatcher(None, key, entry.name).ratio()
            if parts[:-1] == at_level and entry.name in here:
                likeness += 0.001  # of two that are equally near, the one at this level
                written = dotted((*path, entry.name))
            else:
                written = entry.key
            if likeness > best_likeness:
                best, best_likeness = written, likeness
        if best:
            return f'there is no such key; did you mean "{best}"?'
        return f"there is no such key; here stand {', '.join(here)}"


def nearest(name: str, choices: list[str]) -> str:
    """`; did you mean "..."?` with the choice that looks most like `name`, or nothing."""
    matches = difflib.get_close_matches(name, choices, n=1, cutoff=_LIKENESS)
    return f'; did you mean "{matches[0]}"?' if matches else ""


def _leaf(hint: Hint, value: object) -> object:
    """One value that is neither list nor table. Raises `SettingValueError`."""
    kind = hint.kind
    if is_union(kind):
        for part in get_args(kind):
            try:
                return _leaf(Hint(part, least=hint.least, most=hint.most), value)
            except SettingValueError:
                continue
        raise SettingValueError(f"must be {expected(hint)}")
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
        if isinstance(value, str) and value in choices:
            return value
        raise SettingValueError(f"must be {expected(hint)}{nearest(str(value), choices)}")
    if kind in VALUE_TYPES:
        made = _parse(hint, value)
    elif kind is Path and isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    elif type(value) is kind:  # not isinstance: in TOML, true is no number
        made = value
    else:
        raise SettingValueError(f"must be {expected(hint)}")
    if isinstance(made, int | float) and not isinstance(made, bool):
        _check_bounds(hint, made)
    return made


def _parse(hint: Hint, value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint.kind in (Address, LogTarget):
        may_parse = isinstance(value, str)
    else:
        may_parse = isinstance(value, str) or (is_number and (isinstance(value, int) or hint.kind.__base__ is float))
    if not may_parse:
        raise SettingValueError(f'must be {expected(hint)}, such as "{hint.kind.example}"')
    return hint.kind.parse(value)


def _check_bounds(hint: Hint, value: float) -> None:
    if (hint.least is not None and value < hint.least) or (hint.most is not None and value > hint.most):
        raise SettingValueError(f"must be {expected(hint)}")
