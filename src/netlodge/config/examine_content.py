"""What is wrong with the settings that say in which form a site's content leaves: variants, compression.

RFC 5646 §2.1 (language tags), RFC 9110 §8.4 (Content-Encoding).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from netlodge.config.errors import KeyPath
from netlodge.config.settings import Route, Settings

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


def examine_content(settings: Settings) -> Iterator[tuple[KeyPath, object, str]]:
    """Which key, its value, and the complaint."""
    for index, site in enumerate(settings.web.site):
        at: KeyPath = ("web", "site", index)
        for place, route in enumerate(site.routes):
            yield from _examine_route(route, (*at, "routes", place))
        if any(route.compress for route in site.routes):
            for place, rule in enumerate(site.fields):
                yield from _examine_fields(rule.set, (*at, "fields", place, "set"))


def _examine_route(route: Route, at: KeyPath) -> Iterator[tuple[KeyPath, object, str]]:
    if route.language and not _LANGUAGE.fullmatch(route.language):
        yield (*at, "language"), route.language, 'must be a language tag, such as "en" or "pt-BR"'
    elif route.language and route.files is not None and not route.variants:
        yield (*at, "language"), route.language, "has no effect without variants"
    if route.compress:
        yield from _examine_fields(route.fields, (*at, "fields"))


def _examine_fields(fields: dict[str, str], at: KeyPath) -> Iterator[tuple[KeyPath, object, str]]:
    """A coding that is said by hand would be said of what is compressed on the fly as well, and be wrong of it."""
    for name, value in fields.items():
        if name.lower() == "content-encoding":
            yield (*at, name), value, "may only be set where no route of it compresses; add compress = false to them"
