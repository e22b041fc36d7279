"""The tree of dependencies in which a client of HTTP/2 may have put its streams, and whose turn it is in it.

RFC 7540 §5.3.1 (a parent goes before its children), §5.3.2 (siblings share by weight), §5.3.3 (moving), §5.3.4 (closed streams). RFC 9113
§5.3.2 has done away with it, but keeps parsing it, and clients go on sending it. A stream of which nothing was said stands below the root with
the weight of §5.3.5: so those who say nothing share alike. Pure.

Siblings share by virtual time: each has had so many octets, divided by its weight, and who has had least goes first. Whoever comes
late begins with what the last one had: it shares from now on. Looking for the next and noting what it sent takes a look into one heap for
each step down the tree, however many streams there are.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

from netlodge.http.wire.h2_events import Priority as Dependency

NODES: Final = 256
"""Most streams whose place is kept, idle and closed ones included (§5.3.4): twice those that may be open. The oldest go first, and their
children move up."""
DEEPEST: Final = 64
"""Most steps from the root to a stream: each is a look for whoever is next."""
DEFAULT_WEIGHT: Final = 16
"""§5.3.5."""


class _Node:
    """A stream's place. `busy` counts what may send below it, and itself; `served` is its virtual time among its siblings, `clock` that of its
    children; `queue` has those of its children who are busy, and some who were: by virtual time and number."""

    __slots__ = ("busy", "children", "clock", "is_ready", "parent", "queue", "served", "stream_id", "weight")

    def __init__(self, stream_id: int, parent: _Node | None, weight: int) -> None:
        self.stream_id = stream_id
        self.parent = parent
        self.weight = weight
        self.children: dict[int, _Node] = {}
        self.is_ready = False
        self.busy = 0
        self.served = 0.0
        self.clock = 0.0
        self.queue: list[tuple[float, int]] = []


class DependencyTree:
    """One connection's. It asks who is `next` of those that were woken, and tells how much was `sent`."""

    __slots__ = ("_nodes", "_root")

    def __init__(self) -> None:
        self._root = _Node(0, None, DEFAULT_WEIGHT)
        self._nodes: dict[int, _Node] = {}

    def __bool__(self) -> bool:
        """True if anyone could send."""
        return self._root.busy > 0

    def __len__(self) -> int:
        """How many places are kept."""
        return len(self._nodes)

    def wake(self, stream_id: int) -> None:
        """A stream has something to send."""
        node = self._place_of(stream_id)
        if not node.is_ready:
            node.is_ready = True
            _add_busy(node, 1)
            self._bound(node)

    def rest(self, stream_id: int) -> None:
        """A stream cannot send for now."""
        node = self._nodes.get(stream_id)
        if node is not None and node.is_ready:
            node.is_ready = False
            _remove_busy(node, 1)

    def next(self) -> int:
        """The stream whose turn it is. To be asked only when there is one."""
        node = self._root
        while not node.is_ready:
            node = _first(node)
        return node.stream_id

    def sent(self, stream_id: int, octets: int) -> None:
        """A stream had its turn."""
        node = self._nodes.get(stream_id)
        while node is not None and node.parent is not None:
            parent = node.parent
            node.served += octets / node.weight
            if node.busy:
                _enqueue(parent, node)
            node = parent

    def depend(self, dependency: Dependency) -> None:
        """Put a stream below another. An exclusive one takes over the other's children (§5.3.1). Where that would make the tree too deep, the
        stream stands below the root."""
        node = self._place_of(dependency.stream_id)
        parent = self._place_of(dependency.parent_id)
        above = _depth(parent, node)
        if above < 0:
            # "If a stream is made dependent on one of its own dependencies, the formerly dependent stream is first moved to be dependent on the
            # reprioritized stream's previous parent. The moved dependency retains its weight." (§5.3.3)
            _move([parent], node.parent or self._root)
            above = _depth(parent, node)
        node.weight = dependency.weight
        others = [child for child in parent.children.values() if child is not node] if dependency.is_exclusive else []
        below = max(_height([node]), 1 + _height(others))
        if above + below > DEEPEST:
            parent, others = self._root, []
        _move([node], parent)
        _move(others, node)
        self._bound(node, parent)

    def forget(self, stream_id: int) -> None:
        """A stream has ended. The place of one of which something was said stays for a while, for others may depend on it."""
        node = self._nodes.get(stream_id)
        if node is None:
            return
        self.rest(stream_id)
        if not node.children and node.parent is self._root and node.weight == DEFAULT_WEIGHT:
            self._remove(node)

    # --- within -----------------------------------------------------------------------------------------------------------------

    def _place_of(self, stream_id: int) -> _Node:
        if stream_id == 0:
            return self._root
        node = self._nodes.get(stream_id)
        if node is None:
            node = self._nodes[stream_id] = _Node(stream_id, self._root, DEFAULT_WEIGHT)
            self._root.children[stream_id] = node
            node.served = self._root.clock
        return node

    def _bound(self, *kept: _Node) -> None:
        while len(self._nodes) > NODES:
            self._remove(next(node for node in self._nodes.values() if not (node.is_ready or node in kept)))

    def _remove(self, node: _Node) -> None:
        """§5.3.4: what depended on it depends on its parent, by its share of the weight."""
        parent = node.parent or self._root
        children = list(node.children.values())
        total = sum(child.weight for child in children)
        for child in children:
            child.weight = max(1, node.weight * child.weight // total)
        _move(children, parent)
        del parent.children[node.stream_id]
        del self._nodes[node.stream_id]


def _add_busy(node: _Node, count: int) -> None:
    """So many more may send at `node`, or below it."""
    while True:
        was_busy = node.busy > 0
        node.busy += count
        parent = node.parent
        if parent is None or was_busy:
            return
        node.served = max(node.served, parent.clock)
        _enqueue(parent, node)
        node, count = parent, 1


def _remove_busy(node: _Node, count: int) -> None:
    """So many less. Who is queued and has nothing to send is passed over when its turn comes."""
    while True:
        node.busy -= count
        if node.parent is None or node.busy:
            return
        node, count = node.parent, 1


def _enqueue(parent: _Node, node: _Node) -> None:
    heappush(parent.queue, (node.served, node.stream_id))
    if len(parent.queue) > 2 * len(parent.children) + 8:  # mostly what was passed by
        _queue_anew(parent)


def _queue_anew(parent: _Node) -> None:
    parent.queue = [(child.served, child.stream_id) for child in parent.children.values() if child.busy]
    heapify(parent.queue)


def _first(parent: _Node) -> _Node:
    """The child that has had least, of those that are busy."""
    queue = parent.queue
    while True:
        served, stream_id = queue[0]
        child = parent.children.get(stream_id)
        if child is not None and child.busy and child.served == served:
            parent.clock = served
            return child
        heappop(queue)


def _depth(node: _Node, without: _Node) -> int:
    """How many steps `node` is below the root; -1 if `without` is one of them."""
    depth = 0
    while node.parent is not None:
        if node is without:
            return -1
        node = node.parent
        depth += 1
    return depth


def _height(nodes: list[_Node]) -> int:
    """How many steps there are from above these nodes to the deepest one below them."""
    height = 0
    while nodes:
        height += 1
        nodes = [child for node in nodes for child in node.children.values()]
    return height


def _move(nodes: list[_Node], parent: _Node) -> None:
    """Put siblings, with all that is below them, below another."""
    nodes = [node for node in nodes if node.parent is not parent]
    if not nodes or (old := nodes[0].parent) is None:
        return
    busy = 0
    for node in nodes:
        del old.children[node.stream_id]
        node.parent = parent
        parent.children[node.stream_id] = node
        node.served = parent.clock
        busy += node.busy > 0
    if busy:
        _remove_busy(old, busy)
        _add_busy(parent, busy)
        _queue_anew(parent)
