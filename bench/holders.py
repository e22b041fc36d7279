"""Connections that are merely there. A program of its own, so that it can be held to the load's core:

    python -m bench.holders idle|slow PORT PATH COUNT

Prints `ready` when all stand, keeps them until its input ends, then prints `{"kept": N}`: how many the server never closed.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time

PER_ADDRESS = 200
"""Connections from one source address: they come from 127.1.0.1, 127.1.0.2, ... as if from that many clients."""


def connect(port: int, number: int) -> socket.socket:
    stream = socket.socket()
    stream.settimeout(20)
    # The port is chosen at connect, so that two addresses may use the same one.
    stream.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    client = 1 + number // PER_ADDRESS
    stream.bind((f"127.1.{client >> 8}.{client & 255}", 0))
    stream.connect(("127.0.0.1", port))
    return stream


def hold(stream: socket.socket) -> socket.socket:
    """From here on nothing waits: with a timeout set, Python would wait even for what is asked not to."""
    stream.settimeout(None)
    return stream


def exchange(stream: socket.socket, path: str) -> None:
    """One whole request and answer, so that what rests afterwards is a connection in use."""
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 1024:
        part = stream.recv(65536)
        if not part:
            raise ConnectionError("closed before the answer was whole")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(answer.partition(b"\r\n")[0].decode("latin-1"))


def is_closed(stream: socket.socket) -> bool:
    """Whether the server has ended this connection, or said its last word on it."""
    try:
        return stream.recv(65536, socket.MSG_DONTWAIT) == b"" or is_closed(stream)
    except BlockingIOError:
        return False
    except OSError:
        return True


def hold_idle(port: int, path: str, count: int) -> int:
    streams = []
    for number in range(count):
        stream = connect(port, number)
        exchange(stream, path)
        streams.append(hold(stream))
    print("ready", flush=True)
    sys.stdin.read()
    return sum(not is_closed(stream) for stream in streams)


def begin_slowly(port: int, path: str, number: int) -> socket.socket:
    stream = connect(port, number)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ".encode())
    return hold(stream)


def hold_slow(port: int, path: str, count: int) -> int:
    """Each connection sends an octet of its head a second, for ever; one that the server closes is opened again."""
    streams = [begin_slowly(port, path, number) for number in range(count)]
    lost: set[int] = set()
    print("ready", flush=True)
    while True:
        began = time.monotonic()
        for number, stream in enumerate(streams):
            try:
                if is_closed(stream):
                    raise ConnectionResetError
                stream.sendall(b"a")
            except OSError:
                lost.add(number)
                stream.close()
                streams[number] = begin_slowly(port, path, number)
        rest = max(0.0, began + 1.0 - time.monotonic())
        if select.select([sys.stdin], [], [], rest)[0]:
            return count - len(lost)


def main() -> None:
    kind, port, path, count = sys.argv[1:]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kinds = {"idle": hold_idle, "slow": hold_slow}
    print(json.dumps({"kept": kinds[kind](int(port), path, int(count))}))


if __name__ == "__main__":
    main()
