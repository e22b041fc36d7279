"""What an ASGI application sees of a WebSocket, and what becomes of what it sends (ASGI 3.0, WebSocket messages of version 2.5)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import pytest

from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Connection
from netlodge.http.handlers.asgi_scope import AsgiMessage, AsgiReceive, AsgiSend, ScopeMaker
from netlodge.http.handlers.asgi_websocket import AFTER, AsgiWebSocket, Stage
from netlodge.http.message import HttpError, Response
from netlodge.http.rules.websocket import DeflateTerms
from netlodge.http.session.websocket import WebSocketLimits, WebSocketSession
from netlodge.http.wire.websocket_events import Binary, Close, Event, Text
from tests.fakes import MemoryConnection
from tests.http.handlers.asking import request_of
from tests.http.rules.test_websocket import FIELDS
from tests.http.session.websocket_rig import turns
from tests.http.wire.websocket_feeding import client as client_codec
from tests.http.wire.websocket_feeding import outcome

Application = Callable[[dict[str, Any], AsgiReceive, AsgiSend], Awaitable[None]]


class Bench:
    """An application behind its handler, and a client in front of it."""

    def __init__(self, application: Application, *, compress: bool = True, grace: float = 100.0) -> None:
        loop = asyncio.get_running_loop()
        self.clock = FakeClock()
        self.connection = MemoryConnection()
        self.client = client_codec()
        self.terms: DeflateTerms | None = None

        def open_session(connection: Connection, received: bytes, deflate: DeflateTerms | None) -> WebSocketSession:
            self.terms = deflate
            return WebSocketSession(connection, received, None, limits=WebSocketLimits(), clock=self.clock, loop=loop)

        self.handler = AsgiWebSocket(
            application,  # type: ignore[arg-type]
            scope_of=ScopeMaker({"shared": 1}).scope_of,
            open_session=open_session,
            clock=self.clock,
            loop=loop,
            grace=grace,
            compress=compress,
        )

    async def ask(self, target: str = "/chat", **fields: str) -> Response:
        """The answer to a handshake."""
        more = {name.replace("_", "-"): value for name, value in fields.items()}
        return await self.handler.handle(request_of("GET", target, FIELDS | more))

    async def connect(self, **fields: str) -> Response:
        """The answer to a handshake, and the stream handed over."""
        response = await self.ask(**fields)
        assert response.takeover is not None
        self.connection.session = response.takeover(self.connection, b"")
        await turns()
        return response

    async def say(self, *events: Event) -> None:
        self.connection.deliver(b"".join(map(self.client.send, events)))
        await turns()

    def heard(self) -> list[Event]:
        events, error = outcome(self.client, [self.connection.take()])
        assert error is None
        return events


def on_bench(
    application: Application,
    scenario: Callable[[Bench], Coroutine[Any, Any, None]],
    *,
    compress: bool = True,
    grace: float = 100.0,
) -> None:
    async def run() -> None:
        bench = Bench(application, compress=compress, grace=grace)
        await asyncio.wait_for(scenario(bench), 20)
        await bench.handler.finish(0.0)

    asyncio.run(run())


async def echo(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def refused(bench: Bench, **fields: str) -> HttpError:
    with pytest.raises(HttpError) as caught:
        await bench.ask(**fields)
    return caught.value


# --- the scope ----------------------------------------------------------------------------------------------------------


def test_the_scope_says_what_was_asked() -> None:
    scopes: list[dict[str, Any]] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        await send({"type": "websocket.accept"})

    async def scenario(bench: Bench) -> None:
        await bench.connect(sec_websocket_protocol="chat, superchat")

    on_bench(application, scenario)
    (scope,) = scopes
    assert scope["type"] == "websocket"
    assert scope["scheme"] == "ws"
    assert scope["path"] == "/chat"
    assert scope["subprotocols"] == ["chat", "superchat"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert scope["state"] == {"shared": 1}
    assert scope["asgi"]["version"] == "3.0"
    assert (b"sec-websocket-version", b"13") in scope["headers"]
    assert "method" not in scope


def test_the_scheme_is_wss_where_the_request_came_over_tls() -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept", "headers": [(b"x-scheme", scope["scheme"].encode())]})

    async def scenario(bench: Bench) -> None:
        request = request_of("GET", "/", FIELDS)
        request.scheme = "https"
        response = await bench.handler.handle(request)
        assert response.fields.get("x-scheme") == "wss"

    on_bench(application, scenario)


def test_each_application_runs_in_a_task_and_a_context_of_its_own() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    tasks = set()

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        assert variable.get() == 0
        variable.set(1)
        async with asyncio.timeout(5):
            tasks.add(asyncio.current_task())
            await echo(scope, receive, send)

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        await bench.ask()
        assert len(tasks) == 2
        assert variable.get() == 0
        await bench.say(Close())

    on_bench(application, scenario)


# --- accept -----------------------------------------------------------------------------------------------------------------


def test_accept_is_a_101_with_the_fields_of_the_application() -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        headers = [(b"X-Hello", b"\xe4"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d"), (b"connection", b"close")]
        await send({"type": "websocket.accept", "subprotocol": "chat", "headers": headers})

    async def scenario(bench: Bench) -> None:
        response = await bench.connect(sec_websocket_protocol="other, chat")
        assert response.status == 101
        assert response.remember is None
        assert list(response.fields) == [
            ("upgrade", "websocket"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-protocol", "chat"),
            ("x-hello", "\xe4"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
        ]

    on_bench(application, scenario)


@pytest.mark.parametrize("compress", [True, False])
def test_compression_is_agreed_to_where_it_is_wanted(compress: bool) -> None:
    async def scenario(bench: Bench) -> None:
        response = await bench.connect(sec_websocket_extensions="permessage-deflate; client_max_window_bits")
        said = response.fields.get("sec-websocket-extensions")
        assert said == ("permessage-deflate; client_max_window_bits=12" if compress else None)
        assert (bench.terms is not None) is compress

    on_bench(echo, scenario, compress=compress)


def test_what_the_application_sends_right_after_accept_waits_for_the_stream() -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})

    async def scenario(bench: Bench) -> None:
        response = await bench.ask()
        await turns()
        assert bench.heard() == []
        assert response.takeover is not None
        bench.connection.session = response.takeover(bench.connection, b"")
        await turns()
        assert bench.heard() == [Text("hello"), Close(1000)]

    on_bench(application, scenario)


@pytest.mark.parametrize(
    "accept",
    [
        {"subprotocol": "never asked for"},
        {"headers": [(b"sec-websocket-protocol", b"chat")]},
        {"headers": [(b"Sec-WebSocket-Accept", b"x")]},
        {"headers": [("text", "text")]},
        {"headers": b"text"},
    ],
)
def test_an_accept_that_cannot_be_is_a_defect_of_the_application(
    accept: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept", **accept})

    async def scenario(bench: Bench) -> None:
        assert (await refused(bench, sec_websocket_protocol="chat")).status == 500

    on_bench(application, scenario)
    assert "the application failed at the WebSocket /chat" in caplog.text


# --- receive and send ---------------------------------------------------------------------------------------------------------


def test_messages_go_both_ways() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.connect()
        await bench.say(Text("text"), Binary(b"\x00\xff"), Text(""), Binary(b""))
        assert bench.heard() == [Text("text"), Binary(b"\x00\xff"), Text(""), Binary(b"")]

    on_bench(echo, scenario)


def test_received_messages_have_text_or_bytes() -> None:
    received: list[AsgiMessage] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        received.extend([await receive() for _ in range(4)])

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        await bench.say(Text("t"), Binary(b"b"), Close(4000, "why"))

    on_bench(application, scenario)
    assert received == [
        {"type": "websocket.receive", "text": "t"},
        {"type": "websocket.receive", "bytes": b"b"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "why"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "why"},
    ]


@pytest.mark.parametrize("content", [b"octets", bytearray(b"octets"), memoryview(b"octets")])
def test_bytes_may_be_any_octets(content: object) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": content, "text": None})

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        assert bench.heard()[0] == Binary(b"octets")

    on_bench(application, scenario)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"text": None, "bytes": None},
        {"text": "both", "bytes": b"both"},
        {"text": b"x"},
        {"bytes": "x"},
        {"text": "\ud800"},
    ],
)
def test_a_message_that_is_none_is_a_defect_of_the_application(
    content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", **content})

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        assert bench.heard() == [Close(1011)]

    on_bench(application, scenario)
    assert "the application failed" in caplog.text


# --- closing --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "close"),
    [
        ({}, Close(1000)),
        ({"code": 4001, "reason": "over"}, Close(4001, "over")),
        ({"code": None, "reason": None}, Close(1000)),
    ],
)
def test_close_after_accept_has_its_code_and_its_reason(message: Mapping[str, Any], close: Close) -> None:
    told: list[AsgiMessage] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", **message})
        told.append(await receive())

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        assert bench.heard() == [close]
        await bench.say(Text("on its way"), Close(close.code))

    on_bench(application, scenario)
    assert told == [{"type": "websocket.disconnect", "code": close.code, "reason": ""}]


def test_close_before_accept_is_403() -> None:
    told: list[AsgiMessage] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4000})
        told.append(await receive())
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.accept"})
        told.append({"type": "the end"})

    async def scenario(bench: Bench) -> None:
        assert (await refused(bench)).status == 403
        await turns()

    on_bench(application, scenario)
    assert told == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}, {"type": "the end"}]


def test_an_application_that_returns_closes_with_1000() -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        assert bench.heard() == [Close(1000)]

    on_bench(application, scenario)


def test_an_application_that_fails_closes_with_1011_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        raise ZeroDivisionError("its defect")

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        assert bench.heard() == [Close(1011)]

    on_bench(application, scenario)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert "/chat" in record.getMessage()


@pytest.mark.parametrize("defect", [ZeroDivisionError("its defect"), SystemExit(3)])
def test_an_application_that_fails_before_it_answers_is_500(
    defect: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        raise defect

    async def scenario(bench: Bench) -> None:
        assert (await refused(bench)).status == 500

    on_bench(application, scenario)
    assert len(caplog.records) == 1


def test_an_application_that_returns_without_an_answer_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await receive()

    async def scenario(bench: Bench) -> None:
        assert (await refused(bench)).status == 500

    on_bench(application, scenario)
    assert "unanswered" in caplog.text


def test_a_handshake_that_is_wrong_does_not_reach_the_application() -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        raise AssertionError

    async def scenario(bench: Bench) -> None:
        assert (await refused(bench, sec_websocket_key="short")).status == 400
        assert (await refused(bench, sec_websocket_version="8")).status == 426

    on_bench(application, scenario)


# --- clients that are gone ----------------------------------------------------------------------------------------------------------


def test_send_raises_oserror_when_the_client_is_gone_and_that_is_no_defect(caplog: pytest.LogCaptureFixture) -> None:
    steps: list[str] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        await receive()
        assert (await receive())["code"] == 1006
        try:
            await send({"type": "websocket.send", "text": "anybody?"})
        finally:
            steps.append("cleaned up")

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        bench.connection.vanish()
        await turns()

    on_bench(application, scenario)
    assert steps == ["cleaned up"]
    assert not caplog.records


def test_what_fails_after_the_client_went_is_not_worth_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        raise ValueError("gone")

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        bench.connection.vanish()
        await turns()

    with caplog.at_level(logging.DEBUG):
        on_bench(application, scenario)
    (record,) = [record for record in caplog.records if record.name == "netlodge.applications"]
    assert record.levelno == logging.DEBUG


def test_a_client_that_leaves_before_the_answer_is_told_and_nobody_is_cancelled() -> None:
    told: list[AsgiMessage] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await receive()
        told.append(await receive())
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.accept"})
        told.append({"type": "the end"})

    async def scenario(bench: Bench) -> None:
        asking = asyncio.get_running_loop().create_task(bench.ask())
        await turns()
        asking.cancel()
        await turns()
        assert asking.cancelled()

    on_bench(application, scenario)
    assert [message["type"] for message in told] == ["websocket.disconnect", "the end"]


def test_an_answer_that_never_leaves_ends_the_wait_for_it() -> None:
    ends: list[str] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        try:
            await send({"type": "websocket.accept"})
        except OSError:
            ends.append((await receive())["type"])
            ends.append((await receive())["type"])
            raise

    async def scenario(bench: Bench) -> None:
        response: Response | None = await bench.ask()
        await turns()
        assert ends == []
        assert response is not None
        response = None  # a wrapping handler failed, or the client vanished as its head was written
        gc.collect()
        await turns()
        assert ends == ["websocket.connect", "websocket.disconnect"]

    on_bench(application, scenario)


def test_an_application_that_gives_up_its_accept_closes_when_the_stream_comes(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]
        await send({"type": "websocket.accept"})

    async def scenario(bench: Bench) -> None:
        response = await bench.ask()
        await turns()
        assert response.takeover is not None
        response.takeover(bench.connection, b"")
        assert bench.heard() == [Close(1011)]

    on_bench(application, scenario)
    assert caplog.records


def test_nothing_is_sent_before_accept_is_through(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        accepting = asyncio.ensure_future(send({"type": "websocket.accept"}))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="not over"):
            await send({"type": "websocket.send", "text": "x"})
        await accepting

    async def scenario(bench: Bench) -> None:
        response = await bench.ask()
        await turns()
        assert response.takeover is not None
        response.takeover(bench.connection, b"")
        await turns()
        assert bench.heard() == [Close(1000)]

    on_bench(application, scenario)
    assert not caplog.records


@pytest.mark.parametrize("before", [True, False])
def test_an_application_that_goes_on_without_a_client_is_cancelled_after_its_grace(
    before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[str] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        if not before:
            await send({"type": "websocket.accept"})
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            steps.append("cancelled")

    async def scenario(bench: Bench) -> None:
        if before:
            asking = asyncio.get_running_loop().create_task(bench.ask())
            await turns()
            asking.cancel()
        else:
            await bench.connect()
            bench.connection.vanish()
        while not steps:
            await turns()

    on_bench(application, scenario, grace=0.0)
    assert "still ran 0 s after its end" in caplog.text


def test_an_application_that_does_not_end_is_cancelled_when_the_worker_ends() -> None:
    steps: list[str] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            steps.append("cancelled")
            raise

    async def scenario(bench: Bench) -> None:
        await bench.connect()
        await bench.handler.finish(0.01)
        assert steps == ["cancelled"]

    on_bench(application, scenario)


def test_an_application_that_is_ending_is_waited_for() -> None:
    steps: list[str] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.accept"})
        await turns()
        steps.append("saved")

    async def scenario(bench: Bench) -> None:
        response = await bench.ask()
        assert response.takeover is not None
        response.takeover(bench.connection, b"")
        await bench.handler.finish(10)
        assert steps == ["saved"]

    on_bench(application, scenario)


# --- websocket.http.response ----------------------------------------------------------------------------------------------------------


def test_a_denial_has_the_status_the_fields_and_the_body_of_the_application() -> None:
    told: list[str] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await receive()
        headers = [(b"www-authenticate", b"Basic"), (b"cache-control", b"max-age=60")]
        await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"who are you?"})
        told.append((await receive())["type"])
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.http.response.body", "body": b"more"})
        told.append("the end")

    async def scenario(bench: Bench) -> None:
        response = await bench.ask()
        assert response.status == 404
        assert response.fields.get("www-authenticate") == "Basic"
        assert response.body == b"who are you?"
        assert response.remember is None
        assert response.takeover is None
        await turns()

    on_bench(application, scenario)
    assert told == ["websocket.disconnect", "the end"]


def test_a_denial_may_come_in_pieces() -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.http.response.start", "status": 403})
        for _ in range(5):
            await send({"type": "websocket.http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "websocket.http.response.body"})

    async def scenario(bench: Bench) -> None:
        response = await bench.ask()
        body = response.body
        assert not isinstance(body, bytes)
        assert hasattr(body, "__aiter__")
        assert b"".join([piece async for piece in body]) == b"x" * 500_000

    on_bench(application, scenario)


def test_a_denial_that_breaks_off_is_told_to_who_sends_it(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.http.response.start", "status": 403})
        await send({"type": "websocket.http.response.body", "body": b"x", "more_body": True})
        await turns()
        raise ZeroDivisionError

    async def scenario(bench: Bench) -> None:
        body = (await bench.ask()).body
        assert not isinstance(body, bytes)
        assert hasattr(body, "__aiter__")
        with pytest.raises(ConnectionAbortedError):
            [piece async for piece in body]

    on_bench(application, scenario)
    assert "the application failed" in caplog.text


def test_a_denial_that_never_gets_a_body_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.http.response.start", "status": 403})

    async def scenario(bench: Bench) -> None:
        assert (await refused(bench)).status == 500

    on_bench(application, scenario)
    assert caplog.records


def test_a_denial_with_an_impossible_status_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.http.response.start", "status": 101})

    async def scenario(bench: Bench) -> None:
        assert (await refused(bench)).status == 500

    on_bench(application, scenario)
    assert caplog.records


@pytest.mark.parametrize("waits", [True, False])
def test_a_client_that_leaves_before_a_denial_is_whole_is_told(waits: bool) -> None:
    raised: list[type] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "websocket.http.response.start", "status": 403})
        if not waits:
            await turns()
        try:
            await send({"type": "websocket.http.response.body", "body": b"x" * 100_000, "more_body": True})
        except OSError as error:
            raised.append(type(error))

    async def scenario(bench: Bench) -> None:
        asking = asyncio.get_running_loop().create_task(bench.ask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        await turns()
        assert asking.cancelled()

    on_bench(application, scenario)
    assert len(raised) == 1


# --- what may be sent when ------------------------------------------------------------------------------------------------------------

TYPES = [*sorted({kind for _, kind in AFTER}), "websocket.receive", "http.response.start"]
MESSAGES: dict[str, dict[str, Any]] = {
    "websocket.send": {"text": "x"},
    "websocket.http.response.start": {"status": 403},
    "websocket.http.response.body": {"body": b"", "more_body": True},
}


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("kind", TYPES)
def test_what_is_not_in_the_table_is_refused(stage: Stage, kind: str) -> None:
    outcomes: list[str] = []

    async def application(scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        if stage in {Stage.OPEN, Stage.CLOSED}:
            await send({"type": "websocket.accept"})
        if stage is Stage.CLOSED:
            await send({"type": "websocket.close"})
        if stage is Stage.DENYING:
            await send({"type": "websocket.http.response.start", "status": 403})
        try:
            await send({"type": kind, **MESSAGES.get(kind, {})})
        except OSError:
            outcomes.append("closed")
        except RuntimeError:
            outcomes.append("refused")
        else:
            outcomes.append("taken")

    async def scenario(bench: Bench) -> None:
        try:
            response = await bench.ask()
            if response.takeover is not None:
                response.takeover(bench.connection, b"")
        except HttpError:
            pass
        await turns()

    on_bench(application, scenario)
    if stage is Stage.CLOSED and kind in {known for _, known in AFTER}:
        assert outcomes == ["closed"]
    else:
        assert outcomes == ["taken" if (stage, kind) in AFTER else "refused"]
