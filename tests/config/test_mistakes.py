"""Every kind of mistake in the settings, with the exact sentence that it is told in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from netlodge.config.errors import SettingsError, dotted
from netlodge.config.loading import Sources, load

ROUTE = '[[web.site]]\nroutes = [{ path = "/", %s }]'


def sentences(folder: Path, text: str | bytes, *overrides: str) -> list[str]:
    """What is said about a `netlodge.toml` with this text; fails if it is found right."""
    (folder / "netlodge.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SettingsError) as caught:
        load(Sources(directory=folder, overrides=overrides))
    return [sentence.replace(str(folder), "HERE") for sentence in str(caught.value).split("\n")]


CASES = {
    # Keys
    "a key near another at its level": (
        '[limits]\nhead_tiemout = "5 s"',
        'netlodge.toml:2: limits.head_tiemout = "5 s": there is no such key; did you mean "limits.head_timeout"?',
    ),
    "a key of another level": (
        '[web]\nhead_timeout = "5 s"',
        'netlodge.toml:2: web.head_timeout = "5 s": there is no such key; did you mean "limits.head_timeout"?',
    ),
    "a key of a list of tables": (
        'web.site = [{ hots = ["a.example"], routes = [{ path = "/", respond = "" }] }]',
        'netlodge.toml:1: web.site[0].hots = ["a.example"]: there is no such key; did you mean "web.site[0].hosts"?',
    ),
    "a table": ("\n[limit]\nhead_size = 3", 'netlodge.toml:2: limit: there is no such key; did you mean "limits"?'),
    "a key like no other": (
        "[drain]\nxyzzy = 1",
        "netlodge.toml:2: drain.xyzzy = 1: there is no such key; here stand timeout, stop_timeout.",
    ),
    "a key that must be quoted": (
        '[drain]\n"a \\"b" = 1',
        'netlodge.toml:2: drain."a \\"b" = 1: there is no such key; here stand timeout, stop_timeout.',
    ),
    "a key that must be given": (
        '[[web.site]]\nroutes = [{ respond = "" }]',
        "netlodge.toml:2: web.site[0].routes[0].path: must be given.",
    ),
    # Types
    "a number for a string": ("user = 1000", "netlodge.toml:1: user = 1000: must be a string."),
    "a string for a number": (
        '[limits]\nfield_count = "100"',
        'netlodge.toml:2: limits.field_count = "100": must be a whole number from 8 to 10000.',
    ),
    "true for a number": (
        "workers = true",
        'netlodge.toml:1: workers = true: must be "auto" or a whole number from 1 to 256.',
    ),
    "one for true": ("web.trace = 1", "netlodge.toml:1: web.trace = 1: must be true or false."),
    "true for a duration": (
        "limits.head_timeout = true",
        'netlodge.toml:1: limits.head_timeout = true: must be a duration from 100 ms to 1 h, such as "10 s".',
    ),
    "a float for a size": (
        "limits.head_size = 1e6",
        'netlodge.toml:1: limits.head_size = 1000000.0: must be a size from 512 B to 16 MiB, such as "64 KiB".',
    ),
    "a string for a list": (
        'web.listen = "127.0.0.1:80"',
        'netlodge.toml:1: web.listen = "127.0.0.1:80": must be a list of addresses, such as ["127.0.0.1:80"].',
    ),
    "a number in a list": (
        'web.listen = [\n  "127.0.0.1:80",\n  8080,\n]',
        'netlodge.toml:3: web.listen[1] = 8080: must be an address, such as "127.0.0.1:8080".',
    ),
    "a string for a table": ('log = "off"', 'netlodge.toml:1: log = "off": must be a table.'),
    "a table for a list of tables": (
        "[web.site]\nhosts = []",
        "netlodge.toml:1: web.site = { hosts = [] }: must be a list of tables.",
    ),
    "a string for a table of strings": (
        ROUTE % 'respond = "", fields = "x"',
        'netlodge.toml:2: web.site[0].routes[0].fields = "x": must be a table of strings.',
    ),
    "a number in a table of strings": (
        ROUTE % 'respond = "", fields = { age = 3 }',
        "netlodge.toml:2: web.site[0].routes[0].fields.age = 3: must be a string.",
    ),
    "an empty path": ('data = ""', 'netlodge.toml:1: data = "": must be a path.'),
    "a value too long to show": (
        f'log.level = "{"x" * 100}"',
        f'netlodge.toml:1: log.level = "{"x" * 58}…: must be "debug", "info", "warning" or "error".',
    ),
    # Values
    "a word near another": (
        'log.format = "combine"',
        'netlodge.toml:1: log.format = "combine": must be "combined" or "json"; did you mean "combined"?',
    ),
    "a number out of range": (
        "workers = 0",
        'netlodge.toml:1: workers = 0: must be "auto" or a whole number from 1 to 256.',
    ),
    "a duration out of range": (
        'limits.head_timeout = "2 h"',
        'netlodge.toml:1: limits.head_timeout = "2 h": must be a duration from 100 ms to 1 h.',
    ),
    "a size out of range": (
        "limits.head_size = 1",
        "netlodge.toml:1: limits.head_size = 1: must be a size from 512 B to 16 MiB.",
    ),
    "a unit that is none": (
        'limits.head_timeout = "5 m"',
        'netlodge.toml:1: limits.head_timeout = "5 m": has no known unit; did you mean "5 min"?',
    ),
    "a host name to listen on": (
        'web.listen = ["localhost:80"]',
        (
            'netlodge.toml:1: web.listen[0] = "localhost:80": must name a numeric address, not a host name; '
            'write "127.0.0.1:80" and "[::1]:80".'
        ),
    ),
    "a value that is no field value": (
        'web.server_field = "a\\r\\nb"',
        (
            'netlodge.toml:1: web.server_field = "a\\r\\nb": is no field value: it has control characters, '
            "characters beyond Latin-1, or space at its ends."
        ),
    ),
    # Contradictions
    "an address of two doors": (
        'dashboard.listen = ["127.0.0.1:8080"]',
        'netlodge.toml:1: dashboard.listen[0] = "127.0.0.1:8080": is taken by web.listen[0].',
    ),
    "an address twice in a list": (
        'lines.echo = ["[::1]:7", "[0::1]:7"]',
        'netlodge.toml:1: lines.echo[1] = "[::1]:7": is taken by lines.echo[0].',
    ),
    "a line service on a socket": (
        'lines.echo = ["unix:/run/echo"]',
        'netlodge.toml:1: lines.echo[0] = "unix:/run/echo": must be an IP address: line services answer on UDP too.',
    ),
    "a line longer than the head": (
        '[limits]\nrequest_line_size = "64 KiB"',
        'netlodge.toml:2: limits.request_line_size = "64 KiB": must not be above limits.head_size, which is "32 KiB".',
    ),
    "a field longer than its form": (
        '[limits]\nform_field_size = "8 MiB"',
        'netlodge.toml:2: limits.form_field_size = "8 MiB": must not be above limits.form_size, which is "4 MiB".',
    ),
    # Sites and routes
    "a site without routes": (
        '[[web.site]]\nhosts = ["a.example"]',
        'netlodge.toml:1: web.site[0].routes: must have at least one route, such as { path = "/", files = "www" }.',
    ),
    "a route that does nothing": (
        '[[web.site]]\nroutes = [{ path = "/" }]',
        "netlodge.toml:2: web.site[0].routes[0]: has none; a route has exactly one of files, app, redirect and respond.",
    ),
    "a route that does two things": (
        ROUTE % 'redirect = "/a", respond = "b"',
        (
            "netlodge.toml:2: web.site[0].routes[0]: has redirect and respond; "
            "a route has exactly one of files, app, redirect and respond."
        ),
    ),
    "a route twice": (
        ROUTE % 'respond = "a" }, { path = "/", respond = "b"',
        'netlodge.toml:2: web.site[0].routes[1].path = "/": has a route in this site already.',
    ),
    "a path without a slash": (
        '[[web.site]]\nroutes = [{ path = "a", respond = "" }]',
        'netlodge.toml:2: web.site[0].routes[0].path = "a": must begin with "/"; did you mean "/a"?',
    ),
    "a path with a query": (
        '[[web.site]]\nroutes = [{ path = "/a?b", respond = "" }]',
        (
            'netlodge.toml:2: web.site[0].routes[0].path = "/a?b": must be a path without dot segments, query and control '
            "characters."
        ),
    ),
    "a path that climbs": (
        '[[web.site]]\nroutes = [{ path = "/a/../b", respond = "" }]',
        (
            'netlodge.toml:2: web.site[0].routes[0].path = "/a/../b": must be a path without dot segments, query and control '
            "characters."
        ),
    ),
    "a route twice, with and without its slash": (
        '[[web.site]]\nroutes = [{ path = "/a", respond = "" }, { path = "/%61/", respond = "" }]',
        'netlodge.toml:2: web.site[0].routes[1].path = "/%61/": has a route in this site already.',
    ),
    "a redirect to another host in disguise": (
        ROUTE % 'redirect = "//elsewhere.example/"',
        (
            'netlodge.toml:2: web.site[0].routes[0].redirect = "//elsewhere.example/": must be a path or an http or https URI, '
            'percent-encoded, such as "/new/".'
        ),
    ),
    "a redirect to nowhere": (
        ROUTE % 'redirect = "new page"',
        (
            'netlodge.toml:2: web.site[0].routes[0].redirect = "new page": must be a path or an http or https URI, '
            'percent-encoded, such as "/new/".'
        ),
    ),
    "a redirect with a status that is none": (
        ROUTE % 'redirect = "/a", status = 200',
        "netlodge.toml:2: web.site[0].routes[0].status = 200: is no redirect; choose one of 301, 302, 303, 307, 308.",
    ),
    "an informational status": (
        ROUTE % 'respond = "", status = 101',
        "netlodge.toml:2: web.site[0].routes[0].status = 101: must be a whole number from 200 to 599.",
    ),
    "an index without files": (
        ROUTE % 'respond = "", index = ["a"]',
        'netlodge.toml:2: web.site[0].routes[0].index = ["a"]: has no meaning without files.',
    ),
    "a status with files": (
        ROUTE % 'files = "www", status = 200',
        "netlodge.toml:2: web.site[0].routes[0].status = 200: has no meaning with files.",
    ),
    "a field that is no name": (
        ROUTE % 'respond = "", fields = { "x y" = "z" }',
        'netlodge.toml:2: web.site[0].routes[0].fields."x y" = "z": is no field name (RFC 9110 §5.1).',
    ),
    "a field that breaks the framing": (
        ROUTE % 'respond = "", fields = { Content-Length = "3" }',
        'netlodge.toml:2: web.site[0].routes[0].fields.Content-Length = "3": is a field that the lodge computes itself.',
    ),
    **{
        f"a field that the lodge computes: {name}": (
            ROUTE % f'respond = "", fields = {{ {name} = "x" }}',
            f'netlodge.toml:2: web.site[0].routes[0].fields.{name} = "x": is a field that the lodge computes itself.',
        )
        for name in ("ETag", "Location", "Content-Range", "Last-Modified")
    },
    **{
        f"a text with status {status}": (
            ROUTE % f'respond = "x", status = {status}',
            f'netlodge.toml:2: web.site[0].routes[0].respond = "x": must be "": an answer of status {status} has no content.',
        )
        for status in (204, 205, 304)
    },
    **{
        f"an index that is no name: {name!r}": (
            ROUTE % f'files = "www", index = ["a", {json.dumps(name)}]',
            f'netlodge.toml:2: web.site[0].routes[0].index[1] = {json.dumps(name)}: must be the name of a file, such as "index.html".',
        )
        for name in ("", ".", "..", "a/b", "../b", "a\\b", "a\0b")
    },
    "an extension twice": (
        ROUTE % 'respond = ""' + '\nmedia_types = { ".gmi" = "text/gemini", ".GMI" = "text/plain" }',
        (
            'netlodge.toml:3: web.site[0].media_types.".GMI" = "text/plain": is the same extension as ".gmi"; '
            "case makes no difference."
        ),
    ),
    "a pattern that fits nothing": (
        ROUTE % 'respond = ""' + '\nfields = [{ path = "assets/*" }]',
        'netlodge.toml:3: web.site[0].fields[0].path = "assets/*": must begin with "/" or "*".',
    ),
    "an extension without a dot": (
        ROUTE % 'respond = ""' + '\nmedia_types = { gmi = "text/gemini" }',
        (
            'netlodge.toml:3: web.site[0].media_types.gmi = "text/gemini": must have an extension as its key, '
            'with its dot, such as ".gmi".'
        ),
    ),
    "a media type that is none": (
        ROUTE % 'respond = ""' + '\nmedia_types = { ".gmi" = "gemini" }',
        (
            'netlodge.toml:3: web.site[0].media_types.".gmi" = "gemini": must be a media type, '
            'such as "text/plain; charset=utf-8".'
        ),
    ),
    "an error page for no error": (
        ROUTE % 'respond = ""' + '\nerror_pages = { 200 = "www/index.html" }',
        (
            'netlodge.toml:3: web.site[0].error_pages.200 = "HERE/www/index.html": is for a status that is no error; '
            "error statuses are 400 to 599."
        ),
    ),
    "an error page for no status": (
        ROUTE % 'respond = ""' + '\nerror_pages = { "4xx" = "www/index.html" }',
        "netlodge.toml:3: web.site[0].error_pages.4xx: must be a whole number.",
    ),
    # The disk
    "a folder that is missing": (
        ROUTE % 'files = "htdocs"',
        'netlodge.toml:2: web.site[0].routes[0].files = "HERE/htdocs": there is no such folder.',
    ),
    "a folder that is a file": (
        ROUTE % 'files = "www/index.html"',
        'netlodge.toml:2: web.site[0].routes[0].files = "HERE/www/index.html": is no folder.',
    ),
    "a folder that shows the data": (
        ROUTE % 'files = "."',
        (
            'netlodge.toml:2: web.site[0].routes[0].files = "HERE": would show the data folder, HERE/lodge, to everyone; '
            "choose another folder, or another data."
        ),
    ),
    "a fallback that is missing": (
        ROUTE % 'files = "www", fallback = "app.html"',
        'netlodge.toml:2: web.site[0].routes[0].fallback = "app.html": there is no such file in HERE/www.',
    ),
    "a fallback outside": (
        ROUTE % 'files = "www", fallback = "../netlodge.toml"',
        'netlodge.toml:2: web.site[0].routes[0].fallback = "../netlodge.toml": must be a file within files.',
    ),
    "an error page that is missing": (
        ROUTE % 'respond = ""' + '\nerror_pages = { 404 = "404.html" }',
        'netlodge.toml:3: web.site[0].error_pages.404 = "HERE/404.html": there is no such file.',
    ),
    "data in a file": (
        'data = "www/index.html"',
        'netlodge.toml:1: data = "HERE/www/index.html": is a file; it must be a folder, or not there yet.',
    ),
    # The file itself
    "text that is no TOML": (
        "workers = 1\nuser 3",
        "netlodge.toml:2: is no TOML at column 6: expected '=' after a key in a key/value pair.",
    ),
    "a file that ends early": (
        "web.listen = [\n",
        "netlodge.toml:2: is no TOML at the end of the file: invalid value.",
    ),
    "a table twice": (
        "[web.x]\n\n[web.x]",
        "netlodge.toml:3: is no TOML at column 7: cannot declare web.x twice.",
    ),
    "bytes that are not UTF-8": (b"user = 'a'\n# \xff", "netlodge.toml:2: is not in UTF-8."),
}


@pytest.mark.parametrize(("text", "sentence"), CASES.values(), ids=CASES.keys())
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/index.html").touch()
    assert sentences(tmp_path, text) == [sentence]


HOSTS = {
    "münchen.example": 'must be in ASCII; did you mean "xn--mnchen-3ya.example"?',
    "a.example:80": 'must not have a port; did you mean "a.example"?',
    "http://a.example": 'must be a host name, not a URI, such as "www.example.org".',
    "::1": 'must have brackets around IPv6 alone; did you mean "[::1]"?',
    "a.*.example": 'may have one "*", as its whole first label, such as "*.example.net".',
    "*a.example": 'may have one "*", as its whole first label, such as "*.example.net".',
    "a b": 'must be a host name, such as "www.example.org" or "*.example.net".',
    "": 'must be a host name, such as "www.example.org" or "*.example.net".',
    "a.example.": 'must be a host name, such as "www.example.org" or "*.example.net".',
    "-a.example": 'must be a host name, such as "www.example.org" or "*.example.net".',
}


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_pattern_is_a_name_with_at_most_one_star(tmp_path: Path, host: str) -> None:
    text = f'[[web.site]]\nhosts = ["{host}"]\nroutes = [{{ path = "/", respond = "" }}]'
    assert sentences(tmp_path, text) == [f'netlodge.toml:2: web.site[0].hosts[0] = "{host}": {HOSTS[host]}']


@pytest.mark.parametrize("host", ["*", "localhost", "A.example", "*.example.net", "127.0.0.1", "[::1]", "my_host"])
def test_a_host_may_be_a_name_a_pattern_or_an_address(tmp_path: Path, host: str) -> None:
    text = f'[[web.site]]\nhosts = ["{host}"]\nroutes = [{{ path = "/", respond = "" }}]'
    (tmp_path / "netlodge.toml").write_text(text)
    assert load(Sources(directory=tmp_path)).settings.web.site[0].hosts == (host,)


def test_a_host_belongs_to_one_site(tmp_path: Path) -> None:
    site = '[[web.site]]\nhosts = ["%s"]\nroutes = [{ path = "/", respond = "" }]\n'
    assert sentences(tmp_path, site % "a.example" + site % "A.Example") == [
        'netlodge.toml:5: web.site[1].hosts[0] = "A.Example": is answered by web.site[0].hosts[0] already.'
    ]


def test_an_ipv6_host_belongs_to_one_site_however_it_is_written(tmp_path: Path) -> None:
    site = '[[web.site]]\nhosts = ["%s"]\nroutes = [{ path = "/", respond = "" }]\n'
    assert sentences(tmp_path, site % "[::1]" + site % "[0:0::1]") == [
        'netlodge.toml:5: web.site[1].hosts[0] = "[0:0::1]": is answered by web.site[0].hosts[0] already.'
    ]


def test_one_site_takes_what_no_other_does(tmp_path: Path) -> None:
    site = '[[web.site]]\nroutes = [{ path = "/", respond = "" }]\n'
    assert sentences(tmp_path, site + site) == [
        "netlodge.toml:3: web.site[1]: is for every host that no other site names, and so is web.site[0]."
    ]


def test_all_mistakes_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
workers = "many"
[limits]
head_size = "5 parsecs"
[[web.site]]
hosts = [3]
routes = [{ path = "/", respond = "" }]
[[web.site]]
hosts = ["a:1"]
routes = [{ path = "/", files = "nowhere" }]
"""
    assert sentences(tmp_path, text, "log.levl=info") == [
        '--set: log.levl = "info": there is no such key; did you mean "log.level"?',
        'netlodge.toml:1: workers = "many": must be "auto" or a whole number from 1 to 256.',
        (
            'netlodge.toml:3: limits.head_size = "5 parsecs": has no known unit; '
            "the units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB."
        ),
        "netlodge.toml:5: web.site[0].hosts[0] = 3: must be a string.",
        'netlodge.toml:8: web.site[1].hosts[0] = "a:1": must not have a port; did you mean "a"?',
        'netlodge.toml:9: web.site[1].routes[0].files = "HERE/nowhere": there is no such folder.',
    ]


def test_a_broken_value_brings_up_no_mistake_that_is_none(tmp_path: Path) -> None:
    """The default of a broken list must not collide with what another key says."""
    text = 'web.listen = [8080]\ndashboard.listen = ["127.0.0.1:8080"]'
    assert len(sentences(tmp_path, text)) == 1


def test_an_option_is_named_where_it_is_at_fault(tmp_path: Path) -> None:
    assert sentences(tmp_path, "", "foo.bar=1", "web.listen.x=1", "log.level=loud") == [
        (
            "--set: foo: there is no such key; here stand data, workers, event_loop, user, group, web, tls, database, "
            "sessions, lines, dashboard, log, taps, recall, limits, drain."
        ),
        "--set: web.listen = { x = 1 }: must be a list of addresses.",
        '--set: log.level = "loud": must be "debug", "info", "warning" or "error".',
    ]


def test_an_option_cannot_reach_into_what_is_no_table(tmp_path: Path) -> None:
    assert sentences(tmp_path, "workers = 2", "workers.y=1") == [
        "--set: workers.y: workers is no table, so it has no such key."
    ]


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^nowhere\.toml: there is no such file\.$"):
        load(Sources(directory=tmp_path, config=Path("nowhere.toml")))


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "netlodge.toml").mkdir()
    with pytest.raises(SettingsError, match=r"^netlodge\.toml: cannot be read: Is a directory\.$"):
        load(Sources(directory=tmp_path))


def test_a_file_that_is_far_too_large_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "netlodge.toml").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SettingsError, match=r"^netlodge\.toml: is too large to be a settings file\.$"):
        load(Sources(directory=tmp_path))


def test_a_file_that_is_nested_far_too_deeply_is_refused(tmp_path: Path) -> None:
    (sentence,) = sentences(tmp_path, "data = " + "[" * 100_000)
    assert sentence == "netlodge.toml: is nested too deeply."


def test_a_folder_that_this_user_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "www").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root, in a container, may read everything
    assert sentences(tmp_path, ROUTE % 'files = "www"') == [
        'netlodge.toml:2: web.site[0].routes[0].files = "HERE/www": cannot be read by this user.'
    ]


def test_a_user_must_exist_by_name_or_by_number(tmp_path: Path) -> None:
    assert sentences(tmp_path, 'user = "no-such-user"\ngroup = "no-such-group"') == [
        'netlodge.toml:1: user = "no-such-user": is no user of this machine.',
        'netlodge.toml:2: group = "no-such-group": is no group of this machine.',
    ]
    assert sentences(tmp_path, f'user = "{"9" * 30}"') == [
        f'netlodge.toml:1: user = "{"9" * 30}": is no user of this machine.'
    ]
    (tmp_path / "netlodge.toml").write_text('user = "0"\ngroup = "0"')
    assert load(Sources(directory=tmp_path)).settings.user == "0"


def test_a_group_goes_with_a_user(tmp_path: Path) -> None:
    assert sentences(tmp_path, 'group = "root"') == ['netlodge.toml:1: group = "root": has no effect without user.']


@pytest.mark.parametrize("path", ["/ä b", "/a%20b", "/.well-known/", "/a.b/", "/..a"])
def test_a_route_may_be_written_as_people_write_paths(tmp_path: Path, path: str) -> None:
    (tmp_path / "netlodge.toml").write_text(f'[[web.site]]\nroutes = [{{ path = "{path}", respond = "" }}]')
    assert load(Sources(directory=tmp_path)).settings.web.site[0].routes[0].path == path


def test_paths_are_written_as_in_toml() -> None:
    assert dotted(("web", "site", 0, "error_pages", "404")) == "web.site[0].error_pages.404"
    assert dotted(("a", "b.c", 'd"')) == 'a."b.c"."d\\""'
