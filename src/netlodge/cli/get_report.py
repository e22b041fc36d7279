"""What `netlodge get --json` prints: one exchange, or why there was none, as one JSON object."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec

from netlodge.core.credentials import is_credential_field
from netlodge.core.errors import NetlodgeError
from netlodge.http.client.exchanges import ClientResponse
from netlodge.http.message import Fields
from netlodge.observe.redaction import REDACTED, redact_target


def report_of(
    response: ClientResponse, *, size: int, body: bytes | None, file: Path | None, shows_credentials: bool
) -> bytes:
    """`size`: octets of the body as they were taken. `body`: the body itself, if it is to be in the report; `file`: where it went, if not.
    Credentials are taken out unless `shows_credentials`."""

    def fields(section: Fields | None) -> list[list[str]] | None:
        if section is None:
            return None
        return [
            [name, value if shows_credentials or not is_credential_field(name) else REDACTED] for name, value in section
        ]

    def uri(text: str) -> str:
        return text if shows_credentials else redact_target(text)

    exchange, path = response.exchange, response.path
    report: dict[str, Any] = {
        "url": uri(str(response.request.uri)),
        "method": response.request.method,
        "request_fields": fields(exchange.request.fields if exchange is not None else None),
        "http_version": response.version,
        "status": response.status,
        "reason": response.reason,
        "fields": fields(response.fields),
        "trailers": fields(response.trailers),
        "redirects": [
            {"url": uri(str(hop.request.uri)), "method": hop.request.method, "status": hop.status}
            for hop in response.history
        ],
        "connection": None if path is None else {"peer": path.peer, "tls": path.tls and path.tls._asdict()},
        "timings": {name: round(seconds, 6) for name, seconds in response.timings().items()},
        "sizes": {
            "request_body": exchange.sent if exchange is not None else 0,
            "response_head": len(exchange.raw_head) if exchange is not None else 0,
            "response_body": exchange.received if exchange is not None else 0,
            "taken": size,
        },
        "file": None if file is None else str(file),
    }
    if file is None:
        report |= _body(body)
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _body(body: bytes | None) -> dict[str, str | None]:
    if body is None:
        return {"body": None}
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode("ascii")}


def report_of_failure(error: NetlodgeError, kind: str) -> str:
    """`kind`: the name of the exit code."""
    return msgspec.json.encode({"error": {"kind": kind, "message": str(error)}}).decode() + "\n"
