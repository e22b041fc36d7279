"""A real PostgreSQL for tests: a server process of the session's own, from Debian's binaries, in a temporary folder on a free port.

    def test_something(postgresql: Postgresql) -> None:
        with postgresql.database() as url: ...

One server serves the whole run; whoever stops or freezes it has it back before the test ends. It is started when a test first asks.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

PASSWORD = "open-sesame"
"""Not to be seen in any sentence."""
PATIENCE = 20.0


def _binaries() -> Path:
    """The folder of the newest PostgreSQL here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    assert on_path, "PostgreSQL is wanted: apt-get install postgresql"
    return Path(on_path).parent


def _account() -> str | None:
    """Whom the server runs as: PostgreSQL refuses to be root. None: who runs the tests."""
    return None if os.geteuid() else "postgres"


class Postgresql:
    """A server that can be stopped, started and frozen. Nothing in it outlives the tests, so it never waits for the disk."""

    def __init__(self) -> None:
        self._binaries = _binaries()
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="netlodge-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.port = _free_port()
        if self._account:
            account = pwd.getpwnam(self._account)
            os.chown(self._folder, account.pw_uid, account.pw_gid)

    def __enter__(self) -> Self:
        try:
            password = self._folder / "password"
            password.write_text(PASSWORD)
            password.chmod(0o644)
            self._call(
                "initdb", "--no-sync", "--no-locale", "-E", "UTF8", "-U", "lodge", "-A", "scram-sha-256",
                f"--pwfile={password}", "-D", str(self._folder / "data"),
            )  # fmt: skip
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            user=self._account, group=self._account, cwd=self._folder, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Start it on its port; return when it takes connections. Nothing, if it runs."""
        import psycopg  # here: not every test that is collected needs it

        if self._process is not None:
            return
        settings = (
            "listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self._folder}",
            "fsync=off", "max_connections=60", "shared_buffers=16MB", "autovacuum=off", "logging_collector=off",
        )  # fmt: skip
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._folder / "data", *(x for s in settings for x in ("-c", s))],
                user=self._account, group=self._account, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url_of("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as a crash would: every connection is cut. Nothing, if it does not run."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(PATIENCE)
            self._process = None

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The server and all its children do nothing: the kernel takes connections and octets, nobody answers."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        pids = [self._process.pid, *map(int, children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a database of one's own, empty."""
        name = f"test{next(self._numbers)}"
        self._command(f"CREATE DATABASE {name}")
        try:
            yield self.url_of(name)
        finally:
            self.start()
            self._command(f"DROP DATABASE {name} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        return f"postgresql://lodge:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def _command(self, text: str) -> None:
        import psycopg

        with psycopg.connect(self.url_of("postgres"), autocommit=True, connect_timeout=5) as connection:
            connection.execute(text.encode())


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    with Postgresql() as server:
        yield server
