"""What is said when settings are wrong: one sentence per mistake, with its place, its key, its value and a way out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from netlodge.core.errors import NetlodgeError

KeyPath = tuple[str | int, ...]
"""Where a value stands in the tree: keys of tables and, from 0, places in lists."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: KeyPath) -> str:
    """The path as people write it: `web.site[0].routes[1].files`; keys that are not bare are quoted as in TOML."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
            text += f".{name}" if text else name
    return text


class SettingValueError(NetlodgeError, ValueError):
    """A value that cannot be what its key needs. `str(error)` is the complaint, to stand behind `key = value:`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the settings.

    `where` is a file or an option (`--set`), or empty when a default is at fault; `line` is counted from 1, 0 if unknown;
    `key` is the dotted path, `value` is written as in TOML; either may be empty.
    """

    where: str
    key: str
    value: str
    complaint: str
    line: int = 0

    def __str__(self) -> str:
        subject = f"{self.key} = {self.value}" if self.key and self.value else self.key or self.value
        where = f"{self.where}:{self.line}" if self.line else self.where
        sentence = ": ".join(part for part in (where, subject, self.complaint) if part)
        return sentence if sentence.endswith((".", "?")) else sentence + "."


class SettingsError(NetlodgeError):
    """Settings that nothing can be started with. `str(error)` has one sentence per line, one line per problem: those without a line
    first, then in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))
