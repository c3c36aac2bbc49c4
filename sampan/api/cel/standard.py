"""CEL's standard library: operators, sizes, strings, conversions, times, optionals.

Source: CEL specification, Standard Definitions.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING, Any

from sampan.api import times
from sampan.api.cel import types as t
from sampan.api.cel.errors import CelError
from sampan.api.cel.values import (
    NONE,
    Duration,
    Optional,
    Timestamp,
    TypeValue,
    UInt,
    checked_int,
    checked_uint,
    comparable,
    equal,
    is_number,
    type_name,
)
from sampan.api.structural.patterns import PatternError, compile_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.cel.overloads import Functions

_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"[+-]?(?:0|(?:[0-9]*\.?[0-9]+(?:ns|us|µs|μs|ms|s|m|h))+)")


def parse_duration(text: str) -> Duration:
    """Parse Go's spelling of durations. Raises CelError."""
    if _DURATION.fullmatch(text) is None:
        raise CelError(f'time: invalid duration "{text}"')
    total = 0
    for number, unit in re.findall(r"([0-9]*\.?[0-9]+)(ns|us|µs|μs|ms|s|m|h)", text):
        whole, _, part = number.partition(".")
        total += int(whole or 0) * _UNITS[unit]
        total += int(part or 0) * _UNITS[unit] // 10 ** len(part) if part else 0
    return Duration(-total if text.startswith("-") else total)


def parse_timestamp(text: str) -> Timestamp:
    """Parse RFC 3339. Raises CelError."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*([Zz]|[+-]\d\d:\d\d)", text)
    if match is None:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}"')
    try:
        seconds = times.parse(f"{match[1].upper()}{match[3].upper()}")
    except ValueError as error:
        raise CelError(f'parsing time "{text}": out of range') from error
    return Timestamp(round(seconds) * 10**9 + int((match[2] or "0").ljust(9, "0")))


def format_duration(value: Duration) -> str:
    """Spell a duration in seconds, as protobuf does."""
    whole, part = divmod(abs(value.nanos), 10**9)
    text = f"{whole}" + (f".{part:09d}".rstrip("0") if part else "")
    return f"{'-' if value.nanos < 0 else ''}{text}s"


def format_timestamp(value: Timestamp) -> str:
    """Spell a timestamp as RFC 3339."""
    part = value.nanos % 10**9
    text = value.at.strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{part:09d}".rstrip("0") if part else "") + "Z"


def format_double(value: float) -> str:
    """Spell a double as Go's %g with the shortest digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def _divide(one: int, other: int) -> int:
    if other == 0:
        raise CelError("division by zero")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _modulo(one: int, other: int) -> int:
    if other == 0:
        raise CelError("modulus by zero")
    return int(math.fmod(one, other)) if abs(one) < 1 << 53 else one - other * _divide(one, other)


def _double_divide(one: float, other: float) -> float:
    if other == 0:
        return math.nan if one == 0 or math.isnan(one) else math.copysign(math.inf, one) * math.copysign(1, other)
    return one / other


def matches(text: str, pattern: str) -> bool:
    """RE2's unanchored match. Raises CelError."""
    try:
        return compile_pattern(pattern).search(text) is not None
    except PatternError as error:
        raise CelError(str(error)) from error


def _index(value: list[Any], position: Any) -> Any:
    if isinstance(position, float) and position.is_integer():
        position = int(position)
    if not isinstance(position, int) or not 0 <= position < len(value):
        raise CelError(f"index out of bounds: {position}")
    return value[position]


def _member(value: dict[Any, Any], key: Any) -> Any:
    try:
        return value[key]
    except (KeyError, TypeError):
        raise CelError(f"no such key: {key}") from None


def _in_list(value: Any, items: list[Any]) -> bool:
    if value.__class__ is str:
        return value in items
    return any(equal(value, item) for item in items)


def _compare(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def run(one: Any, other: Any) -> bool:
        return check(comparable(one), comparable(other))

    return run


def _bool_of(text: str) -> bool:
    if text in ("true", "True", "TRUE", "t", "T", "1"):
        return True
    if text in ("false", "False", "FALSE", "f", "F", "0"):
        return False
    raise CelError("type conversion error from 'string' to 'bool'")


def _int_of(value: Any) -> int:
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?\d+", value) is None or int(value) not in range(-(1 << 63), 1 << 63):
            raise CelError("type conversion error from 'string' to 'int'")
        return int(value)
    if isinstance(value, Timestamp):
        return value.nanos // 10**9
    if isinstance(value, float) and (math.isnan(value) or math.isinf(value)):
        raise CelError("integer overflow")
    return checked_int(int(value))


def _uint_of(value: Any) -> UInt:
    if isinstance(value, str):
        if re.fullmatch(r"\d+", value) is None:
            raise CelError("type conversion error from 'string' to 'uint'")
        return checked_uint(int(value))
    return checked_uint(int(value))


def _double_of(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise CelError("type conversion error from 'string' to 'double'") from None


def string_of(value: Any) -> str:
    """``string(value)``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None
    if isinstance(value, Duration):
        return format_duration(value)
    if isinstance(value, Timestamp):
        return format_timestamp(value)
    raise CelError("no such overload")


def _zoned(value: Timestamp, zone: str = "UTC") -> Any:
    import zoneinfo  # noqa: PLC0415 - few expressions speak of time zones

    match = re.fullmatch(r"([+-]?)(\d\d):(\d\d)", zone)
    try:
        if match is not None:
            delta = dt.timedelta(hours=int(match[2]), minutes=int(match[3]))
            found: dt.tzinfo = dt.timezone(-delta if match[1] == "-" else delta)
        else:
            found = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise CelError(f"unknown time zone {zone}") from None
    return value.at.astimezone(found)


def _optional_index(value: Any, key: Any) -> Optional:
    if isinstance(value, Optional):
        return _optional_index(value.value, key) if value.has else NONE
    if isinstance(value, list):
        return Optional(value[key]) if isinstance(key, int) and 0 <= key < len(value) else NONE
    if isinstance(value, dict):
        return Optional(value[key]) if key in value else NONE
    raise CelError("no such overload")


def _optional_value(value: Optional) -> Any:
    if not value.has:
        raise CelError("optional.none() dereference")
    return value.value


def _is_zero(value: Any) -> bool:
    if isinstance(value, (Duration, Timestamp)):
        return value.nanos == 0
    return value is None or value in (False, 0, 0.0, "", b"", [], {})


_NUMBERS = (t.INT, t.UINT, t.DOUBLE)


def install(functions: Functions) -> None:
    """Add the library."""
    add = functions.add
    add("_==_", (t.A, t.A), t.BOOL, equal, cost="compare")
    add("_!=_", (t.A, t.A), t.BOOL, lambda a, b: not equal(a, b), cost="compare")
    add("!_", (t.BOOL,), t.BOOL, lambda a: not a)
    _order(functions)
    _arithmetic(functions)
    add("_[_]", (t.list_of(t.A), t.INT), t.A, _index)
    add("_[_]", (t.map_of(t.A, t.B), t.A), t.B, _member)
    add("_[?_]", (t.list_of(t.A), t.INT), t.optional_of(t.A), _optional_index)
    add("_[?_]", (t.map_of(t.A, t.B), t.A), t.optional_of(t.B), _optional_index)
    add("_[?_]", (t.optional_of(t.list_of(t.A)), t.INT), t.optional_of(t.A), _optional_index)
    add("_[?_]", (t.optional_of(t.map_of(t.A, t.B)), t.A), t.optional_of(t.B), _optional_index)
    add("@in", (t.A, t.list_of(t.A)), t.BOOL, _in_list, cost="list")
    add("@in", (t.A, t.map_of(t.A, t.B)), t.BOOL, lambda a, b: a in b)
    for kind in (t.STRING, t.BYTES, t.list_of(t.A), t.map_of(t.A, t.B)):
        add("size", (kind,), t.INT, len)
        add("size", (kind,), t.INT, len, member=True)
    add("startsWith", (t.STRING, t.STRING), t.BOOL, str.startswith, member=True, cost="second")
    add("endsWith", (t.STRING, t.STRING), t.BOOL, str.endswith, member=True, cost="second")
    add("contains", (t.STRING, t.STRING), t.BOOL, lambda a, b: b in a, member=True, cost="contains")
    add("matches", (t.STRING, t.STRING), t.BOOL, matches, member=True, cost="regex")
    add("matches", (t.STRING, t.STRING), t.BOOL, matches, cost="regex")
    _conversions(functions)
    _times(functions)
    _optionals(functions)


def _order(functions: Functions) -> None:
    import operator  # noqa: PLC0415

    kinds = [(one, one) for one in (t.BOOL, t.STRING, t.BYTES, t.TIMESTAMP, t.DURATION)]
    kinds += [(one, other) for one in _NUMBERS for other in _NUMBERS]
    for name, check in (("_<_", operator.lt), ("_<=_", operator.le), ("_>_", operator.gt), ("_>=_", operator.ge)):
        for pair in kinds:
            plain = pair[0] not in (t.TIMESTAMP, t.DURATION)
            functions.add(name, pair, t.BOOL, check if plain else _compare(check), cost="compare")


def _arithmetic(functions: Functions) -> None:
    add = functions.add
    integers: dict[str, Callable[[int, int], int]] = {
        "_+_": lambda a, b: a + b, "_-_": lambda a, b: a - b, "_*_": lambda a, b: a * b, "_/_": _divide, "_%_": _modulo
    }  # fmt: skip
    for name, run in integers.items():
        add(name, (t.INT, t.INT), t.INT, lambda a, b, run=run: checked_int(run(a, b)))
        add(name, (t.UINT, t.UINT), t.UINT, lambda a, b, run=run: checked_uint(run(a, b)))
    add("_+_", (t.DOUBLE, t.DOUBLE), t.DOUBLE, lambda a, b: a + b)
    add("_-_", (t.DOUBLE, t.DOUBLE), t.DOUBLE, lambda a, b: a - b)
    add("_*_", (t.DOUBLE, t.DOUBLE), t.DOUBLE, lambda a, b: a * b)
    add("_/_", (t.DOUBLE, t.DOUBLE), t.DOUBLE, _double_divide)
    add("-_", (t.INT,), t.INT, lambda a: checked_int(-a))
    add("-_", (t.DOUBLE,), t.DOUBLE, lambda a: -a)
    for kind in (t.STRING, t.BYTES, t.list_of(t.A)):
        add("_+_", (kind, kind), kind, lambda a, b: a + b, cost="concat")
    duration, timestamp = t.DURATION, t.TIMESTAMP
    add("_+_", (duration, duration), duration, lambda a, b: Duration(a.nanos + b.nanos))
    add("_+_", (timestamp, duration), timestamp, lambda a, b: Timestamp(a.nanos + b.nanos))
    add("_+_", (duration, timestamp), timestamp, lambda a, b: Timestamp(a.nanos + b.nanos))
    add("_-_", (duration, duration), duration, lambda a, b: Duration(a.nanos - b.nanos))
    add("_-_", (timestamp, timestamp), duration, lambda a, b: Duration(a.nanos - b.nanos))
    add("_-_", (timestamp, duration), timestamp, lambda a, b: Timestamp(a.nanos - b.nanos))


def _conversions(functions: Functions) -> None:
    add = functions.add
    for kind in (*_NUMBERS, t.STRING):
        add("double", (kind,), t.DOUBLE, _double_of)
        add("uint", (kind,), t.UINT, _uint_of)
    for kind in (*_NUMBERS, t.STRING, t.TIMESTAMP):
        add("int", (kind,), t.INT, _int_of)
    for kind in (*_NUMBERS, t.STRING, t.BYTES, t.BOOL, t.DURATION, t.TIMESTAMP):
        add("string", (kind,), t.STRING, string_of, cost="traverse")
    add("bytes", (t.STRING,), t.BYTES, str.encode, cost="traverse")
    add("bytes", (t.BYTES,), t.BYTES, lambda a: a)
    add("bool", (t.BOOL,), t.BOOL, lambda a: a)
    add("bool", (t.STRING,), t.BOOL, _bool_of)
    add("duration", (t.STRING,), t.DURATION, parse_duration)
    add("duration", (t.DURATION,), t.DURATION, lambda a: a)
    add("timestamp", (t.STRING,), t.TIMESTAMP, parse_timestamp)
    add("timestamp", (t.TIMESTAMP,), t.TIMESTAMP, lambda a: a)
    add("timestamp", (t.INT,), t.TIMESTAMP, lambda a: Timestamp(a * 10**9))
    add("dyn", (t.A,), t.DYN, lambda a: a)
    add("type", (t.A,), t.type_of_type(t.A), lambda a: TypeValue(type_name(a)))


def _times(functions: Functions) -> None:
    parts: dict[str, Callable[[Any], int]] = {
        "getFullYear": lambda d: d.year, "getMonth": lambda d: d.month - 1, "getDate": lambda d: d.day,
        "getDayOfMonth": lambda d: d.day - 1, "getDayOfWeek": lambda d: d.isoweekday() % 7,
        "getDayOfYear": lambda d: d.timetuple().tm_yday - 1, "getHours": lambda d: d.hour,
        "getMinutes": lambda d: d.minute, "getSeconds": lambda d: d.second,
    }  # fmt: skip
    for name, read in parts.items():
        functions.add(name, (t.TIMESTAMP,), t.INT, lambda a, read=read: read(_zoned(a)), member=True)
        functions.add(name, (t.TIMESTAMP, t.STRING), t.INT, lambda a, z, read=read: read(_zoned(a, z)), member=True)
    functions.add("getMilliseconds", (t.TIMESTAMP,), t.INT, lambda a: a.nanos % 10**9 // 10**6, member=True)
    units = (("getHours", 3600 * 10**9), ("getMinutes", 60 * 10**9), ("getSeconds", 10**9), ("getMilliseconds", 10**6))
    for name, unit in units:
        functions.add(name, (t.DURATION,), t.INT, lambda a, unit=unit: _divide(a.nanos, unit), member=True)


def _optionals(functions: Functions) -> None:
    add, optional = functions.add, t.optional_of(t.A)
    add("optional.of", (t.A,), optional, Optional)
    add("optional.none", (), optional, lambda: NONE)
    add("optional.ofNonZeroValue", (t.A,), optional, lambda a: NONE if _is_zero(a) else Optional(a))
    add("value", (optional,), t.A, _optional_value, member=True)
    add("hasValue", (optional,), t.BOOL, lambda a: a.has, member=True)
    add("or", (optional, optional), optional, lambda a, b: a if a.has else b, member=True)
    add("orValue", (optional, t.A), t.A, lambda a, b: a.value if a.has else b, member=True)


__all__ = ["install", "is_number", "string_of"]
