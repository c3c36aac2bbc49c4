"""Cron schedules: when is the next time.

The language is that of Kubernetes' CronJobs (the standard parser of robfig/cron, version 3): five fields with lists,
ranges, steps and names, ``?`` for ``*``, and ``@hourly``, ``@every 90m`` and the like. Times are computed in a time
zone: a local time that a clock change skips does not come that day, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sampan.api.times import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: number for number, name in enumerate(_DAY_NAMES)}
_YEARS = 5


class _Field(NamedTuple):
    low: int
    high: int
    names: Mapping[str, int]


_FIELDS = (_Field(0, 59, {}), _Field(0, 23, {}), _Field(1, 31, {}), _Field(1, 12, _MONTHS), _Field(0, 6, _DAYS))


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed schedule. every: seconds between two times, for ``@every``; else the fields count."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = True
    any_weekday: bool = True
    every: float = 0.0

    def next(self, after: float, zone: tzinfo = UTC) -> float | None:
        """The first time later than `after` (epoch seconds); None when there is none within five years."""
        if self.every:
            return float(int(after)) + self.every
        moment = datetime.fromtimestamp(after, zone).replace(second=0, microsecond=0, tzinfo=None)
        day = moment.date()
        limit = day.replace(year=day.year + _YEARS, day=min(day.day, 28))
        while day <= limit:
            if day.month in self.months and self._day_matches(day.day, (day.weekday() + 1) % 7):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        local = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - its zone follows
                        found = _epoch(local, zone)
                        if found is not None and found > after:
                            return found
            day += timedelta(days=1)
        return None

    def _day_matches(self, day: int, weekday: int) -> bool:
        """With both fields restricted either is enough, as in every cron."""
        in_month, in_week = day in self.days, weekday in self.weekdays
        return in_month and in_week if self.any_day or self.any_weekday else in_month or in_week


def parse(text: str) -> Schedule:
    """Parse a schedule. Raises ValueError with the parser's wording."""
    text = text.strip()
    if text.startswith("@every "):
        seconds = parse_duration(text.removeprefix("@every ")) / 1e9
        return Schedule(every=max(float(int(seconds)), 1.0))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    values = [_parse_field(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = values
    return Schedule(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        any_day=_is_star(parts[2]),
        any_weekday=_is_star(parts[4]),
    )


def _is_star(part: str) -> bool:
    return any(one.partition("/")[0] in ("*", "?") for one in part.split(","))


def _parse_field(text: str, field: _Field) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        found.update(_parse_range(part, field))
    return frozenset(found)


def _parse_range(part: str, field: _Field) -> range:
    bounds, slash, step_text = part.partition("/")
    first, dash, last = bounds.partition("-")
    if first in ("*", "?") and not dash:
        low, high = field.low, field.high
    else:
        low = _number(first, field)
        high = _number(last, field) if dash else field.high if slash else low
    step = _number(step_text, _Field(0, 0, {})) if slash else 1
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {part}")
    if low < field.low:
        raise ValueError(f"beginning of range ({low}) below minimum ({field.low}): {part}")
    if high > field.high:
        raise ValueError(f"end of range ({high}) above maximum ({field.high}): {part}")
    if low > high:
        raise ValueError(f"beginning of range ({low}) beyond end of range ({high}): {part}")
    return range(low, high + 1, step)


def _number(text: str, field: _Field) -> int:
    named = field.names.get(text.lower())
    if named is not None:
        return named
    if not text.isascii() or not text.isdigit():
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _epoch(local: datetime, zone: tzinfo) -> float | None:
    """A local time in a zone as epoch seconds; None when the clocks skip it."""
    aware = local.replace(tzinfo=zone)
    back = datetime.fromtimestamp(aware.timestamp(), zone).replace(tzinfo=None)
    return aware.timestamp() if back == local else None
