from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.lines.services import SERVICES, Count, Daytime, Discard, Echo, Response, SentenceError, Uppercase, respond
from netlodge.lines.wire import InvalidText, Sentence, TooLong

SECOND = 1_700_000_000


class TestUppercase:
    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ("hello", "HELLO"),
            ("", ""),
            ("grüße", "GRÜSSE"),
            ("ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"),  # a final sigma has the same capital
            ("e\u0301", "E\u0301"),
            ("ﬁn", "FIN"),
            ("日本 123 ☃", "日本 123 ☃"),
        ],
    )
    def test_answers_in_capitals(self, text: str, answer: str) -> None:
        assert Uppercase().answer(text, SECOND) == answer

    @given(st.text(), st.text())
    def test_the_answer_to_a_text_is_the_answers_to_its_pieces(self, first: str, second: str) -> None:
        answer = Uppercase().answer
        assert answer(first + second, SECOND) == answer(first, SECOND) + answer(second, SECOND)


class TestCount:
    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            ("a banana", "3"),
            ("z banana", "0"),
            ("A Anna", "1"),
            ("a ", "0"),
            ("a a", "1"),
            ("  a b ", "2"),  # two spaces: the letter is the space
            ("é été", "2"),
            ("e\u0301 été", "2"),
            ("é e\u0301te\u0301", "2"),
            ("e e\u0301", "0"),
            ("𝄞 𝄞𝄞", "2"),
        ],
    )
    def test_counts_the_letter_in_the_sentence(self, question: str, answer: str) -> None:
        assert Count().answer(question, SECOND) == answer

    @pytest.mark.parametrize("question", ["", "a", "banana", "ab banana", "a\tbanana"])
    def test_says_what_it_expected(self, question: str) -> None:
        with pytest.raises(SentenceError, match=r'^expected a letter, a space and a sentence, as in "a banana"$'):
            Count().answer(question, SECOND)


class TestTheOldServices:
    def test_rfc_862_echo_answers_the_question(self) -> None:
        assert Echo().answer("\xff\0", SECOND) == "\xff\0"

    def test_rfc_863_discard_answers_nothing(self) -> None:
        assert SERVICES["discard"].answer("anything", SECOND) is None

    def test_rfc_867_daytime_is_one_line_of_ascii(self) -> None:
        assert Daytime().answer("anything", SECOND) == "Tuesday, November 14, 2023 22:13:20-UTC\r\n"

    def test_rfc_867_daytime_does_not_pad_the_day(self) -> None:
        assert Daytime().answer("", 0) == "Thursday, January 1, 1970 00:00:00-UTC\r\n"


class TestRespond:
    def test_the_answer_ends_as_the_question_did(self) -> None:
        assert respond(Uppercase(), Sentence("a", "\r\n"), SECOND) == Response(Sentence("A", "\r\n"), "complete")

    def test_silence_is_complete(self) -> None:
        assert respond(Discard(), Sentence("a", ""), SECOND) == Response(None, "complete")

    def test_a_sentence_of_the_wrong_form_is_refused_in_words(self) -> None:
        response = respond(Count(), Sentence("?", "\n"), SECOND)
        assert response.outcome == "refused"
        assert response.sentence == Sentence('error: expected a letter, a space and a sentence, as in "a banana"', "\n")

    @pytest.mark.parametrize("event", [InvalidText(b"\xff", 0, "\n"), TooLong(9, "\n")])
    def test_what_is_no_sentence_is_refused_in_words(self, event: InvalidText | TooLong) -> None:
        assert respond(Uppercase(), event, SECOND) == Response(Sentence(event.reply, "\n"), "refused")

    def test_the_services_of_the_settings(self) -> None:
        assert sorted(SERVICES) == ["count", "daytime", "discard", "echo", "uppercase"]
