"""The grammar of HTTP messages: tokens, field lines, request targets, authorities, versions.

RFC 9110 §5.1, §5.5, §5.6.2 (fields and tokens), §7.2 (Host), §4.2 (http URIs), §7.6.1 (Connection); RFC 9112 §2.3 (version), §3 (request
line), §3.2 (the four target forms), §4 (status line), §5 (field lines). Every function takes `str` whose characters are octets
(ISO-8859-1), and either returns what it found or raises `MessageError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from netlodge.http.message import MessageError, TargetForm
from netlodge.http.wire.vocabulary import KNOWN_NAMES

TEXT_OCTETS: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""Octets that may stand in a line of a head: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5). What is left of a head without them must be
its line ends and nothing else."""
OWS: Final = " \t"
CRLF: Final = b"\r\n"

_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_token = re.compile(rf"{_TCHAR}++").fullmatch
_lower_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]++").fullmatch
_text = re.compile(r"[\t\x20-\x7e\x80-\xff]*+").fullmatch


def is_token(text: str) -> bool:
    """RFC 9110 §5.6.2."""
    return _token(text) is not None


def is_lower_token(text: str) -> bool:
    """A token as field names are spelled inside Netlodge."""
    return _lower_token(text) is not None


def is_field_value(text: str) -> bool:
    """True if a field line can carry `text` and its recipient will see the same (RFC 9110 §5.5): no control character but HTAB, no
    character that is not an octet, no whitespace around it."""
    return _text(text) is not None and text == text.strip(OWS)


# --- lines (RFC 9112 §2.3, §3, §4) ---------------------------------------------------------------------------------------------

_version = re.compile(r"HTTP/([0-9])\.[0-9]").fullmatch
_status_line = re.compile(r"(HTTP/[0-9]\.[0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?").fullmatch


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
"""Some tokens that need not be checked."""


def parse_version(text: str) -> str:
    """`"1.0"` or `"1.1"` (RFC 9112 §2.3). Raises 505 for other major versions, 400 for what is no version.

    "A recipient that receives a message with a major version number that it implements and a minor version number higher than what
    it implements SHOULD process the message as if it were in the highest minor version" (RFC 9110 §6.2).
    """
    if text == "HTTP/1.1":
        return "1.1"
    if text == "HTTP/1.0":
        return "1.0"
    match = _version(text)
    if match is None:
        raise MessageError(400, "The request line does not end with an HTTP version.")
    if match[1] != "1":
        raise MessageError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken in this form on this connection.")
    return "1.1"


def parse_request_line(line: str) -> tuple[str, str, str]:
    """Method, target (as it stands) and version of a request line without its CRLF (RFC 9112 §3).

    The parts are separated by exactly one SP: the whitespace that recipients MAY forgive is a known way to smuggle requests.
    """
    parts = line.split(" ")
    if len(parts) != 3:
        if len(parts) == 2 and is_token(parts[0]):
            raise MessageError(400, "The request line names no HTTP version (HTTP/0.9 is not spoken here).")
        raise MessageError(400, "The request line is not a method, a target and a version with single spaces between.")
    method, target, version = parts
    if method not in _METHODS and not is_token(method):
        raise MessageError(400, "The request method is not a token.")
    return method, target, "1.1" if version == "HTTP/1.1" else parse_version(version)


def parse_status_line(line: str) -> tuple[str, int, str]:
    """Version, status and reason of a status line without its CRLF (RFC 9112 §4). The SP before an absent reason may be absent, too:
    many servers leave it out, and nothing depends on it."""
    match = _status_line(line)
    if match is None:
        raise MessageError(400, "The response does not begin with a status line.")
    version, status, reason = match.groups("")
    return parse_version(version), int(status), reason


# --- field lines (RFC 9112 §5) -------------------------------------------------------------------------------------------------


def parse_field_lines(lines: Iterable[str], *, is_response: bool = False) -> list[tuple[str, str]]:
    """The fields of a section as `(lower-case name, value)` in order; `lines` come without their CRLF.

    Control characters are the caller's to exclude, as it can do that for the whole section at once (`TEXT_OCTETS`). In responses,
    what RFC 9112 §5.1 and §5.2 say a client or a proxy mends is mended.
    """
    pairs: list[tuple[str, str]] = []
    append = pairs.append
    known = KNOWN_NAMES.get
    for line in lines:
        name, colon, value = line.partition(":")
        lower = known(name)
        if lower is not None and colon:
            append((lower, value.strip(OWS)))
        elif _token(name) and colon:
            append((name.lower(), value.strip(OWS)))
        elif is_response:
            _mend_field_line(pairs, line)
        else:
            raise _field_line_error(line)
    return pairs


def _mend_field_line(pairs: list[tuple[str, str]], line: str) -> None:
    if line[:1] in {" ", "\t"} and pairs:
        # "A user agent that receives an obs-fold in a response message [...] MUST replace each received obs-fold with one or more SP
        # octets prior to interpreting the field value." (RFC 9112 §5.2)
        name, value = pairs[-1]
        pairs[-1] = (name, f"{value} {line.strip(OWS)}".strip(OWS))
        return
    name, colon, value = line.partition(":")
    # "A proxy MUST remove any such whitespace from a response message before forwarding the message downstream." (RFC 9112 §5.1)
    name = name.rstrip(OWS)
    if not colon or not is_token(name):
        raise _field_line_error(line)
    pairs.append((name.lower(), value.strip(OWS)))


def _field_line_error(line: str) -> MessageError:
    """What is wrong with a field line, in words."""
    name, colon, _ = line.partition(":")
    if line[:1] in {" ", "\t"}:
        # "A server that receives an obs-fold in a request message [...] MUST either reject the message by sending a 400 (Bad Request),
        # preferably with a representation explaining that obsolete line folding is unacceptable" (RFC 9112 §5.2); the same goes for
        # whitespace before the first field (RFC 9112 §2.2).
        return MessageError(
            400, "A header line begins with whitespace; folding a field over several lines is obsolete."
        )
    if not colon:
        return MessageError(400, "A header line has no colon.")
    if is_token(name.rstrip(OWS)):
        # "A server MUST reject, with a response status code of 400 (Bad Request), any received request message that contains
        # whitespace between a header field name and colon." (RFC 9112 §5.1)
        return MessageError(400, "Whitespace stands between a field name and its colon.")
    return MessageError(400, "A field name is not a token.")


def parse_connection(value: str) -> list[str]:
    """The options of a Connection field, lower-case, in order (RFC 9110 §7.6.1). Raises 400 for what is no token: a proxy that
    misread it would forward a field that it must not."""
    options = [option for part in value.split(",") if (option := part.strip(OWS).lower())]
    if not all(map(is_token, options)):
        raise MessageError(400, "The Connection field is not a list of tokens.")
    return options


# --- authorities and targets (RFC 9112 §3.2, RFC 9110 §7.2) ----------------------------------------------------------------------

# RFC 3986 reg-name, but for the comma: that is how two Host fields look after an intermediary has joined them.
_authority = re.compile(
    r"((?:[0-9A-Za-z\-._~!$&'()*+;=]++|%[0-9A-Fa-f]{2})++|\[[0-9A-Fa-f:.]++\])(?::([0-9]*+))?"
).fullmatch
# RFC 3986 allows less: `[ ] { } | \ ^` and the grave accent are what browsers send unencoded nonetheless (the WHATWG URL standard's
# percent-encode sets), and so is `%` in a query. Never white space, controls, `" < > #`, or octets beyond ASCII.
_PATH = r"/(?:[!$&-;=@-~]++|%[0-9A-Fa-f]{2})*+"
_QUERY = r"[!$-;=?-~]*+"
_origin_form = re.compile(rf"({_PATH})(?:\?({_QUERY}))?").fullmatch
_absolute_form = re.compile(rf"([A-Za-z][A-Za-z0-9+\-.]*+)://([^/?#]*+)({_PATH})?(?:\?({_QUERY}))?").fullmatch

_ORIGIN: Final = TargetForm.ORIGIN

ParsedTarget = tuple[TargetForm, str | None, str | None, str, str | None]


def parse_authority(text: str) -> tuple[str, int | None]:
    """Host (lower-case, brackets kept around IPv6) and port (None if absent or empty) of `uri-host [ ":" port ]`.

    Raises 400 for an empty host, userinfo, a port that is no number from 1 to 65535, and an address in brackets that is not IPv6.
    """
    match = _authority(text)
    if match is None:
        raise MessageError(400, "The name of the host is missing or malformed.")
    host, digits = match.groups()
    if host[0] == "[":
        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            raise MessageError(400, "The address of the host is not IPv6.") from None
    if not digits:
        return host.lower(), None
    # The pattern took ASCII digits alone; their number is bounded before they are read.
    port = int(digits) if len(digits) <= 5 else 0
    if not 0 < port < 65536:
        raise MessageError(400, "The port of the host is not a number from 1 to 65535.")
    return host.lower(), port


def parse_target(method: str, target: str) -> ParsedTarget:
    """Form, scheme, authority (as it stands), path and query of a request target (RFC 9112 §3.2).

    Scheme and authority are None where the target does not name them. The path is empty for asterisk-form, authority-form, and the
    absolute-form of OPTIONS for a whole server. Raises 400 for what is no target, or not one that this method may have.
    """
    if method == "CONNECT":
        return _parse_authority_form(target)
    match = _origin_form(target)
    if match is not None:
        path, query = match.groups()
        return _ORIGIN, None, None, path, query
    if target == "*":
        if method != "OPTIONS":
            raise MessageError(400, "The target * belongs to OPTIONS.")
        return TargetForm.ASTERISK, None, None, "", None
    match = _absolute_form(target)
    if match is None:
        raise MessageError(
            400, "The request target is malformed; characters that a URI does not allow are percent-encoded."
        )
    scheme, authority, path, query = match.groups()
    parse_authority(authority)
    if not path and (method != "OPTIONS" or query is not None):
        path = "/"  # RFC 9110 §4.2.3
    return TargetForm.ABSOLUTE, scheme.lower(), authority, path or "", query


def _parse_authority_form(target: str) -> ParsedTarget:
    """RFC 9112 §3.2.3. "A server MUST reject a CONNECT request that targets an empty or invalid port number" (RFC 9110 §9.3.6)."""
    _, port = parse_authority(target)
    if port is None:
        raise MessageError(400, "The target of CONNECT names no port.")
    return TargetForm.AUTHORITY, None, target, "", None


def target_host(named: str | None, version: str, authority: str | None) -> tuple[str, int | None]:
    """Host and port of the target URI (RFC 9112 §3.2, §3.3); `named` is the value of Host, `authority` what the target itself names.

    Several Host lines are one value with a comma here, which no host has. Raises 400.
    """
    if named is None and version != "1.0":
        # "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header field and to any
        # request message that contains more than one Host header field line or a Host header field with an invalid field value."
        raise MessageError(400, "The request has no Host field.")
    if authority is None:
        return ("", None) if named is None else parse_authority(named)
    if named:
        parse_authority(named)
    # "When an origin server receives a request with an absolute-form of request-target, the origin server MUST ignore the received Host
    # header field (if any) and instead use the host information of the request-target." (RFC 9112 §3.2.2)
    return parse_authority(authority)
