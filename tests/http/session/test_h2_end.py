"""How a connection of HTTP/2 ends: in two steps at a reload and a shutdown, by its deadlines, by its client, and by what it must not do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from netlodge.http.message import Remember, Request, Response
from netlodge.http.session.h2 import GRACE_PING
from netlodge.http.session.h2_turns import Turns
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.h2_fields import request_head
from netlodge.http.wire.h2_frames import LARGEST_WINDOW, ErrorCode
from tests.http.session.h2_rig import Frame, Raw, ask, data, frames_of, preface
from tests.http.session.rig import on_loop

HELLO = Response(200, body=b"hello")
KEPT = Response(200, body=b"hello", remember=Remember(float("inf")))
PONG = frames.ping_frame(GRACE_PING, is_ack=True)


def goaways(answered: list[Frame]) -> list[tuple[int, int]]:
    """The last stream and the code of each GOAWAY."""
    return [(frame.last_stream_id, frame.code) for frame in answered if frame.kind == frames.GOAWAY]


class Gate:
    """A handler that answers when it may."""

    def __init__(self) -> None:
        self.opened = asyncio.get_running_loop().create_future()

    async def __call__(self, request: Request) -> Response:
        await asyncio.shield(self.opened)
        return Response(200, body=b"late")


# --- RFC 9113 §6.8: a graceful end ------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_reload_says_so_first_and_then_what_was_the_last_request() -> None:
    raw = Raw()
    gate = Gate()
    raw.on("/late", gate)
    raw.on("/", HELLO)
    await raw.say(ask(1, "/late"))
    raw.session.retire(at_once=False)
    answered = await raw.hear()
    assert [frame.kind for frame in answered] == [frames.GOAWAY, frames.PING]
    assert goaways(answered) == [(LARGEST_WINDOW, ErrorCode.NO_ERROR)]
    answered = await raw.say(ask(3))
    assert answered[-1].payload == b"hello", "what was on its way is answered"
    answered = await raw.say(PONG)
    assert goaways(answered) == [(3, ErrorCode.NO_ERROR)]
    assert not raw.connection.has_sent_eof
    assert await raw.say(ask(5)) == [], "what comes now is left to another connection"
    assert await raw.say(ask(7, "/", "POST", ends=False), data(7, b"x" * 100, ends=True)) == []
    gate.opened.set_result(None)
    assert [frame.payload for frame in await raw.hear() if frame.kind == frames.DATA] == [b"late"]
    assert raw.connection.has_sent_eof
    assert raw.outcomes == [("/", 200, "complete", 5), ("/late", 200, "complete", 4)]
    assert raw.is_clean()
    assert raw.connection.said_after_end == 0
    raw.connection.hang_up()
    assert raw.connection.is_closed
    assert not raw.connection.is_aborted


@on_loop
async def test_a_client_that_does_not_answer_the_ping_is_told_all_the_same() -> None:
    raw = Raw()
    gate = Gate()
    raw.on("/", gate)
    await raw.say(ask(1))
    raw.session.retire(at_once=False)
    await raw.hear()
    await raw.say(ask(3))
    raw.sweep(1)
    assert goaways(await raw.hear()) == [(3, ErrorCode.NO_ERROR)]
    gate.opened.set_result(None)
    answered = await raw.hear()
    assert sum(frame.ends for frame in answered) == 2
    assert raw.connection.has_sent_eof


@on_loop
async def test_a_connection_at_rest_ends_when_its_client_has_heard_of_it() -> None:
    raw = Raw()
    raw.session.retire(at_once=False)
    await raw.hear()
    assert not raw.connection.has_sent_eof
    assert goaways(await raw.say(PONG)) == [(0, ErrorCode.NO_ERROR)]
    assert raw.connection.has_sent_eof


@on_loop
async def test_a_shutdown_ends_a_connection_at_rest_at_once() -> None:
    raw = Raw()
    raw.on("/", HELLO)
    await raw.say(ask(1))
    raw.session.retire(at_once=True)
    assert goaways(await raw.hear()) == [(1, ErrorCode.NO_ERROR)]
    assert raw.connection.has_sent_eof
    raw.session.retire(at_once=True)
    assert await raw.say(ask(3)) == []
    assert raw.connection.said_after_end == 0


@on_loop
async def test_a_shutdown_lets_requests_finish_and_then_ends() -> None:
    raw = Raw()
    gate = Gate()
    raw.on("/", gate)
    await raw.say(ask(1))
    raw.session.retire(at_once=False)
    raw.session.retire(at_once=True)
    answered = await raw.hear()
    assert goaways(answered) == [(LARGEST_WINDOW, 0)], "it is said once"
    gate.opened.set_result(None)
    answered = await raw.hear()
    assert [frame.kind for frame in answered] == [frames.HEADERS, frames.DATA, frames.GOAWAY]
    assert goaways(answered) == [(1, ErrorCode.NO_ERROR)]
    assert raw.connection.has_sent_eof
    assert raw.outcomes == [("/", 200, "complete", 4)]


@on_loop
async def test_content_goes_on_after_the_second_step() -> None:
    raw = Raw()

    async def echo(request: Request) -> Response:
        pieces = []
        while piece := await request.body.read():
            pieces.append(piece)
        return Response(200, body=b"".join(pieces))

    raw.on("/", echo)
    await raw.say(ask(1, "/", "POST", ends=False))
    raw.session.retire(at_once=False)
    await raw.say(PONG)
    answered = await raw.say(data(1, b"content", ends=True))
    assert answered[-1].payload == b"content"
    assert raw.connection.has_sent_eof


@on_loop
async def test_a_connection_is_good_for_so_many_requests() -> None:
    raw = Raw(limits=HttpLimits(requests_per_connection=3))
    raw.on("/", KEPT)
    assert goaways(await raw.say(ask(1), ask(3))) == []
    assert goaways(await raw.say(ask(5))) == [(LARGEST_WINDOW, 0)]
    answered = await raw.say(ask(7), PONG)
    assert goaways(answered) == [(7, 0)], "what was on its way is answered"
    assert sum(frame.ends for frame in answered) == 1
    assert raw.connection.has_sent_eof


@on_loop
async def test_a_client_that_leaves_is_left_when_its_answers_are_out() -> None:
    raw = Raw()
    gate = Gate()
    raw.on("/", gate)
    await raw.say(ask(1))
    await raw.say(frames.goaway_frame(0, ErrorCode.NO_ERROR))
    assert not raw.connection.has_sent_eof
    gate.opened.set_result(None)
    assert (await raw.hear())[-1].kind == frames.GOAWAY
    assert raw.connection.has_sent_eof


# --- After our side has ended -----------------------------------------------------------------------------------------------------------


@on_loop
async def test_what_was_sent_last_may_leave_slowly() -> None:
    raw = Raw(limits=HttpLimits(send_timeout=10, linger_timeout=3))
    waiting = [100_000]
    raw.connection.unacknowledged = lambda: waiting[0]  # type: ignore[method-assign]
    raw.session.retire(at_once=True)
    for _ in range(8):
        raw.sweep(1)
        waiting[0] -= 10
    assert not raw.connection.is_aborted, "more slowly than the linger timeout"
    raw.sweep(11)
    assert raw.connection.is_aborted, "but not so slowly"


@on_loop
async def test_a_client_that_never_closes_is_let_go() -> None:
    raw = Raw(limits=HttpLimits(linger_timeout=3))
    raw.session.retire(at_once=True)
    raw.sweep(2)
    assert not raw.connection.is_aborted
    raw.sweep(3)
    assert raw.connection.is_aborted


@on_loop
async def test_a_client_that_goes_on_talking_is_let_go_as_well() -> None:
    raw = Raw(limits=HttpLimits(linger_timeout=3))
    raw.session.retire(at_once=True)
    for number in range(1, 41, 2):
        if not raw.connection.is_aborted:
            await raw.say(ask(number))
            raw.sweep(1)
    assert raw.connection.is_aborted
    assert raw.records == []


# --- Deadlines (§6.5.3, §9.1, §10.5) ----------------------------------------------------------------------------------------------------


@on_loop
async def test_an_idle_connection_ends() -> None:
    raw = Raw(limits=HttpLimits(idle_timeout=10))
    raw.on("/", KEPT)
    for number in range(1, 11, 2):
        raw.sweep(8)
        await raw.say(ask(number))
    raw.sweep(9)
    assert not raw.connection.has_sent_eof
    raw.sweep(2)
    assert goaways(await raw.hear()) == [(9, ErrorCode.NO_ERROR)]
    assert raw.connection.has_sent_eof
    assert "timeout" not in {record.outcome for record in raw.records}


@on_loop
async def test_pings_do_not_keep_a_connection() -> None:
    raw = Raw(limits=HttpLimits(idle_timeout=10))
    for _ in range(11):
        if not raw.connection.has_sent_eof:
            await raw.say(frames.ping_frame(b"keepaliv", is_ack=False))
            raw.sweep(1)
    assert raw.connection.has_sent_eof


@on_loop
async def test_a_connection_that_works_is_not_idle() -> None:
    raw = Raw(limits=HttpLimits(idle_timeout=5))
    gate = Gate()
    raw.on("/", gate)
    await raw.say(ask(1))
    raw.sweep(20)
    gate.opened.set_result(None)
    assert (await raw.hear())[-1].ends
    raw.sweep(4)
    assert not raw.connection.has_sent_eof, "it rests since then"
    raw.sweep(2)
    assert raw.connection.has_sent_eof


@pytest.mark.parametrize("first", [b"", frames.PREFACE[:10], frames.PREFACE + frames.settings_frame([])])
def test_settings_that_are_not_acknowledged_in_time_end_the_connection(first: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        raw = Raw(limits=HttpLimits(head_timeout=5, idle_timeout=60))
        raw.connect()
        if first:
            raw.connection.deliver(first)
        raw.sweep(4)
        assert not raw.connection.has_sent_eof
        raw.sweep(2)
        answered = frames_of(raw.connection.take())
        assert goaways(answered) == [(0, ErrorCode.SETTINGS_TIMEOUT)]
        assert [record.outcome for record in raw.records] == ["timeout"]

    scenario()


@on_loop
async def test_requests_do_not_put_off_the_acknowledgement() -> None:
    raw = Raw(limits=HttpLimits(head_timeout=5))
    raw.on("/", HELLO)
    raw.connect()
    raw.connection.deliver(frames.PREFACE + frames.settings_frame([]))
    for number in range(1, 13, 2):
        if not raw.connection.has_sent_eof:
            raw.connection.deliver(ask(number))
            raw.sweep(1)
    assert raw.connection.has_sent_eof


BLOCK = ask(1, "/a/path")
FIRST_HALF = frames.frame(frames.HEADERS, frames.END_STREAM, 1, BLOCK[9:15])


@pytest.mark.parametrize(
    "partial", [BLOCK[:5], BLOCK[:15], FIRST_HALF, frames.ping_frame(b"12345678", is_ack=False)[:12]]
)
def test_a_frame_or_a_block_that_does_not_come_to_its_end_ends_the_connection(partial: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        raw = Raw(limits=HttpLimits(head_timeout=5))
        raw.sweep(60)
        await raw.say(partial)
        raw.sweep(5)
        assert not raw.connection.has_sent_eof
        raw.sweep(2)
        assert goaways(await raw.hear()) == [(0, ErrorCode.ENHANCE_YOUR_CALM)]
        assert raw.connection.has_sent_eof
        assert [record.outcome for record in raw.records] == ["timeout"]

    scenario()


@on_loop
async def test_octet_by_octet_is_no_way_to_put_it_off() -> None:
    raw = Raw(limits=HttpLimits(head_timeout=5))
    for octet in BLOCK[:10]:
        if not raw.connection.has_sent_eof:
            await raw.say(bytes([octet]))
            raw.sweep(1)
    assert raw.connection.has_sent_eof


@on_loop
async def test_an_upload_whose_frames_are_cut_by_every_sweep_goes_on() -> None:
    raw = Raw(limits=HttpLimits(head_timeout=3, body_rate=10, body_grace=3))

    async def count(request: Request) -> Response:
        size = 0
        while piece := await request.body.read():
            size += len(piece)
        return Response(200, body=b"%d" % size)

    raw.on("/", count)
    await raw.say(ask(1, "/", "POST", ends=False))
    octets = data(1, b"x" * 100) * 20
    for start in range(0, len(octets), 50):
        await raw.say(octets[start : start + 50])
        raw.sweep(1)
    answered = await raw.say(data(1, b"", ends=True))
    assert answered[-1].payload == b"2000"


@on_loop
async def test_limits_that_are_off_are_off() -> None:
    raw = Raw(limits=HttpLimits(head_timeout=0, idle_timeout=0, body_rate=0, send_timeout=0))
    raw.connect()
    raw.sweep(1000)
    assert not raw.connection.has_sent_eof
    raw.greet()
    raw.on("/", Response(200, body=b"x" * 100_000))
    await raw.say(ask(1), ask(3, "/", "POST", ends=False), BLOCK[:5])
    raw.sweep(1000)
    assert not raw.connection.has_sent_eof
    assert not raw.connection.is_aborted


# --- h2c (RFC 7540 §3.2) ----------------------------------------------------------------------------------------------------------------


@on_loop
async def test_the_request_that_asked_for_http2_is_answered_as_stream_1() -> None:
    raw = Raw()
    raw.on("/", HELLO)
    raw.connect()
    head, _ = request_head([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")], ends=True)
    raw.session.begin_upgraded(head, b"")
    await raw.settle()
    answered = frames_of(raw.connection.take())
    assert [(frame.stream_id, frame.ends) for frame in answered if frame.stream_id] == [(1, False), (1, True)]
    raw.on("/", KEPT)
    raw.connection.deliver(preface() + ask(3))
    await raw.settle()
    assert {frame.stream_id for frame in frames_of(raw.connection.take())} == {0, 3}


@on_loop
async def test_settings_of_an_upgrade_that_are_none_end_the_connection() -> None:
    raw = Raw()
    raw.connect()
    raw.session.begin_upgraded(RequestHead("GET", "/"), b"odd")
    assert goaways(frames_of(raw.connection.take())) == [(0, ErrorCode.PROTOCOL_ERROR)]
    assert raw.connection.has_sent_eof


# --- Nothing is said after the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        lambda raw: raw.connection.hang_up(),
        lambda raw: raw.connection.vanish(),
        lambda raw: raw.connection.deliver(frames.frame(frames.PING, 0, 0, b"")),
        lambda raw: (raw.connection.deliver(BLOCK[:5]), raw.sweep(100)),
    ],
)
def test_nothing_is_written_after_the_end_whoever_goes_on_working(end: Callable[[Raw], None]) -> None:
    @on_loop
    async def scenario() -> None:
        raw = Raw(limits=HttpLimits(idle_timeout=5, head_timeout=5, linger_timeout=1000))
        gate = asyncio.get_running_loop().create_future()

        async def stubborn(request: Request) -> Response:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(gate)
            await asyncio.wait([gate], timeout=5)
            request.link.inform(103, request.fields.copy())
            return Response(200, body=b"late")

        raw.on("/", stubborn)
        await raw.say(ask(1), ask(3, "/", "POST", ends=False))
        end(raw)
        gate.set_result(None)
        await raw.settle()
        assert raw.connection.said_after_end == 0
        assert raw.is_clean()
        assert [record.outcome for record in raw.records if record.target] == ["aborted"] * 2
        raw.connection.vanish()

    scenario()


@on_loop
async def test_a_defect_while_sending_ends_the_connection_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = Raw()
    gate = Gate()
    raw.on("/", gate)
    await raw.say(ask(1))

    def broken(turns: Turns) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Turns, "write_out", broken)
    gate.opened.set_result(None)
    await raw.settle()
    assert raw.connection.is_aborted
    assert "a defect while sending" in caplog.text
