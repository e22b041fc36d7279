"""Writers of message bodies, the counterparts of the readers: what a head announced is what leaves, or an error.

RFC 9112 §6.3, §7.1, §7.1.2; RFC 9110 §6.4.1 (no content), §6.5.1 (trailers). A writer turns content into octets of the wire.
"""

from __future__ import annotations

from typing import Protocol

from netlodge.http.message import Fields
from netlodge.http.wire.readers import NOT_IN_TRAILERS
from netlodge.http.wire.render import SendError, render_section


class BodyWriter(Protocol):
    """Frames one body."""

    is_identity: bool
    """True if content leaves as it is, so that it may also leave by another way (sendfile)."""

    def data(self, content: bytes) -> bytes:
        """The octets for some more content. Raises `SendError` if there must not be any."""
        ...

    def count(self, length: int) -> None:
        """Take note that `length` octets of content leave by another way. Raises as `data`; only if `is_identity`."""
        ...

    def end(self, trailers: Fields | None) -> bytes:
        """The octets after all content. Trailers are left out where the framing has no place for them (RFC 9110 §6.5.1: they may be
        discarded in transit anyway). Raises `SendError` if content is missing."""
        ...


class LengthWriter:
    """Content-Length, and messages without content (RFC 9112 §6.3, case 6)."""

    __slots__ = ("_remaining",)
    is_identity = True

    def __init__(self, length: int) -> None:
        self._remaining = length

    def data(self, content: bytes) -> bytes:
        self.count(len(content))
        return content

    def count(self, length: int) -> None:
        if length > self._remaining:
            raise SendError(f"The content is {length - self._remaining} octets longer than its head announced.")
        self._remaining -= length

    def end(self, trailers: Fields | None) -> bytes:
        if self._remaining:
            raise SendError(f"The content is {self._remaining} octets shorter than its head announced.")
        return b""


class UntilCloseWriter:
    """Responses to HTTP/1.0 whose length is not known: the end of the stream is their end (RFC 9112 §6.3, case 8)."""

    __slots__ = ()
    is_identity = True

    def data(self, content: bytes) -> bytes:
        return content

    def count(self, length: int) -> None:
        pass

    def end(self, trailers: Fields | None) -> bytes:
        return b""


class ChunkedWriter:
    """The chunked coding (RFC 9112 §7.1): one chunk for each piece of content."""

    __slots__ = ()
    is_identity = False

    def data(self, content: bytes) -> bytes:
        # A chunk of size zero would be the last one.
        return b"%x\r\n%b\r\n" % (len(content), content) if content else b""

    def count(self, length: int) -> None:
        raise SendError("A chunked body cannot leave by another way.")

    def end(self, trailers: Fields | None) -> bytes:
        if not trailers:
            return b"0\r\n\r\n"
        for name, _ in trailers:
            # "A sender MUST NOT generate a trailer field unless the sender knows the corresponding header field name's definition permits
            # the field to be sent in trailers." (RFC 9110 §6.5.1)
            if name in NOT_IN_TRAILERS:
                raise SendError(f"The field {name!r} must not be sent as a trailer.")
        return render_section("0", trailers)
