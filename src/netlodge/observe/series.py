"""The vocabulary of the metrics: every name that `/metrics` shows, and which event counts as what.

Names follow the Prometheus guide (base units, `_total`, few label values). Each class registers its series in the
supervisor before the fork; making it again for a later generation finds the same series. Label values are from
fixed sets: what a client can invent is counted as `other`.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from netlodge.core.records import HttpRecord, LineRecord, Record
from netlodge.observe.metrics import Counter, Registry

OTHER: Final = "other"

METHODS: Final = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
"""The methods of RFC 9110 §9.3 and RFC 5789; any other is `other`."""

STATUS_CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""RFC 9110 §15; `none` if the client went away before a status was sent."""

VERSIONS: Final = ("1.0", "1.1", "2")
"""RFC 9112 §2.3, RFC 9113; what was no request has none, and counts as `other`."""

REFUSALS: Final = (400, 408, 413, 414, 417, 421, 431, 501, 505)
"""The statuses that answer a message which is none, or one over a limit."""

DURATION_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: from what a file takes to what makes a person leave."""

OUTCOMES: Final = ("aborted", "timeout", "refused", "failed")

TRANSPORTS: Final = ("tcp", "udp")


class HttpSeries:
    """What the HTTP exchanges of one door add up to."""

    def __init__(self, registry: Registry, door: str) -> None:
        self._times: dict[tuple[str, int], int] = {}
        self._received_now = self._sent_now = self._recalled_now = 0
        self._requests = {
            (method, status_class): registry.counter(
                "netlodge_http_requests_total",
                "HTTP exchanges that ended, by door, method and class of the status sent.",
                is_sparse=True,
                door=door,
                method=method,
                code=STATUS_CLASSES[status_class],
            )
            for method in (*METHODS, OTHER)
            for status_class in range(len(STATUS_CLASSES))
        }
        self._versions_now: dict[str, int] = {}
        self._versions = {
            version: registry.counter(
                "netlodge_http_versions_total",
                "HTTP exchanges that ended, by door and version of HTTP.",
                is_sparse=True,
                door=door,
                version=version,
            )
            for version in (*VERSIONS, OTHER)
        }
        self._received = registry.counter(
            "netlodge_http_request_content_bytes_total", "Octets of request content taken in.", door=door
        )
        self._sent = registry.counter(
            "netlodge_http_response_content_bytes_total", "Octets of response content sent.", door=door
        )
        self._recalled = registry.counter(
            "netlodge_http_recalled_total", "Exchanges answered from the recall table, without parsing.", door=door
        )
        self._duration = registry.histogram(
            "netlodge_http_request_duration_seconds",
            "From the end of the request head to the end of the answer.",
            DURATION_BOUNDS,
            door=door,
        )
        self._bad = {
            status: registry.counter(
                "netlodge_http_bad_messages_total",
                "Messages refused as malformed or over a limit, by the status that said so.",
                is_sparse=True,
                door=door,
                status=str(status),
            )
            for status in (*REFUSALS, OTHER)
        }
        self._incomplete = {
            outcome: registry.counter(
                "netlodge_http_incomplete_total",
                "Exchanges that did not come to their end: aborted by the client, timed out, or failed by a defect.",
                door=door,
                outcome=outcome,
            )
            for outcome in OUTCOMES
            if outcome != "refused"
        }

    def count(self, record: HttpRecord, times: int) -> None:
        """Count `times` exchanges that were all like this record, in numbers of this process: `flush` makes them seen. Whatever
        stands in the record, nothing is raised."""
        key = (record.method, record.status)
        self._times[key] = self._times.get(key, 0) + times
        self._versions_now[record.version] = self._versions_now.get(record.version, 0) + times
        self._received_now += record.received * times
        self._sent_now += record.sent * times
        if record.is_recalled:
            self._recalled_now += times
        self._duration.note(record.elapsed, times)
        if record.outcome != "complete":
            if record.outcome == "refused":
                (self._bad.get(record.status) or self._bad[OTHER]).add(times)
            elif record.outcome in self._incomplete:
                self._incomplete[record.outcome].add(times)

    def flush(self) -> None:
        """Add what was counted to the shared numbers. A cell there costs as much as several numbers of Python's, so it is done
        once for a batch."""
        if not self._times:
            return
        for (method, status), times in self._times.items():
            status_class = status // 100
            self._requests[method if method in METHODS else OTHER, status_class if 0 <= status_class <= 5 else 0].add(
                times
            )
        self._times.clear()
        for version, times in self._versions_now.items():
            (self._versions.get(version) or self._versions[OTHER]).add(times)
        self._versions_now.clear()
        self._received.add(self._received_now)
        self._sent.add(self._sent_now)
        self._recalled.add(self._recalled_now)
        self._received_now = self._sent_now = self._recalled_now = 0
        self._duration.flush()


class LineSeries:
    """What the sentences and datagrams of one line service add up to."""

    __slots__ = ("_by_transport", "_incomplete")

    def __init__(self, registry: Registry, service: str) -> None:
        self._by_transport: dict[str, tuple[Counter, Counter, Counter]] = {
            transport: (
                registry.counter(
                    "netlodge_lines_exchanges_total",
                    "Sentences (tcp) and datagrams (udp) taken, by line service.",
                    service=service,
                    transport=transport,
                ),
                registry.counter(
                    "netlodge_lines_received_bytes_total",
                    "Octets of sentences and datagrams taken.",
                    service=service,
                    transport=transport,
                ),
                registry.counter(
                    "netlodge_lines_sent_bytes_total",
                    "Octets of answers to sentences and datagrams.",
                    service=service,
                    transport=transport,
                ),
            )
            for transport in TRANSPORTS
        }
        self._incomplete = {
            outcome: registry.counter(
                "netlodge_lines_incomplete_total",
                "Sentences and datagrams that got no plain answer.",
                is_sparse=True,
                service=service,
                outcome=outcome,
            )
            for outcome in OUTCOMES
        }

    def count(self, record: LineRecord, times: int) -> None:
        exchanges, received, sent = self._by_transport["udp" if record.transport == "udp" else "tcp"]
        exchanges.add(times)
        received.add(len(record.question) * times)
        sent.add(len(record.answer) * times)
        if record.outcome in self._incomplete:
            self._incomplete[record.outcome].add(times)


class ExchangeSeries:
    """Counts every record at its door. A door that was not named when the series were made counts as `other`."""

    def __init__(self, registry: Registry, *, http_doors: Iterable[str] = (), line_doors: Iterable[str] = ()) -> None:
        self._http = {door: HttpSeries(registry, door) for door in (*http_doors, OTHER)}
        self._lines = {door: LineSeries(registry, door) for door in (*line_doors, OTHER)}

    def count(self, batch: Mapping[Record, int]) -> None:
        """Count the exchanges of a batch: how often each record stood in it."""
        for record, times in batch.items():
            if isinstance(record, HttpRecord):
                (self._http.get(record.door) or self._http[OTHER]).count(record, times)
            else:
                (self._lines.get(record.door) or self._lines[OTHER]).count(record, times)
        for series in self._http.values():
            series.flush()


class ConnectionSeries:
    """The connections of one door, for `net` to count."""

    LIMITS: Final = ("limits.connections", "limits.connections_per_client")

    def __init__(self, registry: Registry, door: str) -> None:
        self.open = registry.gauge("netlodge_connections_open", "Connections open now.", door=door)
        self.accepted = registry.counter("netlodge_connections_accepted_total", "Connections accepted.", door=door)
        self.defects = _defects(registry, door)
        self._refused = {
            limit: registry.counter(
                "netlodge_connections_refused_total", "Connections refused, by limit.", door=door, limit=limit
            )
            for limit in (*self.LIMITS, OTHER)
        }

    def refused(self, limit: str) -> Counter:
        """The counter for refusals by the setting `limit` (a key path)."""
        return self._refused.get(limit) or self._refused[OTHER]


class DatabaseSeries:
    """What is asked of the database, for `store` to count."""

    def __init__(self, registry: Registry) -> None:
        self.works = registry.counter(
            "netlodge_database_works_total", "Pieces of work that the database did, or that failed by their own fault."
        )
        self.commits = registry.counter(
            "netlodge_database_commits_total", "Transactions committed. Work that comes at once may share one."
        )
        self.failures = registry.counter(
            "netlodge_database_failures_total", "Pieces of work that the database was not available for."
        )
        self.seconds = registry.histogram(
            "netlodge_database_work_duration_seconds", "From asking the database to its answer.", DURATION_BOUNDS
        )


class TlsSeries:
    """The handshakes of one door that speaks TLS, for `net` to count. `versions` and `failures` are its words."""

    def __init__(self, registry: Registry, door: str, *, versions: Iterable[str], failures: Iterable[str]) -> None:
        self._handshakes = {
            (version, is_resumed): registry.counter(
                "netlodge_tls_handshakes_total",
                "TLS handshakes that were completed, by version, and whether an earlier session was resumed.",
                door=door,
                version=version,
                resumed="yes" if is_resumed else "no",
            )
            for version in (*versions, OTHER)
            for is_resumed in (False, True)
        }
        self._failures = {
            failure: registry.counter(
                "netlodge_tls_failures_total", "Connections that came to no TLS, by reason.", door=door, reason=failure
            )
            for failure in (*failures, OTHER)
        }
        self.truncated = registry.counter(
            "netlodge_tls_truncated_total", "TLS connections whose peer left without saying that it did.", door=door
        )

    def handshakes(self, version: str, is_resumed: bool) -> Counter:
        """The counter for handshakes of this version."""
        return self._handshakes.get((version, is_resumed)) or self._handshakes[OTHER, is_resumed]

    def failures(self, failure: str) -> Counter:
        """The counter for connections that failed for this reason."""
        return self._failures.get(failure) or self._failures[OTHER]


class WebSocketSeries:
    """WebSockets, whatever bears them, for `http` to count. `codes` are the registered status codes of their ends."""

    def __init__(self, registry: Registry, codes: Iterable[int]) -> None:
        self.open = registry.gauge("netlodge_websockets_open", "WebSockets open now.")
        self._ended = {
            code: registry.counter(
                "netlodge_websockets_ended_total",
                "WebSockets that ended, by status code (RFC 6455 §7.4); 1005: a Close without one; 1006: no Close.",
                is_sparse=True,
                code=code,
            )
            for code in (*map(str, sorted(codes)), "3xxx", "4xxx", OTHER)
        }

    def ended(self, code: int) -> Counter:
        """The counter for ends with this code."""
        name = f"{code // 1000}xxx" if code >= 3000 else str(code)
        return self._ended.get(name) or self._ended[OTHER]


class DatagramSeries:
    """The datagrams of one door, for `net` to count."""

    LOSSES: Final = ("oversize", "chattering", "blocked", "unreachable")

    def __init__(self, registry: Registry, door: str) -> None:
        self.received = registry.counter("netlodge_datagrams_received_total", "Datagrams received.", door=door)
        self.answered = registry.counter("netlodge_datagrams_answered_total", "Datagrams answered.", door=door)
        self.defects = _defects(registry, door)
        self._dropped = {
            loss: registry.counter(
                "netlodge_datagrams_dropped_total",
                "Datagrams dropped, by reason.",
                is_sparse=True,
                door=door,
                reason=loss,
            )
            for loss in (*self.LOSSES, OTHER)
        }

    def dropped(self, loss: str) -> Counter:
        """The counter for datagrams that were dropped for this reason."""
        return self._dropped.get(loss) or self._dropped[OTHER]


def _defects(registry: Registry, door: str) -> Counter:
    return registry.counter(
        "netlodge_defects_total",
        "Exceptions that no one foresaw; each cost one connection or datagram.",
        is_sparse=True,
        door=door,
    )


class ObserverSeries:
    """What those who look on could not keep up with."""

    def __init__(self, registry: Registry) -> None:
        self.tap_dropped = registry.counter(
            "netlodge_tap_dropped_total", "Exchanges that a live trace was too slow to take."
        )
        self.tap_passed_over = registry.counter(
            "netlodge_tap_passed_over_total", "Exchanges that went by faster than the ring keeps them."
        )
        self.log_dropped = registry.counter(
            "netlodge_access_log_dropped_lines_total", "Log lines that could not be written."
        )
        self.failures = registry.counter(
            "netlodge_observation_failures_total", "Batches that a log, tap or counter failed on: defects."
        )


class RecallSeries:
    """What the recall tables of one door hold and have let go. `sample` is called in each worker, with that worker's own tables."""

    TABLES: Final = ("octets", "meaning", "h2")
    """By what a question is known: its octets, or what of them the answer depends on; `h2` has what is answered over HTTP/2."""

    def __init__(self, registry: Registry, door: str) -> None:
        self._series = {
            table: (
                registry.gauge("netlodge_recall_answers", "Answers remembered now.", door=door, table=table),
                registry.gauge("netlodge_recall_bytes", "What remembered answers occupy now.", door=door, table=table),
                registry.counter(
                    "netlodge_recall_dropped_total",
                    "Remembered answers that held no longer.",
                    door=door,
                    table=table,
                ),
                registry.counter(
                    "netlodge_recall_evicted_total",
                    "Remembered answers that made room for others.",
                    door=door,
                    table=table,
                ),
            )
            for table in self.TABLES
        }
        self._counted = dict.fromkeys(self.TABLES, (0, 0))
        """What was dropped and evicted when last looked at: the tables count from their beginning, the counters add."""

    def sample(self, table: str, *, answers: int, octets: int, dropped: int, evicted: int) -> None:
        """Note what the table (one of `TABLES`) says of itself: two levels, and two sums since the worker began."""
        answers_now, octets_now, dropped_ever, evicted_ever = self._series[table]
        dropped_before, evicted_before = self._counted[table]
        self._counted[table] = (dropped, evicted)
        answers_now.set(answers)
        octets_now.set(octets)
        dropped_ever.add(dropped - dropped_before)
        evicted_ever.add(evicted - evicted_before)


class LoginSeries(NamedTuple):
    """How logins went that were not remembered from a moment ago."""

    verified: Counter
    failed: Counter
    paused: Counter
    crowded: Counter


class AccessSeries:
    """Who came in, and who did not."""

    def __init__(self, registry: Registry) -> None:
        self.logins = LoginSeries(
            *(
                registry.counter(
                    "netlodge_logins_total",
                    "Logins that were looked at, by how they went: verified, failed, paused (limits.login_failures) or "
                    "crowded (limits.login_queue).",
                    result=result,
                )
                for result in LoginSeries._fields
            )
        )
        self.network_refused = self._refused(registry, "networks")
        self.rate_refused = self._refused(registry, "rate")

    @staticmethod
    def _refused(registry: Registry, by: str) -> Counter:
        return registry.counter(
            "netlodge_access_refused_total", "Requests refused by access.networks (403) or access.rate (429).", by=by
        )


class LodgeSeries:
    """The lodge as a whole. `start` is called by the supervisor, once."""

    def __init__(self, registry: Registry, version: str) -> None:
        self.worker_restarts = registry.counter(
            "netlodge_worker_restarts_total", "Workers that died and were started again."
        )
        self.generation = registry.gauge(
            "netlodge_generation", "How often the settings were loaded: 1 at the start, one more with each reload."
        )
        self._build_info = registry.gauge(
            "netlodge_build_info",
            "Always 1; the labels say what runs.",
            version=version,
            python=platform.python_version(),
        )
        self._start_time = registry.gauge("process_start_time_seconds", "When the lodge started, in Unix time.")

    def start(self, wall: float) -> None:
        self._build_info.set(1)
        self._start_time.set(int(wall))
        self.generation.set(1)


class WorkerSeries:
    """What one process costs. `start` and `sample` are called in each worker."""

    def __init__(self, registry: Registry) -> None:
        self._workers = registry.gauge("netlodge_workers", "Workers that run.")
        self._start_time = registry.gauge(
            "netlodge_worker_start_time_seconds", "When the worker started, in Unix time.", is_per_worker=True
        )
        self._cpu = registry.worker_counter(
            "process_cpu_seconds_total", "CPU time of the worker, user and system.", divisor=1_000_000
        )
        self._memory = registry.gauge(
            "process_resident_memory_bytes", "Memory of the worker that is in RAM.", is_per_worker=True
        )

    def start(self, wall: float) -> None:
        self._workers.set(1)
        self._start_time.set(int(wall))
        self.sample()

    def sample(self) -> None:
        """Ask the kernel; about 15 microseconds, so once a second is plenty."""
        self._cpu.set(time.process_time_ns() // 1000)
        self._memory.set(_resident_octets())


def _resident_octets() -> int:
    """Octets of this process in RAM; 0 where the kernel does not say (no /proc)."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
