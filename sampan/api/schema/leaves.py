"""Decoders of values without parts: each takes a JSON value and returns its normal form, or raises `Irregular`.

They only decide; what exactly is wrong, in Go's words, is found out afterwards by `diagnose`, which reads the document
again in its own order. So the good case pays for no path, no message and no context.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from sampan.api import quantity, times

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.schema.types import ValueKind

Seen = list[Any]
"""Collects the values in which something unknown was found."""
Decoder = "Callable[[Any, Seen], Any]"

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)


class Irregular(Exception):
    """The value does not fit its type."""


def string(value: Any, _: Seen) -> Any:
    if value.__class__ is str:
        return value
    if value is None:
        return ""
    raise Irregular


def boolean(value: Any, _: Seen) -> Any:
    if value is True or value is False:
        return value
    if value is None:
        return False
    raise Irregular


def int32(value: Any, _: Seen) -> Any:
    if value.__class__ is int and -2147483648 <= value <= 2147483647:
        return value
    if value is None:
        return 0
    raise Irregular


def int64(value: Any, _: Seen) -> Any:
    if value.__class__ is int and -9223372036854775808 <= value <= 9223372036854775807:
        return value
    if value is None:
        return 0
    raise Irregular


def float64(value: Any, _: Seen) -> Any:
    if value.__class__ is int:
        return value
    if value.__class__ is float:
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if value is None:
        return 0
    raise Irregular


def go_base64(text: str) -> str:
    """Bring base64 text to canonical form; newlines are allowed, as Go allows them. Raises binascii.Error."""
    if "\n" in text or "\r" in text:
        text = text.replace("\n", "").replace("\r", "")
    return base64.b64encode(base64.b64decode(text, validate=True)).decode()


def byte_string(value: Any, _: Seen) -> Any:
    if value.__class__ is str:
        if not value:
            return value
        try:
            return go_base64(value)
        except (binascii.Error, ValueError) as error:
            raise Irregular from error
    if value is None:
        return None
    if value.__class__ is list:  # Go takes the bytes one by one as well
        if any(item.__class__ is not int or not 0 <= item <= 255 for item in value if item is not None):
            raise Irregular
        return base64.b64encode(bytes(item or 0 for item in value)).decode()
    raise Irregular


def quantity_text(value: Any, _: Seen) -> Any:
    if value.__class__ is str or value.__class__ is int or value.__class__ is float:
        try:
            return quantity.canonical(value)
        except ValueError as error:
            raise Irregular from error
    if value is None:
        return "0"
    raise Irregular


def time_text(value: Any, _: Seen) -> Any:
    if value.__class__ is str:
        try:
            return times.canonical(value)
        except ValueError as error:
            raise Irregular from error
    if value is None:
        return None
    raise Irregular


def microtime_text(value: Any, _: Seen) -> Any:
    if value.__class__ is str:
        try:
            return times.canonical_micro(value)
        except ValueError as error:
            raise Irregular from error
    if value is None:
        return None
    raise Irregular


def duration_text(value: Any, _: Seen) -> Any:
    if value.__class__ is str:
        try:
            return times.canonical_duration(value)
        except ValueError as error:
            raise Irregular from error
    if value is None:
        return "0s"
    raise Irregular


def int_or_string(value: Any, _: Seen) -> Any:
    if value.__class__ is str or (value.__class__ is int and -2147483648 <= value <= 2147483647):
        return value
    if value is None:
        return 0
    raise Irregular


def anything(value: Any, _: Seen) -> Any:
    return value


def field_set(value: Any, _: Seen) -> Any:
    return {} if value is None else value


LEAVES: dict[ValueKind, Callable[[Any, Seen], Any]] = {
    "string": string,
    "bool": boolean,
    "int32": int32,
    "int64": int64,
    "float64": float64,
    "bytes": byte_string,
    "quantity": quantity_text,
    "time": time_text,
    "microtime": microtime_text,
    "duration": duration_text,
    "intorstring": int_or_string,
    "any": anything,
    "fields": field_set,
}
