"""Sessions: what a handler puts into `request.visit` is there again when the same visitor comes back.

A random identifier in a cookie says who the visitor is; all else is kept by the server. RFC 6265bis §4.1.3 (the prefix `__Host-`), RFC
9110 §12.5.5 (Vary), §15.6.4 (503), RFC 9111 §5.2.2.7 (private).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Coroutine
from typing import Any, Final

from netlodge.core.contracts import Clock
from netlodge.http.message import Fields, Handler, HttpError, Request, Response, give_back
from netlodge.http.rules.cache_control import made_private
from netlodge.http.rules.cookies import Cookie, cookie_values
from netlodge.http.rules.negotiation import merge_vary
from netlodge.store.database import DatabaseUnavailableError
from netlodge.store.sessions import (
    SWEEP_EVERY,
    SWEEP_MOST,
    KeptSession,
    SessionGoneError,
    Sessions,
    SessionTooLargeError,
    decode,
    encode,
)

logger = logging.getLogger("netlodge.sessions")

IDENTIFIER_OCTETS: Final = 16
"""128 random bits. OWASP asks for 64 at least."""
TOUCH_EVERY: Final = 60
"""Seconds of use after which it is noted again that a session is in use, and the cookie is renewed."""
CANDIDATES: Final = 4
"""Cookies of the same name that are looked up; where there are more, none. A browser has several only where another host of the domain, or
somebody on the way, has set one."""
RETRY_AFTER: Final = 2
"""Seconds after which it is worth asking again when the database is not available."""

_IDENTIFIER: Final = re.compile(r"[0-9A-Za-z_-]{22}")
_SECRET_OCTETS: Final = 16


class SessionVisit:
    """Implements `message.Visit` for one request."""

    __slots__ = ("_data", "_has_begun", "_token", "ended", "has_moved", "identifier", "kept", "was_used")

    def __init__(self, identifier: str, kept: KeptSession | None) -> None:
        """`kept` is the session of the `identifier`, both absent for a visitor without one."""
        self.identifier = identifier
        self.kept = kept
        self.ended: KeptSession | None = None
        """The session that the handler has ended."""
        self.has_moved = False
        """The session gets the identifier that stands here now."""
        self.was_used = False
        """The answer depends on who asks."""
        self._data = decode(kept.data) if kept else {}
        self._has_begun = kept is not None
        self._token = ""

    @property
    def data(self) -> dict[str, Any]:
        self.was_used = True
        return self._data

    @data.setter
    def data(self, value: dict[str, Any]) -> None:
        self.was_used = True
        self._data = value

    @property
    def is_new(self) -> bool:
        self.was_used = True
        return self.kept is None

    @property
    def token(self) -> str:
        """Made from the identifier, so that nothing is kept for it, and what is kept does not give it away. Masked anew for each request: the
        length of a compressed page does not tell what stands in all of them."""
        self.was_used = True
        if not self._token:
            self._begin()
            mask = secrets.token_bytes(_SECRET_OCTETS)
            self._token = _base64(mask + _xor(mask, _secret_of(self.identifier)))
        return self._token

    def is_token(self, value: str) -> bool:
        self.was_used = True
        try:
            octets = base64.b64decode(value + "=", altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return False
        mask, masked = octets[:_SECRET_OCTETS], octets[_SECRET_OCTETS:]
        if not self.identifier or len(masked) != _SECRET_OCTETS:
            return False
        return hmac.compare_digest(_xor(mask, masked), _secret_of(self.identifier))

    def rotate(self) -> None:
        self.was_used = True
        if self._has_begun:
            self.identifier = _new_identifier()
            self.has_moved = self.kept is not None
            self._token = ""

    def end(self) -> None:
        self.was_used = True
        self.ended = self.ended or self.kept
        self.kept = None
        self.identifier = self._token = ""
        self.has_moved = self._has_begun = False
        self._data = {}

    @property
    def has_begun(self) -> bool:
        """Whether there is something to be kept: a visitor who only looks around leaves nothing."""
        if self._data:
            self._begin()
        return self._has_begun

    def _begin(self) -> None:
        if not self._has_begun:
            self.identifier = _new_identifier()
            self._has_begun = True

    @property
    def octets(self) -> bytes:
        """The data as it is to be kept. Raises `TypeError` for what JSON does not hold."""
        return encode(self._data)


class Visits:
    """Gives each request its visit, and keeps what the handler within has changed of it before the answer leaves.

    Answers of a handler that has looked at the visit are this visitor's alone: they are not remembered, and no shared cache may store
    them. A handler that raises an error keeps nothing.
    """

    def __init__(self, inner: Handler, sessions: Sessions, *, clock: Clock, cookie: str, max_age: int) -> None:
        """`cookie` is the name of the cookie, without a prefix; `max_age` the seconds that a browser keeps it, unless it is renewed."""
        self._inner = inner
        self._sessions = sessions
        self._clock = clock
        self._cookie = cookie
        self._max_age = max_age
        self._next_sweep = clock.now + SWEEP_EVERY
        self._chores: set[asyncio.Task[object]] = set()

    async def handle(self, request: Request) -> Response:
        is_secure = request.scheme == "https"
        # `__Host-` is a browser's word that the cookie came from this host over TLS. So over TLS no other is looked at: one that was planted
        # by another host of the domain, or without TLS, has another name.
        name = f"__Host-{self._cookie}" if is_secure else self._cookie
        try:
            visit = request.visit = await self._visit_of(request, name)
        except DatabaseUnavailableError as error:
            raise _unavailable() from error
        try:
            response = await self._inner.handle(request)
        except HttpError as error:
            if visit.was_used:
                error.fields = _of_one_visitor(error.fields)
            raise
        if visit.was_used:
            response.remember = None
            await self._keep_or_give_back(visit, name, response, is_secure=is_secure)
            fields = response.fields
            fields.set("cache-control", made_private(fields.get("cache-control")))
            fields.set("vary", merge_vary(fields.get("vary"), "cookie"))
        return response

    async def _visit_of(self, request: Request, name: str) -> SessionVisit:
        # An identifier that is not known here is never taken over: the visitor gets another when there is something to be kept.
        lines = request.fields.get_all("cookie")
        identifiers = [value for value in cookie_values(lines, name) if _IDENTIFIER.fullmatch(value)] if lines else []
        # Of more than that the visitor's own may be the one that is not looked at: whoever plants many puts his in front of it.
        if not 1 <= len(identifiers) <= CANDIDATES:
            return SessionVisit("", None)
        keys = {key_of(name, identifier): identifier for identifier in identifiers}
        found = await self._sessions.find(list(keys), self._clock.second)
        if len(found) != 1:
            # Of two that are known one was planted by somebody who wants to see what is put into it, and nothing tells which.
            return SessionVisit("", None)
        return SessionVisit(keys[found[0].key], found[0])

    async def _keep_or_give_back(self, visit: SessionVisit, name: str, response: Response, *, is_secure: bool) -> None:
        try:
            cookie = await self._keep(visit, name)
        except BaseException as error:
            await give_back(response.body)
            match error:
                case DatabaseUnavailableError():
                    raise _unavailable() from error
                case SessionTooLargeError():
                    raise HttpError(
                        507, "There is no room left in your visit for this.", setting="sessions.size"
                    ) from error
                case SessionGoneError():
                    raise HttpError(
                        409, "Your visit has ended, or you have logged in, in another window. Try again."
                    ) from error
                case _:
                    raise
        if cookie is not None:
            max_age = self._max_age if cookie else 0
            line = Cookie(name, cookie, max_age=max_age, expires=None if cookie else 0, is_secure=is_secure).render()
            response.fields.append("set-cookie", line)

    async def _keep(self, visit: SessionVisit, name: str) -> str | None:
        """Keep what has changed; what the cookie is to be then: an identifier, "" to be removed, None as it is."""
        now, kept, octets = self._clock.second, visit.kept, visit.octets
        if visit.ended is not None:
            await self._sessions.end(visit.ended.key)
        if not visit.has_begun:
            return None if visit.ended is None else ""
        if kept is None:
            await self._sessions.begin(key_of(name, visit.identifier), octets, now)
            self._sweep_now_and_then()
            return visit.identifier
        is_due = now - kept.used >= TOUCH_EVERY
        if visit.has_moved:
            await self._sessions.change(kept, octets, now, key=key_of(name, visit.identifier))
        elif octets != kept.data:
            await self._sessions.change(kept, octets, now)
        elif is_due:
            self._later(self._sessions.touch(kept, now))
        return visit.identifier if visit.has_moved or is_due else None

    def _sweep_now_and_then(self) -> None:
        if self._clock.now >= self._next_sweep:
            self._next_sweep = self._clock.now + SWEEP_EVERY
            self._later(self._sweep())

    async def _sweep(self) -> None:
        if await self._sessions.sweep(self._clock.second) == SWEEP_MOST:
            self._next_sweep = self._clock.now

    def _later(self, chore: Coroutine[object, object, object]) -> None:
        """Nobody waits for it, and nothing is lost if it fails."""
        task = asyncio.get_running_loop().create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chore_done)

    def _chore_done(self, task: asyncio.Task[object]) -> None:
        self._chores.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, DatabaseUnavailableError):
            logger.error("a defect while looking after sessions", exc_info=error)


def key_of(name: str, identifier: str) -> bytes:
    """What a session is kept under: whoever reads the database cannot be anybody. The name of the cookie belongs to it, so that an
    identifier that was sent without TLS is none over TLS."""
    return hashlib.sha256(f"{name}={identifier}".encode("ascii")).digest()


def _of_one_visitor(fields: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    own = Fields(fields)
    value = own.get("cache-control")
    own.set("cache-control", "no-store" if value is None else made_private(value))
    own.set("vary", merge_vary(own.get("vary"), "cookie"))
    return tuple(own)


def _unavailable() -> HttpError:
    return HttpError(
        503,
        "What belongs to your visit cannot be read or kept at the moment. Try again soon.",
        fields=(("retry-after", str(RETRY_AFTER)), ("cache-control", "no-store")),
    )


def _new_identifier() -> str:
    return secrets.token_urlsafe(IDENTIFIER_OCTETS)


def _secret_of(identifier: str) -> bytes:
    return hashlib.sha256(f"form token of {identifier}".encode("ascii")).digest()[:_SECRET_OCTETS]


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
