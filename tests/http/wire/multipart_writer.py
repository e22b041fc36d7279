"""Writes forms as browsers do (HTML standard, "multipart/form-data encoding algorithm"), for whoever reads them to be tested."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


class Field(NamedTuple):
    """A field of a form; with `file_name` it is a file."""

    name: str
    content: bytes
    file_name: str | None = None
    content_type: str = ""


def written(fields: Iterable[Field], boundary: str = BOUNDARY) -> bytes:
    """The octets of a form."""
    parts = [part(field, boundary) for field in fields]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def part(field: Field, boundary: str = BOUNDARY) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{escaped(field.name)}"'
    if field.file_name is not None:
        disposition += f'; filename="{escaped(field.file_name)}"'
    lines = [f"--{boundary}", disposition]
    if field.content_type:
        lines.append(f"Content-Type: {field.content_type}")
    return "\r\n".join([*lines, "", ""]).encode() + field.content + b"\r\n"


def escaped(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
