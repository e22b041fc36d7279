"""The tap: a bounded ring of what passed last, and subscriptions to what passes now.

It is fed after the fact, four times a second, so it can delay nobody. Whatever leaves the ring or a subscription has lost its credentials
(`redaction`), unless the lodge was told otherwise; that costs milliseconds for a large exchange, so it is done when a reader takes it, a
batch of few octets at a time, and never for more than was taken. What goes by too fast is counted, not kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from netlodge.core.contracts import Counter
from netlodge.core.records import Entry, HttpRecord, LineRecord, Record
from netlodge.observe.redaction import redact
from netlodge.observe.selection import Selection

ENTRY_OCTETS: Final = 512
"""What an entry costs beside the octets it refers to, roughly."""
BATCH_OCTETS: Final = 32 * 1024
"""What is redacted and handed out in one go, about: a millisecond or two in which nobody is answered."""

FAMILIES: Final = (HttpRecord, LineRecord)
"""Each has a shelf of its own in the ring, so that a busy line service does not push out the exchanges of the web."""

_time_of = itemgetter(0)


class Gap(NamedTuple):
    """Stands in a subscription where exchanges were dropped because the reader was slow."""

    dropped: int


class Ring:
    """Keeps the newest `entries` exchanges of each family, and no more than about `octets` of them, and tells subscribers of each new one.

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
        self._shelves = {family: _Shelf(entries, octets) for family in FAMILIES}
        self._subscriptions: list[Subscription] = []

    def emit(self, batch: Sequence[Entry], behind: Sequence[Entry] = ()) -> None:
        """Take a batch, oldest first: the ring keeps its end, subscribers get what they selected of all of it. `behind` is what is known
        to follow: what that would push out at once is not even taken in."""
        for family, shelf in self._shelves.items():
            of_family = [entry for entry in batch if type(entry[2]) is family]
            if not of_family:
                continue
            room = self.entries - _count(islice(behind, self.entries), family)
            shelf.put(of_family[-room:] if room else ())
            if self._passed_over is not None and len(of_family) > room:
                self._passed_over.add(len(of_family) - room)
        for subscription in self._subscriptions:
            subscription.offer(batch)

    def batches(self, selection: Selection | None = None) -> Iterator[list[Entry]]:
        """What the ring holds at this moment and the selection wants, by time, oldest first, redacted. Each batch is small and is redacted
        when it is taken: whoever takes them in an event loop lets others have their turn in between."""
        wanted = selection or Selection()
        shelves = [_select(shelf.kept, wanted) for shelf in self._shelves.values()]
        return _in_batches(list(merge(*shelves, key=_time_of)), redacts=self.redacts)

    def snapshot(self, selection: Selection | None = None) -> list[Entry]:
        """All batches in one list: where nobody waits."""
        return [entry for batch in self.batches(selection) for entry in batch]

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


class _Shelf:
    """What the ring keeps of one family."""

    def __init__(self, entries: int, octets: int) -> None:
        self._entries = entries
        self._octets = octets
        self.kept: deque[Entry] = deque()
        self._kept_octets = 0
        self._uses: dict[Record, int] = {}
        """How many kept entries share a record: its octets are kept once."""

    def put(self, entries: Iterable[Entry]) -> None:
        kept = self.kept
        for entry in entries:
            kept.append(entry)
            self._keep(entry[2])
            while len(kept) > self._entries or self._kept_octets > self._octets:
                self._let_go(kept.popleft()[2])

    def _keep(self, record: Record) -> None:
        uses = self._uses.get(record, 0)
        self._uses[record] = uses + 1
        self._kept_octets += ENTRY_OCTETS if uses else ENTRY_OCTETS + _octets_of(record)

    def _let_go(self, record: Record) -> None:
        uses = self._uses.pop(record) - 1
        if uses:
            self._uses[record] = uses
        self._kept_octets -= ENTRY_OCTETS if uses else ENTRY_OCTETS + _octets_of(record)


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
        self._queue: deque[Entry] = deque()
        self._missed = 0
        self._news = asyncio.Event()

    def offer(self, batch: Sequence[Entry]) -> None:
        """Called by the ring. Queues what is wanted as far as there is room; after a gap nothing until the reader was here."""
        wanted = _select(batch, self.selection)
        if not wanted:
            return
        room = 0 if self._missed else max(0, self._capacity - len(self._queue))
        taken = wanted[:room]
        self._queue.extend(taken)
        if missed := len(wanted) - len(taken):
            self._missed += missed
            if self._dropped is not None:
                self._dropped.add(missed)
        self._news.set()

    async def take(self) -> list[Entry | Gap]:
        """Wait for news and return the next of what is queued, in order and redacted, about `BATCH_OCTETS` of it; an empty list when the
        subscription is closed and all was taken."""
        while not self._queue and not self._missed and not self.is_closed:
            self._news.clear()
            await self._news.wait()
        batch = [self._queue.popleft() for _ in range(_length_of_batch(self._queue))]
        taken: list[Entry | Gap] = [*(_redacted(batch, {}) if self._redacts else batch)]
        if self._missed and not self._queue:
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


def _in_batches(entries: Sequence[Entry], *, redacts: bool) -> Iterator[list[Entry]]:
    waiting = deque(entries)
    known: dict[Record, Record] = {}
    while waiting:
        batch = [waiting.popleft() for _ in range(_length_of_batch(waiting))]
        yield _redacted(batch, known) if redacts else batch
        # A record that entries in a row share is redacted once; to keep more of them would be to keep the ring twice.
        known = {record: known[record] for record in {entry[2] for entry in batch} & known.keys()}


def _length_of_batch(entries: Iterable[Entry]) -> int:
    """How many of the first entries are a batch: at least one, if there is any. An entry counts whole though it may share its record,
    for whoever gets it writes it out."""
    length = octets = 0
    for entry in entries:
        octets += ENTRY_OCTETS + _octets_of(entry[2])
        if length and octets > BATCH_OCTETS:
            break
        length += 1
    return length


def _redacted(entries: Iterable[Entry], known: dict[Record, Record]) -> list[Entry]:
    """Each record once, however many entries share it; `known` is added to."""
    redacted: list[Entry] = []
    for wall, peer, record in entries:
        if (shown := known.get(record)) is None:
            shown = known[record] = redact(record)
        redacted.append((wall, peer, shown))
    return redacted


def _count(entries: Iterable[Entry], family: type[Record]) -> int:
    return sum(type(entry[2]) is family for entry in entries)


def _octets_of(record: Record) -> int:
    if isinstance(record, HttpRecord):
        return (
            len(record.request_head) + len(record.response_head) + len(record.request_body) + len(record.response_body)
        )
    return len(record.question) + len(record.answer)
