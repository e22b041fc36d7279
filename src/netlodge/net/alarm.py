"""Signals as octets on a socket, so that one `select` waits for them together with everything else and misses none."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Self


class Alarm:
    """While entered, takes the signals given. Main thread only."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self.numbers = tuple(numbers)
        self._here, self._there = socket.socketpair()
        for end in (self._here, self._there):
            end.setblocking(False)

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, _ignore) for number in self.numbers}
        self._wakeup = signal.set_wakeup_fd(self._there.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._close()

    def fileno(self) -> int:
        return self._here.fileno()

    def heard(self) -> list[signal.Signals]:
        """The signals that came since the last call, in order."""
        try:
            return [signal.Signals(number) for number in self._here.recv(4096)]
        except BlockingIOError:
            return []

    def forget(self, ignored: Iterable[signal.Signals]) -> None:
        """In a process that was forked from the one that entered: take no more signals, ignore some, leave the others to
        their defaults."""
        signal.set_wakeup_fd(-1)
        for number in self.numbers:
            signal.signal(number, signal.SIG_DFL)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        self._close()

    def _close(self) -> None:
        self._here.close()
        self._there.close()


def _ignore(number: int, frame: FrameType | None) -> None:
    """A handler must be set for the octet to be written (signal.set_wakeup_fd)."""


def has_terminal() -> bool:
    """Whether this process has a controlling terminal. When it is closed, the kernel sends the SIGHUP that elsewhere asks for a
    reload; this tells the two apart."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def leave_terminal() -> None:
    """The terminal is gone: let standard input, output and error, as far as they were its, lead nowhere. A write to a terminal that is
    gone fails, at the latest when the interpreter flushes its buffers at its end."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        try:
            is_gone = stat.S_ISCHR(os.fstat(descriptor).st_mode)
        except OSError:
            continue  # it was closed before we began
        if is_gone:
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
