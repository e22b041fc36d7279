"""What passed on the wire, noted where it passed and rendered later: for the log, the metrics, the taps.

A session appends one entry to its worker's journal per exchange. Every quarter of a second the worker takes what stands there
and hands it on, so that nothing which looks on can delay an answer. A remembered answer carries one `HttpRecord` that all its
entries share: that makes an entry cost three references.
"""

from __future__ import annotations

from typing import TypedDict, Unpack

from netlodge.core.contracts import Peer


class HttpFacts(TypedDict, total=False):
    """What may be known of an exchange; see `HttpRecord`."""

    version: str
    method: str
    target: str
    host: str
    status: int
    elapsed: float
    received: int
    sent: int
    referer: str
    user_agent: str
    user: str
    request_head: bytes
    response_head: bytes
    request_body: bytes
    response_body: bytes
    outcome: str
    is_recalled: bool


class HttpRecord:
    """One HTTP exchange, or (for a remembered answer) all exchanges of the same bytes. Not changed once it is in a journal.

    Heads are the octets of the wire. Bodies are at most the first `taps.body_bytes` octets; the sizes count all. `log_tails`
    belongs to the access log, which renders what does not change between entries once.
    """

    version = ""
    """`"1.0"`, `"1.1"`, `"2"`; empty if the bytes were no request."""
    method = ""
    target = ""
    host = ""
    status = 0
    """Status code sent; 0 if none was."""
    elapsed = 0.0
    """Seconds from the last octet of the request head to the last octet of the answer handed to the kernel."""
    received = 0
    """Octets of request content."""
    sent = 0
    """Octets of response content."""
    referer = ""
    user_agent = ""
    user = ""
    request_head = b""
    response_head = b""
    request_body = b""
    response_body = b""
    outcome = "complete"
    """`complete`, `aborted` (the client went away), `timeout`, `refused` (no message, or over a limit), `failed` (a defect)."""
    is_recalled = False
    log_tails: dict[str, str] | None = None
    kin: dict[tuple[int, int], str] | None = None
    """Shared by the records of requests of the same octets, for the access log: what it wrote of them, by status and size."""

    def __init__(self, *, door: str, scheme: str = "http", **known: Unpack[HttpFacts]) -> None:
        self.door = door
        """Name of the door: `web`, `dashboard`, ..."""
        self.scheme = scheme
        self.__dict__.update(known)

    def copy(self) -> HttpRecord:
        """Another record that says the same."""
        other = HttpRecord.__new__(HttpRecord)
        other.__dict__.update(self.__dict__)
        return other

    def cut_short(self, sent: int) -> HttpRecord:
        """The record of an exchange like this one that broke off after `sent` octets of content."""
        other = self.alike(request_head=self.request_head, referer=self.referer, user_agent=self.user_agent)
        other.sent = sent
        other.outcome = "aborted"
        return other

    def alike(self, *, request_head: bytes, referer: str, user_agent: str) -> HttpRecord:
        """The record of another exchange that differs in these alone. Quick: it is made for each answer that is remembered by what
        its question means."""
        other = self.copy()
        other.request_head = request_head
        other.referer = referer
        other.user_agent = user_agent
        other.log_tails = None
        return other


class LineRecord:
    """One sentence and its answer at a line service; a datagram and its answer."""

    __slots__ = ("answer", "door", "outcome", "question", "transport")

    def __init__(self, *, door: str, transport: str, question: bytes, answer: bytes, outcome: str = "complete") -> None:
        self.door = door
        self.transport = transport
        """`tcp` or `udp`."""
        self.question = question
        self.answer = answer
        self.outcome = outcome


Record = HttpRecord | LineRecord
Entry = tuple[float, Peer, Record]
"""When the answer was given (seconds since the epoch; to a quarter of a second for a remembered one), who asked, what passed."""
Journal = list[Entry]
