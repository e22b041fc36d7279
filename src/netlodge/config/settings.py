"""Everything that can be set about a lodge: one frozen tree of typed values, in which every key has a default.

The documentation, the bounds and the precedents stand beside the fields; all that is ever said about a setting comes from here.
`loading.load` makes a `Settings` from a file and the command line; `app` hands its branches to the layers below.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from netlodge.config.access import Access, Cors
from netlodge.config.address import Address, LogTarget
from netlodge.config.database import Database, Sessions
from netlodge.config.limits import Limits
from netlodge.config.quantities import Duration, Size
from netlodge.config.schema import doc
from netlodge.config.tls import Certificate, Tls
from netlodge.config.web import PathFields, Route, Site, Web

__all__ = [
    "Access",
    "Certificate",
    "Cors",
    "Dashboard",
    "Database",
    "Drain",
    "Limits",
    "Lines",
    "Log",
    "PathFields",
    "Recall",
    "Route",
    "Sessions",
    "Settings",
    "Site",
    "Taps",
    "Tls",
    "Web",
]

_MIB = 1024 * 1024
_HOUR = 3600


class Lines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The line services: one sentence in, one answer out. Each address is served on TCP and on UDP."""

    uppercase: Annotated[tuple[Address, ...], doc("Addresses that answer each sentence in capitals.")] = (
        Address("127.0.0.1", 12000),
        Address("::1", 12000),
    )
    count: Annotated[
        tuple[Address, ...],
        doc("Addresses that answer how often a letter stands in a sentence.", example='["127.0.0.1:12001"]'),
    ] = ()
    echo: Annotated[
        tuple[Address, ...],
        doc("Addresses that send back what they get (RFC 862).", example='["127.0.0.1:12007"]'),
    ] = ()
    discard: Annotated[
        tuple[Address, ...],
        doc("Addresses that take everything and answer nothing (RFC 863).", example='["127.0.0.1:12009"]'),
    ] = ()
    daytime: Annotated[
        tuple[Address, ...],
        doc("Addresses that tell the date and the time (RFC 867).", example='["127.0.0.1:12013"]'),
    ] = ()


class Dashboard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page that shows what the lodge does, and `/metrics` for Prometheus."""

    listen: Annotated[
        tuple[Address, ...],
        doc("Addresses to listen on. Whoever reaches them sees who asked for what: keep them on this machine."),
    ] = (Address("127.0.0.1", 8000), Address("::1", 8000))
    names: Annotated[
        tuple[str, ...],
        doc(
            "Host names that the dashboard answers to, beside addresses and `localhost`. A page elsewhere could reach it by any other.",
            example='["lodge.example.org"]',
        ),
    ] = ()


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written down. SIGUSR1 opens the files anew after they have been moved away."""

    access: Annotated[
        LogTarget,
        doc(
            'Where the access log goes. Empty: `log/access.log` in `data`. `"-"`: standard output. `"off"`: nowhere. Otherwise a file.',
            example='"-"',
        ),
    ] = LogTarget("")
    format: Annotated[
        Literal["combined", "json"],
        doc(
            "How a line of the access log looks: the combined format of Apache and nginx, or one JSON object.",
            precedent="nginx `combined`; Caddy JSON.",
        ),
    ] = "combined"
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        doc("The least grave of what the lodge says about itself on standard error."),
    ] = "info"


class Taps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `netlodge trace` and `netlodge har` can look back on: a ring of the latest exchanges in each worker."""

    ring_entries: Annotated[
        int,
        doc("Exchanges that each worker keeps of each family (http, lines). 0 keeps none.", least=0, most=1_000_000),
    ] = 1000
    ring_bytes: Annotated[
        Size,
        doc(
            "Octets that each worker keeps at most of each family; older exchanges make room.",
            least=0,
            most=64 * 1024 * _MIB,
        ),
    ] = Size.parse("16 MiB")
    body_bytes: Annotated[Size, doc("Octets kept of each body. 0 keeps heads alone.", least=0, most=1024 * _MIB)] = (
        Size.parse("16 KiB")
    )
    redact: Annotated[
        bool,
        doc("Blot out credentials: authorization and cookie fields are shown without their values."),
    ] = True


class Recall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table of answers remembered by the exact octets of the request. Answers are the same with and without it, only slower."""

    enabled: Annotated[bool, doc("Remember answers.")] = True
    memory: Annotated[
        Size,
        doc(
            "Octets that each worker's table may take; the least used answers make room.",
            least=_MIB,
            most=1024 * 1024 * _MIB,
        ),
    ] = Size.parse("64 MiB")


class Drain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long exchanges under way may take to finish when workers leave."""

    timeout: Annotated[
        Duration,
        doc(
            "After a reload: how long the old workers stay for what they have begun.",
            least=0,
            most=24 * _HOUR,
            precedent="HAProxy `hard-stop-after` and nginx `worker_shutdown_timeout` none until set; Caddy `grace_period` none.",
        ),
    ] = Duration.parse("30 s")
    stop_timeout: Annotated[
        Duration,
        doc(
            "After SIGTERM or `netlodge stop`: how long the lodge waits for what it has begun. A second SIGTERM ends at once.",
            least=0,
            most=24 * _HOUR,
            precedent="Kubernetes kills after 30 s, `docker stop` after 10 s.",
        ),
    ] = Duration.parse("10 s")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lodge as a whole."""

    data: Annotated[
        Path,
        doc("Folder that holds everything the lodge keeps. Made on first start, for its owner alone."),
    ] = Path("lodge")
    workers: Annotated[
        Literal["auto"] | int,
        doc(
            'Worker processes. `"auto"` is one for each processor core.',
            least=1,
            most=256,
            precedent="nginx `worker_processes` auto.",
        ),
    ] = "auto"
    event_loop: Annotated[
        Literal["uvloop", "asyncio"],
        doc(
            "Event loop of the workers. `asyncio` is Python's own: slower, for where uvloop cannot be had or to compare."
        ),
    ] = "uvloop"
    user: Annotated[
        str,
        doc(
            "User, by name or number, that the workers become when the lodge was started as root. Empty: they stay who they are.",
            example='"netlodge"',
        ),
    ] = ""
    group: Annotated[
        str,
        doc(
            "Group, by name or number, that the workers join together with `user`. Empty: the user's own.",
            example='"netlodge"',
        ),
    ] = ""
    web: Web = msgspec.field(default_factory=Web)
    tls: Tls = msgspec.field(default_factory=Tls)
    database: Database = msgspec.field(default_factory=Database)
    sessions: Sessions = msgspec.field(default_factory=Sessions)
    lines: Lines = msgspec.field(default_factory=Lines)
    dashboard: Dashboard = msgspec.field(default_factory=Dashboard)
    log: Log = msgspec.field(default_factory=Log)
    taps: Taps = msgspec.field(default_factory=Taps)
    recall: Recall = msgspec.field(default_factory=Recall)
    limits: Limits = msgspec.field(default_factory=Limits)
    drain: Drain = msgspec.field(default_factory=Drain)

    @property
    def log_folder(self) -> Path:
        return self.data / "log"

    @property
    def run_folder(self) -> Path:
        """Where the control socket and the process id stand while the lodge runs."""
        return self.data / "run"

    @property
    def ca_folder(self) -> Path:
        """Where the local authority's root and its key stand."""
        return self.data / "ca"

    @property
    def database_url(self) -> str:
        """The database, in the end."""
        return self.database.url or f"sqlite:///{self.data / 'lodge.db'}"

    @property
    def access_log(self) -> Path | Literal["-"] | None:
        """Where the access log goes, in the end: a file, standard output (`"-"`), or nowhere (None)."""
        match str(self.log.access):
            case "off":
                return None
            case "-":
                return "-"
            case "":
                return self.log_folder / "access.log"
            case path:
                return Path(path)
