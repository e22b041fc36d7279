"""How much of a message head, and of what frames a body, the HTTP/1.1 codec takes from a peer.

RFC 9110 §5.4, RFC 9112 §3, §7.1.1: HTTP itself sets no limits, so a recipient must. The size of a body is not framing: the
session checks it.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class WireLimits(NamedTuple):
    """Each attribute is the setting `limits.<attribute>`, and an error that it causes names it so. Sizes in octets."""

    request_line_size: int = 8_192
    """A request line without its CRLF; 414 beyond. RFC 9112 §3 recommends 8000 at least; nginx 8 KiB, Apache 8190."""
    head_size: int = 32_768
    """A head, or a trailer section, with its empty line; 431 beyond. nginx: `large_client_header_buffers`, 4 of 8 KiB."""
    field_count: int = 100
    """Field lines in one section; 431 beyond. Apache: `LimitRequestFields` 100."""
    chunk_extension_size: int = 16_384
    """The extensions of one chunk, and those of a run of chunks beyond one octet for each octet of their content; 400 beyond. Go's
    `net/http` counts in the same way: chunks that are signed one by one pass, however many, but not extensions in place of
    content."""


EMPTY_LINES: Final = 10
"""Empty lines that may stand before a head. RFC 9112 §2.2 asks for one at least; Apache takes 10. Not a setting: it bounds what the
grammar forgives, not what a client may need."""
