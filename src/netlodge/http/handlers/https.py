"""What a site says of HTTPS: plain requests are sent there, browsers are told to use nothing else, and whoever speaks plainly to a port
that speaks TLS is told so.

RFC 9110 §4.2.2 (https URIs), §15.4.9 (308); RFC 6797 §6.1 (Strict-Transport-Security), §7 (what a server does with it), §8.1.1 (hosts
that are addresses); RFC 8555 §8.3 (a challenge that is asked for in the clear).
"""

from __future__ import annotations

import ipaddress
from math import inf
from typing import Final

from netlodge.http.handlers.redirect import redirect_response
from netlodge.http.message import Fields, Handler, HttpError, Remember, Request, Response
from netlodge.http.rules import paths

HTTPS_PORT: Final = 443
CHALLENGES: Final = "/.well-known/acme-challenge/"
FIELD: Final = "strict-transport-security"


class Https:
    """Around a site that wants more of TLS than to be there.

    `redirect_to`: the port to which plain requests are sent, or None if they are answered. `hsts`: seconds for which browsers shall use
    TLS alone for this host, or 0.
    """

    __slots__ = ("_hsts", "_inner", "_port", "_remember")

    def __init__(self, inner: Handler, *, redirect_to: int | None = None, hsts: int = 0) -> None:
        self._inner = inner
        self._port = redirect_to
        self._hsts = f"max-age={hsts}" if hsts else ""
        self._remember = Remember(inf, reads=frozenset())

    async def handle(self, request: Request) -> Response:
        if request.scheme == "https":
            # "A HSTS Host MUST NOT include the STS header field in HTTP responses conveyed over non-secure transport." (RFC 6797 §7.2)
            # And browsers do not note it for addresses (§8.1.1).
            if self._hsts and not _is_address(request.host):
                return await self._strictly(request)
        elif self._port is not None and not request.path.startswith(CHALLENGES):
            return self._redirect(request, self._port)
        return await self._inner.handle(request)

    async def _strictly(self, request: Request) -> Response:
        try:
            response = await self._inner.handle(request)
        except HttpError as error:
            fields = Fields(error.fields)
            fields.set_default(FIELD, self._hsts)
            error.fields = tuple(fields)
            raise
        response.fields.set_default(FIELD, self._hsts)
        return response

    def _redirect(self, request: Request, port: int) -> Response:
        """To the same place over TLS. 308, so that the method stays, and with it what was to be sent."""
        host = request.host or _bracketed(request.local.host)
        authority = host if port == HTTPS_PORT else f"{host}:{port}"
        location = f"https://{authority}{paths.reference(request.path, request.query)}"
        return redirect_response(308, location, self._remember if request.host else None)


class TellHttps:
    """Answers every request that came in the clear to where TLS is spoken: 400, with the URI to ask for instead."""

    __slots__ = ()

    async def handle(self, request: Request) -> Response:
        host, port = request.host, request.port
        if not host:
            host, port = _bracketed(request.local.host), request.local.port
        authority = host if port in (None, HTTPS_PORT) else f"{host}:{port}"
        uri = f"https://{authority}{paths.reference(request.path, request.query)}"
        raise HttpError(
            400, f"This port speaks HTTPS, and the request came in the clear. Ask for {uri}", must_close=True
        )


def is_request(octets: bytes) -> bool | None:
    """Whether these are the first octets of an HTTP/1 request, as nearly as the method tells; None if they are too few."""
    method, space, _ = octets.partition(b" ")
    if not method.isalpha() or not method.isupper():
        return False
    return True if space else None


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
