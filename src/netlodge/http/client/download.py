"""A body into a file: whole or not at all, and later from where it broke off, if it is still the same version.

RFC 9110 §13.1.5 (If-Range), §14.2 (Range), §14.4 (Content-Range), §15.3.7.3 (combining parts), §8.8.2.2 and §8.8.3.2 (which validators
are strong).

What comes is written to `FILE.part`. When it is complete it takes the name FILE in one step. What of it is needed to go on later stands in
`FILE.part.json`: the validator of the version that the part is of. Without a strong one nothing is kept to go on from: two parts that cannot be
proved to be of one version are never joined.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from netlodge.core.errors import NetlodgeError
from netlodge.http.client.errors import ProtocolError, TruncatedError
from netlodge.http.client.exchanges import ClientResponse
from netlodge.http.message import Fields
from netlodge.http.rules.conditional import parse_entity_tag
from netlodge.http.rules.dates import parse_date

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_UNSATISFIED: Final = re.compile(r"bytes \*/([0-9]{1,18})", re.IGNORECASE)


class FileError(NetlodgeError):
    """The file cannot be written."""


class Version(msgspec.Struct, frozen=True):
    """Which representation a part is of."""

    uri: str
    """That was asked for, before any redirect."""
    validator: str
    """A strong entity tag, or a date that is as good as one: what If-Range takes."""


def strong_validator(fields: Fields, *, now: int) -> str:
    """What of an answer's fields proves that a later answer is of the same octets; empty if nothing does (RFC 9110 §13.1.5: "A client
    MUST NOT generate an If-Range header field containing an entity tag that is marked as weak", nor a weak date). `now` in seconds since
    the epoch."""
    tag = parse_entity_tag(fields.get("etag") or "")
    if tag is not None:
        return "" if tag.is_weak else str(tag)
    modified, answered = fields.get("last-modified"), fields.get("date")
    if modified is None or answered is None:
        return ""
    modified_at, answered_at = parse_date(modified, now=now), parse_date(answered, now=now)
    # §8.8.2.2: "The validator is about to be used by a client in an If-Range header field [...] and [there is] a Date value that is at
    # least one second after the Last-Modified value".
    if modified_at is None or answered_at is None or modified_at + 1 > answered_at:
        return ""
    return modified


@dataclass(slots=True)
class Download:
    """One body on its way into `path`. Not for two at the same time."""

    path: Path
    keeps_state: bool = True
    """Whether what is needed to go on later is kept."""

    @property
    def is_special(self) -> bool:
        """Whether `path` is a device or a pipe: that is written to as it is."""
        try:
            return not stat.S_ISREG(self.path.stat().st_mode)
        except OSError:
            return False

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def state(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part.json")

    def resumption(self, uri: str) -> tuple[int, str]:
        """How many octets are there of `uri`, and the validator of their version; zero and empty if one must begin anew."""
        try:
            version = msgspec.json.decode(self.state.read_bytes(), type=Version)
            size = self.part.stat().st_size
        except (OSError, msgspec.DecodeError):
            return 0, ""
        if version.uri != uri or not version.validator or not size:
            return 0, ""
        return size, version.validator

    def is_whole(self, response: ClientResponse, offset: int) -> bool:
        """Whether an answer to `Range: bytes=OFFSET-` says that nothing is left of the version that the part is of: had it changed, the
        range would not have been looked at. Then the part is made the whole."""
        match = _UNSATISFIED.fullmatch(_content_range(response)) if response.status == 416 else None
        if match is None or not offset or int(match[1]) != offset:
            return False
        try:
            self._settle()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        return True

    async def take(self, response: ClientResponse, *, offset: int = 0, validator: str = "", now: int) -> int:
        """Write the body. `offset` is how many octets there were, and `validator` what they were of, when `Range: bytes=OFFSET-` and
        `If-Range` were sent; 0 if they were not.

        Returns the size of the whole. Raises `FileError`, `ClientError`: what had come stays in `part`.
        """
        if response.status != 206:
            offset = 0
        elif offset:
            _check_range(response, offset, validator)
        if self.is_special:
            return await self._write_special(response)
        try:
            return await self._write(response, offset, now)
        except OSError as error:
            response.close()
            raise _unwritable(self.path, error) from error

    async def _write(self, response: ClientResponse, offset: int, now: int) -> int:
        if not offset:
            with suppress(FileNotFoundError):
                self.state.unlink()  # of another version, from here on
        with self.part.open("r+b" if offset else "wb", buffering=0) as file:
            file.seek(offset)
            file.truncate()
            if not offset and response.status == 200:
                self._remember(response, now)
            size = offset + await _pour(response, file)
        self._settle()
        return size

    async def _write_special(self, response: ClientResponse) -> int:
        try:
            with self.path.open("wb", buffering=0) as file:
                return await _pour(response, file)
        except OSError as error:
            response.close()
            raise _unwritable(self.path, error) from error

    def _remember(self, response: ClientResponse, now: int) -> None:
        validator = strong_validator(response.fields, now=now)
        if self.keeps_state and validator and "content-encoding" not in response.fields:
            first = response.history[0] if response.history else response
            self.state.write_bytes(msgspec.json.encode(Version(str(first.request.uri), validator)))

    def _settle(self) -> None:
        """The part is the whole."""
        self.part.replace(self.path)
        with suppress(FileNotFoundError):
            self.state.unlink()


async def _pour(response: ClientResponse, file: BinaryIO) -> int:
    size = 0
    async for piece in response:
        view = memoryview(piece)
        while view:
            view = view[os.write(file.fileno(), view) :]
        size += len(piece)
    return size


def _content_range(response: ClientResponse) -> str:
    return response.fields.get("content-range") or ""


def _check_range(response: ClientResponse, offset: int, validator: str) -> None:
    """Whether a 206 is of the same version, and goes on exactly where the part ends (RFC 9110 §14.4: "A recipient [...] MUST NOT attempt to recombine the received
    content with a stored representation" for an invalid Content-Range)."""
    # "the sender MUST generate [...] ETag [...] if the header field would have been sent in a 200" (§15.3.7); Last-Modified need not come.
    name = "etag" if validator.startswith('"') else "last-modified"
    told = response.fields.get(name)
    if told != validator and (told is not None or name == "etag"):
        response.close()
        raise ProtocolError(
            f"{response.request.uri} sent a part of another version than the one that was begun. Get it anew, without --continue."
        )
    match = _CONTENT_RANGE.fullmatch(_content_range(response))
    if match is None or int(match[1]) != offset or int(match[2]) < offset:
        response.close()
        raise ProtocolError(
            f"{response.request.uri} was asked to go on from octet {offset} and sent something else "
            f"({_content_range(response) or 'without saying what'}). Get it anew, without --continue."
        )
    if match[3] != "*" and int(match[2]) + 1 != int(match[3]):
        response.close()
        raise TruncatedError(
            response.request.uri.authority,
            offset,
            int(match[3]) - int(match[2]) - 1,
            "it offers only a part of the rest",
        )


def _unwritable(path: Path, error: OSError) -> FileError:
    return FileError(
        f"{path} cannot be written: {error.strerror}. Name another file with -o, or see that there is room."
    )
