"""Applications of others (ASGI, WSGI) and of the lodge itself in a worker: starting and ending them with it, and the handlers of their routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from netlodge.app.load_application import load_application
from netlodge.config import settings as config
from netlodge.core.contracts import Clock, Connection
from netlodge.core.errors import NetlodgeError
from netlodge.http.handlers.asgi import Asgi, is_called_as_coroutine
from netlodge.http.handlers.asgi_lifespan import Lifespan
from netlodge.http.handlers.asgi_scope import AsgiApplication, ScopeMaker
from netlodge.http.handlers.asgi_websocket import AsgiWebSocket
from netlodge.http.handlers.native import FormLimits, Lodging, WithDatabase, is_lodge_application
from netlodge.http.handlers.turns import Turns
from netlodge.http.handlers.wsgi import Threads, Wsgi, WsgiApplication
from netlodge.http.message import Handler, WebSocketChannel
from netlodge.http.rules.websocket import DeflateTerms
from netlodge.http.session.websocket import WebSocketCounters, WebSocketLimits, WebSocketSession
from netlodge.store.database import Database

logger = logging.getLogger("netlodge.applications")

Interface = Literal["lodge", "asgi", "wsgi"]


@dataclass(slots=True, eq=False)
class _Loaded:
    """One application, however many routes name it."""

    target: Any
    interface: Interface
    lifespan: Lifespan | None = None
    """Of an ASGI application."""
    handlers: list[Asgi | AsgiWebSocket] = field(default_factory=list)


class Applications:
    """All applications of one worker, each loaded once however many routes name it."""

    def __init__(
        self,
        settings: config.Settings,
        *,
        folder: Path,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        database: Database,
        websockets: WebSocketCounters | None = None,
    ) -> None:
        """Modules are looked for in `folder` first, unless a route says where."""
        self._limits = settings.limits
        self._stop_timeout = settings.drain.stop_timeout
        self._folder = folder
        self._clock = clock
        self._loop = loop
        self._database = database
        self._websockets = websockets
        self._threads: Threads | None = None
        self._form_turns = Turns(self._limits.forms, "large forms", setting="limits.forms")
        self._loaded: dict[tuple[str, str, Path], _Loaded] = {}
        self._started: list[Lifespan] = []

    def handler(self, route: config.Route) -> Handler:
        """The handler of a route with `app`. Raises `NetlodgeError`, with a sentence, for what cannot be loaded."""
        name, folder = route.app or "", route.app_folder or self._folder
        key = name, route.interface, folder
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._loaded[key] = self._load(name, folder, route.interface)
        if loaded.lifespan is not None:
            return self._asgi_handler(name, loaded, loaded.lifespan, compress=route.compress)
        if loaded.interface == "wsgi":
            return Wsgi(
                cast(WsgiApplication, loaded.target),
                name,
                threads=self._wsgi_threads(),
                clock=self._clock,
                loop=self._loop,
            )
        return self._lodge_handler(name, loaded.target)

    async def start(self) -> None:
        """Run the startup of each, in the order of the routes. Raises `NetlodgeError`; those that were started are shut down again."""
        for loaded in self._loaded.values():
            if loaded.lifespan is not None:
                try:
                    await loaded.lifespan.startup()
                except NetlodgeError:
                    await self._shutdown()
                    raise
                self._started.append(loaded.lifespan)

    async def finish(self) -> None:
        """Let what still runs end, then run the shutdown of each that was started, the last one first."""
        # Of `drain.stop_timeout` something must be left for the shutdown.
        patience = min(self._limits.app_start_timeout, self._stop_timeout / 2)
        ending = [handler.finish(patience) for loaded in self._loaded.values() for handler in loaded.handlers]
        if self._threads is not None:
            ending.append(self._threads.finish(patience))
        await asyncio.gather(*ending)
        await self._shutdown()

    async def _shutdown(self) -> None:
        while self._started:
            await self._started.pop().shutdown()

    # --- loading -----------------------------------------------------------------------------------------------------------

    def _load(self, name: str, folder: Path, wanted: Literal["auto", "asgi", "wsgi"]) -> _Loaded:
        target = load_application(name, folder)
        interface = interface_of(target) if wanted == "auto" else wanted
        if interface is None:
            raise NetlodgeError(
                f'app = "{name}": it is no application: {type(target).__name__!r} objects cannot be called.'
            )
        loaded = _Loaded(target, interface)
        if interface == "asgi":
            loaded.lifespan = Lifespan(cast(AsgiApplication, target), name, timeout=self._limits.app_start_timeout)
        return loaded

    def _lodge_handler(self, name: str, target: Any) -> Handler:
        limits = self._limits
        forms = FormLimits(
            limits.form_fields,
            limits.form_field_size,
            limits.form_file_size,
            limits.form_size,
            limits.form_head_size,
            self._form_turns,
        )
        try:
            handler: Handler = target.make_handler(Lodging(self._database, self._clock, forms))
        except NetlodgeError:
            raise
        except Exception as error:
            logger.debug("%s: make_handler failed", name, exc_info=error)
            raise NetlodgeError(f'app = "{name}": make_handler raised {type(error).__name__}: {error}') from error
        return WithDatabase(handler)

    def _wsgi_threads(self) -> Threads:
        if self._threads is None:
            self._threads = Threads(self._limits.app_threads, self._limits.app_queue)
        return self._threads

    def _asgi_handler(self, name: str, loaded: _Loaded, lifespan: Lifespan, *, compress: bool) -> Handler:
        application = cast(AsgiApplication, loaded.target)
        scopes = ScopeMaker(lifespan.state)
        websocket = AsgiWebSocket(
            application,
            scope_of=scopes.scope_of,
            open_session=self._open_websocket(),
            clock=self._clock,
            loop=self._loop,
            grace=self._limits.app_grace,
            compress=compress,
        )
        handler = Asgi(
            application,
            name,
            grace=self._limits.app_grace,
            scopes=scopes,
            clock=self._clock,
            loop=self._loop,
            websocket=websocket,
        )
        loaded.handlers += [handler, websocket]
        return handler

    def _open_websocket(self) -> Callable[[Connection, bytes, DeflateTerms | None], WebSocketChannel]:
        limits = self._limits
        return partial(
            WebSocketSession,
            limits=WebSocketLimits(
                message=limits.websocket_message,
                ping=limits.websocket_ping,
                send_timeout=limits.send_timeout,
                close_timeout=limits.linger_timeout,
            ),
            clock=self._clock,
            loop=self._loop,
            counters=self._websockets,
        )


def interface_of(target: Any) -> Interface | None:
    """How an object wants to be called; None if it cannot be.

    A coroutine function, or an object that is called as one, is ASGI; what makes a handler is the lodge's own; anything else that can be
    called is WSGI.
    """
    if is_lodge_application(target):
        return "lodge"
    if not callable(target):
        return None
    return "asgi" if is_called_as_coroutine(target) else "wsgi"
