"""What all sessions of one door share: the handler, the limits, the clock, the recall table, the journal."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netlodge.core.contracts import Clock
from netlodge.core.recall import Recall
from netlodge.core.records import Entry
from netlodge.http.message import Handler, HttpError, Request, Response
from netlodge.http.rules.dates import imf_fixdate
from netlodge.http.session.known import KnownAnswers, KnownBlocks, KnownRequests
from netlodge.http.wire.h2_credit import Http2Limits
from netlodge.http.wire.hpack import TableStates, encode_stateless
from netlodge.http.wire.limits import WireLimits
from netlodge.http.wire.memo import HeadMemo

if TYPE_CHECKING:
    from netlodge.http.session.h2_answers import Http2Answer
    from netlodge.http.session.remembering import HttpAnswer

ErrorPage = Callable[[HttpError, Request | None], Response]
"""Renders the answer to a request that failed, or (with None) to bytes that were no request."""
TABLE_OCTETS: Final = 4 << 20
"""What the states of the tables of all HTTP/2 connections may take (`hpack.TableStates`)."""


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
        "_date", "_date_block", "_date_octets", "_second", "alike", "answers", "blocks", "capture", "clock", "door", "error_page", "handler", "journal", "limits", "loop", "memo", "http2", "pushes", "recall", "recall_h2",
        "requests", "table_states", "scheme", "server_field",
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
        recall_h2: Recall[bytes, Http2Answer] | None = None,
        http2: Http2Limits | None = None,
        pushes: bool = False,
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
        self.blocks = KnownBlocks()
        self.recall_h2: Recall[bytes, Http2Answer] = Recall(0, clock) if recall_h2 is None else recall_h2
        self.http2 = http2 or Http2Limits()
        self.pushes = pushes
        """Whether HTTP/2 clients are sent what an answer says they will need (`session/h2_push.py`)."""
        self.table_states = TableStates(TABLE_OCTETS, list_limit=self.http2.header_list_size)
        self._second = -1
        self._date = ""
        self._date_octets = b""
        self._date_block = b""

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

    @property
    def date_block(self) -> bytes:
        """The same, as a field of HTTP/2."""
        if self._second != self.clock.second:
            self._render_date()
        return self._date_block

    def forget(self) -> None:
        """Keep nothing of the heads that came and left so far."""
        self.requests.forget()
        self.answers.forget()
        self.blocks.forget()
        self.table_states.clear()

    def _render_date(self) -> None:
        self._second = self.clock.second
        self._date = imf_fixdate(self._second)
        self._date_octets = self._date.encode("ascii")
        self._date_block = encode_stateless([("date", self._date)])
