"""How the codec's tests feed it: the same octets whole, octet by octet, and with more behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netlodge.http.message import Fields, MessageError
from netlodge.http.wire.h1 import (
    ConnectionClosed,
    Data,
    EndOfMessage,
    Event,
    Http1Codec,
    Pause,
    RequestHead,
    ResponseHead,
    Role,
    State,
    WireLimits,
)

LIMITS = WireLimits()


def whole(octets: bytes) -> list[bytes]:
    return [octets]


def octet_by_octet(octets: bytes) -> list[bytes]:
    return [octets[i : i + 1] for i in range(len(octets))]


def in_halves(octets: bytes) -> list[bytes]:
    middle = len(octets) // 2
    return [octets[:middle], octets[middle:]]


SEGMENTATIONS = [whole, octet_by_octet, in_halves]


def server() -> Http1Codec:
    return Http1Codec(Role.SERVER, LIMITS)


def client(request: RequestHead | None = None) -> Http1Codec:
    """A client that has sent `request` (a plain GET unless given), complete."""
    codec = Http1Codec(Role.CLIENT, LIMITS)
    codec.send(request or RequestHead("GET", "/", fields=Fields([("host", "example.org")])))
    codec.send(EndOfMessage())
    return codec


def events_of(codec: Http1Codec) -> Iterator[Event]:
    """All events that are there, one by one."""
    while not isinstance(event := codec.next_event(), Pause):
        yield event
        if isinstance(event, ConnectionClosed):
            return


def feed(codec: Http1Codec, segments: Iterable[bytes], *, eof: bool = False) -> list[Event]:
    """All events after each segment, and after the end of the stream if `eof`; `Data` that follow each other are joined."""
    events: list[Event] = []
    for segment in segments:
        codec.receive_data(segment)
        events += events_of(codec)
    if eof:
        codec.receive_eof()
        events += events_of(codec)
    return joined(events)


def joined(events: Iterable[Event]) -> list[Event]:
    result: list[Event] = []
    for event in events:
        if isinstance(event, Data) and result and isinstance(last := result[-1], Data):
            result[-1] = Data(last.data + event.data)
        else:
            result.append(event)
    return result


def outcome(
    codec: Http1Codec, segments: Iterable[bytes], *, eof: bool = False
) -> tuple[list[Event], MessageError | None]:
    """The events, and the error that ended them. A server answers each request, so that the next can be read."""
    events: list[Event] = []
    try:
        for segment in [*segments, None]:
            if segment is not None:
                codec.receive_data(segment)
            elif eof:
                codec.receive_eof()
            while True:
                for event in events_of(codec):
                    events.append(event)  # noqa: PERF402  what came before an error stays
                if codec.our_state is not State.IDLE or codec.their_state is not State.DONE:
                    break
                codec.send(ResponseHead(204))
                codec.send(EndOfMessage())
                if codec.their_state is not State.DONE:
                    break
                codec.start_next_cycle()
    except MessageError as error:
        return joined(events), error
    return joined(events), None


def refusal(codec: Http1Codec, segments: Iterable[bytes]) -> MessageError:
    """The error that the octets are refused with; fails if they are not."""
    events, error = outcome(codec, segments)
    assert error is not None, f"not refused: {events}"
    return error


def request_head(octets: bytes) -> RequestHead:
    """The head of the one request that `octets` begin with."""
    codec = server()
    codec.receive_data(octets)
    event = codec.next_event()
    assert isinstance(event, RequestHead), event
    return event
