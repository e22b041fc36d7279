"""Clients of HTTP/2: one that asks and reads as the `h2` package has it, and one that sends exactly the octets it is given.

with Http2Client(port, context) as client:
    client.ask("/").status
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

from netlodge.http.wire.h2_frames import GOAWAY, HEADER, PREFACE, RST_STREAM, SETTINGS_ACK, frame, settings_frame
from netlodge.http.wire.hpack import encode_stateless
from tests.e2e.http_client import PATIENCE, BrokenAnswerError


class ResetError(BrokenAnswerError):
    """The server has reset the stream before its answer was whole."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the stream was reset with {code}")
        self.code = code


@dataclass
class Answer:
    """One answer: its status, its fields in order, its content."""

    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    has_ended: bool = False


class _Stream:
    """A socket, with TLS if there is a `context`."""

    def __init__(self, port: int, context: ssl.SSLContext | None, *, name: str = "localhost") -> None:
        self.sock: socket.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        if context is not None:
            try:
                secure = context.wrap_socket(self.sock, server_hostname=name)
            except BaseException:
                self.sock.close()
                raise
            assert secure.selected_alpn_protocol() == "h2"
            self.sock = secure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    @property
    def port(self) -> int:
        """Our own port, by which a worker's socket is found."""
        port: int = self.sock.getsockname()[1]
        return port


class Http2Client(_Stream):
    """One connection that behaves. `scheme` is that of the requests."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None, *, name: str = "localhost") -> None:
        super().__init__(port, context, name=name)
        self.scheme = "http" if context is None else "https"
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self._connection.initiate_connection()
        self._answers: dict[int, Answer] = {}
        self._flush()

    def begin(
        self,
        target: str = "/",
        *fields: tuple[str, str],
        method: str = "GET",
        host: str = "localhost",
        ends: bool = True,
    ) -> int:
        """Send a request's head; the number of its stream."""
        stream_id = self._connection.get_next_available_stream_id()
        head = [(":method", method), (":scheme", self.scheme), (":authority", host), (":path", target), *fields]
        self._connection.send_headers(stream_id, head, end_stream=ends)
        self._answers[stream_id] = Answer()
        self._flush()
        return stream_id

    def send(self, stream_id: int, body: bytes, *, ends: bool = True) -> None:
        """Send content, as far and as fast as the server takes it."""
        connection = self._connection
        while body:
            window = min(connection.local_flow_control_window(stream_id), connection.max_outbound_frame_size)
            if window <= 0:
                self._more()
                continue
            connection.send_data(stream_id, body[:window])
            body = body[window:]
            self._flush()
        if ends:
            connection.end_stream(stream_id)
            self._flush()

    def receive(self, stream_id: int) -> Answer:
        """The whole answer on a stream. Raises `BrokenAnswerError`."""
        while not self._answers[stream_id].has_ended:
            self._more()
        return self._answers.pop(stream_id)

    def ask(
        self,
        target: str = "/",
        *fields: tuple[str, str],
        method: str = "GET",
        host: str = "localhost",
        body: bytes = b"",
    ) -> Answer:
        stream_id = self.begin(target, *fields, method=method, host=host, ends=not body)
        if body:
            self.send(stream_id, body)
        return self.receive(stream_id)

    def _more(self) -> None:
        octets = self.sock.recv(1 << 16)
        if not octets:
            raise BrokenAnswerError("the connection ended")
        for event in self._connection.receive_data(octets):
            if isinstance(event, DataReceived):
                self._answers[event.stream_id].body += event.data
                self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, ResponseReceived):
                pairs = [(str(name), str(value)) for name, value in event.headers]
                answer = self._answers[event.stream_id]
                answer.status, answer.fields = int(dict(pairs)[":status"]), pairs[1:]
            elif isinstance(event, StreamEnded):
                self._answers[event.stream_id].has_ended = True
            elif (
                isinstance(event, StreamReset)
                and not self._answers.get(event.stream_id, Answer(has_ended=True)).has_ended
            ):
                raise ResetError(int(event.error_code or 0))
        self._flush()

    def _flush(self) -> None:
        octets = self._connection.data_to_send()
        if octets:
            self.sock.sendall(octets)


class RawHttp2(_Stream):
    """One that need not behave. It says the preface and `settings`, and acknowledges the server's."""

    def __init__(
        self, port: int, context: ssl.SSLContext | None = None, *, settings: Iterable[tuple[int, int]] = ()
    ) -> None:
        super().__init__(port, context)
        self._pending = b""
        self.send(PREFACE + settings_frame(settings) + SETTINGS_ACK)

    def send(self, octets: bytes) -> bool:
        """False once the server takes no more."""
        try:
            self.sock.sendall(octets)
        except (ConnectionError, ssl.SSLError):
            return False
        return True

    def next_frame(self) -> tuple[int, int, int, bytes] | None:
        """Type, flags, stream and payload of what comes next; None at the end."""
        while len(self._pending) < HEADER or len(self._pending) < HEADER + int.from_bytes(self._pending[:3], "big"):
            try:
                octets = self.sock.recv(1 << 16)
            except (ConnectionError, ssl.SSLError):
                return None
            if not octets:
                return None
            self._pending += octets
        end = HEADER + int.from_bytes(self._pending[:3], "big")
        whole, self._pending = self._pending[:end], self._pending[end:]
        return whole[3], whole[4], int.from_bytes(whole[5:9], "big"), whole[HEADER:]

    def until(self, kind: int) -> tuple[int, int, int, bytes]:
        """The next frame of this type."""
        while (found := self.next_frame()) is not None:
            if found[0] == kind:
                return found
        raise BrokenAnswerError(f"no frame of type {kind} came")

    def last_words(self) -> int:
        """The code of the GOAWAY that ends the connection; -1 if there is none."""
        code = -1
        while (found := self.next_frame()) is not None:
            if found[0] == GOAWAY:
                code = int.from_bytes(found[3][4:8], "big")
        return code


def request_frame(stream_id: int, target: str = "/", *fields: tuple[str, str], ends: bool = True) -> bytes:
    """HEADERS of a GET."""
    pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", target)]
    return frame(1, 0x5 if ends else 0x4, stream_id, encode_stateless([*pseudo, *fields]))


def reset(stream_id: int) -> bytes:
    """RST_STREAM with CANCEL."""
    return frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")
