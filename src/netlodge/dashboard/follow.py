"""A live trace over all workers of a lodge, also while workers come and go.

A worker's stream ends when the worker retires or dies; its successor has a socket of its own, which the next look at the folder finds. One
thread per worker reads, and whoever iterates gets what came from all, in the order of time as far as it came together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Final, NamedTuple
from urllib.parse import urlencode

from netlodge.core.records import Entry
from netlodge.dashboard.client import Answer, ControlError, NotRunningError, ask, worker_sockets
from netlodge.observe.exchange import ExchangeError, decode
from netlodge.observe.selection import Selection
from netlodge.observe.tap import Gap

RESCAN_SECONDS: Final = 1.0

UNANSWERED_SECONDS: Final = 0.1
"""Between two looks while no worker answers: has the lodge ended, or are its workers about to come back?"""

QUEUED_BATCHES: Final = 64
"""What waits here for a slow terminal; beyond it the worker waits, and drops and counts."""


class _Piece(NamedTuple):
    """What one worker's stream gave; nothing more comes when it is None."""

    worker: Path
    batch: list[Entry | Gap] | None


class Follower:
    """Iterate to get batches of exchanges, oldest first; an empty one when nothing passed for `patience` seconds.

    `is_running` tells whether the lodge lives, with or without workers that answer. `is_recent`: begin with what the rings hold. The iterator raises `NotRunningError` when no lodge runs or it ended,
    `NotPermittedError`, and `ControlError` when a worker refuses. `close` ends it from within the same thread.
    """

    def __init__(
        self,
        run_folder: Path,
        selection: Selection,
        *,
        is_running: Callable[[], bool],
        is_recent: bool = False,
        patience: float = RESCAN_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_folder = run_folder
        self._selection = selection
        self._is_running = is_running
        self._is_recent = is_recent
        self._patience = patience
        self._monotonic = monotonic
        self._queue: Queue[_Piece] = Queue(QUEUED_BATCHES)
        self._answers: dict[Path, tuple[Answer, Thread]] = {}
        self._heard: set[tuple[str, int]] = set()
        """Sockets that were connected to, by name and inode: a worker that ended its stream is not asked again."""

    def __iter__(self) -> Iterator[list[Entry | Gap]]:
        failure = self._rescan(self._is_recent)
        if not self._answers:
            raise failure or NotRunningError(f"No lodge runs on {self._run_folder.parent}.")
        scanned = self._monotonic()
        while True:
            yield self._next_batch()
            now = self._monotonic()
            if now - scanned >= RESCAN_SECONDS or not self._answers:
                scanned = now
                # A worker that began since the last look has nothing in its ring that passed before this trace.
                self._rescan(is_recent=True)
            if not self._answers and not self._is_running():
                raise NotRunningError(f"The lodge on {self._run_folder.parent} has ended.")

    def close(self) -> None:
        """Break off all streams and wait for their threads."""
        for answer, _ in self._answers.values():
            answer.interrupt()
        while any(thread.is_alive() for _, thread in self._answers.values()):
            with suppress(Empty):
                self._queue.get(timeout=0.05)
        self._answers.clear()

    def _next_batch(self) -> list[Entry | Gap]:
        """What is there when something is, in the order of time; nothing if nothing came until the next look is due."""
        came: list[Entry | Gap] = []
        wait: float | None = self._patience if self._answers else min(self._patience, UNANSWERED_SECONDS)
        with suppress(Empty):
            while True:
                piece = self._queue.get(timeout=wait) if wait else self._queue.get_nowait()
                wait = None
                if piece.batch is None:
                    self._answers.pop(piece.worker, None)
                else:
                    came += piece.batch
        exchanges = [item for item in came if not isinstance(item, Gap)]
        dropped = sum(item.dropped for item in came if isinstance(item, Gap))
        ordered: list[Entry | Gap] = [*sorted(exchanges, key=lambda entry: entry[0])]
        return [*ordered, Gap(dropped)] if dropped else ordered

    def _rescan(self, is_recent: bool) -> ControlError | None:
        """Begin to read every worker that is new; what the last one that refused said."""
        failure: ControlError | None = None
        query = self._selection.parameters() | ({"recent": "1"} if is_recent else {})
        for worker in worker_sockets(self._run_folder):
            try:
                identity = (worker.name, os.stat(worker).st_ino)
            except OSError:
                continue
            if identity in self._heard:
                continue
            try:
                answer = ask(worker, f"/trace?{urlencode(query)}")
            except NotRunningError:
                continue
            except ControlError as error:
                failure = error
                continue
            self._heard.add(identity)
            thread = Thread(target=self._read, args=(worker, answer), daemon=True)
            self._answers[worker] = (answer, thread)
            thread.start()
        return failure

    def _read(self, worker: Path, answer: Answer) -> None:
        rest = b""
        with answer, suppress(OSError, ValueError, HTTPException, ControlError, ExchangeError):
            for piece in answer.pieces():
                *lines, rest = (rest + piece).split(b"\n")
                batch = [item for line in lines if line and (item := decode(line)) is not None]
                if batch:
                    self._queue.put(_Piece(worker, batch))
        self._queue.put(_Piece(worker, None))
