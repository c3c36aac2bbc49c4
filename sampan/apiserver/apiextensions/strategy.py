"""The strategy of custom resources: what is special about them is in their definition.

Behaviour: apiextensions-apiserver, package registry/customresource (strategy, status strategy, validator).
"""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field
from sampan.api.field import FieldError, Path
from sampan.api.goformat import go_text
from sampan.api.structural import apply_defaults, check_lists, validate
from sampan.api.structural.schema import ABSENT, Structural
from sampan.apiserver.apiextensions.embedded import check_embedded
from sampan.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.apiextensions.version import ServedVersion
    from sampan.apiserver.registry.strategy import FieldPaths, WriteContext

_MAX_INT32 = (1 << 31) - 1
_BLOCKING = frozenset({"Unsupported value", "Required value", "Too long", "Too many"})
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)


class CustomResourceStrategy(Strategy):
    """The strategy of one version."""

    tracks_generation = True
    allow_unconditional_update = False

    def __init__(self, version: ServedVersion) -> None:
        super().__init__(version.info)
        self.version = version
        self.has_status = version.has_status
        self.selectable = version.selectable
        self._paths = [(path, path.split(".")) for path in version.selectable]

    def default(self, obj: Object) -> None:
        apply_defaults(self.version.schema, obj)

    def prepare_for_status_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        managed = new["metadata"].get("managedFields")
        version = new["metadata"].get("resourceVersion")
        new["metadata"] = {key: value for key, value in old["metadata"].items() if key != "managedFields"}
        if version:
            new["metadata"]["resourceVersion"] = version
        if managed:
            new["metadata"]["managedFields"] = managed

    def validate(self, ctx: WriteContext, obj: Object) -> list[FieldError]:
        found = self._type_meta(obj)
        if found:
            return found
        schema = self.version.schema
        found = validate(schema, obj) + self._scale(obj) + check_embedded(schema, obj)
        found += check_lists(schema, obj)
        return found + self._rules(found, obj, ABSENT)

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> list[FieldError]:
        found = self._type_meta(new)
        if found:
            return found
        schema = self.version.schema
        found = validate(schema, new, old=old) + self._scale(new)
        if not check_embedded(schema, old):
            found += check_embedded(schema, new)
        lists = check_lists(schema, new)
        if lists and not check_lists(schema, old):
            found += lists
        return found + self._rules(found, new, old)

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> list[FieldError]:
        schema = self.version.schema
        status = schema.properties.get("status")
        found: list[FieldError] = []
        if status is not None and "status" in new:
            found += validate(status, new["status"], path=Path("status"), old=old.get("status", ABSENT))
        found += self._scale(new)
        lists = check_lists(schema, new)
        if lists and not check_lists(schema, old):
            found += lists
        return found + self._rules(found, new, old)

    def _type_meta(self, obj: Object) -> list[FieldError]:
        gvk = self.version.kind
        found = []
        if obj.get("kind") != gvk.kind:
            found.append(field.invalid("kind", obj.get("kind", ""), f"must be {gvk.kind}"))
        if obj.get("apiVersion") != gvk.api_version:
            found.append(field.invalid("apiVersion", obj.get("apiVersion", ""), f"must be {gvk.api_version}"))
        return found

    def _rules(self, found: list[FieldError], obj: Object, old: Any) -> list[FieldError]:
        schema = self.version.schema
        if not has_rules(schema):
            return []
        if any(one.kind in _BLOCKING or one.cause()["reason"] == "FieldValueTypeInvalid" for one in found):
            return [field.invalid(None, None, _UNCHECKED)]
        from sampan.apiserver.apiextensions.rules import check_rules  # noqa: PLC0415 - CEL is large

        return check_rules(schema, obj, old)

    # -- scale

    def _scale(self, obj: Object) -> list[FieldError]:
        scale = self.version.scale
        if scale is None:
            return []
        found: list[FieldError] = []
        for key in ("specReplicasPath", "statusReplicasPath"):
            path = scale.get(key) or ""
            value = lookup(obj, path)
            if value is ABSENT:
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                found.append(field.invalid(path, 0, f"{path} accessor error: {_mismatch(value, 'int64')}"))
            elif value < 0:
                found.append(field.invalid(path, value, "should be a non-negative integer"))
            elif value > _MAX_INT32:
                found.append(field.invalid(path, value, f"should be less than or equal to {_MAX_INT32}"))
        path = scale.get("labelSelectorPath") or ""
        value = lookup(obj, path) if path else ABSENT
        if value is not ABSENT and not isinstance(value, str):
            found.append(field.invalid(path, "", f"{path} accessor error: {_mismatch(value, 'string')}"))
        return found

    def get_scale(self, obj: Object) -> Object:
        scale = self.version.scale
        assert scale is not None
        metadata = obj["metadata"]
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        replicas = lookup(obj, scale["statusReplicasPath"])
        status: Object = {"replicas": replicas if isinstance(replicas, int) else 0}
        selector = lookup(obj, scale.get("labelSelectorPath") or "")
        if isinstance(selector, str) and selector:
            status["selector"] = selector
        wanted = lookup(obj, scale["specReplicasPath"])
        spec = {"replicas": wanted} if isinstance(wanted, int) and wanted else {}
        return {
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {key: metadata[key] for key in kept if key in metadata}, "spec": spec, "status": status,
        }  # fmt: skip

    def set_scale(self, obj: Object, scale: Object) -> None:
        assert self.version.scale is not None
        *parents, last = self.version.scale["specReplicasPath"].removeprefix(".").split(".")
        for name in parents:
            obj = obj.setdefault(name, {})
        obj[last] = (scale.get("spec") or {}).get("replicas", 0)

    # -- selectors and ownership

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {path: _text(_walk(obj, parts)) for path, parts in self._paths}

    def unsupported_field(self, name: str) -> str:
        return f"field label not supported: {name}"

    def reset_fields(self, subresource: str) -> FieldPaths:
        if not self.has_status:
            return ()
        return (("spec",), ("metadata",)) if subresource == "status" else (("status",),)


def has_rules(schema: Structural) -> bool:
    """Whether there are x-kubernetes-validations in the schema."""
    known: bool | None = schema.cache.get("has_rules")
    if known is None:
        known = bool(schema.rules) or any(has_rules(child) for child in schema.children())
        schema.cache["has_rules"] = known
    return known


def lookup(obj: Any, path: str) -> Any:
    """The value at a simple JSON path, ABSENT when there is none."""
    return _walk(obj, path.removeprefix(".").split(".")) if path else ABSENT


def _walk(value: Any, parts: list[str]) -> Any:
    for part in parts:
        if value.__class__ is not dict or part not in value:
            return ABSENT
        value = value[part]
    return value


def _text(value: Any) -> str:
    if value is ABSENT or value is None:
        return ""
    return value if isinstance(value, str) else go_text(value)


_GO = {
    str: "string",
    bool: "bool",
    int: "int64",
    float: "float64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}


def _mismatch(value: Any, wanted: str) -> str:
    return f"{go_text(value)} is of the type {_GO.get(value.__class__, '<nil>')}, expected {wanted}"
