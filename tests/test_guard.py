"""The guard itself: each way out of the machine is tried in a pytest apart from this one, and must fail the test that tried it.

192.0.2.1 and 2001:db8::1 are addresses for documentation (RFC 5737 §3, RFC 3849 §2): were the guard broken, nobody would be
spoken to.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.guard import loopback

ROOT = Path(__file__).resolve().parent.parent

TRIALS = '''
import asyncio, contextlib, socket, subprocess, sys
import pytest, uvloop

AWAY = ("192.0.2.1", 9)


def run_child(code):
    subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def way_out(function):
    """Swallows the refusal, as code under test might."""
    def test():
        with contextlib.suppress(OSError):
            function()
    return test


async def bound_to(**addresses):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, **addresses)
    transport.close()
    await asyncio.sleep(0)


async def sock_connect():
    with socket.socket() as s:
        s.setblocking(False)
        await asyncio.get_running_loop().sock_connect(s, AWAY)


async def look_up():
    await asyncio.get_running_loop().getaddrinfo("example.invalid", 80)


@way_out
def test_out_by_connect():
    with socket.socket() as s:
        s.connect(AWAY)


@way_out
def test_out_by_connect_over_ipv6():
    with socket.socket(socket.AF_INET6) as s:
        s.connect(("2001:db8::1", 9))


@way_out
def test_out_by_sendto():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.sendto(b"x", AWAY)


@way_out
def test_out_by_sendmsg():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.sendmsg([b"x"], [], 0, AWAY)


test_out_by_a_name = way_out(lambda: socket.getaddrinfo("example.invalid", 80))
test_out_by_asyncio = way_out(lambda: asyncio.run(asyncio.open_connection(*AWAY)))
test_out_by_uvloop_connection = way_out(lambda: uvloop.run(asyncio.open_connection(*AWAY)))
test_out_by_uvloop_datagrams = way_out(lambda: uvloop.run(bound_to(remote_addr=AWAY)))
test_out_by_uvloop_datagrams_bound_to_all = way_out(lambda: uvloop.run(bound_to(local_addr=("0.0.0.0", 0))))
test_out_by_uvloop_sock_connect = way_out(lambda: uvloop.run(sock_connect()))
test_out_by_uvloop_a_name = way_out(lambda: uvloop.run(look_up()))
test_out_by_a_child = way_out(lambda: run_child("import socket; socket.socket().connect(('192.0.2.1', 9))"))
test_out_by_a_child_on_uvloop = way_out(
    lambda: run_child("import asyncio, uvloop; uvloop.run(asyncio.open_connection('192.0.2.1', 9))")
)


@pytest.fixture
def leaves_at_its_end():
    yield
    test_out_by_connect()


def test_out_by_the_end_of_a_fixture(leaves_at_its_end):
    pass


async def speak_on_loopback():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        reader, writer = await asyncio.open_connection(host, port)
        await reader.read()
        writer.close()
        await writer.wait_closed()
    await bound_to(local_addr=("127.0.0.1", 0))
    await bound_to(remote_addr=("127.0.0.1", 9))
    server.close()
    await server.wait_closed()


def test_free_on_both_loops():
    asyncio.run(speak_on_loopback())
    uvloop.run(speak_on_loopback())


def test_free_over_unix_sockets():
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert other.recv(1) == b"x"


def test_free_in_children():
    subprocess.run([sys.executable, "-c", "import socket; socket.getaddrinfo('127.0.0.1', 80)"], check=True)
'''

NAMES = [line.split()[1 if line.startswith("def") else 0].partition("(")[0] for line in TRIALS.splitlines()
         if line.startswith(("def test_", "test_"))]  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each trial: `""` if it passed, otherwise the text of its failure or error."""
    place = tmp_path_factory.mktemp("trials")
    (place / "test_trials.py").write_text(TRIALS)
    (place / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    # Nothing of this run's guard may reach the inner one, or its violations would be charged to this run.
    environment = {k: v for k, v in os.environ.items() if k != loopback.REPORT_VARIABLE} | {"PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.guard.plugin",
        "-p",
        "no:cacheprovider",
        "--junit-xml=out.xml",
    ]
    outcome = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    verdicts: dict[str, str] = {}
    for case in ET.parse(place / "out.xml").iter("testcase"):
        failures = [(child.text or "") for child in case if child.tag in {"failure", "error"}]
        verdicts[case.get("name", "")] = verdicts.get(case.get("name", ""), "") + "\n".join(failures)
    return verdicts


def test_this_run_is_guarded() -> None:
    assert any(type(finder).__module__.endswith("guard.loopback") for finder in sys.meta_path)
    assert Path(os.environ[loopback.REPORT_VARIABLE]).exists()
    assert str(ROOT / "tests" / "guard") in os.environ["PYTHONPATH"].split(os.pathsep)


@pytest.mark.parametrize("name", [name for name in NAMES if "_out_" in name])
def test_a_way_out_fails_the_test_that_tried_it(name: str, verdicts: dict[str, str]) -> None:
    assert "LeftTheMachine" in verdicts[name]
    assert any(place in verdicts[name] for place in ("192.0.2.1", "2001:db8::1", "example.invalid", "0.0.0.0"))


@pytest.mark.parametrize("name", [name for name in NAMES if "_free_" in name])
def test_loopback_and_unix_sockets_stay_free(name: str, verdicts: dict[str, str]) -> None:
    assert not verdicts[name]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost", b"127.0.0.1", "::1%lo"]
)
def test_hosts_that_are_this_machine(host: str | bytes) -> None:
    assert loopback.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "128.0.0.1",
        "10.0.0.1",
        "0.0.0.0",
        "::",
        "fe80::1",
        "::ffff:192.0.2.1",
        "localhost.example",
        "127.0.0.1.example",
        "",
        None,
    ],
)
def test_hosts_that_may_be_another(host: str | None) -> None:
    assert not loopback.is_loopback(host)
