"""What the handlers of one worker are made from, beside the settings of their own site and route."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netlodge.app.applications import Applications
from netlodge.app.shared import Shared
from netlodge.config.settings import Settings
from netlodge.core.contracts import Clock
from netlodge.http.handlers.compressor import Compressor
from netlodge.http.handlers.turns import Turns
from netlodge.store.database import Database

if TYPE_CHECKING:
    from netlodge.store.logins import Logins


@dataclass(slots=True, eq=False)
class Supplies:
    """One for each worker."""

    settings: Settings
    clock: Clock
    loop: asyncio.AbstractEventLoop
    shared: Shared
    database: Database
    """Not connected to until somebody asks for something."""
    applications: Applications
    """Those that the routes name; `app.rooms` starts them before the doors open and ends them after."""
    logins: Logins | None = None
    """Made by `guards.logins_of` when a route first asks for a login."""
    compressor: Compressor = field(default_factory=Compressor)
    upload_turns: Turns = field(init=False)
    """Of all routes that take files."""

    def __post_init__(self) -> None:
        self.upload_turns = Turns(self.settings.limits.uploads, "uploads", setting="limits.uploads")
