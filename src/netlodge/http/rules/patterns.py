"""Patterns over paths, as settings write them: `/assets/*`, `*.css`, `/docs/*.pdf`.

RFC 3986 §6.2.2 (paths are compared in normal form).
"""

from __future__ import annotations

from netlodge.http.rules.paths import encode_path


class PathPattern:
    """Which paths a setting is about: the whole path must match, and `*` stands for any characters, slashes too.

    Matching looks at each character once, whatever the pattern: no path that a client thinks up makes it slow.
    """

    __slots__ = ("_between", "_first", "_last", "_shortest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._first, *others = (encode_path(literal) for literal in text.split("*"))
        self._last = others.pop() if others else None
        self._between = others
        self._shortest = len(self._first) + len(self._last or "")

    def matches(self, path: str) -> bool:
        """Whether this is about `path`, which is in normal form (`paths.normal_form`)."""
        if self._last is None:
            return path == self._first
        if len(path) < self._shortest or not path.startswith(self._first) or not path.endswith(self._last):
            return False
        # Each literal between two stars is found as early as it can be: that leaves the most room for the next.
        place, end = len(self._first), len(path) - len(self._last)
        for literal in self._between:
            found = path.find(literal, place, end)
            if found == -1:
                return False
            place = found + len(literal)
        return True

    def __repr__(self) -> str:
        return f"PathPattern({self.text!r})"
