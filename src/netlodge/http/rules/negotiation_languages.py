"""Natural languages: which of them a client's user reads, by Accept-Language.

RFC 9110 §8.5.1 (language tags), §12.5.4 (Accept-Language); RFC 4647 §2.1 (ranges), §3.3.1 (basic filtering), §3.4 (lookup); RFC 5646 §2.1
(the form of a tag).

Both schemes are used, one after the other. Basic filtering is what HTTP always had: the range `de` takes `de-AT`, and the longest range
that matches has the say. It leaves those with nothing whose browser says `de-AT` alone, where there is only `de`. So what no range
matches is looked up as §3.4 has it, from the end of the range: `de-AT`, then `de`. That is a fallback, never more than it: any variant
that filtering finds goes before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from netlodge.http.rules.negotiation import MEMBERS, members_of

_TAG: Final = re.compile(
    r"(?P<language>[a-z]{2,3})(?P<more>(?:-[a-z]{3}){0,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?)",
    re.IGNORECASE,
)
_RANGE: Final = re.compile(r"[a-z]{1,8}(?:-[a-z0-9]{1,8}){0,15}")
"""RFC 4647 §2.1, in lower case. It sets no bound; no tag that is in use has more than a few subtags."""

_TWO_LETTERS: Final = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et eu"
    " fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it iu iw ja ji jv ka kg ki kj kk"
    " kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng nl nn no nr nv ny oc"
    " oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn"
    " to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
"""ISO 639-1, with the codes that it took back and that are still met."""
_THREE_LETTERS: Final = (
    "ast ceb chr ckb cmn csb dsb fil frr fur gsw haw hmn hsb kab kok lmo lzh mai mni nah nap nds nso pap pcm rom sco scn"
    " sma smj smn sms sah szl vec wuu yue zgh"
)
_LANGUAGES: Final = frozenset([*_TWO_LETTERS.split(), *_THREE_LETTERS.split()])
"""Primary subtags that a bare extension may be: any three letters are a well-formed tag, `page.min.js` and `page.old.html` too."""


def is_language(text: str) -> bool:
    """Whether a part of a file's name is a language tag: well-formed by RFC 5646 §2.1, and its first subtag a language in which there are
    sites, unless others follow it (`min` is none, `min-ID` is one)."""
    match = _TAG.fullmatch(text)
    return match is not None and (bool(match["more"]) or text.lower() in _LANGUAGES)


class Fit(NamedTuple):
    """How well a tag fits what is left of a range. The better one is the larger: §12.5.4 lets the order in the field break ties."""

    quality: int
    """In thousandths."""
    place: int
    """Of the range in the field, below zero."""
    length: int
    """Of what was left of the range."""


NO_FIT: Final = Fit(0, -MEMBERS, 0)


class Languages:
    """What one Accept-Language value (None: there is none) says of language tags."""

    __slots__ = ("_filters", "_lookups", "_others")

    def __init__(self, value: str | None) -> None:
        self._filters: dict[str, int] = {}
        self._lookups: dict[str, Fit] = {}
        self._others: int | None = 1000 if value is None else None
        for place, language_range in enumerate(members_of(value or "")):
            item, weight = language_range.item, language_range.weight
            if language_range.parameters:
                continue
            if item == "*":
                self._others = weight if self._others is None else self._others
            elif _RANGE.fullmatch(item):
                self._filters.setdefault(item, weight)
                for left in _truncations(item) if weight else ():
                    self._lookups[left] = max(self._lookups.get(left, NO_FIT), Fit(weight, -place, len(left)))

    def quality(self, tag: str) -> int | None:
        """The quality in thousandths that the longest range that matches gives to a tag, by basic filtering; 0: not acceptable; None: no
        range matches.

        RFC 4647 §3.3.1: "A language range matches a particular language tag if, in a case-insensitive comparison, it exactly equals the
        tag, or if it exactly equals a prefix of the tag such that the first character following the prefix is "-"." `*` matches what no
        other range does. An empty tag stands for no language, so only `*` matches it.
        """
        for prefix in _prefixes(tag.lower()):
            if prefix in self._filters:
                return self._filters[prefix]
        return self._others

    def fallback(self, tag: str) -> Fit:
        """How well a tag fits a range that is made shorter from its end; `NO_FIT` if nothing of any range fits.

        RFC 4647 §3.4: "the language range is progressively truncated from the end until a matching language tag is located". What is
        left then matches as in filtering: who asks for `en-GB` gets `en-US` where there is no other English. `*` is passed over.
        """
        return max((self._lookups.get(prefix, NO_FIT) for prefix in _prefixes(tag.lower())), default=NO_FIT)


def _prefixes(tag: str) -> Iterator[str]:
    """A tag, and what it begins with up to each of its hyphens, the longest first."""
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def _truncations(language_range: str) -> Iterator[str]:
    """A range, and what is left of it from step to step. RFC 4647 §3.4: "if any single letter [...] subtag is at the end, it is removed
    at the same time"."""
    for left in _prefixes(language_range):
        if left == language_range or left[-2:-1] != "-":
            yield left
