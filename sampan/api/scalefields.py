"""Managed fields of the scale subresource: the parent's, as far as they are about replicas, and back again.

A Scale is not stored; who owns its replicas is what the parent's entries say of the field behind them. A write to the
scale is tracked on entries made by `to_scale`, and `to_parent` merges the outcome into the parent's. Entries that come
back this way have no time. Behaviour: apimachinery, package util/managedfields (scale handler).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.fieldset import FieldSetError, subtract
from sampan.api.managedfields import Entry, Manager, decode, ordered_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.fieldset import Fields
    from sampan.api.object import Object

SCALE_VERSION = "autoscaling/v1"
REPLICAS = ("spec", "replicas")

Paths = "Mapping[str, tuple[str, ...] | None]"
"""The field behind the scale's replicas, by the parent's apiVersion; None for a version without one."""


def _has(fields: Fields, path: tuple[str, ...]) -> bool:
    node = fields
    for name in path:
        below = node.get(f"f:{name}")
        if below is None:
            return False
        node = below
    return not node or "." in node


def _set_of(path: tuple[str, ...]) -> Fields:
    node: Fields = {}
    for name in reversed(path):
        node = {f"f:{name}": node}
    return node


def to_scale(entries: list[Object], paths: Mapping[str, tuple[str, ...] | None]) -> list[Object]:
    """Make the managedFields of a Scale from its parent's. Raises FieldSetError."""
    found = []
    for entry in decode(entries, trusted=True):
        manager = entry.manager
        path = paths.get(manager.api_version)
        if path is not None and _has(entry.fields, path):
            mine = manager._replace(api_version=SCALE_VERSION)
            found.append(Entry(manager=mine, fields=_set_of(REPLICAS), time=entry.time))
    return ordered_entries(found)


def to_parent(
    entries: list[Object], scale_entries: list[Object], paths: Mapping[str, tuple[str, ...] | None], api_version: str
) -> list[Object]:
    """Merge a Scale's managedFields into its parent's. api_version: of the parent. Raises FieldSetError."""
    scale = {entry.manager.key: entry for entry in decode(scale_entries, trusted=True)}
    found: dict[tuple[str, str, str, str], Entry] = {}
    for entry in decode(entries, trusted=True):
        key = entry.manager.key
        if entry.manager.api_version not in paths:
            continue
        path = paths[entry.manager.api_version]
        if path is None or not _has(entry.fields, path):
            found[key] = entry
        elif key in scale:
            found[key] = entry
            del scale[key]
        elif rest := subtract(entry.fields, _set_of(path)):
            # Somebody else's write to the scale took the replicas.
            found[key] = entry.with_fields(rest)
    own = paths.get(api_version)
    if own is None:
        raise FieldSetError(f"no replicas in {api_version}")
    merged = list(found.values())
    for entry in scale.values():
        if _has(entry.fields, REPLICAS):
            manager = Manager(*entry.manager[:3], api_version)
            merged.append(Entry(manager=manager, fields=_set_of(own)))
    return ordered_entries(merged)
