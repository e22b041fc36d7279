"""Field names as the wire spells them: a fixed vocabulary for both directions of HTTP/1.1.

RFC 9110 §5.1: names are case-insensitive. Inside Netlodge they are lower-case; on the wire they get the capitals that people
expect. A name that stands here needs no checking when it arrives and no spelling when it leaves; any other name is checked and
spelled each time. The table is fixed, so no client can make it grow.
"""

from __future__ import annotations

from typing import Final

_SPELLED: Final = """
    Accept Accept-CH Accept-Charset Accept-Encoding Accept-Language Accept-Patch Accept-Post Accept-Ranges
    Access-Control-Allow-Credentials Access-Control-Allow-Headers Access-Control-Allow-Methods Access-Control-Allow-Origin
    Access-Control-Expose-Headers Access-Control-Max-Age Access-Control-Request-Headers Access-Control-Request-Method
    Age Allow Alt-Svc Alt-Used Authentication-Info Authorization Cache-Control Cache-Status CDN-Cache-Control CDN-Loop
    Clear-Site-Data Connection Content-Digest Content-Disposition Content-Encoding Content-Language Content-Length
    Content-Location Content-MD5 Content-Range Content-Security-Policy Content-Security-Policy-Report-Only Content-Type Cookie
    Cross-Origin-Embedder-Policy Cross-Origin-Opener-Policy Cross-Origin-Resource-Policy Date Device-Memory DNT Early-Data
    ETag Expect Expires Forwarded From Host HTTP2-Settings If-Match If-Modified-Since If-None-Match If-Range
    If-Unmodified-Since Keep-Alive Last-Modified Link Location Max-Forwards NEL No-Vary-Search Origin Permissions-Policy Pragma
    Priority Proxy-Authenticate Proxy-Authentication-Info Proxy-Authorization Proxy-Connection Proxy-Status Range Referer
    Referrer-Policy Report-To Reporting-Endpoints Repr-Digest Retry-After Save-Data Sec-CH-UA Sec-CH-UA-Arch Sec-CH-UA-Mobile
    Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-GPC Sec-Purpose
    Sec-WebSocket-Accept Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Version
    Server Server-Timing Service-Worker Set-Cookie SourceMap Strict-Transport-Security Surrogate-Control TE Timing-Allow-Origin
    Trailer Transfer-Encoding Upgrade Upgrade-Insecure-Requests User-Agent Vary Via Want-Content-Digest Want-Repr-Digest
    Warning WWW-Authenticate X-Accel-Expires X-Content-Type-Options X-Forwarded-For X-Forwarded-Host X-Forwarded-Port
    X-Forwarded-Proto X-Frame-Options X-Powered-By X-Real-IP X-Request-ID X-Requested-With X-Robots-Tag X-UA-Compatible
    X-XSS-Protection
""".split()  # noqa: SIM905  a list that is read as words

KNOWN_NAMES: Final[dict[str, str]] = {spelling: name.lower() for name in _SPELLED for spelling in (name, name.lower())}
"""From a usual spelling to the lower-case name."""

WIRE_NAMES: Final[dict[str, str]] = {name.lower(): f"{name}: " for name in _SPELLED}
"""From the lower-case name to what stands before the value."""
