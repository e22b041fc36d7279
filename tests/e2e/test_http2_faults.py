"""HTTP/2 through what goes wrong on real machines, and with bodies larger than memory should ever hold: killed workers, reloads and ends under
load, clients that vanish, half a GiB each way.

RFC 9113 §6.8 (GOAWAY in two steps, so that no request is lost), §8.7 (which requests may be repeated), §5.2 (flow control).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlodge.http.wire.h2_frames import GOAWAY, HEADERS, LARGEST_WINDOW, PING, ping_frame
from tests.e2e.http2_client import Http2Client, RawHttp2, request_frame
from tests.e2e.lodge import PATIENCE, Lodge, descriptors, is_alive, until, worker_of
from tests.e2e.test_big_files import forget_peak, peak
from tests.e2e.test_http2 import context_of, curl, plain, root_of, secure

SITE = '[limits]\nbody_size = "5 GiB"\n[[web.site]]\nroutes = [{ path = "/", files = "site", uploads = "anyone" }]\n'
PAGE = b"x" * 1024
SIZE = 4 * 1024**3 + 5
PART = 512 * 1024**2 + 5
MID = 200 << 20
GROWTH = 32 << 20


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    lodge = Lodge({"index.html": PAGE}, SITE, workers=2)
    lodge.site.chmod(0o777)
    with (lodge.site / "big.bin").open("wb") as file:  # takes no room on the disk
        file.truncate(SIZE)
    with (lodge.site / "mid.bin").open("wb") as file:
        file.truncate(MID)
    with lodge:
        yield lodge


def counted(lodge: Lodge) -> float:
    return lodge.metric("netlodge_http_versions_total", version="2")


# --- §6.8: workers that leave ---------------------------------------------------------------------------------------------------------


def test_a_worker_that_retires_says_so_twice_and_answers_what_was_asked_before(lodge: Lodge) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawHttp2(lodge.port())) for _ in range(8)]
        for client in clients:
            client.send(request_frame(1))
            client.until(HEADERS)
        assert lodge.reload().succeeded
        for client in clients:
            # "a GOAWAY frame with the last stream identifier set to 2^31-1 and a NO_ERROR code"
            assert client.until(GOAWAY)[3][:8] == LARGEST_WINDOW.to_bytes(4, "big") + bytes(4)
            # This was on its way when it was said.
            client.send(request_frame(3))
            assert client.until(HEADERS)[2] == 3
        for client in clients:
            client.send(request_frame(5) + ping_frame(b"goodbye?", is_ack=True))
            assert client.until(HEADERS)[2] == 5
            assert client.until(GOAWAY)[3][:8] == (5).to_bytes(4, "big") + bytes(4)
            while client.next_frame() is not None:
                pass


def test_a_client_that_does_not_answer_the_ping_is_waited_for_a_moment(lodge: Lodge) -> None:
    with RawHttp2(lodge.port()) as client:
        client.send(request_frame(1))
        client.until(HEADERS)
        assert lodge.reload().succeeded
        assert client.until(GOAWAY)[3][:4] == LARGEST_WINDOW.to_bytes(4, "big")
        assert client.until(PING)[1] == 0
        assert client.until(GOAWAY)[3][:4] == (1).to_bytes(4, "big")


def test_an_answer_under_way_is_finished_by_the_worker_that_retires(lodge: Lodge) -> None:
    process = subprocess.Popen(
        ["curl", "-sS", "--noproxy", "*", "--http2-prior-knowledge", "--limit-rate", "200M", "-o", "/dev/null",
         "-w", "%{size_download} %{http_version}", plain(lodge, "/mid.bin")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: lodge.metric("netlodge_connections_open", door="web") >= 1, "the download begun")
    assert lodge.reload().succeeded
    said, _ = process.communicate(timeout=60)
    assert said == f"{MID} 2"


def test_reloads_under_load_cost_no_request(lodge: Lodge) -> None:
    """As curl sees it, which opens another connection when one goes away, as browsers do; h2load does not."""
    count = 8000
    process = subprocess.Popen(
        ["curl", "-sS", "--noproxy", "*", "--cacert", str(root_of(lodge)), "-Z", "--parallel-max", "20", "-o", "/dev/null",
         "-w", "%{http_version} %{http_code} %{size_download}\n", secure(lodge, f"/?[1-{count}]")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    before = counted(lodge)
    for _ in range(2):
        until(lambda before=before: counted(lodge) > before + 500, "a load")  # type: ignore[misc]
        assert lodge.reload().succeeded
        before = counted(lodge)
    assert process.poll() is None
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert Counter(said.splitlines()) == {f"2 200 {len(PAGE)}": count}


def test_a_killed_worker_costs_no_other_connection_anything_and_comes_back(lodge: Lodge) -> None:
    context = context_of(lodge)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Http2Client(lodge.port("web_tls"), context)) for _ in range(16)]
        for client in clients:
            assert client.ask("/").body == PAGE
        pids = [worker.pid for worker in lodge.workers]
        owners = {client: worker_of(client.port, pids) for client in clients}
        victim = owners[clients[0]]
        survivors = [client for client in clients if owners[client] != victim]
        assert survivors
        load = subprocess.Popen(
            ["h2load", "-n", "5000", "-c", "8", "-m", "8", secure(lodge)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for turn in range(40):
                if turn == 10:
                    os.kill(victim, signal.SIGKILL)
                for client in survivors:
                    assert client.ask("/", *[("cookie", "a=b")] * (turn % 2)).body == PAGE
            until(lambda: not is_alive(victim), "the end of the victim")
        finally:
            load.wait(PATIENCE)
        until(lambda: len(lodge.workers) == 2 and victim not in [each.pid for each in lodge.workers], "another one")
    assert curl(lodge, secure(lodge)) == PAGE


def test_clients_that_vanish_leave_nothing_behind(lodge: Lodge) -> None:
    until(lambda: lodge.metric("netlodge_connections_open", door="web") == 0, "rest")
    pids = [worker.pid for worker in lodge.workers]
    assert curl(lodge, "--http2-prior-knowledge", plain(lodge)) == PAGE
    before = sum(map(descriptors, pids))
    for turn in range(20):
        with RawHttp2(lodge.port()) as client:
            client.send(b"".join(request_frame(number, "/big.bin") for number in range(1, 41, 2)))
            client.until(0)
            if turn % 2:
                client.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: end it with a reset
    until(lambda: lodge.metric("netlodge_connections_open", door="web") == 0, "the end of all")
    until(lambda: sum(map(descriptors, pids)) <= before + 2, "no open file")


# --- Large bodies ------------------------------------------------------------------------------------------------------------------------


def test_a_download_of_half_a_gib_leaves_the_worker_as_small_as_it_was(lodge: Lodge) -> None:
    pids = [worker.pid for worker in lodge.workers]
    assert curl(lodge, secure(lodge)) == PAGE
    before = peaks(pids)
    said = curl(
        lodge,
        "-r",
        f"{SIZE - PART}-",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{size_download}",
        secure(lodge, "/big.bin"),
    )
    assert said == b"206 %d" % PART
    assert peaks(pids) - before < GROWTH


def test_what_lies_beyond_4_gib_is_found(lodge: Lodge) -> None:
    with Http2Client(lodge.port()) as client:
        assert ("content-length", str(SIZE)) in client.ask("/big.bin", method="HEAD").fields
        answer = client.ask("/big.bin", ("range", f"bytes={4 * 1024**3}-"))
        assert (answer.status, answer.body) == (206, bytes(5))
        assert ("content-range", f"bytes {4 * 1024**3}-{SIZE - 1}/{SIZE}") in answer.fields


def test_an_upload_of_half_a_gib_does_too(lodge: Lodge, tmp_path: Path) -> None:
    """In the clear, because of curl, which takes four times as long to encrypt it."""
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(PART)
        file.seek(PART - 5)
        file.write(b"tail\n")
    pids = [worker.pid for worker in lodge.workers]
    before = peaks(pids)
    options = ["--http2-prior-knowledge", "-T", str(source), "-w", "%{http_code} %{http_version}"]
    assert curl(lodge, *options, plain(lodge, "/upload.bin")) == b"201 2"
    assert peaks(pids) - before < GROWTH
    with (lodge.site / "upload.bin").open("rb") as file:
        assert file.seek(0, os.SEEK_END) == PART
        file.seek(PART - 5)
        assert file.read() == b"tail\n"
    (lodge.site / "upload.bin").unlink()


def peaks(pids: list[int]) -> int:
    """The most that these had in RAM since this was asked last."""
    total = sum(map(peak, pids))
    for pid in pids:
        forget_peak(pid)
    return total
