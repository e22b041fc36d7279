"""The lodge as its supervisor sees it: each reading of the settings becomes a plan, and a plan makes workers."""

from __future__ import annotations

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

from netlodge.app.rooms import LodgeRooms
from netlodge.app.shared import Shared
from netlodge.app.welcome import welcome
from netlodge.app.worker import Worker, run_worker
from netlodge.config.doors import Listen, listens
from netlodge.config.loading import Loaded
from netlodge.config.settings import Settings
from netlodge.net.generation import Timeouts
from netlodge.net.lifeline import Lifeline
from netlodge.net.service import MAX_WORKERS
from netlodge.net.sockets import Endpoint
from netlodge.net.supervisor import Supervisor

logger = logging.getLogger("netlodge.lodge")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def run(loaded: Loaded, *, reload: Callable[[], Loaded]) -> int:
    """Run a lodge until it is told to end; return the exit code.

    `reload` reads the settings again, from the same sources. Raises `NetlodgeError` if nothing could be started.
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
        self._generation += 1
        return LodgePlan(loaded, self._shared, self._generation)


class LodgePlan:
    """Implements `net.service.Plan` for one reading of the settings."""

    def __init__(self, loaded: Loaded, shared: Shared, generation: int) -> None:
        self._settings = loaded.settings
        self._source = loaded.source
        self._shared = shared
        self._generation = generation
        self._listens = [listen for listen in listens(loaded.settings) if listen.door in loaded.doors]
        self._addresses = {
            endpoint: listen for listen in self._listens for endpoint in _endpoints(listen, loaded.settings)
        }

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
        return Timeouts(drain=drain.timeout, stop=drain.stop_timeout)

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
        self._shared.announced = self._listens
        furnish = partial(LodgeRooms, self._settings, self._addresses, slot, self._shared)
        return run_worker(Worker(furnish, sockets, lifeline), uvloop.new_event_loop)

    def announce(self, bound: Mapping[Endpoint, Sequence[socket.socket]]) -> None:
        click.echo(welcome(self._settings, self._source, self._addresses, bound))

    def worker_ended(self, slot: int) -> None:
        self._shared.forget_worker(slot)


def _endpoints(listen: Listen, settings: Settings) -> list[Endpoint]:
    address = listen.address
    if address.is_unix:
        return [Endpoint.unix(address.path, listen.key)]
    # What nobody asked for may be missing: the defaults listen on ::1, and a machine may have no IPv6.
    is_optional = address.host == "::1" and _is_default(listen, settings)
    endpoints = [Endpoint.tcp(address.host, address.port, listen.key, is_optional=is_optional)]
    if listen.has_datagrams:
        endpoints.append(Endpoint.udp(address.host, address.port, listen.key, is_optional=is_optional))
    return endpoints


def _is_default(listen: Listen, settings: Settings) -> bool:
    return any(other.path == listen.path and other.address == listen.address for other in listens(Settings()))


def _raise_descriptor_limit() -> None:
    """Every connection is a descriptor, and what most systems allow at first is 1024: take what may be had without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
