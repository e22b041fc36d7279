"""The same exchanges over HTTP/1.1 and HTTP/2: the same handlers, the same answers, the same records.

One table of exchanges; each is put to a session of either version, as its own grammar says it, and what comes of it is compared. What may
differ is what concerns a connection, and how an answer that breaks off is seen to: there the connection ends, here the stream.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from netlodge.http.message import Body, BodyError, Fields, FileBody, HttpError, Remember, Request, Response
from netlodge.http.session.service import HttpLimits
from netlodge.http.wire.events import Data, EndOfMessage, InformationalHead, Pause, RequestHead, ResponseHead
from netlodge.http.wire.h1 import Http1Codec
from netlodge.http.wire.limits import WireLimits
from netlodge.http.wire.states import Role
from tests.http.session.h2_rig import Client, open_descriptors
from tests.http.session.rig import Rig, on_loop

OF_A_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "age", ":status"})
Pairs = tuple[tuple[str, str], ...]


class Got(NamedTuple):
    """What a client of any version sees."""

    interim: list[tuple[int, list[tuple[str, str]]]]
    status: int
    fields: list[tuple[str, str]]
    content: bytes
    trailers: list[tuple[str, str]]
    is_whole: bool


class Noted(NamedTuple):
    """What of a record is the same under every version."""

    method: str
    target: str
    host: str
    status: int
    outcome: str
    sent: int
    received: int
    user: str
    referer: str
    user_agent: str
    request_body: bytes
    response_body: bytes


@dataclass
class Exchange:
    """A request, and what the handler does with it."""

    act: Callable[[Request, Path], Awaitable[Response]]
    method: str = "GET"
    fields: Pairs = ()
    content: bytes | None = None
    limits: HttpLimits = field(default_factory=HttpLimits)
    times: int = 1
    is_read: bool = True
    """False if HTTP/1.1 refuses it before it is a request: then the words and the records differ."""


def _fields(pairs: object) -> list[tuple[str, str]]:
    assert isinstance(pairs, list | Fields)
    return sorted((name, value) for name, value in pairs if name not in OF_A_CONNECTION)


# --- the handlers -----------------------------------------------------------------------------------------------------------------------


async def hello(request: Request, file: Path) -> Response:
    return Response(200, Fields([("content-type", "text/plain"), ("x-own", "a"), ("x-own", "b")]), b"hello\n")


async def kept(request: Request, file: Path) -> Response:
    return Response(200, Fields([("etag", '"1"')]), b"kept", remember=Remember(float("inf")))


async def later(request: Request, file: Path) -> Response:
    await asyncio.sleep(0)
    request.route["user"] = "ada"
    return Response(404, body=b"not here")


async def echo(request: Request, file: Path) -> Response:
    pieces = []
    while piece := await request.body.read():
        pieces.append(piece)
    return Response(200, body=b"".join(pieces))


async def unread(request: Request, file: Path) -> Response:
    return Response(200, body=b"not read")


async def nothing(request: Request, file: Path) -> Response:
    return Response(204, Fields([("x-own", "1"), ("content-length", "0")]))


async def unchanged(request: Request, file: Path) -> Response:
    return Response(304, Fields([("etag", '"1"'), ("content-length", "5")]))


async def hints(request: Request, file: Path) -> Response:
    request.link.inform(103, Fields([("link", "</a.css>; rel=preload")]))
    return Response(200, body=b"x")


def streamed(
    *pieces: bytes | Exception, trailers: Pairs = (), fields: Pairs = ()
) -> Callable[..., Awaitable[Response]]:
    async def content() -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def act(request: Request, file: Path) -> Response:
        return Response(200, Fields(fields), content(), trailers=(lambda: Fields(trailers)) if trailers else None)

    return act


def of_file(*parts: bytes | tuple[int, int]) -> Callable[..., Awaitable[Response]]:
    async def act(request: Request, file: Path) -> Response:
        body: Body = FileBody(os.open(file, os.O_RDONLY), list(parts))
        return Response(206, Fields([("content-type", "a/b")]), body)

    return act


def error(failure: Exception) -> Callable[..., Awaitable[Response]]:
    async def act(request: Request, file: Path) -> Response:
        raise failure

    return act


async def unspeakable(request: Request, file: Path) -> Response:
    return Response(200, Fields([("x", "a\nb")]), b"content")


EXCHANGES: dict[str, Exchange] = {
    "hello": Exchange(hello),
    "hello to HEAD": Exchange(hello, "HEAD"),
    "many fields": Exchange(
        hello, fields=(("user-agent", "t"), ("referer", "http://a/"), ("accept", "*/*"), ("cookie", "a=1; b=2"))
    ),
    "another method": Exchange(hello, "PROPFIND"),
    "known after a while": Exchange(hello, times=4),
    "remembered after a while": Exchange(kept, times=4),
    "remembered for HEAD": Exchange(kept, "HEAD", times=4),
    "later": Exchange(later),
    "echo": Exchange(echo, "POST", content=b"content"),
    "echo of nothing": Exchange(echo, "POST", content=b""),
    "echo of much": Exchange(echo, "POST", content=b"x" * 50_000),
    "announced": Exchange(echo, "PUT", (("content-length", "7"),), b"content"),
    "unread": Exchange(unread, "POST", content=b"content"),
    "expected": Exchange(echo, "POST", (("expect", "100-continue"), ("content-length", "7")), b"content"),
    "expected otherwise": Exchange(echo, "POST", (("expect", "200-ok"), ("content-length", "7")), b"content"),
    "no content": Exchange(nothing),
    "not modified": Exchange(unchanged),
    "hints": Exchange(hints),
    "streamed": Exchange(streamed(b"one", b"", b"two" * 10_000)),
    "streamed to HEAD": Exchange(streamed(b"one"), "HEAD"),
    "streamed and announced": Exchange(streamed(b"one", b"two", fields=(("content-length", "6"),))),
    "streamed with trailers": Exchange(streamed(b"one", trailers=(("x-sum", "1"),))),
    "streamed nothing": Exchange(streamed()),
    "streamed and broken": Exchange(streamed(b"one", RuntimeError("a defect"))),
    "a file": Exchange(of_file((0, 100_000))),
    "parts of a file": Exchange(of_file(b"--\r\n", (5, 10), b"--\r\n", (20, 3), b"--\r\n")),
    "a file to HEAD": Exchange(of_file((0, 100_000)), "HEAD"),
    "an error": Exchange(error(HttpError(403, "No.", fields=[("x-own", "1")]))),
    "an error that ends": Exchange(error(HttpError(400, "No.", must_close=True))),
    "a defect": Exchange(error(RuntimeError("a defect"))),
    "gone": Exchange(error(BodyError("gone"))),
    "unspeakable": Exchange(unspeakable),
    "too large": Exchange(echo, "POST", (("content-length", "2000"),), b"x" * 2000, limits=HttpLimits(body_size=1000)),
    "too many fields": Exchange(
        hello,
        fields=tuple((f"x-{number}", "1") for number in range(20)),
        limits=HttpLimits(wire=WireLimits(field_count=10)),
        is_read=False,
    ),
    "too long a target": Exchange(hello, limits=HttpLimits(wire=WireLimits(request_line_size=15)), is_read=False),
}


# --- the two versions -------------------------------------------------------------------------------------------------------------------


async def over_http1(exchange: Exchange, file: Path) -> tuple[list[Got], list[Noted]]:
    rig = Rig(limits=exchange.limits)
    rig.on("/a", lambda request: exchange.act(request, file))
    answers = []
    for _ in range(exchange.times):
        codec = Http1Codec(Role.CLIENT, WireLimits())
        pairs = [("host", "a"), *exchange.fields]
        is_chunked = exchange.content is not None and "content-length" not in dict(exchange.fields)
        rig.connection.deliver(
            codec.send(RequestHead(exchange.method, "/a?b=c", fields=Fields(pairs), is_chunked=is_chunked))
        )
        await rig.settle()
        if exchange.content is not None and not rig.connection.has_sent_eof:
            octets = codec.send(Data(exchange.content)) if exchange.content else b""
            rig.connection.deliver(octets + codec.send(EndOfMessage()))
        answers.append(read_http1(codec, await rig.hear(), is_over=rig.connection.is_aborted))
    return answers, [noted(rig, index) for index in range(len(rig.records))]


def read_http1(codec: Http1Codec, octets: bytes, *, is_over: bool) -> Got:
    codec.receive_data(octets)
    interim, head, content, end = [], ResponseHead(0), b"", None
    while end is None and not isinstance(event := codec.next_event(), Pause):
        if isinstance(event, InformationalHead):
            interim.append((event.status, _fields(event.fields)))
        elif isinstance(event, ResponseHead):
            head = event
        elif isinstance(event, Data):
            content += event.data
        elif isinstance(event, EndOfMessage):
            end = event
        else:
            break
    trailers = list(end.trailers or ()) if end is not None else []
    return Got(interim, head.status, _fields(head.fields), content, trailers, end is not None and not is_over)


async def over_http2(exchange: Exchange, file: Path) -> tuple[list[Got], list[Noted]]:
    client = Client(limits=exchange.limits)
    client.on("/a", lambda request: exchange.act(request, file))
    answers = []
    for _ in range(exchange.times):
        stream_id = client.send(
            "/a?b=c", method=exchange.method, fields=list(exchange.fields), ends=exchange.content is None
        )
        await client.settle()
        answer = client.answers.get(stream_id)
        if exchange.content is not None and (answer is None or answer.reset is None):
            for start in range(0, len(exchange.content), 16_384):
                client.h2.send_data(stream_id, exchange.content[start : start + 16_384])
            client.h2.end_stream(stream_id)
            await client.settle()
        answer = client.answers[stream_id]
        interim = [(int(dict(each)[":status"]), _fields(each)) for each in answer.interim]
        status = answer.status if answer.fields else 0
        answers.append(
            Got(interim, status, _fields(answer.fields), answer.body, answer.trailers or [], answer.has_ended)
        )
        assert client.is_clean()
    return answers, [noted(client, index) for index in range(len(client.records))]


def noted(bench: Rig | Client, index: int) -> Noted:
    record = bench.records[index]
    return Noted(*(getattr(record, name) for name in Noted._fields))


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_is_the_same_over_every_version(name: str, tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_bytes(bytes(range(256)) * 400)

    @on_loop
    async def scenario() -> None:
        exchange = EXCHANGES[name]
        before = open_descriptors()
        one, two = await over_http1(exchange, file), await over_http2(exchange, file)
        if exchange.is_read:
            assert two == one
        assert [got.status for got in two[0]] == [got.status for got in one[0]]
        assert len(one[1]) == exchange.times
        assert open_descriptors() == before

    scenario()
