"""The lodge as its supervisor sees it: each reading of the settings becomes a plan, and a plan makes workers."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import uvloop

from netlodge.app.addresses import endpoints_of
from netlodge.app.preload import preload
from netlodge.app.rooms import LodgeRooms
from netlodge.app.secure import prepare_tls
from netlodge.app.shared import Shared
from netlodge.app.welcome import welcome
from netlodge.app.worker import Worker, run_worker
from netlodge.config.loading import Loaded
from netlodge.net.generation import Timeouts
from netlodge.net.lifeline import Lifeline
from netlodge.net.service import MAX_WORKERS
from netlodge.net.sockets import Endpoint
from netlodge.net.supervisor import Supervisor

logger = logging.getLogger("netlodge.lodge")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def run(loaded: Loaded, *, reload: Callable[[], Loaded]) -> int:
    """Run a lodge until it is told to end; return the exit code.

    `reload` reads the settings again, from the same sources. Raises `NetlodgeError` if nothing was started: an address that cannot be
    bound, a data folder in use, a user that cannot be become.
    """
    logging.basicConfig(
        stream=sys.stderr, level=_LEVELS[loaded.settings.log.level], format="%(asctime)s %(levelname)s %(message)s"
    )
    _raise_descriptor_limit()
    return Supervisor(Lodge(loaded, reload), notify_socket=os.environ.get("NOTIFY_SOCKET", "")).run()


class Lodge:
    """Implements `net.service.Service`."""

    def __init__(self, loaded: Loaded, reload: Callable[[], Loaded]) -> None:
        self._loaded: Loaded | None = loaded
        self._reload = reload
        self._shared = Shared()
        self._shared.series.lodge.start(time.time())
        self._generation = 0

    def prepare(self) -> LodgePlan:
        loaded = self._loaded or self._reload()
        if self._loaded is None:
            for warning in loaded.warnings:
                logger.warning("%s", warning)
        self._loaded = None  # from the second time on it is a reload
        preload(loaded.settings)
        self._shared.tls = prepare_tls(loaded, self._shared.tls)
        self._generation += 1
        self._shared.series.lodge.generation.set(self._generation)
        return LodgePlan(loaded, self._shared)


class LodgePlan:
    """Implements `net.service.Plan` for one reading of the settings."""

    def __init__(self, loaded: Loaded, shared: Shared) -> None:
        self._settings = loaded.settings
        self._source = loaded.source
        self._base = loaded.base
        self._shared = shared
        self._has_lost_workers = False
        self._addresses = endpoints_of(loaded)
        self._tls = shared.tls

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        return tuple(self._addresses)

    @property
    def worker_count(self) -> int:
        workers = self._settings.workers
        return min(os.cpu_count() or 1, MAX_WORKERS) if workers == "auto" else workers

    @property
    def timeouts(self) -> Timeouts:
        drain = self._settings.drain
        # A worker whose application is late is to say so itself.
        start = Timeouts().start + self._settings.limits.app_start_timeout
        return Timeouts(start=start, drain=drain.timeout, stop=drain.stop_timeout)

    @property
    def user(self) -> str:
        return self._settings.user

    @property
    def group(self) -> str:
        return self._settings.group

    @property
    def run_directory(self) -> Path:
        return self._settings.run_folder

    @property
    def owned(self) -> Sequence[Path]:
        return (self._settings.data,)

    def run_worker(
        self, slot: int, index: int, sockets: Mapping[Endpoint, list[socket.socket]], lifeline: Lifeline
    ) -> int:
        self._shared.announced = tuple(dict.fromkeys(self._addresses.values()))
        self._shared.tls = self._tls  # this process is the worker's: the supervisor may have a later plan already
        if self._has_lost_workers:
            self._shared.series.lodge.worker_restarts.add()
        furnish = partial(LodgeRooms, self._settings, self._addresses, self._base, slot, self._shared)
        make_loop = uvloop.new_event_loop if self._settings.event_loop == "uvloop" else asyncio.new_event_loop
        return run_worker(Worker(furnish, sockets, lifeline), make_loop)

    def announce(self, bound: Mapping[Endpoint, Sequence[socket.socket]]) -> None:
        click.echo(welcome(self._settings, self._source, self._addresses, bound))

    def worker_ended(self, slot: int) -> None:
        self._has_lost_workers = True  # whoever is forked from now on replaces one
        self._shared.forget_worker(slot)


def _raise_descriptor_limit() -> None:
    """Every connection is a descriptor, and what most systems allow at first is 1024: take what may be had without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
