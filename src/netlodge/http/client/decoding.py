"""Content codings undone as the content comes, within limits that a bomb does not pass.

RFC 9110 §8.4 (Content-Encoding), §8.4.1 (gzip, deflate, compress), RFC 7932 (br), RFC 8878 and RFC 9659 §3 (zstd, windows up to 8 MiB). A few
hundred octets can stand for gigabytes: so what comes out is bounded in octets, and as a multiple of what went in.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

import brotli  # type: ignore[import-untyped]

from netlodge.http.client.errors import DecodingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE: Final = 64 * 1024
"""Octets that come out at a time, about: what is in memory whatever goes in."""
CODING_COUNT: Final = 3
"""Codings one over another. Each multiplies what the one below may."""
ACCEPTED: Final = "gzip, br, zstd"
"""For Accept-Encoding."""


class DecodingLimits(NamedTuple):
    """What decoded content may grow to."""

    decoded_size: int = 16 << 30
    """Octets in all."""
    decoded_ratio: int = 200
    """Times what went in; it counts from `decoded_burst` on. Apache: `DeflateInflateRatioLimit` 200."""
    decoded_burst: int = 8 << 20
    """Octets that may come out whatever the ratio: a small file of zeros is no bomb."""


class Decoder(Protocol):
    """Undoes one coding."""

    def add(self, data: bytes) -> Iterator[bytes]:
        """What comes of some more octets, in pieces of about `PIECE`. Raises `DecodingError`."""
        ...

    def finish(self) -> None:
        """There is no more. Raises `DecodingError` if the coding is not at its end."""
        ...


class _Zlib:
    """gzip (any number of members, RFC 1952 §2.2), and deflate: zlib's format, or bare, which some send."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._codec = zlib.decompressobj(bits)
        self._has_begun = False

    def add(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._codec.eof:
                if self._bits != 31 or data[:1] == b"\0":
                    return  # what some writers append to fill a block; gzip(1) ignores it, too
                self._codec = zlib.decompressobj(self._bits)
            if not self._has_begun and self._bits == 15 and data[0] & 0x0F != 8:
                self._codec = zlib.decompressobj(-15)
            self._has_begun = True
            try:
                piece = self._codec.decompress(data, PIECE)
            except zlib.error as error:
                raise _broken("gzip" if self._bits == 31 else "deflate") from error
            data = self._codec.unconsumed_tail or (self._codec.unused_data if self._codec.eof else b"")
            if piece:
                yield piece

    def finish(self) -> None:
        if self._has_begun and not self._codec.eof:
            raise _broken("gzip" if self._bits == 31 else "deflate", "it ends too early")


class _Brotli:
    def __init__(self) -> None:
        self._codec = brotli.Decompressor()
        self._has_begun = False

    def add(self, data: bytes) -> Iterator[bytes]:
        self._has_begun = True
        try:
            piece: bytes = self._codec.process(data, output_buffer_limit=PIECE)
            while piece or not self._codec.can_accept_more_data():
                if piece:
                    yield piece
                if self._codec.is_finished():
                    return
                piece = self._codec.process(b"", output_buffer_limit=PIECE)
        except brotli.error as error:
            raise _broken("br") from error

    def finish(self) -> None:
        if self._has_begun and not self._codec.is_finished():
            raise _broken("br", "it ends too early")


class _Zstd:
    """Any number of frames (RFC 8878 §3)."""

    def __init__(self) -> None:
        self._codec = self._new()
        self._is_within = False

    @staticmethod
    def _new() -> zstd.ZstdDecompressor:
        # "decoders SHOULD [...] reject frames" with a window of more than 8 MiB (RFC 9659 §3): that much memory is needed.
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 23})

    def add(self, data: bytes) -> Iterator[bytes]:
        try:
            while data or not self._codec.needs_input:
                if self._codec.eof:
                    if not data:
                        return
                    self._codec = self._new()
                self._is_within = True
                piece = self._codec.decompress(data, PIECE)
                data = b""
                if self._codec.eof:
                    self._is_within = False
                    data = self._codec.unused_data
                if piece:
                    yield piece
                elif not data:
                    return
        except zstd.ZstdError as error:
            raise _broken("zstd") from error

    def finish(self) -> None:
        if self._is_within:
            raise _broken("zstd", "it ends too early")


def _broken(coding: str, detail: str = "what came is not that") -> DecodingError:
    return DecodingError(
        f"The content is said to be coded as {coding}, and cannot be decoded: {detail}. Ask for it uncoded (Accept-Encoding: identity)."
    )


_DECODERS: Final[dict[str, Callable[[], Decoder]]] = {
    "gzip": lambda: _Zlib(31),
    "x-gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "br": _Brotli,
    "zstd": _Zstd,
}


class Decoding:
    """Undoes all codings of one content, within limits."""

    __slots__ = ("_decoders", "_grown", "_limits", "read", "written")

    def __init__(self, codings: list[str], limits: DecodingLimits) -> None:
        """`codings` in the order in which they were applied, as Content-Encoding lists them. Raises `DecodingError` for unknown ones and for
        too many."""
        codings = [coding for coding in codings if coding != "identity"]
        unknown = [coding for coding in codings if coding not in _DECODERS]
        if unknown:
            raise DecodingError(
                f"The content is coded as {unknown[0]!r}, which is not known here. Ask for it uncoded (Accept-Encoding: identity)."
            )
        if len(codings) > CODING_COUNT:
            raise DecodingError(
                f"The content has {len(codings)} codings one over another; more than {CODING_COUNT} are not undone."
            )
        self._decoders = [_DECODERS[coding]() for coding in reversed(codings)]
        self._grown = [0] * len(self._decoders)
        self._limits = limits
        self.read = 0
        """Octets that went in."""
        self.written = 0
        """Octets that came out."""

    def add(self, data: bytes) -> Iterator[bytes]:
        """What comes of some more octets, piece by piece, as each is asked for. Raises `DecodingError`."""
        self.read += len(data)
        yield from self._through(data, 0)

    def finish(self) -> None:
        """There is no more. Raises `DecodingError` if something is missing."""
        for decoder in self._decoders:
            decoder.finish()

    def _through(self, data: bytes, place: int) -> Iterator[bytes]:
        if place == len(self._decoders):
            self.written += len(data)
            yield data
            return
        for piece in self._decoders[place].add(data):
            # Of several codings each is measured: what grows and is folded again costs as much as what comes out.
            self._grown[place] += len(piece)
            self._check(self._grown[place])
            yield from self._through(piece, place + 1)

    def _check(self, grown: int) -> None:
        limits = self._limits
        if grown > limits.decoded_size:
            raise self._bomb("decoded_size", grown)
        if grown > limits.decoded_burst and grown > self.read * limits.decoded_ratio:
            raise self._bomb("decoded_ratio", grown)

    def _bomb(self, limit: str, grown: int) -> DecodingError:
        return DecodingError(
            f"The content grows from {self.read} octets to {grown} and more, beyond the limit {limit}: "
            f"{getattr(self._limits, limit)}. Take it as it is, undecoded, if you know what it is."
        )
