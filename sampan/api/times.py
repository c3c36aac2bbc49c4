"""Times and durations as the API spells them: RFC 3339 in UTC, by the second or by the microsecond; Go's durations.

Parsing accepts what Go's ``time.Parse`` accepts (offsets, fractions of a second, one-digit hours) and refuses with its
messages. The zero time of Go is null on the wire. Behaviour: metav1.Time, metav1.MicroTime, metav1.Duration.
"""

from __future__ import annotations

import re
import time as _time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from sampan.api.textcache import text_cache
from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Callable

_LAYOUT = "2006-01-02T15:04:05Z07:00"
_LAYOUT_MICRO = "2006-01-02T15:04:05.000000Z07:00"
_CANONICAL = re.compile(
    r"[1-9]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII
)
_CANONICAL_MICRO = re.compile(_CANONICAL.pattern[:-1] + r"\.\d{6}Z", re.ASCII)
_ZERO_SECONDS = -62135596800
"""0001-01-01T00:00:00Z, Go's zero time, in seconds since 1970."""


class TimeError(SampanError, ValueError):
    """The text is no time; the message is Go's."""


class DurationError(SampanError, ValueError):
    """The text is no duration; the message is Go's."""


def canonical(text: str) -> str | None:
    """Return the spelling of a metav1.Time, None for the zero time. Raises TimeError."""
    if _CANONICAL.fullmatch(text):
        return text
    seconds, nanos = _Parser(text, _LAYOUT).parse()
    if seconds == _ZERO_SECONDS and not nanos:
        return None
    return f"{_spell_seconds(seconds)}Z"


def canonical_micro(text: str) -> str | None:
    """Return the spelling of a metav1.MicroTime, None for the zero time. Raises TimeError."""
    if _CANONICAL_MICRO.fullmatch(text):
        return text
    seconds, nanos = _Parser(text, _LAYOUT_MICRO).parse()
    if seconds == _ZERO_SECONDS and not nanos:
        return None
    return f"{_spell_seconds(seconds)}.{nanos // 1000:06d}Z"


def parse(text: str) -> float:
    """Return seconds since 1970 of a time of either spelling. Raises TimeError."""
    seconds, nanos = parse_exact(text)
    return seconds + nanos / 1e9


def parse_exact(text: str) -> tuple[int, int]:
    """Return seconds since 1970 and nanoseconds. Raises TimeError."""
    return _parse_cached(text)


@text_cache(4096)
def _parse_cached(text: str) -> tuple[int, int]:
    return _Parser(text, _LAYOUT).parse()


@lru_cache(64)
def _format_second(epoch: int) -> str:
    if 0 <= epoch < 253402300800:
        return _time.strftime("%Y-%m-%dT%H:%M:%S", _time.gmtime(epoch))
    return _spell_seconds(epoch)


def format_time(epoch: float) -> str:
    """Spell a metav1.Time. epoch: seconds since 1970; fractions are cut off."""
    return f"{_format_second(int(epoch // 1))}Z"


def format_micro(epoch: float) -> str:
    """Spell a metav1.MicroTime. epoch: seconds since 1970."""
    micros = round(epoch * 1_000_000)
    return f"{_format_second(micros // 1_000_000)}.{micros % 1_000_000:06d}Z"


def _spell_seconds(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    shift = 0
    if days < -719162:
        # Before year 1, reachable with offsets only: Python has no such date, so it is taken 400 years later.
        days, shift = days + 146097, 400
    elif days > 2932896:
        days, shift = days - 146097, -400
    day = date(1970, 1, 1) + timedelta(days=days)
    hour, rest = divmod(rest, 3600)
    minute, second = divmod(rest, 60)
    return f"{day.year - shift:04d}-{day.month:02d}-{day.day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def _quote(text: str) -> str:
    """Quote as the time package does: bytes outside printable ASCII as hexadecimal."""
    out = []
    for byte in text.encode("utf-8", "surrogatepass"):
        if byte in b'"\\':
            out.append("\\" + chr(byte))
        elif 0x20 <= byte < 0x80:
            out.append(chr(byte))
        else:
            out.append(f"\\x{byte:02x}")
    return f'"{"".join(out)}"'


class _BadError(Exception):
    """A part of the value does not have the layout's shape."""


class _Parser:
    """Go's ``time.Parse`` for the two layouts, part by part, so that the error names the same part."""

    def __init__(self, text: str, layout: str) -> None:
        self._text = text
        self._layout = layout
        self._rest = text
        self._range = ""

    def parse(self) -> tuple[int, int]:
        """Return seconds since 1970 and nanoseconds."""
        year = self._part("2006", self._year)
        self._literal("-")
        month = self._number("01", 1, 12, "month")
        self._literal("-")
        day = self._number("02", 0, 99, "")
        self._literal("T")
        hour = self._number("15", 0, 23, "hour", fixed=False)
        self._literal(":")
        minute = self._number("04", 0, 59, "minute")
        self._literal(":")
        second = self._number("05", 0, 59, "second")
        nanos = self._part(".000000", self._micros) if self._layout == _LAYOUT_MICRO else self._fraction()
        offset = self._part("Z07:00", self._zone)
        if self._rest:
            raise self._failed(f": extra text: {_quote(self._rest)}")
        if not 1 <= day <= _days_in(month, year):
            raise self._failed(": day out of range")
        # Year 0 is a year to Go; 400 years are always 146097 days.
        days = date(year + 400, month, day).toordinal() if year < 9600 else date(year - 400, month, day).toordinal()
        days += -146097 if year < 9600 else 146097
        return (days - 719163) * 86400 + hour * 3600 + minute * 60 + second - offset, nanos

    def _failed(self, message: str) -> TimeError:
        return TimeError(f"parsing time {_quote(self._text)}{message}")

    def _unlike(self, element: str, at: str) -> TimeError:
        return self._failed(f" as {_quote(self._layout)}: cannot parse {_quote(at)} as {_quote(element)}")

    def _literal(self, char: str) -> None:
        if not self._rest.startswith(char):
            raise self._unlike(char, self._rest)
        self._rest = self._rest[1:]

    def _part(self, element: str, take: Callable[[], int]) -> int:
        at = self._rest
        try:
            found = take()
        except _BadError:
            raise self._unlike(element, at) from None
        if self._range:
            raise self._failed(f": {self._range} out of range")
        return found

    def _number(self, element: str, low: int, high: int, name: str, *, fixed: bool = True) -> int:
        at = self._rest
        try:
            found = self._two_digits(fixed=fixed)
        except _BadError:
            raise self._unlike(element, at) from None
        if not low <= found <= high:
            raise self._failed(f": {name} out of range")
        return found

    def _two_digits(self, *, fixed: bool) -> int:
        rest = self._rest
        if not _is_digits(rest[:1]):
            raise _BadError
        if not _is_digits(rest[1:2]):
            if fixed:
                raise _BadError
            self._rest = rest[1:]
            return int(rest[0])
        self._rest = rest[2:]
        return int(rest[:2])

    def _year(self) -> int:
        digits = self._rest[:4]
        if len(digits) < 4 or not _is_digits(digits):
            raise _BadError
        self._rest = self._rest[4:]
        return int(digits)

    def _fraction(self) -> int:
        match = re.match(r"[.,](\d+)", self._rest, re.ASCII)
        if match is None:
            return 0
        self._rest = self._rest[match.end() :]
        return int(match[1][:9].ljust(9, "0"))

    def _micros(self) -> int:
        match = re.match(r"[.,](\d{6})", self._rest, re.ASCII)
        if match is None:
            raise _BadError
        self._rest = self._rest[match.end() :]
        return int(match[1]) * 1000

    def _zone(self) -> int:
        rest = self._rest
        if rest.startswith("Z"):
            self._rest = rest[1:]
            return 0
        if len(rest) < 6 or rest[3] != ":" or not _is_digits(rest[1:3]) or not _is_digits(rest[4:6]):
            raise _BadError
        hours, minutes = int(rest[1:3]), int(rest[4:6])
        self._rest = rest[6:]
        if hours > 24:
            self._range = "time zone offset hour"
        if minutes > 60:
            self._range = "time zone offset minute"
        if rest[0] not in "+-":
            raise _BadError
        return (hours * 3600 + minutes * 60) * (1 if rest[0] == "+" else -1)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _days_in(month: int, year: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_AMOUNT = re.compile(r"(\d*)(?:\.(\d*))?", re.ASCII)
_UNIT = re.compile(r"[^.0-9]*")


def parse_duration(text: str) -> int:
    """Return nanoseconds of a Go duration like ``1h30m`` or ``-1.5s``. Raises DurationError."""
    invalid = DurationError(f"time: invalid duration {_quote(text)}")
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return 0
    if not rest:
        raise invalid
    total = 0
    while rest:
        match = _AMOUNT.match(rest)
        assert match is not None
        if not match[1] and not match[2]:
            raise invalid
        unit_match = _UNIT.match(rest, match.end())
        assert unit_match is not None
        unit = unit_match[0]
        if not unit:
            raise DurationError(f"time: missing unit in duration {_quote(text)}")
        if unit not in _UNITS:
            raise DurationError(f"time: unknown unit {_quote(unit)} in duration {_quote(text)}")
        fraction = (match[2] or "")[:18]
        total += int(match[1][:30] or "0") * _UNITS[unit]
        total += int(fraction or "0") * _UNITS[unit] // 10 ** len(fraction)
        if total > 2**63 - (sign > 0):
            raise invalid
        rest = rest[unit_match.end() :]
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """Spell nanoseconds as Go does: ``1h30m0s``, ``1.5s``, ``250ms``, ``0s``."""
    if not nanoseconds:
        return "0s"
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left < 10**9:
        unit, size = ("ns", 1) if left < 1000 else ("µs", 1000) if left < 10**6 else ("ms", 10**6)
        return f"{sign}{_with_fraction(left, size)}{unit}"
    minutes, rest = divmod(left, 60 * 10**9)
    text = f"{_with_fraction(rest, 10**9)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def _with_fraction(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(size)) - 1).rstrip('0')}"


def canonical_duration(text: str) -> str:
    """Return the spelling of a metav1.Duration. Raises DurationError."""
    return format_duration(parse_duration(text))


def utc(epoch: float) -> datetime:
    """Return an aware datetime. epoch: seconds since 1970."""
    return datetime.fromtimestamp(epoch, UTC)
