"""What goes wrong on real machines: killed workers, reloads and ends under load, clients that vanish, files that do, no room left.

In each case: who has no part in it notices nothing, and afterwards everything is as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.http_client import BrokenAnswerError, Client, request
from tests.e2e.load import Load
from tests.e2e.lodge import SITE, Lodge, descriptors, is_alive, until, worker_of

PAGE = b"x" * 1024
BIG = bytes(range(256)) * (128 * 1024)
NOT_REMEMBERED = "Authorization: Basic eDp4"


@contextlib.contextmanager
def clients(count: int, port: int, source: str = "") -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Client(port, source=source)) for _ in range(count)]


class TestAKilledWorker:
    def test_costs_no_other_connection_anything_and_comes_back(self) -> None:
        with Lodge({"index.html": PAGE}, workers=2) as lodge, clients(24, lodge.port()) as connected:
            for client in connected:
                assert client.ask().status == 200
            pids = [worker.pid for worker in lodge.workers]
            owners = {client: worker_of(client.sock.getsockname()[1], pids) for client in connected}
            victim = owners[connected[0]]
            survivors = [client for client in connected if owners[client] != victim]
            assert survivors
            load = subprocess.Popen(
                ["wrk", "-t", "1", "-c", "16", "-d", "1s", lodge.url()],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                for turn in range(60):
                    if turn == 20:
                        os.kill(victim, signal.SIGKILL)
                    for client in survivors:
                        assert client.ask("/", *[NOT_REMEMBERED] * (turn % 2)).body == PAGE
                until(lambda: not is_alive(victim), "the end of the victim")
                # Nobody who comes now is lost, whichever worker's socket he waits in.
                with clients(60, lodge.port()) as late:
                    for client in late:
                        assert client.ask().body == PAGE
            finally:
                load.wait(30)
            until(lambda: len(lodge.workers) == 2, "two workers again")
            assert victim not in [worker.pid for worker in lodge.workers]
            assert lodge.metric("netlodge_worker_restarts_total") == 1
            with clients(60, lodge.port()) as late:
                for client in late:
                    assert client.ask().body == PAGE
                ports = [client.sock.getsockname()[1] for client in late]
                assert {worker_of(port, [each.pid for each in lodge.workers]) for port in ports} == {
                    worker.pid for worker in lodge.workers
                }

    def test_is_seen_as_a_broken_answer_not_as_a_short_one(self) -> None:
        with Lodge({"big.bin": BIG}, workers=1) as lodge, Client(lodge.port(), receive_buffer=65536) as client:
            client.send(request("/big.bin"))
            client.receive_head()
            client.take(100_000)
            os.kill(lodge.workers[0].pid, signal.SIGKILL)
            with pytest.raises((BrokenAnswerError, ConnectionResetError)):
                client.take(len(BIG) - 100_000)


class TestAReload:
    def test_under_load_fails_no_request(self) -> None:
        async def scenario(lodge: Lodge) -> Load:
            async with Load(lodge.port(), connections=20, body=PAGE) as load:
                for _ in range(4):
                    await load.passed(400)
                    reload = await asyncio.to_thread(lodge.reload)
                    assert reload.succeeded
                await load.passed(400)
            return load

        with Lodge({"index.html": PAGE}, workers=2) as lodge:
            load = asyncio.run(scenario(lodge))
            assert not load.failures
            assert load.repeated == 0
            assert load.told_to_close >= 20
            assert lodge.state.generation == 5

    def test_with_other_numbers_of_workers_under_load_fails_no_request(self) -> None:
        async def scenario(lodge: Lodge) -> Load:
            async with Load(lodge.port(), connections=20, body=PAGE) as load:
                for workers in (3, 1, 4, 2):
                    await load.passed(300)
                    lodge.settings.write_text(f"workers = {workers}\n{SITE}")
                    assert (await asyncio.to_thread(lodge.reload)).succeeded
                await load.passed(300)
            return load

        with Lodge({"index.html": PAGE}, f"workers = 2\n{SITE}", workers=None) as lodge:
            load = asyncio.run(scenario(lodge))
            assert not load.failures
            assert load.repeated == 0

    def test_that_fails_under_load_fails_no_request(self) -> None:
        async def scenario(lodge: Lodge) -> Load:
            async with Load(lodge.port(), connections=10, body=PAGE) as load:
                for _ in range(3):
                    await load.passed(100)
                    assert not (await asyncio.to_thread(lodge.reload)).succeeded
                await load.passed(100)
            return load

        with Lodge({"index.html": PAGE}, workers=2) as lodge:
            lodge.settings.write_text("workers = 0\n[nonsense]\n")
            load = asyncio.run(scenario(lodge))
            assert not load.failures
            assert load.told_to_close == load.repeated == 0

    def test_lets_a_download_finish(self) -> None:
        with Lodge({"big.bin": BIG}, workers=1) as lodge, Client(lodge.port(), receive_buffer=65536) as client:
            old = lodge.workers[0].pid
            client.send(request("/big.bin"))
            client.receive_head()
            assert lodge.reload().succeeded
            assert client.take(len(BIG)) == BIG
            # The head said nothing of an end; but the old worker is to go, so the next answer does.
            answer = client.ask("/big.bin", method="HEAD")
            assert answer.closes
            client.close()
            until(lambda: not is_alive(old), "the end of the old worker")


class TestTheEnd:
    def test_lets_what_was_begun_finish(self) -> None:
        with (
            Lodge({"index.html": PAGE, "big.bin": BIG}, workers=1) as lodge,
            Client(lodge.port(), receive_buffer=65536) as loading,
            Client(lodge.port()) as asking,
        ):
            loading.send(request("/big.bin"))
            loading.receive_head()
            asking.send(request()[:-2])
            asking_port = asking.sock.getsockname()[1]
            assert worker_of(asking_port, [lodge.workers[0].pid])
            lodge.process.send_signal(signal.SIGTERM)
            until(lambda: lodge.state.phase == "stopping", "the end begun")
            until(lambda: refuses(lodge.port()), "closed doors")
            assert loading.take(len(BIG)) == BIG
            asking.send(b"\r\n")
            answer = asking.receive()
            assert answer.body == PAGE
            assert answer.closes
            assert loading.is_ended()
            assert asking.is_ended()
            loading.close()
            asking.close()
            assert lodge.process.wait(20) == 0

    def test_asked_for_twice_is_at_once(self) -> None:
        with Lodge({"big.bin": BIG}, workers=1) as lodge, Client(lodge.port(), receive_buffer=65536) as client:
            client.send(request("/big.bin"))
            client.receive_head()
            lodge.process.send_signal(signal.SIGTERM)
            until(lambda: lodge.state.phase == "stopping", "the end begun")
            lodge.process.send_signal(signal.SIGTERM)
            assert lodge.process.wait(20) == 0
            with pytest.raises((BrokenAnswerError, ConnectionResetError)):
                client.take(len(BIG))

    def test_is_bounded_by_its_setting(self) -> None:
        settings = f'[drain]\nstop_timeout = "300 ms"\n{SITE}'
        with (
            Lodge({"big.bin": BIG}, settings, workers=1) as lodge,
            Client(lodge.port(), receive_buffer=65536) as client,
        ):
            client.send(request("/big.bin"))
            client.receive_head()
            assert lodge.stop() == 0
            with pytest.raises((BrokenAnswerError, ConnectionResetError)):
                client.take(len(BIG))


def refuses(port: int) -> bool:
    try:
        Client(port).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def has_open(pid: int, name: str) -> bool:
    """Whether a process has a file of this name open."""
    folder = Path(f"/proc/{pid}/fd")
    return any(os.path.realpath(entry).endswith(f"/{name}") for entry in folder.iterdir())


class TestAClientThatVanishes:
    @pytest.mark.parametrize("is_rude", [True, False], ids=["reset", "closed"])
    def test_leaves_nothing_behind(self, is_rude: bool) -> None:
        with Lodge({"index.html": PAGE, "big.bin": BIG}, workers=1) as lodge:
            (worker,) = lodge.workers
            with Client(lodge.port()) as client:
                assert client.ask().status == 200
                # What is remembered is kept open, once it has come often enough: that is no leak.
                until(
                    lambda: client.ask("/big.bin").status == 200 and has_open(worker.pid, "big.bin"),
                    "the file kept open",
                )
            lodge.metric("netlodge_connections_open")
            until(lambda: lodge.metric("netlodge_connections_open", door="web") == 0, "no connection")
            before = descriptors(worker.pid)
            vanish = Client.reset if is_rude else Client.close
            for turn in range(40):
                with Client(lodge.port(), receive_buffer=65536) as client:
                    match turn % 4:
                        case 0:  # in the answer's body
                            client.send(request("/big.bin"))
                            client.receive_head()
                            client.take(50_000)
                        case 1:  # in the request's body
                            client.send(request("/", "Content-Length: 1000000", method="POST") + bytes(1000))
                        case 2:  # in the request's head
                            client.send(request()[:20])
                        case _:  # with answers on their way to it
                            client.send(request("/big.bin") * 3 + request() * 10)
                    vanish(client)
            until(lambda: lodge.metric("netlodge_connections_open", door="web") == 0, "the end of all connections")
            until(lambda: descriptors(worker.pid) <= before, f"{before} descriptors as before")
            assert lodge.metric("netlodge_defects_total") == 0
            with Client(lodge.port()) as client:
                assert client.ask().body == PAGE


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    # Root may read everything; who is not root to begin with is nobody special either.
    user = 'user = "nobody"\n' if os.geteuid() == 0 else ""
    with Lodge({"index.html": PAGE}, user + SITE, workers=1) as lodge:
        yield lodge


class TestFiles:
    @pytest.mark.parametrize("size", [100, 1_000_000], ids=["small", "large"])
    def test_that_cannot_be_read_are_forbidden(self, lodge: Lodge, size: int) -> None:
        lodge.put(f"shut{size}.bin", bytes(size)).chmod(0)
        with Client(lodge.port()) as client:
            for _ in range(4):
                answer = client.ask(f"/shut{size}.bin")
                assert answer.status == 403
                assert answer.fields["content-type"].startswith("text/plain")

    def test_in_a_folder_that_cannot_be_entered_are_forbidden(self, lodge: Lodge) -> None:
        lodge.put("room/a.txt", b"a").parent.chmod(0)
        with Client(lodge.port()) as client:
            assert client.ask("/room/a.txt").status == 403
            assert client.ask("/room/").status == 403
            lodge.site.joinpath("room").chmod(0o755)
            assert client.ask("/room/a.txt").body == b"a"

    @pytest.mark.parametrize("size", [100, 1_000_000], ids=["small", "large"])
    def test_that_vanish_are_gone_at_once(self, lodge: Lodge, size: int) -> None:
        path = lodge.put("brief.bin", bytes(size))
        with Client(lodge.port()) as client:
            for _ in range(4):
                assert client.ask("/brief.bin").status == 200
            path.unlink()
            assert client.ask("/brief.bin").status == 404

    def test_that_vanish_while_they_are_sent_are_sent_whole(self, lodge: Lodge) -> None:
        path = lodge.put("brief.bin", BIG)
        with Client(lodge.port(), receive_buffer=65536) as client:
            client.send(request("/brief.bin"))
            client.receive_head()
            path.unlink()
            assert client.take(len(BIG)) == BIG

    @pytest.mark.parametrize("method", [(), ("Range: bytes=0-1,5000000-33000000",)], ids=["whole", "ranges"])
    def test_that_are_cut_while_they_are_sent_break_the_answer(self, lodge: Lodge, method: tuple[str, ...]) -> None:
        path = lodge.put("cut.bin", BIG)
        with Client(lodge.port(), receive_buffer=65536) as client:
            client.send(request("/cut.bin", *method))
            head = client.receive_head()
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            os.truncate(path, 1000)
            with pytest.raises((BrokenAnswerError, ConnectionResetError)):
                client.take(length)
        until(lambda: any("/cut.bin" in line for line in lodge.log_lines), "a line in the log")
        with Client(lodge.port()) as client:
            assert client.ask("/cut.bin").body == BIG[:1000]

    def test_that_grow_while_they_are_sent_end_where_they_ended(self, lodge: Lodge) -> None:
        path = lodge.put("log.txt", BIG)
        with Client(lodge.port(), receive_buffer=65536) as client:
            client.send(request("/log.txt"))
            client.receive_head()
            with path.open("ab") as file:
                file.write(b"more")
            assert client.take(len(BIG)) == BIG
            assert client.ask("/log.txt", "Range: bytes=-4").body == b"more"


class TestMany:
    def test_idle_connections_slow_nobody(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == resource.RLIM_INFINITY or hard >= 10_200, "this needs `ulimit -Hn` of 10,200"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            with Lodge({"index.html": PAGE}, workers=2) as lodge, contextlib.ExitStack() as stack:
                for _ in range(3):
                    stack.enter_context(Client(lodge.port())).ask()
                pids = [worker.pid for worker in lodge.workers]
                before = sum(map(resident, pids))
                idle = [stack.enter_context(Client(lodge.port(), source=f"127.0.0.{2 + n % 2}")) for n in range(10_000)]
                until(lambda: lodge.metric("netlodge_connections_open", door="web") >= 10_000, "all of them accepted")
                assert sum(map(resident, pids)) - before <= 10_000 * 12 * 1024
                with Client(lodge.port()) as client:
                    client.sock.settimeout(2.0)
                    for _ in range(20):
                        assert client.ask().body == PAGE
                for client in (idle[0], idle[-1]):
                    assert client.ask().body == PAGE
                for client in idle:
                    client.close()
                until(lambda: lodge.metric("netlodge_connections_open", door="web") <= 3, "the end of all of them")
                assert lodge.metric("netlodge_connections_refused_total") == 0
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_connections_of_one_client_are_bounded_over_all_workers(self) -> None:
        settings = f"[limits]\nconnections_per_client = 10\n{SITE}"
        with Lodge({"index.html": PAGE}, settings, workers=2) as lodge, contextlib.ExitStack() as stack:
            mine = [stack.enter_context(Client(lodge.port(), source="127.0.0.2")) for _ in range(10)]
            for client in mine:
                assert client.ask().status == 200
            with Client(lodge.port(), source="127.0.0.2") as client:
                refusal = client.receive()
                assert refusal.status == 503
                assert b"limits.connections_per_client" in refusal.body
                assert "retry-after" in refusal.fields
                assert client.is_ended()
            with Client(lodge.port(), source="127.0.0.3") as client:
                assert client.ask().status == 200
            for client in mine:
                assert client.ask().status == 200
            mine[0].close()
            until(lambda: is_admitted(lodge.port(), "127.0.0.2"), "a place for another")
            # What a killed worker held is given back.
            os.kill(worker_of(mine[1].sock.getsockname()[1], [worker.pid for worker in lodge.workers]), signal.SIGKILL)
            until(lambda: len(lodge.workers) == 2 and is_admitted(lodge.port(), "127.0.0.2"), "places for others")
            assert lodge.metric("netlodge_connections_refused_total", limit="limits.connections_per_client") >= 1

    def test_slow_senders_slow_nobody(self) -> None:
        with Lodge({"index.html": PAGE}, workers=2) as lodge, clients(200, lodge.port()) as slow:
            head = request("/", "X-Padding: " + "a" * 200)
            body = request("/", "Content-Length: 10000", method="POST")
            with Client(lodge.port()) as client:
                client.sock.settimeout(2.0)
                for step in range(60):
                    for number, dribbler in enumerate(slow):
                        if number % 2:
                            dribbler.send(head[step : step + 1])
                        elif step == 0:
                            dribbler.send(body)
                        else:
                            dribbler.send(b"x")
                    assert client.ask("/", *[NOT_REMEMBERED] * (step % 2)).body == PAGE
            for number, dribbler in enumerate(slow):
                if number % 2:
                    dribbler.send(head[60:])
                    assert dribbler.receive().body == PAGE
                else:
                    assert dribbler.receive().status == 405


def is_admitted(port: int, source: str) -> bool:
    with Client(port, source=source) as client:
        try:
            return client.ask().status == 200
        except OSError:
            return False


def resident(pid: int) -> int:
    """Octets of a process in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class TestNoRoom:
    def test_for_the_log_costs_lines_alone_and_counts_them(self) -> None:
        with (
            Lodge({"index.html": PAGE}, f'[log]\naccess = "/dev/full"\n{SITE}', workers=1) as lodge,
            Client(lodge.port()) as client,
        ):
            for _ in range(50):
                assert client.ask().status == 200
            until(lambda: lodge.metric("netlodge_access_log_dropped_lines_total") >= 50, "the count of all lost lines")
            assert lodge.errors.count("loses lines") == 1
            assert "/dev/full" in lodge.errors

    def test_in_a_file_for_a_time_tears_at_most_one_line(self) -> None:
        with Lodge({"index.html": PAGE}, workers=1) as lodge, Client(lodge.port()) as client:
            pid = lodge.workers[0].pid
            for _ in range(5):
                client.ask()
            until(lambda: len(lodge.log_lines) == 5, "five lines")
            size = (lodge.data / "log" / "access.log").stat().st_size
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 100, hard))
            for _ in range(20):
                assert client.ask().status == 200
            until(lambda: lodge.metric("netlodge_access_log_dropped_lines_total") >= 19, "the count of all lost lines")
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
            client.ask("/?after")
            until(lambda: any("/?after" in line for line in lodge.log_lines), "a line again")
            whole = [
                line for line in lodge.log_lines if line.endswith('"-" "-"') and line.startswith("127.0.0.1 - - [")
            ]
            assert len(lodge.log_lines) - len(whole) <= 1
            assert '"GET /?after HTTP/1.1" 200 1024' in whole[-1]

    def test_for_descriptors_is_told_and_passes(self) -> None:
        with Lodge({"index.html": PAGE, "big.bin": BIG}, workers=1) as lodge, clients(3, lodge.port()) as connected:
            pid = lodge.workers[0].pid
            for client in connected:
                client.ask()
            soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid), hard))
            refusal = connected[0].ask("/big.bin")
            assert refusal.status == 503
            assert "retry-after" in refusal.fields
            # What is at hand is served on, whoever else comes.
            with contextlib.suppress(OSError), clients(5, lodge.port()):
                for _ in range(20):
                    assert connected[1].ask().body == PAGE
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert connected[0].ask("/big.bin").body == BIG
            until(lambda: is_admitted(lodge.port(), ""), "admission of new connections")
