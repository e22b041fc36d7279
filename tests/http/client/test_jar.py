"""The jar: RFC 6265bis §5.7 (storage), §5.8.3 (retrieval), §6.1 (limits), and its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from netlodge.http.client.errors import JarError
from netlodge.http.client.jar import Jar, JarLimits
from netlodge.http.client.jar_file import load_jar, save_jar
from netlodge.http.message import Fields
from netlodge.http.rules.uri import parse_web_uri


class Wall:
    """Seconds since the epoch, as the test says."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def jar_with(*answers: tuple[str, str], wall: Wall | None = None, limits: JarLimits | None = None) -> Jar:
    """A jar after answers: a URI, and a line of Set-Cookie."""
    jar = Jar(now=wall or Wall(), limits=limits)
    for uri, line in answers:
        jar.receive(parse_web_uri(uri), Fields([("set-cookie", line)]))
    return jar


def sent(jar: Jar, uri: str) -> str:
    return jar.cookie_for(parse_web_uri(uri))


S, H = "https://www.site.example/a/b", "http://www.site.example/a/b"


@pytest.mark.parametrize(
    ("answered", "line", "asked", "cookie"),
    [
        # The host alone, and domains.
        (S, "a=1", "https://www.site.example/a/", "a=1"),
        (S, "a=1", "https://site.example/a/", ""),
        (S, "a=1", "https://x.www.site.example/a/", ""),
        (S, "a=1; Domain=site.example", "https://other.site.example/a/", "a=1"),
        (S, "a=1; Domain=.SITE.example", "https://site.example/a/", "a=1"),
        (S, "a=1; Domain=other.example", "https://other.example/a/", ""),
        (S, "a=1; Domain=x.www.site.example", "https://x.www.site.example/a/", ""),
        (S, "a=1; Domain=notsite.example", "https://notsite.example/a/", ""),
        # Public suffixes.
        ("https://a.co.uk/", "a=1; Domain=co.uk", "https://b.co.uk/", ""),
        ("https://a.github.io/", "a=1; Domain=github.io", "https://b.github.io/", ""),
        ("https://github.io/", "a=1; Domain=github.io", "https://github.io/", "a=1"),
        ("https://github.io/", "a=1; Domain=github.io", "https://b.github.io/", ""),
        ("http://localhost/", "a=1; Domain=localhost", "http://localhost/", "a=1"),
        # Addresses have no subdomains.
        ("http://127.0.0.1/", "a=1; Domain=127.0.0.1", "http://127.0.0.1/", "a=1"),
        ("http://127.0.0.1/", "a=1; Domain=0.0.1", "http://127.0.0.1/", ""),
        ("http://[::1]/", "a=1", "http://[::1]/", "a=1"),
        # Paths.
        (S, "a=1", "https://www.site.example/a", "a=1"),
        (S, "a=1", "https://www.site.example/ab", ""),
        (S, "a=1; Path=/", "https://www.site.example/", "a=1"),
        (S, "a=1; Path=/a/b/c", "https://www.site.example/a/b", ""),
        # Ports and schemes.
        (S, "a=1; Path=/", "https://www.site.example:8443/", "a=1"),
        (S, "a=1; Path=/", "http://www.site.example/", "a=1"),
        (S, "a=1; Path=/; Secure", "http://www.site.example/", ""),
        (H, "a=1; Path=/; Secure", "https://www.site.example/", ""),
        # Prefixes and SameSite.
        (S, "__Host-a=1; Path=/; Secure", "https://www.site.example/", "__Host-a=1"),
        (S, "__Host-a=1; Path=/; Secure; Domain=site.example", "https://www.site.example/", ""),
        (S, "__Secure-a=1; Path=/", "https://www.site.example/", ""),
        (H, "__Secure-a=1; Path=/; Secure", "https://www.site.example/", ""),
        (S, "a=1; Path=/; SameSite=None", "https://www.site.example/", ""),
        (S, "a=1; Path=/; SameSite=Strict", "https://www.site.example/", "a=1"),
        # Time, and names.
        (S, "a=1; Path=/; Max-Age=0", "https://www.site.example/", ""),
        (S, "a=1; Path=/; Max-Age=60", "https://www.site.example/", "a=1"),
        (S, "a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://www.site.example/", ""),
        (S, "just a value; Path=/", "https://www.site.example/", "just a value"),
        (S, "a=\x00; Path=/", "https://www.site.example/", ""),
    ],
)  # fmt: skip
def test_a_cookie_goes_to_those_it_is_for(answered: str, line: str, asked: str, cookie: str) -> None:
    assert sent(jar_with((answered, line)), asked) == cookie


def test_longer_paths_and_older_cookies_come_first() -> None:
    jar = jar_with((S, "a=1; Path=/"), (S, "b=2; Path=/a"), (S, "c=3; Path=/"), (S, "a=4; Path=/"))
    assert sent(jar, S) == "b=2; a=4; c=3"


def test_a_cookie_ends_when_its_time_has_come() -> None:
    wall = Wall()
    jar = jar_with((S, "a=1; Path=/; Max-Age=60"), wall=wall)
    wall.now += 59
    assert sent(jar, S) == "a=1"
    wall.now += 2
    assert sent(jar, S) == ""
    assert len(jar) == 0


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("a=2; Path=/login", "a=1"), ("a=2; Path=/login/en", "a=1"), ("a=2; Path=/", "a=1; a=2"), ("b=2; Path=/login", "a=1; b=2"),
        ("a=2; Path=/login; Domain=site.example", "a=1"),
    ],
)  # fmt: skip
def test_what_came_in_the_clear_hides_nothing_that_tls_protected(line: str, after: str) -> None:
    jar = jar_with(("https://www.site.example/", "a=1; Path=/login; Secure"), ("http://www.site.example/", line))
    assert sent(jar, "https://www.site.example/login") == after


def test_too_many_cookies_push_out_those_that_matter_least() -> None:
    limits = JarLimits(per_domain=3, in_all=5)
    jar = jar_with(
        *((S, f"s{n}={n}; Path=/; Secure") for n in range(2)),
        *((S, f"h{n}={n}; Path=/") for n in range(3)),
        limits=limits,
    )
    assert sent(jar, S) == "s0=0; s1=1; h2=2"
    for n in range(4):
        jar.receive(parse_web_uri(f"https://{n}.example/"), Fields([("set-cookie", "a=1")]))
    assert len(jar) == 5
    assert sent(jar, S) == "h2=2"
    assert sent(jar, "https://3.example/") == "a=1"


def test_an_answer_cannot_make_a_jar_work_for_ever() -> None:
    jar = Jar(now=Wall())
    jar.receive(parse_web_uri(S), Fields([("set-cookie", f"a{n}=1") for n in range(1000)]))
    assert len(jar) == 50


# --- Its file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_netscape", [False, True], ids=["json", "netscape"])
def test_a_jar_is_kept_in_a_file_that_its_owner_alone_can_read(tmp_path: Path, is_netscape: bool) -> None:
    path = tmp_path / "cookies"
    if is_netscape:
        path.write_text("# Netscape HTTP Cookie File\n\n")
        path.chmod(0o644)
    jar = jar_with((S, "a=\xe41; Path=/; Domain=site.example; Secure; HttpOnly; Max-Age=1000"), (S, "b=2; Path=/"))
    save_jar(jar, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"# Netscape" if is_netscape else b'{"format":"netlodge-cookies-1"')
    again = load_jar(path, now=Wall())
    assert sent(again, S) == "a=\xe41; b=2"
    assert sent(again, "http://site.example/") == ""
    kept = {cookie.name: cookie for cookie in again.cookies()}
    assert (kept["a"].is_http_only, kept["a"].is_host_only, kept["a"].expires) == (True, False, 1_000_001_000)
    assert (kept["b"].is_http_only, kept["b"].is_host_only, kept["b"].expires) == (False, True, None)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_not_written_when_nothing_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "cookies"
    jar = load_jar(path)
    assert sent(jar, S) == ""
    save_jar(jar, path)
    assert not path.exists()


def test_lines_of_cookies_txt_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(
        "# HTTP Cookie File\n# note\nlocalhost\tFALSE\t/\tFALSE\t0\ta\t1\nlocalhost\tFALSE\t/\tFALSE\tsoon\tb\t2\nlocalhost\tx\n"
        "#HttpOnly_localhost\tFALSE\t/\tFALSE\t9999999999\tc\t3\nlocalhost\tFALSE\trelative\tFALSE\t0\td\t4\n"
    )
    assert sent(load_jar(path), "http://localhost/") == "a=1; c=3"


@pytest.mark.parametrize("content", [b"{}", b"[]", b"hello", b'{"format": "other", "cookies": []}', b"\xff"])
def test_a_file_that_holds_no_cookies_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(JarError, match="precious"):
        load_jar(path)
    assert path.read_bytes() == content


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(JarError, match="cannot be read"):
        load_jar(tmp_path)
    jar = jar_with((S, "a=1"))
    with pytest.raises(JarError, match="cannot be kept"):
        save_jar(jar, tmp_path / "no" / "folder")
