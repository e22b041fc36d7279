"""Which process holds a port: asked only to make the message about a port in use say more. Linux (proc(5)); silent elsewhere."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_TABLES = {"stream": ("tcp", "tcp6"), "datagram": ("udp", "udp6")}
_LISTEN = "0A"
_ROW = re.compile(r"\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) (?:\S+ +){5}(\d+)", re.ASCII)


def holder_of(kind: str, host: str, port: int, proc: Path = Path("/proc")) -> str:
    """Name the process whose socket is in the way of `host` and `port`, e.g. `nginx (pid 812)`; empty if the kernel does not
    tell this user. `kind` is `stream` or `datagram`."""
    wanted = ipaddress.ip_address(host.partition("%")[0])  # the tables know no zones
    for table in _TABLES[kind]:
        try:
            rows = (proc / "net" / table).read_text()
        except OSError:
            continue
        for address, inode in _holders(rows, port, must_listen=kind == "stream"):
            if _overlaps(address, wanted) and (process := _process_of(inode, proc)):
                return process
    return ""


def _holders(rows: str, port: int, *, must_listen: bool) -> Iterator[tuple[IPAddress, str]]:
    """Local address and inode of each socket on the port in a table of /proc/net."""
    for row in rows.splitlines():
        match = _ROW.match(row)
        if match and int(match[2], 16) == port and (match[3] == _LISTEN or not must_listen):
            yield _address(match[1]), match[4]


def _address(digits: str) -> IPAddress:
    """The kernel prints an address as words of 32 bits, each in the machine's byte order."""
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    return ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))


def _overlaps(one: IPAddress, other: IPAddress) -> bool:
    """Whether two sockets on one port are in each other's way. `::` may take IPv4 as well (RFC 3493 §5.3)."""
    if one.version == other.version:
        return one == other or one.is_unspecified or other.is_unspecified
    wildcard = one if one.version == 6 else other
    return wildcard.is_unspecified


def _process_of(inode: str, proc: Path) -> str:
    """The oldest process that holds the socket, which among a server's processes is the one that started the others."""
    link = f"socket:[{inode}]"
    for pid in sorted(int(entry) for entry in os.listdir(proc) if entry.isascii() and entry.isdigit()):
        with contextlib.suppress(OSError):  # it ended, or is another user's
            directory = proc / str(pid) / "fd"
            for name in os.listdir(directory):
                with contextlib.suppress(OSError):
                    if os.readlink(directory / name) == link:
                        return f"{(proc / str(pid) / 'comm').read_text().strip()} (pid {pid})"
    return ""
