"""Values with types, as server-side apply handles them: checked, merged, and with fields taken out.

Values are plain JSON, not in normal form: an applied configuration is merged as it was written. Nothing here changes
its arguments; results share with them. Behaviour: structured-merge-diff, package typed (validate, merge, remove).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.fieldset import FieldSetError, show
from sampan.api.goformat import go_syntax, go_text
from sampan.api.ownership import KEYED, LEAF, MAP, SET, STRUCT, Shape, element_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from sampan.api.fieldset import Fields
    from sampan.api.schema.types import TypeInfo

_ABSENT: Any = object()


class TypedErrors:
    """What is wrong with a value: paths and messages."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, path: str, message: str) -> None:
        self.found.append(f"{path}: {message}" if path else message)

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        if len(self.found) == 1:
            return self.found[0]
        return "\n".join(["errors:", *(f"  {one}" for one in self.found)])


def validate(shape: Shape, info: TypeInfo, value: Any) -> TypedErrors:
    """Check a value against its type: undeclared fields, wrong JSON types, list items told apart by nothing."""
    errors = TypedErrors()
    _validate(errors, "", shape, info, value)
    return errors


def _validate(errors: TypedErrors, path: str, shape: Shape, info: TypeInfo | None, value: Any) -> None:
    if value is None or info is None or info.kind in ("any", "fields"):
        return
    if info.kind in ("struct", "map"):
        if value.__class__ is not dict:
            errors.add(path, f"expected map, got &{{{go_text(value)}}}")
        elif info.kind == "map":
            for key, item in value.items():
                _validate(errors, f"{path}.{key}", _below(shape, key), info.elem, item)
        else:
            _validate_struct(errors, path, shape, info, value)
    elif info.kind == "list":
        _validate_list(errors, path, shape, info, value)
    elif problem := _scalar_problem(info, value):
        errors.add(path, problem)


def _below(shape: Shape, key: str) -> Shape:
    return (shape.child(key) if shape.kind in (STRUCT, MAP) else None) or shape


def _validate_struct(errors: TypedErrors, path: str, shape: Shape, info: TypeInfo, value: dict[str, Any]) -> None:
    for key, item in value.items():
        field = info.fields.get(key)
        if field is None:
            if info.preserve_unknown:
                continue
            errors.add(f"{path}.{key}", "field not declared in schema")
            return
        _validate(errors, f"{path}.{key}", _below(shape, key), field.type, item)


def _validate_list(errors: TypedErrors, path: str, shape: Shape, info: TypeInfo, value: Any) -> None:
    if value.__class__ is not list:
        errors.add(path, f"expected list, got &{{{go_text(value)}}}")
        return
    divided = shape.kind in (SET, KEYED)
    seen = set()
    for position, item in enumerate(value):
        name = f"[{position}]"
        if divided:
            try:
                element = element_of(shape, item)
            except FieldSetError as error:
                errors.add(path, f"element {position}: {error}")
                return
            name = show(element)
            if element in seen:
                errors.add(path, f"duplicate entries for key {name}")
            seen.add(element)
        _validate(errors, path + name, shape.elem if divided else shape, info.elem, item)


_STRINGS = frozenset({"string", "bytes", "duration"})
_NUMBERS = frozenset({"int32", "int64", "float64"})
_GO_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}"}


def _scalar_problem(info: TypeInfo, value: Any) -> str:
    kind = info.kind
    if kind in _STRINGS:
        return (
            ""
            if value.__class__ is str
            else f"expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}"
        )
    if kind in _NUMBERS:
        if value.__class__ is int or value.__class__ is float:
            return ""
        return f"expected numeric (int or float), got {_GO_TYPES.get(value.__class__, 'map[string]interface {}')}"
    if kind == "bool":
        return "" if value.__class__ is bool else f"expected boolean, got &{{{go_text(value)}}}"
    return "" if value.__class__ not in (dict, list) else f"expected any scalar, got &{{{go_text(value)}}}"


def merge(shape: Shape, live: Any, config: Any) -> Any:
    """Merge a configuration into a live value; where both have something to say, the configuration wins."""
    if live is _ABSENT or config is _ABSENT:
        return config if live is _ABSENT else live
    if shape.kind == LEAF or not (live or config):
        return config
    if shape.kind in (STRUCT, MAP):
        if (live is None or live.__class__ is dict) and (config is None or config.__class__ is dict):
            return _merge_maps(shape, live or {}, config or {})
    elif (live is None or live.__class__ is list) and (config is None or config.__class__ is list):
        return _merge_lists(shape, live or [], config or [])
    return config


def _merge_maps(shape: Shape, live: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    out = dict(live)
    for key, value in config.items():
        below = shape.child(key)
        if below is not None:
            out[key] = merge(below, live.get(key, _ABSENT), value)
    return out


def _merge_lists(shape: Shape, live: list[Any], config: list[Any]) -> list[Any]:
    """Merge item by item."""
    left = [element_of(shape, item) for item in live]
    right = [element_of(shape, item) for item in config]
    old: dict[str, Any] = {}
    for element, item in zip(left, live, strict=True):
        # An item that is there twice merges with nothing.
        old[element] = _ABSENT if element in old else item
    new = dict(zip(right, config, strict=True))
    out = []
    for element, position in _woven(left, right, old.keys(), new.keys()):
        if position >= 0:
            out.append(live[position])
        elif shape.kind == SET:
            out.append(new[element])
        else:
            out.append(merge(shape.elem, old.get(element, _ABSENT), new[element]))
    return out


def _woven(
    left: list[str], right: list[str], old: AbstractSet[str], new: AbstractSet[str]
) -> Iterator[tuple[str, int]]:
    """Order a merged list: the configuration's order for what it names, the rest around it where it was.

    Gives each element with its place in the live list, -1 for those of the configuration.
    """
    taken = set()
    shared = [element for element in right if element in old]
    at_left = at_right = at_shared = 0
    while at_left < len(left) or at_right < len(right):
        if at_left < len(left):
            element = left[at_left]
            if element not in new:
                yield element, at_left
                at_left += 1
                continue
            is_awaited = at_shared < len(shared) and shared[at_shared] == element
            if at_right < len(right) and element != right[at_right] and at_shared < len(shared) and not is_awaited:
                # Its turn comes with the configuration's order.
                at_left += 1
                continue
            if element in taken or (at_right < len(right) and element == right[at_right]):
                at_left += 1
        if at_right < len(right):
            element = right[at_right]
            yield element, -1
            taken.add(element)
            at_right += 1
            if at_shared < len(shared) and shared[at_shared] == element:
                at_shared += 1


def remove(shape: Shape, value: Any, fields: Fields) -> Any:
    """Take a set's members out of a value; None when nothing of a container is left."""
    kind = shape.kind
    if value.__class__ is dict:
        if kind not in (STRUCT, MAP):
            return None
        return _remove_from_map(shape, value, fields) or None
    if value.__class__ is list:
        if kind not in (SET, KEYED):
            return None
        return _remove_from_list(shape, value, fields) or None
    return value


def _remove_from_map(shape: Shape, value: dict[str, Any], fields: Fields) -> dict[str, Any]:
    out = {}
    for key, item in value.items():
        node = fields.get(f"f:{key}")
        if node is None:
            out[key] = item
        elif node and "." not in node:
            below = shape.child(key)
            out[key] = item if below is None else remove(below, item, node)
    return out


def _remove_from_list(shape: Shape, value: list[Any], fields: Fields) -> list[Any]:
    out = []
    for item in value:
        node = fields.get(element_of(shape, item))
        if node is None:
            out.append(item)
        elif node and "." not in node:
            out.append(item if shape.kind == SET else remove(shape.elem, item, node))
    return out
