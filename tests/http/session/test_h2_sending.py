"""How a connection of HTTP/2 sends and takes: windows in both directions, turns, and what waits for a client that takes nothing."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from netlodge.http.message import Fields, FileBody, Request, Response
from netlodge.http.session.h2_outlet import CONNECTION_WATER, HIGH_WATER, SCANT_WATER
from netlodge.http.session.h2_turns import BACKLOG, BATCH, LARGE_QUANTUM, QUANTUM, TURN
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_frames import LARGEST_WINDOW, ErrorCode, Setting
from tests.http.session.h2_rig import Client, Frame, Raw, ask, data, frames_of
from tests.http.session.rig import on_loop

LARGE = bytes(range(256)) * 4096  # 1 MiB
WIDE = [(Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW)]


def open_wide(stream_id: int = 0) -> bytes:
    return frames.window_update_frame(stream_id, LARGEST_WINDOW - 65_535)


def content(answered: list[Frame], stream_id: int) -> bytes:
    return b"".join(f.payload for f in answered if f.kind == frames.DATA and f.stream_id == stream_id)


def wide(**options: Any) -> Raw:
    """A client that lets us send as much as we like."""
    raw = Raw(WIDE, **options)
    raw.connection.deliver(open_wide())
    raw.connection.take()
    return raw


class Endless:
    """A streamed body that counts what was taken of it."""

    def __init__(self, size: int = 10_000, count: int = 1 << 30) -> None:
        self.size = size
        self.left = count
        self.taken = 0
        self.given_back = 0

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        self.taken += self.size
        return b"x" * self.size

    async def aclose(self) -> None:
        self.given_back += 1


# --- RFC 9113 §5.2, §6.9: their windows -----------------------------------------------------------------------------------------------


@on_loop
async def test_nothing_leaves_without_a_window_and_all_of_it_with_one() -> None:
    raw = Raw([(Setting.INITIAL_WINDOW_SIZE, 10)])
    raw.on("/", Response(200, body=LARGE[:100]))
    answered = await raw.say(ask(1))
    assert content(answered, 1) == LARGE[:10]
    assert await raw.hear() == []
    answered = await raw.say(frames.window_update_frame(1, 50))
    assert content(answered, 1) == LARGE[10:60]
    answered = await raw.say(frames.window_update_frame(1, 50))
    assert content(answered, 1) == LARGE[60:100]
    assert answered[-1].ends
    assert raw.outcomes == [("/", 200, "complete", 100)]
    assert raw.is_clean()


@on_loop
async def test_the_window_of_the_connection_holds_all_streams() -> None:
    raw = Raw(WIDE)
    raw.on("/", Response(200, body=LARGE[:60_000]))
    answered = await raw.say(ask(1), ask(3))
    assert len(content(answered, 1)) + len(content(answered, 3)) == 65_535
    answered += await raw.say(frames.window_update_frame(0, 100_000))
    assert {frame.stream_id for frame in answered if frame.ends} == {1, 3}
    assert raw.is_clean()


@on_loop
async def test_a_head_and_an_end_need_no_window() -> None:
    raw = Raw([(Setting.INITIAL_WINDOW_SIZE, 0)])
    gate = asyncio.get_running_loop().create_future()

    async def act(request: Request) -> Response:
        body = Endless(count=0)
        if request.path == "/trailers":
            return Response(200, body=body, trailers=lambda: Fields([("x", "1")]))
        return Response(200, body=body if request.path == "/stream" else b"")

    for path in ("/", "/stream", "/trailers"):
        raw.on(path, act)
    answered = await raw.say(ask(1), ask(3, "/stream"), ask(5, "/trailers"))
    assert {frame.stream_id for frame in answered if frame.ends} == {1, 3, 5}
    assert raw.is_clean()
    gate.cancel()


@on_loop
async def test_windows_that_become_larger_by_settings_let_go_on() -> None:
    raw = Raw([(Setting.INITIAL_WINDOW_SIZE, 0)])
    raw.on("/", Response(200, body=b"content"))
    await raw.say(ask(1), ask(3))
    answered = await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 3)]))
    assert (content(answered, 1), content(answered, 3)) == (b"con", b"con")
    answered = await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    assert content(answered, 1) == b""
    answered = await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 7)]))
    assert (content(answered, 1), content(answered, 3)) == (b"tent", b"tent")
    assert raw.is_clean()


@on_loop
async def test_a_window_that_opens_for_a_stream_that_is_reset_in_the_same_read_is_no_matter() -> None:
    raw = Raw([(Setting.INITIAL_WINDOW_SIZE, 0)])
    raw.on("/", Response(200, body=b"content"))
    await raw.say(ask(1), ask(3))
    answered = await raw.say(
        frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 3)]),
        frames.window_update_frame(1, 5),
        frames.reset_frame(1, ErrorCode.CANCEL),
    )
    assert (content(answered, 1), content(answered, 3)) == (b"", b"con")


@on_loop
async def test_frames_are_as_large_as_the_client_lets_them() -> None:
    raw = wide()
    raw.on("/", Response(200, body=LARGE))
    answered = await raw.say(ask(1))
    sizes = {len(frame.payload) for frame in answered if frame.kind == frames.DATA}
    assert max(sizes) == 16_384
    answered = await raw.say(frames.settings_frame([(Setting.MAX_FRAME_SIZE, 1 << 20)]), ask(3))
    assert max(len(frame.payload) for frame in answered if frame.kind == frames.DATA) > 16_384
    assert content(answered, 3) == LARGE


# --- A client that does not read ------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_handler_makes_no_more_than_its_client_takes() -> None:
    client = Client(takes=False)
    body = Endless()
    client.on("/", Response(200, body=body))
    client.send("/")
    await client.settle()
    assert body.taken - 65_535 <= HIGH_WATER + body.size
    before = body.taken
    client.h2.increment_flow_control_window(300_000)
    client.h2.increment_flow_control_window(300_000, 1)
    await client.settle()
    assert body.taken > before
    assert body.taken - 365_535 <= HIGH_WATER + body.size
    client.connection.vanish()
    await client.settle()
    assert body.given_back == 1


@on_loop
async def test_many_streams_that_nobody_reads_have_little_each() -> None:
    raw = Raw([(Setting.INITIAL_WINDOW_SIZE, 0)])
    bodies = [Endless() for _ in range(100)]

    async def act(request: Request) -> Response:
        return Response(200, body=bodies[len(raw.handler.requests) - 1])

    raw.on("/", act)
    await raw.say(*(ask(number) for number in range(1, 201, 2)))
    assert raw.session.turns.queued <= CONNECTION_WATER + 100 * (SCANT_WATER + 10_000)
    assert all(body.taken for body in bodies)
    raw.connection.vanish()
    await raw.settle()
    assert [body.given_back for body in bodies] == [1] * 100
    assert raw.session.turns.queued == 0


@on_loop
async def test_streams_that_nobody_reads_do_not_hold_up_one_that_is_read() -> None:
    raw = wide()
    raw.on("/stuck", lambda request: answer_with(Endless()))
    raw.on("/", lambda request: answer_with(Endless(count=300)))
    await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    await raw.say(*(ask(number, "/stuck") for number in range(1, 101, 2)))
    answered = await raw.say(ask(101), frames.window_update_frame(101, LARGEST_WINDOW))
    for _ in range(50):
        answered += await raw.hear()
    assert len(content(answered, 101)) == 3_000_000
    assert answered[-1].ends
    raw.connection.vanish()
    await raw.settle()


async def answer_with(body: Endless) -> Response:
    return Response(200, body=body)


@on_loop
async def test_a_stream_whose_window_stays_closed_is_reset_and_others_live() -> None:
    raw = wide(limits=HttpLimits(send_timeout=5))
    body = Endless()
    raw.on("/stuck", Response(200, body=body))
    raw.on("/held", Response(200, body=b"content"))
    raw.on("/", Response(200, body=b"hello"))
    await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)]), ask(1, "/stuck"), ask(3, "/held"))
    raw.sweep(4)
    await raw.say(frames.window_update_frame(3, 1))
    raw.sweep(2)
    resets = [(frame.stream_id, frame.code) for frame in await raw.hear() if frame.kind == frames.RST_STREAM]
    assert resets == [(1, ErrorCode.CANCEL)]
    assert body.given_back == 1
    answered = await raw.say(ask(5), frames.window_update_frame(5, 10), frames.window_update_frame(3, 10))
    assert (content(answered, 5), content(answered, 3)) == (b"hello", b"ontent")
    assert raw.outcomes == [("/", 200, "complete", 5), ("/held", 200, "complete", 7), ("/stuck", 200, "aborted", 0)]
    assert not raw.connection.is_closed
    assert raw.is_clean()


@on_loop
async def test_a_connection_whose_window_stays_closed_ends_what_waits_for_it() -> None:
    raw = Raw(WIDE, limits=HttpLimits(send_timeout=5, idle_timeout=10))
    raw.on("/", Response(200, body=LARGE[:50_000]))
    await raw.say(ask(1), ask(3), ask(5))
    raw.sweep(6)
    resets = [frame.stream_id for frame in await raw.hear() if frame.kind == frames.RST_STREAM]
    assert resets  # whoever was not through
    assert raw.is_clean()
    raw.sweep(10)
    assert raw.connection.has_sent_eof


@on_loop
async def test_a_stream_that_waits_for_its_turn_is_not_stuck() -> None:
    raw = wide(limits=HttpLimits(send_timeout=3))
    raw.on("/", lambda request: answer_with(Endless(count=1000)))
    raw.connection.deliver(ask(1) + ask(3))
    raw.connection.stall()
    for _ in range(10):
        raw.sweep(1)
        raw.connection.progress += 1
        await raw.settle()
    assert not raw.connection.is_aborted
    assert raw.records == []
    raw.connection.vanish()
    await raw.settle()


# --- A client whose connection takes nothing ------------------------------------------------------------------------------------------


@on_loop
async def test_a_connection_that_takes_nothing_is_written_to_no_more_than_a_batch() -> None:
    raw = wide()
    raw.on("/", lambda request: answer_with(Endless()))
    raw.on("/file", lambda request: file_answer())
    raw.connection.stalls_at = 100_000
    raw.connection.deliver(ask(1) + ask(3, "/file"))
    await raw.settle()
    before = len(raw.connection.sent)
    assert before <= 100_000 + BATCH + LARGE_QUANTUM
    assert not raw.connection.is_paused, "it may still say something"
    raw.connection.flow()
    await raw.settle()
    assert len(raw.connection.sent) > before
    raw.connection.vanish()
    await raw.settle()


async def file_answer() -> Response:
    descriptor = os.open("/dev/zero", os.O_RDONLY)
    return Response(200, body=FileBody(descriptor, [(0, 1 << 30)]))


@on_loop
async def test_a_connection_that_takes_nothing_for_too_long_is_let_go() -> None:
    raw = wide(limits=HttpLimits(send_timeout=5))
    raw.on("/", Response(200, body=LARGE))
    raw.connection.stall()
    await raw.say(ask(1))
    raw.sweep(4)
    assert not raw.connection.is_aborted
    raw.sweep(2)
    assert raw.connection.is_aborted


@on_loop
async def test_small_answers_wait_for_a_connection_that_takes_nothing() -> None:
    raw = wide()
    raw.on("/", Response(200, body=b"x" * 10_000))
    raw.connection.stall()
    await raw.say(*(ask(number) for number in range(1, 201, 2)))
    assert raw.session.turns.queued == 1_000_000
    raw.connection.flow()
    answered = await raw.hear()
    assert sum(frame.ends for frame in answered) == 100
    assert raw.is_clean()


@on_loop
async def test_who_takes_no_acknowledgements_is_listened_to_no_more() -> None:
    raw = wide(limits=HttpLimits(send_timeout=5), http2=Http2Limits(control_frames=10_000_000))
    raw.connection.stall()
    ping = frames.ping_frame(b"12345678", is_ack=False)
    flood = ping * 4000
    sent = 0
    while not raw.connection.is_paused:
        raw.connection.deliver(flood)
        sent += len(flood)
        assert sent < 3 * BACKLOG
    written = len(raw.connection.sent)
    assert written <= BACKLOG + len(flood)
    raw.sweep(6)
    assert raw.connection.is_aborted


@on_loop
async def test_who_takes_them_in_the_end_is_listened_to_again() -> None:
    raw = wide(http2=Http2Limits(control_frames=10_000_000))
    raw.on("/", Response(200, body=b"hello"))
    raw.connection.stall()
    while not raw.connection.is_paused:
        raw.connection.deliver(frames.ping_frame(b"12345678", is_ack=False) * 4000)
    raw.connection.flow()
    await raw.settle()
    assert not raw.connection.is_paused
    raw.connection.take()
    assert content(await raw.say(ask(1)), 1) == b"hello"


# --- Turns ------------------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_streams_share_alike_when_nothing_is_said() -> None:
    raw = wide()
    raw.on("/", Response(200, body=LARGE))
    raw.connection.stalls_at = 500_000
    raw.connection.deliver(b"".join(ask(number) for number in range(1, 17, 2)))
    sent: Counter[int] = Counter()
    for frame in frames_of(raw.connection.take()):
        if frame.kind == frames.DATA:
            sent[frame.stream_id] += len(frame.payload)
    assert len(sent) == 8
    assert max(sent.values()) - min(sent.values()) <= QUANTUM
    raw.connection.vanish()
    await raw.settle()


@on_loop
async def test_a_small_answer_does_not_wait_for_the_whole_of_a_large_one() -> None:
    raw = wide()
    raw.on("/large", Response(200, body=LARGE * 4))
    raw.on("/", Response(200, body=b"small"))
    answered = await raw.say(ask(1, "/large"), ask(3))
    place = [frame.stream_id for frame in answered if frame.kind == frames.DATA].index(3)
    assert place <= LARGE_QUANTUM // 16_384


@on_loop
async def test_other_connections_have_their_turn_while_much_is_sent() -> None:
    raw = wide()
    raw.on("/", Response(200, body=LARGE * 8))
    raw.connection.deliver(ask(1))
    at_once = len(raw.connection.sent)
    assert at_once < TURN + BATCH + LARGE_QUANTUM
    answered = await raw.hear()
    assert len(content(answered, 1)) == len(LARGE) * 8
    assert raw.is_clean()


@on_loop
async def test_who_is_urgent_goes_first() -> None:
    raw = wide()
    raw.on("/", Response(200, body=LARGE[:50_000]))
    answered = await raw.say(ask(1, "/", "GET", ("priority", "u=5")), ask(3, "/", "GET", ("priority", "u=1")))
    assert [frame.stream_id for frame in answered if frame.ends] == [3, 1]


@on_loop
async def test_a_priority_update_goes_before_the_field_even_if_it_came_first() -> None:
    raw = wide()
    raw.on("/", Response(200, body=LARGE[:50_000]))
    update = frames.frame(frames.PRIORITY_UPDATE, 0, 0, (1).to_bytes(4, "big") + b"u=0")
    answered = await raw.say(update, ask(1, "/", "GET", ("priority", "u=6")), ask(3, "/", "GET", ("priority", "u=1")))
    assert [frame.stream_id for frame in answered if frame.ends] == [1, 3]


@on_loop
async def test_the_tree_of_rfc_7540_is_heeded() -> None:
    raw = wide()
    raw.on("/", Response(200, body=LARGE[:50_000]))
    below = frames.frame(frames.PRIORITY, 0, 1, (3).to_bytes(4, "big") + b"\x0f")
    answered = await raw.say(ask(1), ask(3), below)
    assert [frame.stream_id for frame in answered if frame.ends] == [3, 1]


@on_loop
async def test_a_client_that_has_no_tree_is_read_by_urgency_alone() -> None:
    raw = wide()
    raw.on("/", Response(200, body=LARGE[:50_000]))
    below = frames.frame(frames.PRIORITY, 0, 1, (3).to_bytes(4, "big") + b"\x0f")
    answered = await raw.say(frames.settings_frame([(Setting.NO_RFC7540_PRIORITIES, 1)]), ask(1), ask(3), below)
    assert [frame.stream_id for frame in answered if frame.ends] == [1, 3]


# --- Our windows ------------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_windows_are_given_back_only_as_content_is_taken() -> None:
    raw = Raw()
    gate = asyncio.get_running_loop().create_future()

    async def late(request: Request) -> Response:
        await gate
        size = 0
        while piece := await request.body.read():
            size += len(piece)
        return Response(200, body=b"%d" % size)

    raw.on("/", late)
    limits = raw.service.http2
    await raw.say(ask(1, "/", "POST", ends=False))
    chunk = data(1, b"x" * 16_384)
    assert await raw.say(*[chunk] * (limits.stream_window // 16_384)) == []
    gate.set_result(None)
    updates = await raw.hear()
    assert [(frame.kind, frame.stream_id) for frame in updates] == [(frames.WINDOW_UPDATE, 1)] * len(updates)
    assert sum(int.from_bytes(frame.payload, "big") for frame in updates) == limits.stream_window
    answered = await raw.say(data(1, b"y", ends=True))
    assert content(answered, 1) == b"%d" % (limits.stream_window + 1)


@on_loop
async def test_a_handler_that_does_not_read_holds_up_no_other() -> None:
    client = Client()

    async def never(request: Request) -> Response:
        await asyncio.get_running_loop().create_future()
        return Response(200)

    async def count(request: Request) -> Response:
        size = 0
        while piece := await request.body.read():
            size += len(piece)
        return Response(200, body=b"%d" % size)

    client.on("/never", never)
    client.on("/", count)
    stuck = client.send("/never", method="POST", ends=False)
    while (room := min(16_384, client.h2.local_flow_control_window(stuck))) > 0:
        client.h2.send_data(stuck, b"x" * room)
        await client.settle()
    stream_id = client.send("/", method="POST", ends=False)
    for _ in range(200):
        client.h2.send_data(stream_id, b"y" * 16_384)
        await client.settle()
    client.h2.end_stream(stream_id)
    await client.settle()
    assert client.answers[stream_id].body == b"%d" % (200 * 16_384)
    client.connection.vanish()
    await client.settle()


@on_loop
async def test_padding_is_given_back_at_once() -> None:
    raw = Raw()

    async def never(request: Request) -> Response:
        await asyncio.get_running_loop().create_future()
        return Response(200)

    raw.on("/", never)
    await raw.say(ask(1, "/", "POST", ends=False))
    padded = frames.frame(frames.DATA, frames.PADDED, 1, b"\xff" + b"x" + b"\0" * 255)
    answered = await raw.say(*[padded] * 600)
    given = sum(int.from_bytes(frame.payload, "big") for frame in answered if frame.stream_id == 1)
    assert given >= 100 * 256
    raw.connection.vanish()
    await raw.settle()


@pytest.mark.parametrize("size", [0, 1, QUANTUM, QUANTUM + 1, 100_000])
def test_answers_of_any_size_are_whole(size: int, tmp_path: Path) -> None:
    @on_loop
    async def scenario() -> None:
        file = tmp_path / "content"
        file.write_bytes(LARGE[:size])

        async def act(request: Request) -> Response:
            if request.path == "/file":
                return Response(200, body=FileBody(os.open(file, os.O_RDONLY), [(0, size)]))
            if request.path == "/stream":
                return Response(200, body=Endless(size, 1 if size else 0))
            return Response(200, body=LARGE[:size])

        client = Client()
        for path in ("/file", "/stream", "/bytes"):
            client.on(path, act)
            answer = await client.ask(path)
            assert len(answer.body) == size
            assert answer.has_ended
        assert [record.sent for record in client.records] == [size] * 3
        assert client.is_clean()

    scenario()
