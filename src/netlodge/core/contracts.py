"""The seams between the layers, in prose: every outcome and every failure.

`listener -> connection -> wire -> session -> handler -> store`, and back out. Each arrow is one of the Protocols below;
a layer is written against the Protocol and handed an implementation by `app`. Tests hand in fakes that pass the same
conformance suite as the real thing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Peer(NamedTuple):
    """Who is at the other end: a numeric address and a port. For a Unix socket: host `"unix:"`, port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Clock(Protocol):
    """The time as the worker knows it: read from memory, moved by the worker's tick (four times a second).

    `now` is monotonic seconds, for deadlines and ages. `wall` is seconds since the epoch, for dates; `second` is its
    whole part. `monotonic()` and `time()` ask the operating system: for conditions that must hold to the instant, and for
    records that must be in order. A rule never holds a clock: it takes the time as an argument.
    """

    @property
    def now(self) -> float: ...
    @property
    def wall(self) -> float: ...
    @property
    def second(self) -> int: ...
    def monotonic(self) -> float: ...
    def time(self) -> float: ...


class Connection(Protocol):
    """A byte stream to one peer, as its session sees it. Every method is called on the worker's event loop.

    After the stream ended (either side, any reason) all methods do nothing and raise nothing: the session learns of
    the end once, by `Session.connection_lost`.
    """

    session: Session
    """Who is told of what arrives. Whoever owns the stream may hand it on by setting another (an upgrade, a tunnel)."""
    peer: Peer
    local: Peer
    is_secure: bool
    """True when TLS protects the stream."""

    @property
    def is_writable(self) -> bool:
        """False from the moment the peer's window and the kernel's buffer are full until what was buffered has left."""
        ...

    def write(self, data: bytes) -> None:
        """Send `data` after all that was sent before. Never blocks: what the kernel does not take is buffered. A session
        that may send much awaits `drained()` whenever `is_writable` is False."""
        ...

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        """Have the kernel send `count` octets of a regular file, from `offset`, after all that was sent before, as fast as the peer
        takes them. Returns how many were sent: fewer only if the file has ended.

        Only where `may_send_file` (TLS needs the octets: read and `write` them). Raises `ConnectionResetError` when the stream had ended
        before, `CutShortError` (which is one) when it ended meanwhile. Not to be called while another call is under way.
        """
        ...

    may_send_file: bool

    @property
    def progress(self) -> int:
        """Grows whenever the peer's side took something that had to wait."""
        ...

    def unacknowledged(self) -> int:
        """Octets handed over that the peer has not taken yet, as far as the kernel tells: what makes a slow reader differ from one
        who reads nothing."""
        ...

    async def drained(self) -> None:
        """Return when the stream is writable again. Raises `ConnectionResetError` when it ended instead."""
        ...

    def pause_reading(self) -> None:
        """Deliver no more data until `resume_reading`; the peer's window fills. Idempotent."""
        ...

    def resume_reading(self) -> None:
        """Undo `pause_reading`. Idempotent. Data may be delivered before this returns to the loop, never within it."""
        ...

    def write_eof(self) -> None:
        """Half-close after what is buffered: the peer sees a clean end; reading goes on. Idempotent."""
        ...

    def close(self) -> None:
        """Close after what is buffered has left."""
        ...

    def abort(self) -> None:
        """Close now; what is buffered is lost and the peer may see a reset."""
        ...


class Session(Protocol):
    """One connection's side of a protocol: bytes in, handler calls, bytes out. Made by `SessionFactory(connection)`.

    No method raises on bad input: it answers in the protocol's own words. An exception that does leave a method is a
    defect: the connection is aborted, the defect is logged, other connections go on.
    """

    def receive_data(self, data: bytes) -> None:
        """Bytes arrived, at least one, in any segmentation."""
        ...

    def receive_eof(self) -> None:
        """The peer will send no more; writing is still possible. Called at most once."""
        ...

    def connection_lost(self, error: Exception | None) -> None:
        """The stream is gone. Called exactly once, last. Tasks that the session started are cancelled here."""
        ...

    def sweep(self, now: float) -> None:
        """Called about once a second with `clock.now`: end what took too long. This is the only timer a session has."""
        ...

    def retire(self, *, at_once: bool) -> None:
        """The worker drains: finish the exchange under way and begin no other.

        `at_once` False (reload): a connection at rest stays until its next exchange, which says that it is the last, or
        until its idle timeout. True (shutdown): a connection at rest is half-closed and then closed right away.
        """
        ...


SessionFactory = Callable[[Connection], Session]


class Refusal(Protocol):
    """What a door says to a connection that is over a limit, in the protocol's own words, before it closes it."""

    def __call__(self, limit: str, /) -> bytes:
        """`limit` is the setting's key path, e.g. `limits.connections_per_client`. Return the whole last message."""
        ...


class DatagramService(Protocol):
    """A service that answers datagrams one by one."""

    def handle_datagram(self, data: bytes, peer: Peer) -> bytes | None:
        """Return the answer, or None for silence. Must not raise on any input. Never longer than the service's rule allows
        for a peer whose address is unproved."""
        ...


class Counter(Protocol):
    """A number that only grows, summed over all workers. `add` costs well under a microsecond."""

    def add(self, amount: int = 1) -> None: ...


class Gauge(Protocol):
    """A number that goes up and down; a worker that dies takes its share along."""

    def add(self, amount: int) -> None: ...
