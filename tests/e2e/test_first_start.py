"""As somebody who has just cloned it: an empty folder, one command; then a change of the settings, mistakes in them, and the end."""

from __future__ import annotations

import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.e2e.http_client import Client
from tests.e2e.lodge import NETLODGE, PATIENCE, SITE, Lodge, is_alive, run_netlodge, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


@pytest.fixture
def free() -> Callable[[], int]:
    """Gives ports on which nobody listens."""

    def choose() -> int:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
            return port

    return choose


def refuses(port: int) -> bool:
    try:
        Client(port).close()
    except ConnectionRefusedError:
        return True
    return False


def up(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    addresses = ["--set", "dashboard.listen=127.0.0.1:0", "--set", "lines.uppercase=127.0.0.1:0"]
    return run_netlodge("up", *addresses, *options, cwd=folder)


class TestInAnEmptyFolder:
    def test_one_command_opens_a_site_and_says_where(self) -> None:
        with Lodge(settings=None, only="", services=["uppercase"], workers=1) as lodge:
            assert f"is open (pid {lodge.process.pid})" in lodge.output
            assert set(lodge.doors) == {"web", "web_tls", "uppercase", "dashboard"}
            for door, example in (
                ("web", f"curl http://{lodge.doors['web']}/"),
                ("web_tls", f"curl --cacert ./lodge/ca/root.pem https://localhost:{lodge.port('web_tls')}/"),
                ("dashboard", f"curl http://{lodge.doors['dashboard']}/metrics"),
                ("uppercase", f"echo hello | netlodge talk 127.0.0.1 {lodge.port('uppercase')}"),
            ):
                assert example in lodge.output, door
            with Client(lodge.port()) as client:
                page = client.ask("/")
                assert page.status == 200
                assert page.fields["content-type"] == "text/html; charset=utf-8"
                assert b"<!DOCTYPE html>" in page.body
                missing = client.ask("/no-such-page")
                assert missing.status == 404
                assert missing.fields["content-type"] == "text/html; charset=utf-8"
                assert b"No such room" in missing.body
            assert (lodge.data / "netlodge.toml").is_file()
            assert (lodge.data / "www" / "index.html").is_file()
            assert lodge.stop() == 0
            assert not list((lodge.data / "run").iterdir())

    def test_each_example_that_the_start_prints_works(self) -> None:
        with Lodge(
            settings=None, only="", services=["uppercase", "count", "echo", "discard", "daytime"], workers=1
        ) as lodge:
            examples = [line.split("  ")[-1].strip() for line in lodge.output.splitlines() if line.startswith("  ")]
            assert len(examples) == 8
            for example in examples:
                line = example.replace("netlodge", NETLODGE)
                done = subprocess.run(
                    ["sh", "-c", line], cwd=lodge.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
                )
                assert done.returncode == 0, (example, done.stderr)
                assert done.stdout or lodge.doors["discard"].replace(":", " ") in example, example

    def test_a_second_start_keeps_what_the_first_made(self, folder: Path) -> None:
        assert run_netlodge("init", cwd=folder).returncode == 0
        index = folder / "lodge" / "www" / "index.html"
        index.write_text("mine")
        with (
            Lodge(settings=None, options=["--data", str(folder / "lodge")], workers=1) as lodge,
            Client(lodge.port()) as client,
        ):
            assert client.ask("/").body == b"mine"

    def test_a_folder_is_served_by_its_name_alone(self, folder: Path) -> None:
        (folder / "public").mkdir()
        (folder / "public" / "a.txt").write_text("hello")
        options = ["--files", str(folder / "public")]
        with Lodge(settings=None, options=options, workers=1) as lodge, Client(lodge.port()) as client:
            assert client.ask("/a.txt").body == b"hello"


class TestInit:
    def test_writes_a_file_that_check_accepts_and_up_takes(self, folder: Path) -> None:
        assert run_netlodge("init", cwd=folder).returncode == 0
        check = run_netlodge("check", cwd=folder)
        assert check.returncode == 0
        assert "lodge/netlodge.toml is valid" in check.stdout

    def test_writes_over_nothing(self, folder: Path) -> None:
        run_netlodge("init", cwd=folder)
        (folder / "lodge" / "netlodge.toml").write_text("# mine\n")
        again = run_netlodge("init", cwd=folder)
        assert again.returncode == 2
        assert "there already" in again.stderr
        assert (folder / "lodge" / "netlodge.toml").read_text() == "# mine\n"


class TestAChange:
    def test_is_taken_up_by_a_signal(self) -> None:
        with Lodge({"index.html": b"old"}, workers=1) as lodge:
            (lodge.folder / "other").mkdir()
            (lodge.folder / "other" / "index.html").write_text("new")
            with Client(lodge.port()) as client:
                assert client.ask().body == b"old"
            lodge.settings.write_text(SITE.replace('"site"', '"other"'))
            reload = lodge.reload()
            assert reload.succeeded
            until(lambda: page(lodge) == b"new", "the new folder")

    def test_is_taken_up_by_the_command(self) -> None:
        with Lodge({"index.html": b"old"}, workers=1) as lodge:
            lodge.settings.write_text('[[web.site]]\nroutes = [{ path = "/", respond = "pong" }]\n')
            done = run_netlodge("reload", cwd=lodge.folder)
            assert (done.returncode, done.stderr) == (0, "")
            assert "generation 2" in done.stdout
            until(lambda: page(lodge) == b"pong", "the new answer")
            assert lodge.metric("netlodge_generation") == 2

    @pytest.mark.parametrize("event_loop", ["uvloop", "asyncio"])
    def test_is_done_when_it_is_said_to_be(self, event_loop: str) -> None:
        text = f'event_loop = "{event_loop}"\n[[web.site]]\nroutes = [{{{{ path = "/", respond = "{{}}" }}}}]\n'
        with Lodge(settings=text.format(0)) as lodge:
            for number in range(1, 6):
                lodge.settings.write_text(text.format(number))
                assert lodge.reload().succeeded
                assert [page(lodge) for _ in range(6)] == [str(number).encode()] * 6

    def test_of_the_number_of_workers_is_taken_up(self) -> None:
        with Lodge({"index.html": b"x"}, f"workers = 1\n{SITE}", workers=None) as lodge:
            assert len(lodge.workers) == 1
            lodge.settings.write_text(f"workers = 3\n{SITE}")
            assert lodge.reload().succeeded
            assert len(lodge.workers) == 3

    def test_of_an_address_opens_the_new_one_and_closes_the_old(self, free: Callable[[], int]) -> None:
        text = f'[lines]\nuppercase = ["127.0.0.1:{{}}"]\n{SITE.replace("{", "{{").replace("}", "}}")}'
        old, new = free(), free()
        with Lodge({"index.html": b"x"}, text.format(old), workers=1, only="") as lodge:
            with Client(old) as client:
                client.send(b"hello\n")
                assert client.take(6) == b"HELLO\n"
                lodge.settings.write_text(text.format(new))
                assert lodge.reload().succeeded
                # Who was there already is served on.
                client.send(b"again\n")
                assert client.take(6) == b"AGAIN\n"
            with Client(new) as client:
                client.send(b"hello\n")
                assert client.take(6) == b"HELLO\n"
            until(lambda: refuses(old), "the end of the old address")

    def test_with_a_mistake_is_reported_and_the_old_goes_on(self) -> None:
        with Lodge({"index.html": b"old"}, workers=1) as lodge:
            pids = [worker.pid for worker in lodge.workers]
            lodge.settings.write_text(f"[limits]\nhead_sise = '1 KiB'\nidle_timeout = 'soon'\n{SITE}")
            done = run_netlodge("reload", cwd=lodge.folder)
            assert done.returncode == 1
            first, second, last = done.stderr.splitlines()
            assert "netlodge.toml:2" in first
            assert "limits.head_sise" in first
            assert 'did you mean "limits.head_size"?' in first
            assert "limits.idle_timeout" in second
            assert "goes on with its old settings" in last
            for sentence in (first, second):
                assert sentence in lodge.errors
            assert [worker.pid for worker in lodge.workers] == pids
            with Client(lodge.port()) as client:
                assert client.ask().body == b"old"
            status = run_netlodge("status", cwd=lodge.folder)
            assert "Reload 1 failed" in status.stdout
            assert first in status.stdout
            lodge.settings.write_text(SITE)
            assert lodge.reload().succeeded

    def test_that_needs_a_port_in_use_is_reported_and_the_old_goes_on(self, taken: int) -> None:
        with Lodge({"index.html": b"old"}, workers=1, only="", services=["uppercase"]) as lodge:
            lodge.settings.write_text(f'[lines]\necho = ["127.0.0.1:{taken}"]\n{SITE}')
            reload = lodge.reload()
            assert not reload.succeeded
            (sentence,) = reload.sentences
            assert sentence.startswith(f"lines.echo[0]: cannot listen on 127.0.0.1:{taken}: the port is in use")
            with Client(lodge.port()) as client:
                assert client.ask().body == b"old"


class TestAStartWithMistakes:
    def test_ends_with_a_sentence_for_each_and_nothing_is_started(self, folder: Path) -> None:
        (folder / "netlodge.toml").write_text(
            'workers = "many"\n[web]\nlisten = ["localhost:80"]\n[limits]\nhead_siez = 3\nfield_count = 100000\n[[web.site]]\n'
            'routes = [{ path = "/", files = "nowhere" }]\n'
        )
        done = up(folder)
        assert done.returncode == 2
        assert done.stdout == ""
        sentences = done.stderr.splitlines()
        assert [sentence.partition(" ")[0] for sentence in sentences] == [
            f"netlodge.toml:{line}:" for line in (1, 3, 5, 6, 8)
        ]
        for sentence, words in zip(
            sentences,
            (
                ("workers", '"many"'),
                ("web.listen[0]", '"localhost:80"', "127.0.0.1:80"),
                ("limits.head_siez", 'did you mean "limits.head_size"?'),
                ("limits.field_count", "100000", "10000"),
                ("web.site[0].routes[0].files", "nowhere"),
            ),
            strict=True,
        ):
            for word in words:
                assert word in sentence
        assert not (folder / "lodge").exists()
        check = run_netlodge("check", cwd=folder)
        assert check.returncode == 2
        assert check.stderr == done.stderr

    def test_in_the_grammar_points_at_the_place(self, folder: Path) -> None:
        (folder / "netlodge.toml").write_text('[web]\nlisten = ["127.0.0.1:0"\n')
        done = up(folder)
        assert done.returncode == 2
        assert done.stderr.startswith("netlodge.toml:")
        assert len(done.stderr.splitlines()) == 1

    def test_on_the_command_line_names_the_option(self, folder: Path) -> None:
        done = up(folder, "--set", "web.lisen=127.0.0.1:0")
        assert done.returncode == 2
        assert "--set" in done.stderr
        assert 'did you mean "web.listen"?' in done.stderr

    def test_in_a_port_names_the_port_and_the_setting(self, folder: Path, taken: int) -> None:
        done = up(folder, "--set", f"web.listen=127.0.0.1:{taken}")
        assert done.returncode == 2
        assert "web.listen[0]" in done.stderr
        assert f"127.0.0.1:{taken}" in done.stderr
        assert "in use" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert "is open" not in done.stdout

    def test_in_two_ports_says_both_and_keeps_neither(self, folder: Path, taken: int) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            done = up(folder, "--set", f"web.listen=127.0.0.1:{taken},127.0.0.1:{port}")
        assert done.returncode == 2
        assert str(taken) in done.stderr
        assert str(port) in done.stderr


class TestASecondLodge:
    def test_on_the_same_folder_is_refused(self) -> None:
        with Lodge({"index.html": b"x"}, workers=1) as lodge:
            done = up(lodge.folder, "--set", "web.listen=127.0.0.1:0")
            assert done.returncode != 0
            assert f"Another lodge (pid {lodge.process.pid})" in done.stderr
            assert "netlodge stop" in done.stderr
            with Client(lodge.port()) as client:
                assert client.ask().status == 200
            assert read_status(lodge).startswith("The lodge in")

    def test_finds_the_folder_free_after_a_kill(self) -> None:
        with Lodge({"index.html": b"x"}, workers=1) as lodge:
            (worker,) = lodge.workers
            lodge.process.kill()
            lodge.process.wait(PATIENCE)
            assert run_netlodge("status", cwd=lodge.folder).returncode == 3
            # A worker without its supervisor ends by itself, and soon.
            until(lambda: not is_alive(worker.pid), "the end of an orphaned worker")
            lodge.__enter__()
            with Client(lodge.port()) as client:
                assert client.ask().body == b"x"


class TestTheEnd:
    def test_is_asked_for_by_the_command(self) -> None:
        with Lodge({"index.html": b"x"}) as lodge:
            status = read_status(lodge)
            assert f"is serving (pid {lodge.process.pid})" in status
            assert lodge.doors["web"] in status
            for worker in lodge.workers:
                assert f"pid {worker.pid}" in status
            done = run_netlodge("stop", cwd=lodge.folder)
            assert done.returncode == 0
            assert "has ended" in done.stdout
            assert lodge.process.wait(PATIENCE) == 0
            assert run_netlodge("status", cwd=lodge.folder).returncode == 3
            assert run_netlodge("stop", cwd=lodge.folder).returncode == 3
            with pytest.raises(ConnectionRefusedError):
                Client(lodge.port())

    def test_is_asked_for_by_the_keyboard(self) -> None:
        with Lodge({"index.html": b"x"}, workers=1) as lodge:
            lodge.process.send_signal(signal.SIGINT)
            assert lodge.process.wait(PATIENCE) == 0

    def test_is_told_to_connections_that_rest(self) -> None:
        with Lodge({"index.html": b"x"}) as lodge, Client(lodge.port()) as idle, Client(lodge.port()) as unused:
            assert idle.ask().status == 200
            lodge.process.send_signal(signal.SIGTERM)
            assert idle.is_ended()
            assert unused.is_ended()
            # Half-closed until they say so, too: a request might have been on its way.
            assert lodge.process.poll() is None
            idle.close()
            unused.close()
            assert lodge.process.wait(PATIENCE) == 0

    def test_is_not_held_up_by_somebody_who_looks_on(self) -> None:
        with Lodge({"index.html": b"x"}, "[drain]\nstop_timeout = '1 h'\n" + SITE) as lodge:
            trace = subprocess.Popen(
                [NETLODGE, "trace", "--json"], cwd=lodge.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            try:
                said = trace.stdout
                assert said is not None
                with Client(lodge.port()) as client:
                    until(lambda: client.ask() and has_something(said), "an exchange in the trace")
                assert lodge.stop() == 0
            finally:
                trace.kill()
                trace.communicate()


def page(lodge: Lodge) -> bytes:
    with Client(lodge.port()) as client:
        return client.ask().body


def read_status(lodge: Lodge) -> str:
    return run_netlodge("status", cwd=lodge.folder).stdout


def has_something(stream: IO[bytes]) -> bool:
    return bool(select.select([stream], [], [], 0)[0])
