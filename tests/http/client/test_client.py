"""What the client makes of answers: RFC 9110 §15.4 (redirects), §8.4 (codings), §11 (credentials), proxies (§7.3, RFC 9112 §3.2)."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable

import brotli  # type: ignore[import-untyped]
import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from netlodge.http.client.client import Ways
from netlodge.http.client.content import Octets, Stream
from netlodge.http.client.decoding import Decoding, DecodingLimits
from netlodge.http.client.errors import DecodingError, ProxyError, RedirectError
from netlodge.http.client.jar import Jar
from netlodge.http.client.origin import Proxy, parse_proxy
from netlodge.http.message import Fields
from tests.http.client.scripted import Peer, Run, Script, body_of, client, run, says, serving, to, until

__all__ = ["run"]

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def redirect(location: str, status: int = 302, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\n{more}Content-Length: 4\r\n\r\ngone".encode()


def answers(*octets: bytes) -> Script:
    """One connection: the first request gets the first answer, and so on."""

    async def script(peer: Peer) -> None:
        for answer in octets:
            await peer.answer(answer)
        await peer.ended()

    return script


# --- RFC 9110 §15.4 ---------------------------------------------------------------------------------------------------


def test_redirects_are_followed_on_the_same_connection(run: Run) -> None:
    async def scenario() -> None:
        async with serving(answers(redirect("/b"), redirect("c?d"), SIZED)) as server, client() as c:
            response = await c.send(to(server, "/a"))
            assert await body_of(response) == b"hello"
            assert response.request.uri.target == "/c?d"
            assert [hop.status for hop in response.history] == [302, 302]
            assert [head.split()[1] for head in server.heads] == [b"/a", b"/b", b"/c?d"]

    run(scenario())


def test_content_goes_along_where_the_method_stays(run: Run) -> None:
    async def scenario() -> None:
        async with serving(answers(redirect("/b", 307), redirect("/c", 303), SIZED)) as server, client() as c:
            await body_of(await c.send(to(server, "/a", "POST", content=Octets(b"data", "text/plain"))))
            first, second, third = server.heads
            assert first.startswith(b"POST /a")
            assert second.startswith(b"POST /b")
            assert b"Content-Length: 4" in second
            assert third.startswith(b"GET /c")
            assert b"Content-" not in third

    run(scenario())


def test_credentials_do_not_follow_to_another_origin(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as other:
            elsewhere = f"http://x:y@127.0.0.1:{other.port}/"
            async with serving(answers(redirect("/same"), redirect(elsewhere))) as server, client() as c:
                request = to(server, fields=[("cookie", "a=b"), ("x-mine", "1")])
                request.uri = request.uri._replace(user="user", password="secret")
                await body_of(await c.send(request))
                proof = b"Authorization: Basic " + b64encode(b"user:secret")
                first, second = server.heads
                assert proof in first
                assert proof in second
                assert b"Cookie: a=b" in second
                (third,) = other.heads
                assert b"Authorization" not in third
                assert b"Cookie" not in third
                assert f"Host: 127.0.0.1:{other.port}".encode() in third
                assert b"x-mine: 1" in third.lower()

    run(scenario())


def test_redirects_end(run: Run) -> None:
    numbers = iter(range(1000))

    async def onward(peer: Peer) -> None:
        while await peer.answer(redirect(f"/{next(numbers)}")):
            pass

    async def scenario() -> None:
        async with serving(onward) as server, client(Ways(redirects=3)) as c:
            with pytest.raises(RedirectError, match="3 redirects were followed"):
                await c.send(to(server))
            assert len(server.heads) == 4

    run(scenario())


@pytest.mark.parametrize(
    "location", ["/", "http://localhost:{port}", "#x", "ftp://localhost/", "http://", "http://a b/"]
)
def test_redirects_that_lead_nowhere_are_not_followed(run: Run, location: str) -> None:
    async def onward(peer: Peer) -> None:
        while await peer.answer(redirect(location.format(port=server_port[0]))):
            pass

    server_port: list[int] = []

    async def scenario() -> None:
        async with serving(onward) as server, client() as c:
            server_port.append(server.port)
            with pytest.raises(RedirectError):
                await c.send(to(server))
            assert len(server.heads) <= 2

    run(scenario())


def test_a_redirect_is_an_answer_when_none_are_followed(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(redirect("/b"))) as server, client(Ways(redirects=0)) as c:
            response = await c.send(to(server))
            assert response.status == 302
            assert await body_of(response) == b"gone"

    run(scenario())


def test_what_cannot_be_sent_twice_is_not_redirected(run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"data"

    async def scenario() -> None:
        async with serving(says(redirect("/b", 307))) as server, client() as c:
            with pytest.raises(RedirectError, match="cannot be sent again"):
                await c.send(to(server, method="POST", content=Stream(pieces())))

    run(scenario())


def test_cookies_of_a_redirect_are_sent_where_it_leads(run: Run) -> None:
    async def scenario() -> None:
        gone = redirect("/b", more="Set-Cookie: a=1\r\nSet-Cookie: c=2; Path=/other\r\n")
        async with serving(answers(gone, SIZED)) as server, client(cookies=Jar()) as c:
            await body_of(await c.send(to(server)))
            assert b"Cookie" not in server.heads[0]
            assert b"\r\nCookie: a=1\r\n" in server.heads[1]

    run(scenario())


# --- Fields -----------------------------------------------------------------------------------------------------------


def test_the_fields_of_the_request_go_before_those_of_the_client(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server, client() as c:
            await body_of(await c.send(to(server, fields=[("accept", "a/b"), ("user-agent", ""), ("host", "other")])))
            head = server.heads[0]
            assert b"\r\nHost: other\r\nAccept: a/b\r\n" in head
            assert b"User-Agent" not in head
            assert b"Accept-Encoding: gzip, br, zstd" in head

    run(scenario())


# --- RFC 9110 §8.4 ----------------------------------------------------------------------------------------------------

TEXT = b"hello, " * 10_000

CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:]) + b"\0" * 100,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": lambda data: zstd.compress(data[:10]) + zstd.compress(data[10:]),
    "identity": lambda data: data,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


def raw_deflate(data: bytes) -> bytes:
    codec = zlib.compressobj(wbits=-15)
    return codec.compress(data) + codec.flush()


def decode(coded: bytes, codings: list[str], *, step: int = 1 << 20, limits: DecodingLimits | None = None) -> bytes:
    decoding = Decoding(codings, limits or DecodingLimits())
    pieces: list[bytes] = []
    for place in range(0, len(coded), step):
        for piece in decoding.add(coded[place : place + step]):
            assert len(piece) <= 1 << 17
            pieces.append(piece)
    decoding.finish()
    return b"".join(pieces)


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("codings", CODECS)
def test_codings_are_undone(codings: str, step: int) -> None:
    assert decode(CODECS[codings](TEXT), codings.split(", "), step=step) == TEXT


def test_deflate_may_come_bare() -> None:
    assert decode(raw_deflate(TEXT), ["deflate"]) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_coded_content_that_is_cut_or_broken_is_refused(coding: str) -> None:
    coded = CODECS[coding](TEXT)
    for broken in (coded[: len(coded) // 2], coded[:-1], b"\xff" * 100):
        with pytest.raises(DecodingError, match=coding):
            decode(broken, [coding])
    assert decode(b"", [coding]) == b""


@pytest.mark.parametrize("codings", [["compress"], ["gzip"] * 4])
def test_codings_that_are_unknown_or_too_many_are_refused(codings: list[str]) -> None:
    with pytest.raises(DecodingError, match=r"coded as|codings one over another"):
        Decoding(codings, DecodingLimits())


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_does_not_go_off(coding: str) -> None:
    bomb = CODECS[coding](bytes(40 << 20))
    with pytest.raises(DecodingError, match="decoded_ratio"):
        decode(bomb, [coding])
    with pytest.raises(DecodingError, match="decoded_size"):
        decode(bomb, [coding], limits=DecodingLimits(decoded_size=1 << 20))
    folded = gzip.compress(bomb)
    with pytest.raises(DecodingError, match="decoded_ratio"):
        decode(folded, [coding, "gzip"])


def test_coded_answers_are_decoded_as_they_come(run: Run) -> None:
    coded = gzip.compress(TEXT)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(coded), coded)

    async def scenario() -> None:
        async with serving(says(answer)) as server, client() as c:
            for _ in range(2):
                assert await body_of(await c.send(to(server))) == TEXT
            assert len(server.peers) == 1
        async with serving(says(answer)) as server, client(Ways(is_decoding=False)) as c:
            assert await body_of(await c.send(to(server))) == coded
            assert b"Accept-Encoding" not in server.heads[0]

    run(scenario())


def test_content_that_cannot_be_decoded_costs_its_connection(run: Run) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 500\r\n\r\nhello"

    async def stays(peer: Peer) -> None:
        await peer.answer(answer)
        await peer.ended()
        gone.set()

    gone = asyncio.Event()

    async def scenario() -> None:
        async with serving(stays) as server, client() as c:
            with pytest.raises(DecodingError):
                await body_of(await c.send(to(server)))
            await gone.wait()

    run(scenario())


# --- Proxies ----------------------------------------------------------------------------------------------------------


def test_a_proxy_is_asked_in_absolute_form_with_its_own_credentials(run: Run) -> None:
    async def scenario() -> None:
        async with serving(says(SIZED)) as server:
            proxy = parse_proxy(f"user:pass@localhost:{server.port}")
            async with client(find_proxy=lambda _: proxy) as c:
                for host in ("one.test", "two.test:81"):
                    request = to(server, "/a?b")
                    name, _, port = host.partition(":")
                    request.uri = request.uri._replace(host=name, port=int(port or 80), user="u", password="p")
                    await body_of(await c.send(request))
            assert len(server.peers) == 1
            one, two = server.heads
            assert one.startswith(b"GET http://one.test/a?b HTTP/1.1\r\nHost: one.test\r\n")
            assert two.startswith(b"GET http://two.test:81/a?b HTTP/1.1\r\nHost: two.test:81\r\n")
            assert b"Proxy-Authorization: Basic " + b64encode(b"user:pass") in one

    run(scenario())


@pytest.mark.parametrize(("status", "hint"), [(407, "user and password"), (403, "allows this host")])
def test_a_proxy_that_makes_no_tunnel_says_why(run: Run, status: int, hint: str) -> None:
    async def scenario() -> None:
        async with serving(says(f"HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno".encode())) as server:
            async with client(find_proxy=lambda _: Proxy("localhost", server.port)) as c:
                request = to(server, scheme="https")
                with pytest.raises(ProxyError, match=hint) as caught:
                    await c.send(request)
                assert caught.value.status == status
            await until(lambda: server.heads)
            place = f"localhost:{server.port}".encode()
            assert server.heads[0] == b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (place, place)

    run(scenario())


def test_a_proxy_is_told_by_host_and_port() -> None:
    assert parse_proxy("http://[::1]:3128") == Proxy("::1", 3128)
    assert str(parse_proxy("[::1]:3128")) == "[::1]:3128"
    assert (
        Fields([("a", parse_proxy("a:b@localhost:1").authorization)]).get("a") == "Basic " + b64encode(b"a:b").decode()
    )
