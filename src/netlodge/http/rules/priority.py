"""How urgent a client finds a response, and whether it can use it piece by piece.

RFC 9218 §4 (urgency, incremental), §5 (the field Priority), §7 (what stands in a PRIORITY_UPDATE is the same). The value is a Dictionary of
Structured Fields (RFC 9651 §4.2.2): of its members only the two are looked at, but one that is none spoils the whole.

The types are those of RFC 8941, which RFC 9218 names: "the types available for use in its value are limited to those defined in that RFC"
(RFC 9651 §2.4), so a Date or a Display String is none.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

DEFAULT_URGENCY: Final = 3

_KEY: Final = r"[a-z*][a-z0-9_\-.*]*+"
_INTEGER: Final = r"-?[0-9]{1,15}(?![0-9.])"
_DECIMAL: Final = r"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])"
_STRING: Final = r'"(?:[ !#-\[\]-~]|\\["\\])*+"'
_WORD: Final = r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+"  # a Token
_OCTETS: Final = r":(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?:"
_BARE_ITEM: Final = rf"{_INTEGER}|{_DECIMAL}|{_STRING}|{_WORD}|{_OCTETS}|\?[01]"
_PARAMETERS: Final = rf"(?:; *+{_KEY}(?:=(?:{_BARE_ITEM}))?+)*+"
_ITEM: Final = rf"(?:{_BARE_ITEM}){_PARAMETERS}"
_INNER_LIST: Final = rf"\( *+(?:{_ITEM}(?: ++{_ITEM})*+ *+)?\){_PARAMETERS}"
_member = re.compile(rf"({_KEY})(?:=(?:({_BARE_ITEM}){_PARAMETERS}|{_INNER_LIST})|{_PARAMETERS}())").match
"""A member's key; then its bare item, unless it is an inner list; or the empty third group for one without a value, which is true."""
_comma = re.compile(r"[ \t]*+,[ \t]*+").match
_integer = re.compile(_INTEGER).fullmatch


class Priority(NamedTuple):
    """`urgency` from 0 (first) to 7 (last). `is_incremental`: worth sharing the way with others of the same urgency."""

    urgency: int = DEFAULT_URGENCY
    is_incremental: bool = False


def parse_priority(value: str) -> Priority:
    """Never raises. "If parsing fails, either the entire field value MUST be ignored (i.e., treated as if the field were not present in the
    section), or alternatively the complete HTTP message MUST be treated as malformed." (RFC 9651 §4.2) It is ignored."""
    members = _members(value)
    # "unknown priority parameters, priority parameters with out-of-range values, or values of unexpected types MUST be ignored" (RFC 9218 §4)
    urgency = members.get("u", "")
    is_urgency = _integer(urgency) is not None and 0 <= int(urgency) <= 7
    return Priority(int(urgency) if is_urgency else DEFAULT_URGENCY, members.get("i") == "?1")


def _members(value: str) -> dict[str, str]:
    """The members of a Dictionary with their bare items as they stand (`""` for an inner list); none if it is no Dictionary. "Note that when
    duplicate Dictionary keys are encountered, all but the last instance are ignored." """
    members: dict[str, str] = {}
    value = value.lstrip(" ").rstrip(" \t")
    place = 0
    while place < len(value):
        member = _member(value, place)
        if member is None:
            return {}
        key, item, nothing = member.groups()
        members[key] = (item or "") if nothing is None else "?1"
        place = member.end()
        if place < len(value):
            comma = _comma(value, place)
            if comma is None or comma.end() == len(value):
                return {}
            place = comma.end()
    return members
