"""Which of several representations a client would rather have, by media type.

RFC 9110 §12.4.2 (quality values), §12.5.1 (Accept), §12.5.5 (Vary).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_MEDIA_RANGE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+)/([!#$%&'*+.^_`|~0-9a-z-]+)")
_QVALUE: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def quality(accept: str, media_type: str) -> int:
    """The quality, in thousandths, that an Accept value gives to a media type (`type/subtype`, lower-case); 0: not acceptable.

    "Media ranges can be overridden by more specific media ranges or specific media types. If more than one media range applies
    to a given type, the most specific reference has precedence." Members that do not follow the grammar are passed over, and so
    are parameters other than the weight: no media type offered here has any that matters.
    """
    kind, _, _ = media_type.partition("/")
    wanted = (media_type, f"{kind}/*", "*/*")
    best_rank, best = len(wanted), 0
    for member in accept.lower().split(","):
        media_range, *parameters = (part.strip(" \t") for part in member.split(";"))
        if media_range not in wanted or not _MEDIA_RANGE.fullmatch(media_range):
            continue
        weight = _weight(parameters)
        rank = wanted.index(media_range)
        if weight is not None and rank < best_rank:
            best_rank, best = rank, weight
    return best


def prefer(accept: str | None, offers: Sequence[str]) -> str | None:
    """The offered media type that the client likes best; of equals the first; None if none is acceptable.

    "A request without any Accept header field implies that the user agent will accept any media type in response."
    """
    if accept is None:
        return offers[0]
    best = max(offers, key=lambda offer: quality(accept, offer))
    return best if quality(accept, best) else None


def names(accept: str | None, media_type: str) -> bool:
    """Whether an Accept value asks for this very media type, not by a wildcard, and does not refuse it."""
    if accept is None:
        return False
    members = (member.partition(";")[0].strip(" \t") for member in accept.lower().split(","))
    return media_type in members and quality(accept, media_type) > 0


def merge_vary(value: str | None, added: str) -> str:
    """The Vary of an answer that was chosen by the fields of both values (§12.5.5), each told once; `*` covers all."""
    members: dict[str, str] = {}
    for member in f"{value or ''},{added}".split(","):
        name = member.strip(" \t")
        if name:
            members.setdefault(name.lower(), name)
    return "*" if "*" in members else ", ".join(members.values())


def _weight(parameters: Sequence[str]) -> int | None:
    """The weight among the parameters in thousandths; 1000 without one ("If no "q" parameter is present, the default weight is
    1"); None if it is not a qvalue."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            return round(float(value) * 1000) if _QVALUE.fullmatch(value) else None
    return 1000
