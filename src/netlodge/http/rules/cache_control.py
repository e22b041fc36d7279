"""Who may store an answer: what Cache-Control says of one that is for a single visitor.

RFC 9111 §5.2.2.5 (no-store), §5.2.2.7 (private), §5.2.2.8 (proxy-revalidate), §5.2.2.9 (public), §5.2.2.10 (s-maxage).
"""

from __future__ import annotations

from typing import Final

_OF_SHARED_CACHES: Final = frozenset({"public", "s-maxage", "proxy-revalidate"})


def is_private(value: str | None) -> bool:
    """Whether this Cache-Control keeps shared caches from storing the answer. `private="x-field"` keeps one field from them alone."""
    return value is not None and not {"private", "no-store"}.isdisjoint(_members(value.lower()))


def made_private(value: str | None) -> str:
    """The Cache-Control of an answer that is for one visitor: what was said, as far as it concerns the visitor's own cache. If nothing was
    said, that cache asks each time."""
    if value is None:
        return "private, no-cache"
    if is_private(value):
        return value
    kept = [member for member in _members(value) if member.partition("=")[0].lower() not in _OF_SHARED_CACHES]
    return ", ".join(["private", *kept])


def _members(value: str) -> list[str]:
    return [member for part in value.split(",") if (member := part.strip(" \t"))]
