"""A byte stream to one peer over asyncio, on uvloop and on the stock loop: implements `core.contracts.Connection`.

Two things here are for speed, both measured. What fits the kernel's buffer is written straight to the socket's descriptor, not
through the transport: the loop is asked only to send what the kernel did not take. And large files go by `os.sendfile`, which
uvloop does not offer. The descriptor is touched only until `connection_lost`: both loops close it after that call, and then its number
may be another's.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import struct
import sys
from os import write
from typing import Protocol, cast

from netlodge.core.contracts import Peer, Session
from netlodge.core.errors import CutShortError

logger = logging.getLogger("netlodge.net")

_ENDED = "the connection ended"
_SIOCOUTQ = 0x5411
"""Linux: octets sent that the peer has not acknowledged, and octets not sent yet (tcp(7))."""


def peer_of(address: object) -> Peer:
    """The `Peer` of a socket address as asyncio gives it: a tuple, a path, or nothing."""
    if isinstance(address, tuple):
        host = address[0]
        if host.startswith("::ffff:") and "." in host:
            host = host[7:]  # IPv4-mapped (RFC 4291 §2.5.5.2): the same client, whichever socket took it
        return Peer(host, address[1])
    return Peer("unix:", 0)


class Keeper(Protocol):
    """Whoever a connection came from: a door for one that was accepted (`net.listener`), who dialled for the others (`net.dialled`)."""

    name: str
    """For the log."""

    def admit(self, connection: StreamConnection, /) -> None:
        """The stream is there: give `connection` its session."""
        ...

    def leave(self, connection: StreamConnection, /) -> None:
        """The stream is gone."""
        ...

    def fail(self, connection: StreamConnection, defect: Exception, /) -> None:
        """A method of its session raised `defect`: log it and abort the connection."""
        ...


class StreamConnection(asyncio.Protocol):
    """One connection. Made by its keeper, which also gives it its session."""

    __slots__ = (
        "_descriptor", "_is_closing", "_loop", "_transport", "_waiters", "door", "is_secure", "is_writable", "local",
        "may_send_file", "peer", "progress", "session",
    )  # fmt: skip

    session: Session

    def __init__(self, door: Keeper, loop: asyncio.AbstractEventLoop) -> None:
        self.door = door
        self._loop = loop
        self._descriptor = -1
        self._waiters: list[asyncio.Future[None]] | None = None
        self._is_closing = False
        self.is_writable = True
        self.is_secure = False
        self.may_send_file = False
        self.progress = 0

    # --- called by the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are so in all but descent
        self._transport = transport
        # A high-water mark of zero makes `pause_writing` mean "something is buffered here", at once.
        transport.set_write_buffer_limits(high=0)
        self.peer = peer_of(transport.get_extra_info("peername"))
        self.local = peer_of(transport.get_extra_info("sockname"))
        self.is_secure = transport.get_extra_info("ssl_object") is not None
        if not self.is_secure:
            self._descriptor = transport.get_extra_info("socket").fileno()
            self.may_send_file = hasattr(os, "sendfile")
        self.door.admit(self)

    def data_received(self, data: bytes) -> None:
        try:
            self.session.receive_data(data)
        except Exception as defect:
            self.door.fail(self, defect)

    def eof_received(self) -> bool:
        try:
            self.session.receive_eof()
        except Exception as defect:
            self.door.fail(self, defect)
        return True  # half-closed, not closed: the session says when it has said all

    def connection_lost(self, error: Exception | None) -> None:
        self._descriptor = -1
        self._is_closing = True
        self._wake(ConnectionResetError(_ENDED))
        self.door.leave(self)
        try:
            self.session.connection_lost(error)
        except Exception:
            logger.exception("%s: a defect while ending the connection of %s", self.door.name, self.peer)

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True
        self.progress += 1
        self._wake(None)

    # --- called by the session -----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self.is_writable and self._descriptor >= 0:
            try:
                sent = write(self._descriptor, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._fail_writing()
                return
            if sent == len(data):
                return
            data = data[sent:]
        if not self._transport.is_closing():
            self._transport.write(data)

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        if not self.is_writable:
            await self.drained()
        if self._descriptor < 0:
            raise ConnectionResetError(_ENDED)
        transfer = _Transfer(descriptor, offset, count)
        if not transfer.advance(self._descriptor):
            try:
                await self._finish_transfer(transfer)
            except ConnectionResetError:
                raise CutShortError(transfer.sent) from None
        if transfer.error is not None:
            self.abort()
            raise CutShortError(transfer.sent) from transfer.error
        return transfer.sent

    async def _finish_transfer(self, transfer: _Transfer) -> None:
        """Go on with a transfer whenever the socket is writable. The loop watches a duplicate of the descriptor, because the transport
        owns the original."""
        loop = self._loop
        duplicate = os.dup(self._descriptor)
        done = self._waiter()
        self.is_writable = False

        def advance() -> None:
            self.progress += 1
            if transfer.advance(duplicate) and not done.done():
                done.set_result(None)

        loop.add_writer(duplicate, advance)
        try:
            await done
        finally:
            loop.remove_writer(duplicate)
            os.close(duplicate)
            self.is_writable = True

    async def drained(self) -> None:
        if self._is_closing or self._transport.is_closing():
            raise ConnectionResetError(_ENDED)
        if not self.is_writable:
            await self._waiter()

    def _waiter(self) -> asyncio.Future[None]:
        """A future that the end of the stream, or of what is buffered, resolves."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        return waiter

    def unacknowledged(self) -> int:
        """Octets that were handed to the kernel or buffered, and that the peer has not taken yet: what tells a slow reader from
        one who reads nothing. Without the kernel's word (not Linux, or TLS) only what is buffered here."""
        if self._transport.is_closing():
            return 0
        waiting: int = self._transport.get_write_buffer_size()
        if self._descriptor >= 0 and sys.platform == "linux":
            answer = fcntl.ioctl(self._descriptor, _SIOCOUTQ, b"\0\0\0\0")
            waiting += struct.unpack("i", answer)[0]
        return waiting

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def write_eof(self) -> None:
        if not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        self._is_closing = True
        self._descriptor = -1
        self._transport.close()

    def abort(self) -> None:
        self._is_closing = True
        self._descriptor = -1
        self._transport.abort()

    # --- within ------------------------------------------------------------------------------------------------------------

    def _fail_writing(self) -> None:
        """The peer takes nothing any more."""
        self.abort()

    def _wake(self, error: Exception | None) -> None:
        if self._waiters is None:
            return
        waiters, self._waiters = self._waiters, None
        for waiter in waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)


class _Transfer:
    """A span of a file on its way into a socket."""

    __slots__ = ("_count", "_file", "_offset", "error", "sent")

    def __init__(self, file: int, offset: int, count: int) -> None:
        self._file = file
        self._offset = offset
        self._count = count
        self.sent = 0
        self.error: OSError | None = None

    def advance(self, descriptor: int) -> bool:
        """Send what the kernel takes now. Returns True when there is no more to do: all is sent, the file has ended, or `error`."""
        while self.sent < self._count:
            try:
                sent = os.sendfile(descriptor, self._file, self._offset + self.sent, self._count - self.sent)
            except BlockingIOError:
                return False
            except OSError as error:
                self.error = error
                return True
            if not sent:
                break
            self.sent += sent
        return True


class Farewell:
    """A session that only says goodbye: sends last words, half-closes, and throws away what still comes, for a time and an amount.

    Closing with unread data makes the kernel send a reset, which may destroy the last words on their way (RFC 9112 §9.6).
    """

    __slots__ = ("_connection", "_deadline", "_octets", "_seconds")

    def __init__(
        self, connection: StreamConnection, last_words: bytes, *, seconds: float, octets: int = 1 << 20
    ) -> None:
        self._connection = connection
        self._octets = octets
        self._seconds = seconds
        self._deadline: float | None = None
        if last_words:
            connection.write(last_words)
        connection.write_eof()

    def receive_data(self, data: bytes) -> None:
        self._octets -= len(data)
        if self._octets < 0:
            self._connection.abort()

    def receive_eof(self) -> None:
        self._connection.close()

    def connection_lost(self, error: Exception | None) -> None:
        pass

    def sweep(self, now: float) -> None:
        if self._deadline is None:
            self._deadline = now + self._seconds
        elif now >= self._deadline:
            self._connection.abort()

    def retire(self, *, at_once: bool) -> None:
        pass
