"""A connection in the clear that may begin with HTTP/2: the first octets say which version it speaks.

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
"""The first line of the preface. Nothing else begins so: no method of HTTP/1 goes with this target and this version."""


class FirstOctets:
    """Implements `core.contracts.Session` until it is told which. Time and the end of the connection are HTTP/1's affair until then: its
    limits hold for those who say nothing, or stop in the middle of the preface."""

    __slots__ = ("_connection", "_first", "_http1", "_is_retiring", "_service")

    def __init__(self, connection: Connection, service: HttpService) -> None:
        self._connection = connection
        self._service = service
        self._http1 = Http1Session(connection, service)
        self._first = b""
        self._is_retiring: bool | None = None

    def receive_data(self, data: bytes) -> None:
        if self._first:
            data = self._first + data
        if data.startswith(TELLING):
            session: Session = Http2Session(self._connection, self._service)
            if self._is_retiring is not None:
                session.retire(at_once=self._is_retiring)
        elif TELLING.startswith(data):
            self._first = data
            return
        else:
            session = self._http1
        self._connection.session = session
        session.receive_data(data)

    def receive_eof(self) -> None:
        self._decide_for_http1()
        self._http1.receive_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self._http1.connection_lost(error)

    def sweep(self, now: float) -> None:
        if self._first:
            # Somebody who began with `P` may as well want to POST: how long a head may take counts from here.
            self._decide_for_http1()
        self._http1.sweep(now)

    def retire(self, *, at_once: bool) -> None:
        self._is_retiring = at_once
        self._http1.retire(at_once=at_once)

    def _decide_for_http1(self) -> None:
        """What came was too little for the preface, for too long."""
        self._connection.session = self._http1
        if self._first:
            self._http1.receive_data(self._first)
