"""The line services: what each answers to a question. Pure: the time is an argument.

`uppercase` and `count` are the first applications of every networking course; `echo` is RFC 862, `discard` RFC 863, `daytime`
RFC 867 (each of these three is one page without section numbers).
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from netlodge.core.errors import NetlodgeError
from netlodge.lines.wire import Event, Framing, Sentence


class SentenceError(NetlodgeError):
    """A sentence that a service cannot answer. `str(error)` is the reply's text: what it expected."""


class Service(Protocol):
    """A line service: one method, no state."""

    @property
    def framing(self) -> Framing:
        """How the service's questions are told apart on a stream. A datagram is always one question."""
        ...

    @property
    def speaks_first(self) -> bool:
        """True if on a stream the service answers before it is asked, and then ends its side."""
        ...

    def answer(self, text: str, second: int) -> str | None:
        """Answer `text`, which is without its line ending, at `second` (whole seconds since the epoch). None: silence.

        Raises `SentenceError` when the text is not of the form that the service expects.
        """
        ...


class Uppercase:
    """The sentence in capitals.

    Unicode maps each character to its capitals for itself (`ß` to `SS`), whatever stands beside it. So the answer to a
    text is the answers to its pieces, and every piece can be answered when it arrives.
    """

    framing = Framing.TEXT
    speaks_first = False

    def answer(self, text: str, second: int) -> str:
        return text.upper()


class Count:
    """How often a letter stands in a sentence: `a banana` is asked, `3` is answered.

    The letter is the first character; capitals and small letters differ. A letter with its accent is one letter, whether it was sent as
    one code point or as two (Unicode normalization form C).
    """

    framing = Framing.SENTENCES
    speaks_first = False

    def answer(self, text: str, second: int) -> str:
        question = unicodedata.normalize("NFC", text)
        if question[1:2] != " ":
            raise SentenceError('expected a letter, a space and a sentence, as in "a banana"')
        return str(question.count(question[0], 2))


class Echo:
    """RFC 862: what was received is sent back, octet for octet."""

    framing = Framing.OCTETS
    speaks_first = False

    def answer(self, text: str, second: int) -> str:
        return text


class Discard:
    """RFC 863: what was received is thrown away, and nothing is answered."""

    framing = Framing.OCTETS
    speaks_first = False

    def answer(self, text: str, second: int) -> None:
        return None


_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class Daytime:
    """RFC 867: the date and time as one line of ASCII, in the first form that the RFC shows, in UTC. What was received is ignored."""

    framing = Framing.OCTETS
    speaks_first = True

    def answer(self, text: str, second: int) -> str:
        at = time.gmtime(second)
        month = _MONTHS[at.tm_mon - 1]
        return (
            f"{_DAYS[at.tm_wday]}, {month} {at.tm_mday}, {at.tm_year} "
            f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}-UTC\r\n"
        )


SERVICES: Final[Mapping[str, Service]] = MappingProxyType(
    {"uppercase": Uppercase(), "count": Count(), "echo": Echo(), "discard": Discard(), "daytime": Daytime()}
)
"""Every line service by the name that it has in the settings."""


class Response(NamedTuple):
    """What goes back: `sentence`, or None for silence. `outcome` is the record's: `complete`, or `refused` for a sentence that was none."""

    sentence: Sentence | None
    outcome: str


def respond(service: Service, event: Event, second: int) -> Response:
    """The response to what the wire told, good or bad, with the ending that the question had."""
    if not isinstance(event, Sentence):
        return Response(Sentence(event.reply, event.ending), "refused")
    try:
        answer = service.answer(event.text, second)
    except SentenceError as error:
        return Response(Sentence(f"error: {error}", event.ending), "refused")
    return Response(None if answer is None else Sentence(answer, event.ending), "complete")
