"""Numbers: ranges, ports, ids, quantities, and numbers that may be percentages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sampan.api import field, names, quantity

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.apiserver.registry.validation.names import Errors

MAX_INT32 = 2**31 - 1
NEGATIVE = "must be greater than or equal to 0"
NOT_POSITIVE = "must be greater than zero"
NOT_INTEGER = "must be an integer"
FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_PORT_RANGE = "must be between 1 and 65535, inclusive"
_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_FORMAT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


def in_range(low: int, high: int) -> str:
    """Kubernetes' message for a number outside a closed range."""
    return f"must be between {low} and {high}, inclusive"


def nonnegative(errors: Errors, path: Path, value: int | None) -> None:
    if value is not None and value < 0:
        errors.append(field.invalid(path, value, NEGATIVE))


def positive(errors: Errors, path: Path, value: int) -> None:
    if value <= 0:
        errors.append(field.invalid(path, value, NOT_POSITIVE))


def between(errors: Errors, path: Path, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        errors.append(field.invalid(path, value, in_range(low, high)))


def nonnegative_fields(errors: Errors, path: Path, obj: dict[str, Any], *keys: str) -> None:
    """Check several optional integer fields of one object, in order."""
    for key in keys:
        value = obj.get(key)
        if value is not None and value < 0:
            errors.append(field.invalid(path.child(key), value, NEGATIVE))


def port(errors: Errors, path: Path, value: int) -> None:
    if not 1 <= value <= 65535:
        errors.append(field.invalid(path, value, _PORT_RANGE))


def port_or_name(errors: Errors, path: Path, value: int | str) -> None:
    """A port as number, or as name of a port of a container."""
    if isinstance(value, str):
        for message in names.is_valid_port_name(value):
            errors.append(field.invalid(path, value, message))
    elif not 1 <= value <= 65535:
        errors.append(field.invalid(path, value, _PORT_RANGE))


def numeric_id(errors: Errors, path: Path, value: int | None) -> None:
    """A user or group id."""
    if value is not None and not 0 <= value <= MAX_INT32:
        errors.append(field.invalid(path, value, in_range(0, MAX_INT32)))


def file_mode(errors: Errors, path: Path, value: int | None) -> None:
    if value is not None and not 0 <= value <= 0o777:
        errors.append(field.invalid(path, value, FILE_MODE))


def is_percent(value: int | str) -> bool:
    return isinstance(value, str) and _PERCENT.fullmatch(value) is not None


def int_or_percent(errors: Errors, path: Path, value: int | str) -> None:
    """A number of things, or a percentage of all."""
    if isinstance(value, str):
        if _PERCENT.fullmatch(value) is None:
            errors.append(field.invalid(path, value, _PERCENT_FORMAT))
    elif value < 0:
        errors.append(field.invalid(path, value, NEGATIVE))


def not_over_100_percent(errors: Errors, path: Path, value: int | str) -> None:
    if is_percent(value) and int(str(value)[:-1]) > 100:
        errors.append(field.invalid(path, value, "must not be greater than 100%"))


def percent_value(value: int | str) -> int:
    """Tell the number before a %, or the number itself; 0 for any other text."""
    if isinstance(value, str):
        return int(value[:-1]) if _PERCENT.fullmatch(value) else 0
    return value


def nonnegative_quantity(errors: Errors, path: Path, value: str) -> None:
    if value.startswith("-") and quantity.parse(value) < 0:
        errors.append(field.invalid(path, value, NEGATIVE))


def positive_quantity(errors: Errors, path: Path, value: str) -> None:
    if quantity.parse(value) <= 0:
        errors.append(field.invalid(path, value, NOT_POSITIVE))


def is_whole(value: str) -> bool:
    """Whether a quantity has no fraction."""
    parsed = quantity.parse(value)
    return parsed == int(parsed)
