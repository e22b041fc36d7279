"""Server push (RFC 9113 §8.4): what it takes, what it promises, and how it is kept from harming what was asked for."""

from __future__ import annotations

import asyncio

import h2.settings
import pytest

from netlodge.http.message import Fields, Remember, Request, Response
from netlodge.http.session.h2_push import PER_ANSWER, PER_CONNECTION
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_frames import LARGEST_WINDOW, ErrorCode, Setting
from tests.http.session.h2_rig import Client, Raw, ask
from tests.http.session.rig import on_loop

STYLE = Response(200, Fields([("content-type", "text/css")]), b"style")


def page(link: str, status: int = 200, remember: Remember | None = None) -> Response:
    return Response(status, Fields([("link", link)]), b"page", remember=remember)


ONE = "</style.css>; rel=preload"


@on_loop
async def test_what_an_answer_says_will_be_needed_is_sent_along() -> None:
    client = Client(pushes=True)
    client.on("/", page(ONE))
    client.on("/style.css", STYLE)
    fields = [("accept-encoding", "br"), ("accept", "text/html"), ("cookie", "a=1"), ("x-own", "1")]
    answer = await client.ask("/", fields=fields)
    assert answer.body == b"page"
    ((stream_id, pushed),) = client.pushed.items()
    assert stream_id == 2
    assert pushed.request == [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/style.css"),
        ("accept-encoding", "br"),
        ("cookie", "a=1"),
    ]
    assert (pushed.status, pushed.body, pushed.has_ended) == (200, b"style", True)
    assert client.outcomes == [("/", 200, "complete", 4), ("/style.css", 200, "complete", 5)]
    assert client.is_clean()


@on_loop
async def test_a_promise_comes_before_the_head_that_speaks_of_it() -> None:
    raw = Raw(pushes=True)
    raw.on("/", page(ONE))
    raw.on("/style.css", STYLE)
    answered = await raw.say(ask(1))
    assert [(frame.kind, frame.stream_id) for frame in answered] == [
        (frames.PUSH_PROMISE, 1),
        (frames.HEADERS, 1),
        (frames.DATA, 1),
        (frames.HEADERS, 2),
        (frames.DATA, 2),
    ]


@pytest.mark.parametrize(
    ("options", "link", "method", "status"),
    [
        ({}, ONE, "GET", 200),
        ({"pushes": True}, ONE + "; nopush", "GET", 200),
        ({"pushes": True}, "<//b/style.css>; rel=preload", "GET", 200),
        ({"pushes": True}, "</no path>; rel=preload", "GET", 200),
        ({"pushes": True}, ONE, "POST", 200),
        ({"pushes": True}, ONE, "HEAD", 200),
        ({"pushes": True}, ONE, "GET", 404),
        ({"pushes": True, "settings": {h2.settings.SettingCodes.ENABLE_PUSH: 0}}, ONE, "GET", 200),
        ({"pushes": True, "settings": {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 0}}, ONE, "GET", 200),
    ],
)
def test_nothing_is_pushed_that_is_not_wanted_or_allowed(
    options: dict[str, object], link: str, method: str, status: int
) -> None:
    @on_loop
    async def scenario() -> None:
        client = Client(**options)  # type: ignore[arg-type]
        client.on("/", page(link, status))
        client.on("/style.css", STYLE)
        answer = await client.ask("/", method=method)
        assert answer.status == status
        assert client.pushed == {}
        assert len(client.handler.requests) == 1
        assert client.is_clean()

    scenario()


@on_loop
async def test_nothing_is_pushed_twice_or_that_was_asked_for() -> None:
    client = Client(pushes=True)
    client.on("/", page(ONE))
    client.on("/other", page("</style.css>; rel=preload, </>; rel=preload, </other>; rel=preload"))
    client.on("/style.css", STYLE)
    for path in ("/", "/", "/other", "/other"):
        await client.ask(path)
    assert [dict(pushed.request)[":path"] for pushed in client.pushed.values()] == ["/style.css"]


@on_loop
async def test_what_is_pushed_pushes_nothing_itself() -> None:
    client = Client(pushes=True)
    client.on("/", page("</b>; rel=preload"))
    client.on("/b", page("</c>; rel=preload"))
    await client.ask("/")
    assert len(client.pushed) == 1


@on_loop
async def test_promises_are_bounded_for_each_answer_and_each_connection() -> None:
    client = Client(pushes=True)
    for number in range(20):
        link = ", ".join(f"</{number}/{each}>; rel=preload" for each in range(PER_ANSWER + 5))
        client.on(f"/{number}", page(link))
        before = len(client.pushed)
        await client.ask(f"/{number}")
        assert len(client.pushed) - before <= PER_ANSWER
    assert PER_CONNECTION - 20 <= len(client.pushed) <= PER_CONNECTION
    assert client.is_clean()


@on_loop
async def test_a_client_may_end_a_push_before_and_while_it_is_answered() -> None:
    client = Client(pushes=True)
    gate = asyncio.get_running_loop().create_future()
    begun: list[str] = []

    async def slow(request: Request) -> Response:
        begun.append(request.path)
        await asyncio.shield(gate)
        return STYLE

    client.on("/", page("</slow.css>; rel=preload"))
    client.on("/slow.css", slow)
    await client.ask("/")
    assert begun == ["/slow.css"]
    client.h2.reset_stream(2, ErrorCode.CANCEL)
    await client.settle()
    assert client.outcomes == [("/", 200, "complete", 4), ("/slow.css", 0, "aborted", 0)]
    assert client.is_clean()


@on_loop
async def test_a_push_that_is_refused_at_once_is_not_worked_on() -> None:
    raw = Raw(pushes=True)
    raw.on("/", page(ONE))
    raw.on("/style.css", STYLE)
    raw.connection.deliver(ask(1))
    raw.connection.deliver(frames.reset_frame(2, ErrorCode.REFUSED_STREAM))
    await raw.settle()
    assert [request.path for request in raw.handler.requests] == ["/"]
    assert raw.is_clean()


@on_loop
async def test_what_is_pushed_waits_for_what_was_asked_for() -> None:
    raw = Raw([(Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW)], pushes=True)
    raw.on("/", Response(200, Fields([("link", ONE)]), b"x" * 60_000))
    raw.on("/style.css", Response(200, body=b"y" * 60_000))
    answered = await raw.say(ask(1))
    answered += await raw.say(ask(3), frames.window_update_frame(0, 1 << 20))
    assert [frame.stream_id for frame in answered if frame.ends] == [1, 3, 2]


@on_loop
async def test_nothing_is_promised_once_the_end_was_announced() -> None:
    raw = Raw(pushes=True)
    raw.on("/", page(ONE))
    raw.session.retire(at_once=False)
    answered = await raw.say(ask(1))
    assert frames.PUSH_PROMISE not in {frame.kind for frame in answered}


@on_loop
async def test_an_answer_that_promises_is_not_remembered_without_its_promise() -> None:
    raw = Raw(pushes=True)
    raw.on("/", page(ONE, remember=Remember(float("inf"))))
    raw.on("/style.css", STYLE)
    for number in range(1, 9, 2):
        await raw.say(ask(number))
    assert len(raw.recall) == 0
    raw.connect()
    raw.greet()
    assert (await raw.say(ask(1)))[0].kind == frames.PUSH_PROMISE


@on_loop
async def test_the_handler_of_a_push_informs_nobody() -> None:
    client = Client(pushes=True)

    async def hints(request: Request) -> Response:
        request.link.inform(103, Fields([("link", "</x>; rel=preload")]))
        return STYLE

    client.on("/", page(ONE))
    client.on("/style.css", hints)
    await client.ask("/")
    assert client.pushed[2].interim == []
    assert client.pushed[2].status == 200


@on_loop
async def test_a_client_that_takes_fewer_pushes_than_it_said_gets_fewer(caplog: pytest.LogCaptureFixture) -> None:
    raw = Raw([(Setting.MAX_CONCURRENT_STREAMS, 2)], pushes=True)
    raw.on("/", page("</style.css>; rel=preload"))
    raw.on("/style.css", STYLE)
    raw.connection.deliver(ask(1))
    answered = await raw.say(frames.settings_frame([(Setting.MAX_CONCURRENT_STREAMS, 0)]))
    assert [frame.code for frame in answered if frame.kind == frames.RST_STREAM] == [ErrorCode.INTERNAL_ERROR]
    assert caplog.text == ""
    assert raw.is_clean()
