"""Requests, responses and promises as they arrive on the streams of an HTTP/2 connection: heads, content, trailers, and their ends.

RFC 9113 §8.1 (framing), §8.1.1 (malformed messages), §8.4 (push), §8.5 (CONNECT), §5.1.1 and §5.1.2 (which streams a peer may begin), §4.3
(field blocks), §6.9 (whose windows content fills), §10.5.1 (lists that are too large). `h2_receiving` takes the frames apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netlodge.http.message import MessageError
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.framing import is_bodiless, is_tunnel, parse_content_length
from netlodge.http.wire.h2_connection import Http2Connection
from netlodge.http.wire.h2_events import (
    DataReceived,
    MessageEnded,
    Priority,
    PromiseReceived,
    RequestReceived,
    RequestTooLarge,
    ResponseReceived,
    Stream,
)
from netlodge.http.wire.h2_fields import MalformedError, request_head, response_head, trailers
from netlodge.http.wire.h2_frames import ErrorCode, Http2Error, Setting, StreamError
from netlodge.http.wire.h2_states import CLOSED, TRANSITIONS, StreamStep
from netlodge.http.wire.hpack import Decoded, Field, HpackDecoder, HpackError, TableStates
from netlodge.http.wire.states import Role

_PROTOCOL: Final = ErrorCode.PROTOCOL_ERROR
SAFE_AND_CACHEABLE: Final = frozenset({"GET", "HEAD"})
"""What may be promised: "Promised requests MUST be safe (see Section 9.2.1 of [HTTP]) and cacheable (see Section 9.2.3 of [HTTP])." (§8.4)"""


class MessageReceiver:
    """Reads the messages of one connection's peer. Every method raises `Http2Error` for what ends the connection, and `StreamError` for what
    ends the stream."""

    def __init__(self, connection: Http2Connection, states: TableStates) -> None:
        self._connection = connection
        self._decoder = HpackDecoder(states)
        self._largest_list = min(connection.limits.header_list_size, states.list_limit)

    # --- content ------------------------------------------------------------------------------------------------------------------

    def receive_data(self, stream_id: int, data: bytes, octets: int, *, ends: bool) -> None:
        """Some content that took so many `octets` of the windows."""
        connection = self._connection
        # "A receiver that receives a flow-controlled frame MUST always account for its contribution against the connection flow-control window,
        # unless the receiver treats this as a connection error (Section 5.4.1). This is necessary even if the frame is in error." (§6.9)
        connection.receive_window -= octets
        if connection.receive_window < 0:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "More content than the connection's window allows.")
        stream = connection.known(stream_id, StreamStep.RECEIVE_DATA)
        if not data and not ends:
            connection.credit.spend(1, "empty DATA frames")
        if stream is None:
            connection.give_back(octets)
            return
        try:
            connection.advance(stream, StreamStep.RECEIVE_DATA)
            stream.receive_window -= octets
            if stream.receive_window < 0:
                raise _stream_error(stream, "More content than the window allows.", ErrorCode.FLOW_CONTROL_ERROR)
            stream.received += len(data)
            if not stream.has_head:
                raise _stream_error(stream, "Content comes before the head.")
            if stream.expected is not None and stream.received > stream.expected:
                raise _stream_error(stream, "There is more content than was announced.")
        except StreamError:
            connection.give_back(octets)
            raise
        if data:
            connection.events.append(DataReceived(stream, data, octets))
        else:
            connection.consumed(stream, octets)
        if ends:
            self._end_message(stream, None)

    def _end_message(self, stream: Stream, section: Iterable[Field] | None) -> None:
        # "A request or response is also malformed if the value of a content-length header field does not equal the sum of the DATA frame payload
        # lengths that form the content, unless the message is defined as having no content." (§8.1.1)
        if stream.expected is not None and stream.received != stream.expected:
            raise _stream_error(stream, "There is less content than was announced.")
        fields = trailers(section) if section is not None else None
        self._connection.advance(stream, StreamStep.RECEIVE_END)
        self._connection.events.append(MessageEnded(stream, fields))
        if stream.state is CLOSED:
            self._connection.close_stream(stream)

    # --- field blocks -------------------------------------------------------------------------------------------------------------

    def receive_block(self, stream_id: int, block: bytes, priority: Priority | None, *, ends: bool) -> None:
        """A head, or a trailer section."""
        connection = self._connection
        decoded = self._decode(block)
        stream = connection.streams.get(stream_id)
        if stream is None:
            if ends and priority is None and self._is_answered(stream_id, decoded):
                return
            stream = self._opened(stream_id)
            if stream is None:
                return
        try:
            if priority is not None:
                self.prioritize(priority)
            connection.advance(stream, StreamStep.RECEIVE_HEADERS)
            if stream.has_head:
                self._receive_trailers(stream, decoded, ends=ends)
            elif connection.role is Role.SERVER:
                self._receive_request(stream, decoded, ends=ends)
            else:
                self._receive_response(stream, decoded, ends=ends)
        except MalformedError as error:
            raise _stream_error(stream, str(error)) from None

    def prioritize(self, priority: Priority) -> None:
        """A place in the tree of RFC 7540 §5.3."""
        # "A server that receives SETTINGS_NO_RFC7540_PRIORITIES with a value of 1 MUST ignore HTTP/2 priority signals." (RFC 9218 §2.1)
        if self._connection.peer_settings[Setting.NO_RFC7540_PRIORITIES]:
            return
        if priority.parent_id == priority.stream_id:
            raise StreamError(priority.stream_id, _PROTOCOL, "A stream depends on itself.")
        self._connection.events.append(priority)

    def _decode(self, block: bytes) -> Decoded:
        """What a block says. Any block must be read, for the tables of both sides must stay the same: "A receiver MUST terminate the
        connection with a connection error (Section 5.4.1) of type COMPRESSION_ERROR if it does not decompress a field block." (§4.3)"""
        if len(block) > self._connection.limits.field_block_size:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "A field block is too long.")
        try:
            decoded = self._decoder.decode(block)
        except HpackError as error:
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, str(error)) from None
        if decoded.size > self._largest_list:
            self._connection.credit.spend(decoded.size // self._largest_list, "fields, far beyond what was said")
        return decoded

    def _is_answered(self, stream_id: int, decoded: Decoded) -> bool:
        """Whether a request that begins and ends a stream has its answer at once (`h2_connection.AnswerAtOnce`)."""
        connection = self._connection
        answer, head = connection.answer_at_once, decoded.head
        if answer is None or head is None or not head[0] or connection.events:
            return False
        if not connection.is_theirs(stream_id) or not connection.is_idle(stream_id) or connection.was_reset(stream_id):
            return False
        if connection.theirs >= connection.limits.concurrent_streams or not answer(stream_id, head[1]):
            return False
        connection.use_peer_id(stream_id)
        return True

    def _opened(self, stream_id: int) -> Stream | None:
        """The new stream of a peer's HEADERS; None if they are to be ignored."""
        connection = self._connection
        if connection.role is Role.CLIENT or not connection.is_theirs(stream_id) or not connection.is_idle(stream_id):
            # "The identifier of a newly established stream MUST be numerically greater than all streams that the initiating endpoint has opened
            # or reserved. [...] An endpoint that receives an unexpected stream identifier MUST respond with a connection error (Section 5.4.1) of
            # type PROTOCOL_ERROR." (§5.1.1)
            if connection.was_skipped(stream_id):
                raise Http2Error(_PROTOCOL, "A stream begins whose number was passed over.")
            return connection.known(stream_id, StreamStep.RECEIVE_HEADERS)
        connection.use_peer_id(stream_id)
        if connection.was_reset(stream_id):
            return None
        if connection.theirs >= connection.limits.concurrent_streams:
            connection.refuse(stream_id)
            return None
        return connection.new_stream(stream_id)

    def _receive_request(self, stream: Stream, decoded: Decoded, *, ends: bool) -> None:
        stream.has_head = True
        if decoded.size > self._largest_list:
            stream.method = "GET"
            self._connection.events.append(RequestTooLarge(stream))
        else:
            if decoded.head is None or decoded.head[0] is not ends:
                decoded.head = (ends, *request_head(decoded.fields, ends=ends))
            _, head, protocol = decoded.head
            stream.method = head.method
            stream.is_tunnel = head.method == "CONNECT"
            stream.expected = head.content_length if "content-length" in head.fields else None
            self._connection.events.append(RequestReceived(stream, head, ends, protocol))
        if ends:
            self._end_message(stream, None)

    def _receive_response(self, stream: Stream, decoded: Decoded, *, ends: bool) -> None:
        if decoded.size > self._largest_list:
            # "A client can discard responses that it cannot process." (§10.5.1)
            raise _stream_error(stream, "The fields of the response are too large.", ErrorCode.CANCEL)
        status, fields = response_head(decoded.fields)
        if status < 200:
            # "A HEADERS frame with the END_STREAM flag set that carries an informational status code is malformed (Section 8.1.1)." (§8.1)
            if ends:
                raise MalformedError("An interim response ends the stream.")
            self._connection.credit.spend(1, "interim responses")
        else:
            stream.has_head = True
            stream.is_tunnel = is_tunnel(stream.method, status)
            stream.expected = _expected(stream, status, fields.get("content-length"))
        self._connection.events.append(ResponseReceived(stream, status, fields, ends))
        if ends:
            self._end_message(stream, None)

    def _receive_trailers(self, stream: Stream, decoded: Decoded, *, ends: bool) -> None:
        # "Frame types other than DATA or stream management frames (RST_STREAM, WINDOW_UPDATE, and PRIORITY) MUST NOT be sent on a connected stream
        # and MUST be treated as a stream error (Section 5.4.2) if received." (§8.5)
        if stream.is_tunnel:
            raise MalformedError("A tunnel carries content alone.")
        # "An endpoint that receives a HEADERS frame without the END_STREAM flag set after receiving the HEADERS frame that opens a request or
        # after receiving a final (non-informational) status code MUST treat the corresponding request or response as malformed
        # (Section 8.1.1)." (§8.1)
        if not ends:
            raise MalformedError("A second head is no trailer section.")
        if decoded.size > self._largest_list:
            raise MalformedError("The trailer section is too large.")
        self._end_message(stream, decoded.fields)

    # --- promises (§8.4) ----------------------------------------------------------------------------------------------------------

    def receive_promise(self, stream_id: int, promised_id: int, block: bytes) -> None:
        """A request that the server has made up itself."""
        connection = self._connection
        decoded = self._decode(block)
        promised = connection.new_stream(promised_id)
        promised.state = TRANSITIONS[promised.state, StreamStep.RECEIVE_PROMISE]
        stream = connection.streams.get(stream_id)
        if stream is None:
            # "Receiving a PUSH_PROMISE frame also causes the promised stream to become "reserved (remote)", even when the PUSH_PROMISE frame is
            # received on a closed stream." (§5.1)
            raise _stream_error(promised, "Something is promised on a stream that was reset.", ErrorCode.CANCEL)
        if connection.theirs > connection.limits.concurrent_streams:
            # "An excessive number of server push streams can be treated as a stream error (Section 5.4.2) of type ENHANCE_YOUR_CALM." (§10.5)
            raise _stream_error(promised, "Too much is promised at once.", ErrorCode.ENHANCE_YOUR_CALM)
        if decoded.size > self._largest_list:
            raise _stream_error(promised, "The fields of the promise are too large.", ErrorCode.CANCEL)
        head = _promised_head(promised, decoded)
        promised.method = head.method
        connection.events.append(PromiseReceived(stream, promised, decoded.fields))


def _promised_head(promised: Stream, decoded: Decoded) -> RequestHead:
    try:
        head, _ = request_head(decoded.fields, ends=True)
    except MalformedError as error:
        raise _stream_error(promised, str(error)) from None
    # "Clients that receive a promised request that is not cacheable, that is not known to be safe, or that indicates the presence of request
    # content MUST reset the promised stream with a stream error (Section 5.4.2) of type PROTOCOL_ERROR." (§8.4)
    if head.method not in SAFE_AND_CACHEABLE:
        raise _stream_error(promised, "What is promised is not safe and cacheable.")
    return head


def _expected(stream: Stream, status: int, content_length: str | None) -> int | None:
    """Octets of a response's content, if that is known before they come. Raises `MalformedError`."""
    if stream.is_tunnel:
        return None
    # "For example, 204 or 304 responses contain no content, as does the response to a HEAD request." (§8.1.1)
    if is_bodiless(stream.method, status):
        return 0
    if content_length is None:
        return None
    try:
        return parse_content_length(content_length)
    except MessageError as error:
        raise MalformedError(error.detail) from None


def _stream_error(stream: Stream, detail: str, code: ErrorCode = _PROTOCOL) -> StreamError:
    """ "Malformed requests or responses that are detected MUST be treated as a stream error (Section 5.4.2) of type PROTOCOL_ERROR." (§8.1.1)"""
    return StreamError(stream.stream_id, code, detail)
