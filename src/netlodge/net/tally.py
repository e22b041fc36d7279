"""How many connections each client holds over all workers: what `limits.connections_per_client` asks.

A count-min sketch (Cormode and Muthukrishnan 2005) in memory that all workers share. A client has one bucket in each of two
tables, chosen by a hash that only this lodge knows; its count is the smaller of the two, never too low. It is too high only for a
client whose both buckets are shared with others, so that nobody is refused for what a neighbour in one bucket does.

Each bucket has a cell per slot, and a worker writes only its own cells: no locks, and what a killed worker held is given back by
clearing its cells.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import sys

WIDTH = 8192
"""Buckets in each table. 10,000 connections of honest clients add about one to a neighbour's bucket."""
_TABLES = 2
_CELL = 4
_NINES = (1 << 8 * _CELL) - 1
_UNIX = b"unix"


def client_key(host: str) -> bytes:
    """Who counts as one client: an IPv4 address (also when mapped into IPv6, RFC 4291 §2.5.5.2), an IPv6 network of 64 bits (one
    host may use all of it, RFC 4291 §2.5.4 and RFC 8981), all who come by Unix sockets.

    `host` is a `Peer.host`.
    """
    try:
        if ":" not in host:
            return socket.inet_pton(socket.AF_INET, host)
        if host.startswith("unix:"):
            return _UNIX
        address = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return host.encode()
    return address[12:] if address[:12] == b"\0" * 10 + b"\xff\xff" else address[:8]


class Tally:
    """The shared memory. Make it before the workers are forked; each worker takes its `row`."""

    def __init__(self, slots: int, width: int = WIDTH) -> None:
        self.slots = slots
        self.width = width
        self._salt = os.urandom(16)
        # One bucket more than the tables have: there all connections are counted.
        self._octets = memoryview(mmap.mmap(-1, (_TABLES * width + 1) * slots * _CELL))
        self._cells = self._octets.cast("I")

    def row(self, slot: int) -> TallyRow:
        """What the worker in this slot writes."""
        return TallyRow(self, slot)

    def clear(self, slot: int) -> None:
        """Forget what a worker held that has ended. Only while no worker has the slot."""
        column = self._cells[slot :: self.slots]
        column[:] = memoryview(bytes(len(column) * _CELL)).cast("I")

    def count(self, host: str) -> int:
        """Connections that this client holds, at least."""
        first, second = self.buckets(host)
        return min(self.sum_of(first), self.sum_of(second))

    def total(self) -> int:
        """Connections of all clients."""
        return self.sum_of(_TABLES * self.width)

    def buckets(self, host: str) -> tuple[int, int]:
        """The client's bucket in each table."""
        digest = hashlib.blake2b(client_key(host), digest_size=8, key=self._salt).digest()
        first, second = int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
        return first % self.width, self.width + second % self.width

    def add(self, bucket: int, slot: int, amount: int) -> None:
        """For `TallyRow`: change one cell, which no other process writes."""
        self._cells[bucket * self.slots + slot] += amount

    def sum_of(self, bucket: int) -> int:
        """The sum of a bucket's cells: cast out nines in base 2**32, which is ten times as fast as a loop."""
        start = bucket * self.slots * _CELL
        cells = self._octets[start : start + self.slots * _CELL]
        return int.from_bytes(cells, sys.byteorder) % _NINES


class TallyRow:
    """One worker's connections, within the count of all."""

    __slots__ = ("_slot", "_tally", "_total")

    def __init__(self, tally: Tally, slot: int) -> None:
        self._tally = tally
        self._slot = slot
        self._total = _TABLES * tally.width

    def enter(self, host: str) -> int:
        """The client opened a connection here. Returns how many it now holds over all workers."""
        tally, slot = self._tally, self._slot
        first, second = tally.buckets(host)
        tally.add(first, slot, 1)
        tally.add(second, slot, 1)
        tally.add(self._total, slot, 1)
        return min(tally.sum_of(first), tally.sum_of(second))

    def leave(self, host: str) -> None:
        """The client's connection ended. Raises `ValueError` if it had none here: a defect of the caller."""
        tally, slot = self._tally, self._slot
        first, second = tally.buckets(host)
        tally.add(first, slot, -1)
        tally.add(second, slot, -1)
        tally.add(self._total, slot, -1)

    def total(self) -> int:
        """Connections of all clients, over all workers."""
        return self._tally.total()
