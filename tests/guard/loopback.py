"""Nothing that the tests start may speak to anything but this machine. Here is the rule, and how a process is held to it.

Python reports every connect, send and look-up of its sockets as an audit event; uvloop calls the system itself, so its loop's
methods are wrapped as well. A violation is written to a report file, then refused with `PermissionError`: the code under test
may well swallow the error, and the report is what fails the test (`tests/guard/plugin.py`). No standard module is imported
before it is needed: `sitecustomize` installs this in every child that runs Python.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType

REPORT_VARIABLE: Final = "NETLODGE_GUARD_REPORT"
"""Names the file that violations are appended to, one a line."""


def is_loopback(host: object) -> bool:
    """Whether `host`, a numeric address or a name, can only mean this machine. Names are never looked up."""
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str):
        return False
    if host.lower() == "localhost":
        return True
    address = _address(host)
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def may_look_up(host: object) -> bool:
    """Whether resolving `host` sends nothing: numeric addresses, no host at all, this machine's own names."""
    if host is None or host in {"", b""}:
        return True
    if is_loopback(host):
        return True
    text = bytes(host).decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    return _address(text) is not None or text == os.uname().nodename


def _address(host: str) -> Any:
    import ipaddress

    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def refuse(what: str) -> None:
    """Write the violation down, then raise `PermissionError`."""
    message = f"{what} leaves this machine (process {os.getpid()})"
    report = os.environ.get(REPORT_VARIABLE)
    if report:
        descriptor = os.open(report, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, f"{message}\n".encode())
        finally:
            os.close(descriptor)
    raise PermissionError(message)


def audit(event: str, args: tuple[Any, ...]) -> None:
    """The audit hook: judges the events of `socket` and ignores all others."""
    if not event.startswith("socket."):
        return
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        sock, address = args
        # AF_INET and AF_INET6 addresses are tuples that begin with the host; Unix sockets and netlink have no way out.
        if address is not None and _is_internet(sock) and not is_loopback(address[0]):
            refuse(f"{event} to {address!r}")
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        if not may_look_up(args[0]):
            refuse(f"{event} of {args[0]!r}")
    elif event == "socket.gethostbyaddr" and not is_loopback(args[0]):
        refuse(f"{event} of {args[0]!r}")


def _is_internet(sock: Any) -> bool:
    import socket

    return sock.family in {socket.AF_INET, socket.AF_INET6}


def guard_uvloop(uvloop: ModuleType) -> None:
    """Wrap the methods of `uvloop.Loop` by which bytes can leave without Python's sockets noticing."""
    loop = uvloop.Loop

    def before(name: str, judge: Callable[..., None]) -> None:
        method = getattr(loop, name)

        def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
            judge(*args, **kwargs)
            return method(self, *args, **kwargs)

        guarded.__name__ = name
        setattr(loop, name, guarded)

    def connection(_factory: Any, host: Any = None, _port: Any = None, **_options: Any) -> None:
        if host is not None and not is_loopback(host):
            refuse(f"uvloop create_connection to {host!r}")

    def datagrams(
        _factory: Any, local_addr: Any = None, remote_addr: Any = None, *, sock: Any = None, **_options: Any
    ) -> None:
        # Its transport's `sendto` cannot be wrapped. But the kernel refuses to carry what a socket bound to a loopback
        # address sends anywhere else, so it is enough that one end is on loopback; a Unix socket's name is a string.
        if sock is not None:
            local_addr = sock.getsockname()
        ends = [end for end in (local_addr, remote_addr) if isinstance(end, tuple)]
        if not any(is_loopback(end[0]) for end in ends) and (ends or not isinstance(local_addr, str)):
            refuse(f"uvloop create_datagram_endpoint at {local_addr!r} towards {remote_addr!r}")

    def address(sock: Any, where: Any, *_rest: Any) -> None:
        if _is_internet(sock) and not is_loopback(where[0]):
            refuse(f"uvloop sock_connect to {where!r}")

    def look_up(host: Any, *_args: Any, **_options: Any) -> None:
        if not may_look_up(host):
            refuse(f"uvloop getaddrinfo of {host!r}")

    before("create_connection", connection)
    before("create_datagram_endpoint", datagrams)
    before("sock_connect", address)
    before("getaddrinfo", look_up)


class _UvloopFinder:
    """Stands first among the finders, and steps aside for every module but uvloop: that one is wrapped as it is loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "uvloop":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        loader = spec.loader
        execute = loader.exec_module

        def execute_and_guard(module: ModuleType) -> None:
            execute(module)
            guard_uvloop(module)

        loader.exec_module = execute_and_guard  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Hold this process to the rule, from now to its end. A second call does nothing."""
    if any(isinstance(finder, _UvloopFinder) for finder in sys.meta_path):
        return
    sys.addaudithook(audit)
    sys.meta_path.insert(0, _UvloopFinder())
    if "uvloop" in sys.modules:
        guard_uvloop(sys.modules["uvloop"])
