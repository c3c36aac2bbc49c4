"""Compiles Go types: embedded structs folded in, names in full, OpenAPI's list types and merge keys joined on."""
# ruff: noqa: INP001  a script beside the facts, no package

from __future__ import annotations

import re
from typing import Any

META = "k8s.io.apimachinery.pkg.apis.meta.v1"
_QUALIFIERS = {
    "metav1": META,
    "corev1": "k8s.io.api.core.v1",
    "batchv1": "k8s.io.api.batch.v1",
    "apiv1": "k8s.io.api.core.v1",
    "authenticationv1": "k8s.io.api.authentication.v1",
    "authorizationv1": "k8s.io.api.authorization.v1",
    "types": "k8s.io.apimachinery.pkg.types",
    "runtime": "k8s.io.apimachinery.pkg.runtime",
    "intstr": "k8s.io.apimachinery.pkg.util.intstr",
    "resource": "k8s.io.apimachinery.pkg.api.resource",
}
_MORE_PACKAGES = {
    "k8s.io.api.admission.v1": "admission.k8s.io/v1",
    "k8s.io.api.admission.v1beta1": "admission.k8s.io/v1beta1",
    "k8s.io.api.apidiscovery.v2": "apidiscovery.k8s.io/v2",
    "k8s.io.api.apidiscovery.v2beta1": "apidiscovery.k8s.io/v2beta1",
    META: "meta.k8s.io/v1",
}
"""Packages whose kinds travel in bodies without being served as resources."""
_BASIC = frozenset({"string", "bool", "int", "int32", "int64", "uint8", "byte", "float64", "interface", "map"})
_META_SPECIAL = frozenset({"Time", "MicroTime", "Duration", "FieldsV1"})

Types = dict[str, Any]


class Resolver:
    """Turns Go type expressions, as their package spells them, into full names."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def resolve(self, package: str, expression: str) -> str:
        return re.sub(
            r"(?:(\w+)\.)?([A-Za-z_]\w*)", lambda match: self._name(package, match[1], match[2]), expression
        ).replace("interface{}", "any")

    def _name(self, package: str, qualifier: str | None, name: str) -> str:
        if qualifier is None:
            return name if name in _BASIC else f"{package}.{name}"
        if qualifier in _QUALIFIERS:
            return f"{_QUALIFIERS[qualifier]}.{name}"
        own_group = f"{package.rpartition('.')[0]}.v1"
        for candidate in (own_group, "k8s.io.api.core.v1", META):
            if candidate != package and f"{candidate}.{name}" in self._types:
                return f"{candidate}.{name}"
        if name in _META_SPECIAL:
            return f"{META}.{name}"
        raise LookupError(f"{package}: {qualifier}.{name}")


def openapi_name(go_name: str) -> str:
    """``k8s.io.api.core.v1.Pod`` -> ``io.k8s.api.core.v1.Pod``."""
    head = go_name.split(".")
    head[0], head[1] = head[1], head[0]
    return (
        ".".join(head)
        .replace("apiextensions_apiserver", "apiextensions-apiserver")
        .replace("kube_aggregator", "kube-aggregator")
    )


def gates_off(facts: dict[str, Any], expression: str) -> bool:
    """Whether any of the comma-separated gates is off; a gate that is no longer listed is locked on."""
    return any(not facts.get(gate, ("GA", True))[1] for gate in expression.split(","))


class TypeCompiler:
    """Folds embedded structs, joins Go's JSON options with OpenAPI's list types, merge keys and defaults."""

    def __init__(
        self, types: Types, definitions: dict[str, Any], gates: dict[str, Any], dropped: dict[str, Any]
    ) -> None:
        self._types = types
        self._definitions = definitions
        self._gates = gates
        self._dropped = dropped
        self._resolver = Resolver(types)

    def compile(self, name: str) -> Any:
        entry = self._types[name]
        package = name.rpartition(".")[0]
        if isinstance(entry, str):
            return self._resolver.resolve(package, entry)
        schema = self._definitions.get(openapi_name(name), {})
        out: dict[str, Any] = {"fields": self._fields(name, entry, schema)}
        if schema.get("x-kubernetes-map-type") == "atomic":
            out["atomic"] = True
        return out

    def _fields(self, name: str, entry: list[Any], schema: dict[str, Any]) -> list[Any]:
        package = name.rpartition(".")[0]
        fields: list[Any] = []
        for wire, _, go_type, options, *rest in entry:
            resolved = self._resolver.resolve(package, go_type)
            if not wire:
                embedded = resolved.lstrip("*")
                fields += self._fields(embedded, self._types[embedded], schema)
                continue
            extra = self._extra(name, wire, rest[0] if rest else [], schema)
            flags = (1 if "omitempty" in options else 0) | (2 if "omitzero" in options else 0)
            fields.append([wire, resolved, flags, extra] if extra else [wire, resolved, flags])
        return fields

    def _extra(self, name: str, wire: str, markers: list[str], schema: dict[str, Any]) -> dict[str, Any]:
        found = schema.get("properties", {}).get(wire, {})
        listed = [marker.partition("=") for marker in markers]
        extra = _ownership(found, listed)
        if strategy := found.get("x-kubernetes-patch-strategy"):
            extra["patch"] = strategy
        if merge_key := found.get("x-kubernetes-patch-merge-key"):
            extra["mergeKey"] = merge_key
        if isinstance(found.get("default"), (str, int, bool)):
            extra["default"] = found["default"]
        if wire in schema.get("required", ()):
            extra["required"] = True
        gates = [v for k, _, v in listed if k == "featureGate"]
        if own := self._dropped.get(name, {}).get(wire):
            gates.append(own)
        if off := [gate for gate in gates if gates_off(self._gates, gate)]:
            extra["gate"] = ",".join(off)
        return extra


def _ownership(found: dict[str, Any], listed: list[tuple[str, str, str]]) -> dict[str, Any]:
    """Tell list and map types: what the served schema says, else the type's own markers."""
    extra: dict[str, Any] = {}
    list_type = found.get("x-kubernetes-list-type") or next((v for k, _, v in listed if k == "listType"), None)
    if list_type and list_type != "atomic":
        extra["list"] = list_type
    keys = found.get("x-kubernetes-list-map-keys") or [v for k, _, v in listed if k == "listMapKey"]
    if keys and list_type == "map":
        extra["keys"] = keys
    map_type = found.get("x-kubernetes-map-type") or next(
        (v for k, _, v in listed if k in {"mapType", "structType"}), None
    )
    if map_type == "atomic":
        extra["atomic"] = True
    elif map_type == "granular":
        extra["granular"] = True
    return extra


def referenced(compiled: Any) -> set[str]:
    """Names of the types that a compiled type mentions."""
    expressions = [compiled] if isinstance(compiled, str) else [field[1] for field in compiled["fields"]]
    return {name for text in expressions for name in re.findall(r"[a-z0-9_]+(?:\.\w+)+", text)}


def packages_of_groups(definitions: dict[str, Any]) -> dict[str, str]:
    """Tell each served group-version's Go package: ``k8s.io.api.rbac.v1`` -> ``rbac.authorization.k8s.io/v1``."""
    packages: dict[str, str] = {}
    for name, schema in definitions.items():
        kinds = schema.get("x-kubernetes-group-version-kind", ())
        if len(kinds) != 1 or "apimachinery" in name:
            continue
        package = name.rpartition(".")[0].split(".")
        package[0], package[1] = package[1], package[0]
        group_version = f"{kinds[0]['group']}/{kinds[0]['version']}"
        packages[".".join(package).replace("-", "_")] = group_version
    return packages


def unserved_kinds(types: Types, packages: dict[str, str]) -> list[tuple[str, str]]:
    """List kinds of versions that are registered but not served, as Kubernetes' errors distinguish them.

    The eviction subresource alone still takes its old version.
    """
    groups = {package.rpartition(".")[0]: group.partition("/")[0] for package, group in packages.items()}
    found = []
    for name, entry in types.items():
        package, _, kind = name.rpartition(".")
        parent, _, version = package.rpartition(".")
        if package in packages or parent not in groups or not isinstance(entry, list) or not entry:
            continue
        if entry[0][3] == "inline" and entry[0][2].endswith("TypeMeta"):
            served = name if name == "k8s.io.api.policy.v1beta1.Eviction" else ""
            found.append((f"{groups[parent]}/{version}/{kind}", served))
    return found


def served_kinds(types: Types, packages: dict[str, str]) -> dict[str, str]:
    """Map ``group/version/kind`` to the Go type, for every type that embeds a TypeMeta."""
    kinds: dict[str, str] = {}
    for name, entry in types.items():
        package, _, kind = name.rpartition(".")
        if package not in packages:
            continue
        if isinstance(entry, list) and entry and entry[0][3] == "inline" and entry[0][2].endswith("TypeMeta"):
            kinds[f"{packages[package]}/{kind}"] = name
        elif entry == "metav1.List":
            kinds[f"{packages[package]}/{kind}"] = f"{META}.List"
    return kinds


def build_types(
    types: Types, openapi: dict[str, Any], gates: dict[str, Any], dropped: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Compile every type that a served kind, an option or an admission review can reach; and the kinds' types."""
    schemas: dict[str, Any] = {}
    for path, document in openapi.items():
        if path != "v2":  # the v3 documents alone have defaults, which apply needs for keys of map lists
            schemas.update(document["components"].get("schemas", {}))
    packages = packages_of_groups(openapi["v2"]["definitions"]) | _MORE_PACKAGES
    kinds = served_kinds(types, packages)
    for kind, name in unserved_kinds(types, packages):
        kinds.setdefault(kind, name)
    compiler = TypeCompiler(types, schemas, gates, dropped)
    compiled: dict[str, Any] = {}
    pending = [*filter(None, kinds.values()), f"{META}.Condition", "k8s.io.apimachinery.pkg.version.Info"]
    while pending:
        name = pending.pop()
        if name not in compiled and name in types:
            compiled[name] = compiler.compile(name)
            pending += sorted(referenced(compiled[name]))
    return dict(sorted(compiled.items())), dict(sorted(kinds.items()))
