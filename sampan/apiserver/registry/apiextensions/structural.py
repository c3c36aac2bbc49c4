"""Whether the schema of a custom resource is structural: every field has one type, outside of value validation.

After the rules of ``apiextensions-apiserver/pkg/apiserver/schema`` and of its OpenAPI checks. CEL rules are not
compiled here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field
from sampan.api.structural import Structural, validate
from sampan.api.structural.patterns import PatternError, compile_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_EMPTY = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_ONLY_NAMES = "must not specify anything other than name and generateName, but metadata is implicitly specified"
_QUADRATIC = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
_KEY_VALUE = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_EITHER = "x-kubernetes-int-or-string"
_LIST_TYPE = "x-kubernetes-list-type"
_LIST_KEYS = "x-kubernetes-list-map-keys"
_RULES = "x-kubernetes-validations"
_NESTED = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "externalDocs": "must be undefined to be structural",
    _PRESERVE: "must be false to be structural",
    _EMBEDDED: "must be false to be structural",
    _EITHER: "must be false to be structural",
    _LIST_KEYS: "must be empty to be structural",
    _LIST_TYPE: "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    _RULES: "must be empty to be structural",
}
_DEFINED = frozenset({"additionalProperties", "default", "externalDocs", _LIST_TYPE, "x-kubernetes-map-type"})
"""Keys that say something even with an empty value."""


def check_schema(errors: Errors, path: Path, schema: Object) -> None:
    """Check one version's schema."""
    structure: Errors = []
    _invariants(structure, path, schema, "root")
    _complete(structure, path, path, schema, schema)
    errors += sorted(structure, key=str)
    _openapi(errors, path, schema)


def _invariants(errors: Errors, path: Path, schema: Object, level: str) -> None:  # noqa: C901 - one check a rule
    kind, items, more = schema.get("type", ""), schema.get("items"), schema.get("additionalProperties")
    properties: dict[str, Object] = schema.get("properties") or {}
    if kind == "array" and items is None:
        errors.append(field.required(path.child("items"), "must be specified"))
    if isinstance(items, dict):
        _invariants(errors, path.child("items"), items, "item")
    for name, one in properties.items():
        _invariants(errors, path.child("properties").key(name), one, "field")
    if more is not None and level == "root":
        errors.append(field.forbidden(path.child("additionalProperties"), "must not be used at the root"))
    if isinstance(more, dict):
        _invariants(errors, path.child("additionalProperties"), more, "field")
    if schema.get(_EITHER):
        for key in (_PRESERVE, _EMBEDDED):
            if schema.get(key):
                errors.append(field.invalid(path.child(key), True, f"must be false if {_EITHER} is true"))
    _junctors(errors, path, schema)
    _kind(errors, path, schema, level)
    if level == "root" or schema.get(_EMBEDDED):
        for name in ("kind", "apiVersion"):
            if name in properties and properties[name].get("type") != "string":
                where = path.child("properties").key(name).child("type")
                errors.append(field.invalid(where, properties[name].get("type", ""), "must be string"))
    if "metadata" in properties:
        _metadata(errors, path.child("properties").key("metadata"), properties["metadata"], schema, level)


def _kind(errors: Errors, path: Path, schema: Object, level: str) -> None:
    kind = schema.get("type", "")
    if schema.get(_EMBEDDED):
        detail = f"must be object if {_EMBEDDED} is true"
        if not kind:
            errors.append(field.required(path.child("type"), detail))
        elif kind != "object":
            errors.append(field.invalid(path.child("type"), kind, detail))
        if schema.get("additionalProperties") is not None:
            detail = f"must not be used if {_EMBEDDED} is set"
            errors.append(field.forbidden(path.child("additionalProperties"), detail))
        if not schema.get(_PRESERVE) and not schema.get("properties"):
            detail = f"must not be empty if {_EMBEDDED} is true without {_PRESERVE}"
            errors.append(field.required(path.child("properties"), detail))
    elif not kind and not schema.get(_EITHER) and not schema.get(_PRESERVE):
        errors.append(field.required(path.child("type"), f"must not be empty {_EMPTY[level]}"))
    if level == "root" and kind and kind != "object":
        errors.append(field.invalid(path.child("type"), kind, "must be object at the root"))


def _metadata(errors: Errors, path: Path, metadata: Object, schema: Object, level: str) -> None:
    """Of metadata, only the names may be restricted: the rest is known."""
    if (level == "root" or schema.get(_EMBEDDED)) and metadata.get("type") != "object":
        errors.append(field.invalid(path.child("type"), metadata.get("type", ""), "must be object"))
    if level != "root":
        return
    rest = {key for key, value in metadata.items() if value not in (None, "", False)} - {"type", "default"}
    if (metadata.get("properties") or {}).keys() <= {"name", "generateName"}:
        rest.discard("properties")
    if rest:
        errors.append(field.forbidden(path, _ONLY_NAMES))


def _nested(schema: Object) -> Iterator[tuple[str, int | None, Object]]:
    """The schemas that only validate values: junctor, place in it, schema."""
    for junctor in ("anyOf", "allOf", "oneOf"):
        for position, one in enumerate(schema.get(junctor) or ()):
            yield junctor, position, one
    if schema.get("not") is not None:
        yield "not", None, schema["not"]


def _place(path: Path, junctor: str, position: int | None) -> Path:
    return path.child(junctor) if position is None else path.child(junctor).index(position)


def _junctors(errors: Errors, path: Path, schema: Object) -> None:
    either = schema.get("anyOf") == _INT_OR_STRING
    first = (schema.get("allOf") or [{}])[0].get("anyOf") == _INT_OR_STRING
    for junctor, position, one in _nested(schema):
        if junctor == "anyOf" and either:
            continue
        _value_only(errors, _place(path, junctor, position), one, either=junctor == "allOf" and not position and first)
    if pattern := schema.get("pattern"):
        try:
            compile_pattern(pattern)
        except PatternError as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            errors.append(field.invalid(path.child("pattern"), pattern, detail))


def _value_only(errors: Errors, path: Path, schema: Object, *, either: bool = False) -> None:
    """Check a schema below a junctor. either: its anyOf is the pattern of int-or-string."""
    _junctors(errors, path, {key: value for key, value in schema.items() if key != "anyOf"} if either else schema)
    if isinstance(schema.get("items"), dict):
        _value_only(errors, path.child("items"), schema["items"])
    properties = schema.get("properties") or {}
    for name, one in properties.items():
        _value_only(errors, path.child("properties").key(name), one)
    for key, detail in _NESTED.items():
        value = schema.get(key)
        if value or (value is not None and key in _DEFINED):
            errors.append(field.forbidden(path.child(key), detail))
    if "metadata" in properties:
        where = path.child("properties").key("metadata")
        errors.append(field.forbidden(where, "must not be specified in a nested context"))


def _complete(errors: Errors, path: Path, where: Path, schema: Object | None, values: Object) -> None:
    """Every field that a nested schema validates must be in the structure. path: there. where: of the nested one."""
    for junctor, position, one in _nested(values):
        _defined(errors, path, _place(where, junctor, position), schema, one)


def _defined(errors: Errors, path: Path, where: Path, schema: Object | None, values: Object) -> None:
    if not isinstance(schema, dict):
        errors.append(field.required(path, f"because it is defined in {where}"))
        return
    _complete(errors, path, where, schema, values)
    if isinstance(values.get("items"), dict):
        _defined(errors, path.child("items"), where.child("items"), schema.get("items"), values["items"])
    known = schema.get("properties") or {}
    for name, one in (values.get("properties") or {}).items():
        there, here = path.child("properties").key(name), where.child("properties").key(name)
        _defined(errors, there, here, known.get(name), one)


def _openapi(errors: Errors, path: Path, schema: Object) -> None:
    """Check what OpenAPI allows and custom resources do not; the whole tree."""
    if schema.get("$ref"):
        errors.append(field.forbidden(path.child("$ref"), "$ref is not supported"))
    if schema.get("uniqueItems"):
        errors.append(field.forbidden(path.child("uniqueItems"), _QUADRATIC))
    kind = schema.get("type", "")
    if kind and kind not in _TYPES:
        errors.append(field.not_supported(path.child("type"), kind, _TYPES))
    if schema.get("additionalProperties") is not None and schema.get("properties"):
        detail = "additionalProperties and properties are mutual exclusive"
        errors.append(field.forbidden(path.child("additionalProperties"), detail))
    _list_type(errors, path, schema)
    _default(errors, path, schema)
    for position, rule in enumerate(schema.get(_RULES) or ()):
        if not str(rule.get("rule", "")).strip():
            errors.append(field.required(path.child(_RULES).index(position).child("rule"), "rule is not specified"))
    for where, one in _below(path, schema):
        _openapi(errors, where, one)


def _below(path: Path, schema: Object) -> Iterator[tuple[Path, Object]]:
    for key in ("additionalProperties", "items"):
        if isinstance(schema.get(key), dict):
            yield path.child(key), schema[key]
    for name, one in sorted((schema.get("properties") or {}).items()):
        yield path.child("properties").key(name), one
    for junctor, position, one in _nested(schema):
        yield _place(path, junctor, position), one


def _list_type(errors: Errors, path: Path, schema: Object) -> None:  # noqa: C901 - one check a rule
    kind, keys = schema.get(_LIST_TYPE), schema.get(_LIST_KEYS) or ()
    if kind is None:
        if keys:
            errors.append(field.required(path.child(_LIST_TYPE), f"must be map if {_LIST_KEYS} is non-empty"))
        return
    if kind not in ("atomic", "set", "map"):
        errors.append(field.not_supported(path.child(_LIST_TYPE), kind, ("atomic", "set", "map")))
    if schema.get("type") != "array":
        detail = f"must be array if {_LIST_TYPE} is specified"
        errors.append(field.invalid(path.child("type"), schema.get("type", ""), detail))
    if kind != "map":
        return
    if not keys:
        detail = f"must not be empty if {_LIST_TYPE} is map"
        errors.append(field.required(path.child(_LIST_KEYS), detail))
    items: Any = schema.get("items")
    if not isinstance(items, dict):
        return
    known, where = items.get("properties") or {}, path.child("items").child("properties")
    for position, key in enumerate(keys):
        if key not in known:
            detail = "must have the key defined in the properties"
            errors.append(field.invalid(path.child(_LIST_KEYS).index(position), key, detail))
        elif key not in (items.get("required") or ()) and known[key].get("default") is None:
            errors.append(field.required(where.key(key).child("default"), _KEY_VALUE))


def _default(errors: Errors, path: Path, schema: Object) -> None:
    """A default must be valid where it is put."""
    value = schema.get("default")
    if value is not None and schema.get("type", "") in _TYPES:
        errors += validate(Structural(schema), value, path=path.child("default"))


def defines(schema: Object, json_path: str) -> bool:
    """Whether a simple JSON path such as ``.spec.replicas`` leads to a field of a scalar type."""
    here: Any = schema
    for name in json_path.removeprefix(".").split("."):
        here = (here.get("properties") or {}).get(name) if isinstance(here, dict) else None
    return isinstance(here, dict) and here.get("type") in ("string", "boolean", "integer")
