"""Cookies as a client receives them: whatever a server sends, read as every browser reads it.

RFC 6265bis §5.1 (dates, domains, paths), §5.4 (name prefixes), §5.5 (lifetimes), §5.6 (the Set-Cookie field), and of §5.7 what can be
decided from the cookie alone.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from netlodge.http.rules.cookies import ATTRIBUTE, HOST_PREFIX, NAME_AND_VALUE, SECURE_PREFIX
from netlodge.http.rules.dates import FIRST_SECOND

SameSiteFlag = Literal["Strict", "Lax", "None", "Default"]

AGE_LIMIT: Final = 400 * 86400
"""Seconds that a cookie lasts at most: "The RECOMMENDED limit is 400 days in the future" (§5.5)."""
EXPIRED: Final = FIRST_SECOND
"""The expiry of a cookie that is to be removed: the earliest moment that can be told (§5.6.2)."""

_EPOCH: Final = date(1970, 1, 1).toordinal()
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0A-\x1F\x7F]")
_MAX_AGE: Final = re.compile(r"-?[0-9]+")
_SAME_SITE: Final[dict[str, SameSiteFlag]] = {"none": "None", "strict": "Strict", "lax": "Lax"}

_DELIMITERS: Final = re.compile(r"[\x09\x20-\x2F\x3B-\x40\x5B-\x60\x7B-\x7E]+")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY: Final = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR: Final = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class ReceivedCookie:
    """A cookie with its attributes as §5.7 stores them, but for what the request it came with decides: whether the host may set
    `domain`, and whether the connection was secure."""

    name: str
    value: str
    expires: int | None
    """Seconds since the epoch; None: until the client ends. Not beyond `AGE_LIMIT`."""
    domain: str
    """Lower-case, without a leading dot; empty: the host that sent it, alone."""
    path: str
    is_secure: bool
    is_http_only: bool
    same_site: SameSiteFlag

    @property
    def is_host_only(self) -> bool:
        return not self.domain


def parse_set_cookie(line: str, *, now: int, request_path: str) -> ReceivedCookie | None:
    """Read the value of a `set-cookie` line; None if the cookie is to be ignored. Never raises.

    `now` in seconds since the epoch; `request_path` is the path of the request that was answered, still encoded.
    """
    if _CONTROLS.search(line):
        return None
    pair, *attributes = line.split(";")
    name, has_name, value = pair.partition("=")
    if not has_name:
        name, value = "", name
    name, value = name.strip(" \t"), value.strip(" \t")
    if not (name or value) or len(name) + len(value) > NAME_AND_VALUE:
        return None
    found = _Attributes(now, default_path(request_path))
    for attribute in attributes:
        key, _, setting = attribute.partition("=")
        setting = setting.strip(" \t")
        if len(setting) <= ATTRIBUTE:
            found.add(key.strip(" \t").lower(), setting)
    if not found.domain.isascii() or not _keeps_promises(name, value, found):
        return None
    return ReceivedCookie(
        name=name,
        value=value,
        expires=found.expires if found.max_age is None else found.max_age,
        domain=found.domain,
        path=found.default_path if found.path is None else found.path,
        is_secure=found.is_secure,
        is_http_only=found.is_http_only,
        same_site=found.same_site,
    )


class _Attributes:
    """The attributes of a cookie so far: the last of each name counts (§5.7, steps 6 to 17)."""

    __slots__ = (
        "default_path", "domain", "expires", "is_http_only", "is_secure", "max_age", "now", "path", "same_site",
    )  # fmt: skip

    def __init__(self, now: int, default_path: str) -> None:
        self.now = now
        self.default_path = default_path
        self.expires: int | None = None
        self.max_age: int | None = None
        self.domain = ""
        self.path: str | None = None
        self.is_secure = False
        self.is_http_only = False
        self.same_site: SameSiteFlag = "Default"

    def add(self, name: str, value: str) -> None:
        """One attribute (§5.6.1 to §5.6.7); one that is unknown, or whose value makes no sense, is passed over."""
        match name:
            case "expires":
                if (moment := parse_cookie_date(value)) is not None:
                    self.expires = min(moment, self.now + AGE_LIMIT)
            case "max-age":
                if _MAX_AGE.fullmatch(value):
                    self.max_age = self._moment(value)
            case "domain":
                self.domain = value.removeprefix(".").lower()
            case "path":
                self.path = value if value.startswith("/") else self.default_path
            case "secure":
                self.is_secure = True
            case "httponly":
                self.is_http_only = True
            case "samesite":
                self.same_site = _SAME_SITE.get(value.lower(), "Default")
            case _:
                pass

    def _moment(self, max_age: str) -> int:
        digits = max_age.lstrip("0")
        if not digits or digits.startswith("-"):
            return EXPIRED
        # A number of so many digits is beyond the limit whatever they are.
        return self.now + (min(int(digits), AGE_LIMIT) if len(digits) <= 10 else AGE_LIMIT)


def _keeps_promises(name: str, value: str, found: _Attributes) -> bool:
    """Whether the cookie is what its name says it is (§5.4 and §5.7, steps 19 to 22)."""
    prefixed = name.lower()
    if found.same_site == "None" and not found.is_secure:
        return False
    if prefixed.startswith(SECURE_PREFIX):
        return found.is_secure
    if prefixed.startswith(HOST_PREFIX):
        return found.is_secure and not found.domain and found.path == "/"
    # A cookie without a name is sent as its value alone, and must not look like one that has a name.
    return bool(name) or not value.lower().startswith((SECURE_PREFIX, HOST_PREFIX))


def parse_cookie_date(text: str) -> int | None:
    """Read a date in whatever form a server gave it (§5.1.1); seconds since the epoch, or None if it is none."""
    time: tuple[int, ...] | None = None
    day = month = year = None
    for token in _DELIMITERS.split(text):
        if time is None and (match := _TIME.match(token)):
            time = tuple(int(part) for part in match.groups())
        elif day is None and (match := _DAY.match(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.match(token)):
            year = int(match[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year <= 99:
        year += 1900 if year >= 70 else 2000
    hour, minute, second = time
    if year < 1601 or hour > 23 or minute > 59 or second > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    return days * 86400 + hour * 3600 + minute * 60 + second


def domain_matches(host: str, domain: str) -> bool:
    """Whether a cookie of `domain` goes to `host` (§5.1.3): the same, or a host below it. Both lower-case; brackets around IPv6."""
    if host == domain:
        return True
    return host.endswith(f".{domain}") and not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def default_path(request_path: str) -> str:
    """The path of a cookie that names none: the folder of the request (§5.1.4)."""
    if not request_path.startswith("/"):
        return "/"
    return request_path[: request_path.rindex("/")] or "/"


def path_matches(request_path: str, cookie_path: str) -> bool:
    """Whether a cookie of `cookie_path` goes along with a request for `request_path` (§5.1.4): the same path, or one below it."""
    if not request_path.startswith(cookie_path):
        return False
    return request_path == cookie_path or cookie_path.endswith("/") or request_path[len(cookie_path)] == "/"
