"""Sessions for the routes that keep them."""

from __future__ import annotations

from netlodge.app.supplies import Supplies
from netlodge.config import settings as config
from netlodge.http.message import Handler


def with_visits(handler: Handler, route: config.Route, supplies: Supplies) -> Handler:
    """`handler` with `request.visit`, if the route keeps sessions."""
    if not route.sessions:
        return handler
    # Here, and not above: they bring SQLAlchemy along, a third of a second that a lodge without sessions does not spend.
    from netlodge.http.handlers.sessions import Visits
    from netlodge.store.sessions import Lifetime, Sessions

    settings = supplies.settings.sessions
    lifetime = Lifetime(idle=round(settings.idle), absolute=round(settings.absolute), empty=round(settings.empty))
    sessions = Sessions(supplies.database, lifetime, size=settings.size)
    return Visits(
        handler,
        sessions,
        clock=supplies.clock,
        cookie=settings.cookie,
        max_age=min(lifetime.idle, lifetime.absolute),
    )
