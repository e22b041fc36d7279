"""What handlers are made from, for tests that make them from settings."""

from __future__ import annotations

import asyncio
from pathlib import Path

from netlodge.app.applications import Applications
from netlodge.app.shared import Shared
from netlodge.app.supplies import Supplies
from netlodge.config.settings import Settings
from netlodge.core.contracts import Clock
from netlodge.store.database import Database
from tests.http.handlers.asking import later


def supplies(settings: Settings, clock: Clock | None = None, *, folder: Path | None = None) -> Supplies:
    """As a worker would have them. The loop is no running one."""
    loop = asyncio.new_event_loop()
    loop.close()
    clock = clock or later()
    database = Database(settings.database_url, connections=1, timeout=5)
    return Supplies(
        settings=settings,
        clock=clock,
        loop=loop,
        shared=Shared(),
        database=database,
        applications=Applications(settings, folder=folder or settings.data, clock=clock, loop=loop, database=database),
    )
