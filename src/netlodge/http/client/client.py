"""The client: sends a request, goes where redirects lead, keeps cookies, proves who it is, and undoes content codings.

RFC 9110 §15.4 (redirection), §11.6.2 (Authorization), §12.5.3 (Accept-Encoding), §8.4 (Content-Encoding), §10.1.5 (User-Agent); RFC
6265bis §5.6 to §5.8 by the jar. It stands on a `Sender`: `Direct` on connections, or whatever wraps that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from netlodge import __version__
from netlodge.http.client.decoding import ACCEPTED, Decoding, DecodingLimits
from netlodge.http.client.errors import RedirectError
from netlodge.http.client.exchanges import (
    ClientRequest,
    ClientResponse,
    Sender,
    Source,
    total_time_is_over,
)
from netlodge.http.client.origin import basic
from netlodge.http.message import Fields
from netlodge.http.rules.repeating import is_redirect, redirected
from netlodge.http.rules.uri import UriError, WebUri, resolve_web_uri

USER_AGENT: Final = f"netlodge/{__version__}"
REDIRECTS: Final = 20
"""Redirects that are followed. Firefox and Chromium: 20; curl: 50."""


class Cookies(Protocol):
    """What the client asks of a jar; `jar.Jar` is one."""

    def cookie_for(self, uri: WebUri, /) -> str:
        """The value of Cookie for a request; empty: none."""
        ...

    def receive(self, uri: WebUri, fields: Fields, /) -> None:
        """Take what an answer for `uri` sets."""
        ...


@dataclass(frozen=True, slots=True)
class Ways:
    """How a client behaves."""

    redirects: int = REDIRECTS
    """How many are followed; 0: none, the redirect itself is the answer."""
    is_decoding: bool = True
    """Whether coded content is asked for and decoded."""
    decoding: DecodingLimits = field(default_factory=DecodingLimits)
    user_agent: str = USER_AGENT


class Client:
    """Sends requests. Fields that a request brings are kept as they are: its own User-Agent, Accept, Cookie, Authorization go before
    what the client would say."""

    def __init__(self, sender: Sender, *, ways: Ways | None = None, cookies: Cookies | None = None) -> None:
        self._sender = sender
        self._ways = ways or Ways()
        self._cookies = cookies

    async def send(self, request: ClientRequest) -> ClientResponse:
        """The final answer, once its head has come. Raises `DialError` or `ClientError`.

        Userinfo in the URI becomes Basic credentials for its origin. What a redirect to another origin must not carry along (credentials,
        cookies, conditions) is taken out; what a Location says as userinfo is ignored (RFC 9110 §4.2.4).
        """
        total = request.times.total
        if total is None:
            return await self._follow(request, None)
        deadline = asyncio.get_running_loop().time() + total
        try:
            async with asyncio.timeout_at(deadline):
                return await self._follow(request, deadline)
        except TimeoutError:
            raise total_time_is_over(request) from None

    @contextlib.asynccontextmanager
    async def exchange(self, request: ClientRequest) -> AsyncIterator[ClientResponse]:
        """`send`, and `close` at the end."""
        response = await self.send(request)
        try:
            yield response
        finally:
            response.close()

    async def _follow(self, request: ClientRequest, deadline: float | None) -> ClientResponse:
        history: list[ClientResponse] = []
        seen = {(request.method, request.uri.without_credentials())}
        request = replace(request, fields=_with_credentials(request))
        while True:
            uri = request.uri
            response = await self._sender.send(replace(request, fields=self._completed(request)))
            response.deadline = deadline
            response.history = tuple(history)
            if self._cookies is not None:
                self._cookies.receive(uri, response.fields)
            if not (self._ways.redirects and is_redirect(response.status, response.fields)):
                return self._decoded(response)
            try:
                request = self._next(request, response, len(history), seen)
            except RedirectError:
                response.close()
                raise
            history.append(response)
            await response.give_up()

    def _next(
        self, request: ClientRequest, response: ClientResponse, count: int, seen: set[tuple[str, WebUri]]
    ) -> ClientRequest:
        """The request that `response` leads to."""
        uri = request.uri
        if count >= self._ways.redirects:
            raise RedirectError(
                f"{uri} redirects once more, and {count} redirects were followed. Allow more, or see where they lead with -v."
            )
        try:
            target = resolve_web_uri(uri, response.fields.get_all("location")[0]).without_credentials()
        except UriError as error:
            raise RedirectError(f"{uri} redirects to what cannot be followed: {error}") from error
        is_same_origin = target.is_same_origin(uri)
        method, keeps_content, fields = redirected(
            request.method, response.status, request.fields, is_same_origin=is_same_origin
        )
        content = request.content if keeps_content else None
        if content is not None and not content.is_replayable:
            raise RedirectError(
                f"{uri} redirects with {response.status}, and what was sent cannot be sent again. Send it to {target} at once."
            )
        # With cookies the same URI may answer otherwise the second time; without any change there is no way out.
        step = (method, target)
        if step in seen and self._cookies is None:
            raise RedirectError(f"{uri} redirects to {target}, where it came from: the redirects go round in a circle.")
        seen.add(step)
        return replace(request, method=method, uri=target, fields=fields, content=content)

    def _completed(self, request: ClientRequest) -> Fields:
        """The request's fields with those that the client adds."""
        fields = request.fields.copy()
        fields.set_default("user-agent", self._ways.user_agent)
        fields.set_default("accept", "*/*")
        # Of a part of a coded representation nothing can be decoded.
        if self._ways.is_decoding and "range" not in fields:
            fields.set_default("accept-encoding", ACCEPTED)
        if self._cookies is not None and "cookie" not in fields:
            cookie = self._cookies.cookie_for(request.uri)
            if cookie:
                fields.append("cookie", cookie)
        for name in [name for name, value in fields if not value and name in {"user-agent", "accept"}]:
            fields.remove(name)  # given as empty: not to be sent
        return fields

    def _decoded(self, response: ClientResponse) -> ClientResponse:
        codings = response.fields.list_of("content-encoding")
        if not (self._ways.is_decoding and codings) or response.status == 206:
            return response
        try:
            response.source = _Decoded(response.source, Decoding(codings, self._ways.decoding))
        except Exception:
            response.close()
            raise
        return response


class _Decoded:
    """Implements `exchanges.Source`: what another has, with the codings undone."""

    def __init__(self, source: Source, decoding: Decoding) -> None:
        self._source = source
        self._decoding = decoding
        self._pieces: Iterator[bytes] = iter(())

    @property
    def trailers(self) -> Fields | None:
        return self._source.trailers

    @trailers.setter
    def trailers(self, trailers: Fields | None) -> None:
        self._source.trailers = trailers

    async def read(self) -> bytes:
        try:
            while True:
                for piece in self._pieces:
                    return piece
                data = await self._source.read()
                if not data:
                    self._decoding.finish()
                    return b""
                self._pieces = self._decoding.add(data)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        self._source.close()


def _with_credentials(request: ClientRequest) -> Fields:
    """The fields of the first request: with the credentials in its URI, unless it has others."""
    fields = request.fields.copy()
    uri = request.uri
    if uri.user is not None:
        fields.set_default("authorization", basic(uri.user, uri.password))
    return fields
