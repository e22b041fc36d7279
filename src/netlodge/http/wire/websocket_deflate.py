"""The compression of messages, permessage-deflate: one stream for each direction, perhaps kept from message to message.

RFC 7692 §7.2.1 (compression), §7.2.2 (decompression), §7.2.3.2 and §7.1.1 (context takeover), §7.1.2 (windows), §7.2.3.4 (BFINAL).

Memory is bounded: a stream is made when it is first needed, its window is as agreed, and what a message may become when it is
decompressed is limited while it is decompressed: a kilobyte can stand for a megabyte.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, NamedTuple

TAIL: Final = b"\x00\x00\xff\xff"
"""The end of the empty block that flushes a message; it is not sent (§7.2.1)."""
LEVEL: Final = 4
"""Three quarters of the time of zlib's usual 6, for one percent more octets (measured on JSON and plain text)."""
MEMORY_LEVEL: Final = 5
"""With a window of 12 bits a compressing stream has 32 KiB (zlib's manual: `1 << window + 2` and `1 << memory level + 9`)."""


FINAL_BLOCKS: Final = 256
"""Streams that may end within one message. None needs to, and each costs a copy of what follows: without a bound, two octets could
cost as much as a whole message."""


class Deflate(NamedTuple):
    """What was agreed for a connection, as one end sees it: base-2 logarithms of the windows, and whether the streams outlive a message."""

    our_window_bits: int = 15
    """9 to 15: zlib compresses with no smaller window."""
    their_window_bits: int = 15
    we_keep_context: bool = True
    they_keep_context: bool = True


class InflateError(Exception):
    """What came is not compressed data."""


class TooLongError(Exception):
    """A message becomes longer than it may be."""


class Inflater:
    """Decompresses the messages of one direction, in pieces of any size."""

    __slots__ = ("_bits", "_ended", "_keeps", "_stream")

    def __init__(self, window_bits: int, *, keeps_context: bool) -> None:
        self._bits = window_bits
        self._keeps = keeps_context
        self._stream: Any = None
        self._ended = 0

    def inflate(self, data: bytes, most: int) -> bytes:
        """What `data`, the next piece of a message, becomes. Raises `TooLongError` when that is more than `most` octets (having made one more,
        not all of them), `InflateError` when it is no compressed data."""
        if self._stream is None:
            self._stream = zlib.decompressobj(-self._bits)
        try:
            result: bytes = self._stream.decompress(data, most + 1)
            # "An endpoint MAY use both DEFLATE blocks with the "BFINAL" bit set to 0 and DEFLATE blocks with the "BFINAL" bit set to 1." (§7.2.1)
            # zlib ends a stream with the latter: what follows is a new one.
            while self._stream.eof and len(result) <= most:
                self._ended += 1
                if self._ended > FINAL_BLOCKS:
                    raise InflateError
                data = self._stream.unused_data
                self._stream = zlib.decompressobj(-self._bits)
                if not data:
                    break
                result += self._stream.decompress(data, most + 1 - len(result))
        except zlib.error:
            raise InflateError from None
        if len(result) > most:
            raise TooLongError
        return result

    def finish(self, most: int) -> bytes:
        """The message has ended: what is left of it. Raises as `inflate`."""
        result = self.inflate(TAIL, most)
        self._ended = 0
        if not self._keeps:
            self._stream = None
        return result


class Deflater:
    """Compresses the messages of one direction."""

    __slots__ = ("_bits", "_keeps", "_stream")

    def __init__(self, window_bits: int, *, keeps_context: bool) -> None:
        self._bits = window_bits
        self._keeps = keeps_context
        self._stream: Any = None

    def deflate(self, data: bytes, *, is_last: bool) -> bytes:
        """The next piece of a message, compressed; perhaps nothing, unless it `is_last`. A message is not empty."""
        if self._stream is None:
            self._stream = zlib.compressobj(LEVEL, zlib.DEFLATED, -self._bits, MEMORY_LEVEL)
        result: bytes = self._stream.compress(data)
        if is_last:
            # "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end." (§7.2.1)
            result = (result + self._stream.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
            if not self._keeps:
                self._stream = None
        return result
