"""What the handlers of one worker are made from, beside the settings of their own site and route."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from netlodge.app.applications import Applications
from netlodge.app.shared import Shared
from netlodge.config.settings import Settings
from netlodge.core.contracts import Clock
from netlodge.store.database import Database


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
