from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Peer
from netlodge.core.records import Entry, LineRecord
from netlodge.lines.datagrams import LineDatagrams, clip, is_loopback
from netlodge.lines.services import SERVICES
from netlodge.lines.session import LineLimits

HERE = Peer("127.0.0.1", 50000)
ELSEWHERE = Peer("192.0.2.7", 50000)
DATE = b"Tuesday, November 14, 2023 22:13:20-UTC\r\n"


def service(name: str, journal: list[Entry] | None = None) -> LineDatagrams:
    return LineDatagrams(
        door=name,
        service=SERVICES[name],
        clock=FakeClock(),
        journal_append=(journal if journal is not None else []).append,
        limits=LineLimits(line_size=100, record_size=10),
    )


class TestAnswers:
    @pytest.mark.parametrize(
        ("name", "question", "answer"),
        [
            ("uppercase", b"hello", b"HELLO"),
            ("uppercase", b"hello\r\n", b"HELLO\r\n"),
            ("uppercase", b"two\nlines\n", b"TWO\nLINES\n"),
            ("uppercase", "grüße".encode(), "GRÜSSE".encode()),
            ("uppercase", b"", b""),
            ("count", b"a banana", b"3"),
            ("count", b"a banana\n", b"3\n"),
            ("echo", bytes(range(256)), bytes(range(256))),
            ("echo", b"", b""),
            ("discard", b"anything", None),
            ("daytime", b"", DATE),
            ("daytime", b"anything", DATE),
        ],
    )
    def test_one_datagram_is_one_question(self, name: str, question: bytes, answer: bytes | None) -> None:
        assert service(name).handle_datagram(question, HERE) == answer

    def test_bad_text_is_told(self) -> None:
        answer = service("uppercase").handle_datagram(b"\xff", HERE)
        assert answer == b"error: octet 1 (0xff) is not UTF-8; send the sentence as UTF-8"

    def test_the_limit_of_a_line_is_not_for_datagrams(self) -> None:
        assert service("count").handle_datagram(b"a " + b"a" * 60_000, HERE) == b"60000"

    def test_the_exchange_is_noted(self) -> None:
        journal: list[Entry] = []
        service("uppercase", journal).handle_datagram(b"a rather long one", HERE)
        [(when, peer, record)] = journal
        assert isinstance(record, LineRecord)
        assert (when, peer) == (FakeClock().wall, HERE)
        assert (record.door, record.transport, record.outcome) == ("uppercase", "udp", "complete")
        assert (record.question, record.answer) == (b"a rather l", b"A RATHER L")


class TestNobodyIsMadeToShoutAtAnother:
    @pytest.mark.parametrize(
        ("name", "question", "answer"),
        [
            ("uppercase", "ŉa".encode(), "ʼN".encode()),  # two octets become three
            ("uppercase", "ΐ".encode(), b"\xce\x99"),  # two octets become six: a capital iota and two marks
            ("uppercase", b"\xff" * 7, b"error: "),
            ("daytime", b"x" * 8, DATE[:8]),
            ("daytime", b"", None),
            ("uppercase", b"", b""),
            ("daytime", b"x" * 1000, DATE),
        ],
    )
    def test_a_peer_elsewhere_gets_no_more_than_it_sent(self, name: str, question: bytes, answer: bytes | None) -> None:
        assert service(name).handle_datagram(question, ELSEWHERE) == answer

    @given(st.one_of(st.binary(), st.text().map(str.encode)), st.sampled_from(sorted(SERVICES)))
    def test_whatever_it_sends_to_whichever_service(self, question: bytes, name: str) -> None:
        answer = service(name).handle_datagram(question, ELSEWHERE)
        assert answer is None or len(answer) <= len(question)

    @given(st.text(min_size=1), st.integers(0, 20))
    def test_the_cut_is_between_two_characters(self, text: str, size: int) -> None:
        piece = clip(text.encode(), size)
        if piece is None:
            assert len(text[0].encode()) > size
        else:
            assert text.startswith(piece.decode())
            assert len(piece) <= size

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("127.0.0.1", True),
            ("127.8.9.10", True),
            ("::1", True),
            ("192.0.2.7", False),
            ("128.0.0.1", False),
            ("::2", False),
        ],
    )
    def test_who_is_here(self, host: str, expected: bool) -> None:
        assert is_loopback(Peer(host, 1)) is expected
