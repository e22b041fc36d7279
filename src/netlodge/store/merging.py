"""What becomes of two changes that were made to the same document at once: a three-way merge.

Pure; documents are what JSON holds.
"""

from __future__ import annotations

from typing import Any, Final

_ABSENT: Final = object()


def merge(before: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """`theirs` with all that `mine` changed of `before`.

    Changes of different members are both kept, at any depth of objects within objects. Where both changed the same member, and it is no
    object on all three sides, mine wins, as the later one. A list is one value.
    """
    merged = dict(theirs)
    for name in mine.keys() | before.keys():
        was: Any = before.get(name, _ABSENT)
        is_now: Any = mine.get(name, _ABSENT)
        there: Any = theirs.get(name, _ABSENT)
        if same(was, is_now):
            continue
        if is_now is _ABSENT:
            merged.pop(name, None)
        elif isinstance(is_now, dict) and isinstance(there, dict) and (was is _ABSENT or isinstance(was, dict)):
            merged[name] = merge(was if isinstance(was, dict) else {}, is_now, there)
        else:
            merged[name] = is_now
    return merged


def same(one: object, other: object) -> bool:
    """Whether two values are written in the same way: `1`, `1.0` and `true` are equal to Python, and not the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other
