"""Answers remembered for HTTP/2: the same as the others, and nobody's but everybody's."""

from __future__ import annotations

from math import inf

import pytest

from netlodge.core.certificates import CoveredHosts
from netlodge.http.message import Fields, Remember, Request, Response
from netlodge.http.session.h2 import Http2Session
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2_frames import LARGEST_WINDOW, Setting
from tests.http.session.h2_rig import Client, Raw, ask
from tests.http.session.rig import on_loop

FIELDS = Fields([("content-type", "text/plain"), ("etag", '"1"')])


def kept(body: bytes = b"kept", status: int = 200, **terms: object) -> Response:
    return Response(status, FIELDS.copy(), body, remember=Remember(inf, **terms))  # type: ignore[arg-type]


async def recalled(raw: Raw) -> bool:
    return raw.records[-1].is_recalled


# --- The same octets --------------------------------------------------------------------------------------------------------------------

QUESTIONS: list[tuple[str, str, tuple[tuple[str, str], ...]]] = [
    ("/", "GET", ()),
    ("/", "HEAD", ()),
    ("/empty", "GET", ()),
    ("/304", "GET", ()),
    ("/304", "HEAD", ()),
    ("/404", "GET", ()),
    ("/large", "GET", ()),
    ("/larger", "GET", ()),
    ("/aged", "GET", (("accept", "*/*"),)),
    ("/", "GET", (("priority", "u=1, i"),)),
    ("/nothing", "GET", ()),
]


@on_loop
async def test_answers_are_the_same_octets_with_recall_on_and_off() -> None:
    said: list[list[bytes]] = []
    for octets in (1 << 20, 0):
        raw = Raw([(Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW)], octets=octets)
        raw.connection.deliver(frames.window_update_frame(0, LARGEST_WINDOW - 65_535))
        raw.on("/", kept())
        raw.on("/empty", kept(b""))
        raw.on("/304", kept(b"", 304))
        raw.on("/404", kept(b"not here", 404))
        raw.on("/large", kept(b"x" * 16_384))
        raw.on("/larger", kept(b"x" * 16_385))
        raw.on("/aged", kept())
        await raw.settle()
        raw.connection.take()
        answers = []
        number = -1
        for _ in range(4):
            raw.clock.advance(1)
            for path, method, fields in QUESTIONS:
                number += 2
                raw.connection.deliver(ask(number, path, method, *fields))
                await raw.settle()
                answers.append(raw.connection.take())
        said.append(answers)
        assert any(record.is_recalled for record in raw.records) is bool(octets)
        assert len(raw.records) == 4 * len(QUESTIONS)
    assert said[0] == said[1]


@on_loop
async def test_a_remembered_answer_says_what_day_it_is() -> None:
    client = Client()
    client.on("/", kept())
    dates = []
    for _ in range(5):
        dates.append((await client.ask("/")).get("date"))
        client.clock.advance(1)
    assert dates == [f"Tue, 14 Nov 2023 22:13:2{second} GMT" for second in range(5)]
    assert [record.is_recalled for record in client.records] == [False, False, True, True, True]


@on_loop
async def test_a_remembered_answer_says_how_old_it_is() -> None:
    client = Client()
    born = client.clock.now - 10
    client.on("/", kept(born=born))
    answers = []
    for _ in range(6):
        answers.append(await client.ask("/"))
        client.clock.advance(1)
    assert [answer.get("age") for answer in answers if answer.get("age")] == ["12", "13", "14", "15"]


@on_loop
async def test_the_record_of_a_remembered_answer_tells_the_same() -> None:
    client = Client()
    client.on("/", kept())
    for _ in range(5):
        await client.ask("/", fields=[("user-agent", "t"), ("referer", "/r")])
    first, last = client.records[0], client.records[-1]
    assert last.is_recalled
    for name in ("version", "method", "target", "host", "status", "sent", "referer", "user_agent", "door", "scheme"):
        assert getattr(first, name) == getattr(last, name)
    assert (last.request_head, last.response_body) == (first.request_head, first.response_body)
    assert last.response_head == first.response_head
    assert last.outcome == "complete"


@on_loop
async def test_all_that_one_read_asks_for_is_answered_in_one_write() -> None:
    raw = Raw()
    raw.on("/", kept())
    for number in (1, 3, 5):
        await raw.say(ask(number))
    handled = len(raw.handler.requests)
    before = raw.connection.writes
    raw.connection.deliver(b"".join(ask(number) for number in range(7, 207, 2)))
    assert raw.connection.writes == before + 1
    assert len(raw.handler.requests) == handled
    assert len(raw.records) == 103
    assert raw.is_clean()


# --- Where it may not go at once ----------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_remembered_answer_waits_for_its_window() -> None:
    raw = Raw()
    raw.on("/", kept(b"x" * 10_000))
    for number in (1, 3, 5):
        await raw.say(ask(number), frames.window_update_frame(0, 10_000))
    await raw.say(frames.settings_frame([(Setting.INITIAL_WINDOW_SIZE, 100)]))
    answered = await raw.say(ask(7))
    assert [len(frame.payload) for frame in answered if frame.kind == frames.DATA] == [100]
    assert len(raw.records) == 3
    answered = await raw.say(frames.window_update_frame(7, 10_000))
    assert answered[-1].ends
    last = raw.records[-1]
    assert (last.is_recalled, last.sent, last.outcome, last.status) == (True, 10_000, "complete", 200)
    assert last.response_body == b"x" * 4096
    assert last is not raw.records[-2]
    answered = await raw.say(ask(9))
    await raw.say(frames.reset_frame(9, 8))
    last = raw.records[-1]
    assert (last.is_recalled, last.sent, last.outcome) == (True, 100, "aborted")
    assert raw.is_clean()


@on_loop
async def test_a_remembered_answer_goes_before_nobody() -> None:
    raw = Raw([(Setting.INITIAL_WINDOW_SIZE, LARGEST_WINDOW)])
    raw.connection.deliver(frames.window_update_frame(0, LARGEST_WINDOW - 65_535))
    raw.on("/", kept())
    raw.on("/large", Response(200, body=b"x" * 100_000))
    for number in (1, 3, 5):
        await raw.say(ask(number))
    answered = await raw.say(ask(7, "/large", "GET", ("priority", "u=0")), ask(9, "/", "GET"))
    assert [frame.stream_id for frame in answered if frame.ends] == [7, 9]


@on_loop
async def test_a_remembered_answer_waits_for_a_connection_that_takes_nothing() -> None:
    raw = Raw()
    raw.on("/", kept())
    for number in (1, 3, 5):
        await raw.say(ask(number))
    raw.connection.stall()
    await raw.say(*(ask(number) for number in range(7, 207, 2)))
    assert raw.session.turns.queued == 400
    raw.connection.flow()
    answered = await raw.hear()
    assert sum(frame.ends for frame in answered) == 100
    assert raw.is_clean()


# --- What is nobody's -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "fields", "response"),
    [
        ("GET", (("cookie", "a=1"),), kept()),
        ("GET", (("authorization", "Basic eDp5"),), kept()),
        ("POST", (), kept()),
        ("GET", (), Response(200, Fields([("set-cookie", "a=1")]), b"x", remember=Remember(inf))),
        ("GET", (), Response(200, body=b"x")),
        ("GET", (), kept(b"x" * 16_385)),
    ],
)
def test_what_is_not_for_everybody_is_not_remembered(
    method: str, fields: tuple[tuple[str, str], ...], response: Response
) -> None:
    @on_loop
    async def scenario() -> None:
        client = Client()
        client.on("/", response)
        for _ in range(5):
            await client.ask("/", method=method, fields=list(fields))
        assert len(client.recall) == 0
        assert len(client.handler.requests) == 5

    scenario()


@on_loop
async def test_a_request_with_content_is_not_answered_from_memory() -> None:
    client = Client()
    client.on("/", kept())
    for _ in range(4):
        await client.ask("/")
    before = len(client.handler.requests)
    await client.ask("/", body=b"content")
    assert len(client.handler.requests) == before + 1


@on_loop
async def test_an_answer_that_holds_no_longer_is_asked_for_again() -> None:
    holds = True
    client = Client()
    client.on("/", kept(still_holds=lambda: holds))
    for _ in range(4):
        await client.ask("/")
    assert client.records[-1].is_recalled
    holds = False
    await client.ask("/")
    assert not client.records[-1].is_recalled


@on_loop
async def test_another_connection_has_it_too_unless_its_certificate_is_for_others() -> None:
    client = Client()
    client.on("/", kept())
    for _ in range(4):
        await client.ask("/")
    handled = len(client.handler.requests)
    for hosts, status in ((None, "200"), (CoveredHosts(["a"]), "200"), (CoveredHosts(["b"]), "421")):
        raw = Raw()
        raw.service.recall_h2 = client.recall
        raw.service.handler = client.handler
        raw.connect()
        raw.session = Http2Session(raw.connection, raw.service, hosts)
        raw.connection.session = raw.session
        raw.greet()
        raw.service.recall_h2 = client.recall
        answered = await raw.say(ask(1))
        assert raw.fields(answered[0])[":status"] == status
    assert len(client.handler.requests) == handled


@on_loop
async def test_remembered_answers_count_towards_the_last_request() -> None:
    raw = Raw(limits=HttpLimits(requests_per_connection=10))
    raw.on("/", kept())
    answered = await raw.say(*(ask(number) for number in range(1, 23, 2)))
    assert sum(frame.ends for frame in answered) == 11
    assert frames.GOAWAY in {frame.kind for frame in answered}


@on_loop
async def test_the_table_is_bounded() -> None:
    client = Client(octets=64 * 1024)

    async def own(request: Request) -> Response:
        return kept(request.path.encode() * 100)

    for number in range(50):
        client.on(f"/{number}", own)
        for _ in range(3):
            await client.ask(f"/{number}")
    assert 0 < client.recall.octets <= 64 * 1024
