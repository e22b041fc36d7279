"""RFC 9113 §3.3, §3.4: a connection in the clear that may begin with HTTP/2 by prior knowledge."""

from __future__ import annotations

import pytest

from netlodge.http.message import Response
from netlodge.http.session.first_octets import TELLING, FirstOctets
from netlodge.http.session.h1 import Http1Session
from netlodge.http.session.h2 import Http2Session
from netlodge.http.wire.h2_frames import GOAWAY, PREFACE, SETTINGS, settings_frame
from netlodge.http.wire.hpack import encode_stateless
from tests.fakes import MemoryConnection
from tests.http.session.rig import Rig, on_loop, status_of

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BLOCK = encode_stateless([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
HEADERS = len(BLOCK).to_bytes(3, "big") + b"\1\5\0\0\0\1" + BLOCK
BEGINNING = PREFACE + settings_frame([]) + HEADERS


def door() -> Rig:
    rig = Rig()
    rig.on("/", Response(200, body=b"hello"))
    rig.connection = MemoryConnection()
    rig.session = rig.connection.session = FirstOctets(rig.connection, rig.service)  # type: ignore[assignment]
    return rig


def kinds(octets: bytes) -> list[int]:
    """The types of the frames in `octets`."""
    found = []
    while octets:
        found.append(octets[3])
        octets = octets[9 + int.from_bytes(octets[:3], "big") :]
    return found


@on_loop
async def test_a_request_of_http_1_is_answered_and_nothing_is_in_its_way() -> None:
    rig = door()
    assert status_of(await rig.say(REQUEST)) == 200
    assert type(rig.connection.session) is Http1Session
    assert status_of(await rig.say(REQUEST)) == 200


@on_loop
async def test_the_preface_begins_http_2() -> None:
    rig = door()
    answer = await rig.say(BEGINNING)
    assert type(rig.connection.session) is Http2Session
    assert kinds(answer)[0] == SETTINGS
    assert b"hello" in answer
    assert [record.version for record in rig.records] == ["2"]


@on_loop
async def test_the_preface_may_come_octet_by_octet() -> None:
    rig = door()
    for place in range(len(TELLING) - 1):
        assert not await rig.say(BEGINNING[place : place + 1])
        assert type(rig.connection.session) is FirstOctets
        rig.connection.session.sweep(rig.clock.now)
    answer = b""
    for place in range(len(TELLING) - 1, len(BEGINNING)):
        answer += await rig.say(BEGINNING[place : place + 1])
    assert b"hello" in answer
    assert len(rig.records) == 1


@on_loop
async def test_a_request_of_http_1_may_come_octet_by_octet() -> None:
    rig = door()
    answer = b""
    request = REQUEST.replace(b"GET", b"PRI")
    for place in range(len(request)):
        answer += await rig.say(request[place : place + 1])
    assert status_of(answer) == 200
    assert rig.handler.requests[0].method == "PRI"


@on_loop
async def test_a_preface_that_goes_on_wrong_is_an_error_of_http_2() -> None:
    """§3.4: "Clients and servers MUST treat an invalid connection preface as a connection error of type PROTOCOL_ERROR." """
    rig = door()
    assert GOAWAY in kinds(await rig.say(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"))


@on_loop
async def test_whoever_breaks_off_in_the_preface_is_told_as_in_http_1() -> None:
    rig = door()
    assert not await rig.say(PREFACE[:10])
    for _ in range(11):
        rig.clock.advance(1)
        rig.connection.session.sweep(rig.clock.now)
    assert status_of(await rig.hear()) == 408
    # What still comes begins nothing.
    assert not await rig.say(PREFACE[10:])
    assert type(rig.connection.session) is Http1Session


@on_loop
async def test_whoever_ends_in_the_preface_is_closed() -> None:
    rig = door()
    await rig.say(PREFACE[:10])
    rig.connection.session.receive_eof()
    await rig.hear()
    assert rig.connection.is_closed


@pytest.mark.parametrize("at_once", [False, True])
def test_who_retires_before_the_first_octet(at_once: bool) -> None:
    @on_loop
    async def script() -> None:
        rig = door()
        rig.connection.session.retire(at_once=at_once)
        answer = await rig.say(BEGINNING)
        if at_once:
            assert not answer
        else:
            assert b"hello" in answer
            assert GOAWAY in kinds(answer)

    script()


@on_loop
async def test_the_end_of_the_connection_is_told() -> None:
    rig = door()
    await rig.say(PREFACE[:3])
    rig.connection.session.connection_lost(None)
    assert not rig.records
