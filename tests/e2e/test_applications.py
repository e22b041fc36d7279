"""Applications of others behind a lodge, driven by clients that no one here wrote: Starlette, FastAPI, Django and Flask, unchanged."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
import requests

from tests.e2e.lodge import Lodge, run_netlodge, until

SOURCE = Path(__file__).with_name("applications.py")
DOCUMENT = b"a document of some length\n" * 5000
MIB = 1024 * 1024
PIECE_SIZE = 65536
SETTINGS = """
[[web.site]]
routes = [
    { path = "/", app = "applications:plain" },
    { path = "/dressed/", app = "applications:dressed" },
    { path = "/caf%C3%A9", app = "applications:plain" },
    { path = "/api/", app = "applications:api" },
    { path = "/django/", app = "applications:django_asgi" },
    { path = "/django-wsgi/", app = "applications:django_wsgi" },
    { path = "/flask/", app = "applications:make_flask()", interface = "wsgi" },
]
"""


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with_apps = Lodge(settings=SETTINGS, workers=1)
    shutil.copy(SOURCE, with_apps.folder)
    (with_apps.folder / "document.txt").write_bytes(DOCUMENT)
    with with_apps as running:
        yield running
        # The defects that the tests ask for are in its log; what else is there is not meant.
        errors = running.folder / "err"
        text = errors.read_text()
        assert len(re.findall("^ValueError: a defect", text, re.MULTILINE)) == text.count(
            "Traceback (most recent call last)"
        )
        errors.write_text("")


@pytest.fixture
def client(lodge: Lodge) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=lodge.url(""), timeout=30) as made:
        yield made


def notes(lodge: Lodge) -> list[str]:
    return (lodge.folder / "notes").read_text().splitlines()


# --- ASGI: Starlette ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "root_path"), [("/", ""), ("/dressed/", "/dressed"), ("/caf%C3%A9/", "/café")])
def test_an_application_knows_where_it_is_mounted(
    client: httpx.Client, lodge: Lodge, path: str, root_path: str
) -> None:
    answer = client.get(f"{path}?a=b%20c")
    assert answer.json() == {
        "greeting": "hello",
        "root_path": root_path,
        "path": f"{root_path}/",
        "here": lodge.url(unquote(path)),  # Starlette does not encode it again
        "query": {"a": "b c"},
    }
    assert answer.headers["server"] == "netlodge"
    assert ("x-middleware" in answer.headers) is (path == "/dressed/")


@pytest.mark.parametrize("mount", ["", "/dressed"])
def test_forms_are_posted(client: httpx.Client, mount: str) -> None:
    assert client.post(f"{mount}/form", data={"a": "1", "b": "ü"}).json() == {"a": "1", "b": "ü"}
    answer = client.post(f"{mount}/form", data={"a": "1"}, files={"file": ("n.txt", b"x" * 100_000)})
    assert answer.json() == {"a": "1", "file": "n.txt: 100000"}


@pytest.mark.parametrize("mount", ["", "/dressed"])
def test_content_streams_both_ways(client: httpx.Client, mount: str) -> None:
    pieces = (b"x" * 10_000 for _ in range(10))  # chunked
    assert client.post(f"{mount}/upload", content=pieces).text == "100000"
    with client.stream("GET", f"{mount}/download?pieces=20") as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        assert sum(map(len, answer.iter_bytes())) == 20 * PIECE_SIZE


@pytest.mark.parametrize("mount", ["", "/dressed"])
def test_a_file_is_answered_whole_and_in_part(client: httpx.Client, mount: str) -> None:
    whole = client.get(f"{mount}/document", headers={"accept-encoding": "identity"})
    assert whole.content == DOCUMENT
    part = client.get(f"{mount}/document", headers={"range": "bytes=5-9", "accept-encoding": "identity"})
    assert (part.status_code, part.content) == (206, DOCUMENT[5:10])
    assert client.get(f"{mount}/document", headers={"if-none-match": whole.headers["etag"]}).status_code in {200, 304}


@pytest.mark.parametrize("mount", ["", "/dressed"])
def test_head_has_the_head_of_get(client: httpx.Client, mount: str) -> None:
    answer = client.head(f"{mount}/document", headers={"accept-encoding": "identity"})
    assert (answer.content, answer.headers["content-length"]) == (b"", str(len(DOCUMENT)))
    assert client.get(f"{mount}/").status_code == 200, "the connection is fit for more"


def test_a_background_task_runs_after_the_answer(client: httpx.Client, lodge: Lodge) -> None:
    assert client.get("/background").text == "answered"
    until(lambda: "background task ran" in notes(lodge), "a note of the background task")


@pytest.mark.parametrize(
    "path", ["/defect", "/dressed/defect", "/django/defect", "/django-wsgi/defect", "/flask/defect"]
)
def test_a_defect_is_a_500_and_the_next_request_is_answered(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 500
    assert client.get("/").status_code == 200


def test_a_defect_in_the_middle_breaks_the_answer_off(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/broken", headers={"accept-encoding": "identity"})


def test_a_field_cannot_bring_another(lodge: Lodge) -> None:
    with socket.create_connection(("127.0.0.1", lodge.port())) as sock:
        sock.sendall(b"GET /injected HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"stolen" not in answer
    (lodge.folder / "err").write_text(
        (lodge.folder / "err").read_text().replace("Traceback (most recent call last)", "", 1)
    )


def test_an_application_hears_that_its_client_is_gone(lodge: Lodge) -> None:
    with socket.create_connection(("127.0.0.1", lodge.port())) as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        until(lambda: "waits" in notes(lodge), "a note that it waits")
    until(lambda: "noticed that the client is gone" in notes(lodge), "a note that the client is gone")


def test_a_stream_ends_with_its_client(lodge: Lodge) -> None:
    with socket.create_connection(("127.0.0.1", lodge.port())) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    until(lambda: "endless stream ended" in notes(lodge), "a note that the stream ended")


def test_curl_is_content_with_what_it_gets(lodge: Lodge) -> None:
    fetched = subprocess.run(
        ["curl", "-sS", "--fail", "-F", "a=1", "-F", f"file=@{SOURCE}", lodge.url("/form")],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert f"applications.py: {SOURCE.stat().st_size}" in fetched.stdout


# --- Memory -------------------------------------------------------------------------------------------------------------------------


def resident(pid: int) -> int:
    """Octets of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


@pytest.mark.parametrize(("up", "down"), [("/upload", "/download"), ("/flask/upload", "/flask/stream")])
def test_20_mib_pass_in_little_memory(lodge: Lodge, client: httpx.Client, up: str, down: str) -> None:
    pid = lodge.workers[0].pid
    client.post(up, content=b"x" * MIB)
    before = resident(pid)
    assert client.post(up, content=(b"x" * MIB for _ in range(20))).text == str(20 * MIB)
    with client.stream("GET", f"{down}?pieces=320", headers={"accept-encoding": "identity"}) as answer:
        assert sum(map(len, answer.iter_raw())) == 20 * MIB
    assert resident(pid) - before < 8 * MIB


# --- Remembered answers ---------------------------------------------------------------------------------------------------------------


def exchange(lodge: Lodge, target: str, fields: str = "") -> bytes:
    """The content of the answer to a request of always the same octets."""
    with socket.create_connection(("127.0.0.1", lodge.port())) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65536), b""))


def content(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_a_public_answer_is_remembered_for_as_long_as_it_says(lodge: Lodge) -> None:
    until(lambda: content(exchange(lodge, "/now")) == content(exchange(lodge, "/now")), "remembered")
    kept = exchange(lodge, "/now")
    assert b"\r\nAge: " in kept
    until(lambda: content(exchange(lodge, "/now")) != content(kept), "forgotten when it was stale")


@pytest.mark.parametrize(
    ("say", "fields"),
    [
        ("private, max-age=60", ""),
        ("no-store", ""),
        ("no-cache", ""),
        ("public, max-age=60", "cookie: a=b\r\n"),
        ("public, max-age=60", "authorization: Basic eDp5\r\n"),
        ("max-age=60, max-age=61", ""),
    ],
)
def test_other_answers_are_not_remembered(lodge: Lodge, say: str, fields: str) -> None:
    target = f"/now?say={say.replace(' ', '%20')}"
    assert len({content(exchange(lodge, target, fields)) for _ in range(4)}) == 4


# --- FastAPI ------------------------------------------------------------------------------------------------------------------------------


def test_fastapi_judges_its_parameters(client: httpx.Client) -> None:
    assert client.get("/api/items/42?short=yes").json() == {"number": 42, "short": True}
    assert client.get("/api/items/many").status_code == 422
    assert client.post("/api/files", files={"file": ("a.bin", b"x" * 70_000)}).json() == {
        "name": "a.bin",
        "size": 70_000,
    }
    page = client.get("/api/docs").text
    assert "/api/openapi.json" in page, "the page of the documentation finds its description below the path"
    assert client.get("/api/openapi.json").json()["paths"]


# --- Django -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mount", "kind"), [("/django", "ASGIRequest"), ("/django-wsgi", "WSGIRequest")])
def test_django_knows_where_it_is_mounted(lodge: Lodge, mount: str, kind: str) -> None:
    answer = requests.get(lodge.url(f"{mount}/"), timeout=30)
    assert answer.text == f"{kind} {mount}/ {mount}/ {lodge.url(mount)}/"


@pytest.mark.parametrize("mount", ["/django", "/django-wsgi"])
def test_django_reads_forms_and_streams(lodge: Lodge, mount: str) -> None:
    posted = requests.post(lodge.url(f"{mount}/form"), {"name": "x"}, files={"file": b"y" * 3_000_000}, timeout=30)
    assert posted.text == "x file:3000000"
    assert len(requests.get(lodge.url(f"{mount}/stream"), timeout=30).content) == 10 * PIECE_SIZE
    assert requests.get(lodge.url(f"{mount}/document"), timeout=30).content == DOCUMENT
    head = requests.head(lodge.url(f"{mount}/document"), headers={"accept-encoding": "identity"}, timeout=30)
    assert head.headers["content-length"] == str(len(DOCUMENT))


# --- WSGI: Flask ----------------------------------------------------------------------------------------------------------------------------


def test_flask_knows_where_it_is_mounted(client: httpx.Client, lodge: Lodge) -> None:
    assert client.get("/flask/").text == f"/flask / {lodge.url('/flask/')}"


def test_flask_reads_forms_and_streams(client: httpx.Client) -> None:
    answer = client.post("/flask/form", data={"name": "x"}, files={"file": ("n", b"y" * 3_000_000)})
    assert answer.json() == {"name": "x", "size": 3_000_000}
    assert client.post("/flask/upload", content=(b"x" * 10_000 for _ in range(10))).text == "100000"
    assert len(client.get("/flask/stream?pieces=5").content) == 5 * PIECE_SIZE
    assert client.get("/flask/document").content == DOCUMENT
    part = client.get("/flask/document", headers={"range": "bytes=5-9", "accept-encoding": "identity"})
    assert (part.status_code, part.content) == (206, DOCUMENT[5:10])


def test_a_flask_stream_ends_with_its_client(lodge: Lodge) -> None:
    """Its thread is free again for others."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", lodge.port())) as sock:
            sock.sendall(b"GET /flask/stream?pieces=100000 HTTP/1.1\r\nhost: x\r\n\r\n")
            assert sock.recv(1000)
    assert requests.get(lodge.url("/flask/"), timeout=30).status_code == 200


# --- The quick form, and the life of an application -------------------------------------------------------------------------------------


def test_an_application_needs_no_settings_file_and_ends_in_order() -> None:
    quick = Lodge(settings=None, workers=1, only="web", options=["--app", "applications:plain"])
    shutil.copy(SOURCE, quick.folder)
    with quick as lodge:
        pid = lodge.workers[0].pid
        assert notes(lodge) == [f"startup in {pid}"], "before the first request"
        assert requests.get(lodge.url(), timeout=30).json()["greeting"] == "hello"
        assert lodge.stop() == 0
        assert notes(lodge) == [f"startup in {pid}", f"shutdown in {pid}"]


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("applications:failing", "applications:failing: its startup failed: OSError: there is no database"),
        ("applications:palin", 'app = "applications:palin": applications has no \'palin\'; did you mean "plain"?'),
    ],
)
def test_a_lodge_whose_application_does_not_start_says_why(tmp_path: Path, app: str, said: str) -> None:
    shutil.copy(SOURCE, tmp_path)
    ended = run_netlodge(
        "up", "--app", app, "--only", "web", "--workers", "1", "--set", "web.listen=127.0.0.1:0", "--set", "web.listen_tls=",
        cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 1
    assert f"The lodge did not start: {said}" in ended.stderr
    assert "Traceback" not in ended.stderr
