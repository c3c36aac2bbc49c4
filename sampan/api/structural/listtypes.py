"""The promise of lists that are sets or maps: no item is there twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import field
from sampan.api.field import Path

if TYPE_CHECKING:
    from sampan.api.field import FieldError
    from sampan.api.structural.schema import Structural


def check_lists(schema: Structural, value: Any, path: Path | None = None) -> list[FieldError]:
    """Find the duplicates in value."""
    found: list[FieldError] = []
    if _has_lists(schema):
        _check(found, schema, value, path)
    return found


def _has_lists(schema: Structural) -> bool:
    known: bool | None = schema.cache.get("lists")
    if known is None:
        known = schema.list_type in ("set", "map") or any(_has_lists(child) for child in schema.children())
        schema.cache["lists"] = known
    return known


def _child(path: Path | None, name: str) -> Path:
    return Path(name) if path is None else path.child(name)


def _check(found: list[FieldError], schema: Structural, value: Any, path: Path | None) -> None:
    if value.__class__ is list:
        if schema.list_type == "set":
            _check_set(found, value, path)
        elif schema.list_type == "map":
            _check_map(found, schema, value, path)
        items = schema.items
        if items is not None and _has_lists(items):
            for position, item in enumerate(value):
                at = Path(f"[{position}]") if path is None else path.index(position)
                _check(found, items, item, at)
    elif value.__class__ is dict:
        for name, item in value.items():
            child = schema.member(name)
            if child is not None and (item.__class__ is dict or item.__class__ is list) and _has_lists(child):
                is_declared = name in schema.properties
                at = _child(path, name) if is_declared or path is None else path.key(name)
                _check(found, child, item, at)


def _spelled(value: Any) -> bytes:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _check_set(found: list[FieldError], value: list[Any], path: Path | None) -> None:
    seen: dict[bytes, bool] = {}
    for position, item in enumerate(value):
        key = _spelled(item)
        if seen.get(key) is False:  # each value is reported once
            found.append(field.duplicate(path.index(position) if path else f"[{position}]", item))
            seen[key] = True
        else:
            seen.setdefault(key, False)


def _check_map(found: list[FieldError], schema: Structural, value: list[Any], path: Path | None) -> None:
    seen: dict[bytes, bool] = {}
    for position, item in enumerate(value):
        at = path.index(position) if path else f"[{position}]"
        if item.__class__ is not dict:
            problem = f"must be an object for an array of list-type map, but is {item!r}"
            found.append(field.invalid(at, item, problem))
            continue
        keys = {key: item[key] for key in sorted(schema.list_map_keys) if key in item}
        spelled = _spelled(keys)
        if seen.get(spelled) is False:
            found.append(field.duplicate(at, keys))
            seen[spelled] = True
        else:
            seen.setdefault(spelled, False)
