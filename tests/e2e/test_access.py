"""Logins, networks, rates and CORS of a whole lodge with two workers, asked by curl, by httpx and octet by octet."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest

from netlodge.store.logins import TRUSTED
from tests.e2e.http_client import Answer, Client
from tests.e2e.lodge import NETLODGE, PATIENCE, Lodge, run_netlodge, until, worker_of
from tests.store.postgresql import PASSWORD, Postgresql

LIMIT = 4
SECRET = "correct horse"
SETTINGS = f"""
[limits]
login_failures = {LIMIT}
login_pause = "60 s"
[[web.site]]
routes = [
  {{ path = "/", respond = "open" }},
  {{ path = "/in/", files = "site", access.login = true, access.realm = "The \\"Büro\\"" }},
  {{ path = "/anna/", respond = "annas", access = {{ login = true, users = ["Anna"] }} }},
  {{ path = "/here/", respond = "here", access.networks = ["127.0.0.9"] }},
  {{ path = "/slow/", respond = "slow", access = {{ rate = "1/min", burst = 5 }} }},
  {{ path = "/api/", respond = "api", access.login = true, cors = {{ origins = ["https://app.example"], methods = ["PUT"], fields = ["authorization"], credentials = true }} }},
  {{ path = "/font/", respond = "font", cors.origins = ["*"] }},
]
"""


def user(lodge: Lodge, *arguments: str, password: str = "") -> str:
    """Run `netlodge user`; what it printed."""
    done = subprocess.run(
        [NETLODGE, "user", *arguments], cwd=lodge.folder, input=password, capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with Lodge({"index.html": b"<p>in", "big.bin": bytes(100_000)}, SETTINGS) as lodge:
        user(lodge, "add", "anna", "--stdin", password=SECRET)
        yield lodge


class Curl:
    """What curl says of a transfer."""

    def __init__(self, lodge: Lodge, path: str, *options: str, source: str = "127.0.0.1") -> None:
        head = lodge.folder / "curl-head"
        command = ["curl", "-sS", "--max-time", "20", "--noproxy", "*", "--interface", source, "-D", str(head)]
        done = subprocess.run([*command, *options, lodge.url(path)], capture_output=True, timeout=PATIENCE, check=True)
        self.body = done.stdout
        # An interim response has a head of its own.
        lines = head.read_bytes().decode("latin-1").rstrip().split("\r\n\r\n")[-1].splitlines()
        self.status = int(lines[0].split()[1])
        self.fields = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:])]

    def field(self, name: str) -> str | None:
        return next((value for each, value in self.fields if each == name), None)


def basic(name: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@contextlib.contextmanager
def one_to_each_worker(lodge: Lodge, source: str) -> Iterator[list[Client]]:
    """A connection to each worker, from one address."""
    pids = [worker.pid for worker in lodge.workers]
    with contextlib.ExitStack() as stack:
        held: dict[int, Client] = {}
        while len(held) < len(pids):
            client = stack.enter_context(Client(lodge.port(), source=source))
            client.ask("/")  # so that a worker has accepted it
            held.setdefault(worker_of(client.sock.getsockname()[1], pids), client)
        yield list(held.values())


class TestLogins:
    def test_without_one_the_answer_is_a_challenge(self, lodge: Lodge) -> None:
        answer = Curl(lodge, "/in/")
        assert answer.status == 401
        assert [value for name, value in answer.fields if name == "www-authenticate"] == [
            'Basic realm="The \\"B\xc3\xbcro\\"", charset="UTF-8"',
            'Bearer realm="The \\"B\xc3\xbcro\\""',
        ]

    def test_the_password_lets_in_and_the_log_knows_who_it_was(self, lodge: Lodge) -> None:
        assert Curl(lodge, "/in/", "-u", f"Anna:{SECRET}").body == b"<p>in"
        until(lambda: any(" - anna [" in line and '"GET /in/ HTTP' in line for line in lodge.log_lines), "logged")

    def test_a_client_that_negotiates_gets_in(self, lodge: Lodge) -> None:
        """curl asks first without credentials, reads the challenges, and chooses."""
        assert Curl(lodge, "/in/", "--anyauth", "-u", f"anna:{SECRET}").status == 200

    def test_a_token_lets_in_until_it_is_revoked(self, lodge: Lodge) -> None:
        token = user(lodge, "token", "anna", "--label", "test")
        bearer = ("-H", f"Authorization: Bearer {token}")
        assert Curl(lodge, "/in/", *bearer).status == 200
        user(lodge, "token", "anna", "--revoke", "test")
        answer = until(lambda: (a := Curl(lodge, "/in/", *bearer)).status == 401 and a, "revoked", patience=10)
        assert isinstance(answer, Curl)
        assert ("www-authenticate", 'Bearer realm="The \\"B\xc3\xbcro\\"", error="invalid_token"') in answer.fields

    def test_httpx_and_a_large_file_of_which_nothing_is_remembered_for_others(self, lodge: Lodge) -> None:
        with httpx.Client(auth=("anna", SECRET), trust_env=False) as client:
            for _ in range(3):
                assert len(client.get(lodge.url("/in/big.bin")).content) == 100_000
        assert Curl(lodge, "/in/big.bin").status == 401

    def test_an_account_that_is_not_among_the_users_is_forbidden(self, lodge: Lodge) -> None:
        user(lodge, "add", "bert", "--stdin", password="battery staple")
        assert Curl(lodge, "/anna/", "-u", "bert:battery staple").status == 403
        assert Curl(lodge, "/in/", "-u", "bert:battery staple").status == 200
        assert Curl(lodge, "/anna/", "-u", f"anna:{SECRET}").status == 200


class TestFailures:
    def test_past_the_limit_a_client_waits_at_every_worker_and_another_does_not(self, lodge: Lodge) -> None:
        statuses = []
        with one_to_each_worker(lodge, "127.0.0.2") as clients:
            for number in range(LIMIT + 2):
                client = clients[number % len(clients)]
                statuses.append(client.ask("/in/", basic(f"nobody{number}", "guess")).status)
            assert statuses == [401] * LIMIT + [429] * 2
            answer = clients[0].ask("/in/", basic("anna", SECRET))
            assert answer.status == 429
            assert 50 <= int(answer.fields["retry-after"]) <= 60
            assert b"limits.login_failures" in answer.body
            assert clients[1].ask("/").status == 200
        assert Curl(lodge, "/in/", "-u", f"anna:{SECRET}", source="127.0.0.3").status == 200
        assert Curl(lodge, "/in/", "-u", "nobody:guess", source="127.0.0.3").status == 401

    def test_an_account_is_guarded_against_many_clients_and_stays_open_to_its_own(self, lodge: Lodge) -> None:
        user(lodge, "add", "carl", "--stdin", password=SECRET)
        own = ("-u", f"carl:{SECRET}")
        assert Curl(lodge, "/in/", *own, source="127.0.1.1").status == 200
        statuses = [
            Curl(lodge, "/in/", "-u", f"carl:guess {number}", source=f"127.0.2.{number + 1}").status
            for number in range(LIMIT + 1)
        ]
        assert statuses == [401] * LIMIT + [429]
        assert Curl(lodge, "/in/", *own, source="127.0.1.1").status == 200
        assert Curl(lodge, "/in/", *own, source="127.0.1.2").status == 429


def is_refused(client: Client, name: str) -> bool:
    return client.ask("/in/", basic(name, SECRET)).status == 401


class TestChanges:
    @pytest.mark.parametrize(
        "change",
        [
            lambda lodge, name: user(lodge, "passwd", name, "--stdin", password="battery staple"),
            lambda lodge, name: user(lodge, "remove", name),
        ],
        ids=["passwd", "remove"],
    )
    def test_take_effect_at_every_worker_while_clients_go_on(
        self, lodge: Lodge, change: Callable[[Lodge, str], None], request: pytest.FixtureRequest
    ) -> None:
        name = f"changing-{request.node.callspec.id}"
        user(lodge, "add", name, "--stdin", password=SECRET)
        with one_to_each_worker(lodge, "127.0.0.4") as clients:
            for client in clients:
                assert client.ask("/in/", basic(name, SECRET)).status == 200
            change(lodge, name)
            changed = time.monotonic()
            for client in clients:
                until(partial(is_refused, client, name), "refused", patience=10)
            assert time.monotonic() - changed < TRUSTED + 2  # the machine may be busy


class TestNetworksAndRates:
    def test_a_network_is_for_those_in_it(self, lodge: Lodge) -> None:
        assert [Curl(lodge, "/here/", source=f"127.0.0.{number}").status for number in (9, 8, 9)] == [200, 403, 200]

    def test_a_rate_holds_over_all_workers(self, lodge: Lodge) -> None:
        with one_to_each_worker(lodge, "127.0.0.5") as clients:
            answers = [clients[number % len(clients)].ask("/slow/") for number in range(8)]
        assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
        assert 50 <= int(answers[-1].fields["retry-after"]) <= 60
        assert Curl(lodge, "/slow/", source="127.0.0.6").status == 200

    def test_what_was_refused_is_counted(self, lodge: Lodge) -> None:
        before = lodge.metric("netlodge_access_refused_total", by="networks")
        Curl(lodge, "/here/", source="127.0.0.7")
        assert lodge.metric("netlodge_access_refused_total", by="networks") == before + 1


class TestCors:
    ORIGIN = "https://app.example"

    def test_a_preflight_needs_no_login(self, lodge: Lodge) -> None:
        with httpx.Client(trust_env=False) as client:
            answer = client.options(
                lodge.url("/api/"), headers={"origin": self.ORIGIN, "access-control-request-method": "PUT"}
            )
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers
        assert answer.headers["access-control-allow-origin"] == self.ORIGIN
        assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST, PUT"
        assert answer.headers["access-control-allow-headers"] == "authorization"
        assert answer.headers["access-control-allow-credentials"] == "true"

    def test_a_page_can_read_the_answer_and_the_refusal(self, lodge: Lodge) -> None:
        for options, status in (("-u", f"anna:{SECRET}"), 200), (("-A", "x"), 401):
            answer = Curl(lodge, "/api/", "-H", f"Origin: {self.ORIGIN}", *options)
            assert answer.status == status
            assert answer.field("access-control-allow-origin") == self.ORIGIN
            assert "origin" in (answer.field("vary") or "")

    def test_another_page_cannot(self, lodge: Lodge) -> None:
        answer = Curl(lodge, "/api/", "-H", "Origin: https://evil.example", "-u", f"anna:{SECRET}")
        assert answer.status == 200
        assert answer.field("access-control-allow-origin") is None

    def test_what_is_for_all_pages_is_remembered(self, lodge: Lodge) -> None:
        before = lodge.metric("netlodge_http_recalled_total", door="web")
        with Client(lodge.port()) as client:
            answers = [client.ask("/font/", "Origin: https://a.example") for _ in range(5)]
        assert {answer.fields["access-control-allow-origin"] for answer in answers} == {"*"}
        until(lambda: lodge.metric("netlodge_http_recalled_total", door="web") > before, "recalled")


class TestADatabaseThatGoesAway:
    def test_makes_logins_wait_in_clear_words_and_no_restart_is_needed(self, postgresql: Postgresql) -> None:
        with (
            postgresql.database() as url,
            Lodge({}, f'database = {{ url = "{url}", timeout = "1 s" }}\n{SETTINGS}', workers=1) as lodge,
        ):
            user(lodge, "add", "anna", "--stdin", password=SECRET)
            with Client(lodge.port()) as client:

                def asked() -> Answer:
                    return client.ask("/anna/", basic("anna", SECRET))

                assert asked().status == 200
                with postgresql.stopped():
                    answer = until(lambda: a if (a := asked()).status != 200 else None, "refused")
                    assert (answer.status, answer.fields["retry-after"]) == (503, "5")
                    assert PASSWORD.encode() not in answer.body
                    assert client.ask("/").status == 200
                until(lambda: asked().status == 200, "let in again")
                assert PASSWORD not in lodge.errors


class TestWhatIsWrittenDown:
    def test_holds_no_credentials(self, lodge: Lodge) -> None:
        token = user(lodge, "token", "anna", "--label", "written")
        encoded = base64.b64encode(f"anna:{SECRET}".encode()).decode()
        for _ in range(3):
            Curl(lodge, "/in/?written", "-u", f"anna:{SECRET}")
            Curl(lodge, "/in/?written", "-H", f"Authorization: Bearer {token}")
        until(lambda: sum("/in/?written" in line for line in lodge.log_lines) == 6, "logged")
        har = run_netlodge("har", cwd=lodge.folder).stdout
        shown = [
            field["value"]
            for entry in json.loads(har)["log"]["entries"]
            if entry["request"]["url"].endswith("?written")
            for field in entry["request"]["headers"]
            if field["name"].lower() == "authorization"
        ]
        assert set(shown) == {"[redacted]"}
        written = har + lodge.errors + lodge.output + "".join(lodge.log_lines)
        for secret in (encoded, token, SECRET):
            assert secret not in written
        kept = b"".join(path.read_bytes() for path in lodge.data.glob("lodge.db*"))
        assert SECRET.encode() not in kept
        assert token.encode() not in kept

    @pytest.mark.parametrize("name", ["anna\nevil", 'anna" 200 0 "', "anna\x1b[2J", "x\r\nSet-Cookie: a=b"])
    def test_names_that_would_break_a_line_or_a_field_do_not(self, lodge: Lodge, name: str) -> None:
        with Client(lodge.port(), source="127.0.0.10") as client:
            answer = client.ask("/in/?name", basic(name, "x"))
        assert answer.status in {401, 429}
        assert "set-cookie" not in answer.fields
        assert b"evil" not in answer.octets
        until(lambda: any("/in/?name" in line for line in lodge.log_lines), "logged")
        pattern = re.compile(r'127\.0\.0\.10 - - \[[^]]+\] "GET /in/\?name HTTP/1\.1" (401|429) \d+ "-" "-"')
        assert all(pattern.fullmatch(line) for line in lodge.log_lines if "/in/?name" in line)
