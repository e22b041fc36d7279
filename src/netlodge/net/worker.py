"""One worker's process: how it begins, and what the supervisor knows of it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from netlodge.core.errors import NetlodgeError
from netlodge.net.lifeline import Lifeline, SupervisorEnd, lifeline
from netlodge.net.service import Plan
from netlodge.net.sockets import Endpoint, share_of

logger = logging.getLogger("netlodge.supervisor")

_DEFECT = 70
"""Exit code of a worker that an exception ended: EX_SOFTWARE (sysexits.h)."""


@dataclass(slots=True, eq=False)
class Worker:
    """A worker that lives, as far as is known."""

    pid: int
    slot: int
    index: int
    line: SupervisorEnd
    quick_ends: int
    """Of the workers before it in its place (`generation.restart_after`)."""
    held: set[tuple[Endpoint, int]]
    """The copies that it accepts from."""
    born: float = field(default_factory=time.monotonic)
    born_wall: float = field(default_factory=time.time)
    is_ready: bool = False
    is_hung: bool = False
    """Was not ready in time, and was killed for it."""

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def exit_code(self) -> int | None:
        """None while it lives; as `os.waitstatus_to_exitcode` has it (below zero: a signal) once it ended. Ask once."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return _DEFECT  # somebody else in this process took the answer
        return os.waitstatus_to_exitcode(status) if pid else None


def start_worker(
    plan: Plan,
    *,
    slot: int,
    index: int,
    quick_ends: int,
    bound: Mapping[Endpoint, Sequence[socket.socket]],
    leave: Callable[[Iterable[socket.socket]], None],
) -> Worker:
    """Fork. Raises `OSError` when the system allows no further process or descriptor.

    `leave` is called in the new process, with the sockets that it keeps: it must let go of all else that is the supervisor's.
    """
    shares = {endpoint: share_of(index, plan.worker_count, len(sockets)) for endpoint, sockets in bound.items()}
    held = {(endpoint, copy) for endpoint, share in shares.items() for copy in share}
    above, below = lifeline()
    sys.stdout.flush()  # what is buffered would be written by both
    sys.stderr.flush()
    # No signal may come between the fork and what the worker does about signals.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError:
        above.close()
        below.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    if pid == 0:
        own = {endpoint: [bound[endpoint][copy] for copy in share] for endpoint, share in shares.items()}
        above.close()
        _live(plan, slot, index, own, Lifeline(below, plan.endpoints), leave, mask)
    below.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return Worker(pid, slot, index, above, quick_ends, held)


def _live(
    plan: Plan,
    slot: int,
    index: int,
    sockets: Mapping[Endpoint, list[socket.socket]],
    line: Lifeline,
    leave: Callable[[Iterable[socket.socket]], None],
    mask: Iterable[int],
) -> NoReturn:
    """The whole life of the process after the fork. Whatever happens, it never returns into the supervisor's frames."""
    code = _DEFECT
    try:
        leave(sock for each in sockets.values() for sock in each)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = plan.run_worker(slot, index, sockets, line)
    except NetlodgeError as error:
        line.failed(str(error))
    except BaseException as error:
        logger.exception("Worker %d (pid %d): a defect.", index, os.getpid())
        line.failed(f"worker {index}: {type(error).__name__}: {error}")
    finally:
        with contextlib.suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)
