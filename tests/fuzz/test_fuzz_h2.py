"""The fuzzer of the HTTP/2 codec for a bounded count, and a check that it would notice."""

from __future__ import annotations

import pytest

from netlodge.http.wire import h2_fields
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_connection import Http2Connection
from netlodge.http.wire.h2_events import Stream
from netlodge.http.wire.states import Role
from tests.fuzz.fuzz_h2 import CLIENT, SERVER, RuleBrokenError, check, fuzz
from tests.http.wire.h2_feeding import GET, headers

SETTINGS = CLIENT[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_no_rule_is_broken(seed: int) -> None:
    count = 700
    ended = fuzz(count, seed)
    assert count * 0.3 < ended < count * 0.9  # neither does everything pass nor nothing


@pytest.mark.parametrize(("role", "exchange"), [(Role.SERVER, CLIENT), (Role.CLIENT, SERVER)])
def test_the_exchanges_themselves_pass(role: Role, exchange: list[bytes]) -> None:
    assert not check(role, b"".join(exchange), exchange)


def test_a_codec_that_lets_a_line_end_pass_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h2_fields, "is_field_value", lambda value: True)
    octets = SETTINGS + headers(1, [*GET, ("x", "a\r\ntransfer-encoding: chunked")])
    with pytest.raises(RuleBrokenError):
        check(Role.SERVER, octets, [octets])


def test_a_codec_that_forgets_what_has_come_in_part_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Http2Codec.receive_data

    def forgetful(self: Http2Codec, data: bytes) -> None:
        self._buffer = b""
        original(self, data)

    octets = SETTINGS + headers(1)
    assert not check(Role.SERVER, octets, [octets[:-3], octets[-3:]])
    monkeypatch.setattr(Http2Codec, "receive_data", forgetful)
    with pytest.raises(RuleBrokenError):
        check(Role.SERVER, octets, [octets[:-3], octets[-3:]])


def test_a_codec_that_sends_more_than_it_may_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = SETTINGS + headers(1)
    assert not check(Role.SERVER, octets, [octets])
    original = Http2Codec.room

    def generous(self: Http2Codec, stream: Stream) -> int:
        return original(self, stream) + 1

    monkeypatch.setattr(Http2Codec, "room", generous)
    with pytest.raises(RuleBrokenError):
        check(Role.SERVER, octets, [octets])


def test_a_codec_that_loses_count_of_streams_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Http2Connection, "use_peer_id", lambda self, number: None)
    octets = SETTINGS + headers(1)
    with pytest.raises(RuleBrokenError):
        check(Role.SERVER, octets, [octets])
