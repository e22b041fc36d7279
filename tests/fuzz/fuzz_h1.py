"""A fuzzer for the HTTP/1.1 codec: mutates real and malformed messages and holds every outcome against what must always be so.

    python -m tests.fuzz.fuzz_h1 --count 100000 --seed 7

Bounded and repeatable: the same seed gives the same inputs. It ends with exit code 1 at the first input that breaks a rule, and prints it.

The rules: nothing but `MessageError` is raised; the events do not depend on the segmentation; after an error nothing is read; what was
buffered stays within the limits; and a request that passed, sent again by our client, is read as the same request (so that a proxy
cannot be made to smuggle).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from netlodge.http.message import Fields
from netlodge.http.wire.h1 import (
    Data,
    EndOfMessage,
    Event,
    Http1Codec,
    RequestHead,
    Role,
    SendError,
    State,
    WireLimits,
)
from tests.http.malformed import CHUNKS, MALFORMED_REQUESTS, MALFORMED_RESPONSES, TE, request
from tests.http.wire.feeding import client, outcome

LIMITS = WireLimits(request_line_size=256, head_size=1024, field_count=16, chunk_extension_size=64)
"""Small, so that mutations run into them."""

REQUESTS = [
    request(),
    request(b"Connection: keep-alive", b"Accept: */*", b"User-Agent: fuzz"),
    request(b"Content-Length: 5", line=b"POST /a?b HTTP/1.1", body=b"hello"),
    request(TE, line=b"PUT / HTTP/1.1", body=b"3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
    request(line=b"OPTIONS * HTTP/1.1"),
    request(line=b"GET http://example.org:80/a HTTP/1.1"),
    request(line=b"CONNECT [::1]:443 HTTP/1.1"),
    request(b"Connection: upgrade", b"Upgrade: websocket"),
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\nX: a\r\n b\r\n\r\n",
]
REFUSED = {
    Role.SERVER: [case.octets[:900] for case in MALFORMED_REQUESTS],
    Role.CLIENT: [case.octets[:900] for case in MALFORMED_RESPONSES],
}
TOKENS = [
    b"\r\n", b"\r\n\r\n", b"\r", b"\n", b" ", b"\t", b"\x00", b"\x0b", b"\x7f", b"\x80", b"\xff", b":", b",", b";", b"=", b'"', b"%", b"/",
    b"?", b"#", b"@", b"[", b"]", b"*", b"0", b"00", b"5", b"f", b"+", b"-", b"_", b"0x", b"99999999999999999999", b"chunked", b"identity",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n",
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"GET ", b"0\r\n\r\n", b"GET /smuggled HTTP/1.1\r\nHost: c\r\n\r\n",
]  # fmt: skip


class RuleBrokenError(Exception):
    """An input for which the codec does what it must not."""


def mutate(chance: random.Random, octets: bytes) -> bytes:
    """Up to four small changes, of the kind that parsers disagree about."""
    for _ in range(chance.randint(0, 4)):
        at = chance.randint(0, len(octets))
        kind = chance.randrange(6)
        if kind == 0:
            octets = octets[:at] + chance.choice(TOKENS) + octets[at:]
        elif kind == 1:
            octets = octets[:at] + octets[at + chance.randint(1, 4) :]
        elif kind == 2:
            octets = octets[:at] + bytes([chance.randrange(256)]) + octets[at + 1 :]
        elif kind == 3:
            end = min(len(octets), at + chance.randint(1, 30))
            octets = octets[:at] + octets[at:end] * 2 + octets[end:]
        elif kind == 4:
            octets = octets[:at].swapcase() + octets[at:]
        else:
            lines = octets.split(b"\r\n")
            chance.shuffle(lines)
            octets = b"\r\n".join(lines)
    return octets


def segments(chance: random.Random, octets: bytes) -> list[bytes]:
    if chance.random() < 0.3:
        return [octets[at : at + 1] for at in range(len(octets))]
    places = sorted(chance.randint(0, len(octets)) for _ in range(chance.randint(0, 6)))
    return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]


def codec_for(role: Role) -> Http1Codec:
    if role is Role.SERVER:
        return Http1Codec(Role.SERVER, LIMITS)
    codec = client()
    codec._limits = LIMITS
    return codec


def check(role: Role, octets: bytes, pieces: Sequence[bytes], *, eof: bool) -> bool:
    """Hold one input against the rules; return whether it was refused. Raises `RuleBrokenError`, and whatever a defect raises."""
    one, other = codec_for(role), codec_for(role)
    events, error = outcome(one, [octets], eof=eof)
    events_in_pieces, error_in_pieces = outcome(other, pieces, eof=eof)
    if events != events_in_pieces:
        raise RuleBrokenError("the events depend on the segmentation")
    if (error is None) is not (error_in_pieces is None):
        raise RuleBrokenError("whether it is refused depends on the segmentation")
    if error is not None:
        if one.buffered or one.is_persistent:
            raise RuleBrokenError("something is left after an error")
    elif one.their_state in {State.IDLE, State.BODY} and one.buffered > LIMITS.head_size:
        raise RuleBrokenError("more is buffered than the limits allow")
    if role is Role.SERVER:
        check_forwarding(events)
    return error is not None


def check_forwarding(events: Sequence[Event]) -> None:
    """Each complete request, as a proxy would send it on, is read as itself and nothing more."""
    head: RequestHead | None = None
    content = b""
    for event in events:
        if isinstance(event, RequestHead):
            head, content = event, b""
        elif isinstance(event, Data):
            content += event.data
        elif isinstance(event, EndOfMessage) and head is not None:
            fields = Fields(
                pair for pair in head.fields if pair[0] not in {"transfer-encoding", "connection", "upgrade", "host"}
            )
            fields.append("host", head.host + (f":{head.port}" if head.port else "") if head.host else "example.org")
            sender = Http1Codec(Role.CLIENT, LIMITS)
            sent = RequestHead(head.method, head.target, fields=fields, is_chunked=head.is_chunked)
            try:
                octets = sender.send(sent) + sender.send(Data(content)) + sender.send(EndOfMessage(event.trailers))
            except SendError as error:
                raise RuleBrokenError("a request that was read cannot be sent on") from error
            again, refusal = outcome(Http1Codec(Role.SERVER, WireLimits()), [octets])
            heads = [part for part in again if isinstance(part, RequestHead)]
            body = b"".join(part.data for part in again if isinstance(part, Data))
            if refusal is not None or len(heads) != 1 or body != content:
                raise RuleBrokenError("a request that was read is another one when it is sent on")
            if (heads[0].method, heads[0].target) != (head.method, head.target):
                raise RuleBrokenError("a request line changed when it was sent on")
            if head.host and (heads[0].host, heads[0].port) != (head.host, head.port):
                raise RuleBrokenError("a host changed when it was sent on")


def fuzz(count: int, seed: int) -> int:
    """Run `count` inputs; return how many of them were refused."""
    chance = random.Random(seed)
    refused = 0
    for _ in range(count):
        role = Role.SERVER if chance.random() < 0.75 else Role.CLIENT
        good = REQUESTS if role is Role.SERVER else RESPONSES
        octets = b"".join(
            mutate(chance, chance.choice(good if chance.random() < 0.7 else REFUSED[role]))
            for _ in range(chance.choice((1, 1, 2, 3)))
        )
        pieces = segments(chance, octets)
        try:
            refused += check(role, octets, pieces, eof=chance.random() < 0.5)
        except Exception:
            sys.stderr.write(f"seed {seed}: {role.name} {octets!r} as {pieces!r}\n")
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
