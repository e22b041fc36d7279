"""The codec of the line services: every case is fed whole, octet by octet, and with more behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.lines.wire import (
    NEED_DATA,
    Event,
    Framing,
    InvalidText,
    LineCodec,
    Sentence,
    TooLong,
    read_whole,
    render,
)

Feed = Callable[[bytes], Iterable[bytes]]
WAYS: list[Feed] = [lambda octets: [octets], lambda octets: (octets[i : i + 1] for i in range(len(octets)))]


def events_of(codec: LineCodec) -> Iterator[Event]:
    while (event := codec.next_event()) is not NEED_DATA:
        yield event


def read(octets: Iterable[bytes], framing: Framing, line_size: int = 100) -> list[Event]:
    """The events of a stream that arrives in these segments and then ends."""
    codec = LineCodec(framing, line_size=line_size)
    events: list[Event] = []
    for segment in octets:
        codec.receive_data(segment)
        events += events_of(codec)
    last = codec.end_sentence(is_last=True)
    assert codec.is_empty
    return events if last is NEED_DATA else [*events, last]


CASES: list[tuple[str, bytes, list[Event]]] = [
    ("LF", b"abc\n", [Sentence("abc", "\n")]),
    ("CRLF", b"abc\r\n", [Sentence("abc", "\r\n")]),
    ("bare CR is text", b"a\rb\n", [Sentence("a\rb", "\n")]),
    ("CR CR LF", b"a\r\r\n", [Sentence("a\r", "\r\n")]),
    ("empty lines", b"\n\r\n", [Sentence("", "\n"), Sentence("", "\r\n")]),
    ("two lines", b"a\nb\r\n", [Sentence("a", "\n"), Sentence("b", "\r\n")]),
    ("the end of the stream ends a sentence", b"a\nbc", [Sentence("a", "\n"), Sentence("bc", "")]),
    ("a CR at the end of the stream is text", b"abc\r", [Sentence("abc\r", "")]),
    ("characters of two, three and four octets", "é€𝄞\n".encode(), [Sentence("é€𝄞", "\n")]),
    ("NUL and DEL are text", b"\0\x7f\n", [Sentence("\0\x7f", "\n")]),
    ("a wrong octet", b"ab\xffcd\n", [InvalidText(b"ab\xffcd", 2, "\n")]),
    ("goes on with the next line", b"\xff\r\nab\n", [InvalidText(b"\xff", 0, "\r\n"), Sentence("ab", "\n")]),
    ("RFC 3629 §3: no overlong form", b"\xc0\xaf\n", [InvalidText(b"\xc0\xaf", 0, "\n")]),
    ("RFC 3629 §3: no surrogates", b"\xed\xa0\x80\n", [InvalidText(b"\xed\xa0\x80", 0, "\n")]),
    ("RFC 3629 §3: nothing past U+10FFFF", b"\xf4\x90\x80\x80\n", [InvalidText(b"\xf4\x90\x80\x80", 0, "\n")]),
    ("a line that ends within a character", b"a\xc3\n", [InvalidText(b"a\xc3", 1, "\n")]),
    ("a stream that ends within a character", b"a\xe2\x82", [InvalidText(b"a\xe2\x82", 1, "")]),
    ("exactly the size", b"x" * 100 + b"\r\n", [Sentence("x" * 100, "\r\n")]),
    ("one too many", b"x" * 101 + b"\n", [TooLong(100, "\n")]),
    ("one too many, CRLF", b"x" * 101 + b"\r\nab\n", [TooLong(100, "\r\n"), Sentence("ab", "\n")]),
    ("far too many", b"x" * 1000 + b"\r\nab\n", [TooLong(100, "\r\n"), Sentence("ab", "\n")]),
    ("far too many, then the end", b"x" * 1000, [TooLong(100, "")]),
    ("too long is told before bad text", b"\xff" * 200 + b"\n", [TooLong(100, "\n")]),
]


class TestSentences:
    @pytest.mark.parametrize(("name", "octets", "expected"), CASES, ids=[name for name, _, _ in CASES])
    @pytest.mark.parametrize("feed", WAYS, ids=["whole", "octet by octet"])
    def test_tells_the_same_however_it_is_cut(
        self, feed: Feed, name: str, octets: bytes, expected: list[Event]
    ) -> None:
        assert read(feed(octets), Framing.SENTENCES) == expected

    @pytest.mark.parametrize(("name", "octets", "expected"), CASES, ids=[name for name, _, _ in CASES])
    def test_leaves_what_comes_behind_a_line(self, name: str, octets: bytes, expected: list[Event]) -> None:
        if octets.endswith(b"\n"):
            assert read([octets + b"more"], Framing.SENTENCES) == [*expected, Sentence("more", "")]

    def test_does_not_end_a_sentence_by_itself(self) -> None:
        codec = LineCodec(Framing.SENTENCES, line_size=100)
        codec.receive_data(b"a ban")
        assert codec.next_event() is NEED_DATA
        codec.receive_data(b"ana\n")
        assert codec.next_event() == Sentence("a banana", "\n")

    def test_ends_a_sentence_whose_sender_fell_silent(self) -> None:
        codec = LineCodec(Framing.SENTENCES, line_size=100)
        codec.receive_data(b"a banana")
        assert codec.next_event() is NEED_DATA
        assert codec.end_sentence(is_last=False) == Sentence("a banana", "")
        assert codec.is_empty
        assert codec.end_sentence(is_last=False) is NEED_DATA

    def test_silence_within_a_character_ends_nothing(self) -> None:
        codec = LineCodec(Framing.SENTENCES, line_size=100)
        codec.receive_data("é é".encode()[:-1])
        assert codec.next_event() is NEED_DATA
        assert codec.end_sentence(is_last=False) is NEED_DATA
        codec.receive_data("é".encode()[-1:])
        assert codec.end_sentence(is_last=False) == Sentence("é é", "")

    def test_silence_after_a_wrong_octet_ends_the_sentence(self) -> None:
        codec = LineCodec(Framing.SENTENCES, line_size=100)
        codec.receive_data(b"\xff")
        assert codec.next_event() is NEED_DATA
        assert codec.end_sentence(is_last=False) == InvalidText(b"\xff", 0, "")

    def test_silence_ends_what_was_too_long(self) -> None:
        codec = LineCodec(Framing.SENTENCES, line_size=10)
        codec.receive_data(b"x" * 50)
        assert codec.next_event() is NEED_DATA
        assert not codec.is_empty
        assert codec.end_sentence(is_last=False) == TooLong(10, "")
        assert codec.is_empty

    def test_holds_no_more_than_the_size_of_a_line(self) -> None:
        codec = LineCodec(Framing.SENTENCES, line_size=10)
        for _ in range(1000):
            codec.receive_data(b"x" * 100)
            assert codec.next_event() is NEED_DATA
            assert len(codec._buffer) <= 11


class TestText:
    def test_tells_a_line_that_is_not_whole_at_once(self) -> None:
        codec = LineCodec(Framing.TEXT, line_size=100)
        codec.receive_data(b"one\ntw")
        assert list(events_of(codec)) == [Sentence("one", "\n"), Sentence("tw", "")]
        codec.receive_data(b"o\r\n")
        assert list(events_of(codec)) == [Sentence("o", "\r\n")]

    def test_keeps_the_start_of_a_character_for_the_rest_of_it(self) -> None:
        first, second, third = (bytes([octet]) for octet in "€".encode())
        codec = LineCodec(Framing.TEXT, line_size=100)
        codec.receive_data(b"a" + first)
        assert list(events_of(codec)) == [Sentence("a", "")]
        codec.receive_data(second)
        assert list(events_of(codec)) == []
        assert codec.end_sentence(is_last=False) is NEED_DATA
        codec.receive_data(third + b"b")
        assert list(events_of(codec)) == [Sentence("€b", "")]

    def test_goes_on_after_bad_text_without_a_newline(self) -> None:
        codec = LineCodec(Framing.TEXT, line_size=100)
        codec.receive_data(b"a\xffb")
        assert list(events_of(codec)) == [InvalidText(b"a\xffb", 1, "")]
        codec.receive_data(b"next")
        assert list(events_of(codec)) == [Sentence("next", "")]

    def test_tells_a_character_that_the_end_cut_off(self) -> None:
        assert read([b"a\xe2\x82"], Framing.TEXT) == [Sentence("a", ""), InvalidText(b"\xe2\x82", 0, "")]

    def test_has_no_limit_on_a_line_because_it_keeps_none(self) -> None:
        codec = LineCodec(Framing.TEXT, line_size=1)
        codec.receive_data(b"x" * 1000)
        assert list(events_of(codec)) == [Sentence("x" * 1000, "")]
        assert not codec._buffer


class TestOctets:
    def test_tells_what_each_read_brought(self) -> None:
        assert read([b"\xff\0\n", b"\r\n"], Framing.OCTETS) == [Sentence("\xff\0\n", ""), Sentence("\r\n", "")]

    @given(st.binary())
    def test_sends_back_the_octets_it_read(self, octets: bytes) -> None:
        event = read_whole(octets, Framing.OCTETS, 0)
        assert isinstance(event, Sentence)
        assert render(event, Framing.OCTETS) == octets


class TestReplies:
    def test_bad_text_says_which_octet_and_what_to_send(self) -> None:
        assert InvalidText(b"ab\xff", 2, "").reply == "error: octet 3 (0xff) is not UTF-8; send the sentence as UTF-8"

    def test_too_long_names_the_limit(self) -> None:
        assert TooLong(100, "").reply == "error: the sentence is longer than 100 octets (limits.line_size)"


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """`octets` in segments, none of them empty."""
    bounds = [0, *sorted({place % (len(octets) + 1) for place in places}), len(octets)]
    return [octets[start:end] for start, end in pairwise(bounds) if start < end]


class TestProperties:
    @given(st.text(), st.lists(st.integers(0, 1 << 20)), st.sampled_from(Framing))
    def test_loses_nothing_of_any_text_however_it_is_cut(self, text: str, places: list[int], framing: Framing) -> None:
        events = read(cut(text.encode(), places), framing, line_size=1 << 20)
        assert b"".join(render(event, framing) for event in events if isinstance(event, Sentence)) == text.encode()

    @given(st.binary(), st.lists(st.integers(0, 1 << 20)), st.integers(1, 20))
    def test_sentences_are_the_same_however_any_octets_are_cut(
        self, octets: bytes, places: list[int], size: int
    ) -> None:
        whole = read([octets] if octets else [], Framing.SENTENCES, size)
        assert read(cut(octets, places), Framing.SENTENCES, size) == whole

    @given(st.binary(), st.lists(st.integers(0, 1 << 20)), st.sampled_from(Framing))
    def test_never_raises_and_always_comes_to_an_end(self, octets: bytes, places: list[int], framing: Framing) -> None:
        read(cut(octets, places), framing, line_size=7)
