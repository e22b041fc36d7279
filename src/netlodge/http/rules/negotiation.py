"""Which of several representations a client would rather have: lists with weights, media types, and what Vary tells of it.

RFC 9110 §12.4 (absence, quality values, wildcards), §12.5.1 (Accept), §12.5.5 (Vary), §5.6.1 (lists), §5.6.6 (parameters). Codings,
languages and the variants of a file have a file each beside this one.

Members of a list that do not follow the grammar are passed over, and the others count; of a list, the first `MEMBERS` are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

MEMBERS: Final = 100
"""Members of a list that are read. Browsers send about ten; the rest of a longer list is passed over, so that the work that a field asks
for is bounded. Precedent: `limits.ranges`."""

# A comma or a semicolon within quotes separates nothing. A quote that is not closed takes the rest along.
_PARTS: Final = {
    mark: re.compile(rf'(?:[^"{mark}]|"(?:[^"\\]|\\.)*"|".*)+', re.DOTALL) for mark in (",", ";")
}  # fmt: skip
_TCHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'({_TCHARS})=(?:({_TCHARS})|"((?:[^"\\]|\\.)*)")')
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_MEDIA_RANGE: Final = re.compile(rf"{_TCHARS}/{_TCHARS}")
_QVALUE: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


class Member(NamedTuple):
    """One member of a list with weights."""

    item: str
    """In lower case: every one of these lists is case-insensitive in what it names."""
    parameters: frozenset[tuple[str, str]]
    """Without the weight; names and values in lower case."""
    weight: int
    """In thousandths. §12.4.2: "a value of 0 means "not acceptable". If no "q" parameter is present, the default weight is 1"."""


def members_of(value: str) -> list[Member]:
    """The members of a field value that follow the grammar of items with parameters and a weight, in order."""
    members = []
    for part in _split(value, ",", MEMBERS):
        member = _member(part)
        if member is not None:
            members.append(member)
    return members


def _split(text: str, mark: str, most: int) -> Iterable[str]:
    if '"' not in text:
        return text.split(mark, most)[:most]
    parts = (match[0] for match in _PARTS[mark].finditer(text))
    return [part for part, _ in zip(parts, range(most), strict=False)]


def _member(text: str) -> Member | None:
    """One member; None for what is empty or no member."""
    if ";" not in text:
        item = text.strip(" \t").lower()
        return Member(item, frozenset(), 1000) if item else None
    item, *rest = (part.strip(" \t") for part in _split(text, ";", MEMBERS))
    weight: int | None = None
    parameters: set[tuple[str, str]] = set()
    for part in rest:
        if not part:  # parameters = *( OWS ";" OWS [ parameter ] )
            continue
        match = _PARAMETER.fullmatch(part)
        if match is None:
            return None
        name = match[1].lower()
        if name != "q":
            text_of = match[2] if match[2] is not None else _QUOTED_PAIR.sub(r"\1", match[3])
            parameters.add((name, text_of.lower()))
        # §12.5.1: "Recipients SHOULD process any parameter named "q" as weight, regardless of parameter ordering." Two contradict.
        elif weight is None and match[2] is not None and _QVALUE.fullmatch(match[2]):
            weight = round(float(match[2]) * 1000)
        else:
            return None
    return Member(item.lower(), frozenset(parameters), 1000 if weight is None else weight) if item else None


# --- Media types ------------------------------------------------------------------------------------------------------


class MediaRanges:
    """What one Accept value (None: there is none) says of media types.

    §12.5.1: "Media ranges can be overridden by more specific media ranges or specific media types. If more than one media range applies
    to a given type, the most specific reference has precedence." Of two alike the first has. A range with parameters applies to a type
    that has all of them. Only a `charset` says nothing of a type that has none: clients put it behind `application/json`, too.
    """

    __slots__ = ("_ranges",)

    def __init__(self, value: str | None) -> None:
        self._ranges: dict[str, list[Member]] = {}
        # §12.4.1: "a request that does not contain the field implies that the sender has no preference on that dimension".
        for media_range in members_of("*/*" if value is None else value):
            if _MEDIA_RANGE.fullmatch(media_range.item):
                self._ranges.setdefault(media_range.item, []).append(media_range)

    def quality(self, media_type: str) -> int:
        """The quality, in thousandths, of a media type (`type/subtype`, with parameters or without); 0: not acceptable."""
        offer = _member(media_type)
        if offer is None:
            return 0
        told = {name for name, _ in offer.parameters}
        for item in (offer.item, offer.item.partition("/")[0] + "/*", "*/*"):
            most, weight = -1, 0
            for media_range in self._ranges.get(item, ()):
                asked = {pair for pair in media_range.parameters if pair[0] != "charset" or "charset" in told}
                if asked <= offer.parameters and len(asked) > most:
                    most, weight = len(asked), media_range.weight
            if most >= 0:
                return weight
        return 0

    def names(self, media_type: str) -> bool:
        """Whether a range is this very media type, not a wildcard, and it is acceptable."""
        return media_type in self._ranges and self.quality(media_type) > 0


def quality(accept: str, media_type: str) -> int:
    """The quality, in thousandths, that an Accept value gives to a media type; 0: not acceptable."""
    return MediaRanges(accept).quality(media_type)


def prefer(accept: str | None, offers: Sequence[str]) -> str | None:
    """The offered media type that the client likes best; of equals the first; None if none is acceptable."""
    if accept is None:
        return offers[0]
    ranges = MediaRanges(accept)
    best = max(offers, key=ranges.quality)
    return best if ranges.quality(best) else None


def names(accept: str | None, media_type: str) -> bool:
    """Whether an Accept value asks for this very media type, not by a wildcard, and does not refuse it."""
    return accept is not None and MediaRanges(accept).names(media_type)


# --- Vary -------------------------------------------------------------------------------------------------------------


def merge_vary(value: str | None, added: str) -> str:
    """The Vary of an answer that was chosen by the fields of both values (§12.5.5), each told once; `*` covers all."""
    members: dict[str, str] = {}
    for member in f"{value or ''},{added}".split(","):
        name = member.strip(" \t")
        if name:
            members.setdefault(name.lower(), name)
    return "*" if "*" in members else ", ".join(members.values())
