"""Where a request goes: the origin, and the proxy on the way if there is one.

RFC 9110 §4.3.1 (origins), §7.3.2 and §7.3.3 (routing inbound), §11.7.2 (Proxy-Authorization); RFC 7617 §2 (Basic).
"""

from __future__ import annotations

import base64
from typing import NamedTuple

from netlodge.http.rules.uri import WebUri, parse_web_uri


def basic(user: str, password: str) -> str:
    """The credentials of the Basic scheme as a field has them (RFC 7617 §2)."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode('ascii')}"


class Proxy(NamedTuple):
    """A proxy that is spoken to over HTTP/1.1 in the clear."""

    host: str
    """A name or a numeric address, without brackets."""
    port: int
    authorization: str = ""
    """For Proxy-Authorization; empty: none."""

    @classmethod
    def of(cls, uri: WebUri) -> Proxy:
        """The proxy at this URI, with the credentials in it."""
        authorization = "" if uri.user is None else basic(uri.user, uri.password)
        return cls(uri.host_name, uri.port, authorization)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_proxy(text: str) -> Proxy:
    """A proxy as `http://USER:PASSWORD@HOST:PORT` or `HOST:PORT`. Raises `UriError`."""
    return Proxy.of(parse_web_uri(text, default_scheme="http"))


class Origin(NamedTuple):
    """What connections are kept for: all requests to it may share them."""

    scheme: str
    host: str
    """As in `WebUri`: lower-case, brackets around IPv6."""
    port: int
    proxy: Proxy | None = None

    @classmethod
    def of(cls, uri: WebUri, proxy: Proxy | None = None) -> Origin:
        return cls(uri.scheme, uri.host, uri.port, proxy)

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    @property
    def host_name(self) -> str:
        return self.host.strip("[]")

    @property
    def place(self) -> str:
        """Host and port, as authority-form has them (RFC 9112 §3.2.3)."""
        return f"{self.host}:{self.port}"

    @property
    def forwards(self) -> bool:
        """Whether a proxy reads the requests, so that they are sent in absolute-form (RFC 9112 §3.2.2)."""
        return self.proxy is not None and not self.is_secure

    @property
    def shared(self) -> Origin:
        """Under which name connections are kept: one to a proxy that forwards serves all origins behind it."""
        if self.proxy is not None and not self.is_secure:
            return Origin("http", "*", 0, self.proxy)
        return self
