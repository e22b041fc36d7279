"""Where a browser says that a request comes from: a page of this very site, or one of others.

W3C Fetch Metadata (`Sec-Fetch-Site`), RFC 6454 §7 (Origin). A browser sends a person's cookies and logins along whoever asks it to; this is
what tells the pages of others apart (CSRF). Other clients say nothing of it.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from netlodge.http.message import Request

_PORTS: Final = {"http": 80, "https": 443}


def may_be_of_this_site(request: Request) -> bool:
    """False for a request that a browser says a page of another site has caused."""
    site = request.fields.get("sec-fetch-site")
    if site is not None:
        return site.lower() in {"same-origin", "none"}
    # Browsers leave the other field out where the page came without TLS.
    origin = request.fields.get("origin")
    return origin is None or _is_own(origin, request)


def _is_own(origin: str, request: Request) -> bool:
    """Whether an Origin names the host and port of the request. The scheme is left out: behind a proxy that ends TLS it differs."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    default = _PORTS.get(parts.scheme)
    if default is None or not parts.hostname:
        return False  # `null`, among others: a page without an origin is none of ours
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return (host, port or default) == (request.host, request.port or default)
