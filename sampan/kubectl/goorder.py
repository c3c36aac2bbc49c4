"""Fields in the order of Go's types: how kubectl prints objects that it built itself, not read from the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.gvk import GroupVersionKind
from sampan.api.schema import type_of

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.api.schema import TypeInfo

_FIRST = {"kind": -2, "apiVersion": -1}


def ordered(obj: Object) -> Object:
    """The object with ordered fields; as it is where its kind is not built in."""
    if obj.get("kind") == "List":
        return {**obj, "items": [ordered(one) for one in obj["items"]]}
    try:
        info = type_of(GroupVersionKind.parse(obj.get("apiVersion", ""), obj.get("kind", "")))
    except LookupError:
        return obj
    result: Object = _ordered(obj, info)
    return result


def _ordered(value: Any, info: TypeInfo | None) -> Any:
    if isinstance(value, list):
        elem = info.elem if info else None
        return [_ordered(one, elem) for one in value]
    if not isinstance(value, dict):
        return value
    if info is None or info.kind != "struct":
        return {key: value[key] for key in sorted(value)}
    fields = info.fields
    order = {name: index for index, name in enumerate(fields)} | _FIRST
    keys = sorted(value, key=lambda key: order.get(key, len(order)))
    return {key: _ordered(value[key], fields[key].type if key in fields else None) for key in keys}
