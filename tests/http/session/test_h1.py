"""Exchanges as scripts: this arrives, that is sent, and the connection stands so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from netlodge.core.contracts import Connection, Session
from netlodge.http.message import BodyError, Fields, FileBody, HttpError, Remember, Request, Response
from netlodge.http.session.h1 import LAST_REQUESTS, PIPELINE_OCTETS
from netlodge.http.session.service import HttpLimits
from tests.http.session.rig import Rig, body_of, head_of, on_loop, status_of

GET = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
HELLO = Response(200, Fields([("content-type", "text/plain")]), b"hello\n")
KEPT = Response(200, Fields([("content-type", "text/plain")]), b"hello\n", remember=Remember(float("inf")))
FOREVER = float("inf")


async def echo(request: Request) -> Response:
    pieces = []
    while piece := await request.body.read():
        pieces.append(piece)
    return Response(200, body=b"".join(pieces))


# --- RFC 9112 §9.3: persistence ----------------------------------------------------------------------------------------


@on_loop
async def test_an_answer_is_complete_and_the_connection_persists() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    for _ in range(3):
        answer = await rig.say(GET)
        assert answer == (
            b"HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nServer: netlodge\r\nContent-Type: text/plain\r\n"
            b"Content-Length: 6\r\n\r\nhello\n"
        )
    assert not rig.connection.has_sent_eof
    assert [record.outcome for record in rig.records] == ["complete"] * 3


@on_loop
async def test_a_request_byte_by_byte_is_answered_when_it_is_whole() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    for byte in GET[:-1]:
        assert await rig.say(bytes([byte])) == b""
    assert status_of(await rig.say(GET[-1:])) == 200


@pytest.mark.parametrize(
    ("request_head", "persists", "connection_field"),
    [
        (b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", True, None),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False, "close"),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n", False, "close"),
        (b"GET /hello HTTP/1.0\r\n\r\n", False, "close"),
        (b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True, "keep-alive"),
        (b"GET /hello HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", False, "close"),
    ],
)
def test_who_asks_for_the_end_gets_it(request_head: bytes, persists: bool, connection_field: str | None) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/hello", HELLO)
        answer = await rig.say(request_head)
        assert status_of(answer) == 200
        assert head_of(answer).get("connection") == connection_field
        assert rig.connection.has_sent_eof is not persists

    scenario()


@on_loop
async def test_the_keep_alive_hint_tells_the_timeout_to_those_who_ask_for_it() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    answer = await rig.say(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    assert head_of(answer)["keep-alive"] == "timeout=75"
    assert "keep-alive" not in head_of(await rig.say(GET))


@on_loop
async def test_the_last_request_that_a_connection_is_good_for_ends_it() -> None:
    rig = Rig(limits=HttpLimits(requests_per_connection=3))
    rig.on("/hello", KEPT)
    ask = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    assert head_of(await rig.say(ask))["keep-alive"] == "timeout=75, max=2"
    assert head_of(await rig.say(ask))["keep-alive"] == "timeout=75, max=1"
    assert head_of(await rig.say(ask))["connection"] == "close"
    assert rig.connection.has_sent_eof


@on_loop
async def test_remembered_answers_count_towards_the_last_request_too() -> None:
    limit = LAST_REQUESTS + 10
    rig = Rig(limits=HttpLimits(requests_per_connection=limit))
    rig.on("/hello", KEPT)
    answers = [await rig.say(GET) for _ in range(limit)]
    assert any(record.is_recalled for record in rig.records)
    assert ["connection" in head_of(answer) for answer in answers] == [False] * (limit - 1) + [True]
    assert rig.connection.has_sent_eof


# --- RFC 9112 §9.3.2: pipelining ---------------------------------------------------------------------------------------


@on_loop
async def test_pipelined_requests_are_answered_in_order() -> None:
    rig = Rig()
    gate = asyncio.get_running_loop().create_future()

    async def slow(request: Request) -> Response:
        await gate
        return Response(200, body=b"slow")

    rig.on("/slow", slow)
    rig.on("/hello", HELLO)
    answer = await rig.say(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + GET + GET)
    assert answer == b""
    gate.set_result(None)
    answer = await rig.hear()
    assert [part for part in (b"slow", b"hello") if part in answer] == [b"slow", b"hello"]
    assert answer.index(b"slow") < answer.index(b"hello")
    assert answer.count(b"HTTP/1.1 200 OK") == 3


@on_loop
async def test_what_a_client_pipelines_is_bounded() -> None:
    rig = Rig()
    gate = asyncio.get_running_loop().create_future()

    async def slow(request: Request) -> Response:
        await gate
        return Response(200, body=b"slow")

    rig.on("/slow", slow)
    rig.on("/hello", HELLO)
    await rig.say(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    count = PIPELINE_OCTETS // len(GET) + 1
    await rig.say(GET * count)
    assert rig.connection.is_paused
    gate.set_result(None)
    answer = await rig.hear()
    assert answer.count(b"HTTP/1.1 200 OK") == count + 1
    assert not rig.connection.is_paused


@on_loop
async def test_nothing_after_the_last_request_is_answered() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    answer = await rig.say(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
    assert answer.count(b"HTTP/1.1") == 1
    assert len(rig.handler.requests) == 1


# --- RFC 9112 §9.5, §9.6: time and the end ---------------------------------------------------------------------------


@on_loop
async def test_an_idle_connection_is_half_closed_and_then_let_go() -> None:
    rig = Rig(limits=HttpLimits(idle_timeout=10, linger_timeout=3))
    rig.on("/hello", HELLO)
    await rig.say(GET)
    rig.sweep(9)
    assert not rig.connection.has_sent_eof
    rig.sweep(3)
    assert rig.connection.has_sent_eof
    assert not rig.connection.is_closed
    assert await rig.say(GET) == b"", "a request on its way is not answered in part: the client sees a clean end"
    rig.connection.hang_up()
    assert rig.connection.is_closed
    assert not rig.connection.is_aborted


@on_loop
async def test_a_client_that_never_closes_is_let_go_after_the_linger_timeout() -> None:
    rig = Rig(limits=HttpLimits(idle_timeout=2, linger_timeout=3))
    rig.sweep(8)
    assert rig.connection.is_aborted


@on_loop
async def test_activity_keeps_a_connection() -> None:
    rig = Rig(limits=HttpLimits(idle_timeout=10))
    rig.on("/hello", KEPT)
    for _ in range(5):
        assert status_of(await rig.say(GET)) == 200
        rig.sweep(8)
        assert not rig.connection.has_sent_eof


@on_loop
async def test_a_head_that_does_not_come_to_its_end_is_408() -> None:
    rig = Rig(limits=HttpLimits(head_timeout=5))
    await rig.say(b"GET /hello HTTP/1.1\r\nHo")
    rig.sweep(4)
    await rig.say(b"st")
    assert not rig.connection.has_sent_eof
    rig.sweep(1)
    answer = rig.connection.take()
    assert status_of(answer) == 408
    assert b"limits.head_timeout" in answer
    assert head_of(answer)["connection"] == "close"
    assert rig.connection.has_sent_eof
    assert rig.records[-1].outcome == "timeout"


@on_loop
async def test_content_slower_than_the_floor_is_408() -> None:
    rig = Rig(limits=HttpLimits(body_rate=100, body_grace=5))
    rig.on("/echo", echo)
    await rig.say(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n")
    for _ in range(5):
        await rig.say(b"x" * 120)
        rig.sweep(1)
    assert rig.connection.take() == b""
    for _ in range(5):
        await rig.say(b"x")
        rig.sweep(1)
    answer = await rig.hear()
    assert status_of(answer) == 408
    assert b"limits.body_rate" in answer
    assert rig.connection.has_sent_eof


@on_loop
async def test_a_handler_that_does_not_read_is_not_the_clients_slowness() -> None:
    rig = Rig(limits=HttpLimits(body_rate=100, body_grace=2))
    gate = asyncio.get_running_loop().create_future()

    async def late(request: Request) -> Response:
        await gate
        return await echo(request)

    rig.on("/late", late)
    size = 200 * 1024
    await rig.say(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * (size - 10))
    assert rig.connection.is_paused
    rig.sweep(20)
    gate.set_result(None)
    assert await rig.hear() == b""
    assert not rig.connection.is_paused
    answer = await rig.say(b"x" * 10)
    assert status_of(answer) == 200
    assert len(body_of(answer)) == size


@on_loop
async def test_a_client_that_takes_nothing_is_let_go() -> None:
    rig = Rig(limits=HttpLimits(send_timeout=5))
    rig.on("/hello", HELLO)
    rig.connection.stall()
    await rig.say(GET)
    rig.sweep(4)
    assert not rig.connection.is_aborted
    rig.sweep(3)
    assert rig.connection.is_aborted


# --- RFC 9110 §10.1.1: Expect -------------------------------------------------------------------------------------------


POST_EXPECTING = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


@on_loop
async def test_100_is_sent_when_the_handler_begins_to_read() -> None:
    rig = Rig()
    gate = asyncio.get_running_loop().create_future()

    async def late(request: Request) -> Response:
        await gate
        return await echo(request)

    rig.on("/late", late)
    assert await rig.say(POST_EXPECTING % b"/late") == b""
    gate.set_result(None)
    assert await rig.hear() == b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = await rig.say(b"12345")
    assert status_of(answer) == 200
    assert body_of(answer) == b"12345"
    assert "connection" not in head_of(answer)


@on_loop
async def test_100_is_left_out_when_content_came_already() -> None:
    rig = Rig()
    rig.on("/echo", echo)
    answer = await rig.say(POST_EXPECTING % b"/echo" + b"12345")
    assert status_of(answer) == 200


@on_loop
async def test_a_handler_that_does_not_read_sends_no_100_and_ends_the_connection() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    answer = await rig.say(POST_EXPECTING % b"/hello")
    assert status_of(answer) == 200
    assert head_of(answer)["connection"] == "close"
    assert rig.connection.has_sent_eof


@on_loop
async def test_any_other_expectation_is_417() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    answer = await rig.say(b"GET /hello HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n")
    assert status_of(answer) == 417
    assert not rig.handler.requests


@on_loop
async def test_http_1_0_knows_no_expectations() -> None:
    rig = Rig()
    rig.on("/echo", echo)
    answer = await rig.say(b"POST /echo HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert answer == b""
    assert status_of(await rig.say(b"12345")) == 200


# --- RFC 9110 §15.2: interim responses -----------------------------------------------------------------------------------


@on_loop
async def test_early_hints_go_before_the_answer_but_not_to_http_1_0() -> None:
    rig = Rig()

    async def hinting(request: Request) -> Response:
        request.link.inform(103, Fields([("link", "</a.css>; rel=preload")]))
        return Response(200, body=b"x")

    rig.on("/hint", hinting)
    answer = await rig.say(b"GET /hint HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert status_of(await rig.say(b"GET /hint HTTP/1.0\r\n\r\n")) == 200


# --- RFC 9112 §6: bodies of requests -------------------------------------------------------------------------------------


@on_loop
async def test_content_arrives_in_any_segmentation_and_the_next_request_after_it() -> None:
    rig = Rig()
    rig.on("/echo", echo)
    rig.on("/hello", HELLO)
    whole = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    answer = await rig.say(whole + GET)
    assert body_of(answer).startswith(b"abcde")
    assert answer.endswith(b"hello\n")
    for byte in whole:
        last = await rig.say(bytes([byte]))
    assert body_of(last) == b"abcde"
    assert rig.handler.requests[-1].body.trailers == Fields([("x-t", "1")])
    assert rig.handler.requests[-1].body.length is None


@on_loop
async def test_content_that_nobody_reads_is_drained_up_to_a_bound() -> None:
    rig = Rig(limits=HttpLimits(drain_body=1000))
    rig.on("/hello", HELLO)
    head = b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    answer = await rig.say(head % 1000)
    assert status_of(answer) == 200
    assert "connection" not in head_of(answer)
    assert await rig.say(b"x" * 1000) == b""
    assert status_of(await rig.say(GET)) == 200
    answer = await rig.say(head % 1001)
    assert head_of(answer)["connection"] == "close"
    assert rig.connection.has_sent_eof


@on_loop
async def test_unread_chunks_over_the_bound_end_the_connection() -> None:
    rig = Rig(limits=HttpLimits(drain_body=1000))
    rig.on("/hello", HELLO)
    answer = await rig.say(b"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert status_of(answer) == 200
    await rig.say(b"400\r\n" + b"x" * 1024 + b"\r\n")
    assert rig.connection.has_sent_eof


@on_loop
async def test_content_larger_than_the_limit_is_413() -> None:
    rig = Rig(limits=HttpLimits(body_size=10))
    rig.on("/echo", echo)
    answer = await rig.say(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
    assert status_of(answer) == 413
    assert b"limits.body_size" in answer
    assert head_of(answer)["connection"] == "close"
    rig.connect()
    answer = await rig.say(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n")
    assert status_of(answer) == 413
    assert head_of(answer)["connection"] == "close"
    rig.connect()
    assert status_of(await rig.say(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234567890")) == 200


@on_loop
async def test_broken_framing_in_the_middle_is_400_to_a_handler_that_reads() -> None:
    rig = Rig()
    rig.on("/echo", echo)
    await rig.say(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    answer = await rig.say(b"zz\r\n")
    assert status_of(answer) == 400
    assert head_of(answer)["connection"] == "close"
    assert rig.connection.has_sent_eof


@on_loop
async def test_a_client_that_goes_away_in_mid_body_is_told_to_the_reader() -> None:
    rig = Rig()
    told: list[str] = []

    async def reading(request: Request) -> Response:
        try:
            await echo(request)
        except BodyError as error:
            told.append(str(error))
            raise
        return Response(200)

    rig.on("/reading", reading)
    await rig.say(b"POST /reading HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12")
    rig.connection.vanish()
    await rig.hear()
    assert told
    assert rig.records[-1].outcome == "aborted"


@on_loop
async def test_a_half_closed_client_still_gets_its_answer() -> None:
    rig = Rig()
    gate = asyncio.get_running_loop().create_future()

    async def slow(request: Request) -> Response:
        await gate
        return Response(200, body=b"slow")

    rig.on("/slow", slow)
    await rig.say(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    rig.connection.hang_up()
    assert not rig.connection.is_closed
    gate.set_result(None)
    answer = await rig.hear()
    assert body_of(answer) == b"slow"
    assert rig.connection.is_closed
    assert not rig.connection.is_aborted


@on_loop
async def test_a_client_that_leaves_cancels_the_handler() -> None:
    rig = Rig()
    cancelled: list[bool] = []

    async def forever(request: Request) -> Response:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append(True)
        return Response(200)

    rig.on("/forever", forever)
    await rig.say(b"GET /forever HTTP/1.1\r\nHost: a\r\n\r\n")
    rig.connection.vanish()
    await rig.hear()
    assert cancelled == [True]
    assert rig.records[-1].outcome == "aborted"


# --- answers ---------------------------------------------------------------------------------------------------------------


@on_loop
async def test_head_and_bodiless_statuses_end_with_their_head() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    rig.on("/none", Response(204))
    rig.on("/same", Response(304, Fields([("etag", '"x"')])))
    answer = await rig.say(b"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head_of(answer)["content-length"] == "6"
    assert body_of(answer) == b""
    for path in (b"/none", b"/same"):
        answer = await rig.say(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        assert "content-length" not in head_of(answer)
        assert "transfer-encoding" not in head_of(answer)
        assert body_of(answer) == b""
    assert status_of(await rig.say(GET)) == 200


async def pieces() -> AsyncIterator[bytes]:
    yield b"one "
    yield b""
    yield b"two"


@on_loop
async def test_a_stream_is_chunked_for_1_1_and_ends_with_the_connection_for_1_0() -> None:
    rig = Rig()

    async def streaming(request: Request) -> Response:
        return Response(200, body=pieces(), trailers=lambda: Fields([("x-sum", "7")]))

    rig.on("/stream", streaming)
    answer = await rig.say(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head_of(answer)["transfer-encoding"] == "chunked"
    assert body_of(answer) == b"4\r\none \r\n3\r\ntwo\r\n0\r\nX-Sum: 7\r\n\r\n"
    assert not rig.connection.has_sent_eof
    answer = await rig.say(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert body_of(answer) == b"one two"
    assert "transfer-encoding" not in head_of(answer)
    assert rig.connection.has_sent_eof


@on_loop
async def test_a_stream_waits_for_a_slow_client_and_is_closed_when_it_leaves() -> None:
    rig = Rig()
    produced: list[int] = []
    closed: list[bool] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            for number in range(1000):
                produced.append(number)
                yield b"x" * 1000
        finally:
            closed.append(True)

    async def streaming(request: Request) -> Response:
        return Response(200, body=endless())

    rig.on("/stream", streaming)
    rig.connection.stall()
    await rig.say(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(produced) == 1
    rig.connection.vanish()
    await rig.hear()
    assert closed == [True]
    assert len(produced) == 1


@on_loop
async def test_a_stream_that_breaks_is_seen_to_break() -> None:
    rig = Rig()

    async def breaking() -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("a defect in the stream")

    async def streaming(request: Request) -> Response:
        return Response(200, body=breaking())

    rig.on("/stream", streaming)
    answer = await rig.say(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not answer.endswith(b"0\r\n\r\n")
    assert rig.connection.is_aborted
    assert rig.records[-1].outcome == "aborted"


@pytest.mark.parametrize("may_send_file", [True, False])
def test_a_file_body_is_sent_whole_in_its_parts(may_send_file: bool, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "f").write_bytes(content)

    @on_loop
    async def scenario() -> None:
        rig = Rig(may_send_file=may_send_file)
        descriptors: list[int] = []

        async def sending(request: Request) -> Response:
            descriptors.append(os.open(tmp_path / "f", os.O_RDONLY))
            return Response(200, body=FileBody(descriptors[-1], [b"<", (10, 100), b"|", (0, len(content)), b">"]))

        rig.on("/file", sending)
        answer = await rig.say(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
        assert body_of(answer) == b"<" + content[10:110] + b"|" + content + b">"
        assert head_of(answer)["content-length"] == str(len(content) + 103)
        answer = await rig.say(b"HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n")
        assert body_of(answer) == b""
        for descriptor in descriptors:
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(descriptor)

    scenario()


@pytest.mark.parametrize("may_send_file", [True, False])
def test_a_file_that_shrinks_breaks_the_answer_visibly(may_send_file: bool, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"short")

    @on_loop
    async def scenario() -> None:
        rig = Rig(may_send_file=may_send_file)

        async def sending(request: Request) -> Response:
            return Response(200, body=FileBody(os.open(tmp_path / "f", os.O_RDONLY), [(0, 100)]))

        rig.on("/file", sending)
        answer = await rig.say(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
        assert head_of(answer)["content-length"] == "100"
        assert body_of(answer) == b"short"
        assert rig.connection.is_aborted

    scenario()


@on_loop
async def test_a_defect_of_a_handler_is_500_and_the_connection_goes_on() -> None:
    rig = Rig()

    async def falling(request: Request) -> Response:
        raise ValueError("a defect")

    rig.on("/falling", falling)
    rig.on("/hello", HELLO)
    answer = await rig.say(b"GET /falling HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status_of(answer) == 500
    assert b"a defect" not in answer
    assert status_of(await rig.say(GET)) == 200


@on_loop
async def test_an_error_of_a_handler_carries_its_fields() -> None:
    rig = Rig()

    async def refusing(request: Request) -> Response:
        raise HttpError(405, "Not that.", fields=[("allow", "GET, HEAD")])

    rig.on("/refusing", refusing)
    answer = await rig.say(b"DELETE /refusing HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status_of(answer) == 405
    assert head_of(answer)["allow"] == "GET, HEAD"


# --- RFC 9110 §7.8: Upgrade ------------------------------------------------------------------------------------------------


class Taken:
    """The session that owns a stream after an upgrade."""

    def __init__(self, connection: Connection, data: bytes) -> None:
        self.connection = connection
        self.received = data

    def receive_data(self, data: bytes) -> None:
        self.received += data
        self.connection.write(data.upper())

    def receive_eof(self) -> None: ...
    def connection_lost(self, error: Exception | None) -> None: ...
    def sweep(self, now: float) -> None: ...
    def retire(self, *, at_once: bool) -> None: ...


@on_loop
async def test_an_upgrade_hands_the_stream_over_with_what_came_after_the_request() -> None:
    rig = Rig()
    taken: list[Taken] = []

    def take(connection: Connection, data: bytes) -> Session:
        taken.append(Taken(connection, data))
        return taken[-1]

    async def upgrading(request: Request) -> Response:
        return Response(101, Fields([("upgrade", "shout"), ("connection", "upgrade")]), takeover=take)

    rig.on("/up", upgrading)
    answer = await rig.say(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nfirst")
    assert status_of(answer) == 101
    assert head_of(answer)["upgrade"] == "shout"
    assert "content-length" not in head_of(answer)
    assert taken[0].received == b"first"
    assert await rig.say(b"more") == b"MORE"


# --- bad messages ------------------------------------------------------------------------------------------------------------


@on_loop
async def test_bytes_that_are_no_request_are_answered_once_and_end_the_connection() -> None:
    rig = Rig()
    answer = await rig.say(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert status_of(answer) == 400
    assert head_of(answer)["connection"] == "close"
    assert rig.connection.has_sent_eof
    assert await rig.say(GET) == b""
    assert rig.records[-1].outcome == "refused"
    assert rig.records[-1].status == 400


@on_loop
async def test_a_bad_request_after_a_good_one_costs_the_good_one_nothing() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    answer = await rig.say(GET + b"GET / HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 400 Bad Request" in answer
    assert rig.connection.has_sent_eof


# --- remembered answers --------------------------------------------------------------------------------------------------------


@on_loop
async def test_the_same_bytes_are_answered_without_the_handler_from_the_third_time_on() -> None:
    rig = Rig()
    rig.on("/hello", KEPT)
    first = await rig.say(GET)
    assert await rig.say(GET) == first
    assert len(rig.handler.requests) == 2
    assert await rig.say(GET) == first
    assert await rig.say(GET + GET) == first + first
    assert len(rig.handler.requests) == 2
    assert [record.is_recalled for record in rig.records] == [False, False, True, True, True]
    assert {record.status for record in rig.records} == {200}


@on_loop
async def test_a_remembered_answer_has_the_date_of_its_second_and_its_age() -> None:
    rig = Rig()
    rig.on("/hello", Response(200, body=b"x", remember=Remember(FOREVER, born=rig.clock.now - 5)))
    for _ in range(2):
        await rig.say(GET)
    answer = await rig.say(GET)
    assert head_of(answer)["age"] == "5"
    rig.clock.advance(10)
    later = await rig.say(GET)
    assert head_of(later)["age"] == "15"
    assert head_of(later)["date"] == "Tue, 14 Nov 2023 22:13:30 GMT"
    assert len(rig.handler.requests) == 2


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /hello HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eDp5\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic eDp5\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n",
        b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_what_only_some_may_have_is_not_remembered(request_head: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/hello", KEPT)
        for _ in range(4):
            assert status_of(await rig.say(request_head)) == 200
        assert len(rig.handler.requests) == 4
        assert len(rig.recall) == 0

    scenario()


@pytest.mark.parametrize(
    "response",
    [
        HELLO,
        Response(200, Fields([("set-cookie", "a=b")]), b"x", remember=Remember(FOREVER)),
        Response(200, body=b"x" * (64 * 1024 + 1), remember=Remember(FOREVER)),
    ],
)
def test_what_the_handler_did_not_offer_or_is_too_large_is_not_remembered(response: Response) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/hello", response)
        for _ in range(4):
            await rig.say(GET)
        assert len(rig.handler.requests) == 4

    scenario()


@pytest.mark.parametrize(
    "request_head", [b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"GET /hello HTTP/1.0\r\n\r\n"]
)
def test_an_answer_that_the_client_wants_to_be_the_last_is_remembered_so(request_head: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/hello", KEPT)
        answers = set()
        for _ in range(5):
            answers.add(await rig.say(request_head + GET))
            assert rig.connection.has_sent_eof
            rig.connect()
        assert len(rig.handler.requests) <= 5
        for _ in range(3):
            answers.add(await rig.say(request_head))
            assert rig.connection.has_sent_eof
            rig.connect()
        (answer,) = answers
        assert head_of(answer)["connection"] == "close"
        requests = len(rig.handler.requests)
        await rig.say(request_head)
        assert len(rig.handler.requests) == requests
        rig.connect()
        assert "connection" not in head_of(await rig.say(GET))

    scenario()


@on_loop
async def test_an_answer_that_only_we_made_the_last_is_not_remembered() -> None:
    rig = Rig()
    rig.on("/hello", KEPT)
    for _ in range(4):
        rig.session.retire(at_once=False)
        assert head_of(await rig.say(GET))["connection"] == "close"
        rig.connect()
    assert len(rig.recall) == 0


@on_loop
async def test_a_client_that_does_not_take_remembered_answers_is_made_to_wait() -> None:
    rig = Rig()
    rig.on("/hello", KEPT)
    for _ in range(2):
        await rig.say(GET)
    rig.connection.stall()
    await rig.say(GET)
    assert rig.connection.is_paused
    assert await rig.say(GET) == b"", "what still comes waits its turn"
    rig.connection.flow()
    assert (await rig.hear()).count(b"HTTP/1.1 200 OK") == 1
    assert not rig.connection.is_paused
    assert status_of(await rig.say(GET)) == 200


@on_loop
async def test_empty_lines_between_remembered_requests_do_not_add_up() -> None:
    rig = Rig()
    rig.on("/hello", KEPT)
    for _ in range(30):
        assert status_of(await rig.say(GET)) == 200
        assert await rig.say(b"\r\n") == b""


@pytest.mark.parametrize("octets", [0, 1 << 20])
def test_the_last_hundred_are_counted_down_alike_with_and_without_memory(octets: int) -> None:
    @on_loop
    async def scenario() -> None:
        limit = LAST_REQUESTS + 10
        rig = Rig(limits=HttpLimits(requests_per_connection=limit), octets=octets)
        rig.on("/hello", KEPT)
        ask = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
        hints = [head_of(await rig.say(ask)).get("keep-alive") for _ in range(limit)]
        told = [f"timeout=75, max={limit - number}" for number in range(10, limit)]
        assert hints == ["timeout=75"] * 9 + told + [None]

    scenario()


# --- retiring ----------------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_retiring_session_says_so_with_its_next_answer() -> None:
    rig = Rig()
    rig.on("/hello", KEPT)
    for _ in range(3):
        await rig.say(GET)
    rig.session.retire(at_once=False)
    assert not rig.connection.has_sent_eof
    answer = await rig.say(GET)
    assert head_of(answer)["connection"] == "close"
    assert rig.connection.has_sent_eof


@on_loop
async def test_retiring_at_once_ends_what_is_at_rest_and_finishes_what_is_not() -> None:
    rig = Rig()
    rig.session.retire(at_once=True)
    assert rig.connection.has_sent_eof
    rig.connect()
    gate = asyncio.get_running_loop().create_future()

    async def slow(request: Request) -> Response:
        await gate
        return Response(200, body=b"slow")

    rig.on("/slow", slow)
    await rig.say(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    rig.session.retire(at_once=True)
    assert not rig.connection.has_sent_eof
    gate.set_result(None)
    answer = await rig.hear()
    assert head_of(answer)["connection"] == "close"
    assert body_of(answer) == b"slow"
    assert rig.connection.has_sent_eof


# --- what went wrong once ------------------------------------------------------------------------------------------------


@on_loop
async def test_a_body_that_breaks_after_the_answer_began_ends_the_connection() -> None:
    rig = Rig(limits=HttpLimits(body_size=10))
    gate = asyncio.get_running_loop().create_future()

    async def late() -> AsyncIterator[bytes]:
        yield b"begun"
        await gate
        yield b"done"

    async def streaming(request: Request) -> Response:
        return Response(200, body=late())

    rig.on("/late", streaming)
    await rig.say(b"POST /late HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await rig.say(b"10\r\n0123456789abcdef\r\n")
    gate.set_result(None)
    answer = await rig.hear()
    assert answer.endswith(b"4\r\ndone\r\n0\r\n\r\n")
    assert rig.connection.has_sent_eof
    rig.sweep(40)
    assert rig.connection.is_closed


@on_loop
async def test_requests_pipelined_before_a_half_close_are_all_answered() -> None:
    rig = Rig()
    gate = asyncio.get_running_loop().create_future()

    async def slow(request: Request) -> Response:
        await gate
        return Response(200, body=b"slow")

    rig.on("/slow", slow)
    rig.on("/hello", HELLO)
    await rig.say(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + GET + GET)
    rig.connection.hang_up()
    gate.set_result(None)
    answer = await rig.hear()
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert rig.connection.is_closed
    assert not rig.connection.is_aborted


@pytest.mark.parametrize("scheme", [b"https", b"ftp"])
def test_a_resource_of_another_scheme_is_not_here(scheme: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/hello", HELLO)
        answer = await rig.say(b"GET %b://a/hello HTTP/1.1\r\nHost: a\r\n\r\n" % scheme)
        assert status_of(answer) in (400, 421)
        assert not rig.handler.requests
        if scheme == b"https":
            assert status_of(answer) == 421
            assert status_of(await rig.say(b"GET http://a/hello HTTP/1.1\r\nHost: a\r\n\r\n")) == 200

    scenario()


@on_loop
async def test_a_client_that_waits_for_100_is_not_slow() -> None:
    rig = Rig(limits=HttpLimits(body_rate=100, body_grace=3))
    gate = asyncio.get_running_loop().create_future()

    async def late(request: Request) -> Response:
        await gate
        return await echo(request)

    rig.on("/late", late)
    await rig.say(POST_EXPECTING % b"/late")
    rig.sweep(20)
    gate.set_result(None)
    assert await rig.hear() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status_of(await rig.say(b"12345")) == 200


def test_an_answer_that_cannot_be_sent_is_500_and_gives_back_what_it_held(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")

    @on_loop
    async def scenario() -> None:
        rig = Rig()
        descriptors: list[int] = []

        async def splitting(request: Request) -> Response:
            descriptors.append(os.open(tmp_path / "f", os.O_RDONLY))
            fields = Fields([("x-split", "a\r\nSet-Cookie: b=c")])
            return Response(200, fields, FileBody(descriptors[-1], [(0, 7)]))

        rig.on("/split", splitting)
        rig.on("/hello", HELLO)
        answer = await rig.say(b"GET /split HTTP/1.1\r\nHost: a\r\n\r\n")
        assert status_of(answer) == 500
        assert b"Set-Cookie" not in answer
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(descriptors[0])
        assert status_of(await rig.say(GET)) == 200

    scenario()


@on_loop
async def test_the_journal_has_a_sample_of_what_was_sent_and_received() -> None:
    rig = Rig()
    rig.on("/echo", echo)
    await rig.say(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000)
    (record,) = rig.records
    assert record.request_body == b"x" * rig.service.capture
    assert record.response_body == b"x" * rig.service.capture
    assert (record.received, record.sent) == (9000, 9000)


@on_loop
async def test_many_pipelined_requests_let_others_have_their_turn() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    rig.connection.deliver(GET * 300)
    first = rig.connection.take().count(b"HTTP/1.1 200 OK")
    assert first < 100
    assert first + (await rig.hear()).count(b"HTTP/1.1 200 OK") == 300


@on_loop
async def test_an_answer_that_breaks_off_is_noted_with_what_was_sent() -> None:
    rig = Rig()

    async def breaking() -> AsyncIterator[bytes]:
        yield b"12345"
        raise ConnectionResetError

    async def streaming(request: Request) -> Response:
        return Response(200, body=breaking())

    rig.on("/stream", streaming)
    await rig.say(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert rig.records[-1].sent == 5
    assert rig.records[-1].response_body == b"12345"
    assert rig.records[-1].outcome == "aborted"


@on_loop
async def test_who_cleans_up_after_a_client_that_left_is_not_cancelled_in_it() -> None:
    rig = Rig()
    steps: list[str] = []

    class Stream:
        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> bytes:
            return b"x"

        async def aclose(self) -> None:
            steps.append("begun")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            steps.append("done")

    async def streaming(request: Request) -> Response:
        return Response(200, body=Stream())

    rig.on("/stream", streaming)
    rig.connection.stall()
    await rig.say(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    rig.connection.vanish()
    await rig.hear()
    assert steps == ["begun", "done"]


@on_loop
async def test_who_takes_a_stream_over_is_told_what_happened_before() -> None:
    rig = Rig()
    told: list[str] = []

    class Told(Taken):
        def receive_eof(self) -> None:
            told.append("end")

        def retire(self, *, at_once: bool) -> None:
            told.append(f"retire {at_once}")

    gate = asyncio.get_running_loop().create_future()

    async def upgrading(request: Request) -> Response:
        await gate
        return Response(101, Fields([("upgrade", "shout")]), takeover=Told)

    rig.on("/up", upgrading)
    await rig.say(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nmore")
    rig.connection.hang_up()
    rig.session.retire(at_once=False)
    gate.set_result(None)
    assert status_of(await rig.hear()) == 101
    assert told == ["retire False", "end"]


@on_loop
async def test_content_is_no_part_of_what_was_no_request() -> None:
    rig = Rig()
    rig.on("/hello", HELLO)
    await rig.say(b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n")
    await rig.say(b"password=secret")
    await rig.say(b"garbage\r\n\r\n")
    assert rig.records[-1].outcome == "refused"
    assert rig.records[-1].request_head == b"garbage\r\n\r\n"


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n",
        b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ],
)
def test_no_hint_is_given_with_the_last_answer(request_head: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()

        async def streaming(request: Request) -> Response:
            return Response(200, body=pieces())

        rig.on("/stream", streaming)
        head = head_of(await rig.say(request_head))
        assert head["connection"] == "close"
        assert "keep-alive" not in head

    scenario()


@on_loop
async def test_a_client_that_stalls_twice_has_its_time_twice() -> None:
    rig = Rig(limits=HttpLimits(send_timeout=5))
    gates = [asyncio.get_running_loop().create_future() for _ in range(2)]

    async def two() -> AsyncIterator[bytes]:
        for gate in gates:
            yield b"x"
            await gate

    async def streaming(request: Request) -> Response:
        return Response(200, body=two())

    rig.on("/stream", streaming)
    rig.connection.stall()
    await rig.say(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    rig.sweep(4)
    rig.connection.flow()
    await rig.hear()
    rig.sweep(1)
    rig.connection.stall()
    gates[0].set_result(None)
    await rig.hear()
    rig.sweep(4)
    assert not rig.connection.is_aborted
    rig.sweep(3)
    assert rig.connection.is_aborted


@on_loop
async def test_a_client_that_sends_on_after_its_last_answer_is_listened_to_for_a_while() -> None:
    rig = Rig(limits=HttpLimits(linger_timeout=5, drain_body=1000))
    rig.on("/hello", HELLO)
    await rig.say(b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    assert rig.connection.has_sent_eof
    for _ in range(20):
        await rig.say(b"x" * 1_000_000)
        rig.sweep(1)
        assert not rig.connection.is_aborted
    for _ in range(20):
        if not rig.connection.is_aborted:
            await rig.say(b"x" * 1_000_000)
            rig.sweep(1)
    assert rig.connection.is_aborted


# --- Told of the end of the client's side -----------------------------------------------------------------------------------------


@on_loop
async def test_a_handler_may_be_told_that_the_client_ended_its_side() -> None:
    rig = Rig()
    told: list[str] = []

    async def slow(request: Request) -> Response:
        request.link.when_ended(lambda: told.append(request.path))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return Response(200, body=b"answer")

    rig.on("/first", slow)
    rig.on("/second", slow)
    await rig.say(b"GET /first HTTP/1.1\r\nhost: a\r\n\r\n")
    rig.connection.deliver(b"GET /second HTTP/1.1\r\nhost: a\r\n\r\n")
    rig.connection.hang_up()
    assert told == ["/second"]
    assert body_of(await rig.hear()) == b"answer", "it may wait for its answer still"


@on_loop
async def test_a_handler_is_told_at_once_if_the_client_ended_its_side_before() -> None:
    rig = Rig()
    told: list[str] = []

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0)
        request.link.when_ended(lambda: told.append("ended"))
        return Response(200)

    rig.on("/", slow)
    rig.connection.deliver(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    rig.connection.hang_up()
    await rig.hear()
    assert told == ["ended"]


@on_loop
async def test_small_content_that_came_with_its_head_makes_nobody_wait() -> None:
    rig = Rig()
    waited: list[bool] = []

    async def echo(request: Request) -> Response:
        reading = request.body.read()
        try:
            reading.send(None)
            waited.append(True)
        except StopIteration as end:
            waited.append(False)
            assert await request.body.read() == b""
            return Response(200, Fields(), end.value)
        finally:
            reading.close()
        return Response(200)

    rig.on("/echo", echo)
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    rig.connection.deliver(head + b"hello" + head + b"again" + head)
    answers = rig.connection.take()
    assert waited == [False, False, True]
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert b"hello" in answers
    assert b"again" in answers
    assert [record.received for record in rig.records[:2]] == [5, 5]
    assert [record.request_body for record in rig.records[:2]] == [b"hello", b"again"]
