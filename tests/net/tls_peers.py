"""The two sides of TLS for tests: a door that speaks it, with a certificate for `localhost`, and a client whose records a test holds
in its hand."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from netlodge.core.certificate_files import PairFiles
from netlodge.core.contracts import Connection, Peer, Session
from netlodge.net.connection import StreamConnection
from netlodge.net.listener import DoorCounters, DoorLimits, StreamDoor
from netlodge.net.own_certificates import context_of
from netlodge.net.tally import Tally
from netlodge.net.tls import TlsStream
from netlodge.net.tls_service import Cleartext, TlsCounters, TlsObject, TlsService


class Cell:
    """A counter and a gauge."""

    def __init__(self, counts: Counter[object], key: object) -> None:
        self._counts = counts
        self._key = key

    def add(self, amount: int = 1) -> None:
        self._counts[self._key] += amount


class OneContext:
    """Implements `tls_service.Contexts` with one certificate, for the name `localhost` or none."""

    def __init__(self, pem: Path) -> None:
        self.context = context_of(PairFiles(pem, pem), ["h2", "http/1.1"])[0]
        self.context.sslobject_class = TlsObject
        self.context.sni_callback = self._choose

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, local: Peer) -> TlsObject:
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)
        assert isinstance(tls, TlsObject)
        tls.local = local
        tls.hosts = self.context.hosts
        return tls

    @staticmethod
    def _choose(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        return None if name in (None, "localhost") else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


class Script:
    """A session that records what it is told; `on_data` says what it does about it."""

    def __init__(self, connection: Connection, on_data: Callable[[Script, bytes], None]) -> None:
        self.connection = connection
        self.pieces: list[bytes] = []
        self.ends = 0
        self.losses = 0
        self.sweeps = 0
        self.retired: list[bool] = []
        self.on_data = on_data

    @property
    def received(self) -> bytes:
        return b"".join(self.pieces)

    def receive_data(self, data: bytes) -> None:
        self.pieces.append(data)
        self.on_data(self, data)

    def receive_eof(self) -> None:
        self.ends += 1

    def connection_lost(self, error: Exception | None) -> None:
        self.losses += 1

    def sweep(self, now: float) -> None:
        self.sweeps += 1

    def retire(self, *, at_once: bool) -> None:
        self.retired.append(at_once)


def ignore(session: Script, data: bytes) -> None:
    pass


def echo(session: Script, data: bytes) -> None:
    session.connection.write(data)


class House:
    """A door on a free port, with TLS in front of its sessions, or (`begins_in_the_clear`) with sessions that may put it there."""

    def __init__(
        self, pem: Path, on_data: Callable[[Script, bytes], None], *, begins_in_the_clear: bool = False
    ) -> None:
        self.sessions: list[Script] = []
        self.clear: list[Script] = []
        """Sessions of those who said CLEAR."""
        self.counts: Counter[object] = Counter()
        self.on_data = on_data
        self.contexts = OneContext(pem)
        counts = self.counts
        self.service = TlsService(
            self.contexts,
            TlsCounters(
                lambda version, is_resumed: Cell(counts, (version, is_resumed)),
                lambda failure: Cell(counts, failure),
                Cell(counts, "truncated"),
            ),
            handshake_timeout=10.0,
            cleartext=Cleartext(
                lambda data: b"CLEAR".startswith(data) and (len(data) == 5 or None),
                lambda connection: self._script(connection, self.clear),
            ),
        )

        def new_session(connection: StreamConnection) -> Session:
            if begins_in_the_clear:
                return self._script(connection, self.clear)
            return TlsStream(connection, self.service, self.new_session)

        self.door = StreamDoor(
            "test",
            new_session,
            limits=DoorLimits(),
            refuse=lambda limit: b"",
            counters=DoorCounters(
                Cell(counts, "open"),
                Cell(counts, "accepted"),
                lambda limit: Cell(counts, limit),
                Cell(counts, "defects"),
            ),
            tally=Tally(1).row(0),
        )

    def new_session(self, stream: TlsStream) -> Script:
        return self._script(stream, self.sessions)

    def _script(self, connection: Connection, sessions: list[Script]) -> Script:
        session = Script(connection, self.on_data)
        sessions.append(session)
        return session

    async def dial(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return Client(reader, writer)

    async def greet(self, **options: str | bool | ssl.TLSVersion | None) -> Client:
        """A client that has shaken hands."""
        client = await self.dial()
        await client.shake_hands(**options)
        await until(lambda: self.sessions)
        return client

    port: int


class Client:
    """TLS over a stream, each record to be seen and to be sent as the test likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls: ssl.SSLObject

    def begin(
        self,
        name: str | None = "localhost",
        newest: ssl.TLSVersion | None = None,
        oldest: ssl.TLSVersion | None = None,
        protocols: str = "http/1.1",
        ciphers: str = "",
        *,
        trusts_nobody: bool = False,
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if trusts_nobody else ssl.CERT_NONE
        context.set_alpn_protocols(protocols.split())
        if oldest is not None:
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            context.minimum_version = oldest
        if newest is not None:
            context.maximum_version = newest
        if ciphers:
            context.set_ciphers(ciphers)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    async def shake_hands(self, **options: str | bool | ssl.TLSVersion | None) -> None:
        self.begin(**options)  # type: ignore[arg-type]
        while True:
            try:
                self.tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                pass
            finally:
                self.flush()
            await self.hear()

    def flush(self) -> None:
        self.writer.write(self.outgoing.read())

    async def hear(self) -> None:
        """Take ciphertext in. Raises `EOFError`."""
        data = await self.reader.read(65536)
        if not data:
            raise EOFError
        self.incoming.write(data)

    def records(self, *plain: bytes) -> bytes:
        """Each piece in a record of its own."""
        for piece in plain:
            self.tls.write(piece)
        return self.outgoing.read()

    def say(self, *plain: bytes) -> None:
        self.writer.write(self.records(*plain))

    async def listen(self, octets: int = 1 << 62) -> bytes:
        """So much plaintext, or all until the peer says that it has ended its side. Raises `EOFError` if it ends without saying so."""
        heard = bytearray()
        while len(heard) < octets:
            try:
                piece = self.tls.read(min(65536, octets - len(heard)))
            except ssl.SSLWantReadError:
                await self.hear()
                continue
            except ssl.SSLZeroReturnError:
                break
            if not piece:
                break
            heard += piece
        return bytes(heard)

    def end(self) -> None:
        """Say that no more comes; the stream stays."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    async def leave(self) -> None:
        """Close the stream, without a word."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def house(
    pem: Path, on_data: Callable[[Script, bytes], None] = ignore, *, begins_in_the_clear: bool = False
) -> AsyncIterator[House]:
    place = House(pem, on_data, begins_in_the_clear=begins_in_the_clear)
    server = await asyncio.get_running_loop().create_server(
        lambda: StreamConnection(place.door, asyncio.get_running_loop()), "127.0.0.1", 0
    )
    place.port = server.sockets[0].getsockname()[1]
    try:
        yield place
    finally:
        server.close()
        for _ in range(5):
            place.door.abort()
            await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until the condition holds (the scenario has a time limit)."""
    while not condition():  # noqa: ASYNC110  # what is waited for is the peer's kernel, which sets no event
        await asyncio.sleep(0)
