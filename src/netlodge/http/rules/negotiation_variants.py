"""The variants of a file: what their names say of them, and which of them a client is sent.

RFC 9110 §8.3.2 (charset), §8.4.1, §8.5.1, §12.1 (proactive negotiation), §12.4, §12.5 (the fields), §12.5.5 (Vary).

The idea is that of Apache's MultiViews: behind the first part of a name stand extensions in any order, and each says a language, a
charset, a coding or a media type. `page.en.html` and `page.html.fr` are variants of `page` and of `page.html`.

What is chosen: the variants are ranked, and the first is sent. A variant counts by

1. whether its language was asked for (filtering), or only follows from what was asked for (lookup), or it has none;
2. the product of its qualities: media type, language, charset;
3. how well its language fits what was asked for, the order of the field included; then the default language, then no language;
4. HTML before all else, since a page goes before what it loads;
5. its coding: the client's quality for it, then the order of `negotiation_codings.ORDER`;
6. its name, in order.

What any field makes unacceptable is out. A dimension in which all variants are alike is no choice: its field is not looked at, nothing
is refused for it, and Vary does not name it. That is what §12.4.1 allows ("disregard the header field by treating the response as if it
is not subject to content negotiation for that request header field").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from netlodge.http.message import Fields
from netlodge.http.rules.negotiation import MediaRanges, members_of
from netlodge.http.rules.negotiation_codings import BY_EXTENSION, ORDER, Codings
from netlodge.http.rules.negotiation_languages import NO_FIT, Fit, Languages, is_language

EXTENSIONS: Final = 8
"""Most extensions of one name that are looked at."""

_IANA: Final = (
    "UTF-8 UTF-16 UTF-16BE UTF-16LE UTF-32 US-ASCII KOI8-R KOI8-U Shift_JIS EUC-JP ISO-2022-JP EUC-KR ISO-2022-KR GB2312 GBK GB18030"
    " Big5 Big5-HKSCS TIS-620 VISCII macintosh windows-874"
)
_CHARSETS: Final[Mapping[str, str]] = {
    name.lower(): name
    for name in _IANA.split()
    + [f"ISO-8859-{part}" for part in range(1, 17) if part != 12]
    + [f"windows-125{part}" for part in range(9)]
} | {"utf8": "UTF-8", "ascii": "US-ASCII", "latin1": "ISO-8859-1", "sjis": "Shift_JIS"}
"""Charsets by the extension that says them: names that IANA has, and a few that people write."""

_CHARSET_PARAMETER: Final = re.compile(r'[ \t]*;[ \t]*charset=(?:"([^"]*)"|([^;\s]*))', re.IGNORECASE)

TypeOf = Callable[[str], str | None]
"""The media type (the value of Content-Type) that an extension in lower case stands for, if any."""


class Variant(NamedTuple):
    """What the name of a file says of its content."""

    name: str
    content_type: str
    language: str = ""
    """As it stands in the name; empty: none is said."""
    coding: str = ""

    @property
    def media_type(self) -> str:
        """Without its parameters."""
        return self.content_type.partition(";")[0].strip(" \t").lower()

    @property
    def charset(self) -> str:
        """In lower case; empty: none is said."""
        match = _CHARSET_PARAMETER.search(self.content_type)
        return (match[1] or match[2] or "").lower() if match else ""


def is_extension(text: str, type_of: TypeOf) -> bool:
    """Whether this part of a name says anything of the content."""
    text = text.lower()
    return text in BY_EXTENSION or text in _CHARSETS or type_of(text) is not None or is_language(text)


def split_name(name: str, type_of: TypeOf) -> tuple[str, tuple[str, ...]]:
    """The name that variants have in common, and the extensions that each of them must have: `page.html` is `page` with `html`, and
    `v1.2` is itself."""
    base, asked = name, list[str]()
    while len(asked) < EXTENSIONS:
        left, dot, extension = base.rpartition(".")
        if not left or not dot or not is_extension(extension, type_of):
            break
        base = left
        asked.append(extension.lower())
    return base, tuple(asked)


def read_variant(name: str, base: str, asked: Sequence[str], type_of: TypeOf, default_type: str) -> Variant | None:
    """The variant of `base` that a file is by its name; None if it is none, or lacks an extension that is asked for.

    An extension may be a media type and a language as well: `pl` is Perl and Polish, `cs` C# and Czech. It is the language where another
    extension says the media type, as in `page.pl.html`; alone, or behind another of its kind, it is the type.
    """
    parts = name[len(base) + 1 :].split(".") if name != base else []
    if not name.startswith(base) or name[len(base) : len(base) + 1] not in ("", ".") or len(parts) > EXTENSIONS:
        return None
    left = [part.lower() for part in parts]
    for extension in asked:
        if extension not in left:
            return None
        left.remove(extension)
    said: dict[str, list[str]] = {"type": [], "either": [], "language": [], "charset": [], "coding": []}
    for part in parts:
        kind = _kind_of(part, type_of)
        if kind is None:
            return None
        said[kind].append(part)
    if not said["type"] and said["either"]:
        said["type"].append(said["either"].pop())
    said["language"] += said["either"]
    if any(len(said[kind]) > 1 for kind in ("type", "language", "charset", "coding")):
        return None
    content_type = type_of(said["type"][0].lower()) if said["type"] else None
    if said["charset"]:
        charset = _CHARSETS[said["charset"][0].lower()]
        content_type = f"{_CHARSET_PARAMETER.sub('', content_type or default_type)}; charset={charset}"
    coding = BY_EXTENSION[said["coding"][0].lower()] if said["coding"] else ""
    if coding and content_type is None:
        return None  # a compressed file, and not another form of one that is not
    return Variant(name, content_type or default_type, "".join(said["language"]), coding)


def _kind_of(part: str, type_of: TypeOf) -> str | None:
    text = part.lower()
    if text in BY_EXTENSION:
        return "coding"
    if text in _CHARSETS:
        return "charset"
    if type_of(text) is not None:
        return "either" if is_language(text) else "type"
    return "language" if is_language(text) else None


class Dimensions(NamedTuple):
    """In what the variants of one file differ."""

    media_type: bool
    charset: bool
    coding: bool
    language: bool

    @classmethod
    def of(cls, variants: Iterable[Variant]) -> Dimensions:
        variants = list(variants)
        return cls(
            len({variant.media_type for variant in variants}) > 1,
            # Images have none, and are no reason to ask which one is read.
            len({variant.charset for variant in variants} - {""}) > 1,
            any(variant.coding for variant in variants),
            len({variant.language.lower() for variant in variants}) > 1,
        )

    @property
    def vary(self) -> str:
        """The value of Vary; empty if there is nothing to choose."""
        fields = ("accept", "accept-charset", "accept-encoding", "accept-language")
        return ", ".join(name for name, differs in zip(fields, self, strict=True) if differs)


class Wishes:
    """What one request says of the dimensions that are looked at."""

    __slots__ = ("_charsets", "_codings", "_languages", "_of_type")

    def __init__(self, fields: Fields, dimensions: Dimensions) -> None:
        # Many variants have few types.
        self._of_type = cache(MediaRanges(fields.get("accept") if dimensions.media_type else None).quality)
        self._charsets = _charsets(fields.get("accept-charset") if dimensions.charset else None)
        self._codings = Codings(fields.get("accept-encoding")) if dimensions.coding else None
        self._languages = Languages(fields.get("accept-language")) if dimensions.language else None

    def choose(self, variants: Sequence[Variant], default_language: str = "") -> Variant | None:
        """The variant to send; None if none is acceptable, and none of those in the default language is but for its language."""
        default = default_language.lower()
        ranked = [(rank, variant) for variant in variants if (rank := self._rank(variant, default)) is not None]
        if not ranked and default:
            self._languages = None
            ranked = [
                (rank, variant)
                for variant in variants
                if variant.language.lower() == default and (rank := self._rank(variant, default)) is not None
            ]
        # Of equals the first name.
        return min(ranked, key=lambda each: (tuple(-part for part in each[0]), each[1].name))[1] if ranked else None

    def _rank(self, variant: Variant, default: str) -> tuple[int, ...] | None:
        """How good a variant is for the client, in the order of the module's list; None: not acceptable."""
        coding = 1000 if self._codings is None else self._codings.quality(variant.coding)
        charset = variant.charset
        quality = self._of_type(variant.content_type)
        if charset:
            quality *= self._charsets.get(charset, self._charsets.get("*", 0))
        else:
            quality *= 1000
        tier, weight, fit = self._language(variant.language)
        if not coding or not quality or not weight:
            return None
        return (
            tier,
            quality * weight,
            *fit,
            variant.language.lower() == default,
            not variant.language,
            variant.media_type == "text/html",
            coding,
            -ORDER.index(variant.coding) if variant.coding in ORDER else -len(ORDER),
        )

    def _language(self, tag: str) -> tuple[int, int, Fit]:
        """Tier, quality in thousandths, and how well it fits."""
        if self._languages is None:
            return 2, 1000, NO_FIT
        weight = self._languages.quality(tag)
        fit = self._languages.fallback(tag)
        if weight is not None and (weight or tag):
            return 2, weight, fit
        if fit.quality:
            return 1, fit.quality, fit
        # What is in no language is for those whom nothing else suits.
        return 0, 0 if tag else 1000, fit


def _charsets(value: str | None) -> dict[str, int]:
    """Quality in thousandths by charset. §12.5.2: "*" "matches every charset that is not mentioned elsewhere in the field"."""
    weights: dict[str, int] = {}
    for member in members_of("*" if value is None else value):
        if not member.parameters:
            weights.setdefault(member.item, member.weight)
    return weights
