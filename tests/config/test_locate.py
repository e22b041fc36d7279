"""The line on which each key of a TOML file stands."""

from __future__ import annotations

import tomllib

from netlodge.config.errors import KeyPath
from netlodge.config.locate import key_lines

EVERYTHING = '''\
# comment = 1
data = "x" # c
"quoted key" = 1
a."b.c".'d' = 2

[web]                # [no]
listen = [
  "one:1",           # "two:2",
  "two:2",
]
text = """
[fake]
key = 3 \\"""
""""
literal = \'\'\'it''s
x = 1\'\'\'\'
dates = [1979-05-27 07:32:00, 1979-05-28]

[[web.site]]
hosts = []
routes = [{ path = "/}", deep = { x = [[1, 2], [3]] } }, { path = '/]' },
  { path = "/c" }]
[web.site.error_pages]
404 = "x"
[[web.site]]
[[web.site.fields]]
path = "#"
[[web.site.fields]]
path = "b"

[limits]
rate = -1.5e3
'''


def test_every_kind_of_key_has_its_line() -> None:
    lines = key_lines(EVERYTHING)
    wanted: dict[KeyPath, int] = {
        ("data",): 2,
        ("quoted key",): 3,
        ("a", "b.c", "d"): 4,
        ("web",): 6,
        ("web", "listen"): 7,
        ("web", "listen", 0): 8,
        ("web", "listen", 1): 9,
        ("web", "text"): 11,
        ("web", "literal"): 15,
        ("web", "dates", 1): 17,
        ("web", "site", 0): 19,
        ("web", "site", 0, "routes", 0, "path"): 21,
        ("web", "site", 0, "routes", 0, "deep", "x", 1, 0): 21,
        ("web", "site", 0, "routes", 1, "path"): 21,
        ("web", "site", 0, "routes", 2, "path"): 22,
        ("web", "site", 0, "error_pages", "404"): 24,
        ("web", "site", 1): 25,
        ("web", "site", 1, "fields", 1, "path"): 29,
        ("limits", "rate"): 32,
    }
    assert {path: lines.get(path) for path in wanted} == wanted


def test_no_key_is_missed_and_none_invented() -> None:
    def paths(value: object, at: KeyPath) -> set[KeyPath]:
        items: list[tuple[str | int, object]] = []
        if isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, list):
            items = list(enumerate(value))
        return {at}.union(*(paths(item, (*at, key)) for key, item in items))

    assert set(key_lines(EVERYTHING)) == paths(tomllib.loads(EVERYTHING), ()) - {()}


def test_an_empty_file_has_no_keys() -> None:
    assert key_lines("") == {}
    assert key_lines("\n# nothing\n  ") == {}
