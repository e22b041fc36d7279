"""The requests that ask about the server itself: `OPTIONS *`, TRACE, and CONNECT where there is no proxy.

RFC 9110 §9.3.6 (CONNECT), §9.3.7 (OPTIONS), §9.3.8 (TRACE), §17.8 (disclosure in reflected messages); RFC 9112 §10.1 (message/http).
"""

from __future__ import annotations

from typing import Final

from netlodge.core.credentials import is_credential_field
from netlodge.http.message import Fields, Handler, HttpError, Request, Response, TargetForm
from netlodge.http.rules.methods import READ_ONLY, method_error, options_response

_ALSO_WITHHELD: Final = frozenset({"authentication-info", "proxy-authentication-info", "sec-websocket-key"})
"""Beside credentials. §9.3.8: "The final recipient of the request SHOULD exclude any request fields that are likely to contain sensitive
data"."""


class ServerMethods:
    """Answers what is about the server as a whole, and hands everything else on.

    `trace` switches TRACE on: the request comes back as content, without its sensitive fields. Off, as by default, it is a 405.
    """

    __slots__ = ("_allow", "_inner", "_trace")

    def __init__(self, inner: Handler, *, trace: bool = False) -> None:
        self._inner = inner
        self._trace = trace
        self._allow = f"{READ_ONLY}, TRACE" if trace else READ_ONLY

    async def handle(self, request: Request) -> Response:
        method = request.method
        if method in ("GET", "HEAD"):
            return await self._inner.handle(request)
        if method == "TRACE":
            return self._echo(request)
        if method == "CONNECT" or request.form is TargetForm.AUTHORITY:
            raise method_error(method, self._allow)
        if request.form is TargetForm.ASTERISK or (method == "OPTIONS" and not request.path):
            # §9.3.7: 'the "*" request is only useful as a "ping" or "no-op" type of method'. In absolute-form it has no path (RFC 9112
            # §3.2.4).
            return options_response(self._allow)
        return await self._inner.handle(request)

    def _echo(self, request: Request) -> Response:
        if not self._trace:
            raise method_error("TRACE", self._allow)
        # "A client MUST NOT send content in a TRACE request."
        if request.body.length != 0:
            raise HttpError(400, "A TRACE request has no content.")
        lines = [f"TRACE {request.target} HTTP/{request.version}"]
        lines += [f"{name}: {value}" for name, value in request.fields if not _is_withheld(name)]
        content = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return Response(200, Fields([("content-type", "message/http")]), content)


def _is_withheld(field_name: str) -> bool:
    return field_name in _ALSO_WITHHELD or is_credential_field(field_name)
