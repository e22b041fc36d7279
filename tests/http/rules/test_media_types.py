"""RFC 9110 §8.3."""

from __future__ import annotations

import re

import pytest

from netlodge.http.rules.media_types import _BY_TYPE, MediaTypes


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("INDEX.HTM", "text/html; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("app.mjs", "text/javascript; charset=utf-8"),
        ("data.json", "application/json"),
        ("logo.svg", "image/svg+xml"),
        ("photo.JPG", "image/jpeg"),
        ("film.mp4", "video/mp4"),
        ("face.woff2", "font/woff2"),
        ("letter.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("main.rs", "text/plain; charset=utf-8"),
        ("module.wasm", "application/wasm"),
        ("site.tar.gz", "application/gzip"),
        (".html", "text/html; charset=utf-8"),
        ("LICENSE", "application/octet-stream"),
        ("strange.zzz", "application/octet-stream"),
        ("ends-with.", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_the_extension_decides(name: str, kind: str) -> None:
    assert MediaTypes().of(name) == kind


def test_additions_go_before_the_table() -> None:
    types = MediaTypes({".GMI": "text/gemini", "html": "application/x-mine", "txt": "text/plain; charset=iso-8859-1"})
    assert types.of("a.gmi") == "text/gemini; charset=utf-8"
    assert types.of("a.html") == "application/x-mine"
    assert types.of("a.txt") == "text/plain; charset=iso-8859-1"


def test_the_longest_extension_counts() -> None:
    types = MediaTypes({".tar.gz": "application/x-mine", ".gz": "application/x-other"})
    assert types.of("site.tar.gz") == "application/x-mine"
    assert types.of("site-1.0.TAR.gz") == "application/x-mine"
    assert types.of("tar.gz") == "application/x-other"
    assert types.of("/srv/a.tar.gz/b.gz") == "application/x-other"
    assert types.of("/srv/a.html/b") == "application/octet-stream"


def test_charset_and_default_can_be_chosen() -> None:
    assert MediaTypes(charset="").of("a.html") == "text/html"
    assert MediaTypes(default="text/plain").of("LICENSE") == "text/plain; charset=utf-8"


def test_no_extension_stands_twice_in_the_table() -> None:
    extensions = [extension for line in _BY_TYPE.values() for extension in line.split()]
    assert sorted(extensions) == sorted(set(extensions))
    assert len(extensions) > 200


def test_every_type_is_a_media_type() -> None:
    for kind in _BY_TYPE:
        assert re.fullmatch(r"(application|audio|font|image|text|video)/[a-z0-9][a-z0-9.+-]*", kind)


def test_one_extension_is_looked_up_by_itself() -> None:
    types = MediaTypes({".gmi": "text/gemini"})
    assert types.of_extension("gmi") == "text/gemini; charset=utf-8"
    assert types.of_extension("html") == "text/html; charset=utf-8"
    assert types.of_extension("nothing") is None
