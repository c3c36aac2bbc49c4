"""Builds `TypeInfo`s of built-in types from the generated data, each once, when first asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api.schema import data
from sampan.api.schema.types import FieldInfo, TypeInfo, ValueKind

if TYPE_CHECKING:
    from sampan.api.gvk import GroupVersionKind

META = "k8s.io.apimachinery.pkg.apis.meta.v1"
APIEXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1"

_SCALARS: dict[str, ValueKind] = {
    "string": "string",
    "bool": "bool",
    "int": "int64",
    "int32": "int32",
    "int64": "int64",
    "float64": "float64",
    "any": "any",
    "[]byte": "bytes",
}
_SPECIAL: dict[str, ValueKind] = {
    "k8s.io.apimachinery.pkg.types.UID": "string",
    "k8s.io.apimachinery.pkg.api.resource.Quantity": "quantity",
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    "k8s.io.apimachinery.pkg.runtime.RawExtension": "any",
    f"{META}.Time": "time",
    f"{META}.MicroTime": "microtime",
    f"{META}.Duration": "duration",
    f"{META}.FieldsV1": "fields",
    f"{APIEXTENSIONS}.JSON": "any",
    f"{APIEXTENSIONS}.JSONSchemaPropsOrArray": "any",
    f"{APIEXTENSIONS}.JSONSchemaPropsOrBool": "any",
    f"{APIEXTENSIONS}.JSONSchemaPropsOrStringArray": "any",
    f"{APIEXTENSIONS}.CustomResourceSubresourceStatus": "struct",
}
_MAP = re.compile(r"map\[([^]]+)\](.*)", re.DOTALL)
_QUALIFIED = re.compile(r"[\w.]*?(\w+\.\w+)(?![\w.])")

_types: dict[str, TypeInfo] = {}


def go_display(expression: str) -> str:
    """Spell a type as Go's reflection does: the package's last element only."""
    return re.sub(r"\bany\b", "interface {}", _QUALIFIED.sub(r"\1", expression).replace("[]byte", "[]uint8"))


def type_named(expression: str) -> TypeInfo:
    """Return the type of a Go type expression with full names, e.g. ``[]k8s.io.api.core.v1.Container``.

    Raises LookupError for a name without a type.
    """
    found = _types.get(expression)
    if found is None:
        found = _types[expression] = _build(expression)
    return found


def type_of(gvk: GroupVersionKind) -> TypeInfo:
    """Return the type of a built-in kind. Raises LookupError when there is none.

    Options kinds (DeleteOptions, ...) exist in every group; their type is metav1's.
    """
    name = data.kinds().get(f"{gvk.group}/{gvk.version}/{gvk.kind}") or data.kinds().get(f"meta.k8s.io/v1/{gvk.kind}")
    if not name:
        raise LookupError(f"{gvk.api_version}, Kind={gvk.kind}")
    return type_named(name)


def is_registered(gvk: GroupVersionKind) -> bool:
    """Whether Kubernetes knows the kind, served or not."""
    return f"{gvk.group}/{gvk.version}/{gvk.kind}" in data.kinds() or f"meta.k8s.io/v1/{gvk.kind}" in data.kinds()


def _build(expression: str) -> TypeInfo:
    if expression.startswith("*"):
        return _pointer(type_named(expression[1:]))
    if kind := _SCALARS.get(expression):
        return TypeInfo(kind, go_type=go_display(expression))
    if kind := _SPECIAL.get(expression):
        return TypeInfo(kind, name=expression, go_type=go_display(expression), fields={})
    if expression.startswith("[]"):
        return TypeInfo("list", go_type=go_display(expression), elem=type_named(expression[2:]))
    if match := _MAP.fullmatch(expression):
        return TypeInfo("map", go_type=go_display(expression), elem=type_named(match[2]))
    entry = data.types().get(expression)
    if entry is None:
        raise LookupError(expression)
    display = go_display(expression)
    if isinstance(entry, str):
        base = type_named(entry)
        return TypeInfo(base.kind, name=expression, go_type=display, elem=base.elem, fields=base.fields)
    return TypeInfo(
        "struct",
        name=expression,
        go_type=display,
        resolve=lambda: {field[0]: _field(*field) for field in entry["fields"]},
        atomic=entry.get("atomic", False),
    )


def _pointer(base: TypeInfo) -> TypeInfo:
    """Make the pointer's own info; the fields are looked up through the base, so that recursion stays lazy."""
    return TypeInfo(
        base.kind,
        name=base.name,
        go_type=f"*{base.go_type}",
        elem=base.elem,
        resolve=lambda: base.fields,
        atomic=base.atomic,
        pointer=True,
    )


def _field(name: str, expression: str, flags: int, extra: dict[str, object] | None = None) -> FieldInfo:
    found = extra or {}
    info = type_named(expression)
    return FieldInfo(
        name,
        info,
        omitempty=bool(flags & 1),
        omitzero=bool(flags & 2),
        pointer=info.pointer,
        required=bool(found.get("required")),
        list_type=found.get("list", "atomic"),  # type: ignore[arg-type]
        list_map_keys=tuple(found.get("keys", ())),  # type: ignore[arg-type]
        atomic=bool(found.get("atomic")),
        granular=bool(found.get("granular")),
        patch_strategies=tuple(filter(None, str(found.get("patch", "")).split(","))),
        patch_merge_key=str(found.get("mergeKey", "")),
        default=found.get("default"),
        feature_gate=str(found.get("gate", "")),
    )
