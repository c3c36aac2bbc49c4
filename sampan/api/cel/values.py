"""Values beyond JSON's: unsigned integers, durations, timestamps, optionals, types, and Kubernetes' own kinds.

Of JSON's, int stands for CEL's int and float for its double; Python's bool is not taken for a number.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sampan.api.cel.errors import CelError

INT_RANGE = range(-(1 << 63), 1 << 63)
UINT_RANGE = range(1 << 64)


class UInt(int):
    """CEL's uint."""

    __slots__ = ()


class Duration:
    """CEL's duration. nanos: nanoseconds."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        self.nanos = nanos


class Timestamp:
    """CEL's timestamp. at: UTC; nanos: of the second, which `at` leaves out."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        self.nanos = nanos

    @property
    def at(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.nanos // 1_000_000_000, dt.UTC)


class Optional:
    """A value or none."""

    __slots__ = ("has", "value")

    def __init__(self, value: Any = None, *, has: bool = True) -> None:
        self.value = value
        self.has = has


NONE = Optional(has=False)


class TypeValue:
    """A type as a value."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Opaque:
    """A value of one of Kubernetes' libraries. key: what equality compares."""

    __slots__ = ("key", "kind", "value")

    def __init__(self, kind: str, value: Any, key: Any = None) -> None:
        self.kind = kind
        self.value = value
        self.key = value if key is None else key


_NAMES = {
    bool: "bool", int: "int", UInt: "uint", float: "double", str: "string", bytes: "bytes", list: "list", dict: "map",
    type(None): "null_type", Duration: "google.protobuf.Duration", Timestamp: "google.protobuf.Timestamp",
    Optional: "optional_type", TypeValue: "type",
}  # fmt: skip


def type_name(value: Any) -> str:
    """The name of a value's type."""
    return value.kind if isinstance(value, Opaque) else _NAMES.get(value.__class__, "dyn")


def is_number(value: Any) -> bool:
    """Whether a value is of one of the three numeric types."""
    return isinstance(value, (int, float)) and value.__class__ is not bool


def equal(one: Any, other: Any) -> bool:
    """CEL's equality: numbers by value across types, everything else within its type."""
    if is_number(one) and is_number(other):
        return bool(one == other)
    if one.__class__ is not other.__class__:
        return False
    if one.__class__ is list:
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    if one.__class__ is dict:
        return len(one) == len(other) and all(key in other and equal(item, other[key]) for key, item in one.items())
    if isinstance(one, (Duration, Timestamp)):
        return bool(one.nanos == other.nanos)
    if isinstance(one, Optional):
        return one.has == other.has and (not one.has or equal(one.value, other.value))
    if isinstance(one, TypeValue):
        return bool(one.name == other.name)
    if isinstance(one, Opaque):
        return one.kind == other.kind and bool(one.key == other.key)
    return bool(one == other)


def comparable(value: Any) -> Any:
    """What orders a value. Raises CelError for what has no order."""
    if isinstance(value, (Duration, Timestamp)):
        return value.nanos
    if isinstance(value, (int, float, str, bytes)):
        return value
    raise CelError("no such overload")


def checked_int(value: int) -> int:
    """An int64, or an overflow."""
    if value not in INT_RANGE:
        raise CelError("integer overflow")
    return value


def checked_uint(value: int) -> UInt:
    """A uint64, or an overflow."""
    if value not in UINT_RANGE:
        raise CelError("unsigned integer overflow")
    return UInt(value)
