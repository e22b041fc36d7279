"""Remembered answers of HTTP/2 that leave before anything is made for their requests: what they must not change."""

from __future__ import annotations

from math import inf

from netlodge.http.message import Remember, Response
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_frames import GOAWAY, LARGEST_WINDOW, ErrorCode, Setting
from tests.fakes import MemoryConnection
from tests.http.session.h2_rig import Raw, ask
from tests.http.session.rig import on_loop

BODY = b"x" * 100


async def knowing(raw: Raw, body: bytes = BODY) -> Raw:
    """One that has been asked for `/` often enough."""
    raw.on("/", Response(200, body=body, remember=Remember(inf)))
    for number in (1, 3, 5):
        await raw.say(ask(number))
    return raw


class Narrow(MemoryConnection):
    """Takes no more than so much at a time."""

    most = 300_000

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self.sent) >= self.most:
            self.stall()


@on_loop
async def test_they_make_no_stream_and_are_noted_like_all_others() -> None:
    raw = await knowing(Raw())
    before = len(raw.records)
    made = raw.session._codec.streams.copy()
    raw.connection.deliver(ask(7))
    assert raw.session._codec.streams == made == {}
    (answer,) = [frame for frame in await raw.hear() if frame.kind == frames.DATA]
    assert (answer.stream_id, answer.payload, answer.ends) == (7, BODY, True)
    (record,) = raw.records[before:]
    assert (record.status, record.sent, record.is_recalled, record.version) == (200, len(BODY), True, "2")


async def narrow() -> Raw:
    raw = Raw()
    raw.connection = Narrow()
    raw.session = type(raw.session)(raw.connection, raw.service)
    raw.connection.session = raw.session
    raw.greet([(Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW)])
    raw.connection.deliver(frames.window_update_frame(0, LARGEST_WINDOW - 65_535))
    return await knowing(raw, b"x" * 16_000)


@on_loop
async def test_those_that_the_connection_does_not_take_wait() -> None:
    raw = await narrow()
    raw.connection.deliver(b"".join(ask(number) for number in range(7, 207, 2)))
    assert len(raw.connection.sent) < 600_000
    ends = 0
    while not raw.is_clean():
        raw.connection.flow()
        ends += sum(frame.ends for frame in await raw.hear())
    assert ends == 100


@on_loop
async def test_a_client_that_asks_for_more_than_it_may_is_not_given_all_of_it() -> None:
    """3000 requests in 90 KiB would be 48 MB at once."""
    raw = await narrow()
    raw.connection.deliver(b"".join(ask(number) for number in range(7, 6007, 2)))
    assert len(raw.connection.sent) < 600_000
    (goaway,) = [frame for frame in await raw.hear() if frame.kind == GOAWAY]
    assert goaway.code == ErrorCode.ENHANCE_YOUR_CALM


@on_loop
async def test_they_count_towards_the_last_request() -> None:
    raw = await knowing(Raw(limits=HttpLimits(requests_per_connection=6)))
    for number in (7, 9):
        assert GOAWAY not in [frame.kind for frame in await raw.say(ask(number))]
    said = await raw.say(ask(11))
    assert [frame.kind for frame in said][:2] == [GOAWAY, frames.PING]
    assert any(frame.ends and frame.stream_id == 11 for frame in said)


@on_loop
async def test_they_keep_a_connection_from_being_idle() -> None:
    raw = await knowing(Raw(limits=HttpLimits(idle_timeout=10)))
    for number in range(7, 27, 2):
        raw.sweep(8)
        assert any(frame.ends for frame in await raw.say(ask(number)))
    raw.sweep(12)
    assert GOAWAY in [frame.kind for frame in await raw.hear()]


@on_loop
async def test_nothing_is_answered_so_once_the_connection_is_lost() -> None:
    raw = await knowing(Raw())
    before = len(raw.records)
    raw.connection.vanish()
    assert raw.session._codec.answer_at_once is None
    raw.session.receive_data(ask(7))
    assert len(raw.records) == before


@on_loop
async def test_with_the_table_off_nobody_is_asked() -> None:
    raw = await knowing(Raw(octets=0))
    assert raw.session._codec.answer_at_once is None
    assert any(frame.ends for frame in await raw.say(ask(7)))
    assert not raw.records[-1].is_recalled
