"""HTTP/2 with those who wrote it on their own: the `h2` and `hpack` packages, in both roles, through random exchanges.

What one side was given to say, the other must have heard: heads, content, trailers, pushes, resets, pings, settings; through any windows.
"""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    PingAckReceived,
    PushedStreamReceived,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from h2.events import Event as PeerEvent
from h2.settings import SettingCodes
from hpack import Decoder, Encoder, HPACKError
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable
from hypothesis import given, settings
from hypothesis import strategies as st

from netlodge.http.wire import h2_events as ours
from netlodge.http.wire import huffman
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_frames import ErrorCode, Setting
from netlodge.http.wire.hpack import (
    STATIC,
    Field,
    HpackDecoder,
    HpackEncoder,
    HpackError,
    TableStates,
    encode_stateless,
)
from netlodge.http.wire.states import Role
from tests.http.wire.h2_feeding import GET, OK, POST, states, taken

Said = dict[int, list[object]]
"""By stream: heads (lists of fields), content (octets, in one piece), trailers, ends."""


def content_of(said: list[object]) -> list[object]:
    """What was said on one stream, with its content in one piece where it was not interrupted."""
    joined: list[object] = []
    for part in said:
        if isinstance(part, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += part
        elif part != b"":
            joined.append(part)
    return joined


def texts(fields: object) -> list[Field]:
    assert isinstance(fields, list)
    return [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in fields]


def octets_of(fields: list[Field]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


class Pair:
    """Our codec and a peer's, and all that each has heard."""

    def __init__(self, role: Role, chance: random.Random) -> None:
        self.chance = chance
        limits = Http2Limits(takes_pushes=True, stream_window=chance.choice([65_535, 200_000]))
        self.codec = Http2Codec(role, limits, states())
        self.codec.begin()
        config = H2Configuration(client_side=role is Role.SERVER, header_encoding=None)
        self.peer = H2Connection(config)
        self.peer.initiate_connection()
        self.we_heard: Said = defaultdict(list)
        self.they_heard: Said = defaultdict(list)
        self.streams: dict[int, ours.Stream] = {}
        self.pongs = 0
        self.has_ended = False

    def carry(self) -> None:
        """Bring everything across that is on its way, cut as it may be."""
        for _ in range(20):
            to_us, to_them = self.peer.data_to_send(), self.codec.take_outgoing()
            if not to_us and not to_them:
                return
            for segment in self.cut(to_us):
                self.codec.receive_data(segment)
            for event in taken(self.codec):
                self.hear(event)
            for segment in self.cut(to_them):
                for peer_event in self.peer.receive_data(segment):
                    self.peer_hears(peer_event)
        raise AssertionError("they talk for ever")

    def cut(self, octets: bytes) -> list[bytes]:
        places = (
            sorted(self.chance.randrange(len(octets) + 1) for _ in range(self.chance.randrange(4))) if octets else []
        )
        return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True) if a < b]

    def hear(self, event: ours.Http2Event) -> None:
        assert not isinstance(event, ours.ConnectionFailed), event
        if isinstance(event, ours.RequestReceived):
            self.streams[event.stream.stream_id] = event.stream
            head = event.head
            fields = [(":method", head.method), (":path", head.target), *head.fields]
            self.we_heard[event.stream.stream_id].append(fields)
        elif isinstance(event, ours.ResponseReceived):
            self.streams[event.stream.stream_id] = event.stream
            self.we_heard[event.stream.stream_id].append([(":status", str(event.status)), *event.fields])
        elif isinstance(event, ours.PromiseReceived):
            self.we_heard[event.stream.stream_id].append(("promise", event.promised.stream_id, list(event.fields)))
        elif isinstance(event, ours.DataReceived):
            self.we_heard[event.stream.stream_id].append(event.data)
            self.codec.consumed(event.stream, event.octets)
        elif isinstance(event, ours.MessageEnded):
            self.we_heard[event.stream.stream_id].append(("end", list(event.trailers or [])))
        elif isinstance(event, ours.StreamEnded):
            assert not event.is_ours, event.detail
            self.we_heard[event.stream.stream_id].append(("reset", event.code))
        elif isinstance(event, ours.PingAcknowledged):
            self.pongs += 1
        elif isinstance(event, ours.GoawayReceived):
            self.has_ended = True

    def peer_hears(self, event: PeerEvent) -> None:
        if isinstance(event, RequestReceived | ResponseReceived | InformationalResponseReceived):
            self.they_heard[event.stream_id or 0].append(texts(event.headers))
        elif isinstance(event, TrailersReceived):
            self.they_heard[event.stream_id or 0].append(("end", texts(event.headers)))
        elif isinstance(event, PushedStreamReceived):
            said = ("promise", event.pushed_stream_id, texts(event.headers))
            self.they_heard[event.parent_stream_id or 0].append(said)
        elif isinstance(event, DataReceived):
            self.they_heard[event.stream_id or 0].append(event.data)
            self.peer.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, StreamReset):
            self.they_heard[event.stream_id or 0].append(("reset", int(event.error_code or 0)))
        elif isinstance(event, PingAckReceived):
            self.pongs += 1
        elif isinstance(event, ConnectionTerminated):
            self.has_ended = True

    # What either side says.

    def peer_says(self, number: int, content: bytes, trailers: list[Field]) -> None:
        """All of a message's content and its end, as the windows allow."""
        while content:
            room = min(self.peer.local_flow_control_window(number), self.peer.max_outbound_frame_size, 9000)
            if room:
                pad = self.chance.choice([None, None, 3]) if room > 10 else None
                piece = content[: room - 4 if pad else room]
                self.peer.send_data(number, piece, pad_length=pad)
                content = content[len(piece) :]
            self.carry()
        if trailers:
            self.peer.send_headers(number, octets_of(trailers), end_stream=True)
        else:
            self.peer.end_stream(number)
        self.carry()

    def we_say(self, stream: ours.Stream, content: bytes, trailers: list[Field]) -> None:
        while content:
            piece = content[: min(self.codec.room(stream), self.chance.randrange(1, 40_000))]
            self.codec.outgoing.append(self.codec.send_data(stream, piece, ends=False))
            content = content[len(piece) :]
            self.carry()
        if trailers:
            self.codec.outgoing.append(self.codec.send_head(stream, encode_stateless(trailers), ends=True))
        else:
            self.codec.outgoing.append(self.codec.send_data(stream, b"", ends=True))
        self.carry()

    def disturb(self) -> None:
        """Something that has nothing to do with messages."""
        kind = self.chance.randrange(6)
        if kind == 0:
            self.peer.ping(b"12345678")
            self.codec.outgoing.append(self.codec.ping(b"87654321"))
            before = self.pongs
            self.carry()
            assert self.pongs == before + 2
        elif kind == 1:
            self.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: self.chance.choice([1000, 65_535, 300_000])})
        elif kind == 2:
            self.peer.update_settings({SettingCodes.HEADER_TABLE_SIZE: self.chance.choice([0, 100, 4096, 65_536])})
        elif kind == 3:
            self.peer.update_settings({SettingCodes.MAX_FRAME_SIZE: self.chance.choice([16_384, 20_000, 1 << 20])})
        elif kind == 4:
            self.peer.increment_flow_control_window(self.chance.randrange(1, 1000))
        self.carry()


def some_fields(chance: random.Random) -> list[Field]:
    """Fields, some of them again and again, some secret, some of any octets."""
    names = ["x-a", "x-b", "accept", "user-agent", "x-" + "long" * 20]
    fields = []
    for _ in range(chance.randrange(6)):
        value = chance.choice(
            ["", "1", "text/html", "".join(chr(chance.choice([33, 126, 200, 255])) for _ in range(30))]
        )
        fields.append((chance.choice(names), value))
    return fields


def some_content(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice([0, 1, 100, 20_000, 150_000]))


@pytest.mark.parametrize("seed", range(12))
def test_our_server_and_their_client_hear_what_the_other_said(seed: int) -> None:
    chance = random.Random(seed)
    pair = Pair(Role.SERVER, chance)
    pair.carry()
    for _ in range(12):
        pair.disturb()
        number = pair.peer.get_next_available_stream_id()
        asks, content, trailers = some_fields(chance), some_content(chance), some_fields(chance)[:2]
        head = [*(POST if content or trailers else GET)[:2], (":path", f"/{number}?q"), GET[3], *asks]
        pair.peer.send_headers(number, octets_of(head), end_stream=not content and not trailers)
        pair.carry()
        if content or trailers:
            pair.peer_says(number, content, trailers)
        expected: list[object] = [[head[0], head[2], ("host", "example.org"), *asks], content, ("end", trailers)]
        assert content_of(pair.we_heard.pop(number)) == content_of(expected)

        stream, answer, body = pair.streams.pop(number), some_fields(chance), some_content(chance)
        expected = []
        if chance.random() < 0.3:
            pair.codec.outgoing.append(pair.codec.send_head(stream, encode_stateless([(":status", "103")]), ends=False))
            expected.append([(":status", "103")])
        pushed = None
        if chance.random() < 0.3:
            asked = [GET[0], GET[1], (":path", "/style.css"), GET[3]]
            pushed, octets = pair.codec.promise(stream, "GET", encode_stateless(asked))
            pair.codec.outgoing.append(octets)
            expected.append(("promise", pushed.stream_id, asked))
        if chance.random() < 0.15:
            pair.codec.outgoing.append(pair.codec.reset(stream, ErrorCode.REFUSED_STREAM))
            pair.carry()
            expected.append(("reset", ErrorCode.REFUSED_STREAM))
        else:
            closing = some_fields(chance)[:2]
            pair.codec.outgoing.append(pair.codec.send_head(stream, encode_stateless([*OK, *answer]), ends=False))
            pair.we_say(stream, body, closing)
            expected += [[*OK, *answer], body, *([("end", closing)] if closing else [])]
        assert content_of(pair.they_heard.pop(number)) == content_of(expected)
        if pushed is not None:
            pair.codec.outgoing.append(pair.codec.send_head(pushed, encode_stateless(OK), ends=False))
            pair.we_say(pushed, body[:5000], [])
            assert content_of(pair.they_heard.pop(pushed.stream_id)) == content_of([OK, body[:5000]])
    assert pair.codec.streams == {}
    pair.codec.outgoing.append(pair.codec.goaway(ErrorCode.NO_ERROR))
    pair.carry()
    assert pair.has_ended


@pytest.mark.parametrize("seed", range(12))
def test_our_client_and_their_server_hear_what_the_other_said(seed: int) -> None:
    chance = random.Random(seed)
    pair = Pair(Role.CLIENT, chance)
    pair.carry()
    for _ in range(12):
        pair.disturb()
        asks, content, trailers = some_fields(chance), some_content(chance), some_fields(chance)[:2]
        head = [*(POST if content or trailers else GET), *asks]
        ends = not content and not trailers
        stream, octets = pair.codec.open(head, encode_stateless(head), ends=ends)
        pair.codec.outgoing.append(octets)
        pair.carry()
        if not ends:
            pair.we_say(stream, content, trailers)
        number = stream.stream_id
        expected: list[object] = [head, content, *([("end", trailers)] if trailers else [])]
        assert content_of(pair.they_heard.pop(number)) == content_of(expected)

        answer, body, closing = some_fields(chance), some_content(chance), some_fields(chance)[:2]
        expected = []
        if chance.random() < 0.3:
            pair.peer.send_headers(number, octets_of([(":status", "100")]))
            expected.append([(":status", "100")])
        pushed = None
        if chance.random() < 0.3:
            pushed = pair.peer.get_next_available_stream_id()
            pair.peer.push_stream(number, pushed, octets_of(GET))
            expected.append(("promise", pushed, GET))
        if chance.random() < 0.15:
            pair.peer.reset_stream(number, ErrorCodes.INTERNAL_ERROR)
            pair.carry()
            expected.append(("reset", ErrorCode.INTERNAL_ERROR))
        else:
            pair.peer.send_headers(number, octets_of([*OK, *answer]))
            pair.carry()
            pair.peer_says(number, body, closing)
            expected += [[*OK, *answer], body, ("end", closing)]
        assert content_of(pair.we_heard.pop(number)) == content_of(expected)
        if pushed is not None:
            pair.peer.send_headers(pushed, octets_of(OK))
            pair.peer_says(pushed, body[:5000], [])
            assert content_of(pair.we_heard.pop(pushed)) == content_of([OK, body[:5000], ("end", [])])
    assert pair.codec.streams == {}
    pair.peer.close_connection()
    pair.carry()
    assert pair.has_ended
    assert not pair.codec.may_open


def test_settings_are_what_their_peer_takes_them_for() -> None:
    pair = Pair(Role.SERVER, random.Random(1))
    pair.carry()
    theirs = pair.peer.remote_settings
    assert theirs.max_concurrent_streams == pair.codec.limits.concurrent_streams
    assert theirs.initial_window_size == pair.codec.limits.stream_window
    assert theirs.max_header_list_size == pair.codec.limits.header_list_size
    assert theirs.enable_connect_protocol == 1
    assert pair.peer.outbound_flow_control_window == pair.codec.limits.connection_window
    pair.peer.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 3, SettingCodes.ENABLE_PUSH: 0})
    pair.carry()
    assert pair.codec.peer_settings[Setting.MAX_CONCURRENT_STREAMS] == 3
    assert pair.codec.peer_settings[Setting.ENABLE_PUSH] == 0


# --- hpack ----------------------------------------------------------------------------------------------------------------------

FIELDS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([name for name, _ in STATIC]), st.text("abcxyz-", min_size=1, max_size=8)),
        st.one_of(
            st.sampled_from([value for _, value in STATIC]), st.text(st.characters(max_codepoint=255), max_size=40)
        ),
    ),
    max_size=10,
)
LISTS = st.lists(FIELDS, max_size=6)
SIZES = st.lists(st.integers(0, 4096), max_size=6)


@settings(deadline=None)
@given(LISTS, SIZES)
def test_their_decoder_reads_what_our_encoder_writes(lists: list[list[Field]], sizes: list[int]) -> None:
    encoder, decoder = HpackEncoder(), Decoder()
    for number, fields in enumerate(lists):
        if number < len(sizes):
            encoder.resize(sizes[number])
            decoder.max_allowed_table_size = sizes[number]
        assert [tuple(pair) for pair in decoder.decode(encoder.encode(fields), raw=True)] == octets_of(fields)
        assert [tuple(pair) for pair in Decoder().decode(encode_stateless(fields), raw=True)] == octets_of(fields)


@settings(deadline=None)
@given(LISTS, SIZES, st.booleans())
def test_our_decoder_reads_what_their_encoder_writes(
    lists: list[list[Field]], sizes: list[int], is_huffman: bool
) -> None:
    encoder, decoder = Encoder(), HpackDecoder(TableStates(1 << 20))
    for number, fields in enumerate(lists):
        if number < len(sizes):
            encoder.header_table_size = sizes[number]
        block = encoder.encode(octets_of(fields), huffman=is_huffman)
        assert decoder.decode(block).fields == tuple(fields)
        assert decoder.state.size <= decoder.state.capacity


@settings(deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=5))
def test_both_decoders_agree_on_any_octets(blocks: list[bytes]) -> None:
    """But for integers: theirs reads them without end, and ours stops at 28 bits."""
    one, other = HpackDecoder(TableStates(1 << 20)), Decoder()
    for block in blocks:
        try:
            fields = one.decode(block).fields
        except HpackError as error:
            refusal = str(error)
        else:
            assert [tuple(pair) for pair in other.decode(block, raw=True)] == octets_of(list(fields))
            continue
        if "integer is too large" not in refusal:
            with pytest.raises(HPACKError):
                other.decode(block, raw=True)
        return


def test_the_tables_are_the_same() -> None:
    assert [(name.encode(), value.encode()) for name, value in STATIC] == [
        tuple(entry) for entry in HeaderTable.STATIC_TABLE
    ]
    for octet in range(256):
        code, length = REQUEST_CODES[octet], REQUEST_CODES_LENGTH[octet]
        assert huffman._BITS[octet] == format(code, f"0{length}b")
