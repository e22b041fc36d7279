"""An exchange as a person reads it in a terminal: one line, or with its heads as they stood on the wire.

Nothing that a client sent reaches the terminal as a control character (`escaping.printable`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from netlodge.core.contracts import Peer
from netlodge.core.records import Entry, HttpRecord, LineRecord
from netlodge.observe.escaping import octets, printable
from netlodge.observe.heads import target_uri
from netlodge.observe.tap import Gap

_RESET: Final = "\x1b[0m"
_STATUS_COLOURS: Final = {2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[31m"}
_BOLD: Final = "\x1b[1m"
_DIM: Final = "\x1b[2m"
_RED: Final = "\x1b[31m"


@dataclass(frozen=True, slots=True)
class Renderer:
    """How much is shown (`is_verbose`: heads and recorded content) and whether in colour."""

    is_verbose: bool = False
    has_colour: bool = False

    def render(self, entry: Entry | Gap) -> str:
        """The text, without a newline at its end."""
        if isinstance(entry, Gap):
            return self._paint(_RED, f"... {entry.dropped} exchanges went by faster than they could be shown")
        wall, peer, record = entry
        if isinstance(record, LineRecord):
            return self._sentence(wall, peer, record)
        line = self._line(wall, peer, record)
        if not self.is_verbose:
            return line
        return "\n".join([line, *self._detail(record), ""])

    def _line(self, wall: float, peer: Peer, record: HttpRecord) -> str:
        status = f"{record.status}" if record.status else "---"
        parts = [
            self._paint(_DIM, clock_time(wall)),
            printable(octets(str(peer))),
            self._paint(_BOLD, printable(octets(record.method)) or "(no request)"),
        ]
        if record.method:
            parts.append(printable(octets(target_uri(record))))
        parts += [
            self._paint(_STATUS_COLOURS.get(record.status // 100, _RED), status),
            size(record.sent),
            duration(record.elapsed),
        ]
        if record.is_recalled:
            parts.append("recalled")
        if record.outcome != "complete":
            parts.append(self._paint(_RED, printable(octets(record.outcome))))
        return " ".join(parts)

    def _sentence(self, wall: float, peer: Peer, record: LineRecord) -> str:
        parts = [
            self._paint(_DIM, clock_time(wall)),
            printable(octets(str(peer))),
            self._paint(_BOLD, printable(octets(f"{record.door}/{record.transport}"))),
            f'"{printable(record.question)}"',
            "->",
            f'"{printable(record.answer)}"',
        ]
        if record.outcome != "complete":
            parts.append(self._paint(_RED, printable(octets(record.outcome))))
        return " ".join(parts)

    def _detail(self, record: HttpRecord) -> list[str]:
        return [
            *self._message(">", record.request_head, record.request_body, record.received),
            *self._message("<", record.response_head, record.response_body, record.sent),
        ]

    def _message(self, mark: str, head: bytes, body: bytes, length: int) -> list[str]:
        lines = [f"{mark} {printable(line)}".rstrip() for line in head.replace(b"\r\n", b"\n").splitlines()]
        lines += [f"  {printable(line)}".rstrip() for line in body.replace(b"\r\n", b"\n").split(b"\n") if body]
        if length > len(body):
            lines.append(self._paint(_DIM, f"  ({size(length - len(body))} of content not recorded)"))
        return lines

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self.has_colour else text


def clock_time(wall: float) -> str:
    """Local time of day to the millisecond."""
    milliseconds = round(wall * 1000)
    moment = time.localtime(milliseconds // 1000)
    return f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}.{milliseconds % 1000:03}"


def size(octet_count: int) -> str:
    """Exact below 10,000 octets, then in binary units to three figures."""
    if octet_count < 10_000:
        return f"{octet_count} B"
    scaled, unit = octet_count / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if scaled < 1000:
            break
        scaled, unit = scaled / 1024, larger
    return f"{scaled:.3g} {unit}"


def duration(seconds: float) -> str:
    """In the unit that leaves the number readable."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.2f} s"
