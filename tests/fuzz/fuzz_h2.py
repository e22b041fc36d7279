"""A fuzzer for the HTTP/2 codec: mutates real exchanges, frame by frame and octet by octet, and holds every outcome against what must always
be so.

    python -m tests.fuzz.fuzz_h2 --count 100000 --seed 7

Bounded and repeatable: the same seed gives the same inputs. It ends with exit code 1 at the first input that breaks a rule, and prints it.

The rules: nothing is raised; the events, and what is said, do not depend on the segmentation; after an error nothing is read, and GOAWAY is
the last that is said; what is kept stays within the limits; what is said keeps to the windows and the states; and a request that passed is
the same request when it goes on in HTTP/1.1 (so that a gateway cannot be made to smuggle).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from netlodge.http.wire import h2_frames as frames
from netlodge.http.wire.events import Data, EndOfMessage, RequestHead
from netlodge.http.wire.h1 import Http1Codec
from netlodge.http.wire.h2 import Http2Codec
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.h2_events import ConnectionFailed, Http2Event, RequestReceived, Stream
from netlodge.http.wire.h2_frames import ErrorCode, Setting, frame
from netlodge.http.wire.h2_states import REMOTE_DONE
from netlodge.http.wire.hpack import HpackEncoder, encode_stateless
from netlodge.http.wire.limits import WireLimits
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role
from tests.http.h2_mistakes import CASES
from tests.http.wire.h2_feeding import (
    EH,
    ES,
    GET,
    OK,
    PING,
    POST,
    Frame,
    asked,
    continuation,
    data,
    described,
    headers,
    parsed,
    priority,
    priority_octets,
    priority_update,
    promise,
    reset,
    setting,
    states,
    taken,
    window,
)

LIMITS = Http2Limits(
    header_list_size=1024, field_block_size=2048, continuations=4, concurrent_streams=5, stream_window=65_535, connection_window=80_000,
    control_frames=30, resets=8, window_updates=20, takes_pushes=True,
)  # fmt: skip
"""Small, so that mutations run into them."""


class RuleBrokenError(Exception):
    """An input for which the codec does what it must not."""


def indexed(*lists: list[tuple[str, str]]) -> list[bytes]:
    """Blocks that use the dynamic table."""
    encoder = HpackEncoder()
    return [encoder.encode(fields) for fields in lists]


ASKED = indexed(
    [*GET, ("user-agent", "fuzz"), ("cookie", "a=b"), ("cookie", "c=d")],
    [*POST, ("user-agent", "fuzz"), ("content-length", "5"), ("te", "trailers")],
    [*POST, ("user-agent", "fuzz"), ("expect", "100-continue")],
    [("x-sum", "1")],
)
ANSWERED = indexed(
    [(":status", "103"), ("link", "</a>")], [*OK, ("content-length", "5"), ("server", "x")], [("x-sum", "1")]
)
CLIENT = [
    frames.settings_frame(
        [(Setting.INITIAL_WINDOW_SIZE, 70_000), (Setting.HEADER_TABLE_SIZE, 100), (Setting.MAX_FRAME_SIZE, 20_000)]
    ),
    frames.SETTINGS_ACK,
    frame(frames.HEADERS, EH | ES, 1, ASKED[0]),
    frame(frames.HEADERS, EH, 3, ASKED[1]),
    priority_update(5, "u=1, i"),
    data(3, b"he"),
    frame(frames.HEADERS, 0x20, 5, priority_octets(3, 9) + ASKED[2][:7]),
    continuation(5, ASKED[2][7:20], 0),
    continuation(5, ASKED[2][20:]),
    data(5, b"\x02abc\0\0", 0x08),
    data(3, b"llo", ES),
    window(0, 1000),
    window(5, 1000),
    PING,
    frame(frames.HEADERS, EH | ES, 5, ASKED[3]),
    priority(7, 5, is_exclusive=True),
    headers(7, [(":method", "CONNECT"), (":authority", "a:1")], EH),
    data(7, b"octets"),
    reset(7),
    frame(0xEE, 0xFF, 9, b"?"),
    setting(Setting.INITIAL_WINDOW_SIZE, 10),
    frames.goaway_frame(0, 0, b"bye"),
]
SERVER = [
    frames.settings_frame([(Setting.MAX_CONCURRENT_STREAMS, 100), (Setting.INITIAL_WINDOW_SIZE, 100_000)]),
    frames.SETTINGS_ACK,
    frame(frames.HEADERS, EH, 1, ANSWERED[0]),
    promise(1, 2),
    frame(frames.HEADERS, EH, 1, ANSWERED[1]),
    data(1, b"hello", ES),
    headers(2, OK, EH),
    data(2, b"pushed", ES),
    window(0, 1000),
    window(3, 1000),
    headers(3, OK, EH),
    data(3, b"\x02abc\0\0", 0x08),
    frame(frames.HEADERS, EH | ES, 3, ANSWERED[2]),
    PING,
    reset(5, ErrorCode.REFUSED_STREAM),
    frames.goaway_frame(3, 0),
]
EXCHANGES = {Role.SERVER: CLIENT, Role.CLIENT: SERVER}
MISTAKES = [step for case in CASES for step in case.script if isinstance(step, bytes) and len(step) < 2000]
"""What a client can do wrong, to be put between what it does right."""


def mutate(chance: random.Random, exchange: Sequence[bytes]) -> bytes:
    """Up to six changes, of frames or of octets."""
    pieces = list(exchange)
    for _ in range(chance.randint(0, 6)):
        at = chance.randrange(len(pieces))
        kind = chance.randrange(8)
        if kind == 0:
            pieces.insert(at, chance.choice(MISTAKES))
        elif kind == 1 and len(pieces) > 1:
            del pieces[at]
        elif kind == 2:
            pieces.insert(chance.randrange(len(pieces)), pieces[at])
        elif kind == 3:
            pieces[at] = changed(chance, pieces[at], chance.randrange(9))  # the header: length, type, flags, stream
        elif kind == 4 and len(pieces[at]) > 9:
            pieces[at] = changed(chance, pieces[at], chance.randrange(9, len(pieces[at])))
        elif kind == 5:
            pieces[at] *= chance.choice([2, 3, 40])
        elif kind == 6:
            payload = pieces[at][9:] + chance.randbytes(chance.choice([1, 4, 300]))
            pieces[at] = len(payload).to_bytes(3, "big") + pieces[at][3:9] + payload
        else:
            other = chance.randrange(len(pieces))
            pieces[at], pieces[other] = pieces[other], pieces[at]
    return b"".join(pieces)


def changed(chance: random.Random, octets: bytes, at: int) -> bytes:
    if at >= len(octets):
        return octets
    value = octets[at] ^ (1 << chance.randrange(8)) if chance.random() < 0.7 else chance.randrange(256)
    return octets[:at] + bytes([value]) + octets[at + 1 :]


def segments(chance: random.Random, octets: bytes) -> list[bytes]:
    if chance.random() < 0.2:
        return [octets[at : at + 1] for at in range(len(octets))]
    places = sorted(chance.randint(0, len(octets)) for _ in range(chance.randint(0, 8)))
    return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]


def codec_for(role: Role) -> Http2Codec:
    codec = Http2Codec(role, LIMITS, states())
    codec.begin()
    if role is Role.CLIENT:
        for ends in (True, False, True):
            asked(codec, POST, ends=ends)
    codec.take_outgoing()
    return codec


def run(role: Role, pieces: Sequence[bytes]) -> tuple[Http2Codec, list[Http2Event], list[Frame]]:
    """What a codec reads and says; the rules that hold at every moment are checked on the way."""
    codec = codec_for(role)
    events: list[Http2Event] = []
    sent: list[Frame] = []
    for piece in pieces:
        codec.receive_data(piece)
        events += taken(codec)
        sent += parsed(codec.take_outgoing())
        check_bounds(codec)
    return codec, events, sent


def check_bounds(codec: Http2Codec) -> None:
    limits = codec.limits
    if len(codec._buffer) > limits.frame_size + 9:
        raise RuleBrokenError("more is kept than a frame")
    if codec.theirs > limits.concurrent_streams + 1:
        raise RuleBrokenError("there are more streams than allowed")
    # Once the window was overrun, the connection has ended.
    if not codec._has_failed and not 0 <= codec.receive_window <= limits.connection_window:
        raise RuleBrokenError("a window is wrong")
    if any(
        codec.is_idle(number) or not 0 <= stream.receive_window <= limits.stream_window
        for number, stream in codec.streams.items()
    ):
        raise RuleBrokenError("a stream is not what it should be")
    block = codec._receiver._block
    if block is not None and sum(map(len, block.pieces)) > limits.field_block_size + limits.frame_size:
        raise RuleBrokenError("more is kept than a field block")


def check(role: Role, octets: bytes, pieces: Sequence[bytes]) -> bool:
    """Hold one input against the rules; return whether it ended the connection. Raises `RuleBrokenError`, and whatever a defect raises."""
    preface = frames.PREFACE if role is Role.SERVER else b""
    codec, events, sent = run(role, [preface + octets])
    _, events_in_pieces, sent_in_pieces = run(role, [preface, *pieces])
    if described(events) != described(events_in_pieces):
        raise RuleBrokenError("the events depend on the segmentation")
    if sent != sent_in_pieces:
        raise RuleBrokenError("what is said depends on the segmentation")
    ends = [event for event in events if isinstance(event, ConnectionFailed)]
    goaways = [one for one in sent if one.kind == frames.GOAWAY]
    if len(ends) != len(goaways) or (
        ends and (events[-1] is not ends[0] or sent[-1] is not goaways[0] or len(ends) > 1)
    ):
        raise RuleBrokenError("the end is not the end")
    if len(sent) > LIMITS.control_frames + LIMITS.resets + 40:
        raise RuleBrokenError("more is said than the credit allows")
    for event in events:
        if isinstance(event, RequestReceived):
            check_forwarding(event)
    if not ends:
        check_sending(codec)
    return bool(ends)


def check_forwarding(event: RequestReceived) -> None:
    """A request, as a gateway would write it in HTTP/1.1, is read as itself and nothing more."""
    head = event.head
    if event.protocol is not None:
        return  # an extended CONNECT is a request of another kind there (RFC 8441 §5)
    raw = head.raw.replace(b" HTTP/2.0\r\n", b" HTTP/1.1\r\n", 1)
    content = b"x" * (head.content_length or 0) if (head.content_length or 0) < 1000 else b""
    codec = Http1Codec(Role.SERVER, WireLimits(request_line_size=1 << 16, head_size=1 << 17, field_count=1000))
    codec.receive_data(raw + content + b"GET /smuggled HTTP/1.1\r\nHost: c\r\n\r\n")
    again = codec.next_event()
    if not isinstance(again, RequestHead):
        raise RuleBrokenError("a request that was read cannot go on")
    if (again.method, again.target, again.fields, again.host, again.port) != (
        head.method,
        head.target,
        head.fields,
        head.host,
        head.port,
    ):
        raise RuleBrokenError("a request that was read is another one when it goes on")
    if head.content_length is None or head.method == "CONNECT" or len(content) != head.content_length:
        return
    body = b""
    while not isinstance(part := codec.next_event(), EndOfMessage):
        if not isinstance(part, Data):
            raise RuleBrokenError("a request does not end where it ends")
        body += part.data
    if body != content:
        raise RuleBrokenError("a request takes in what follows it")


def check_sending(codec: Http2Codec) -> None:
    """All that may be said on the streams that are left, and no more: by the windows and the frame size that the peer has set."""
    largest = codec.peer_settings[Setting.MAX_FRAME_SIZE]
    for stream in list(codec.streams.values()):
        if stream.state is not REMOTE_DONE or codec.role is Role.CLIENT:
            continue
        octets = codec.send_head(stream, encode_stateless(OK), ends=False)
        room, before = codec.room(stream), codec.send_window
        try:
            codec.send_data(stream, b"x" * (room + 1), ends=False)
        except SendError:
            octets += codec.send_data(stream, b"x" * room, ends=True)
        else:
            raise RuleBrokenError("more was sent than the windows allow")
        if room and min(codec.send_window, stream.send_window) < 0:
            raise RuleBrokenError("a window was overrun")
        if codec.send_window != before - room or any(len(one.payload) > largest for one in parsed(octets)):
            raise RuleBrokenError("what was sent is not counted, or in frames that are too long")
        if sum(len(one.payload) for one in parsed(octets) if one.kind == frames.DATA) != room:
            raise RuleBrokenError("not all was sent")
        check_closed(codec, stream)


def check_closed(codec: Http2Codec, stream: Stream) -> None:
    try:
        codec.send_head(stream, encode_stateless(OK), ends=True)
    except SendError:
        return
    raise RuleBrokenError("something was sent on a stream that is over")


def fuzz(count: int, seed: int) -> int:
    """Run `count` inputs; return how many of them ended their connection."""
    chance = random.Random(seed)
    ended = 0
    for _ in range(count):
        role = Role.SERVER if chance.random() < 0.75 else Role.CLIENT
        octets = mutate(chance, EXCHANGES[role])
        pieces = segments(chance, octets)
        try:
            ended += check(role, octets, pieces)
        except Exception:
            sys.stderr.write(f"seed {seed}: {role.name} {octets!r} as {pieces!r}\n")
            raise
    return ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="inputs to try")
    parser.add_argument("--seed", type=int, default=1, help="where the inputs begin")
    arguments = parser.parse_args()
    ended = fuzz(arguments.count, arguments.seed)
    sys.stdout.write(f"{arguments.count} inputs, {ended} ended their connection, no rule broken\n")


if __name__ == "__main__":
    main()
