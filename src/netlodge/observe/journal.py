"""What a worker does with its journal four times a second: count it, log it, and pass it to the tap.

Sessions only append (`core.records`). Here the entries are taken out and handed to each that looks on; what one of them gets wrong is its own
loss, never that of the others or of the worker.
"""

from __future__ import annotations

import logging
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Final

from netlodge.core.contracts import Counter
from netlodge.core.records import Entry, Journal
from netlodge.observe.access_log import AccessLog
from netlodge.observe.series import ExchangeSeries
from netlodge.observe.tap import Ring

COMPLAINT_SECONDS: Final = 60.0
BATCH: Final = 1000
"""Entries looked at in one go: about 300 microseconds in which nobody is answered."""

_record_of = itemgetter(2)
_logger = logging.getLogger(__name__)


class Observer:
    """All that looks on in one worker. Any part may be left out."""

    def __init__(
        self,
        *,
        series: ExchangeSeries | None = None,
        log: AccessLog | None = None,
        ring: Ring | None = None,
        failures: Counter | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = log
        self.ring = ring
        self._series = series
        self._failures = failures
        self._monotonic = monotonic
        self._complained = -COMPLAINT_SECONDS

    def drain(self, journal: Journal) -> bool:
        """Take the oldest `BATCH` entries out of the journal and hand them on; return whether more are left. Called at every tick, also
        when there are none (a log may wait for its reader). Never raises."""
        entries = journal[:BATCH]
        del journal[:BATCH]
        if self._series is not None and entries:
            self._guarded(partial(_count, self._series), entries)
        if self.log is not None:
            self._guarded(self.log.write, entries)
        if self.ring is not None and entries:
            self._guarded(partial(self.ring.emit, behind=journal), entries)
        return bool(journal)

    def _guarded(self, look: Callable[[Sequence[Entry]], None], entries: Sequence[Entry]) -> None:
        try:
            look(entries)
        except Exception:
            if self._failures is not None:
                self._failures.add()
            now = self._monotonic()
            if now - self._complained >= COMPLAINT_SECONDS:
                self._complained = now
                _logger.exception("A defect in observation: %d entries are lost to it.", len(entries))


def _count(series: ExchangeSeries, entries: Sequence[Entry]) -> None:
    # A hot answer has one record for all its entries: 20,000 entries are one tally, at C speed.
    series.count(Tally(map(_record_of, entries)))
