"""What the start prints: every address that somebody needs to know, and no more."""

from __future__ import annotations

import socket
from pathlib import Path

from netlodge.app.addresses import endpoints_of
from netlodge.app.welcome import welcome
from netlodge.config.loading import Sources, load


def line_of(tmp_path: Path, sockets: dict[str, socket.socket]) -> list[str]:
    """The announcement of a line service with these sockets, by kind: its name, its addresses and its example."""
    loaded = load(Sources(only=("lines",), overrides=("lines.uppercase=127.0.0.1:0",), directory=tmp_path))
    addresses = endpoints_of(loaded)
    bound = {endpoint: [sockets[endpoint.kind]] for endpoint in addresses}
    [line] = [line for line in welcome(loaded.settings, None, addresses, bound).splitlines() if line.startswith("  ")]
    return line.split("  ")[1:]


def test_a_port_for_datagrams_that_the_system_chose_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.2", 0))  # so that it is surely another address
        port, other = stream.getsockname()[1], datagram.getsockname()[1]
        assert line_of(tmp_path, {"stream": stream, "datagram": datagram}) == [
            "uppercase",
            f"127.0.0.1:{port}, 127.0.0.2:{other}/udp",
            f"echo hello | netlodge talk 127.0.0.1 {port}",
        ]


def test_one_port_for_both_is_told_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stream:
        port = stream.getsockname()[1]
        # What counts is the address; another socket that has it will do.
        assert line_of(tmp_path, {"stream": stream, "datagram": stream})[1] == f"127.0.0.1:{port}"
