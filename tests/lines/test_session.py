"""Scripts of exchanges with the line services, over a connection in memory and with a clock that the script moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Connection, Session
from netlodge.core.records import Entry, LineRecord
from netlodge.lines.services import SERVICES
from netlodge.lines.session import LINGER, TURN_EVENTS, TURN_OCTETS, LineLimits, LineSession, refuse
from netlodge.lines.wire import QUIET
from tests.fakes import MemoryConnection

LIMITS = LineLimits(line_size=100, line_timeout=60.0, record_size=10)


class Script:
    """A connection to one service: what arrives, what is sent, and the time between."""

    def __init__(self, service: str, limits: LineLimits = LIMITS) -> None:
        self.clock = FakeClock()
        self.connection = MemoryConnection(host="192.0.2.7")
        self.journal: list[Entry] = []
        connection: Connection = self.connection
        session: Session = LineSession(
            connection,
            door=service,
            service=SERVICES[service],
            clock=self.clock,
            journal_append=self.journal.append,
            limits=limits,
        )
        self.session = self.connection.session = session

    def say(self, data: bytes) -> bytes:
        """Deliver `data`, and return what is sent at once."""
        self.connection.deliver(data)
        return self.connection.take()

    def wait(self, seconds: float) -> bytes:
        """Let the time pass, sweep, and return what is sent."""
        self.clock.advance(seconds)
        self.session.sweep(self.clock.now)
        return self.connection.take()

    @property
    def records(self) -> list[LineRecord]:
        return [record for _, _, record in self.journal if isinstance(record, LineRecord)]


class TestUppercase:
    def test_answers_each_line_with_its_own_ending(self) -> None:
        script = Script("uppercase")
        assert script.say(b"hello\n") == b"HELLO\n"
        assert script.say(b"one\r\ntwo\n") == b"ONE\r\nTWO\n"

    def test_answers_a_sentence_without_a_newline_at_once_and_the_next_as_well(self) -> None:
        script = Script("uppercase")
        assert script.say(b"hello") == b"HELLO"
        assert script.say(b"again") == b"AGAIN"

    def test_puts_a_character_together_that_was_cut_in_two(self) -> None:
        script = Script("uppercase")
        assert script.say(b"gr\xc3") == b"GR"
        assert script.wait(QUIET) == b""
        assert script.say(b"\xbcn\n") == "ÜN\n".encode()

    def test_replies_to_bad_text_and_goes_on_with_the_next_line(self) -> None:
        script = Script("uppercase")
        assert script.say(b"a\xffb\r\nc\r\n") == (
            b"error: octet 2 (0xff) is not UTF-8; send the sentence as UTF-8\r\nC\r\n"
        )

    def test_replies_to_bad_text_without_a_newline_and_goes_on_with_the_next_sentence(self) -> None:
        script = Script("uppercase")
        assert script.say(b"\xff\xfe").startswith(b"error: octet 1 (0xff) is not UTF-8")
        assert script.say(b"better") == b"BETTER"


class TestCount:
    def test_answers_a_line_however_it_is_cut(self) -> None:
        script = Script("count")
        assert [script.say(bytes([octet])) for octet in b"a banana\r\n"][-1] == b"3\r\n"

    def test_answers_a_sentence_without_a_newline_when_its_sender_falls_silent(self) -> None:
        script = Script("count")
        assert script.say(b"a ban") == b""
        assert script.wait(QUIET / 2) == b""
        assert script.say(b"ana") == b""
        assert script.wait(QUIET / 2) == b""
        assert script.wait(QUIET / 2) == b"3"
        assert script.say(b"b banana") == b""
        assert script.wait(QUIET) == b"1"

    def test_says_what_it_expects(self) -> None:
        script = Script("count")
        assert script.say(b"banana\n") == b'error: expected a letter, a space and a sentence, as in "a banana"\n'
        assert script.say(b"a banana\n") == b"3\n"

    def test_refuses_a_line_over_the_limit_and_goes_on(self) -> None:
        script = Script("count")
        assert script.say(b"a " + b"a" * 1000) == b""
        assert script.say(b"\r\na a\n") == b"error: the sentence is longer than 100 octets (limits.line_size)\r\n1\n"


class TestTheOldServices:
    def test_rfc_862_echo_sends_back_any_octets(self) -> None:
        script = Script("echo")
        every = bytes(range(256))
        assert script.say(every) == every
        assert script.say(b"\n") == b"\n"

    def test_rfc_863_discard_sends_nothing(self) -> None:
        script = Script("discard")
        assert script.say(b"anything\n") == b""
        script.connection.hang_up()
        assert script.connection.take() == b""
        assert script.connection.is_closed

    def test_rfc_867_daytime_sends_the_date_and_ends_its_side(self) -> None:
        script = Script("daytime")
        assert script.connection.take() == b"Tuesday, November 14, 2023 22:13:20-UTC\r\n"
        assert script.connection.has_sent_eof
        assert not script.connection.is_closed, "to close on what the peer has sent would reset the connection"

    def test_rfc_867_daytime_throws_away_what_it_receives(self) -> None:
        script = Script("daytime")
        script.connection.take()
        assert script.say(b"what time is it?\n") == b""
        script.connection.hang_up()
        assert script.connection.is_closed

    def test_rfc_867_daytime_does_not_wait_for_ever_for_the_peer_to_close(self) -> None:
        script = Script("daytime")
        script.say(b"still here\n")
        script.wait(LINGER - 0.1)
        assert not script.connection.is_closed
        script.wait(0.1)
        assert script.connection.is_closed


class TestTheEndOfAConnection:
    def test_the_rest_is_answered_when_the_peer_ends_its_side(self) -> None:
        script = Script("count")
        assert script.say(b"a banana") == b""
        script.connection.hang_up()
        assert script.connection.take() == b"3"
        assert script.connection.has_sent_eof
        assert script.connection.is_closed

    def test_a_character_that_never_came_is_told(self) -> None:
        script = Script("uppercase")
        assert script.say(b"a\xe2\x82") == b"A"
        script.connection.hang_up()
        assert script.connection.take() == b"error: octet 1 (0xe2) is not UTF-8; send the sentence as UTF-8"
        assert script.connection.is_closed

    def test_a_peer_that_says_nothing_is_closed_after_the_timeout(self) -> None:
        script = Script("uppercase")
        script.say(b"hello")
        script.wait(59.9)
        assert not script.connection.is_closed
        script.wait(0.1)
        assert script.connection.is_closed
        assert not script.connection.is_aborted

    def test_a_peer_that_talks_is_not_closed(self) -> None:
        script = Script("echo")
        for _ in range(5):
            script.wait(59.9)
            assert script.say(b"x") == b"x"
        assert not script.connection.is_closed

    def test_a_connection_over_a_limit_is_told_which(self) -> None:
        assert (
            refuse("limits.connections")
            == b"error: too many connections (limits.connections); please come back later\r\n"
        )


def scenario(play: Callable[[Any], Awaitable[None]]) -> Callable[[Any], None]:
    """A test that needs a running loop."""

    def test(self: object) -> None:
        asyncio.run(play(self))  # type: ignore[arg-type]

    test.__doc__ = play.__doc__
    return test


async def turn() -> None:
    """Let the loop run what is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestBackpressure:
    @scenario
    async def test_a_peer_that_takes_nothing_is_not_read_either(self) -> None:
        script = Script("echo")
        script.connection.stall()
        assert script.say(b"one") == b"one"  # buffered by the connection
        assert script.connection.is_paused
        await turn()
        assert script.connection.is_paused
        script.connection.flow()
        await turn()
        assert not script.connection.is_paused
        assert script.say(b"two") == b"two"

    @scenario
    async def test_no_more_than_a_turn_is_answered_before_the_peer_took_it(self) -> None:
        script = Script("uppercase")
        script.connection.stall()
        answer = script.say(b"a\n" * (TURN_EVENTS * 3))
        assert answer == b"A\n" * TURN_EVENTS
        await turn()
        assert script.connection.take() == b""
        script.connection.flow()
        await turn()
        assert script.connection.take() == b"A\n" * (TURN_EVENTS * 2)
        assert not script.connection.is_paused

    @scenario
    async def test_others_have_their_turn_between_many_questions(self) -> None:
        script = Script("uppercase")
        assert script.say(b"\n" * (TURN_EVENTS + 1)) == b"\n" * TURN_EVENTS
        assert script.connection.is_paused
        await turn()
        assert script.connection.take() == b"\n"
        assert not script.connection.is_paused

    @scenario
    async def test_others_have_their_turn_between_long_questions(self) -> None:
        script = Script("uppercase")
        line = b"x" * (TURN_OCTETS // 2) + b"\n"
        assert script.say(line * 3) == line.upper() * 2
        await turn()
        assert script.connection.take() == line.upper()

    @scenario
    async def test_what_arrives_in_the_meantime_waits_its_turn(self) -> None:
        script = Script("uppercase")
        script.connection.stall()
        script.say(b"one")
        assert script.say(b"two") == b""
        script.connection.flow()
        await turn()
        assert script.connection.take() == b"TWO"

    @scenario
    async def test_the_end_of_the_peers_side_waits_for_the_answers(self) -> None:
        script = Script("uppercase")
        script.connection.stall()
        script.say(b"a\n" * (TURN_EVENTS + 1))
        script.connection.hang_up()
        assert not script.connection.is_closed
        script.connection.flow()
        await turn()
        assert script.connection.take() == b"A\n"
        assert script.connection.is_closed

    @scenario
    async def test_a_peer_that_takes_nothing_is_cut_off_after_the_timeout(self) -> None:
        script = Script("echo")
        script.connection.stall()
        script.say(b"one")
        await turn()
        script.wait(59.9)
        assert not script.connection.is_aborted
        script.wait(0.1)
        assert script.connection.is_aborted
        script.connection.vanish()
        await turn()

    @scenario
    async def test_a_peer_that_takes_slowly_is_not(self) -> None:
        script = Script("echo")
        script.connection.stall()
        script.say(b"one")
        for _ in range(5):
            script.connection.progress += 1
            script.wait(59.9)
        assert not script.connection.is_aborted
        script.connection.vanish()
        await turn()

    @scenario
    async def test_a_connection_that_ended_in_the_meantime_is_left_alone(self) -> None:
        script = Script("echo")
        script.connection.stall()
        script.say(b"one")
        script.connection.abort()
        await turn()
        assert script.connection.is_paused
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @scenario
    async def test_nothing_is_left_behind_by_a_peer_that_vanished(self) -> None:
        script = Script("echo")
        script.connection.stall()
        script.say(b"one")
        await turn()
        script.connection.vanish(ConnectionResetError())
        await turn()
        assert asyncio.all_tasks() == {asyncio.current_task()}


class TestRetirement:
    def test_at_once_closes_a_connection_at_rest(self) -> None:
        script = Script("uppercase")
        script.say(b"hello\n")
        script.session.retire(at_once=True)
        assert script.connection.has_sent_eof
        assert script.connection.is_closed

    def test_at_once_still_answers_the_sentence_under_way(self) -> None:
        script = Script("count")
        script.say(b"a ban")
        script.session.retire(at_once=True)
        assert not script.connection.is_closed
        assert script.say(b"ana\n") == b"3\n"
        script.wait(QUIET)
        assert script.connection.is_closed

    def test_at_once_does_not_wait_for_the_rest_of_a_sentence_for_ever(self) -> None:
        script = Script("count")
        script.say(b"a banana")
        script.session.retire(at_once=True)
        assert script.wait(QUIET) == b"3"
        assert script.connection.is_closed

    def test_on_reload_a_connection_at_rest_stays_until_its_next_exchange(self) -> None:
        script = Script("uppercase")
        script.session.retire(at_once=False)
        script.wait(30)
        assert not script.connection.is_closed
        assert script.say(b"hello\n") == b"HELLO\n"
        assert not script.connection.is_closed
        script.wait(QUIET)
        assert script.connection.is_closed

    def test_on_reload_a_text_that_flows_is_not_cut_off(self) -> None:
        script = Script("uppercase")
        script.session.retire(at_once=False)
        for _ in range(10):
            assert script.say(b"on and on ") == b"ON AND ON "
            script.wait(QUIET / 2)
        assert not script.connection.is_closed

    def test_a_daytime_that_lingers_goes_on_lingering(self) -> None:
        script = Script("daytime")
        script.session.retire(at_once=True)
        assert not script.connection.is_closed
        script.wait(LINGER)
        assert script.connection.is_closed


class TestRecords:
    def test_every_question_is_noted_with_its_answer(self) -> None:
        script = Script("uppercase")
        script.say(b"one\r\ntwo")
        [(when, peer, first), (_, _, second)] = script.journal
        assert isinstance(first, LineRecord)
        assert isinstance(second, LineRecord)
        assert (when, peer) == (script.clock.wall, script.connection.peer)
        assert (first.door, first.transport, first.question, first.answer) == (
            "uppercase",
            "tcp",
            b"one\r\n",
            b"ONE\r\n",
        )
        assert (second.question, second.answer, second.outcome) == (b"two", b"TWO", "complete")

    def test_a_record_keeps_a_bounded_part(self) -> None:
        script = Script("echo")
        script.say(b"x" * 1000)
        assert (script.records[0].question, script.records[0].answer) == (b"x" * 10, b"x" * 10)

    @pytest.mark.parametrize(("question", "kept"), [(b"\xff\n", b"\xff"), (b"x" * 200 + b"\n", b""), (b"?\n", b"?\n")])
    def test_what_was_refused_is_noted_as_refused(self, question: bytes, kept: bytes) -> None:
        script = Script("count")
        script.say(question)
        assert script.records[0].outcome == "refused"
        assert script.records[0].question == kept
        assert script.records[0].answer.startswith(b"error: ")
