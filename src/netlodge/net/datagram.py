"""A door for datagrams: the bound sockets of one service in one worker, and what may be lost there.

RFC 768 promises nothing, so nothing is kept: an answer that the kernel does not take at once is dropped and counted, as the network
would have done. The sockets are read without an asyncio transport: a transport buffers without bound what it cannot send, uvloop's
sends no empty datagram, and here several datagrams are answered per turn of the loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from netlodge.core.contracts import Counter, DatagramService, Peer
from netlodge.net.connection import peer_of

logger = logging.getLogger("netlodge.net")

CHATTERING_PORTS: Final = frozenset({0, 7, 13, 17, 19})
"""Never answered: 0 is nobody's, and echo, daytime, quotd and chargen answer whatever they get. Two such services, introduced to each
other by one datagram with a false address, would talk for ever (RFC 862, RFC 867, RFC 865, RFC 864)."""
BATCH: Final = 64
"""Datagrams answered before others have their turn."""

Loss = Literal["oversize", "chattering", "blocked", "unreachable"]
"""Why a datagram was dropped: larger than the door takes (or, an answer, than the network takes); from a port that would answer the
answer; the kernel was full; or word came that nobody took an earlier answer."""

_LOSSES: Final[Mapping[int, Loss]] = MappingProxyType({errno.ENOBUFS: "blocked", errno.EMSGSIZE: "oversize"})
"""What an error of `sendto` means, where it is not word from the network."""


@dataclass(frozen=True, slots=True)
class DatagramCounters:
    """What a door for datagrams counts."""

    received: Counter
    answered: Counter
    dropped: Callable[[Loss], Counter]
    defects: Counter


class DatagramDoor:
    """Answers datagrams on given sockets.

    `size_limit` is the largest datagram that is looked at, in octets. `unanswered_ports` are ports of peers who get no
    answer; unless `answers_own_port` (a protocol whose answers are told from questions), the door's own are among them.
    """

    def __init__(
        self,
        name: str,
        service: DatagramService,
        *,
        counters: DatagramCounters,
        size_limit: int = 65535,
        unanswered_ports: frozenset[int] = CHATTERING_PORTS,
        answers_own_port: bool = False,
    ) -> None:
        self.name = name
        self._service = service
        self._counters = counters
        self._size_limit = size_limit
        self._unanswered_ports = unanswered_ports
        self._answers_own_port = answers_own_port
        self._buffer = bytearray(size_limit + 1)  # one more, so that what is too large is seen to be
        self._view = memoryview(self._buffer)
        self._sockets: list[socket.socket] = []

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Begin to answer. The sockets are bound; the door owns them from here."""
        if not self._answers_own_port:
            self._unanswered_ports |= {sock.getsockname()[1] for sock in sockets}
        for sock in sockets:
            sock.setblocking(False)
            self._sockets.append(sock)
            self._watch(sock)

    def close(self) -> None:
        """Answer no more. What waits in the kernel is left to whoever else has the socket."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()

    def retire(self, *, at_once: bool) -> None:
        """Answer no more: a datagram has no end that could be waited for."""
        self.close()

    def abort(self) -> None:
        """Answer no more, now."""
        self.close()

    def sweep(self, now: float) -> None:
        """Nothing here takes time."""

    @property
    def is_empty(self) -> bool:
        """True when it answers no more."""
        return not self._sockets

    def _watch(self, sock: socket.socket) -> None:
        """Have the loop tell when `sock` is readable; again, if it was. uvloop ceases to tell once a socket had an error."""
        if sock in self._sockets:
            loop = asyncio.get_running_loop()
            loop.remove_reader(sock)
            loop.add_reader(sock, self._answer_batch, sock)

    def _answer_batch(self, sock: socket.socket) -> None:
        """The socket is readable: answer what waits, for one turn."""
        received = answered = 0
        try:
            for _ in range(BATCH):
                try:
                    size, address = sock.recvfrom_into(self._buffer)
                except (BlockingIOError, InterruptedError):
                    return
                except OSError:
                    # An ICMP message about an earlier answer, which the kernel reports here (RFC 1122 §4.1.3.3). It ends nothing.
                    self._counters.dropped("unreachable").add()
                    asyncio.get_running_loop().call_soon(self._watch, sock)
                    continue
                received += 1
                answer = self._answer(size, peer_of(address))
                if answer is not None and self._is_sent(sock, answer, address):
                    answered += 1
        finally:
            self._counters.received.add(received)
            self._counters.answered.add(answered)

    def _answer(self, size: int, peer: Peer) -> bytes | None:
        """The service's answer to the `size` octets in the buffer."""
        if size > self._size_limit:
            self._counters.dropped("oversize").add()
            return None
        if peer.port in self._unanswered_ports:
            self._counters.dropped("chattering").add()
            return None
        try:
            return self._service.handle_datagram(bytes(self._view[:size]), peer)
        except Exception:
            logger.exception("%s: a defect while answering a datagram of %s; others are answered", self.name, peer)
            self._counters.defects.add()
            return None

    def _is_sent(self, sock: socket.socket, answer: bytes, address: tuple[str, int]) -> bool:
        """Send the answer, if the kernel takes it now."""
        try:
            sock.sendto(answer, address)
        except (BlockingIOError, InterruptedError):
            self._counters.dropped("blocked").add()
            return False
        except OSError as error:
            self._counters.dropped(_LOSSES.get(error.errno or 0, "unreachable")).add()
            return False
        return True
