"""What request heads said before: field lines and hosts that were parsed once and come again and again.

A browser's requests differ in their target and little else. Parsing is a pure function of octets (RFC 9112 §5, RFC 9110 §7.2), so a line
that came before need not be parsed again; that halves the cost of a head. One memo serves all connections of a worker.

It is bounded, so that a flood of distinct lines can only empty it, and it keeps lines of a few harmless fields alone: nothing that
says who somebody is stays in memory, or can be guessed from how long an answer takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netlodge.http.wire.grammar import parse_authority, parse_field_lines

_ENTRIES: Final = 512
"""Most lines kept, and most hosts. When there are more, all are forgotten: what comes often is back at once."""
_LENGTH: Final = 256
"""Characters of the longest line or host kept."""
_KEPT: Final = frozenset((
    "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection",
    "content-type", "dnt", "host", "origin", "pragma", "priority", "sec-ch-ua", "sec-ch-ua-mobile",
    "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "sec-gpc", "te",
    "upgrade-insecure-requests", "user-agent",
))  # fmt: skip


class HeadMemo:
    """Parses as `grammar` does, and remembers."""

    __slots__ = ("_hosts", "_lines", "_request_lines")

    def __init__(self) -> None:
        self._lines: dict[str, tuple[str, str]] = {}
        self._hosts: dict[str, tuple[str, int | None]] = {}
        self._request_lines: set[str] = set()

    def knows_request_line(self, line: str) -> bool:
        """Whether this very line was kept."""
        return line in self._request_lines

    def keep_request_line(self, line: str) -> None:
        """Note a line that was found in order."""
        if len(line) <= _LENGTH:
            if len(self._request_lines) >= _ENTRIES:
                self._request_lines.clear()
            self._request_lines.add(line)

    def parse_field_lines(self, lines: Iterable[str]) -> list[tuple[str, str]]:
        """As `grammar.parse_field_lines` for a request."""
        known = self._lines.get
        pairs: list[tuple[str, str]] = []
        append = pairs.append
        for line in lines:
            append(known(line) or self._parse_line(line))
        return pairs

    def parse_authority(self, text: str) -> tuple[str, int | None]:
        """As `grammar.parse_authority`."""
        return self._hosts.get(text) or self._parse_host(text)

    def _parse_line(self, line: str) -> tuple[str, str]:
        pair = parse_field_lines((line,))[0]
        if pair[0] in _KEPT and len(line) <= _LENGTH:
            if len(self._lines) >= _ENTRIES:
                self._lines.clear()
            self._lines[line] = pair
        return pair

    def _parse_host(self, text: str) -> tuple[str, int | None]:
        host = parse_authority(text)
        if len(text) <= _LENGTH:
            if len(self._hosts) >= _ENTRIES:
                self._hosts.clear()
            self._hosts[text] = host
        return host
