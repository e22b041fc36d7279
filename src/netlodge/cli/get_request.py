"""What the options of `netlodge get` ask for, as a request."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from netlodge.cli.talk import read_input, standard_input
from netlodge.http.client.content import Content, FileSpan, FormPart, Octets, Parts, Stream, file_content, multipart
from netlodge.http.client.errors import ContentError
from netlodge.http.client.exchanges import ClientRequest
from netlodge.http.client.h1 import Times
from netlodge.http.client.origin import basic
from netlodge.http.message import Fields
from netlodge.http.rules.uri import WebUri

FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that make the request."""

    method: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    data: Sequence[str] = ()
    data_binary: Sequence[str] = ()
    form: Sequence[str] = ()
    upload: str | None = None
    is_head: bool = False
    user: str | None = None
    range_: str | None = None


def header_of(line: str) -> tuple[str, str]:
    """`Name: value` as a name in lower case and a value; `Name:` and `Name;` give an empty one. Raises `click.UsageError`."""
    name, colon, value = line.partition(":")
    if not colon and line.endswith(";"):
        name, colon, value = line[:-1], ";", ""
    if not colon or not name.strip():
        raise click.UsageError(f"{line!r} is no field: write it as 'Name: value'")
    return name.strip().lower(), value.strip(" \t").encode().decode("latin-1")


def request_of(uri: WebUri, asked: Asked, times: Times) -> ClientRequest:
    """The request. Raises `click.UsageError` for options that contradict each other, `ContentError` for files that cannot be read."""
    content = content_of(asked)
    method = asked.method
    if method is None:
        method = "PUT" if asked.upload is not None else "POST" if content is not None else "GET"
        if asked.is_head:
            method = "HEAD"
    if asked.is_head and content is not None:
        raise click.UsageError("-I asks for a head, and does not go with something to send")
    fields = Fields(asked.headers)
    if asked.user is not None:
        user, colon, password = asked.user.partition(":")
        if not colon:
            password = click.prompt(f"Password of {user}", hide_input=True, err=True)
        fields.set("authorization", basic(user, password))
    if asked.range_ is not None:
        fields.set("range", asked.range_ if "=" in asked.range_ else f"bytes={asked.range_}")
    return ClientRequest(method, uri, fields, content, times)


def content_of(asked: Asked) -> Content | None:
    """What is to be sent; None: nothing."""
    given = [bool(asked.data or asked.data_binary), bool(asked.form), asked.upload is not None]
    if sum(given) > 1:
        raise click.UsageError("-d, -F and -T each say what to send; give one of them")
    if asked.upload is not None:
        if asked.upload == "-":
            return Stream(_standard_input())
        return file_content(Path(asked.upload), "")
    if asked.form:
        return multipart(map(form_part_of, asked.form))
    if asked.data or asked.data_binary:
        return _data(asked.data, asked.data_binary)
    return None


def _data(texts: Sequence[str], binaries: Sequence[str]) -> Content:
    """All of it with `&` between, as the fields of one form."""
    parts: list[bytes | FileSpan] = []
    for text in texts:
        parts += [b"&", _text(text)]
    for binary in binaries:
        parts.append(b"&")
        if binary == "@-":
            parts.append(sys.stdin.buffer.read())
        elif binary.startswith("@"):
            parts.append(FileSpan.of(Path(binary[1:])))
        else:
            parts.append(os.fsencode(binary))
    parts = parts[1:]
    if all(isinstance(part, bytes) for part in parts):
        return Octets(b"".join(part for part in parts if isinstance(part, bytes)), FORM)
    return Parts(tuple(parts), FORM)


def _text(text: str) -> bytes:
    """Of a file the line ends are left out, as curl does: a form has no lines."""
    if not text.startswith("@"):
        return os.fsencode(text)
    if text == "@-":
        octets = sys.stdin.buffer.read()
    else:
        try:
            octets = Path(text[1:]).read_bytes()
        except OSError as error:
            raise ContentError(f"{text[1:]} cannot be sent: {error.strerror}. Check the path.") from error
    return octets.translate(None, b"\r\n")


def form_part_of(text: str) -> FormPart:
    """`NAME=VALUE`, `NAME=@FILE`, with `;type=TYPE` and `;filename=NAME` behind a file. Raises `click.UsageError`, `ContentError`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text!r} is no field of a form: write it as NAME=VALUE or NAME=@FILE")
    if not value.startswith("@"):
        return FormPart(name, value)
    path, *attributes = value[1:].split(";")
    given = dict(attribute.partition("=")[::2] for attribute in attributes)
    unknown = given.keys() - {"type", "filename"}
    if unknown:
        raise click.UsageError(f"{text!r}: after a file there may be ;type= and ;filename=, not ;{min(unknown)}")
    return FormPart(name, FileSpan.of(Path(path)), given.get("filename"), given.get("type", ""))


async def _standard_input() -> AsyncIterator[bytes]:
    async for piece in read_input(standard_input()):
        yield piece
        await asyncio.sleep(0)
