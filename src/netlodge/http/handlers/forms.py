"""Forms as a handler reads them: from the query of a GET, or from the content of a POST in either of the two encodings of HTML.

    with await read_form(request, limits) as form:
        name, picture = form.get("name"), form.file("picture")

RFC 7578 §4.1 to §4.8 and §5.1 (multipart/form-data, by `wire.multipart`), WHATWG URL standard (urlencoded, by `rules.forms`), RFC 9110
§15.5.14 (413), §15.5.16 (415). The content is read as it comes; of what passes a limit no more is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from netlodge.http.handlers.native import FormLimits
from netlodge.http.handlers.spool import Spool
from netlodge.http.message import Fields, HttpError, Request, RequestBody
from netlodge.http.rules import forms
from netlodge.http.wire.events import Data
from netlodge.http.wire.multipart import (
    EndOfPart,
    MultipartLimits,
    MultipartParser,
    PartHead,
    boundary_of,
    parse_parameters,
)

MULTIPART: Final = "multipart/form-data"
READ_HERE: Final = 64 << 10
"""Octets of an urlencoded form that are decoded at once; more would hold up the event loop, and have a thread."""
IN_A_ROW: Final = 8
"""Fields of a multipart form that are read before others have their turn: a fifth of a millisecond, and three where all is done to make
them slow."""
SMALL: Final = 64 << 10
"""Octets of a form that is read at once, whoever else is being read: not worth a turn, and what a form without files has."""
_UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


@dataclass(slots=True, eq=False)
class Upload:
    """A file of a form. Everything but its content is what the client says."""

    file_name: str
    """Without any folder, and without what could do harm where it is shown (`rules.forms.base_name`); perhaps empty. Never a path."""
    content_type: str
    size: int
    """Octets."""
    _spool: Spool
    _offset: int

    async def read(self, offset: int = 0, count: int | None = None) -> bytes:
        """`count` octets from `offset` on, or all that follow. Only while the form is open."""
        rest = max(0, self.size - offset)
        return await self._spool.read(self._offset + offset, rest if count is None else min(count, rest))


class Form:
    """The fields of a form in order. A context manager: on leaving it the files are gone."""

    __slots__ = ("files", "spool", "values")

    def __init__(self, values: list[tuple[str, str]] | None = None) -> None:
        self.values: list[tuple[str, str]] = [] if values is None else values
        """The fields that are no files."""
        self.files: list[tuple[str, Upload]] = []
        """Those that are, without those in which no file was chosen."""
        self.spool = Spool()
        """Where the content of the files is, one behind the other."""

    def get(self, name: str, default: str = "") -> str:
        """The value of the first field of this name."""
        return next(self._of(name), default)

    def get_all(self, name: str) -> list[str]:
        return list(self._of(name))

    def _of(self, name: str) -> Iterator[str]:
        return (value for each, value in self.values if each == name)

    def __contains__(self, name: str) -> bool:
        return any(each == name for each, _ in self.values)

    def file(self, name: str) -> Upload | None:
        """The first file in the fields of this name."""
        return next((upload for each, upload in self.files if each == name), None)

    def close(self) -> None:
        """Let the files go. Idempotent."""
        self.spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def read_form(request: Request, limits: FormLimits) -> Form:
    """The form of a request: of GET and HEAD its query, of any other method its content.

    Raises `HttpError`: 400 for what is no form, 413 naming `limits.form_fields`, `limits.form_field_size`, `limits.form_file_size` or
    `limits.form_size`, 503 naming `limits.forms` when too many large ones are being read, 415 for another media type, content coding or charset, 500, 503 or 507 when the files cannot be kept; and what reading
    the content raises. Then nothing is left of the files.
    """
    if request.method in {"GET", "HEAD"}:
        return Form(forms.parse_query(request.query, limit=limits.fields))
    # Without content there is nothing that would need a type.
    content_type = request.fields.get("content-type", "" if request.body.length else forms.URLENCODED) or ""
    kind, parameters = parse_parameters(content_type)
    if request.fields.list_of("content-encoding") not in ([], ["identity"]):
        raise HttpError(
            415, "A form is read without a Content-Encoding alone.", fields=[("accept-encoding", "identity")]
        )
    if kind == forms.URLENCODED:
        # The encoding has no charset by its own rules; what some clients send is only read to refuse what would be garbled.
        _expect_utf_8(parameters.get("charset"))
        with _turn(request.body, limits):
            return Form(await _read_urlencoded(request.body, limits))
    if kind == MULTIPART:
        boundary = boundary_of(content_type)
        with _turn(request.body, limits):
            return await _read_multipart(request.body, boundary, limits)
    raise HttpError(
        415,
        f"A form is sent as {forms.URLENCODED} or as {MULTIPART}.",
        fields=[("accept", f"{forms.URLENCODED}, {MULTIPART}")],
    )


def _turn(body: RequestBody, limits: FormLimits) -> AbstractContextManager[None]:
    """While it is being read a form holds memory, and perhaps a file, for as long as its client likes."""
    return nullcontext() if body.length is not None and body.length <= SMALL else limits.turns


def _expect_utf_8(charset: str | None) -> None:
    if charset is not None and charset.lower() not in _UTF_8:
        raise HttpError(415, "The text of this form is not in UTF-8, the charset in which forms are read.")


async def _read_urlencoded(body: RequestBody, limits: FormLimits) -> list[tuple[str, str]]:
    if body.length is not None:
        _expect_size(body.length, limits)
    octets = bytearray()
    while data := await body.read():
        octets += data
        _expect_size(len(octets), limits)
    if len(octets) <= READ_HERE:
        pairs = forms.parse_urlencoded(bytes(octets), limit=limits.fields)
    else:
        pairs = await asyncio.to_thread(forms.parse_urlencoded, bytes(octets), limit=limits.fields)
    for name, value in pairs:
        # A character is four octets at most: most are told without encoding them.
        if len(value) * 4 > limits.field_size and len(value.encode()) > limits.field_size:
            raise _field_too_large(name, limits)
    return pairs


def _expect_size(size: int, limits: FormLimits) -> None:
    if size > limits.size:
        raise HttpError(413, f"The fields of the form have more than {limits.size} octets.", setting="limits.form_size")


def _field_too_large(name: str, limits: FormLimits) -> HttpError:
    return HttpError(
        413, f"The field {name[:60]!r} has more than {limits.field_size} octets.", setting="limits.form_field_size"
    )


async def _read_multipart(body: RequestBody, boundary: str, limits: FormLimits) -> Form:
    form = Form()
    try:
        await _MultipartReader(form, limits).read(body, boundary)
    except BaseException:
        form.close()
        raise
    return form


class _MultipartReader:
    """Fills a form from a body, part by part."""

    def __init__(self, form: Form, limits: FormLimits) -> None:
        self._form = form
        self._limits = limits
        self._size = 0
        """Octets of all that stays in memory: names and values."""
        self._value = bytearray()
        """Of the field under way, if it is no file."""
        self._file_start = 0
        """Where in the spool the file under way begins."""
        self._parts = 0

    async def read(self, body: RequestBody, boundary: str) -> None:
        parser = MultipartParser(boundary, MultipartLimits(self._limits.fields, self._limits.head_size))
        head = PartHead("", None, "", Fields())
        has_ended = False
        while not has_ended:
            data = await body.read()
            if data:
                parser.receive_data(data)
            else:
                has_ended = True
                parser.receive_eof()
            while (event := parser.next_event()) is not None:
                if isinstance(event, PartHead):
                    head = event
                    self._begin(head)
                elif isinstance(event, Data):
                    await self._go_on(head, event.data)
                elif isinstance(event, EndOfPart):
                    await self._end(head)
                    if not self._parts % IN_A_ROW:
                        await asyncio.sleep(0)
        await self._form.spool.seal()

    def _begin(self, head: PartHead) -> None:
        self._value.clear()
        self._file_start = self._form.spool.size
        self._count(len(head.name) + len(head.file_name or "") + len(head.content_type))
        if head.file_name is None:
            # RFC 7578 §4.5: the part's own charset.
            _expect_utf_8(parse_parameters(head.content_type)[1].get("charset"))

    async def _go_on(self, head: PartHead, data: bytes) -> None:
        limits = self._limits
        if head.file_name is None:
            self._count(len(data))
            self._value += data
            if len(self._value) > limits.field_size:
                raise _field_too_large(head.name, limits)
        else:
            if self._form.spool.size - self._file_start + len(data) > limits.file_size:
                raise HttpError(
                    413,
                    f"The file in the field {head.name[:60]!r} has more than {limits.file_size} octets.",
                    setting="limits.form_file_size",
                )
            await self._form.spool.write(data)

    async def _end(self, head: PartHead) -> None:
        form = self._form
        self._parts += 1
        if head.file_name is None:
            if len(self._value) <= forms.SLICE:
                value = self._value.decode("utf-8", "replace")
            else:
                value = await asyncio.to_thread(forms.decode_text, self._value)
            if head.name == "_charset_":
                # RFC 7578 §4.6: the charset of all text that does not name its own.
                _expect_utf_8(value)
            form.values.append((head.name, value))
            return
        size = form.spool.size - self._file_start
        # A browser sends a file without name and content where none was chosen.
        if head.file_name or size:
            name = forms.base_name(head.file_name)
            form.files.append((head.name, Upload(name, head.content_type, size, form.spool, self._file_start)))

    def _count(self, size: int) -> None:
        self._size += size
        _expect_size(self._size, self._limits)
