"""RFC 7540 §3.2: from HTTP/1.1 to HTTP/2 on one connection in the clear, with the `h2` package as the client."""

from __future__ import annotations

import base64

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded

from netlodge.http.message import Fields, Request, Response
from netlodge.http.session.h1 import Http1Session
from netlodge.http.session.h2 import Http2Session
from netlodge.http.session.h2c import UpgradesToHttp2
from netlodge.http.wire.h2_frames import GOAWAY, LARGEST_WINDOW, frame_header
from tests.http.session.rig import Rig, body_of, head_of, on_loop, status_of

BIG = bytes(range(256)) * 1000


def door() -> Rig:
    rig = Rig()

    async def page(request: Request) -> Response:
        return Response(200, Fields([("x-version", request.version)]), f"{request.method} {request.target}".encode())

    rig.on("/", page)
    rig.on("/big", Response(200, body=BIG))
    rig.service.handler = UpgradesToHttp2(rig.handler, lambda: rig.service)
    return rig


def asking(target: str = "/", *fields: str, settings: str = "AAMAAABkAAQAAP__", method: str = "GET") -> bytes:
    """A request that asks for HTTP/2 as curl does."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost:8080", "Accept: */*", *fields]
    lines += ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", f"HTTP2-Settings: {settings}"]
    return "\r\n".join([*lines, "", ""]).encode()


class Peer:
    """The client of the `h2` package, from its upgrade on."""

    def __init__(self) -> None:
        self.connection = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        settings = self.connection.initiate_upgrade_connection()
        assert settings is not None
        self.settings = settings.decode()

    def take(self, octets: bytes) -> list[Event]:
        events = self.connection.receive_data(octets)
        for event in events:
            if isinstance(event, DataReceived):
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        return events


async def upgraded(rig: Rig, peer: Peer, target: str = "/") -> bytes:
    """Ask for the upgrade, and return what follows the 101."""
    answer = await rig.say(asking(target, settings=peer.settings))
    assert status_of(answer) == 101
    assert head_of(answer)["upgrade"] == "h2c"
    assert head_of(answer)["connection"] == "Upgrade"
    return body_of(answer)


def response_of(events: list[Event]) -> dict[str, str]:
    (event,) = [event for event in events if isinstance(event, ResponseReceived)]
    assert event.stream_id == 1
    return {str(name): str(value) for name, value in event.headers}


@on_loop
async def test_the_request_is_answered_as_stream_1() -> None:
    rig, peer = door(), Peer()
    events = peer.take(await upgraded(rig, peer))
    assert response_of(events)["x-version"] == "2"
    assert b"".join(event.data for event in events if isinstance(event, DataReceived)) == b"GET /"
    assert any(isinstance(event, StreamEnded) for event in events)
    assert type(rig.connection.session) is Http2Session
    (request,) = rig.handler.requests
    assert dict(request.fields) == {"host": "localhost:8080", "accept": "*/*"}
    assert [(record.version, record.status) for record in rig.records] == [("1.1", 101), ("2", 200)]


@on_loop
async def test_the_connection_goes_on_with_the_preface() -> None:
    rig, peer = door(), Peer()
    peer.take(await upgraded(rig, peer))
    peer.connection.send_headers(
        3,
        [(":method", "GET"), (":scheme", "http"), (":authority", "localhost:8080"), (":path", "/?a=b")],
        end_stream=True,
    )
    events = peer.take(await rig.say(peer.connection.data_to_send()))
    assert [event.data for event in events if isinstance(event, DataReceived)] == [b"GET /?a=b"]


@on_loop
async def test_what_came_with_the_request_is_of_http_2() -> None:
    rig, peer = door(), Peer()
    octets = asking(settings=peer.settings) + peer.connection.data_to_send()
    events = peer.take(body_of(await rig.say(octets)))
    assert response_of(events)[":status"] == "200"
    assert not any(isinstance(event, ConnectionTerminated) for event in events)


@on_loop
async def test_the_settings_hold_for_stream_1() -> None:
    rig = door()
    window = base64.urlsafe_b64encode(b"\0\4\0\0\0\x64").decode().rstrip("=")
    octets = body_of(await rig.say(asking("/big", settings=window)))
    sent = 0
    while octets:
        length = int.from_bytes(octets[:3], "big")
        sent += length if octets[3] == 0 else 0
        octets = octets[9 + length :]
    assert sent == 100


@on_loop
async def test_a_content_larger_than_the_window_comes_bit_by_bit() -> None:
    rig, peer = door(), Peer()
    octets, received = await upgraded(rig, peer, "/big"), b""
    while len(received) < len(BIG):
        events = peer.take(octets)
        received += b"".join(event.data for event in events if isinstance(event, DataReceived))
        octets = await rig.say(peer.connection.data_to_send())
    assert received == BIG


@pytest.mark.parametrize(
    "octets",
    [
        asking("/", "Content-Length: 2", method="POST") + b"ab",
        asking("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n",
        asking("/", "HTTP2-Settings: AAMAAABk"),
        asking().replace(b"Upgrade, HTTP2-Settings", b"Upgrade"),
        asking().replace(b"Upgrade, HTTP2-Settings", b"HTTP2-Settings"),
        asking().replace(b"Upgrade: h2c", b"Upgrade: h2"),
        asking().replace(b"Upgrade: h2c", b"Upgrade: websocket"),
        asking().replace(b"HTTP2-Settings: ", b"X: "),
        asking(settings="AAMAAABk!"),
        asking(settings="AAMAAA"),
        asking(settings="A"),
    ],
    ids=[
        "content", "content of unknown length", "two settings fields", "settings no connection option", "upgrade no connection option",
        "h2", "websocket", "no settings", "not base64", "settings cut short", "no whole octet",
    ],
)  # fmt: skip
def test_what_does_not_ask_as_it_should_is_answered_over_http_1(octets: bytes) -> None:
    @on_loop
    async def script() -> None:
        rig = door()
        answer = await rig.say(octets)
        assert status_of(answer) == 200
        assert head_of(answer)["x-version"] == "1.1"
        assert type(rig.connection.session) is Http1Session

    script()


@on_loop
async def test_http_1_0_is_not_upgraded() -> None:
    rig = door()
    answer = await rig.say(asking().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert status_of(answer) == 200
    assert type(rig.connection.session) is Http1Session


@on_loop
async def test_settings_that_are_wrong_end_the_connection() -> None:
    rig = door()
    wrong = base64.urlsafe_b64encode(b"\0\5\0\0\0\1").decode()
    octets = body_of(await rig.say(asking(settings=wrong)))
    assert rig.connection.has_sent_eof
    assert octets.endswith(b"The HTTP2-Settings are none.")
    assert not rig.handler.requests


@on_loop
async def test_fields_of_the_connection_are_not_taken_along() -> None:
    rig, peer = door(), Peer()
    octets = asking("/", "TE: gzip", "Keep-Alive: timeout=5", "X-Hop: a", settings=peer.settings)
    peer.take(body_of(await rig.say(octets.replace(b"HTTP2-Settings\r\n", b"HTTP2-Settings, X-Hop\r\n"))))
    (request,) = rig.handler.requests
    assert dict(request.fields) == {"host": "localhost:8080", "accept": "*/*"}


@pytest.mark.parametrize(
    ("method", "target", "seen"),
    [("GET", "http://localhost:8080/?a", "/?a"), ("HEAD", "/", "/"), ("OPTIONS", "*", "*")],
)
def test_methods_and_targets(method: str, target: str, seen: str) -> None:
    @on_loop
    async def script() -> None:
        rig, peer = door(), Peer()
        answer = await rig.say(asking(target, settings=peer.settings, method=method))
        assert status_of(answer) == 101
        (request,) = rig.handler.requests
        assert (request.method, request.target, request.version) == (method, seen, "2")

    script()


@on_loop
async def test_connect_is_not_upgraded() -> None:
    rig = door()
    assert status_of(await rig.say(asking("localhost:80", method="CONNECT"))) == 404


@on_loop
async def test_a_lodge_that_is_about_to_end_says_so_in_http_2() -> None:
    rig, peer = door(), Peer()
    rig.session.retire(at_once=False)
    octets = await upgraded(rig, peer)
    assert frame_header(GOAWAY, 0, 0, 8) + LARGEST_WINDOW.to_bytes(4, "big") in octets
    assert b"GET /" in octets
