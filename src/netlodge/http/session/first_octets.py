"""A connection in the clear that may begin with HTTP/2: its first octets say which version it speaks.

RFC 9113 §3.3 (prior knowledge), §3.4 (the preface, which is no request of HTTP/1.1). Whatever does not begin with the preface is HTTP/1's
from the first octet on, and this session is out of the way.
"""

from __future__ import annotations

from typing import Final

from netlodge.core.contracts import Connection, Session
from netlodge.http.session.h1 import Http1Session
from netlodge.http.session.h2 import Http2Session
from netlodge.http.session.service import HttpService
from netlodge.http.wire.h2_frames import PREFACE

TELLING: Final = PREFACE[:16]
"""The first line of the preface. No request of HTTP/1 has this method, target and version."""


class FirstOctets:
    """Implements `core.contracts.Session` until it is clear whose connection it is. What comes is HTTP/1's as well meanwhile: so its limits
    hold for those who say nothing, or break off in the middle of the preface."""

    __slots__ = ("_connection", "_first", "_http1", "_retires_at_once", "_service")

    def __init__(self, connection: Connection, service: HttpService) -> None:
        self._connection = connection
        self._service = service
        self._http1 = Http1Session(connection, service)
        self._first = b""
        self._retires_at_once: bool | None = None

    def receive_data(self, data: bytes) -> None:
        first = self._first + data if self._first else data
        if first.startswith(TELLING) and self._http1.awaits_head:
            self._speak_http2(first)
            return
        if not TELLING.startswith(first):
            self._connection.session = self._http1
        self._first = first
        self._http1.receive_data(data)

    def receive_eof(self) -> None:
        self._connection.session = self._http1
        self._http1.receive_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self._http1.connection_lost(error)

    def sweep(self, now: float) -> None:
        self._http1.sweep(now)

    def retire(self, *, at_once: bool) -> None:
        self._retires_at_once = at_once
        self._http1.retire(at_once=at_once)

    def _speak_http2(self, first: bytes) -> None:
        session: Session = Http2Session(self._connection, self._service)
        self._connection.session = session
        if self._retires_at_once is not None:
            session.retire(at_once=self._retires_at_once)
        session.receive_data(first)
