"""A lodge of which only the pid file's lock and the control sockets are real: each worker serves `Control` over HTTP/1.1 on a Unix
socket in DATA/run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from netlodge.core.records import Entry
from netlodge.dashboard.control import Control, Pieces, TraceStream
from netlodge.http.message import HttpError, Response
from netlodge.net.rundir import RunDirectory
from netlodge.observe.metrics import Registry
from netlodge.observe.tap import Ring
from tests.dashboard.requests import request

T = TypeVar("T")


class Worker:
    """One worker's ring behind its socket. Methods are called from the test's thread."""

    def __init__(self, lodge: UnixLodge, path: Path) -> None:
        self.path = path
        self.ring = Ring(100, 1_000_000)
        self._lodge = lodge
        self._control = Control(ring=self.ring, registry=lodge.registry, version="0.1.0")
        self._writers: set[asyncio.StreamWriter] = set()
        self._streams = 0
        self._changed = asyncio.Condition()
        self._server: asyncio.Server = lodge.run(asyncio.start_unix_server(self._serve, path))

    def emit(self, *entries: Entry) -> None:
        """The worker drains its journal."""
        self._lodge.call(lambda: self.ring.emit(entries))

    def wait_for_traces(self, count: int) -> None:
        """Return when so many clients follow this worker."""

        async def wait() -> None:
            async with self._changed:
                await self._changed.wait_for(lambda: self._streams >= count)

        self._lodge.run(asyncio.wait_for(wait(), 10))

    def retire(self) -> None:
        """The worker goes in good order: it listens no more, removes its socket and ends its streams."""

        def act() -> None:
            self._server.close()
            self.path.unlink(missing_ok=True)
            self.ring.close()

        self._lodge.call(act)

    def kill(self) -> None:
        """The worker is killed: connections break, the socket stays behind."""

        def act() -> None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()

        self._lodge.call(act)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, _ = head.split(" ", 2)
            try:
                response = await self._control.handle(request(target, method=method))
            except HttpError as error:
                response = Response(error.status, body=error.detail.encode())
            await self._answer(reader, writer, response)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: Response) -> None:
        body = response.body
        if isinstance(body, bytes):
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (response.status, len(body)) + body)
            await writer.drain()
            return
        assert isinstance(body, (Pieces, TraceStream))
        is_trace = isinstance(body, TraceStream)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        gone = asyncio.create_task(reader.read())
        sending = asyncio.create_task(self._send(writer, body))
        await self._count(int(is_trace))
        await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        for task in (gone, sending):
            task.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await task
        await body.aclose()
        await self._count(-int(is_trace))

    async def _send(self, writer: asyncio.StreamWriter, body: Pieces | TraceStream) -> None:
        async for piece in body:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _count(self, change: int) -> None:
        async with self._changed:
            self._streams += change
            self._changed.notify_all()


class UnixLodge:
    """The lodge: an event loop in a thread, and the workers that were added."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.registry = Registry()
        self.run_folder = data / "run"
        self.lock = RunDirectory(self.run_folder)
        self.lock.acquire()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()

    def add_worker(self, pid: int) -> Worker:
        return Worker(self, self.run_folder / f"worker-{pid}.sock")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def call(self, act: Callable[[], T]) -> T:
        async def work() -> T:
            return act()

        return self.run(work())

    def close(self) -> None:
        self.lock.release()

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def unix_lodge(data: Path, pids: Sequence[int] = ()) -> Iterator[tuple[UnixLodge, list[Worker]]]:
    lodge = UnixLodge(data)
    workers = [lodge.add_worker(pid) for pid in pids]
    try:
        yield lodge, workers
    finally:
        for worker in workers:
            worker.retire()
        lodge.close()
