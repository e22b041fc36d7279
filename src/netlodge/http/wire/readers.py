"""Readers of message bodies, one for each way in which a body can end.

RFC 9112 §6.3, §7.1 (chunked), §7.1.1 (chunk extensions), §7.1.2 (trailers), §8 (incomplete messages); RFC 9110 §6.5 (trailer fields). A
reader has three outcomes: an event, None (more is needed), `MessageError`. None of them gathers a body: what has come is handed on.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from netlodge.http.message import Fields, MessageError
from netlodge.http.wire.buffer import ReceiveBuffer
from netlodge.http.wire.events import Data, EndOfMessage
from netlodge.http.wire.grammar import CRLF, TEXT_OCTETS, parse_field_lines
from netlodge.http.wire.limits import WireLimits

CHUNK_SIZE_DIGITS: Final = 16
"""Hexadecimal digits of the largest chunk size that is read (RFC 9112 §7.1: "MUST anticipate potentially large hexadecimal numerals")."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]++|\\[\t\x20-\x7e\x80-\xff])*+"'
_chunk_line = re.compile(
    rb"([0-9A-Fa-f]++)((?:[ \t]*+;[ \t]*+"
    + _TOKEN
    + rb"(?:[ \t]*+=[ \t]*+(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))?+)*+)"
).fullmatch

NOT_IN_TRAILERS: Final = frozenset((
    "age", "authorization", "cache-control", "connection", "content-encoding", "content-length", "content-range",
    "content-type", "cookie", "date", "expect", "expires", "host", "if-match", "if-modified-since",
    "if-none-match", "if-range", "if-unmodified-since", "keep-alive", "location", "max-forwards", "pragma",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "retry-after", "set-cookie", "te",
    "trailer", "transfer-encoding", "upgrade", "vary", "www-authenticate",
))  # fmt: skip
"""Fields of "message framing, routing, authentication, request modifiers, response controls, or content format": their evaluation is
necessary before the content (RFC 9110 §6.5.1). In a trailer section they are left out when read, and not sent."""

END: Final = EndOfMessage()
"""The end without trailers; all messages share it."""


class BodyReader(Protocol):
    """Reads one body from the buffer in front of it."""

    def read(self, buffer: ReceiveBuffer, has_ended: bool) -> Data | EndOfMessage | None:
        """The next event; None if more octets are needed. `has_ended`: no more will come after those in `buffer`.

        Raises `MessageError` 400 for broken framing, also when the stream has ended before the body.
        """
        ...


class LengthReader:
    """A body of as many octets as Content-Length says (RFC 9112 §6.3, case 6); none at all is the commonest."""

    __slots__ = ("_remaining",)

    def __init__(self, length: int) -> None:
        self._remaining = length

    def read(self, buffer: ReceiveBuffer, has_ended: bool) -> Data | EndOfMessage | None:
        if not self._remaining:
            return END
        data = buffer.take(self._remaining)
        if not data:
            if has_ended:
                raise MessageError(400, f"The message ended {self._remaining} octets before its Content-Length.")
            return None
        self._remaining -= len(data)
        return Data(data)


NOTHING_TO_READ: Final = LengthReader(0)
"""The reader of all bodies that are not there."""


class UntilCloseReader:
    """A body that the end of the stream ends: responses only (RFC 9112 §6.3, case 8)."""

    __slots__ = ()

    def read(self, buffer: ReceiveBuffer, has_ended: bool) -> Data | EndOfMessage | None:
        if buffer:
            return Data(buffer.take(len(buffer)))
        return END if has_ended else None


class ChunkedReader:
    """A body in the chunked coding (RFC 9112 §7.1). What comes next is the line of a chunk's size, its data, the CRLF after them, or
    the trailer section."""

    __slots__ = ("_extension_octets", "_is_response", "_is_trailing", "_limits", "_needs_crlf", "_remaining")

    def __init__(self, limits: WireLimits, *, is_response: bool) -> None:
        self._limits = limits
        self._is_response = is_response
        self._remaining = 0
        """Octets of the chunk under way that have not come yet."""
        self._needs_crlf = False
        """True from a chunk's size until the CRLF after its data."""
        self._is_trailing = False
        """True once the last chunk's size has come."""
        self._extension_octets = 0
        """Octets of extensions beyond one for each octet of content; content pays for those before it, not for those to come."""

    def read(self, buffer: ReceiveBuffer, has_ended: bool) -> Data | EndOfMessage | None:
        event = self._read(buffer)
        if event is None and has_ended:
            raise MessageError(400, "The message ended before its last chunk.")
        return event

    def _read(self, buffer: ReceiveBuffer) -> Data | EndOfMessage | None:
        if self._is_trailing:
            return self._read_trailers(buffer)
        if self._needs_crlf and not self._remaining and not self._take_crlf(buffer):
            return None
        if not self._remaining:
            size = self._read_size(buffer)
            if size is None:
                return None
            if not size:
                self._is_trailing = True
                return self._read_trailers(buffer)
            self._remaining = size
            self._needs_crlf = True
        data = buffer.take(self._remaining)
        if not data:
            return None
        self._remaining -= len(data)
        return Data(data)

    def _take_crlf(self, buffer: ReceiveBuffer) -> bool:
        if buffer.skip_crlf():
            self._needs_crlf = False
            return True
        if not buffer or (len(buffer) == 1 and buffer.first_octet() == CRLF[0]):
            return False
        raise MessageError(400, "The data of a chunk do not end where its size says.")

    def _read_size(self, buffer: ReceiveBuffer) -> int | None:
        limit = self._limits.chunk_extension_size
        line = buffer.take_line()
        if (len(buffer) if line is None else len(line)) > CHUNK_SIZE_DIGITS + limit + 1:
            raise self._too_many_extensions()
        if line is None:
            return None
        match = _chunk_line(line)
        if match is None or match.end(1) > CHUNK_SIZE_DIGITS:
            raise MessageError(400, "A chunk does not begin with its size, one hexadecimal number.")
        # The pattern took hexadecimal digits alone, and their number is bounded.
        size = int(match[1], 16)
        # "A server ought to limit the total length of chunk extensions received in a request [...] and generate an appropriate 4xx (Client
        # Error) response if that amount is exceeded." (RFC 9112 §7.1.1)
        self._extension_octets += len(match[2])
        if self._extension_octets > limit:
            raise self._too_many_extensions()
        self._extension_octets = max(0, self._extension_octets - size)
        return size

    def _read_trailers(self, buffer: ReceiveBuffer) -> EndOfMessage | None:
        if buffer.skip_crlf():
            return END
        section = buffer.take_section()
        if (len(buffer) if section is None else len(section)) > self._limits.head_size:
            raise MessageError(431, "The trailer section is too long.", setting="limits.head_size")
        if section is None:
            return None
        lines = section[:-4].decode("latin-1").split("\r\n")
        if len(lines) > self._limits.field_count:
            raise MessageError(431, "There are too many trailer fields.", setting="limits.field_count")
        if section.translate(None, TEXT_OCTETS) != CRLF * (len(lines) + 1):
            raise MessageError(400, "A control character stands in the trailer section.")
        pairs = parse_field_lines(lines, is_response=self._is_response)
        # "A recipient that removes the chunked coding from a message MAY selectively retain or discard the received trailer fields."
        # (RFC 9112 §7.1.2) What must not be taken for a header field is discarded.
        return EndOfMessage(Fields(pair for pair in pairs if pair[0] not in NOT_IN_TRAILERS))

    @staticmethod
    def _too_many_extensions() -> MessageError:
        return MessageError(400, "The chunk extensions are too long.", setting="limits.chunk_extension_size")
