"""The frames of a WebSocket, and what may follow what, as literal tables; nothing else in the codec decides that.

RFC 6455 §5.2 (opcodes), §5.4 (fragmentation), §5.5 (control frames), §5.5.1 (nothing follows a Close), §7.4 (status codes).

The theory. Each direction of a connection is a stream of frames and, at any moment, in one state:

    OPEN       between messages
    IN_TEXT    a text message has begun and not ended
    IN_BINARY  the same of a binary one
    CLOSED     a Close has passed: it was the last frame
    BROKEN     what came was no frame that may come here: nothing more can be understood

A frame's step is the FIN bit with the opcode. A control frame may stand between the fragments of a message, and has no fragments
itself. What is not in the table must not happen: tried by us it is a defect here (`SendError`), done by a peer it fails the
connection with 1002.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
OPCODES: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
"""All others are reserved."""
CONTROL: Final = 0x8
"""The bit of an opcode that says that the frame is a control frame (§5.5)."""

FIN: Final = 0x80
RSV1: Final = 0x40
"""Set in the first frame of a message that is compressed (RFC 7692 §6)."""
RESERVED: Final = 0x70
"""RSV1 and the two others."""
MASK: Final = 0x80
"""In the second octet."""


class State(Enum):
    """Where a direction stands; see the module's text."""

    OPEN = auto()
    IN_TEXT = auto()
    IN_BINARY = auto()
    CLOSED = auto()
    BROKEN = auto()

    __hash__ = object.__hash__  # members are singletons: identity is enough


OPEN, IN_TEXT, IN_BINARY, CLOSED, BROKEN = State

TRANSITIONS: Final[dict[tuple[State, int], State]] = {
    (OPEN, FIN | TEXT): OPEN,
    (OPEN, FIN | BINARY): OPEN,
    (OPEN, TEXT): IN_TEXT,
    (OPEN, BINARY): IN_BINARY,
    (OPEN, FIN | PING): OPEN,
    (OPEN, FIN | PONG): OPEN,
    (OPEN, FIN | CLOSE): CLOSED,
    (IN_TEXT, CONTINUATION): IN_TEXT,
    (IN_TEXT, FIN | CONTINUATION): OPEN,
    (IN_TEXT, FIN | PING): IN_TEXT,
    (IN_TEXT, FIN | PONG): IN_TEXT,
    (IN_TEXT, FIN | CLOSE): CLOSED,
    (IN_BINARY, CONTINUATION): IN_BINARY,
    (IN_BINARY, FIN | CONTINUATION): OPEN,
    (IN_BINARY, FIN | PING): IN_BINARY,
    (IN_BINARY, FIN | PONG): IN_BINARY,
    (IN_BINARY, FIN | CLOSE): CLOSED,
}


def why_not(state: State, step: int) -> str:
    """What is wrong with a frame whose step is not in the table for a state in which frames may come."""
    opcode = step & 0x0F
    if opcode not in OPCODES:
        return f"The opcode {opcode:#x} is reserved."
    if opcode & CONTROL:
        return "A control frame is fragmented."
    if opcode == CONTINUATION:
        return "There is no message to continue."
    return "A message begins before the last one has ended." if state is not OPEN else "A frame may not come here."


NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
"""Never on the wire: says that a Close had no status code."""
ABNORMAL: Final = 1006
"""Never on the wire: says that the connection ended without a Close."""
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012

CLOSE_CODES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""The registered codes that may stand in a Close (§7.4.1; 1012 to 1014 were registered with IANA later)."""


def may_be_in_close(code: int) -> bool:
    """True for a status code that may stand in a Close frame, sent or received: a registered one, or one for libraries and
    applications (§7.4.2). Of the others, 1005, 1006 and 1015 "MUST NOT be set as a status code in a Close control frame"."""
    return code in CLOSE_CODES or 3000 <= code <= 4999
