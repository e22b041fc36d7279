"""What one worker runs: its doors with their sessions and handlers, its journal's readers, its share of the numbers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path

from netlodge import __version__
from netlodge.app.applications import Applications
from netlodge.app.secure import SecureDoor
from netlodge.app.shared import Shared
from netlodge.app.supplies import Supplies
from netlodge.app.web import web_handler
from netlodge.app.worker import Door
from netlodge.config.doors import LINE_SERVICES, Listen
from netlodge.config.settings import Settings
from netlodge.core.clock import WorkerClock
from netlodge.core.contracts import Refusal, Session
from netlodge.core.networks import Networks
from netlodge.core.recall import Recall
from netlodge.core.records import Entry, Journal
from netlodge.dashboard import page
from netlodge.dashboard.control import Control
from netlodge.dashboard.status import Dashboard
from netlodge.http.handlers.error_pages import error_response
from netlodge.http.handlers.https import TellHttps
from netlodge.http.message import Handler
from netlodge.http.session.first_octets import FirstOctets
from netlodge.http.session.h1 import Http1Session
from netlodge.http.session.h2 import Http2Session
from netlodge.http.session.h2_answers import Http2Answer
from netlodge.http.session.h2c import UpgradesToHttp2
from netlodge.http.session.refusal import refusal_of_connection
from netlodge.http.session.remembering import HttpAnswer
from netlodge.http.session.service import HttpLimits, HttpService
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.limits import WireLimits
from netlodge.lines.datagrams import LineDatagrams
from netlodge.lines.services import SERVICES
from netlodge.lines.session import LineLimits, LineSession, refuse
from netlodge.net.connection import StreamConnection
from netlodge.net.datagram import CHATTERING_PORTS, DatagramCounters, DatagramDoor
from netlodge.net.listener import DoorCounters, DoorLimits, StreamDoor
from netlodge.net.sockets import Endpoint, bind
from netlodge.net.tls import TlsStream
from netlodge.net.tls_service import INTERNAL_ERROR
from netlodge.observe.access_log import AccessLog
from netlodge.observe.journal import Observer
from netlodge.observe.tap import Ring
from netlodge.store.database import Database

CONTROL_DOOR = "control"
REVIEWED = 200
"""Remembered answers of each table that are looked at in a second: about a millisecond."""
FORGET_SAMPLES = 60
"""Samples, which are taken once a second, between two times that known heads are forgotten."""


def control_socket(settings: Settings, pid: int) -> Path:
    """Where the worker with this process id can be asked what passes."""
    return settings.run_folder / f"worker-{pid}.sock"


def _review(
    recall: Recall[bytes, HttpAnswer] | Recall[str, HttpAnswer] | Recall[bytes, Http2Answer],
    sample: Callable[..., None],
) -> None:
    # Before it is counted: what holds no longer gives back the file that it kept open, though nobody asks for it again.
    recall.review(REVIEWED)
    sample(answers=len(recall), octets=recall.octets, dropped=recall.dropped, evicted=recall.evicted)


class LodgeRooms:
    """Implements `worker.Rooms` for the settings of one generation. Made in the worker, on its running loop."""

    def __init__(
        self,
        settings: Settings,
        addresses: Mapping[Endpoint, Listen],
        base: Path,
        slot: int,
        shared: Shared,
        clock: WorkerClock,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._clock = clock
        self._journal = journal
        self._loop = loop
        self._tally = shared.tally.row(slot)
        shared.registry.bind(slot)
        series = shared.series
        series.worker.start(clock.wall)
        taps = settings.taps
        self._ring = Ring(
            taps.ring_entries,
            taps.ring_bytes,
            taps.redact,
            dropped=series.observer.tap_dropped,
            passed_over=series.observer.tap_passed_over,
        )
        access_log = settings.access_log
        self._observer = Observer(
            series=series.exchanges,
            log=AccessLog(str(access_log), settings.log.format, dropped=series.observer.log_dropped)
            if access_log
            else None,
            ring=self._ring,
            failures=series.observer.failures,
        )
        # Two line services that were made to talk to each other by a forged datagram would never stop.
        self._line_ports = frozenset(
            listen.address.port for listen in addresses.values() if listen.service in LINE_SERVICES
        )
        database = Database(
            settings.database_url,
            connections=settings.database.connections,
            timeout=settings.database.timeout,
            counters=series.database,
        )
        self._supplies = Supplies(
            settings=settings,
            clock=clock,
            loop=loop,
            shared=shared,
            database=database,
            applications=Applications(
                settings, folder=base, clock=clock, loop=loop, database=database, websockets=series.websockets
            ),
        )
        self._services: list[HttpService] = []
        self._secure: list[SecureDoor] = []
        self._samples = 0
        self._by_name: dict[tuple[str, str], Door] = {}
        self.doors: dict[Endpoint, Door] = {
            endpoint: self._door(endpoint.kind, listen) for endpoint, listen in addresses.items()
        }
        self._add_control_door()

    # --- worker.Rooms --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        await self._supplies.applications.start()

    async def finish(self) -> None:
        await self._supplies.applications.finish()
        await self._supplies.database.close()

    def drain_journal(self) -> None:
        if self._observer.drain(self._journal):
            self._loop.call_soon(self.drain_journal)  # others have their turn first

    def end_looking_on(self) -> None:
        self._ring.close()

    def sample(self) -> None:
        series = self._shared.series
        series.worker.sample()
        self._samples += 1
        for service in self._services:
            if self._samples % FORGET_SAMPLES == 0:
                service.forget()
            recalled = series.recall[service.door]
            _review(service.recall, partial(recalled.sample, "octets"))
            _review(service.alike, partial(recalled.sample, "meaning"))
            _review(service.recall_h2, partial(recalled.sample, "h2"))
        for door in self._secure:
            door.review()

    def reopen_logs(self) -> None:
        if self._observer.log is not None:
            self._observer.log.reopen()

    def close(self) -> None:
        while self._observer.drain(self._journal):
            pass
        self._ring.close()
        if self._observer.log is not None:
            self._observer.log.close()
        self._control_path.unlink(missing_ok=True)

    # --- doors ---------------------------------------------------------------------------------------------------------

    def _door(self, kind: str, listen: Listen) -> Door:
        """The door for an address. Addresses of one service share a door, and with it what it remembers and counts."""
        key = (kind, listen.service)
        if key not in self._by_name:
            self._by_name[key] = self._new_door(kind, listen.service)
        return self._by_name[key]

    def _new_door(self, kind: str, service: str) -> Door:
        if service in LINE_SERVICES:
            return self._line_door(service) if kind == "stream" else self._line_datagrams(service)
        if service == "web":
            return self._web_door(service)
        if service == "web_tls":
            return self._https_door(service)
        return self._http_door(service, self._dashboard())

    @cached_property
    def _web(self) -> Handler:
        """The sites: the same behind every door of the web."""
        return web_handler(self._settings.web, self._supplies)

    def _stream_door(
        self, name: str, new_session: Callable[[StreamConnection], Session], refuse: Refusal
    ) -> StreamDoor:
        limits = self._settings.limits
        series = self._shared.series.connections[name]
        return StreamDoor(
            name,
            new_session,
            limits=DoorLimits(limits.connections, limits.connections_per_client),
            refuse=refuse,
            counters=DoorCounters(series.open, series.accepted, series.refused, series.defects),
            tally=self._tally,
        )

    def _http_door(
        self,
        name: str,
        handler: Handler,
        *,
        server_field: str = "netlodge",
        note: Callable[[Entry], None] | None = None,
    ) -> StreamDoor:
        service = self._http_service(name, handler, server_field=server_field, note=note)
        self._services.append(service)
        return self._stream_door(
            name, lambda connection: Http1Session(connection, service), refusal_of_connection(service)
        )

    def _web_door(self, name: str) -> StreamDoor:
        """The sites in the clear: HTTP/1.1, and HTTP/2 as `web.h2c` has it."""
        h2c, server_field = self._settings.web.h2c, self._settings.web.server_field
        if h2c == "off":
            return self._http_door(name, self._web, server_field=server_field)
        service = self._http_service(name, self._web, server_field=server_field, speaks_http2=True)
        if h2c == "upgrade":
            service.handler = UpgradesToHttp2(service.handler, lambda: service)
        self._services.append(service)
        return self._stream_door(
            name, lambda connection: FirstOctets(connection, service), refusal_of_connection(service)
        )

    def _https_door(self, name: str) -> StreamDoor:
        """The sites over TLS: HTTP/2 or HTTP/1.1, as client and door agreed by ALPN."""
        server_field = self._settings.web.server_field
        speaks_http2 = self._settings.web.http2
        service = self._http_service(
            name, self._web, scheme="https", server_field=server_field, speaks_http2=speaks_http2
        )
        in_the_clear = self._http_service(name, TellHttps(), server_field=server_field, remembers=False)
        self._services.append(service)

        gateways = Networks(self._settings.tls.gateways)

        def new_session(stream: TlsStream) -> Session:
            # "Unless the connection is from a trusted gateway" (RFC 9110 §7.4)
            hosts = None if stream.peer.host in gateways else stream.hosts
            kind = Http2Session if stream.protocol == "h2" else Http1Session
            return kind(stream, service, hosts)

        secure = SecureDoor(
            name,
            self._supplies,
            new_session,
            in_the_clear=lambda connection: Http1Session(connection, in_the_clear),
        )
        self._secure.append(secure)
        return self._stream_door(name, secure, lambda limit: INTERNAL_ERROR)

    def _http_service(
        self,
        name: str,
        handler: Handler,
        *,
        scheme: str = "http",
        server_field: str = "netlodge",
        note: Callable[[Entry], None] | None = None,
        remembers: bool = True,
        speaks_http2: bool = False,
    ) -> HttpService:
        settings = self._settings
        limits = settings.limits
        tables = 3 if speaks_http2 else 2
        octets = settings.recall.memory // tables if settings.recall.enabled and remembers else 0
        remembering = (octets, self._clock, self._shared.generations)
        return HttpService(
            handler,
            door=name,
            scheme=scheme,
            error_page=error_response,
            limits=HttpLimits(
                wire=WireLimits(
                    limits.request_line_size, limits.head_size, limits.field_count, limits.chunk_extension_size
                ),
                body_size=limits.body_size,
                head_timeout=limits.head_timeout,
                idle_timeout=limits.idle_timeout,
                body_rate=limits.body_rate,
                body_grace=limits.body_grace,
                send_timeout=limits.send_timeout,
                requests_per_connection=limits.requests_per_connection,
                drain_body=limits.drain_body,
                linger_timeout=limits.linger_timeout,
            ),
            clock=self._clock,
            recall=Recall(*remembering),
            alike=Recall(*remembering),
            journal=note or self._journal.append,
            loop=self._loop,
            server_field=server_field,
            capture=settings.taps.body_bytes,
            recall_h2=Recall(*remembering) if speaks_http2 else None,
            http2=self._http2_limits(),
            pushes=speaks_http2 and settings.web.push,
        )

    def _http2_limits(self) -> Http2Limits:
        limits = self._settings.limits
        return Http2Limits(
            header_list_size=limits.head_size,
            field_block_size=limits.h2_field_block_size,
            continuations=limits.h2_continuations,
            concurrent_streams=limits.h2_concurrent_streams,
            stream_window=limits.h2_stream_window,
            connection_window=limits.h2_connection_window,
            frame_size=limits.h2_frame_size,
            control_frames=limits.h2_control_frames,
            resets=limits.h2_resets,
            window_updates=limits.h2_window_updates,
        )

    def _line_limits(self) -> LineLimits:
        limits, taps = self._settings.limits, self._settings.taps
        return LineLimits(line_size=limits.line_size, line_timeout=limits.line_timeout, record_size=taps.body_bytes)

    def _line_door(self, name: str) -> StreamDoor:
        limits = self._line_limits()

        def new_session(connection: StreamConnection) -> LineSession:
            return LineSession(
                connection,
                door=name,
                service=SERVICES[name],
                clock=self._clock,
                journal_append=self._journal.append,
                limits=limits,
            )

        return self._stream_door(name, new_session, refuse)

    def _line_datagrams(self, name: str) -> DatagramDoor:
        service = LineDatagrams(
            door=name,
            service=SERVICES[name],
            clock=self._clock,
            journal_append=self._journal.append,
            limits=self._line_limits(),
        )
        series = self._shared.series.datagrams[name]
        return DatagramDoor(
            name,
            service,
            counters=DatagramCounters(series.received, series.answered, series.dropped, series.defects),
            unanswered_ports=CHATTERING_PORTS | self._line_ports,
        )

    def _dashboard(self) -> Dashboard:
        addresses: dict[str, list[str]] = {}
        for listen in self._shared.announced:
            addresses.setdefault(listen.service, []).append(str(listen.address))
        doors = [page.Door(name, tuple(where)) for name, where in addresses.items()]
        return Dashboard(
            registry=self._shared.registry,
            clock=self._clock,
            version=__version__,
            doors=doors,
            names=self._settings.dashboard.names,
        )

    def _add_control_door(self) -> None:
        """A Unix socket of this worker's own: who may read the folder may look on (`dashboard.control`)."""
        self._control_path = control_socket(self._settings, os.getpid())
        endpoint = Endpoint.unix(str(self._control_path), "data")
        control = Control(ring=self._ring, registry=self._shared.registry, version=__version__)
        # Who looks on is not what is looked at.
        self.doors[endpoint] = self._http_door(CONTROL_DOOR, control, note=lambda entry: None)
        self.own_sockets: dict[Endpoint, list[socket.socket]] = {endpoint: bind(endpoint, 1)}
