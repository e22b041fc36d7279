"""Random histories of a connection: whatever a client does, in whatever order, each exchange ends once and nothing is kept of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netlodge.core.contracts import Connection, Session
from netlodge.http.message import Fields, FileBody, HttpError, Remember, Request, Response
from netlodge.http.session.h2 import Http2Session
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import RequestReceived
from netlodge.http.wire.h2_frames import ErrorCode, Setting
from netlodge.http.wire.hpack import encode_stateless
from tests.http.session.h2_rig import Frame, Raw, ask, data, frames_of
from tests.http.session.test_h2_tunnel import Taken

PATHS = (
    "/small",
    "/large",
    "/stream",
    "/file",
    "/late",
    "/echo",
    "/broken",
    "/kept",
    "/error",
    "/stubborn",
    "/nothing",
)


class Counted:
    """A streamed body that counts itself."""

    def __init__(self, bench: Random, pieces: int, *, breaks: bool) -> None:
        self._bench = bench
        self._pieces = pieces
        self._breaks = breaks
        bench.open_bodies += 1
        self._is_open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            if self._breaks:
                raise RuntimeError("a defect")
            raise StopAsyncIteration
        self._pieces -= 1
        if self._pieces % 3 == 0:
            await asyncio.sleep(0)
        return b"x" * 30_000

    async def aclose(self) -> None:
        assert self._is_open, "given back twice"
        self._is_open = False
        self._bench.open_bodies -= 1


class Counting(Http2Session):
    """Counts the requests that came."""

    begun = 0

    def _begin(self, event: RequestReceived) -> None:
        self.begun += 1
        super()._begin(event)

    def _answer_at_once(self, stream_id: int, head: RequestHead) -> bool:
        is_answered = super()._answer_at_once(stream_id, head)
        self.begun += is_answered
        return is_answered


class Random(Raw):
    """A service with a handler of every kind, and a connection to it."""

    session: Counting

    def __init__(self, file: Path, **options: Any) -> None:
        self.open_bodies = 0
        self.gate = asyncio.get_running_loop().create_future()
        self.said = b""
        self.number = -1
        super().__init__(**options)
        for path in PATHS:
            self.on(path, self._answer)
        self.handler.acts[""] = self._answer
        self._file = file

    def connect(self) -> Any:
        connection = super().connect()
        connection.take()
        self.session = Counting(connection, self.service)
        connection.session = self.session
        return connection

    async def _answer(self, request: Request) -> Response:
        match request.path:
            case "/small":
                return Response(200, body=b"small")
            case "/large":
                return Response(200, body=b"x" * 150_000)
            case "/stream":
                return Response(200, body=Counted(self, 12, breaks=False), trailers=lambda: Fields([("x", "1")]))
            case "/broken":
                return Response(200, body=Counted(self, 3, breaks=True))
            case "/file":
                return Response(200, body=FileBody(os.open(self._file, os.O_RDONLY), [(0, 150_000), b"end"]))
            case "/late":
                await asyncio.shield(self.gate)
                return Response(200, body=Counted(self, 2, breaks=False))
            case "/stubborn":
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(self.gate)
                await asyncio.wait([self.gate], timeout=5)
                return Response(200, body=FileBody(os.open(self._file, os.O_RDONLY), [(0, 10)]))
            case "/kept":
                return Response(200, body=b"kept", remember=Remember(float("inf")))
            case "/echo":
                size = 0
                while piece := await request.body.read():
                    size += len(piece)
                return Response(200, body=b"x" * size)
            case "/error":
                raise HttpError(403, "No.")
            case "":
                return Response(200, takeover=self._take)
        raise RuntimeError("a defect")

    def _take(self, connection: Connection, first: bytes) -> Session:
        taken = Taken(connection, first)
        connection.write(first)
        taken.then = connection.write
        return taken


IDS = st.integers(0, 12)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(PATHS), st.sampled_from(["GET", "HEAD", "POST"]), st.booleans()),
        st.tuples(st.just("connect")),
        st.tuples(st.just("data"), IDS, st.sampled_from([0, 1, 5000, 16_384]), st.booleans()),
        st.tuples(st.just("reset"), IDS),
        st.tuples(st.just("window"), IDS, st.sampled_from([1, 1000, 200_000])),
        st.tuples(st.just("window of all"), st.sampled_from([1, 1000, 500_000])),
        st.tuples(st.just("initial window"), st.sampled_from([0, 1, 1000, 65_535, 1 << 20])),
        st.tuples(st.just("urgency"), IDS, st.integers(0, 7), st.booleans()),
        st.tuples(st.just("dependency"), IDS, IDS, st.booleans()),
        st.tuples(st.just("pong")),
        st.tuples(st.just("settle")),
        st.tuples(st.just("sweep"), st.integers(1, 4)),
        st.tuples(st.just("stall")),
        st.tuples(st.just("flow")),
        st.tuples(st.just("open the gate")),
        st.tuples(st.just("retire"), st.booleans()),
        st.tuples(st.just("goaway")),
    ),
    max_size=40,
)


def octets_of(bench: Random, act: tuple[Any, ...]) -> bytes:
    """What of an act is said by frames."""
    match act:
        case ("ask", path, method, ends):
            bench.number += 2
            return ask(bench.number, path, method, ends=ends)
        case ("connect",):
            bench.number += 2
            block = encode_stateless([(":method", "CONNECT"), (":authority", "b:443")])
            return frames.header_frames(bench.number, block, 1 << 14, ends=False)
        case ("data", number, size, ends):
            return frames.frame(frames.DATA, frames.END_STREAM if ends else 0, recent(bench, number), b"y" * size)
        case ("reset", number):
            return frames.reset_frame(recent(bench, number), ErrorCode.CANCEL)
        case ("window", number, size):
            return frames.window_update_frame(recent(bench, number), size)
        case ("window of all", size):
            return frames.window_update_frame(0, size)
        case ("initial window", size):
            return frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, size)])
        case ("urgency", number, urgency, incremental):
            value = b"u=%d%s" % (urgency, b", i" if incremental else b"")
            return frames.frame(frames.PRIORITY_UPDATE, 0, 0, recent(bench, number).to_bytes(4, "big") + value)
        case ("dependency", number, parent, exclusive):
            below, above = recent(bench, number), recent(bench, parent)
            word = above if above != below else 0
            return frames.frame(frames.PRIORITY, 0, below, (word | exclusive << 31).to_bytes(4, "big") + b"\x0f")
        case ("pong",):
            return frames.ping_frame(b"goodbye?", is_ack=True)
        case ("goaway",):
            return frames.goaway_frame(0, ErrorCode.NO_ERROR)
    return b""


def recent(bench: Random, number: int) -> int:
    """One of the streams that were opened last; a client's number in any case."""
    return max(1, bench.number - 2 * number)


async def do(bench: Random, act: tuple[Any, ...]) -> None:
    match act:
        case ("settle",):
            await bench.settle()
        case ("sweep", seconds):
            bench.sweep(seconds)
        case ("stall",):
            bench.connection.stall()
        case ("flow",):
            bench.connection.flow()
        case ("open the gate",) if not bench.gate.done():
            bench.gate.set_result(None)
        case ("retire", at_once):
            bench.session.retire(at_once=at_once)


@given(ACTS, st.integers(0, 2), st.booleans())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_every_exchange_ends_once_and_nothing_is_kept(acts: list[tuple[Any, ...]], cuts: int, hangs_up: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "content"
        file.write_bytes(b"f" * 150_000)
        asyncio.run(asyncio.wait_for(_history(acts, cuts, file, hangs_up=hangs_up), 20))


async def _history(acts: list[tuple[Any, ...]], cuts: int, file: Path, *, hangs_up: bool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    bench = Random(
        file,
        http2=Http2Limits(concurrent_streams=8),
        limits=HttpLimits(send_timeout=5, idle_timeout=8, head_timeout=4, body_rate=100, body_grace=3),
    )
    waiting = b""
    for act in acts:
        said = octets_of(bench, act)
        waiting += said
        if waiting and (not said or len(waiting) % 3 >= cuts):  # several frames in one read, or one in two
            cut = len(waiting) // 2 if cuts == 1 else len(waiting)
            for part in (waiting[:cut], waiting[cut:]):
                if part and not bench.connection.is_closed:
                    bench.connection.deliver(part)
            waiting = b""
        if not said and not bench.connection.is_closed:
            await do(bench, act)
    if hangs_up and not bench.connection.is_closed:
        bench.connection.hang_up()
    await bench.settle()
    is_failed = bench.session._is_ending
    codec = bench.session._codec
    bench.connection.vanish()
    if not bench.gate.done():
        bench.gate.set_result(None)
    for _ in range(3):
        await bench.settle()
    assert bench.is_clean()
    assert bench.open_bodies == 0
    assert bench.connection.said_after_end == 0
    assert sum(bool(record.target) for record in bench.records) == bench.session.begun
    if not is_failed:
        assert codec.receive_window + codec._consumed == bench.service.http2.connection_window
    check_order(frames_of(bytes(bench.connection.sent)))
    assert len(os.listdir("/proc/self/fd")) == before


def check_order(sent: list[Frame]) -> None:
    """After the end of a stream nothing is said on it but that the rest of its request is not wanted; after a reset, nothing."""
    ended: set[int] = set()
    is_reset: set[int] = set()
    headed: set[int] = set()
    for frame in sent:
        number = frame.stream_id
        if not number or frame.kind == frames.WINDOW_UPDATE:
            continue
        assert number not in is_reset
        if frame.kind == frames.RST_STREAM:
            assert number not in ended or frame.code == ErrorCode.NO_ERROR
            is_reset.add(number)
            continue
        assert number not in ended
        if frame.kind == frames.HEADERS:
            headed.add(number)
        assert number in headed
        if frame.ends:
            ended.add(number)


def test_the_bench_of_this_file_has_exchanges_that_wait(tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_bytes(b"f" * 150_000)

    async def scenario() -> None:
        bench = Random(file)
        bench.connection.deliver(
            ask(1, "/file") + ask(3, "/stream") + ask(5, "/echo", "POST", ends=False) + data(5, b"y")
        )
        await bench.settle()
        assert (bench.open_bodies, bench.session.begun, bench.records) == (1, 3, [])
        bench.connection.vanish()
        await bench.settle()
        assert (bench.open_bodies, len(bench.records)) == (0, 3)
        assert bench.is_clean()

    asyncio.run(scenario())
