"""One HTTP/1.1 connection from the client's side: one exchange at a time, both of its messages streamed.

RFC 9112 §9.2 (an answer belongs to its request), §9.3 (persistence), §9.5 (failures and timeouts, answers before the request ends), §8
(incomplete messages), §9.8 (TLS that ends without saying so); RFC 9110 §10.1.1 (100-continue), §15.2 (interim answers).

What arrives is told to the exchange at once. It keeps at most `READ_AHEAD` octets of a body and what came with them, and then reads no more
until they are taken: so the server's window fills. In the other direction a piece is asked for when the stream takes more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, cast

from netlodge.core.contracts import Connection
from netlodge.http.client.content import Content, Octets
from netlodge.http.client.errors import (
    ClientError,
    ClosedError,
    Phase,
    ProtocolError,
    RequestError,
    SlowError,
    TruncatedError,
    UploadError,
)
from netlodge.http.message import Fields, MessageError
from netlodge.http.wire.h1 import (
    ConnectionClosed,
    Data,
    EndOfMessage,
    Http1Codec,
    InformationalHead,
    Pause,
    RequestHead,
    ResponseHead,
    Role,
    SendError,
    State,
    WireLimits,
)
from netlodge.net.tls_client import TlsFacts

READ_AHEAD: Final = 64 * 1024
"""Octets of a body that are kept before reading pauses."""
AT_ONCE: Final = 64 * 1024
"""Octets of the largest content that leaves together with its head, without a task."""
INTERIM_COUNT: Final = 100
"""Interim answers to one request. RFC 9110 §15.2 sets no limit, so a server could send nothing else for ever."""


class Times(NamedTuple):
    """How long to wait for what, in seconds; see `errors.Phase`."""

    connect: float = 10.0
    """For a connection: name, TCP, a tunnel and TLS together."""
    go_on: float = 1.0
    """For `100 Continue`, before the content is sent anyway (RFC 9110 §10.1.1: "ought not wait for an indefinite period"). curl: 1 s."""
    head: float = 60.0
    """From the moment when the server has taken the request, or some more of it, to the head of the answer."""
    body: float = 60.0
    """Between two pieces of the body. nginx: `proxy_read_timeout` 60 s."""
    total: float | None = None
    """For all of it, redirects included; None: no limit."""


@dataclass(slots=True)
class Path:
    """How a connection came about: moments on its clock, -1 where there was none."""

    started_at: float = -1.0
    resolved_at: float = -1.0
    connected_at: float = -1.0
    tunnelled_at: float = -1.0
    secured_at: float = -1.0
    peer: str = ""
    tls: TlsFacts | None = None


class Watch(Protocol):
    """Who wants to see what becomes of a request: the connection, and the heads as they are on the wire."""

    def connected(self, path: Path, /) -> None:
        """A connection was made for it."""
        ...

    def sent_head(self, octets: bytes, /) -> None: ...
    def received_head(self, octets: bytes, /) -> None: ...


Inform = Callable[[int, Fields], None]
"""Told of each interim answer but 100: status and fields (103 and its links, say)."""


@dataclass(slots=True)
class Message:
    """A request as a connection sends it: the head, and its content if it has any."""

    head: RequestHead
    content: Content | None = None
    inform: Inform | None = None
    watch: Watch | None = None


class H1Connection:
    """Implements `core.contracts.Session` for a connection to a server.

    `when_free` is called when an exchange is over and the next may begin; `when_lost` when none will any more. Each may be set by who
    keeps the connection. `clock` gives monotonic seconds; whoever keeps it calls `sweep` a few times a second.
    """

    __slots__ = (
        "_has_tunnel", "clock", "codec", "connection", "exchange", "is_open", "uses", "when_free", "when_lost", "where",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        where: str,
        *,
        clock: Callable[[], float],
        limits: WireLimits,
    ) -> None:
        self.connection = connection
        self.where = where
        self.clock = clock
        self.codec = Http1Codec(Role.CLIENT, limits)
        self.exchange: Exchange | None = None
        self.is_open = True
        """Whether an exchange can begin, now or when the one under way is over."""
        self.uses = 0
        """Exchanges that began."""
        self._has_tunnel = False
        self.when_free: Callable[[H1Connection], None] = _tell_nobody
        self.when_lost: Callable[[H1Connection], None] = _tell_nobody

    def begin(self, message: Message, times: Times) -> Exchange:
        """Send a request. Only when no exchange is under way. Raises `RequestError`, or `ClosedError` if the connection has ended: nothing was
        sent."""
        if not self.is_open:
            closed = ClosedError(f"The connection to {self.where} has ended. Try again.")
            closed.was_sent = False
            raise closed
        exchange = Exchange(self, message, times)
        exchange.start()
        return exchange

    def close(self) -> None:
        """No exchange will begin any more, and one under way is broken off."""
        self._end()
        self.connection.close()

    def take_stream(self) -> tuple[Connection, bytes]:
        """After 101, or 2xx to CONNECT, was answered: the stream, and what came on it already. The stream is the caller's now; it does
        not read until `resume_reading`."""
        self._end()
        return self.connection, self.codec.trailing_data

    def is_stale(self) -> bool:
        """Whether something waits that the loop has not delivered yet: at rest that is the end of the connection, as a rule."""
        has_news = getattr(self.connection, "has_news", None)
        return bool(has_news is not None and has_news())

    # --- from the stream -----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        if self.exchange is not None:
            self.codec.receive_data(data)
            self.exchange.advance(has_octets=True)
        elif self._has_tunnel:
            self.codec.receive_data(data)
        else:
            # "If a client receives data on a connection that doesn't have outstanding requests, the client MUST NOT consider that data to be
            # a valid response; the client SHOULD close the connection" (RFC 9112 §9.2)
            self.close()

    def receive_eof(self) -> None:
        if self.exchange is not None:
            self.codec.receive_eof()
            self.exchange.advance(has_octets=False)
        else:
            # "a client SHOULD monitor open connections for [...] a closure and respond to it as appropriate" (RFC 9112 §9.5)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        exchange, self.exchange = self.exchange, None
        self._end()
        if exchange is not None:
            exchange.lose(error)

    def sweep(self, now: float) -> None:
        if self.exchange is not None:
            self.exchange.check_time(now)

    def retire(self, *, at_once: bool) -> None:
        self.is_open = False

    # --- for the exchange ----------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """The exchange is over, as far as this connection goes: keep the connection or close it."""
        self.exchange = None
        codec = self.codec
        if codec.their_state is State.TUNNEL:
            self._has_tunnel = True
            self.is_open = False
            self.connection.pause_reading()
            return
        if not (self.is_open and codec.our_state is State.DONE and codec.their_state is State.DONE) or codec.buffered:
            self.close()
            return
        codec.start_next_cycle()
        self.connection.resume_reading()
        self.when_free(self)

    def break_off(self) -> None:
        """Nothing that would still come is of use."""
        self.exchange = None
        self._end()
        self.connection.abort()

    def _end(self) -> None:
        self.is_open = False
        when_lost, self.when_lost = self.when_lost, _tell_nobody
        when_lost(self)


def _tell_nobody(_: H1Connection) -> None:
    pass


class Exchange:
    """One request and its answer. `head()` first, then `read()` until it returns nothing; or `close()` at any time."""

    __slots__ = (
        "_answer", "_content", "_continue", "_deadline", "_error", "_has_ended", "_inform", "_interim", "_is_paused", "_kept",
        "_link", "_phase", "_pieces", "_switches", "_times", "_unacknowledged", "_uploading", "_waiter", "_watch", "ended_at",
        "head_at", "heard_at", "length", "raw_head", "received", "request", "sent", "sent_at", "trailers",
    )  # fmt: skip

    def __init__(self, link: H1Connection, message: Message, times: Times) -> None:
        self._link = link
        self.request = message.head
        self._content = message.content
        self._inform = message.inform
        self._watch = message.watch
        self._times = times
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[ResponseHead] = loop.create_future()
        self._continue: asyncio.Future[None] | None = None
        self._uploading: asyncio.Task[None] | None = None
        self._interim = 0
        self._pieces: deque[bytes] = deque()
        self._kept = 0
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._has_ended = False
        self.length: int | None = None
        """Octets of the answer's body, if its head said so."""
        self.raw_head = b""
        """The answer's final head, as it stood on the wire."""
        self._switches = False
        self._error: ClientError | None = None
        self._deadline = float("inf")
        self._phase = Phase.HEAD
        self._unacknowledged = -1
        self.trailers: Fields | None = None
        """Of the answer, once its end was read."""
        self.sent = 0
        """Octets of content that were handed over."""
        self.received = 0
        """Octets of the answer's body that came."""
        self.sent_at = self.heard_at = self.head_at = self.ended_at = -1.0
        """When all of the request was handed over; when the first octet, the final head and the end of the answer came."""

    # --- for whoever asked ---------------------------------------------------------------------------------------------

    async def head(self) -> ResponseHead:
        """The final head. Raises `ClientError`."""
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.close()
            raise

    async def read(self) -> bytes:
        """The next piece of the body; nothing at its end and ever after. Raises `ClientError`."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return b""
            await self._wait()
        piece = self._pieces.popleft()
        self._kept -= len(piece)
        if self._is_paused and self._kept < READ_AHEAD and self._link.exchange is self:
            self._is_paused = False
            self._link.connection.resume_reading()
        return piece

    def close(self) -> None:
        """Whoever asked wants no more. What is not complete costs its connection."""
        self._pieces.clear()
        self._deadline = float("inf")
        if self._link.exchange is self:
            self._stop_upload()
            self._link.break_off()
        if not self._has_ended and self._error is None:
            self._fail(ClosedError("The answer was given up."))

    @property
    def switches(self) -> bool:
        """Whether the stream is no longer HTTP: see `take_stream`."""
        return self._switches

    def take_stream(self) -> tuple[Connection, bytes]:
        """See `H1Connection.take_stream`."""
        return self._link.take_stream()

    # --- sending -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        link, head, content = self._link, self.request, self._content
        codec = link.codec
        try:
            octets = head_octets = codec.send(head)
            must_wait = "100-continue" in head.fields.list_of("expect")
            is_small = isinstance(content, Octets) and not must_wait and content.length <= AT_ONCE
            if content is None:
                octets += codec.send(EndOfMessage())
            elif is_small:
                data = cast("Octets", content).octets
                self.sent = len(data)
                octets += codec.send(Data(data)) + codec.send(EndOfMessage())
        except SendError as error:
            link.break_off()
            raise RequestError(str(error)) from error
        link.exchange = self
        link.uses += 1
        self._expect(Phase.HEAD, self._times.head)
        link.connection.write(octets)
        if self._watch is not None:
            self._watch.sent_head(head_octets)
        if content is None or is_small:
            self.sent_at = link.clock()
            return
        loop = asyncio.get_running_loop()
        if must_wait:
            self._continue = loop.create_future()
        self._uploading = loop.create_task(self._upload(content))

    async def _upload(self, content: Content) -> None:
        link = self._link
        codec, connection = link.codec, link.connection
        try:
            if self._continue is not None:
                await asyncio.wait([self._continue], timeout=self._times.go_on)
                self._continue = None
            async with aclosing(content.pieces()) as pieces:
                async for piece in pieces:
                    connection.write(codec.send(Data(piece)))
                    self.sent += len(piece)
                    if not self._answer.done() or self._has_ended:
                        self._expect(Phase.HEAD, self._times.head)
                    if not connection.is_writable:
                        await connection.drained()
            connection.write(codec.send(EndOfMessage(content.trailers())))
        except ConnectionResetError:
            # The server takes no more. It may have said why: that is for the reading side to find.
            return
        except Exception as error:
            self._fail(UploadError(f"The content of the request could not be sent to its end: {error}"))
            link.break_off()
            return
        finally:
            self._uploading = None
        self.sent_at = link.clock()
        if self._has_ended and link.exchange is self:
            link.finish()
        elif not self._answer.done():
            self._expect(Phase.HEAD, self._times.head)

    def _stop_upload(self) -> None:
        if self._uploading is not None:
            self._uploading.cancel()
            self._uploading = None

    # --- receiving -----------------------------------------------------------------------------------------------------

    def advance(self, *, has_octets: bool) -> None:
        """Take what the codec has, after octets or the end of the stream came."""
        link = self._link
        if has_octets and self.heard_at < 0:
            self.heard_at = link.clock()
        try:
            while link.exchange is self:
                event = link.codec.next_event()
                if isinstance(event, Data):
                    self._take_data(event.data)
                elif isinstance(event, ResponseHead):
                    self._take_head(event)
                elif isinstance(event, EndOfMessage):
                    self._take_end(event)
                elif isinstance(event, InformationalHead):
                    self._take_interim(event)
                elif isinstance(event, ConnectionClosed):
                    self._fail(ClosedError(f"{link.where} closed the connection without an answer. Try again."))
                    link.break_off()
                else:
                    assert isinstance(event, Pause)  # noqa: S101 - requests do not come here
                    return
        except MessageError as error:
            self._stop_upload()
            self._fail(self._judged(error, is_end=not has_octets))
            link.break_off()

    def _take_interim(self, head: InformationalHead) -> None:
        self._interim += 1
        if self._interim > INTERIM_COUNT:
            raise MessageError(502, f"more than {INTERIM_COUNT} interim answers came before the final one.")
        if self._watch is not None:
            self._watch.received_head(head.raw)
        if head.status == 100:
            if self._continue is not None and not self._continue.done():
                self._continue.set_result(None)
        elif self._inform is not None:
            self._inform(head.status, head.fields)

    def _take_head(self, head: ResponseHead) -> None:
        link = self._link
        self.head_at = link.clock()
        self.length = head.content_length
        self.raw_head = head.raw
        self._switches = head.status == 101 or (self.request.method == "CONNECT" and 200 <= head.status < 300)
        if self._watch is not None:
            self._watch.received_head(head.raw)
        if self._uploading is not None and (head.status >= 300 or self._continue is not None):
            # "If the client sees a response that indicates the server does not wish to receive the message body and is closing the
            # connection, the client SHOULD immediately cease transmitting the body" (RFC 9112 §9.5). One who has refused without
            # closing is not sent it either: that costs a connection, and not a body.
            self._stop_upload()
        self._deadline = float("inf")
        self._phase = Phase.BODY
        if not self._answer.done():
            self._answer.set_result(head)

    def _take_data(self, data: bytes) -> None:
        self.received += len(data)
        self._pieces.append(data)
        self._kept += len(data)
        self._deadline = float("inf")
        if self._kept >= READ_AHEAD and not self._is_paused:
            self._is_paused = True
            self._link.connection.pause_reading()
        self._wake()

    def _take_end(self, end: EndOfMessage) -> None:
        self.trailers = end.trailers
        self.ended_at = self._link.clock()
        self._has_ended = True
        self._deadline = float("inf")
        if self._uploading is None:
            self._link.finish()
        else:
            # The server has said all and goes on to read: it is given the rest, and then the connection is free.
            self._expect(Phase.HEAD, self._times.body)
        self._wake()

    def lose(self, error: Exception | None) -> None:
        """The stream is gone."""
        self._stop_upload()
        self._fail(self._lost(error))

    def _judged(self, error: MessageError, *, is_end: bool) -> ClientError:
        """What a message that is none means here. `is_end`: it was the end of the stream that made it so."""
        where = self._link.where
        if self._answer.done():
            if is_end:
                return self._truncated("the connection was closed")
            return ProtocolError(f"{where}: {error.detail} The rest of it is not to be trusted.")
        if is_end:
            closed = ClosedError(f"{where} closed the connection in the middle of the head of its answer. Try again.")
            closed.was_answered = True
            return closed
        hint = f" ({error.setting})" if error.setting else ""
        return ProtocolError(f"{where}: {error.detail}{hint} See whether it speaks HTTP at all.")

    def _lost(self, error: Exception | None) -> ClientError:
        where = self._link.where
        how = "the connection was reset" if error is not None else "the connection ended"
        if error is None and self._link.connection.is_secure:
            # RFC 9112 §9.8: "a client that [...] is processing a response message [...] that is delimited by the connection close"
            how = "TLS ended without saying so"
        if self._answer.done():
            return self._truncated(how)
        closed = ClosedError(f"No answer from {where}: {how}. Try again.")
        closed.was_answered = self.heard_at >= 0
        return closed

    def _truncated(self, how: str) -> TruncatedError:
        missing = None if self.length is None else self.length - self.received
        return TruncatedError(self._link.where, self.received, missing, how)

    # --- time ----------------------------------------------------------------------------------------------------------

    def check_time(self, now: float) -> None:
        """Called a few times a second."""
        if self._phase is Phase.HEAD and not self._has_ended:
            # As long as the server takes what was sent, its time has not begun.
            waiting = self._link.connection.unacknowledged()
            if waiting != self._unacknowledged:
                self._unacknowledged = waiting
                if waiting:
                    self._deadline = now + self._times.head
        if now >= self._deadline:
            seconds = self._times.head if self._phase is Phase.HEAD else self._times.body
            self._stop_upload()
            slow = SlowError(self._phase, self._link.where, seconds)
            slow.was_answered = self._answer.done() or self.heard_at >= 0
            self._fail(slow)
            self._link.break_off()

    def _expect(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self._deadline = self._link.clock() + seconds

    async def _wait(self) -> None:
        if self._link.exchange is self:
            self._expect(Phase.BODY, self._times.body)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: ClientError) -> None:
        if self._error is None and not self._has_ended:
            self._error = error
            self._deadline = float("inf")
            if not self._answer.done():
                self._answer.set_exception(error)
                self._answer.exception()  # told also to whoever has not asked yet, without a complaint of the loop's
            self._wake()
