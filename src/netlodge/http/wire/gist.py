"""What a request asks, at a glance: enough to find an answer that was remembered by its meaning, without taking the request apart.

RFC 9112 §3, §5; RFC 9110 §7.2 (Host). A head that has anything out of the ordinary, or anything wrong, has no gist: then the codec looks
closer, and says what is wrong. What has one is a head that the codec would take as well, because each part of it is checked by the same
functions (`grammar`, through `HeadMemo`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from netlodge.http.message import SELECTING, MessageError, TargetForm
from netlodge.http.wire.grammar import CRLF, TEXT_OCTETS, parse_request_line, parse_target
from netlodge.http.wire.limits import WireLimits
from netlodge.http.wire.memo import HeadMemo

METHODS: Final = frozenset({"GET", "HEAD"})
"""What has no content, and changes nothing."""
CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Fields that say who asks: what is answered to them is nobody else's."""
_LOOK_CLOSER: Final = CREDENTIALS | {"content-length", "expect", "keep-alive", "transfer-encoding", "upgrade"}
"""Fields that say who asks, what follows the head, or what is to become of the connection."""
_TELLING: Final = _LOOK_CLOSER | SELECTING | {"connection", "host", "referer", "user-agent"}
_OPTIONS: Final = frozenset({"close", "keep-alive"})


class Gist(NamedTuple):
    """`question` is the same for requests that ask the same, and for no others; the rest is for the log."""

    question: str
    user_agent: str
    referer: str


def gist_of(raw: bytes, limits: WireLimits, memo: HeadMemo) -> Gist | None:
    """The gist of one whole head with its empty line; None if it takes a closer look. Never raises.

    The question is the request line, host and port, and the lines of `SELECTING` and Connection in order of their names: no part of it
    can hold the newlines between them.
    """
    lines = raw.decode("latin-1").split("\r\n")
    if len(raw) > limits.head_size or len(lines) - 3 > limits.field_count or len(lines[0]) > limits.request_line_size:
        return None
    if raw.translate(None, TEXT_OCTETS) != CRLF * (len(lines) - 1):
        return None
    try:
        return _gist_of(lines, memo)
    except MessageError:
        return None


def _gist_of(lines: list[str], memo: HeadMemo) -> Gist | None:
    if not memo.knows_request_line(lines[0]):
        method, target, version = parse_request_line(lines[0])
        if method not in METHODS or version != "1.1" or lines[0][-1] != "1":
            return None
        if parse_target(method, target)[0] is not TargetForm.ORIGIN:
            return None
        memo.keep_request_line(lines[0])
    host: tuple[str, int | None] | None = None
    user_agent = referer = ""
    said: list[str] = []
    for name, value in memo.parse_field_lines(lines[1:-2]):
        if name not in _TELLING:
            continue
        if name == "host":
            if host is not None:
                return None
            host = memo.parse_authority(value)
        elif name == "user-agent":
            user_agent = f"{user_agent}, {value}" if user_agent else value
        elif name == "referer":
            referer = f"{referer}, {value}" if referer else value
        elif name in _LOOK_CLOSER or (name == "connection" and value not in _OPTIONS):
            return None
        else:
            said.append(f"{name}:{value}")
    if host is None:
        return None
    if len(said) > 1:
        said.sort()
    return Gist("\n".join((lines[0], host[0], str(host[1]), *said)), user_agent, referer)
