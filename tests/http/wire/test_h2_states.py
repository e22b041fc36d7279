"""The table of stream states: what RFC 9113 §5.1 says in words, and obeyed by the codec for every (state, frame)."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import ConnectionFailed, Stream, StreamEnded
from netlodge.http.wire.h2_frames import ErrorCode
from netlodge.http.wire.h2_states import (
    CLOSED,
    IDLE,
    LOCAL_DONE,
    OPEN,
    REMOTE_DONE,
    RESERVED_LOCAL,
    RESERVED_REMOTE,
    TRANSITIONS,
    StreamState,
    StreamStep,
    mistake,
)
from netlodge.http.wire.hpack import encode_stateless
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role
from tests.http.wire.h2_feeding import (
    EH,
    ES,
    GET,
    OK,
    PING,
    PONG,
    POST,
    Frame,
    asked,
    client,
    data,
    headers,
    parsed,
    promise,
    reset,
    rested,
    server,
    taken,
    window,
)

S = StreamStep
SENDS = [step for step in StreamStep if step.name.startswith("SEND")]
RECEIVES = [step for step in StreamStep if step.name.startswith("RECEIVE")]


def after(*steps: StreamStep) -> StreamState:
    """Where an idle stream is after these steps."""
    state = IDLE
    for step in steps:
        state = TRANSITIONS[state, step]
    return state


class TestTheTable:
    """Sentence by sentence."""

    def test_names_every_state_and_step(self) -> None:
        assert {state for state, _ in TRANSITIONS} | set(TRANSITIONS.values()) == set(StreamState)
        assert {step for _, step in TRANSITIONS} == set(StreamStep)

    def test_idle(self) -> None:
        """ "Sending a HEADERS frame as a client, or receiving a HEADERS frame as a server, causes the stream to become "open"." A PUSH_PROMISE
        reserves it."""
        assert {step: state for (before, step), state in TRANSITIONS.items() if before is IDLE} == {
            S.SEND_HEADERS: OPEN,
            S.RECEIVE_HEADERS: OPEN,
            S.SEND_PROMISE: RESERVED_LOCAL,
            S.RECEIVE_PROMISE: RESERVED_REMOTE,
        }
        assert all(mistake(IDLE, step) == (True, ErrorCode.PROTOCOL_ERROR) for step in RECEIVES)

    def test_reserved_local(self) -> None:
        """ "The endpoint can send a HEADERS frame. This causes the stream to open in a "half-closed (remote)" state." "Either endpoint can
        send a RST_STREAM frame to cause the stream to become "closed"." "A PRIORITY or WINDOW_UPDATE frame MAY be received in this state." """
        assert {step: state for (before, step), state in TRANSITIONS.items() if before is RESERVED_LOCAL} == {
            S.SEND_HEADERS: REMOTE_DONE,
            S.SEND_RESET: CLOSED,
            S.RECEIVE_RESET: CLOSED,
            S.RECEIVE_WINDOW: RESERVED_LOCAL,
        }
        assert all(mistake(RESERVED_LOCAL, step) == (True, ErrorCode.PROTOCOL_ERROR) for step in RECEIVES)

    def test_reserved_remote(self) -> None:
        """ "Receiving a HEADERS frame causes the stream to transition to "half-closed (local)"." """
        assert {step: state for (before, step), state in TRANSITIONS.items() if before is RESERVED_REMOTE} == {
            S.RECEIVE_HEADERS: LOCAL_DONE,
            S.SEND_RESET: CLOSED,
            S.RECEIVE_RESET: CLOSED,
        }
        assert all(mistake(RESERVED_REMOTE, step) == (True, ErrorCode.PROTOCOL_ERROR) for step in RECEIVES)

    def test_open(self) -> None:
        """ "A stream in the "open" state may be used by both peers to send frames of any type." """
        assert {step for before, step in TRANSITIONS if before is OPEN} == set(StreamStep)
        assert after(S.RECEIVE_HEADERS, S.SEND_END) is LOCAL_DONE
        assert after(S.RECEIVE_HEADERS, S.RECEIVE_END) is REMOTE_DONE
        assert after(S.RECEIVE_HEADERS, S.SEND_RESET) is CLOSED
        assert after(S.RECEIVE_HEADERS, S.RECEIVE_RESET) is CLOSED

    def test_half_closed_local(self) -> None:
        """ "A stream that is in the "half-closed (local)" state cannot be used for sending frames other than WINDOW_UPDATE, PRIORITY, and
        RST_STREAM." "An endpoint can receive any type of frame in this state." """
        assert {step for before, step in TRANSITIONS if before is LOCAL_DONE} == {S.SEND_RESET, *RECEIVES}
        assert {step for step in RECEIVES if TRANSITIONS[LOCAL_DONE, step] is CLOSED} == {
            S.RECEIVE_END,
            S.RECEIVE_RESET,
        }

    def test_half_closed_remote(self) -> None:
        """ "A stream that is "half-closed (remote)" can be used by the endpoint to send frames of any type." "If an endpoint receives
        additional frames, other than WINDOW_UPDATE, PRIORITY, or RST_STREAM, for a stream that is in this state, it MUST respond with a stream
        error (Section 5.4.2) of type STREAM_CLOSED." """
        assert {step for before, step in TRANSITIONS if before is REMOTE_DONE} == {
            *SENDS,
            S.RECEIVE_RESET,
            S.RECEIVE_WINDOW,
        }
        for step in (S.RECEIVE_HEADERS, S.RECEIVE_DATA):
            assert mistake(REMOTE_DONE, step) == (False, ErrorCode.STREAM_CLOSED)

    def test_closed(self) -> None:
        """ "The "closed" state is the terminal state." """
        assert {step: state for (before, step), state in TRANSITIONS.items() if before is CLOSED} == {
            S.RECEIVE_RESET: CLOSED,
            S.RECEIVE_WINDOW: CLOSED,
        }
        for step in (S.RECEIVE_HEADERS, S.RECEIVE_DATA):
            assert mistake(CLOSED, step) == (True, ErrorCode.STREAM_CLOSED)

    def test_has_a_verdict_on_whatever_a_peer_does(self) -> None:
        for state, step in product(StreamState, RECEIVES):
            is_fatal, code = (False, ErrorCode.NO_ERROR) if (state, step) in TRANSITIONS else mistake(state, step)
            assert code in {ErrorCode.NO_ERROR, ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED}
            assert is_fatal or code is not ErrorCode.PROTOCOL_ERROR

    def test_a_promise_on_a_stream_that_cannot_carry_it_ends_the_connection(self) -> None:
        """§6.6."""
        assert [state for state in StreamState if (state, S.RECEIVE_PROMISE) in TRANSITIONS] == [IDLE, OPEN, LOCAL_DONE]
        for state in StreamState:
            assert mistake(state, S.RECEIVE_PROMISE) == (True, ErrorCode.PROTOCOL_ERROR)

    def test_a_reset_that_arrives_ends_every_stream(self) -> None:
        states = set(StreamState) - {IDLE}
        assert {TRANSITIONS[state, S.RECEIVE_RESET] for state in states} == {CLOSED}

    def test_every_state_can_be_reached_and_leads_to_the_end(self) -> None:
        reached = {IDLE}
        while new := {state for (before, _), state in TRANSITIONS.items() if before in reached} - reached:
            reached |= new
        assert reached == set(StreamState)
        ending = {CLOSED}
        while new := {before for (before, _), state in TRANSITIONS.items() if state in ending} - ending:
            ending |= new
        assert ending == set(StreamState)


# --- the codec ------------------------------------------------------------------------------------------------------------------

PUSHES = Http2Limits(takes_pushes=True)


def in_state(role: Role, state: StreamState) -> tuple[Http2Codec, Stream | None, int]:
    """A codec with a stream that came into `state` as streams do; the stream, if it still is one, and its number."""
    if role is Role.SERVER:
        codec = server()
        if state is IDLE:
            return codec, None, 1
        if state is RESERVED_LOCAL:
            codec.receive_data(headers(1, POST, EH))
            stream, _ = codec.promise(codec.streams[1], "GET", encode_stateless(GET))
            return rested(codec), stream, stream.stream_id
        codec.receive_data(headers(1, POST, EH | (ES if state in {REMOTE_DONE, CLOSED} else 0)))
        stream = codec.streams[1]
        if state in {LOCAL_DONE, CLOSED}:
            codec.send_head(stream, encode_stateless(OK), ends=True)
        return rested(codec), stream, 1
    codec = client(PUSHES)
    if state is IDLE:
        return codec, None, 1
    carrier = asked(codec, POST, ends=state in {LOCAL_DONE, CLOSED})
    if state is RESERVED_REMOTE:
        codec.receive_data(promise(1, 2))
        return rested(codec), codec.streams[2], 2
    if state in {REMOTE_DONE, CLOSED}:
        codec.receive_data(headers(1, OK))
    return rested(codec), carrier, 1


ARRIVALS = {
    S.RECEIVE_HEADERS: lambda role, number: headers(number, GET if role is Role.SERVER else OK, EH),
    S.RECEIVE_DATA: lambda role, number: data(number, b"a"),
    S.RECEIVE_END: lambda role, number: headers(number, GET if role is Role.SERVER else OK),
    S.RECEIVE_RESET: lambda role, number: reset(number),
    S.RECEIVE_PROMISE: lambda role, number: promise(number, 4),
    S.RECEIVE_WINDOW: lambda role, number: window(number, 1),
}
STATES = {
    Role.SERVER: [state for state in StreamState if state is not RESERVED_REMOTE],
    Role.CLIENT: [state for state in StreamState if state is not RESERVED_LOCAL],
}
PAIRS = [(role, state, step) for role in Role for state in STATES[role] for step in RECEIVES]


def outcome(sent: list[Frame]) -> tuple[bool, int] | None:
    """Whether the connection has ended, and the code of what was said; None if nothing was."""
    for one in sent:
        if one.kind == frames.GOAWAY:
            return True, int.from_bytes(one.payload[4:8], "big")
        if one.kind == frames.RST_STREAM:
            return False, int.from_bytes(one.payload, "big")
    return None


def expected(role: Role, state: StreamState, step: StreamStep) -> tuple[bool, int] | None:
    """What the text says of a frame that arrives."""
    if step is S.RECEIVE_PROMISE and role is Role.SERVER:
        return True, ErrorCode.PROTOCOL_ERROR  # "A client cannot push."
    if step is S.RECEIVE_HEADERS and role is Role.CLIENT and state is IDLE:
        return True, ErrorCode.PROTOCOL_ERROR  # only clients open streams with HEADERS
    if step is S.RECEIVE_END:
        step = S.RECEIVE_HEADERS
        if role is Role.CLIENT and state is IDLE:
            return True, ErrorCode.PROTOCOL_ERROR
        if role is Role.SERVER and state in {OPEN, LOCAL_DONE}:
            return False, ErrorCode.PROTOCOL_ERROR  # pseudo-fields in trailers
    elif role is Role.SERVER and step is S.RECEIVE_HEADERS and state in {OPEN, LOCAL_DONE}:
        return False, ErrorCode.PROTOCOL_ERROR  # a second head
    elif role is Role.CLIENT and step is S.RECEIVE_DATA and state in {OPEN, LOCAL_DONE}:
        return False, ErrorCode.PROTOCOL_ERROR  # content before the head
    if (state, step) in TRANSITIONS and not (state is IDLE and step is S.RECEIVE_PROMISE):
        return None
    return mistake(state, step)


@pytest.mark.parametrize(("role", "state", "step"), PAIRS, ids=lambda part: part.name)
def test_what_arrives_is_judged_by_the_table(role: Role, state: StreamState, step: StreamStep) -> None:
    codec, stream, number = in_state(role, state)
    assert (stream.state if stream else IDLE) is state
    codec.receive_data(ARRIVALS[step](role, number))
    verdict = outcome(parsed(codec.take_outgoing()))
    assert verdict == expected(role, state, step)
    codec.receive_data(PING)
    assert (PONG in codec.take_outgoing()) is (verdict is None or not verdict[0])
    if verdict is None and stream is not None:
        moved = TRANSITIONS[state, S.RECEIVE_HEADERS if step is S.RECEIVE_END else step]
        assert stream.state is (TRANSITIONS[moved, S.RECEIVE_END] if step is S.RECEIVE_END else moved)
    assert (number in codec.streams) is (stream is not None and stream.state is not CLOSED) or state is IDLE


def send(codec: Http2Codec, stream: Stream, step: StreamStep) -> bytes:
    if step is S.SEND_HEADERS:
        return codec.send_head(stream, encode_stateless(OK), ends=False)
    if step is S.SEND_DATA:
        return codec.send_data(stream, b"a", ends=False)
    if step is S.SEND_END:
        return codec.send_data(stream, b"", ends=True)
    if step is S.SEND_PROMISE:
        return codec.promise(stream, "GET", encode_stateless(GET))[1]
    return codec.reset(stream, ErrorCode.CANCEL)


SENT = [(role, state, step) for role in Role for state in STATES[role] for step in SENDS if state is not IDLE]


@pytest.mark.parametrize(("role", "state", "step"), SENT, ids=lambda part: part.name)
def test_what_the_table_does_not_have_is_not_sent(role: Role, state: StreamState, step: StreamStep) -> None:
    codec, stream, number = in_state(role, state)
    assert stream is not None
    known = set(codec.streams)
    is_possible = (state, step) in TRANSITIONS and not (step is S.SEND_PROMISE and role is Role.CLIENT)
    if is_possible:
        sent = parsed(send(codec, stream, step))
        assert [one.stream_id for one in sent] == [number]
        assert stream.state is TRANSITIONS[state, step]
        assert (number in codec.streams) is (stream.state is not CLOSED)
    elif step is S.SEND_RESET:
        assert send(codec, stream, step) == b""  # it is over already
    else:
        with pytest.raises(SendError):
            send(codec, stream, step)
        assert stream.state is state
        assert set(codec.streams) == known


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(Role),
    st.lists(st.tuples(st.sampled_from(StreamStep), st.sampled_from([1, 2, 3, 4])), min_size=1, max_size=20),
)
def test_any_walk_stays_within_the_table(role: Role, walk: list[tuple[StreamStep, int]]) -> None:
    """Whatever is sent and received in whatever order: each stream moves along the table, and nothing but `SendError` is raised."""
    codec = server() if role is Role.SERVER else client(PUSHES)
    if role is Role.CLIENT:
        asked(codec, POST, ends=False)
    seen: dict[int, Stream] = {}
    for step, number in walk:
        seen |= codec.streams
        before = {key: stream.state for key, stream in seen.items()}
        if step in SENDS:
            if number not in seen:
                continue
            try:
                send(codec, seen[number], step)
            except SendError:
                assert {key: stream.state for key, stream in seen.items()} == before
        else:
            codec.receive_data(ARRIVALS[step](role, number))
            codec.take_outgoing()
            events = taken(codec)
            ended = {event.stream.stream_id for event in events if isinstance(event, StreamEnded)}
            if any(isinstance(event, ConnectionFailed) for event in events):
                return
            assert all(seen[key].state is CLOSED for key in ended & set(seen))
        for key, stream in seen.items():
            assert may_follow(before[key], stream.state)
            assert (key in codec.streams) is (stream.state is not CLOSED)
        assert codec.theirs == sum(codec.is_theirs(key) for key in codec.streams)


def may_follow(before: StreamState, then: StreamState) -> bool:
    """True if `then` is `before`, or one or two steps of the table away (a frame may bear END_STREAM)."""
    near = {before} | {state for (start, _), state in TRANSITIONS.items() if start is before}
    return then in near | {state for (start, _), state in TRANSITIONS.items() if start in near}


def test_a_walk_can_fail() -> None:
    assert not may_follow(CLOSED, OPEN)
    assert not may_follow(REMOTE_DONE, LOCAL_DONE)
