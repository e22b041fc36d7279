"""Connections that were dialled: the same streams as those that a door accepts, kept by whoever dialled them.

Two things differ. A peer that has closed may have said why before: what it sent is read to its end although nothing can be written any
more. And whoever keeps a connection for later asks whether the peer has ended it meanwhile (RFC 9112 §9.3.1, §9.5).
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Callable
from typing import Final

from netlodge.core.contracts import Session
from netlodge.net.connection import StreamConnection
from netlodge.net.dial import Resolve, dial, resolve_by_system

logger = logging.getLogger("netlodge.net")

_NEWS: Final = select.POLLIN | select.POLLHUP | select.POLLERR


class DialledConnection(StreamConnection):
    """One dialled connection: implements `core.contracts.Connection`."""

    __slots__ = ("_has_failed",)

    def __init__(self, new_session: Callable[[DialledConnection], Session], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(_Dialler(self, new_session), loop)
        self._has_failed = False

    def write(self, data: bytes) -> None:
        if not self._has_failed:
            super().write(data)

    async def drained(self) -> None:
        if self._has_failed:
            raise ConnectionResetError("the peer takes nothing any more")
        await super().drained()

    def has_news(self) -> bool:
        """Whether something waits in the kernel that the loop has not delivered: octets, or the end of the stream. Asks the system."""
        if self._descriptor < 0:
            return False
        poll = select.poll()
        poll.register(self._descriptor, _NEWS)
        return bool(poll.poll(0))

    def _fail_writing(self) -> None:
        # The last words of a peer that hung up wait before the end: reading goes on until there.
        self._has_failed = True
        self._descriptor = -1
        self.is_writable = False


class _Dialler:
    """Keeps one connection: implements `connection.Keeper`."""

    __slots__ = ("_connection", "_new_session", "name")

    def __init__(self, connection: DialledConnection, new_session: Callable[[DialledConnection], Session]) -> None:
        self.name = "dialled"
        self._connection = connection
        self._new_session = new_session

    def admit(self, connection: StreamConnection, /) -> None:
        connection.session = self._new_session(self._connection)

    def leave(self, connection: StreamConnection, /) -> None:
        pass

    def fail(self, connection: StreamConnection, defect: Exception, /) -> None:
        logger.error("a defect on the connection to %s", connection.peer, exc_info=defect)
        connection.abort()


async def dial_connection(
    new_session: Callable[[DialledConnection], Session],
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - it bounds three steps, and the error says that it ran out
    local: str | None = None,
    resolve: Resolve = resolve_by_system,
) -> DialledConnection:
    """`dial`, for those who speak a protocol by a session. TLS, if it is wanted, is put in front (`net.tls_client`)."""
    loop = asyncio.get_running_loop()
    _, connection = await dial(
        lambda: DialledConnection(new_session, loop), host, port, timeout=timeout, local=local, resolve=resolve
    )
    return connection
