"""How an application is named, and what is wrong with a name. Nothing is imported here: an application is code, and `check` runs none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from netlodge.config.errors import KeyPath
from netlodge.config.settings import Route, Settings

_NAME: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_FORM: Final = re.compile(rf"({_NAME}):({_NAME})(\(\))?")


class AppName(NamedTuple):
    """`module:attribute`, or `module:attribute()` for what a function makes; dots in either."""

    module: str
    attribute: str
    is_factory: bool

    @classmethod
    def parse(cls, text: str) -> AppName | None:
        """None if `text` has not that form."""
        match = _FORM.fullmatch(text)
        return cls(match[1], match[2], match[3] is not None) if match else None


def complaint_about_app(text: str) -> str:
    """Why `text` names no application, as the end of a sentence; empty if it does."""
    path, colon, name = text.partition(":")
    if path.endswith(".py"):
        meant = f"{path[:-3].removeprefix('./').replace('/', '.')}:{name or 'app'}"
        if AppName.parse(meant):
            return f'must be module:name; did you mean "{meant}"?'
    if AppName.parse(text):
        return ""
    if not colon and AppName.parse(f"{path}:app"):
        return f'must be module:name; did you mean "{path}:app"?'
    return 'must be module:name, such as "shop.main:app"'


def examine_apps(settings: Settings) -> Iterator[tuple[KeyPath, object, str]]:
    """What is wrong with the applications of the routes, as far as can be told without running any."""
    for site_index, site in enumerate(settings.web.site):
        for index, route in enumerate(site.routes):
            yield from _examine(route, ("web", "site", site_index, "routes", index))


def _examine(route: Route, at: KeyPath) -> Iterator[tuple[KeyPath, object, str]]:
    if route.app is None:
        if route.interface != "auto":
            yield (*at, "interface"), route.interface, "has no meaning without app"
        if route.app_folder is not None:
            yield (*at, "app_folder"), route.app_folder, "has no meaning without app"
        return
    if complaint := complaint_about_app(route.app):
        yield (*at, "app"), route.app, complaint
    if route.status is not None:
        yield (*at, "status"), route.status, "has no meaning with app"
    if route.app_folder is not None and not route.app_folder.is_dir():
        yield (*at, "app_folder"), route.app_folder, "there is no such folder"
