"""One WebSocket, as a script of what comes and what is sent: RFC 6455 §5.5, §6, §7; the limits; backpressure."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from netlodge.http.message import WebSocketEnd
from netlodge.http.rules.websocket import DeflateTerms
from netlodge.http.session.websocket import (
    FRAGMENT_OCTETS,
    HIGH_WATER,
    LINGER_SECONDS,
    MESSAGE_COST,
    PONGS,
    TURN_FRAMES,
    TURN_MESSAGES,
    WebSocketLimits,
)
from netlodge.http.wire.events import Pause
from netlodge.http.wire.websocket import WebSocketCodec
from netlodge.http.wire.websocket_events import Binary, Close, Event, Fragment, Ping, Pong, Text
from netlodge.http.wire.websocket_states import CONTINUATION, PING, PONG, RSV1, TEXT
from tests.fakes import MemoryConnection
from tests.http.session.rig import on_loop
from tests.http.session.websocket_rig import WebSocketRig, turns
from tests.http.wire.websocket_feeding import frame

# --- §6: messages -------------------------------------------------------------------------------------------------------


@on_loop
async def test_6_2_messages_are_received_in_order() -> None:
    rig = WebSocketRig()
    rig.say(Text("one"), Binary(b"two"), Text(""))
    assert [await rig.session.receive() for _ in range(3)] == ["one", b"two", ""]


@on_loop
async def test_6_2_who_receives_first_waits() -> None:
    rig = WebSocketRig()
    waiting = rig.start(rig.session.receive())
    await turns()
    assert not waiting.done()
    rig.say(Text("now"))
    assert await waiting == "now"


@on_loop
async def test_6_2_what_came_with_the_handshake_is_not_lost() -> None:
    rig = WebSocketRig(received=frame(TEXT, b"early"))
    assert await rig.session.receive() == "early"


@on_loop
async def test_6_1_messages_are_sent() -> None:
    rig = WebSocketRig()
    await rig.session.send("text")
    await rig.session.send(b"octets")
    assert rig.heard() == [Text("text"), Binary(b"octets")]


@on_loop
async def test_6_1_a_long_message_leaves_in_fragments_between_which_others_have_their_turn() -> None:
    rig = WebSocketRig()
    message = "x" * (2 * FRAGMENT_OCTETS + 1)
    sending = rig.start(rig.session.send(message))
    await asyncio.sleep(0)
    first = len(rig.connection.sent)
    assert FRAGMENT_OCTETS < first < FRAGMENT_OCTETS + 20
    rig.say(Ping(b"in between"))
    await sending
    assert rig.heard() == [Pong(b"in between"), Text(message)]


@on_loop
async def test_5_4_two_who_send_do_not_mix_their_messages() -> None:
    rig = WebSocketRig()
    long = "x" * (FRAGMENT_OCTETS + 1)
    await asyncio.gather(rig.session.send(long), rig.session.send(b"short"), rig.session.send(long))
    assert rig.heard() == [Text(long), Binary(b"short"), Text(long)]


@on_loop
async def test_5_4_who_is_cancelled_amid_a_long_message_leaves_no_half_of_it() -> None:
    rig = WebSocketRig()
    message = b"x" * (3 * FRAGMENT_OCTETS)
    sending = rig.start(rig.session.send(message))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait([sending])
    assert sending.cancelled()
    await rig.session.send("after")
    assert rig.heard() == [Binary(message), Text("after")]


@on_loop
async def test_who_is_cancelled_while_it_receives_takes_no_message_along() -> None:
    rig = WebSocketRig()
    waiting = rig.start(rig.session.receive())
    await turns()
    waiting.cancel()
    await turns()
    rig.say(Text("kept"))
    assert await rig.session.receive() == "kept"


@on_loop
async def test_text_that_utf8_cannot_say_is_refused_and_the_rest_goes_on() -> None:
    rig = WebSocketRig()
    with pytest.raises(ValueError, match="surrogate"):
        await rig.session.send("\ud800")
    await rig.session.send("fine")
    assert rig.heard() == [Text("fine")]


@on_loop
async def test_7692_compression_is_used_in_both_directions_as_agreed() -> None:
    rig = WebSocketRig(deflate=DeflateTerms(server_max_window_bits=12, client_max_window_bits=12))
    message = "words and words and " * 20
    rig.say(Text(message), Text(message))
    assert [await rig.session.receive(), await rig.session.receive()] == [message, message]
    await rig.session.send(message)
    assert rig.connection.sent[0] & RSV1
    assert len(rig.connection.sent) < 60
    assert rig.heard() == [Text(message)]


@on_loop
async def test_there_is_one_reader_at_a_time() -> None:
    rig = WebSocketRig()
    waiting = rig.start(rig.session.receive())
    await turns()
    with pytest.raises(RuntimeError, match="two readers"):
        await rig.session.receive()
    waiting.cancel()


# --- §5.5.2, §5.5.3: ping and pong ----------------------------------------------------------------------------------------


@on_loop
async def test_5_5_2_a_ping_is_answered_with_its_data() -> None:
    rig = WebSocketRig()
    rig.say(Ping(b"a"), Text("x"), Ping(b"b"))
    assert rig.heard() == [Pong(b"a"), Pong(b"b")]


@on_loop
async def test_5_5_3_a_client_that_does_not_read_gets_the_latest_pongs_when_it_does() -> None:
    rig = WebSocketRig()
    rig.connection.stall()
    for number in range(1000):
        rig.say(Ping(b"%d" % number))
    assert rig.heard() == []
    rig.connection.flow()
    rig.pass_time(1)
    assert rig.heard() == [Pong(b"%d" % number) for number in range(1000 - PONGS, 1000)]


@on_loop
async def test_5_5_3_pings_that_come_together_are_answered_in_one_write() -> None:
    rig = WebSocketRig()
    rig.say(*[Ping(b"%d" % number) for number in range(10)], Text("x"), Ping(b"last"), Close(1000))
    assert rig.connection.writes == 2
    assert rig.heard() == [*(Pong(b"%d" % number) for number in range(10)), Pong(b"last"), Close(1000)]
    await rig.session.receive()


@on_loop
async def test_a_silent_client_is_pinged_and_stays_if_it_answers() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(ping=20))
    for _ in range(3):
        rig.pass_time(19)
        assert rig.heard() == []
        rig.pass_time(1)
        assert rig.heard() == [Ping()]
        rig.pass_time(19)
        rig.say(Pong())
    assert not rig.connection.is_closed


@on_loop
async def test_a_client_that_talks_is_not_pinged() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(ping=20))
    for _ in range(10):
        rig.pass_time(19)
        rig.say(Text("here"))
        await rig.session.receive()
    assert rig.heard() == []


@on_loop
async def test_a_client_that_does_not_answer_a_ping_is_gone() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(ping=20))
    rig.pass_time(39)
    assert not rig.connection.is_aborted
    rig.pass_time(1)
    assert rig.connection.is_aborted
    rig.connection.vanish()
    assert await rig.session.receive() == WebSocketEnd(1006)


@on_loop
async def test_without_a_ping_a_client_may_be_silent_for_ever() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(ping=0))
    rig.pass_time(10_000)
    assert rig.heard() == []
    assert not rig.connection.is_closed


class SlowKernel(MemoryConnection):
    """A connection whose kernel says how much the client has not taken yet."""

    waiting = 0

    def unacknowledged(self) -> int:
        return self.waiting


@on_loop
async def test_a_client_that_still_takes_what_was_sent_before_the_ping_is_not_gone() -> None:
    connection = SlowKernel()
    rig = WebSocketRig(limits=WebSocketLimits(ping=20), connection=connection)
    connection.waiting = 1_000_000
    rig.pass_time(20)
    for _ in range(100):
        connection.waiting -= 1000
        rig.pass_time(1)
    assert not connection.is_aborted
    rig.pass_time(20)  # and now it does not take a thing
    assert connection.is_aborted


@on_loop
async def test_a_client_that_is_not_listened_to_need_not_answer_a_ping() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(ping=20))
    rig.say(Binary(bytes(HIGH_WATER)))
    assert rig.connection.is_paused
    rig.pass_time(200)
    assert not rig.connection.is_aborted


@on_loop
async def test_a_client_that_is_not_listened_to_and_whose_host_is_dead_is_gone() -> None:
    connection = SlowKernel()
    rig = WebSocketRig(limits=WebSocketLimits(ping=20), connection=connection)
    rig.say(Binary(bytes(HIGH_WATER)))
    rig.pass_time(19)
    connection.waiting = 2
    rig.pass_time(21)
    assert connection.is_aborted


@on_loop
async def test_a_client_that_takes_nothing_is_cut_off_after_the_send_timeout() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(ping=5, send_timeout=60))
    rig.connection.stall()
    sending = rig.start(rig.session.send("x"))
    rig.pass_time(60)
    assert not rig.connection.is_aborted
    rig.pass_time(1)
    assert rig.connection.is_aborted
    rig.connection.vanish()
    with pytest.raises(ConnectionResetError):
        await sending


# --- backpressure -----------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_client_whose_messages_nobody_receives_is_made_to_wait() -> None:
    rig = WebSocketRig()
    message = Binary(bytes(1000))
    sent = 0
    while not rig.connection.is_paused:
        rig.say(message)
        sent += 1
    assert sent * (1000 + MESSAGE_COST) < HIGH_WATER + 2000
    rig.say(message, message)  # what was already on its way
    for _ in range(sent + 2):
        assert await rig.session.receive() == message.data
    assert not rig.connection.is_paused


@on_loop
async def test_a_flood_of_empty_messages_is_bounded_too() -> None:
    rig = WebSocketRig()
    rig.connection.deliver(frame(TEXT) * 20_000)
    assert rig.connection.is_paused
    assert rig.session._codec.buffered > 15_000 * 6
    for _ in range(20_000):
        assert await rig.session.receive() == ""
    assert not rig.connection.is_paused


@on_loop
async def test_what_waits_is_decompressed_one_message_at_a_time() -> None:
    rig = WebSocketRig(deflate=DeflateTerms(client_max_window_bits=12))
    bomb = Binary(bytes(1 << 20))
    rig.say(*[bomb] * 20)
    assert len(rig.session._messages) == 1
    for _ in range(20):
        assert await rig.session.receive() == bomb.data


@on_loop
async def test_who_sends_waits_while_the_client_does_not_read() -> None:
    rig = WebSocketRig()
    rig.connection.stall()
    sending = rig.start(rig.session.send("first"))
    after = rig.start(rig.session.send("second"))
    await turns()
    assert not sending.done()
    rig.connection.flow()
    await asyncio.gather(sending, after)
    assert rig.heard() == [Text("first"), Text("second")]


@on_loop
async def test_who_receives_without_a_pause_lets_others_have_their_turn() -> None:
    rig = WebSocketRig()
    rig.say(*[Text("x")] * (TURN_MESSAGES * 3))
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = rig.start(other())
    for _ in range(TURN_MESSAGES * 3):
        await rig.session.receive()
    task.cancel()
    assert 2 <= others <= 4


# --- What is counted --------------------------------------------------------------------------------------------------------


@on_loop
async def test_an_end_is_counted_once_by_its_code() -> None:
    for end, code in ((Close(4000, "enough"), 4000), (Close(), 1005), (None, 1006)):
        rig = WebSocketRig()
        assert rig.counts == {0: 1}
        if end is not None:
            rig.say(end)
            assert rig.counts == {0: 1}  # it is still there until the stream is gone
        rig.connection.vanish()
        assert rig.counts == {0: 0, code: 1}


@on_loop
async def test_an_end_that_nobody_came_to_read_is_counted_too() -> None:
    rig = WebSocketRig()
    rig.say(*[Binary(bytes(1000))] * 300, Close(1000))
    rig.connection.vanish()
    assert rig.counts == {0: 0, 1006: 1}


# --- §10.4: what a client may cost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("flood", [frame(PING), frame(PONG), frame(CONTINUATION, fin=False)])
def test_10_4_a_flood_of_small_frames_leaves_others_their_turn(flood: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0
    next_event = WebSocketCodec.next_event

    def count(codec: WebSocketCodec) -> Event | Fragment | Pause:
        nonlocal counted
        counted += 1
        return next_event(codec)

    monkeypatch.setattr(WebSocketCodec, "next_event", count)

    @on_loop
    async def scenario() -> None:
        rig = WebSocketRig()
        rig.connection.deliver(frame(TEXT, b"begun ", fin=False) + flood * (4 * TURN_FRAMES) + frame(0, b"and done"))
        others = [counted]
        assert rig.connection.is_paused
        while rig.connection.is_paused:
            await asyncio.sleep(0)
            others.append(counted)
        assert len(others) > 4
        assert max(after - before for before, after in itertools.pairwise([0, *others])) <= TURN_FRAMES
        assert await rig.session.receive() == "begun and done"

    scenario()


@on_loop
async def test_10_4_what_came_before_the_end_of_the_stream_is_taken_all_the_same() -> None:
    rig = WebSocketRig()
    rig.connection.deliver(frame(PONG) * (3 * TURN_FRAMES) + frame(TEXT, b"last"))
    rig.connection.hang_up()
    assert await rig.session.receive() == "last"
    assert await rig.session.receive() == WebSocketEnd(1006)


def test_10_4_a_defect_in_a_later_turn_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @on_loop
    async def scenario() -> None:
        rig = WebSocketRig()
        rig.connection.deliver(frame(PONG) * (2 * TURN_FRAMES))
        monkeypatch.setattr(WebSocketCodec, "next_event", lambda codec: 1 // 0)
        await turns()
        assert rig.connection.is_aborted
        assert "a defect in the WebSocket" in caplog.text

    scenario()


# --- §7.1: closing ------------------------------------------------------------------------------------------------------------


@on_loop
async def test_7_1_the_client_closes() -> None:
    rig = WebSocketRig()
    rig.say(Text("last words"), Close(4001, "bye"))
    assert rig.heard() == [Close(4001)]
    assert rig.connection.is_closed
    assert await rig.session.receive() == "last words"
    assert await rig.session.receive() == WebSocketEnd(4001, "bye")
    assert await rig.session.receive() == WebSocketEnd(4001, "bye")


@on_loop
async def test_7_1_5_a_close_without_a_code_is_1005_and_is_answered_without_one() -> None:
    rig = WebSocketRig()
    rig.say(Close())
    assert rig.heard() == [Close()]
    assert await rig.session.receive() == WebSocketEnd(1005)


@on_loop
async def test_7_1_the_application_closes() -> None:
    rig = WebSocketRig()
    rig.say(Text("never received"))
    rig.session.close(4000, "done")
    assert rig.heard() == [Close(4000, "done")]
    assert not rig.connection.is_closed
    waiting = rig.start(rig.session.receive())
    rig.say(Text("on its way"), Close(4000, "done"))
    assert await waiting == WebSocketEnd(4000, "done")
    assert rig.connection.is_closed
    assert rig.heard() == []


@on_loop
async def test_7_1_a_close_is_sent_once() -> None:
    rig = WebSocketRig()
    rig.session.close()
    rig.session.close(4000)
    rig.session.retire(at_once=True)
    assert rig.heard() == [Close(1000)]


@on_loop
async def test_7_1_a_close_is_read_though_nobody_receives_what_came_before_it() -> None:
    rig = WebSocketRig()
    rig.say(*[Binary(bytes(1000))] * 300, Close(1000))
    assert rig.connection.is_paused
    rig.session.close(1001)
    await turns()
    assert rig.connection.is_closed
    assert await rig.session.receive() == WebSocketEnd(1000)


@on_loop
async def test_7_1_a_client_that_does_not_answer_a_close_is_cut_off() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(close_timeout=5))
    rig.session.close()
    rig.say(Text("still here"))
    rig.pass_time(5)
    assert not rig.connection.is_aborted
    rig.pass_time(1)
    assert rig.connection.is_aborted
    rig.connection.vanish()
    assert await rig.session.receive() == WebSocketEnd(1006)


@on_loop
async def test_7_1_a_client_that_takes_what_was_sent_before_the_close_has_longer() -> None:
    connection = SlowKernel()
    rig = WebSocketRig(limits=WebSocketLimits(close_timeout=5, send_timeout=60), connection=connection)
    connection.waiting = 1_000_000
    rig.session.close()
    for _ in range(int(LINGER_SECONDS) + 59):
        connection.waiting -= 10
        rig.pass_time(1)
        assert not connection.is_aborted
    rig.pass_time(1)
    assert connection.is_aborted  # but not for ever


@on_loop
async def test_7_1_the_answer_to_a_close_waits_for_what_was_sent_before() -> None:
    rig = WebSocketRig()
    rig.connection.stall()
    rig.say(Close(1000))
    assert not rig.connection.is_closed
    assert rig.connection.has_sent_eof
    rig.pass_time(1)
    assert not rig.connection.is_closed
    rig.connection.flow()
    rig.pass_time(1)
    assert rig.connection.is_closed


@on_loop
async def test_5_5_1_nothing_is_sent_when_it_is_closed() -> None:
    rig = WebSocketRig()
    rig.session.close()
    with pytest.raises(ConnectionResetError):
        await rig.session.send("x")
    rig.say(Ping(b"x"), Close())
    with pytest.raises(ConnectionResetError):
        await rig.session.send("x")
    assert rig.heard() == [Close(1000)]


@on_loop
async def test_5_5_1_a_long_message_ends_where_a_close_comes() -> None:
    rig = WebSocketRig()
    sending = rig.start(rig.session.send("x" * (4 * FRAGMENT_OCTETS)))
    await asyncio.sleep(0)
    rig.say(Close(1001))
    with pytest.raises(ConnectionResetError):
        await sending
    assert rig.heard() == [Close(1001)]


@on_loop
async def test_5_5_1_who_is_cancelled_as_a_close_comes_is_only_cancelled() -> None:
    rig = WebSocketRig()
    sending = rig.start(rig.session.send("x" * (4 * FRAGMENT_OCTETS)))
    await asyncio.sleep(0)
    rig.say(Close(1001))
    sending.cancel()
    await asyncio.wait([sending])
    assert sending.cancelled()


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2000, 5000])
def test_7_4_a_code_that_may_not_be_sent_is_refused(code: int) -> None:
    async def scenario() -> None:
        rig = WebSocketRig()
        with pytest.raises(ValueError, match="may not be in a Close"):
            rig.session.close(code)
        assert rig.heard() == []

    asyncio.run(scenario())


@on_loop
async def test_5_5_a_reason_is_cut_to_what_fits_between_characters() -> None:
    rig = WebSocketRig()
    rig.session.close(1000, "ä" * 100)
    assert rig.heard() == [Close(1000, "ä" * 61)]


# --- §7.1.7, §7.2: failing and losing -------------------------------------------------------------------------------------------


@on_loop
async def test_7_1_7_what_is_no_frame_fails_the_connection() -> None:
    rig = WebSocketRig()
    rig.say(Text("before"))
    rig.connection.deliver(b"GET / HTTP/1.1\r\n\r\n")
    (close,) = rig.heard()
    assert isinstance(close, Close)
    assert close.code == 1002
    assert close.reason
    assert rig.connection.has_sent_eof
    assert not rig.connection.is_closed  # what still comes would reset what was sent
    assert await rig.session.receive() == "before"
    assert await rig.session.receive() == WebSocketEnd(1002, close.reason)
    rig.connection.deliver(frame(TEXT, b"ignored"))
    rig.connection.hang_up()
    assert rig.connection.is_closed


@on_loop
async def test_7_1_7_a_client_that_goes_on_is_cut_off() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(close_timeout=5))
    rig.connection.deliver(b"\xff\xff")
    for _ in range(6):
        rig.connection.deliver(b"x" * 1000)
        rig.pass_time(1)
    assert rig.connection.is_aborted


@on_loop
async def test_7_4_1_a_message_over_the_limit_is_1009_with_the_limit_in_its_reason() -> None:
    rig = WebSocketRig(limits=WebSocketLimits(message=1000))
    rig.connection.deliver(frame(TEXT, bytes(1001))[:10])
    assert rig.heard() == [Close(1009, "A message is longer than 1000 octets.")]


@on_loop
async def test_7_1_7_after_our_close_a_failure_sends_none() -> None:
    rig = WebSocketRig()
    rig.session.close()
    rig.connection.deliver(b"\xff\xff")
    assert rig.heard() == [Close(1000)]
    end = await rig.session.receive()
    assert isinstance(end, WebSocketEnd)
    assert end.code == 1002


@on_loop
async def test_7_1_5_a_stream_that_ends_without_a_close_is_1006() -> None:
    rig = WebSocketRig()
    rig.say(Text("before"))
    rig.connection.hang_up()
    assert rig.connection.is_closed
    assert await rig.session.receive() == "before"
    assert await rig.session.receive() == WebSocketEnd(1006)


@on_loop
async def test_7_1_5_a_lost_connection_is_1006_and_wakes_who_waits() -> None:
    rig = WebSocketRig()
    waiting = rig.start(rig.session.receive())
    await turns()
    rig.connection.vanish(ConnectionResetError("reset"))
    assert await waiting == WebSocketEnd(1006)
    with pytest.raises(ConnectionResetError):
        await rig.session.send("x")
    rig.session.close()


@on_loop
async def test_7_1_5_a_lost_connection_wakes_who_sends() -> None:
    rig = WebSocketRig()
    rig.connection.stall()
    sending = rig.start(rig.session.send("x"))
    await turns()
    rig.connection.vanish()
    with pytest.raises(ConnectionResetError):
        await sending


@pytest.mark.parametrize("is_lost", [True, False])
def test_what_came_before_the_end_can_still_be_received(is_lost: bool) -> None:
    async def scenario() -> None:
        rig = WebSocketRig()
        rig.say(*[Binary(bytes(1000))] * 300)
        assert rig.connection.is_paused
        if is_lost:
            rig.connection.vanish()
        else:
            rig.connection.hang_up()
        for _ in range(300):
            assert isinstance(await rig.session.receive(), bytes)
        assert await rig.session.receive() == WebSocketEnd(1006)

    asyncio.run(scenario())


@on_loop
async def test_the_code_of_a_close_that_nobody_had_read_yet_is_told() -> None:
    rig = WebSocketRig()
    rig.say(*[Binary(bytes(1000))] * 300, Close(4000))
    rig.connection.vanish()
    for _ in range(300):
        await rig.session.receive()
    assert await rig.session.receive() == WebSocketEnd(4000)


# --- the end of a worker ------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_shutdown_closes_with_1001() -> None:
    rig = WebSocketRig()
    rig.session.retire(at_once=True)
    assert rig.heard() == [Close(1001)]
    rig.say(Close(1001))
    assert rig.connection.is_closed
    assert await rig.session.receive() == WebSocketEnd(1001)


@on_loop
async def test_a_reload_leaves_it_until_the_time_to_retire_is_over() -> None:
    rig = WebSocketRig()
    rig.session.retire(at_once=False)
    rig.pass_time(15)
    rig.say(Text("still"))
    assert await rig.session.receive() == "still"
    await rig.session.send("there")
    assert rig.heard() == [Text("there")]
    rig.session.retire(at_once=True)
    assert rig.heard() == [Close(1012)]


@on_loop
async def test_what_came_before_a_shutdown_can_still_be_received() -> None:
    rig = WebSocketRig()
    rig.say(Text("kept"))
    rig.session.retire(at_once=True)
    rig.say(Close(1001))
    assert await rig.session.receive() == "kept"
    assert await rig.session.receive() == WebSocketEnd(1001)
