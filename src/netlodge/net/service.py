"""What a supervisor runs, as it sees it: a service that makes plans, and plans that make workers."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from netlodge.core.errors import NetlodgeError
from netlodge.net.generation import Timeouts
from netlodge.net.lifeline import Lifeline
from netlodge.net.sockets import Endpoint

MAX_SLOTS = 128
"""Workers that may live at the same time, over all generations. Each has a row in shared memory."""
MAX_WORKERS = MAX_SLOTS // 2
"""So that a reload always finds slots, unless an earlier generation still drains."""


class Plan(Protocol):
    """What one reading of the settings asks for. A generation keeps its plan for as long as it lives."""

    @property
    def endpoints(self) -> Sequence[Endpoint]: ...
    @property
    def worker_count(self) -> int:
        """1 to `MAX_WORKERS`."""
        ...

    @property
    def timeouts(self) -> Timeouts: ...
    @property
    def user(self) -> str:
        """Whom to become after binding; empty: stay."""
        ...

    @property
    def group(self) -> str: ...
    @property
    def run_directory(self) -> Path:
        """`DATA/run`. A reload cannot change it."""
        ...

    @property
    def owned(self) -> Sequence[Path]:
        """What was made as root and must be the user's: given away, with all below, before root is dropped."""
        ...

    def run_worker(
        self, slot: int, index: int, sockets: Mapping[Endpoint, list[socket.socket]], lifeline: Lifeline
    ) -> int:
        """Called in the worker's process: serve until told to end; return the exit code.

        `slot` (0 to MAX_SLOTS - 1) is no other living worker's; `index` counts from 0 in the generation. The worker owns `sockets`:
        the copies that it accepts from (an optional address that was left out is missing).

        It sets handlers for SIGUSR2 (retire), SIGTERM (finish and end) and SIGUSR1 (reopen logs), begins to accept, calls
        `lifeline.ready()`, and from then on calls `lifeline.receive()` whenever the lifeline is readable. On SIGUSR2 and SIGTERM it
        accepts what already waits in its sockets, closes them, and calls `lifeline.retired()`. A `NetlodgeError` raised before `ready` is the reason of a start
        that failed.
        """
        ...

    def announce(self, bound: Mapping[Endpoint, Sequence[socket.socket]]) -> None:
        """Called in the supervisor when the first generation is up. Read the addresses from the sockets; keep none."""
        ...

    def worker_ended(self, slot: int) -> None:
        """Called in the supervisor when a worker has ended, before its slot is used again: clear what it counted."""
        ...


class Service(Protocol):
    """What is supervised."""

    def prepare(self) -> Plan:
        """Read the settings. Called at the start and for each reload, in the supervisor: must leave no threads behind and start no
        event loop. Raises `NetlodgeError` with a sentence per mistake, one a line."""
        ...


def check_worker_count(plan: Plan) -> None:
    """Raises `NetlodgeError` when a plan asks for more workers than a lodge may have, or for none."""
    if not 1 <= plan.worker_count <= MAX_WORKERS:
        raise NetlodgeError(f"workers: {plan.worker_count} is out of range; from 1 to {MAX_WORKERS}.")
