"""From the settings of the web door to its chain of handlers."""

from __future__ import annotations

from functools import partial

from netlodge.config import settings as config
from netlodge.core.contracts import Clock
from netlodge.http.handlers.error_pages import ErrorPages
from netlodge.http.handlers.fields import FieldRule, FieldRules
from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.handlers.redirect import Redirect
from netlodge.http.handlers.respond import Respond
from netlodge.http.handlers.router import Route, Router, Site
from netlodge.http.handlers.trace import ServerMethods
from netlodge.http.message import Handler
from netlodge.http.rules.media_types import MediaTypes
from netlodge.http.rules.patterns import PathPattern

_ALL_PATHS = PathPattern("*")


def web_handler(web: config.Web, limits: config.Limits, clock: Clock) -> Handler:
    """`ServerMethods -> Router -> (per site) ErrorPages -> FieldRules -> Routes -> FieldRules -> Files | Redirect | Respond`."""
    sites = []
    for site in web.site:
        media_types = MediaTypes(site.media_types)
        routes = tuple(
            Route(route.path, _with_fields(_answering(route, limits, media_types, clock), route))
            for route in site.routes
        )
        sites.append(Site(site.hosts, routes, partial(_dressed, site=site, media_types=media_types)))
    return ServerMethods(Router(sites), trace=web.trace)


def _answering(route: config.Route, limits: config.Limits, media_types: MediaTypes, clock: Clock) -> Handler:
    """What the route answers with; the settings have exactly one of the three."""
    if route.files is not None:
        settings = FilesSettings(
            root=route.files,
            index=route.index,
            listing=route.listing,
            listing_entries=limits.listing_entries,
            fallback=route.fallback,
            hidden=route.hidden,
            media_types=media_types,
            ranges=limits.ranges,
        )
        return Files(settings, clock=clock)
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


def _dressed(handler: Handler, *, site: config.Site, media_types: MediaTypes) -> Handler:
    """All routes of a site, with its fields by path and its error pages."""
    rules = [FieldRule(PathPattern(rule.path), _lowered(rule.set), rule.cache_control) for rule in site.fields]
    if rules:
        handler = FieldRules(handler, rules)
    return ErrorPages(handler, site.error_pages, media_types=media_types) if site.error_pages else handler


def _lowered(fields: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in fields.items()}
