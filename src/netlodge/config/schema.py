"""The tree of settings seen as data: every key with its type, default, bounds and documentation, read from the structs themselves.

What is written once beside a field (`doc`) is what the error sentences, `netlodge settings`, `docs/settings.md` and the comments of
the starter file are made from.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from netlodge.config.address import Address, LogTarget
from netlodge.config.errors import dotted
from netlodge.config.quantities import Duration, Frequency, Rate, Size

VALUE_TYPES: tuple[type[Duration | Size | Frequency | Address | LogTarget], ...] = (
    Duration,
    Size,
    Rate,
    Frequency,
    Address,
    LogTarget,
)
"""Types with their own notation: each has `parse`, `noun` and `example`."""


def doc(
    description: str, *, least: float | None = None, most: float | None = None, precedent: str = "", example: str = ""
) -> msgspec.Meta:
    """Documentation of one key, to stand in its `Annotated`.

    The first sentence of `description` is the one-liner in the starter file. `least` and `most` bound numbers, both inclusive.
    `precedent` says what well-known servers have; `example` is a value in TOML for keys whose default is empty.
    """
    # Meta's own `ge` and `le` are refused for types that msgspec does not know, such as Duration.
    return msgspec.Meta(
        description=description, extra={"least": least, "most": most, "precedent": precedent, "example": example}
    )


@dataclass(frozen=True, slots=True)
class Hint:
    """A field's type without its wrapping, and what `doc` said about it."""

    kind: Any
    description: str = ""
    least: float | None = None
    most: float | None = None
    precedent: str = ""
    example: str = ""

    @classmethod
    def of(cls, annotation: Any) -> Hint:
        """Take `Annotated` and `| None` off: a key that is None is one that was not given."""
        extra: dict[str, Any] = {}
        description = ""
        if get_origin(annotation) is Annotated:
            annotation, *notes = get_args(annotation)
            for note in notes:
                if isinstance(note, msgspec.Meta):
                    description, extra = note.description or "", note.extra or {}
        if is_union(annotation):
            alternatives = [kind for kind in get_args(annotation) if kind is not types.NoneType]
            if len(alternatives) == 1:
                annotation = alternatives[0]
        return cls(annotation, description, **extra)

    @property
    def element(self) -> Hint:
        """For a list: its elements, with the bounds of the list's own documentation."""
        return Hint(get_args(self.kind)[0], least=self.least, most=self.most)


def is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def is_mapping(kind: Any) -> bool:
    return get_origin(kind) is dict


def to_toml(value: object) -> str:
    """Write a value as it stands behind `key = ` in TOML, on one line."""
    match value:
        case Duration() | Size() | Frequency() | Address():
            return json.dumps(str(value), ensure_ascii=False)
        case Path():
            return json.dumps(str(value) if value.is_absolute() else f"./{value}", ensure_ascii=False)
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple() | list():
            return f"[{', '.join(map(to_toml, value))}]"
        case dict():
            pairs = ", ".join(f"{dotted((str(key),))} = {to_toml(item)}" for key, item in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case msgspec.Struct():
            return to_toml({key: item for key, item in msgspec.structs.asdict(value).items() if item is not None})
    return str(value)


def expected(hint: Hint, *, plural: bool = False) -> str:
    """What a key takes, in words: `a size from 1 KiB to 1 MiB`, `a list of addresses`, `"combined" or "json"`."""
    kind = hint.kind
    if is_union(kind):
        return " or ".join(expected(Hint(part, least=hint.least, most=hint.most)) for part in get_args(kind))
    if get_origin(kind) is Literal:
        choices = [json.dumps(choice) for choice in get_args(kind)]
        return " or ".join(part for part in (", ".join(choices[:-1]), choices[-1]) if part)
    if is_list(kind):
        return f"a list of {expected(hint.element, plural=True)}"
    if is_mapping(kind):
        return f"a table of {expected(Hint(get_args(kind)[1]), plural=True)}"
    if is_table(kind):
        return "tables" if plural else "a table"
    if kind is bool:
        return "true or false"
    singular, several = _NOUNS.get(kind) or (kind.noun, f"{kind.noun.removeprefix('a ').removeprefix('an ')}s")
    return (several if plural else singular) + _bounds(hint)


_NOUNS: dict[Any, tuple[str, str]] = {
    str: ("a string", "strings"),
    int: ("a whole number", "whole numbers"),
    Path: ("a path", "paths"),
    Address: ("an address", "addresses"),
}


def _bounds(hint: Hint) -> str:
    def written(bound: float) -> str:
        return str(hint.kind(bound))

    match hint.least, hint.most:
        case None, None:
            return ""
        case least, None if least is not None:
            return f" of at least {written(least)}"
        case None, most if most is not None:
            return f" of at most {written(most)}"
        case least, most if least is not None and most is not None:
            return f" from {written(least)} to {written(most)}"
    raise AssertionError  # unreachable: the four cases are all


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of the settings. `path` has `[]` behind keys of lists of tables: `("web", "site[]", "routes[]", "path")`."""

    path: tuple[str, ...]
    hint: Hint
    default: object
    """`msgspec.NODEFAULT` for a key that must be given; None for one that may be left out."""

    @property
    def key(self) -> str:
        return ".".join(self.path)

    @property
    def name(self) -> str:
        return self.path[-1].removesuffix("[]")

    @property
    def table(self) -> type[msgspec.Struct] | None:
        """The struct that this key holds one or many of, if it does."""
        kind = self.hint.element.kind if is_list(self.hint.kind) else self.hint.kind
        return kind if is_table(kind) else None


def children(kind: type[msgspec.Struct], parent: tuple[str, ...] = ()) -> Iterator[Entry]:
    """The keys of one table, in order."""
    for field in msgspec.structs.fields(kind):
        hint = Hint.of(field.type)
        has_many = is_list(hint.kind) and is_table(hint.element.kind)
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        yield Entry((*parent, field.name + ("[]" if has_many else "")), hint, default)


def entries(kind: type[msgspec.Struct], parent: tuple[str, ...] = ()) -> Iterator[Entry]:
    """Every key below a table, tables included, parents before children."""
    for entry in children(kind, parent):
        yield entry
        if entry.table is not None:
            yield from entries(entry.table, entry.path)
