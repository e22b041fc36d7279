"""Numbers that any worker can add up over all workers: one shared table of 64-bit cells, one row to each worker.

The supervisor makes the `Registry` before it forks, so all processes see the same anonymous memory. A worker writes only its own
row, so adding needs no lock; whoever renders sums the column. A row outlives its worker: what a killed worker had
counted stays counted. Rendered as the Prometheus text format, version 0.0.4.
"""

from __future__ import annotations

import mmap
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from netlodge.core.errors import NetlodgeError

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]

_CELL_OCTETS: Final = 8
_MICROSECONDS: Final = 1_000_000
_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


class MetricsError(NetlodgeError):
    """A series cannot be registered: no cell is left, or its name means something else already."""


@dataclass(frozen=True, slots=True)
class _Spec:
    divisor: int = 1
    is_sparse: bool = False
    is_per_worker: bool = False
    bounds: tuple[float, ...] = ()


class _Series:
    """What all kinds of series share: a name, its labels, and where its cells stand in the worker's row."""

    __slots__ = ("cell", "divisor", "help", "is_per_worker", "is_sparse", "labels", "name", "row")
    kind: Kind
    width = 1

    def __init__(self, row: memoryview[int], cell: int, name: str, help_text: str, labels: Labels, spec: _Spec) -> None:
        self.row = row
        self.cell = cell
        self.name = name
        self.help = help_text
        self.labels = labels
        self.divisor = spec.divisor
        self.is_sparse = spec.is_sparse
        self.is_per_worker = spec.is_per_worker


class Counter(_Series):
    """A number that only grows. Implements `contracts.Counter`."""

    __slots__ = ()
    kind: Kind = "counter"

    def add(self, amount: int = 1) -> None:
        """Add to this worker's share: `amount` is in units of one `divisor`-th."""
        self.row[self.cell] += amount


class WorkerCounter(_Series):
    """A number that a worker reads from elsewhere (the kernel's account of its CPU time) and that ends with the worker."""

    __slots__ = ()
    kind: Kind = "counter"

    def set(self, value: int) -> None:
        self.row[self.cell] = value


class Gauge(_Series):
    """A number that goes up and down; what a dead worker held is cleared by `Registry.clear_gauges`. Implements
    `contracts.Gauge`."""

    __slots__ = ()
    kind: Kind = "gauge"

    def add(self, amount: int) -> None:
        self.row[self.cell] += amount

    def set(self, value: int) -> None:
        self.row[self.cell] = value


class Histogram(_Series):
    """How often a duration fell into which bucket: one cell per bucket, one for what is beyond, one for the sum in microseconds.

    What is noted is kept in the process until `flush`, which writes the cells once for many.
    """

    __slots__ = ("_noted", "_seconds", "bounds", "width")
    kind: Kind = "histogram"

    def __init__(self, row: memoryview[int], cell: int, name: str, help_text: str, labels: Labels, spec: _Spec) -> None:
        super().__init__(row, cell, name, help_text, labels, spec)
        self.bounds = spec.bounds
        self.width = len(spec.bounds) + 2
        self._noted = [0] * (len(spec.bounds) + 1)
        self._seconds = 0.0

    def note(self, seconds: float, times: int = 1) -> None:
        """Note `times` events that took `seconds` each. A bucket's bound belongs to it (`le`: less or equal)."""
        self._noted[bisect_left(self.bounds, seconds)] += times
        self._seconds += seconds * times

    def flush(self) -> None:
        """Add what was noted to this worker's row."""
        row = self.row
        for place, times in enumerate(self._noted):
            if times:
                row[self.cell + place] += times
                self._noted[place] = 0
        # What is less than a microsecond waits for more.
        microseconds = int(self._seconds * _MICROSECONDS)
        row[self.cell + len(self.bounds) + 1] += microseconds
        self._seconds -= microseconds / _MICROSECONDS


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the rendered text."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """All series of one name."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]


_AnySeries = Counter | WorkerCounter | Gauge | Histogram
_S = TypeVar("_S", Counter, WorkerCounter, Gauge, Histogram)


class Registry:
    """The table and the append-only list of what its columns mean.

    `slots` is how many workers can live at once, old and new generation together; `capacity` is cells per worker. Memory
    is taken only for pages that are touched. Two more rows: the supervisor's, which is the one written until `bind`, and one that
    marks which slots were ever taken.

    Series are registered by the supervisor only, before the fork. Because the list only grows, a generation that was forked
    earlier goes on with the shorter list while a newer one uses the longer.
    """

    def __init__(self, slots: int = 128, capacity: int = 4096) -> None:
        if slots > capacity:
            raise MetricsError(f"{slots} slots cannot be marked in {capacity} cells.")
        self.slots = slots
        self.capacity = capacity
        self._table = memoryview(mmap.mmap(-1, (slots + 2) * capacity * _CELL_OCTETS)).cast("q")
        self._series: list[_AnySeries] = []
        self._by_key: dict[tuple[str, Labels], _AnySeries] = {}
        self._used = 0
        self._row = self._row_of(slots)
        self._is_bound = False

    def counter(
        self, name: str, help_text: str, /, *, divisor: int = 1, is_sparse: bool = False, **labels: str
    ) -> Counter:
        """Register a counter, or find the one that has this name and these labels.

        `name` ends in `_total`. A `divisor` of 1,000,000 means that `add` counts millionths. A sparse series is not
        rendered while it is zero. Raises `MetricsError` when the table is full, a worker registers something new, or the name is
        of another kind.
        """
        if not name.endswith("_total"):
            raise MetricsError(f"The counter {name} must have a name that ends in _total.")
        return self._register(Counter, name, help_text, labels, _Spec(divisor=divisor, is_sparse=is_sparse))

    def gauge(self, name: str, help_text: str, /, *, is_per_worker: bool = False, **labels: str) -> Gauge:
        """Register or find a gauge: one line that sums all workers or, per worker, a line for each with a label `worker`."""
        return self._register(Gauge, name, help_text, labels, _Spec(is_per_worker=is_per_worker))

    def worker_counter(self, name: str, help_text: str, /, *, divisor: int = 1, **labels: str) -> WorkerCounter:
        """Register or find a counter that each worker sets, rendered with a label `worker`, cleared with the gauges."""
        return self._register(WorkerCounter, name, help_text, labels, _Spec(divisor=divisor, is_per_worker=True))

    def histogram(self, name: str, help_text: str, /, bounds: Iterable[float], **labels: str) -> Histogram:
        """Register or find a histogram of seconds; `bounds` are the upper bounds of its buckets, rising, without infinity."""
        return self._register(Histogram, name, help_text, labels, _Spec(bounds=tuple(bounds)))

    def bind(self, slot: int) -> None:
        """Called once in a worker after the fork: from now on its series write the row of `slot`."""
        if not 0 <= slot < self.slots:
            raise MetricsError(f"A worker's slot is from 0 to {self.slots - 1}, not {slot}.")
        self._row_of(self.slots + 1)[slot] = 1
        self._row = self._row_of(slot)
        self._is_bound = True
        for series in self._series:
            series.row = self._row

    def clear_gauges(self, slot: int) -> None:
        """Called by the supervisor when the worker in `slot` is gone: its gauges go, its counters stay."""
        row = self._row_of(slot)
        for series in self._series:
            if isinstance(series, Gauge | WorkerCounter):
                row[series.cell] = 0

    def value(self, name: str, /, **labels: str) -> float:
        """The sum over all workers of every counter and gauge of this name whose labels include `labels`."""
        wanted = labels.items()
        return sum(
            self._sum(series.cell) / series.divisor
            for series in self._series
            if series.name == name and wanted <= dict(series.labels).items() and not isinstance(series, Histogram)
        )

    def families(self) -> list[Family]:
        """All series as they stand, sorted by name and then by labels."""
        by_name: dict[str, list[_AnySeries]] = {}
        for series in self._series:
            by_name.setdefault(series.name, []).append(series)
        families: list[Family] = []
        for name in sorted(by_name):
            members = sorted(by_name[name], key=lambda series: series.labels)
            samples = tuple(sample for series in members for sample in self._samples(series))
            if samples:
                families.append(Family(name, members[0].kind, members[0].help, samples))
        return families

    def render(self) -> str:
        """The Prometheus text format, version 0.0.4: `# HELP`, `# TYPE`, and a line per sample."""
        lines: list[str] = []
        for family in self.families():
            lines.append(f"# HELP {family.name} {_escape_help(family.help)}\n")
            lines.append(f"# TYPE {family.name} {family.kind}\n")
            lines.extend(
                f"{sample.name}{_render_labels(sample.labels)} {render_number(sample.value)}\n"
                for sample in family.samples
            )
        return "".join(lines)

    def _row_of(self, slot: int) -> memoryview[int]:
        return self._table[slot * self.capacity : (slot + 1) * self.capacity]

    def _rows(self) -> Iterator[tuple[str, memoryview[int]]]:
        """The rows that anyone ever wrote, with the label of their worker."""
        used = self._row_of(self.slots + 1)
        for slot in range(self.slots):
            if used[slot]:
                yield str(slot), self._row_of(slot)
        yield "supervisor", self._row_of(self.slots)

    def _register(self, kind: type[_S], name: str, help_text: str, labels: dict[str, str], spec: _Spec) -> _S:
        key = (name, tuple(sorted(labels.items())))
        known = self._by_key.get(key)
        if known is not None:
            if type(known) is not kind:
                raise MetricsError(f"{name} is a {known.kind} already.")
            return known
        if self._is_bound:
            raise MetricsError(f"{name} cannot be registered in a worker: its columns are shared with the others.")
        if any(series.name == name and type(series) is not kind for series in self._series):
            raise MetricsError(f"{name} is of another kind already.")
        if not _METRIC_NAME.fullmatch(name) or not all(map(_LABEL_NAME.fullmatch, labels)):
            raise MetricsError(f"{name} or one of its labels is no name that Prometheus takes.")
        series = kind(self._row, self._used, name, help_text, key[1], spec)
        if self._used + series.width > self.capacity:
            raise MetricsError(f"No room for {name}: all {self.capacity} cells of a worker are in use.")
        self._used += series.width
        self._series.append(series)
        self._by_key[key] = series
        return series

    def _samples(self, series: _AnySeries) -> Iterator[Sample]:
        if isinstance(series, Histogram):
            yield from self._histogram_samples(series)
        elif series.is_per_worker:
            for worker, row in self._rows():
                if row[series.cell]:
                    labels = (*series.labels, ("worker", worker))
                    yield Sample(series.name, labels, row[series.cell] / series.divisor)
        else:
            total = self._sum(series.cell)
            if total or not series.is_sparse:
                yield Sample(series.name, series.labels, total / series.divisor)

    def _histogram_samples(self, series: Histogram) -> Iterator[Sample]:
        """Buckets are cumulative: each counts all that took as long as its bound or less."""
        so_far = 0
        for place, bound in enumerate((*map(render_number, series.bounds), "+Inf")):
            so_far += self._sum(series.cell + place)
            yield Sample(f"{series.name}_bucket", (*series.labels, ("le", bound)), so_far)
        yield Sample(f"{series.name}_sum", series.labels, self._sum(series.cell + series.width - 1) / _MICROSECONDS)
        yield Sample(f"{series.name}_count", series.labels, so_far)

    def _sum(self, cell: int) -> int:
        return sum(row[cell] for _, row in self._rows())


def render_number(value: float) -> str:
    """A number as Prometheus reads it; whole numbers without a point."""
    return str(int(value)) if value == int(value) else repr(float(value))


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escape_label(text: str) -> str:
    return _escape_help(text).replace('"', '\\"')


def _render_labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape_label(value)}"' for name, value in labels) + "}"
