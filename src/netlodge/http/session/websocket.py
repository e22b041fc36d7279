"""One WebSocket from the server's side, after its opening handshake: messages in and out, keepalive, the closing handshake.

RFC 6455 §5.5 (control frames), §6 (messages), §7.1 and §7.2.2 (closing and failing), §7.4 (status codes); RFC 7692 by its codec.

It goes along this table; the rest of the file is what happens on the way:

    OPEN      messages pass in both directions                          -> CLOSING | LINGER
    CLOSING   our Close is out, theirs is awaited                       -> LINGER
    LINGER    nothing passes any more; what was sent is still leaving   -> gone

Whoever accepted it holds it as a `message.WebSocketChannel`; towards the connection it is a `Session`. It knows nothing of HTTP: a stream of
any kind that behaves as a `Connection` bears it.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, CancelledError, Future, Lock, sleep
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from netlodge.core.contracts import Clock, Connection, Counter, Gauge
from netlodge.http.message import WebSocketEnd
from netlodge.http.rules.websocket import DeflateTerms
from netlodge.http.session.pace import Pace
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role
from netlodge.http.wire.websocket import WebSocketCodec
from netlodge.http.wire.websocket_deflate import Deflate
from netlodge.http.wire.websocket_events import (
    REASON_OCTETS,
    Binary,
    Close,
    Fragment,
    Message,
    Ping,
    Pong,
    Text,
    WebSocketError,
)
from netlodge.http.wire.websocket_states import (
    ABNORMAL,
    CLOSED,
    GOING_AWAY,
    SERVICE_RESTART,
    may_be_in_close,
)

logger = logging.getLogger("netlodge.http")

HIGH_WATER: Final = 128 * 1024
"""Octets of messages that nobody received yet at which the client is made to wait."""
MESSAGE_COST: Final = 64
"""What a message counts beside its octets: a flood of empty ones is bounded, too."""
PONGS: Final = 16
"""Pings of which each is answered; of more at a time, the latest. "An endpoint [...] MAY elect to send a Pong frame for only the most recently
processed Ping frame" (§5.5.3)."""
FRAGMENT_OCTETS: Final = 256 * 1024
"""Longer messages leave in fragments of this size, so that nothing waits long behind one, and its compression holds up nobody."""
TURN_FRAMES: Final = 128
"""Frames taken at a stretch before others have their turn: a quarter of a millisecond. A quarter of a MiB may hold 40,000 of them."""
TURN_MESSAGES: Final = 64
"""Messages received at a stretch before others have their turn."""
LINGER_SECONDS: Final = 30.0
"""How long a client that takes what was sent, however slowly, is waited for after its end. Precedent: nginx `lingering_time`."""


class Phase(Enum):
    """Where a WebSocket stands; see the module's table."""

    OPEN = "open"
    CLOSING = "closing"
    LINGER = "linger"


OPEN, CLOSING, LINGER = Phase


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """What a client can push against. Times in seconds, sizes in octets; 0: no limit, except for `message`."""

    message: int = 16 * 1024 * 1024
    """`limits.websocket_message`."""
    ping: float = 20.0
    """`limits.websocket_ping`: after how much silence a client is pinged, and how long it has to be heard then."""
    send_timeout: float = 60.0
    """`limits.send_timeout`: how long a client may take nothing of what is sent."""
    close_timeout: float = 5.0
    """`limits.linger_timeout`: how long the client's part of the closing handshake may take."""


class WebSocketCounters(Protocol):
    """What is counted of WebSockets (`observe.series.WebSocketSeries`)."""

    @property
    def open(self) -> Gauge:
        """Those there are now."""
        ...

    def ended(self, code: int) -> Counter:
        """Those that ended so: by the code of `message.WebSocketEnd`."""
        ...


class WebSocketSession:
    """Implements `message.WebSocketChannel`."""

    __slots__ = (
        "_burst", "_clock", "_codec", "_connection", "_counters", "_discards", "_end", "_has_turn_coming", "_heard", "_input_has_ended", "_is_clean", "_is_lost",
        "_is_reading_paused", "_is_retiring", "_limits", "_loop", "_messages", "_octets", "_owed", "_pace", "_phase", "_pinged", "_since", "_turn",
        "_waiter", "_waiting", "when_lost",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        received: bytes,
        deflate: DeflateTerms | None,
        *,
        limits: WebSocketLimits,
        clock: Clock,
        loop: AbstractEventLoop,
        counters: WebSocketCounters | None = None,
    ) -> None:
        """`received` came already behind the handshake; `deflate` is what was agreed in it."""
        self._connection = connection
        self._limits = limits
        self._clock = clock
        self._loop = loop
        self._counters = counters
        self._codec = WebSocketCodec(Role.SERVER, message_limit=limits.message, deflate=_as_server(deflate))
        self._phase = OPEN
        self._messages: deque[str | bytes] = deque()
        self._octets = 0
        self._burst = 0
        self._waiter: Future[None] | None = None
        self._turn = Lock()
        self._end: WebSocketEnd | None = None
        """Told when the messages before it were received."""
        self._discards = False
        self._has_turn_coming = False
        self._input_has_ended = False
        self._is_lost = False
        self._is_clean = False
        self._is_reading_paused = False
        self._is_retiring = False
        self._owed: deque[Pong] = deque(maxlen=PONGS)
        self._pace = Pace(clock.now)
        self._since = self._heard = clock.now
        self._pinged: float | None = None
        self._waiting = 0
        self.when_lost: Callable[[], None] | None = None
        if counters is not None:
            counters.open.add(1)
        if received:
            self.receive_data(received)

    # --- from the connection -------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        if self._phase is LINGER:
            return
        self._heard = self._clock.now
        self._pinged = None
        self._codec.receive_data(data)
        self._take_events()

    def receive_eof(self) -> None:
        """Without a Close, this is no proper end (§7.1.5); after it, it is the client's share of it."""
        self._input_has_ended = True
        if self._phase is LINGER:
            self._connection.close()
        else:
            self._take_events()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = self._input_has_ended = True
        self._take_events()
        if self._counters is not None:
            self._counters.open.add(-1)
            self._counters.ended(ABNORMAL if self._end is None else self._end.code).add()
        if self.when_lost is not None:
            self.when_lost()

    def retire(self, *, at_once: bool) -> None:
        """At a reload it stays; it ends with 1012 when the time to retire is over, and with 1001 when the lodge ends."""
        if at_once and self._phase is OPEN:
            self._begin_closing(Close(SERVICE_RESTART if self._is_retiring else GOING_AWAY))
        self._is_retiring = True

    def sweep(self, now: float) -> None:
        connection, limits, pace = self._connection, self._limits, self._pace
        self._pay_pongs()
        if self._phase is OPEN:
            self._watch(now)
            return
        waiting = connection.unacknowledged()
        limit = limits.send_timeout if waiting else limits.close_timeout
        if pace.is_stuck(now, (connection.progress, waiting), limit) or now - self._since >= LINGER_SECONDS + limit:
            connection.abort()
        elif self._is_clean and connection.is_writable:
            connection.close()

    def _watch(self, now: float) -> None:
        """Is the client still there?"""
        connection, limits, pace = self._connection, self._limits, self._pace
        waiting, before = connection.unacknowledged(), self._waiting
        self._waiting = waiting
        if not connection.is_writable:
            # It does not take what is sent: a ping would only wait behind that.
            if pace.is_stuck(now, (connection.progress, waiting), limits.send_timeout):
                connection.abort()
            return
        pace.moves()
        if not limits.ping:
            return
        if self._pinged is None:
            if now - self._heard >= limits.ping:
                self._write(Ping())
                self._pinged = now
                self._waiting = connection.unacknowledged()
        elif 0 < waiting < before:
            self._pinged = now  # it takes what was sent before the ping
        elif self._is_reading_paused and not waiting:
            # Its pong may wait where nobody reads; that the ping was taken must do.
            self._pinged = None
            self._heard = now
        elif now - self._pinged >= limits.ping:
            logger.debug("a WebSocket client at %s did not answer a ping", connection.peer)
            connection.abort()

    # --- what the client says ------------------------------------------------------------------------------------------

    def _take_events(self) -> None:
        """Take the codec's events as far as there is room for them, a turn's worth at a time. `receive` makes room, and calls this again."""
        codec = self._codec
        left = TURN_FRAMES
        try:
            while self._phase is not LINGER:
                if self._octets >= HIGH_WATER or not left:
                    self._pause_reading()
                    self._pay_pongs()
                    if not (left or self._has_turn_coming):
                        self._has_turn_coming = True
                        self._loop.call_soon(self._take_turn)
                    return
                left -= 1
                event = codec.next_event()
                kind = type(event)
                if kind is Text or kind is Binary:
                    self._deliver(event.data)  # type: ignore[union-attr]
                elif kind is Ping:
                    self._owed.append(Pong(event.data))  # type: ignore[union-attr, arg-type]
                elif kind is Close:
                    self._pay_pongs()
                    self._close_came(event)  # type: ignore[arg-type]
                elif kind is not Pong and kind is not Fragment:
                    break
        except WebSocketError as error:
            self._fail(error)
        if self._phase is LINGER:
            return
        self._pay_pongs()
        if self._input_has_ended:
            self._end_with(WebSocketEnd(ABNORMAL))
            self._linger(is_clean=True)
        else:
            self._resume_reading()

    def _take_turn(self) -> None:
        self._has_turn_coming = False
        try:
            self._take_events()
        except Exception:
            logger.exception(
                "a defect in the WebSocket of %s; this connection is closed, others go on", self._connection.peer
            )
            self._connection.abort()

    def _deliver(self, message: str | bytes) -> None:
        if not self._discards:
            self._messages.append(message)
            self._octets += len(message) + MESSAGE_COST
            self._wake()

    def _close_came(self, close: Close) -> None:
        # "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send a Close frame in
        # response. (When sending a Close frame in response, the endpoint typically echos the status code it received.)" (§5.5.1)
        if self._codec.our_state is not CLOSED:
            self._write(Close(close.code))
        self._end_with(WebSocketEnd(close.code, close.reason))
        self._linger(is_clean=True)

    def _fail(self, error: WebSocketError) -> None:
        """_Fail the WebSocket Connection_ (§7.1.7): say why, and take no notice of what still comes."""
        logger.debug("the WebSocket of %s fails: %s", self._connection.peer, error)
        if self._codec.our_state is not CLOSED:
            self._write(Close(error.code, error.detail))
        self._end_with(WebSocketEnd(error.code, error.detail))
        self._linger(is_clean=False)

    def _pay_pongs(self) -> None:
        """All in one write; to a client that does not read, when it does."""
        if self._owed and self._connection.is_writable and self._codec.our_state is not CLOSED:
            self._connection.write(b"".join(map(self._codec.send, self._owed)))
            self._owed.clear()

    def _write(self, event: Ping | Pong | Close) -> None:
        self._connection.write(self._codec.send(event))

    # --- the end -------------------------------------------------------------------------------------------------------

    def _begin_closing(self, close: Close) -> None:
        self._write(close)
        self._phase = CLOSING
        self._since = self._clock.now
        self._pace.begin(self._since)

    def _linger(self, *, is_clean: bool) -> None:
        """`is_clean`: the client has said all it will say, so that nothing it sends can turn our last words into a reset."""
        connection = self._connection
        self._phase = LINGER
        self._is_clean = is_clean
        self._since = self._clock.now
        self._pace.begin(self._since)
        if is_clean and connection.is_writable:
            connection.close()
        else:
            connection.write_eof()
            self._resume_reading()

    def _end_with(self, end: WebSocketEnd) -> None:
        if self._end is None:
            self._end = end
            self._wake()

    # --- message.WebSocketChannel ----------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes | WebSocketEnd:
        while True:
            if self._burst >= TURN_MESSAGES:
                self._burst = 0
                await sleep(0)
            if self._messages:
                self._burst += 1
                message = self._messages.popleft()
                self._octets -= len(message) + MESSAGE_COST
                if self._is_reading_paused and self._octets < HIGH_WATER and not self._has_turn_coming:
                    self._take_events()
                return message
            if self._end is not None:
                return self._end
            if self._waiter is not None:
                raise RuntimeError("two readers of one WebSocket")
            self._burst = 0
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def send(self, message: str | bytes) -> None:
        async with self._turn:
            connection = self._connection
            if not connection.is_writable:
                await connection.drained()
            event = Text(message) if isinstance(message, str) else Binary(message)
            try:
                if self._phase is not OPEN or self._is_lost:
                    raise _has_ended()
                if len(message) <= FRAGMENT_OCTETS:
                    connection.write(self._codec.send(event))
                    if not connection.is_writable:
                        await connection.drained()
                else:
                    await self._send_in_fragments(event)
            except SendError as error:
                if self._codec.our_state is CLOSED:
                    raise _has_ended() from None
                raise ValueError(str(error)) from None
        self._pay_pongs()

    async def _send_in_fragments(self, message: Message) -> None:
        connection = self._connection
        frames = self._codec.fragments(message, FRAGMENT_OCTETS)
        try:
            for octets in frames:
                connection.write(octets)
                if connection.is_writable:
                    await sleep(0)
                else:
                    await connection.drained()
        except CancelledError:
            # Half a message would spoil all that come after it.
            with suppress(SendError):
                for octets in frames:
                    connection.write(octets)
            raise

    def close(self, code: int = 1000, reason: str = "") -> None:
        if not may_be_in_close(code):
            raise ValueError(f"the status code {code} may not be in a Close (RFC 6455 §7.4)")
        if self._phase is not OPEN or self._is_lost:
            return
        self._begin_closing(Close(code, _clipped(reason)))
        self._discards = True
        self._messages.clear()
        self._octets = 0
        if self._is_reading_paused:
            self._take_events()

    # --- reading ---------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause_reading(self) -> None:
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self._connection.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused:
            self._is_reading_paused = False
            self._connection.resume_reading()


def _as_server(terms: DeflateTerms | None) -> Deflate | None:
    """What was agreed, as this end sees it."""
    if terms is None:
        return None
    return Deflate(
        our_window_bits=terms.server_max_window_bits,
        their_window_bits=terms.client_max_window_bits,
        we_keep_context=not terms.server_no_context_takeover,
        they_keep_context=not terms.client_no_context_takeover,
    )


def _clipped(reason: str) -> str:
    """As much of a reason as fits into a Close."""
    return reason.encode("utf-8", "replace")[:REASON_OCTETS].decode("utf-8", "ignore")


def _has_ended() -> ConnectionResetError:
    return ConnectionResetError("the WebSocket is closed")
