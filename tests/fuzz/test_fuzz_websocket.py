"""The fuzzer of the WebSocket codec for a bounded count, and a check that it would notice."""

from __future__ import annotations

import pytest

from netlodge.http.wire import websocket
from tests.fuzz.fuzz_h1 import RuleBrokenError
from tests.fuzz.fuzz_websocket import check, fuzz
from tests.http.wire.websocket_feeding import frame


@pytest.mark.parametrize("seed", [1, 2])
def test_no_rule_is_broken(seed: int) -> None:
    count = 1500
    refused = fuzz(count, seed)
    assert count * 0.3 < refused < count * 0.9  # neither does everything pass nor nothing


def test_a_codec_that_forgets_how_far_the_mask_has_turned_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "rotated", lambda key, count: key)
    octets = frame(2, b"hello")
    with pytest.raises(RuleBrokenError):
        check(octets, [octets[:-2], octets[-2:]], None)
