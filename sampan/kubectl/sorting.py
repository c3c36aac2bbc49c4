"""--sort-by: objects in the order of one field.

Numbers by value, quantities by amount, texts naturally (runs of digits by their number); objects without the field come
first. Behaviour: kubectl's SortingPrinter.
"""

from __future__ import annotations

import re
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from sampan.api import jsonpath, quantity
from sampan.kubectl.errors import KubectlError
from sampan.kubectl.output import relaxed

if TYPE_CHECKING:
    from sampan.api.object import Object

_CHUNKS = re.compile(r"\d+|\D+")


def sort_objects(objects: list[Object], field: str) -> list[Object]:
    """Sort by a JSONPath, stable. Raises KubectlError where no object has the field."""
    expression = relaxed(field)
    try:
        parsed = jsonpath.parse(expression)
    except jsonpath.JSONPathError as error:
        raise KubectlError(str(error)) from error
    try:
        keyed = [(_value(parsed, one), one) for one in objects]
    except jsonpath.JSONPathError as error:
        raise KubectlError(str(error)) from error
    if objects and all(value is None for value, _ in keyed):
        raise KubectlError(f'couldn\'t find any field with path "{expression}" in the list of objects')
    by_value = cmp_to_key(_compare)
    keyed.sort(key=lambda pair: by_value(pair[0]))
    return [one for _, one in keyed]


def _value(parsed: jsonpath.Template, obj: Object) -> Any:
    groups = parsed.find(obj, allow_missing=True)
    return groups[0][0] if groups and groups[0] else None


def _compare(left: Any, right: Any) -> int:
    if left is None or right is None:
        return (left is not None) - (right is not None)
    if isinstance(left, str) and isinstance(right, str):
        try:
            return quantity.compare(left, right)
        except quantity.QuantityError:
            return _natural(left, right)
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return (left > right) - (left < right)
    return 0


def _natural(left: str, right: str) -> int:
    a, b = (
        [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in _CHUNKS.findall(one)]
        for one in (left, right)
    )
    return (a > b) - (a < b)
