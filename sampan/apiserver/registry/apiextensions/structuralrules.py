"""When a schema is structural, and which defaults it may have.

Behaviour: apiextensions-apiserver, packages apiserver/schema (validation, complete) and schema/defaulting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sampan.api import field
from sampan.api.structural import Structural, check_lists, prune, validate

if TYPE_CHECKING:
    from sampan.api.field import FieldError, Path
    from sampan.api.object import Object

_LEVELS = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_INT_OR_STRING = ([{"type": "integer"}, {"type": "string"}],)
_NESTED = (
    ("title", "must be empty to be structural"), ("description", "must be empty to be structural"),
    ("default", "must be undefined to be structural"), ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
)  # fmt: skip


def check_structural(raw: Object, path: Path) -> list[FieldError]:
    """List what keeps a schema from being structural."""
    found: list[FieldError] = []
    _invariants(found, raw, "root", path)
    _complete(found, raw, path)
    return found


def _invariants(found: list[FieldError], raw: Object, level: str, path: Path) -> None:
    kind, items, additional = raw.get("type") or "", raw.get("items"), raw.get("additionalProperties")
    if kind == "array" and items is None:
        found.append(field.required(path.child("items"), "must be specified"))
    if isinstance(items, dict):
        _invariants(found, items, "item", path.child("items"))
    for name in sorted(raw.get("properties") or ()):
        _invariants(found, raw["properties"][name], "field", path.child("properties").key(name))
    if isinstance(additional, dict):
        _invariants(found, additional, "field", path.child("additionalProperties"))
    _generic(found, raw, level, path)
    _extensions(found, raw, path)
    _junctors(found, raw, path)
    embedded = bool(raw.get("x-kubernetes-embedded-resource"))
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        at = path.child("type")
        found.append(field.invalid(at, kind, detail) if kind else field.required(at, detail))
    elif not kind and not raw.get("x-kubernetes-int-or-string") and not raw.get("x-kubernetes-preserve-unknown-fields"):
        found.append(field.required(path.child("type"), _LEVELS[level]))
    if embedded and not raw.get("x-kubernetes-preserve-unknown-fields") and not raw.get("properties"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        found.append(field.required(path.child("properties"), detail))
    if (level == "root" or embedded) and "metadata" in (raw.get("properties") or {}):
        _metadata(found, raw["properties"]["metadata"], path.child("properties").key("metadata"))


def _generic(found: list[FieldError], raw: Object, level: str, path: Path) -> None:
    kind, additional = raw.get("type") or "", raw.get("additionalProperties")
    if level == "root" and kind and kind != "object":
        found.append(field.invalid(path.child("type"), kind, "must be object at the root"))
    if additional is not None:
        if level == "root":
            found.append(field.forbidden(path.child("additionalProperties"), "must not be used at the root"))
        if raw.get("properties"):
            detail = "additionalProperties and properties are mutual exclusive"
            found.append(field.forbidden(path.child("additionalProperties"), detail))


def _extensions(found: list[FieldError], raw: Object, path: Path) -> None:
    if not raw.get("x-kubernetes-int-or-string"):
        return
    detail = "must be false if x-kubernetes-int-or-string is true"
    keys = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
    found += [field.invalid(path.child(key), True, detail) for key in keys if raw.get(key)]


def _metadata(found: list[FieldError], raw: Object, path: Path) -> None:
    if raw.get("type") != "object":
        found.append(field.invalid(path.child("type"), raw.get("type") or "", "must be object"))
    rest = {key: value for key, value in raw.items() if key not in ("type", "description", "properties") and value}
    if rest or set(raw.get("properties") or ()) - {"name", "generateName"}:
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        found.append(field.forbidden(path, detail))


def _plain(schemas: Any) -> list[Object]:
    return [{key: value for key, value in one.items() if value} for one in schemas or ()]


def _junctors(found: list[FieldError], raw: Object, path: Path) -> None:
    """Logic over values; int-or-string alone may repeat the types there."""
    loose = bool(raw.get("x-kubernetes-int-or-string"))
    types = [{"type": "integer"}, {"type": "string"}]
    for key in ("allOf", "anyOf", "oneOf"):
        schemas = raw.get(key) or ()
        if key == "anyOf" and loose and _plain(schemas) == types:
            continue
        for position, one in enumerate(schemas):
            if key == "allOf" and position == 0 and loose and _plain(one.get("anyOf")) == types:
                continue
            _nested(found, one, path.child(key).index(position))
    if isinstance(raw.get("not"), dict):
        _nested(found, raw["not"], path.child("not"))


def _nested(found: list[FieldError], raw: Object, path: Path) -> None:  # noqa: C901 - one case per keyword
    for name in sorted(raw.get("properties") or ()):
        _nested(found, raw["properties"][name], path.child("properties").key(name))
    if isinstance(raw.get("items"), dict):
        _nested(found, raw["items"], path.child("items"))
    for key in ("allOf", "anyOf", "oneOf"):
        for position, one in enumerate(raw.get(key) or ()):
            _nested(found, one, path.child(key).index(position))
    if isinstance(raw.get("not"), dict):
        _nested(found, raw["not"], path.child("not"))
    if raw.get("type"):
        found.append(field.forbidden(path.child("type"), "must be empty to be structural"))
    if isinstance(raw.get("additionalProperties"), dict):
        found.append(field.forbidden(path.child("additionalProperties"), "must be undefined to be structural"))
    for key, detail in _NESTED:
        if raw.get(key):
            found.append(field.forbidden(path.child(key), detail))
    if "metadata" in (raw.get("properties") or {}):
        at = path.child("properties").key("metadata")
        found.append(field.forbidden(at, "must not be specified in a nested context"))


# -- completeness


def _complete(found: list[FieldError], raw: Object, path: Path) -> None:
    """Whatever logic speaks of must be declared outside of it as well."""
    for key in ("allOf", "anyOf", "oneOf"):
        for position, one in enumerate(raw.get(key) or ()):
            _covered(found, one, raw, path.child(key).index(position), path)
    if isinstance(raw.get("not"), dict):
        _covered(found, raw["not"], raw, path.child("not"), path)
    for name in sorted(raw.get("properties") or ()):
        _complete(found, raw["properties"][name], path.child("properties").key(name))
    for key in ("items", "additionalProperties"):
        if isinstance(raw.get(key), dict):
            _complete(found, raw[key], path.child(key))


def _covered(found: list[FieldError], nested: Object, raw: Object, at: Path, path: Path) -> None:
    declared = raw.get("properties") or {}
    additional = raw.get("additionalProperties")
    for name in sorted(nested.get("properties") or ()):
        inner, here = at.child("properties").key(name), path.child("properties").key(name)
        if name in declared:
            _covered(found, nested["properties"][name], declared[name], inner, here)
        elif isinstance(additional, dict):
            _covered(found, nested["properties"][name], additional, inner, path.child("additionalProperties"))
        elif not additional:
            found.append(field.required(here, f"because it is defined in {inner}"))
    if isinstance(nested.get("items"), dict):
        if isinstance(raw.get("items"), dict):
            _covered(found, nested["items"], raw["items"], at.child("items"), path.child("items"))
        else:
            found.append(field.required(path.child("items"), f"because it is defined in {at.child('items')}"))
    for key in ("allOf", "anyOf", "oneOf"):
        for position, one in enumerate(nested.get(key) or ()):
            _covered(found, one, raw, at.child(key).index(position), path)
    if isinstance(nested.get("not"), dict):
        _covered(found, nested["not"], raw, at.child("not"), path)


# -- defaults


def check_defaults(raw: Object, path: Path) -> list[FieldError]:
    """List the defaults that their own schema refuses."""
    found: list[FieldError] = []
    _defaults(found, raw, path)
    return found


def _defaults(found: list[FieldError], raw: Object, path: Path) -> None:
    default = raw.get("default")
    if default is not None:
        _default(found, raw, default, path.child("default"))
    for name in sorted(raw.get("properties") or ()):
        _defaults(found, raw["properties"][name], path.child("properties").key(name))
    for key in ("items", "additionalProperties"):
        if isinstance(raw.get(key), dict):
            _defaults(found, raw[key], path.child(key))


def _default(found: list[FieldError], raw: Object, default: Any, path: Path) -> None:
    schema = Structural(raw)
    copy = orjson.loads(orjson.dumps(default))
    if prune(schema, copy, is_root=False):
        found.append(field.invalid(path, default, "must not have unknown fields"))
        return
    problems = validate(schema, default, path=path) or check_lists(schema, default, path)
    if not problems and _has_rules(schema):
        from sampan.apiserver.apiextensions.rules import check_rules  # noqa: PLC0415 - CEL is large

        problems = [_moved(one, path) for one in check_rules(schema, default)]
    found += problems


def _has_rules(schema: Structural) -> bool:
    return bool(schema.rules) or any(_has_rules(child) for child in schema.children())


def _moved(error: FieldError, path: Path) -> FieldError:
    error.path = path if error.path is None or str(error.path) == "<nil>" else f"{path}.{error.path}"
    return error
