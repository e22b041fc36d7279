"""The values of forms: application/x-www-form-urlencoded, as a query and as content, and the names of files.

WHATWG URL standard, "application/x-www-form-urlencoded parsing" and "serializing"; RFC 7578 §4.2 and §7 (what a file name may be used for).
"""

from __future__ import annotations

import re
import unicodedata
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote_plus

from netlodge.http.message import HttpError

URLENCODED: Final = "application/x-www-form-urlencoded"

FILE_NAME_SIZE: Final = 255
"""Octets of a file's name: what Linux, macOS and Windows take."""

SLICE: Final = 32 << 10
"""Octets that are decoded in one step, which keeps other threads waiting: a millisecond, if all is done to make it slow."""

_SEQUENCE: Final = re.compile(rb"&*+([^&]++|\Z)")
_ESCAPES: Final = re.compile(rb"(?:%[0-9A-Fa-f]{2})++")
_SPACES: Final = bytes.maketrans(b"+", b" ")
_DEVICES: Final = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\.|$)", re.IGNORECASE)
"""Names that Windows takes for a device, whatever their extension."""


def parse_urlencoded(octets: bytes, *, limit: int | None = None) -> list[tuple[str, str]]:
    """Names and values in order. Nothing is malformed: what is no escape stands for itself, what is no UTF-8 is replaced.

    Raises `HttpError` 413 if there are more than `limit` fields (`limits.form_fields`); then nothing was decoded.
    """
    # One by one: of a form that is nothing but separators no list is made.
    found = (match[1] for match in _SEQUENCE.finditer(octets.translate(_SPACES)) if match[1])
    sequences = list(islice(found, limit))
    if next(found, None) is not None:
        raise HttpError(413, f"The form has more than {limit} fields.", setting="limits.form_fields")
    pairs = []
    for sequence in sequences:
        name, _, value = sequence.partition(b"=")
        pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(octets: bytes) -> str:
    if len(octets) > SLICE:
        return decode_text(b"".join(map(_unescaped, _slices(octets))))
    return _unescaped(octets).decode("utf-8", "replace")


def decode_text(octets: bytes | bytearray) -> str:
    """The text of a field, of any length: what is no UTF-8 is replaced. In slices, between which other threads have their turn."""
    decoder = getincrementaldecoder("utf-8")("replace")
    with memoryview(octets) as view:
        text = [decoder.decode(view[at : at + SLICE]) for at in range(0, len(octets), SLICE)]
    return "".join((*text, decoder.decode(b"", final=True)))


def _slices(octets: bytes) -> Iterator[bytes]:
    """Slices of which none ends within an escape."""
    at = 0
    while at < len(octets):
        end = at + SLICE
        percent = octets.rfind(b"%", end - 2, end)
        if percent >= 0:
            end = percent
        yield octets[at:end]
        at = end


def _unescaped(octets: bytes) -> bytes:
    return _ESCAPES.sub(_unescape, octets) if b"%" in octets else octets


def _unescape(escapes: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escapes[0].translate(None, b"%").decode("ascii"))


def parse_query(query: str | None, *, limit: int | None = None) -> list[tuple[str, str]]:
    """The same for the query of a request target, one character for each octet; None is an empty one."""
    return parse_urlencoded(query.encode("latin-1"), limit=limit) if query else []


def serialize_urlencoded(pairs: Iterable[tuple[str, str]]) -> str:
    """What a browser makes of the fields of a form: fit for a query, and for content. A lone surrogate, which UTF-8 has not, becomes `?`."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)


def _encoded(text: str) -> str:
    # The standard's percent-encode set leaves `*-._` and the alphanumerics; `quote_plus` leaves the tilde, too.
    return quote_plus(text, safe="*", errors="replace").replace("~", "%7E")


def base_name(file_name: str) -> str:
    """The name of an uploaded file as one may show it, or offer it for saving; empty if nothing is left of it.

    RFC 7578 §4.2: the name "SHOULD NOT be used blindly": "do not use the file name as is", nor any folder in it. What is left has no slash or
    backslash, no control or formatting character (some turn the text around), none that Windows forbids, no dot or space at its ends,
    is no name of a device, and has at most `FILE_NAME_SIZE` octets in UTF-8, of which the extension is kept.
    """
    last = re.split(r"[/\\]", file_name)[-1]
    kept = "".join(
        c for c in last if c not in '<>:"|?*' and unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )
    name = kept.strip(". ")
    if _DEVICES.match(name):
        name = f"_{name}"
    if len(name.encode()) > FILE_NAME_SIZE:
        stem, dot, extension = name.rpartition(".")
        tail = f"{dot}{extension}" if stem and len(extension) <= 16 else ""
        room = FILE_NAME_SIZE - len(tail.encode())
        name = name.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + tail
    return name
