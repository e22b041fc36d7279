"""A browser on the starter site and on the dashboard: the words are there, and what the pages refer to was fetched and applied."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lodge import Lodge, until

PATIENCE = 60.0
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--window-size=800,600",
    # Whatever else it would like to look up, it does not find.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    with Lodge(settings=None) as lodge:
        yield lodge


def chromium(tmp_path: Path, *options: str) -> str:
    command = ["chromium", *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def logged(lodge: Lodge, path: str, status: int) -> bool:
    return any(f'"GET {path} HTTP/1.1" {status} ' in line for line in lodge.log_lines)


def test_the_starter_site_shows_as_it_was_drawn(lodge: Lodge, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    dom = chromium(tmp_path, f"--screenshot={picture}", "--dump-dom", lodge.url("/"))
    assert "<h1>" in dom
    assert "The lodge is open" in dom
    for path in ("/", "/style.css", "/lodge.svg"):
        until(lambda path=path: logged(lodge, path, 200), f"{path} in the access log")  # type: ignore[misc]
    # Without its stylesheet and its drawing the page would have text in black on white, and nothing else.
    assert len(colours(picture)) > 20


def test_a_page_that_is_not_there_is_told_in_the_same_style(lodge: Lodge, tmp_path: Path) -> None:
    dom = chromium(tmp_path, "--dump-dom", lodge.url("/no/such/room"))
    assert "No such room" in dom
    until(lambda: logged(lodge, "/no/such/room", 404), "the 404 in the access log")
    until(lambda: logged(lodge, "/style.css", 200), "the style in the access log")


def test_the_dashboard_shows_numbers(lodge: Lodge, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    dom = chromium(tmp_path, f"--screenshot={picture}", "--dump-dom", lodge.url("/", "dashboard"))
    assert lodge.doors["web"].rpartition(":")[0] in dom
    assert "web" in dom
    assert len(colours(picture)) > 3


def colours(png: Path) -> set[bytes]:
    """The distinct colours of the rows' first differences: enough to tell a page with a style from one without (PNG, 8 bits)."""
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, idat, width, kind = 8, b"", 0, 0
    while at < len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunk = data[at + 8 : at + 8 + length]
        if name == b"IHDR":
            width, kind = int.from_bytes(chunk[:4], "big"), chunk[9]
        elif name == b"IDAT":
            idat += chunk
        at += length + 12
    depth = {2: 3, 6: 4}[kind]
    raw, stride = zlib.decompress(idat), width * depth
    seen: set[bytes] = set()
    before = bytes(stride)
    for start in range(0, len(raw), stride + 1):
        before = unfilter(raw[start], raw[start + 1 : start + 1 + stride], before, depth)
        seen.update(before[pixel : pixel + 3] for pixel in range(0, stride, depth * 7))
    return seen


def unfilter(kind: int, row: bytes, above: bytes, depth: int) -> bytes:
    """One row of a PNG without its filter (PNG specification §9)."""
    made = bytearray(row)
    for place in range(len(made)):
        left = made[place - depth] if place >= depth else 0
        corner = above[place - depth] if place >= depth else 0
        made[place] = (made[place] + predicted(kind, left, above[place], corner)) & 0xFF
    return bytes(made)


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        distances = [(abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner)]
        return min(distances)[2]
    return (0, left, up, (left + up) // 2)[kind]
