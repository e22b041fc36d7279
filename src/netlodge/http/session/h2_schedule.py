"""Whose turn it is: which stream of a connection sends next.

RFC 9218 §10 (urgency first; of equals those that are of use in parts share, the others go one by one), §2 and §7 (which signals count); RFC 7540
§5.3 for clients that say nothing else (`h2_tree`); RFC 9113 §8.4 (what is pushed comes after all that was asked for). Streams of a client that
says nothing at all share alike. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Final

from netlodge.http.rules.priority import Priority
from netlodge.http.session.h2_tree import DependencyTree
from netlodge.http.wire.h2_events import Priority as Dependency

KEPT: Final = 256
"""Most streams whose priority is kept, those included that have not begun (RFC 9218 §7.1 wants that bounded); the oldest go first."""
UNSAID: Final = Priority()


class Schedule:
    """One connection's: streams are woken and rest, and it asks who is `next`, and tells how much was `sent`."""

    __slots__ = ("_policy", "_pushed", "_ready")

    def __init__(self) -> None:
        self._policy: DependencyTree | Urgencies = DependencyTree()
        self._ready: set[int] = set()
        self._pushed: list[int] = []
        """Those of the ready that the client did not ask for, a heap by number."""

    def __bool__(self) -> bool:
        """True if anyone could send."""
        return bool(self._ready)

    def __len__(self) -> int:
        """How many could send."""
        return len(self._ready)

    def wake(self, stream_id: int) -> None:
        """A stream has something to send, and a window for it."""
        if stream_id in self._ready:
            return
        self._ready.add(stream_id)
        if stream_id % 2:
            self._policy.wake(stream_id)
        else:
            heappush(self._pushed, stream_id)

    def rest(self, stream_id: int) -> None:
        """A stream cannot send for now."""
        if stream_id in self._ready:
            self._ready.discard(stream_id)
            if stream_id % 2:
                self._policy.rest(stream_id)
            else:
                self._pushed.remove(stream_id)
                heapify(self._pushed)

    def next(self) -> int:
        """The stream whose turn it is. To be asked only when there is one."""
        return self._policy.next() if self._policy else self._pushed[0]

    def sent(self, stream_id: int, octets: int) -> None:
        """A stream had its turn."""
        if stream_id % 2:
            self._policy.sent(stream_id, octets)

    def forget(self, stream_id: int) -> None:
        """A stream has ended."""
        self.rest(stream_id)
        self._policy.forget(stream_id)

    def prioritize(self, stream_id: int, priority: Priority, *, is_update: bool) -> None:
        """RFC 9218: by the field of a request, or by a PRIORITY_UPDATE (`is_update`), which may come before the request and "overrides any other
        signal" (§7). What is pushed stays last."""
        self.heed_urgency().prioritize(stream_id, priority, is_update=is_update)

    def depend(self, dependency: Dependency) -> None:
        """RFC 7540 §5.3.1; of no account for a client that has spoken as RFC 9218 has it."""
        if isinstance(self._policy, DependencyTree):
            self._policy.depend(dependency)

    def heed_urgency(self) -> Urgencies:
        """The client speaks as RFC 9218 has it, so what it leaves unsaid is as that has it, too (§4)."""
        policy = self._policy
        if isinstance(policy, DependencyTree):
            policy = self._policy = Urgencies(stream_id for stream_id in sorted(self._ready) if stream_id % 2)
        return policy


class _Level:
    """The streams of one urgency. `in_turn` is a heap of the numbers of those that go one by one, and of some who did; `sharing` has the others
    in the order of their turns."""

    __slots__ = ("in_turn", "sharing", "shares_now")

    def __init__(self) -> None:
        self.in_turn: list[int] = []
        self.sharing: dict[int, None] = {}
        self.shares_now = False


class Urgencies:
    """RFC 9218 §10."""

    __slots__ = ("_levels", "_places", "_priorities")

    def __init__(self, ready: Iterable[int] = ()) -> None:
        self._priorities: dict[int, Priority] = {}
        self._places: dict[int, Priority] = {}
        """Those that are ready, and as what they stand in the levels."""
        self._levels = [_Level() for _ in range(8)]
        for stream_id in ready:
            self.wake(stream_id)

    def __bool__(self) -> bool:
        """True if anyone could send."""
        return bool(self._places)

    def prioritize(self, stream_id: int, priority: Priority, *, is_update: bool) -> None:
        """What the client said of a stream."""
        if not is_update and stream_id in self._priorities:
            return
        was_ready = stream_id in self._places
        self.rest(stream_id)
        self._priorities.pop(stream_id, None)
        self._priorities[stream_id] = priority
        if len(self._priorities) > KEPT:
            del self._priorities[next(iter(self._priorities))]
        if was_ready:
            self.wake(stream_id)

    def wake(self, stream_id: int) -> None:
        """A stream has something to send."""
        priority = self._places[stream_id] = self._priorities.get(stream_id, UNSAID)
        level = self._levels[priority.urgency]
        if priority.is_incremental:
            level.sharing[stream_id] = None
        else:
            heappush(level.in_turn, stream_id)
            if len(level.in_turn) > 2 * len(self._places) + 8:  # mostly those who had their turn
                level.in_turn = [each for each in sorted(self._places) if self._goes_in_turn(each, priority.urgency)]

    def rest(self, stream_id: int) -> None:
        """A stream cannot send for now."""
        priority = self._places.pop(stream_id, None)
        if priority is not None and priority.is_incremental:
            del self._levels[priority.urgency].sharing[stream_id]

    def next(self) -> int:
        """The stream whose turn it is. To be asked only when there is one."""
        for urgency, level in enumerate(self._levels):
            in_turn = level.in_turn
            while in_turn and not self._goes_in_turn(in_turn[0], urgency):
                heappop(in_turn)
            # "early non-incremental responses might prevent serving of incremental responses issued later. [...] It is RECOMMENDED that servers
            # avoid such starvation where possible." (§10) Where there are both, they alternate.
            if level.sharing and (level.shares_now or not in_turn):
                return next(iter(level.sharing))
            if in_turn:
                return in_turn[0]
        raise LookupError("no stream is ready")

    def sent(self, stream_id: int, octets: int) -> None:
        """A stream had its turn."""
        priority = self._places.get(stream_id)
        if priority is not None:
            level = self._levels[priority.urgency]
            level.shares_now = not priority.is_incremental
            if priority.is_incremental:
                del level.sharing[stream_id]
                level.sharing[stream_id] = None

    def forget(self, stream_id: int) -> None:
        """A stream has ended."""
        self.rest(stream_id)
        self._priorities.pop(stream_id, None)

    def _goes_in_turn(self, stream_id: int, urgency: int) -> bool:
        priority = self._places.get(stream_id)
        return priority is not None and priority.urgency == urgency and not priority.is_incremental
