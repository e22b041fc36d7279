"""What all sessions of one door share: the handler, the limits, the clock, the recall table, the journal."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netlodge.core.contracts import Clock
from netlodge.core.recall import Recall
from netlodge.core.records import Entry
from netlodge.http.message import Handler, HttpError, Request, Response
from netlodge.http.rules.dates import imf_fixdate
from netlodge.http.session.known import KnownAnswers, KnownRequests
from netlodge.http.wire.limits import WireLimits
from netlodge.http.wire.memo import HeadMemo

if TYPE_CHECKING:
    from netlodge.http.session.remembering import HttpAnswer

ErrorPage = Callable[[HttpError, Request | None], Response]
"""Renders the answer to a request that failed, or (with None) to bytes that were no request."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a client can push against, beside the sizes that the wire checks. Times in seconds, sizes in octets; 0: no limit."""

    wire: WireLimits = field(default_factory=WireLimits)
    body_size: int = 1 << 30
    head_timeout: float = 10.0
    idle_timeout: float = 75.0
    body_rate: int = 500
    """Octets a second that a body must bring, on average over each `body_grace`."""
    body_grace: float = 10.0
    send_timeout: float = 60.0
    requests_per_connection: int = 0
    drain_body: int = 256 * 1024
    """How much of a body that nobody read is read and thrown away to keep the connection."""
    linger_timeout: float = 5.0


class HttpService:
    """One per door and worker. `capture` is how many octets of each body the journal keeps."""

    __slots__ = (
        "_date", "_date_octets", "_second", "alike", "answers", "capture", "clock", "door", "error_page", "handler", "journal", "limits", "loop", "memo", "recall", "requests",
        "scheme", "server_field",
    )  # fmt: skip

    def __init__(
        self,
        handler: Handler,
        *,
        door: str,
        scheme: str,
        error_page: ErrorPage,
        limits: HttpLimits,
        clock: Clock,
        recall: Recall[bytes, HttpAnswer],
        alike: Recall[str, HttpAnswer],
        journal: Callable[[Entry], None],
        loop: AbstractEventLoop,
        server_field: str = "netlodge",
        capture: int = 4096,
    ) -> None:
        self.handler = handler
        self.door = door
        self.scheme = scheme
        self.error_page = error_page
        self.limits = limits
        self.clock = clock
        self.recall = recall
        self.alike = alike
        self.journal = journal
        self.loop = loop
        self.memo = HeadMemo()
        self.server_field = server_field
        self.capture = capture
        self.requests = KnownRequests()
        self.answers = KnownAnswers()
        self._second = -1
        self._date = ""
        self._date_octets = b""

    @property
    def date(self) -> str:
        """The value of `date` at this second (RFC 9110 §6.6.1)."""
        if self._second != self.clock.second:
            self._render_date()
        return self._date

    @property
    def date_octets(self) -> bytes:
        """The same, as it stands on the wire."""
        if self._second != self.clock.second:
            self._render_date()
        return self._date_octets

    def _render_date(self) -> None:
        self._second = self.clock.second
        self._date = imf_fixdate(self._second)
        self._date_octets = self._date.encode("ascii")
