"""On which line of a TOML file each key stands, so that an error can point at it.

The standard library's parser gives values without places. This scanner runs over text that the parser has already accepted, so it
knows only as much of the grammar as it takes to find keys and to step over values.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from typing import Final

from netlodge.config.errors import KeyPath

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT: Final = re.compile(r"[ \t]*\.[ \t]*")
# A multi-line string may end in up to two quotes of its own before the three that close it.
_STRINGS: Final = (
    r'"""(?:\\.|[^\\])*?""""{0,2}',
    r"'''.*?''''{0,2}",
    r'"(?:[^"\\\n]|\\.)*"',
    r"'[^'\n]*'",
)
_STRING: Final = re.compile("|".join(_STRINGS), re.DOTALL)
_SCALAR: Final = re.compile(r"[^,\]}\n#]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of every key, table header and list element in `text`.

    `text` must be a document that `tomllib` accepts; the result for any other is without meaning.
    """
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [found.start() for found in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}
        """Elements so far of each list of tables that was written with `[[...]]`."""

    def run(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while not self._skip_blank():
            if self._take("[["):
                table = self._open_element(self._key())
                self._take("]]")
            elif self._take("["):
                table = self._enter(self._key())
                self._note(table)
                self._take("]")
            else:
                self._pair(table)
        return self._lines

    def _skip_blank(self) -> bool:
        """Step over space and comments; True at the end of the text."""
        self._match(_BLANK)
        return self._at >= len(self._text)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _take(self, literal: str) -> bool:
        self._match(_BLANK)
        if not self._text.startswith(literal, self._at):
            return False
        self._at += len(literal)
        return True

    def _note(self, path: KeyPath) -> None:
        self._lines.setdefault(path, bisect_left(self._newlines, self._at) + 1)

    def _key(self) -> tuple[str, ...]:
        self._match(_BLANK)
        parts: list[str] = []
        while True:
            part = self._match(_KEY_PART)
            parts.append(tomllib.loads(f"key = {part}")["key"] if part[:1] in ('"', "'") else part)
            if not self._match(_DOT):
                return tuple(parts)

    def _enter(self, key: tuple[str, ...]) -> KeyPath:
        """The path of a table header: a list of tables on the way stands for its latest element."""
        path: KeyPath = ()
        for part in key:
            path = (*path, part)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _open_element(self, key: tuple[str, ...]) -> KeyPath:
        path: KeyPath = (*self._enter(key[:-1]), key[-1])
        self._note(path)
        index = self._counts.get(path, 0)
        self._counts[path] = index + 1
        element = (*path, index)
        self._note(element)
        return element

    def _pair(self, table: KeyPath) -> None:
        self._match(_BLANK)
        start = self._at
        path: KeyPath = table
        for part in self._key():
            path = (*path, part)
            here, self._at = self._at, start
            self._note(path)
            self._at = here
        self._take("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self._match(_BLANK)
        if self._take("{"):
            while not self._take("}"):
                self._pair(path)
                self._take(",")
        elif self._take("["):
            index = 0
            while not self._take("]"):
                self._note((*path, index))
                self._value((*path, index))
                self._take(",")
                index += 1
        elif not self._match(_STRING):
            self._match(_SCALAR)
