"""What a client of HTTP/2 can push against, each bound by its name, and that nobody else is the worse for it (RFC 9113 §10.5)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest

from netlodge.http.message import Request, Response
from netlodge.http.session.h2 import Http2Session
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_frames import LARGEST_WINDOW, ErrorCode, Setting
from tests.fakes import MemoryConnection
from tests.http.session.h2_rig import Frame, Raw, ask, data, frames_of, preface
from tests.http.session.rig import on_loop

HELLO = Response(200, body=b"hello")


class Stubborn:
    """A handler that works on, whoever is gone, until it may end."""

    def __init__(self) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self.begun = 0

    async def __call__(self, request: Request) -> Response:
        self.begun += 1
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self.opened)
        await asyncio.wait([self.opened], timeout=5)
        return HELLO


class Neighbour:
    """Another client of the same service, that must be served all the while."""

    def __init__(self, raw: Raw) -> None:
        self.connection = MemoryConnection()
        self.connection.session = Http2Session(self.connection, raw.service)
        self.connection.deliver(preface())
        self.connection.take()
        self.number = -1

    def is_served(self) -> bool:
        self.number += 2
        self.connection.deliver(ask(self.number, "/hello"))
        answered = frames_of(self.connection.take())
        return [frame.payload for frame in answered if frame.kind == frames.DATA] == [b"hello"]


def victim(**options: object) -> tuple[Raw, Neighbour]:
    raw = Raw(**options)  # type: ignore[arg-type]
    raw.on("/hello", HELLO)
    return raw, Neighbour(raw)


def end_of(answered: list[Frame]) -> ErrorCode | None:
    codes = [frame.code for frame in answered if frame.kind == frames.GOAWAY]
    return ErrorCode(codes[-1]) if codes else None


# --- Rapid reset (CVE-2023-44487) -------------------------------------------------------------------------------------------------------


@on_loop
async def test_handlers_of_streams_that_were_reset_count_as_long_as_they_work() -> None:
    raw, neighbour = victim(http2=Http2Limits(concurrent_streams=10, resets=1000))
    stubborn = Stubborn()
    raw.on("/", stubborn)
    answered = []
    for number in range(1, 201, 2):
        answered += await raw.say(ask(number))
        answered += await raw.say(frames.reset_frame(number, ErrorCode.CANCEL))
    assert stubborn.begun == 10
    refused = {frame.stream_id for frame in answered if frame.kind == frames.RST_STREAM}
    assert refused == set(range(21, 201, 2))
    assert {frame.code for frame in answered if frame.kind == frames.RST_STREAM} == {ErrorCode.REFUSED_STREAM}
    assert neighbour.is_served()
    outcomes = [record.outcome for record in raw.records if record.target == "/"]
    assert outcomes.count("aborted") == 10
    assert outcomes.count("refused") == 90
    stubborn.opened.set_result(None)
    await raw.settle()
    assert raw.is_clean()
    answered = await raw.say(ask(201, "/hello"))
    assert answered[-1].payload == b"hello", "who is done counts no more"


@on_loop
async def test_requests_that_are_reset_in_the_same_read_begin_no_work() -> None:
    raw, neighbour = victim(http2=Http2Limits(resets=1000))
    stubborn = Stubborn()
    raw.on("/", stubborn)
    flood = b"".join(ask(number) + frames.reset_frame(number, ErrorCode.CANCEL) for number in range(1, 1001, 2))
    await raw.say(flood)
    assert stubborn.begun == 0
    assert raw.is_clean()
    assert neighbour.is_served()


@on_loop
async def test_too_many_resets_end_the_connection() -> None:
    raw, neighbour = victim(http2=Http2Limits(resets=50))
    raw.on("/", HELLO)
    flood = b"".join(
        ask(number, "/", "POST", ends=False) + frames.reset_frame(number, ErrorCode.CANCEL)
        for number in range(1, 201, 2)
    )
    answered = await raw.say(flood)
    assert end_of(answered) is ErrorCode.ENHANCE_YOUR_CALM
    assert raw.connection.has_sent_eof
    assert raw.is_clean()
    assert neighbour.is_served()
    assert raw.records[-2].outcome == "refused"


# --- Floods of what costs little to send -------------------------------------------------------------------------------------------------


def _pings() -> Iterator[bytes]:
    while True:
        yield frames.ping_frame(b"12345678", is_ack=False)


def _settings() -> Iterator[bytes]:
    while True:
        yield frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 1000)])


def _priorities() -> Iterator[bytes]:
    number = 1
    while True:
        number += 2
        yield frames.frame(frames.PRIORITY, 0, number, (number - 2).to_bytes(4, "big") + b"\xff")


def _exclusive_priorities() -> Iterator[bytes]:
    number = 1
    while True:
        number += 2
        yield frames.frame(frames.PRIORITY, 0, number, (1 << 31).to_bytes(4, "big") + b"\xff")


def _updates() -> Iterator[bytes]:
    number = 1
    while True:
        number += 2
        yield frames.frame(frames.PRIORITY_UPDATE, 0, 0, (3).to_bytes(4, "big") + b"u=%d" % (number % 8))


def _empty_data() -> Iterator[bytes]:
    yield ask(1, "/held", "POST", ends=False)
    while True:
        yield frames.frame(frames.DATA, 0, 1, b"")


def _unknown() -> Iterator[bytes]:
    while True:
        yield frames.frame(0xFA, 0, 0, b"")


def _windows() -> Iterator[bytes]:
    while True:
        yield frames.window_update_frame(0, 1)


@pytest.mark.parametrize(
    "flood",
    [_pings, _settings, _priorities, _exclusive_priorities, _updates, _empty_data, _unknown, _windows],
)
def test_a_flood_ends_the_connection_and_costs_others_nothing(flood: object) -> None:
    @on_loop
    async def scenario() -> None:
        raw, neighbour = victim(http2=Http2Limits(control_frames=500, window_updates=500))
        raw.on("/held", Stubborn())
        generator = flood()  # type: ignore[operator]
        answered: list[Frame] = []
        for count in range(2000):
            raw.connection.deliver(next(generator))
            answered += frames_of(raw.connection.take())
            if raw.connection.has_sent_eof:
                break
            if not count % 100:
                assert neighbour.is_served()
        assert end_of(answered) is ErrorCode.ENHANCE_YOUR_CALM
        await raw.settle()
        assert neighbour.is_served()
        raw.connection.vanish()
        raw.handler.acts["/held"].opened.set_result(None)  # type: ignore[attr-defined]
        await raw.settle()

    scenario()


def test_priorities_cost_the_same_however_many_streams_wait() -> None:
    @on_loop
    async def scenario() -> None:
        raw = Raw([(Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW)], http2=Http2Limits(control_frames=100_000))
        raw.on("/", Response(200, body=b"x" * 200_000))
        await raw.say(*(ask(number) for number in range(1, 257, 2)))
        generator = _exclusive_priorities()
        began = time.process_time()
        raw.connection.deliver(b"".join(next(generator) for _ in range(2000)))
        chained = _priorities()
        raw.connection.deliver(b"".join(next(chained) for _ in range(2000)))
        raw.connection.deliver(frames.window_update_frame(0, LARGEST_WINDOW - 65_535))
        answered = await raw.hear()
        assert sum(frame.ends for frame in answered) == 128
        # Some 1600 frames of content, and 4000 changes of a tree of 256 places: seconds if each looked at each, and the machine is slow.
        assert time.process_time() - began < 10

    scenario()


# --- Slow reads ---------------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_tiny_windows_cost_a_frame_each_and_no_more() -> None:
    raw, neighbour = victim()
    raw.on("/", Response(200, body=b"x" * 100_000))
    await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    await raw.say(*(ask(number) for number in range(1, 201, 2)))
    answered = await raw.say(frames.window_update_frame(0, 1), frames.window_update_frame(1, 1))
    assert [(frame.kind, frame.stream_id, len(frame.payload)) for frame in answered] == [(frames.DATA, 1, 1)]
    turns = raw.session.turns
    looks = 0
    following = turns.schedule.next

    def counting() -> int:
        nonlocal looks
        looks += 1
        return following()

    turns.schedule = _Counting(turns.schedule, counting)  # type: ignore[assignment]
    for _ in range(100):
        raw.connection.deliver(frames.window_update_frame(0, 1))
    assert looks == 0, "no stream has a window"
    assert neighbour.is_served()
    raw.connection.vanish()
    await raw.settle()


class _Counting:
    """A schedule that tells when it is asked who is next."""

    def __init__(self, schedule: object, following: object) -> None:
        self._schedule = schedule
        self.next = following

    def __bool__(self) -> bool:
        return bool(self._schedule)

    def __len__(self) -> int:
        return len(self._schedule)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> object:
        return getattr(self._schedule, name)


@on_loop
async def test_a_closed_connection_window_costs_no_look_at_its_streams() -> None:
    raw, _ = victim()
    raw.on("/", Response(200, body=b"x" * 100_000))
    await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW)]))
    await raw.say(*(ask(number) for number in range(1, 201, 2)))
    assert len(raw.session.turns.schedule) == 100
    assert raw.session.turns._blocked == set()
    answered = await raw.say(frames.window_update_frame(0, 5))
    assert [len(frame.payload) for frame in answered] == [5]
    raw.connection.vanish()
    await raw.settle()


@on_loop
async def test_streams_that_are_never_read_are_ended_one_by_one_and_the_connection_in_the_end() -> None:
    raw, neighbour = victim(limits=HttpLimits(send_timeout=5, idle_timeout=5))
    raw.on("/", Response(200, body=b"x" * 100_000))
    await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    await raw.say(*(ask(number) for number in range(1, 201, 2)))
    raw.sweep(7)
    answered = await raw.hear()
    assert {frame.code for frame in answered if frame.kind == frames.RST_STREAM} == {ErrorCode.CANCEL}
    assert raw.is_clean()
    raw.sweep(6)
    assert raw.connection.has_sent_eof
    assert neighbour.is_served()


# --- Too many streams --------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_streams_over_the_limit_are_refused_and_may_be_asked_for_again() -> None:
    raw, _ = victim(http2=Http2Limits(concurrent_streams=5))
    stubborn = Stubborn()
    raw.on("/", stubborn)
    answered = await raw.say(*(ask(number) for number in range(1, 15, 2)))
    assert [(frame.stream_id, frame.code) for frame in answered] == [
        (11, ErrorCode.REFUSED_STREAM),
        (13, ErrorCode.REFUSED_STREAM),
    ]
    assert stubborn.begun == 5
    stubborn.opened.set_result(None)
    await raw.hear()
    assert (await raw.say(ask(15)))[-1].payload == b"hello"
    assert raw.is_clean()


@on_loop
async def test_content_beyond_the_window_of_a_stream_is_its_own_mistake() -> None:
    raw, neighbour = victim()
    stubborn = Stubborn()
    raw.on("/", stubborn)
    answered = await raw.say(ask(1, "/", "POST", ends=False), *[data(1, b"x" * 16_384)] * 20)
    assert end_of(answered) is None
    assert [frame.code for frame in answered if frame.kind == frames.RST_STREAM] == [ErrorCode.FLOW_CONTROL_ERROR]
    assert neighbour.is_served()
    stubborn.opened.set_result(None)
    assert (await raw.say(ask(3, "/hello")))[-1].payload == b"hello"
    assert raw.is_clean()


@on_loop
async def test_content_beyond_the_window_of_the_connection_ends_it() -> None:
    raw, neighbour = victim()
    stubborn = Stubborn()
    raw.on("/", stubborn)
    content = [data(number, b"x" * 16_384) * 15 for number in range(1, 13, 2)]
    answered = await raw.say(*(ask(number, "/", "POST", ends=False) for number in range(1, 13, 2)), *content)
    assert end_of(answered) is ErrorCode.FLOW_CONTROL_ERROR
    assert neighbour.is_served()
    stubborn.opened.set_result(None)
    await raw.settle()
    assert raw.is_clean()
