"""Redirects: from a path to another place.

RFC 9110 §10.2.2 (Location), §15.4 (redirection).
"""

from __future__ import annotations

from html import escape
from math import inf
from typing import Final

from netlodge.http.message import REASONS, Fields, Remember, Request, Response
from netlodge.http.rules import paths

STATUSES: Final = frozenset({301, 302, 303, 307, 308})


class Redirect:
    """Sends all that reaches it elsewhere.

    `target` is a path (`/new/`) or an absolute URI (`https://www.example.org/`). If it ends with a slash, what followed the route's
    prefix is put behind it: the route `/old/` with target `/new/` sends `/old/a/b?c` to `/new/a/b?c`. If not, it is taken as it is.
    The query is kept unless the target has a query or a fragment. Raises `ValueError` for a status that is no redirect, or a target that names neither
    a path of this server nor an http(s) URI.
    """

    __slots__ = ("_remember", "_status", "_takes_query", "_takes_rest", "_target")

    def __init__(self, target: str, status: int = 302) -> None:
        if status not in STATUSES:
            raise ValueError(f"{status} is not one of {sorted(STATUSES)}")
        is_path = target.startswith("/") and not target.startswith("//")
        if not is_path and not target.startswith(("http://", "https://")):
            raise ValueError(f"{target!r} is neither a path nor an http or https URI")
        has_tail = "?" in target or "#" in target
        self._target = paths.encode_path(target) if is_path and not has_tail else target
        self._takes_rest = target.endswith("/") and not has_tail
        self._takes_query = not has_tail
        self._status = status
        self._remember = Remember(inf, reads=frozenset())

    async def handle(self, request: Request) -> Response:
        location = self._target
        if self._takes_rest:
            # `reference` leaves nothing at the beginning (a slash, a backslash) that could name another host.
            location += paths.reference(request.path[len(request.route.get("prefix", "")) :])[1:]
        if self._takes_query and request.query is not None:
            location += paths.reference("", request.query)[1:]
        return redirect_response(self._status, location, self._remember)


def redirect_response(status: int, location: str, remember: Remember | None = None) -> Response:
    """A redirect with "a short hypertext note with a hyperlink to the different URI" (RFC 9110 §15.4.2)."""
    reason = REASONS[status]
    link = escape(location)
    note = f'<!doctype html>\n<title>{reason}</title>\n<p>{reason}: <a href="{link}">{link}</a></p>\n'
    fields = Fields([("location", location), ("content-type", "text/html; charset=utf-8")])
    return Response(status, fields, note.encode("utf-8"), remember=remember)
