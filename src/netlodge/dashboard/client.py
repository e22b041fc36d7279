"""The other side of `control`: finds the workers of a running lodge by their sockets and asks them.

Every worker has one, `worker-<pid>.sock` in the run folder. A worker that was killed leaves its socket behind; nobody answers there, and it
is passed over. Everything here blocks: it serves commands, never a worker.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final, Self

from netlodge.core.errors import NetlodgeError
from netlodge.core.unix_sockets import address_of

SOCKET_PATTERN: Final = "worker-*.sock"

TIMEOUT: Final = 5.0
"""Seconds for a worker to begin its answer: its event loop is never busy for so long."""


class ControlError(NetlodgeError):
    """A worker did not answer, or not as it should."""


class NotRunningError(ControlError):
    """No worker answers: no lodge runs on this data folder."""


class NotPermittedError(ControlError):
    """The lodge is another user's."""


def worker_sockets(run_folder: Path) -> list[Path]:
    """The sockets that stand there, whether anyone listens or not. Raises `NotPermittedError`."""
    try:
        # Unlike `glob`, `scandir` says when one may not look.
        with os.scandir(run_folder) as found:
            names = [entry.name for entry in found]
    except PermissionError as error:
        raise _not_permitted(run_folder) from error
    except OSError:
        return []
    return [run_folder / name for name in sorted(names) if Path(name).match(SOCKET_PATTERN)]


class Answer:
    """A worker's answer whose head has come. The body can be read as it comes; `OSError` or `HTTPException` when the worker breaks off."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection
        # Kept, for the connection lets go of it when the answer is to be the last.
        self._socket: socket.socket = connection.sock
        self._response = connection.getresponse()
        self.status = self._response.status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> bytes:
        """All of it. The worker has `TIMEOUT` seconds for each piece."""
        return self._response.read()

    def pieces(self) -> Iterator[bytes]:
        """As they come, however long that takes."""
        self._socket.settimeout(None)
        while piece := self._response.read1(65536):
            yield piece

    def interrupt(self) -> None:
        """From any thread: whoever reads sees the end."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._response.close()
        self._connection.close()
        self._socket.close()


def ask(worker: Path, target: str) -> Answer:
    """Send one worker a GET and return the answer when its head is there.

    Raises `NotRunningError` if nobody listens at the socket, `NotPermittedError`, and `ControlError` if the worker
    refuses or does not answer in time.
    """
    connection = _UnixConnection(worker)
    try:
        connection.request("GET", target, headers={"Connection": "close"})
        answer = Answer(connection)
    except PermissionError as error:
        connection.close()
        raise _not_permitted(worker) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise NotRunningError(f"Nobody listens at {worker}.") from error
    except (OSError, HTTPException) as error:
        connection.close()
        raise ControlError(f"The worker at {worker} does not answer: {error}.") from error
    if answer.status == 200:
        return answer
    with answer, suppress(OSError, HTTPException):
        reason = answer.read().decode("utf-8", "replace").strip()
        raise ControlError(f"The worker at {worker} refused ({answer.status}): {reason}")
    raise ControlError(f"The worker at {worker} refused ({answer.status}).")


def ask_any(run_folder: Path, target: str) -> bytes:
    """The whole answer of the first worker that gives one. Raises as `ask`."""
    return next(_answers(run_folder, target))


def ask_all(run_folder: Path, target: str) -> list[bytes]:
    """The whole answers of all workers that live. Raises as `ask`."""
    return list(_answers(run_folder, target))


def _answers(run_folder: Path, target: str) -> Iterator[bytes]:
    heard = False
    failure: ControlError = NotRunningError(f"No lodge runs on {run_folder.parent}.")
    for worker in worker_sockets(run_folder):
        try:
            with ask(worker, target) as response:
                answer = response.read()
        except NotRunningError:
            continue
        except (OSError, HTTPException):
            failure = ControlError(f"The worker at {worker} broke off.")
        except ControlError as error:
            failure = error
        else:
            heard = True
            yield answer
    if not heard:
        raise failure


def _not_permitted(path: Path) -> NotPermittedError:
    return NotPermittedError(f"You may not look into the lodge at {path}: ask as the user who runs it.")


class _UnixConnection(HTTPConnection):
    """HTTP over the socket at a path."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        with address_of(self._path) as address:
            self.sock.connect(address)
