"""Sessions for the routes that keep them."""

from __future__ import annotations

from netlodge.app.supplies import Supplies
from netlodge.config import settings as config
from netlodge.http.message import Handler


def with_visits(handler: Handler, route: config.Route, supplies: Supplies) -> Handler:
    """`handler` with `request.visit`, if the route keeps sessions."""
    return handler
