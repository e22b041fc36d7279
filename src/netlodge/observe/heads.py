"""Recorded heads taken apart for display: leniently, because what was refused is what one wants to see.

This is no parser of RFC 9112: the wire has that, and decides. Here any octets give lines and, where a line has a colon, a field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from netlodge.core.records import HttpRecord

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and fields in order, names as on the wire; text is octets as ISO-8859-1."""

    start_line: str
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """The first value of the field (name in lower case), or nothing."""
        return next((value for field_name, value in self.fields if field_name.lower() == name), "")

    def get_all(self, name: str) -> list[str]:
        return [value for field_name, value in self.fields if field_name.lower() == name]


def parse_head(octets: bytes) -> Head:
    """Take a head apart. A line that begins with a space goes on with the one before (obs-fold, RFC 9112 §5.2); a line
    without a colon is a field without a value."""
    start_line, *lines = _LINE_END.split(octets.decode("latin-1"))
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {line.strip()}".strip())
        elif line:
            name, _, value = line.partition(":")
            fields.append((name.strip(" \t"), value.strip(" \t")))
    return Head(start_line, tuple(fields))


def target_uri(record: HttpRecord) -> str:
    """The URI that the request was for (RFC 9110 §7.1), as far as the record tells; CONNECT has an authority only."""
    target = record.target
    if record.method == "CONNECT" or "://" in target.partition("?")[0]:
        return target
    authority = parse_head(record.request_head).get("host") or record.host
    return f"{record.scheme}://{authority}{'' if target == '*' else target}"
