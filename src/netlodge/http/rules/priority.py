"""How urgent a client finds a response, and whether it can use it piece by piece.

RFC 9218 §4 (urgency, incremental), §5 (the field Priority), §7 (what stands in a PRIORITY_UPDATE is the same). The value is a Dictionary of
Structured Fields (RFC 9651 §3.2); of its members only the two are looked at, and one that is not as it should be counts as absent (§4).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

DEFAULT_URGENCY: Final = 3
_member = re.compile(r"\s*([a-z*][a-z0-9_\-.*]*)(?:=([^,;\s]*))?(?:;[^,]*)?\s*").fullmatch


class Priority(NamedTuple):
    """`urgency` from 0 (first) to 7 (last). `is_incremental`: worth sharing the way with others of the same urgency."""

    urgency: int = DEFAULT_URGENCY
    is_incremental: bool = False


def parse_priority(value: str) -> Priority:
    """Never raises; a later member of one name wins, as in every Dictionary."""
    urgency, is_incremental = DEFAULT_URGENCY, False
    for part in value.split(","):
        member = _member(part)
        if member is None:
            continue
        name, said = member.groups()
        if name == "u" and said is not None and len(said) == 1 and said in _URGENCIES:
            urgency = _URGENCIES.index(said)
        elif name == "i" and said in {None, "?1", "?0"}:
            is_incremental = said != "?0"
    return Priority(urgency, is_incremental)


_URGENCIES: Final = "01234567"
