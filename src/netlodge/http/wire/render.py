"""Heads as octets: start lines, field lines, and the certainty that nothing in them ends a line early.

RFC 9112 §2.1, §3 (request line), §4 (status line), §5 (field lines), §11.1 (response splitting); RFC 9110 §5.1, §5.5. Pure functions: what
frames a body, and what happens to the connection, is for the codec to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netlodge.core.errors import NetlodgeError
from netlodge.http.message import REASONS
from netlodge.http.wire.grammar import CRLF, TEXT_OCTETS, is_lower_token
from netlodge.http.wire.vocabulary import WIRE_NAMES


class SendError(NetlodgeError):
    """Something was to be sent that is no HTTP, or not now: a defect of whoever asked for it, found before it left.

    The codec's state is as before. What follows is up to the caller; mostly the connection can only be aborted.
    """


_STATUS_LINES: Final[dict[int, str]] = {status: f"HTTP/1.1 {status} {reason}" for status, reason in REASONS.items()}


def render_head(status: int, fields: Iterable[tuple[str, str]], reason: str = "", version: str = "1.1") -> bytes:
    """A response's head with its empty line.

    `fields` are `(lower-case name, value)`, and are sent as given: framing and connection fields are the caller's. An empty `reason`
    stands for the usual one. Raises `SendError` for what cannot stand in a head.
    """
    line = _STATUS_LINES.get(status)
    if line is None or reason or version != "1.1":
        if not 100 <= status <= 999:
            raise SendError(f"{status} is no status code.")
        # "A server MUST send the space that separates the status-code from the reason-phrase even when the reason-phrase is absent"
        line = f"HTTP/{version} {status} {reason or REASONS.get(status, '')}"
    return render_section(line, fields)


def render_section(first_line: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """`first_line`, the field lines and the empty line. Raises `SendError` for a name that is no lower-case token, and for any
    character that cannot stand in a line: CR, LF, NUL, other controls, whatever is not an octet."""
    fields = list(fields)
    try:
        lines = [WIRE_NAMES[name] + value for name, value in fields]
    except KeyError:
        lines = [(WIRE_NAMES.get(name) or _spell(name)) + value for name, value in fields]
    text = "\r\n".join([first_line, *lines, "\r\n"])
    try:
        octets = text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise SendError(
            f"A field value holds a character that is not an octet: {error.object[error.start]!r}."
        ) from None
    # Without the octets that lines are made of, exactly the line ends must be left: no value brought its own.
    if octets.translate(None, TEXT_OCTETS) != CRLF * (len(lines) + 2):
        raise SendError("A field value or the start line holds a control character.")
    return octets


def _spell(name: str) -> str:
    if not is_lower_token(name):
        raise SendError(f"{name!r} is no field name in lower case.")
    return "-".join(map(str.capitalize, name.split("-"))) + ": "
