"""Dates on the wire: rendered in the one preferred format, read in all three.

RFC 9110 §5.6.7.
"""

from __future__ import annotations

import re
from datetime import date
from time import gmtime
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBER: Final = {name: number for number, name in enumerate(_MONTHS, 1)}

# HTTP-date is case sensitive, and every part has a fixed width: [0-9], because \d takes digits of other scripts.
_DAY_NAME = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_IMF_FIXDATE: Final = re.compile(rf"{_DAY_NAME}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT")
_RFC850_DATE: Final = re.compile(
    rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"
)
_ASCTIME_DATE: Final = re.compile(rf"{_DAY_NAME} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})")

_EPOCH: Final = date(1970, 1, 1).toordinal()

FIRST_SECOND: Final = (date(1, 1, 1).toordinal() - _EPOCH) * 86400
LAST_SECOND: Final = (date(9999, 12, 31).toordinal() - _EPOCH) * 86400 + 86399
"""The moments that four digits of a year can tell."""


def imf_fixdate(second: int) -> str:
    """Render a moment (seconds since the epoch) as `Sun, 06 Nov 1994 08:49:37 GMT`, RFC 9110 §5.6.7.

    Names do not follow the locale. Raises `ValueError` outside the years 1 to 9999, which the format cannot tell.
    """
    if not FIRST_SECOND <= second <= LAST_SECOND:
        raise ValueError(f"{second} is outside the years that an HTTP-date can tell")
    year, month, day, hour, minute, sec, weekday, _, _ = gmtime(second)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{sec:02} GMT"


def parse_date(value: str, *, now: int) -> int | None:
    """Read an HTTP-date in any of its three formats; return seconds since the epoch, or None if it is none.

    `now` (seconds since the epoch) decides the century of a two-digit year. The grammar is taken strictly and the day must
    exist; only a wrong name of the weekday is let pass: it tells nothing that the rest does not. RFC 9110 §5.6.7.
    """
    if match := _IMF_FIXDATE.fullmatch(value):
        return _moment(match, int(match["year"]))
    if match := _RFC850_DATE.fullmatch(value):
        return _with_century(match, now)
    # "A recipient that parses a timestamp value in an HTTP field MUST accept all three HTTP-date formats."
    if match := _ASCTIME_DATE.fullmatch(value):
        return _moment(match, int(match["year"]))
    return None


def is_imf_fixdate(value: str) -> bool:
    """Whether the value has the preferred format, whose meaning does not hang on today's century."""
    return _IMF_FIXDATE.fullmatch(value) is not None


def _with_century(match: re.Match[str], now: int) -> int | None:
    """ "Recipients of a timestamp value in rfc850-date format, which uses a two-digit year, MUST interpret a timestamp that
    appears to be more than 50 years in the future as representing the most recent year in the past that had the same last
    two digits." """
    today = gmtime(now)
    of_this_century = today.tm_year - today.tm_year % 100 + int(match["year"])
    rest = (_MONTH_NUMBER[match["month"]], *(int(match[part]) for part in ("day", "hour", "minute", "second")))
    latest = (today.tm_year + 50, *today[1:6])
    # The latest year with these digits that is not too far ahead; late in a century that is a year of the next one.
    candidates = (of_this_century + 100, of_this_century, of_this_century - 100)
    return _moment(match, next(year for year in candidates if (year, *rest) <= latest))


def _moment(match: re.Match[str], year: int) -> int | None:
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    # "00:00:00 - 23:59:60 (leap second)": a leap second is inserted at the end of a day only.
    if hour > 23 or minute > 59 or second > (60 if (hour, minute) == (23, 59) else 59):
        return None
    try:
        day = date(year, _MONTH_NUMBER[match["month"]], int(match["day"]))
    except ValueError:
        return None
    return (day.toordinal() - _EPOCH) * 86400 + hour * 3600 + minute * 60 + second
