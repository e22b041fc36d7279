"""The opening handshake of a WebSocket: is it one, is it right, what is agreed, and the fields that say so.

RFC 6455 §4.2.1 (reading it), §4.2.2 (answering it), §4.3 and §9.1 (grammar), §4.4 (versions); RFC 7692 §5, §7.1 (permessage-deflate);
RFC 9110 §7.8 (Upgrade), §15.5.22 (426).

This is the handshake over HTTP/1.1. RFC 8441 has another one for HTTP/2 (an extended CONNECT, without a key); what it has in common, subprotocols
and extensions, is in functions of its own here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final, NamedTuple

from netlodge.http.message import Fields, HttpError, Request

VERSION: Final = "13"
_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_BITS: Final = re.compile(r"[89]|1[0-5]")

WINDOW_BITS: Final = 12
"""The windows that we choose where the client lets us: 4 KiB, so that 10,000 connections do not cost gigabytes. Precedent: `websockets` 12."""
LEAST_OUR_WINDOW_BITS: Final = 9
"""zlib compresses with no smaller window."""
_PARAMETERS: Final = frozenset(
    {
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    }
)

Offer = tuple[str, tuple[tuple[str, str | None], ...]]
"""An extension and its parameters, in order; None where a parameter has no value (§9.1)."""


class DeflateTerms(NamedTuple):
    """The parameters of permessage-deflate that hold for a connection (RFC 7692 §7.1)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    says_server_window: bool = False
    """True if the client asked about the server's window: only then the answer names it."""

    def __str__(self) -> str:
        """As the answer says it."""
        parts = ["permessage-deflate"]
        if self.server_no_context_takeover:
            parts.append("server_no_context_takeover")
        if self.client_no_context_takeover:
            parts.append("client_no_context_takeover")
        if self.says_server_window:
            parts.append(f"server_max_window_bits={self.server_max_window_bits}")
        if self.client_max_window_bits < 15:
            parts.append(f"client_max_window_bits={self.client_max_window_bits}")
        return "; ".join(parts)


class Handshake(NamedTuple):
    """What a client asks for."""

    key: str
    """`Sec-WebSocket-Key`, as it came."""
    subprotocols: tuple[str, ...]
    """In the client's order of preference."""
    offers: tuple[Offer, ...]
    """Extensions, in the same order."""


def is_websocket_handshake(request: Request) -> bool:
    """True if the request asks for a WebSocket. Whether it asks rightly says `read_handshake`.

    An `Upgrade` in a request of another method, or of HTTP/1.0 (RFC 9110 §7.8), asks for nothing. In HTTP/2 there is none: what says so is an
    extended CONNECT (RFC 8441 §5), of which its session has made such a request.
    """
    fields = request.fields
    return (
        "upgrade" in fields
        and request.method == "GET"
        and request.version != "1.0"
        and "websocket" in fields.list_of("upgrade")
        and "upgrade" in fields.list_of("connection")
    )


def read_handshake(request: Request) -> Handshake:
    """What the request, which `is_websocket_handshake`, asks for.

    Raises `HttpError`: 426 for another version of the protocol, 400 for what is not as §4.2.1 has it.
    """
    fields = request.fields
    if fields.get("sec-websocket-version") != VERSION:
        # "the server MUST [...] instead send an appropriate HTTP error code (such as 426 Upgrade Required) and a |Sec-WebSocket-Version|
        # header field indicating the version(s) the server is capable of understanding." (§4.2.2)
        # "The server MUST send an Upgrade header field in a 426 response" (RFC 9110 §15.5.22)
        raise HttpError(
            426,
            f"The WebSocket's version must be {VERSION}.",
            fields=[("sec-websocket-version", VERSION), ("upgrade", "websocket"), ("connection", "upgrade")],
        )
    key = fields.get("sec-websocket-key", "") or ""
    if not _is_key(key):
        raise HttpError(400, "The Sec-WebSocket-Key is not the base64 form of 16 octets.")
    if request.body.length != 0:
        raise HttpError(400, "A WebSocket handshake has no content.", must_close=True)
    return Handshake(key, _subprotocols(fields), _offers(fields))


def accept_value(key: str) -> str:
    """`Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`: proves that the server knows what it was asked (§4.2.2)."""
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def agreed_deflate(offers: tuple[Offer, ...]) -> DeflateTerms | None:
    """The terms of the first offer of permessage-deflate that can be accepted; None if there is none.

    "A server MUST decline an extension negotiation offer for this extension" if it has a parameter that is not defined,
    or has an invalid value, or comes twice (RFC 7692 §7).
    """
    for name, parameters in offers:
        if name == "permessage-deflate" and (terms := _terms_of(parameters)) is not None:
            return terms
    return None


def answer_fields(
    handshake: Handshake, *, subprotocol: str | None = None, deflate: DeflateTerms | None = None
) -> Fields:
    """The fields of the 101 that accepts (§4.2.2). The session adds `Connection: upgrade`. Raises `ValueError` for a subprotocol that the
    client did not ask for."""
    fields = Fields([("upgrade", "websocket"), ("sec-websocket-accept", accept_value(handshake.key))])
    if subprotocol is not None:
        # "The value chosen MUST be derived from the client's handshake, specifically by selecting one of the values" (§4.2.2)
        if subprotocol not in handshake.subprotocols:
            raise ValueError(f"the client did not ask for the subprotocol {subprotocol!r}")
        fields.append("sec-websocket-protocol", subprotocol)
    if deflate is not None:
        fields.append("sec-websocket-extensions", str(deflate))
    return fields


def _is_key(key: str) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key.encode("latin-1"), validate=True)) == 16
    except binascii.Error:
        return False


def _elements(fields: Fields, name: str) -> list[str]:
    """The members of a list of which the grammar wants one at least (`1#element`), if the field is there."""
    value = fields.get(name)
    if value is None:
        return []
    elements = [element for part in value.split(",") if (element := part.strip(" \t"))]
    if not elements:
        raise _malformed(name)
    return elements


def _subprotocols(fields: Fields) -> tuple[str, ...]:
    subprotocols = _elements(fields, "sec-websocket-protocol")
    # "The elements that comprise this value MUST be non-empty strings with characters in the range U+0021 to U+007E not including
    # separator characters as defined in [RFC2616] and MUST all be unique strings." (§4.1)
    if not all(map(_TOKEN.fullmatch, subprotocols)) or len(set(subprotocols)) < len(subprotocols):
        raise _malformed("sec-websocket-protocol")
    return tuple(subprotocols)


def _offers(fields: Fields) -> tuple[Offer, ...]:
    # What is quoted "MUST conform to the 'token' ABNF" (§9.1): so no comma, semicolon or equals sign is hidden in quotes.
    return tuple(_offer(element) for element in _elements(fields, "sec-websocket-extensions"))


def _offer(element: str) -> Offer:
    name, *parts = (part.strip(" \t") for part in element.split(";"))
    parameters: list[tuple[str, str | None]] = []
    for part in parts:
        parameter, equals, value = part.partition("=")
        parameter, value = parameter.rstrip(" \t"), value.lstrip(" \t")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
        if not _TOKEN.fullmatch(parameter) or (equals and not _TOKEN.fullmatch(value)):
            raise _malformed("sec-websocket-extensions")
        parameters.append((parameter, value if equals else None))
    if not _TOKEN.fullmatch(name):
        raise _malformed("sec-websocket-extensions")
    return name, tuple(parameters)


def _malformed(name: str) -> HttpError:
    # "the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error code (such as 400
    # Bad Request)" (§4.2.1)
    return HttpError(400, f"The field {name} is malformed.")


def _terms_of(parameters: tuple[tuple[str, str | None], ...]) -> DeflateTerms | None:
    """The terms that an offer with these parameters leads to; None if it must be declined."""
    given = dict(parameters)
    if len(given) < len(parameters):
        return None
    for name in ("server_no_context_takeover", "client_no_context_takeover"):
        if given.get(name) is not None:
            return None
    ours = _bits(given.get("server_max_window_bits", "15"))
    # This one may come without a value: then it says that the client would heed one in the answer (RFC 7692 §7.1.2.2).
    theirs = _bits(given.get("client_max_window_bits") or "15")
    if ours < LEAST_OUR_WINDOW_BITS or not theirs or not given.keys() <= _PARAMETERS:
        return None
    return DeflateTerms(
        server_no_context_takeover="server_no_context_takeover" in given,
        # It only says what the client will do anyway; but said back, it lets both forget (RFC 7692 §7.1.1.2).
        client_no_context_takeover="client_no_context_takeover" in given,
        server_max_window_bits=min(ours, WINDOW_BITS),
        # "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension parameter, the corresponding
        # extension negotiation response to the offer MUST NOT include the "client_max_window_bits" extension parameter." (RFC 7692 §7.1.2.2)
        client_max_window_bits=min(theirs, WINDOW_BITS) if "client_max_window_bits" in given else 15,
        says_server_window="server_max_window_bits" in given,
    )


def _bits(value: str | None) -> int:
    """The size of a window: "a decimal integer value without leading zeroes between 8 to 15, inclusive" (RFC 7692 §7.1.2); 0 for what is
    none."""
    return int(value) if value is not None and _BITS.fullmatch(value) else 0
