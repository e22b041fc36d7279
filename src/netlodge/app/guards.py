"""Who may come in, how often, and from which pages: the handlers that stand before a site or a route."""

from __future__ import annotations

from netlodge.app.supplies import Supplies
from netlodge.config import settings as config
from netlodge.http.message import Handler


def guarded(handler: Handler, access: config.Access, supplies: Supplies) -> Handler:
    """`handler` behind what `access` asks for; itself, if that is nothing."""
    return handler


def with_cors(handler: Handler, cors: config.Cors) -> Handler:
    """`handler` with its answers readable by pages of other origins, if there are any."""
    return handler
