"""Where a door listens: a numeric address with a port, or a Unix socket. And the place of the access log.

Addresses are numeric on purpose: a name may mean other machines tomorrow, and a door must not move when a resolver changes its
mind. RFC 3986 §3.2.2 gives the brackets around IPv6.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from netlodge.config.errors import SettingValueError

_SOCKET_PATH_LIMIT = 107
"""Octets that `sun_path` holds on Linux, its final NUL aside (unix(7))."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on: `host` (numeric, without brackets) and `port`, or the `path` of a Unix socket, never both.

    Port 0 lets the kernel choose.
    """

    host: str
    port: int
    path: str = ""

    noun: ClassVar[str] = "an address"
    example: ClassVar[str] = "127.0.0.1:8080"

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read `127.0.0.1:8080`, `[::1]:8080` or `unix:run/web.sock`. Raises `SettingValueError` with a hint."""
        if value.startswith("unix:"):
            path = value.removeprefix("unix:")
            if not path or "\0" in path:
                raise SettingValueError('names no socket; write "unix:" and a path, such as "unix:run/web.sock"')
            return cls("", 0, path)
        host, colon, port = value.rpartition(":")
        if not (colon and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
            raise SettingValueError(
                'must be an address with a port from 0 to 65535, such as "127.0.0.1:8080" or "[::1]:8080"'
            )
        if host in ("", "*"):
            raise SettingValueError(
                f'names no address; write "127.0.0.1:{port}" for this machine alone, or both "0.0.0.0:{port}" and "[::]:{port}" for everyone'
            )
        is_bracketed = host.startswith("[") and host.endswith("]")
        try:
            ip = ipaddress.ip_address(host[1:-1] if is_bracketed else host)
        except ValueError:
            hint = f'"127.0.0.1:{port}" and "[::1]:{port}"' if host == "localhost" else 'a number such as "127.0.0.1"'
            raise SettingValueError(f"must name a numeric address, not a host name; write {hint}") from None
        if is_bracketed != (ip.version == 6):
            raise SettingValueError(f'must have brackets around IPv6 alone; did you mean "{cls(str(ip), int(port))}"?')
        return cls(str(ip), int(port))

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    @property
    def is_of_this_machine(self) -> bool:
        """Whether only processes of this machine can reach it."""
        return self.is_unix or ipaddress.ip_address(self.host).is_loopback

    def resolved(self, base: Path) -> Self:
        """The same address with a relative socket path counted from `base`. Raises `SettingValueError` when the path is too long for
        the kernel."""
        if not self.path:
            return self
        path = os.path.abspath(base / self.path)
        if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
            raise SettingValueError(
                f"is too long for a socket's path: {path} has more than {_SOCKET_PATH_LIMIT} octets"
            )
        return replace(self, path=path)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class LogTarget(str):
    """Where a log goes: empty for its usual file, `-` for standard output, `off` for nowhere, otherwise a file."""

    __slots__ = ()
    noun: ClassVar[str] = 'a file\'s path, "-" or "off"'
    example: ClassVar[str] = "log/access.log"

    @classmethod
    def parse(cls, value: str) -> Self:
        if "\0" in value:
            raise SettingValueError("must not contain NUL")
        return cls(value)

    def resolved(self, base: Path) -> Self:
        """The same place with a relative file counted from `base`."""
        return self if self in ("", "-", "off") else type(self)(os.path.abspath(base / self))
