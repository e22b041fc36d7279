"""Files larger than memory should ever hold: they stream, and the worker stays as small as it was."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.http_client import Client
from tests.e2e.lodge import SITE, Lodge

SIZE = 4 * 1024**3 + 5
GROWTH = 32 * 1024 * 1024
PATIENCE = 60.0


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def lodge(request: pytest.FixtureRequest) -> Iterator[Lodge]:
    lodge = Lodge({"index.html": b"x"}, f'event_loop = "{request.param}"\n{SITE}', workers=1)
    with (lodge.site / "big.bin").open("wb") as file:  # takes no room on the disk
        file.truncate(SIZE)
        file.seek(SIZE - 5)
        file.write(b"tail\n")
    with lodge:
        yield lodge


def peak(pid: int) -> int:
    """The most octets in RAM that a process had since the last `forget_peak` (proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def test_a_download_of_4_gib_leaves_the_worker_as_small_as_it_was(lodge: Lodge) -> None:
    pid = lodge.workers[0].pid
    with Client(lodge.port()) as client:
        assert client.ask("/").status == 200
    forget_peak(pid)
    before = peak(pid)
    command = [
        "curl",
        "-sS",
        "--noproxy",
        "*",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{size_download}",
        lodge.url("/big.bin"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == f"200 {SIZE}"
    assert peak(pid) - before < GROWTH


def test_what_lies_beyond_4_gib_is_found(lodge: Lodge) -> None:
    with Client(lodge.port()) as client:
        answer = client.ask("/big.bin", f"Range: bytes={4 * 1024**3}-")
        assert (answer.status, answer.body) == (206, b"tail\n")
        assert answer.fields["content-range"] == f"bytes {4 * 1024**3}-{SIZE - 1}/{SIZE}"
        assert client.ask("/big.bin", method="HEAD").fields["content-length"] == str(SIZE)


def test_many_slow_downloads_at_once_do_too(lodge: Lodge) -> None:
    pid = lodge.workers[0].pid
    forget_peak(pid)
    before = peak(pid)
    clients = [Client(lodge.port(), receive_buffer=65536) for _ in range(50)]
    try:
        for client in clients:
            client.send(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients:
            client.receive_head()
            client.take(1 << 20)
        assert peak(pid) - before < GROWTH
    finally:
        for client in clients:
            client.close()
