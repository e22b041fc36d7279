"""`netlodge get` against servers that are in use: a lodge with its authority, nginx, and Python's own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netlodge.cli.get import ExitCode, command
from tests.e2e.lodge import NETLODGE, Lodge, until

BIG = bytes(range(256)) * 8000


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with Lodge(
        {"index.html": b"hello\n", "big.bin": BIG, "folder/index.html": b"in it\n", "text.txt": b"words " * 5000}
    ) as running:
        yield running


def get(*args: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([NETLODGE, "get", *args], cwd=cwd, capture_output=True, timeout=30, check=False)


def test_a_lodge_is_fetched_from(lodge: Lodge, tmp_path: Path) -> None:
    base = f"localhost:{lodge.port('web')}"
    assert get(base, cwd=tmp_path).stdout == b"hello\n"
    assert get("-L", f"{base}/folder", cwd=tmp_path).stdout == b"in it\n"
    assert get("-r", "256-511", f"{base}/big.bin", cwd=tmp_path).stdout == BIG[256:512]
    coded = get("-v", "--compressed", f"{base}/text.txt", cwd=tmp_path)
    assert coded.stdout == b"words " * 5000
    assert b"< Content-Encoding: " in coded.stderr
    missing = get("--fail", f"{base}/missing", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (22, b"")


def test_a_download_goes_on_where_it_broke_off(lodge: Lodge, tmp_path: Path) -> None:
    url = f"http://localhost:{lodge.port('web')}/big.bin"
    file = tmp_path / "big.bin"
    # A first one that ends for lack of room.
    limited = subprocess.run(
        ["bash", "-c", f'ulimit -f 500; exec "{NETLODGE}" get -O {url}'], cwd=tmp_path, capture_output=True, timeout=30, check=False
    )  # fmt: skip
    assert limited.returncode != 0
    part = tmp_path / "big.bin.part"
    assert 0 < part.stat().st_size < len(BIG)
    assert not file.exists()
    resumed = get("-v", "-C", "-O", url, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert b"< HTTP/1.1 206" in resumed.stderr
    assert file.read_bytes() == BIG


def test_the_authority_of_a_lodge_is_trusted_when_it_is_named(lodge: Lodge, tmp_path: Path) -> None:
    url = f"https://localhost:{lodge.port('web_tls')}/big.bin"
    assert get(url, cwd=tmp_path).returncode == 8
    root = str(lodge.data / "ca" / "root.pem")
    done = get("-v", "--cacert", root, url, cwd=tmp_path)
    assert done.stdout == BIG
    assert b"* TLSv1.3" in done.stderr


@contextmanager
def python_server(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().split(b"port ")[1].split()[0])
        finally:
            process.terminate()


def test_http_1_0_of_python_is_understood(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BIG)
    with python_server(tmp_path) as port:
        done = get("-v", f"http://127.0.0.1:{port}/file", cwd=tmp_path)
    assert done.stdout == BIG
    assert b"< HTTP/1.0 200 OK" in done.stderr


NGINX = """\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  client_max_body_size 1k; gzip on; gzip_types text/plain; gzip_min_length 1;
  server {{
    listen unix:{folder}/socket; listen 127.0.0.1:{port};
    root {folder}/site;
    location = /moved {{ return 308 /text.txt; }}
    location = /limited {{ client_max_body_size 1k; return 200; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, port=port))
    with subprocess.Popen(["/usr/sbin/nginx", "-c", str(settings)], stderr=subprocess.PIPE) as process:
        try:
            until((folder / "pid").exists, "nginx is up")
            yield port
        finally:
            process.terminate()


def test_nginx_is_fetched_from(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "text.txt").write_bytes(b"words " * 5000)
    with nginx(tmp_path) as port:
        base = f"http://127.0.0.1:{port}"
        moved = get("-v", "-L", "--compressed", f"{base}/moved", cwd=tmp_path)
        assert moved.stdout == b"words " * 5000
        assert moved.stderr.count(b"* connected") == 1
        assert b"< Content-Encoding: gzip" in moved.stderr
        (tmp_path / "upload").write_bytes(bytes(5_000_000))
        refused = get("-v", "-T", "upload", f"{base}/text.txt", cwd=tmp_path)
        assert b"< HTTP/1.1 413" in refused.stderr
        assert refused.returncode == 0


GUIDE = Path(__file__).resolve().parents[2] / "docs" / "get.md"


def test_the_examples_in_the_guide_work(lodge: Lodge) -> None:
    commands = [line[2:] for line in GUIDE.read_text().splitlines() if line.startswith("$ netlodge get ")]
    assert len(commands) > 5
    for example in commands:
        line = example.replace(":8080", f":{lodge.port('web')}").replace(":8443", f":{lodge.port('web_tls')}")
        done = get(*line.split()[2:], cwd=lodge.folder)
        assert done.returncode == 0, (example, done.stderr)
    assert (lodge.folder / "big.bin").read_bytes() == BIG


def test_the_guide_tells_every_option_and_exit_code() -> None:
    text = GUIDE.read_text()
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    assert not {name for name in options if f"`{name}" not in text}
    assert not [code for code in ExitCode if f"| {code.value} |" not in text]
