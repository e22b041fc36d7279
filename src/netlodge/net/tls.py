"""TLS in front of a session: ciphertext comes from the stream and goes to it, plaintext to the session and from it.

`TlsStream` is a session towards the stream and a connection towards its own session, so that neither knows of the other: a door puts
it between the two, and a protocol that begins in the clear (STARTTLS) sets it as the `session` of a connection that runs. OpenSSL
does the work, over buffers in memory. So this module sees the first octet (somebody who speaks in the clear is told so), keeps the
time of handshakes in the sweep, and writes records straight to the descriptor of the stream.

    EXPECTING  nothing received                        -> SHAKING | ended (garbage, too late)
    SHAKING    a handshake is under way                -> OPEN | ended
    OPEN       the session reads and writes            -> ended

RFC 8446 §5.1 (records), §6.1 (closure alerts: each side ends by itself), §6.2 (error alerts); RFC 5746 §4.2 is met by refusing to
renegotiate; RFC 9112 §9.8 (incomplete closes).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from netlodge.core.certificates import CoveredHosts
from netlodge.core.contracts import Session
from netlodge.net.connection import Farewell, StreamConnection
from netlodge.net.tls_service import GARBAGE, GONE, PLAIN, PROTOCOL, TIMEOUT, TlsObject, TlsService, reason_of

logger = logging.getLogger("netlodge.net")

RECORD: Final = 16384
"""Octets of plaintext in the largest record (RFC 8446 §5.1)."""
SLICE: Final = 64 * 1024
"""Octets that are made into records before the stream is asked again whether it takes more."""
HANDSHAKE: Final = 0x16
"""The first octet of every TLS connection: a record of the type handshake (RFC 8446 §5.1)."""
CLEARTEXT_OCTETS: Final = 64
"""How much of what is no TLS is looked at to tell what it is."""
FAREWELL_SECONDS: Final = 2.0
"""How long a peer whose handshake failed may take to read why."""


class TlsStream:
    """Implements `core.contracts.Session` towards `connection`, and `core.contracts.Connection` towards the session that
    `new_session` makes when the handshake is done: by then `protocol` says what was agreed on by ALPN."""

    __slots__ = (
        "_backlog", "_connection", "_deadline", "_draining", "_end", "_first", "_has_read_end", "_has_told_end", "_incoming",
        "_is_hurried", "_is_open", "_is_over", "_is_paused", "_is_retiring", "_new_session", "_outgoing", "_read", "_service", "_tls",
        "_waiters", "_waiting", "_write", "hosts", "is_writable", "local", "peer", "progress", "protocol", "session",
    )  # fmt: skip

    session: Session
    hosts: CoveredHosts
    """For which the certificate is that was shown; there when the handshake is done."""
    is_secure: bool = True
    may_send_file: bool = False

    def __init__(
        self, connection: StreamConnection, service: TlsService, new_session: Callable[[TlsStream], Session]
    ) -> None:
        self.peer = connection.peer
        self.local = connection.local
        self.is_writable = True
        self.progress = 0
        self.protocol = ""
        """`http/1.1`, `h2`, ...; empty if the client asked for none that is spoken (RFC 7301 §3.1)."""
        self._connection = connection
        self._service = service
        self._new_session = new_session
        self._deadline: float | None = None
        self._first = b""
        """What came in the clear, as long as it is too little to tell what it is."""
        self._tls: TlsObject | None = None
        self._read: Callable[[int], bytes] | None = None
        """Set while the peer may send."""
        self._write: Callable[[bytes], int] | None = None
        """Set while the session may write."""
        self._is_open = False
        """True once there is a session."""
        self._is_over = False
        """True once nobody waits for what the peer sends."""
        self._is_retiring = self._is_hurried = False
        self._is_paused = False
        self._has_read_end = self._has_told_end = False
        self._backlog: deque[memoryview] = deque()
        """What the session wrote and the stream did not take yet, in the clear: what is not sent is not encrypted."""
        self._waiting = 0
        """Octets in the backlog."""
        self._end: Callable[[], None] | None = None
        """What ends the stream, or our side of it, once the backlog is sent."""
        self._draining: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    # --- from the stream: ciphertext -----------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        read = self._read
        if read is None:
            if not self._is_open and not self._is_over:
                self._shake_hands(data)
            return
        incoming = self._incoming
        incoming.write(data)
        stop: ssl.SSLError | None = None
        try:
            plain = read(RECORD)
            if incoming.pending or not plain:
                plain, stop = self._read_on(read, plain)
        except ssl.SSLError as error:
            plain, stop = b"", error
        if plain:
            self.session.receive_data(plain)
        if stop is not None:
            self._stop(stop)
        if self._outgoing.pending:
            self._flush()

    def receive_eof(self) -> None:
        if not self._is_open:
            if not self._is_over:
                self._is_over = True
                self._service.counters.failures(GONE).add()
                self._connection.close()
        elif self._has_read_end or self._end is not None:
            # "Servers SHOULD be prepared to receive an incomplete close from the client" (RFC 9112 §9.8): once we have said that
            # we are done, nothing can be missing.
            self._has_read_end = True
            self._tell_end()
        else:
            # What came may be the beginning of what was meant: the session must not take it for the whole.
            self._service.counters.truncated.add()
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._is_open and not self._is_over:
            self._service.counters.failures(GONE).add()
        self._is_over = True
        self._release()
        if self._draining is not None:
            self._draining.cancel()
        self._wake(ConnectionResetError("the connection ended"))
        if self._is_open:
            self.session.connection_lost(error)

    def sweep(self, now: float) -> None:
        if self._is_open:
            self.session.sweep(now)
        elif self._deadline is None:
            self._deadline = now + self._service.handshake_timeout
        elif now >= self._deadline and not self._is_over:
            self._service.counters.failures(TIMEOUT).add()
            self.abort()

    def retire(self, *, at_once: bool) -> None:
        self._is_retiring = True
        self._is_hurried = at_once
        if self._is_open:
            self.session.retire(at_once=at_once)
        elif at_once and not self._is_over and self._tls is None:
            # It has said nothing yet, or nothing of TLS.
            self._is_over = True
            self._connection.close()

    # --- the handshake -------------------------------------------------------------------------------------------------

    def _shake_hands(self, data: bytes) -> None:
        tls = self._tls
        if tls is None:
            data = self._first + data
            if data[0] != HANDSHAKE:
                self._hear_cleartext(data)
                return
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = self._tls = self._service.contexts.wrap(self._incoming, self._outgoing, self.local)
        self._incoming.write(data)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._fail(error)
        else:
            self._open(tls)

    def _open(self, tls: TlsObject) -> None:
        self._service.counters.handshakes(tls.version() or "", bool(tls.session_reused)).add()
        self.protocol = tls.selected_alpn_protocol() or ""
        self.hosts = tls.hosts
        self._read = tls.read
        self._write = tls.write
        self._is_open = True
        self.session = self._new_session(self)
        if self._is_retiring:
            self.session.retire(at_once=self._is_hurried)
        if self._incoming.pending:
            self.receive_data(b"")  # what came together with the end of the handshake
        # What is sent after the handshake (tickets) left together with the first answer, if there was one.
        self._flush()

    def _fail(self, error: ssl.SSLError) -> None:
        """There will be no TLS. The peer is told by the alert that OpenSSL left, if it did (RFC 8446 §6.2)."""
        logger.debug("no TLS with %s: %s", self.peer, error)
        self._service.counters.failures(reason_of(error)).add()
        last_words = self._outgoing.read()
        self._release()
        self._connection.session = Farewell(self._connection, last_words, seconds=FAREWELL_SECONDS)

    def _hear_cleartext(self, data: bytes) -> None:
        """What came is no TLS: find out what it is, and hand the stream to those who speak it."""
        cleartext = self._service.cleartext
        is_spoken = cleartext.is_spoken(data) if cleartext is not None else False
        if is_spoken is None and len(data) < CLEARTEXT_OCTETS:
            self._first = data
        elif cleartext is None or not is_spoken:
            self._service.counters.failures(GARBAGE).add()
            self.abort()
        else:
            self._service.counters.failures(PLAIN).add()
            self._is_over = True
            session = self._connection.session = cleartext.new_session(self._connection)
            if self._is_retiring:
                session.retire(at_once=self._is_hurried)
            session.receive_data(data)

    # --- plaintext to the session ----------------------------------------------------------------------------------------

    def _read_on(self, read: Callable[[int], bytes], plain: bytes) -> tuple[bytes, ssl.SSLError | None]:
        """`plain` and what the records hold that came with it, in one piece, and what ended the reading: None if all is read."""
        pieces = [plain]
        incoming = self._incoming
        try:
            while pieces[-1]:
                if not incoming.pending:
                    return b"".join(pieces), None
                pieces.append(read(RECORD))
        except ssl.SSLError as error:
            return b"".join(pieces), error
        return b"".join(pieces), ssl.SSLZeroReturnError("the peer has ended its side")

    def _stop(self, stop: ssl.SSLError) -> None:
        """There is nothing to be read: because part of a record is missing, because the peer has ended its side, or for good."""
        if isinstance(stop, ssl.SSLWantReadError):
            return
        # "Any data received after a closure alert has been received MUST be ignored." (RFC 8446 §6.1)
        self._read = None
        if isinstance(stop, ssl.SSLZeroReturnError):
            self._has_read_end = True
            self._tell_end()
        else:
            logger.debug("TLS with %s broke: %s", self.peer, stop)
            self._service.counters.failures(PROTOCOL).add()
            self._is_over = True
            self._write = None
            self._backlog.clear()
            self._flush()  # the alert
            self._connection.close()

    def _tell_end(self) -> None:
        """Tell the session that the peer has ended its side, once, and not while it does not read."""
        if not self._has_told_end and not self._is_paused and not self._is_over:
            self._has_told_end = True
            self.session.receive_eof()

    # --- from the session: plaintext -------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        write = self._write
        if write is None or not data:
            return
        if not self.is_writable or len(data) > SLICE:
            self._backlog.append(memoryview(data))
            self._waiting += len(data)
            if self.is_writable:
                self._send_backlog()
            return
        try:
            write(data)
        except ssl.SSLError:
            self.abort()
            return
        connection = self._connection
        connection.write(self._outgoing.read())
        if not connection.is_writable:
            self._hold()

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        raise NotImplementedError("the kernel cannot send what has to be encrypted (`may_send_file` is False)")

    def unacknowledged(self) -> int:
        return self._waiting + self._connection.unacknowledged()

    async def drained(self) -> None:
        if self._is_over:
            raise ConnectionResetError("the connection ended")
        if self.is_writable:
            await self._connection.drained()
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def pause_reading(self) -> None:
        self._is_paused = True
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        self._connection.resume_reading()
        if self._has_read_end and not self._has_told_end and not self._is_over:
            # As from the stream, so that a defect of the session is its connection's end and nobody else's.
            asyncio.get_running_loop().call_soon(self._connection.eof_received)

    def write_eof(self) -> None:
        if self._write is not None:
            self._write = None
            self._end_with(self._connection.write_eof)

    def close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._write = None
        if not self._is_open:
            self._connection.close()
            return
        self._connection.pause_reading()
        self._end_with(self._connection.close)

    def abort(self) -> None:
        self._is_over = True
        self._release()
        self._connection.abort()

    # --- within ----------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Send what OpenSSL has to say by itself. A peer that makes it speak (by new keys, say) and does not listen is cut off."""
        if not self.is_writable:
            if self._outgoing.pending > RECORD:
                self.abort()
            return
        octets = self._outgoing.read()
        if octets:
            self._connection.write(octets)
            if not self._connection.is_writable:
                self._hold()

    def _send_backlog(self) -> None:
        """Encrypt and send what waits, as far as the stream takes it."""
        backlog, connection, tls = self._backlog, self._connection, self._tls
        while backlog and tls is not None and connection.is_writable:
            piece = backlog.popleft()
            if len(piece) > SLICE:
                backlog.appendleft(piece[SLICE:])
                piece = piece[:SLICE]
            self._waiting -= len(piece)
            try:
                tls.write(piece)
            except ssl.SSLError:
                self.abort()
                return
            connection.write(self._outgoing.read())
        if self.is_writable and not connection.is_writable:
            self._hold()

    def _hold(self) -> None:
        """The stream takes no more: wait until it does."""
        self.is_writable = False
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        connection = self._connection
        try:
            while not self.is_writable:
                await connection.drained()
                self.progress += 1
                self._send_backlog()
                self.is_writable = connection.is_writable
        except ConnectionResetError:
            return  # `connection_lost` tells those who wait
        self._draining = None
        if self._tls is not None:
            self._flush()
        if self.is_writable:
            if self._end is not None:
                self._say_goodbye(self._end)
            self._wake(None)

    def _wake(self, error: Exception | None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)

    def _end_with(self, end: Callable[[], None]) -> None:
        """Say that we have sent all, after what waits, and then end the stream or our side of it."""
        was_said = self._end is not None and self.is_writable
        self._end = end
        if was_said:
            end()
        elif self.is_writable:
            self._say_goodbye(end)

    def _say_goodbye(self, end: Callable[[], None]) -> None:
        """ "Each party MUST send a "close_notify" alert before closing its write side of the connection" (RFC 8446 §6.1)."""
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLError):  # the peer's own is not waited for
                self._tls.unwrap()
            octets = self._outgoing.read()
            if octets:
                self._connection.write(octets)
        end()

    def _release(self) -> None:
        """Let go of what OpenSSL holds, without waiting for the collector of garbage: it is much."""
        self._tls = self._read = self._write = None
        self._backlog.clear()
        self._waiting = 0
