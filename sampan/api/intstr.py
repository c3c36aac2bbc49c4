"""Numbers that may be percentages: IntOrString fields. Behaviour: apimachinery, package util/intstr."""

from __future__ import annotations

import re

from sampan.base.errors import SampanError

IntOrString = int | str

_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)


class IntStrError(SampanError, ValueError):
    """The text is neither a number nor a percentage where one is needed; the message is Kubernetes'."""


def int_value(value: IntOrString) -> int:
    """Return the number; a text that is no number counts as 0."""
    if isinstance(value, int):
        return value
    return int(value) if _NUMBER.fullmatch(value) and len(value) < 20 else 0


def is_percentage(value: IntOrString) -> bool:
    """Tell whether the value is a text that ends in ``%``."""
    return isinstance(value, str) and value.endswith("%")


def scaled(value: IntOrString, total: int, *, round_up: bool) -> int:
    """Return the number itself, or the percentage of total. Raises IntStrError."""
    if isinstance(value, int):
        return value
    digits = value.removesuffix("%")
    if digits == value:
        raise IntStrError("invalid value for IntOrString: invalid type: string is not a percentage")
    if not _NUMBER.fullmatch(digits) or len(digits) > 19:
        raise IntStrError(
            f'invalid value for IntOrString: invalid value "{value}": strconv.Atoi: parsing "{digits}": invalid syntax'
        )
    product = int(digits) * total
    return -(-product // 100) if round_up else product // 100
