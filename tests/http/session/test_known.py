"""Requests that came before and answers that left before: the same octets as the long way, without going it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from netlodge.http.message import Fields, HttpError, Request, Response
from netlodge.http.session import known
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire.h1 import Http1Codec, RequestHead
from tests.http.session.rig import Rig, body_of, head_of, on_loop, status_of

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
TEXT = [("content-type", "text/plain")]


def plain(body: bytes = b"hello", status: int = 200) -> Response:
    return Response(status, Fields(TEXT), body)


async def warmed(rig: Rig, octets: bytes = GET) -> bytes:
    """Ask until the request is known; return the last answer that went the long way."""
    await rig.say(octets)
    answer = await rig.say(octets)
    assert rig.service.requests.find(octets) is not None
    return answer


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(("status", "body"), [(200, b"hello"), (200, b""), (204, b""), (304, b""), (404, b"gone")])
def test_the_octets_are_those_of_the_long_way(method: str, status: int, body: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain(body, status))
        octets = GET.replace(b"GET", method.encode())
        long_way = await warmed(rig, octets)
        assert await rig.say(octets) == long_way
        first, _, last = rig.records
        assert (first.status, first.sent, first.request_head) == (last.status, last.sent, last.request_head)
        assert (first.response_head, first.response_body) == (last.response_head, last.response_body)
        assert last is not first

    scenario()


def test_nothing_is_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        long_way = await warmed(rig)

        def defect(codec: Http1Codec) -> None:
            raise AssertionError("it is parsed again")

        monkeypatch.setattr(Http1Codec, "_read_request", defect)
        monkeypatch.setattr(Http1Codec, "_send_response", defect)
        for _ in range(3):
            rig.connection.deliver(GET)
            assert rig.connection.take() == long_way

    scenario()


def test_every_answer_has_the_date_of_its_moment() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        before = head_of(await warmed(rig))
        rig.clock.advance(5)
        after = head_of(await rig.say(GET))
        assert before.pop("date") != after.pop("date")
        assert before == after

    scenario()


def test_the_handler_is_asked_each_time_and_says_what_it_likes() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        count = 0

        async def counting(request: Request) -> Response:
            nonlocal count
            count += 1
            return Response(200, Fields([("x-count", str(count))]), b"%d" % count)

        rig.on("/a", counting)
        for number in range(1, 15):
            answer = await rig.say(GET)
            assert (head_of(answer)["x-count"], body_of(answer)) == (str(number), b"%d" % number)

    scenario()


def test_what_a_handler_raises_is_answered_as_ever() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        await warmed(rig)

        async def refusing(request: Request) -> Response:
            raise HttpError(403, "Not today.", must_close=True)

        rig.on("/a", refusing)
        answer = await rig.say(GET)
        assert (status_of(answer), head_of(answer)["connection"]) == (403, "close")
        assert rig.connection.has_sent_eof

    scenario()


def test_a_defect_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        await warmed(rig)

        async def failing(request: Request) -> Response:
            raise ZeroDivisionError

        rig.on("/a", failing)
        assert status_of(await rig.say(GET)) == 500
        rig.on("/a", plain())
        assert status_of(await rig.say(GET)) == 200

    scenario()
    assert "ZeroDivisionError" in caplog.text


def test_a_handler_may_wait_and_inform_and_stream() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        await warmed(rig)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            await asyncio.sleep(0)
            yield b"two"

        async def slow(request: Request) -> Response:
            request.link.inform(103, Fields([("link", "</a.css>; rel=preload")]))
            assert await request.body.read() == b""
            await asyncio.sleep(0)
            return Response(200, Fields(TEXT), pieces())

        rig.on("/a", slow)
        answer = await rig.say(GET)
        assert answer.startswith(b"HTTP/1.1 103 ")
        assert answer.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        rig.on("/a", plain())
        assert body_of(await rig.say(GET)) == b"hello"
        assert [record.outcome for record in rig.records] == ["complete"] * 4

    scenario()


def test_a_client_that_vanishes_while_the_handler_waits_is_noted() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        await warmed(rig)

        async def waiting(request: Request) -> Response:
            await asyncio.sleep(3600)
            return plain()

        rig.on("/a", waiting)
        await rig.say(GET)
        rig.connection.vanish()
        await rig.hear()
        assert rig.records[-1].outcome == "aborted"

    scenario()


def test_a_cookie_is_set_on_each_answer_that_sets_it() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", Response(200, Fields([("set-cookie", "a=1"), ("set-cookie", "b=2")]), b"x"))
        long_way = await warmed(rig)
        assert long_way.count(b"Set-Cookie: ") == 2
        assert await rig.say(GET) == long_way
        assert known.key_of(RequestHead("GET", "/"), Response(200, Fields([("set-cookie", "a=1")]))) is None

    scenario()


@pytest.mark.parametrize(
    "octets",
    [
        b"GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: x-thing\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * known.LENGTH + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_what_is_out_of_the_ordinary_goes_the_long_way(octets: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        for _ in range(3):
            assert status_of(await rig.say(octets)) == 200
            assert rig.service.requests.find(octets) is None

    scenario()


def test_who_asks_for_the_end_gets_it_each_time() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        octets = GET[:-2] + b"Connection: close\r\n\r\n"
        for _ in range(3):
            rig.connect()
            assert head_of(await rig.say(octets))["connection"] == "close"
            assert rig.connection.has_sent_eof

    scenario()


def test_who_asks_to_be_told_is_told_how_long_the_connection_lasts() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        asking = GET[:-2] + b"Connection: keep-alive\r\n\r\n"
        long_way = await warmed(rig, asking)
        assert head_of(long_way)["keep-alive"] == "timeout=75"
        assert await rig.say(asking) == long_way
        await warmed(rig)
        assert "keep-alive" not in head_of(await rig.say(GET))

    scenario()


def test_the_last_request_of_a_connection_is_told_so() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig(limits=HttpLimits(requests_per_connection=103))
        rig.on("/a", plain())
        answers = [await rig.say(GET) for _ in range(103)]
        assert all("connection" not in head_of(answer) for answer in answers[:-1])
        assert head_of(answers[-1])["connection"] == "close"

    scenario()


def test_a_worker_that_retires_says_that_this_answer_is_the_last() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        await warmed(rig)
        rig.session.retire(at_once=False)
        assert head_of(await rig.say(GET))["connection"] == "close"

    scenario()


def test_a_client_that_takes_nothing_is_answered_no_further() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        long_way = await warmed(rig)
        rig.connection.stall()
        rig.connection.deliver(GET)
        assert rig.connection.take() == long_way
        assert rig.connection.is_paused
        rig.connection.deliver(GET)
        assert await rig.hear() == b""
        rig.connection.flow()
        assert await rig.hear() == long_way

    scenario()


def test_what_is_pipelined_behind_is_answered_in_order() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        rig.on("/b", plain(b"other"))
        long_way = await warmed(rig)
        answers = await rig.say(GET + GET.replace(b"/a", b"/b") + GET + b"GET /b HTTP/1.1\r\nHo")
        assert answers.count(long_way) == 2
        assert answers.index(b"other") > answers.index(b"hello")
        assert body_of(await rig.say(b"st: x\r\n\r\n")) == b"other"
        assert await rig.say(GET) == long_way

    scenario()


def test_empty_lines_before_a_known_request_do_not_add_up() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        await warmed(rig)
        for _ in range(20):
            assert status_of(await rig.say(b"\r\n" + GET)) == 200
            assert status_of(await rig.say(GET)) == 200

    scenario()


def test_no_more_are_kept_than_the_bound_and_nothing_after_forget() -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/a", plain())
        for number in range(known.ENTRIES + 10):
            octets = b"GET /a HTTP/1.1\r\nHost: x\r\nX-Number: %d\r\n\r\n" % number
            for _ in range(2):
                rig.connection.deliver(octets)
        assert rig.service.requests.find(octets) is not None
        assert 0 < len(rig.service.requests._requests) <= known.ENTRIES
        rig.service.requests.forget()
        rig.service.answers.forget()
        assert rig.service.requests.find(octets) is None
        assert status_of(await rig.say(octets)) == 200

    scenario()


def test_the_heads_of_answers_are_bounded_too() -> None:
    answers = known.KnownAnswers()
    octets = b"HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n\r\n"
    head = RequestHead("GET", "/")
    for number in range(known.ENTRIES + 10):
        answers.note(head, plain(b"x" * number), octets)
    assert len(answers._heads) == 10
    key = known.key_of(head, plain(b"x" * known.ENTRIES))
    assert key is not None
    assert answers.find(key) == (octets[:23], b"\r\n\r\n")
    answers.note(head, plain(status=201), octets[:-2] + b"x" * known.LENGTH)
    assert len(answers._heads) == 10
