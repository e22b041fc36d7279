"""The states of an HTTP/1.1 connection as literal tables; nothing else in the codec decides what may follow what.

RFC 9112 §2.1 (a message is a head, then a body), §9.2 and §9.3 (requests and responses pair in order, connections persist),
§9.6 (the end), RFC 9110 §7.8 and §9.3.6 (the connection becomes something else), §15.2 (interim responses).

The theory. A connection carries two streams: the client's and the server's. Each stream is, at any moment, in one state:

    IDLE     between messages: no octet of this exchange's final message yet
    BODY     the head has passed, the end has not (also for a message without a body: its end is an event of its own)
    DONE     the message is complete; the next waits until the other side is done as well
    LAST     no message will follow on this stream: the last is complete, or will not be waited for
    TUNNEL   what follows is not HTTP
    CLOSED   the stream has ended where it may
    BROKEN   the stream has ended, or was found wrong, where it may not: nothing more can be understood

A codec keeps one state for each stream: *ours* advances when something is sent, *theirs* when something was read. What
happens on a stream is a step. Most steps concern one stream. Three concern both, because they follow from the exchange as a
whole, and each table says when its stream is ready for them:

    NEXT     both messages are complete and the connection persists: a new exchange begins
    RETIRE   the connection will not persist (either side said so): a complete message was the last, and a server that gave its
             last answer takes no request any more
    SWITCH   the end of the server's message, if its head was 101 or 2xx to CONNECT: HTTP ends on both streams; the client's
             message must be complete

What is not in the table must not happen. If we tried it, that is a defect here (`SendError`); what a peer sends is checked
before its step is taken (`MessageError`).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Role(Enum):
    """Which of the two a stream's sender is; for a codec: which of the two we are."""

    SERVER = auto()
    CLIENT = auto()

    __hash__ = object.__hash__  # members are singletons: identity is enough, and ten times faster than Enum's own

    @property
    def peer(self) -> Role:
        return Role.CLIENT if self is Role.SERVER else Role.SERVER


class State(Enum):
    """Where a stream is; see the module's text."""

    IDLE = auto()
    BODY = auto()
    DONE = auto()
    LAST = auto()
    TUNNEL = auto()
    CLOSED = auto()
    BROKEN = auto()

    __hash__ = object.__hash__


class Step(Enum):
    """What happens on a stream."""

    REQUEST = auto()
    INFORMATIONAL = auto()
    RESPONSE = auto()
    SWITCH = auto()
    DATA = auto()
    END = auto()
    NEXT = auto()
    RETIRE = auto()
    CLOSE = auto()
    FAIL = auto()

    __hash__ = object.__hash__


IDLE, BODY, DONE, LAST, TUNNEL, CLOSED, BROKEN = State  # a module's name is found quicker than an Enum's member

TRANSITIONS: Final[dict[tuple[Role, State, Step], State]] = {
    # The client's stream.
    (Role.CLIENT, State.IDLE, Step.REQUEST): State.BODY,
    (Role.CLIENT, State.IDLE, Step.RETIRE): State.LAST,  # answered without having asked
    (Role.CLIENT, State.IDLE, Step.CLOSE): State.CLOSED,
    (Role.CLIENT, State.IDLE, Step.FAIL): State.BROKEN,
    (Role.CLIENT, State.BODY, Step.DATA): State.BODY,
    (Role.CLIENT, State.BODY, Step.END): State.DONE,
    (Role.CLIENT, State.BODY, Step.CLOSE): State.BROKEN,
    (Role.CLIENT, State.BODY, Step.FAIL): State.BROKEN,
    (Role.CLIENT, State.DONE, Step.NEXT): State.IDLE,
    (Role.CLIENT, State.DONE, Step.RETIRE): State.LAST,
    (Role.CLIENT, State.DONE, Step.SWITCH): State.TUNNEL,
    (Role.CLIENT, State.DONE, Step.CLOSE): State.CLOSED,
    (Role.CLIENT, State.LAST, Step.SWITCH): State.TUNNEL,  # CONNECT over HTTP/1.0, or with "close"
    (Role.CLIENT, State.LAST, Step.CLOSE): State.CLOSED,
    (Role.CLIENT, State.CLOSED, Step.SWITCH): State.CLOSED,  # it half-closed right after its CONNECT
    (Role.CLIENT, State.CLOSED, Step.CLOSE): State.CLOSED,
    (Role.CLIENT, State.BROKEN, Step.CLOSE): State.BROKEN,
    # The server's stream.
    (Role.SERVER, State.IDLE, Step.INFORMATIONAL): State.IDLE,
    (Role.SERVER, State.IDLE, Step.RESPONSE): State.BODY,
    (Role.SERVER, State.IDLE, Step.CLOSE): State.CLOSED,
    (Role.SERVER, State.IDLE, Step.FAIL): State.BROKEN,
    (Role.SERVER, State.BODY, Step.DATA): State.BODY,
    (Role.SERVER, State.BODY, Step.END): State.DONE,
    (Role.SERVER, State.BODY, Step.SWITCH): State.TUNNEL,
    (Role.SERVER, State.BODY, Step.CLOSE): State.BROKEN,
    (Role.SERVER, State.BODY, Step.FAIL): State.BROKEN,
    (Role.SERVER, State.DONE, Step.NEXT): State.IDLE,
    (Role.SERVER, State.DONE, Step.RETIRE): State.LAST,
    (Role.SERVER, State.DONE, Step.CLOSE): State.CLOSED,
    (Role.SERVER, State.LAST, Step.CLOSE): State.CLOSED,
    (Role.SERVER, State.CLOSED, Step.CLOSE): State.CLOSED,
    (Role.SERVER, State.BROKEN, Step.CLOSE): State.BROKEN,
}

STREAMS: Final[dict[Role, dict[tuple[State, Step], State]]] = {
    role: {(state, step): after for (whose, state, step), after in TRANSITIONS.items() if whose is role}
    for role in Role
}
"""The same table, one half for each stream."""
