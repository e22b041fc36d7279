"""Cookies as a server reads and writes them: the well-behaved profile, which every browser understands in the same way.

RFC 6265bis §4.1 (Set-Cookie, its grammar and the name prefixes), §4.2 (Cookie) and §5.8.3 (how a browser puts a Cookie field
together). What a client makes of Set-Cookie is in `received_cookies.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from netlodge.core.errors import NetlodgeError
from netlodge.http.rules.dates import imf_fixdate

SameSite = Literal["Strict", "Lax", "None"]

NAME_AND_VALUE: Final = 4096
"""Octets of name and value together beyond which a browser ignores a cookie (§5.6)."""
ATTRIBUTE: Final = 1024
"""Octets of an attribute's value beyond which a browser ignores the attribute (§5.6)."""
SECURE_PREFIX: Final = "__secure-"
HOST_PREFIX: Final = "__host-"
"""In lower case: "UAs MUST match the prefix string case-insensitively" (§5.4), so any capitalization promises the same."""

# [0-9] and ranges of ASCII: \d and \w take characters of other scripts.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OCTETS: Final = r"[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*"
_VALUE: Final = re.compile(rf'{_OCTETS}|"{_OCTETS}"')
_PATH: Final = re.compile(r"/(?:[\x20-\x3A\x3C-\x7E]*[\x21-\x3A\x3C-\x7E])?")
_LABEL: Final = r"[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
_DOMAIN: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")


class CookieError(NetlodgeError):
    """A cookie that no browser would keep as it is meant, or that would break the field it stands in. Raised to whoever makes one."""


def parse_cookies(lines: Iterable[str]) -> list[tuple[str, str]]:
    """The cookies of a request, name and value, in the order of the wire. Never raises; what stands between semicolons is a cookie.

    `lines` are the values of all `cookie` lines: "Servers MUST be tolerant of multiple cookie headers" (§4.2.1), as HTTP/2 splits
    them. Without `=` the whole is the value of a cookie without a name, which is how §5.8.3 writes that. Quotes belong to the value
    (§4.1.1). A name may come more than once, for cookies of different paths and domains, and "servers SHOULD NOT rely upon the order
    in which these cookies appear" (§4.2.2): so all are returned, and it is for the caller to decide what several mean.
    """
    cookies = []
    for line in lines:
        for pair in line.split(";"):
            name, has_name, value = pair.partition("=")
            if not has_name:
                name, value = "", name
            name, value = name.strip(" \t"), value.strip(" \t")
            if name or value:
                cookies.append((name, value))
    return cookies


def cookie_values(lines: Iterable[str], name: str) -> list[str]:
    """The different values of the cookies of this name, in the order of the wire. Names are case-sensitive (§3.1): `__HOST-id` is not
    `__Host-id`, which alone promises what its prefix says to a server that asks for it by name."""
    return list(dict.fromkeys(value for each, value in parse_cookies(lines) if each == name))


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie to be set. Making one that breaks a rule raises `CookieError`: a value with `;` or CR LF in it would add attributes,
    or fields, of somebody else's choice.

    `max_age` in seconds, 0 removes the cookie; `expires` in seconds since the epoch, for clients that do not know `Max-Age`, which wins
    in all others (§4.1.2.2). Without either the client keeps the cookie until it ends. `path` "" leaves the choice to the client,
    which takes the folder of the request. `domain` "" is this host alone. `same_site` "" leaves the choice to the client, mostly Lax.
    """

    name: str
    value: str
    max_age: int | None = None
    expires: int | None = None
    domain: str = ""
    path: str = "/"
    is_secure: bool = False
    is_http_only: bool = True
    same_site: SameSite | Literal[""] = "Lax"

    def __post_init__(self) -> None:
        for complaint, is_wrong in (
            # "servers MUST NOT produce nameless cookies" (§4.1.1)
            ("its name is no token (RFC 9110 §5.6.2)", not _TOKEN.fullmatch(self.name)),
            ("its value has characters that a cookie cannot have; encode it", not _VALUE.fullmatch(self.value)),
            ("name and value are too long for a browser", len(self.name) + len(self.value) > NAME_AND_VALUE),
            ("its Max-Age is negative; 0 removes a cookie", (self.max_age or 0) < 0),
            ("its Domain is no host name", bool(self.domain) and not _DOMAIN.fullmatch(self.domain)),
            ("its Path is no path of a cookie", bool(self.path) and not _PATH.fullmatch(self.path)),
            ("its Path is too long for a browser", len(self.path) > ATTRIBUTE),
            # §5.7, step 19
            ("SameSite=None wants Secure", self.same_site == "None" and not self.is_secure),
            ("its name promises Secure (§4.1.3)", self._has_prefix(SECURE_PREFIX, HOST_PREFIX) and not self.is_secure),
            (
                "its name promises Path=/ and no Domain (§4.1.3.2)",
                self._has_prefix(HOST_PREFIX) and (self.path != "/" or bool(self.domain)),
            ),
        ):
            if is_wrong:
                raise CookieError(f"The cookie {self.name[:64]!r} cannot be set: {complaint}.")

    def _has_prefix(self, *prefixes: str) -> bool:
        return self.name.lower().startswith(prefixes)

    def render(self) -> str:
        """The value of a `set-cookie` line (§4.1.1). One line for each cookie, and one cookie of each name in an answer: lines are
        appended, never joined."""
        parts = [f"{self.name}={self.value}"]
        if self.max_age is not None:
            parts.append(f"Max-Age={self.max_age}")
        if self.expires is not None:
            parts.append(f"Expires={imf_fixdate(self.expires)}")
        if self.domain:
            parts.append(f"Domain={self.domain}")
        if self.path:
            parts.append(f"Path={self.path}")
        if self.is_secure:
            parts.append("Secure")
        if self.is_http_only:
            parts.append("HttpOnly")
        if self.same_site:
            parts.append(f"SameSite={self.same_site}")
        return "; ".join(parts)
