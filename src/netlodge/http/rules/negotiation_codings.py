"""Content codings: which of them a client takes, by Accept-Encoding.

RFC 9110 §8.4.1 (content codings), §8.4.1.3 (`x-gzip`), §12.5.3 (Accept-Encoding).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from netlodge.http.rules.negotiation import members_of

IDENTITY: Final = ""
"""No coding: how it is called here, as nothing is said of it in an answer. In Accept-Encoding it is `identity`."""

ORDER: Final = ("br", "zstd", "gzip")
"""The codings that are offered, those that a client likes alike in this order: the smallest result first."""

BY_EXTENSION: Final[Mapping[str, str]] = {"br": "br", "zst": "zstd", "gz": "gzip", "z": "compress"}
"""Extensions of file names, in lower case, that stand for a coding."""

_ALIASES: Final[Mapping[str, str]] = {"x-gzip": "gzip", "x-compress": "compress"}
"""§8.4.1.1, §8.4.1.3: a recipient "SHOULD consider "x-gzip" to be equivalent to "gzip"."""

_LEAST: Final = 1


class Codings:
    """What one Accept-Encoding value (None: there is none) says of each coding."""

    __slots__ = ("_is_silent", "_weights")

    def __init__(self, value: str | None) -> None:
        self._is_silent = value is None
        self._weights: dict[str, int] = {}
        for member in members_of(value or ""):
            if not member.parameters:
                self._weights.setdefault(_ALIASES.get(member.item, member.item), member.weight)

    def quality(self, coding: str) -> int:
        """In thousandths; 0: not acceptable.

        "If no Accept-Encoding header field is in the request, any content coding is considered acceptable": but a client that says
        nothing mostly knows none, so then everything is the least that is acceptable but `IDENTITY`. To one that says something, no
        coding "is acceptable by default unless specifically excluded", and it is the least.
        """
        if self._is_silent:
            return _LEAST if coding else 1000
        if coding:
            return self._weights.get(coding, self._weights.get("*", 0))
        return self._weights.get("identity", self._weights.get("*", _LEAST))

    @property
    def refuse_identity(self) -> bool:
        """Whether what is not encoded is not acceptable: "either "identity;q=0" or "*;q=0" without a more specific entry"."""
        return self.quality(IDENTITY) == 0

    def choose(self, offers: Sequence[str] = ORDER) -> str | None:
        """The best of `offers` and `IDENTITY`: "the acceptable content coding with the highest non-zero qvalue is preferred"; of equals
        the first, a coding before none. None: nothing is acceptable."""
        best = max((*offers, IDENTITY), key=self.quality)
        return best if self.quality(best) else None
