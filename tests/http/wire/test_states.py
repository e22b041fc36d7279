"""The tables of states: closed, reachable, and obeyed by the codec for every (state, event)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netlodge.http.message import Fields, MessageError
from netlodge.http.wire.h1 import (
    ConnectionClosed,
    Data,
    EndOfMessage,
    Event,
    Http1Codec,
    InformationalHead,
    RequestHead,
    ResponseHead,
    Role,
    SendError,
    State,
)
from netlodge.http.wire.states import STREAMS, TRANSITIONS, Step
from tests.http.malformed import CHUNKS, request
from tests.http.wire.feeding import LIMITS, outcome

HOST = ("host", "example.org")
EVENTS: dict[Step, list[Event]] = {
    Step.REQUEST: [
        RequestHead("GET", "/", fields=Fields([HOST])),
        RequestHead("PUT", "/", fields=Fields([HOST]), is_chunked=True),
        RequestHead("GET", "/", fields=Fields([HOST, ("connection", "close")])),
        RequestHead("CONNECT", "a:1", fields=Fields([HOST])),
    ],
    Step.INFORMATIONAL: [InformationalHead(103)],
    Step.RESPONSE: [
        ResponseHead(204),
        ResponseHead(200),
        ResponseHead(200, fields=Fields([("content-length", "1")])),
        ResponseHead(200, fields=Fields([("content-length", "0"), ("connection", "close")])),
        ResponseHead(101, fields=Fields([("upgrade", "x")])),
    ],
    Step.DATA: [Data(b"a")],
    Step.END: [EndOfMessage()],
    Step.CLOSE: [ConnectionClosed()],
}
ARRIVALS = {
    Role.SERVER: [
        request(),
        request(b"Connection: close"),
        request(b"Content-Length: 1", body=b"a"),
        request(b"Transfer-Encoding: chunked", body=CHUNKS[:4]),
        request(b"Connection: upgrade", b"Upgrade: x"),
        request(line=b"CONNECT a:1 HTTP/1.1"),
        b"GET / HTTP/1.0\r\n\r\n",
        b"llo\r\n0\r\n\r\n",
        b"\r\n",
    ],
    Role.CLIENT: [
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
        b"a",
    ],
}


def test_the_tables_name_every_state_and_step() -> None:
    assert {state for _, state, _ in TRANSITIONS} | set(TRANSITIONS.values()) == set(State)
    assert {step for _, _, step in TRANSITIONS} == set(Step)
    assert sum(map(len, STREAMS.values())) == len(TRANSITIONS)


@pytest.mark.parametrize("role", Role)
def test_every_state_can_be_reached(role: Role) -> None:
    reached = {State.IDLE}
    while new := {after for (before, _), after in STREAMS[role].items() if before in reached} - reached:
        reached |= new
    assert reached == set(State)


@pytest.mark.parametrize("role", Role)
def test_from_the_end_nothing_leads_back(role: Role) -> None:
    ends = {State.CLOSED, State.BROKEN}
    assert all(after in ends | {State.TUNNEL} for (before, _), after in STREAMS[role].items() if before in ends)
    assert not any(before is State.TUNNEL for before, _ in STREAMS[role])


@pytest.mark.parametrize("role", Role)
def test_only_done_begins_again(role: Role) -> None:
    assert [before for (before, step) in STREAMS[role] if step is Step.NEXT] == [State.DONE]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("ours", State)
@pytest.mark.parametrize("step", EVENTS, ids=str)
def test_what_the_table_does_not_have_cannot_be_sent(role: Role, ours: State, step: Step) -> None:
    """Every (state, event): sent if the table has it and the head may be sent as such, else refused with nothing changed."""
    for event in EVENTS[step]:
        codec = Http1Codec(role, LIMITS)
        if role is Role.SERVER:
            outcome_ready(codec)
        codec.our_state = ours
        if isinstance(event, ResponseHead) and event.status == 101:
            continue  # needs an offer: see test_h1
        if isinstance(event, Data):
            codec.our_state = State.IDLE
            codec.send(EVENTS[Step.REQUEST][1] if role is Role.CLIENT else ResponseHead(200))
            codec.our_state = ours
        after = STREAMS[role].get((ours, step))
        if after is None:
            with pytest.raises(SendError):
                codec.send(event)
            assert codec.our_state is ours
        else:
            codec.send(event)
            assert codec.our_state in {after, STREAMS[role].get((after, Step.RETIRE), after)}


def outcome_ready(codec: Http1Codec) -> None:
    codec.receive_data(request())
    codec.next_event()
    codec.next_event()


actions = st.one_of(
    st.tuples(st.just("send"), st.sampled_from([event for events in EVENTS.values() for event in events])),
    st.tuples(st.just("receive"), st.integers(0, 8)),
    st.tuples(st.sampled_from(["eof", "next"]), st.none()),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(Role), st.lists(actions, max_size=25))
def test_any_walk_stays_within_the_table(role: Role, walk: list[tuple[str, object]]) -> None:
    """Whatever is sent and received in whatever order, both streams move along the tables, and nothing but their two errors is raised."""
    codec = Http1Codec(role, LIMITS)
    arrivals = ARRIVALS[role]
    for action, argument in walk:
        before = codec.our_state, codec.their_state
        try:
            if action == "send":
                codec.send(argument)  # type: ignore[arg-type]
            elif action == "receive":
                codec.receive_data(arrivals[argument % len(arrivals)])  # type: ignore[operator]
                codec.next_event()
            elif action == "eof":
                codec.receive_eof()
                codec.next_event()
            else:
                codec.start_next_cycle()
        except SendError:
            assert (codec.our_state, codec.their_state) == before
        except MessageError:
            assert codec.their_state is State.BROKEN
        assert may_follow(role, before[0], codec.our_state)
        assert may_follow(role.peer, before[1], codec.their_state)
        assert codec.their_state is not State.BROKEN or not codec.is_persistent


def may_follow(role: Role, before: State, after: State) -> bool:
    """True if `after` is `before`, or one or two steps of the table away (a head that answers nobody retires its stream at once)."""
    near = {before} | {state for (start, _), state in STREAMS[role].items() if start is before}
    return after in near | {state for (start, _), state in STREAMS[role].items() if start in near}


def test_an_exchange_moves_both_streams_as_the_text_says() -> None:
    codec = Http1Codec(Role.SERVER, LIMITS)
    seen = [(codec.our_state, codec.their_state)]
    for act in (
        lambda: codec.receive_data(request(b"Content-Length: 1", body=b"a")),
        codec.next_event,
        codec.next_event,
        codec.next_event,
        lambda: codec.send(ResponseHead(204)),
        lambda: codec.send(EndOfMessage()),
        codec.start_next_cycle,
    ):
        act()
        seen.append((codec.our_state, codec.their_state))
    idle, body, done = State.IDLE, State.BODY, State.DONE
    assert seen == [(idle, idle)] * 2 + [(idle, body)] * 2 + [(idle, done), (body, done), (done, done), (idle, idle)]


def test_a_walk_can_fail() -> None:
    assert not may_follow(Role.CLIENT, State.TUNNEL, State.IDLE)
    assert outcome(Http1Codec(Role.SERVER, LIMITS), [b"x\r\n"])[1] is not None
