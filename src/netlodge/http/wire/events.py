"""What the HTTP/1.1 codec reads and sends: the parts of a message in the order in which they pass (RFC 9112 §2.1).

One request or response is its head, then any number of `Data`, then one `EndOfMessage`, also when there is no body. A response may be
preceded by `InformationalHead`s. `NEED_DATA` and `PAUSED` are no events: they say why there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from netlodge.http.message import Fields, TargetForm


@dataclass(slots=True)
class RequestHead:
    """The start of a request (RFC 9112 §3).

    To send one, give `method`, `target`, `fields` (with `host`) and perhaps `is_chunked`; the rest is what the codec found when it
    read one.
    """

    method: str
    target: str
    version: str = "1.1"
    """`"1.0"` or `"1.1"`; a later minor version is read as `"1.1"` (RFC 9110 §6.2)."""
    fields: Fields = field(default_factory=Fields)
    raw: bytes = b""
    """The head as it stood on the wire, with its empty line and without empty lines before it."""
    content_length: int | None = 0
    """Octets of content; 0 if there is none; None if only the end will tell (chunked)."""
    is_chunked: bool = False
    form: TargetForm = TargetForm.ORIGIN
    scheme: str | None = None
    """Lower-case; only absolute-form names it."""
    host: str = ""
    """Host of the target URI, lower-case: the target's own for absolute-form and authority-form, else the Host field's (RFC
    9112 §3.2.2, §3.3). Empty for HTTP/1.0 without Host."""
    port: int | None = None
    path: str = ""
    """With a leading `/`; empty for `*`, authority-form, and OPTIONS of a whole server in absolute-form (RFC 9112 §3.2.4)."""
    query: str | None = None


@dataclass(slots=True)
class InformationalHead:
    """An interim response: 1xx but not 101, which ends HTTP here and so is a `ResponseHead` (RFC 9110 §15.2)."""

    status: int
    reason: str = ""
    fields: Fields = field(default_factory=Fields)
    raw: bytes = field(default=b"", compare=False)
    """The head as it stood on the wire, if it was read there."""


@dataclass(slots=True)
class ResponseHead:
    """The start of a final response (RFC 9112 §4), of 101, or of a tunnel (2xx to CONNECT).

    To send one, give `status`, `fields` and perhaps `reason` (empty: the usual one). The codec decides on the framing.
    """

    status: int
    reason: str = ""
    version: str = "1.1"
    fields: Fields = field(default_factory=Fields)
    raw: bytes = b""
    content_length: int | None = None
    """As read: octets of content; 0 if there is none; None if only the end will tell (chunked, or until the connection closes)."""


@dataclass(slots=True)
class Data:
    """Some octets of the body, transfer coding removed; never empty when read."""

    data: bytes


@dataclass(slots=True)
class EndOfMessage:
    """The message is complete. `trailers` is None unless a trailer section came (RFC 9112 §7.1.2)."""

    trailers: Fields | None = None


@dataclass(slots=True)
class ConnectionClosed:
    """The stream has ended between messages."""


class Pause(Enum):
    """Why there is no event."""

    NEED_DATA = "need data"
    PAUSED = "paused"


NEED_DATA: Final = Pause.NEED_DATA
"""Nothing more can be read from what has arrived."""
PAUSED: Final = Pause.PAUSED
"""Octets wait which belong to the next exchange (pipelining, RFC 9112 §9.3.2) or no longer to HTTP."""

Event = RequestHead | InformationalHead | ResponseHead | Data | EndOfMessage | ConnectionClosed
