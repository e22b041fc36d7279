"""Credentials taken out of what a tap shows: they are replaced by `[redacted]`, and the rest stays as it was.

What counts: the fields that carry credentials (RFC 9110 §11.6.2 and §11.7.1, RFC 6265 §4), the userinfo of a URI (RFC 3986 §3.2.1;
§7.5 there says why), and parameters named like a secret in queries, forms and JSON. When in doubt, more is taken out.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from netlodge.core.records import HttpRecord, Record

REDACTED: Final = "[redacted]"

SENSITIVE_FIELDS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "cookie2",
        "proxy-authorization",
        "set-cookie",
        "set-cookie2",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
    }
)

_SECRET_ENDINGS: Final = (
    "accesskey",
    "apikey",
    "authorization",
    "credential",
    "credentials",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "secretkey",
    "sessionid",
    "signature",
    "token",
)
_SECRET_WORDS: Final = frozenset({"auth", "key", "pass", "phpsessid", "pwd", "sid", "sig"})

_LINE: Final = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_FIELD_NAME: Final = re.compile(r"[ \t]*(?P<name>[^ \t:]+)[ \t]*(?P<colon>:?)[ \t]*")
_NO_NAME: Final = re.compile(r"[^a-z0-9-]")
_USERINFO: Final = re.compile(r"//[^/?#\s\"<>]*@")
_AUTHORITY_USERINFO: Final = re.compile(r"\A[^/?#\s]*@")
_PARAMETER: Final = re.compile(r"(\A|[?&;#])([^?=&;#\s\"<>]*)=([^&;#\s\"<>]+)")
# A name is bounded, or a body of quotes and backslashes would be read again from each quote.
_JSON_MEMBER: Final = re.compile(r'"((?:[^"\\]|\\.){1,100})"(\s*:\s*)"((?:[^"\\]|\\.|\\\Z)*)("|\Z)', re.DOTALL)
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
        if place and _NO_NAME.sub("", place["name"].lower()) in SENSITIVE_FIELDS and (place["colon"] or not is_first):
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
    text = _JSON_MEMBER.sub(_redact_member, text)
    text = _redact_parts(text)
    return _redact_parameters(text).encode("latin-1")


def names_secret(name: str) -> bool:
    """Whether a parameter of this name holds a secret: `access_token`, `user[password]`, `%70assword`, `apiKey`, `sid`, ..."""
    decoded = unquote_to_bytes(name).decode("latin-1").lower()
    letters = "".join(filter(str.isalpha, decoded))
    return letters in _SECRET_WORDS or letters.endswith(_SECRET_ENDINGS)


def _redact_parameters(text: str) -> str:
    return _PARAMETER.sub(_redact_parameter, text) if "=" in text else text


def _redact_parameter(match: re.Match[str]) -> str:
    before, name, _ = match.groups()
    return f"{before}{name}={REDACTED}" if names_secret(name) else match[0]


def _redact_member(match: re.Match[str]) -> str:
    name, colon, _, end = match.groups()
    return f'"{name}"{colon}"{REDACTED}{end}' if names_secret(name) else match[0]


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
