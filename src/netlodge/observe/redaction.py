"""Credentials taken out of what a tap shows: they are replaced by `[redacted]`, and the rest stays as it was.

What counts: the fields that carry credentials (RFC 9110 §11.6.2 and §11.7.1, RFC 6265 §4), the userinfo of a URI (RFC 3986 §3.2.1;
§7.5 there says why), and parameters named like a secret in queries, forms and JSON (`core.credentials` knows the names). When in doubt,
more is taken out.
"""

from __future__ import annotations

import re
from typing import Final

from netlodge.core.credentials import is_credential_field, names_secret
from netlodge.core.records import HttpRecord, Record

REDACTED: Final = "[redacted]"

_LINE: Final = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_FIELD_NAME: Final = re.compile(r"[ \t]*(?P<name>[^ \t:]+)[ \t]*(?P<colon>:?)[ \t]*")
_NO_NAME: Final = re.compile(r"[^a-z0-9-]")
_USERINFO: Final = re.compile(r"//[^/?#\s\"<>]*@")
_AUTHORITY_USERINFO: Final = re.compile(r"\A[^/?#\s]*@")
_PARAMETER: Final = re.compile(r"(\A|[?&;#])([^?=&;#\s\"<>]*)=([^&;#\s\"<>]+)")
_JSON_COLON: Final = re.compile(r'"\s*:\s*')
_JSON_PLAIN_NAME: Final = re.compile(r'(?:\A|")([^"]*)"\s*:')
_JSON_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_JSON_PIECE: Final = re.compile(rf"{_JSON_STRING.pattern}|[\[\]{{}}]", re.DOTALL)
_JSON_SCALAR: Final = re.compile(r'[^\s,\[\]{}"\\]+')
_JSON_TELLS_NOTHING: Final = frozenset({"null", "true", "false"})
_JSON_UNICODE: Final = re.compile(r"\\u00([0-9A-Fa-f]{2})")
_JSON_NAME_SIZE: Final = 100
"""How far back the beginning of a member's name is looked for."""
_PART_NAME: Final = re.compile(r'\bname="([^"\r\n]*)"')


def redact(record: Record) -> Record:
    """A copy of the record without credentials. Sentences of line services have no credentials that one could know."""
    if not isinstance(record, HttpRecord):
        return record
    return HttpRecord(
        door=record.door,
        scheme=record.scheme,
        version=record.version,
        method=record.method,
        target=redact_target(record.target),
        host=_AUTHORITY_USERINFO.sub(f"{REDACTED}@", record.host),
        status=record.status,
        elapsed=record.elapsed,
        received=record.received,
        sent=record.sent,
        referer=redact_target(record.referer),
        user_agent=record.user_agent,
        user=record.user,
        request_head=redact_head(record.request_head),
        response_head=redact_head(record.response_head),
        request_body=redact_body(record.request_body),
        response_body=redact_body(record.response_body),
        outcome=record.outcome,
        is_recalled=record.is_recalled,
    )


def redact_target(target: str) -> str:
    """A request target or URI reference without userinfo and without the values of parameters named like secrets."""
    if "@" in target:
        target = _USERINFO.sub(f"//{REDACTED}@", target)
        target = _AUTHORITY_USERINFO.sub(f"{REDACTED}@", target) if "//" not in target else target
    return _redact_parameters(target)


def redact_head(head: bytes) -> bytes:
    """A head as on the wire, without credentials. Line ends, folds and stray octets stay; a folded credential goes whole."""
    if not head:
        return head
    redacted: list[str] = []
    is_first, is_sensitive = True, False
    for match in _LINE.finditer(head.decode("latin-1")):
        line, end = match.groups()
        place = _FIELD_NAME.match(line)
        if place and (place["colon"] or not is_first) and is_credential_field(_NO_NAME.sub("", place["name"].lower())):
            line = f"{place[0]}{REDACTED}"
            is_sensitive = True
        elif is_sensitive and line[:1] in (" ", "\t"):
            line = f"{line[0]}{REDACTED}"
        elif is_first:
            line = " ".join(map(redact_target, line.split(" ")))
        else:
            is_sensitive = False
            line = _redact_parameters(_USERINFO.sub(f"//{REDACTED}@", line))
        redacted.append(line + end)
        is_first = False
    return "".join(redacted).encode("latin-1")


def redact_body(body: bytes) -> bytes:
    """The recorded beginning of a body: forms and JSON lose the values of members named like secrets, whatever its media type
    says. Octets that are neither stay as they are."""
    text = body.decode("latin-1")
    text = _redact_members(text)
    text = _redact_parts(text)
    return _redact_parameters(text).encode("latin-1")


def _redact_parameters(text: str) -> str:
    return _PARAMETER.sub(_redact_parameter, text) if "=" in text else text


def _redact_parameter(match: re.Match[str]) -> str:
    before, name, _ = match.groups()
    return f"{before}{name}={REDACTED}" if names_secret(name) else match[0]


def _redact_members(text: str) -> str:
    """JSON (RFC 8259 §4), whole or cut short: a member named like a secret loses its value, be it a string, a number, an array or an object.

    Each value is read once, and a name is looked for backwards from its colon: the cost is linear whatever the octets are."""
    if "\\" not in text and not any(map(names_secret, set(_JSON_PLAIN_NAME.findall(text)))):
        return text  # most bodies: one search instead of a look at each member
    pieces: list[str] = []
    known: dict[str, bool] = {}
    done = 0
    for colon in _JSON_COLON.finditer(text):
        end_of_name, begin = colon.span()
        if end_of_name < done:
            continue  # within a value that has gone
        # Where a name has an escaped quote this finds what follows it, which is where secrets are named.
        earliest = max(done, end_of_name - _JSON_NAME_SIZE)
        name = text[max(earliest, text.rfind('"', earliest, end_of_name) + 1) : end_of_name]
        if (is_secret := known.get(name)) is None:
            is_secret = known[name] = names_secret(_unescaped(name))
        if is_secret and (end := _end_of_value(text, begin)) > begin:
            value = text[begin:end]
            quote = '\\"' if value.startswith("\\") else '"'
            is_cut = value.startswith(('"', "\\")) and (not value.endswith('"') or len(value) == len(quote))
            pieces += (text[done:begin], quote, REDACTED, "" if is_cut else quote)
            done = end
    pieces.append(text[done:])
    return "".join(pieces)


def _end_of_value(text: str, begin: int) -> int:
    """Where the JSON value that begins at `begin` ends; `begin` if there is none, or one that tells nothing."""
    first = text[begin : begin + 1]
    if first == '"':
        string = _JSON_STRING.match(text, begin)
        return string.end() if string else begin
    if first == "\\":  # JSON in a string of JSON: its quotes are escaped
        end = text.find('\\"', begin + 2)
        return end + 2 if end >= 0 else len(text)
    if first and first in "[{":
        depth = 0
        for piece in _JSON_PIECE.finditer(text, begin):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(piece[0], 0)
            if not depth:
                return piece.end()
        return len(text)
    scalar = _JSON_SCALAR.match(text, begin)
    return scalar.end() if scalar and scalar[0] not in _JSON_TELLS_NOTHING else begin


def _unescaped(name: str) -> str:
    r"""A member's name with `\u0070` and the like undone (RFC 8259 §7)."""
    return _JSON_UNICODE.sub(lambda escape: chr(int(escape[1], 16)), name) if "\\" in name else name


def _redact_parts(text: str) -> str:
    """The parts of multipart/form-data (RFC 7578): after an empty line stands the value of what was named before it."""
    pieces = text.split("\r\n\r\n")
    is_secret = False
    for place in range(1, len(pieces)):
        if not is_secret:
            names = _PART_NAME.findall(pieces[place - 1])
            is_secret = bool(names) and names_secret(names[-1])
        if is_secret:
            _, delimiter, after = pieces[place].partition("\r\n--")
            pieces[place] = REDACTED + delimiter + after
            is_secret = not delimiter
    return "\r\n\r\n".join(pieces)
