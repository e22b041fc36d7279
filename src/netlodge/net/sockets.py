"""The addresses that a lodge listens on, and the sockets bound to them.

Linux spreads the connections of one port over all sockets that are bound to it with SO_REUSEPORT (socket(7)), so an
address gets several sockets, its *copies*: about one per worker. The same option would let a second lodge of the same
user slip into the group unseen and take half of the connections. Therefore the first copy is bound without it, which makes
the kernel refuse a port that anyone else holds; only then is the port opened for the other copies.

Elsewhere, and for Unix sockets, one socket is shared by all workers.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from netlodge.core.errors import NetlodgeError
from netlodge.core.unix_sockets import LONGEST_PATH, address_of
from netlodge.net.holder import holder_of

logger = logging.getLogger("netlodge.supervisor")

BACKLOG = 4096
"""Connections that may wait to be accepted, per copy. The kernel caps it at `net.core.somaxconn` (listen(2))."""
SPREADS_LOAD = sys.platform == "linux"
"""Whether SO_REUSEPORT balances; on the BSDs and macOS it only lets the last socket win."""

Key = tuple[str, str, int, str, str]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that a setting asks to listen on. Make it with `tcp`, `udp` or `unix`."""

    kind: Literal["stream", "datagram"]
    host: str = ""
    """Numeric, without brackets; an IPv6 address may have a zone (`fe80::1%eth0`)."""
    port: int = 0
    """0: any free port."""
    path: str = ""
    """Of a Unix socket; empty otherwise."""
    setting: str = ""
    """Key path of the setting, for messages: `web.listen[0]`."""
    is_optional: bool = False
    """A default that is left out, with a notice, on a machine that has no such address (IPv6 switched off)."""
    umask: int = 0o077
    """Permission bits that a Unix socket does not get."""

    @classmethod
    def tcp(cls, host: str, port: int, setting: str, *, is_optional: bool = False) -> Endpoint:
        return cls("stream", host, port, setting=setting, is_optional=is_optional)

    @classmethod
    def udp(cls, host: str, port: int, setting: str, *, is_optional: bool = False) -> Endpoint:
        return cls("datagram", host, port, setting=setting, is_optional=is_optional)

    @classmethod
    def unix(cls, path: str, setting: str, *, umask: int = 0o077) -> Endpoint:
        return cls("stream", path=path, setting=setting, umask=umask)

    @property
    def key(self) -> Key:
        """What makes it the same address after a reload. Two settings that ask for port 0 get two ports."""
        is_any_port = not self.path and self.port == 0
        return (self.kind, self.host, self.port, self.path, self.setting if is_any_port else "")

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return name_of(self.kind, (self.host, self.port))


class BindError(NetlodgeError):
    """An address that cannot be listened on. `str(error)` is one sentence a line, one line for each address."""


def name_of(kind: str, address: tuple[str, int] | str) -> str:
    """An address as messages show it: `127.0.0.1:8080`, `[::1]:5353/udp`, `unix:/run/x`."""
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    return f"{f'[{host}]' if ':' in host else host}:{port}{'/udp' if kind == 'datagram' else ''}"


def share_of(index: int, workers: int, copies: int) -> tuple[int, ...]:
    """Which copies of an address worker `index` of `workers` listens to.

    Every copy is somebody's, and every worker has one: with fewer copies than workers (a shared socket, or a lodge that got
    more workers than it may bind sockets for) workers share.
    """
    if copies >= workers:
        return tuple(range(index, copies, workers))
    return (index % copies,)


def bind(endpoint: Endpoint, copies: int) -> list[socket.socket]:
    """Return the sockets of one address: non-blocking, close-on-exec, the streams listening.

    `copies` on Linux (TCP, UDP), one otherwise. With port 0 all have the port that the first got. Raises `BindError`.
    """
    sockets: list[socket.socket] = []
    try:
        if endpoint.path:
            sockets.append(_bind_unix(endpoint))
        else:
            sockets.append(_bind_inet(endpoint, _address_of(endpoint), joins=False))
            _listen(sockets[0])
            if SPREADS_LOAD:
                sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                add_copies(endpoint, sockets, copies)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise BindError(explain(endpoint, error)) from error
    return sockets


def add_copies(endpoint: Endpoint, sockets: list[socket.socket], copies: int) -> None:
    """Bind more sockets to the address of `sockets[0]`, until there are `copies`. Raises `OSError`, keeping what it got:
    the kernel lets only the user join who bound the first."""
    while SPREADS_LOAD and not endpoint.path and len(sockets) < copies:
        sock = _bind_inet(endpoint, sockets[0].getsockname(), joins=True)
        sockets.append(sock)
        _listen(sock)


def _address_of(endpoint: Endpoint) -> tuple[str, int] | tuple[str, int, int, int]:
    kind = socket.SOCK_STREAM if endpoint.kind == "stream" else socket.SOCK_DGRAM
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=kind, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(errno.EINVAL, "not a numeric address") from error
    return found[0][4]  # type: ignore[return-value]  # typeshed allows for a Python without IPv6


def _bind_inet(
    endpoint: Endpoint, address: tuple[str, int] | tuple[str, int, int, int], *, joins: bool
) -> socket.socket:
    is_stream = endpoint.kind == "stream"
    family = socket.AF_INET if len(address) == 2 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            # `[::]` means IPv6 only (RFC 3493 §5.3), so that `0.0.0.0` beside it is no conflict.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_stream:
            # Connections of the last run that are in TIME-WAIT do not hold the port. Not for UDP: there it lets anyone in.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if joins:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen(sock: socket.socket) -> None:
    if sock.type == socket.SOCK_STREAM:
        sock.listen(BACKLOG)


def _bind_unix(endpoint: Endpoint) -> socket.socket:
    _remove_stale(endpoint.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(endpoint.umask)
    try:
        with address_of(Path(endpoint.path)) as address:
            sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket's file at which nobody listens any more. Raises `OSError`: EADDRINUSE if somebody does, ENOTSOCK if what
    stands there is no socket and so not ours to remove."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.ENOTSOCK, "not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            with address_of(Path(path)) as address:
                probe.connect(address)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass  # its queue is full: somebody is there
    raise OSError(errno.EADDRINUSE, "somebody listens")


def explain(endpoint: Endpoint, error: OSError) -> str:
    """One sentence: which setting, which address, why not, and what to do."""
    return f"{endpoint.setting}: cannot listen on {endpoint}: {_reason(endpoint, error)}."


def _reason(endpoint: Endpoint, error: OSError) -> str:
    if endpoint.path:
        return _unix_reason(endpoint, error)
    match error.errno:
        case errno.EADDRINUSE:
            holder = holder_of(endpoint.kind, endpoint.host, endpoint.port)
            who = f"by {holder}" if holder else "by a process of another user"
            return f"the port is in use {who}; stop that, or set another port"
        case errno.EACCES | errno.EPERM:
            return (
                "ports below 1024 are root's; start as root with a `user` setting (the lodge drops root once it is bound), "
                f"or let everyone have them with `sysctl net.ipv4.ip_unprivileged_port_start={endpoint.port}`"
            )
        case errno.EADDRNOTAVAIL if ":" in endpoint.host:
            return "this machine has no such IPv6 address (`ip address` lists what it has)"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address (`ip address` lists what it has)"
        case errno.EAFNOSUPPORT:
            return "IPv6 is switched off on this machine; remove the address"
        case errno.EINVAL if endpoint.host.startswith("fe80:") and "%" not in endpoint.host:
            return f"a link-local address needs its interface, as in [{endpoint.host}%eth0]"
        case errno.EINVAL:
            return "this is no numeric IPv4 or IPv6 address"
        case errno.EMFILE | errno.ENFILE:
            return "too many open files; raise the limit (`ulimit -n`)"
        case _:
            return os.strerror(error.errno) if error.errno else str(error)


def _unix_reason(endpoint: Endpoint, error: OSError) -> str:
    directory = os.path.dirname(endpoint.path) or "."
    match error.errno:
        case errno.ENOTSOCK:
            return "a file that is no socket stands there; move it, or set another path"
        case errno.EADDRINUSE:
            return "another process answers there; stop it, or set another path"
        case errno.ENAMETOOLONG:
            return f"the path of a socket has at most {LONGEST_PATH} octets; set a shorter one"
        case errno.ENOENT | errno.ENOTDIR:
            return f"there is no directory {directory}; make it, or set another path"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"this user may not write in {directory}; change its permissions, or set another path"
        case _:
            return os.strerror(error.errno) if error.errno else str(error)


_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class BoundSockets:
    """Every socket that the lodge holds, by address. Workers come and go; these stay, with the connections that wait in them."""

    def __init__(self) -> None:
        self._sockets: dict[Key, list[socket.socket]] = {}
        self._files: dict[Key, tuple[str, int]] = {}
        """Of Unix sockets: path and inode."""

    def add(self, endpoints: Iterable[Endpoint], copies: int) -> None:
        """Bind what is not bound yet, and bring what is to at least `copies`.

        All or nothing: when one address cannot be bound, none that this call bound stays, and `BindError` tells of all that
        failed. Fewer copies than asked of an address that was bound before are no error: workers share.
        """
        new: list[Key] = []
        sentences: list[str] = []
        asked: dict[Key, str] = {}
        for endpoint in endpoints:
            key = endpoint.key
            if key in asked:
                sentences.append(
                    f"{endpoint.setting}: cannot listen on {endpoint}: {asked[key]} asks for the same address; remove one."
                )
                continue
            asked[key] = endpoint.setting
            held = self._sockets.get(key)
            if held is not None:
                self._grow(endpoint, held, copies)
                continue
            try:
                self._sockets[key] = bind(endpoint, copies)
            except BindError as error:
                if endpoint.is_optional and isinstance(error.__cause__, OSError) and error.__cause__.errno in _ABSENT:
                    logger.info("%s: %s is left out: this machine has no such address.", endpoint.setting, endpoint)
                else:
                    sentences.append(str(error))
                continue
            new.append(key)
            if endpoint.path:
                self._files[key] = (endpoint.path, os.lstat(endpoint.path).st_ino)
        if sentences:
            for key in new:
                self._release(key)
            raise BindError("\n".join(sentences))

    def _grow(self, endpoint: Endpoint, held: list[socket.socket], copies: int) -> None:
        try:
            add_copies(endpoint, held, copies)
        except OSError as error:
            logger.info(
                "%s: %s keeps %d socket(s) for %d workers, who share them (%s).",
                endpoint.setting, endpoint, len(held), copies, error.strerror,
            )  # fmt: skip

    def of(self, endpoints: Iterable[Endpoint]) -> dict[Endpoint, list[socket.socket]]:
        """The sockets of those addresses; one that was left out (`is_optional`) is missing."""
        return {endpoint: self._sockets[endpoint.key] for endpoint in endpoints if endpoint.key in self._sockets}

    def keep_only(self, endpoints: Iterable[Endpoint]) -> list[str]:
        """Let go of every other address and return their names. A worker that still holds a copy can go on to accept from it."""
        wanted = {endpoint.key for endpoint in endpoints}
        gone = [key for key in self._sockets if key not in wanted]
        names = [name_of(key[0], self._sockets[key][0].getsockname()) for key in gone]
        for key in gone:
            self._release(key)
        return names

    def paths(self) -> list[str]:
        """The files of Unix sockets."""
        return [path for path, _ in self._files.values()]

    def names(self) -> list[str]:
        """Every address as it was bound, port 0 resolved."""
        return [name_of(key[0], sockets[0].getsockname()) for key, sockets in self._sockets.items()]

    def __iter__(self) -> Iterator[socket.socket]:
        for sockets in self._sockets.values():
            yield from sockets

    def close(self) -> None:
        """Let go of everything."""
        self.keep_only(())

    def _release(self, key: Key) -> None:
        file = self._files.pop(key, None)
        if file is not None:
            path, inode = file
            with contextlib.suppress(OSError):
                if os.lstat(path).st_ino == inode:  # else somebody put another in its place
                    os.unlink(path)
        for sock in self._sockets.pop(key):
            sock.close()
