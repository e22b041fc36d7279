"""Octets in, sentences out, and back: the codec of the line services. No I/O, no clock.

What ends a sentence is not the same for every service, so the codec is told its `Framing`. Text is UTF-8 (RFC 3629 §3), put
together again when the network cut a character in two. A line ends in LF or CRLF, and its answer ends as it did.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

QUIET: Final = 0.5
"""Seconds without a word after which a sentence without a newline has ended: many round trips of a network, and less than a person
notices as waiting. For whoever has the clock; a session looks once a second, so its answer goes out within 1.5."""


class Framing(Enum):
    """What of the octets that arrive is one question."""

    OCTETS = auto()
    """Whatever one read brought. Each character stands for one octet (ISO-8859-1), so nothing is lost."""
    TEXT = auto()
    """Every line; and of a line that is not whole yet, at once, the characters that are."""
    SENTENCES = auto()
    """Every line. One without a newline is a sentence only when somebody who knows the time says so: `end_sentence`."""

    @property
    def charset(self) -> str:
        """How a question is read and its answer written."""
        return "iso-8859-1" if self is Framing.OCTETS else "utf-8"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Text without its ending; `ending` is `"\\n"`, `"\\r\\n"`, or `""` when no newline was there."""

    text: str
    ending: str


@dataclass(frozen=True, slots=True)
class InvalidText:
    """A sentence that is not UTF-8: `octets` as they came, without the ending, of which the one at `position` (from 0) is wrong."""

    octets: bytes
    position: int
    ending: str

    @property
    def reply(self) -> str:
        return f"error: octet {self.position + 1} (0x{self.octets[self.position]:02x}) is not UTF-8; send the sentence as UTF-8"


@dataclass(frozen=True, slots=True)
class TooLong:
    """A sentence of more than `line_size` octets. It was thrown away as it came."""

    line_size: int
    ending: str

    @property
    def reply(self) -> str:
        # A size of the settings writes itself with its unit.
        return f"error: the sentence is longer than {int(self.line_size)} octets (limits.line_size)"


class NeedData(Enum):
    """The type of `NEED_DATA`: nothing to tell until more arrives."""

    NEED_DATA = "NEED_DATA"


NEED_DATA: Final = NeedData.NEED_DATA

Event = Sentence | InvalidText | TooLong


def read_whole(octets: bytes, framing: Framing, line_size: int) -> Event:
    """The one event in `octets` that are a question as they stand: a line with its ending, or a datagram.

    `line_size` (octets, without the ending) bounds only what is framed as sentences.
    """
    if framing is Framing.OCTETS:
        return Sentence(octets.decode(framing.charset), "")
    ending = ""
    if octets.endswith(b"\n"):
        ending = "\r\n" if octets.endswith(b"\r\n") else "\n"
        octets = octets[: -len(ending)]
    if framing is Framing.SENTENCES and len(octets) > line_size:
        return TooLong(line_size, ending)
    try:
        return Sentence(octets.decode(framing.charset), ending)
    except UnicodeDecodeError as error:
        return InvalidText(octets, error.start, ending)


class LineCodec:
    """The codec of one connection. Feed `receive_data`, then take `next_event` until it says `NEED_DATA`.

    Bad text is an event like any other, and the codec goes on behind it: with the next line, or, where a line had not ended
    yet, with whatever arrives next. Never holds more than `line_size` octets and the last read.
    """

    __slots__ = ("_buffer", "_framing", "_is_too_long", "_line_size", "_searched")

    def __init__(self, framing: Framing, *, line_size: int) -> None:
        self._framing = framing
        self._line_size = line_size
        self._buffer = bytearray()
        self._searched = 0  # octets of the buffer known to hold no newline
        self._is_too_long = False

    @property
    def is_empty(self) -> bool:
        """True when no part of a question waits here."""
        return not self._buffer and not self._is_too_long

    def receive_data(self, data: bytes) -> None:
        """Take octets, in any segmentation."""
        self._buffer += data

    def next_event(self) -> Event | NeedData:
        """The next question that is complete in what has arrived, or `NEED_DATA`."""
        if not self._buffer:
            return NEED_DATA
        if self._framing is Framing.OCTETS:
            return self._take(len(self._buffer))
        newline = self._buffer.find(b"\n", self._searched)
        if newline >= 0:
            return self._take(newline + 1)
        if self._framing is Framing.TEXT:
            return self._take_characters()
        if len(self._buffer) > self._line_size + 1:
            self._is_too_long = True
            del self._buffer[:-1]  # the last octet may be the CR of the ending
        self._searched = len(self._buffer)
        return NEED_DATA

    def end_sentence(self, *, is_last: bool) -> Event | NeedData:
        """What stands here, as a sentence that no newline ended: its sender fell silent or (`is_last`) will send no more.

        Asked after `next_event` said `NEED_DATA`, which is also the answer when nothing stands here; or when it breaks off within
        a character, whose other octets are on their way unless `is_last`.
        """
        if self.is_empty or not (is_last or self._ends_with_whole_character()):
            return NEED_DATA
        return self._take(len(self._buffer))

    def send(self, sentence: Sentence) -> bytes:
        """The octets of an answer."""
        return render(sentence, self._framing)

    def _take(self, count: int) -> Event:
        """The first `count` octets as one event."""
        octets = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._searched = 0
        event = read_whole(octets, self._framing, self._line_size)
        if self._is_too_long:
            self._is_too_long = False
            return TooLong(self._line_size, event.ending)
        return event

    def _take_characters(self) -> Event | NeedData:
        """The characters that are whole, which may be none; the ending comes with its line."""
        octets = bytes(self._buffer)
        try:
            text, used = codecs.utf_8_decode(octets, "strict", False)
        except UnicodeDecodeError as error:
            self._buffer.clear()
            return InvalidText(octets, error.start, "")
        if not used:
            return NEED_DATA
        del self._buffer[:used]
        return Sentence(text, "")

    def _ends_with_whole_character(self) -> bool:
        try:
            return codecs.utf_8_decode(self._buffer, "strict", False)[1] == len(self._buffer)
        except UnicodeDecodeError:
            return True  # wrong anyway: more octets will not mend it


def render(sentence: Sentence, framing: Framing) -> bytes:
    """The octets of `sentence`. Under `Framing.OCTETS` its characters must be octets."""
    return (sentence.text + sentence.ending).encode(framing.charset)
