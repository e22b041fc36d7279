"""PUT and DELETE against a whole lodge: with curl, with clients and workers that die, on a disk that is full, and many at once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.http_client import Client, request
from tests.e2e.lodge import NETLODGE, PATIENCE, Lodge, is_alive, until, worker_of
from tests.e2e.test_big_files import GROWTH, forget_peak, peak

SETTINGS = """
[limits]
body_size = "5 GiB"
[[web.site]]
routes = [{ path = "/", files = "site", uploads = "anyone", listing = true, index = ["first.html", "index.html"] }]
"""
# Root may write everywhere; who is not root to begin with is nobody special either.
USER = 'user = "nobody"\n' if os.geteuid() == 0 else ""
UPLOAD_PATIENCE = 120.0
HOT = 5


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with contextlib.ExitStack() as stack:
        lodge = Lodge({"index.html": b"<p>home", "locked/a.txt": b"locked"}, USER + SETTINGS)
        for folder in (lodge.site, lodge.site / "sub"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        if not USER:
            (lodge.site / "locked").chmod(0o555)
        (lodge.folder / "outside").mkdir()
        (lodge.folder / "outside").chmod(0o777)
        (lodge.site / "outside").symlink_to("../outside")
        yield stack.enter_context(lodge)


def names(lodge: Lodge) -> list[str]:
    """What there is below the site and beside it, by path."""
    return sorted(str(path.relative_to(lodge.folder)) for path in lodge.site.rglob("*")) + os.listdir(
        lodge.folder / "outside"
    )


def unfinished(pid: int, site: Path) -> list[str]:
    """The files without a name in the site that a process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(entry)
            if target.startswith(f"{site}/") and target.endswith("(deleted)"):
                found.append(target)
    return found


@contextlib.contextmanager
def one_client_per_worker(lodge: Lodge) -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        pids = [worker.pid for worker in lodge.workers]
        held: dict[int, Client] = {}
        while len(held) < len(pids):
            client = stack.enter_context(Client(lodge.port()))
            client.ask("/")  # so that somebody has accepted it
            held[worker_of(client.sock.getsockname()[1], pids)] = client
        yield [held[pid] for pid in pids]


def curl(*arguments: str, stdin: bytes | None = None) -> str:
    """What curl says of the answer: its status."""
    command = ["curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=UPLOAD_PATIENCE, check=True)
    return done.stdout.decode()


class TestCurl:
    def test_puts_replaces_and_deletes_a_file(self, lodge: Lodge, tmp_path: Path) -> None:
        local = tmp_path / "a.bin"
        for status, octets in (("201", os.urandom(3_000_000)), ("204", b"short"), ("204", b"")):
            local.write_bytes(octets)
            assert curl("-T", str(local), lodge.url("/curl.bin")) == status
            assert (lodge.site / "curl.bin").read_bytes() == octets
        assert curl("-X", "DELETE", lodge.url("/curl.bin")) == "204"
        assert curl("-X", "DELETE", lodge.url("/curl.bin")) == "404"

    def test_puts_what_has_no_length(self, lodge: Lodge) -> None:
        octets = os.urandom(2_000_000)
        assert curl("-T", "-", lodge.url("/sub/piped.bin"), stdin=octets) == "201"
        assert (lodge.site / "sub" / "piped.bin").read_bytes() == octets

    def test_is_told_of_a_version_that_is_not_the_present_one(self, lodge: Lodge) -> None:
        assert curl("-T", "-", "-H", "If-None-Match: *", lodge.url("/index.html"), stdin=b"x") == "412"
        assert curl("-T", "-", "-H", 'If-Match: "x"', lodge.url("/index.html"), stdin=b"x") == "412"
        assert (lodge.site / "index.html").read_bytes() == b"<p>home"

    def test_puts_4_gib_and_the_worker_stays_as_small_as_it_was(self, lodge: Lodge, tmp_path: Path) -> None:
        local = tmp_path / "big.bin"
        size = 4 * 1024**3 + 5
        with local.open("wb") as file:  # takes no room on the disk
            file.truncate(size)
            file.seek(size - 5)
            file.write(b"tail\n")
        pids = [worker.pid for worker in lodge.workers]
        for pid in pids:
            forget_peak(pid)
        before = {pid: peak(pid) for pid in pids}
        try:
            assert curl("-T", str(local), lodge.url("/big.bin")) == "201"
            assert (lodge.site / "big.bin").stat().st_size == size
            with Client(lodge.port()) as client:
                assert client.ask("/big.bin", "Range: bytes=-5").body == b"tail\n"
            assert all(peak(pid) - before[pid] < GROWTH for pid in pids)
        finally:
            assert curl("-X", "DELETE", lodge.url("/big.bin")) == "204"


class TestEveryWorker:
    def test_serves_a_replaced_file_at_once(self, lodge: Lodge) -> None:
        with one_client_per_worker(lodge) as clients:
            for number in range(20):
                body = b"version %d" % number
                writer = clients[number % 2]
                put = writer.ask("/hot.txt", method="PUT", body=body)
                assert put.status == (204 if number else 201)
                for client in clients * (HOT if number % 5 == 0 else 1):
                    answer = client.ask("/hot.txt")
                    assert (answer.body, answer.fields["etag"]) == (body, put.fields["etag"])

    def test_forgets_at_once_what_was_not_there_and_what_is_no_longer(self, lodge: Lodge) -> None:
        with one_client_per_worker(lodge) as clients:
            one, other = clients
            for _ in range(3):
                for client in clients * HOT:
                    assert client.ask("/brief.txt").status == 404
                    assert client.ask("/").body == b"<p>home"
                    assert b"brief" not in client.ask("/sub/").body
                assert one.ask("/brief.txt", method="PUT", body=b"x").status == 201
                assert one.ask("/sub/brief.txt", method="PUT", body=b"x").status == 201
                assert one.ask("/first.html", method="PUT", body=b"<p>first").status == 201
                for client in (other, one) * HOT:
                    assert client.ask("/brief.txt").body == b"x"
                    assert client.ask("/").body == b"<p>first"
                    assert b"brief" in client.ask("/sub/").body
                for target in ("/brief.txt", "/sub/brief.txt", "/first.html"):
                    assert other.ask(target, method="DELETE").status == 204
                for client in clients:
                    assert client.ask("/brief.txt").status == 404
                    assert client.ask("/").body == b"<p>home"
                    assert b"brief" not in client.ask("/sub/").body

    @pytest.mark.parametrize("size", [1_000, 300_000], ids=["kept in memory", "sent from the file"])
    def test_shows_whole_versions_with_tags_of_their_own(self, size: int, lodge: Lodge) -> None:
        written: dict[str, int] = {}
        seen: list[tuple[str, bytes]] = []
        with contextlib.ExitStack() as stack:
            writers, readers = ([stack.enter_context(Client(lodge.port())) for _ in range(3)] for _ in "wr")
            for number in range(40):
                # All of them at once, on whichever workers they are.
                for client in readers:
                    client.send(request("/busy.bin"))
                numbers = {client: (number * 3 + place) % 251 for place, client in enumerate(writers)}
                for client in writers:
                    client.send(request("/busy.bin", method="PUT", body=bytes([numbers[client]]) * size))
                for client in writers:
                    answer = client.receive()
                    assert answer.status in (201, 204)
                    assert answer.fields["etag"] not in written
                    written[answer.fields["etag"]] = numbers[client]
                for client in readers:
                    answer = client.receive()
                    if number:
                        assert answer.status == 200
                        seen.append((answer.fields.get("etag", ""), answer.body))
            for etag, body in seen:
                assert body == body[:1] * size
                assert not etag or etag not in written or written[etag] == body[0]
            assert any(etag in written for etag, _ in seen)

    def test_has_an_index_though_another_comes_and_goes(self, lodge: Lodge) -> None:
        with one_client_per_worker(lodge) as readers, Client(lodge.port()) as writer:
            for number in range(300):
                method = "DELETE" if number % 2 else "PUT"
                writer.send(request("/first.html", method=method, body=b"" if number % 2 else b"<p>first"))
                for _ in range(3):
                    for client in readers:
                        assert client.ask("/").body in (b"<p>home", b"<p>first")
                writer.receive()

    def test_knows_that_only_one_may_replace_a_version(self, lodge: Lodge) -> None:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(lodge.port())) for _ in range(24)]
            pids = [worker.pid for worker in lodge.workers]
            etag = clients[0].ask("/raced.bin", method="PUT", body=b"x").fields["etag"]
            for client in clients:
                client.ask("/")
            assert {worker_of(client.sock.getsockname()[1], pids) for client in clients} == set(pids)
            for _ in range(5):
                bodies = {client: bytes([number]) * 50_000 for number, client in enumerate(clients)}
                for client, body in bodies.items():
                    client.send(request("/raced.bin", f"If-Match: {etag}", method="PUT", body=body))
                answers = {client: client.receive() for client in clients}
                winners = [client for client, answer in answers.items() if answer.status == 204]
                assert sorted(answer.status for answer in answers.values()) == [204] + [412] * 23
                etag = answers[winners[0]].fields["etag"]
                assert (lodge.site / "raced.bin").read_bytes() == bodies[winners[0]]


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("target", "field", "status"),
        [
            ("/index.html", "If-None-Match: *", 412),
            ("/missing/a.txt", "X: y", 409),
            ("/sub/", "X: y", 409),
            ("/locked/a.txt", "X: y", 403),
            ("/locked/b.txt", "X: y", 403),
            ("/index.html", "Content-Range: bytes 0-1/2", 400),
            ("/index.html", "Content-Encoding: br", 415),
            ("/", "X: y", 405),
        ],
    )
    def test_is_refused_before_it_is_sent(self, target: str, field: str, status: int, lodge: Lodge) -> None:
        before = names(lodge)
        with Client(lodge.port()) as client:
            client.send(request(target, field, "Expect: 100-continue", "Content-Length: 4000000000", method="PUT"))
            assert client.receive_head().startswith(b"HTTP/1.1 %d " % status)
        assert names(lodge) == before

    def test_is_refused_where_the_disk_could_not_take_it(self, lodge: Lodge) -> None:
        lodge_room = os.statvfs(lodge.site)
        length = lodge_room.f_blocks * lodge_room.f_frsize
        if length > 5 * 1024**3:
            length = 5 * 1024**3 + 1  # the limit is less than the disk
        with Client(lodge.port()) as client:
            client.send(request("/a", "Expect: 100-continue", f"Content-Length: {length}", method="PUT"))
            assert client.receive_head().startswith((b"HTTP/1.1 507 ", b"HTTP/1.1 413 "))

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    @pytest.mark.parametrize(
        "target",
        [
            "/../outside/x",
            "/sub/../../outside/x",
            "/%2e%2e/outside/x",
            "/..%2foutside%2fx",
            "/sub/..%5c..%5coutside%5cx",
            "/outside/x",
            "/outside/",
            "/%00",
            "/x%00.txt",
            "/%c0%ae%c0%ae/outside/x",
            "/.hidden",
            "/.netlodge-upload-x",
            "/" + "x" * 256,
            "/" + "x" * 7000,
            "/" + "x/" * 2500 + "x",
            "/%0d%0aX-Injected:%20yes",
            "//outside//%0d%0aX-Injected:%20yes",
        ],
    )
    def test_names_lead_nowhere_but_into_the_folder(self, method: str, target: str, lodge: Lodge) -> None:
        before = names(lodge)
        with Client(lodge.port()) as client:
            answer = client.ask(target, method=method, body=b"content")
            assert "x-injected" not in answer.fields
            if answer.status == 201:
                assert (lodge.site / "\r\nX-Injected: yes").read_bytes() == b"content"
                assert client.ask(target, method="DELETE").status == 204
            else:
                assert answer.status in (308, 400, 404, 409, 414)
        assert names(lodge) == before

    def test_links_that_lead_outside_are_not_followed(self, lodge: Lodge) -> None:
        (lodge.folder / "secret.txt").write_text("secret")
        (lodge.site / "link.txt").symlink_to("../secret.txt")
        with Client(lodge.port()) as client:
            assert client.ask("/outside", method="DELETE").status == 404
            assert client.ask("/link.txt", method="DELETE").status == 404
            assert client.ask("/link.txt", "If-Match: *", method="PUT", body=b"new").status == 412
            assert client.ask("/link.txt", method="PUT", body=b"new").status == 201
            assert client.ask("/link.txt").body == b"new"
        assert (lodge.folder / "secret.txt").read_text() == "secret"
        assert (lodge.site / "outside").is_symlink()


class TestWhatIsBrokenOff:
    def test_by_the_client_leaves_nothing(self, lodge: Lodge) -> None:
        before = names(lodge)
        pids = [worker.pid for worker in lodge.workers]
        for turn in range(8):
            with Client(lodge.port()) as client:
                fields = ["Transfer-Encoding: chunked" if turn % 2 else "Content-Length: 1000000"]
                client.send(request("/index.html" if turn % 4 < 2 else "/new.bin", *fields, method="PUT"))
                client.send(b"1000\r\n" + b"x" * 4096)
                until(lambda: [each for pid in pids for each in unfinished(pid, lodge.site)], "a file begun")
                (Client.close if turn < 4 else Client.reset)(client)
            until(lambda: not [each for pid in pids for each in unfinished(pid, lodge.site)], "no file open")
            assert names(lodge) == before
        assert (lodge.site / "index.html").read_bytes() == b"<p>home"

    def test_by_a_malformed_chunk_leaves_nothing(self, lodge: Lodge) -> None:
        before = names(lodge)
        with Client(lodge.port()) as client:
            client.send(request("/new.bin", "Transfer-Encoding: chunked", method="PUT") + b"5\r\nhello\r\nzz\r\n")
            assert client.receive().status == 400
        assert names(lodge) == before

    def test_by_the_end_of_the_worker_leaves_nothing(self, lodge: Lodge) -> None:
        before = names(lodge)
        pids = [worker.pid for worker in lodge.workers]
        with Client(lodge.port()) as client:
            client.send(request("/new.bin", "Content-Length: 1000000", method="PUT") + b"x" * 4096)
            until(lambda: [each for pid in pids for each in unfinished(pid, lodge.site)], "a file begun")
            victim = worker_of(client.sock.getsockname()[1], pids)
            os.kill(victim, signal.SIGKILL)
            until(lambda: not is_alive(victim), "its end")
        until(lambda: len(lodge.workers) == 2 and victim not in [each.pid for each in lodge.workers], "another worker")
        assert names(lodge) == before
        assert curl("-T", "-", lodge.url("/new.bin"), stdin=b"whole") == "201"
        assert curl("-X", "DELETE", lodge.url("/new.bin")) == "204"

    def test_is_not_what_is_under_way_when_the_lodge_is_reloaded(self, lodge: Lodge) -> None:
        octets = os.urandom(1_000_000)
        with Client(lodge.port()) as client:
            client.send(request("/reloaded.bin", f"Content-Length: {len(octets)}", method="PUT") + octets[:500_000])
            pids = [worker.pid for worker in lodge.workers]
            until(lambda: [each for pid in pids for each in unfinished(pid, lodge.site)], "a file begun")
            assert lodge.reload().succeeded
            client.send(octets[500_000:])
            assert client.receive().status == 201
        with Client(lodge.port()) as client:
            assert client.ask("/reloaded.bin").body == octets


FULL = """
[limits]
body_size = "2 MiB"
[[web.site]]
routes = [
  { path = "/", files = "site", uploads = "anyone", listing = true },
  { path = "/staff/", files = "staff", uploads = "login" },
]
"""
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def small() -> Iterator[Lodge]:
    """A lodge whose site is a file system of 3 MiB, which only its own processes see."""
    lodge = Lodge(settings=FULL, workers=1)
    (lodge.folder / "staff").mkdir()
    (lodge.folder / "staff" / "plan.txt").write_text("the plan")
    mount = f'mount -t tmpfs -o size=3M,mode=0777 tmpfs "{lodge.site}" && exec "$@"'
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    lodge.command = ["unshare", *as_root, "--mount", "sh", "-c", mount, "sh", *lodge.command]
    with lodge:
        yield lodge


def chunked(octets: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(octets), octets)


class TestNoRoom:
    def test_is_told_and_nothing_is_left_behind(self, small: Lodge) -> None:
        octets = os.urandom(1_500_000)
        with Client(small.port()) as client:
            assert client.ask("/a.bin", method="PUT", body=octets).status == 201
            for _ in range(3):
                with Client(small.port()) as other:
                    # Told beforehand, and found out on the way: once for a new file, once for one that is there.
                    other.send(request("/b.bin", "Content-Length: 1900000", method="PUT"))
                    answer = other.receive()
                    assert (answer.status, b"no room" in answer.body) == (507, True)
                for target in ("/b.bin", "/a.bin"):
                    with Client(small.port()) as other:
                        other.send(request(target, "Transfer-Encoding: chunked", method="PUT"))
                        with contextlib.suppress(ConnectionError):
                            other.send(chunked(os.urandom(1_900_000)))
                        assert other.receive().status == 507
                assert client.ask("/a.bin").body == octets
                listing = client.ask("/?format=json").body
                assert listing.count(b'"name"') == 1
            # All room that there was is there again.
            assert client.ask("/b.bin", method="PUT", body=octets).status == 201
            assert client.ask("/b.bin", method="DELETE").status == 204
        assert "Traceback" not in small.errors

    def test_is_not_filled_beyond_the_limit(self, small: Lodge) -> None:
        def refusal() -> bytes:
            with Client(small.port()) as client:
                client.send(request("/c.bin", "Transfer-Encoding: chunked", method="PUT"))
                with contextlib.suppress(ConnectionError):
                    client.send(chunked(bytes(2_200_000)))
                answer = client.receive()
                assert answer.status in (413, 507)
                return answer.body

        with Client(small.port()) as client:
            client.ask("/a.bin", method="DELETE")
            # An answer that is remembered may keep the deleted file open, and its room taken, until it is looked at: within seconds.
            until(lambda: b"limits.body_size" in refusal(), "the room of the file that was deleted")
            assert b"c.bin" not in client.ask("/").body


class TestWhoMay:
    def test_change_a_file_is_asked_where_reading_is_free(self, small: Lodge) -> None:
        subprocess.run(
            [NETLODGE, "user", "add", "anna", "--stdin"],
            cwd=small.folder, input=PASSWORD.encode(), capture_output=True, timeout=PATIENCE, check=True,
        )  # fmt: skip
        url, path = small.url("/staff/plan.txt"), small.folder / "staff" / "plan.txt"
        assert curl(url) == "200"
        assert curl("-X", "DELETE", url) == curl("-T", "-", url, stdin=b"new") == "401"
        assert curl("-T", "-", "-u", "anna:wrong", url, stdin=b"new") == "401"
        assert path.read_text() == "the plan"
        with Client(small.port()) as client:
            client.send(request("/staff/plan.txt", "Expect: 100-continue", "Content-Length: 9", method="PUT"))
            head = client.receive_head()
            assert head.startswith(b"HTTP/1.1 401 ")
            assert b"WWW-Authenticate: Basic" in head
        assert curl("-T", "-", "-u", f"anna:{PASSWORD}", url, stdin=b"new") == "204"
        assert path.read_text() == "new"
        assert curl("-X", "DELETE", "-u", f"anna:{PASSWORD}", url) == "204"
        assert not path.exists()
        until(lambda: any("anna" in line and "DELETE" in line for line in small.log_lines), "who it was, in the log")
