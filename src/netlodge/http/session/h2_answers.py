"""Heads of answers as HTTP/2 writes them, and answers remembered for it.

RFC 9113 §8.3.2 (status), §8.2.2 (what concerns a connection is left out). A head is encoded without the dynamic table, so that it is the
same on every connection: of each answer one block is kept, and only its date is put in anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from netlodge.core.recall import Answer
from netlodge.core.records import HttpRecord
from netlodge.http.message import REASONS, FileBody, MessageError, Remember, Response
from netlodge.http.rules.dates import imf_fixdate
from netlodge.http.session.exchange import completed_fields
from netlodge.http.session.known import BlockParts
from netlodge.http.session.remembering import REMEMBERED_BODY, may_be_remembered
from netlodge.http.session.service import HttpService
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.framing import is_bodiless, is_tunnel, parse_content_length
from netlodge.http.wire.grammar import OWS
from netlodge.http.wire.h2_fields import CONNECTION_FIELDS, MalformedError, check_field
from netlodge.http.wire.h2_frames import DATA, DEFAULT_FRAME, END_HEADERS, END_STREAM, HEADERS
from netlodge.http.wire.hpack import Field, encode_stateless
from netlodge.http.wire.readers import NOT_IN_TRAILERS
from netlodge.http.wire.render import SendError


def encode_section(fields: Iterable[Field]) -> bytes:
    """The block of a trailer section. Raises `SendError` for what cannot be sent."""
    pairs = _sendable(fields)
    for name, _ in pairs:
        if name in NOT_IN_TRAILERS:  # RFC 9110 §6.5.1, as in HTTP/1.1
            raise SendError(f"The field {name!r} must not be sent as a trailer.")
    return encode_stateless(pairs)


def encode_interim(status: int, fields: Iterable[Field]) -> bytes:
    """The block of an interim response (§8.1). Raises `SendError`."""
    # "HTTP/2 removes support for the 101 (Switching Protocols) informational status code" (§8.6)
    if not 100 <= status <= 199 or status == 101:
        raise SendError(f"{status} is no interim status of HTTP/2.")
    pairs = _sendable(fields)
    if any(name == "content-length" for name, _ in pairs):
        raise SendError("An interim response has no content.")
    return encode_stateless([(":status", str(status)), *pairs])


def _sendable(fields: Iterable[Field]) -> list[Field]:
    """The fields without those that concern a connection (§8.2.2), and without the space around values that HTTP/1.1 would let its
    recipient take off (§8.2.1). Raises `SendError`."""
    kept: list[Field] = []
    for name, spaced in fields:
        if name in CONNECTION_FIELDS or name == "te":
            if name == "transfer-encoding":
                raise SendError("Transfer-Encoding has no place in HTTP/2.")
            continue
        value = spaced.strip(OWS)
        try:
            check_field(name, value)
        except MalformedError as error:
            raise SendError(str(error)) from None
        kept.append((name, value))
    return kept


def announced_length(response: Response) -> int | None:
    """What the Content-Length of an answer says, if it has one. Raises `SendError` for one that is no number."""
    value = response.fields.get("content-length")
    if value is None:
        return None
    try:
        return parse_content_length(value)
    except MessageError as error:
        raise SendError(error.detail) from None


def frame_start(kind: int, flags: int, length: int) -> bytes:
    """The octets of a frame before the number of its stream."""
    return (length << 16 | kind << 8 | flags).to_bytes(5, "big")


def encode_date(date: str) -> bytes:
    """The field `date` of a block."""
    return encode_stateless([("date", date)])


def encode_head(service: HttpService, head: RequestHead, response: Response) -> tuple[bytes, bytes]:
    """The block of the head of an answer, and the head as it is shown to whoever looks on. Raises `SendError`."""
    fields = response.fields
    body = response.body
    length = len(body) if isinstance(body, bytes) else -1
    key = (response.status, head.method, length, *fields) if "set-cookie" not in fields and length >= 0 else None
    parts = service.blocks.find(key) if key is not None else None
    if parts is None:
        parts = _parts(service, head, response)
        if key is not None:
            service.blocks.keep(key, parts)
    rest, shown = parts
    return rest + service.date_block, b"".join((shown, service.date_octets, b"\r\n\r\n"))


def _parts(service: HttpService, head: RequestHead, response: Response) -> BlockParts:
    status, body = response.status, response.body
    if not 200 <= status <= 999:
        raise SendError(f"{status} is no final status of HTTP/2.")
    announced = announced_length(response)
    if announced is not None and not is_bodiless(head.method, status) and isinstance(body, bytes | FileBody):
        length = len(body) if isinstance(body, bytes) else body.length
        if announced != length:
            raise SendError(f"The head announces {announced} octets of content, and there are {length}.")
    pairs = _sendable(pair for pair in completed_fields(service, head.method, response) if pair[0] != "date")
    if announced is not None and (status == 204 or is_tunnel(head.method, status)):
        pairs = [pair for pair in pairs if pair[0] != "content-length"]  # RFC 9110 §8.6
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    shown = f"HTTP/2.0 {status} {REASONS.get(status, '')}\r\n{lines}date: ".encode("latin-1")
    return encode_stateless([(":status", str(status)), *pairs]), shown


class Http2Answer(Answer):
    """A small answer: its block and its content, ready but for the number of the stream and the date. If `remember` says when it was
    born, an `age` field is put in with the date."""

    __slots__ = ("_block", "_born", "body", "middle", "start")

    record: HttpRecord

    def __init__(self, block: bytes, body: bytes, *, record: HttpRecord, remember: Remember) -> None:
        super().__init__(
            record=record,
            octets=2 * len(block) + 2 * len(body) + len(record.request_head) + len(record.response_head),
            expires=remember.expires,
            still_holds=remember.still_holds,
            slot=remember.slot,
            generation=remember.generation,
        )
        self._block = block
        self._born = remember.born
        self.body = body
        self.start = b""
        """What stands before the number of the stream, the first time."""
        self.middle = b""
        """What stands between the first time and the second, if there is content."""

    def render(self, now: float, second: int) -> bytes:
        """The block. `start` and `middle` are made with it."""
        block = self._block + encode_date(imf_fixdate(second))
        if self._born is not None:
            block += encode_stateless([("age", str(max(0, int(now - self._born))))])
        body = self.body
        flags = END_HEADERS if body else END_HEADERS | END_STREAM
        self.start = frame_start(HEADERS, flags, len(block))
        self.middle = block + frame_start(DATA, END_STREAM, len(body)) if body else block
        return block


def remember_for_h2(service: HttpService, head: RequestHead, response: Response, block: bytes, shown: bytes) -> None:
    """Keep an answer for whoever asks the same, if it may be kept, was asked for before, and fits one frame."""
    body = response.body
    if response.remember is None or not isinstance(body, bytes) or len(body) > min(DEFAULT_FRAME, REMEMBERED_BODY):
        return
    if not service.recall_h2.is_on or not may_be_remembered(head, response) or not service.recall_h2.wants(head.raw):
        return
    content = b"" if is_bodiless(head.method, response.status) else body
    without_date = block[: -len(service.date_block)]
    known = service.requests.find(head.raw)
    if known is None:
        return
    record = known.record.copy()
    record.status = response.status
    record.response_head = shown
    record.response_body = content[: service.capture]
    record.sent = len(content)
    record.is_recalled = True
    answer = Http2Answer(without_date, content, record=record, remember=response.remember)
    service.recall_h2.remember(head.raw, answer)
