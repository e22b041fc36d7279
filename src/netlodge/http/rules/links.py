"""What an answer says a client will need next: the field Link with the relation `preload`.

RFC 8288 §3 (grammar; read leniently, as its Appendix B.2 does); the relation and `nopush` are the W3C's (Preload §3.3). Pure.
"""

from __future__ import annotations

import re
from typing import Final

_LINK: Final = re.compile(
    r"[\s,]*<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;,\"]*))?)*)\s*(?=,|$)"
)
_PARAMETER: Final = re.compile(r";\s*([^\s=;,]+)(?:\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;,\"]*)))?")


def preloaded_paths(value: str) -> list[str]:
    """The paths, with their queries and each once, that `value` wants loaded from this very origin; those not to be pushed left out. Links that
    name another origin, or no path from the root, are none; what is no link ends the list."""
    paths: dict[str, None] = {}
    place = 0
    while (link := _LINK.match(value, place)) is not None:
        place = link.end()
        target, parameters = link.groups()
        given: dict[str, str] = {}
        for name, quoted, plain in _PARAMETER.findall(parameters):
            given.setdefault(name.lower(), quoted or plain)  # of several `rel` the first counts (§3.3)
        path = target.strip().partition("#")[0]
        is_here = path.startswith("/") and not path.startswith("//")
        if is_here and "preload" in given.get("rel", "").lower().split() and "nopush" not in given:
            paths[path] = None
    return list(paths)
