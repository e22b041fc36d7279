"""Which pages of other origins may read the answers: the server's side of the CORS protocol (Fetch standard, "HTTP CORS protocol").

RFC 6454 §7 (Origin), RFC 9110 §12.5.5 (Vary), §9.3.7 (OPTIONS).

A browser sends a page's request to another origin with an `Origin` field, and shows the page the answer only if that names its origin.
Before a request that no plain form could make it asks with OPTIONS (a preflight), without credentials; so a preflight is answered here,
before anybody asks for an account.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from netlodge.http.message import Fields, Handler, HttpError, Request, Response
from netlodge.http.rules.negotiation import merge_vary

ANY: Final = "*"
_SAFE_METHODS: Final = ("GET", "HEAD", "POST")
"""Those that Fetch lets pages use without asking (CORS-safelisted)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy:
    """Whose pages may do what. Origins are serialized as a browser does it: scheme, host, and port if it is not the scheme's own, in
    lower case. Raises `ValueError` for credentials from any origin, which Fetch does not know."""

    origins: Collection[str]
    """`"*"` among them: all."""
    methods: Collection[str] = ()
    """Beside GET, HEAD and POST."""
    fields: Collection[str] = ()
    """Request fields beside the safe ones."""
    exposes: Collection[str] = ()
    """Response fields beside the safe ones."""
    credentials: bool = False
    max_age: int = 0
    """Seconds that a browser may go by one preflight answer."""

    def __post_init__(self) -> None:
        if self.credentials and ANY in {*self.origins, *self.methods, *self.fields, *self.exposes}:
            raise ValueError("with credentials there is no wildcard")


class Cors:
    """Adds the fields of the policy to the answers of `inner`, errors too, and answers preflights itself, with 204.

    Leaves in `request.route["cors"]` the origin of a page that may send credentials.

    A preflight that the policy does not allow gets a 204 without those fields: that is how Fetch says no. With `*` the answers are the same for
    everybody, so that they may be remembered and shared; else they depend on Origin, and say so in Vary, whoever asks.
    """

    __slots__ = ("_allowed", "_inner", "_is_open", "_may_send_credentials", "_origins", "_preflight")

    def __init__(self, inner: Handler, policy: CorsPolicy) -> None:
        self._inner = inner
        self._origins = frozenset(policy.origins)
        self._is_open = ANY in self._origins
        self._may_send_credentials = policy.credentials
        credentials = [("access-control-allow-credentials", "true")] if policy.credentials else []
        exposes = [("access-control-expose-headers", ", ".join(policy.exposes))] if policy.exposes else []
        self._allowed = [*credentials, *exposes]
        """What stands beside Access-Control-Allow-Origin in an answer."""
        methods = (ANY,) if ANY in policy.methods else dict.fromkeys((*_SAFE_METHODS, *policy.methods))
        self._preflight = [*credentials, ("access-control-allow-methods", ", ".join(methods))]
        if policy.fields:
            self._preflight.append(("access-control-allow-headers", ", ".join(policy.fields)))
        self._preflight.append(("access-control-max-age", str(policy.max_age)))

    async def handle(self, request: Request) -> Response:
        """Raises what the handler raises, with the fields in it."""
        origin = request.fields.get("origin")
        if request.method == "OPTIONS" and origin is not None and "access-control-request-method" in request.fields:
            fields = Fields()
            self._allow(fields, origin, self._preflight)
            return Response(204, fields)
        if self._may_send_credentials and origin in self._origins:
            request.route["cors"] = origin
        try:
            response = await self._inner.handle(request)
        except HttpError as error:
            fields = Fields(error.fields)
            self._allow(fields, origin, self._allowed)
            error.fields = tuple(fields)
            raise
        self._allow(response.fields, origin, self._allowed)
        if response.remember is not None and not self._is_open:
            # Origin is none of the fields by which a request is known to ask the same as another: its very octets must be the same.
            response.remember = replace(response.remember, reads=None)
        return response

    def _allow(self, fields: Fields, origin: str | None, more: list[tuple[str, str]]) -> None:
        """Set what the policy has for this origin; what a handler below said of it gives way."""
        fields.remove("access-control-allow-credentials")
        if self._is_open:
            fields.set("access-control-allow-origin", ANY)
        else:
            fields.set("vary", merge_vary(fields.get("vary"), "origin"))
            if origin is None or origin not in self._origins:
                fields.remove("access-control-allow-origin")
                return
            fields.set("access-control-allow-origin", origin)
        for name, value in more:
            fields.set(name, value)
