"""Where a received message ends: the rules that smuggling plays with, applied to its head.

RFC 9112 §6.1 (Transfer-Encoding), §6.2 (Content-Length), §6.3 (message body length, in its order of precedence), RFC 9110 §8.6. Where the
RFC lets a recipient choose between mending and refusing, requests are refused: two recipients that mend differently are what an
attack needs (RFC 9112 §11.2).
"""

from __future__ import annotations

from typing import Final

from netlodge.http.message import Fields, MessageError
from netlodge.http.wire.grammar import OWS, is_token

LENGTH_DIGITS: Final = 18
"""Digits of the longest Content-Length that is read: below 2^63, so that no one downstream can overflow."""

CHUNKED: Final = -1
"""In place of a length: the chunked coding tells the end."""
UNTIL_CLOSE: Final = -2
"""In place of a length: the end of the stream is the end of the message."""


def request_length(fields: Fields, version: str) -> int:
    """Octets of a request's body, or `CHUNKED` (RFC 9112 §6.3, cases 3 to 7). Raises 400, 413 or 501."""
    if "transfer-encoding" in fields:
        check_transfer_encoding(fields, version)
        return CHUNKED
    value = fields.get("content-length")
    return 0 if value is None else parse_content_length(value)


def response_length(fields: Fields, version: str, status: int, request_method: str) -> int:
    """Octets of a response's body, `CHUNKED` or `UNTIL_CLOSE` (RFC 9112 §6.3). Raises as `request_length`.

    A Content-Length that repeats one number is replaced by that number in `fields` (RFC 9110 §8.6).
    """
    if is_bodiless(request_method, status):
        return 0
    if "transfer-encoding" in fields:
        check_transfer_encoding(fields, version)
        return CHUNKED
    value = fields.get("content-length")
    if value is None:
        return UNTIL_CLOSE
    members = {member.strip(OWS) for member in value.split(",")}
    if len(members) == 1 and "," in value:
        value = members.pop()
        fields.set("content-length", value)
    return parse_content_length(value)


def is_bodiless(request_method: str, status: int) -> bool:
    """True for a response that ends with its head, whatever its fields say (RFC 9112 §6.3, cases 1 and 2)."""
    if status < 200 or status in {204, 304}:
        return True
    return request_method in {"HEAD", "CONNECT"} and (request_method == "HEAD" or is_tunnel(request_method, status))


def is_tunnel(request_method: str, status: int) -> bool:
    """True if the connection leaves HTTP after this response: CONNECT succeeded (RFC 9110 §9.3.6)."""
    return request_method == "CONNECT" and 200 <= status < 300


def parse_content_length(value: str) -> int:
    """`1*DIGIT` and nothing else: no sign, no list, no whitespace within (RFC 9110 §8.6). Raises 400, or 413 when it is a number too
    large for anyone."""
    if not (value.isascii() and value.isdigit()):
        raise MessageError(400, "Content-Length is not one decimal number.")
    if len(value) > LENGTH_DIGITS:
        raise MessageError(413, f"Content-Length has more than {LENGTH_DIGITS} digits.")
    return int(value)


def check_transfer_encoding(fields: Fields, version: str) -> None:
    """Return if the message is framed by the chunked coding and nothing speaks against it (RFC 9112 §6.1); raise 400 or 501."""
    # "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat the message as if the
    # framing is faulty"
    if version == "1.0":
        raise MessageError(400, "HTTP/1.0 has no Transfer-Encoding.")
    # "A server MAY reject a request that contains both Content-Length and Transfer-Encoding"
    if "content-length" in fields:
        raise MessageError(400, "Content-Length and Transfer-Encoding contradict each other.")
    value = fields.get("transfer-encoding") or ""
    if value.lower() == "chunked":
        return
    codings = [coding.strip(OWS).lower() for coding in value.split(",")]
    if not all(map(is_token, codings)):
        # "The chunked coding does not define any parameters. Their presence SHOULD be treated as an error." (RFC 9112 §7.1) The same goes
        # for the other registered codings (§7.2).
        raise MessageError(400, "Transfer-Encoding is not a list of codings without parameters.")
    # "If a Transfer-Encoding header field is present in a request and the chunked transfer coding is not the final encoding, the
    # message body length cannot be determined reliably; the server MUST respond with the 400 (Bad Request) status code"
    if codings[-1] != "chunked":
        raise MessageError(400, "Transfer-Encoding does not end with chunked.")
    # "A sender MUST NOT apply the chunked transfer coding more than once to a message body"
    if codings.count("chunked") > 1:
        raise MessageError(400, "Transfer-Encoding names chunked twice.")
    # "A server that receives a request message with a transfer coding it does not understand SHOULD respond with 501"
    raise MessageError(501, "The only transfer coding understood here is chunked.")
