"""Who may come in, by an account that it shows to be.

RFC 9110 §9.2.1 (safe methods), §11.3, §11.4 (challenge and response), §15.5.2 (401), §15.5.4 (403); RFC 6585 §4 (429); RFC 7617, RFC 6750 (how they are shown).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Protocol

from netlodge.core.rates import retry_after
from netlodge.http.message import Handler, HttpError, Request, Response
from netlodge.http.rules.authentication import basic_credentials, bearer_token, challenges, parse_credentials
from netlodge.http.rules.cache_control import made_private
from netlodge.http.rules.origins import may_be_of_this_site
from netlodge.store.database import DatabaseUnavailableError
from netlodge.store.logins import Claim, LoginPausedError, LoginQueueError, PasswordClaim, TokenClaim

AGAIN_AFTER: Final = "5"
"""Retry-After, in seconds, for whom nobody had the time or the database to look up."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""


class Logins(Protocol):
    """Implemented by `store.logins.Logins`; what it promises and raises stands there."""

    def recall(self, shown: str, client: bytes) -> str | None: ...
    async def verify(self, shown: str, claim: Claim, client: bytes) -> str | None: ...


class LoginAccess:
    """Asks for an account, by Basic or Bearer, and leaves its name in `request.route["user"]`.

    `users` are those that may come in (empty: all), as `normal_name` writes them. A request whose login was verified a moment ago goes
    on without waiting for anything. `client_of` says who counts as one client, from `Peer.host`.
    """

    __slots__ = ("_client_of", "_inner", "_logins", "_realm", "_users")

    def __init__(
        self,
        inner: Handler,
        logins: Logins,
        *,
        realm: str,
        users: Collection[str] = (),
        client_of: Callable[[str], bytes],
    ) -> None:
        challenges(realm, is_token_refused=False)  # raises ValueError now rather than with the first request
        self._inner = inner
        self._logins = logins
        self._realm = realm
        self._users = frozenset(users)
        self._client_of = client_of

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError`: 401 without credentials or with wrong ones, 403 for an account that may not and for what a page of another site made a browser
        ask, 429 after too many failures,
        503 if nobody could look; and what the handler raises."""
        shown = request.fields.get("authorization")
        if shown is None:
            raise self._unauthorized("Log in to see this.")
        client = self._client_of(request.peer.host)
        user = self._logins.recall(shown, client)
        if user is None:
            user = await self._verified(shown, client)
        if self._users and user not in self._users:
            raise HttpError(403, "This account may not see this.")
        if request.method not in _SAFE or "upgrade" in request.fields:
            _require_own_page(request, shown)
        request.route["user"] = user
        response = await self._inner.handle(request)
        response.remember = None
        # Caches may share what answers a login only if it says so (RFC 9111 §3.5). What stands behind knows nothing of the login.
        value = response.fields.get("cache-control")
        if value is not None:
            response.fields.set("cache-control", made_private(value))
        return response

    async def _verified(self, shown: str, client: bytes) -> str:
        credentials = parse_credentials(shown)
        if credentials is None:
            raise self._unauthorized("The credentials are none that can be read.")
        claim: Claim
        if (basic := basic_credentials(credentials)) is not None:
            claim = PasswordClaim(basic.user_id, basic.password)
        elif (token := bearer_token(credentials)) is not None:
            claim = TokenClaim(token)
        else:
            raise self._unauthorized("The credentials must be of the schemes Basic or Bearer.")
        try:
            user = await self._logins.verify(shown, claim, client)
        except LoginPausedError as error:
            after = retry_after(error.wait)
            raise HttpError(
                429,
                f"{error} Try again in {after} s.",
                setting="limits.login_failures",
                fields=[("retry-after", after)],
            ) from error
        except LoginQueueError as error:
            raise HttpError(
                503, f"{error} Try again.", setting="limits.login_queue", fields=[("retry-after", AGAIN_AFTER)]
            ) from error
        except DatabaseUnavailableError as error:
            raise HttpError(
                503, "Nobody can look up accounts right now.", fields=[("retry-after", AGAIN_AFTER)]
            ) from error
        if user is None:
            is_token = isinstance(claim, TokenClaim)
            what = "This token is not valid." if is_token else "Name and password do not belong together."
            raise self._unauthorized(what, is_token_refused=is_token)
        return user

    def _unauthorized(self, detail: str, *, is_token_refused: bool = False) -> HttpError:
        """RFC 9110 §11.4: "a 401 (Unauthorized) response that contains a WWW-Authenticate header field with at least one [...]
        challenge"."""
        return HttpError(401, detail, fields=challenges(self._realm, is_token_refused=is_token_refused))


def _require_own_page(request: Request, shown: str) -> None:
    """A browser that was told a name and a password sends them along with whatever any page makes it ask for here. What stands behind the
    login may not expect that: neither a form that another site sends, nor a WebSocket that it opens."""
    is_ambient = shown[:6].lower() == "basic "
    if is_ambient and "cors" not in request.route and not may_be_of_this_site(request):
        raise HttpError(
            403,
            "A page of another site made your browser ask for this with your login; only origins in `cors` may do so.",
        )
