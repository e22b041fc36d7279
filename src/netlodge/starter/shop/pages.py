"""Pages of the shop: templates with what every page has, and the fields under which it is sent.

Templates escape whatever is put into them, there is no script, and the Content-Security-Policy forbids one: a name that a visitor gives is
text wherever it is shown. Every link begins with the path of the route, so that the shop may be put anywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final

import jinja2
from markupsafe import Markup

from netlodge.http.handlers.at_hand import answer_at_hand
from netlodge.http.message import REASONS, Fields, HttpError, Request, Response
from netlodge.http.rules.conditional import EntityTag
from netlodge.starter.shop import basket
from netlodge.starter.shop.goods import SHELF

POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: nothing runs, nothing is loaded from elsewhere, nobody frames them."""
PICTURE_POLICY: Final = "default-src 'none'; sandbox"

_PAGE_FIELDS: Final = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    # The Origin of a form must not be taken away (`http.handlers.csrf`), and nobody else needs to know.
    ("referrer-policy", "same-origin"),
    ("cache-control", "private, no-cache"),
)
_FOLDER: Final = resources.files("netlodge") / "starter"


class Pages:
    """Makes the answers of the shop."""

    def __init__(self) -> None:
        self._style = _load_style()
        self._templates = _load_templates()

    def page(self, template: str, request: Request, status: int = 200, **values: Any) -> Response:
        """The page `templates/TEMPLATE.html`. A notice that waits in the session is shown, once."""
        visit = request.visit
        data = {} if visit is None else visit.data
        known = {
            "at": request.route.get("prefix", ""),
            "visit": visit,
            "name": data.get("name", ""),
            "in_basket": sum(line.quantity for line in basket.lines(data)),
            "notice": data.pop("notice", "") if status < 400 else "",
        }
        text = self._templates.get_template(f"{template}.html").render(known | values)
        return Response(status, Fields(_PAGE_FIELDS), text.encode("utf-8"))

    def error(self, request: Request, error: HttpError) -> Response:
        """What went wrong, as a page."""
        response = self.page("error", request, error.status, error=error, reason=REASONS.get(error.status, "Error"))
        for name, value in error.fields:
            response.fields.set(name, value)
        return response

    def see_other(self, request: Request, path: str) -> Response:
        """To another page of the shop, by GET: what follows a form that did something, so that loading again does it no second time."""
        return Response(
            303, Fields([("location", request.route.get("prefix", "") + path), ("cache-control", "no-store")])
        )

    def style(self, request: Request) -> Response:
        """The style sheet."""
        fields = Fields(
            [
                ("content-type", "text/css; charset=utf-8"),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "max-age=300"),
            ]
        )
        return answer_at_hand(request, 200, fields, self._style, etag=EntityTag.of(self._style))

    def picture(self, request: Request, content: bytes, media_type: str) -> Response:
        """A picture that a visitor has sent, with the type that was found in it."""
        fields = Fields(
            [
                ("content-type", media_type),
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", PICTURE_POLICY),
                ("cache-control", "private, max-age=3600"),
            ]
        )
        return answer_at_hand(request, 200, fields, content, etag=EntityTag.of(content))


def _load_style() -> bytes:
    """The starter site's style, and what the shop has beside it."""
    parts = (_FOLDER / "www" / "style.css", _FOLDER / "shop" / "shop.css")
    return b"\n".join(part.read_bytes() for part in parts)


def _load_templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("netlodge.starter.shop"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    drawings = {goods.slug: _drawing(goods.slug) for goods in SHELF}
    templates.filters.update(money=money, moment=moment, iso=iso, drawing=drawings.__getitem__)
    for name in templates.list_templates():
        templates.get_template(name)
    return templates


def money(cents: int) -> str:
    """`€24.50`."""
    return f"€{cents // 100}.{cents % 100:02d}"


def moment(second: int) -> str:
    """A second since the epoch as a person reads it: `21 November 2026 at 08:14 UTC`."""
    then = datetime.fromtimestamp(second, UTC)
    return f"{then.day} {then:%B %Y} at {then:%H:%M} UTC"


def iso(second: int) -> str:
    """The same for `<time datetime>`."""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _drawing(slug: str) -> Markup:
    """The drawing of goods, to stand in the page."""
    return Markup((_FOLDER / "shop" / "drawings" / f"{slug}.svg").read_text(encoding="utf-8"))  # noqa: S704  a file of ours
