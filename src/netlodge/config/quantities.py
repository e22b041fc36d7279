"""Durations, sizes, rates and frequencies: numbers with a unit in the settings, plain numbers (seconds, octets) in the program.

Each type is a `float` or an `int`, so that whoever receives one needs to know nothing of this module. `parse` reads what stands in
TOML; `str` writes it back in the largest unit that holds it exactly, and `parse(str(x)) == x`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Final, Self

from netlodge.config.errors import SettingValueError

_NUMBER_AND_UNIT: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)?")

_MILLISECONDS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION_HINTS: Final = {
    "m": "min",
    "sec": "s",
    "second": "s",
    "seconds": "s",
    "minute": "min",
    "minutes": "min",
    "mins": "min",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
    "msec": "ms",
}

_PER: Final = {"s": 1, "min": 60, "h": 3600}

_OCTETS: Final = (
    {"B": 1}
    | {f"{p}iB": 1024**n for n, p in enumerate("KMGT", 1)}
    | {f"{p}B": 1000**n for n, p in enumerate("kMGT", 1)}
)
_SIZE_HINTS: Final = {
    "K": "KiB",
    "k": "KiB",
    "KB": "KiB",
    "kb": "KiB",
    "M": "MiB",
    "m": "MiB",
    "mb": "MiB",
    "G": "GiB",
    "g": "GiB",
} | {
    "gb": "GiB",
    "T": "TiB",
    "b": "B",
    "bytes": "B",
}


def _split(text: str, like: str) -> tuple[Decimal, str]:
    matched = _NUMBER_AND_UNIT.fullmatch(text)
    if matched is None:
        raise SettingValueError(f"must be {like}")
    return Decimal(matched[1]), matched[2] or ""


def _unknown_unit(
    number: Decimal, unit: str, units: Mapping[str, int], hints: Mapping[str, str], suffix: str = ""
) -> SettingValueError:
    if unit in hints:
        return SettingValueError(f'has no known unit; did you mean "{number} {hints[unit]}{suffix}"?')
    return SettingValueError(f"has no known unit; the units are {', '.join(units)}")


class Duration(float):
    """A span of time in seconds. Written `"75 s"`, `"500 ms"`, `"2 min"`, `"1 h"`, `"1 d"`, or as a number of seconds."""

    __slots__ = ()
    noun: ClassVar[str] = "a duration"
    example: ClassVar[str] = "10 s"

    @classmethod
    def parse(cls, value: str | float) -> Self:
        """Raises `SettingValueError` for anything that is not a finite, non-negative span."""
        if not isinstance(value, str):
            if not 0 <= value < float("inf"):
                raise SettingValueError(f'must be {cls.noun} such as "{cls.example}"')
            return cls(value)
        number, unit = _split(value, f'{cls.noun} such as "{cls.example}"')
        if not unit:
            raise SettingValueError(f'lacks a unit; did you mean "{number} s"?')
        if unit not in _MILLISECONDS:
            raise _unknown_unit(number, unit, _MILLISECONDS, _DURATION_HINTS)
        return cls(number * _MILLISECONDS[unit] / 1000)

    def __str__(self) -> str:
        seconds = float(self)
        for unit in ("d", "h", "min"):
            size = _MILLISECONDS[unit] / 1000
            if seconds and seconds % size == 0:
                return f"{seconds / size:.0f} {unit}"
        if seconds % 1 and round(seconds * 1000) / 1000 == seconds:
            return f"{round(seconds * 1000)} ms"
        # The shortest digits that read back as the same float, without an exponent.
        return f"{Decimal(repr(seconds)):f}".removesuffix(".0") + " s"

    def __repr__(self) -> str:
        return f"Duration.parse({str(self)!r})"


class Size(int):
    """A number of octets. Written `"64 KiB"`, `"10 GiB"` (powers of 1024), `"5 MB"` (powers of 1000), or as a plain number."""

    __slots__ = ()
    noun: ClassVar[str] = "a size"
    example: ClassVar[str] = "64 KiB"
    suffix: ClassVar[str] = ""

    @classmethod
    def parse(cls, value: str | int) -> Self:
        """Raises `SettingValueError` for anything that is not a whole, non-negative number of octets."""
        if not isinstance(value, str):
            if value < 0:
                raise SettingValueError(f'must be {cls.noun} such as "{cls.example}"')
            return cls(value)
        number, unit = _split(value.removesuffix(cls.suffix), f'{cls.noun} such as "{cls.example}"')
        if not unit:
            raise SettingValueError(f'lacks a unit; did you mean "{number} B{cls.suffix}"?')
        if unit not in _OCTETS:
            raise _unknown_unit(number, unit, _OCTETS, _SIZE_HINTS, cls.suffix)
        octets = number * _OCTETS[unit]
        if octets % 1:
            raise SettingValueError("is no whole number of octets")
        return cls(octets)

    def __str__(self) -> str:
        octets = int(self)
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if octets and octets % _OCTETS[unit] == 0:
                return f"{octets // _OCTETS[unit]} {unit}{self.suffix}"
        return f"{octets} B{self.suffix}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}.parse({str(self)!r})"


class Rate(Size):
    """Octets per second. Written like a size, with or without `/s`: `"500 B/s"`."""

    __slots__ = ()
    noun: ClassVar[str] = "a rate"
    example: ClassVar[str] = "500 B/s"
    suffix: ClassVar[str] = "/s"


class Frequency(float):
    """How often, in times a second. Written `"10/s"`, `"100/min"`, `"1000/h"`."""

    __slots__ = ()
    noun: ClassVar[str] = "a frequency"
    example: ClassVar[str] = "10/s"

    @classmethod
    def parse(cls, value: str | float) -> Self:
        """Raises `SettingValueError` for anything that is not a number and one of the three units."""
        text, slash, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
        seconds = _PER.get(unit.strip())
        if not slash or not re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", text.strip()):
            raise SettingValueError(f'must be {cls.noun} such as "{cls.example}"')
        if seconds is None:
            raise SettingValueError(f"has no known unit; the units are {', '.join(f'/{unit}' for unit in _PER)}")
        return cls(float(text) / seconds)

    def __str__(self) -> str:
        for unit, seconds in _PER.items():
            if (count := round(self * seconds, 6)) % 1 == 0 and bool(count) == bool(self):
                return f"{count:.0f}/{unit}"
        return f"{round(self, 6)}/s" if self >= 0.001 else f"{self * 3600:.6f}".rstrip("0") + "/h"

    def __repr__(self) -> str:
        return f"Frequency.parse({str(self)!r})"
