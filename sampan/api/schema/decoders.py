"""Compiles types to functions that bring JSON values to normal form.

A struct's decoder keeps one *plan* per shape, the tuple of a value's keys: what to do with each key, in the type's
declaration order, and which absent fields to add. Clients send the same few shapes over and over, so in the usual case
a struct costs one lookup and one short loop over what is there, and absent optional fields cost nothing at all.
Maps come out sorted by key, as Go writes them.
Children are compiled when a plan first meets them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api.schema.leaves import LEAVES, Irregular, Seen
from sampan.api.schema.typeinfo import APIEXTENSIONS, type_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.schema.types import FieldInfo, TypeInfo

    Decode = Callable[[Any, Seen], Any]
    Step = tuple[int, str, Any]

_STRING, _ANY_STRING, _OPTIONAL, _ALWAYS, _CONSTANT, _EMPTY, _UNKNOWN, _DROP = range(8)
"""What a plan's step does: take a string unless it is empty; take a string; decode and take unless empty; decode and
take; add a constant; add a freshly decoded zero; report an unknown field; check a field whose gate is off."""

_MAX_SHAPES = 256
"""Plans kept per struct; a client that makes up shapes must not make up memory."""
_MAX_UNKNOWN = 8
"""Unknown fields in a plan that is kept, for the same reason."""

_OMITTED_WHEN_FALSY = frozenset({"string", "bool", "int32", "int64", "float64", "bytes", "list", "map"})

_decoders: dict[TypeInfo, Decode] = {}


def decoder(info: TypeInfo) -> Decode:
    """Return the compiled decoder of a type. It raises `Irregular` on values of a wrong type."""
    found = _decoders.get(info)
    if found is None:
        found = _decoders[info] = _compile(info)
    return found


def _compile(info: TypeInfo) -> Decode:
    if info.pointer:
        return decoder(type_named(info.name)) if info.name else _compile_by_kind(info)
    return _compile_by_kind(info)


def _compile_by_kind(info: TypeInfo) -> Decode:
    if info.name in _CUSTOM:
        return _CUSTOM[info.name]
    if info.kind == "struct":
        return _struct(info)
    if info.kind == "list":
        return _list(info.elem)
    if info.kind == "map":
        return _map(info.elem)
    return LEAVES[info.kind]


def _struct(info: TypeInfo) -> Decode:  # noqa: C901  see its inner function
    plans: dict[tuple[str, ...], tuple[Step, ...]] = {}

    def decode(source: Any, seen: Seen) -> Any:  # noqa: C901, PLR0912  the hot loop: a call per step would double it
        if source.__class__ is not dict:
            if source is not None:
                raise Irregular
            source = {}
        shape = tuple(source)
        plan = plans.get(shape)
        if plan is None:
            plan = _plan(info, source)
            if len(plan) <= len(info.fields) + _MAX_UNKNOWN:
                if len(plans) >= _MAX_SHAPES:
                    plans.clear()
                plans[shape] = plan
        out = {}
        for action, key, argument in plan:
            if action < 2:
                value = source[key]
                if value.__class__ is str:
                    if value or action:
                        out[key] = value
                    continue
            elif action < 4:
                value = source[key]
                if value is not None:
                    value = argument(value, seen)
                    if value or action == 3:
                        out[key] = value
                    continue
            elif action == 4:
                out[key] = argument
                continue
            elif action == 5:
                out[key] = argument(None, seen)
                continue
            elif action == 6:
                seen.append(source)
                continue
            else:
                value = source[key]
                if value is not None:
                    argument(value, seen)
                continue
            if value is not None:
                raise Irregular
            return decode({key: value for key, value in source.items() if value is not None}, seen)
        return out

    return decode


_NIL_DEFAULTED = {("v2.HPAScalingRules", "policies")}
"""Lists whose default is for absent ones alone: an empty one must be seen by validation."""


def _plan(info: TypeInfo, source: dict[str, Any]) -> tuple[Step, ...]:
    fields = info.fields
    steps: list[Step] = [(_UNKNOWN, key, None) for key in source if key not in fields and not info.preserve_unknown]
    for name, field in fields.items():
        if field.feature_gate:
            if name in source:
                steps.append((_DROP, name, decoder(field.type)))
        elif name in source:
            keep_empty = (info.go_type.lstrip("*"), name) in _NIL_DEFAULTED
            steps.append((_ALWAYS, name, decoder(field.type)) if keep_empty else _present(field))
        elif (step := _absent(field)) is not None:
            steps.append(step)
    return tuple(steps)


def _present(field: FieldInfo) -> Step:
    info = field.type
    optional = field.omitempty and not field.pointer and (info.kind in _OMITTED_WHEN_FALSY or field.omitzero)
    if info.kind == "string":
        return (_STRING if optional else _ANY_STRING, field.name, None)
    return (_OPTIONAL if optional else _ALWAYS, field.name, decoder(info))


def _absent(field: FieldInfo) -> Step | None:
    info = field.type
    if field.omitempty and (field.pointer or field.omitzero or info.kind in _OMITTED_WHEN_FALSY):
        return None
    if field.omitempty and info.go_type == "interface {}":
        return None
    if field.pointer or info.kind in {"list", "map", "bytes", "any"}:
        return (_CONSTANT, field.name, None)
    if info.kind == "struct":
        return (_EMPTY, field.name, decoder(info))
    return (_CONSTANT, field.name, LEAVES[info.kind](None, []))


def _list(elem: TypeInfo | None) -> Decode:
    assert elem is not None
    if elem.kind == "string" and not elem.pointer:
        return _strings
    decode = decoder(elem)
    keep_null = elem.pointer

    def decode_list(value: Any, seen: Seen) -> Any:
        if value.__class__ is not list:
            raise Irregular
        if keep_null:
            return [None if item is None else decode(item, seen) for item in value]
        return [decode(item, seen) for item in value]

    return decode_list


def _strings(value: Any, _: Seen) -> Any:
    if value.__class__ is not list:
        raise Irregular
    for item in value:
        if item.__class__ is not str:
            if item is not None:
                raise Irregular
            return _strings(["" if item is None else item for item in value], _)
    return value.copy()


def _map(elem: TypeInfo | None) -> Decode:
    assert elem is not None
    if elem.kind == "string" and not elem.pointer:
        return _string_map
    decode = decoder(elem)
    keep_null = elem.pointer

    def decode_map(value: Any, seen: Seen) -> Any:
        if value.__class__ is not dict:
            raise Irregular
        if keep_null:
            return {key: None if value[key] is None else decode(value[key], seen) for key in sorted(value)}
        return {key: decode(value[key], seen) for key in sorted(value)}

    return decode_map


def _string_map(value: Any, _: Seen) -> Any:
    if value.__class__ is not dict:
        raise Irregular
    for item in value.values():
        if item.__class__ is not str:
            if item is not None:
                raise Irregular
            return _string_map({key: "" if item is None else item for key, item in value.items()}, _)
    return value.copy() if len(value) < 2 else {key: value[key] for key in sorted(value)}


def _schema(value: Any) -> Any:
    return decoder(type_named(f"{APIEXTENSIONS}.JSONSchemaProps"))(value, [])


def _schema_or_array(value: Any, _: Seen) -> Any:
    """Decode one schema or several; nested unknown fields go unreported, since the type decodes itself."""
    if value.__class__ is list:
        return [_schema(item) for item in value] or None
    return _schema(value) if value.__class__ is dict else None


def _schema_or_bool(value: Any, _: Seen) -> Any:
    if value is True or value is False:
        return value
    if value.__class__ is dict:
        return _schema(value)
    raise Irregular


def _schema_or_strings(value: Any, seen: Seen) -> Any:
    if value.__class__ is list:
        return _strings(value, seen) or None
    return _schema(value) if value.__class__ is dict else None


_CUSTOM: dict[str, Decode] = {
    f"{APIEXTENSIONS}.JSONSchemaPropsOrArray": _schema_or_array,
    f"{APIEXTENSIONS}.JSONSchemaPropsOrBool": _schema_or_bool,
    f"{APIEXTENSIONS}.JSONSchemaPropsOrStringArray": _schema_or_strings,
}
