"""Applications of others (ASGI, WSGI) in a worker: loading them by name, starting and ending them with it."""

from __future__ import annotations

from pathlib import Path

from netlodge.config import settings as config
from netlodge.http.message import Handler


class Applications:
    """All applications of one worker, each loaded once however many routes name it."""

    def __init__(self, settings: config.Settings, *, folder: Path) -> None:
        """Modules are looked for in `folder` first."""
        self._settings = settings
        self._folder = folder

    def handler(self, route: config.Route) -> Handler:
        """The handler of a route with `app`. Raises `NetlodgeError`, with a sentence, for what cannot be loaded."""
        raise NotImplementedError

    async def start(self) -> None:
        """Run the startup of each. Raises `NetlodgeError`."""

    async def finish(self) -> None:
        """Run the shutdown of each that was started."""
