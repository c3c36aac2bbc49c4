"""Defaulting by structural schemas: absent members, and nulls where null is not allowed, get the schema's default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api.structural.schema import ABSENT

if TYPE_CHECKING:
    from sampan.api.structural.schema import Structural


def _copy(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, (dict, list)) else value


def _misses(value: Any, schema: Structural) -> bool:
    return value is None and not schema.nullable and schema.default is not ABSENT


def apply_defaults(schema: Structural, value: Any) -> None:  # noqa: C901 - one pass over each kind of value
    """Set defaults in value, in place."""
    if not schema.has_defaults:
        return
    if value.__class__ is dict:
        properties = schema.properties
        for name, child in properties.items():
            if child.default is not ABSENT and (name not in value or _misses(value[name], child)):
                value[name] = _copy(child.default)
        for name, item in value.items():
            found = properties.get(name)
            if found is None:
                additional = schema.additional
                if additional is None or additional.__class__ is bool:
                    continue
                found = additional  # type: ignore[assignment]
                assert found is not None
                if _misses(item, found):
                    value[name] = _copy(found.default)
            apply_defaults(found, value[name])
    elif value.__class__ is list and schema.items is not None:
        below = schema.items
        for position, item in enumerate(value):
            if _misses(item, below):
                value[position] = _copy(below.default)
            apply_defaults(below, value[position])


def drop_nulls(schema: Structural, value: Any) -> None:
    """Take members that are null and may not be, and that have no default, in place."""
    if value.__class__ is dict:
        gone = None
        for name, item in value.items():
            child = schema.member(name)
            if child is None:
                continue
            if item is None:
                if not child.nullable and child.default is ABSENT and name in schema.properties:
                    gone = [name] if gone is None else [*gone, name]
            elif item.__class__ is dict or item.__class__ is list:
                drop_nulls(child, item)
        for name in gone or ():
            del value[name]
    elif value.__class__ is list and schema.items is not None:
        for item in value:
            drop_nulls(schema.items, item)
