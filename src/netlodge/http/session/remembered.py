"""A remembered answer of HTTP/1: the bytes around the two fields that time changes, `date` and `age`.

RFC 9110 §6.6.1 (Date), RFC 9111 §5.1 (Age). What may be remembered at all is decided in `exchange.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from netlodge.core.recall import Answer
from netlodge.core.records import HttpRecord
from netlodge.http.rules.dates import imf_fixdate

DATE_FIELD = b"\r\nDate: "
DATE_OCTETS = 29


class HttpAnswer(Answer):
    """`head` is a rendered head whose first field is `Date`; `body` follows it. With `born`, an `Age` field follows the date."""

    __slots__ = ("_after_date", "_before_date", "_body", "_born")

    def __init__(
        self,
        head: bytes,
        body: bytes,
        *,
        record: HttpRecord,
        expires: float,
        still_holds: Callable[[], bool] | None = None,
        slot: int = -1,
        generation: int = 0,
        born: float | None = None,
    ) -> None:
        # The rendered answer is held twice: in pieces, and as it was sent last.
        super().__init__(
            record=record,
            octets=2 * (len(head) + len(body)),
            expires=expires,
            still_holds=still_holds,
            slot=slot,
            generation=generation,
        )
        at = head.index(DATE_FIELD) + len(DATE_FIELD)
        self._before_date = head[:at]
        self._after_date = head[at + DATE_OCTETS :]
        self._body = body
        self._born = born

    def render(self, now: float, second: int) -> bytes:
        age = b"" if self._born is None else b"\r\nAge: %d" % max(0, int(now - self._born))
        return b"".join((self._before_date, imf_fixdate(second).encode("ascii"), age, self._after_date, self._body))
