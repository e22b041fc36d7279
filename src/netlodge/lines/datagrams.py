"""The line services over UDP: each datagram is one question, and its answer one datagram.

RFC 862, RFC 863, RFC 867 (the UDP based services). The address that a datagram comes from is not proved: anyone can write a victim's
there. So a peer elsewhere is never sent more octets than came from it, and nobody gains by having us shout at another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netlodge.core.contracts import Clock, Peer
from netlodge.core.records import Entry, LineRecord
from netlodge.lines.services import Service, respond
from netlodge.lines.session import LineLimits
from netlodge.lines.wire import read_whole, render

DATAGRAM_SIZE: Final = 65535
"""Octets of a question: `limits.line_size` is for streams, a datagram has the bound of UDP (RFC 768, "Length")."""


class LineDatagrams:
    """Implements `core.contracts.DatagramService` for any `Service`. It knows no peers and keeps nothing between two datagrams."""

    def __init__(
        self,
        *,
        door: str,
        service: Service,
        clock: Clock,
        journal_append: Callable[[Entry], None],
        limits: LineLimits,
    ) -> None:
        self._door = door
        self._service = service
        self._clock = clock
        self._journal_append = journal_append
        self._limits = limits

    def handle_datagram(self, data: bytes, peer: Peer) -> bytes | None:
        framing = self._service.framing
        event = read_whole(data, framing, DATAGRAM_SIZE)
        response = respond(self._service, event, self._clock.second)
        answer = None if response.sentence is None else render(response.sentence, framing)
        if answer is not None and not is_loopback(peer):
            answer = clip(answer, len(data))
        record = LineRecord(
            door=self._door,
            transport="udp",
            question=data[: self._limits.record_size],
            answer=(answer or b"")[: self._limits.record_size],
            outcome=response.outcome,
        )
        self._journal_append((self._clock.wall, peer, record))
        return answer


def is_loopback(peer: Peer) -> bool:
    """True for a peer on this machine. No datagram with such an address comes in from outside (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3)."""
    return peer.host.startswith("127.") or peer.host in {"::1", "unix:"}


def clip(answer: bytes, size: int) -> bytes | None:
    """At most `size` octets of `answer`, cut between two characters of its UTF-8; None if that leaves nothing of something."""
    if len(answer) <= size:
        return answer
    while size and answer[size] & 0xC0 == 0x80:  # a continuation octet (RFC 3629 §3)
        size -= 1
    return answer[:size] or None
