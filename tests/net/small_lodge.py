"""A lodge that is nothing but processes: a supervisor over workers that answer lines, without asyncio and without doors.

Run as `python -m tests.net.small_lodge FILE`; FILE is JSON (`Settings`), read again on a reload. A client sends lines:
`who` is answered with `ANSWER PID INDEX SLOT`; `wait` begins an exchange that the next line ends.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from netlodge.core.errors import NetlodgeError
from netlodge.net.alarm import Alarm
from netlodge.net.generation import Timeouts
from netlodge.net.lifeline import Lifeline
from netlodge.net.sockets import Endpoint
from netlodge.net.supervisor import Supervisor

logger = logging.getLogger("small_lodge")


@dataclass(frozen=True)
class Settings:
    """Implements `service.Plan`."""

    run: str
    listen: list[tuple[str, int]] = field(default_factory=lambda: [("127.0.0.1", 0)])
    optional: list[tuple[str, int]] = field(default_factory=list)
    unix: list[str] = field(default_factory=list)
    workers: int = 1
    answer: str = "one"
    user: str = ""
    group: str = ""
    start: float = 20.0
    drain: float = 20.0
    stop: float = 20.0
    handover: float = 20.0
    trouble: str = ""
    """What happens to a worker before it is ready: `raise`, `exit`, `defect`, `hang`. To the first worker alone, and only when it comes
    back: `exit again`, `hang again`."""
    gate: str = ""
    """A FIFO: a worker is ready once somebody has opened it for writing."""
    is_defect: bool = False

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        return [
            *(Endpoint.tcp(host, port, f"listen[{at}]") for at, (host, port) in enumerate(self.listen)),
            *(Endpoint.tcp(host, port, "optional", is_optional=True) for host, port in self.optional),
            *(Endpoint.unix(path, f"unix[{at}]", umask=0o027) for at, path in enumerate(self.unix)),
        ]

    @property
    def worker_count(self) -> int:
        return self.workers

    @property
    def timeouts(self) -> Timeouts:
        return Timeouts(self.start, self.drain, self.stop, self.handover)

    @property
    def run_directory(self) -> Path:
        return Path(self.run)

    @property
    def owned(self) -> Sequence[Path]:
        return [self.run_directory.parent]

    def run_worker(
        self, slot: int, index: int, sockets: Mapping[Endpoint, list[socket.socket]], lifeline: Lifeline
    ) -> int:
        self._meet_trouble(index)
        return LineWorker(f"{self.answer} {os.getpid()} {index} {slot}", sockets, lifeline).serve(self.gate)

    def _meet_trouble(self, index: int) -> None:
        mark = self.run_directory / "came"
        trouble, _, again = self.trouble.partition(" ")
        if again and (index or not mark.exists()):
            if not index:
                mark.touch()
            return
        match trouble:
            case "raise":
                raise NetlodgeError("the well is dry.")
            case "exit":
                os._exit(3)
            case "defect":
                raise ZeroDivisionError("a defect of the worker")
            case "hang":
                signal.pause()

    def announce(self, bound: Mapping[Endpoint, Sequence[socket.socket]]) -> None:
        for endpoint, sockets in bound.items():
            logger.info("announced %s at %s, %d", endpoint.setting, json.dumps(sockets[0].getsockname()), len(sockets))

    def worker_ended(self, slot: int) -> None:
        logger.info("slot %d is free", slot)


class FileService:
    """Implements `service.Service`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> Settings:
        try:
            settings = Settings(**json.loads(self._path.read_text()))
        except (ValueError, TypeError) as error:
            raise NetlodgeError(f"the settings are wrong: {error}.\nAnd this is a second sentence.") from error
        if settings.is_defect:
            raise ZeroDivisionError("a defect of the loader")
        return settings


class LineWorker:
    """Answers lines on many connections."""

    def __init__(self, answer: str, sockets: Mapping[Endpoint, list[socket.socket]], lifeline: Lifeline) -> None:
        self._answer = answer.encode() + b"\n"
        self._lifeline = lifeline
        self._selector = selectors.DefaultSelector()
        self._listeners = {sock for each in sockets.values() for sock in each}
        self._connections: dict[socket.socket, bool] = {}
        """And whether an exchange is under way."""
        self._is_retiring = False
        self._is_ending = False

    def serve(self, gate: str) -> int:
        heard = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
        with Alarm(heard) as alarm:
            self._selector.register(alarm, selectors.EVENT_READ)
            self._selector.register(self._lifeline, selectors.EVENT_READ)
            for listener in self._listeners:
                self._selector.register(listener, selectors.EVENT_READ)
            if gate:
                os.close(os.open(gate, os.O_RDONLY))
            self._lifeline.ready()
            while not (self._is_retiring and not self._connections):
                for key, _ in self._selector.select():
                    readable = key.fileobj
                    if readable is alarm:
                        for number in alarm.heard():
                            self._hear(number)
                    elif readable is self._lifeline:
                        self._hear_supervisor()
                    elif readable in self._listeners:
                        self._accept(readable)
                    elif readable in self._connections:
                        self._answer_on(readable)
        return 0

    def _hear(self, number: signal.Signals) -> None:
        if number == signal.SIGUSR1:
            logger.info("reopened by %d", os.getpid())
        else:
            self._retire(is_ending=number == signal.SIGTERM)

    def _hear_supervisor(self) -> None:
        handed = self._lifeline.receive()
        if handed is None:
            self._selector.unregister(self._lifeline)
            self._retire(is_ending=True)
            return
        for endpoint, sock in handed:
            logger.info("%d was handed %s", os.getpid(), endpoint.setting)
            self._listeners.add(sock)
            self._selector.register(sock, selectors.EVENT_READ)

    def _retire(self, *, is_ending: bool) -> None:
        is_first = not self._is_retiring
        self._is_retiring = True
        self._is_ending |= is_ending
        for listener in self._listeners:
            self._accept(listener)
            self._selector.unregister(listener)
            listener.close()
        self._listeners.clear()
        if is_first:
            self._lifeline.retired()
        if self._is_ending:
            for sock, is_under_way in tuple(self._connections.items()):
                if not is_under_way:
                    self._answer_on(sock)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            self._connections[sock] = False
            self._selector.register(sock, selectors.EVENT_READ)

    def _answer_on(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        try:
            data = sock.recv(4096)
        except BlockingIOError:
            data = b""  # at rest, and about to be closed
        except ConnectionResetError:
            data = b""
        sock.setblocking(True)
        for line in data.splitlines():
            if line == b"wait" and not self._connections[sock]:
                self._connections[sock] = True
                sock.sendall(b"waiting\n")
            else:
                self._connections[sock] = False
                sock.sendall(self._answer)
        if not data or (self._is_retiring and not self._connections[sock]):
            self._selector.unregister(sock)
            del self._connections[sock]
            sock.close()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return Supervisor(FileService(Path(sys.argv[1])), notify_socket=os.environ.get("NOTIFY_SOCKET", "")).run()
    except NetlodgeError as error:
        logger.error("%s", error)  # noqa: TRY400  (a sentence for the person who runs it)
        return 2


if __name__ == "__main__":
    sys.exit(main())
