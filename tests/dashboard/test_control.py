from __future__ import annotations

import asyncio
import json

import pytest

from netlodge.dashboard.control import Control, TraceStream
from netlodge.http.message import HttpError, Response
from netlodge.observe.exchange import decode
from netlodge.observe.metrics import Registry
from netlodge.observe.tap import Gap, Ring
from tests.dashboard.requests import request
from tests.observe.har_checker import check
from tests.observe.prometheus import parse
from tests.observe.samples import PEER, WALL, http_record, line_record


def control(ring: Ring | None = None) -> Control:
    registry = Registry()
    registry.counter("lodge_things_total", "Things.").add(3)
    return Control(ring=ring or Ring(10, 1_000_000), registry=registry, version="0.1.0")


def ask(handler: Control, target: str, method: str = "GET") -> Response:
    return asyncio.run(handler.handle(request(target, method=method)))


def walls(data: bytes) -> list[float]:
    decoded = [decode(line) for line in data.splitlines()]
    return [item[0] for item in decoded if item is not None and not isinstance(item, Gap)]


def filled() -> Ring:
    ring = Ring(10, 1_000_000)
    ring.emit([(WALL, PEER, http_record()), (WALL + 1, PEER, http_record(status=404)), (WALL + 2, PEER, line_record())])
    return ring


class TestWhatIsKept:
    def test_the_ring_comes_as_json_lines(self) -> None:
        response = ask(control(filled()), "/ring")
        assert response.fields.get("content-type") == "application/jsonl"
        assert isinstance(response.body, bytes)
        assert walls(response.body) == [WALL, WALL + 1, WALL + 2]

    def test_the_ring_is_filtered(self) -> None:
        response = ask(control(filled()), "/ring?status=4xx&unknown=1")
        assert isinstance(response.body, bytes)
        assert walls(response.body) == [WALL + 1]

    def test_the_ring_comes_as_an_archive(self) -> None:
        response = ask(control(filled()), "/har")
        assert response.fields.get("content-type") == "application/json"
        assert isinstance(response.body, bytes)
        archive = json.loads(response.body)
        check(archive)
        assert len(archive["log"]["entries"]) == 2

    def test_metrics(self) -> None:
        response = ask(control(), "/metrics")
        assert isinstance(response.body, bytes)
        assert "lodge_things_total" in parse(response.body.decode())
        assert response.fields.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"


class TestTrace:
    def test_it_says_hello_at_once_and_then_what_passes(self) -> None:
        async def script() -> None:
            ring = filled()
            stream = (await control(ring).handle(request("/trace"))).body
            assert isinstance(stream, TraceStream)
            assert json.loads(await anext(stream))["kind"] == "hello"
            ring.emit([(WALL + 9, PEER, http_record())])
            assert walls(await anext(stream)) == [WALL + 9]

        asyncio.run(script())

    def test_with_recent_it_begins_with_the_ring_and_tells_nothing_twice(self) -> None:
        async def script() -> None:
            ring = filled()
            stream = (await control(ring).handle(request("/trace?recent=1&door=web"))).body
            assert isinstance(stream, TraceStream)
            ring.emit([(WALL + 9, PEER, http_record())])
            await anext(stream)
            assert walls(await anext(stream)) == [WALL, WALL + 1]
            assert walls(await anext(stream)) == [WALL + 9]

        asyncio.run(script())

    def test_it_ends_when_the_worker_retires(self) -> None:
        async def script() -> None:
            ring = Ring(10, 1_000_000)
            stream = (await control(ring).handle(request("/trace"))).body
            assert isinstance(stream, TraceStream)
            ring.close()
            assert len([piece async for piece in stream]) == 1

        asyncio.run(script())

    def test_when_the_client_goes_the_ring_forgets_it(self) -> None:
        async def script() -> None:
            ring = Ring(10, 1_000_000)
            stream = (await control(ring).handle(request("/trace"))).body
            assert isinstance(stream, TraceStream)
            await stream.aclose()
            await stream.aclose()
            ring.emit([(WALL, PEER, http_record())])
            assert len([piece async for piece in stream]) == 1

        asyncio.run(script())

    def test_head_subscribes_nobody(self) -> None:
        assert ask(control(), "/trace", "HEAD").body == b""


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/ring/", 404),
        ("POST", "/ring", 405),
        ("GET", "/ring?status=nine", 400),
        ("GET", "/trace?peer=x", 400),
        ("GET", "/har?" + "a=1&" * 100, 400),
    ],
)
def test_what_it_has_not_is_refused(method: str, target: str, status: int) -> None:
    with pytest.raises(HttpError) as refusal:
        ask(control(), target, method)
    assert refusal.value.status == status
    assert (status == 405) == (("allow", "GET, HEAD") in refusal.value.fields)
