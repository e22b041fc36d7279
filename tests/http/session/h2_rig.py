"""A session of HTTP/2 on a bench: an in-memory connection, a clock that stands still, a handler made of functions, and two kinds of
clients: the `h2` package, and one that sends exactly the octets it is given."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.settings

from netlodge.core.clock import FakeClock
from netlodge.core.recall import Recall
from netlodge.core.records import Entry, HttpRecord
from netlodge.http.message import Response
from netlodge.http.session.h2 import Http2Session
from netlodge.http.session.h2_answers import Http2Answer
from netlodge.http.session.remembering import HttpAnswer
from netlodge.http.session.service import HttpLimits, HttpService
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.hpack import HpackDecoder, TableStates, encode_stateless
from tests.fakes import MemoryConnection
from tests.http.session.rig import Act, Acts, error_page

Pairs = list[tuple[str, str]]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of a RST_STREAM or a GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.kind == frames.RST_STREAM else self.payload[4:8], "big")

    @property
    def last_stream_id(self) -> int:
        """Of a GOAWAY."""
        return int.from_bytes(self.payload[:4], "big")

    @property
    def ends(self) -> bool:
        return bool(self.flags & frames.END_STREAM) and self.kind in {frames.DATA, frames.HEADERS}


def frames_of(octets: bytes) -> list[Frame]:
    found = []
    start = 0
    while start < len(octets):
        end = start + frames.HEADER + int.from_bytes(octets[start : start + 3], "big")
        assert end <= len(octets), "a frame was written in part"
        stream_id = int.from_bytes(octets[start + 5 : start + 9], "big")
        found.append(Frame(octets[start + 3], octets[start + 4], stream_id, octets[start + frames.HEADER : end]))
        start = end
    return found


def head_block(path: str = "/", method: str = "GET", *fields: tuple[str, str], scheme: str = "http") -> bytes:
    pseudo = [(":method", method), (":scheme", scheme), (":authority", "a"), (":path", path)]
    return encode_stateless([*pseudo, *fields])


def ask(stream_id: int, path: str = "/", method: str = "GET", *fields: tuple[str, str], ends: bool = True) -> bytes:
    """A HEADERS frame."""
    return frames.header_frames(stream_id, head_block(path, method, *fields), 1 << 14, ends=ends)


def data(stream_id: int, content: bytes, *, ends: bool = False) -> bytes:
    return frames.data_frames(stream_id, content, 1 << 14, ends=ends)


def preface(settings: Iterable[tuple[int, int]] = ()) -> bytes:
    """What a client begins with, and that it agrees to what we begin with."""
    return frames.PREFACE + frames.settings_frame(settings) + frames.SETTINGS_ACK


class Bench:
    """A service and one connection to it."""

    def __init__(
        self,
        *,
        limits: HttpLimits | None = None,
        http2: Http2Limits | None = None,
        octets: int = 1 << 20,
        pushes: bool = False,
    ) -> None:
        self.clock = FakeClock()
        self.entries: list[Entry] = []
        self.handler = Acts()
        self.recall: Recall[bytes, Http2Answer] = Recall(octets, self.clock)
        none: Recall[bytes, HttpAnswer] = Recall(0, self.clock)
        alike: Recall[str, HttpAnswer] = Recall(0, self.clock)
        self.service = HttpService(
            self.handler,
            door="web",
            scheme="http",
            error_page=error_page,
            limits=limits or HttpLimits(),
            clock=self.clock,
            recall=none,
            alike=alike,
            journal=self.entries.append,
            loop=asyncio.get_running_loop(),
            recall_h2=self.recall,
            http2=http2,
            pushes=pushes,
        )
        self.connect()

    def connect(self) -> MemoryConnection:
        self.connection = MemoryConnection()
        self.session = Http2Session(self.connection, self.service)
        self.connection.session = self.session
        return self.connection

    def on(self, path: str, act: Act | Response) -> None:
        self.handler.on(path, act)

    @property
    def records(self) -> list[HttpRecord]:
        return [record for _, _, record in self.entries if isinstance(record, HttpRecord)]

    @property
    def outcomes(self) -> list[tuple[str, int, str, int]]:
        """Target, status, outcome and octets sent of each exchange, by target."""
        return sorted((r.target, r.status, r.outcome, r.sent) for r in self.records)

    async def settle(self) -> None:
        """Let everything happen that needs no more."""
        for _ in range(60):
            await asyncio.sleep(0)

    def sweep(self, seconds: float) -> None:
        """Let time pass, second by second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            if not self.connection.is_closed:
                self.session.sweep(self.clock.now)

    def is_clean(self) -> bool:
        """True if nothing is kept of any exchange."""
        session = self.session
        return (
            not session._streams
            and not session.turns.schedule
            and not session.turns._blocked
            and session.turns.queued == 0
            and session.at_work == 0
        )


class Raw(Bench):
    """With a client that sends exactly what it is told."""

    def __init__(self, settings: Iterable[tuple[int, int]] = (), **options: Any) -> None:
        super().__init__(**options)
        self.greet(settings)

    def greet(self, settings: Iterable[tuple[int, int]] = ()) -> None:
        self._decoder = HpackDecoder(TableStates(1 << 16))
        self.connection.take()
        self.connection.deliver(preface(settings))
        self.connection.take()

    async def say(self, *octets: bytes) -> list[Frame]:
        """Deliver this in one piece, and return what is answered."""
        self.connection.deliver(b"".join(octets))
        return await self.hear()

    async def hear(self) -> list[Frame]:
        await self.settle()
        return frames_of(self.connection.take())

    def fields(self, frame: Frame) -> dict[str, str]:
        """Of a HEADERS frame. To be called for each, in order."""
        return dict(self._decoder.decode(frame.payload).fields)


@dataclass
class Answer:
    """What a client got on one stream."""

    fields: Pairs = field(default_factory=list)
    interim: list[Pairs] = field(default_factory=list)
    body: bytes = b""
    trailers: Pairs | None = None
    has_ended: bool = False
    reset: int | None = None
    request: Pairs = field(default_factory=list)
    """What was promised, if it was."""

    @property
    def status(self) -> int:
        return int(dict(self.fields)[":status"])

    def get(self, name: str) -> str | None:
        return dict(self.fields).get(name)


class Client(Bench):
    """With a client made of the `h2` package. `takes` False: it gives no windows back."""

    def __init__(self, *, takes: bool = True, window: int | None = None, settings: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.takes = takes
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        given = dict(settings or {})
        if window is not None:
            given[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.h2.local_settings = h2.settings.Settings(client=True, initial_values=given)
        self.answers: dict[int, Answer] = {}
        self.pushed: dict[int, Answer] = {}
        self.events: list[h2.events.Event] = []
        self.h2.initiate_connection()
        self.h2.receive_data(self.connection.take())
        self.flush()

    def flush(self) -> None:
        """Both sides say what they have to say."""
        octets = self.h2.data_to_send()
        if octets and not self.connection.is_closed:
            self.connection.deliver(octets)

    async def settle(self) -> None:
        for _ in range(8):
            self.flush()
            await super().settle()
            octets = self.connection.take()
            if octets:
                for event in self.h2.receive_data(octets):
                    self._note(event)

    def _note(self, event: h2.events.Event) -> None:
        self.events.append(event)
        stream_id = getattr(event, "stream_id", None)
        answer = self.answers.setdefault(stream_id, Answer()) if stream_id else Answer()
        if isinstance(event, h2.events.ResponseReceived):
            answer.fields = _pairs(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(_pairs(event.headers))
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = _pairs(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data or b""
            if self.takes and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.has_ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code or 0)
        elif isinstance(event, h2.events.PushedStreamReceived):
            promised = self.answers.setdefault(int(event.pushed_stream_id or 0), Answer())
            promised.request = _pairs(event.headers)
            self.pushed[int(event.pushed_stream_id or 0)] = promised

    def send(
        self,
        path: str,
        *,
        method: str = "GET",
        fields: Pairs | None = None,
        body: bytes | None = None,
        ends: bool = True,
    ) -> int:
        """Begin a request; returns its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)]
        self.h2.send_headers(stream_id, pseudo + (fields or []), end_stream=ends and body is None)
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=ends)
        return stream_id

    async def ask(self, path: str, **request: Any) -> Answer:
        """A whole request and its answer."""
        stream_id = self.send(path, **request)
        await self.settle()
        return self.answers.get(stream_id, Answer())


def _pairs(headers: Any) -> Pairs:
    return [(str(name), str(value)) for name, value in headers]


def open_descriptors() -> int:
    """Files that this process has open."""
    import os

    gc.collect()
    return len(os.listdir("/proc/self/fd"))
