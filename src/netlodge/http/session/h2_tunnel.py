"""One stream of HTTP/2 as a connection of its own: what a CONNECT or a WebSocket makes of it.

RFC 9113 §8.5 (CONNECT: content is what the tunnel carries, END_STREAM its clean end); RFC 8441 §4, §5 (extended CONNECT: "Orderly TCP level closures
are represented as END_STREAM", "RST exceptions are represented with the RST_STREAM frame with the CANCEL error code").

Who takes such a stream over sees what it would see of a socket, so that it need not know of HTTP/2: a WebSocket is asked for by the same
`Request` as over HTTP/1.1, and borne by the same session. Backpressure is the stream's window, in both directions.
"""

from __future__ import annotations

import base64
import logging
import secrets
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netlodge.core.contracts import Session
from netlodge.http.message import Fields, HttpError, Request, Response, Takeover
from netlodge.http.session.h2_outlet import Outlet
from netlodge.http.wire.framing import is_tunnel
from netlodge.http.wire.h2_events import DataReceived, Stream
from netlodge.http.wire.h2_frames import ErrorCode

if TYPE_CHECKING:
    from netlodge.http.session.h2 import Http2Session

logger = logging.getLogger("netlodge.http")

_OF_HTTP1: Final = frozenset({"connection", "sec-websocket-accept", "sec-websocket-key", "upgrade"})


def opening_request(request: Request, protocol: str) -> Request:
    """The request of an extended CONNECT as HTTP/1.1 would have it. Raises `HttpError` 501 for a protocol that is not known here (RFC 9220 §3
    says so for HTTP/3; RFC 8441 says nothing).

    The key is made up: "Implementations using this extended CONNECT to bootstrap WebSockets do not do the processing of the [RFC6455]
    Sec-WebSocket-Key and Sec-WebSocket-Accept header fields" (RFC 8441 §5)."""
    if protocol.lower() != "websocket":
        raise HttpError(501, "The only protocol that a stream can go over to is websocket.")
    key = base64.b64encode(secrets.token_bytes(16)).decode("ascii")
    told = (pair for pair in request.fields if pair[0] not in _OF_HTTP1)
    fields = Fields([*told, ("connection", "Upgrade"), ("upgrade", protocol), ("sec-websocket-key", key)])
    return replace(request, method="GET", fields=fields)


def opening_answer(response: Response, request_method: str, *, is_extended: bool) -> Response | None:
    """The answer to a CONNECT as it goes out; None if it says what is not so: that there is a tunnel, or that there is another protocol."""
    if response.takeover is None:
        # Any 2xx would say that the protocol is spoken here (RFC 9110 §9.3.6): HTTP/1.1 has 101 for that, and a 200 says that the upgrade was ignored.
        return None if is_extended and is_tunnel("CONNECT", response.status) else response
    if is_extended and response.status == 101:
        fields = Fields(pair for pair in response.fields if pair[0] not in _OF_HTTP1)
        return Response(200, fields, takeover=response.takeover)
    return response if is_tunnel(request_method, response.status) and not is_extended else None


class Http2Tunnel:
    """Implements `core.contracts.Connection` for whoever took the stream over. Towards its own connection it is what an `Http2Stream` is.

    The session is told of the end once, and never from within a call of its own: when the stream was reset or lost, when both sides have
    ended it, or when the session itself wanted that."""

    __slots__ = (
        "_has_eof", "_has_session", "_http2", "_is_over", "_is_paused", "_is_told", "_received", "_wants_close", "is_secure", "local",
        "outlet", "peer", "session", "stream",
    )  # fmt: skip

    session: Session
    may_send_file = False

    def __init__(self, http2: Http2Session, stream: Stream) -> None:
        connection, service = http2.connection, http2.service
        self._http2 = http2
        self.stream = stream
        self.peer = connection.peer
        self.local = connection.local
        self.is_secure = connection.is_secure
        self.outlet = Outlet(stream, http2.turns, service.loop, 0)
        self._received: deque[DataReceived] = deque()
        """What came and was not delivered."""
        self._has_session = False
        self._is_paused = False
        self._has_eof = False
        """True once the peer has ended its side."""
        self._is_told = False
        """True once the session knows that."""
        self._wants_close = False
        self._is_over = False
        """True once nothing passes any more, in either direction."""

    def begin(self, takeover: Takeover, early: Iterable[DataReceived], *, has_eof: bool) -> None:
        """Let the new session have the stream, with what came on it already. `has_eof`: the peer has ended its side."""
        events = list(early)
        self._has_eof = has_eof
        try:
            self.session = takeover(self, b"".join(event.data for event in events))
        except Exception as defect:
            self._fail(defect)
        else:
            self._has_session = True
        for event in events:
            self._http2.give_window(self.stream, event.octets)
        self._deliver_soon()

    # --- core.contracts.Connection: what the new session does --------------------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        return self.outlet.is_writable

    @property
    def progress(self) -> int:
        return self.outlet.moved

    def unacknowledged(self) -> int:
        return self.outlet.queued

    def write(self, data: bytes) -> None:
        if data and not self.outlet.has_all and not self._is_over:
            self.outlet.write(data)

    async def send_file(self, descriptor: int, offset: int, count: int) -> int:
        return await self.outlet.send_file(descriptor, offset, count)

    async def drained(self) -> None:
        await self.outlet.drained()

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._deliver_soon()

    def write_eof(self) -> None:
        if not self.outlet.has_all and not self._is_over:
            self.outlet.end(None)

    def close(self) -> None:
        self._wants_close = True
        if self.outlet.is_out:
            self._end(ErrorCode.NO_ERROR)
        else:
            self.write_eof()

    def abort(self) -> None:
        self._end(ErrorCode.CANCEL)

    # --- for its own connection --------------------------------------------------------------------------------------------------------

    def take(self, event: DataReceived) -> None:
        """The peer said something."""
        self._received.append(event)
        self._deliver()

    def end_of_request(self, trailers: Fields | None) -> None:
        """The peer will say no more."""
        self._has_eof = True
        self._deliver()

    def went_out(self) -> None:
        """All that was to be sent is out, and its end."""
        if self._wants_close or self._is_told:
            self._end(ErrorCode.NO_ERROR)

    def broke(self, error: OSError) -> None:
        """Only files break, and there are none here."""

    def lose(self, code: ErrorCode | None = None) -> None:
        """The stream was reset, or its connection is gone."""
        self._end(code)

    def sweep(self, now: float, partial: int) -> None:
        """The new session has the same only timer as any."""
        try:
            self.session.sweep(now)
        except Exception as defect:
            self._fail(defect)

    def retire(self, *, at_once: bool) -> None:
        """The new session may know a way to say so."""
        try:
            self.session.retire(at_once=at_once)
        except Exception as defect:
            self._fail(defect)

    # --- within ------------------------------------------------------------------------------------------------------------------------

    def _deliver_soon(self) -> None:
        if self._received or self._has_eof:
            self._http2.service.loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        received = self._received
        try:
            while received and not self._is_paused:
                event = received.popleft()
                if self._is_over or self._wants_close:
                    self._http2.drop(event.octets)
                else:
                    self._http2.give_window(self.stream, event.octets)
                    if event.data:
                        self.session.receive_data(event.data)
            if self._has_eof and not (received or self._is_told or self._is_paused or self._is_over):
                self._is_told = True
                self.session.receive_eof()
                if self.outlet.is_out:
                    self._end(ErrorCode.NO_ERROR)
        except Exception as defect:
            self._fail(defect)

    def _fail(self, defect: Exception) -> None:
        """The new session raised: that costs its own stream alone."""
        what = "%s: a defect in the session of a stream of %s"
        logger.error(what, self._http2.service.door, self.peer, exc_info=defect)
        self._end(ErrorCode.INTERNAL_ERROR)

    def _end(self, code: ErrorCode | None) -> None:
        """It is over. `code` resets the stream if it has not ended."""
        if self._is_over:
            return
        self._is_over = True
        self.outlet.close()
        self._http2.ended(self.stream, code)
        for event in self._received:
            self._http2.drop(event.octets)
        self._received.clear()
        self._http2.service.loop.call_soon(self._tell_lost)

    def _tell_lost(self) -> None:
        if not self._has_session:
            return
        try:
            self.session.connection_lost(None)
        except Exception:
            logger.exception("%s: a defect while ending a stream of %s", self._http2.service.door, self.peer)
