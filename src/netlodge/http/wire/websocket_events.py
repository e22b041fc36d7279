"""What the frames of a WebSocket say: messages, pings and closes, as the codec gives and takes them; and what must not be said.

RFC 6455 §5.5 (control frames), §5.5.1 and §7.4 (what a Close may hold), §5.6 (messages), §8.1 (text is UTF-8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netlodge.core.errors import NetlodgeError
from netlodge.http.wire.render import SendError
from netlodge.http.wire.websocket_states import INVALID_DATA, NO_STATUS, PROTOCOL_ERROR, may_be_in_close

CONTROL_OCTETS: Final = 125
"""The longest payload of a control frame (§5.5)."""
REASON_OCTETS: Final = CONTROL_OCTETS - 2
"""The longest reason of a Close."""


class WebSocketError(NetlodgeError):
    """What a peer sent, and why it ends the connection: `code` goes into our Close, with `detail` as its reason; `setting` names the
    limit, if one was passed."""

    def __init__(self, code: int, detail: str, *, setting: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.setting = setting


@dataclass(slots=True)
class Text:
    """A text message."""

    data: str


@dataclass(slots=True)
class Binary:
    """A binary message."""

    data: bytes


@dataclass(slots=True)
class Ping:
    """Asks for a `Pong` with the same data, at most 125 octets."""

    data: bytes = b""


@dataclass(slots=True)
class Pong:
    """Answers a `Ping`; or says unasked that its sender lives (§5.5.3)."""

    data: bytes = b""


@dataclass(slots=True)
class Close:
    """The last of a direction. `code` is `NO_STATUS` if it has none; then it has no `reason` either, which is at most 123 octets."""

    code: int = NO_STATUS
    reason: str = ""


@dataclass(slots=True)
class Fragment:
    """A frame of a message that goes on. It says only that something was done: what a message holds is told when it is whole."""


Message = Text | Binary
Event = Text | Binary | Ping | Pong | Close


def close_of(payload: bytes) -> Close:
    """The Close with this payload (§5.5.1). Raises `WebSocketError`."""
    if not payload:
        return Close()
    # "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer"
    if len(payload) == 1:
        raise WebSocketError(PROTOCOL_ERROR, "A Close has one octet.")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_in_close(code):
        raise WebSocketError(PROTOCOL_ERROR, f"A Close has the status code {code}, which may not be sent.")
    try:
        return Close(code, payload[2:].decode("utf-8"))
    except UnicodeDecodeError:
        raise not_utf8() from None


def payload_of(close: Close) -> bytes:
    """The payload of a Close. Raises `SendError` for what must not be sent (§7.4)."""
    if close.code == NO_STATUS:
        if close.reason:
            raise SendError("A Close without a status code has no reason.")
        return b""
    if not may_be_in_close(close.code):
        raise SendError(f"The status code {close.code} may not be in a Close.")
    return close.code.to_bytes(2, "big") + close.reason.encode("utf-8", "replace")


def message_of(content: bytes | bytearray, *, is_text: bool) -> Message:
    """The message with this content. Raises `WebSocketError` for a text that is not UTF-8 (§8.1)."""
    if not is_text:
        return Binary(bytes(content))
    try:
        return Text(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise not_utf8() from None


def not_utf8() -> WebSocketError:
    """For a text that is none."""
    # "that endpoint MUST _Fail the WebSocket Connection_" (§8.1)
    return WebSocketError(INVALID_DATA, "A text is not UTF-8.")
