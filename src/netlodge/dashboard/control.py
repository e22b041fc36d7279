"""The worker's side of the control socket: what passes here, live or kept, for the commands `trace`, `har` and `metrics`.

The door in front is a Unix socket whose file permissions decide who may; so nothing here asks again. `/trace` streams exchanges as JSON
lines while they pass, `/ring` gives those that the ring holds, `/har` the same as an archive, `/metrics` the numbers of all workers. All but
`/metrics` are about this worker alone: the commands ask each. What the ring holds may be much: it is redacted and written out in small
pieces, and everybody else has his turn between them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final
from urllib.parse import parse_qsl

from netlodge.core.records import Entry
from netlodge.http.message import Fields, HttpError, Request, Response
from netlodge.observe import har, metrics
from netlodge.observe.escaping import to_json
from netlodge.observe.exchange import encode
from netlodge.observe.metrics import Registry
from netlodge.observe.selection import Selection, SelectionError
from netlodge.observe.tap import Gap, Ring, Subscription

JSON_LINES: Final = "application/jsonl"
PARAMETERS: Final = 32
"""The most that a query of ours could need."""


class Control:
    """Implements `http.message.Handler`."""

    def __init__(self, *, ring: Ring, registry: Registry, version: str) -> None:
        self._ring = ring
        self._registry = registry
        self._version = version

    async def handle(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise HttpError(405, "This is only read.", fields=[("allow", "GET, HEAD")])
        parameters = _parameters(request)
        match request.path:
            case "/metrics":
                return _answer(metrics.CONTENT_TYPE, self._registry.render().encode())
            case "/ring":
                batches = self._ring.batches(_selection(parameters))
                return _answer(JSON_LINES, Pieces(map(_lines, batches)))
            case "/har":
                batches = self._ring.batches(_selection(parameters))
                return _answer("application/json", Pieces(har.pieces(batches, self._version)))
            case "/trace":
                return self._trace(request, parameters)
            case _:
                raise HttpError(404, "The control socket has /trace, /ring, /har and /metrics.")

    def _trace(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """With `recent=1` it begins with what the ring holds; between that and what passes next nothing is lost or told twice."""
        selection = _selection(parameters)
        if request.method == "HEAD":
            return _answer(JSON_LINES, b"")
        recent = self._ring.batches(selection) if parameters.get("recent") == "1" else ()
        return _answer(JSON_LINES, TraceStream(recent, self._ring.subscribe(selection), self._version))


class Pieces:
    """A body whose pieces are made one by one, none before it is taken; after each, others have their turn. Implements `Chunks`."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        # First, for whoever takes the piece may write it at once and come again without a pause.
        await asyncio.sleep(0)
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._pieces = iter(())


class TraceStream:
    """The body of `/trace`: ends when the client goes (`aclose`) or the worker retires (`Ring.close`). Implements `Chunks`."""

    def __init__(self, recent: Iterable[list[Entry]], subscription: Subscription, version: str) -> None:
        # The first line goes out at once: whoever asked knows that he is heard, though nothing may pass for hours.
        hello = to_json({"kind": "hello", "pid": os.getpid(), "version": version}).encode() + b"\n"
        self._recent: Iterator[bytes] = chain((hello,), map(_lines, recent))
        self._subscription = subscription

    def __aiter__(self) -> TraceStream:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        for piece in self._recent:
            return piece
        taken = await self._subscription.take()
        if not taken:
            raise StopAsyncIteration
        return _lines(taken)

    async def aclose(self) -> None:
        self._recent = iter(())
        self._subscription.close()


def _answer(media_type: str, body: bytes | Pieces | TraceStream) -> Response:
    return Response(200, Fields([("content-type", media_type), ("cache-control", "no-store")]), body)


def _lines(entries: Iterable[Entry | Gap]) -> bytes:
    return "".join(f"{encode(entry)}\n" for entry in entries).encode()


def _parameters(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl(request.query or "", max_num_fields=PARAMETERS))
    except ValueError as error:
        raise HttpError(400, f"The query has more than {PARAMETERS} parameters.") from error


def _selection(parameters: Mapping[str, str]) -> Selection:
    try:
        return Selection.from_parameters(parameters)
    except SelectionError as error:
        raise HttpError(400, str(error)) from error
