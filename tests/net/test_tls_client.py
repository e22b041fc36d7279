"""The client's side of TLS, against Python's own server and `openssl s_server`: verification, names, ends."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from netlodge.http.client.connecting import Connector
from netlodge.http.client.errors import ProxyError, SlowError, TruncatedError
from netlodge.http.client.origin import Proxy
from netlodge.net.dial import DialError, DialFailure
from netlodge.net.tls_client import TrustError, client_context
from tests.http.client.scripted import Peer, Run, body_of, pooled, run, says, serving, to
from tests.net.certificate import self_signed, server_context

__all__ = ["run"]

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def other_pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"), "other.test")


def test_exchanges_pass_and_the_connection_is_used_again(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        large = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000)
        async with (
            serving(says(large), tls=server_context(pem)) as server,
            pooled(context=lambda: client_context([pem])) as (_, direct),
        ):
            for _ in range(2):
                response = await direct.send(to(server, scheme="https"))
                assert len(await body_of(response)) == 3_000_000
            assert len(server.peers) == 1
            facts = server.peers[0].writer.get_extra_info("ssl_object")
            assert facts.version() == "TLSv1.3"

    run(scenario())


def test_what_was_agreed_on_is_known(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        context = server_context(pem)
        context.set_alpn_protocols(["h2", "http/1.1"])
        async with (
            serving(says(SIZED), tls=context) as server,
            pooled(context=lambda: client_context([pem])) as (_, direct),
        ):
            response = await direct.send(to(server, scheme="https"))
            assert response.path is not None
            facts = response.path.tls
            assert facts is not None
            assert (facts.version, facts.subject, facts.protocol) == ("TLSv1.3", "localhost", "http/1.1")
            times = response.timings()
            assert times["connect"] <= times["tls"] <= times["head"]
            assert await body_of(response) == b"hello"

    run(scenario())


@pytest.mark.parametrize("case", ["unknown authority", "another name", "no TLS"])
def test_a_server_that_is_not_who_it_should_be_gets_no_request(run: Run, pem: Path, other_pem: Path, case: str) -> None:
    context = {"unknown authority": server_context(pem), "another name": server_context(other_pem), "no TLS": None}[
        case
    ]
    trusted = [other_pem] if case == "another name" else []
    words = {"unknown authority": "certificate", "another name": "not valid for 'localhost'", "no TLS": "not TLS"}[case]

    async def blurts(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await peer.ended()

    async def scenario() -> None:
        async with (
            serving(says(SIZED) if context else blurts, tls=context) as server,
            pooled(context=lambda: client_context(trusted)) as (pool, direct),
        ):
            with pytest.raises(DialError, match=words) as caught:
                await direct.send(to(server, scheme="https"))
            assert caught.value.failure is DialFailure.TLS_FAILED
            assert not server.heads
            assert pool.open_count == 0

    run(scenario())


def test_any_certificate_will_do_if_one_says_so(run: Run, other_pem: Path) -> None:
    async def scenario() -> None:
        async with (
            serving(says(SIZED), tls=server_context(other_pem)) as server,
            pooled(context=lambda: client_context(is_verifying=False)) as (_, direct),
        ):
            assert await body_of(await direct.send(to(server, scheme="https"))) == b"hello"

    run(scenario())


def test_a_peer_that_hangs_up_or_waits_in_the_handshake(run: Run) -> None:
    async def hangs_up(peer: Peer) -> None:
        await peer.reader.read(1)

    async def waits(peer: Peer) -> None:
        await peer.ended()

    async def scenario() -> None:
        async with serving(hangs_up, waits) as server, pooled() as (_, direct):
            with pytest.raises(DialError, match="hung up in the handshake"):
                await direct.send(to(server, scheme="https"))
            with pytest.raises(SlowError, match="no connection to localhost"):
                await direct.send(to(server, scheme="https", times={"connect": 0.05}))

    run(scenario())


def test_an_end_that_tls_does_not_confirm_truncates_a_body_without_length(run: Run, pem: Path) -> None:
    """RFC 9112 §9.8."""

    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        # The stream below TLS ends, without a closure alert.
        peer.writer.transport.abort()

    async def ends(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")

    async def scenario() -> None:
        async with (
            serving(cut, ends, tls=server_context(pem)) as server,
            pooled(context=lambda: client_context([pem])) as (_, direct),
        ):
            response = await direct.send(to(server, scheme="https"))
            with pytest.raises(TruncatedError, match="after 5 octets"):
                await body_of(response)
            assert await body_of(await direct.send(to(server, scheme="https"))) == b"hello"

    run(scenario())


def test_tls_goes_through_a_tunnel(run: Run, pem: Path) -> None:
    async def tunnel(peer: Peer) -> None:
        head = await peer.head()
        host, _, port = head.split()[1].decode().rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(peer.reader, writer), pump(reader, peer.writer))

    async def scenario() -> None:
        async with serving(says(SIZED), tls=server_context(pem)) as server, serving(tunnel) as proxy:
            by = Proxy("localhost", proxy.port, "Basic eDp5")
            async with pooled(context=lambda: client_context([pem]), find_proxy=lambda _: by) as (pool, direct):
                for _ in range(2):
                    response = await direct.send(to(server, "/x", scheme="https"))
                    assert await body_of(response) == b"hello"
                assert len(proxy.peers) == len(server.peers) == 1
                assert b"Proxy-Authorization: Basic eDp5" in proxy.heads[0]
                assert server.heads[0].startswith(b"GET /x HTTP/1.1")
                assert b"Proxy-" not in server.heads[0]
                assert pool.open_count == 1

    run(scenario())


def test_a_proxy_that_answers_a_tunnel_with_octets_of_its_own_is_no_server(run: Run) -> None:
    async def lies(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\n" + SIZED)
        await peer.ended()

    async def scenario() -> None:
        async with serving(lies) as proxy:
            by = Proxy("localhost", proxy.port)
            async with pooled(find_proxy=lambda _: by) as (_, direct):
                with pytest.raises((DialError, ProxyError)):
                    await direct.send(to(proxy, scheme="https"))

    run(scenario())


def test_files_of_authorities_that_hold_none_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(TrustError, match=path.name):
            client_context([path])
    assert client_context().verify_mode is ssl.CERT_REQUIRED
    assert client_context().check_hostname


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_server_is_understood(run: Run, pem: Path, version: str) -> None:
    command = ["openssl", "s_server", version, "-accept", "127.0.0.1:0", "-cert", str(pem), "-key", str(pem), "-www"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            port = 0
            while not port:
                line = process.stdout.readline()
                assert line, "s_server did not start"
                if line.startswith(b"ACCEPT"):
                    port = int(line.rpartition(b":")[2])

            async def scenario() -> None:
                async with serving(says(SIZED)) as nobody:
                    request = to(nobody, scheme="https")
                request.uri = request.uri._replace(port=port)
                async with pooled(context=lambda: client_context([pem])) as (_, direct):
                    body = await body_of(await direct.send(request))
                    assert version.replace("-tls1_", "TLSv1.").encode() in body

            run(scenario())
        finally:
            process.kill()


def test_a_connector_is_made_in_a_loop(run: Run) -> None:
    async def scenario() -> None:
        assert Connector().clock() > 0

    run(scenario())
