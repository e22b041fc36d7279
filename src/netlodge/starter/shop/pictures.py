"""What a picture is, by its first octets: what a client says of a file it sends is not worth believing.

WHATWG MIME Sniffing standard, "matching an image type pattern", for the four types that the shop takes. None of them can hold a script that a
browser would run, as long as the picture is sent with its own type and `X-Content-Type-Options: nosniff`.
"""

from __future__ import annotations

import re
from typing import Final

LARGEST: Final = 2 << 20
"""Octets of a picture."""
TYPES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")

_SIGNATURES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBPVP", re.DOTALL), "image/webp"),
)


def picture_type(octets: bytes) -> str | None:
    """The media type of a picture, one of `TYPES`; None if it is none of them."""
    return next((kind for signature, kind in _SIGNATURES if signature.match(octets)), None)
