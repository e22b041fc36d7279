"""What `netlodge get` shows: the body on standard output, the messages, the progress and the errors on standard error.

What a server sends never reaches a terminal as control characters; to a file or a pipe it goes as it is.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final, TextIO

from netlodge.cli.talk import escape
from netlodge.core.errors import NetlodgeError
from netlodge.http.client.exchanges import ClientResponse
from netlodge.http.client.h1 import Path
from netlodge.observe.redaction import redact_head

REDRAW: Final = 0.2
"""Seconds between two pictures of the progress."""
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class OutputError(NetlodgeError):
    """Standard output cannot be written. Its cause is what the operating system said."""


class BinaryError(NetlodgeError):
    """The body is none for a terminal."""


def quantity(octets: float) -> str:
    """`999 B`, `12.3 MiB`."""
    for unit in _UNITS:
        if octets < 1000 or unit == _UNITS[-1]:
            break
        octets /= 1024
    return f"{octets:.0f} B" if unit == "B" else f"{octets:.1f} {unit}"


def duration(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class Heads:
    """Implements `http.client.h1.Watch`: shows connections, and heads as they are on the wire, the credentials taken out unless they are
    to be shown."""

    def __init__(self, say: Callable[[str], None], *, shows_credentials: bool) -> None:
        self._say = say
        self._shows_credentials = shows_credentials

    def connected(self, path: Path, /) -> None:
        self._say(f"* connected to {path.peer}")
        facts = path.tls
        if facts is not None:
            of = f", certificate of {facts.subject} by {facts.issuer} until {facts.until}" if facts.subject else ""
            self._say(f"* {facts.version}, {facts.cipher}{of}")

    def sent_head(self, octets: bytes, /) -> None:
        self._show("> ", octets)

    def received_head(self, octets: bytes, /) -> None:
        self._show("< ", octets)

    def _show(self, mark: str, octets: bytes) -> None:
        shown = octets if self._shows_credentials else redact_head(octets)
        for line in shown.decode("latin-1").removesuffix("\r\n").split("\r\n"):
            self._say(f"{mark}{escape(line)}".rstrip(" "))


class Progress:
    """How much has come, how fast, and how long the rest will take: one line of a terminal that is drawn again and again."""

    def __init__(self, terminal: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = terminal
        self._clock = clock
        self._began_at = self._drawn_at = clock()
        self._width = 0
        self._came = 0
        self._offset = 0
        self._size: int | None = None

    def begin(self, offset: int, size: int | None) -> None:
        """The body begins: `offset` octets of it were there before, `size` is that of the whole if it is known."""
        self._began_at = self._clock()
        self._came = 0
        self._offset = offset
        self._size = size

    def add(self, octets: int) -> None:
        self._came += octets
        now = self._clock()
        if now - self._drawn_at >= REDRAW:
            self._drawn_at = now
            self._draw(self.line(now))

    def end(self) -> None:
        """Leave the last picture there, and go to the next line."""
        if self._came:
            self._draw(self.line(self._clock()))
            self._write("\n")

    def clear(self) -> None:
        """Make room for something else."""
        if self._width:
            self._draw("")
            self._write("\r")

    def line(self, now: float) -> str:
        elapsed = max(now - self._began_at, 1e-6)
        there = self._offset + self._came
        rate = self._came / elapsed
        if self._size is None:
            return f"{quantity(there)}  {quantity(rate)}/s  {duration(elapsed)}"
        share = 100 if not self._size else there * 100 // self._size
        line = f"{quantity(there)} of {quantity(self._size)}  {share}%  {quantity(rate)}/s"
        left = self._size - there
        return f"{line}  {duration(left / rate)} left" if left > 0 and rate > 0 else f"{line}  {duration(elapsed)}"

    def _draw(self, line: str) -> None:
        self._write(f"\r{line.ljust(self._width)}")
        self._width = len(line)

    def _write(self, text: str) -> None:
        with suppress(OSError):
            self._terminal.write(text)
            self._terminal.flush()


class Output:
    """Standard output, for a body."""

    def __init__(self, output: BinaryIO, *, is_terminal: bool, charset: str) -> None:
        self._output = output
        self._is_terminal = is_terminal
        self._charset = charset
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._has_begun = False

    def write(self, data: bytes) -> None:
        """Raises `OutputError`, and `BinaryError` for what no terminal can show."""
        if self._is_terminal:
            if b"\0" in data:
                raise BinaryError(
                    "the answer is not text, and would be illegible here. Write it to a file with -o FILE."
                )
            text = self._decoder.decode(data).replace("\r\n", "\n")
            data = escape(text).encode(self._charset, "backslashreplace")
        try:
            self._output.write(data)
            self._output.flush()
        except OSError as error:
            raise OutputError(
                f"standard output cannot be written: {error.strerror or error}. See that there is room where it goes."
            ) from error


async def copy(response: ClientResponse, write: Callable[[bytes], None]) -> int:
    """Pass the body on to `write`. Returns how many octets there were."""
    size = 0
    async for piece in response:
        write(piece)
        size += len(piece)
    return size
