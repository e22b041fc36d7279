"""The HTTP/1.1 codec without I/O, for both roles: octets in, events out; events in, octets out.

RFC 9112, with the parts of RFC 9110 that the wire needs: §2.2 and §3 to §5 (heads; their grammar is in `grammar`), §6 (bodies; `framing`,
`readers`, `writers`), §9.3 and §9.6 (persistence and its end), §7.8 and §9.3.6 of RFC 9110 (upgrades and tunnels). Which step may follow
which stands in `states`. The codec holds one exchange at a time: octets of the next one wait until `start_next_cycle`.
"""

from __future__ import annotations

from typing import Final

from netlodge.http.message import Fields, MessageError
from netlodge.http.wire.buffer import ReceiveBuffer
from netlodge.http.wire.events import (
    NEED_DATA,
    PAUSED,
    ConnectionClosed,
    Data,
    EndOfMessage,
    Event,
    InformationalHead,
    Pause,
    RequestHead,
    ResponseHead,
)
from netlodge.http.wire.framing import (
    CHUNKED,
    UNTIL_CLOSE,
    request_length,
    response_length,
)
from netlodge.http.wire.grammar import (
    CRLF,
    TEXT_OCTETS,
    is_token,
    parse_connection,
    parse_field_lines,
    parse_request_line,
    parse_status_line,
    parse_target,
    target_host,
)
from netlodge.http.wire.limits import EMPTY_LINES, WireLimits
from netlodge.http.wire.memo import HeadMemo
from netlodge.http.wire.outgoing import (
    NOTHING_TO_SEND,
    frame_interim,
    frame_request,
    frame_response,
    is_switch,
)
from netlodge.http.wire.readers import (
    END,
    NOTHING_TO_READ,
    BodyReader,
    ChunkedReader,
    LengthReader,
    UntilCloseReader,
)
from netlodge.http.wire.render import SendError, render_head
from netlodge.http.wire.states import BODY, BROKEN, DONE, IDLE, STREAMS, TUNNEL, Role, State, Step
from netlodge.http.wire.writers import BodyWriter

__all__ = [
    "NEED_DATA",
    "PAUSED",
    "ConnectionClosed",
    "Data",
    "EndOfMessage",
    "Event",
    "HeadMemo",
    "Http1Codec",
    "InformationalHead",
    "Pause",
    "RequestHead",
    "ResponseHead",
    "Role",
    "SendError",
    "State",
    "WireLimits",
    "render_head",
]

_CR: Final = 0x0D
_TLS_HANDSHAKE: Final = 0x16


class Http1Codec:
    """One end of one connection.

    Give it what arrives (`receive_data`, `receive_eof`), take events until there are no more (`next_event`), and put on the wire what
    `send` returns. When both messages of an exchange are complete and the connection persists, `start_next_cycle`.
    """

    __slots__ = (
        "_buffer", "_empty_lines", "_error", "_has_ended", "_keeps", "_limits", "_memo", "_method", "_offers_upgrade", "_ours", "_reader",
        "_role", "_searched_line", "_switches", "_theirs", "_version", "_writer", "our_state", "their_state",
    )  # fmt: skip

    def __init__(self, role: Role, limits: WireLimits, memo: HeadMemo | None = None) -> None:
        """`memo` is best shared by all codecs of a worker; only the server role uses it."""
        self._role = role
        self._limits = limits
        self._memo = memo or HeadMemo()
        self._ours = STREAMS[role]
        self._theirs = STREAMS[role.peer]
        self._buffer = ReceiveBuffer()
        self._has_ended = False
        self._error: MessageError | None = None
        self.our_state = IDLE
        """Where the stream that we send stands. To be read only."""
        self.their_state = IDLE
        """Where the stream that we receive stands, as far as its events were taken. To be read only."""
        self._begin()

    def _begin(self) -> None:
        self._reader: BodyReader = NOTHING_TO_READ
        self._writer: BodyWriter = NOTHING_TO_SEND
        self._keeps = True
        self._method = ""
        """Of the request under way."""
        self._version = ""
        """Of the request under way; empty while there is none."""
        self._offers_upgrade = False
        self._switches = False
        """True from a head that ends HTTP on this connection."""
        self._empty_lines = 0
        self._searched_line = 0
        """Octets known to hold no end of the request line; -1 once the request line of an incomplete head was checked."""

    # --- what both sides said so far -------------------------------------------------------------------------------------------

    @property
    def is_persistent(self) -> bool:
        """True if the connection survives this exchange, from all that both sides said so far (RFC 9112 §9.3)."""
        return self._keeps

    @property
    def their_state_is_done(self) -> bool:
        """True if their message is complete and another may follow."""
        return self.their_state is DONE

    @property
    def buffered(self) -> int:
        """Octets that have come and not been read."""
        return len(self._buffer)

    @property
    def trailing_data(self) -> bytes:
        """Octets that have come and were not read: after an upgrade or CONNECT, the first of the new protocol."""
        return self._buffer.rest()

    @property
    def sends_identity(self) -> bool:
        """True if the body that is being sent leaves as it is, so that `sent_elsewhere` may be used."""
        return self.our_state is BODY and self._writer.is_identity

    def start_next_cycle(self) -> None:
        """Begin the next exchange. Raises `SendError` unless both messages are complete and the connection persists."""
        if self.our_state is not DONE or self.their_state is not DONE:
            raise SendError(
                f"The exchange is not over: ours is {self.our_state.name}, theirs is {self.their_state.name}."
            )
        self.our_state = self._ours[DONE, Step.NEXT]
        self.their_state = self._theirs[DONE, Step.NEXT]
        self._begin()

    # --- receiving -------------------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take octets as they arrive, in any segmentation. After an error they are ignored."""
        if self.their_state is not BROKEN and data:
            self._buffer.feed(data)

    def receive_eof(self) -> None:
        """The peer will send no more."""
        self._has_ended = True

    def next_event(self) -> Event | Pause:
        """The next event; `NEED_DATA` if more must come first; `PAUSED` if octets wait that belong to the next exchange or not to HTTP.

        Raises `MessageError` for octets that are no message, and the same from then on. In the client role its status is 502: what
        a gateway says of such an answer.
        """
        state = self.their_state
        try:
            if state is IDLE:
                return self._read_request() if self._role is Role.SERVER else self._read_response()
            if state is BODY:
                event = self._reader.read(self._buffer, self._has_ended)
                if event is END:
                    self._their_end()
                    return event
                return NEED_DATA if event is None else self._their_part(event)
        except MessageError as error:
            raise self._fail(error) from None
        return self._wait()

    def _wait(self) -> ConnectionClosed | Pause:
        state = self.their_state
        if state is TUNNEL:
            return PAUSED
        if state is BROKEN and self._error is not None:
            raise self._error.with_traceback(None)
        if self._buffer:
            return PAUSED
        return self._close() if self._has_ended else NEED_DATA

    def _close(self) -> ConnectionClosed:
        self.their_state = self._theirs[self.their_state, Step.CLOSE]
        self._keeps = False
        return ConnectionClosed()

    def _fail(self, error: MessageError) -> MessageError:
        if self._role is Role.CLIENT:
            error = MessageError(502, f"The server's answer cannot be used: {error.detail}", setting=error.setting)
        self.their_state = self._theirs[self.their_state, Step.FAIL]
        self._keeps = False
        self._buffer.clear()
        self._error = error
        return error

    def _read_request(self) -> RequestHead | ConnectionClosed | Pause:
        if not self._buffer:
            return self._await_head()
        limits, memo = self._limits, self._memo
        raw = self._take_head()
        if raw is None:
            return self._await_request()
        lines = raw.decode("latin-1").split("\r\n")
        if len(lines[0]) > limits.request_line_size:
            raise self._request_line_too_long()
        method, target, version = parse_request_line(lines[0])
        self._check_head(raw, lines)
        fields = Fields(memo.parse_field_lines(lines[1:-2]))
        form, scheme, authority, path, query = parse_target(method, target)
        named = fields.get("host")
        if named and authority is None:
            host, port = memo.parse_authority(named)
        else:
            host, port = target_host(named, version, authority)
        length = request_length(fields, version)
        if length and method == "CONNECT":
            # "A CONNECT request message does not have content." (RFC 9110 §9.3.6) Whoever reads these octets as the tunnel's would disagree.
            raise MessageError(400, "CONNECT has no content.")
        self._method, self._version = method, version
        self._note_connection(fields, version)
        if "upgrade" in fields:
            # "A server that receives an Upgrade header field in an HTTP/1.0 request MUST ignore that Upgrade field." (RFC 9110 §7.8)
            self._offers_upgrade = version != "1.0" and "upgrade" in fields.list_of("connection")
        if length:
            self._reader = self._body_reader(length)
        self.their_state = self._theirs[IDLE, Step.REQUEST]
        is_chunked = length == CHUNKED
        return RequestHead(
            method, target, version, fields, raw, None if is_chunked else length, is_chunked, form, scheme, host, port, path, query
        )  # fmt: skip

    def _read_response(self) -> InformationalHead | ResponseHead | ConnectionClosed | Pause:
        raw = self._take_head()
        if self.our_state is IDLE and (raw is not None or self._buffer):
            # "If a client receives data on a connection that doesn't have outstanding requests, the client MUST NOT consider that data to be
            # a valid response" (RFC 9112 §9.2)
            raise MessageError(400, "It came without a request.")
        if raw is None:
            return self._await_head()
        lines = raw.decode("latin-1").split("\r\n")
        version, status, reason = parse_status_line(lines[0])
        self._check_head(raw, lines)
        fields = Fields(parse_field_lines(lines[1:-2], is_response=True))
        if 100 <= status < 200 and status != 101:
            self.their_state = self._theirs[IDLE, Step.INFORMATIONAL]
            return InformationalHead(status, reason, fields, raw)
        self._switches = is_switch(self._method, status)
        if self._switches and (
            (self.our_state, Step.SWITCH) not in self._ours or (status == 101 and not self._offers_upgrade)
        ):
            raise MessageError(400, "It switches to a protocol that the request did not offer.")
        length = response_length(fields, version, status, self._method)
        self._note_connection(fields, version)
        if length == UNTIL_CLOSE or self._switches:
            self._keeps = False
        if length:
            self._reader = self._body_reader(length)
        self.their_state = self._theirs[IDLE, Step.RESPONSE]
        return ResponseHead(status, reason, version, fields, raw, length if length >= 0 else None)

    def _take_head(self) -> bytes | None:
        """The octets of the next head with its empty line, without empty lines before it; None if it is incomplete."""
        raw = self._buffer.take_section()
        # "In the interest of robustness, a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty
        # line (CRLF) received prior to the request-line." (RFC 9112 §2.2)
        while raw is not None and raw.startswith(CRLF):
            self._count_empty_line()
            raw = raw[2:] or self._buffer.take_section()
        if raw is None:
            while self._buffer.skip_crlf():
                self._count_empty_line()
        return raw

    def _count_empty_line(self) -> None:
        self._empty_lines += 1
        if self._empty_lines > EMPTY_LINES:
            raise MessageError(400, f"More than {EMPTY_LINES} empty lines stand before the message.")

    def _await_request(self) -> ConnectionClosed | Pause:
        """Of a head that is incomplete, refuse already what cannot become a request."""
        buffer = self._buffer
        first = buffer.first_octet()
        if self._searched_line >= 0 and first not in {-1, _CR}:
            if not is_token(chr(first)):
                hint = " (TLS on a port that is not for TLS?)" if first == _TLS_HANDSHAKE else ""
                raise MessageError(400, f"This is no HTTP request{hint}.")
            line = buffer.peek_line(self._searched_line)
            # The last octet may be the CR that ends the line.
            size = len(buffer) - 1 if line is None else len(line)
            if size > self._limits.request_line_size:
                raise self._request_line_too_long()
            if line is not None:
                parse_request_line(line.decode("latin-1"))
            self._searched_line = size if line is None else -1
        return self._await_head()

    def _await_head(self) -> ConnectionClosed | Pause:
        waiting = len(self._buffer)
        if waiting > self._limits.head_size:
            raise self._head_too_long()
        if not self._has_ended:
            return NEED_DATA
        if waiting:
            raise MessageError(400, "The stream ended in the middle of a head.")
        return self._close()

    def _check_head(self, raw: bytes, lines: list[str]) -> None:
        """Raise for what is wrong with the head `raw` as a whole; `lines` are its lines, the empty one and what follows the last CRLF
        included."""
        if len(raw) > self._limits.head_size:
            raise self._head_too_long()
        if len(lines) - 3 > self._limits.field_count:
            raise MessageError(431, "The head has too many fields.", setting="limits.field_count")
        # Without the octets that lines are made of, exactly the line ends must be left. NUL, other controls, bare CR and bare LF
        # would show here (RFC 9110 §5.5, RFC 9112 §2.2).
        if raw.translate(None, TEXT_OCTETS) != CRLF * (len(lines) - 1):
            raise MessageError(
                400, "A control character stands in the head, or a line ends with something other than CR LF."
            )

    @staticmethod
    def _request_line_too_long() -> MessageError:
        return MessageError(414, "The request line is too long.", setting="limits.request_line_size")

    @staticmethod
    def _head_too_long() -> MessageError:
        return MessageError(431, "The head is too long.", setting="limits.head_size")

    def _note_connection(self, fields: Fields, version: str) -> None:
        """Whether the connection persists as far as this message goes (RFC 9112 §9.3)."""
        value = fields.get("connection")
        if value is None:
            if version == "1.0":
                self._keeps = False
            return
        if value == "keep-alive":  # what browsers send
            return
        options = parse_connection(value)
        if "close" in options or (version == "1.0" and "keep-alive" not in options):
            self._keeps = False

    def _body_reader(self, length: int) -> BodyReader:
        if length == CHUNKED:
            return ChunkedReader(self._limits, is_response=self._role is Role.CLIENT)
        return UntilCloseReader() if length == UNTIL_CLOSE else LengthReader(length)

    def _their_part(self, event: Data | EndOfMessage) -> Data | EndOfMessage:
        if isinstance(event, EndOfMessage):
            self._their_end()
        else:
            self.their_state = self._theirs[BODY, Step.DATA]
        return event

    def _their_end(self) -> None:
        if self._switches and self._role is Role.CLIENT:
            self.their_state = self._theirs[BODY, Step.SWITCH]
            self.our_state = self._ours[self.our_state, Step.SWITCH]
        else:
            self.their_state = self._theirs[BODY, Step.END]
            if not self._keeps:
                self._settle()

    def _settle(self) -> None:
        """The connection will not persist: what is complete was the last, and what was answered before it came will not be read."""
        self.our_state = self._ours.get((self.our_state, Step.RETIRE), self.our_state)
        self.their_state = self._theirs.get((self.their_state, Step.RETIRE), self.their_state)

    # --- sending ---------------------------------------------------------------------------------------------------------------

    def send(self, event: Event) -> bytes:
        """The octets for `event`, framed as the head before it says. Raises `SendError`, with the state as it was, for what must not be
        sent at all or not now."""
        if isinstance(event, ResponseHead):
            return self._send_response(event)
        if isinstance(event, EndOfMessage):
            return self._send_end(event)
        if isinstance(event, Data):
            after = self._after(Step.DATA)
            octets = self._writer.data(event.data)
            self.our_state = after
            return octets
        if isinstance(event, InformationalHead):
            return self._send_informational(event)
        if isinstance(event, RequestHead):
            return self._send_request(event)
        self.our_state = self._after(Step.CLOSE)
        self._keeps = False
        return b""

    def sent_elsewhere(self, count: int) -> None:
        """Take note that `count` octets of content leave by another way (sendfile). Raises `SendError` where `send(Data)` would, and
        unless `sends_identity`."""
        self._after(Step.DATA)
        self._writer.count(count)

    def answered_elsewhere(self) -> None:
        """Take note that the whole answer to the request just read left by another way, and be ready for the next exchange. Raises
        `SendError` unless the request is complete and the answer not begun."""
        if self.our_state is not IDLE or self.their_state not in {State.DONE, State.LAST}:
            raise SendError("Only a complete request can be answered elsewhere, and only whole.")
        if self.their_state is State.DONE:
            self.their_state = self._theirs[State.DONE, Step.NEXT]
            self._begin()

    def take_known(self, head: RequestHead) -> None:
        """Go on as if `head`, a request without content that was read before, had just been read with its end. Only between exchanges, with
        nothing buffered, and for HTTP/1.1 without fields that concern the connection."""
        self._method, self._version = head.method, head.version
        self.their_state = DONE

    def forget_empty_lines(self) -> None:
        """Requests that never came here stood between the empty lines that did: count anew."""
        self._empty_lines = 0

    def _after(self, step: Step) -> State:
        after = self._ours.get((self.our_state, step))
        if after is None:
            raise SendError(f"{step.name} cannot be sent by a {self._role.name} that is {self.our_state.name}.")
        return after

    def _send_end(self, event: EndOfMessage) -> bytes:
        is_switch = self._switches and self._role is Role.SERVER
        after = self._after(Step.SWITCH if is_switch else Step.END)
        octets = self._writer.end(event.trailers)
        self.our_state = after
        if is_switch:
            self.their_state = self._theirs[self.their_state, Step.SWITCH]
        elif not self._keeps:
            self._settle()
        return octets

    def _send_informational(self, head: InformationalHead) -> bytes:
        after = self._after(Step.INFORMATIONAL)
        octets = frame_interim(head, self._version)
        self.our_state = after
        return octets

    def _send_response(self, head: ResponseHead) -> bytes:
        after = self._after(Step.RESPONSE)
        theirs = self.their_state
        # Without an intact request nobody knows where the next one would begin.
        may_keep = self._keeps and theirs is not IDLE and theirs is not BROKEN
        octets, writer, keeps = frame_response(head, self._method, self._version, keeps=may_keep)
        if not keeps:
            switches = is_switch(self._method, head.status)
            if switches:
                self._check_switch(head)
            self._switches = switches
            self._keeps = False
        self.our_state = after
        self._writer = writer
        if not keeps:
            self._settle()
        return octets

    def _check_switch(self, head: ResponseHead) -> None:
        if (self.their_state, Step.SWITCH) not in self._theirs:
            raise SendError("The connection cannot leave HTTP before the request is complete.")
        # "A server MUST NOT switch to a protocol that was not indicated by the client in the corresponding request's Upgrade header
        # field", and "MUST send an Upgrade header field to indicate the new protocol(s)" (RFC 9110 §7.8).
        if head.status == 101 and not (self._offers_upgrade and "upgrade" in head.fields):
            raise SendError("101 answers an offer to upgrade, and names the protocol that was chosen.")

    def _send_request(self, head: RequestHead) -> bytes:
        after = self._after(Step.REQUEST)
        octets, writer, keeps = frame_request(head)
        self.our_state = after
        self._writer = writer
        self._method, self._version = head.method, "1.1"
        self._offers_upgrade = "upgrade" in head.fields
        self._keeps = self._keeps and keeps
        return octets
