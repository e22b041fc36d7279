"""What has arrived and was not yet read, in one piece if it came in one piece.

RFC 9112 §2.2 (lines end with CRLF; a bare CR or LF is an error here). Reading is linear in what arrives, also when it arrives octet by
octet: the buffer remembers how far it has searched.
"""

from __future__ import annotations

from netlodge.http.message import MessageError
from netlodge.http.wire.grammar import CRLF

_CR, _LF = 0x0D, 0x0A


class ReceiveBuffer:
    """A queue of octets: `feed` at its end, `take...` at its front. Octets fed in one call and taken in one are not copied."""

    __slots__ = ("_octets", "_searched", "_start")

    def __init__(self) -> None:
        self._octets: bytes | bytearray = b""
        self._start = 0
        self._searched = 0
        """Before this place no end of the section or line looked for begins, and every line end is whole."""

    def __len__(self) -> int:
        return len(self._octets) - self._start

    def feed(self, data: bytes) -> None:
        octets, start = self._octets, self._start
        if start == len(octets):
            self._octets = data
            self._start = self._searched = 0
            return
        if not isinstance(octets, bytearray):
            octets = self._octets = bytearray(octets)
        del octets[:start]
        octets += data
        self._start = 0
        self._searched -= start

    def clear(self) -> None:
        self._octets = b""
        self._start = self._searched = 0

    def first_octet(self) -> int:
        """The next octet, or -1."""
        return self._octets[self._start] if self._start < len(self._octets) else -1

    def skip_crlf(self) -> bool:
        """Take a CRLF if it is what comes next."""
        if not self._octets.startswith(CRLF, self._start):
            return False
        self._start += 2
        self._searched = max(self._searched, self._start)
        return True

    def take(self, count: int) -> bytes:
        """The next octets, at most `count`."""
        octets, start = self._octets, self._start
        end = start + count
        if end < len(octets):
            self._start = self._searched = end
        else:
            self.clear()  # so that a connection at rest holds nothing
        if isinstance(octets, bytes):
            return octets[start:end]
        with memoryview(octets) as view:
            return bytes(view[start:end])

    def find(self, octets: bytes) -> int:
        """How far from the front `octets` begin, or -1. Until something is taken, the next search is for the same, and begins where this
        one ended."""
        at = self._octets.find(octets, self._searched)
        if at < 0:
            self._searched = max(self._start, len(self._octets) - len(octets) + 1)
            return -1
        return at - self._start

    def starts_with(self, octets: bytes) -> bool:
        return self._octets.startswith(octets, self._start)

    def may_become(self, octets: bytes) -> bool:
        """Whether all that is here is how `octets` begin."""
        return len(self) < len(octets) and octets.startswith(bytes(self._octets[self._start :]))

    def take_before(self, delimiter: bytes) -> bytes:
        """All octets that are no part of a `delimiter` that has not come whole. A delimiter begins with CR, and has no other."""
        octets = self._octets
        end = len(octets)
        cr = octets.rfind(b"\r", max(self._start, end - len(delimiter) + 1))
        if cr >= 0 and delimiter.startswith(bytes(octets[cr:])):
            end = cr
        return self.take(end - self._start)

    def peek(self, count: int) -> bytes:
        """The next octets, at most `count`, left where they are."""
        return bytes(self._octets[self._start : self._start + count])

    def rest(self) -> bytes:
        """All that is here, left where it is."""
        return bytes(self._octets[self._start :])

    def take_section(self) -> bytes | None:
        """All up to and including the next empty line (CRLF CRLF), or None if that has not come yet.

        Raises `MessageError` 400 when it has not come and a line end among what came is not CRLF: there is no need to wait.
        """
        octets, start = self._octets, self._start
        end = octets.find(b"\r\n\r\n", self._searched) + 4
        if end < 4:
            self._search_failed(3)
            return None
        if end == len(octets) and not start and isinstance(octets, bytes):
            self._octets = b""
            self._searched = 0
            return octets
        return self.take(end - start)

    def take_line(self) -> bytes | None:
        """The next line without its CRLF, or None if its end has not come yet. Raises as `take_section`."""
        end = self._octets.find(CRLF, self._searched)
        if end < 0:
            self._search_failed(1)
            return None
        return self.take(end + 2 - self._start)[:-2]

    def peek_line(self, known: int) -> bytes | None:
        """The first line without its CRLF, left where it is; None if its end has not come, nor begins in the first `known` octets."""
        end = self._octets.find(CRLF, self._start + known)
        return None if end < 0 else bytes(self._octets[self._start : end])

    def _search_failed(self, overlap: int) -> None:
        """Remember that what is here was searched, but for `overlap` octets that may begin an end; look at what is new among it."""
        octets = self._octets
        begin = self._searched
        self._searched = max(begin, len(octets) - overlap)
        new = octets[max(begin - 1, self._start) :]
        if not new:
            return
        pairs = new.count(CRLF)
        # An LF that comes first was seen with its CR before; a CR that comes last may still get its LF.
        stray_lf = new.count(b"\n") - pairs - (new[0] == _LF and begin > self._start)
        stray_cr = new.count(b"\r") - pairs - (new[-1] == _CR)
        if stray_lf or stray_cr:
            raise MessageError(400, "A line ends with something other than CR LF.")
