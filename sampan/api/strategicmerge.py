"""Strategic merge patches: merge patches that know which lists merge, and by which key, from the type.

Directives: ``$patch`` (replace, delete) in maps and list items, ``$retainKeys``, ``$deleteFromPrimitiveList/<field>``,
``$setElementOrder/<field>``. The patched document shares with the old one what did not change. Behaviour:
apimachinery, package util/strategicpatch; which error is which status: apiserver, package endpoints/handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.errors import APIStatusError, BadRequest
from sampan.api.field import go_quote
from sampan.api.goformat import go_text
from sampan.api.jsonpatch import json_name, rejected

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.api.schema.types import FieldInfo, TypeInfo

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_DELETE_PREFIX = "$deleteFromPrimitiveList"
_ORDER_PREFIX = "$setElementOrder"

_BAD_PRIMITIVE_LIST = "invalid patch format of primitive list"
_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
_BAD_ORDER = "invalid patch format of setElementOrder list"


def check(raw: Any) -> Object:
    """Check that a parsed body is a patch. Raises BadRequest."""
    if isinstance(raw, dict):
        return raw
    if raw is None:
        return {}
    raise BadRequest(
        f"error decoding patch: json: cannot unmarshal {json_name(raw)} into Go value of type map[string]interface {{}}"
    )


def apply(info: TypeInfo, document: Object, patch: Object) -> Object:
    """Return the patched document, not in normal form. Raises BadRequest, Invalid, APIStatusError (500)."""
    try:
        return _merge_map(document, patch, info)
    except RecursionError:
        raise BadRequest("error decoding patch: exceeded max depth") from None


def field_of(info: TypeInfo | None, key: str) -> tuple[FieldInfo | None, TypeInfo | None]:
    """Look up how a member merges: its field, if the type is a struct, and its type."""
    if info is None or info.kind == "map":
        return None, None if info is None else info.elem
    field = info.fields.get(key)
    if field is None:
        if info.preserve_unknown:
            return None, None
        name = info.go_type.rpartition(".")[2]
        raise APIStatusError(f"unable to find api field in struct {name} for the json field {go_quote(key)}")
    return field, field.type


def strategy_of(field: FieldInfo | None) -> str:
    """Tell how a field merges: "merge", "replace", or "" for as its kind of value does."""
    if field is None:
        return ""
    return next((one for one in field.patch_strategies if one != "retainKeys"), "")


def _merge_map(original: Object, patch: Object, info: TypeInfo | None) -> Object:
    if _PATCH in patch:
        return _directive(patch)
    out = dict(original)
    patch = dict(patch)
    _retain_keys(out, patch)
    for key in [key for key in patch if key.startswith(_ORDER_PREFIX)]:
        order = patch.pop(key)
        _set_order(out, patch, info, _key_after(key, _ORDER_PREFIX, _BAD_ORDER), order)
    for key, value in patch.items():
        if key.startswith(_DELETE_PREFIX):
            _delete_from_list(out, info, _key_after(key, _DELETE_PREFIX, _BAD_PRIMITIVE_LIST), value)
        elif value is None:
            out.pop(key, None)
        elif key in out and _same_kind(out[key], value):
            out[key] = _merge_value(out[key], value, info, key)
        else:
            out[key] = _plain(value)
    return out


def _directive(patch: Object) -> Object:
    directive = patch[_PATCH]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _PATCH}
    if directive == "delete":
        return {}
    raise APIStatusError(f"unknown patch type: {go_text(directive)} in map: {go_text(patch)}")


def _key_after(key: str, prefix: str, problem: str) -> str:
    found, slash, name = key.partition("/")
    if not slash or found != prefix:
        raise BadRequest(problem)
    return name


def _same_kind(left: Any, right: Any) -> bool:
    return json_name(left) == json_name(right) and left is not None


def _merge_value(old: Any, value: Any, info: TypeInfo | None, key: str) -> Any:
    if isinstance(value, dict):
        field, below = field_of(info, key)
        return value if strategy_of(field) == "replace" else _merge_map(old, value, below)
    if isinstance(value, list):
        field, below = field_of(info, key)
        if field is None or strategy_of(field) != "merge":
            return value
        return _merge_list(old, value, below.elem if below is not None else None, field.patch_merge_key)
    return value


def _retain_keys(out: Object, patch: Object) -> None:
    if _RETAIN_KEYS not in patch:
        return
    retained = patch.pop(_RETAIN_KEYS)
    if not isinstance(retained, list):
        raise BadRequest(_BAD_RETAIN_KEYS)
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE_PREFIX, _ORDER_PREFIX)) and key not in retained:
            raise BadRequest(_BAD_RETAIN_KEYS)
    for key in [key for key in out if key not in retained]:
        del out[key]


def _delete_from_list(out: Object, info: TypeInfo | None, key: str, value: Any) -> None:
    if value is None:
        out.pop(key, None)
        return
    current = out.get(key)
    if not isinstance(current, list) or not isinstance(value, list):
        return
    field, _ = field_of(info, key)
    if strategy_of(field) != "merge":
        out[key] = value
    elif current or value:
        _element_kind(current, value)
        out[key] = [item for item in current if item not in value]


def _plain(value: Any) -> Any:
    """Take a value that the document did not have: without directives, nulls, and items that say delete."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None and not _is_directive(key)}
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and item.get(_PATCH) == "delete")]
    return value


def _is_directive(key: str) -> bool:
    return key in (_PATCH, _RETAIN_KEYS) or key.startswith((_DELETE_PREFIX + "/", _ORDER_PREFIX + "/"))


def _set_order(out: Object, patch: Object, info: TypeInfo | None, key: str, order: Any) -> None:
    if not isinstance(order, list):
        raise _bad_type("slice", order)
    current, wanted = out.get(key), patch.get(key)
    if key in out and not isinstance(current, list):
        raise _bad_type("slice", current)
    if key in patch and not isinstance(wanted, list):
        raise _bad_type("slice", wanted)
    field, below = field_of(info, key)
    merge_key = field.patch_merge_key if field is not None else ""
    _check_order(wanted or [], order, merge_key)
    if current is None and wanted is None:
        return
    if current is None:
        merged = _plain(wanted)
    elif wanted is None:
        merged = current
    elif strategy_of(field) == "merge":
        merged = _merge_list(current, wanted, below.elem if below is not None else None, merge_key)
    else:
        merged = wanted
    _element_kind(current or [], wanted or [])
    mine, others = _partition(merged, order, merge_key)
    out[key] = _in_order(mine, others, order, current or [], merge_key)
    patch.pop(key, None)


def _check_order(wanted: list[Any], order: list[Any], merge_key: str) -> None:
    """The items to set must come in the order that the directive gives."""
    if not wanted or not order:
        return
    items = [item for item in wanted if not (isinstance(item, dict) and _PATCH in item)]
    position = 0
    for one in order:
        if position == len(items):
            return
        if _key_of(items[position], merge_key) == _key_of(one, merge_key):
            position += 1
    if position < len(items):
        raise APIStatusError(
            f"The order in patch list:\n{go_text(wanted)}\n doesn't match {_ORDER_PREFIX} list:\n{go_text(order)}\n"
        )


def _key_of(item: Any, merge_key: str) -> Any:
    if not merge_key:
        if isinstance(item, (dict, list)):
            raise rejected()
        return item
    if not isinstance(item, dict):
        raise _bad_type("map", item)
    if merge_key not in item:
        raise APIStatusError(f"map: {go_text(item)} does not contain declared merge key: {merge_key}")
    found = item[merge_key]
    if isinstance(found, (dict, list)):
        raise rejected()
    return found


def _merge_list(original: list[Any], patch: list[Any], elem: TypeInfo | None, merge_key: str) -> list[Any]:
    if not original and not patch:
        return original
    if _element_kind(original, patch) != "object":
        merged = list(dict.fromkeys([*original, *patch]))
        merge_key = ""
    else:
        if not merge_key:
            kind = "struct" if elem is None else elem.kind
            raise APIStatusError(f"cannot merge lists without merge key for type {kind}")
        original, patch = _special_items(original, patch, merge_key)
        merged = _merge_items(original, patch, elem, merge_key)
    mine, others = _partition(merged, patch, merge_key)
    return _in_order(mine, others, patch, original, merge_key)


def _special_items(original: list[Any], patch: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Obey the items that are directives; return what is left of both lists."""
    plain = []
    replace = False
    for item in patch:
        if _PATCH not in item:
            plain.append(item)
            continue
        directive = item[_PATCH]
        if directive == "delete":
            key = _key_of(item, merge_key)
            original = [one for one in original if one.get(merge_key, _ABSENT) != key]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise APIStatusError("merging lists cannot yet be specified in the patch")
        else:
            raise APIStatusError(f"unknown patch type: {go_text(directive)} in map: {go_text(item)}")
    return (plain, []) if replace else (original, plain)


_ABSENT = object()


def _merge_items(original: list[Any], patch: list[Any], elem: TypeInfo | None, merge_key: str) -> list[Any]:
    out = list(original)
    places: dict[Any, int] = {}
    for position, item in enumerate(out):
        places.setdefault(item.get(merge_key, _ABSENT), position)
    for item in patch:
        key = _key_of(item, merge_key)
        place = places.get(key)
        if place is None:
            places[key] = len(out)
            out.append(_plain(item))
        else:
            out[place] = _merge_map(out[place], item, elem)
    return out


def _partition(items: list[Any], by: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    keys = {_key_of(one, merge_key) for one in by} if by else set()
    mine: list[Any] = []
    others: list[Any] = []
    for item in items:
        (mine if _key_of(item, merge_key) in keys else others).append(item)
    return mine, others


def _in_order(
    mine: list[Any], others: list[Any], mine_order: list[Any], server_order: list[Any], merge_key: str
) -> list[Any]:
    """Sort what the patch names as the patch does, the rest as it was, and weave them by the old order."""

    def index(order: list[Any]) -> dict[Any, int]:
        found: dict[Any, int] = {}
        for position, one in enumerate(order):
            found.setdefault(_key_of(one, merge_key), position)
        return found

    wanted, before = index(mine_order), index(server_order)
    mine = sorted(mine, key=lambda item: wanted.get(_key_of(item, merge_key), -1))
    others = sorted(others, key=lambda item: before.get(_key_of(item, merge_key), -1))
    out: list[Any] = []
    left = 0
    for item in mine:
        place = before.get(_key_of(item, merge_key))
        while left < len(others) and place is not None:
            other = before.get(_key_of(others[left], merge_key))
            if other is None or other >= place:
                break
            out.append(others[left])
            left += 1
        out.append(item)
    return out + others[left:]


def _element_kind(*lists: list[Any]) -> str:
    """Tell the one JSON type of all items. Lists of lists, mixed lists and nothing at all are refused."""
    kinds = {"null" if item is None else json_name(item) for items in lists for item in items}
    if "array" in kinds:
        raise rejected()
    if len(kinds) > 1:
        raise APIStatusError(f"list element types are not identical: {go_text(list(lists))}")
    if not kinds:
        raise APIStatusError("no elements in any of the given slices")
    return kinds.pop()


_GO_KINDS = {"object": "map", "array": "slice", "number": "float64", "string": "string", "bool": "bool"}


def _bad_type(expected: str, actual: Any) -> APIStatusError:
    kind = "nil" if actual is None else "int64" if type(actual) is int else _GO_KINDS[json_name(actual)]
    return APIStatusError(f"expected a {expected}, but received a {kind}")
