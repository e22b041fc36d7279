"""One exchange as one line of JSON, and back: what the control socket speaks and `netlodge trace --json` prints.

Octets that are UTF-8 stand as text under their name; others stand in base64 under the name with `_base64`. So most lines can be read, and
all can be undone.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any, Final

from netlodge.core.contracts import Peer
from netlodge.core.errors import NetlodgeError
from netlodge.core.records import Entry, HttpRecord, LineRecord
from netlodge.observe.access_log import utc_time
from netlodge.observe.escaping import octets, to_json
from netlodge.observe.tap import Gap

_TEXTS: Final = ("door", "scheme", "version", "method", "target", "host", "referer", "user_agent", "user", "outcome")
_NUMBERS: Final = ("status", "elapsed", "received", "sent")
_OCTETS: Final = ("request_head", "response_head", "request_body", "response_body")


class ExchangeError(NetlodgeError):
    """A line that no Netlodge wrote."""


def encode(entry: Entry | Gap) -> str:
    """The line, without its end: printable ASCII."""
    if isinstance(entry, Gap):
        return to_json({"kind": "gap", "dropped": entry.dropped})
    wall, peer, record = entry
    said: dict[str, object] = {
        "kind": "http" if isinstance(record, HttpRecord) else "line",
        "time": utc_time(wall),
        "wall": wall,
        "peer": {"host": peer.host, "port": peer.port},
    }
    if isinstance(record, HttpRecord):
        said |= {name: octets(getattr(record, name)).decode("latin-1") for name in _TEXTS}
        said |= {name: getattr(record, name) for name in _NUMBERS}
        said["recalled"] = record.is_recalled
        for name in _OCTETS:
            _put(said, name, getattr(record, name))
    else:
        said |= {"door": record.door, "transport": record.transport, "outcome": record.outcome}
        _put(said, "question", record.question)
        _put(said, "answer", record.answer)
    return to_json(said)


def decode(line: str | bytes) -> Entry | Gap | None:
    """The inverse of `encode`; None for kinds of line that a later Netlodge may add. Raises `ExchangeError`."""
    try:
        said = json.loads(line)
        match said["kind"]:
            case "http":
                parts: dict[str, Any] = {name: said[name] for name in (*_TEXTS, *_NUMBERS)}
                parts |= {name: _take(said, name) for name in _OCTETS}
                record = HttpRecord(**parts, is_recalled=said["recalled"])
                return said["wall"], Peer(**said["peer"]), record
            case "line":
                sentence = LineRecord(
                    door=said["door"],
                    transport=said["transport"],
                    question=_take(said, "question"),
                    answer=_take(said, "answer"),
                    outcome=said["outcome"],
                )
                return said["wall"], Peer(**said["peer"]), sentence
            case "gap":
                return Gap(said["dropped"])
            case _:
                return None
    except (ValueError, TypeError, KeyError) as error:
        raise ExchangeError("The worker sent a line that is no exchange.") from error


def _put(said: dict[str, object], name: str, data: bytes) -> None:
    try:
        said[name] = data.decode()
    except UnicodeDecodeError:
        said[f"{name}_base64"] = b64encode(data).decode()


def _take(said: dict[str, Any], name: str) -> bytes:
    if name in said:
        return str(said[name]).encode()
    return b64decode(said[f"{name}_base64"])
