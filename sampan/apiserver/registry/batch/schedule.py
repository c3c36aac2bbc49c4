"""Schedules of cron jobs: the standard five fields, and ``@daily`` and the like (robfig/cron's standard parser)."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sampan.api.field import go_quote
from sampan.api.times import DurationError, parse_duration
from sampan.base.errors import SampanError

_MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)}  # fmt: skip
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 6, _DAYS),
)  # fmt: skip
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = "@every "


class ScheduleError(SampanError):
    """The schedule cannot be parsed; the text is the Go parser's."""


def check_schedule(schedule: str) -> None:
    """Raise ScheduleError for a bad schedule."""
    if not schedule:
        raise ScheduleError("empty spec string")
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        zone, _, schedule = schedule.partition(" ")
        name = zone.partition("=")[2]
        if not is_time_zone(name):
            raise ScheduleError(f"provided bad location {name}: unknown time zone {name}")
        schedule = schedule.strip()
    if schedule.startswith("@"):
        _descriptor(schedule)
        return
    fields = schedule.split()
    if len(fields) != 5:
        shown = " ".join(fields)
        raise ScheduleError(f"expected exactly 5 fields, found {len(fields)}: [{shown}]")
    for text, (low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if part:
                _range(part, low, high, names)


def _descriptor(text: str) -> None:
    if text in _DESCRIPTORS:
        return
    if text.startswith(_EVERY):
        try:
            parse_duration(text.removeprefix(_EVERY))
        except DurationError as error:
            raise ScheduleError(f"failed to parse duration {text}: {error}") from error
        return
    raise ScheduleError(f"unrecognized descriptor: {text}")


def _range(text: str, low: int, high: int, names: dict[str, int]) -> None:  # noqa: C901 - one branch a form
    parts = text.split("/")
    bounds = parts[0].split("-")
    if bounds[0] in ("*", "?"):
        start, end = low, high
        if len(bounds) > 1:
            raise ScheduleError(
                f"failed to parse int from {bounds[0]}: strconv.Atoi: parsing {go_quote(bounds[0])}: invalid syntax"
            )
    else:
        start = _number(bounds[0], names)
        if len(bounds) > 2:
            raise ScheduleError(f"too many hyphens: {text}")
        end = _number(bounds[1], names) if len(bounds) == 2 else start
    step = 1
    if len(parts) == 2:
        step = _number(parts[1], {})
        if len(bounds) == 1 and bounds[0] not in ("*", "?"):
            end = high
    elif len(parts) > 2:
        raise ScheduleError(f"too many slashes: {text}")
    if start < low:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({low}): {text}")
    if end > high:
        raise ScheduleError(f"end of range ({end}) above maximum ({high}): {text}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")


def _number(text: str, names: dict[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise ScheduleError(f"failed to parse int from {text}: strconv.Atoi: parsing {go_quote(text)}: invalid syntax")
    value = int(text)
    if value < 0:
        raise ScheduleError(f"negative number ({value}) not allowed: {text}")
    return value


def is_time_zone(name: str) -> bool:
    """Whether the time zone database knows the name."""
    if name in ("", "UTC"):
        return True
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
