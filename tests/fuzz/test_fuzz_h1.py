"""The fuzzer of the HTTP/1.1 codec for a bounded count, and a check that it would notice."""

from __future__ import annotations

import pytest

from netlodge.http.wire import h1
from netlodge.http.wire.h1 import Role
from tests.fuzz.fuzz_h1 import RuleBrokenError, check, fuzz
from tests.http.malformed import request


@pytest.mark.parametrize("seed", [1, 2])
def test_no_rule_is_broken(seed: int) -> None:
    count = 1500
    refused = fuzz(count, seed)
    assert count * 0.3 < refused < count * 0.9  # neither does everything pass nor nothing


def test_a_codec_that_reads_two_messages_into_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h1, "request_length", lambda fields, version: 0)
    octets = request(b"Content-Length: 5", body=b"hello")
    with pytest.raises(RuleBrokenError):
        check(Role.SERVER, octets + request(), [octets[:-5], b"hello" + request()], eof=False)
