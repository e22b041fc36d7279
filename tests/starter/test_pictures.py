"""What a picture is, by its octets."""

from __future__ import annotations

import pytest

from netlodge.starter.shop.pictures import TYPES, picture_type

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@pytest.mark.parametrize(
    ("octets", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF87a...", "image/gif"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\n\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"", None),
        (b"\x89PNG\r\n", None),
        (b" " + PNG, None),
        (b"GIF88a", None),
        (b"RIFF\n\x00\x00\x00WAVEfmt ", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", None),
        (b"<!doctype html><script>alert(1)</script>", None),
        (b"BM6\x00", None),
        (b"%PDF-1.7", None),
    ],
)
def test_a_picture_is_told_by_its_first_octets(octets: bytes, media_type: str | None) -> None:
    assert picture_type(octets) == media_type
    assert media_type is None or media_type in TYPES
