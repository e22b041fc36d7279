"""Requests that are new in their bytes and ask what was asked before (`session/remembering.py`)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.certificates import CoveredHosts
from netlodge.http.message import SELECTING, Fields, FileBody, MessageError, Remember, Request, Response
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire.gist import gist_of
from netlodge.http.wire.h1 import HeadMemo, Http1Codec, RequestHead, Role, WireLimits
from tests.http.malformed import MALFORMED_REQUESTS, Malformed
from tests.http.session.rig import Rig, body_of, head_of, on_loop, status_of

FOREVER = float("inf")


def kept(reads: frozenset[str] | None = SELECTING) -> Response:
    return Response(200, Fields([("content-type", "text/plain")]), b"hello\n", remember=Remember(FOREVER, reads=reads))


def get(number: int, *fields: bytes, method: bytes = b"GET", target: bytes = b"/hello", host: bytes = b"a") -> bytes:
    """A request that no other has the bytes of."""
    lines = [b"%b %b HTTP/1.1" % (method, target), b"Host: " + host, b"User-Agent: client/%d" % number, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@on_loop
async def test_what_many_ask_in_other_bytes_is_answered_without_the_handler() -> None:
    rig = Rig()
    rig.on("/hello", kept())
    first = await rig.say(get(1))
    for number in range(2, 8):
        assert await rig.say(get(number)) == first
    assert len(rig.handler.requests) == 2
    assert [record.user_agent for record in rig.records] == [f"client/{number}" for number in range(1, 8)]
    assert [record.is_recalled for record in rig.records] == [False] * 2 + [True] * 5
    assert rig.records[-1].request_head == get(7)
    assert rig.records[-1].status == 200


@on_loop
async def test_bytes_that_come_again_are_then_found_by_their_bytes() -> None:
    rig = Rig()
    rig.on("/hello", kept())
    for number in (1, 2, 3, 3):
        await rig.say(get(number))
    assert rig.recall.find(get(3)) is not None
    assert rig.recall.find(get(2)) is None
    assert len(rig.handler.requests) == 2


@on_loop
async def test_pipelined_requests_are_answered_so_too_in_order() -> None:
    rig = Rig()
    rig.on("/hello", kept())
    rig.on("/other", Response(200, body=b"other"))
    for number in range(3):
        await rig.say(get(number))
    answer = await rig.say(get(10) + get(11, target=b"/other") + get(12))
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"hello") < answer.index(b"other") < answer.rindex(b"hello")
    assert len(rig.handler.requests) == 4, "what stands behind a request that is not remembered is taken up with it"


@on_loop
async def test_a_remembered_answer_is_for_connections_whose_certificate_is_for_its_host() -> None:
    # RFC 9110 §7.4
    rig = Rig()
    rig.on("/hello", kept())
    rig.on("/new", Response(200, body=b"new"))
    known = get(1, target=b"/new")
    for octets in (get(1), get(1), get(1), known, known):
        await rig.say(octets)
    assert rig.recall.find(get(1)) is not None
    assert rig.service.requests.find(known) is not None
    handled = len(rig.handler.requests)
    for host, status in (("a", 200), ("b", 421), ("a", 200)):
        rig.connect(CoveredHosts([host]))
        # By its octets, by its meaning, behind another, as a head that came before, and as one that never did.
        for octets in (get(1), get(77), known, get(78, target=b"/new")):
            assert status_of(await rig.say(octets)) == status, octets
        answers = await rig.say(get(1) + get(1) + get(79))
        assert answers.count(b"HTTP/1.1 %d " % status) == 3
    assert len(rig.handler.requests) == handled + 4


@pytest.mark.parametrize(
    "other",
    [
        get(9, method=b"HEAD"),
        get(9, target=b"/hello?"),
        get(9, target=b"/hell%6f"),
        get(9, host=b"b"),
        get(9, host=b"a:81"),
        get(9, b"Accept: text/html"),
        get(9, b"Range: bytes=0-1"),
        get(9, b'If-None-Match: "x"'),
        get(9, b"If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT"),
        get(9, b"Authorization: Basic eDp5"),
        get(9, b"Proxy-Authorization: Basic eDp5"),
        get(9, b"Cookie: a=b"),
        get(9, b"Connection: close, x"),
        get(9, b"Connection: upgrade", b"Upgrade: h2c"),
        get(9, b"Expect: 100-continue"),
        get(9, b"Content-Length: 1") + b"x",
        get(9).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_whoever_asks_something_else_or_is_somebody_asks_the_handler(other: bytes) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/hello", kept())
        for number in range(4):
            await rig.say(get(number))
        assert len(rig.handler.requests) == 2
        assert status_of(await rig.say(other)) in (200, 404)
        assert len(rig.handler.requests) == 3

    scenario()


@on_loop
async def test_what_a_selecting_field_chooses_is_remembered_apart() -> None:
    rig = Rig()

    async def choosing(request: Request) -> Response:
        accept = request.fields.get("accept", "")
        return Response(200, body=(accept or "").encode(), remember=Remember(FOREVER, reads=SELECTING))

    rig.on("/hello", choosing)
    for number in range(6):
        assert (await rig.say(get(number, b"Accept: text/html"))).endswith(b"text/html")
        assert (await rig.say(get(number, b"Accept: application/json"))).endswith(b"application/json")
    assert len(rig.handler.requests) == 4


@on_loop
async def test_keep_alive_is_answered_with_its_hint() -> None:
    rig = Rig()
    rig.on("/hello", kept())
    for number in range(4):
        answer = await rig.say(get(number, b"Connection: keep-alive"))
        assert head_of(answer)["keep-alive"] == "timeout=75"
    assert len(rig.handler.requests) == 2
    for number in range(4):
        assert "keep-alive" not in head_of(await rig.say(get(number)))


@on_loop
async def test_whoever_asks_for_the_end_is_answered_with_it() -> None:
    rig = Rig()
    rig.on("/hello", kept())
    for number in range(6):
        answer = await rig.say(get(number, b"Connection: close"))
        assert head_of(answer)["connection"] == "close"
        assert body_of(answer) == b"hello\n"
        assert rig.connection.has_sent_eof
        assert not rig.connection.is_aborted
        rig.connect()
    assert len(rig.handler.requests) == 2
    assert "connection" not in head_of(await rig.say(get(7)))


@pytest.mark.parametrize("reads", [None, frozenset({"accept", "x-tenant"})])
def test_an_answer_that_depends_on_more_is_not_remembered_so(reads: frozenset[str] | None) -> None:
    @on_loop
    async def scenario() -> None:
        rig = Rig()
        rig.on("/hello", kept(reads))
        for number in range(5):
            await rig.say(get(number))
        assert len(rig.handler.requests) == 5
        assert len(rig.alike) == 0

    scenario()


@on_loop
async def test_the_conditions_of_an_answer_hold_here_too() -> None:
    rig = Rig()
    holds = True

    async def watched(request: Request) -> Response:
        return Response(200, body=b"x", remember=Remember(FOREVER, lambda: holds, reads=SELECTING))

    rig.on("/hello", watched)
    for number in range(4):
        await rig.say(get(number))
    assert len(rig.handler.requests) == 2
    holds = False
    await rig.say(get(9))
    assert len(rig.handler.requests) == 3


@on_loop
async def test_a_stalled_client_gets_one_answer_after_another() -> None:
    rig = Rig()
    rig.on("/hello", kept())
    rig.on("/other", Response(200, body=b"other"))
    for number in range(3):
        await rig.say(get(number))
    rig.connection.stall()
    answer = await rig.say(get(11) + get(12) + get(13, target=b"/other") + get(14))
    assert len(rig.handler.requests) == 2, "what is not remembered waits for the client to take what it was sent"
    rig.connection.flow()
    answer += await rig.hear()
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert answer.index(b"other") < answer.rindex(b"hello")
    assert [record.outcome for record in rig.records] == ["complete"] * 7
    assert status_of(await rig.say(get(15))) == 200


@on_loop
async def test_the_account_counts_heads_and_samples() -> None:
    rig = Rig()
    rig.on("/hello", kept())
    padding = b"X-Padding: " + b"x" * 8000
    for _ in range(3):
        await rig.say(get(1, padding))
    assert rig.recall.octets > 8000 * 2
    assert rig.alike.octets < 8000, "of the request that came first nothing is kept but what it asked"


@on_loop
async def test_a_client_that_is_never_done_with_a_head_is_not_late() -> None:
    rig = Rig(limits=HttpLimits(head_timeout=5))
    rig.on("/hello", kept())
    for number in range(3):
        await rig.say(get(number))
    rest = get(100)
    for number in range(10):
        half = get(200 + number)[:20]
        await rig.say(rest + half)
        rest = get(200 + number)[20:]
        rig.sweep(2)
        assert not rig.connection.has_sent_eof


@on_loop
async def test_the_last_requests_of_a_connection_are_looked_at_one_by_one() -> None:
    rig = Rig(limits=HttpLimits(requests_per_connection=3))
    rig.on("/hello", kept())
    answers = [await rig.say(get(number)) for number in range(3)]
    assert head_of(answers[-1])["connection"] == "close"
    assert len(rig.handler.requests) == 3


@on_loop
async def test_a_client_that_does_not_take_its_answers_is_made_to_wait() -> None:
    rig = Rig()
    rig.on("/hello", kept())
    for number in range(3):
        await rig.say(get(number))
    rig.connection.stall()
    await rig.say(get(7))
    assert rig.connection.is_paused
    rig.connection.flow()
    await rig.hear()
    assert not rig.connection.is_paused
    assert status_of(await rig.say(get(8))) == 200
    assert len(rig.handler.requests) == 2


def test_no_two_requests_have_the_same_question_by_accident() -> None:
    def question(*fields: bytes, target: bytes = b"/") -> str | None:
        gist = gist_of(get(1, *fields, target=target), WireLimits(), HeadMemo())
        return None if gist is None else gist.question

    questions = [
        question(),
        question(target=b"/accept:x"),
        question(b"Accept: x"),
        question(b"Accept: x", b"Range: y"),
        question(b"Accept: x, range:y"),
        question(b"If-Range: x"),
        question(b"If-Match: x"),
        question(b"Connection: keep-alive"),
        question(b"Connection: close"),
    ]
    assert None not in questions
    assert len(set(questions)) == len(questions)
    assert question(b"Range: y", b"Accept: x") == question(b"Accept: x", b"Range: y")


@pytest.mark.parametrize("message", [m for m in MALFORMED_REQUESTS if not m.octets.startswith(b"\r\n")], ids=str)
def test_what_is_malformed_has_no_gist(message: Malformed) -> None:
    end = message.octets.find(b"\r\n\r\n") + 4
    head = message.octets[:end]
    codec = Http1Codec(Role.SERVER, WireLimits())
    codec.receive_data(head)
    try:
        codec.next_event()
    except MessageError:
        assert end < 4 or gist_of(head, WireLimits(), HeadMemo()) is None


@given(st.lists(st.sampled_from([
    b"GET / HTTP/1.1\r\n", b"GET /a?b HTTP/1.1\r\n", b"Host: a\r\n", b"Host: b:80\r\n", b"host:a\r\n", b"Accept: x\r\n", b"X: y\r\n",
    b"X:\ty \r\n", b"Connection: close\r\n", b"Content-Length: 0\r\n", b"Bad Name: x\r\n", b" folded\r\n", b"\r\n", b"X: \x00\r\n", b"Range: bytes=0-1\r\n",
    b"User-Agent: u\r\n", b"HEAD / HTTP/1.0\r\n", b"Host: a b\r\n", b"X: a\nb\r\n",
]), max_size=6).map(b"".join))  # fmt: skip
def test_what_has_a_gist_is_what_the_codec_takes(lines: bytes) -> None:
    head = lines + b"\r\n"
    end = head.find(b"\r\n\r\n") + 4
    gist = gist_of(head[:end], WireLimits(), HeadMemo()) if end >= 4 else None
    if gist is None:
        return
    codec = Http1Codec(Role.SERVER, WireLimits())
    codec.receive_data(head[:end])
    event = codec.next_event()
    assert isinstance(event, RequestHead)
    assert event.content_length == 0
    line, host, port, *_ = gist.question.split("\n")
    assert line == f"{event.method} {event.target} HTTP/{event.version}"
    assert (host, port) == (event.host, str(event.port))


# --- files that the kernel sends ---------------------------------------------------------------------------------------


def serving(path: Path, count: int) -> Callable[[Request], Awaitable[Response]]:
    async def act(request: Request) -> Response:
        body = FileBody(os.open(path, os.O_RDONLY), [(2, count)])
        return Response(200, body=body, remember=Remember(FOREVER, reads=SELECTING))

    return act


def open_descriptors(path: Path) -> int:
    folder = Path("/proc/self/fd")
    return sum(os.path.realpath(entry) == str(path) for entry in folder.iterdir())


def test_a_large_file_is_sent_again_from_its_open_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20_000)

    @on_loop
    async def scenario() -> None:
        rig = Rig(may_send_file=True)
        rig.on("/hello", serving(path, 150_000))
        first = await rig.say(get(1))
        assert head_of(first)["content-length"] == "150000"
        assert body_of(first) == path.read_bytes()[2:150_002]
        for number in (1, 1, 2, 3, 3, 3):
            assert await rig.say(get(number)) == first
        assert len(rig.handler.requests) == 2
        assert {record.sent for record in rig.records} == {150_000}
        assert len(rig.records) == 7
        assert 1 <= open_descriptors(path) <= 2
        rig.recall.clear()
        rig.alike.clear()
        assert open_descriptors(path) == 0

    scenario()


def test_pipelined_requests_for_it_are_answered_in_order(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20_000)

    @on_loop
    async def scenario() -> None:
        rig = Rig(may_send_file=True)
        rig.on("/hello", serving(path, 100_000))
        rig.on("/small", kept())
        small, large = get(1, target=b"/small"), get(2)
        one = b"".join([await rig.say(small + large) for _ in range(3)][-1:])
        answer = await rig.say(small + large + large + small + get(3) + small)
        assert answer.count(b"HTTP/1.1 200 OK") == 6
        assert answer.startswith(one)
        assert answer.endswith(b"hello\n")

    scenario()


def test_it_is_not_kept_where_the_kernel_cannot_send(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20_000)

    @on_loop
    async def scenario() -> None:
        rig = Rig(may_send_file=False)
        rig.on("/hello", serving(path, 100_000))
        for number in (1, 1, 1, 2):
            assert len(body_of(await rig.say(get(number)))) == 100_000
        assert len(rig.handler.requests) == 4
        assert open_descriptors(path) == 0

    scenario()


def test_when_it_shrinks_the_answer_breaks_off_visibly(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20_000)

    @on_loop
    async def scenario() -> None:
        rig = Rig(may_send_file=True)
        rig.on("/hello", serving(path, 100_000))
        for _ in range(3):
            await rig.say(get(1))
        os.truncate(path, 50_000)
        answer = await rig.say(get(1))
        assert len(body_of(answer)) == 49_998
        assert rig.connection.is_aborted
        assert rig.records[-1].outcome == "aborted"

    scenario()


def test_head_is_remembered_without_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20_000)

    @on_loop
    async def scenario() -> None:
        rig = Rig(may_send_file=True)
        rig.on("/hello", serving(path, 100_000))
        for number in (1, 1, 1, 2):
            answer = await rig.say(get(number, method=b"HEAD"))
            assert head_of(answer)["content-length"] == "100000"
            assert body_of(answer) == b""
        assert len(rig.handler.requests) == 2

    scenario()


def test_a_pipelined_answer_never_lands_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 20_000)

    @on_loop
    async def scenario() -> None:
        rig = Rig(may_send_file=True)
        rig.on("/hello", serving(path, 100_000))
        rig.on("/small", kept())
        for number in range(3):
            await rig.say(get(number) + get(number, target=b"/small"))
        rig.connection.stall()
        answer = await rig.say(get(10) + get(11) + get(12, target=b"/small") + get(13, b"Cookie: a=b"))
        rig.connection.flow()
        answer += await rig.hear()
        expected = path.read_bytes()[2:100_002]
        assert answer.count(b"HTTP/1.1 200 OK") == 4
        parts = answer.split(b"HTTP/1.1 200 OK")[1:]
        assert [part.split(b"\r\n\r\n", 1)[1] for part in parts] == [expected, expected, b"hello\n", expected]

    scenario()


@on_loop
async def test_many_answers_to_one_read_are_not_all_made_before_the_first_is_taken() -> None:
    rig = Rig()
    rig.on("/hello", Response(200, body=b"x" * 60_000, remember=Remember(FOREVER)))
    for _ in range(3):
        await rig.say(get(1))
    write = rig.connection.write

    def take_one_write(data: bytes) -> None:
        write(data)
        rig.connection.stall()

    rig.connection.write = take_one_write  # type: ignore[method-assign]
    answer = await rig.say(get(1) * 200)
    assert len(answer) < 10 * 60_000
