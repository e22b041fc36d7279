"""A fuzzer for the WebSocket codec: mutates real streams of frames and holds every outcome against what must always be so.

    python -m tests.fuzz.fuzz_websocket --count 100000 --seed 7

Bounded and repeatable: the same seed gives the same inputs. It ends with exit code 1 at the first input that breaks a rule, and prints it.

The rules: nothing but `WebSocketError` is raised; the events, and the status code of a refusal, do not depend on the segmentation; after an
error, or a Close, nothing is read; what waits is bounded; no message is longer than the limit; and what passed, sent again by the other
end, is read as the same.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from netlodge.http.wire.states import Role
from netlodge.http.wire.websocket import WebSocketCodec
from netlodge.http.wire.websocket_deflate import Deflate, Deflater
from netlodge.http.wire.websocket_events import Binary, Close, Event, Text
from netlodge.http.wire.websocket_states import BROKEN, INVALID_DATA, RSV1, TOO_BIG
from tests.fuzz.fuzz_h1 import RuleBrokenError, segments
from tests.http.wire.websocket_cases import CASES
from tests.http.wire.websocket_feeding import frame, outcome

LIMIT = 200
"""Small, so that mutations run into it."""
WAITING = 14 + 125
"""What may wait: a head that is not complete, or a control frame."""
SEEDS = [case.octets for case in CASES if len(case.octets) < 300]
TOKENS = [
    b"\x81", b"\x01", b"\x80", b"\x00", b"\x82", b"\x88", b"\x89", b"\x8a", b"\xc1", b"\x41", b"\x83", b"\xfe", b"\xff", b"\xfe\x00\x7e",
    b"\xff\x00\x00\x00\x00\x00\x01\x00\x00", b"\x00\x00\x00\x00", b"\x00\x00\xff\xff", b"\x03\x00", b"\xed\xa0", b"\xf4\x90", b"\xc3",
]  # fmt: skip


def compressed(chance: random.Random) -> bytes:
    """A compressed message, perhaps in fragments, of something that may be too long or no UTF-8."""
    data = bytes(chance.choice((32, 97, 98, 195, 164)) for _ in range(chance.randint(1, 60))) * chance.choice((1, 1, 9))
    octets = Deflater(chance.randint(9, 15), keeps_context=False).deflate(data, is_last=True)
    opcode, at = chance.choice((1, 2)), chance.randint(0, len(octets))
    if chance.random() < 0.5:
        return frame(opcode, octets, bits=RSV1)
    return frame(opcode, octets[:at], bits=RSV1, fin=False) + frame(0, octets[at:])


def mutate(chance: random.Random, octets: bytes) -> bytes:
    """Up to three small changes."""
    for _ in range(chance.choice((0, 0, 1, 2, 3))):
        at = chance.randint(0, len(octets))
        kind = chance.randrange(4)
        if kind == 0:
            octets = octets[:at] + chance.choice(TOKENS) + octets[at:]
        elif kind == 1:
            octets = octets[:at] + octets[at + chance.randint(1, 4) :]
        elif kind == 2:
            octets = octets[:at] + bytes([chance.randrange(256)]) + octets[at + 1 :]
        else:
            end = min(len(octets), at + chance.randint(1, 30))
            octets = octets[:at] + octets[at:end] * 2 + octets[end:]
    return octets


def check(octets: bytes, pieces: Sequence[bytes], deflate: Deflate | None) -> bool:
    """Hold one input against the rules; return whether it was refused. Raises `RuleBrokenError`, and whatever a defect raises."""
    one = WebSocketCodec(Role.SERVER, message_limit=LIMIT, deflate=deflate)
    other = WebSocketCodec(Role.SERVER, message_limit=LIMIT, deflate=deflate)
    events, error = outcome(one, [octets])
    events_in_pieces, error_in_pieces = outcome(other, pieces)
    if events != events_in_pieces:
        raise RuleBrokenError("the events depend on the segmentation")
    codes = {error.code if error else 0, error_in_pieces.code if error_in_pieces else 0}
    # Of several faults in one compressed message, what was decompressed so far decides which shows first.
    if len(codes) > 1 and not (deflate and codes <= {INVALID_DATA, TOO_BIG}):
        raise RuleBrokenError("how it is refused depends on the segmentation")
    if one.buffered > WAITING or other.buffered > WAITING:
        raise RuleBrokenError("more waits than may wait")
    if error is not None and (one.buffered or one.their_state is not BROKEN):
        raise RuleBrokenError("something is left after an error")
    if any(isinstance(event, Text | Binary) and len(event.data) > LIMIT for event in events):
        raise RuleBrokenError("a message is longer than the limit")
    if any(isinstance(event, Close) for event in events[:-1]):
        raise RuleBrokenError("something was read after a Close")
    check_return(events, deflate)
    return error is not None


def check_return(events: Sequence[Event], deflate: Deflate | None) -> None:
    """What was read can be sent, and is read as the same."""
    sender = WebSocketCodec(Role.SERVER, message_limit=LIMIT, deflate=deflate)
    receiver = WebSocketCodec(Role.CLIENT, message_limit=LIMIT, deflate=deflate)
    if outcome(receiver, [sender.send(event) for event in events]) != (events, None):
        raise RuleBrokenError("what was read is something else when it is sent again")


def fuzz(count: int, seed: int) -> int:
    """Run `count` inputs; return how many of them were refused."""
    chance = random.Random(seed)
    refused = 0
    for _ in range(count):
        deflate = Deflate() if chance.random() < 0.5 else None
        octets = b"".join(
            mutate(chance, compressed(chance) if deflate and chance.random() < 0.5 else chance.choice(SEEDS))
            for _ in range(chance.choice((1, 1, 2, 3)))
        )
        pieces = segments(chance, octets)
        try:
            refused += check(octets, pieces, deflate)
        except Exception:
            sys.stderr.write(f"seed {seed}: {deflate} {octets!r} as {pieces!r}\n")
            raise
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="inputs to try")
    parser.add_argument("--seed", type=int, default=1, help="where the inputs begin")
    arguments = parser.parse_args()
    refused = fuzz(arguments.count, arguments.seed)
    sys.stdout.write(f"{arguments.count} inputs, {refused} refused, no rule broken\n")


if __name__ == "__main__":
    main()
