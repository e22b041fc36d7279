"""Heads to be sent: how they frame their body, and what they say about the connection.

RFC 9112 §6.1 to §6.3 from the sender's side, §9.3 and §9.6 (Connection), §3.2 (Host); RFC 9110 §8.6 (Content-Length), §7.8 (Upgrade), §15.2
(interim responses). Pure functions of a head and of the request that it answers; each raises `SendError` for what must not be sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netlodge.http.message import Fields, MessageError
from netlodge.http.wire.events import InformationalHead, RequestHead, ResponseHead
from netlodge.http.wire.framing import is_bodiless, is_tunnel, parse_content_length
from netlodge.http.wire.grammar import is_token, parse_connection, parse_target, target_host
from netlodge.http.wire.render import SendError, render_head, render_section
from netlodge.http.wire.writers import BodyWriter, ChunkedWriter, LengthWriter, UntilCloseWriter

NOTHING_TO_SEND: Final = LengthWriter(0)
"""The writer of all bodies that are not there."""
_CHUNKS: Final = ChunkedWriter()
_UNTIL_CLOSE: Final = UntilCloseWriter()


def is_switch(method: str, status: int) -> bool:
    """True for a response after which the connection is no longer HTTP (RFC 9110 §7.8, §9.3.6)."""
    return status == 101 or (method == "CONNECT" and is_tunnel(method, status))


def frame_response(head: ResponseHead, method: str, version: str, *, keeps: bool) -> tuple[bytes, BodyWriter, bool]:
    """The head's octets, the writer of its body, and whether the connection persists after it.

    `method` and `version` are the request's (empty if none was understood); `keeps` says that the connection would persist so far. Content
    of announced length is sent as it is; else the chunked coding frames it for HTTP/1.1, and the end of the stream for HTTP/1.0.
    """
    status, fields = head.status, head.fields
    if status < 200 and status != 101:
        raise SendError(f"{status} is no final response.")
    length = _announced_length(fields)
    options = _connection_options(fields) if "connection" in fields else ()
    switches = is_switch(method, status)
    keeps = keeps and "close" not in options and not switches
    added: list[tuple[str, str]] = []
    pairs: Iterable[tuple[str, str]] = fields
    writer: BodyWriter
    if is_bodiless(method, status):
        writer = NOTHING_TO_SEND
        # "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx (Informational) or 204 (No
        # Content) [... or] in any 2xx (Successful) response to a CONNECT request" (RFC 9110 §8.6)
        if length is not None and (status == 204 or switches):
            pairs = [pair for pair in fields if pair[0] != "content-length"]
    elif length is not None:
        writer = LengthWriter(length)
    elif version == "1.1":
        writer = _CHUNKS
        added.append(("transfer-encoding", "chunked"))
    else:
        # "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request indicates HTTP/1.1 (or later
        # minor revisions)." (RFC 9112 §6.1)
        writer = _UNTIL_CLOSE
        keeps = False
    if switches:
        # "A sender of Upgrade MUST also send an "Upgrade" connection option in the Connection header field" (RFC 9110 §7.8)
        if status == 101 and "upgrade" not in options:
            added.append(("connection", "upgrade"))
    elif not keeps:
        # "A sender SHOULD send a Connection header field containing the "close" connection option when it intends to close a connection."
        # (RFC 9112 §9.6)
        if "close" not in options:
            added.append(("connection", "close"))
    elif "keep-alive" not in options and (version == "1.0" or "keep-alive" in fields):
        # To an HTTP/1.0 client this is what says that the connection persists (RFC 9112 §9.3); to any, it goes with the hint.
        added.append(("connection", "keep-alive"))
    return render_head(status, [*pairs, *added] if added else pairs, head.reason), writer, keeps


def frame_interim(head: InformationalHead, version: str) -> bytes:
    """The octets of an interim response to a request of `version` (empty if there is none)."""
    if not 100 <= head.status < 200 or head.status == 101:
        raise SendError(f"{head.status} is no interim response.")
    # "A server MUST NOT send a 1xx response to an HTTP/1.0 client." (RFC 9110 §15.2) Without a request there is none to inform.
    if version != "1.1":
        raise SendError("There is no HTTP/1.1 request to send an interim response to.")
    # "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx" (RFC 9110 §8.6), and the same holds
    # for Transfer-Encoding (RFC 9112 §6.1).
    if "content-length" in head.fields or "transfer-encoding" in head.fields:
        raise SendError("An interim response has no content.")
    return render_head(head.status, head.fields, head.reason)


def frame_request(head: RequestHead) -> tuple[bytes, BodyWriter, bool]:
    """The head's octets, the writer of its body, and whether the connection may persist after it.

    Content is chunked if the head says so, else as long as its Content-Length says, else there is none.
    """
    method, target, fields = head.method, head.target, head.fields
    if not is_token(method):
        raise SendError(f"{method!r} is no method.")
    try:
        _, _, authority, _, _ = parse_target(method, target)
        # "A client MUST send a Host header field in all HTTP/1.1 request messages." (RFC 9112 §3.2)
        target_host(fields.get("host"), "1.1", authority)
    except MessageError as error:
        raise SendError(error.detail) from None
    length = _announced_length(fields)
    options = _connection_options(fields) if "connection" in fields else ()
    if method == "CONNECT" and (length or head.is_chunked):
        raise SendError("CONNECT has no content.")
    added: list[tuple[str, str]] = []
    writer: BodyWriter
    if head.is_chunked:
        if length is not None:
            raise SendError("A chunked request has no Content-Length.")
        writer = _CHUNKS
        added.append(("transfer-encoding", "chunked"))
    else:
        writer = LengthWriter(length) if length else NOTHING_TO_SEND
    if "upgrade" in fields and "upgrade" not in options:
        added.append(("connection", "upgrade"))
    return render_section(f"{method} {target} HTTP/1.1", [*fields, *added]), writer, "close" not in options


def _announced_length(fields: Fields) -> int | None:
    """What the Content-Length of a message to be sent says. A Transfer-Encoding is refused: it is decided here."""
    if "transfer-encoding" in fields:
        raise SendError("Transfer-Encoding is for the codec to decide.")
    value = fields.get("content-length")
    if value is None:
        return None
    try:
        return parse_content_length(value)
    except MessageError as error:
        raise SendError(error.detail) from None


def _connection_options(fields: Fields) -> list[str]:
    try:
        return parse_connection(fields.get("connection") or "")
    except MessageError as error:
        raise SendError(error.detail) from None
