"""The heads of ASGI answers: from pairs of octets, as applications send them, to fields.

ASGI 3.0, `http.response.start`. RFC 9110 §5.1 (field names), §8.6 (Content-Length). An application sends few different heads again and again: those
that came before are not read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netlodge.http.handlers.application_answers import (
    NOT_ITS_OWN,
    ProtocolError,
    announced_length,
    speaks_of_freshness,
)
from netlodge.http.message import Fields

_NAMES_KEPT: Final = 256
_HEADS_KEPT: Final = 512
_LARGEST_KEPT: Final = 4096
"""Octets of the largest head that is kept."""


class Head:
    """The fields of an answer, and what they say of its content. Shared by the answers that have the same."""

    __slots__ = ("announced", "fields", "may_be_remembered")

    def __init__(self, fields: Fields) -> None:
        """Raises `ProtocolError` for a Content-Length that is no number."""
        self.fields = fields
        self.announced = announced_length(fields)
        self.may_be_remembered = speaks_of_freshness(fields)


class Heads:
    """From headers as applications give them to fields, and back to the same ones when they come again. Bounded; one for each application."""

    __slots__ = ("_heads", "_names")

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._heads: dict[tuple[tuple[bytes, bytes], ...], Head] = {}

    def of(self, headers: Iterable[tuple[bytes, bytes]]) -> Head:
        """The head of an answer. Raises `ProtocolError`, as `fields_of` does."""
        key = tuple(headers)
        try:
            head = self._heads.get(key)
        except TypeError:  # pairs that are lists
            return Head(self.fields_of(key))
        if head is None:
            head = Head(self.fields_of(key))
            if "set-cookie" not in head.fields and _octets_in(key) <= _LARGEST_KEPT:
                if len(self._heads) >= _HEADS_KEPT:
                    self._heads.clear()
                self._heads[key] = head
        return head

    def fields_of(self, headers: Iterable[tuple[bytes, bytes]]) -> Fields:
        """The fields of an answer, without those that are not the application's to set (of Connection, `close` is left). Raises
        `ProtocolError` for what are no pairs of octets; whether the octets may stand in a head is for the wire to say."""
        pairs: list[tuple[str, str]] = []
        try:
            for name, value in headers:
                lower = self._names.get(name) or self._learn(name)
                if lower not in NOT_ITS_OWN:
                    pairs.append((lower, value.decode("latin-1")))
                elif lower == "connection" and value.strip().lower() == b"close":
                    pairs.append((lower, "close"))
        except (AttributeError, TypeError, ValueError):
            raise ProtocolError(f"headers must be pairs of bytes, not {headers!r:.200}") from None
        return Fields(pairs)

    def _learn(self, name: bytes) -> str:
        lower = name.decode("latin-1").lower()
        if len(self._names) < _NAMES_KEPT:
            self._names[name] = lower
        return lower


def _octets_in(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
