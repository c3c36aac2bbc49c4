"""Objects within custom resources (x-kubernetes-embedded-resource): their apiVersion, kind and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field, names
from sampan.api.field import Path
from sampan.apiserver.registry import metadata as meta

if TYPE_CHECKING:
    from sampan.api.field import FieldError
    from sampan.api.structural import Structural


def check_embedded(schema: Structural, value: Any) -> list[FieldError]:
    """List what is wrong with the embedded objects below value."""
    found: list[FieldError] = []
    if _has_embedded(schema):
        _check(found, schema, value, None)
    return found


def _has_embedded(schema: Structural) -> bool:
    known: bool | None = schema.cache.get("embedded")
    if known is None:
        known = schema.embedded or any(_has_embedded(child) for child in schema.children())
        schema.cache["embedded"] = known
    return known


def _check(found: list[FieldError], schema: Structural, value: Any, path: Path | None) -> None:
    if value.__class__ is dict:
        if schema.embedded and path is not None:
            _check_object(found, value, path)
        for name in sorted(value):
            child = schema.member(name)
            if child is not None and _has_embedded(child):
                declared = name in schema.properties
                at = Path(name) if path is None else path.child(name) if declared else path.key(name)
                _check(found, child, value[name], at)
    elif value.__class__ is list and schema.items is not None:
        for position, item in enumerate(value):
            _check(found, schema.items, item, path.index(position) if path is not None else Path(f"[{position}]"))


def _check_object(found: list[FieldError], value: dict[str, Any], path: Path) -> None:
    version, kind = value.get("apiVersion"), value.get("kind")
    if not version:
        found.append(field.required(path.child("apiVersion"), "must not be empty"))
    elif not isinstance(version, str) or version.count("/") > 1:
        problem = f"unexpected GroupVersion string: {version}"
        found.append(field.invalid(path.child("apiVersion"), version, problem))
    if not kind:
        found.append(field.required(path.child("kind"), "must not be empty"))
    elif errors := names.is_dns1035_label(str(kind).lower()):
        detail = f"may have mixed case, but should otherwise match: {','.join(errors)}"
        found.append(field.invalid(path.child("kind"), kind, detail))
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        rule = meta.name_rule("none")
        shown = {**metadata, "name": metadata.get("name") or "x"}
        for error in meta.validate(shown, namespaced=bool(metadata.get("namespace")), rule=rule):
            error.path = f"{path}.{error.path}"
            found.append(error)
