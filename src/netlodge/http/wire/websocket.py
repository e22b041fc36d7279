"""The WebSocket codec without I/O, for both roles: octets in, events out; events in, octets out.

RFC 6455 §5 (framing; what may follow what stands in `websocket_states`), §5.3 (masking; `websocket_masking`), §6 (sending and receiving), §7.1.5
to §7.1.7 (how it ends; what is said by a Close, `websocket_events`), §8.1 (UTF-8); RFC 7692 §6 and §7.2 (compressed messages;
`websocket_deflate`).

A message is an event when it is whole; what it may hold at most is a limit. Text is checked as it comes, so that what cannot become
a message is refused at its first wrong octet.
"""

from __future__ import annotations

import codecs
import os
import struct
from collections.abc import Callable, Iterator
from typing import Final

from netlodge.http.wire.buffer import ReceiveBuffer
from netlodge.http.wire.events import NEED_DATA, PAUSED, Pause
from netlodge.http.wire.render import SendError
from netlodge.http.wire.states import Role
from netlodge.http.wire.websocket_deflate import Deflate, Deflater, InflateError, Inflater, TooLongError
from netlodge.http.wire.websocket_events import (
    CONTROL_OCTETS,
    Binary,
    Close,
    Event,
    Fragment,
    Message,
    Ping,
    Pong,
    Text,
    WebSocketError,
    close_of,
    message_of,
    not_utf8,
    payload_of,
)
from netlodge.http.wire.websocket_masking import apply_mask, rotated
from netlodge.http.wire.websocket_states import (
    BINARY,
    BROKEN,
    CLOSE,
    CLOSED,
    CONTINUATION,
    CONTROL,
    FIN,
    IN_TEXT,
    INVALID_DATA,
    MASK,
    OPEN,
    PING,
    PONG,
    PROTOCOL_ERROR,
    RESERVED,
    RSV1,
    TEXT,
    TOO_BIG,
    TRANSITIONS,
    State,
    why_not,
)

HEAD_OCTETS: Final = 14
"""The longest head of a frame: two octets, eight of length, four of the masking key."""
COMPRESSED_FROM: Final = 32
"""Octets from which a message is compressed: what is shorter is hardly worth it. Precedent: nginx `gzip_min_length` 20; `ws` 1024."""
_Utf8Decoder: Final = codecs.getincrementaldecoder("utf-8")


_FRAGMENT: Final = Fragment()


class WebSocketCodec:
    """One end of one connection, from the first octet after the opening handshake.

    Give it what arrives (`receive_data`), take events until there are no more (`next_event`), and put on the wire what `send` and
    `fragments` return.
    """

    __slots__ = (
        "_buffer", "_content", "_decoder", "_deflater", "_error", "_inflater", "_inflates", "_key", "_left", "_limit", "_makes_keys",
        "_masks", "_step", "our_state", "their_state",
    )  # fmt: skip

    def __init__(
        self,
        role: Role,
        *,
        message_limit: int,
        deflate: Deflate | None = None,
        makes_keys: Callable[[], bytes] | None = None,
    ) -> None:
        """`message_limit` is the most octets of a message, `limits.websocket_message`; `deflate` what was agreed, if anything was.
        `makes_keys` is for tests that want to know the masking keys of a client."""
        self._masks = role is Role.CLIENT
        self._limit = message_limit
        self._makes_keys = makes_keys or _new_key
        self._inflater: Inflater | None = None
        self._deflater: Deflater | None = None
        if deflate is not None:
            self._inflater = Inflater(deflate.their_window_bits, keeps_context=deflate.they_keep_context)
            self._deflater = Deflater(deflate.our_window_bits, keeps_context=deflate.we_keep_context)
        self._buffer = ReceiveBuffer()
        self._error: WebSocketError | None = None
        self._step = 0
        """FIN and opcode of the frame under way."""
        self._left = -1
        """Octets of its payload that have not been read; -1 before its head was."""
        self._key = b""
        """For its next octet; empty if it is not masked."""
        self._content = bytearray()
        """Of the message under way, decompressed."""
        self._inflates: Inflater | None = None
        """What decompresses the message under way, if it is compressed."""
        self._decoder = _Utf8Decoder()
        """Has seen the content of the text message under way."""
        self.our_state: State = OPEN
        """Where the stream that we send stands. To be read only."""
        self.their_state: State = OPEN
        """Where the stream that we receive stands, as far as it was read. To be read only."""

    # --- receiving -------------------------------------------------------------------------------------------------------------

    @property
    def buffered(self) -> int:
        """Octets that have come and not been read. Those of a message under way are read."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> None:
        """Take octets as they arrive, in any segmentation. After a Close, or an error, they are ignored (§5.5.1, §7.1.7)."""
        if self.their_state is not CLOSED and self.their_state is not BROKEN:
            self._buffer.feed(data)

    def next_event(self) -> Event | Fragment | Pause:
        """The next event; `NEED_DATA` if more must come first; `PAUSED` after a Close. Each call reads one frame at most, so that whoever
        takes the events can bound what a flood of small frames costs at a time.

        Raises `WebSocketError` for what must fail the connection, and the same from then on.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self.their_state is CLOSED:
            return PAUSED
        try:
            if self._left < 0 and not self._read_head():
                return NEED_DATA
            if self._step & CONTROL:
                return NEED_DATA if len(self._buffer) < self._left else self._read_control()
            message = self._read_data()
            if message is not None:
                return message
            return _FRAGMENT if self._left < 0 else NEED_DATA
        except WebSocketError as error:
            self._error = error
            self.their_state = BROKEN
            self._buffer.clear()
            self._content.clear()
            raise

    def _read_head(self) -> bool:
        """Read the head of the next frame (§5.2); False if it has not come whole."""
        head = self._buffer.peek(HEAD_OCTETS)
        if len(head) < 2:
            return False
        first, second = head[0], head[1]
        step = first & ~RESERVED
        after = TRANSITIONS.get((self.their_state, step))
        if after is None or first & RESERVED or bool(second & MASK) is self._masks or second & ~MASK > CONTROL_OCTETS:
            self._check_head(first, second, after)
        length = second & ~MASK
        size = 2
        if length >= 126:
            size = 4 if length == 126 else 10
            if len(head) < size:
                return False
            length = _extended_length(head[2:size])
        if not self._masks:
            size += 4
            if len(head) < size:
                return False
            self._key = head[size - 4 : size]
        if not step & CONTROL:
            if step & 0x0F != CONTINUATION:
                self._inflates = self._inflater if first & RSV1 else None
            # How long a compressed message is shows only when it is decompressed.
            if self._inflates is None and length > self._limit - len(self._content):
                raise self._too_long()
        self._buffer.take(size)
        self._step = step
        self._left = length
        return True

    def _check_head(self, first: int, second: int, after: State | None) -> None:
        """Raise for what the first two octets of a head must not say. Not asked of most."""
        if after is None:
            raise WebSocketError(PROTOCOL_ERROR, why_not(self.their_state, first & ~RESERVED))
        # "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values." (§5.2) RFC 7692 §6 does, for the first
        # frame of a data message: "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a
        # data message."
        allowed = RSV1 if self._inflater is not None and first & 0x0F in (TEXT, BINARY) else 0
        if first & RESERVED & ~allowed:
            raise WebSocketError(PROTOCOL_ERROR, "A reserved bit is set.")
        # "The server MUST close the connection upon receiving a frame that is not masked. [...] A client MUST close a connection if it
        # detects a masked frame." (§5.1)
        if bool(second & MASK) is self._masks:
            raise WebSocketError(PROTOCOL_ERROR, "A frame is masked." if self._masks else "A frame is not masked.")
        # "All control frames MUST have a payload length of 125 bytes or less" (§5.5)
        if first & CONTROL and second & ~MASK > CONTROL_OCTETS:
            raise WebSocketError(PROTOCOL_ERROR, f"A control frame is longer than {CONTROL_OCTETS} octets.")

    def _take(self, count: int) -> bytes:
        octets = self._buffer.take(count)
        return octets if self._masks else apply_mask(octets, self._key)

    def _read_control(self) -> Ping | Pong | Close:
        payload = self._take(self._left)
        self._left = -1
        self.their_state = TRANSITIONS[self.their_state, self._step]
        opcode = self._step & 0x0F
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        self._buffer.clear()
        self._content.clear()
        return close_of(payload)

    def _read_data(self) -> Message | None:
        """Read what has come of the payload of a data frame. Returns a message if that was its end."""
        count = min(self._left, len(self._buffer))
        if not count and self._left:
            return None
        octets = self._take(count)
        self._left -= count
        is_text = self._step & 0x0F == TEXT or self.their_state is IN_TEXT
        ends_frame = not self._left
        ends = ends_frame and bool(self._step & FIN)
        if self._inflates is not None:
            octets = self._inflate(self._inflates, octets, ends=ends)
        message = None
        if ends:
            content = self._content
            if content:
                content += octets
                self._content = bytearray()
                self._decoder.reset()
            message = message_of(content or octets, is_text=is_text)
        else:
            self._content += octets
            if is_text:
                self._check_text(octets)
        if ends_frame:
            self._left = -1
            self.their_state = TRANSITIONS[self.their_state, self._step]
        elif not self._masks:
            self._key = rotated(self._key, count)
        return message

    def _inflate(self, inflater: Inflater, octets: bytes, *, ends: bool) -> bytes:
        room = self._limit - len(self._content)
        try:
            result = inflater.inflate(octets, room)
            return result + inflater.finish(room - len(result)) if ends else result
        except InflateError:
            raise WebSocketError(INVALID_DATA, "A message is not compressed as it says.") from None
        except TooLongError:
            raise self._too_long() from None

    def _check_text(self, octets: bytes) -> None:
        try:
            self._decoder.decode(octets)
        except UnicodeDecodeError:
            raise not_utf8() from None
        # Python waits for the third octet of a surrogate, which is wrong with its second (RFC 3629 §4).
        pending, _ = self._decoder.getstate()
        if pending[:1] == b"\xed" and pending[1:] >= b"\xa0":
            raise not_utf8()

    def _too_long(self) -> WebSocketError:
        return WebSocketError(
            TOO_BIG, f"A message is longer than {self._limit:d} octets.", setting="limits.websocket_message"
        )

    # --- sending -----------------------------------------------------------------------------------------------------------------

    def send(self, event: Event) -> bytes:
        """The octets of `event`, in one frame. Raises `SendError` for what must not be sent, or not now."""
        if isinstance(event, Text | Binary):
            return b"".join(self.fragments(event, self._limit_of_one(event)))
        if isinstance(event, Close):
            opcode, payload = CLOSE, payload_of(event)
        else:
            opcode, payload = (PING if isinstance(event, Ping) else PONG), event.data
        if len(payload) > CONTROL_OCTETS:
            raise SendError(f"A control frame holds {CONTROL_OCTETS} octets at most.")
        return self._frame(FIN | opcode, payload)

    def fragments(self, message: Message, size: int) -> Iterator[bytes]:
        """The octets of `message` in frames that each stand for at most `size` octets of it (§5.4). Between two of them, control frames may be
        sent, but no other message. Raises `SendError` as `send`, at the first step or, if we closed in between, later."""
        if isinstance(message, Text):
            opcode = TEXT
            try:
                content = message.data.encode("utf-8")
            except UnicodeEncodeError:
                raise SendError("A text message holds what UTF-8 cannot say (a surrogate).") from None
        else:
            opcode, content = BINARY, message.data
        deflater = self._deflater if len(content) >= COMPRESSED_FROM else None
        begin = opcode if deflater is None else opcode | RSV1
        if (self.our_state, FIN | opcode) not in TRANSITIONS:
            raise self._out_of_turn()
        for at in range(0, len(content) or 1, size):
            is_last = at + size >= len(content)
            piece = content if is_last and not at else content[at : at + size]
            if deflater is not None:
                piece = deflater.deflate(piece, is_last=is_last)
            if piece or is_last:  # a compressor may keep all that it was given until the end
                yield self._frame(begin | FIN if is_last else begin, piece)
                begin = CONTINUATION

    @staticmethod
    def _limit_of_one(message: Message) -> int:
        """A size of fragments that leaves the message in one. A character has at most four octets."""
        return 4 * len(message.data) + 1

    def _frame(self, first: int, payload: bytes) -> bytes:
        after = TRANSITIONS.get((self.our_state, first & ~RSV1))
        if after is None:
            raise self._out_of_turn()
        self.our_state = after
        length = len(payload)
        mask = MASK if self._masks else 0
        if length < 126:
            head = bytes((first, mask | length))
        elif length < 1 << 16:
            head = struct.pack("!BBH", first, mask | 126, length)
        else:
            head = struct.pack("!BBQ", first, mask | 127, length)
        if not mask:
            return head + payload
        # "the client MUST pick a fresh masking key from the set of allowed 32-bit values" (§5.3)
        key = self._makes_keys()
        return b"".join((head, key, apply_mask(payload, key)))

    def _out_of_turn(self) -> SendError:
        if self.our_state is CLOSED:
            return SendError("Nothing is sent after a Close.")
        return SendError("Another message is being sent.")


def _new_key() -> bytes:
    # "derived from a strong source of entropy" (§5.3)
    return os.urandom(4)


def _extended_length(octets: bytes) -> int:
    """The length of a payload that does not fit the second octet (§5.2)."""
    length = int.from_bytes(octets, "big")
    # "the most significant bit MUST be 0"
    if length >= 1 << 63:
        raise WebSocketError(PROTOCOL_ERROR, "The length of a frame has more than 63 bits.")
    # "in all cases, the minimal number of bytes MUST be used to encode the length"
    if length < (126 if len(octets) == 2 else 1 << 16):
        raise WebSocketError(PROTOCOL_ERROR, "The length of a frame is not encoded in the fewest octets.")
    return length
