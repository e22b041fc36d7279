"""HTTPS with clients that no one here wrote: openssl, curl, Python's ssl, chromium; a lodge of two workers with three sites."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.browser import trust
from tests.e2e.http2_client import Http2Client
from tests.e2e.http_client import request
from tests.e2e.lodge import PATIENCE, Lodge, until, worker_of
from tests.e2e.test_browser import OPTIONS
from tests.net.certificate import self_signed

SETTINGS = """
[[web.site]]
routes = [{ path = "/", files = "site", uploads = "anyone" }]
[[web.site]]
hosts = ["strict.example"]
https = "required"
hsts = "1d"
routes = [{ path = "/", respond = "strict" }]
[[web.site]]
hosts = ["own.example", "*.pattern.example"]
routes = [{ path = "/", respond = "own" }]
[[tls.certificate]]
certificate = "own.pem"
key = "own.pem"
"""
BIG = os.urandom(1 << 20) * 24


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    lodge = Lodge(
        {"index.html": b"<h1>The lodge is open</h1>", "big.bin": BIG},
        SETTINGS,
        # A redirect leads to a port that stands in the settings.
        options=["--set", f"web.listen_tls=127.0.0.1:{free_port()}", "--set", "limits.handshake_timeout=1s"],
    )
    lodge.site.chmod(0o777)
    self_signed(lodge.folder, "own", "DNS:own.example,DNS:*.pattern.example")
    with lodge:
        yield lodge


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def root_of(lodge: Lodge) -> Path:
    return lodge.data / "ca" / "root.pem"


def curl(lodge: Lodge, *arguments: str, host: str = "localhost") -> bytes:
    """What curl prints, of one that trusts the lodge's authority alone."""
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(root_of(lodge))]
    command += [
        "--resolve",
        f"{host}:{lodge.port('web_tls')}:127.0.0.1",
        "--resolve",
        f"{host}:{lodge.port()}:127.0.0.1",
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def s_client(lodge: Lodge, *arguments: str, say: bytes = b"", name: str = "localhost") -> str:
    """What openssl's client prints; it trusts the lodge's authority alone, says `say`, and stays for the answer."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{lodge.port('web_tls')}", "-CAfile", str(root_of(lodge))]
    command += ["-servername", name, "-verify_return_error", "-verify_hostname", name, *arguments]
    done = subprocess.run(command, input=say, capture_output=True, timeout=PATIENCE, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def trusting(lodge: Lodge) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=root_of(lodge))


@contextlib.contextmanager
def connected(
    lodge: Lodge, context: ssl.SSLContext, name: str = "localhost", session: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", lodge.port("web_tls")), PATIENCE) as raw,
        context.wrap_socket(raw, server_hostname=name, session=session) as sock,
    ):
        yield sock


def ask(sock: ssl.SSLSocket, octets: bytes) -> bytes:
    """An answer of a few octets, whole."""
    sock.sendall(octets)
    answer = b""
    while not (match := re.search(rb"(?i)content-length: (\d+).*?\r\n\r\n", answer, re.DOTALL)) or len(
        answer
    ) < match.end() + int(match[1]):
        more = sock.recv(65536)
        assert more, answer
        answer += more
    return answer


# --- The certificate ----------------------------------------------------------------------------------------------------


def test_curl_trusts_the_authority_as_the_start_says(lodge: Lodge) -> None:
    (line,) = [line for line in lodge.output.splitlines() if "https://" in line]
    command = line[line.index("curl") :].split()
    # The site that answers to every host answers to the name that everyone has.
    assert command == ["curl", "--cacert", "./lodge/ca/root.pem", f"https://localhost:{lodge.port('web_tls')}/"]
    done = subprocess.run(
        [*command, "-sS", "--noproxy", "*"], cwd=lodge.folder, capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.stdout == b"<h1>The lodge is open</h1>", done.stderr
    assert curl(lodge, f"https://127.0.0.1:{lodge.port('web_tls')}/") == b"<h1>The lodge is open</h1>"
    other = curl(lodge, f"https://any.example:{lodge.port('web_tls')}/", host="any.example")
    assert other == b"<h1>The lodge is open</h1>"


def test_files_of_the_authority_are_the_owners_alone(lodge: Lodge) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in (lodge.data / "ca").iterdir()}
    assert modes == {"root.pem": 0o644, "root.key": 0o600, "leaves": 0o700}
    assert (lodge.data / "ca").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssl_verifies_the_certificate(lodge: Lodge, version: str) -> None:
    said = s_client(lodge, f"-tls{version}", "-alpn", "spdy/3,http/1.1")
    assert "Verify return code: 0 (ok)" in said
    assert f"Protocol  : TLSv{version.replace('_', '.')}" in said or f"TLSv{version.replace('_', '.')}, Cipher" in said
    assert "ALPN protocol: http/1.1" in said
    assert re.search(r"Peer signature type: ECDSA", said)


def test_old_versions_are_refused(lodge: Lodge) -> None:
    said = s_client(lodge, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    assert "alert protocol version" in said
    assert lodge.metric("netlodge_tls_failures_total", reason="version") >= 1


# --- RFC 8446 §2.2: resumption, whichever worker ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_of_one_worker_is_resumed_by_all_and_after_a_reload(lodge: Lodge, version: ssl.TLSVersion) -> None:
    context = trusting(lodge)
    context.maximum_version = version
    with connected(lodge, context) as sock:
        ask(sock, request("/"))  # the tickets of TLS 1.3 come with the answer
        session = sock.session
        assert not sock.session_reused
    for _ in range(2):
        pids = [worker.pid for worker in lodge.workers]
        met: set[int] = set()
        while len(met) < len(pids):
            with connected(lodge, context, session=session) as sock:
                ask(sock, request("/"))
                assert sock.session_reused
                met.add(worker_of(sock.getsockname()[1], pids))
        assert lodge.reload().succeeded
        assert {worker.pid for worker in lodge.workers}.isdisjoint(pids)


def test_openssl_resumes_too(lodge: Lodge, tmp_path: Path) -> None:
    file = str(tmp_path / "session")
    said = s_client(lodge, "-sess_out", file, "-ign_eof", say=request("/", "Connection: close"))
    assert "New, TLSv1.3" in said
    assert "Reused, TLSv1.3" in s_client(lodge, "-sess_in", file, "-ign_eof", say=request("/", "Connection: close"))
    assert lodge.metric("netlodge_tls_handshakes_total", resumed="yes", version="TLSv1.3") >= 1


# --- After the handshake ----------------------------------------------------------------------------------------------------


def test_renegotiation_is_refused(lodge: Lodge) -> None:
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{lodge.port('web_tls')}", "-tls1_2", "-servername", "localhost"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"R\n")
    process.stdin.flush()
    said = process.communicate(timeout=PATIENCE)[0].decode()
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said


def test_new_keys_are_taken_and_given(lodge: Lodge) -> None:
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{lodge.port('web_tls')}", "-tls1_3", "-servername", "localhost", "-msg"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    said = b""
    for word, answer in ((b"K\n", b"KEYUPDATE"), (request("/"), b"The lodge is open")):
        process.stdin.write(word)
        process.stdin.flush()
        while answer not in said:
            said += (more := os.read(process.stdout.fileno(), 65536))
            assert more, said
    process.communicate(timeout=PATIENCE)
    # Theirs, and ours in answer.
    assert re.search(rb">>> TLS 1.3, Handshake \[length 0005\], KeyUpdate", said)
    assert re.search(rb"<<< TLS 1.3, Handshake \[length 0005\], KeyUpdate", said)


# --- Large bodies -------------------------------------------------------------------------------------------------------------


def test_a_large_file_arrives_whole(lodge: Lodge) -> None:
    url = f"https://localhost:{lodge.port('web_tls')}/big.bin"
    for _ in range(2):
        assert hashlib.sha256(curl(lodge, url)).digest() == hashlib.sha256(BIG).digest()
    assert curl(lodge, "-r", "1000000-1000009", url) == BIG[1000000:1000010]


def test_a_large_upload_arrives_whole(lodge: Lodge, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(BIG)
    url = f"https://localhost:{lodge.port('web_tls')}/upload.bin"
    assert curl(lodge, "-T", str(file), "-w", "%{http_code}", url) == b"201"
    assert (lodge.site / "upload.bin").read_bytes() == BIG


def test_a_slow_reader_is_waited_for_with_little_memory(lodge: Lodge) -> None:
    context = trusting(lodge)
    with connected(lodge, context) as sock:
        sock.sendall(request("/big.bin"))
        pid = worker_of(sock.getsockname()[1], [worker.pid for worker in lodge.workers])
        before = resident(pid)
        ended = ask_metrics(lodge)  # another connection is served meanwhile
        assert ended
        received = bytearray()
        while len(received) < len(BIG):
            received += sock.recv(1 << 20)
            assert resident(pid) - before < 16 << 20
        assert received.endswith(BIG[-1000:])


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def ask_metrics(lodge: Lodge) -> bool:
    return lodge.metric("netlodge_workers") >= 2


# --- Those who do not speak TLS -------------------------------------------------------------------------------------------------


def say(lodge: Lodge, octets: bytes) -> bytes:
    """All that is answered to octets in the clear."""
    with socket.create_connection(("127.0.0.1", lodge.port("web_tls")), PATIENCE) as sock:
        sock.sendall(octets)
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while more := sock.recv(65536):
                said += more
        return said


def test_plain_http_is_told_what_to_ask_for(lodge: Lodge) -> None:
    port = lodge.port("web_tls")
    before = lodge.metric("netlodge_tls_failures_total", reason="plain")
    said = say(lodge, request("/a?b", host=f"localhost:{port}"))
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nConnection: close\r\n" in said.replace(b"connection: close", b"Connection: close")
    assert f"https://localhost:{port}/a?b\n".encode() in said
    assert lodge.metric("netlodge_tls_failures_total", reason="plain") == before + 1
    until(lambda: any('"GET /a?b HTTP/1.1" 400' in line for line in lodge.log_lines), "a line in the log")


def test_garbage_is_cut_off_and_counted(lodge: Lodge) -> None:
    before = lodge.metric("netlodge_tls_failures_total", reason="garbage")
    assert say(lodge, b"\x00\x01\x02") == b""
    assert say(lodge, b"SSH-2.0-OpenSSH_9.2\r\n") == b""
    assert lodge.metric("netlodge_tls_failures_total", reason="garbage") == before + 2


def test_who_says_nothing_is_cut_off_and_counted(lodge: Lodge) -> None:
    before = lodge.metric("netlodge_tls_failures_total", reason="timeout")
    assert say(lodge, b"") == b""
    assert say(lodge, b"\x16\x03\x01\x02\x00\x01") == b""
    assert lodge.metric("netlodge_tls_failures_total", reason="timeout") == before + 2


# --- RFC 9110 §7.4: for which hosts a connection is ------------------------------------------------------------------------------


def test_a_request_for_another_host_than_the_certificate_is_for_is_misdirected(lodge: Lodge) -> None:
    """Remembered or not, and whoever was answered before."""
    port = lodge.port("web_tls")
    with connected(lodge, trusting(lodge)) as localhost, connected(lodge, trusting(lodge), "strict.example") as strict:
        for _ in range(4):
            answer = ask(localhost, request("/", host="strict.example"))
            assert answer.startswith(b"HTTP/1.1 421 ")
            assert b"The certificate of this connection is not for strict.example" in answer
            assert ask(strict, request("/", host=f"strict.example:{port}")).endswith(b"\r\n\r\nstrict")
            assert ask(strict, request("/", host="localhost")).startswith(b"HTTP/1.1 421 ")
            assert ask(localhost, request("/", host="localhost")).endswith(b"open</h1>")


def test_a_request_without_a_host_is_for_the_connections_own(lodge: Lodge) -> None:
    with connected(lodge, trusting(lodge)) as sock:
        assert ask(sock, b"GET / HTTP/1.0\r\n\r\n").endswith(b"open</h1>")


def test_an_address_is_a_host_like_others(lodge: Lodge) -> None:
    context = trusting(lodge)
    with connected(lodge, context, "127.0.0.1") as sock:
        assert ask(sock, request("/", host=f"127.0.0.1:{lodge.port('web_tls')}")).endswith(b"open</h1>")
        assert ask(sock, request("/", host="127.0.0.2")).startswith(b"HTTP/1.1 421 ")


def test_one_connection_of_http2_serves_all_names_of_its_certificate(lodge: Lodge) -> None:
    """RFC 9113 §9.1.1: a client may ask for any of them over a connection that it has."""
    port = lodge.port("web_tls")
    own, localhost = ssl.create_default_context(cafile=lodge.folder / "own.pem"), trusting(lodge)
    for context in (own, localhost):
        context.set_alpn_protocols(["h2"])
    hosts = ("own.example", "any.pattern.example", "pattern.example", "localhost", "strict.example")
    with Http2Client(port, own, name="own.example") as client, Http2Client(port, localhost) as other:
        for _ in range(4):  # remembered answers are for their connections, too
            assert [client.ask("/", host=host).status for host in hosts] == [200, 200, 421, 421, 421]
            assert [other.ask("/", host=host).status for host in hosts] == [421, 421, 421, 200, 421]


def test_a_gateway_asks_in_the_name_of_others(tmp_path: Path) -> None:
    """nginx, as it is unless told otherwise, asks for no name when it passes a request on over TLS."""
    settings = '[tls]\ngateways = ["127.0.0.1"]\n' + SETTINGS.partition("[[tls.certificate]]")[0]
    options = ["--set", f"web.listen_tls=127.0.0.1:{free_port()}"]
    with Lodge({"index.html": b"open</h1>"}, settings, workers=1, options=options) as lodge:
        context = trusting(lodge)
        context.check_hostname = False
        with connected(lodge, context, "localhost") as sock:
            assert ask(sock, request("/", host="strict.example")).endswith(b"strict")


# --- Redirects and Strict-Transport-Security --------------------------------------------------------------------------------------


def test_a_strict_site_sends_plain_requests_to_tls_and_tells_browsers_to_stay(lodge: Lodge) -> None:
    plain, secure = lodge.port(), lodge.port("web_tls")
    head = curl(lodge, "-I", f"http://strict.example:{plain}/a?b", host="strict.example").decode().lower()
    assert head.startswith("http/1.1 308 ")
    assert f"location: https://strict.example:{secure}/a?b\r\n" in head
    assert "strict-transport-security" not in head
    followed = curl(lodge, "-L", "-i", f"http://strict.example:{plain}/", host="strict.example").decode()
    assert followed.endswith("\r\n\r\nstrict")
    assert "strict-transport-security: max-age=86400\r\n" in followed.lower()


# --- Certificates of one's own ----------------------------------------------------------------------------------------------------


def shown(lodge: Lodge) -> bytes | None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connected(lodge, context, "own.example") as sock:
        return sock.getpeercert(binary_form=True)


def test_a_certificate_of_ones_own_is_replaced_without_a_restart(lodge: Lodge, tmp_path: Path) -> None:
    file = lodge.folder / "own.pem"
    first = shown(lodge)
    assert first == der(file)
    pids = [worker.pid for worker in lodge.workers]
    context = ssl.create_default_context(cafile=file)
    with connected(lodge, context, "own.example") as sock:
        assert ask(sock, request("/", host="own.example")).endswith(b"own")
        os.replace(self_signed(tmp_path, "new", "DNS:own.example"), file)
        second = der(file)
        until(lambda: all(shown(lodge) == second for _ in range(8)), "the new certificate in all workers")
        # A broken one changes nothing, and is told.
        file.write_text("broken")
        until(
            lambda: "own.pem: is no certificate in PEM. The certificate before it stays in use." in lodge.errors,
            "a word",
        )
        assert shown(lodge) == second != first
        # Who was connected is served as before.
        assert ask(sock, request("/", host="own.example")).endswith(b"own")
    assert [worker.pid for worker in lodge.workers] == pids
    reload = lodge.reload()
    assert not reload.succeeded
    assert "own.pem" in reload.sentences[0]
    assert shown(lodge) == second
    os.replace(self_signed(tmp_path, "newer", "DNS:own.example"), file)
    third = der(file)
    assert lodge.reload().succeeded
    assert shown(lodge) == third


def der(pem: Path) -> bytes:
    text = pem.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])


# --- A browser --------------------------------------------------------------------------------------------------------------------


def test_a_browser_trusts_the_lodge_once_its_authority_is_installed(
    lodge: Lodge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    url = f"https://127.0.0.1:{lodge.port('web_tls')}/"

    def page(profile: str) -> str:
        command = ["chromium", *OPTIONS, f"--user-data-dir={tmp_path / profile}", "--dump-dom", url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=False).stdout

    assert "The lodge is open" not in page("stranger")
    trust(lodge.data)
    assert "The lodge is open" in page("friend")
