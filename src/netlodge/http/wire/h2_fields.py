"""Requests and responses as HTTP/2 writes them: lists of fields that begin with pseudo-fields.

RFC 9113 §8.2 (fields), §8.2.2 (what concerns a connection), §8.2.3 (cookie crumbs), §8.3 (control data), §8.5 (CONNECT), §10.3 (what a
gateway must not pass on); RFC 8441 §4 (extended CONNECT). What HTTP/1.1 could not carry is refused here, so that no version can be used to
smuggle something into another. Each function raises `MalformedError`, which is a stream error of type PROTOCOL_ERROR (§8.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from netlodge.core.errors import NetlodgeError
from netlodge.http.message import Fields, MessageError
from netlodge.http.wire.events import RequestHead
from netlodge.http.wire.framing import parse_content_length
from netlodge.http.wire.grammar import is_field_value, is_lower_token, is_token, parse_authority, parse_target
from netlodge.http.wire.hpack import Field
from netlodge.http.wire.readers import NOT_IN_TRAILERS

CONNECTION_FIELDS: Final = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
"""§8.2.2: "Any message containing connection-specific header fields MUST be treated as malformed (Section 8.1.1)."
"""
_REQUEST_PSEUDO: Final = frozenset({":method", ":scheme", ":authority", ":path", ":protocol"})
_DEFAULT_PORTS: Final[dict[str, int]] = {"http": 80, "https": 443}
_SHOWN: Final = 40
"""Characters of a name or value that an error repeats."""
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*+").fullmatch


class MalformedError(NetlodgeError):
    """A message that is none (§8.1.1)."""


def _split(fields: Iterable[Field], known: frozenset[str]) -> tuple[dict[str, str], list[Field]]:
    """Pseudo-fields by name, and the fields after them."""
    pseudo: dict[str, str] = {}
    rest: list[Field] = []
    for name, value in fields:
        if name[:1] == ":":
            # "All pseudo-header fields MUST appear in a field block before all regular field lines." "The same pseudo-header field name MUST
            # NOT appear more than once in a field block." (§8.3)
            if rest or name in pseudo or name not in known:
                raise MalformedError(f"The pseudo-field {name[:_SHOWN]!r} stands where it must not.")
            pseudo[name] = value
        else:
            check_field(name, value)
            rest.append((name, value))
    return pseudo, rest


def check_field(name: str, value: str) -> None:
    """§8.2.1, §8.2.2."""
    if not is_lower_token(name):
        raise MalformedError(f"The name of a field is no token in lower case: {name[:_SHOWN]!r}.")
    if not is_field_value(value):
        raise MalformedError(f"The value of {name[:_SHOWN]} holds a control character, or has space around it.")
    # "The only exception to this is the TE header field, which MAY be present in an HTTP/2 request; when it is, it MUST NOT contain any value
    # other than "trailers"." (§8.2.2)
    if name in CONNECTION_FIELDS or (name == "te" and value.lower() != "trailers"):
        raise MalformedError(f"The field {name}, with the value {value[:_SHOWN]!r}, has no place in HTTP/2.")


def request_head(block: Iterable[Field], *, ends: bool) -> tuple[RequestHead, str | None]:
    """A request's head, and the protocol of an extended CONNECT. `ends`: there is no content.

    The host stands in the field `host`, as in every other version; the head's `raw` is what HTTP/1.1 would have sent, for whoever looks on.
    """
    pseudo, rest = _split(block, _REQUEST_PSEUDO)
    method, protocol = pseudo.get(":method"), pseudo.get(":protocol")
    if method is None or not is_token(method):
        raise MalformedError("The request has no method.")
    if method == "CONNECT" and protocol is None:
        if ":scheme" in pseudo or ":path" in pseudo or not pseudo.get(":authority"):
            raise MalformedError("CONNECT has an authority, and neither scheme nor path (§8.5).")
        target = pseudo[":authority"]
    else:
        # "All HTTP/2 requests MUST include exactly one valid value for the ":method", ":scheme", and ":path" pseudo-header fields, unless they
        # are CONNECT requests (Section 8.5)." (§8.3.1) An extended CONNECT has them, too (RFC 8441 §4).
        if not pseudo.get(":path") or _scheme(pseudo.get(":scheme", "")) is None:
            raise MalformedError("The request has no path, or no scheme that is one.")
        if protocol is not None and (method != "CONNECT" or not is_token(protocol) or ":authority" not in pseudo):
            raise MalformedError("A protocol belongs to CONNECT, with an authority (RFC 8441 §4).")
        target = pseudo[":path"]
        if target[0] != "/" and not (target == "*" and method == "OPTIONS"):
            raise MalformedError("The path does not begin with a slash.")
    fields = Fields(_joined_cookies(rest))
    try:
        return _request_head(method, target, protocol, pseudo, fields, ends=ends), protocol
    except MessageError as error:
        raise MalformedError(error.detail) from None


def _request_head(
    method: str, target: str, protocol: str | None, pseudo: dict[str, str], fields: Fields, *, ends: bool
) -> RequestHead:
    # An extended CONNECT has the target of an ordinary request.
    form, _, _, path, query = parse_target("GET" if protocol else method, target)
    authority = pseudo.get(":authority")
    named = fields.get("host")
    if authority is None:
        if named is None:
            raise MalformedError("The request names no host.")
        authority = named
    host, port = parse_authority(authority)
    default_port = _DEFAULT_PORTS.get(pseudo.get(":scheme", "").lower())
    if named is not None and _normal(parse_authority(named), default_port) != _normal((host, port), default_port):
        # "A server SHOULD treat a request as malformed if it contains a Host header field that identifies an entity that differs from the
        # entity in the ":authority" pseudo-header field." (§8.3.1)
        raise MalformedError("The field host names another host than the authority.")
    fields.remove("host")
    fields = Fields([("host", authority), *fields])
    length: int | None = 0
    value = fields.get("content-length")
    if value is not None:
        length = parse_content_length(value)
        if ends and length:
            raise MalformedError("The request ends before the content that it announces.")
    elif not ends:
        length = None
    scheme = pseudo.get(":scheme")
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    raw = f"{method} {target} HTTP/2.0\r\n{lines}\r\n".encode("latin-1")
    return RequestHead(
        method, target, "2", fields, raw, length, False, form,
        scheme.lower() if scheme else None, host, port, path, query,
    )  # fmt: skip


def _normal(authority: tuple[str, int | None], default_port: int | None) -> tuple[str, int | None]:
    host, port = authority
    return host, default_port if port is None else port


def _joined_cookies(fields: list[Field]) -> list[Field]:
    """§8.2.3: crumbs "MUST be concatenated into a single octet string using the two-octet delimiter of 0x3b, 0x20"."""
    crumbs = [value for name, value in fields if name == "cookie"]
    if len(crumbs) < 2:
        return fields
    kept = [field for field in fields if field[0] != "cookie"]
    kept.append(("cookie", "; ".join(crumbs)))
    return kept


def response_head(block: Iterable[Field]) -> tuple[int, Fields]:
    """Status and fields of a response (§8.3.2), interim or final."""
    pseudo, rest = _split(block, frozenset({":status"}))
    status = pseudo.get(":status", "")
    if not (len(status) == 3 and status.isascii() and status.isdigit() and status >= "100"):
        raise MalformedError("The response has no status.")
    if status == "101":
        raise MalformedError("101 has no place in HTTP/2 (§8.6).")
    return int(status), Fields(rest)


def trailers(block: Iterable[Field]) -> Fields:
    """The fields of a trailer section. "Trailers MUST NOT include pseudo-header fields (Section 8.3)." (§8.1) What must not be taken for a
    header field is left out, as in HTTP/1.1."""
    _, rest = _split(block, frozenset())
    return Fields(pair for pair in rest if pair[0] not in NOT_IN_TRAILERS)
