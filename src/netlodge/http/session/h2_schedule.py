"""Whose turn it is: which stream of a connection sends next.

RFC 9218 §10 (urgency first; of equals the incremental ones share, the others go one by one), RFC 7540 §5.3 (the tree of dependencies, for
clients that say nothing else: a parent goes before its children, siblings share by weight). Streams of which the client said nothing
share alike. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netlodge.http.rules.priority import Priority
from netlodge.http.wire.h2_events import Priority as Dependency

LONGEST_PATH: Final = 64
"""Ancestors of a stream that are looked at; a longer chain counts as that long."""
NODES: Final = 512
"""Most streams whose place in the tree is kept, closed and idle ones included (RFC 7540 §5.3.4); the oldest go first."""
SHARED: Final = Priority(is_incremental=True)
"""For a stream of which the client said nothing."""


class Schedule:
    """One connection's. Times and octets are the caller's: it asks who is `next`, and tells how much was `sent`."""

    __slots__ = ("_dependencies", "_priorities", "_shares")

    def __init__(self) -> None:
        self._priorities: dict[int, Priority] = {}
        self._dependencies: dict[int, Dependency] = {}
        self._shares: dict[int, float] = {}
        """Octets that each stream has sent, divided by its weight: who has had least goes first."""

    def prioritize(self, stream_id: int, priority: Priority) -> None:
        """RFC 9218: by the field of a request, or by a PRIORITY_UPDATE (which may come before the request)."""
        self._priorities[stream_id] = priority
        _bound(self._priorities)

    def depend(self, dependency: Dependency) -> None:
        """RFC 7540 §5.3.1: put a stream below another; an exclusive one takes over the other's children. A stream that was above moves first
        (§5.3.3)."""
        stream_id, parent_id = dependency.stream_id, dependency.parent_id
        if stream_id in self._path(parent_id):
            above = self._dependencies[stream_id].parent_id if stream_id in self._dependencies else 0
            moved = self._dependencies.get(parent_id)
            self._dependencies[parent_id] = Dependency(parent_id, above, moved.weight if moved else 16, False)
        if dependency.is_exclusive:
            for child, other in list(self._dependencies.items()):
                if other.parent_id == parent_id and child != stream_id:
                    self._dependencies[child] = Dependency(child, stream_id, other.weight, False)
        self._dependencies.pop(stream_id, None)
        self._dependencies[stream_id] = dependency
        _bound(self._dependencies)

    def forget(self, stream_id: int) -> None:
        """A stream has ended. Its place in the tree stays for a while, for others may depend on it."""
        self._priorities.pop(stream_id, None)
        self._shares.pop(stream_id, None)

    def sent(self, stream_id: int, octets: int) -> None:
        """A stream had its turn."""
        dependency = self._dependencies.get(stream_id)
        weight = dependency.weight if dependency is not None else 16
        self._shares[stream_id] = self._shares.get(stream_id, self._least()) + octets / weight

    def next(self, ready: Iterable[int]) -> int:
        """The stream whose turn it is, of those that could send (at least one)."""
        if not self._priorities and not self._dependencies:
            least = self._least()
            return min(ready, key=lambda stream_id: self._shares.get(stream_id, least))
        waiting = set(ready)
        urgency = min(self._priority(stream_id).urgency for stream_id in waiting)
        first = [stream_id for stream_id in waiting if self._priority(stream_id).urgency == urgency]
        in_turn = [stream_id for stream_id in first if not self._priority(stream_id).is_incremental]
        if in_turn:
            return min(in_turn)
        least = self._least()
        free = [stream_id for stream_id in first if waiting.isdisjoint(self._path(stream_id)[1:])]
        return min(free or first, key=lambda stream_id: (self._shares.get(stream_id, least), stream_id))

    def _priority(self, stream_id: int) -> Priority:
        return self._priorities.get(stream_id, SHARED)

    def _least(self) -> float:
        """Where a newcomer begins: it shares from now on, and does not make up for the time before it came."""
        return min(self._shares.values(), default=0.0)

    def _path(self, stream_id: int) -> list[int]:
        """The stream and its ancestors, without the root."""
        path: list[int] = []
        while stream_id and len(path) < LONGEST_PATH:
            path.append(stream_id)
            dependency = self._dependencies.get(stream_id)
            stream_id = dependency.parent_id if dependency is not None else 0
        return path


def _bound(table: dict[int, Priority] | dict[int, Dependency]) -> None:
    while len(table) > NODES:
        del table[next(iter(table))]
