"""What a shared cache may keep of an answer, and for how long: Cache-Control and the other fields that say so.

RFC 9111 §3 (storing), §3.5 (Authorization), §4.1 (Vary), §4.2.1 (freshness lifetime), §4.2.3 (age), §5.1 (Age), §5.2 (Cache-Control), §5.3
(Expires), §1.2.2 (delta-seconds). Pure functions of fields and of the time that is handed in. Whatever cannot be understood makes an answer
stale, and whatever contradicts itself counts as the stricter of the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from netlodge.http.message import Fields
from netlodge.http.rules.dates import parse_date

LONGEST: Final = 1 << 31
"""Seconds that any longer time stands for (§1.2.2): "the cache MUST consider the value to be 2147483648 (2^31) or the greatest positive
integer it can conveniently represent"."""
HEURISTICALLY_CACHEABLE: Final = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""RFC 9110 §15.1: the status codes that a cache may keep though nothing says for how long."""
_UNDERSTOOD: Final = HEURISTICALLY_CACHEABLE - {206}
"""Status codes of which all that concerns caching is done here: answers to a part of something are put together by nobody."""
_METHODS: Final = frozenset({"GET", "HEAD"})

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\xff])*"'
_DIRECTIVE: Final = re.compile(rf"[ \t]*(?:({_WORD})(?:=({_WORD}|{_QUOTED}))?)?[ \t]*(?:,|\Z)")
_ESCAPED: Final = re.compile(r"\\(.)")
_DELTA_SECONDS: Final = re.compile(r"[0-9]+")


def parse_cache_control(value: str) -> Mapping[str, str | None] | None:
    """The directives of a Cache-Control value by their names in lower case, with their arguments, if any, unquoted.

    None if the value does not follow the grammar (§5.2), or says one thing twice and differently: then nobody can tell what it asks for.
    """
    directives: dict[str, str | None] = {}
    at = 0
    while at < len(value):
        match = _DIRECTIVE.match(value, at)
        if match is None:
            return None
        at = match.end()
        name, argument = match[1], match[2]
        if name is None:
            continue  # an empty element of the list (RFC 9110 §5.6.1)
        name = name.lower()
        if argument is not None and argument.startswith('"'):
            argument = _ESCAPED.sub(r"\1", argument[1:-1])
        if directives.setdefault(name, argument) != argument:
            return None
    return directives


def delta_seconds(text: str) -> int | None:
    """The whole seconds that `text` says, at most `LONGEST`; None if it says none (§1.2.2)."""
    if not _DELTA_SECONDS.fullmatch(text):
        return None
    digits = text.lstrip("0")
    return min(int(digits or "0"), LONGEST) if len(digits) <= 10 else LONGEST


def freshness_lifetime(fields: Fields, directives: Mapping[str, str | None], *, now: float, shared: bool) -> int | None:
    """Seconds from the making of an answer until it is stale, by "the first match of" s-maxage, max-age and Expires (§4.2.1); None if
    nothing says. `now`: seconds since the epoch when the answer was received.

    "Caches are encouraged to consider responses that have invalid freshness information [...] to be stale": 0.
    """
    for name in ("s-maxage", "max-age") if shared else ("max-age",):
        if name in directives:
            return delta_seconds(directives[name] or "") or 0
    expires = fields.get("expires")
    if expires is None:
        return None
    moment = parse_date(expires, now=int(now))
    if moment is None:
        # §5.3: "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing a time in the past"
        return 0
    date = parse_date(fields.get("date") or "", now=int(now))
    return min(max(moment - (int(now) if date is None else date), 0), LONGEST)


def initial_age(fields: Fields) -> int | None:
    """The age of an answer when it was received: the value of its Age, 0 without one (§4.2.3, corrected_age_value; the answer took no
    time to come). None if Age is not understood: "a cache SHOULD consider the response to be stale" (§5.1)."""
    ages = fields.get_all("age")
    return delta_seconds(ages[0]) if ages else 0


def varies_by(fields: Fields) -> frozenset[str] | None:
    """The request fields that select the answer beside its target (§4.1), in lower case. None for `*`: "A stored response with a Vary
    header field value containing a member "*" always fails to match"."""
    names = frozenset(fields.list_of("vary"))
    return None if "*" in names else names


def may_store(
    method: str, request: Fields, status: int, fields: Fields, directives: Mapping[str, str | None], *, shared: bool
) -> bool:
    """Whether a cache may keep an answer of `status` with `fields` and the Cache-Control `directives`, given to `request` (§3)."""
    # "A cache MUST NOT store a response to a request unless: the request method is understood by the cache; the response status code is
    # final"
    if method not in _METHODS or status < 200:
        return False
    # "if the response status code is 206 or 304, or the "must-understand" cache directive is present: the cache understands the response
    # status code"
    must_understand = "must-understand" in directives
    if (status in {206, 304} or must_understand) and status not in _UNDERSTOOD:
        return False
    # "the "no-store" cache directive is not present in the response"; caches that know must-understand pass over it there (§5.2.2.3).
    if "no-store" in directives and not must_understand:
        return False
    if shared:
        # With an argument it forbids to keep some fields alone, but "is often handled by caches as if an unqualified private directive
        # was received" (§5.2.2.7).
        if "private" in directives:
            return False
        # §3.5: "the following response directives have such an effect: must-revalidate, public, and s-maxage"
        if "authorization" in request and directives.keys().isdisjoint(("must-revalidate", "public", "s-maxage")):
            return False
    return (
        "public" in directives
        or "max-age" in directives
        or (shared and "s-maxage" in directives)
        or (not shared and "private" in directives)
        or "expires" in fields
        or status in HEURISTICALLY_CACHEABLE
    )


@dataclass(frozen=True, slots=True)
class Reuse:
    """How an answer may be given to others than who asked for it."""

    seconds: int
    """For how long from now."""
    age: int
    """Its age now, in seconds."""
    selected_by: frozenset[str]
    """The request fields by which it was selected, lower-case."""


def reuse_of(method: str, request: Fields, status: int, fields: Fields, *, now: float) -> Reuse | None:
    """How anyone may be given the same answer without asking its maker again; None if not at all. `now`: seconds since the epoch.

    Stricter than a cache has to be, because nobody asked for one: a lifetime must be told, cookies and credentials in either direction rule
    it out, and so does a request that speaks of caching itself.
    """
    value = fields.get("cache-control")
    if value is None and "expires" not in fields:
        return None
    if status not in _UNDERSTOOD or "set-cookie" in fields or not request.names.isdisjoint(_PERSONAL):
        return None
    directives = parse_cache_control(value or "")
    if directives is None or not directives.keys().isdisjoint(_ASK_AGAIN):
        return None
    if not may_store(method, request, status, fields, directives, shared=True):
        return None
    lifetime = freshness_lifetime(fields, directives, now=now, shared=True)
    age = initial_age(fields)
    selected_by = varies_by(fields)
    # "response_is_fresh = (freshness_lifetime > current_age)" (§4.2)
    if lifetime is None or age is None or selected_by is None or lifetime <= age:
        return None
    return Reuse(lifetime - age, age, selected_by)


_PERSONAL: Final = frozenset({"authorization", "cache-control", "cookie", "pragma", "proxy-authorization"})
"""Request fields that say who asks, or how fresh the answer is to be."""
_ASK_AGAIN: Final = frozenset({"must-understand", "no-cache"})
"""Directives that send others back to who made the answer, or may. `no-cache` with an argument "is often handled by caches as if an unqualified
no-cache directive was received" (§5.2.2.4)."""
