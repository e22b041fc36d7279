"""The files of a route, their variants, their compression, and changes to them by PUT and DELETE."""

from __future__ import annotations

from pathlib import Path

from netlodge.app.guards import with_login
from netlodge.app.supplies import Supplies
from netlodge.config import settings as config
from netlodge.http.handlers.compression import Compression
from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.handlers.uploads import ByMethod, Uploads
from netlodge.http.handlers.variants import VariantSettings
from netlodge.http.message import Handler
from netlodge.http.rules import paths
from netlodge.http.rules.media_types import MediaTypes
from netlodge.store.new_files import NewFiles


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
        alternatives=VariantSettings(
            variants=route.variants,
            precompressed=route.precompressed,
            language=route.language,
            count=limits.variant_count,
        ),
        is_compressed=_is_compressed(route),
        ranges=limits.ranges,
    )
    return with_uploads(Files(settings, clock=supplies.clock), route, folder, supplies)


def with_uploads(handler: Handler, route: config.Route, folder: Path, supplies: Supplies) -> Handler:
    """`handler`, which answers for reading, with PUT and DELETE where the route lets files be changed."""
    if route.uploads == "off":
        return handler
    new_files = NewFiles(supplies.settings.run_folder / "uploads", paths.UNFINISHED)
    uploads = Uploads(
        handler,
        folder,
        may_hide=route.hidden,
        new_files=new_files,
        clock=supplies.clock,
        turns=supplies.upload_turns,
    )
    if route.uploads == "anyone" or route.access.login:
        return uploads
    # The route's own guard has let the request pass by now: what is left to ask for is the account.
    return ByMethod(changes=with_login(uploads, route.access, supplies), others=uploads)


def compressed(handler: Handler, route: config.Route, supplies: Supplies) -> Handler:
    """`handler` with its text compressed on the fly, unless the route says not to."""
    if not _is_compressed(route):
        return handler
    return Compression(handler, supplies.compressor, inner_varies=route.files is not None)


def _is_compressed(route: config.Route) -> bool:
    """What a route says of the answers counts from outside, where compression does not see it."""
    return route.compress and route.redirect is None and "no-transform" not in route.cache_control.lower()
