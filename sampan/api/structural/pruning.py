"""Pruning by structural schemas: members that no schema declares go, unless they are to be preserved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.api.structural.schema import Structural

_META = frozenset({"apiVersion", "kind", "metadata"})


def prune(schema: Structural, value: Any, *, is_root: bool, unknown: list[str] | None = None) -> bool:
    """Drop undeclared members of value, in place; tells whether there were any.

    is_root: value is a whole object, whose apiVersion, kind and metadata are always declared. unknown: takes the paths
    of what is dropped, e.g. ``spec.ports[0].x``.
    """
    return _prune(schema, value, "", meta=is_root or schema.embedded, unknown=unknown)


def _prune(schema: Structural, value: Any, path: str, *, meta: bool, unknown: list[str] | None) -> bool:
    if value.__class__ is list:
        below = schema.items
        if below is None:
            return False
        found = False
        for position, item in enumerate(value):
            if item.__class__ is dict or item.__class__ is list:
                at = f"{path}[{position}]" if unknown is not None else ""
                found |= _prune(below, item, at, meta=below.embedded, unknown=unknown)
        return found
    if value.__class__ is not dict:
        return False
    return _prune_members(schema, value, path, meta=meta, unknown=unknown)


def _prune_members(
    schema: Structural, value: dict[str, Any], path: str, *, meta: bool, unknown: list[str] | None
) -> bool:
    properties, additional = schema.properties, schema.additional
    gone: list[str] = []
    found = False
    for name, item in value.items():
        if meta and name in _META:
            continue
        child = properties.get(name)
        if child is None:
            if additional is None or additional is False:
                if not schema.preserve:
                    gone.append(name)
                continue
            if additional is True:
                continue
            child = additional
        if item.__class__ is dict or item.__class__ is list:
            at = (f"{path}.{name}" if path else name) if unknown is not None else ""
            found |= _prune(child, item, at, meta=child.embedded, unknown=unknown)
    for name in gone:
        del value[name]
        if unknown is not None:
            unknown.append(f"{path}.{name}" if path else name)
    return found or bool(gone)
