"""Response fields by path: Cache-Control, security policies, whatever a site adds to its answers.

RFC 9110 §5.1 (fields can be added freely), RFC 9111 §5.2 (Cache-Control).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from netlodge.http.message import Fields, Handler, HttpError, Request, Response
from netlodge.http.rules.paths import normal_form
from netlodge.http.rules.patterns import PathPattern


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Fields for the answers to some paths.

    A value replaces lines of the same name that the handler below set; an empty value takes them away. Names are lower-case.
    `on_errors` adds them to answers of status 400 and above too.
    """

    pattern: PathPattern
    fields: Mapping[str, str] = field(default_factory=dict)
    on_errors: bool = False


class FieldRules:
    """Applies each rule whose pattern matches the whole path of the request, in order: a later rule wins over an earlier one.

    Every status below 400 gets them, a 304 too: it "MUST generate" Cache-Control and Vary if a 200 had them (RFC 9110 §15.4.5).
    """

    __slots__ = ("_inner", "_rules")

    def __init__(self, inner: Handler, rules: Iterable[FieldRule]) -> None:
        self._inner = inner
        self._rules = tuple(rules)

    async def handle(self, request: Request) -> Response:
        path = normal_form(request.path)
        try:
            response = await self._inner.handle(request)
        except HttpError as error:
            fields = Fields(error.fields)
            self._apply(path, fields, is_error=True)
            error.fields = tuple(fields)
            raise
        self._apply(path, response.fields, is_error=response.status >= 400)
        return response

    def _apply(self, path: str, fields: Fields, *, is_error: bool) -> None:
        for rule in self._rules:
            if (rule.on_errors or not is_error) and rule.pattern.matches(path):
                for name, value in rule.fields.items():
                    if value:
                        fields.set(name, value)
                    else:
                        fields.remove(name)
