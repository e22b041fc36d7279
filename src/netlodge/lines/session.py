"""One connection to a line service: questions in, answers out, in their order and no faster than the peer takes them.

RFC 862, RFC 863, RFC 867 (the TCP based services), and the sentences of `uppercase` and `count`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from netlodge.core.contracts import Clock, Connection
from netlodge.core.records import Entry, LineRecord
from netlodge.lines.services import Service, respond
from netlodge.lines.wire import NEED_DATA, QUIET, Event, InvalidText, LineCodec, NeedData, Sentence

LINGER: Final = 2.0
"""Seconds in which the peer may take the last answer and close, before the connection is closed for it."""
TURN_EVENTS: Final = 256
"""Questions answered before other connections have their turn."""
TURN_OCTETS: Final = 65536
"""Octets answered before that, and before asking whether the peer takes them."""


@dataclass(frozen=True, slots=True)
class LineLimits:
    """What a peer may push against."""

    line_size: int = 65536
    """`limits.line_size`: octets of a sentence without its ending, where a sentence must be whole to be answered (RFC 5321 §4.5.3.1.6
    has 1000 for a line of text; a datagram holds 65,507)."""
    line_timeout: float = 300.0
    """`limits.line_timeout`: seconds in which a peer neither sends nor takes anything (RFC 1123 §5.3.2 has five minutes)."""
    record_size: int = 4096
    """`taps.body_bytes`: octets of a question or an answer that a record keeps."""


class Phase(Enum):
    """Where a connection stands. It only ever goes down this list."""

    TALKING = auto()
    """Both sides may send."""
    ANSWERING = auto()
    """No more questions are awaited: what has arrived is answered, then the connection is closed."""
    LINGERING = auto()
    """Our side has ended. What still comes is thrown away, because to close on it would make the kernel send a reset, and a
    reset may overtake the last answer (RFC 9112 §9.6 tells the story)."""


class LineSession:
    """Implements `core.contracts.Session` for any `Service`.

    `door` names the service in the records; `journal_append` takes one entry per question.
    """

    __slots__ = (
        "_clock", "_codec", "_connection", "_door", "_ends_when_quiet", "_is_retiring", "_journal_append", "_limits", "_phase",
        "_progress", "_relief", "_service", "_touched",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        *,
        door: str,
        service: Service,
        clock: Clock,
        journal_append: Callable[[Entry], None],
        limits: LineLimits,
    ) -> None:
        self._connection = connection
        self._door = door
        self._service = service
        self._clock = clock
        self._journal_append = journal_append
        self._limits = limits
        self._codec = LineCodec(service.framing, line_size=limits.line_size)
        self._phase = Phase.TALKING
        self._touched = clock.now  # when the peer last sent or took something
        self._progress = connection.progress
        self._relief: asyncio.Task[None] | None = None  # while the session waits: for the peer to take, or for its turn
        self._is_retiring = False
        self._ends_when_quiet = False
        if service.speaks_first:
            # RFC 867: "Once a connection is established the current date and time is sent [...] (and any data received is thrown
            # away). The service closes the connection after sending the quote."
            connection.write(self._answer(Sentence("", "")))
            connection.write_eof()
            self._phase = Phase.LINGERING

    def receive_data(self, data: bytes) -> None:
        if self._phase is not Phase.TALKING:
            return
        self._touched = self._clock.now
        self._codec.receive_data(data)
        if self._relief is None:
            self._advance()

    def receive_eof(self) -> None:
        if self._phase is Phase.LINGERING:
            self._connection.close()
        else:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        if self._relief is not None:
            self._relief.cancel()

    def sweep(self, now: float) -> None:
        if self._connection.progress != self._progress:
            self._progress = self._connection.progress
            self._touched = now
        quiet = now - self._touched
        if self._phase is Phase.LINGERING:
            if quiet >= LINGER:
                self._connection.close()
        elif self._relief is not None:
            if quiet >= self._limits.line_timeout:
                self._connection.abort()  # it takes nothing: there is nobody to say goodbye to
        elif quiet >= self._limits.line_timeout:
            self._finish()
        elif quiet >= QUIET:
            self._rest()

    def retire(self, *, at_once: bool) -> None:
        """See `Session.retire`. A stream of text has no words for "this was my last answer". So one that is in use goes on until
        it falls quiet, and is closed then: nobody is cut off in the middle of a text."""
        self._is_retiring = True
        if self._phase is Phase.TALKING and at_once:
            self._ends_when_quiet = True
            if self._relief is None and self._codec.is_empty:
                self._finish()

    def _rest(self) -> None:
        """The peer fell silent: what stands there was a sentence."""
        event = self._codec.end_sentence(is_last=False)
        if event is not NEED_DATA:
            self._connection.write(self._answer(event))
        if self._ends_when_quiet:
            self._finish()

    def _finish(self) -> None:
        """Await no more questions; answer those that are here, and close."""
        self._phase = Phase.ANSWERING
        if self._relief is None:
            self._advance()

    def _advance(self) -> None:
        """Answer what has arrived, for one turn. What is left waits for the peer to take the answers, and so does all reading."""
        answers: list[bytes] = []
        size = 0
        while (event := self._next_event()) is not NEED_DATA:
            answer = self._answer(event)
            answers.append(answer)
            size += len(answer)
            if size >= TURN_OCTETS or len(answers) >= TURN_EVENTS:
                break
        if size:
            self._connection.write(b"".join(answers))
        if event is not NEED_DATA or not self._connection.is_writable:
            self._connection.pause_reading()
            self._relief = asyncio.get_running_loop().create_task(self._go_on())
        elif self._phase is Phase.ANSWERING:
            self._connection.write_eof()
            self._connection.close()

    async def _go_on(self) -> None:
        """Take up again what `_advance` left."""
        try:
            await self._connection.drained()
        except ConnectionResetError:
            return  # `connection_lost` says so
        self._relief = None
        self._touched = self._clock.now
        self._advance()
        if self._relief is None:
            self._connection.resume_reading()

    def _next_event(self) -> Event | NeedData:
        event = self._codec.next_event()
        if event is NEED_DATA and self._phase is Phase.ANSWERING:
            return self._codec.end_sentence(is_last=True)
        return event

    def _answer(self, event: Event) -> bytes:
        """The octets that answer `event`, noted in the journal; empty for silence."""
        self._ends_when_quiet = self._is_retiring
        response = respond(self._service, event, self._clock.second)
        answer = b"" if response.sentence is None else self._codec.send(response.sentence)
        record = LineRecord(
            door=self._door,
            transport="tcp",
            question=self._question(event)[: self._limits.record_size],
            answer=answer[: self._limits.record_size],
            outcome=response.outcome,
        )
        self._journal_append((self._clock.wall, self._connection.peer, record))
        return answer

    def _question(self, event: Event) -> bytes:
        """The octets of the question, for the record. Of one that was too long nothing was kept."""
        if isinstance(event, Sentence):
            return self._codec.send(event)
        return event.octets if isinstance(event, InvalidText) else b""


def refuse(limit: str) -> bytes:
    """Implements `core.contracts.Refusal`: the last words to a connection over a limit."""
    return f"error: too many connections ({limit}); please come back later\r\n".encode()
