"""What a request carries: octets, a file, a stream, a form.

RFC 9110 §6.4 (content), §8.3 (Content-Type); the form media types are those of the WHATWG URL standard (urlencoded) and RFC 7578
(multipart/form-data). Content is read piece by piece while it is sent: of a file of any size no more than `PIECE` is in memory.
"""

from __future__ import annotations

import mimetypes
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlencode

from netlodge.http.client.errors import ContentError
from netlodge.http.message import Fields

PIECE: Final = 64 * 1024
"""Octets of a file that are read at a time."""


class Content(Protocol):
    """The body of a request."""

    @property
    def length(self) -> int | None:
        """Octets in all; None if only the end will tell: then it is sent chunked."""
        ...

    @property
    def media_type(self) -> str:
        """For Content-Type, unless the request has one; may be empty."""
        ...

    @property
    def is_replayable(self) -> bool:
        """Whether `pieces` may be called again, so that the request can be sent again."""
        ...

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The content from its beginning. An exception ends the request; an `OSError` is told to the user."""
        ...

    def trailers(self) -> Fields | None:
        """Called after the last piece (RFC 9110 §6.5)."""
        ...


@dataclass(frozen=True, slots=True)
class Octets:
    """Implements `Content`: octets at hand."""

    octets: bytes
    media_type: str = ""
    is_replayable = True

    @property
    def length(self) -> int:
        return len(self.octets)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        yield self.octets

    def trailers(self) -> Fields | None:
        return None


@dataclass(slots=True)
class Stream:
    """Implements `Content`: pieces as they come, once."""

    source: AsyncIterator[bytes]
    length: int | None = None
    media_type: str = ""
    make_trailers: Callable[[], Fields | None] | None = None
    is_replayable: bool = True
    """Until the first piece was asked for."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        self.is_replayable = False
        async for piece in self.source:
            yield piece

    def trailers(self) -> Fields | None:
        return None if self.make_trailers is None else self.make_trailers()


class FileSpan(NamedTuple):
    """A file as part of what is sent, whole. Its size is taken when it is named: one that changes meanwhile ends the request."""

    path: Path
    size: int

    @classmethod
    def of(cls, path: Path) -> FileSpan:
        """Raises `ContentError`."""
        try:
            status = path.stat()
            with path.open("rb"):
                pass
        except OSError as error:
            raise ContentError(
                f"{path} cannot be sent: {error.strerror}. Check the path and its permissions."
            ) from error
        return cls(path, status.st_size)


@dataclass(frozen=True, slots=True)
class Parts:
    """Implements `Content`: literal octets and files, in order."""

    parts: Sequence[bytes | FileSpan]
    media_type: str = ""
    is_replayable = True

    @property
    def length(self) -> int:
        return sum(part.size if isinstance(part, FileSpan) else len(part) for part in self.parts)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
                continue
            with part.path.open("rb", buffering=0) as file:
                while piece := os.read(file.fileno(), PIECE):
                    yield piece

    def trailers(self) -> Fields | None:
        return None


def file_content(path: Path, media_type: str = "application/octet-stream") -> Parts:
    """A file. Raises `ContentError`."""
    return Parts((FileSpan.of(path),), media_type)


def urlencoded(pairs: Iterable[tuple[str, str]]) -> Octets:
    """A form as browsers send one without files."""
    return Octets(urlencode(list(pairs)).encode("ascii"), "application/x-www-form-urlencoded")


class FormPart(NamedTuple):
    """One field of a form: a text, or a file with its name and media type."""

    name: str
    value: str | FileSpan
    file_name: str | None = None
    media_type: str = ""


def multipart(parts: Iterable[FormPart], boundary: str = "") -> Parts:
    """A form with files (RFC 7578 §4): each part names its field, and a file also its name and type."""
    boundary = (
        boundary or f"netlodge-{secrets.token_hex(16)}"
    )  # §4.1 of RFC 2046: in none of the parts, and it will not be
    pieces: list[bytes | FileSpan] = []
    for part in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(part.name)}"'
        file_name = part.file_name
        media_type = part.media_type
        if isinstance(part.value, FileSpan):
            file_name = part.value.path.name if file_name is None else file_name
            media_type = media_type or mimetypes.guess_type(file_name)[0] or "application/octet-stream"
        if file_name is not None:
            head += f'; filename="{_quoted(file_name)}"'
        if media_type:
            head += f"\r\nContent-Type: {media_type}"
        pieces.append(f"{head}\r\n\r\n".encode())
        pieces.append(part.value if isinstance(part.value, FileSpan) else part.value.encode())
        pieces.append(b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return Parts(tuple(pieces), f"multipart/form-data; boundary={boundary}")


def _quoted(text: str) -> str:
    """As browsers write a name (WHATWG HTML, multipart/form-data encoding algorithm): no octet of it can end the quotes or the line."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
