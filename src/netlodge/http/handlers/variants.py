"""What stands beside a file and may be sent in its place: variants in other languages, types and charsets, and what was compressed before.

RFC 9110 §8.4 (Content-Encoding), §8.5 (Content-Language), §8.7 (Content-Location), §12.1 (proactive negotiation), §12.5.5 (Vary), §15.5.7
(406). Which of them is chosen is decided in `rules/negotiation_variants`; here they are found.

The names in a folder are read once, and again when the folder's own signature has changed: names that come and go move it. So an answer
that was chosen among variants holds for as long as the folder and the chosen file are what they were. A folder that has just changed may
change again without a trace, as a file may (`file_versions`): what is found in it is promised to nobody.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import Final, NamedTuple

from netlodge.core.contracts import Clock
from netlodge.http.handlers.file_versions import Conditions, Pairs, Signature, is_fresh, regular_status, signature_of
from netlodge.http.handlers.root import Root
from netlodge.http.message import Fields, Request, Response
from netlodge.http.rules.media_types import MediaTypes
from netlodge.http.rules.negotiation import merge_vary, prefer
from netlodge.http.rules.negotiation_codings import BY_EXTENSION, ORDER
from netlodge.http.rules.negotiation_variants import Dimensions, Variant, Wishes, read_variant, split_name
from netlodge.http.rules.paths import encode_segment

NAMES_AT_ONCE: Final = 2_000
"""Names of a folder that are read at once, in about a millisecond. A larger folder is read in a thread."""
FOLDER_NAMES: Final = 100_000
"""Names of a folder that are read at all: variants beyond them are not found."""
KEPT_NAMES: Final = 200_000
"""Names that are kept of all folders, for which about 20 MiB are needed. The folder that was not used for longest goes first."""

_SIBLINGS: Final = tuple(
    (extension, coding) for coding in ORDER for extension, each in BY_EXTENSION.items() if each == coding
)


class Pick(NamedTuple):
    """The file to send."""

    place: bytes
    content_type: str
    fields: Pairs
    """Beside its type: what it is, and what it was chosen by."""
    conditions: Conditions
    """What it was chosen under."""


class NotAcceptable(NamedTuple):
    """No variant suits the client."""

    variants: tuple[Variant, ...]
    vary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSettings:
    """What is looked for beside a file."""

    variants: bool = False
    precompressed: bool = False
    language: str = ""
    """The language of those for whom none is acceptable; empty: they get 406."""
    count: int = 100
    """`limits.variant_count`: variants of one file that are looked at."""


class Alternatives:
    """Finds what may be sent in the place of a file, and chooses."""

    __slots__ = ("_clock", "_folders", "_media_types", "_settings")

    def __init__(self, root: Root, settings: VariantSettings, *, media_types: MediaTypes, clock: Clock) -> None:
        self._settings = settings
        self._media_types = media_types
        self._clock = clock
        self._folders = Folders(root, clock)

    async def choose(
        self, asked: Fields, place: bytes, unreadable: Container[bytes] = (), *, is_named: bool = False
    ) -> Pick | NotAcceptable | None:
        """What to send to a request with these fields for the file at `place`, whether it is there or not. None: there is nothing.

        The files at `unreadable` are left out; with `is_named` those of other names, too, but for the compressed ones. Raises `OSError`
        if the file is there and its folder cannot be looked at.
        """
        folder, _, octets = place.rpartition(b"/")
        name = octets.decode("utf-8")
        status = regular_status(place)
        has_variants = self._settings.variants and not is_named
        try:
            if has_variants:
                there = await self._folders.read(folder or b"/")
            elif status is None:
                return None
            else:
                there = Folder.unread(os.stat(folder or b"/"), self._clock)
        except OSError:
            if status is None:
                return None
            raise
        found = self._variants_of(there, name) if has_variants else {}
        if status is not None:
            found |= self._file_itself(folder, name, has_variants=has_variants)
        found = {each: found[each] for each in found if _join(folder, each) not in unreadable}
        return self._choose(asked, folder, name, there, found)

    def _variants_of(self, folder: Folder, name: str) -> dict[str, Variant]:
        """By their names in order, at most `count`. A name that says a coding asks for the compressed file as such."""
        base, extensions = split_name(name, self._media_types.of_extension)
        if not BY_EXTENSION.keys().isdisjoint(extensions):
            return {}
        default_type = self._media_types.of(base)
        found: dict[str, Variant] = {}
        for each in folder.names.get(base.partition(".")[0], ()):
            if len(found) == self._settings.count:
                break
            variant = read_variant(each, base, extensions, self._media_types.of_extension, default_type)
            if variant is not None:
                found[each] = variant
        return found

    def _file_itself(self, folder: bytes, name: str, *, has_variants: bool) -> dict[str, Variant]:
        """The file of the very name, and those beside it that have its name and the extension of a coding."""
        variant = Variant(name, self._media_types.of(name))
        if has_variants:
            base, extensions = split_name(name, self._media_types.of_extension)
            told = read_variant(name, base, extensions, self._media_types.of_extension, variant.content_type)
            # What is asked for as a compressed file is one, and not the form of another.
            if told is not None and not told.coding and len(extensions) > 1:
                variant = told
        found = {name: variant}
        for extension, coding in _SIBLINGS if self._settings.precompressed else ():
            sibling = f"{name}.{extension}"
            if regular_status(_join(folder, sibling)) is not None:
                found[sibling] = variant._replace(name=sibling, coding=coding)
        return found

    def _choose(
        self, asked: Fields, folder: bytes, name: str, there: Folder, found: dict[str, Variant]
    ) -> Pick | NotAcceptable | None:
        dimensions = Dimensions.of(found.values())
        wishes = Wishes(asked, dimensions)
        by_plain_name = {_plain_name(variant): variant for variant in found.values() if not variant.coding}
        left = dict(found)
        passed_over: list[bytes] = []
        unchanged: list[tuple[bytes, Signature]] = [(folder or b"/", there.signature)]
        is_settled = there.is_settled
        while left:
            chosen = wishes.choose(tuple(left.values()), self._settings.language)
            if chosen is None:
                return NotAcceptable(tuple(left.values()), dimensions.vary)
            place = _join(folder, chosen.name)
            status = regular_status(place)
            if status is None:
                passed_over.append(place)
                del left[chosen.name]
                continue
            original = by_plain_name.get(_plain_name(chosen)) if chosen.coding else None
            original_status = regular_status(_join(folder, original.name)) if original is not None else None
            if original is not None and original_status is not None:
                unchanged.append((_join(folder, original.name), signature_of(original_status)))
                is_settled = is_settled and not is_fresh(original_status, self._clock.time())
                if status.st_mtime_ns < original_status.st_mtime_ns:
                    # Made of what the file was before: nobody asked for that.
                    unchanged.append((place, signature_of(status)))
                    is_settled = is_settled and not is_fresh(status, self._clock.time())
                    del left[chosen.name]
                    continue
            fields = _fields_of(chosen, name, dimensions.vary)
            conditions = Conditions(passed_over=tuple(passed_over), unchanged=tuple(unchanged), are_settled=is_settled)
            return Pick(place, chosen.content_type, fields, conditions)
        return None


def not_acceptable(request: Request, refused: NotAcceptable) -> Response:
    """406: "The server SHOULD generate content containing a list of available representation characteristics and corresponding resource
    identifiers" (§15.5.7). As plain text, or as HTML if the client likes that better."""
    kind = prefer(request.fields.get("accept"), ("text/plain", "text/html")) or "text/plain"
    lines = []
    links = []
    for variant in sorted(refused.variants):
        told = ", ".join(filter(None, (variant.content_type, variant.language, variant.coding)))
        link = _link(_plain_name(variant))
        lines.append(f"{link}  {told}")
        links.append(f'<li><a href="{escape(link)}">{escape(_plain_name(variant))}</a> {escape(told)}</li>')
    title = "406 Not Acceptable"
    reason = "What is here comes in none of the forms that the request accepts. These are the forms that there are:"
    if kind == "text/html":
        items = "\n".join(dict.fromkeys(links))
        text = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n<h1>{title}</h1>\n'
        text += f"<p>{reason}</p>\n<ul>\n{items}\n</ul>\n</html>\n"
    else:
        text = "\n".join([title, reason, "", *lines]) + "\n"
    fields = Fields([("content-type", f"{kind}; charset=utf-8"), ("vary", merge_vary(refused.vary, "accept"))])
    return Response(406, fields, text.encode("utf-8"))


def _fields_of(chosen: Variant, name: str, vary: str) -> Pairs:
    fields = []
    if chosen.language:
        fields.append(("content-language", chosen.language))
    if chosen.coding:
        fields.append(("content-encoding", chosen.coding))
    if (plain := _plain_name(chosen)) != name:
        # Without the extension of its coding: under that name the compressed file is a file of its own.
        fields.append(("content-location", _link(plain)))
    if vary:
        fields.append(("vary", vary))
    return tuple(fields)


def _plain_name(variant: Variant) -> str:
    """The name without the extension of its coding."""
    if not variant.coding:
        return variant.name
    first, *extensions = variant.name.split(".")
    kept = (each for each in extensions if BY_EXTENSION.get(each.lower()) != variant.coding)
    return ".".join((first, *kept))


def _link(name: str) -> str:
    """A reference to a file of the same folder. A colon in its first segment would make a scheme of it (RFC 3986 §4.2)."""
    segment = encode_segment(name)
    return f"./{segment}" if ":" in segment else segment


def _join(folder: bytes, name: str) -> bytes:
    return folder + b"/" + name.encode()


# --- Folders ----------------------------------------------------------------------------------------------------------


class Folder(NamedTuple):
    """The names in a folder at one moment."""

    signature: Signature
    is_settled: bool
    """Whether a change will show in the signature."""
    names: Mapping[str, tuple[str, ...]]
    """Those that have an extension, in order, by what stands before their first dot."""
    size: int
    """How many names there are."""

    @classmethod
    def unread(cls, status: os.stat_result, clock: Clock) -> Folder:
        """A folder whose names play no part."""
        return cls(signature_of(status), not is_fresh(status, clock.time()), {}, 0)


class Folders:
    """Reads the names in folders below a root, and keeps them for as long as the folder is what it was."""

    __slots__ = ("_clock", "_kept", "_room", "_root")

    def __init__(self, root: Root, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._kept: OrderedDict[bytes, Folder] = OrderedDict()
        self._room = KEPT_NAMES

    async def read(self, path: bytes) -> Folder:
        """The names in a folder now; none of one that may be passed through but not read. Raises like `Root.open_directory`."""
        kept = self._kept.get(path)
        if kept is not None and kept.signature == signature_of(os.stat(path)):
            self._kept.move_to_end(path)
            return kept
        try:
            folder = self._scan(path, NAMES_AT_ONCE)
        except PermissionError:
            return Folder.unread(os.stat(path), self._clock)
        if folder.size > NAMES_AT_ONCE:
            folder = await asyncio.to_thread(self._scan, path, FOLDER_NAMES)
        self._drop(path)
        if folder.is_settled:
            self._kept[path] = folder
            self._room -= folder.size
            while self._room < 0 and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))
        return folder

    def _drop(self, path: bytes) -> None:
        folder = self._kept.pop(path, None)
        if folder is not None:
            self._room += folder.size

    def _scan(self, path: bytes, most: int) -> Folder:
        """With the first `most` of its names; its count is larger if it has more."""
        descriptor = self._root.open_directory(path)
        try:
            before = os.fstat(descriptor)
            settled = not is_fresh(before, self._clock.time())
            with os.scandir(descriptor) as entries:
                names = _served(islice(entries, most))
                is_whole = next(entries, None) is None
            settled = settled and signature_of(os.fstat(descriptor)) == signature_of(before)
        finally:
            os.close(descriptor)
        by_first: dict[str, list[str]] = {}
        for name in sorted(names):
            by_first.setdefault(name.partition(".")[0], []).append(name)
        tuples = {first: tuple(together) for first, together in by_first.items()}
        return Folder(signature_of(before), settled, tuples, len(names) if is_whole else most + 1)


def _served(entries: Iterable[os.DirEntry[str]]) -> list[str]:
    """The names that could be variants: with an extension, not hidden, in UTF-8, and not of folders (links are looked at when chosen)."""
    names = []
    for entry in entries:
        name = entry.name
        if "." in name[1:] and name[0] != "." and name.isprintable() and not entry.is_dir(follow_symlinks=False):
            try:
                name.encode("utf-8")
            except UnicodeEncodeError:
                continue
            names.append(name)
    return names
