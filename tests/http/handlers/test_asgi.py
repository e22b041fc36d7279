"""ASGI applications: their scope, what they receive and send, what their mistakes become, and what they hear of a client that is gone."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netlodge.core.contracts import Peer
from netlodge.http.handlers.application_answers import BUFFER, Nothing
from netlodge.http.handlers.asgi import MOST_ABANDONED, is_called_as_coroutine
from netlodge.http.message import BodyError, Fields, FileBody, HttpError, Request, Response, TargetForm
from tests.http.handlers.asking import request_of
from tests.http.handlers.hosting import Link, asked, at_once, content, hosted, on_loop, posted, turns

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Scope = dict[str, Any]

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
DISCONNECT = {"type": "http.disconnect"}


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(octets: Any = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": octets, "more_body": more}


def sending(*messages: dict[str, Any]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An application that sends these messages and returns."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return application


# --- The scope ------------------------------------------------------------------------------------------------------------


@on_loop
async def test_the_scope_of_a_request_is_complete() -> None:
    scopes: list[Scope] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await sending(START, body())(scope, receive, send)

    state = {"pool": object()}
    at_once(hosted(application, state=state), asked("GET", "/a/b?x=1&y=%20", {"x-two": "caf\xe9"}))
    assert scopes == [
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/a/b",
            "raw_path": b"/a/b",
            "query_string": b"x=1&y=%20",
            "root_path": "",
            "headers": [(b"host", b"www.example.org"), (b"x-two", b"caf\xe9")],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8080),
            "state": state,
            "extensions": {"http.response.pathsend": {}, "http.response.early_hint": {}},
        }
    ]


@on_loop
async def test_the_account_that_a_login_verified_is_told_and_no_field_can_pretend_to_be_it() -> None:
    request = asked("GET", "/", {"netlodge.user": "mallory", "remote-user": "mallory"})
    assert "netlodge.user" not in await scope_of(request)
    request.route["user"] = "änna"
    assert (await scope_of(request))["netlodge.user"] == "änna"


async def scope_of(request: Request, state: dict[str, Any] | None = None) -> Scope:
    scopes: list[Scope] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await sending(START, body())(scope, receive, send)

    at_once(hosted(application, state=state), request)
    return scopes[0]


@pytest.mark.parametrize(
    ("target", "path", "raw_path"),
    [
        ("/caf%C3%A9", "/café", b"/caf%C3%A9"),
        ("/a%2Fb", "/a/b", b"/a%2Fb"),
        ("/%ff", "/\ufffd", b"/%ff"),
        ("/a?%41", "/a", b"/a"),
        ("/caf\xc3\xa9", "/café", b"/caf\xc3\xa9"),
    ],
)
@on_loop
async def test_the_path_is_decoded_and_the_raw_path_is_not(target: str, path: str, raw_path: bytes) -> None:
    scope = await scope_of(asked("GET", target))
    assert (scope["path"], scope["raw_path"]) == (path, raw_path)


@on_loop
async def test_the_raw_path_is_as_it_came_though_a_router_wrote_the_path_anew() -> None:
    request = asked("GET", "/%7Euser?q")
    request.path = "/~user"
    scope = await scope_of(request)
    assert (scope["path"], scope["raw_path"]) == ("/~user", b"/%7Euser")


@pytest.mark.parametrize(
    ("target", "raw_path"),
    [("http://www.example.org/%41?q", b"/%41"), ("http://www.example.org?%41", b"/")],
)
@on_loop
async def test_the_raw_path_of_an_absolute_target_is_its_path(target: str, raw_path: bytes) -> None:
    request = request_of("GET", target, form=TargetForm.ABSOLUTE)
    request.path = "/A" if b"41" in raw_path else "/"
    assert (await scope_of(request))["raw_path"] == raw_path


@on_loop
async def test_the_root_path_is_what_led_to_the_application_and_stays_in_the_path() -> None:
    scope = await scope_of(asked("GET", "/caf%C3%A9/menu", prefix="/caf%C3%A9"))
    assert (scope["root_path"], scope["path"]) == ("/café", "/café/menu")


@on_loop
async def test_a_unix_socket_has_neither_host_nor_port() -> None:
    scope = await scope_of(asked("GET", "/", peer=Peer("unix:", 0)))
    assert scope["client"] is None
    assert scope["server"] is None


@on_loop
async def test_each_request_has_a_shallow_copy_of_the_state() -> None:
    shared: dict[str, Any] = {"list": []}
    first = await scope_of(asked("GET", "/"), shared)
    first["state"]["mine"] = 1
    first["state"]["list"].append(2)
    assert (await scope_of(asked("GET", "/"), shared))["state"] == {"list": [2]}


@on_loop
async def test_what_an_application_does_to_its_scope_is_its_own() -> None:
    request = asked("GET", "/", {"accept": "*/*"})
    first = await scope_of(request)
    first["headers"].clear()
    first["asgi"].clear()
    first["extensions"].clear()
    again = await scope_of(request)
    assert again["headers"][1] == (b"accept", b"*/*")
    assert again["asgi"]
    assert again["extensions"]


@on_loop
async def test_trailers_are_offered_to_clients_that_take_them() -> None:
    assert "http.response.trailers" in (await scope_of(asked("GET", "/", {"te": "trailers"})))["extensions"]
    assert "http.response.trailers" not in (await scope_of(asked("GET", "/", {"te": "gzip"})))["extensions"]


# --- Receive --------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_request_without_content_is_one_message_then_the_end_of_the_answer() -> None:
    seen: list[dict[str, Any]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        await sending(START, body(b"x"))(scope, receive, send)
        seen.append(await receive())
        seen.append(await receive())

    at_once(hosted(application), asked("GET", "/"))
    assert seen == [{"type": "http.request", "body": b"", "more_body": False}, DISCONNECT, DISCONNECT]


@pytest.mark.parametrize("length", [6, None])
@on_loop
async def test_content_comes_piece_by_piece(length: int | None) -> None:
    seen: list[tuple[bytes, bool]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            seen.append((message["body"], more))
        await sending(START, body())(scope, receive, send)

    request, incoming = posted("/", length)
    answer = asyncio.ensure_future(hosted(application).handle(request))
    await turns()
    incoming.feed(b"abc")
    await turns()
    incoming.feed(b"def")
    incoming.finish()
    assert (await answer).status == 200
    if length is None:
        assert seen == [(b"abc", True), (b"def", True), (b"", False)]
    else:
        assert seen == [(b"abc", True), (b"def", False)], "the last piece of announced content says that it is the last"


@on_loop
async def test_nothing_is_read_of_the_client_before_the_application_asks() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(START, body())(scope, receive, send)

    request, incoming = posted("/", 10)
    at_once(hosted(application), request)
    assert incoming.reads == 0


@on_loop
async def test_a_receive_that_waits_ends_when_the_answer_is_whole() -> None:
    """How Starlette listens for a disconnect beside a stream."""
    seen: list[dict[str, Any]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

        async def listen() -> None:
            seen.append(await receive())

        async with asyncio.TaskGroup() as group:
            group.create_task(listen())
            group.create_task(listen())
            await send(START)
            await asyncio.sleep(0)
            assert not seen
            await send(body(b"x"))

    response = await hosted(application).handle(asked("GET", "/"))
    assert await content(response) == b"x"
    await turns()
    assert seen == [DISCONNECT, DISCONNECT]


@on_loop
async def test_a_receive_that_was_cancelled_harms_no_other() -> None:
    seen: list[dict[str, Any]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        waiting = asyncio.ensure_future(receive())
        other = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await sending(START, body())(scope, receive, send)
        seen.append(await other)

    await hosted(application).handle(asked("GET", "/"))
    await turns()
    assert seen == [DISCONNECT]


@on_loop
async def test_content_that_is_refused_is_a_disconnect_to_the_application_and_an_error_to_the_client() -> None:
    seen: list[object] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        try:
            await send(START)
        except OSError as error:
            seen.append(type(error).__name__)

    request, incoming = posted("/", None)
    answer = asyncio.ensure_future(hosted(application).handle(request))
    await turns()
    incoming.fail(HttpError(413, "Too large.", setting="limits.body_size"))
    with pytest.raises(HttpError) as refused:
        await answer
    assert refused.value.status == 413
    assert seen == [DISCONNECT, "ClientGoneError"]


@on_loop
async def test_a_client_that_goes_in_the_middle_of_its_request_is_a_disconnect() -> None:
    seen: list[object] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive(), await receive()])

    request, incoming = posted("/", 10)
    answer = asyncio.ensure_future(hosted(application).handle(request))
    await turns()
    incoming.feed(b"abc")
    await turns()
    incoming.fail(BodyError("gone"))
    with pytest.raises(BodyError):
        await answer
    assert seen == [{"type": "http.request", "body": b"abc", "more_body": True}, DISCONNECT, DISCONNECT]


@on_loop
async def test_content_that_comes_after_the_answer_is_not_handed_out() -> None:
    seen: list[object] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        reading = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await sending(START, body())(scope, receive, send)
        seen.append(await reading)

    request, incoming = posted("/", 10)
    await hosted(application).handle(request)
    incoming.feed(b"late")
    await turns()
    assert seen == [DISCONNECT]


# --- Send: whole answers ----------------------------------------------------------------------------------------------------


@on_loop
async def test_an_answer_without_a_wait_is_at_hand_and_leaves_no_task() -> None:
    handler = hosted(sending(START, body(b"hello")))
    at_once(handler, asked("GET", "/"))  # the task in waiting is made
    before = asyncio.all_tasks()
    response = at_once(handler, asked("GET", "/"))
    assert (response.status, list(response.fields), response.body) == (200, [("content-type", "text/plain")], b"hello")
    assert asyncio.all_tasks() == before


@on_loop
async def test_pieces_that_came_without_a_wait_leave_as_one() -> None:
    response = at_once(hosted(sending(START, body(b"a", more=True), body(more=True), body(b"b"))), asked("GET", "/"))
    assert response.body == b"ab"


@on_loop
async def test_a_whole_answer_after_a_wait_is_at_hand_too() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await sending(START, body(b"hello"))(scope, receive, send)

    response = await hosted(application).handle(asked("GET", "/"))
    assert response.body == b"hello"


@pytest.mark.parametrize("octets", [bytearray(b"abc"), memoryview(b"abc")])
@on_loop
async def test_content_may_be_anything_made_of_octets(octets: object) -> None:
    assert at_once(hosted(sending(START, body(octets))), asked("GET", "/")).body == b"abc"


@on_loop
async def test_a_whole_answer_is_there_before_the_application_ends() -> None:
    """Background tasks of Starlette."""
    gate = asyncio.get_running_loop().create_future()
    done: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(START, body(b"hello"))(scope, receive, send)
        await gate
        done.append("background")

    response = at_once(hosted(application), asked("GET", "/"))
    assert response.body == b"hello"
    gate.set_result(None)
    await turns()
    assert done == ["background"]


@on_loop
async def test_fields_keep_their_order_and_are_lower_case() -> None:
    headers = [(b"X-B", b"1"), (b"x-a", b"\xe9"), (b"Set-Cookie", b"a=b"), (b"set-cookie", b"c=d")]
    response = at_once(hosted(sending(start(200, *headers), body())), asked("GET", "/"))
    assert list(response.fields) == [("x-b", "1"), ("x-a", "\xe9"), ("set-cookie", "a=b"), ("set-cookie", "c=d")]


@on_loop
async def test_fields_of_the_connection_are_not_the_applications() -> None:
    names = [b"connection", b"keep-alive", b"transfer-encoding", b"Upgrade", b"proxy-connection"]
    response = at_once(hosted(sending(start(200, *((name, b"x") for name in names)), body())), asked("GET", "/"))
    assert not len(response.fields)


@on_loop
async def test_an_application_may_end_the_connection() -> None:
    response = at_once(hosted(sending(start(200, (b"connection", b"Close")), body())), asked("GET", "/"))
    assert list(response.fields) == [("connection", "close")]


@on_loop
async def test_what_is_done_to_one_answer_is_not_done_to_the_next() -> None:
    handler = hosted(sending(START, body(b"x")))
    at_once(handler, asked("GET", "/")).fields.set("x-added", "by somebody further out")
    assert "x-added" not in at_once(handler, asked("GET", "/")).fields


@on_loop
async def test_pairs_of_headers_may_be_lists() -> None:
    message = {"type": "http.response.start", "status": 200, "headers": [[b"x-a", b"1"]]}
    assert list(at_once(hosted(sending(message, body())), asked("GET", "/")).fields) == [("x-a", "1")]


@on_loop
async def test_many_different_heads_are_all_right() -> None:
    handler = None
    sent: list[bytes] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(200, (b"x-number", sent[-1]), (b"x-%d" % len(sent), b"y")), body())(scope, receive, send)

    handler = hosted(application)
    for number in range(600):
        sent.append(b"%d" % number)
        response = at_once(handler, asked("GET", "/"))
        assert response.fields.get("x-number") == str(number)
    sent.append(b"v" * 5000)
    assert at_once(handler, asked("GET", "/")).fields.get("x-number") == "v" * 5000


# --- Send: answers without content ---------------------------------------------------------------------------------------


@on_loop
async def test_head_keeps_the_length_that_get_would_have() -> None:
    announced = at_once(hosted(sending(start(200, (b"content-length", b"5")), body(b""))), asked("HEAD", "/"))
    assert (announced.fields.get("content-length"), announced.body) == ("5", b"")
    whole = at_once(hosted(sending(START, body(b"hello"))), asked("HEAD", "/"))
    assert whole.body == b"hello", "the session counts it and does not send it"
    unknown = at_once(hosted(sending(START, body(b""))), asked("HEAD", "/"))
    assert isinstance(unknown.body, Nothing), "nobody knows the length, so nobody says it"
    assert await content(unknown) == b""


@on_loop
async def test_the_content_of_an_answer_to_head_goes_nowhere_and_waits_for_nobody() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for _ in range(5):
            await send(body(b"x" * BUFFER, more=True))
        await send(body())
        done.append("done")

    done: list[str] = []
    response = await hosted(application).handle(asked("HEAD", "/"))
    assert isinstance(response.body, Nothing)
    await turns()
    assert done == ["done"]


@pytest.mark.parametrize("status", [204, 304])
@on_loop
async def test_204_and_304_have_no_content(status: int) -> None:
    response = at_once(hosted(sending(start(status, (b"etag", b'"x"')), body(b"surplus"))), asked("GET", "/"))
    assert (response.status, response.body) == (status, b"")


# --- Send: streams ----------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_stream_leaves_while_it_is_made() -> None:
    gates = [asyncio.get_running_loop().create_future() for _ in range(2)]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"one", more=True))
        await gates[0]
        await send(body(b"two", more=True))
        await gates[1]
        await send(body())

    response = await hosted(application).handle(asked("GET", "/"))
    stream = aiter(response.body)  # type: ignore[arg-type]
    assert await anext(stream) == b"one"
    waiting = asyncio.ensure_future(anext(stream))
    await turns()
    assert not waiting.done()
    gates[0].set_result(None)
    assert await waiting == b"two"
    gates[1].set_result(None)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@on_loop
async def test_an_application_waits_while_the_client_takes_nothing() -> None:
    sent: list[int] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for number in range(4):
            await send(body(b"x" * BUFFER, more=True))
            sent.append(number)
        await send(body())

    response = await hosted(application).handle(asked("GET", "/"))
    await turns()
    assert sent == [], "the first piece is not taken"
    stream = aiter(response.body)  # type: ignore[arg-type]
    assert len(await anext(stream)) == BUFFER
    await turns()
    assert sent == [0]
    rest = [len(piece) async for piece in stream]
    assert sum(rest) == 3 * BUFFER
    assert sent == [0, 1, 2, 3]


@on_loop
async def test_small_pieces_wait_together_up_to_the_buffer() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(0)
        for _ in range(100):
            await send(body(b"x" * 100, more=True))
        await send(body())

    response = await hosted(application).handle(asked("GET", "/"))
    assert response.body == b"x" * 10_000, "all of it came in one turn"


@on_loop
async def test_the_head_leaves_with_the_first_content_be_it_empty() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(0)
        order.append("content")
        await send(body(b"", more=True))
        await gate
        await send(body())

    order: list[str] = []
    response = await hosted(application).handle(asked("GET", "/"))
    assert order == ["content"]
    gate.set_result(None)
    assert await content(response) == b""


# --- Mistakes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([body(b"x")], "'http.response.body' cannot be sent now: no answer was begun"),
        ([START, START], "'http.response.start' cannot be sent now: the content of its answer has no end yet"),
        ([{"type": "http.response.push"}], "'http.response.push' cannot be sent now"),
        ([{"type": "websocket.accept"}], "'websocket.accept' cannot be sent now"),
        ([start(99)], "the status of an answer must be a number from 200 to 999, not 99"),
        ([start(101)], "not 101"),
        ([start("200")], "not '200'"),  # type: ignore[arg-type]
        ([start(200, (b"content-length", b"-1"))], "content-length must be one decimal number, not '-1'"),
        ([start(200, (b"content-length", b"1" * 30))], "content-length must be one decimal number"),
        ([start(200, ("x-a", "b"))], "headers must be pairs of bytes"),  # type: ignore[arg-type]
        ([start(200, (b"x-a",))], "headers must be pairs of bytes"),  # type: ignore[arg-type]
        ([START, body("text")], "body must be bytes, not str"),
        ([start(200, (b"content-length", b"3")), body(b"four")], "longer than the 3 octets"),
        ([start(200, (b"content-length", b"3")), body(b"12", more=True), body(b"34")], "longer than the 3 octets"),
        ([start(200, (b"content-length", b"3")), body(b"no")], "has 2 octets of the 3"),
        ([], "it returned, but no answer was begun"),
        ([START], "it returned, but the content of its answer has no end yet"),
        ([START, body(b"x", more=True)], "it returned, but the content of its answer has no end yet"),
    ],
)
@on_loop
async def test_a_mistake_is_a_500_and_a_line_in_the_log(
    messages: list[dict[str, Any]], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(HttpError) as refused:
        at_once(hosted(sending(*messages)), asked("GET", "/cart?x"))
    assert refused.value.status == 500
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "shop:app answering GET /cart?x: " in record.getMessage()
    assert said in caplog.text


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(1), asyncio.CancelledError()])
@pytest.mark.parametrize("waits", [False, True])
@on_loop
async def test_an_exception_is_a_500_with_its_traceback_in_the_log(
    error: BaseException, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if waits:
            await asyncio.sleep(0)
        await send(START)
        raise error

    with pytest.raises(HttpError) as refused:
        await hosted(application).handle(asked("GET", "/"))
    assert refused.value.status == 500
    assert "it failed" in caplog.text
    assert "Traceback" in caplog.text
    assert "raise error" in caplog.text


@on_loop
async def test_an_exception_in_a_stream_breaks_it_off(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"x" * BUFFER, more=True))
        raise ValueError("in the middle")

    response = await hosted(application).handle(asked("GET", "/"))
    stream = aiter(response.body)  # type: ignore[arg-type]
    assert await anext(stream)
    with pytest.raises(ConnectionAbortedError):
        await anext(stream)
    assert "in the middle" in caplog.text


@on_loop
async def test_a_stream_that_has_no_end_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"x" * BUFFER, more=True))

    response = await hosted(application).handle(asked("GET", "/"))
    with pytest.raises(ConnectionAbortedError):
        await content(response)
    assert "the content of its answer has no end yet" in caplog.text


@pytest.mark.parametrize("waits", [False, True])
@on_loop
async def test_an_exception_after_a_whole_answer_takes_nothing_of_it(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(START, body(b"whole"))(scope, receive, send)
        if waits:
            await asyncio.sleep(0)
        raise ValueError("too late")

    response = at_once(hosted(application), asked("GET", "/"))
    assert response.body == b"whole"
    await turns()
    assert "it failed after its answer was whole" in caplog.text
    assert "too late" in caplog.text


@on_loop
async def test_what_is_sent_after_the_end_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    messages = [START, body(b"whole"), body(b"more"), START, {"type": "http.response.trailers"}]
    assert at_once(hosted(sending(*messages)), asked("GET", "/")).body == b"whole"
    assert not caplog.records


@on_loop
async def test_an_application_that_is_no_coroutine_function_runs_within_its_task_and_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[object] = []

    def application(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        variable.set("inside")
        seen.append(asyncio.current_task() is not outer)
        return sending(START, body(b"x"))(scope, receive, send)

    outer = asyncio.current_task()
    assert not is_called_as_coroutine(application)
    assert at_once(hosted(application), asked("GET", "/")).body == b"x"
    assert seen == [True]
    assert variable.get() == "unset"


@on_loop
async def test_requests_share_no_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        variable.set(scope["path"])
        await sending(START, body())(scope, receive, send)
        await asyncio.sleep(0)
        seen.append(variable.get())

    handler = hosted(application)
    for path in ("/a", "/b"):
        at_once(handler, asked("GET", path))
    await turns()
    assert seen == ["unset", "unset", "/a", "/b"]


# --- Extensions -----------------------------------------------------------------------------------------------------------


@on_loop
async def test_early_hints_leave_before_the_answer() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]}
    request = asked("GET", "/")
    at_once(hosted(sending(START, hint, body(b"x"))), request)
    assert isinstance(request.link, Link)
    links = [("link", "</a.css>; rel=preload"), ("link", "</b.js>; rel=preload")]
    assert request.link.informed == [(103, links)]


@on_loop
async def test_early_hints_that_come_late_are_dropped() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
    request = asked("GET", "/")
    at_once(hosted(sending(START, body(b"x", more=True), hint, body())), request)
    assert isinstance(request.link, Link)
    assert not request.link.informed


TRAILERS = {"type": "http.response.trailers", "headers": [(b"X-Sum", b"42")]}


@on_loop
async def test_trailers_follow_the_content() -> None:
    more = {"type": "http.response.trailers", "headers": [(b"x-first", b"1")], "more_trailers": True}
    handler = hosted(sending(start(200, trailers=True), body(b"x"), more, TRAILERS))
    response = at_once(handler, asked("GET", "/", {"te": "trailers"}))
    assert await content(response) == b"x"
    assert response.trailers is not None
    assert list(response.trailers()) == [("x-first", "1"), ("x-sum", "42")]


@on_loop
async def test_a_stream_ends_with_its_trailers() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, trailers=True))
        await send(body(b"x"))
        await gate
        await send(TRAILERS)

    response = await hosted(application).handle(asked("GET", "/", {"te": "trailers"}))
    stream = aiter(response.body)  # type: ignore[arg-type]
    assert await anext(stream) == b"x"
    end = asyncio.ensure_future(anext(stream, None))
    await turns()
    assert not end.done()
    gate.set_result(None)
    assert await end is None
    assert response.trailers is not None
    assert list(response.trailers()) == [("x-sum", "42")]


@on_loop
async def test_trailers_for_a_client_that_takes_none_are_dropped() -> None:
    response = at_once(hosted(sending(start(200, trailers=True), body(b"x"), TRAILERS)), asked("GET", "/"))
    assert (response.body, response.trailers) == (b"x", None)


@on_loop
async def test_trailers_that_do_not_come_break_the_answer_off(caplog: pytest.LogCaptureFixture) -> None:
    handler = hosted(sending(start(200, trailers=True), body(b"x")))
    with pytest.raises(HttpError):
        at_once(handler, asked("GET", "/", {"te": "trailers"}))
    assert "the trailers of its answer have no end yet" in caplog.text


def path_of(path: Path) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": str(path)}


@on_loop
async def test_a_file_is_left_to_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content of a file")
    response = at_once(hosted(sending(START, path_of(file))), asked("GET", "/"))
    assert isinstance(response.body, FileBody)
    assert await content(response) == b"content of a file"


@on_loop
async def test_a_file_that_grew_is_sent_as_far_as_it_was_announced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content and more")
    response = at_once(hosted(sending(start(200, (b"content-length", b"7")), path_of(file))), asked("GET", "/"))
    assert await content(response) == b"content"


@on_loop
async def test_a_file_is_not_opened_for_head(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    response = at_once(hosted(sending(START, path_of(file))), asked("HEAD", "/"))
    assert (response.body, response.fields.get("content-length")) == (b"", "7")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_bytes(b"x"), lambda path: None])
@on_loop
async def test_what_is_no_file_of_that_length_is_a_500(
    make: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / "file")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(HttpError):
        at_once(hosted(sending(start(200, (b"content-length", b"7")), path_of(tmp_path / "file"))), asked("GET", "/"))
    assert caplog.records
    assert len(os.listdir("/proc/self/fd")) <= len(before)


@on_loop
async def test_a_file_that_nobody_waits_for_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await sending(START, path_of(file))(scope, receive, send)
        answer.cancel()

    before = len(os.listdir("/proc/self/fd"))
    answer = asyncio.ensure_future(hosted(application).handle(asked("GET", "/")))
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert len(os.listdir("/proc/self/fd")) == before


# --- A client that is gone --------------------------------------------------------------------------------------------------


async def abandoned(application: Any, *, grace: float = 30.0) -> Any:
    """An application whose client went away while it had not begun to answer."""
    handler = hosted(application, grace=grace)
    answer = asyncio.ensure_future(handler.handle(asked("GET", "/")))
    await turns()
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer
    return handler


@on_loop
async def test_an_application_is_told_and_not_cancelled() -> None:
    seen: list[object] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        seen.append(await receive())
        for message in (START, body(b"x")):
            try:
                await send(message)
            except OSError as error:
                seen.append(str(error))
        await asyncio.sleep(0)
        seen.append("cleaned up")

    await abandoned(application)
    await turns()
    assert seen == [DISCONNECT, "the client went away", "the client went away", "cleaned up"]


@on_loop
async def test_a_client_that_ended_its_side_counts_as_gone_but_has_its_answer() -> None:
    """Somebody who waits for a disconnect hears of it; who sends is heard."""
    seen: list[object] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        seen.append(await receive())
        seen.append(await receive())
        await sending(START, body(b"still"))(scope, receive, send)

    request = asked("GET", "/")
    answer = asyncio.ensure_future(hosted(application).handle(request))
    await turns()
    assert isinstance(request.link, Link)
    request.link.tell()
    assert (await answer).body == b"still"
    assert seen == [DISCONNECT, DISCONNECT]


@on_loop
async def test_a_stream_that_nobody_takes_any_more_is_told() -> None:
    seen: list[object] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        try:
            while True:
                await send(body(b"x" * BUFFER, more=True))
        except OSError as error:
            seen.append(type(error).__name__)
        seen.append(await receive())

    response = await hosted(application).handle(asked("GET", "/"))
    stream = aiter(response.body)  # type: ignore[arg-type]
    await anext(stream)
    await response.body.aclose()  # type: ignore[union-attr]
    await turns()
    assert seen == ["ClientGoneError", DISCONNECT]


@on_loop
async def test_errors_that_a_vanished_client_brings_about_are_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()
        await send(START)

    async def defective(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()
        raise ValueError("of the client")

    await abandoned(application)
    await abandoned(defective)
    await turns()
    assert not caplog.records


@on_loop
async def test_an_application_has_its_grace() -> None:
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            seen.append("cancelled")

    handler = await abandoned(application)
    await turns()
    assert seen == [], "the grace is not over"
    await handler.finish(0)
    assert seen == ["cancelled"]


@on_loop
async def test_an_application_that_does_not_end_is_cancelled_after_its_grace(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                seen.append("cancelled")

    await abandoned(application, grace=0.0)
    while len(seen) < 2:  # noqa: ASYNC110  nobody else is to tell
        await asyncio.sleep(0)
    assert "shop:app still ran 0 s after its client went away: cancelled" in caplog.text


@on_loop
async def test_when_too_many_are_abandoned_the_oldest_is_cancelled() -> None:
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            seen.append(scope["path"])

    handler = hosted(application)
    for number in range(MOST_ABANDONED + 2):
        answer = asyncio.ensure_future(handler.handle(asked("GET", f"/{number}")))
        await asyncio.sleep(0)
        answer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answer
    await turns()
    assert seen == ["/0", "/1"]
    await handler.finish(0)


# --- The end of the worker ---------------------------------------------------------------------------------------------------


@on_loop
async def test_what_still_runs_may_end_and_is_cancelled_if_it_does_not(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    gate = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(START, body())(scope, receive, send)
        try:
            await (gate if scope["path"] == "/ends" else asyncio.get_running_loop().create_future())
            seen.append("ended")
        except asyncio.CancelledError:
            seen.append("cancelled")

    handler = hosted(application)
    for path in ("/ends", "/stays"):
        at_once(handler, asked("GET", path))
    asyncio.get_running_loop().call_soon(gate.set_result, None)
    await handler.finish(0.01)
    assert seen == ["ended", "cancelled"]
    assert "still runs as the worker ends: cancelled" in caplog.text
    await hosted(application).finish(1.0)


# --- What others may be given ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "request_fields", "headers", "octets", "seconds"),
    [
        ("GET", {}, {b"cache-control": b"public, max-age=60"}, b"x", 60),
        ("GET", {}, {b"cache-control": b"max-age=60, s-maxage=10"}, b"x", 10),
        ("GET", {}, {b"cache-control": b"max-age=60", b"vary": b"accept"}, b"x", 60),
        ("GET", {}, {b"cache-control": b"max-age=60"}, b"x" * 65536, 60),
        ("GET", {}, {b"cache-control": b"max-age=60"}, b"x" * 65537, None),
        ("GET", {}, {b"cache-control": b"max-age=60", b"age": b"1"}, b"x", None),
        ("GET", {}, {}, b"x", None),
        ("GET", {}, {b"cache-control": b"private, max-age=60"}, b"x", None),
        ("GET", {}, {b"cache-control": b"max-age=60", b"set-cookie": b"a=b"}, b"x", None),
        ("GET", {"cookie": "a=b"}, {b"cache-control": b"max-age=60"}, b"x", None),
        ("POST", {}, {b"cache-control": b"max-age=60"}, b"x", None),
    ],
)
@on_loop
async def test_an_answer_is_for_others_only_as_its_cache_control_says(
    method: str, request_fields: dict[str, str], headers: dict[bytes, bytes], octets: bytes, seconds: int | None
) -> None:
    handler = hosted(sending(start(200, *headers.items()), body(octets)))
    remember = at_once(handler, asked(method, "/", request_fields)).remember
    if seconds is None:
        assert remember is None
    else:
        assert remember is not None
        assert (remember.expires, remember.born) == (1000.0 + seconds, 1000.0)
        assert remember.reads == (frozenset({"accept"}) if b"vary" in headers else frozenset())


# --- WebSocket ----------------------------------------------------------------------------------------------------------------


class Socket:
    async def handle(self, request: Request) -> Response:
        return Response(101, Fields())


@on_loop
async def test_a_websocket_handshake_goes_to_who_answers_those() -> None:
    fields = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }
    handler = hosted(sending(START, body(b"http")), websocket=Socket())
    assert at_once(handler, asked("GET", "/", fields)).status == 101
    assert at_once(handler, asked("GET", "/", {"connection": "upgrade", "upgrade": "h2c"})).body == b"http"
    assert at_once(hosted(sending(START, body(b"http"))), asked("GET", "/", fields)).body == b"http"


# --- How an object is called ---------------------------------------------------------------------------------------------------


class Callable3:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Callable2:
    def __call__(self, environ: Scope, start_response: object) -> Iterator[bytes]:
        yield b""


@pytest.mark.parametrize(
    ("target", "is_it"),
    [(sending(), True), (Callable3(), True), (Callable2(), False), (Callable3, False), (print, False)],
)
def test_what_is_called_as_a_coroutine(target: object, is_it: bool) -> None:
    assert is_called_as_coroutine(target) is is_it
