"""Fakes that pass the conformance suites of what they stand for."""

from __future__ import annotations

import asyncio
import os

from netlodge.core.contracts import Peer, Session


class MemoryConnection:
    """A `core.contracts.Connection` in memory: what a session writes is in `sent`; `deliver` and `hang_up` are the peer's acts."""

    session: Session

    def __init__(self, *, host: str = "127.0.0.1", is_secure: bool = False, may_send_file: bool = False) -> None:
        self.peer = Peer(host, 50000)
        self.local = Peer("127.0.0.1", 8080)
        self.is_secure = is_secure
        self.is_writable = True
        self.may_send_file = may_send_file
        self.progress = 0
        self.sent = bytearray()
        self.is_paused = False
        self.has_sent_eof = False
        self.is_closed = False
        self.is_aborted = False
        self.said_after_end = 0
        """Octets that were written after the end of our side: a real connection would break by them."""
        self.writes = 0
        """How often something was written."""
        self.stalls_at: int | None = None
        """So many octets the peer takes before it takes nothing more."""
        self._waiters: list[object] = []

    # --- the peer ---

    def deliver(self, data: bytes) -> None:
        """The peer's bytes arrive."""
        self.session.receive_data(data)

    def hang_up(self) -> None:
        """The peer ends its side."""
        self.session.receive_eof()

    def vanish(self, error: Exception | None = None) -> None:
        """The stream is gone."""
        self.is_closed = True
        self._wake(ConnectionResetError("the connection ended"))
        self.session.connection_lost(error)

    def take(self) -> bytes:
        """What was sent since the last take."""
        data = bytes(self.sent)
        self.sent.clear()
        return data

    def stall(self) -> None:
        """The peer takes nothing more."""
        self.is_writable = False

    def flow(self) -> None:
        """The peer takes again."""
        self.is_writable = True
        self.progress += 1
        self._wake(None)

    # --- the session's side ---

    def write(self, data: bytes) -> None:
        if self.has_sent_eof and not self.is_closed:
            self.said_after_end += len(data)
        if not (self.is_closed or self.has_sent_eof or self.is_aborted):
            self.sent += data
            self.writes += 1
            if self.stalls_at is not None and len(self.sent) >= self.stalls_at:
                self.stall()

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        if not self.is_writable:
            await self.drained()
        data = os.pread(descriptor, count, offset)
        self.write(data)
        return len(data)

    def unacknowledged(self) -> int:
        return 0 if self.is_writable else 1

    async def drained(self) -> None:
        if self.is_closed or self.is_aborted:
            raise ConnectionResetError("the connection ended")
        if not self.is_writable:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def write_eof(self) -> None:
        self.has_sent_eof = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True
        self.is_closed = True

    def _wake(self, error: Exception | None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():  # type: ignore[attr-defined]
                if error is None:
                    waiter.set_result(None)  # type: ignore[attr-defined]
                else:
                    waiter.set_exception(error)  # type: ignore[attr-defined]
