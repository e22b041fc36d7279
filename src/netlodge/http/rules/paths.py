"""From the path of a target URI to names that are safe to hand to a file system, and back to a path that is safe in a Location.

RFC 3986 §2.1 (percent-encoding), §3.3 (segments), §5.2.4 (dot segments), §6.2.2 (equivalence), RFC 8615 §3 (`.well-known`),
RFC 3629 §3 (UTF-8).

A path is decoded exactly once, segment by segment, after it was split: an encoded slash never becomes a separator. Dot segments
are refused rather than resolved: clients resolve them before they send (RFC 3986 §5.2.4 is theirs to do), so that what arrives
with one means to climb, and any two parties on the way that resolve differently would disagree about what was allowed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from netlodge.http.message import HttpError

_MALFORMED_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile("%([0-9A-Fa-f]{2})")
_SLASHES: Final = re.compile("//+")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE: Final = "/%:@!$&'()*+,;=~-._"
_QUERY_SAFE: Final = _PATH_SAFE + "?"
WELL_KNOWN: Final = ".well-known"
UNFINISHED: Final = ".netlodge-upload-"
"""Begins the names of files that are on their way: never served, never listed, never taken from a client."""


class FilePath(NamedTuple):
    """A path below a root, decoded: names that hold no slash, no NUL, no backslash and are neither empty nor `.` nor `..`."""

    segments: tuple[str, ...]
    is_directory: bool
    """The path ended with a slash (or is the root)."""


def file_path(path: str, *, may_hide: bool = False) -> FilePath:
    """Decode a path (leading `/`, still percent-encoded, one character per octet) into the names of a file below a root.

    Raises `HttpError`: 400 for a malformed escape, NUL, backslash, dot segment, or octets that are not UTF-8 (overlong forms and
    surrogates are not, RFC 3629 §3); 404 for an empty segment, an encoded slash (no file has such a name), a name of an unfinished
    file, and, unless `may_hide`, for a hidden name: one that begins with a dot, save a first segment `.well-known` (RFC 8615 §3).
    """
    if _MALFORMED_ESCAPE.search(path):
        raise HttpError(400, "The path holds a percent sign that is not followed by two hexadecimal digits.")
    raw = path[1:].split("/")
    is_directory = raw[-1] == ""
    if is_directory:
        raw.pop()
    segments = tuple(_decode(segment) for segment in raw)
    for place, segment in enumerate(segments):
        if segment.startswith(UNFINISHED if may_hide else ".") and not (place == 0 and segment == WELL_KNOWN):
            raise HttpError(404, "There is nothing at this path.")
    return FilePath(segments, is_directory)


def _decode(segment: str) -> str:
    octets = unquote_to_bytes(segment.encode("latin-1"))
    if b"\0" in octets or b"\\" in octets:
        raise HttpError(400, "The path holds a NUL or a backslash.")
    if octets in (b".", b".."):
        raise HttpError(400, "The path holds a dot segment, which a client resolves before it asks.")
    if not octets or b"/" in octets:
        raise HttpError(404, "There is nothing at this path.")
    try:
        return octets.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise HttpError(400, "The path is not UTF-8.") from None


def normal_form(path: str) -> str:
    """The path in the form in which two equivalent ones are equal: escapes of unreserved characters decoded, the digits of
    others in capitals (RFC 3986 §6.2.2.1, §6.2.2.2). Nothing else changes. Raises `HttpError` 400 for a malformed escape."""
    if "%" not in path:
        return path
    if _MALFORMED_ESCAPE.search(path):
        raise HttpError(400, "The path holds a percent sign that is not followed by two hexadecimal digits.")
    return _ESCAPE.sub(_normal_escape, path)


def _normal_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def has_dot_segment(path: str) -> bool:
    """Whether a path in normal form has a segment `.` or `..`."""
    return "/." in path and any(segment in (".", "..") for segment in path.split("/"))


def merge_slashes(path: str) -> str:
    """The path with each run of slashes made one."""
    return _SLASHES.sub("/", path)


def reference(path: str, query: str | None = None) -> str:
    """A Location for a path of this same server (RFC 9110 §10.2.2).

    It begins with exactly one slash, because `//name` names another host, and holds neither backslashes (some clients take `/\\`
    for `//`) nor anything else that a URI may not hold (RFC 3986 §3.3). Already encoded characters stay as they are.
    """
    location = "/" + quote(path.lstrip("/"), safe=_PATH_SAFE, encoding="latin-1")
    return location if query is None else f"{location}?{quote(query, safe=_QUERY_SAFE, encoding='latin-1')}"


def encode_segment(name: str) -> str:
    """A name, percent-encoded to stand as one segment of a path (RFC 3986 §3.3)."""
    return quote(name, safe="!$&'()*+,;=:@")


def encode_path(path: str) -> str:
    """A path from the settings, as a person writes it (any characters, some perhaps encoded), in normal form. A percent sign that
    begins no escape stands for itself."""
    return normal_form(_MALFORMED_ESCAPE.sub("%25", quote(path, safe=_PATH_SAFE)))
