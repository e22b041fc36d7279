"""What holds for any octets and any frames on an HTTP/2 connection: one outcome for every segmentation, no error but the codec's own, windows that
are kept by both sides, and agreement with a plain model of streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import (
    ConnectionFailed,
    DataReceived,
    MessageEnded,
    RequestReceived,
    ResponseReceived,
    Stream,
    StreamEnded,
)
from netlodge.http.wire.h2_frames import ErrorCode, Setting, frame
from netlodge.http.wire.hpack import Field, encode_stateless
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role
from tests.http.h2_mistakes import CASES
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
    described,
    headers,
    parsed,
    priority,
    reset,
    rested,
    server,
    setting,
    taken,
    window,
)

PUSHES = Http2Limits(takes_pushes=True)
CUTS = st.lists(st.integers(0, 2000), max_size=10)


def cut(octets: bytes, cuts: list[int]) -> list[bytes]:
    """`octets` in segments that begin at the given places."""
    places = [0, *sorted({place % (len(octets) + 1) for place in cuts}), len(octets)]
    return [octets[a:b] for a, b in pairwise(places)]


# --- any octets -----------------------------------------------------------------------------------------------------------------

PIECES = sorted({step for case in CASES for step in case.script if isinstance(step, bytes) and len(step) < 400})
BLOCKS = [encode_stateless(fields) for fields in (GET, POST, OK, [("x", "y")], [*GET, ("cookie", "a=b")])]
FRAMES = st.builds(
    frame,
    st.integers(0, 17),
    st.sampled_from([0, ES, EH, EH | ES, 0x08, 0x20, 0x2D, 0xFF]),
    st.sampled_from([0, 1, 1, 1, 2, 3, 5, 1 << 31, (1 << 31) - 1]),
    st.one_of(st.sampled_from([b"", *BLOCKS, b"\0\0\0\2" + BLOCKS[0], b"\0\0\0\1", b"\0" * 8]), st.binary(max_size=30)),
)
WIRE = st.lists(st.one_of(FRAMES, st.sampled_from(PIECES), st.binary(max_size=12)), max_size=12).map(b"".join)


def codec_of(role: Role) -> Http2Codec:
    codec = server() if role is Role.SERVER else client(PUSHES)
    if role is Role.CLIENT:
        asked(codec, POST, ends=False)
        asked(codec)
        codec.take_outgoing()
    return codec


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(Role), WIRE, CUTS)
def test_segmentation_does_not_change_what_is_read(role: Role, octets: bytes, cuts: list[int]) -> None:
    """Nothing is raised; the events, and what is said in answer, are the same however the octets arrive."""
    readings = []
    for segments in ([octets], cut(octets, cuts), [octets[at : at + 1] for at in range(len(octets))]):
        codec = codec_of(role)
        for segment in segments:
            codec.receive_data(segment)
        sent = codec.take_outgoing()
        readings.append((described(taken(codec)), parsed(sent)))
    assert readings[0] == readings[1] == readings[2]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(Role), st.lists(FRAMES, max_size=20))
def test_what_is_counted_stays_true(role: Role, octets: list[bytes]) -> None:
    """Whatever comes: streams are those that are neither idle nor closed, the windows hold, and resets and the end are told."""
    codec = codec_of(role)
    seen: dict[int, Stream] = {}
    for one in octets:
        codec.receive_data(one)
        seen |= codec.streams
        assert codec.theirs == sum(codec.is_theirs(number) for number in codec.streams)
        assert codec.theirs <= codec.limits.concurrent_streams
        assert all(not codec.is_idle(number) for number in codec.streams)
        assert 0 <= codec.receive_window <= codec.limits.connection_window
        assert all(0 <= stream.receive_window <= codec.limits.stream_window for stream in codec.streams.values())
        assert all(stream.send_window <= frames.LARGEST_WINDOW for stream in codec.streams.values())
        sent = parsed(codec.take_outgoing())
        events = taken(codec)
        resets = [one.stream_id for one in sent if one.kind == frames.RST_STREAM]
        assert not set(resets) & set(codec.streams)
        assert len(resets) == len(set(resets))
        ended = {event.stream.stream_id for event in events if isinstance(event, StreamEnded) and event.is_ours}
        assert ended <= set(resets)
        if sent and sent[-1].kind == frames.GOAWAY:
            assert isinstance(events[-1], ConnectionFailed)
            return
        assert not any(isinstance(event, ConnectionFailed) for event in events)


# --- exchanges ------------------------------------------------------------------------------------------------------------------

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=10).map(lambda text: "x-" + text)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20).map(
    lambda text: text.strip(" \t")
)
FIELDS = st.lists(st.tuples(TOKEN, VALUE), max_size=5)
CONTENT = st.lists(st.binary(max_size=3000), max_size=4)


@settings(max_examples=150, deadline=None)
@given(FIELDS, CONTENT, FIELDS, st.booleans(), FIELDS, CONTENT, FIELDS, CUTS, st.integers(0, 70_000), st.data())
def test_what_one_role_sends_the_other_reads(
    asks: list[Field],
    content: list[bytes],
    ask_trailers: list[Field],
    has_length: bool,
    answers: list[Field],
    body: list[bytes],
    answer_trailers: list[Field],
    cuts: list[int],
    initial: int,
    draw: st.DataObject,
) -> None:
    """A request and its response pass with everything that they have, through any windows, in any segmentation."""
    asking, serving = client(Http2Limits(), (Setting.INITIAL_WINDOW_SIZE, initial)), server()
    length = [("content-length", str(sum(map(len, content))))] if has_length else []
    fields = [*POST, *length, *asks]
    stream, octets = asking.open(fields, encode_stateless(fields), ends=False)
    sent = [octets]
    got: list[object] = []

    def carry() -> None:
        for segment in cut(b"".join(sent), cuts):
            serving.receive_data(segment)
        sent.clear()
        for event in taken(serving):
            got.append(event)
            if isinstance(event, DataReceived):
                serving.consumed(event.stream, event.octets)
        asking.receive_data(serving.take_outgoing())
        taken(asking)

    for piece in content:
        rest = piece
        while rest:
            room = asking.room(stream)
            if not room:
                # The window that the client was given is used up: it grows by what the server takes, or as the server likes.
                asking.receive_data(window(stream.stream_id, draw.draw(st.integers(1, 4000))))
                stream_at_server = next(iter(serving.streams.values()), None)
                assert stream_at_server is not None or sent
                continue
            sent.append(asking.send_data(stream, rest[:room], ends=False))
            rest = rest[room:]
        carry()
    if ask_trailers:
        sent.append(asking.send_head(stream, encode_stateless(ask_trailers), ends=True))
    else:
        sent.append(asking.send_data(stream, b"", ends=True))
    carry()

    first, *rest_of_it = got
    assert isinstance(first, RequestReceived)
    assert list(first.head.fields) == [("host", "example.org"), *length, *asks]
    assert b"".join(event.data for event in rest_of_it if isinstance(event, DataReceived)) == b"".join(content)
    end = rest_of_it[-1]
    assert isinstance(end, MessageEnded)
    assert list(end.trailers or []) == ask_trailers

    octets = serving.send_head(first.stream, encode_stateless([*OK, *answers]), ends=False)
    octets += b"".join(serving.send_data(first.stream, piece, ends=False) for piece in body)
    if answer_trailers:
        octets += serving.send_head(first.stream, encode_stateless(answer_trailers), ends=True)
    else:
        octets += serving.send_data(first.stream, b"", ends=True)
    for segment in cut(octets, cuts):
        asking.receive_data(segment)
    response, *parts = taken(asking)
    assert isinstance(response, ResponseReceived)
    assert list(response.fields) == answers
    assert b"".join(event.data for event in parts if isinstance(event, DataReceived)) == b"".join(body)
    assert isinstance(parts[-1], MessageEnded)
    assert (asking.streams, serving.streams) == ({}, {})


# --- a plain model --------------------------------------------------------------------------------------------------------------


@dataclass
class Line:
    """A stream as somebody sees it who has read no table: who has hung up?"""

    they_talk: bool = True
    we_talk: bool = True
    window: int = 65535

    @property
    def is_over(self) -> bool:
        return not self.they_talk and not self.we_talk


class Model:
    """A server's end of a connection, by the words of RFC 9113 §5.1, §6.9 and §8.1. Each method says what the codec must answer: None, a
    `RST_STREAM` with its code, or "end" with the code of the GOAWAY."""

    def __init__(self) -> None:
        self.lines: dict[int, Line] = {}
        self.reset_by_us: set[int] = set()
        self.highest = 0
        self.window = 65535
        self.initial = 65535

    def is_idle(self, number: int) -> bool:
        return number % 2 == 0 or number > self.highest

    def head(self, number: int, ends: bool) -> object:
        line = self.lines.get(number)
        if line is None:
            if number % 2 == 0:
                return "end", ErrorCode.PROTOCOL_ERROR
            if number > self.highest:
                self.highest = number
                self.lines[number] = Line(they_talk=not ends, window=self.initial)
                return None
            return "end", ErrorCode.PROTOCOL_ERROR  # it was passed over
        if number in self.reset_by_us:
            return None
        if line.is_over:
            return "end", ErrorCode.STREAM_CLOSED
        return self.fail(
            number, ErrorCode.PROTOCOL_ERROR if line.they_talk else ErrorCode.STREAM_CLOSED
        )  # a second head

    def content(self, number: int, ends: bool) -> object:
        line = self.lines.get(number)
        if line is None:
            return "end", ErrorCode.PROTOCOL_ERROR if self.is_idle(number) else ErrorCode.STREAM_CLOSED
        if number in self.reset_by_us:
            return None
        if line.is_over:
            return "end", ErrorCode.STREAM_CLOSED
        if not line.they_talk:
            return self.fail(number, ErrorCode.STREAM_CLOSED)
        line.they_talk = not ends
        return None

    def reset(self, number: int) -> object:
        line = self.lines.get(number)
        if line is None:
            return ("end", ErrorCode.PROTOCOL_ERROR) if self.is_idle(number) else None
        line.they_talk = line.we_talk = False
        return None

    def credit(self, number: int, octets: int) -> object:
        if number == 0:
            self.window += octets
            return ("end", ErrorCode.FLOW_CONTROL_ERROR) if self.window >= 1 << 31 else None
        line = self.lines.get(number)
        if line is None:
            return ("end", ErrorCode.PROTOCOL_ERROR) if self.is_idle(number) else None
        if line.is_over:
            return None
        if octets == 0:
            return self.fail(number, ErrorCode.PROTOCOL_ERROR)
        line.window += octets
        return self.fail(number, ErrorCode.FLOW_CONTROL_ERROR) if line.window >= 1 << 31 else None

    def resize(self, initial: int) -> object:
        for line in self.lines.values():
            if not line.is_over:
                line.window += initial - self.initial
                if line.window >= 1 << 31:
                    return "end", ErrorCode.FLOW_CONTROL_ERROR
        self.initial = initial
        return None

    def fail(self, number: int, code: ErrorCode) -> object:
        self.lines[number].they_talk = self.lines[number].we_talk = False
        self.reset_by_us.add(number)
        return number, code

    def may_say(self, number: int) -> bool:
        return number in self.lines and self.lines[number].we_talk

    def say(self, number: int, octets: int, ends: bool) -> bool:
        line = self.lines[number]
        if octets > max(0, min(line.window, self.window)):
            return False
        line.window -= octets
        self.window -= octets
        line.we_talk = not ends
        return True


NUMBERS = st.sampled_from([1, 1, 3, 3, 5, 7, 9, 2])
BIG = st.sampled_from([1, 1000, 40_000, frames.LARGEST_WINDOW - 65535, frames.LARGEST_WINDOW])
MOVES = st.one_of(
    st.tuples(st.just("head"), NUMBERS, st.booleans()),
    st.tuples(st.just("content"), NUMBERS, st.booleans()),
    st.tuples(st.just("reset"), NUMBERS),
    st.tuples(st.just("credit"), st.one_of(NUMBERS, st.just(0)), BIG),
    st.tuples(st.just("credit"), NUMBERS, st.just(0)),
    st.tuples(st.just("resize"), st.sampled_from([0, 1, 65535, 100_000, frames.LARGEST_WINDOW])),
    st.tuples(st.just("priority"), NUMBERS),
    st.tuples(st.just("say head"), NUMBERS, st.just(0), st.booleans()),
    st.tuples(st.just("say"), NUMBERS, st.sampled_from([0, 1, 30_000, 65_535]), st.booleans()),
    st.tuples(st.just("hang up"), NUMBERS),
)


def arrival(model: Model, move: tuple[object, ...]) -> tuple[bytes, object]:
    """The octets of a move, and what the model says of it."""
    match move:
        case "head", int(number), bool(ends):
            return headers(number, POST, EH | (ES if ends else 0)), model.head(number, ends)
        case "content", int(number), bool(ends):
            return data(number, b"abc", ES if ends else 0), model.content(number, ends)
        case "reset", int(number):
            return reset(number), model.reset(number)
        case "credit", int(number), int(octets):
            return window(number, octets), model.credit(number, octets)
        case "resize", int(initial):
            return setting(Setting.INITIAL_WINDOW_SIZE, initial), model.resize(initial)
        case "priority", int(number):
            return priority(number, 11), None
        case _:
            raise AssertionError(move)


def act(codec: Http2Codec, model: Model, streams: dict[int, Stream], move: tuple[object, ...]) -> None:
    """What the server does itself: as the model would, or not at all."""
    match move:
        case "hang up", int(number):
            line = model.lines[number]
            assert bool(codec.reset(streams[number], ErrorCode.CANCEL)) is not line.is_over
            if not line.is_over:
                model.fail(number, ErrorCode.CANCEL)
        case _, int(number), int(octets), bool(ends):
            is_possible = model.may_say(number) and model.say(number, octets, ends)
            try:
                if move[0] == "say":
                    codec.send_data(streams[number], b"x" * octets, ends=ends)
                else:
                    codec.send_head(streams[number], b"\x88", ends=ends)
                assert is_possible
            except SendError:
                assert not is_possible


def verdict(sent: list[Frame]) -> object:
    for one in sent:
        if one.kind == frames.GOAWAY:
            return "end", int.from_bytes(one.payload[4:8], "big")
        if one.kind == frames.RST_STREAM:
            return one.stream_id, int.from_bytes(one.payload, "big")
    return None


@settings(max_examples=500, deadline=None)
@given(st.lists(MOVES, max_size=40))
def test_a_server_does_as_a_plain_model_does(moves: list[tuple[object, ...]]) -> None:
    codec, model = server(), Model()
    streams: dict[int, Stream] = {}
    for move in moves:
        if move[0] in {"say", "say head", "hang up"}:
            if move[1] in streams:
                act(codec, model, streams, move)
        else:
            octets, expected = arrival(model, move)
            codec.receive_data(octets)
            sent = verdict(parsed(codec.take_outgoing()))
            assert sent == expected, move
            if isinstance(sent, tuple) and sent[0] == "end":
                return
        rested(codec)
        streams |= codec.streams
        assert set(codec.streams) == {number for number, line in model.lines.items() if not line.is_over}
        assert codec.send_window == model.window
        assert all(stream.send_window == model.lines[number].window for number, stream in codec.streams.items())
    codec.receive_data(PING)
    assert codec.take_outgoing() == PONG
