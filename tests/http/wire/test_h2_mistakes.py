"""Every case of the table comes to the outcome that stands there, in every segmentation and whatever follows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_events import ConnectionFailed, Http2Event, RequestReceived, StreamEnded
from netlodge.http.wire.h2_frames import ErrorCode
from netlodge.http.wire.hpack import encode_stateless
from tests.http.h2_mistakes import CASES, Answer, Case, Connection, Goaway, OfStream, Reset, Step, Taken
from tests.http.wire.feeding import SEGMENTATIONS, in_halves, octet_by_octet, whole
from tests.http.wire.h2_feeding import OK, PING, PONG, Frame, described, parsed, server, taken

Segmentation = Callable[[bytes], list[bytes]]


def label(case: object) -> str:
    return f"{case.section} {case.name}" if isinstance(case, Case) else getattr(case, "__name__", "")


class Outcome:
    """What a codec did with a script."""

    def __init__(self) -> None:
        self.codec = server()
        self.events: list[Http2Event] = []
        self.sent: list[Frame] = []
        """By itself: the answers of a script are not among it."""

    def run(self, script: tuple[Step, ...], segmentation: Segmentation = whole) -> Outcome:
        for step in script:
            if isinstance(step, bytes):
                for segment in segmentation(step):
                    self.codec.receive_data(segment)
                self.events += taken(self.codec)
                self.sent += parsed(self.codec.take_outgoing())
            else:
                act(self.codec, step)
        return self

    @property
    def lives(self) -> bool:
        """Whether the connection is still there."""
        self.codec.receive_data(PING)
        return PONG in self.codec.take_outgoing()


def act(codec: Http2Codec, step: Answer | Reset | Goaway) -> None:
    if isinstance(step, Answer):
        codec.send_head(codec.streams[step.stream_id], encode_stateless(OK), ends=True)
    elif isinstance(step, Reset):
        codec.reset(codec.streams[step.stream_id], ErrorCode.CANCEL)
    else:
        codec.goaway(ErrorCode.NO_ERROR)


def resets(sent: list[Frame]) -> list[tuple[int, int]]:
    return [(one.stream_id, int.from_bytes(one.payload, "big")) for one in sent if one.kind == frames.RST_STREAM]


def goaways(sent: list[Frame]) -> list[int]:
    return [int.from_bytes(one.payload[4:8], "big") for one in sent if one.kind == frames.GOAWAY]


@pytest.mark.parametrize("segmentation", SEGMENTATIONS, ids=label)
@pytest.mark.parametrize("case", CASES, ids=label)
def test_a_case_comes_to_its_outcome(case: Case, segmentation: Segmentation) -> None:
    done = Outcome().run(case.script, segmentation)
    failures = [event.code for event in done.events if isinstance(event, ConnectionFailed)]
    ours = [
        (event.stream.stream_id, event.code)
        for event in done.events
        if isinstance(event, StreamEnded) and event.is_ours
    ]
    if isinstance(case.outcome, Connection):
        assert goaways(done.sent) == failures == [case.outcome.code]
        assert done.sent[-1].kind == frames.GOAWAY
        assert not done.lives
    elif isinstance(case.outcome, OfStream):
        assert resets(done.sent) == [case.outcome]
        assert ours in ([case.outcome], [])  # nobody was told of a stream that was refused
        assert not goaways(done.sent)
        assert done.lives
        assert case.outcome.stream_id not in done.codec.streams
    else:
        assert isinstance(case.outcome, Taken)
        assert not resets(done.sent)
        assert not goaways(done.sent)
        assert not failures
        assert done.lives


@pytest.mark.parametrize("case", CASES, ids=label)
def test_a_case_reads_the_same_in_every_segmentation(case: Case) -> None:
    one, *others = [Outcome().run(case.script, segmentation) for segmentation in (whole, octet_by_octet, in_halves)]
    for other in others:
        assert described(other.events) == described(one.events)
        assert other.sent == one.sent
    joined = Outcome().run((b"".join(step for step in case.script if isinstance(step, bytes)),))
    if all(isinstance(step, bytes) for step in case.script):
        assert described(joined.events) == described(one.events)
        assert joined.sent == one.sent


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.outcome, Connection)], ids=label)
def test_after_the_end_of_a_connection_nothing_is_read(case: Case) -> None:
    done = Outcome().run((*case.script, PING + PING, frames.goaway_frame(0, 0)))
    assert [type(event) for event in done.events].count(ConnectionFailed) == 1
    assert isinstance(done.events[-1], ConnectionFailed)
    assert done.sent[-1].kind == frames.GOAWAY


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.section in {"9113 §8.2.1", "9113 §8.3", "9113 §8.3.1"}], ids=label
)
def test_a_request_that_is_none_is_never_seen(case: Case) -> None:
    done = Outcome().run(case.script)
    requests = [event for event in done.events if isinstance(event, RequestReceived)]
    trailers = case.name.endswith("trailers")
    assert len(requests) == (1 if trailers or isinstance(case.outcome, Taken) else 0)


def test_the_table_has_every_kind_of_outcome_for_every_kind_of_frame() -> None:
    """A table that says too little is noticed."""
    sections = {case.section for case in CASES}
    assert {f"9113 §6.{number}" for number in range(1, 11)} <= sections
    assert {type(case.outcome) for case in CASES} == {Connection, OfStream, Taken}
    assert len({(case.section, case.name) for case in CASES}) == len(CASES)
