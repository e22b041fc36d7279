from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path

from netlodge.app.rooms import CONTROL_DOOR, LodgeRooms
from netlodge.app.shared import Shared
from netlodge.config.settings import Settings
from netlodge.core.clock import WorkerClock
from netlodge.core.recall import Answer
from tests.observe.samples import http_record


def test_remembered_answers_that_hold_no_longer_are_dropped_though_nobody_asks(tmp_path: Path) -> None:
    for folder in ("run", "log"):
        (tmp_path / folder).mkdir()
    holds = True

    async def script() -> None:
        nonlocal holds
        shared = Shared()
        loop = asyncio.get_running_loop()
        rooms = LodgeRooms(Settings(data=tmp_path), {}, tmp_path, 0, shared, WorkerClock(), [], loop)

        def said(name: str) -> tuple[float, float]:
            return (
                shared.registry.value(f"netlodge_recall_{name}", door=CONTROL_DOOR, table="octets"),
                shared.registry.value(f"netlodge_recall_{name}", door=CONTROL_DOOR, table="meaning"),
            )

        try:
            (service,) = rooms._services
            for number in range(3):
                answer = Answer(record=http_record(), octets=100, expires=inf, still_holds=lambda: holds)
                service.recall.remember(b"%d" % number, answer)  # type: ignore[arg-type]
            rooms.sample()
            assert said("answers") == (3, 0)
            assert said("bytes") == (service.recall.octets, 0)
            holds = False
            rooms.sample()
            rooms.sample()
            assert said("answers") == said("bytes") == (0, 0)
            assert said("dropped_total") == (3, 0)
        finally:
            rooms.close()
            for sockets in rooms.own_sockets.values():
                for sock in sockets:
                    sock.close()

    asyncio.run(script())
