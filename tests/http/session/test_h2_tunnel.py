"""Streams that somebody takes over: WebSockets (RFC 8441) and CONNECT (RFC 9113 §8.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from netlodge.core.contracts import Connection, Session
from netlodge.http.message import Fields, HttpError, Request, Response
from netlodge.http.rules.websocket import answer_fields, is_websocket_handshake, read_handshake
from netlodge.http.session.h2_outlet import HIGH_WATER
from netlodge.http.session.h2_tunnel import Http2Tunnel
from netlodge.http.session.service import HttpLimits
from netlodge.http.session.websocket import WebSocketLimits, WebSocketSession
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import Pause
from netlodge.http.wire.h2_frames import ErrorCode, Setting
from netlodge.http.wire.hpack import encode_stateless
from netlodge.http.wire.states import Role
from netlodge.http.wire.websocket import WebSocketCodec
from netlodge.http.wire.websocket_events import Close, Event, Fragment, Text
from tests.http.session.h2_rig import Frame, Raw, ask, data
from tests.http.session.rig import on_loop

WEBSOCKET = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/chat"),
    (":authority", "a"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-protocol", "chat, superchat"),
    ("origin", "http://a"),
]


def connect(stream_id: int = 1, fields: list[tuple[str, str]] | None = None, *, ends: bool = False) -> bytes:
    pairs = fields or [(":method", "CONNECT"), (":authority", "b:443")]
    return frames.header_frames(stream_id, encode_stateless(pairs), 1 << 14, ends=ends)


class Taken:
    """A session that took a stream over and keeps what it is told."""

    def __init__(self, connection: Connection, first: bytes) -> None:
        self.connection = connection
        self.received = [first] if first else []
        self.told: list[str] = []
        self.then: Callable[[bytes], None] | None = None

    def receive_data(self, data: bytes) -> None:
        self.received.append(data)
        if self.then is not None:
            self.then(data)

    def receive_eof(self) -> None:
        self.told.append("eof")

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append("lost")

    def sweep(self, now: float) -> None:
        self.told.append("sweep")

    def retire(self, *, at_once: bool) -> None:
        self.told.append(f"retire {at_once}")


class TunnelRig(Raw):
    """With a handler that lets CONNECT through."""

    taken: Taken

    def __init__(self, settings: Any = (), *, gate: asyncio.Future[None] | None = None, **options: Any) -> None:
        super().__init__(settings, **options)

        def take(connection: Connection, first: bytes) -> Session:
            self.taken = Taken(connection, first)
            return self.taken

        async def let_through(request: Request) -> Response:
            if gate is not None:
                await gate
            return Response(200, takeover=take)

        self.handler.acts[""] = let_through

    async def open(self) -> list[Frame]:
        answered = await self.say(connect())
        assert self.fields(answered[0])[":status"] == "200"
        assert not answered[0].ends
        return answered[1:]

    @property
    def stream(self) -> Connection:
        return self.taken.connection


# --- RFC 8441: WebSockets ----------------------------------------------------------------------------------------------------------------


class Chat(Raw):
    """A service that accepts WebSockets, and the client's side of one."""

    channel: WebSocketSession

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.client = WebSocketCodec(Role.CLIENT, message_limit=1 << 20, deflate=None)

        async def accept(request: Request) -> Response:
            assert is_websocket_handshake(request)
            handshake = read_handshake(request)

            def take(connection: Connection, first: bytes) -> Session:
                self.channel = WebSocketSession(
                    connection,
                    first,
                    None,
                    limits=WebSocketLimits(),
                    clock=self.clock,
                    loop=asyncio.get_running_loop(),
                )
                return self.channel

            return Response(101, answer_fields(handshake, subprotocol="chat"), takeover=take)

        self.on("/chat", accept)

    def heard(self, answered: list[Frame]) -> list[Event]:
        for frame in answered:
            if frame.kind == frames.DATA:
                self.client.receive_data(frame.payload)
        events: list[Event] = []
        while not isinstance(event := self.client.next_event(), Pause | Fragment):
            events.append(event)
        return events


@on_loop
async def test_a_websocket_is_asked_for_as_over_http11_and_answered_with_200() -> None:
    chat = Chat()
    answered = await chat.say(connect(1, WEBSOCKET))
    assert chat.fields(answered[0]) == {
        ":status": "200",
        "server": "netlodge",
        "sec-websocket-protocol": "chat",
        "date": "Tue, 14 Nov 2023 22:13:20 GMT",
    }
    (request,) = chat.handler.requests
    assert (request.method, request.path, request.version, request.host) == ("GET", "/chat", "2", "a")
    assert request.fields.get("origin") == "http://a"
    assert len(request.fields.get("sec-websocket-key") or "") == 24
    (record,) = chat.records
    assert (record.method, record.target, record.status, record.outcome) == ("CONNECT", "/chat", 200, "complete")


@on_loop
async def test_messages_pass_in_both_directions_and_the_closing_handshake_ends_the_stream() -> None:
    chat = Chat()
    await chat.say(connect(1, WEBSOCKET))
    await chat.say(data(1, chat.client.send(Text("to the server"))))
    assert await chat.channel.receive() == "to the server"
    await chat.channel.send("to the client")
    assert chat.heard(await chat.hear()) == [Text("to the client")]
    chat.channel.close(1000, "done")
    assert chat.heard(await chat.hear()) == [Close(1000, "done")]
    answered = await chat.say(data(1, chat.client.send(Close(1000)), ends=True))
    assert [(frame.kind, frame.ends) for frame in answered] == [(frames.DATA, True)]
    assert chat.is_clean()
    answered = await chat.say(ask(3, "/chat"))
    assert chat.fields(answered[0])[":status"] == "500", "the connection goes on"


@on_loop
async def test_a_websocket_that_is_reset_ends_as_one_whose_connection_is_lost() -> None:
    chat = Chat()
    await chat.say(connect(1, WEBSOCKET))
    await chat.say(frames.reset_frame(1, ErrorCode.CANCEL))
    end = await chat.channel.receive()
    assert isinstance(end, tuple)
    assert end.code == 1006
    with pytest.raises(ConnectionResetError):
        await chat.channel.send("too late")
    assert chat.is_clean()


@on_loop
async def test_a_websocket_is_swept_and_told_of_the_end() -> None:
    chat = Chat()
    await chat.say(connect(1, WEBSOCKET))
    chat.sweep(21)
    assert len(await chat.hear()) == 1, "a ping"
    chat.session.retire(at_once=False)
    await chat.hear()
    chat.session.retire(at_once=True)
    assert chat.heard(await chat.hear())[-1] == Close(1012)
    chat.connection.vanish()
    await chat.settle()


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ((":protocol", "connect-udp"), "501"),
        ((":path", "/nothing"), "404"),
        ((":path", "/plain"), "501"),
        ((":path", "/error"), "403"),
        (("sec-websocket-version", "8"), "426"),
        ((":scheme", "https"), "421"),
    ],
)
def test_a_websocket_that_is_not_to_be_is_answered_like_any_request(changed: tuple[str, str], status: str) -> None:
    @on_loop
    async def scenario() -> None:
        async def refuse(request: Request) -> Response:
            raise HttpError(403, "No.")

        chat = Chat()
        chat.on("/plain", Response(200, body=b"a page"))
        chat.on("/error", refuse)
        fields = [changed if pair[0] == changed[0] else pair for pair in WEBSOCKET]
        answered = await chat.say(connect(1, fields), data(1, b"early"))
        assert chat.fields(answered[0])[":status"] == status
        assert answered[-1].kind == frames.RST_STREAM
        assert answered[-1].code == ErrorCode.NO_ERROR
        assert chat.is_clean()

    scenario()


@on_loop
async def test_what_is_no_connect_cannot_change_the_protocol(caplog: pytest.LogCaptureFixture) -> None:
    raw = Raw()
    raw.on("/", Response(101, Fields([("upgrade", "own")]), takeover=Taken))
    answered = await raw.say(ask(1))
    assert raw.fields(answered[0])[":status"] == "501"
    raw.on("/", Response(200, takeover=Taken))
    answered = await raw.say(ask(3))
    assert raw.fields(answered[0])[":status"] == "501"
    assert raw.is_clean()


# --- RFC 9113 §8.5: CONNECT, and the contract of a connection ---------------------------------------------------------------------------


@on_loop
async def test_a_tunnel_carries_octets_in_both_directions() -> None:
    rig = TunnelRig()
    await rig.open()
    await rig.say(data(1, b"hello"))
    assert rig.taken.received == [b"hello"]
    rig.stream.write(b"and back")
    assert [frame.payload for frame in await rig.hear()] == [b"and back"]
    assert (rig.stream.peer, rig.stream.local) == (rig.connection.peer, rig.connection.local)
    assert rig.stream.is_secure is False
    assert rig.stream.may_send_file is False
    assert [record.outcome for record in rig.records] == ["complete"]
    rig.connection.vanish()
    await rig.settle()


@on_loop
async def test_what_came_before_the_answer_is_given_to_who_takes_over() -> None:
    gate = asyncio.get_running_loop().create_future()
    rig = TunnelRig(gate=gate)
    assert await rig.say(connect(), data(1, b"early "), data(1, b"bird", ends=True)) == []
    gate.set_result(None)
    await rig.hear()
    assert rig.taken.received == [b"early bird"]
    assert rig.taken.told == ["eof"]
    rig.stream.close()
    assert (await rig.hear())[-1].ends
    assert rig.taken.told == ["eof", "lost"]
    assert rig.is_clean()


@on_loop
async def test_what_came_before_a_refusal_is_dropped_with_its_windows() -> None:
    gate = asyncio.get_running_loop().create_future()
    raw = Raw()

    async def refuse(request: Request) -> Response:
        await gate
        return Response(403)

    raw.handler.acts[""] = refuse
    for number in range(1, 61, 2):
        answered = await raw.say(connect(number), *[data(number, b"x" * 16_000)] * 4)
        if not gate.done():
            gate.set_result(None)
            answered = await raw.hear()
    assert answered[-1].code == ErrorCode.NO_ERROR, "30 times 64,000 octets are more than the connection's window"
    assert raw.is_clean()


@on_loop
async def test_write_eof_is_a_clean_end_of_our_side_and_theirs_goes_on() -> None:
    rig = TunnelRig()
    await rig.open()
    rig.stream.write(b"last words")
    rig.stream.write_eof()
    rig.stream.write_eof()
    rig.stream.write(b"too late")
    answered = await rig.hear()
    assert [(frame.payload, frame.ends) for frame in answered] == [(b"last words", True)]
    await rig.say(data(1, b"still here"))
    assert rig.taken.received == [b"still here"]
    assert await rig.say(data(1, b"", ends=True)) == []
    assert rig.taken.told == ["eof", "lost"]
    assert rig.is_clean()


@on_loop
async def test_an_end_without_anything_before_it_needs_no_window() -> None:
    rig = TunnelRig([(Setting.INITIAL_WINDOW_SIZE, 0)])
    await rig.open()
    rig.stream.write_eof()
    assert [(frame.payload, frame.ends) for frame in await rig.hear()] == [(b"", True)]
    rig.connection.vanish()
    await rig.settle()


@on_loop
async def test_close_sends_what_is_buffered_and_hears_no_more() -> None:
    rig = TunnelRig([(Setting.INITIAL_WINDOW_SIZE, 5)])
    await rig.open()
    rig.stream.write(b"last words")
    rig.stream.close()
    rig.stream.close()
    assert [frame.payload for frame in await rig.hear()] == [b"last "]
    await rig.say(data(1, b"too late"))
    assert rig.taken.received == []
    assert rig.taken.told == []
    answered = await rig.say(frames.window_update_frame(1, 100))
    assert [(frame.kind, frame.payload[:5], frame.ends) for frame in answered] == [
        (frames.DATA, b"words", True),
        (frames.RST_STREAM, b"\0\0\0\0", False),
    ]
    assert rig.taken.told == ["lost"]
    assert rig.is_clean()


@on_loop
async def test_close_after_the_end_of_our_side_ends_it_all() -> None:
    rig = TunnelRig()
    await rig.open()
    rig.stream.write_eof()
    await rig.hear()
    rig.stream.close()
    assert [frame.code for frame in await rig.hear()] == [ErrorCode.NO_ERROR]
    assert rig.taken.told == ["lost"]


@on_loop
async def test_abort_resets_and_tells_it_later_and_once() -> None:
    rig = TunnelRig([(Setting.INITIAL_WINDOW_SIZE, 0)])
    await rig.open()
    rig.stream.write(b"lost")
    rig.stream.abort()
    rig.stream.abort()
    assert rig.taken.told == [], "not from within"
    assert [(frame.kind, frame.code) for frame in await rig.hear()] == [(frames.RST_STREAM, ErrorCode.CANCEL)]
    assert rig.taken.told == ["lost"]
    rig.stream.write(b"x")
    rig.stream.write_eof()
    rig.stream.close()
    rig.stream.pause_reading()
    rig.stream.resume_reading()
    assert await rig.hear() == []
    with pytest.raises(ConnectionResetError):
        await rig.stream.drained()
    assert rig.is_clean()


@pytest.mark.parametrize("how", ["reset", "vanish", "failure"])
def test_who_took_a_stream_over_is_told_once_that_it_is_gone(how: str) -> None:
    @on_loop
    async def scenario() -> None:
        rig = TunnelRig([(Setting.INITIAL_WINDOW_SIZE, 0)])
        await rig.open()
        rig.stream.write(b"x" * (HIGH_WATER + 1))
        waiter = asyncio.ensure_future(rig.stream.drained())
        await rig.settle()
        assert not waiter.done()
        if how == "reset":
            rig.connection.deliver(frames.reset_frame(1, ErrorCode.CANCEL))
        elif how == "vanish":
            rig.connection.vanish()
        else:
            rig.connection.deliver(frames.frame(frames.PING, 0, 0, b""))
        await rig.settle()
        assert isinstance(waiter.exception(), ConnectionResetError)
        assert rig.taken.told == ["lost"]
        assert rig.is_clean()
        assert rig.connection.said_after_end == 0

    scenario()


@on_loop
async def test_backpressure_from_a_client_that_does_not_read() -> None:
    rig = TunnelRig([(Setting.INITIAL_WINDOW_SIZE, 0)])
    await rig.open()
    stream = rig.stream
    assert stream.is_writable
    stream.write(b"x" * HIGH_WATER)
    assert not stream.is_writable
    assert stream.unacknowledged() == HIGH_WATER
    before = stream.progress
    waiter = asyncio.ensure_future(stream.drained())
    await rig.settle()
    await rig.say(frames.window_update_frame(1, 1000), frames.window_update_frame(0, 1 << 20))
    assert stream.progress > before
    assert not waiter.done()
    await rig.say(frames.window_update_frame(1, HIGH_WATER))
    assert waiter.done()
    assert stream.unacknowledged() == 0
    rig.connection.vanish()
    await rig.settle()


@on_loop
async def test_who_does_not_read_closes_the_window_of_the_stream_alone() -> None:
    rig = TunnelRig()
    rig.on("/", Response(200, body=b"other"))
    await rig.open()
    rig.stream.pause_reading()
    size = rig.service.http2.stream_window
    answered = await rig.say(*[data(1, b"x" * 16_384)] * (size // 16_384))
    assert [frame for frame in answered if frame.stream_id == 1] == []
    assert rig.taken.received == []
    assert (await rig.say(ask(3)))[-1].payload == b"other"
    rig.stream.resume_reading()
    assert rig.taken.received == [], "not from within"
    updates = [frame for frame in await rig.hear() if frame.stream_id == 1]
    assert sum(int.from_bytes(frame.payload, "big") for frame in updates) == size
    assert len(b"".join(rig.taken.received)) == size
    rig.connection.vanish()
    await rig.settle()


@on_loop
async def test_who_pauses_in_the_middle_gets_the_rest_later_and_the_end_after_it() -> None:
    rig = TunnelRig()
    await rig.open()
    rig.taken.then = lambda data: rig.stream.pause_reading()
    await rig.say(data(1, b"one"), data(1, b"two"), data(1, b"", ends=True))
    assert (rig.taken.received, rig.taken.told) == ([b"one"], [])
    rig.taken.then = None
    rig.stream.resume_reading()
    await rig.settle()
    assert (rig.taken.received, rig.taken.told) == ([b"one", b"two"], ["eof"])
    rig.connection.vanish()
    await rig.settle()


@on_loop
async def test_what_was_not_read_does_not_cost_the_connection_its_window() -> None:
    rig = TunnelRig()
    for number in range(1, 61, 2):
        await rig.say(connect(number))
        rig.stream.pause_reading()
        answered = await rig.say(*[data(number, b"x" * 16_000)] * 4)
        assert [frame for frame in answered if frame.kind in {frames.GOAWAY, frames.RST_STREAM}] == []
        rig.stream.abort()
        await rig.settle()
    assert rig.is_clean()


@pytest.mark.parametrize("method", ["receive_data", "receive_eof", "sweep", "retire", "connection_lost"])
def test_a_defect_of_who_took_over_costs_the_stream_alone(method: str, caplog: pytest.LogCaptureFixture) -> None:
    @on_loop
    async def scenario() -> None:
        rig = TunnelRig()
        rig.on("/", Response(200, body=b"other"))
        await rig.open()

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a defect")

        setattr(rig.taken, method, broken)
        await rig.say(data(1, b"x", ends=True))
        rig.sweep(1)
        rig.session.retire(at_once=False)
        await rig.hear()
        if method == "connection_lost":
            rig.stream.abort()
            await rig.hear()
        else:
            assert rig.taken.told[-1] == "lost"
        assert rig.is_clean()
        answered = await rig.say(ask(3))
        assert answered[-1].payload == b"other"

    scenario()
    assert "a defect" in caplog.text


@on_loop
async def test_a_takeover_that_fails_resets_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    raw = Raw()

    def take(connection: Connection, first: bytes) -> Session:
        raise RuntimeError("a defect")

    raw.handler.acts[""] = lambda request: _answer(Response(200, takeover=take))
    answered = await raw.say(connect(), data(1, b"early"))
    assert answered[-1].code == ErrorCode.INTERNAL_ERROR
    assert raw.is_clean()
    assert "a defect" in caplog.text


async def _answer(response: Response) -> Response:
    return response


@on_loop
async def test_a_reset_before_the_answer_means_that_nobody_takes_over() -> None:
    gate = asyncio.get_running_loop().create_future()
    rig = TunnelRig(gate=gate)
    await rig.say(connect(), data(1, b"early"))
    await rig.say(frames.reset_frame(1, ErrorCode.CANCEL))
    gate.cancel()
    await rig.settle()
    assert not hasattr(rig, "taken")
    assert [record.outcome for record in rig.records] == ["aborted"]
    assert rig.is_clean()


@on_loop
async def test_a_tunnel_that_begins_while_the_lodge_retires_is_told_so() -> None:
    gate = asyncio.get_running_loop().create_future()
    rig = TunnelRig(gate=gate)
    await rig.say(connect())
    rig.session.retire(at_once=False)
    gate.set_result(None)
    await rig.hear()
    assert rig.taken.told == ["retire False"]
    rig.connection.vanish()
    await rig.settle()


@on_loop
async def test_a_tunnel_keeps_its_connection_and_is_swept() -> None:
    rig = TunnelRig(limits=HttpLimits(idle_timeout=3))
    await rig.open()
    rig.sweep(10)
    assert rig.taken.told == ["sweep"] * 10
    assert not rig.connection.has_sent_eof
    rig.stream.abort()
    await rig.hear()
    rig.sweep(4)
    assert rig.connection.has_sent_eof


@on_loop
async def test_the_kernel_cannot_send_for_a_stream() -> None:
    rig = TunnelRig()
    await rig.open()
    with pytest.raises(NotImplementedError):
        await rig.stream.send_file(0, 0, 1)
    assert isinstance(rig.stream, Http2Tunnel)
    rig.connection.vanish()
    await rig.settle()
