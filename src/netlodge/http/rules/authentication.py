"""Credentials as they stand in an Authorization field, and the challenges that ask for them.

RFC 9110 §11.1 to §11.5, §11.6.1 (WWW-Authenticate), §11.6.2 (Authorization), §5.6.4 (quoted strings);
RFC 7617 §2, §2.1 (Basic); RFC 6750 §2.1, §3 (Bearer).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_SCHEME: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?: +|\Z)")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_PARAMETER: Final = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*=[ \t]*"
    r'(?:([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)|"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)")[ \t]*'
)
_COMMAS: Final = re.compile(r"[ \t,]*")
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Credentials(NamedTuple):
    """`auth-scheme [ 1*SP ( token68 / #auth-param ) ]`. Scheme and names of parameters are in lower case."""

    scheme: str
    token68: str
    """Empty if there is none."""
    parameters: Mapping[str, str]


class BasicCredentials(NamedTuple):
    """What somebody says to be, and the proof."""

    user_id: str
    password: str


def parse_credentials(value: str) -> Credentials | None:
    """What an Authorization field says (RFC 9110 §11.4); None if that does not follow the grammar.

    Two fields, joined by a comma, are no credentials of any scheme that is known here.
    """
    scheme = _SCHEME.match(value)
    if scheme is None:
        return None
    rest = value[scheme.end() :]
    if _TOKEN68.fullmatch(rest):
        return Credentials(scheme[1].lower(), rest, {})
    parameters = _parse_parameters(rest)
    return None if parameters is None else Credentials(scheme[1].lower(), "", parameters)


def _parse_parameters(text: str) -> dict[str, str] | None:
    """`#auth-param`: empty members are left out (RFC 9110 §5.6.1.2). "Each parameter name MUST only occur once" (§11.2)."""
    parameters: dict[str, str] = {}
    at = _end_of_commas(text, 0)
    while at < len(text):
        parameter = _PARAMETER.match(text, at)
        if parameter is None:
            return None
        name, token, quoted = parameter.groups()
        if name.lower() in parameters:
            return None
        parameters[name.lower()] = token if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
        at = parameter.end()
        if at < len(text) and text[at] != ",":
            return None
        at = _end_of_commas(text, at)
    return parameters


def _end_of_commas(text: str, at: int) -> int:
    found = _COMMAS.match(text, at)
    return found.end() if found else at


def basic_credentials(credentials: Credentials) -> BasicCredentials | None:
    """User-id and password of the Basic scheme; None if these are none.

    Decoded as UTF-8, as the challenge says (RFC 7617 §2.1). "The user-id and password MUST NOT contain any control characters" (§2);
    the first colon ends the user-id, the password may have others.
    """
    if credentials.scheme != "basic" or not _BASE64.fullmatch(credentials.token68):
        return None
    try:
        text = base64.b64decode(credentials.token68).decode("utf-8")
    except UnicodeDecodeError:
        return None
    user_id, colon, password = text.partition(":")
    if not colon or _CONTROL.search(text):
        return None
    return BasicCredentials(user_id, password)


def bearer_token(credentials: Credentials) -> str | None:
    """The token of the Bearer scheme (RFC 6750 §2.1); None if there is none."""
    return credentials.token68 or None if credentials.scheme == "bearer" else None


def challenge(scheme: str, parameters: Mapping[str, str]) -> str:
    """One challenge (RFC 9110 §11.3), each value as a quoted-string: "For historical reasons, a sender MUST only generate the
    quoted-string syntax" for a realm (§11.5), and all recipients take it for the others.

    A value is text, of which characters beyond ASCII are sent in UTF-8. Raises `ValueError` for control characters, which no quoted
    string can hold.
    """
    return f"{scheme} " + ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def _quoted(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError(f"{value!r} has control characters")
    octets = value.encode("utf-8").decode("latin-1")
    return '"' + octets.replace("\\", "\\\\").replace('"', '\\"') + '"'


def challenges(realm: str, *, is_token_refused: bool) -> list[tuple[str, str]]:
    """The fields of a 401 that asks for Basic or Bearer credentials, each on a line of its own, Basic first: many clients read no other
    (RFC 9110 §11.3, §11.6.1).

    `is_token_refused`: a token was sent and is worth nothing (RFC 6750 §3.1). Without one, "the resource server SHOULD NOT include an
    error code" (§3). Raises `ValueError` if the realm has control characters.
    """
    bearer = {"realm": realm} | ({"error": "invalid_token"} if is_token_refused else {})
    return [
        ("www-authenticate", challenge("Basic", {"realm": realm, "charset": "UTF-8"})),
        ("www-authenticate", challenge("Bearer", bearer)),
    ]
