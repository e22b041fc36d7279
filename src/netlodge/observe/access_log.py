"""The access log: a line for each exchange, in the combined format of Apache and nginx or as JSON lines.

Several workers append to one file: each writes many whole lines with one `write` on a descriptor opened with
O_APPEND, so lines of two workers never mix. What cannot be written is dropped and counted; a full disk slows nobody.
What a line says about a record is rendered once and kept in the record (`log_tails`), because a remembered answer shares its record.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

from netlodge.core.contracts import Counter
from netlodge.core.errors import NetlodgeError
from netlodge.core.records import Entry, HttpRecord, LineRecord
from netlodge.observe.escaping import escape_for_log, is_plain, octets, to_json

Format = Literal["combined", "json"]

FIRST_LINE_OCTETS: Final = 1024
"""How much of a message that was no request stands in its line."""

BATCH_ENTRIES: Final = 1000
"""How many lines go out in one `write`: few calls, and what is rendered is still in the processor's cache when it is copied."""

PENDING_OCTETS: Final = 1024 * 1024
"""How much waits for a pipe whose reader is slow, before lines are dropped."""

COMPLAINT_SECONDS: Final = 60.0

# Not blocking: a named pipe that nobody reads is an error now instead of a worker that hangs.
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_MODE: Final = 0o640
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_logger = logging.getLogger(__name__)


class AccessLogError(NetlodgeError):
    """The log file cannot be opened."""


class AccessLog:
    """Appends lines to `path`, or to standard output if that is `-`.

    `monotonic` is the clock that spaces complaints. Raises `AccessLogError` if the file cannot be opened at the start; later nothing
    that befalls the file raises.
    """

    def __init__(
        self,
        path: str,
        format: Format = "combined",  # noqa: A002  # the word of the settings
        *,
        dropped: Counter | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.format: Format = format
        self._dropped = dropped
        self._monotonic = monotonic
        self._lines = _CombinedLines() if format == "combined" else _JsonLines()
        self._complained = -COMPLAINT_SECONDS
        self._lost_since = 0
        self._is_torn = False
        self._pending = b""
        self._descriptor = -1
        self._open()

    def write(self, entries: Sequence[Entry]) -> None:
        """Append a line for each entry. Never raises: what cannot be written is dropped, counted and complained about."""
        for start in range(0, len(entries), BATCH_ENTRIES):
            data = _render(entries[start : start + BATCH_ENTRIES], self._lines)
            if self._is_file:
                self._append(data)
            else:
                self._offer(data)
        if self._pending:
            self._offer(b"")

    def reopen(self) -> None:
        """Open the path anew, as after a rotation (SIGUSR1). If that fails the old file is written on, and said so."""
        if self.path == "-":
            return
        old = self._descriptor
        try:
            self._open()
        except AccessLogError as error:
            _logger.error("%s The old file is written on.", error)  # noqa: TRY400  # the sentence says it all
            return
        os.close(old)

    def close(self) -> None:
        if self.path != "-" and self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _open(self) -> None:
        if self.path == "-":
            self._descriptor = 1
        else:
            try:
                self._descriptor = os.open(self.path, _FLAGS, _MODE)
            except OSError as error:
                raise AccessLogError(f"The access log {self.path} cannot be opened: {error.strerror}.") from error
        self._is_torn = False
        try:
            self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        except OSError:
            self._is_file = True

    def _append(self, data: bytes) -> None:
        # A line that a full disk cut off must not swallow the beginning of the next.
        rest = b"\n" + data if self._is_torn else data
        try:
            while rest:
                written = os.write(self._descriptor, rest)
                self._is_torn = rest[written - 1 : written] != b"\n"
                rest = rest[written:]
        except OSError as error:
            # A newline in front ends a line that is there already.
            self._drop(rest.count(b"\n", 1))
            self._complain(error.strerror or str(error))

    def _offer(self, data: bytes) -> None:
        """To a pipe or terminal: only while it has room, for a reader that stalls must not stall the worker. A piece of at most
        `PIPE_BUF` octets is taken whole or not at all, so lines of several workers mix only at their ends."""
        if len(self._pending) + len(data) > PENDING_OCTETS:
            kept = data[: data.rfind(b"\n", 0, max(0, PENDING_OCTETS - len(self._pending))) + 1]
            self._drop(data.count(b"\n") - kept.count(b"\n"))
            self._complain("its reader is too slow")
            data = kept
        data = self._pending + data
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        start = 0
        try:
            while start < len(data) and poll.poll(0):
                end = data.rfind(b"\n", start, start + select.PIPE_BUF) + 1 or data.find(b"\n", start) + 1
                start += os.write(self._descriptor, data[start:end])
        except BlockingIOError:
            pass
        except OSError as error:
            self._drop(data.count(b"\n", start))
            self._complain(error.strerror or str(error))
            start = len(data)
        self._pending = data[start:]

    def _drop(self, lines: int) -> None:
        self._lost_since += lines
        if self._dropped is not None:
            self._dropped.add(lines)

    def _complain(self, why: str) -> None:
        now = self._monotonic()
        if now - self._complained >= COMPLAINT_SECONDS:
            self._complained = now
            lost, self._lost_since = self._lost_since, 0
            _logger.error("The access log %s loses lines: %s (%d since the last such message).", self.path, why, lost)


KIN_TAILS: Final = 16
"""How many ends of lines are kept of requests of the same octets; most have one or two."""


class _CombinedLines:
    """`host - user [time] "request line" status octets "referer" "user agent"`; line services have no place in this format."""

    name: Final = "combined"

    def __init__(self) -> None:
        self._second = -1
        self._stamp = ""

    def stamp(self, wall: float) -> str:
        if (second := int(wall)) != self._second:
            self._second = second
            self._stamp = local_time(second)
        return self._stamp

    def tail(self, record: HttpRecord) -> str:
        kin = record.kin
        if kin is None:
            return _combined_tail(record)
        key = (record.status, record.sent)
        tail = kin.get(key)
        if tail is None:
            if len(kin) >= KIN_TAILS:
                kin.clear()
            tail = kin[key] = _combined_tail(record)
        return tail

    def line(self, stamp: str, host: str, record: HttpRecord, tail: str) -> str:
        user = escape_for_log(record.user).replace(" ", "\\x20") if record.user else "-"
        return f"{host} - {user} [{stamp}] {tail}"

    def sentence(self, stamp: str, host: str, record: LineRecord) -> str:
        return ""


class _JsonLines:
    """One object for each entry, line services included."""

    name: Final = "json"

    def stamp(self, wall: float) -> str:
        return utc_time(wall)

    def tail(self, record: HttpRecord) -> str:
        return _json_http_tail(record)

    def line(self, stamp: str, host: str, record: HttpRecord, tail: str) -> str:
        return f'{{"time":"{stamp}","peer":"{host}",{tail}'

    def sentence(self, stamp: str, host: str, record: LineRecord) -> str:
        return f'{{"time":"{stamp}","peer":"{host}",{_json_line_tail(record)}'


def _render(entries: Sequence[Entry], lines: _CombinedLines | _JsonLines) -> bytes:
    """A hot answer makes many equal lines: its record is shared, and the wall clock stands still from tick to tick. So each is made
    once, and found again by host and record; the first time that a record is seen, nothing is looked for."""
    name = lines.name
    rendered: list[str] = []
    add = rendered.append
    known: dict[tuple[str, HttpRecord], str] = {}
    last_wall, last_host, last_record = -1.0, "", None
    stamp = line = ""
    for wall, peer, record in entries:
        host = peer[0]
        if record is not last_record or host != last_host or wall != last_wall:
            if wall != last_wall:
                stamp = lines.stamp(wall)
                known.clear()
            last_wall, last_host, last_record = wall, host, record
            if isinstance(record, LineRecord):
                line = lines.sentence(stamp, host, record)
            elif (tails := record.log_tails) is None or name not in tails:
                tail = lines.tail(record)
                record.log_tails = {name: tail} if tails is None else tails | {name: tail}
                line = lines.line(stamp, host, record, tail)
            elif (key := (host, record)) in known:
                line = known[key]
            else:
                known[key] = line = lines.line(stamp, host, record, tails[name])
        add(line)
    return "".join(rendered).encode("ascii", "backslashreplace")


def _combined_tail(record: HttpRecord) -> str:
    request_line, referer, user_agent = _request_line(record), record.referer, record.user_agent
    # Nearly always there is nothing to escape in any of the three.
    if not is_plain(f"{request_line}{referer}{user_agent}"):
        request_line, referer, user_agent = map(escape_for_log, (request_line, referer, user_agent))
    return f'"{request_line or "-"}" {record.status:03} {record.sent} "{referer or "-"}" "{user_agent or "-"}"\n'


def _request_line(record: HttpRecord) -> str:
    """As it stood on the wire; for a message that was no request, its first line as far as it came."""
    if record.method:
        version = record.version if "." in record.version else f"{record.version}.0"
        return f"{record.method} {record.target} HTTP/{version}"
    return record.request_head[:FIRST_LINE_OCTETS].split(b"\n", 1)[0].rstrip(b"\r").decode("latin-1")


def _json_http_tail(record: HttpRecord) -> str:
    # Written out because it is three times as quick as a dict: each string goes through the encoder alone.
    first_line = "" if record.method else f',"first_line":{_text(_request_line(record))}'
    return (
        f'"door":{_text(record.door)},"scheme":{_text(record.scheme)},"version":{_text(record.version)},'
        f'"method":{_text(record.method)},"target":{_text(record.target)},"host":{_text(record.host)},'
        f'"status":{record.status},"received":{record.received},"sent":{record.sent},"elapsed":{record.elapsed:.6f},'
        f'"referer":{_text(record.referer)},"user_agent":{_text(record.user_agent)},"user":{_text(record.user)},'
        f'"outcome":{_text(record.outcome)},"recalled":{"true" if record.is_recalled else "false"}{first_line}}}\n'
    )


def _json_line_tail(record: LineRecord) -> str:
    return (
        f'"door":{_text(record.door)},"transport":{_text(record.transport)},"received":{len(record.question)},'
        f'"sent":{len(record.answer)},"outcome":{_text(record.outcome)}}}\n'
    )


def _text(text: str) -> str:
    """A JSON string. The characters stand for octets (ISO-8859-1); whatever is beyond becomes octets first, so no lone
    surrogate is left."""
    return to_json(text if text.isascii() else octets(text).decode("latin-1"))


def local_time(second: int) -> str:
    """`10/Oct/2000:13:55:36 -0700`: the local time with its offset, whatever the locale."""
    moment = time.localtime(second)
    sign = "-" if moment.tm_gmtoff < 0 else "+"
    hours, minutes = divmod(abs(moment.tm_gmtoff) // 60, 60)
    return (
        f"{moment.tm_mday:02}/{_MONTHS[moment.tm_mon - 1]}/{moment.tm_year:04}"
        f":{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} {sign}{hours:02}{minutes:02}"
    )


def utc_time(wall: float) -> str:
    """`2000-10-10T20:13:55.250Z` (RFC 3339 §5.6), to the millisecond."""
    milliseconds = round(wall * 1000)
    moment = time.gmtime(milliseconds // 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{milliseconds % 1000:03}Z"
