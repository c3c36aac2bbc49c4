"""The `TypeInfo` of a custom resource, by which managed fields, apply and patches walk it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.schema.typeinfo import type_named
from sampan.api.schema.types import FieldInfo, TypeInfo
from sampan.api.structural.schema import ABSENT, Structural

if TYPE_CHECKING:
    from sampan.api.schema.types import ListType, ValueKind

_OBJECT_META = "k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_SCALARS: dict[str, ValueKind] = {"string": "string", "integer": "int64", "number": "float64", "boolean": "bool"}


def resource_type(schema: Structural | None, name: str) -> TypeInfo:
    """The type of a custom resource. name: full name of the kind, which no built-in type has."""
    if schema is None:
        schema = Structural({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    return TypeInfo(
        "struct", name=name, resolve=lambda: {**_meta_fields(), **_fields(schema, meta=True)},
        preserve_unknown=schema.preserve,
    )  # fmt: skip


def _meta_fields() -> dict[str, FieldInfo]:
    string = TypeInfo("string", go_type="string")
    return {
        "kind": FieldInfo("kind", string, pointer=True), "apiVersion": FieldInfo("apiVersion", string, pointer=True),
        "metadata": FieldInfo("metadata", type_named(_OBJECT_META), pointer=True),
    }  # fmt: skip


def _fields(schema: Structural, *, meta: bool) -> dict[str, FieldInfo]:
    found = _meta_fields() if schema.embedded else {}
    found.update(
        (name, _field(name, child))
        for name, child in schema.properties.items()
        if not (meta or schema.embedded) or name not in ("apiVersion", "kind", "metadata")
    )
    return found


def _field(name: str, schema: Structural) -> FieldInfo:
    list_type: ListType = "atomic"
    if schema.list_type in ("set", "map"):
        list_type = schema.list_type  # type: ignore[assignment]
    return FieldInfo(
        name, _type(schema), pointer=True, list_type=list_type, list_map_keys=schema.list_map_keys,
        atomic=schema.map_type == "atomic", default=None if schema.default is ABSENT else schema.default,
    )  # fmt: skip


def _type(schema: Structural) -> TypeInfo:
    found: TypeInfo | None = schema.cache.get("type")
    if found is None:
        found = schema.cache["type"] = _build(schema)
    return found


def _build(schema: Structural) -> TypeInfo:
    if schema.int_or_string:
        return TypeInfo("intorstring", go_type="intstr.IntOrString")
    kind = schema.type
    if kind in _SCALARS:
        return TypeInfo(_SCALARS[kind], go_type=kind)
    if kind == "array":
        items = schema.items
        return TypeInfo("list", go_type="list", elem=TypeInfo("any") if items is None else _type(items))
    atomic = schema.map_type == "atomic"
    if isinstance(schema.additional, Structural) and not schema.properties:
        return TypeInfo("map", go_type="map", elem=_type(schema.additional), atomic=atomic)
    return TypeInfo(
        "struct", go_type="map", resolve=lambda: _fields(schema, meta=False), atomic=atomic,
        preserve_unknown=schema.preserve or schema.additional is True or not kind,
    )  # fmt: skip
