"""The settings explained: as a page of Markdown, as text in a terminal, and as a settings file in which everything is a comment.

All three are made from the documentation beside the fields, so none can go stale: a test compares `docs/settings.md` with `markdown()`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

import msgspec

from netlodge.config.schema import Entry, children, entries, expected, to_toml
from netlodge.config.settings import Settings, Web

_TEXT_WIDTH: Final = 96
_COMMENT_WIDTH: Final = 118
_WIDEST_COLUMN: Final = 56

_MARKDOWN_HEAD: Final = """\
# Settings

<!-- Made by `netlodge settings --markdown`; the words stand beside the fields in src/netlodge/config. -->

One TOML file sets a lodge. Every key has a default, so the empty file is the default lodge. The file is the one after
`--config`, else `netlodge.toml` in the working directory, else the `netlodge.toml` in the data folder.
`netlodge init` writes one in which every key stands as a comment; `netlodge check` says what is wrong in it.

- **Durations** are written `"500 ms"`, `"75 s"`, `"2 min"`, `"1 h"`, `"1 d"`, or as a number of seconds.
- **Sizes** are written `"64 KiB"`, `"10 GiB"` (powers of 1024), `"5 MB"` (powers of 1000), or as a number of octets;
  **rates** are sizes per second, `"500 B/s"`.
- **Addresses** are numeric, with a port: `"127.0.0.1:8080"`, `"[::1]:8080"`; or Unix sockets: `"unix:run/web.sock"`.
  Port 0 lets the system choose.
- **Relative paths** are counted from the folder of the settings file; without a file, from the working directory.
- `--set KEY=VALUE` gives any key on the command line, as if it stood in the file. The value is TOML; what is no TOML is taken as
  a string, and for a list as its elements between commas: `--set web.listen=127.0.0.1:80,[::1]:80`.
"""

_STARTER_HEAD: Final = """\
# The settings of this lodge. Every key stands here with its default: take the "#" off a line to change it.
#
#   netlodge settings KEY   explains a key at length
#   netlodge check          says what is wrong in this file
#   netlodge reload         applies it; no connection is cut
#
# Relative paths are counted from the folder of this file.
"""

_STARTER_SITES: Final = """\
# Sites: the one whose hosts fit best answers, and in it the route with the longest path. Without any, the folder "www"
# in the data folder is served to every host, and the shop that comes along at /shop/. This one is an example:
#[[web.site]]
#hosts = ["www.example.org", "*.example.net"]
#routes = [
#{ path = "/", files = "www" },
#{ path = "/old/", redirect = "/", status = 308 },
#{ path = "/shop/", app = "netlodge.starter.shop:shop", sessions = true },
#]
#fields = [{ path = "*.css", cache_control = "max-age=3600" }]
#error_pages = { 404 = "www/404.html" }
#
"""


def find(key: str) -> list[Entry]:
    """The entry with this dotted key, and if it is a table all that stands below it; empty if there is no such key.

    The marks of lists may be left out: `web.site.routes.path` is `web.site[].routes[].path`.
    """
    wanted = tuple(part.removesuffix("[]") for part in key.split("."))
    return [entry for entry in entries(Settings) if _plain(entry)[: len(wanted)] == wanted]


def _plain(entry: Entry) -> tuple[str, ...]:
    return tuple(part.removesuffix("[]") for part in entry.path)


def markdown() -> str:
    """The page `docs/settings.md`."""
    return "\n".join([_MARKDOWN_HEAD, *_markdown_table(Settings, ())])


def _markdown_table(kind: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[str]:
    if path:
        yield f"## {_table_header(path)}\n"
        yield f"{_wrapped(kind.__doc__ or '')}\n"
    for entry in children(kind, path):
        if entry.table is None:
            yield f"### `{entry.key}`\n"
            yield f"{_markdown_default(entry)}\n"
            yield f"{_wrapped(entry.hint.description)}\n"
            if entry.hint.precedent:
                yield f"{_wrapped(f'*Precedent:* {entry.hint.precedent}')}\n"
    for entry in children(kind, path):
        if entry.table is not None:
            yield from _markdown_table(entry.table, entry.path)


def _markdown_default(entry: Entry) -> str:
    default = _default(entry)
    example = f", such as `{entry.hint.example}`" if entry.hint.example else ""
    return f"{f'Default `{default}`' if default else _absence(entry).capitalize()}: {expected(entry.hint)}{example}."


def _wrapped(words: str) -> str:
    return textwrap.fill(words, _COMMENT_WIDTH, break_on_hyphens=False, break_long_words=False)


def _table_header(path: tuple[str, ...]) -> str:
    """`[web]`, `[[web.site]]`: a table as it is written in a file."""
    name = ".".join(part.removesuffix("[]") for part in path)
    return f"[[{name}]]" if path[-1].endswith("[]") else f"[{name}]"


def _default(entry: Entry) -> str:
    """The default in TOML; empty if the key has none."""
    return "" if entry.default in (None, msgspec.NODEFAULT) else to_toml(entry.default)


def _absence(entry: Entry) -> str:
    return "must be given" if entry.default is msgspec.NODEFAULT else "may be left out"


def text(entry: Entry) -> str:
    """One key, or the introduction of a table, for a terminal."""
    if entry.table is not None:
        return f"{_table_header(entry.path)}\n{_indented(entry.table.__doc__ or '')}"
    default = _default(entry)
    head = f"{entry.key} = {default}" if default else f"{entry.key}  ({_absence(entry)})"
    lines = [
        head,
        _indented(f"{expected(entry.hint)}{f', such as {entry.hint.example}' if entry.hint.example else ''}"),
    ]
    lines.append(_indented(entry.hint.description))
    if entry.hint.precedent:
        lines.append(_indented(f"Precedent: {entry.hint.precedent}"))
    return "\n".join(lines).replace("`", "")


def _indented(words: str) -> str:
    return textwrap.fill(words, _TEXT_WIDTH, initial_indent="    ", subsequent_indent="    ")


def starter_toml(data: str = ".") -> str:
    """A settings file in which everything but `data` is a comment: prose behind `# `, settings behind `#` alone, so that an editor
    can take either off."""
    parts = [_STARTER_HEAD, *_starter_keys(Settings, (), {"data": data})]
    for entry in children(Settings):
        if entry.table is not None:
            parts += ["", *_comment(entry.table.__doc__ or ""), _table_header(entry.path)]
            parts += _starter_keys(entry.table, entry.path, {})
            if entry.table is Web:
                parts += ["", _STARTER_SITES.rstrip("\n")]
            parts += _starter_more(entry)
    return "\n".join(parts) + "\n"


def _starter_keys(kind: type[msgspec.Struct], path: tuple[str, ...], given: dict[str, str]) -> list[str]:
    rows = []
    for entry in children(kind, path):
        if entry.table is None:
            row = (
                f"{entry.name} = {to_toml(given[entry.name])}"
                if entry.name in given
                else f"#{entry.name} = {_default(entry)}"
            )
            rows.append((row, _first_sentence(entry.hint.description)))
    return _columns(rows, "  # ")


def _starter_more(table: Entry) -> Iterator[str]:
    """What the tables below a table may have, as prose: not every key makes sense beside every other."""
    for entry in entries(table.table or Web, table.path):
        if entry.table is None:
            continue
        rows = []
        for key in children(entry.table, entry.path):
            if key.table is None:
                row = f"#   {key.name} = {key.hint.example or _default(key)}"
                rows.append((row, _first_sentence(key.hint.description)))
        yield f"# {_table_header(entry.path)} may have"
        yield from _columns(rows, "   ", margin="#")


def _columns(rows: list[tuple[str, str]], mark: str, margin: str = "") -> list[str]:
    """Settings on the left, what they mean on the right, wrapped; a row that is too long for its column pushes its own note."""
    column = min(_WIDEST_COLUMN, max(len(row) for row, _ in rows))
    lines = []
    for row, note in rows:
        first, *more = textwrap.wrap(note, max(40, _COMMENT_WIDTH - max(column, len(row)) - len(mark)))
        lines.append(f"{row:<{column}}{mark}{first}")
        lines += [f"{margin:<{max(column, len(row))}}{mark}{line}" for line in more]
    return lines


def _first_sentence(words: str) -> str:
    return words.partition(". ")[0].removesuffix(".").replace("`", "") + "."


def _comment(words: str) -> list[str]:
    return textwrap.wrap(words.replace("`", ""), _COMMENT_WIDTH, initial_indent="# ", subsequent_indent="# ")
