"""The field Link, as far as it says what will be needed next (RFC 8288 §3; W3C Preload)."""

from __future__ import annotations

import pytest

from netlodge.http.rules.links import preloaded_paths


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("</a.css>; rel=preload", ["/a.css"]),
        ("</a.css>;rel=preload;as=style,</b.js>; rel=preload; as=script", ["/a.css", "/b.js"]),
        ('</a.css>; rel="preload"', ["/a.css"]),
        ('</a.css>; REL="Stylesheet Preload"', ["/a.css"]),
        ('</a?b=c,d;e>; title="x, </y>; rel=preload"; rel=preload', ["/a?b=c,d;e"]),
        ("</a.css>; rel=preload, </a.css>; rel=preload", ["/a.css"]),
        ("</a.css#here> ; rel = preload", ["/a.css"]),
        ("</a.css>; rel=preload; nopush", []),
        ("</a.css>; rel=preload; nopush=x", []),
        ("</a.css>; rel=preload; rel=next", ["/a.css"]),
        ("</a.css>; rel=next; rel=preload", []),
        ("</a.css>; rel=preloaded", []),
        ("</a.css>", []),
        ("<//other/a.css>; rel=preload", []),
        ("<http://a/a.css>; rel=preload", []),
        ("<a.css>; rel=preload", []),
        ("<>; rel=preload", []),
        (", ,</a.css>; rel=preload,", ["/a.css"]),
        ("", []),
        ("/a.css; rel=preload", []),
        ("</a.css; rel=preload", []),
        ("</a.css>; rel=preload </b.css>; rel=preload", []),
        ('</a.css>; rel="preload, </b.css>; rel=preload', []),
        ('</a.css>; title="\\""; rel=preload', ["/a.css"]),
    ],
)
def test_paths_that_are_to_be_loaded(value: str, paths: list[str]) -> None:
    assert preloaded_paths(value) == paths


def test_a_long_field_is_read_in_one_pass() -> None:
    assert preloaded_paths("</a>; rel=preload" + "; x" * 10_000 + " <") == []
    assert preloaded_paths("<" * 30_000) == []
    assert len(preloaded_paths(", ".join(f"</{number}>; rel=preload" for number in range(1000)))) == 1000
