"""A steady load of keep-alive clients that count what fails. A request fails if it gets no whole, right answer, whatever the reason.

A client that was told `Connection: close` opens another connection. One whose connection was closed by the server while nothing was
on its way does so, too; and so does one whose request met that close half-way (a clean end, before any octet of an answer): RFC 9112
§9.3.1 lets every client repeat a GET then, and all browsers do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from types import TracebackType
from typing import Self

TIMEOUT = 15.0


class Load:
    """`async with Load(port, ...) as load:` keeps `connections` clients asking. At its end they finish what they began."""

    def __init__(
        self, port: int, *, connections: int = 20, target: str = "/", body: bytes = b"", pause: float = 0.002
    ) -> None:
        self.port = port
        self.connections = connections
        self.body = body
        self.pause = pause
        self.request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self.answered = 0
        self.repeated = 0
        """Requests that met a clean close and were asked again."""
        self.told_to_close = 0
        self.failures: Counter[str] = Counter()
        self._is_over = False
        self._goal = 0
        self._is_reached = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self.connections)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def passed(self, count: int) -> None:
        """Wait until so many more requests were answered."""
        self._goal = self.answered + count
        self._is_reached.clear()
        async with asyncio.timeout(TIMEOUT):
            await self._is_reached.wait()

    async def _client(self) -> None:
        while not self._is_over:
            try:
                async with asyncio.timeout(TIMEOUT):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                self.failures[f"connect: {error!r}"] += 1
                await asyncio.sleep(0.01)
                continue
            try:
                await self._converse(reader, writer)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.failures[repr(error)] += 1
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_first = True
        while not self._is_over:
            if reader.at_eof():
                return
            writer.write(self.request)
            async with asyncio.timeout(TIMEOUT):
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError as error:
                    if error.partial or is_first:
                        raise
                    self.repeated += 1
                    return
                length = int(head.partition(b"\r\nContent-Length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
            is_first = False
            if not head.startswith(b"HTTP/1.1 200 ") or (self.body and body != self.body):
                raise ValueError(f"a wrong answer: {head!r} {body[:100]!r}")
            self.answered += 1
            if self.answered >= self._goal:
                self._is_reached.set()
            if b"\r\nConnection: close\r\n" in head:
                self.told_to_close += 1
                return
            await asyncio.sleep(self.pause)
