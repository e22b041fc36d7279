"""Response fields by path: Cache-Control, security policies, whatever a site adds to its answers.

RFC 9110 §5.1 (fields can be added freely), §12.5.5 (Vary), RFC 9111 §5.2 (Cache-Control).

What is for one person does not become everybody's by a setting: an answer that a handler made for a visitor keeps its Cache-Control and Vary,
and one behind a login gets a Cache-Control only as `private`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from netlodge.http.message import Fields, Handler, HttpError, Request, Response
from netlodge.http.rules.cache_control import is_private, made_private
from netlodge.http.rules.negotiation import merge_vary
from netlodge.http.rules.paths import normal_form
from netlodge.http.rules.patterns import PathPattern

_OF_CONTENT: Final = frozenset(
    {"content-disposition", "content-encoding", "content-language", "content-location", "content-type"}
)
"""What says something of the content (RFC 9110 §8), and would be wrong of the text or page that explains an error."""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Fields for the answers to some paths. Names are lower-case.

    A value of `fields` replaces lines of the same name that the handler below set, only `vary` is added to them; an empty value takes
    them away. They go into every answer, errors too: a browser that is told to use TLS alone, or to sniff no types, is to hear it from
    a 404 as well. `cache_control` is for what was asked for, so it stays out of answers of status 400 and above, unless
    `caches_errors`: then it is for every status that the handler below returns, though never for an error that is raised.
    """

    pattern: PathPattern
    fields: Mapping[str, str] = field(default_factory=dict)
    cache_control: str = ""
    caches_errors: bool = False


class FieldRules:
    """Applies each rule whose pattern matches the whole path of the request, in order: a later rule wins over an earlier one.

    A 304 gets them too: it "MUST generate" Cache-Control and Vary if a 200 had them (RFC 9110 §15.4.5).
    """

    __slots__ = ("_inner", "_rules")

    def __init__(self, inner: Handler, rules: Iterable[FieldRule]) -> None:
        self._inner = inner
        self._rules = tuple(rules)

    async def handle(self, request: Request) -> Response:
        path = request.path
        try:
            path = normal_form(path)
            response = await self._inner.handle(request)
        except HttpError as error:
            fields = Fields(error.fields)
            may_be_cached = _who_may_cache(request, fields)
            for rule in self._rules:
                if rule.pattern.matches(path):
                    wanted = {name: rule.fields[name] for name in rule.fields if name not in _OF_CONTENT}
                    _set_all(fields, may_be_cached(wanted))
            error.fields = tuple(fields)
            raise
        may_be_cached = _who_may_cache(request, response.fields)
        for rule in self._rules:
            if rule.pattern.matches(path):
                _set_all(response.fields, may_be_cached(rule.fields))
                if rule.cache_control and (response.status < 400 or rule.caches_errors):
                    _set_all(response.fields, may_be_cached({"cache-control": rule.cache_control}))
        return response


def _who_may_cache(request: Request, fields: Fields) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    """What may be set, of all that is wanted, on an answer that has these fields before anything is set."""
    if "cookie" in fields.list_of("vary") and is_private(fields.get("cache-control")):
        return _without_caching  # `handlers.sessions` made it so
    return _privately if "user" in request.route else _as_wanted


def _as_wanted(wanted: Mapping[str, str]) -> Mapping[str, str]:
    return wanted


def _privately(wanted: Mapping[str, str]) -> Mapping[str, str]:
    value = wanted.get("cache-control")
    return {**wanted, "cache-control": made_private(value)} if value else wanted


def _without_caching(wanted: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in wanted.items() if name != "cache-control" and (value or name != "vary")}


def _set_all(fields: Fields, wanted: Mapping[str, str]) -> None:
    for name, value in wanted.items():
        if not value:
            fields.remove(name)
        elif name == "vary":
            # What the handler chose by remains true, whatever is added.
            fields.set(name, merge_vary(fields.get(name), value))
        else:
            fields.set(name, value)
