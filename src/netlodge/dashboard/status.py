"""The dashboard's door: `/` shows how the lodge does, `/metrics` gives the numbers of all workers to Prometheus.

A page in a browser may ask any address for anything, under any name that its owner's DNS gives (DNS rebinding). So a Host that is neither an
address, nor localhost, nor a name from the settings gets 421 (RFC 9110 §15.5.20), and no page of ours runs or loads anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

from netlodge.core.contracts import Clock
from netlodge.dashboard.page import STYLE_SOURCE, Door, render_page
from netlodge.http.message import Fields, HttpError, Request, Response
from netlodge.observe import metrics
from netlodge.observe.metrics import Registry

_SAFETY: Final = (
    ("cache-control", "no-store"),
    ("content-security-policy", f"default-src 'none'; style-src {STYLE_SOURCE}; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)


class Dashboard:
    """Implements `http.message.Handler`. `names` are the hosts, beside addresses and localhost, that the door answers to."""

    def __init__(
        self, *, registry: Registry, clock: Clock, version: str, doors: Sequence[Door] = (), names: Iterable[str] = ()
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._version = version
        self._doors = tuple(doors)
        self._names = frozenset(name.lower().rstrip(".") for name in names)

    async def handle(self, request: Request) -> Response:
        if not self._is_own(request.host):
            raise HttpError(421, "The dashboard answers to an address, to localhost, and to the names in the settings.")
        if request.path not in ("/", "/metrics"):
            raise HttpError(404, "The dashboard has / and /metrics.")
        if request.method not in ("GET", "HEAD"):
            raise HttpError(405, "The dashboard is only read.", fields=[("allow", "GET, HEAD")])
        if request.path == "/metrics":
            return _answer(metrics.CONTENT_TYPE, self._registry.render())
        page = render_page(self._registry, self._doors, self._version, self._clock.wall)
        return _answer("text/html; charset=utf-8", page)

    def _is_own(self, host: str) -> bool:
        """No Host at all is a client of HTTP/1.0, which no browser is."""
        host = host.lower().rstrip(".")
        if not host or host == "localhost" or host.endswith(".localhost") or host in self._names:
            return True
        try:
            ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


def _answer(media_type: str, text: str) -> Response:
    return Response(200, Fields([("content-type", media_type), *_SAFETY]), text.encode())
