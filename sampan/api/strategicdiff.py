"""The strategic merge patch that leads from one document to another, as clients compute it.

`three_way` is what client-side apply sends: what the new configuration says differently from the live object, and what
the last configuration said and the new one does not. `two_way` is the patch of whoever read an object and changed it.
Nothing here changes its arguments. Behaviour: apimachinery, package util/strategicpatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.strategicmerge import field_of, strategy_of

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.api.schema.types import FieldInfo, TypeInfo

_ABSENT: Any = object()


def two_way(info: TypeInfo, old: Object, new: Object) -> Object:
    """Return the patch from old to new, empty if they are equal. Raises APIStatusError for a field without a type."""
    return three_way(info, old, new, old)


def three_way(info: TypeInfo, original: Object, modified: Object, current: Object) -> Object:
    """Return the patch that brings current to modified, taking away only what original had and modified has not.

    Raises APIStatusError for a field without a type, and for list items without their merge key.
    """
    return _diff_maps(info, original, modified, current, retain_keys=False)


def _diff_maps(
    info: TypeInfo | None, original: Object, modified: Object, current: Object, *, retain_keys: bool
) -> Object:
    patch: Object = {}
    for key, value in modified.items():
        live = current.get(key, _ABSENT)
        if live is _ABSENT or live is None:
            if value is not None or live is _ABSENT:
                patch[key] = value
        else:
            _diff_value(patch, info, key, (original.get(key), value, live))
    patch.update((key, None) for key in original if key not in modified)
    if retain_keys and patch:
        patch["$retainKeys"] = sorted(key for key, value in modified.items() if value is not None)
    return patch


def _diff_value(patch: Object, info: TypeInfo | None, key: str, versions: tuple[Any, Any, Any]) -> None:
    original, value, live = versions
    if isinstance(value, dict) and isinstance(live, dict):
        field, below = field_of(info, key)
        before = original if isinstance(original, dict) else {}
        if strategy_of(field) == "replace":
            if value != live:
                patch[key] = value
            return
        retain = field is not None and "retainKeys" in field.patch_strategies
        if found := _diff_maps(below, before, value, live, retain_keys=retain):
            patch[key] = found
    elif isinstance(value, list) and isinstance(live, list):
        field, below = field_of(info, key)
        if strategy_of(field) != "merge" or field is None:
            if value != live:
                patch[key] = value
            return
        items = original if isinstance(original, list) else []
        _diff_list(patch, field, below, key, (items, value, live))
    elif value != live or value.__class__ is not live.__class__:
        patch[key] = value


def _diff_list(
    patch: Object, field: FieldInfo, info: TypeInfo | None, key: str, versions: tuple[list[Any], list[Any], list[Any]]
) -> None:
    original, modified, live = versions
    if any(isinstance(item, dict) for items in versions for item in items):
        _diff_list_of_maps(patch, field, info, key, versions)
        return
    added = [item for item in modified if item not in live]
    removed = [item for item in original if item not in modified]
    if added:
        patch[key] = added
    if removed:
        patch[f"$deleteFromPrimitiveList/{key}"] = removed
    if added or removed:
        patch[f"$setElementOrder/{key}"] = modified


def _diff_list_of_maps(
    patch: Object, field: FieldInfo, info: TypeInfo | None, key: str, versions: tuple[list[Any], list[Any], list[Any]]
) -> None:
    original, modified, live = versions
    merge_key = field.patch_merge_key
    elem = info.elem if info is not None else None
    retain = "retainKeys" in field.patch_strategies
    before = {item.get(merge_key): item for item in original}
    there = {item.get(merge_key): item for item in live}
    wanted = {item.get(merge_key) for item in modified}
    items: list[Any] = []
    for item in modified:
        name = item.get(merge_key)
        if name not in there:
            items.append(item)
        elif found := _diff_maps(elem, before.get(name, {}), item, there[name], retain_keys=retain):
            items.append({**found, merge_key: name})
    items += [{"$patch": "delete", merge_key: name} for name in before if name not in wanted]
    if items:
        patch[key] = items
    if items or [item.get(merge_key) for item in live] != [item.get(merge_key) for item in modified]:
        order = [{merge_key: item.get(merge_key)} for item in modified]
        if order:
            patch[f"$setElementOrder/{key}"] = order
