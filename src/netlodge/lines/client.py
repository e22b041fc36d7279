"""The other side of a line service: talk to one over TCP, TLS or UDP, or listen to what its clients say.

Knows no terminal: what passes is told to a `Display`, what to send comes from an asynchronous iterator of octets.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, cast

from netlodge.core.contracts import Peer
from netlodge.core.errors import NetlodgeError
from netlodge.lines.wire import NEED_DATA, QUIET, Event, Framing, LineCodec, Sentence, TooLong, read_whole
from netlodge.net.connection import peer_of
from netlodge.net.dial import (
    Address,
    DialError,
    DialFailure,
    Resolve,
    dial,
    find_addresses,
    resolve_by_system,
    tls_detail,
)

LINE_SIZE: Final = 65536
"""Octets of a sentence that a listener shows whole; a longer one is mentioned."""
LISTENER_CONNECTIONS: Final = 128
"""Connections that a listener holds at once; others are closed."""
DATAGRAM_SIZE: Final = 65535
FAREWELL_SECONDS: Final = 1.0
"""For the peer to take the end of the stream (with TLS: the close_notify alert, RFC 8446 §6.1)."""


class ConnectionLostError(NetlodgeError):
    """The stream broke: no clean end."""


class SilenceError(NetlodgeError):
    """The peer neither said anything nor took what was said, for as long as was allowed."""


class NoAnswerError(NetlodgeError):
    """Some datagram had no answer."""


class CannotListenError(NetlodgeError):
    """The address or port cannot be had."""


class DisplayError(NetlodgeError):
    """What passed could not be shown: no fault of the peer's. Its cause is what the operating system said."""


class Display(Protocol):
    """Who is told what passes. Raises nothing but `DisplayError`, which ends the talk."""

    def sent(self, data: bytes) -> None: ...
    def received(self, data: bytes) -> None: ...
    def notice(self, text: str) -> None:
        """Something good to know."""
        ...

    def trouble(self, error: NetlodgeError) -> None:
        """Something failed, and the talk goes on."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to talk to. `timeout` is in seconds: for connecting, and then for each silence in which an answer is due."""

    host: str
    port: int
    timeout: float
    tls: ssl.SSLContext | None = None
    resolve: Resolve = resolve_by_system

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"


class _Stream(asyncio.Protocol):
    """A connection being talked on: what comes in is shown at once."""

    def __init__(self, display: Display) -> None:
        loop = asyncio.get_running_loop()
        self._display = display
        self._now = loop.time
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the peer has said all; its exception is what broke the stream."""
        self.closed: asyncio.Future[None] = loop.create_future()
        self.heard_at: float | None = None
        self.may_write = asyncio.Event()
        self.may_write.set()

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._now()
        try:
            self._display.received(data)
        except DisplayError as error:
            # The event loop would take it for the connection's failure.
            if not self.ended.done():
                self.ended.set_exception(error)

    def eof_received(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(None)
        self.may_write.set()
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()


async def talk_stream(target: Target, source: AsyncIterator[bytes], display: Display, *, is_interactive: bool) -> None:
    """Send what `source` yields, show what comes, until the peer ends the stream; or, once all was sent, is silent for the timeout.

    The end of `source` half-closes the stream, so that the peer knows and may still answer. TLS cannot half-close: there an
    interactive talk ends, any other waits for silence.

    Raises `DialError`, `ConnectionLostError`, what the display raised; `SilenceError` if the peer takes nothing, or never said anything at all.
    """
    transport, stream = await dial(
        lambda: _Stream(display),
        target.host, target.port, timeout=target.timeout, tls=target.tls, resolve=target.resolve,
    )  # fmt: skip
    if is_interactive:
        display.notice(f"Connected to {_description(transport)}. Ctrl-D ends the talk, Ctrl-C breaks it off.")
    sending = asyncio.create_task(_send_all(source, transport, stream, display, target))
    try:
        await asyncio.wait({stream.ended, sending}, return_when=asyncio.FIRST_COMPLETED)
        if not stream.ended.done():
            sending.result()
            if transport.can_write_eof():
                transport.write_eof()
            elif is_interactive:
                return
            await _hear_out(stream, target)
        if stream.ended.done():
            stream.ended.result()
    except ssl.SSLError as error:
        raise DialError(DialFailure.TLS_FAILED, target.host, target.port, tls_detail(error)) from error
    except OSError as error:
        raise ConnectionLostError(
            f"the connection to {target} was lost ({error.strerror or error}). "
            "Try again; if it is lost again, look into the server's log"
        ) from error
    finally:
        sending.cancel()
        await asyncio.wait({sending})
        for outcome in (sending, stream.ended):
            if outcome.done() and not outcome.cancelled():
                outcome.exception()  # raised above, or of no interest beside what was
        transport.close()
        await asyncio.wait({stream.closed}, timeout=FAREWELL_SECONDS)
        transport.abort()


async def _send_all(
    source: AsyncIterator[bytes], transport: asyncio.Transport, stream: _Stream, display: Display, target: Target
) -> None:
    async for data in source:
        if stream.closed.done():
            return
        transport.write(data)
        display.sent(data)
        try:
            async with asyncio.timeout(target.timeout):
                await stream.may_write.wait()
        except TimeoutError:
            raise SilenceError(
                f"{target} takes no more data. Allow more time with --timeout, or look whether the server is stuck"
            ) from None


async def _hear_out(stream: _Stream, target: Target) -> None:
    """Wait until the peer ends the stream, or says nothing for the timeout."""
    now = asyncio.get_running_loop().time
    deadline = now() + target.timeout
    while not stream.ended.done() and now() < deadline:
        await asyncio.wait({stream.ended}, timeout=deadline - now())
        if stream.heard_at is not None:
            deadline = max(deadline, stream.heard_at + target.timeout)
    if stream.heard_at is None and not stream.ended.done():
        raise SilenceError(
            f"{target} said nothing for {target.timeout:g} s. Allow more time with --timeout, or check what it expects: "
            "many protocols want lines that end in CRLF (--crlf)"
        )


def _description(transport: asyncio.Transport) -> str:
    peer = peer_of(transport.get_extra_info("peername"))
    tls = transport.get_extra_info("ssl_object")
    return f"{peer} ({tls.version()})" if tls is not None else str(peer)


async def talk_datagrams(
    target: Target, source: AsyncIterator[bytes], display: Display, *, ending: bytes, is_interactive: bool
) -> NetlodgeError | None:
    """Send each line of `source` as a datagram (with `ending` in place of the newline), and show the answer before the next.

    A line without an answer is trouble for the display, and the next one is sent. The first such failure is returned: a
    `DialError` if nobody listened, a `NoAnswerError` if no answer came in time. Raises `DialError` if the name is unknown, and what the
    display raised.
    """
    try:
        async with asyncio.timeout(target.timeout):
            addresses = await find_addresses(target.host, target.port, resolve=target.resolve)
    except TimeoutError:
        raise DialError(DialFailure.TIMED_OUT, target.host, target.port) from None
    if is_interactive:
        display.notice(f"Each line goes to {target} as a datagram. Ctrl-D ends the talk.")
    failure: NetlodgeError | None = None
    exchange = _DatagramExchange(target, addresses, display)
    try:
        async for line in _lines(source):
            try:
                await exchange.ask(line + ending)
            except (DialError, NoAnswerError) as error:
                display.trouble(error)
                failure = failure or error
    finally:
        exchange.close()
    return failure


class _DatagramExchange:
    """Question and answer with one name: with the first of its addresses where somebody listens."""

    def __init__(self, target: Target, addresses: list[Address], display: Display) -> None:
        self._target = target
        self._addresses = addresses
        self._display = display
        self._socket: socket.socket | None = None

    async def ask(self, question: bytes) -> None:
        """Send `question` and show its answer."""
        error: OSError | None = None
        if self._socket is not None:
            self._show_latecomers(self._socket)
        self._display.sent(question if question.endswith(b"\n") else question + b"\n")
        for _ in self._addresses:
            try:
                await self._ask_one(question)
            except TimeoutError:
                raise NoAnswerError(
                    f"no answer from {self._target} within {self._target.timeout:g} s. "
                    "Datagrams get lost: send it again, check the port, or allow more time with --timeout"
                ) from None
            except OSError as refusal:
                error = refusal
                self.close()
                self._addresses.append(self._addresses.pop(0))
            else:
                return
        if isinstance(error, ConnectionRefusedError):
            raise DialError(DialFailure.REFUSED, self._target.host, self._target.port)
        detail = str(error and error.strerror)
        raise DialError(DialFailure.UNREACHABLE, self._target.host, self._target.port, detail)

    async def _ask_one(self, question: bytes) -> None:
        loop = asyncio.get_running_loop()
        if self._socket is None:
            address = self._addresses[0]
            self._socket = socket.socket(address.family, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            # A connected socket hears of ICMP's "port unreachable" (RFC 1122 §4.1.3.3), and takes answers from this peer alone.
            self._socket.connect(address.sockaddr)
        self._socket.send(question)
        async with asyncio.timeout(self._target.timeout):
            self._show(await loop.sock_recv(self._socket, DATAGRAM_SIZE))

    def _show_latecomers(self, sock: socket.socket) -> None:
        """Answers that nobody waited for any more; and word that an earlier datagram was not taken, which was told then."""
        with suppress(OSError):
            while True:
                self._show(sock.recv(DATAGRAM_SIZE))

    def _show(self, data: bytes) -> None:
        """A datagram is a line, whether it ends as one or not."""
        self._display.received(data if data.endswith(b"\n") else data + b"\n")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


async def _lines(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a source, without their endings."""
    rest = b""
    async for data in source:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest


ShowSentence = Callable[[Peer, str], None]
"""Told who sent a sentence, and the sentence as text; octets that are not UTF-8 stand there as `\\xff`. May raise `DisplayError`."""


class _Listener(asyncio.Protocol):
    """A connection that is listened to. Nothing is answered."""

    def __init__(self, show: ShowSentence, connections: set[_Listener]) -> None:
        self._show = show
        self._connections = connections
        self._codec = LineCodec(Framing.SENTENCES, line_size=LINE_SIZE)
        self._quiet: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._peer = peer_of(transport.get_extra_info("peername"))
        if len(self._connections) >= LISTENER_CONNECTIONS:
            self._transport.abort()
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._stop_timer()
        self._codec.receive_data(data)
        for event in self._events():
            self._show(self._peer, _text_of(event))
        if not self._codec.is_empty:
            self._quiet = asyncio.get_running_loop().call_later(QUIET, self._end_sentence, False)

    def abort(self) -> None:
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._stop_timer()
        self._end_sentence(True)

    def _events(self) -> Iterator[Event]:
        while (event := self._codec.next_event()) is not NEED_DATA:
            yield event

    def _end_sentence(self, is_last: bool) -> None:
        if (event := self._codec.end_sentence(is_last=is_last)) is not NEED_DATA:
            self._show(self._peer, _text_of(event))

    def _stop_timer(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()


class _DatagramListener(asyncio.DatagramProtocol):
    def __init__(self, show: ShowSentence) -> None:
        self._show = show

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._show(peer_of(addr), _text_of(read_whole(data, Framing.TEXT, LINE_SIZE)))


def _text_of(event: Event) -> str:
    if isinstance(event, Sentence):
        return event.text
    if isinstance(event, TooLong):
        return f"(a sentence of more than {event.line_size} octets)"
    return event.octets.decode(errors="backslashreplace")


async def listen(host: str, port: int, show: ShowSentence, display: Display, *, is_udp: bool) -> None:
    """Show the sentences that arrive at `host` (a numeric address or a name of this machine) and `port`, until cancelled.

    A sentence ends as for the service `count`: at a newline, at the end of the stream, or when its sender falls silent.
    Port 0 takes any free one. Raises `CannotListenError`, and the `DisplayError` that `show` raised.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def show_or_end(peer: Peer, text: str) -> None:
        try:
            show(peer, text)
        except DisplayError as error:
            if not ended.done():
                ended.set_exception(error)

    connections: set[_Listener] = set()
    try:
        if is_udp:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _DatagramListener(show_or_end), local_addr=(host, port)
            )
            endings, places = [transport.close], [transport.get_extra_info("sockname")]
        else:
            server = await loop.create_server(lambda: _Listener(show_or_end, connections), host, port)
            endings, places = [server.close], [sock.getsockname() for sock in server.sockets]
    except OSError as error:
        raise CannotListenError(
            f"cannot listen on {Peer(host, port)} ({error.strerror or error}). Choose another port, or --host with an address of this machine"
        ) from error
    where = ", ".join(str(peer_of(place)) for place in places)
    display.notice(f"Listening on {where} ({'UDP' if is_udp else 'TCP'}). Ctrl-C ends.")
    try:
        await ended
    finally:
        for end in endings:
            end()
        for connection in tuple(connections):
            connection.abort()
