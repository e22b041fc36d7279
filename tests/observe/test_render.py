from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.contracts import Peer
from netlodge.core.records import Record
from netlodge.observe.render import Renderer, duration, size
from netlodge.observe.tap import Gap
from tests.observe.samples import PEER, WALL, http_record, line_record


@pytest.fixture(autouse=True)
def _universal_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(record: Record, *, peer: Peer = PEER, is_verbose: bool = False) -> str:
    return Renderer(is_verbose=is_verbose).render((WALL, peer, record))


class TestOneLine:
    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({}, "20:55:36.250 127.0.0.1:50312 GET http://www.example.org:8080/page?x=1 200 5 B 312 us"),
            (
                {"is_recalled": True},
                "20:55:36.250 127.0.0.1:50312 GET http://www.example.org:8080/page?x=1 200 5 B 312 us recalled",
            ),
            (
                {"status": 0, "outcome": "aborted", "sent": 0, "elapsed": 2.5},
                "20:55:36.250 127.0.0.1:50312 GET http://www.example.org:8080/page?x=1 --- 0 B 2.50 s aborted",
            ),
            (
                {"method": "", "target": "", "status": 400, "outcome": "refused"},
                "20:55:36.250 127.0.0.1:50312 (no request) 400 5 B 312 us refused",
            ),
        ],
    )
    def test_an_http_exchange(self, changes: dict[str, object], line: str) -> None:
        assert shown(http_record(**changes)) == line

    def test_an_address_of_version_6_has_brackets(self) -> None:
        assert " [::1]:7 " in shown(http_record(), peer=Peer("::1", 7))

    def test_a_sentence(self) -> None:
        record = line_record(question="zürich\n".encode(), answer=b"Z\xff\n", outcome="refused")
        assert shown(record) == ('20:55:36.250 127.0.0.1:50312 uppercase/tcp "zürich\\x0a" -> "Z\\xff\\x0a" refused')

    def test_a_gap(self) -> None:
        assert Renderer().render(Gap(12)) == "... 12 exchanges went by faster than they could be shown"

    def test_colours_only_when_asked_for(self) -> None:
        coloured = Renderer(has_colour=True).render((WALL, PEER, http_record(status=503)))
        assert "\x1b[31m503\x1b[0m" in coloured
        assert re.sub(r"\x1b\[\d+m", "", coloured) == shown(http_record(status=503))


class TestVerbose:
    def test_heads_stand_as_on_the_wire(self) -> None:
        assert shown(http_record(), is_verbose=True).split("\n")[1:] == [
            "> GET /page?x=1 HTTP/1.1",
            "> Host: www.example.org:8080",
            "> User-Agent: curl/8.5.0",
            ">",
            "< HTTP/1.1 200 OK",
            "< Content-Type: text/plain; charset=utf-8",
            "< Content-Length: 5",
            "<",
            "  hello",
            "",
        ]

    def test_content_that_was_not_recorded_is_told(self) -> None:
        text = shown(http_record(response_body=b"a\nb", sent=1000), is_verbose=True)
        assert text.endswith("<\n  a\n  b\n  (997 B of content not recorded)\n")

    def test_a_message_that_was_no_request_is_shown(self) -> None:
        text = shown(http_record(method="", request_head=b"\x16\x03\x01"), is_verbose=True)
        assert "> \\x16\\x03\\x01" in text


@given(
    text=st.text(st.characters(max_codepoint=255)),
    octets=st.binary(),
    is_verbose=st.booleans(),
)
def test_no_control_character_reaches_the_terminal(text: str, octets: bytes, is_verbose: bool) -> None:
    record = http_record(
        method=text,
        target=text,
        host=text,
        outcome=text,
        request_head=octets,
        response_head=octets,
        response_body=octets,
    )
    for line in shown(record, is_verbose=is_verbose).split("\n"):
        assert line.isprintable()
    assert shown(line_record(question=octets, answer=octets, outcome=text)).isprintable()


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (9999, "9999 B"),
        (10_000, "9.77 KiB"),
        (1024 * 1000, "0.977 MiB"),
        (5 * 1024**3, "5 GiB"),
        (3 * 1024**5, "3.07e+03 TiB"),
    ],
)
def test_sizes(octets: int, text: str) -> None:
    assert size(octets) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0 us"), (0.00025, "250 us"), (0.0123, "12.3 ms"), (1.0, "1.00 s"), (75.5, "75.50 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
