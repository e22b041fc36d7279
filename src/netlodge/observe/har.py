"""Recorded exchanges as an HTTP archive, HAR 1.2: what the network panel of a browser reads and writes.

The specification is Jan Odvarko's "HTTP Archive v1.2"; names of its objects are used here. What a proxy cannot know (DNS, connect, TLS
times) is -1, as it says. Fields of our own begin with `_`, as it asks.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from netlodge.core.contracts import Peer
from netlodge.core.records import Entry, HttpRecord
from netlodge.observe.access_log import utc_time
from netlodge.observe.escaping import octets
from netlodge.observe.heads import Head, parse_head, target_uri
from netlodge.observe.redaction import REDACTED, redact_body

DECODED_OCTETS: Final = 256 * 1024
"""The most that compressed content may become; beyond it the text is left out: a worker that tells of it serves others too."""

_TEXT_TYPES: Final = ("json", "xml", "javascript", "ecmascript", "x-www-form-urlencoded", "yaml", "x-ndjson")

_Object = dict[str, Any]


def build(entries: Iterable[Entry], version: str) -> _Object:
    """The archive as what `json.dumps` takes; `version` is Netlodge's. Messages that were no requests, and sentences of line
    services, have no place in HAR: the log's comment says how many were left out."""
    exchanges: list[tuple[float, _Object]] = []
    left_out = 0
    for wall, peer, record in entries:
        if isinstance(record, HttpRecord) and record.method:
            started = wall - record.elapsed
            exchanges.append((started, _entry(started, peer, record)))
        else:
            left_out += 1
    exchanges.sort(key=lambda exchange: exchange[0])
    log = _log(version) | {"entries": [entry for _, entry in exchanges]}
    if left_out:
        log["comment"] = _left_out(left_out)
    return {"log": log}


def pieces(batches: Iterable[Iterable[Entry]], version: str) -> Iterator[bytes]:
    """The same archive as JSON, a piece for each batch, with its entries in the order in which they come: HAR prefers that of their start, and
    readers must sort them themselves."""
    yield f'{{"log": {json.dumps(_log(version)).removesuffix("}")}, "entries": ['.encode()
    left_out = 0
    comma = ""
    for batch in batches:
        said: list[str] = []
        for wall, peer, record in batch:
            if isinstance(record, HttpRecord) and record.method:
                said.append(f"{comma}\n{json.dumps(_entry(wall - record.elapsed, peer, record))}")
                comma = ","
            else:
                left_out += 1
        if said:
            yield "".join(said).encode()
    comment = f', "comment": {json.dumps(_left_out(left_out))}' if left_out else ""
    yield f"\n]{comment}}}}}\n".encode()


def _log(version: str) -> _Object:
    return {"version": "1.2", "creator": {"name": "Netlodge", "version": version}}


def _left_out(count: int) -> str:
    return f"{count} exchanges that were no HTTP requests are left out."


def _entry(started: float, peer: Peer, record: HttpRecord) -> _Object:
    milliseconds = round(max(0.0, record.elapsed) * 1000, 3)
    # No `serverIPAddress`: the one that the client names in `host` may be any, and a proxy before us may have been the one it asked.
    return {
        "startedDateTime": utc_time(started),
        "time": milliseconds,
        "request": _request(record),
        "response": _response(record),
        "cache": {},
        # "send, wait and receive must be non-negative", and the sum must be `time`; we know the sum alone.
        "timings": {
            "blocked": -1,
            "dns": -1,
            "connect": -1,
            "ssl": -1,
            "send": 0,
            "wait": milliseconds,
            "receive": 0,
        },
        "connection": str(peer.port),
        "_peer": str(peer),
        "_door": record.door,
        "_recalled": record.is_recalled,
        "_outcome": record.outcome,
    }


def _request(record: HttpRecord) -> _Object:
    head = parse_head(record.request_head)
    url = _text(target_uri(record))
    request: _Object = {
        "method": _text(record.method),
        "url": url,
        "httpVersion": _version(record.version),
        "cookies": _cookies(head),
        "headers": _fields(head),
        "queryString": _pairs(_query(url)),
        "headersSize": _head_size(record.version, record.request_head),
        "bodySize": record.received,
    }
    if record.request_body:
        request["postData"] = _post_data(head, record)
    return request


def _response(record: HttpRecord) -> _Object:
    head = parse_head(record.response_head)
    return {
        "status": record.status,
        "statusText": head.start_line.partition(" ")[2].partition(" ")[2],
        "httpVersion": _version(record.version) if record.status else "",
        "cookies": [cookie for line in head.get_all("set-cookie") for cookie in _set_cookie(line)],
        "headers": _fields(head),
        "content": _content(head, record),
        "redirectURL": head.get("location"),
        "headersSize": _head_size(record.version, record.response_head),
        "bodySize": record.sent,
    }


def _post_data(head: Head, record: HttpRecord) -> _Object:
    media_type = head.get("content-type")
    body = record.request_body
    said: _Object = {"mimeType": media_type}
    # "text and params fields are mutually exclusive"
    if media_type.lower().startswith("application/x-www-form-urlencoded"):
        said["params"] = _pairs(body.decode("latin-1"))
    else:
        said |= _as_text(body, media_type, "_encoding")
    if comment := _cut(len(body), record.received):
        said["comment"] = comment
    return said


def _content(head: Head, record: HttpRecord) -> _Object:
    """`size` is that of the content decoded, `compression` what coding saved; both only when all of it was recorded."""
    media_type = head.get("content-type")
    content: _Object = {"size": record.sent, "mimeType": media_type or "x-unknown"}
    body = record.response_body
    if not body:
        return content
    comment = _cut(len(body), record.sent)
    coding = head.get("content-encoding").strip().lower()
    if coding and coding != "identity":
        decoded = None if comment else _decoded(body, coding)
        if decoded is None:
            content["comment"] = comment or f"Content in {coding} is not shown."
            return content
        content["size"] = len(decoded)
        content["compression"] = len(decoded) - len(body)
        # What took the credentials out before could not see into the coding.
        body = redact_body(decoded)
    content |= _as_text(body, media_type, "encoding")
    if comment:
        content["comment"] = comment
    return content


def _decoded(body: bytes, coding: str) -> bytes | None:
    """Undo gzip or deflate, up to `DECODED_OCTETS`; None if that is not to be done."""
    if coding not in ("gzip", "x-gzip", "deflate"):
        return None
    # 32: zlib tells the two wrappings apart by their first octets.
    decoder = zlib.decompressobj(32 + zlib.MAX_WBITS)
    try:
        decoded = decoder.decompress(body, DECODED_OCTETS)
    except zlib.error:
        return None
    return decoded if decoder.eof else None


def _as_text(body: bytes, media_type: str, encoding_name: str) -> _Object:
    """Text as text, anything else in base64 with the encoding named."""
    essence, _, parameters = media_type.lower().partition(";")
    if essence.strip().startswith("text/") or essence.strip().endswith(_TEXT_TYPES):
        charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
        encoding = "latin-1" if charset in ("iso-8859-1", "latin1") else "utf-8"
        try:
            return {"text": body.decode(encoding)}
        except UnicodeDecodeError:
            pass
    return {"text": b64encode(body).decode(), encoding_name: "base64"}


def _cookies(head: Head) -> list[_Object]:
    pairs = (pair.strip().partition("=") for line in head.get_all("cookie") for pair in line.split(";"))
    return [{"name": name, "value": value} for name, equals, value in pairs if equals]


def _set_cookie(line: str) -> list[_Object]:
    """The cookie that a `set-cookie` line sets; none if there is no pair (or it was redacted)."""
    pair, *attributes = line.split(";")
    name, equals, value = pair.strip().partition("=")
    if not equals:
        return []
    cookie: _Object = {"name": name.strip(), "value": value.strip(), "httpOnly": False, "secure": False}
    for attribute in attributes:
        key, _, setting = (part.strip() for part in attribute.partition("="))
        match key.lower():
            case "path" | "domain":
                cookie[key.lower()] = setting
            case "expires":
                if moment := _moment(setting):
                    cookie["expires"] = moment
            case "httponly":
                cookie["httpOnly"] = True
            case "secure":
                cookie["secure"] = True
    return [cookie]


def _moment(date: str) -> str:
    """A cookie's date as ISO 8601; nothing if it is no date."""
    try:
        moment = parsedate_to_datetime(date.replace("-", " "))
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    return moment.replace(tzinfo=moment.tzinfo or UTC).isoformat(timespec="milliseconds")


def _pairs(query: str) -> list[_Object]:
    return [
        {"name": name, "value": value}
        for name, value in parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=None)
    ]


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return url.partition("?")[2]


def _fields(head: Head) -> list[_Object]:
    return [{"name": name, "value": value} for name, value in head.fields]


def _head_size(version: str, head: bytes) -> int:
    """Octets up to the empty line, included; -1 ("not available") if the head is not all there as it was. Of HTTP/2 it is a rendering: on
    the wire it was compressed."""
    if version == "2" or not head.endswith(b"\r\n\r\n") or REDACTED.encode() in head:
        return -1
    return len(head)


def _version(version: str) -> str:
    return f"HTTP/{version}" if version else ""


def _cut(recorded: int, length: int) -> str:
    return f"The first {recorded} of {length} octets." if recorded < length else ""


def _text(text: str) -> str:
    return octets(text).decode("utf-8", "replace")
