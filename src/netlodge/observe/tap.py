"""The tap: a bounded ring of what passed last, and subscriptions to what passes now.

It is fed after the fact, four times a second, so it can delay nobody. Whatever leaves the ring or a subscription has lost its credentials
(`redaction`), unless the lodge was told otherwise. What goes by too fast is counted, not kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from netlodge.core.contracts import Counter
from netlodge.core.records import Entry, HttpRecord, Record
from netlodge.observe.redaction import redact
from netlodge.observe.selection import Selection

ENTRY_OCTETS: Final = 512
"""What an entry costs beside the octets it refers to, roughly."""


class Gap(NamedTuple):
    """Stands in a subscription where exchanges were dropped because the reader was slow."""

    dropped: int


class Ring:
    """Keeps the newest `entries` exchanges, and no more than about `octets` of them, and tells subscribers of each new one.

    `dropped` counts what subscribers were too slow for, `passed_over` what was never kept because a batch was longer than the ring.
    """

    def __init__(
        self,
        entries: int,
        octets: int,
        redact: bool = True,
        *,
        dropped: Counter | None = None,
        passed_over: Counter | None = None,
    ) -> None:
        self.entries = entries
        self.octets = octets
        self.redacts = redact
        self._dropped = dropped
        self._passed_over = passed_over
        self._kept: deque[Entry] = deque()
        self._kept_octets = 0
        self._uses: dict[Record, int] = {}
        """How many kept entries share a record: its octets are kept once."""
        self._subscriptions: list[Subscription] = []

    def emit(self, batch: Sequence[Entry], behind: int = 0) -> None:
        """Take a batch, oldest first: the ring keeps its end, subscribers get what they selected of all of it. `behind` is how many
        entries are known to follow: what they would push out at once is not even taken in."""
        kept = self._kept
        room = max(0, self.entries - behind)
        for entry in batch[-room:] if room else ():
            kept.append(entry)
            self._keep(entry[2])
            while len(kept) > self.entries or self._kept_octets > self.octets:
                self._let_go(kept.popleft()[2])
        if self._passed_over is not None and len(batch) > room:
            self._passed_over.add(len(batch) - room)
        for subscription in self._subscriptions:
            subscription.offer(batch)

    def _keep(self, record: Record) -> None:
        uses = self._uses.get(record, 0)
        self._uses[record] = uses + 1
        self._kept_octets += ENTRY_OCTETS if uses else ENTRY_OCTETS + _octets_of(record)

    def _let_go(self, record: Record) -> None:
        uses = self._uses.pop(record) - 1
        if uses:
            self._uses[record] = uses
        self._kept_octets -= ENTRY_OCTETS if uses else ENTRY_OCTETS + _octets_of(record)

    def snapshot(self, selection: Selection | None = None) -> list[Entry]:
        """What the ring holds and the selection wants, oldest first, redacted."""
        chosen = _select(self._kept, selection or Selection())
        return _redacted(chosen) if self.redacts else chosen

    def subscribe(self, selection: Selection | None = None, capacity: int = 1000) -> Subscription:
        """Get each exchange that the selection wants, from now on. `capacity` is how many wait for a slow reader."""
        subscription = Subscription(
            selection or Selection(),
            capacity,
            redacts=self.redacts,
            dropped=self._dropped,
            when_closed=self._subscriptions.remove,
        )
        self._subscriptions.append(subscription)
        return subscription

    def close(self) -> None:
        """End all subscriptions: the worker retires."""
        for subscription in list(self._subscriptions):
            subscription.close()


class Subscription:
    """One reader's bounded queue. When it is full, what comes is dropped and a `Gap` says how many stood there."""

    def __init__(
        self,
        selection: Selection,
        capacity: int,
        *,
        redacts: bool = True,
        dropped: Counter | None = None,
        when_closed: Callable[[Subscription], None] | None = None,
    ) -> None:
        self.selection = selection
        self.is_closed = False
        self._capacity = capacity
        self._redacts = redacts
        self._dropped = dropped
        self._when_closed = when_closed
        self._queue: list[Entry | Gap] = []
        self._missed = 0
        self._news = asyncio.Event()

    def offer(self, batch: Sequence[Entry]) -> None:
        """Called by the ring. Queues what is wanted as far as there is room; after a gap nothing until the reader was here."""
        wanted = _select(batch, self.selection)
        if not wanted:
            return
        room = 0 if self._missed else max(0, self._capacity - len(self._queue))
        taken = wanted[:room]
        self._queue.extend(_redacted(taken) if self._redacts else taken)
        if missed := len(wanted) - len(taken):
            self._missed += missed
            if self._dropped is not None:
                self._dropped.add(missed)
        self._news.set()

    async def take(self) -> list[Entry | Gap]:
        """Wait for news and return all that is queued, in order; an empty list when the subscription is closed. Redacted."""
        while not self._queue and not self._missed and not self.is_closed:
            self._news.clear()
            await self._news.wait()
        taken, self._queue = self._queue, []
        if self._missed:
            taken.append(Gap(self._missed))
            self._missed = 0
        return taken

    def close(self) -> None:
        """Get no more. Idempotent. What is queued may still be taken."""
        if not self.is_closed:
            self.is_closed = True
            self._news.set()
            if self._when_closed is not None:
                self._when_closed(self)


def _select(entries: Sequence[Entry] | deque[Entry], selection: Selection) -> list[Entry]:
    """Decides once per record and once per peer host, for a batch has few of either and many entries."""
    if not selection.parameters():
        return list(entries)
    wanted = {record: selection.wants_record(record) for record in {entry[2] for entry in entries}}
    if not any(wanted.values()):
        return []
    chosen = [entry for entry in entries if wanted[entry[2]]]
    if not selection.peer:
        return chosen
    hosts = {peer.host: selection.wants_peer(peer) for _, peer, _ in chosen}
    return [entry for entry in chosen if hosts[entry[1].host]]


def _redacted(entries: list[Entry]) -> list[Entry]:
    """Each record once, however many entries share it."""
    redacted = {record: redact(record) for record in {entry[2] for entry in entries}}
    return [(wall, peer, redacted[record]) for wall, peer, record in entries]


def _octets_of(record: Record) -> int:
    if isinstance(record, HttpRecord):
        return (
            len(record.request_head) + len(record.response_head) + len(record.request_body) + len(record.response_body)
        )
    return len(record.question) + len(record.answer)
