"""A jar of cookies: which are kept, for whom, how many, and which go along with a request.

RFC 6265bis §5.7 (storage model), §5.8.3 (retrieval), §6.1 (limits). What a line of Set-Cookie means is in `rules.received_cookies`. Every
request of this client is what a person asked for, so none is cross-site (§5.2). "Secure" is https, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec
from publicsuffixlist import PublicSuffixList

from netlodge.http.message import Fields
from netlodge.http.rules.received_cookies import (
    ReceivedCookie,
    SameSiteFlag,
    domain_matches,
    parse_set_cookie,
    path_matches,
)
from netlodge.http.rules.uri import WebUri

Key = tuple[str, str, bool, str]
"""Name, domain, whether for that host alone, path: of each there is one cookie (§5.7, step 23)."""
PER_ANSWER: Final = 50
"""Set-Cookie lines of one answer that are read."""


class JarLimits(NamedTuple):
    """How many cookies are kept. §6.1 asks for 50 and 3000 at least; Chromium keeps 180 and 3300."""

    per_domain: int = 180
    in_all: int = 3300


class Cookie(msgspec.Struct):
    """A cookie as it is kept (§5.7)."""

    name: str
    value: str
    domain: str
    is_host_only: bool
    path: str
    expires: int | None
    """Seconds since the epoch; None: as long as the jar lasts."""
    is_secure: bool
    is_http_only: bool
    same_site: SameSiteFlag
    created: float
    used: float

    @property
    def key(self) -> Key:
        return self.name, self.domain, self.is_host_only, self.path

    def is_for(self, uri: WebUri) -> bool:
        """Whether it goes along with a request for `uri`."""
        host = uri.host
        return (
            (host == self.domain if self.is_host_only else domain_matches(host, self.domain))
            and path_matches(uri.path, self.path)
            and (uri.is_secure or not self.is_secure)
        )


class Jar:
    """Implements `client.Cookies`. `now` gives seconds since the epoch."""

    def __init__(
        self,
        cookies: Iterable[Cookie] = (),
        *,
        limits: JarLimits | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits or JarLimits()
        self._now = now
        self._suffixes: PublicSuffixList | None = None
        self._cookies = {cookie.key: cookie for cookie in cookies}
        self.is_changed = False
        """Whether it holds something else than at first, times of use aside."""

    def __len__(self) -> int:
        return len(self._cookies)

    def cookies(self) -> list[Cookie]:
        """All that have not expired, the oldest first."""
        self._evict_expired()
        return sorted(self._cookies.values(), key=lambda cookie: cookie.created)

    def cookie_for(self, uri: WebUri, /) -> str:
        """The value of Cookie for a request; empty: none (§5.8.3): "Cookies with longer paths are listed before cookies with shorter paths",
        then those that are older."""
        self._evict_expired()
        now = self._now()
        found = [cookie for cookie in self._cookies.values() if cookie.is_for(uri)]
        found.sort(key=lambda cookie: (-len(cookie.path), cookie.created))
        for cookie in found:
            cookie.used = now
        return "; ".join(f"{cookie.name}={cookie.value}" if cookie.name else cookie.value for cookie in found)

    def receive(self, uri: WebUri, fields: Fields, /) -> None:
        """Take what an answer for `uri` sets."""
        lines = fields.get_all("set-cookie")
        for line in lines[:PER_ANSWER]:
            received = parse_set_cookie(line, now=int(self._now()), request_path=uri.path)
            if received is not None:
                self._store(received, uri)
        if lines:
            self._evict_expired()
            self._evict_excess()

    def clear(self) -> None:
        self.is_changed = self.is_changed or bool(self._cookies)
        self._cookies.clear()

    # --- within ----------------------------------------------------------------------------------------------------------

    def _store(self, received: ReceivedCookie, uri: WebUri) -> None:
        """§5.7, steps 9 to 24; those that the cookie alone decides are taken already."""
        host, domain = uri.host, received.domain
        if domain and self._is_public_suffix(domain):
            # "This step prevents `attacker.example` from disrupting the integrity of `site.example`"
            if domain != host:
                return
            domain = ""
        if domain and not domain_matches(host, domain):
            return
        if not uri.is_secure and (received.is_secure or self._overlays_secure(received, domain or host)):
            return
        now = self._now()
        cookie = Cookie(
            name=received.name,
            value=received.value,
            domain=domain or host,
            is_host_only=not domain,
            path=received.path,
            expires=received.expires,
            is_secure=received.is_secure,
            is_http_only=received.is_http_only,
            same_site=received.same_site,
            created=now,
            used=now,
        )
        old = self._cookies.pop(cookie.key, None)
        if old is not None:
            cookie.created = old.created
        self._cookies[cookie.key] = cookie
        self.is_changed = True

    def _overlays_secure(self, received: ReceivedCookie, domain: str) -> bool:
        """Step 16: what came in the clear does not replace or hide what TLS protected."""
        return not received.is_secure and any(
            cookie.is_secure
            and cookie.name == received.name
            and (domain_matches(cookie.domain, domain) or domain_matches(domain, cookie.domain))
            and path_matches(received.path, cookie.path)
            for cookie in self._cookies.values()
        )

    def _is_public_suffix(self, domain: str) -> bool:
        if self._suffixes is None:
            self._suffixes = PublicSuffixList()  # takes a while, and few answers name a domain
        return bool(self._suffixes.is_public(domain))

    def _evict_expired(self) -> None:
        now = self._now()
        expired = [key for key, cookie in self._cookies.items() if cookie.expires is not None and cookie.expires <= now]
        for key in expired:
            del self._cookies[key]
            self.is_changed = True

    def _evict_excess(self) -> None:
        """ "the user agent MUST evict cookies in the following priority order": of a domain with too many, those that are not secure,
        then the others; then of all. "If two cookies have the same removal priority", the one that was not used for longest."""
        limits = self._limits
        of_domain: dict[str, list[Cookie]] = {}
        for cookie in self._cookies.values():
            of_domain.setdefault(cookie.domain, []).append(cookie)
        for cookies in of_domain.values():
            excess = len(cookies) - limits.per_domain
            if excess > 0:
                cookies.sort(key=lambda cookie: (cookie.is_secure, cookie.used))
                for cookie in cookies[:excess]:
                    del self._cookies[cookie.key]
        excess = len(self._cookies) - limits.in_all
        if excess > 0:
            for cookie in sorted(self._cookies.values(), key=lambda cookie: cookie.used)[:excess]:
                del self._cookies[cookie.key]
