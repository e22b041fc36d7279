"""The startup and the shutdown of an ASGI application: in order, in time, and with a sentence when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from netlodge.core.errors import NetlodgeError
from netlodge.http.handlers.asgi_lifespan import Lifespan
from tests.http.handlers.hosting import on_loop

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Scope = dict[str, Any]


def lifespan(application: Any, *, timeout: float = 10.0) -> Lifespan:
    return Lifespan(application, "shop:app", timeout=timeout)


@on_loop
async def test_startup_and_shutdown_in_order_with_state() -> None:
    seen: list[object] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append({key: scope[key] for key in ("type", "asgi")})
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["pool"] = "ready"
        seen.append("startup")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        seen.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    before = asyncio.all_tasks()
    life = lifespan(application)
    await life.startup()
    assert seen == [{"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}, "startup"]
    assert life.state == {"pool": "ready"}
    await life.shutdown()
    assert seen[2:] == ["shutdown"]
    await life.shutdown()
    assert asyncio.all_tasks() == before


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError(f"what is {scope['type']}?")


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    return


@pytest.mark.parametrize("application", [refuses, returns])
@on_loop
async def test_an_application_that_does_not_know_the_protocol_is_fine(
    application: Any, caplog: pytest.LogCaptureFixture
) -> None:
    life = lifespan(application)
    await life.startup()
    await life.shutdown()
    assert not caplog.records


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Traceback (most recent call last):\n  File x\nOSError: no database\n", "OSError: no database"),
        ("", "it does not say why."),
    ],
)
@on_loop
async def test_a_startup_that_fails_is_a_sentence(message: str, said: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": message})
        raise OSError("no database")  # as Starlette does

    with pytest.raises(NetlodgeError) as failed:
        await lifespan(application).startup()
    assert str(failed.value) == f"shop:app: its startup failed: {said}"


@on_loop
async def test_a_startup_that_takes_too_long_is_ended() -> None:
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("ended")

    with pytest.raises(NetlodgeError, match=r"its startup took longer than limits.app_start_timeout, 0.01 s"):
        await lifespan(application, timeout=0.01).startup()
    assert seen == ["ended"]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("fail", "shop:app: its shutdown failed: of itself"),
        ("stay", "shop:app: its shutdown took longer than 0.01 s: cancelled"),
        ("crash", ""),
    ],
)
@on_loop
async def test_a_shutdown_that_goes_wrong_is_a_line_in_the_log(
    act: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if act == "fail":
            await send({"type": "lifespan.shutdown.failed", "message": "of itself"})
        elif act == "stay":
            await asyncio.get_running_loop().create_future()
        else:
            raise ValueError("crash")

    life = lifespan(application)
    await life.startup()
    life._timeout = 0.01 if act == "stay" else 10
    await life.shutdown()
    assert [record.getMessage() for record in caplog.records] == ([said] if said else [])


@on_loop
async def test_an_application_that_ended_by_itself_has_no_shutdown() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    life = lifespan(application)
    await life.startup()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await life.shutdown()
