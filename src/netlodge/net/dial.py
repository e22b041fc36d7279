"""Dialling: from a name and a port to a connected stream, whichever of the name's addresses answers first.

RFC 8305 (Happy Eyeballs): §4 sorts the addresses so that the families take turns, §5 starts an attempt every 250 milliseconds until one
succeeds. uvloop does not offer this, so it is done here, the same on every loop. RFC 6724 orders the addresses before, which the
system's resolver does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from enum import Enum
from itertools import zip_longest
from typing import Any, Final, NamedTuple, TypeVar, cast

from netlodge.core.errors import NetlodgeError

P = TypeVar("P", bound=asyncio.BaseProtocol)

ATTEMPT_DELAY: Final = 0.25
"""Seconds between the starts of two attempts (RFC 8305 §8: "recommended to be 250 milliseconds")."""
ADDRESS_COUNT: Final = 12
"""Addresses of one name that are tried. A name's owner could list any number."""
STREAM_BUFFER: Final = 65536
"""Octets that `dial_stream` reads ahead."""


class DialFailure(Enum):
    """Why there is no connection. The value is what to say, and what to try."""

    NAME_UNKNOWN = "there is no address for the name {host}. Check its spelling, or ask a resolver for it: dig {host}"
    REFUSED = "{host} refuses port {port}. Check the port, and that the server is running and listens on this address"
    TIMED_OUT = "{host} port {port} did not answer in time. Check the address, allow more time, or look for a firewall"
    UNREACHABLE = "there is no way to {host} port {port} ({detail}). Check the network, the route and the address"
    TLS_FAILED = (
        "no TLS with {host} port {port}: {detail}. Check that the port speaks TLS, and the name in its certificate"
    )


class DialError(NetlodgeError):
    """No connection was made. `failure` says why; `str(error)` also says what to try."""

    def __init__(self, failure: DialFailure, host: str, port: int, detail: str = "") -> None:
        super().__init__(failure.value.format(host=host, port=port, detail=detail))
        self.failure = failure
        self.host = host
        self.port = port


class Address(NamedTuple):
    """One place to dial: what `socket.connect` takes, and its family."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]


Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""From a name (or a numeric address) and a port to the addresses, best first (RFC 6724). None found: an empty sequence, or
`socket.gaierror`. Whoever must not dial some addresses leaves them out here: only what is returned is dialled."""


def look_up(host: str, port: int) -> Sequence[Address]:
    """Ask the system's resolver, and wait for it. Raises `socket.gaierror`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Address(socket.AddressFamily(family), sockaddr) for family, _, _, _, sockaddr in found]


async def resolve_by_system(host: str, port: int) -> Sequence[Address]:
    """Implements `Resolve` with the system's resolver, in a thread of the loop's pool."""
    return await asyncio.get_running_loop().run_in_executor(None, look_up, host, port)


async def dial(
    make_protocol: Callable[[], P],
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - it bounds three steps, and the error says that it ran out
    tls: ssl.SSLContext | None = None,
    local: str | None = None,
    resolve: Resolve = resolve_by_system,
) -> tuple[asyncio.Transport, P]:
    """Connect to `host` (a name or a numeric address, without brackets) and `port` within `timeout` seconds in all.

    With `tls` the stream is protected and the certificate must be for `host`, as far as that context checks. `local` is the numeric
    address to dial from; addresses of the other family are not tried then.

    Returns the transport and the protocol that `make_protocol` made. Raises `DialError`.
    """
    try:
        async with asyncio.timeout(timeout):
            addresses = await find_addresses(host, port, local=local, resolve=resolve)
            sock = await _connect_first(addresses, host, port, local)
            return await _open(make_protocol, sock, host, port, tls)
    except TimeoutError:
        raise DialError(DialFailure.TIMED_OUT, host, port) from None


async def dial_stream(
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - it bounds three steps, and the error says that it ran out
    tls: ssl.SSLContext | None = None,
    local: str | None = None,
    resolve: Resolve = resolve_by_system,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """`dial`, for those who read and write streams."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=STREAM_BUFFER, loop=loop)
    transport, protocol = await dial(
        lambda: asyncio.StreamReaderProtocol(reader, loop=loop),
        host, port, timeout=timeout, tls=tls, local=local, resolve=resolve,
    )  # fmt: skip
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def take_turns(addresses: Sequence[Address]) -> list[Address]:
    """The same addresses, families alternating from the family of the first (RFC 8305 §4, "First Address Family Count" 1)."""
    if not addresses:
        return []
    first = [address for address in addresses if address.family == addresses[0].family]
    other = [address for address in addresses if address.family != addresses[0].family]
    return [address for pair in zip_longest(first, other) for address in pair if address is not None]


async def find_addresses(
    host: str, port: int, *, local: str | None = None, resolve: Resolve = resolve_by_system
) -> list[Address]:
    """Where to dial, in which order; at least one address. A numeric address is nobody's name: no resolver is asked.

    Raises `DialError`: the name is unknown, or none of its addresses is of the family of `local`.
    """
    try:
        numeric = ipaddress.ip_address(host)
    except ValueError:
        numeric = None
    try:
        found = await (resolve_by_system if numeric else resolve)(host, port)
    except (socket.gaierror, UnicodeError):  # UnicodeError: no IDNA name, e.g. a label of more than 63 octets
        found = []
    if not found:
        raise DialError(DialFailure.NAME_UNKNOWN, host, port)
    if local is not None:
        family = socket.AF_INET6 if ":" in local else socket.AF_INET
        found = [address for address in found if address.family == family]
        if not found:
            raise DialError(DialFailure.UNREACHABLE, host, port, f"no address of the family of {local}")
    return take_turns(found)[:ADDRESS_COUNT]


async def _connect_first(addresses: Sequence[Address], host: str, port: int, local: str | None) -> socket.socket:
    """The socket of the first attempt that succeeds (RFC 8305 §5).

    An attempt starts when the one before it failed, or has not succeeded for `ATTEMPT_DELAY`. Losers are closed.
    """
    waiting = list(reversed(addresses))
    attempts: set[asyncio.Task[socket.socket]] = set()
    failures: list[OSError] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_connect(waiting.pop(), local)))
            done, attempts = await asyncio.wait(
                attempts, timeout=ATTEMPT_DELAY if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            winners = [attempt for attempt in done if attempt.exception() is None]
            attempts.update(winners[1:])  # two in one turn of the loop: one is too many, and is closed below
            if winners:
                return winners[0].result()
            failures += [cast("OSError", attempt.exception()) for attempt in done]
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close_late_winner)
    raise _dial_error(failures, host, port)


async def _connect(address: Address, local: str | None) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if local is not None:
            sock.bind((local, 0))
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_late_winner(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _dial_error(failures: Sequence[OSError], host: str, port: int) -> DialError:
    """One error for all attempts: of the one that got furthest. To be refused takes somebody to refuse."""
    if any(isinstance(error, ConnectionError) for error in failures):
        return DialError(DialFailure.REFUSED, host, port)
    if any(isinstance(error, TimeoutError) for error in failures):
        return DialError(DialFailure.TIMED_OUT, host, port)
    return DialError(DialFailure.UNREACHABLE, host, port, failures[0].strerror or str(failures[0]))


def tls_detail(error: ssl.SSLError) -> str:
    """What OpenSSL found wrong, as words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold ({error.verify_message})"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "what it speaks is not TLS"  # the first octets were read as a version
    return (error.reason or str(error)).replace("_", " ").lower()


async def _open(
    make_protocol: Callable[[], P], sock: socket.socket, host: str, port: int, tls: ssl.SSLContext | None
) -> tuple[asyncio.Transport, P]:
    """Hand the connected socket to the loop, and protect it if `tls` says so."""
    server_hostname = None if tls is None else host.partition("%")[0]  # a scope is no part of a certificate's name
    with ExitStack() as on_failure:
        on_failure.callback(sock.close)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened = await asyncio.get_running_loop().create_connection(
                make_protocol, sock=sock, ssl=tls, server_hostname=server_hostname
            )
        except ssl.SSLError as error:
            raise DialError(DialFailure.TLS_FAILED, host, port, tls_detail(error)) from error
        except ConnectionError as error:
            failure = DialFailure.REFUSED if tls is None else DialFailure.TLS_FAILED
            raise DialError(failure, host, port, "the peer hung up in the handshake") from error
        on_failure.pop_all()
        return opened
