"""Range requests: which bytes were asked for, and how they go out.

RFC 9110 §14.1 (units and specifiers), §14.2 (Range), §14.4 (Content-Range), §14.6 (multipart/byteranges), §15.3.7 (206), §17.15
(ranges as an attack).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

DEFAULT_LIMIT: Final = 100
"""`limits.ranges`: range-specs honoured in one request; 0: none. Apache httpd has `MaxRanges 200` for the same reason; browsers
and PDF readers ask for fewer than ten."""

_INT_RANGE: Final = re.compile(r"([0-9]+)-([0-9]*)")
_SUFFIX_RANGE: Final = re.compile(r"-([0-9]+)")
_BEYOND: Final = 10**20
"""Past every file: stands for positions too long to be worth reading."""


class Span(NamedTuple):
    """`size` octets from `offset`."""

    offset: int
    size: int

    @property
    def last(self) -> int:
        return self.offset + self.size - 1


def select_spans(value: str, length: int, *, limit: int = DEFAULT_LIMIT) -> tuple[Span, ...] | None:
    """Decide which bytes of a representation of `length` octets a Range field asks for.

    Returns None if the field is to be ignored (another unit, invalid, more than `limit` range-specs, or nothing to take ranges
    of), an empty tuple if it is unsatisfiable (416), else the spans in the order of asking, clipped to the representation, with
    overlapping and adjoining ones made one. RFC 9110 §14.1.1, §14.1.2, §14.2.
    """
    unit, equals, range_set = value.partition("=")
    # "An origin server MUST ignore a Range header field that contains a range unit it does not understand." Names of units are
    # case-insensitive.
    if not equals or unit.lower() != "bytes":
        return None
    # "A server that supports range requests MAY ignore a Range header field when the selected representation has no content".
    if length == 0:
        return None
    # §17.15: "Servers ought to ignore, coalesce, or reject egregious range requests". Too many are ignored unread, overlapping
    # ones coalesced below.
    if range_set.count(",") >= limit:
        return None
    specs = [spec for part in range_set.split(",") if (spec := part.strip(" \t"))]
    if not specs:
        return None
    spans: list[Span] = []
    for spec in specs:
        span = _read_spec(spec, length)
        if span is None:
            # "A ranges-specifier is invalid if it contains any range-spec that is invalid or undefined"; "MAY ignore".
            return None
        if span.size:
            spans.append(span)
    return coalesce(spans)


def _read_spec(spec: str, length: int) -> Span | None:
    """One range-spec, clipped to the representation; an empty span if it is unsatisfiable, None if it is invalid."""
    if match := _INT_RANGE.fullmatch(spec):
        first = _position(match[1])
        last = _position(match[2]) if match[2] else _BEYOND
        if last < first:
            return None
        # "if the value is greater than or equal to the current length [...] the server replaces the value of last-pos".
        return Span(first, max(0, min(last, length - 1) - first + 1))
    if match := _SUFFIX_RANGE.fullmatch(spec):
        # "If the selected representation is shorter than the specified suffix-length, the entire representation is used."
        size = min(_position(match[1]), length)
        return Span(length - size, size)
    return None


def _position(digits: str) -> int:
    """ "recipients MUST anticipate potentially large decimal numerals and prevent parsing errors due to integer conversion
    overflows" """
    significant = digits.lstrip("0")
    return _BEYOND if len(significant) > 20 else int(significant or "0")


def coalesce(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Make one of all spans that overlap or adjoin, each in the place of its first member (RFC 9110 §15.3.7.2): "A server that
    generates a multipart response SHOULD send the parts in the same order that the corresponding range-spec appeared [...]
    excluding those ranges [...] that were coalesced into other ranges." """
    if len(spans) < 2:
        return tuple(spans)
    merged: list[tuple[int, int, int]] = []  # place in the request, offset, end
    for place, (offset, size) in sorted(enumerate(spans), key=lambda item: item[1]):
        if merged and offset <= merged[-1][2]:
            first_place, start, end = merged[-1]
            merged[-1] = (min(first_place, place), start, max(end, offset + size))
        else:
            merged.append((place, offset, offset + size))
    return tuple(Span(start, end - start) for _, start, end in sorted(merged))


def content_range(span: Span, length: int) -> str:
    """The Content-Range of one part (RFC 9110 §14.4)."""
    return f"bytes {span.offset}-{span.last}/{length}"


def unsatisfied_range(length: int) -> str:
    """The Content-Range of a 416 (RFC 9110 §14.4)."""
    return f"bytes */{length}"


def boundary(secret: bytes, version: str, spans: Sequence[Span]) -> str:
    """A boundary for these spans of this version: always the same for the same answer, and not to be guessed by whoever wrote
    the content, so that no content can contain it on purpose. `secret` has at most 64 octets."""
    told = repr((version, [tuple(span) for span in spans])).encode()
    return blake2b(told, digest_size=15, key=secret).hexdigest()


def multipart_parts(
    spans: Sequence[Span], length: int, *, content_type: str, boundary: str
) -> list[bytes | tuple[int, int]]:
    """The content of a multipart/byteranges answer as literal bytes and `(offset, count)` spans of the representation, in order.

    "Within the header area of each body part in the multipart content, the server MUST generate a Content-Range header field
    [...] the server SHOULD generate that same Content-Type header field". RFC 9110 §14.6, §15.3.7.2.
    """
    parts: list[bytes | tuple[int, int]] = []
    opening = f"--{boundary}"
    for span in spans:
        head = f"{opening}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range(span, length)}\r\n\r\n"
        parts.append(head.encode("latin-1"))
        parts.append((span.offset, span.size))
        opening = f"\r\n--{boundary}"
    parts.append(f"{opening}--\r\n".encode("latin-1"))
    return parts
