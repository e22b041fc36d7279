"""The applications of one worker: which interface each has, that each is loaded once, and the order in which they start and end."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netlodge.app.applications import Applications, interface_of
from netlodge.config.settings import Limits, Route, Settings
from netlodge.core.clock import FakeClock
from netlodge.core.errors import NetlodgeError
from netlodge.http.handlers.asgi import Asgi
from netlodge.http.handlers.native import WithDatabase
from netlodge.http.handlers.wsgi import Wsgi
from netlodge.http.message import Handler, HttpError
from netlodge.store.database import Database
from tests.http.handlers.hosting import asked, content, on_loop

SOURCE = """
import asyncio
from netlodge.store.database import DatabaseUnavailableError
loaded = []
log = []

def life(name, fails=False):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            log.append(f"{name} starts")
            if fails:
                await send({"type": "lifespan.startup.failed", "message": "on purpose"})
                return
            scope["state"]["name"] = name
            await send({"type": "lifespan.startup.complete"})
            await receive()
            log.append(f"{name} ends")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["state"]["name"].encode()})
    return app

first, second, failing = life("first"), life("second"), life("failing", True)

def old(environ, start_response):
    start_response("200 OK", [])
    return [b"old"]

class Native:
    def make_handler(self, lodging):
        log.append(lodging)
        return self
    async def handle(self, request):
        raise DatabaseUnavailableError("it is away")
native = Native()

class Broken:
    def make_handler(self, lodging):
        raise ValueError("no shop today")
broken = Broken()

def decide(scope, receive, send):
    return first(scope, receive, send)
number = 42
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "lodge_apps.py").write_text(SOURCE)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def made(folder: Path) -> Applications:
    settings = Settings(limits=Limits(app_threads=2))
    return Applications(
        settings,
        folder=folder,
        clock=FakeClock(),
        loop=asyncio.get_running_loop(),
        database=Database("sqlite://", connections=1, timeout=5),
    )


def handler(applications: Applications, name: str, **keys: Any) -> Handler:
    return applications.handler(Route(path="/", app=f"lodge_apps:{name}", **keys))


async def ask(handler: Handler) -> bytes:
    return await content(await handler.handle(asked("GET", "/")))


# --- Interfaces ---------------------------------------------------------------------------------------------------------------


async def coroutine_function(scope: Any, receive: Any, send: Any) -> None: ...


class CalledAsCoroutine:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Makes:
    def make_handler(self, lodging: Any) -> Any: ...


@pytest.mark.parametrize(
    ("target", "interface"),
    [
        (coroutine_function, "asgi"),
        (functools.partial(coroutine_function, None), "asgi"),
        (CalledAsCoroutine(), "asgi"),
        (lambda environ, start_response: [], "wsgi"),
        (CalledAsCoroutine, "wsgi"),
        (Makes(), "lodge"),
        (Makes, "wsgi"),
        (42, None),
    ],
)
def test_how_an_object_wants_to_be_called(target: object, interface: str | None) -> None:
    assert interface_of(target) == interface


@on_loop
async def test_each_interface_has_its_handler(folder: Path) -> None:
    applications = made(folder)
    asgi, wsgi = handler(applications, "first"), handler(applications, "old")
    forced = handler(applications, "decide", interface="asgi")
    assert isinstance(asgi, Asgi)
    assert isinstance(wsgi, Wsgi)
    assert isinstance(forced, Asgi)
    assert isinstance(handler(applications, "native"), WithDatabase)
    await applications.start()
    assert [await ask(each) for each in (asgi, wsgi)] == [b"first", b"old"]
    await applications.finish()
    for thread in threading.enumerate():
        if thread.name.startswith("wsgi"):
            thread.join(10)
            assert not thread.is_alive()


@on_loop
async def test_an_application_of_the_lodge_has_what_the_lodge_has(folder: Path) -> None:
    applications = made(folder)
    handler(applications, "native")
    lodging = sys.modules["lodge_apps"].log[0]
    assert lodging.forms.fields == Limits().form_fields
    assert lodging.clock.now == 1000.0


@on_loop
async def test_an_application_of_the_lodge_need_not_say_that_the_database_is_away(folder: Path) -> None:
    with pytest.raises(HttpError) as caught:
        await handler(made(folder), "native").handle(asked("GET", "/"))
    assert caught.value.status == 503
    assert ("retry-after", "5") in caught.value.fields


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("number", "it is no application: 'int' objects cannot be called."),
        ("broken", "make_handler raised ValueError: no shop today"),
        ("nothing", "lodge_apps has no 'nothing'"),
    ],
)
@on_loop
async def test_what_cannot_be_hosted_is_a_sentence(name: str, said: str, folder: Path) -> None:
    with pytest.raises(NetlodgeError, match=said):
        handler(made(folder), name)


# --- Life ---------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_applications_start_in_order_and_end_in_the_reverse(folder: Path) -> None:
    applications = made(folder)
    for name in ("first", "second", "first"):
        handler(applications, name)
    await applications.start()
    log = sys.modules["lodge_apps"].log
    assert log == ["first starts", "second starts"], "each once, however many routes name it"
    await applications.finish()
    assert log[2:] == ["second ends", "first ends"]


@on_loop
async def test_a_startup_that_fails_ends_those_before_it(folder: Path) -> None:
    applications = made(folder)
    for name in ("first", "failing", "second"):
        handler(applications, name)
    with pytest.raises(NetlodgeError, match="lodge_apps:failing: its startup failed: on purpose"):
        await applications.start()
    assert sys.modules["lodge_apps"].log == ["first starts", "failing starts", "first ends"]


@on_loop
async def test_a_route_may_say_where_its_modules_are(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = made(tmp_path_factory.mktemp("elsewhere"))
    assert isinstance(handler(elsewhere, "first", app_folder=folder), Asgi)


@on_loop
async def test_all_wsgi_applications_of_a_worker_share_its_threads(folder: Path) -> None:
    applications = made(folder)
    handlers = [handler(applications, "old") for _ in range(2)]
    made_of: Callable[[Any], object] = lambda each: each._threads  # noqa: E731
    assert made_of(handlers[0]) is made_of(handlers[1])
    await applications.finish()
