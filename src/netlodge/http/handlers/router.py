"""Who answers: by host the site, by path the route.

RFC 9110 §7.2 (Host), §7.4 and §15.5.20 (421, misdirected requests), RFC 3986 §6.2.2 (which paths are equal).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from netlodge.http.handlers.redirect import redirect_response
from netlodge.http.message import Handler, HttpError, Request, Response
from netlodge.http.rules import paths
from netlodge.http.rules.hosts import has_empty_label, normal_host

HOSTS_KEPT: Final = 1024
"""Most hosts whose site is kept as it was found. When there are more, all are looked for again."""


@dataclass(frozen=True, slots=True)
class Route:
    """A handler for a path and what lies below it.

    `path` begins with a slash. `/api/` stands for all that begins with it, and `/api` is redirected there; `/api` without a slash
    at its end stands for itself and all that begins with `/api/`, never for `/apix`. The handler finds in `request.route["prefix"]`
    what it leaves out of the path, `/api` in both cases (files: `/api/x` is `x` below their root).
    """

    path: str
    handler: Handler


class Routes:
    """Hands each request to the route that says most about its path: of those that match, the one with the longest path.

    Raises `ValueError` when two routes claim one path, or a path does not begin with a slash.
    """

    __slots__ = ("_in_order",)

    def __init__(self, routes: Iterable[Route]) -> None:
        # What the path begins with, what it is, who answers, and the prefix; by `below`, so that no two are the same.
        in_order: dict[str, tuple[str, str, Handler, str]] = {}
        for route in routes:
            if not route.path.startswith("/"):
                raise ValueError(f"the path {route.path!r} does not begin with a slash")
            path = paths.encode_path(route.path)
            below = path.rstrip("/") + "/"
            if below in in_order:
                raise ValueError(f"two routes claim the path {route.path!r}")
            exact = below if path.endswith("/") else path
            in_order[below] = (below, exact, route.handler, below[:-1])
        self._in_order = tuple(sorted(in_order.values(), key=lambda entry: -len(entry[0])))

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError`: 400 for a path with a malformed escape or a dot segment (whoever resolves it last would decide where it
        leads, so no route may), 404 if no route is for the path; and what the handler raises."""
        path = request.path
        if "%" in path:
            # Equivalent paths take the same route, and handlers see the one form: /%61dmin is /admin.
            path = request.path = paths.normal_form(path)
        if "/." in path and paths.has_dot_segment(path):
            raise HttpError(400, "The path holds a dot segment, which a client resolves before it asks.")
        for below, exact, handler, prefix in self._in_order:
            if path.startswith(below) or path == exact:
                request.route["prefix"] = prefix
                return await handler.handle(request)
            if path + "/" == below:
                # GET may change to GET only; the others keep their method (RFC 9110 §15.4.9).
                status = 301 if request.method in ("GET", "HEAD") else 308
                return redirect_response(status, paths.reference(below, request.query))
        raise HttpError(404, "There is nothing at this path.")


@dataclass(frozen=True, slots=True)
class Site:
    """The routes of some hosts: exact names (`www.example.org`, `[::1]`), or `*.example.net` for every name below that one. No hosts, or
    `*`: the site of every host that no other site names. `wrap` puts a handler around all its routes (error pages, access control),
    which then also sees the requests that no route is for."""

    hosts: tuple[str, ...]
    routes: tuple[Route, ...]
    wrap: Callable[[Handler], Handler] | None = None


class Router:
    """Hands each request to the site of its host.

    An exact host goes before a wildcard, a longer wildcard before a shorter one, and those before the default site. A host that no
    site names is answered with 421: "An origin server [...] sends 421 to reject a target URI that does not match an origin for which
    the server has been configured" (RFC 9110 §15.5.20). Other servers let the first site answer instead; then a name that somebody
    else points at this address (DNS rebinding) gets the site's pages. Whoever wants that says `*`.

    Raises `ValueError` when two sites claim one host, or like `Routes`.
    """

    __slots__ = ("_default", "_exact", "_found", "_wildcards")

    def __init__(self, sites: Iterable[Site]) -> None:
        self._exact: dict[str, Handler] = {}
        self._found: dict[str, Handler] = {}
        """Sites of hosts that were asked for lately, as the requests spelt them; bounded."""
        self._wildcards: dict[str, Handler] = {}
        self._default: Handler | None = None
        for site in sites:
            routes = Routes(site.routes)
            handler = routes if site.wrap is None else site.wrap(routes)
            for host in site.hosts or ("*",):
                self._add(normal_host(host), handler)

    def _add(self, host: str, handler: Handler) -> None:
        if host == "*":
            if self._default is not None:
                raise ValueError("two sites are the default one")
            self._default = handler
            return
        names, name = (self._wildcards, host[1:]) if host.startswith("*.") else (self._exact, host)
        if name in names:
            raise ValueError(f"two sites claim the host {host!r}")
        names[name] = handler

    async def handle(self, request: Request) -> Response:
        """Raises `HttpError` 421 if no site is for the host, and what the site raises."""
        host = request.host
        handler = self._exact.get(host) or self._found.get(host)
        if handler is None:
            handler = self._site_of(host)
            if len(self._found) >= HOSTS_KEPT:
                self._found.clear()
            self._found[host] = handler
        return await handler.handle(request)

    def _site_of(self, host: str) -> Handler:
        host = normal_host(host)
        if host in self._exact:
            return self._exact[host]
        # `.example.net` is no name below `example.net`.
        if self._wildcards and not has_empty_label(host):
            dot = host.find(".")
            while dot != -1:
                handler = self._wildcards.get(host[dot:])
                if handler is not None:
                    return handler
                dot = host.find(".", dot + 1)
        if self._default is None:
            raise HttpError(421, "No site of this server has that name.")
        return self._default
