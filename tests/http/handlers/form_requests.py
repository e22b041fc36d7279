"""Requests with content that comes in pieces, and visits in memory, for handlers that read forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from netlodge.http.handlers.native import FormLimits
from netlodge.http.message import BodyError, Fields, Request
from netlodge.http.rules.forms import URLENCODED, serialize_urlencoded
from tests.http.handlers.asking import request_of
from tests.http.wire.multipart_writer import BOUNDARY, Field, written

LIMITS = FormLimits(fields=100, field_size=1000, file_size=4 << 20, size=10_000)
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


class PiecesBody:
    """Content that comes in these pieces; with `error`, that is what comes in the place of the end."""

    def __init__(self, pieces: Iterable[bytes], *, length: int | None = None, error: Exception | None = None) -> None:
        self.pieces = list(pieces)
        self.length = length
        self.error = error
        self.trailers: Fields | None = None

    async def read(self) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        if self.error is not None:
            raise self.error
        return b""


def post(
    target: str,
    content_type: str,
    pieces: Iterable[bytes],
    fields: Mapping[str, str] | None = None,
    *,
    length: int | Literal["of the pieces"] | None = "of the pieces",
    cut: bool = False,
) -> Request:
    """A POST. `length` is what its head says, None for nothing; `cut`: the client vanishes behind the last piece."""
    request = request_of("POST", target, {**({"content-type": content_type} if content_type else {}), **(fields or {})})
    pieces = list(pieces)
    request.body = PiecesBody(
        pieces,
        length=sum(map(len, pieces)) if length == "of the pieces" else length,
        error=BodyError("the client vanished") if cut else None,
    )
    return request


def urlencoded(target: str, pairs: Iterable[tuple[str, str]], fields: Mapping[str, str] | None = None) -> Request:
    return post(target, URLENCODED, [serialize_urlencoded(pairs).encode()], fields)


def multipart(target: str, fields: Iterable[Field], *, step: int = 1000, cut: bool = False) -> Request:
    octets = written(fields)
    pieces = [octets[at : at + step] for at in range(0, len(octets), step)]
    return post(target, MULTIPART, pieces[:-1] if cut else pieces, cut=cut)


class MemoryVisit:
    """A `message.Visit` that lasts as long as the test."""

    def __init__(self, data: dict[str, Any] | None = None, *, token: str = "t" * 32) -> None:
        self.data: dict[str, Any] = {} if data is None else data
        self.has_ended = False
        self.rotations = 0
        self._token = token
        self.begins = bool(data)
        """Whether there is a session by now."""
        self._was_known = bool(data)

    @property
    def is_new(self) -> bool:
        return not self._was_known

    @property
    def token(self) -> str:
        self.begins = True
        return self._token

    def is_token(self, value: str) -> bool:
        return value == self._token

    def rotate(self) -> None:
        self.rotations += 1

    def end(self) -> None:
        self.has_ended = True
        self.data.clear()
