"""A client of HTTP/2 over TLS whose every request has a field that no other ever had; h2load cannot vary its fields.

`python -m bench.unseen_h2 PORT PATH STREAMS SECONDS` asks for PATH on one connection, STREAMS requests at a time, and prints what came of it
as JSON: `requests`, `seconds`, `failed`.
"""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import sys
import time

from netlodge.http.wire.h2_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER,
    HEADERS,
    LARGEST_WINDOW,
    PREFACE,
    SETTINGS_ACK,
    frame,
    settings_frame,
    window_update_frame,
)
from netlodge.http.wire.hpack import encode_stateless


def connect(port: int) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
    sock.sendall(PREFACE + settings_frame([]) + SETTINGS_ACK + window_update_frame(0, LARGEST_WINDOW - 65535))
    return sock


class Reader:
    """Counts the answers that come."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._buffer = b""
        self.failed = 0

    def answers(self, count: int) -> None:
        """Return when so many more have come to their end. Raises `ConnectionError`."""
        while count:
            octets = self._sock.recv(1 << 18)
            if not octets:
                raise ConnectionError("the server has ended the connection")
            buffer, place = self._buffer + octets, 0
            while (start := place + HEADER) <= len(buffer):
                end = start + int.from_bytes(buffer[place : place + 3], "big")
                if end > len(buffer):
                    break
                kind, flags = buffer[place + 3], buffer[place + 4]
                # 0x88 is `:status: 200` in the static table; a size update of the dynamic one may stand before it.
                if kind == HEADERS and b"\x88" not in buffer[start : start + 2]:
                    self.failed += 1
                count -= kind in {DATA, HEADERS} and flags & END_STREAM
                place = end
            self._buffer = buffer[place:]


def main() -> None:
    port, path, streams, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    authority = f"127.0.0.1:{port}"
    pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)]
    same = encode_stateless([*pseudo, ("user-agent", "bench")])
    name = b"\x00\x09x-request"  # a literal without indexing, with a new name (RFC 7541 §6.2.2)
    mark = secrets.token_hex(4)
    began = time.monotonic()
    requests = 0
    with connect(port) as sock:
        reader = Reader(sock)
        while time.monotonic() - began < seconds:
            batch = []
            for number in range(requests, requests + streams):
                value = f"{mark}{number:08}".encode()
                block = same + name + bytes([len(value)]) + value
                batch.append(frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, block))
            sock.sendall(b"".join(batch))
            reader.answers(streams)
            requests += streams
    outcome = {"requests": requests, "seconds": time.monotonic() - began, "failed": reader.failed}
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
