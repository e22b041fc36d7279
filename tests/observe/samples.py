"""Records that look like those of a real session, for all tests of what looks on."""

from __future__ import annotations

from typing import Any

from netlodge.core.contracts import Peer
from netlodge.core.records import HttpRecord, LineRecord

WALL = 971_211_336.25
"""2000-10-10T20:55:36.250Z."""

PEER = Peer("127.0.0.1", 50312)


def http_record(**changes: Any) -> HttpRecord:
    """A plain exchange at the web door, with what the test says changed."""
    said: dict[str, Any] = {
        "door": "web",
        "scheme": "http",
        "version": "1.1",
        "method": "GET",
        "target": "/page?x=1",
        "host": "www.example.org",
        "status": 200,
        "elapsed": 0.000312,
        "received": 0,
        "sent": 5,
        "referer": "http://www.example.org/",
        "user_agent": "curl/8.5.0",
        "request_head": b"GET /page?x=1 HTTP/1.1\r\nHost: www.example.org:8080\r\nUser-Agent: curl/8.5.0\r\n\r\n",
        "response_head": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\n",
        "response_body": b"hello",
    }
    return HttpRecord(**(said | changes))


def line_record(**changes: Any) -> LineRecord:
    said: dict[str, Any] = {"door": "uppercase", "transport": "tcp", "question": b"hello\n", "answer": b"HELLO\n"}
    return LineRecord(**(said | changes))
