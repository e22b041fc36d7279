"""What holds for the WebSocket codec whatever is sent: round trips, any segmentation, no error but its own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netlodge.http.wire.states import Role
from netlodge.http.wire.websocket import WebSocketCodec
from netlodge.http.wire.websocket_deflate import Deflate
from netlodge.http.wire.websocket_events import Binary, Close, Event, Ping, Pong, Text
from netlodge.http.wire.websocket_states import TRANSITIONS, State
from tests.http.wire.websocket_feeding import frame, outcome, server

CHARACTERS = st.characters(exclude_categories=["Cs"])
MESSAGES = st.one_of(
    st.builds(Text, st.text(CHARACTERS, max_size=300)),
    st.builds(Text, st.text("ab", max_size=300)),
    st.builds(Binary, st.binary(max_size=300)),
)
CONTROLS = st.one_of(st.builds(Ping, st.binary(max_size=125)), st.builds(Pong, st.binary(max_size=125)))
CLOSES = st.one_of(
    st.just(Close()), st.builds(Close, st.sampled_from([1000, 1001, 3000, 4999]), st.text(CHARACTERS, max_size=30))
)
DEFLATES = st.none() | st.builds(Deflate, st.integers(9, 15), st.integers(9, 15), st.booleans(), st.booleans())


def mirrored(deflate: Deflate | None) -> Deflate | None:
    if deflate is None:
        return None
    return Deflate(
        deflate.their_window_bits, deflate.our_window_bits, deflate.they_keep_context, deflate.we_keep_context
    )


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(octets) + 1) for place in places)
    return [octets[a:b] for a, b in zip([0, *ends], [*ends, len(octets)], strict=True)]


@settings(max_examples=150, deadline=None)
@given(
    role=st.sampled_from(Role),
    deflate=DEFLATES,
    messages=st.lists(st.tuples(MESSAGES, st.integers(1, 400), st.none() | CONTROLS), max_size=8),
    close=st.none() | CLOSES,
    places=st.lists(st.integers(0, 1 << 16), max_size=20),
)
def test_what_one_end_sends_the_other_reads(
    role: Role,
    deflate: Deflate | None,
    messages: list[tuple[Text | Binary, int, Ping | Pong | None]],
    close: Close | None,
    places: list[int],
) -> None:
    sender = WebSocketCodec(role, message_limit=2000, deflate=deflate)
    receiver = WebSocketCodec(role.peer, message_limit=2000, deflate=mirrored(deflate))
    octets = b""
    expected: list[Event] = []
    for message, size, control in messages:
        frames = sender.fragments(message, size)
        octets += next(frames)
        if control is not None:
            octets += sender.send(control)
        rest = b"".join(frames)
        octets += rest
        between: list[Event] = [] if control is None else [control]
        expected += [*between, message] if rest else [message, *between]
    if close is not None:
        octets += sender.send(close)
        expected.append(close)
    assert outcome(receiver, cut(octets, places)) == (expected, None)
    assert receiver.their_state is sender.our_state


FRAMES = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=130),
    fin=st.booleans(),
    bits=st.sampled_from([0, 0, 0, 0x40, 0x20, 0x10]),
    key=st.binary(min_size=4, max_size=4),
)


@settings(max_examples=150, deadline=None)
@given(
    octets=st.lists(FRAMES, max_size=6).map(b"".join) | st.binary(max_size=100),
    deflate=DEFLATES,
    places=st.lists(st.integers(0, 1000), max_size=10),
)
def test_whatever_comes_is_events_or_a_refusal_in_any_segmentation(
    octets: bytes, deflate: Deflate | None, places: list[int]
) -> None:
    events, error = outcome(server(limit=200, deflate=deflate), [octets])
    others, refusal = outcome(server(limit=200, deflate=deflate), cut(octets, places))
    assert others == events
    assert (error is None) == (refusal is None)
    if error is not None and refusal is not None and deflate is None:  # else several faults may be in one message
        assert error.code == refusal.code


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAMES, max_size=6).map(b"".join) | st.binary(max_size=300))
def test_what_waits_is_at_most_a_head_or_a_control_frame(octets: bytes) -> None:
    codec = server(limit=64)
    outcome(codec, [octets])
    assert codec.buffered < 14 + 125


@pytest.mark.parametrize("state", [State.CLOSED, State.BROKEN])
def test_nothing_leads_out_of_the_end(state: State) -> None:
    assert not [step for origin, step in TRANSITIONS if origin is state]
