"""The line between the supervisor and one worker: a socket pair, made before the fork.

Up it go `ready`, the reason of a start that failed, and `retired`. Down it come sockets that the worker is to serve too. And each
end learns from the end of the stream that the other process is gone, however it went: that is how a lodge whose supervisor was
killed leaves no workers behind.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence

from netlodge.net.sockets import Endpoint

_READY = b"ready"
_FAILED = b"failed "
_RETIRED = b"retired"
_END = b"\0"


class Lifeline:
    """The worker's end. Watch `fileno()` for reading and call `receive` whenever it is readable."""

    def __init__(self, sock: socket.socket, endpoints: Sequence[Endpoint]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._endpoints = tuple(endpoints)

    def fileno(self) -> int:
        return self._sock.fileno()

    def ready(self) -> None:
        """Say that this worker accepts connections and has its signal handlers. Once."""
        self._send(_READY)

    def retired(self) -> None:
        """Say that this worker accepts nothing any more, at no door. Once."""
        self._send(_RETIRED)

    def failed(self, sentence: str) -> None:
        """Say why this worker will not become ready."""
        self._send(_FAILED + sentence.encode("utf-8", "replace").replace(_END, b""))

    def receive(self) -> list[tuple[Endpoint, socket.socket]] | None:
        """Sockets to serve beside the worker's own from now on (it may be none); None: the supervisor is gone, and the worker
        should finish what it has and end.

        The sockets are a dead sibling's, or an address has more of them than before: whoever connected waits in them.
        """
        taken: list[tuple[Endpoint, socket.socket]] = []
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._sock, 4096, 64)
            except BlockingIOError:
                return taken
            except OSError:
                return None
            if not data:
                return None
            for number, descriptor in zip(data.split(), descriptors, strict=True):
                os.set_inheritable(descriptor, False)  # `recv_fds` of Python 3.11 passes no MSG_CMSG_CLOEXEC on
                taken.append((self._endpoints[int(number)], socket.socket(fileno=descriptor)))

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone: `receive` tells
            self._sock.sendall(message + _END)


class SupervisorEnd:
    """The supervisor's end of the line to one worker."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._pending = b""
        self.is_ready = False
        self.is_retired = False
        self.failure = ""
        """The reason that the worker gave."""

    def fileno(self) -> int:
        return self._sock.fileno()

    def receive(self) -> bool:
        """Take in what the worker said (`is_ready`, `is_retired`, `failure`). Returns False at the end of the stream."""
        while True:
            try:
                data = self._sock.recv(65536)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            *messages, self._pending = (self._pending + data).split(_END)
            for message in messages:
                if message == _READY:
                    self.is_ready = True
                elif message == _RETIRED:
                    self.is_retired = True
                elif message.startswith(_FAILED):
                    self.failure = message.removeprefix(_FAILED).decode("utf-8", "replace")

    def hand_over(self, number: int, sock: socket.socket) -> bool:
        """Give the worker another socket: a copy of the plan's endpoint `number`. Returns False if it cannot take it."""
        try:
            socket.send_fds(self._sock, [b"%d\n" % number], [sock.fileno()])
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._sock.close()


def lifeline() -> tuple[SupervisorEnd, socket.socket]:
    """A new line: the supervisor's end, and the socket that the worker makes its `Lifeline` from after the fork."""
    above, below = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return SupervisorEnd(above), below
