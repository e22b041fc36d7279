"""What is in a directory, as a page for people and as JSON for programs.

RFC 9110 §12.5.1 (Accept chooses), §13.2 (preconditions), RFC 8259 (JSON), RFC 3986 §3.3 (names in links are percent-encoded).
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from dataclasses import dataclass
from html import escape
from itertools import islice
from time import gmtime, strftime
from typing import Final
from urllib.parse import unquote_to_bytes

from netlodge.http.handlers.at_hand import answer_at_hand
from netlodge.http.handlers.root import Root
from netlodge.http.message import Fields, Request, Response
from netlodge.http.rules.conditional import EntityTag
from netlodge.http.rules.negotiation import prefer
from netlodge.http.rules.paths import UNFINISHED, WELL_KNOWN, encode_segment

_HTML: Final = "text/html"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One line of a listing. In order: directories first, then names without regard to case."""

    rank: tuple[bool, str, str]
    name: str
    is_directory: bool
    size: int
    """Octets; 0 for a directory."""
    modified: int
    """Seconds since the epoch."""

    @classmethod
    def of(cls, name: str, status: os.stat_result) -> Entry:
        is_directory = stat.S_ISDIR(status.st_mode)
        size = 0 if is_directory else status.st_size
        return cls((not is_directory, name.casefold(), name), name, is_directory, size, int(status.st_mtime))

    @property
    def link(self) -> str:
        # "./" because a colon in the first segment of a relative reference would make a scheme of it (RFC 3986 §4.2).
        return "./" + encode_segment(self.name) + ("/" if self.is_directory else "")


class Listing:
    """Lists directories below a root: at most `entries` lines, and nothing that would not be served."""

    __slots__ = ("_entries", "_root", "_show_hidden")

    def __init__(self, root: Root, *, entries: int, show_hidden: bool) -> None:
        self._root = root
        self._entries = entries
        self._show_hidden = show_hidden

    async def answer(self, request: Request, place: bytes, *, is_top: bool) -> Response:
        """List the directory `place`: as JSON if the query has `format=json` or Accept likes it better, else as HTML. A large directory
        is read and rendered in a thread. Raises `OSError` if it cannot be read, `HttpError` 412. Never to be remembered: any change of any entry shows."""
        return await asyncio.to_thread(self._answer, request, place, is_top)

    def _answer(self, request: Request, place: bytes, is_top: bool) -> Response:
        entries, is_whole = self._read(place, is_top)
        if "format=json" in (request.query or "").split("&"):
            kind = _JSON
        else:
            kind = prefer(request.fields.get("accept"), (_HTML, _JSON)) or _HTML
        title = unquote_to_bytes(request.path.encode("latin-1")).decode("utf-8", "replace")
        text = as_json(title, entries, is_whole) if kind == _JSON else as_html(title, entries, is_whole, is_top)
        content_type = kind if kind == _JSON else f"{kind}; charset=utf-8"
        fields = Fields([("content-type", content_type), ("cache-control", "no-cache"), ("vary", "accept")])
        content = text.encode("utf-8")
        return answer_at_hand(request, 200, fields, content, etag=EntityTag.of(content))

    def _read(self, place: bytes, is_top: bool) -> tuple[list[Entry], bool]:
        """The entries in order, and whether that is all of them."""
        descriptor = self._root.open_directory(place)
        try:
            with os.scandir(descriptor) as found:
                # Hidden names are bounded too: reading stops after that many names, shown or not.
                names = [(entry.name, entry.is_symlink()) for entry in islice(found, self._entries + 1)]
            is_whole = len(names) <= self._entries
            entries = []
            for name, is_link in names[: self._entries]:
                entry = self._entry(descriptor, place, name, is_link, is_top)
                if entry is not None:
                    entries.append(entry)
        finally:
            os.close(descriptor)
        return sorted(entries), is_whole

    def _entry(self, descriptor: int, place: bytes, name: str, is_link: bool, is_top: bool) -> Entry | None:
        is_hidden = name.startswith(".") and not (is_top and name == WELL_KNOWN)
        octets = os.fsencode(name)
        try:
            text = octets.decode("utf-8")
            if (is_hidden and not self._show_hidden) or "\\" in text or text.startswith(UNFINISHED):
                return None
            if is_link and not self._root.contains(place + b"/" + octets):
                return None
            status = os.stat(octets, dir_fd=descriptor)
        except (UnicodeDecodeError, OSError):
            # No path could name it, or it went away, or it is a link to nothing.
            return None
        if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
            return None
        return Entry.of(text, status)


def as_json(path: str, entries: list[Entry], is_whole: bool) -> str:
    """`{"path", "complete", "entries": [{"name", "type", "size", "modified"}]}`; `modified` in ISO 8601, UTC; files alone have a size."""
    lines = []
    for entry in entries:
        line: dict[str, str | int] = {"name": entry.name, "type": "directory" if entry.is_directory else "file"}
        if not entry.is_directory:
            line["size"] = entry.size
        line["modified"] = _moment(entry.modified, "%Y-%m-%dT%H:%M:%SZ")
        lines.append(line)
    return json.dumps({"path": path, "complete": is_whole, "entries": lines}, ensure_ascii=False, indent=1) + "\n"


_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; --line: color-mix(in srgb, currentColor 15%, transparent) }}
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2.5rem auto; padding: 0 1.5rem }}
  h1 {{ font-size: 1.3rem; font-weight: 600; overflow-wrap: anywhere }}
  table {{ width: 100%; border-collapse: collapse }}
  th, td {{ padding: .35rem .75rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap }}
  th {{ font-weight: 500; opacity: .65; font-size: .85rem }}
  td:first-child {{ width: 100%; white-space: normal; overflow-wrap: anywhere }}
  td:nth-child(n+2), th:nth-child(n+2) {{ text-align: right; font-variant-numeric: tabular-nums }}
  tr:hover td {{ background: var(--line) }}
  a {{ text-decoration: none }} a:hover {{ text-decoration: underline }}
  p {{ opacity: .65; font-size: .85rem }}
</style>
<h1>{title}</h1>
<table>
<thead><tr><th>Name</th><th>Size</th><th>Modified (UTC)</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>{note}</p>
</html>
"""


def as_html(path: str, entries: list[Entry], is_whole: bool, is_top: bool) -> str:
    rows = [] if is_top else ['<tr><td><a href="../">../</a></td><td></td><td></td></tr>']
    for entry in entries:
        name = escape(entry.name) + ("/" if entry.is_directory else "")
        size = "" if entry.is_directory else readable_size(entry.size)
        modified = _moment(entry.modified, "%Y-%m-%d %H:%M")
        rows.append(f'<tr><td><a href="{escape(entry.link)}">{name}</a></td><td>{size}</td><td>{modified}</td></tr>')
    count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    note = count if is_whole else f"{count}, and more: limits.listing_entries ends the list here"
    return _PAGE.format(title=escape(path), rows="\n".join(rows), note=note)


def readable_size(octets: int) -> str:
    """A size as people say it: `0 B`, `999 B`, `1.5 KiB`, `12 MiB`."""
    size, unit = float(octets), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1000 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.1f} {unit}" if size < 10 and unit != "B" else f"{size:.0f} {unit}"


def _moment(second: int, form: str) -> str:
    try:
        return strftime(form, gmtime(second))
    except (OverflowError, ValueError, OSError):
        return ""  # a year that no calendar here can tell
