"""Exchanges over HTTP/2, and every way in which one can end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from netlodge.http.message import Body, BodyError, Fields, FileBody, HttpError, Remember, Request, Response
from netlodge.http.session.h2_turns import QUANTUM
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_frames import ErrorCode
from tests.http.session.h2_rig import Client, Raw, ask, data, head_block, open_descriptors
from tests.http.session.rig import Act, on_loop

HELLO = Response(200, Fields([("content-type", "text/plain")]), b"hello\n")
LARGE = bytes(range(256)) * 4096  # 1 MiB


async def echo(request: Request) -> Response:
    pieces = []
    while piece := await request.body.read():
        pieces.append(piece)
    return Response(200, body=b"".join(pieces), fields=Fields([("x-trailers", str(request.body.trailers))]))


class Pieces:
    """A streamed body that counts how often it is given back."""

    def __init__(self, *pieces: bytes | Exception, waits: asyncio.Future[None] | None = None) -> None:
        self._pieces = list(pieces)
        self._waits = waits
        self.given_back = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            if self._waits is not None:
                await self._waits
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        self.given_back += 1


def fixed(make: Callable[[], Response]) -> Act:
    """An answer that is made anew each time."""

    async def act(request: Request) -> Response:
        return make()

    return act


# --- RFC 9113 §8.1: an exchange ---------------------------------------------------------------------------------------------------


@on_loop
async def test_an_answer_is_complete_and_the_connection_goes_on() -> None:
    client = Client()
    client.on("/hello", HELLO)
    for _ in range(3):
        answer = await client.ask("/hello")
        assert answer.fields == [
            (":status", "200"),
            ("server", "netlodge"),
            ("content-type", "text/plain"),
            ("content-length", "6"),
            ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ]
        assert (answer.body, answer.has_ended, answer.reset) == (b"hello\n", True, None)
    assert client.outcomes == [("/hello", 200, "complete", 6)] * 3
    assert client.is_clean()


@on_loop
async def test_the_handler_sees_the_request_as_over_any_version() -> None:
    client = Client()
    client.on("/a", HELLO)
    await client.ask("/a?b=c", fields=[("cookie", "a=1"), ("cookie", "b=2"), ("x-own", "1")])
    request = client.handler.requests[0]
    assert (request.method, request.path, request.query, request.version) == ("GET", "/a", "b=c", "2")
    assert (request.host, request.scheme, request.body.length) == ("a", "http", 0)
    assert request.fields.get("host") == "a"
    assert request.fields.get("cookie") == "a=1; b=2"
    assert await request.body.read() == b""


@on_loop
async def test_a_record_tells_what_passed() -> None:
    client = Client()
    client.on("/echo", echo)
    await client.ask("/echo", method="POST", body=b"content", fields=[("user-agent", "t"), ("referer", "/r")])
    (record,) = client.records
    assert (record.version, record.method, record.target, record.host) == ("2", "POST", "/echo", "a")
    assert (record.user_agent, record.referer, record.door, record.scheme) == ("t", "/r", "web", "http")
    assert (record.received, record.sent, record.status, record.outcome) == (7, 7, 200, "complete")
    assert (record.request_body, record.response_body) == (b"content", b"content")
    assert record.request_head == b"POST /echo HTTP/2.0\r\nhost: a\r\nuser-agent: t\r\nreferer: /r\r\n\r\n"
    assert record.response_head.startswith(b"HTTP/2.0 200 OK\r\nserver: netlodge\r\n")
    assert record.response_head.endswith(b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n")


@on_loop
async def test_the_account_that_access_control_verified_is_noted() -> None:
    client = Client()

    async def known(request: Request) -> Response:
        request.route["user"] = "ada"
        return Response(204)

    client.on("/", known)
    await client.ask("/")
    assert client.records[0].user == "ada"


@on_loop
async def test_what_is_answered_in_one_read_leaves_in_one_write() -> None:
    raw = Raw()
    raw.on("/", HELLO)
    before = raw.connection.writes
    raw.connection.deliver(b"".join(ask(number) for number in range(1, 33, 2)))
    await raw.settle()
    assert raw.connection.writes == before + 1


@on_loop
async def test_what_several_handlers_answer_in_one_turn_of_the_loop_leaves_in_one_write() -> None:
    raw = Raw()
    gate = asyncio.get_running_loop().create_future()

    async def late(request: Request) -> Response:
        await gate
        return Response(200, body=b"late")

    raw.on("/", late)
    await raw.say(*(ask(number) for number in range(1, 33, 2)))
    before = raw.connection.writes
    gate.set_result(None)
    await raw.settle()
    assert raw.connection.writes == before + 1
    assert len(raw.records) == 16


@on_loop
async def test_answers_come_in_the_order_in_which_they_are_ready() -> None:
    raw = Raw()
    gate = asyncio.get_running_loop().create_future()

    async def late(request: Request) -> Response:
        await gate
        return Response(200, body=b"late")

    raw.on("/late", late)
    raw.on("/", HELLO)
    assert [frame.stream_id for frame in await raw.say(ask(1, "/late"), ask(3))] == [3, 3]
    gate.set_result(None)
    assert [frame.stream_id for frame in await raw.hear()] == [1, 1]


@on_loop
async def test_trailers_of_a_request_are_read_after_its_content() -> None:
    client = Client()
    client.on("/", echo)
    stream_id = client.send("/", method="POST", body=b"content", ends=False)
    client.h2.send_headers(stream_id, [("x-checksum", "1")], end_stream=True)
    await client.settle()
    assert client.answers[stream_id].get("x-trailers") == "Fields([('x-checksum', '1')])"


@on_loop
async def test_trailers_of_an_answer_come_after_its_content() -> None:
    client = Client()
    bodies: list[tuple[str, Body]] = [("/streamed", Pieces(b"a" * 20_000, b"b")), ("/empty", Pieces()), ("/here", b"c")]
    for path, body in bodies:
        client.on(path, Response(200, body=body, trailers=lambda: Fields([("x-sum", "1")])))
        answer = await client.ask(path)
        assert answer.trailers == [("x-sum", "1")]
        assert answer.has_ended
    assert [record.sent for record in client.records] == [20_001, 0, 1]
    assert client.is_clean()


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)])
def test_an_answer_without_content_ends_with_its_head(method: str, status: int) -> None:
    @on_loop
    async def scenario() -> None:
        client = Client()
        pieces = Pieces(b"content")
        before = open_descriptors()
        client.on("/bytes", Response(status, body=b"content"))
        client.on("/stream", Response(status, body=pieces))
        client.on("/file", fixed(lambda: Response(status, body=FileBody(os.open(__file__, os.O_RDONLY), [(0, 10)]))))
        for path in ("/bytes", "/stream", "/file"):
            answer = await client.ask(path, method=method)
            assert (answer.status, answer.body, answer.has_ended) == (status, b"", True)
        assert pieces.given_back == 1
        assert open_descriptors() == before
        assert [record.sent for record in client.records] == [0, 0, 0]
        lengths = [client.answers[number].get("content-length") for number in (1, 3, 5)]
        assert lengths == ([None] * 3 if status in {204, 304} else ["7", None, "10"])
        assert client.is_clean()

    scenario()


@on_loop
async def test_interim_answers_come_before_the_final_one_and_not_after() -> None:
    client = Client()

    async def hints(request: Request) -> Response:
        request.link.inform(103, Fields([("link", "</a.css>; rel=preload")]))
        await asyncio.sleep(0)
        request.link.inform(103, Fields([("link", "</b.css>; rel=preload")]))
        client.late = request.link  # type: ignore[attr-defined]
        return Response(200, body=b"x")

    client.on("/", hints)
    answer = await client.ask("/")
    assert [dict(fields)["link"][:7] for fields in answer.interim] == ["</a.css", "</b.css"]
    assert answer.body == b"x"
    client.late.inform(103, Fields([("link", "</c.css>")]))  # type: ignore[attr-defined]
    await client.settle()
    assert len(answer.interim) == 2


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (101, []),
        (200, []),
        (99, []),
        (103, [("bad name", "")]),
        (103, [("a", "b\nc")]),
        (103, [("content-length", "3")]),
    ],
)
def test_an_interim_answer_that_cannot_be_is_the_handlers_defect(status: int, fields: list[tuple[str, str]]) -> None:
    @on_loop
    async def scenario() -> None:
        client = Client()

        async def act(request: Request) -> Response:
            request.link.inform(status, Fields(fields))
            return Response(200)

        client.on("/", act)
        answer = await client.ask("/")
        assert (answer.status, answer.interim) == (500, [])

    scenario()


# --- RFC 9110 §10.1.1: Expect -----------------------------------------------------------------------------------------------------


@on_loop
async def test_100_is_sent_when_the_handler_begins_to_read() -> None:
    client = Client()
    gate = asyncio.get_running_loop().create_future()

    async def late(request: Request) -> Response:
        await gate
        return await echo(request)

    client.on("/", late)
    stream_id = client.send("/", method="POST", fields=[("expect", "100-continue")], ends=False)
    await client.settle()
    assert client.answers.get(stream_id) is None
    gate.set_result(None)
    await client.settle()
    answer = client.answers[stream_id]
    assert answer.interim == [[(":status", "100")]]
    client.h2.send_data(stream_id, b"content", end_stream=True)
    await client.settle()
    assert answer.body == b"content"


@on_loop
async def test_100_is_not_sent_when_content_came_already_or_the_answer_is_there() -> None:
    client = Client()
    client.on("/echo", echo)
    client.on("/no", HELLO)
    answer = await client.ask("/echo", method="POST", fields=[("expect", "100-continue")], body=b"content")
    assert (answer.body, answer.interim) == (b"content", [])
    answer = await client.ask("/no", method="POST", fields=[("expect", "100-continue")], ends=False)
    assert (answer.status, answer.interim, answer.reset) == (200, [], ErrorCode.NO_ERROR)
    answer = await client.ask("/echo", method="POST", fields=[("expect", "200-ok")], ends=False)
    assert answer.status == 417


# --- Refusals ---------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_content_over_the_limit_is_413_announced_or_not() -> None:
    client = Client(limits=HttpLimits(body_size=1000))
    client.on("/", echo)
    stream_id = client.send("/", method="POST", fields=[("content-length", "2000")], ends=False)
    await client.settle()
    assert client.answers[stream_id].status == 413
    answer = await client.ask("/", method="POST", body=b"x" * 2000, ends=False)
    assert answer.status == 413
    assert b"limits.body_size" in answer.body
    assert (answer.has_ended, answer.reset) == (True, ErrorCode.NO_ERROR)
    answer = await client.ask("/", method="POST", body=b"x" * 1000)
    assert answer.status == 200, "the connection lives"
    assert client.is_clean()


@on_loop
async def test_content_slower_than_the_floor_is_408_and_the_connection_lives() -> None:
    client = Client(limits=HttpLimits(body_rate=100, body_grace=5))
    client.on("/", echo)
    client.on("/hello", HELLO)
    stream_id = client.send("/", method="POST", fields=[("content-length", "10000")], ends=False)
    for count in (120, 1):
        assert stream_id not in client.answers
        for _ in range(5):
            client.h2.send_data(stream_id, b"x" * count)
            await client.settle()
            client.sweep(1)
    await client.settle()
    answer = client.answers[stream_id]
    assert answer.status == 408
    assert b"limits.body_rate" in answer.body
    assert answer.reset == ErrorCode.NO_ERROR
    assert (await client.ask("/hello")).status == 200


@on_loop
async def test_a_large_frame_that_comes_slowly_is_content_on_its_way() -> None:
    raw = Raw(limits=HttpLimits(body_rate=100, body_grace=5, head_timeout=5))
    raw.on("/", echo)
    await raw.say(ask(1, "/", "POST", ends=False))
    octets = data(1, b"x" * 16_000, ends=True)
    for start in range(0, len(octets), 500):
        assert await raw.say(octets[start : start + 500]) == [] or start + 500 >= len(octets)
        raw.sweep(1)
    assert raw.outcomes == [("/", 200, "complete", 16_000)]


@on_loop
async def test_a_handler_that_does_not_read_is_not_the_clients_slowness() -> None:
    client = Client(limits=HttpLimits(body_rate=100, body_grace=2))
    gate = asyncio.get_running_loop().create_future()

    async def late(request: Request) -> Response:
        await gate
        return await echo(request)

    client.on("/", late)
    stream_id = client.send("/", method="POST", body=b"x" * 1000, ends=False)
    await client.settle()
    client.sweep(20)
    gate.set_result(None)
    client.h2.send_data(stream_id, b"y", end_stream=True)
    await client.settle()
    assert client.answers[stream_id].body == b"x" * 1000 + b"y"


@on_loop
async def test_fields_that_are_too_large_are_431() -> None:
    client = Client(http2=Http2Limits(header_list_size=1000))
    answer = await client.ask("/", fields=[("x-large", "y" * 2000)])
    assert answer.status == 431
    assert b"limits.head_size" in answer.body
    answer = await client.ask("/", method="POST", fields=[("x-large", "y" * 2000)], body=b"content")
    assert answer.status == 431
    assert [(r.outcome, r.status, r.version) for r in client.records] == [("refused", 431, "2")] * 2
    assert client.handler.requests == []
    assert client.is_clean()


@on_loop
async def test_another_scheme_is_misdirected_whatever_was_asked_before() -> None:
    raw = Raw()
    raw.on("/", Response(200, body=b"x", remember=Remember(float("inf"))))
    for number in (1, 3, 5):
        await raw.say(ask(number))
    assert raw.records[-1].is_recalled
    answered = await raw.say(frames.header_frames(7, head_block(scheme="https"), 1 << 14, ends=True))
    assert raw.fields(answered[0])[":status"] == "421"


@on_loop
async def test_a_malformed_request_is_reset_and_noted_and_others_go_on() -> None:
    raw = Raw()
    raw.on("/", HELLO)
    answered = await raw.say(ask(1, "/", "GET", ("connection", "close")), ask(3))
    assert [(frame.kind, frame.stream_id) for frame in answered] == [
        (frames.RST_STREAM, 1),
        (frames.HEADERS, 3),
        (frames.DATA, 3),
    ]
    assert answered[0].code == ErrorCode.PROTOCOL_ERROR
    refused, complete = raw.records
    assert (refused.outcome, refused.status, refused.version, complete.outcome) == ("refused", 0, "2", "complete")
    assert refused.request_head.startswith(b"PROTOCOL_ERROR: The field connection")


@on_loop
async def test_what_is_no_http2_is_refused_and_noted() -> None:
    raw = Raw()
    answered = await raw.say(frames.frame(frames.PING, 0, 0, b"short"))
    assert answered[-1].kind == frames.GOAWAY
    assert answered[-1].code == ErrorCode.FRAME_SIZE_ERROR
    assert raw.connection.has_sent_eof
    assert [record.outcome for record in raw.records] == ["refused"]
    assert await raw.say(ask(1)) == []
    assert raw.connection.said_after_end == 0


# --- RFC 9113 §8.1: answered before all of the request has come ---------------------------------------------------------------------


@on_loop
async def test_an_answer_before_the_content_ends_the_stream_without_error() -> None:
    raw = Raw()
    raw.on("/", HELLO)
    answered = await raw.say(ask(1, "/", "POST", ends=False))
    assert [(frame.kind, frame.ends) for frame in answered] == [
        (frames.HEADERS, False),
        (frames.DATA, True),
        (frames.RST_STREAM, False),
    ]
    assert answered[-1].code == ErrorCode.NO_ERROR
    assert await raw.say(data(1, b"too late", ends=True)) == []
    assert raw.outcomes == [("/", 200, "complete", 6)]
    assert raw.is_clean()


@on_loop
async def test_content_that_nobody_read_does_not_cost_the_connection_its_window() -> None:
    client = Client()
    client.on("/", HELLO)
    client.on("/echo", echo)
    for _ in range(40):  # 2.5 MiB in all; the connection's window has one
        stream_id = client.send("/", method="POST", ends=False)
        room = min(60_000, client.h2.local_flow_control_window(stream_id))
        assert room == 60_000
        for start in range(0, room, 10_000):
            client.h2.send_data(stream_id, b"x" * 10_000, end_stream=start == 50_000)
        await client.settle()
        assert client.answers[stream_id].body == b"hello\n"
    assert client.is_clean()


@on_loop
async def test_content_that_was_buffered_when_its_stream_was_reset_does_not_either() -> None:
    client = Client()

    async def never(request: Request) -> Response:
        await asyncio.get_running_loop().create_future()
        return Response(200)

    client.on("/", never)
    for _ in range(40):
        stream_id = client.send("/", method="POST", ends=False)
        for _ in range(6):
            client.h2.send_data(stream_id, b"x" * 10_000)
        await client.settle()
        client.h2.reset_stream(stream_id, ErrorCode.CANCEL)
        await client.settle()
    assert {record.outcome for record in client.records} == {"aborted"}
    assert client.is_clean()


@on_loop
async def test_who_goes_on_reading_after_the_answer_is_told_that_it_is_over() -> None:
    client = Client()
    told: list[BaseException] = []

    async def answer_early(request: Request) -> Response:
        async def read_on() -> None:
            try:
                while await request.body.read():
                    pass
            except BodyError as error:
                told.append(error)

        client.task = asyncio.ensure_future(read_on())  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return Response(200)

    client.on("/", answer_early)
    await client.ask("/", method="POST", ends=False)
    assert "answered" in str(told[0])


# --- The client resets the stream ---------------------------------------------------------------------------------------------------


@on_loop
async def test_a_reset_while_the_handler_waits_cancels_it() -> None:
    client = Client()
    ends: list[str] = []

    async def never(request: Request) -> Response:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        return Response(200)

    client.on("/", never)
    stream_id = client.send("/")
    await client.settle()
    client.h2.reset_stream(stream_id, ErrorCode.CANCEL)
    await client.settle()
    assert ends == ["cancelled"]
    assert client.outcomes == [("/", 0, "aborted", 0)]
    assert client.is_clean()


@on_loop
async def test_a_reset_while_the_handler_reads_tells_it_so() -> None:
    client = Client()
    ends: list[str] = []

    async def read(request: Request) -> Response:
        request.link.when_ended(lambda: ends.append("ended"))
        try:
            return await echo(request)
        except BodyError:
            ends.append("told")
            raise

    client.on("/", read)
    stream_id = client.send("/", method="POST", body=b"some", ends=False)
    await client.settle()
    client.h2.reset_stream(stream_id, ErrorCode.CANCEL)
    await client.settle()
    assert sorted(ends) == ["ended", "told"]
    (record,) = client.records
    assert (record.outcome, record.received, record.status) == ("aborted", 4, 0)
    assert client.is_clean()


@on_loop
async def test_an_answer_that_comes_after_the_reset_is_given_back() -> None:
    client = Client()
    gate = asyncio.get_running_loop().create_future()
    pieces = Pieces(b"late")
    before = open_descriptors()

    async def stubborn(request: Request) -> Response:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(gate)
        await asyncio.wait([gate], timeout=5)
        body = FileBody(os.open(__file__, os.O_RDONLY), [(0, 10)]) if request.path == "/file" else pieces
        return Response(200, body=body)

    for path in ("/file", "/stream"):
        client.on(path, stubborn)
        stream_id = client.send(path)
        await client.settle()
        client.h2.reset_stream(stream_id, ErrorCode.CANCEL)
    await client.settle()
    assert client.session.at_work == 2, "who works for a stream that has ended still works"
    gate.set_result(None)
    await client.settle()
    assert pieces.given_back == 1
    assert open_descriptors() == before
    assert client.outcomes == [("/file", 0, "aborted", 0), ("/stream", 0, "aborted", 0)]
    assert client.is_clean()


@on_loop
async def test_a_reset_while_the_answer_streams_stops_it_and_gives_it_back() -> None:
    client = Client(takes=False)
    pieces = Pieces(*[b"x" * 50_000] * 20)
    client.on("/", Response(200, body=pieces))
    stream_id = client.send("/")
    await client.settle()
    assert client.session.turns.queued > 0
    client.h2.reset_stream(stream_id, ErrorCode.CANCEL)
    await client.settle()
    assert pieces.given_back == 1
    (record,) = client.records
    assert (record.outcome, record.sent, record.status) == ("aborted", 65_535, 200)
    assert record.response_body == b"x" * 4096
    assert client.is_clean()


@on_loop
async def test_a_reset_while_content_waits_for_its_turn_lets_go_of_it(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    before = open_descriptors()
    client = Client(takes=False)
    client.on("/bytes", Response(200, body=LARGE))
    client.on("/file", fixed(lambda: Response(200, body=FileBody(os.open(file, os.O_RDONLY), [(0, len(LARGE))]))))
    for path in ("/bytes", "/file"):
        stream_id = client.send(path)
        await client.settle()
        client.h2.reset_stream(stream_id, ErrorCode.CANCEL)
        await client.settle()
        client.h2.increment_flow_control_window(65_535)
        await client.settle()
    assert client.outcomes == [("/bytes", 200, "aborted", 65_535), ("/file", 200, "aborted", 65_535)]
    assert open_descriptors() == before
    assert client.is_clean()


@on_loop
async def test_a_request_that_was_reset_before_it_was_looked_at_is_not_worked_on() -> None:
    raw = Raw()
    raw.on("/", HELLO)
    answered = await raw.say(ask(1), frames.reset_frame(1, ErrorCode.CANCEL), ask(3))
    assert [frame.stream_id for frame in answered] == [3, 3]
    assert len(raw.handler.requests) == 1
    assert [(record.outcome, record.status) for record in raw.records] == [("aborted", 0), ("complete", 200)]
    answered = await raw.say(
        ask(5, "/", "POST", ends=False), data(5, b"x"), frames.reset_frame(5, ErrorCode.CANCEL), ask(7)
    )
    assert [frame.stream_id for frame in answered] == [7, 7]
    assert raw.is_clean()


@on_loop
async def test_content_that_breaks_its_announcement_ends_the_exchange_once() -> None:
    raw = Raw()
    raw.on("/", echo)
    head = ask(1, "/", "POST", ("content-length", "3"), ends=False)
    answered = await raw.say(head)
    answered = await raw.say(data(1, b"four", ends=True))
    assert [(frame.kind, frame.code) for frame in answered] == [(frames.RST_STREAM, ErrorCode.PROTOCOL_ERROR)]
    assert [record.outcome for record in raw.records] == ["aborted"]
    answered = await raw.say(ask(3, "/", "POST", ("content-length", "3"), ends=False), data(3, b"four"), ask(5, "/x"))
    assert {frame.stream_id for frame in answered if frame.kind == frames.RST_STREAM} == {3}
    assert [record.outcome for record in raw.records] == ["aborted", "aborted", "complete"]
    assert raw.is_clean()


# --- The connection ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["vanish", "hang_up"])
def test_the_end_of_the_connection_ends_all_that_is_on_it(how: str, tmp_path: Path) -> None:
    @on_loop
    async def scenario() -> None:
        file = tmp_path / "large"
        file.write_bytes(LARGE)
        before = open_descriptors()
        client = Client(takes=False)
        pieces = Pieces(*[b"x" * 50_000] * 20)
        ends: list[str] = []

        async def never(request: Request) -> Response:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ends.append(request.path)
            return Response(200)

        client.on("/never", never)
        client.on("/echo", echo)
        client.on("/stream", Response(200, body=pieces))
        client.on("/file", fixed(lambda: Response(200, body=FileBody(os.open(file, os.O_RDONLY), [(0, len(LARGE))]))))
        for path in ("/never", "/stream", "/file"):
            client.send(path)
        client.send("/echo", method="POST", ends=False)
        await client.settle()
        assert client.records == []
        if how == "vanish":
            client.connection.vanish()
        else:
            client.connection.hang_up()
            assert client.connection.is_closed
        await client.settle()
        assert {record.outcome for record in client.records} == {"aborted"}
        assert sorted(record.target for record in client.records) == ["/echo", "/file", "/never", "/stream"]
        assert ends == ["/never"]
        assert pieces.given_back == 1
        assert open_descriptors() == before
        assert client.is_clean()
        assert client.connection.said_after_end == 0

    scenario()


# --- Defects ------------------------------------------------------------------------------------------------------------------------


async def _defect(request: Request) -> Response:
    raise RuntimeError("a defect")


async def _late_defect(request: Request) -> Response:
    await asyncio.sleep(0)
    raise RuntimeError("a defect")


async def _unspeakable(request: Request) -> Response:
    return Response(200, Fields([("x", "a\r\nb")]), b"content")


async def _not_a_field(request: Request) -> Response:
    return Response(200, Fields([(":status", "200")]), b"content")


async def _wrong_length(request: Request) -> Response:
    return Response(200, Fields([("content-length", "3")]), b"content")


async def _no_length(request: Request) -> Response:
    return Response(200, Fields([("content-length", "three")]), b"content")


async def _framed(request: Request) -> Response:
    return Response(200, Fields([("transfer-encoding", "chunked")]), b"content")


async def _no_status(request: Request) -> Response:
    return Response(1000)


async def _not_an_octet(request: Request) -> Response:
    return Response(200, Fields([("x", "\N{EURO SIGN}")]), b"content")


async def _switches(request: Request) -> Response:
    return Response(101, Fields([("upgrade", "own")]))


@pytest.mark.parametrize(
    "act",
    [
        _defect,
        _late_defect,
        _unspeakable,
        _not_a_field,
        _wrong_length,
        _no_length,
        _framed,
        _no_status,
        _not_an_octet,
        _switches,
    ],
)
def test_a_defect_of_a_handler_is_500_and_nobody_elses(act: Act, caplog: pytest.LogCaptureFixture) -> None:
    @on_loop
    async def scenario() -> None:
        client = Client()
        client.on("/", act)
        client.on("/hello", HELLO)
        other = client.send("/hello")
        answer = await client.ask("/")
        assert (answer.status, answer.has_ended, answer.reset) == (500, True, None)
        assert client.answers[other].body == b"hello\n"
        assert client.is_clean()
        assert sorted(record.outcome for record in client.records) == ["complete", "complete"]

    with caplog.at_level(logging.ERROR):
        scenario()
    assert caplog.records[0].exc_info is not None


@on_loop
async def test_the_file_of_an_answer_that_cannot_be_sent_is_closed() -> None:
    client = Client()
    before = open_descriptors()
    client.on(
        "/",
        fixed(
            lambda: Response(
                200, Fields([("content-length", "9")]), FileBody(os.open(__file__, os.O_RDONLY), [(0, 10)])
            )
        ),
    )
    assert (await client.ask("/")).status == 500
    assert open_descriptors() == before


@on_loop
async def test_what_is_no_answer_at_all_costs_its_stream_alone() -> None:
    client = Client()

    async def nothing(request: Request) -> Response:
        return None  # type: ignore[return-value]

    async def late_nothing(request: Request) -> Response:
        await asyncio.sleep(0)
        return None  # type: ignore[return-value]

    async def not_text(request: Request) -> Response:
        return Response(200, Fields([("x", 1)]), Pieces(b"x"))  # type: ignore[list-item]

    client.on("/hello", HELLO)
    for act in (nothing, late_nothing, not_text):
        client.on("/", act)
        answer = await client.ask("/")
        assert (answer.fields, answer.reset) == ([], ErrorCode.INTERNAL_ERROR)
    assert (await client.ask("/hello")).status == 200
    assert [record.outcome for record in client.records] == ["aborted"] * 3 + ["complete"]
    assert client.is_clean()


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect"), ConnectionResetError("the upstream is gone"), OSError("disk")]
)
def test_a_stream_that_raises_is_never_taken_for_whole(error: Exception) -> None:
    @on_loop
    async def scenario() -> None:
        client = Client()
        pieces = Pieces(b"the beginning", error)
        client.on("/", Response(200, body=pieces))
        answer = await client.ask("/")
        assert (answer.status, answer.has_ended, answer.reset) == (200, False, ErrorCode.INTERNAL_ERROR)
        assert pieces.given_back == 1
        (record,) = client.records
        assert (record.outcome, record.status) == ("aborted", 200)
        assert record.sent == len(answer.body)
        assert client.is_clean()

    scenario()


@on_loop
async def test_what_was_made_before_a_stream_raised_leaves_before_the_reset() -> None:
    raw = Raw([(frames.Setting.INITIAL_WINDOW_SIZE, 5)])
    pieces = Pieces(b"the beginning", RuntimeError("a defect"))
    raw.on("/", Response(200, body=pieces))
    answered = await raw.say(ask(1))
    assert [frame.payload for frame in answered[1:]] == [b"the b"]
    assert pieces.given_back == 1
    answered = await raw.say(frames.window_update_frame(1, 100))
    assert [(frame.kind, frame.ends) for frame in answered] == [(frames.DATA, False), (frames.RST_STREAM, False)]
    assert answered[-1].code == ErrorCode.INTERNAL_ERROR
    assert raw.outcomes == [("/", 200, "aborted", 13)]
    assert raw.is_clean()
    await raw.say(frames.settings_frame([(frames.Setting.INITIAL_WINDOW_SIZE, 0)]))
    raw.on("/", Response(200, body=Pieces(b"the beginning", RuntimeError("a defect"))))
    await raw.say(ask(3))
    await raw.say(frames.reset_frame(3, ErrorCode.CANCEL))
    assert raw.outcomes[0] == ("/", 200, "aborted", 0)
    assert raw.is_clean()


@pytest.mark.parametrize("pieces", [(b"abc",), (b"abc", b"defg"), ()])
def test_a_stream_that_is_not_what_its_head_announced_is_broken_off(pieces: tuple[bytes, ...]) -> None:
    @on_loop
    async def scenario() -> None:
        client = Client()
        client.on("/", Response(200, Fields([("content-length", "5")]), Pieces(*pieces)))
        answer = await client.ask("/")
        assert (answer.has_ended, answer.reset) == (False, ErrorCode.INTERNAL_ERROR)
        assert len(answer.body) <= 5

    scenario()


@pytest.mark.parametrize(
    "trailers", [[("bad name", "")], [("content-length", "3")], [(":status", "200")], [("x", "\0")]]
)
def test_trailers_that_cannot_be_sent_cost_their_stream_alone(trailers: list[tuple[str, str]]) -> None:
    @on_loop
    async def scenario() -> None:
        client = Client()
        client.on("/", fixed(lambda: Response(200, body=Pieces(b"x" * 30_000), trailers=lambda: Fields(trailers))))
        client.on("/hello", HELLO)
        answer = await client.ask("/")
        assert (answer.has_ended, answer.reset) == (False, ErrorCode.INTERNAL_ERROR)
        assert (await client.ask("/hello")).status == 200

    scenario()


@on_loop
async def test_an_error_of_the_handler_while_trailers_are_made_does_not_end_the_answer() -> None:
    client = Client()

    def broken() -> Fields:
        raise RuntimeError("a defect")

    client.on("/", fixed(lambda: Response(200, body=b"x", trailers=broken)))
    answer = await client.ask("/")
    assert (answer.has_ended, answer.reset) == (False, ErrorCode.INTERNAL_ERROR)


@on_loop
async def test_an_http_error_is_an_answer_like_any() -> None:
    client = Client()

    async def refuse(request: Request) -> Response:
        raise HttpError(403, "Not you.", fields=[("x-own", "1")], must_close=True)

    client.on("/", refuse)
    answer = await client.ask("/")
    assert (answer.status, answer.get("x-own"), answer.get("connection")) == (403, "1", None)
    assert (await client.ask("/")).status == 403, "no answer ends the connection"


@on_loop
async def test_a_handler_that_gives_up_for_its_client_resets_the_stream() -> None:
    client = Client()

    async def gone(request: Request) -> Response:
        raise BodyError("gone")

    async def gone_later(request: Request) -> Response:
        await asyncio.sleep(0)
        raise BodyError("gone")

    for act in (gone, gone_later):
        client.on("/", act)
        answer = await client.ask("/")
        assert answer.reset == ErrorCode.CANCEL
    assert [record.outcome for record in client.records] == ["aborted"] * 2
    assert client.is_clean()


# --- Fields of answers ----------------------------------------------------------------------------------------------------------------


@on_loop
async def test_what_concerns_a_connection_is_left_out_of_answers() -> None:
    client = Client()
    fields = Fields(
        [("connection", "x"), ("keep-alive", "timeout=5"), ("upgrade", "h2c"), ("te", "trailers"), ("x", "  spaced ")]
    )
    client.on("/", Response(200, fields, b""))
    answer = await client.ask("/")
    assert answer.fields[1:-1] == [("server", "netlodge"), ("x", "spaced"), ("content-length", "0")]


@on_loop
async def test_the_date_is_the_servers_and_moves() -> None:
    client = Client()
    client.on("/", Response(200, Fields([("date", "yesterday")]), b"x"))
    for second in range(3):
        assert (await client.ask("/")).get("date") == f"Tue, 14 Nov 2023 22:13:2{second} GMT"
        client.clock.advance(1)


# --- Files ----------------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_file_is_sent_part_by_part_and_closed_once(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    before = open_descriptors()
    client = Client()

    def body() -> FileBody:
        return FileBody(
            os.open(file, os.O_RDONLY), [b"--a\r\n", (10, 300_000), b"", (0, 0), b"--b\r\n", (5, 7), b"--\r\n"]
        )

    client.on("/", fixed(lambda: Response(206, body=body())))
    client.on("/trailers", fixed(lambda: Response(206, body=body(), trailers=lambda: Fields([("x-sum", "1")]))))
    expected = b"--a\r\n" + LARGE[10:300_010] + b"--b\r\n" + LARGE[5:12] + b"--\r\n"
    for path in ("/", "/trailers"):
        answer = await client.ask(path)
        assert answer.body == expected
        assert answer.has_ended
    assert open_descriptors() == before
    assert [record.sent for record in client.records] == [len(expected)] * 2
    assert client.records[0].response_body == expected[:4096]
    assert client.is_clean()


@on_loop
async def test_a_file_takes_no_memory_while_it_waits(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    client = Client(takes=False)
    client.on("/", fixed(lambda: Response(200, body=FileBody(os.open(file, os.O_RDONLY), [(0, len(LARGE))]))))
    for _ in range(20):
        client.send("/")
    await client.settle()
    assert client.session.turns.queued == 0
    assert client.session.at_work == 0, "and no task"
    client.connection.vanish()
    await client.settle()


@on_loop
async def test_a_file_that_became_shorter_breaks_off_and_others_go_on(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    before = open_descriptors()
    client = Client(takes=False)
    client.on("/", fixed(lambda: Response(200, body=FileBody(os.open(file, os.O_RDONLY), [(0, len(LARGE))]))))
    client.on("/hello", HELLO)
    stream_id = client.send("/")
    await client.settle()
    file.write_bytes(b"short")
    client.takes = True
    client.h2.increment_flow_control_window(1 << 20)
    client.h2.increment_flow_control_window(1 << 20, stream_id)
    await client.settle()
    answer = client.answers[stream_id]
    assert (answer.has_ended, answer.reset) == (False, ErrorCode.INTERNAL_ERROR)
    (record,) = client.records
    assert (record.outcome, record.sent) == ("aborted", 65_535)
    assert open_descriptors() == before
    assert (await client.ask("/hello")).body == b"hello\n"
    assert client.is_clean()


# --- CONNECT (§8.5) -------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_connect_that_is_refused_is_answered_like_any_request() -> None:
    client = Client()

    async def refuse(request: Request) -> Response:
        return Response(403, body=b"no")

    client.handler.acts[""] = refuse
    stream_id = client.h2.get_next_available_stream_id()
    client.h2.send_headers(stream_id, [(":method", "CONNECT"), (":authority", "a:443")])
    client.h2.send_data(stream_id, b"hello?")
    await client.settle()
    answer = client.answers[stream_id]
    assert (answer.status, answer.body, answer.reset) == (403, b"no", ErrorCode.NO_ERROR)
    assert client.is_clean()


def test_a_quantum_is_one_frame_of_the_smallest_size() -> None:
    assert QUANTUM == frames.DEFAULT_FRAME
