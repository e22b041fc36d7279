"""A client that sends exactly the octets it is given, and reads answers no more kindly than RFC 9112 §6.3 asks for."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PATIENCE = 20.0


class BrokenAnswerError(Exception):
    """The connection ended before the answer did."""


@dataclass
class Answer:
    """One answer: its status, its fields by lower-case name, its content; and its octets as they came."""

    status: int
    fields: dict[str, str]
    body: bytes
    octets: bytes

    @property
    def closes(self) -> bool:
        """Whether it says that it is the last."""
        return "close" in self.fields.get("connection", "").lower()


def request(
    target: str = "/",
    *fields: str,
    method: str = "GET",
    host: str = "localhost",
    body: bytes = b"",
    version: str = "1.1",
) -> bytes:
    """The octets of a request."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """One connection."""

    def __init__(self, port: int, *, source: str = "", receive_buffer: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(PATIENCE)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            if source:
                self.sock.bind((source, 0))
            self.sock.connect(("127.0.0.1", port))
        except BaseException:
            self.sock.close()
            raise
        self.pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """End it as a machine does that lost its power: with a reset, and no word."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, octets: bytes) -> None:
        self.sock.sendall(octets)

    def ask(
        self, target: str = "/", *fields: str, method: str = "GET", host: str = "localhost", body: bytes = b""
    ) -> Answer:
        """Send a request and read its answer."""
        self.send(request(target, *fields, method=method, host=host, body=body))
        return self.receive(is_head=method == "HEAD")

    def receive(self, *, is_head: bool = False) -> Answer:
        """The next final answer. Raises `BrokenAnswerError`, `TimeoutError`."""
        while True:
            head = self._until(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0])
            assert match, lines[0]
            status = int(match[1])
            if status >= 200:
                break
        fields = dict(_fields(lines[1:-2]))
        if is_head or status in {204, 304}:
            body = b""
        elif fields.get("transfer-encoding") == "chunked":
            raise AssertionError("chunks are not expected here")
        elif "content-length" in fields:
            body = self.take(int(fields["content-length"]))
        else:
            assert "close" in fields.get("connection", ""), f"no length, and no end of the connection: {head!r}"
            body = self.rest()
        return Answer(status, fields, body, head + body)

    def receive_head(self) -> bytes:
        """The next head, whatever it is."""
        return self._until(b"\r\n\r\n")

    def receive_line(self) -> bytes:
        """The next line, its end included."""
        return self._until(b"\n")

    def take(self, count: int) -> bytes:
        """Exactly so many octets."""
        if len(self.pending) < count:
            pieces, missing = [self.pending], count - len(self.pending)
            self.pending = b""
            while missing:
                piece = self.sock.recv(min(missing, 1 << 20))
                if not piece:
                    raise BrokenAnswerError(f"{missing} octets of {count} did not come")
                pieces.append(piece)
                missing -= len(piece)
            return b"".join(pieces)
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def rest(self) -> bytes:
        """Everything until the end of the connection. A reset is raised as such."""
        pieces = [self.pending]
        self.pending = b""
        while piece := self.sock.recv(1 << 16):
            pieces.append(piece)
        return b"".join(pieces)

    def is_ended(self) -> bool:
        """Waits for the peer's end; False if something else comes, or nothing."""
        try:
            return not self.pending and self.sock.recv(1) == b""
        except TimeoutError:
            return False

    def _until(self, mark: bytes) -> bytes:
        start = 0
        while (end := self.pending.find(mark, start)) < 0:
            start = max(0, len(self.pending) - len(mark))
            self._more()
        end += len(mark)
        found, self.pending = self.pending[:end], self.pending[end:]
        return found

    def _more(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise BrokenAnswerError(f"ended after {self.pending!r:.500}")
        self.pending += data


def _fields(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.lower(), value.strip(" \t")
