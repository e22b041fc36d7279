"""What passed on the wire, noted where it passed and rendered later: for the log, the metrics, the taps.

A session appends one entry to its worker's journal per exchange. Every quarter of a second the worker takes what stands there
and hands it on, so that nothing which looks on can delay an answer. A remembered answer carries one `HttpRecord` that all its
entries share: that makes an entry cost three references.
"""

from __future__ import annotations

from netlodge.core.contracts import Peer


class HttpRecord:
    """One HTTP exchange, or (for a remembered answer) all exchanges of the same bytes. Not changed once it is in a journal.

    Heads are the octets of the wire. Bodies are at most the first `taps.body_bytes` octets; the sizes count all. `log_tails`
    belongs to the access log, which renders what does not change between entries once.
    """

    def __init__(
        self,
        *,
        door: str,
        scheme: str = "http",
        version: str = "",
        method: str = "",
        target: str = "",
        host: str = "",
        status: int = 0,
        elapsed: float = 0.0,
        received: int = 0,
        sent: int = 0,
        referer: str = "",
        user_agent: str = "",
        user: str = "",
        request_head: bytes = b"",
        response_head: bytes = b"",
        request_body: bytes = b"",
        response_body: bytes = b"",
        outcome: str = "complete",
        is_recalled: bool = False,
    ) -> None:
        self.door = door
        """Name of the door: `web`, `dashboard`, ..."""
        self.scheme = scheme
        self.version = version
        """`"1.0"`, `"1.1"`, `"2"`; empty if the bytes were no request."""
        self.method = method
        self.target = target
        self.host = host
        self.status = status
        """Status code sent; 0 if none was."""
        self.elapsed = elapsed
        """Seconds from the last octet of the request head to the last octet of the answer handed to the kernel."""
        self.received = received
        """Octets of request content."""
        self.sent = sent
        """Octets of response content."""
        self.referer = referer
        self.user_agent = user_agent
        self.user = user
        self.request_head = request_head
        self.response_head = response_head
        self.request_body = request_body
        self.response_body = response_body
        self.outcome = outcome
        """`complete`, `aborted` (the client went away), `timeout`, `refused` (no message, or over a limit), `failed` (a defect)."""
        self.is_recalled = is_recalled
        self.log_tails: dict[str, str] | None = None

    def alike(self, *, request_head: bytes, referer: str, user_agent: str) -> HttpRecord:
        """The record of another exchange that differs in these alone. Quick: it is made for each answer that is remembered by what
        its question means."""
        other = HttpRecord.__new__(HttpRecord)
        other.__dict__.update(self.__dict__)
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
