"""From the settings of the web door to its chain of handlers."""

from __future__ import annotations

from functools import partial

from netlodge.app.content import compressed, files
from netlodge.app.guards import Nothing, guarded, with_cors
from netlodge.app.secure import with_https
from netlodge.app.supplies import Supplies
from netlodge.app.visits import with_visits
from netlodge.config import settings as config
from netlodge.http.handlers.error_pages import ErrorPages
from netlodge.http.handlers.fields import FieldRule, FieldRules
from netlodge.http.handlers.redirect import Redirect
from netlodge.http.handlers.respond import Respond
from netlodge.http.handlers.router import Route, Router, Site
from netlodge.http.handlers.trace import ServerMethods
from netlodge.http.message import Handler
from netlodge.http.rules import paths
from netlodge.http.rules.media_types import MediaTypes
from netlodge.http.rules.patterns import PathPattern

_ALL_PATHS = PathPattern("*")


def web_handler(web: config.Web, supplies: Supplies) -> Handler:
    """`ServerMethods -> Router -> (per site) Https -> ErrorPages -> FieldRules -> Routes
    -> (per route) FieldRules -> Cors -> Access of the site -> Access -> Visits -> Compression -> Uploads -> Files | App | Redirect | Respond`,
    each only where the settings ask for it."""
    sites = []
    for site in web.site:
        media_types = MediaTypes(site.media_types)
        routes = [Route(route.path, _route(route, site, media_types, supplies)) for route in site.routes]
        if not any(paths.encode_path(route.path) == "/" for route in routes):
            routes.append(Route("/", _guarded_by_site(Nothing(), site, supplies)))
        sites.append(
            Site(site.hosts, tuple(routes), partial(_dressed, site=site, media_types=media_types, supplies=supplies))
        )
    return ServerMethods(Router(sites), trace=web.trace)


def _route(route: config.Route, site: config.Site, media_types: MediaTypes, supplies: Supplies) -> Handler:
    handler = compressed(_answering(route, media_types, supplies), route, supplies)
    handler = with_visits(handler, route, supplies)
    handler = guarded(
        handler, route.access, supplies, scope=f"{_hosts(site)} {route.path}", asks_login=site.access.login
    )
    # The site's access is asked here and not before all routes: a page of another origin may read its refusals, too, and asks by a
    # preflight that has no login.
    handler = with_cors(_guarded_by_site(handler, site, supplies), route.cors)
    return _with_fields(handler, route)


def _guarded_by_site(handler: Handler, site: config.Site, supplies: Supplies) -> Handler:
    return guarded(handler, site.access, supplies, scope=_hosts(site))


def _hosts(site: config.Site) -> str:
    return ",".join(site.hosts) or "*"


def _answering(route: config.Route, media_types: MediaTypes, supplies: Supplies) -> Handler:
    """What the route answers with; the settings have exactly one of the four."""
    if route.files is not None:
        return files(route, route.files, media_types, supplies)
    if route.app is not None:
        return supplies.applications.handler(route)
    if route.redirect is not None:
        return Redirect(route.redirect, route.status or 302)
    return Respond(route.status or 200, route.respond or "")


def _with_fields(handler: Handler, route: config.Route) -> Handler:
    """`handler` with the fields of its route, which go before those of the site."""
    own = _lowered(route.fields)
    if not own and not route.cache_control:
        return handler
    # What a `respond` says is what was asked for, whatever its status.
    rule = FieldRule(_ALL_PATHS, own, route.cache_control, caches_errors=route.respond is not None)
    return FieldRules(handler, [rule])


def _dressed(handler: Handler, *, site: config.Site, media_types: MediaTypes, supplies: Supplies) -> Handler:
    """All routes of a site, with its fields by path and its error pages."""
    rules = [FieldRule(PathPattern(rule.path), _lowered(rule.set), rule.cache_control) for rule in site.fields]
    if rules:
        handler = FieldRules(handler, rules)
    if site.error_pages:
        handler = ErrorPages(handler, site.error_pages, media_types=media_types)
    return with_https(handler, site, supplies)


def _lowered(fields: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in fields.items()}
