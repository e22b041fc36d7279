from __future__ import annotations

import asyncio
import json

import pytest

from netlodge.core.records import Record
from netlodge.dashboard.control import Control, Pieces, TraceStream
from netlodge.http.message import HttpError, Response
from netlodge.observe import tap
from netlodge.observe.exchange import decode
from netlodge.observe.metrics import Registry
from netlodge.observe.tap import BATCH_OCTETS, Gap, Ring
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


def body_of(response: Response) -> bytes:
    assert isinstance(response.body, Pieces)
    pieces = response.body

    async def read() -> bytes:
        return b"".join([piece async for piece in pieces])

    return asyncio.run(read())


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
        assert walls(body_of(response)) == [WALL, WALL + 1, WALL + 2]

    def test_the_ring_is_filtered(self) -> None:
        response = ask(control(filled()), "/ring?status=4xx&unknown=1")
        assert walls(body_of(response)) == [WALL + 1]

    def test_the_ring_comes_as_an_archive(self) -> None:
        response = ask(control(filled()), "/har")
        assert response.fields.get("content-type") == "application/json"
        archive = json.loads(body_of(response))
        check(archive)
        assert len(archive["log"]["entries"]) == 2

    def test_an_archive_of_nothing_is_an_archive(self) -> None:
        archive = json.loads(body_of(ask(control(), "/har")))
        check(archive)
        assert archive["log"]["entries"] == []

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
            assert [piece async for piece in stream] == []

        asyncio.run(script())

    def test_head_subscribes_nobody(self) -> None:
        assert ask(control(), "/trace", "HEAD").body == b""


class TestOthersHaveTheirTurn:
    @pytest.mark.parametrize("target", ["/ring", "/har", "/trace?recent=1"])
    def test_between_pieces_of_few_octets(self, target: str) -> None:
        """However much the ring holds: an exchange that is larger than a batch is a batch of its own."""
        ring = Ring(100, 10_000_000)
        size = BATCH_OCTETS * 3 // 4
        ring.emit([(WALL + number, PEER, http_record(response_body=b"x" * size, sent=size)) for number in range(20)])

        async def script() -> None:
            turns = 0

            async def another() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            other = asyncio.create_task(another())
            stream = (await control(ring).handle(request(target))).body
            assert isinstance(stream, (Pieces, TraceStream))
            ring.close()
            sizes: list[int] = []
            before = turns
            async for piece in stream:
                assert turns > before
                before = turns
                sizes.append(len(piece))
            other.cancel()
            assert len(sizes) >= 20
            assert max(sizes) < 2 * BATCH_OCTETS

        asyncio.run(script())

    def test_what_nobody_takes_is_not_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        redacted: list[Record] = []

        def note(record: Record) -> Record:
            redacted.append(record)
            return record

        monkeypatch.setattr(tap, "redact", note)
        ring = Ring(100, 10_000_000)
        ring.emit([(WALL, PEER, http_record(response_body=b"x" * BATCH_OCTETS)) for _ in range(20)])

        async def script() -> None:
            pieces = (await control(ring).handle(request("/ring"))).body
            assert isinstance(pieces, Pieces)
            assert redacted == []
            await anext(pieces)
            assert len(redacted) == 1
            await pieces.aclose()
            assert [piece async for piece in pieces] == []

        asyncio.run(script())


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
