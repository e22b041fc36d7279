"""The fuzzer of forms for a bounded count, and a check that it would notice."""

from __future__ import annotations

import pytest

from netlodge.http.wire.buffer import ReceiveBuffer
from tests.fuzz.fuzz_multipart import FORMS, check, fuzz


@pytest.mark.parametrize("seed", [1, 2])
def test_no_rule_is_broken(seed: int) -> None:
    count = 1500
    assert count * 0.2 < fuzz(count, seed) < count * 0.9  # neither does everything pass nor nothing


def test_a_parser_that_hands_on_half_a_delimiter_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReceiveBuffer, "take_before", lambda self, delimiter: self.take(len(self)))
    octets = FORMS[0]
    with pytest.raises(Exception, match=r"segmentation"):
        check(octets, [octets[i : i + 1] for i in range(len(octets))])
