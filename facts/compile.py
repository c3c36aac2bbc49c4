"""Turn the facts about Kubernetes into the package's data files (`sampan/api/schema/_data/`).

Runs when the package is built (`hatch_build.py`) and by hand: ``python facts/compile.py``. Needs orjson and the PyPI
package `kubernetes-validate` (its descriptions only). Nothing in `_data/` is committed; everything here is.

- types.json: every Go type that a served kind can hold: embedded structs folded in, type names in full.
- kinds.json: ``group/version/kind`` -> Go type.
- scheme.json: groups, versions, resources as discovery lists them.
- protobuf.json: message name -> fields.
- openapi/<name>.json.gz: OpenAPI documents with descriptions, ready to be sent; openapi/index.json: path -> name, hash.
- the small fact files as they are.
"""
# ruff: noqa: INP001  a script beside the facts, no package

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import orjson

FACTS = Path(__file__).resolve().parent
DATA = FACTS.parent / "sampan" / "api" / "schema" / "_data"
DESCRIPTIONS = "kubernetes-json-schema/v1.36.0-local/_definitions.json"

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
_BASIC = frozenset({"string", "bool", "int", "int32", "int64", "uint8", "byte", "float64", "interface", "map"})
_META_SPECIAL = frozenset({"Time", "MicroTime", "Duration", "FieldsV1"})

Types = dict[str, Any]


def read(name: str) -> Any:
    """Read a fact file, gzipped or not."""
    packed = FACTS / f"{name}.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (FACTS / name).read_bytes()
    return orjson.loads(data)


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
        extra: dict[str, Any] = {}
        listed = [marker.partition("=") for marker in markers]
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


def build_types(openapi: dict[str, Any], facts: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Compile every type that a served kind, an option or an admission review can reach."""
    types: Types = read("go-types.json")
    schemas: dict[str, Any] = {}
    for path, document in openapi.items():
        if path != "v2":  # the v3 documents alone have defaults, which apply needs for keys of map lists
            schemas.update(document["components"].get("schemas", {}))
    compiler = TypeCompiler(types, schemas, read("feature-gates.json"), facts["dropped"])
    packages = packages_of_groups(openapi["v2"]["definitions"])
    packages["k8s.io.api.admission.v1"] = "admission.k8s.io/v1"
    packages["k8s.io.api.admission.v1beta1"] = "admission.k8s.io/v1beta1"
    packages["k8s.io.api.apidiscovery.v2"] = "apidiscovery.k8s.io/v2"
    packages["k8s.io.api.apidiscovery.v2beta1"] = "apidiscovery.k8s.io/v2beta1"
    packages[META] = "meta.k8s.io/v1"
    kinds: dict[str, str] = {}
    for name, entry in types.items():
        package, _, kind = name.rpartition(".")
        if (
            package in packages
            and isinstance(entry, list)
            and ["", "", "inline"] in [[f[0], f[1], f[3]] for f in entry[:1]]
        ):
            if entry[0][2].endswith("TypeMeta"):
                kinds[f"{packages[package]}/{kind}"] = name
        elif package in packages and entry == "metav1.List":
            kinds[f"{packages[package]}/{kind}"] = f"{META}.List"
    for kind, name in unserved_kinds(types, packages):
        kinds.setdefault(kind, name)
    compiled: dict[str, Any] = {}
    pending = [*filter(None, kinds.values()), f"{META}.Condition", "k8s.io.apimachinery.pkg.version.Info"]
    while pending:
        name = pending.pop()
        if name not in compiled and name in types:
            compiled[name] = compiler.compile(name)
            pending += sorted(referenced(compiled[name]))
    return dict(sorted(compiled.items())), dict(sorted(kinds.items()))


def build_protobuf(types: Types) -> dict[str, list[list[Any]]]:
    """Give each message's fields their wire names and full type names: ``[number, wire name, label, type]``.

    The wire name is null for an embedded struct, whose fields are the JSON object's own. A map's type is that of its
    values; keys are strings.
    """
    messages: dict[str, Any] = read("protobuf-fields.json")
    structs: Types = read("go-types.json")
    out: dict[str, list[list[Any]]] = {}
    pending = ["k8s.io.apimachinery.pkg.runtime.Unknown", *types]
    while pending:
        name = pending.pop()
        if name in out or name not in messages:
            continue
        package = name.rpartition(".")[0]
        entry = structs.get(name)
        wires = [field[0] for field in entry if field[0]] if isinstance(entry, list) else None
        by_letters = {letters(wire): wire for wire in wires or ()}
        fields = out[name] = []
        for number, field, label, kind in messages[name]:
            wire = field if wires is None else by_letters.get(letters(field))
            full = message_name(package, kind.partition(",")[2] if label == "map" else kind, messages)
            fields.append([number, wire, label, full])
            pending.append(full)
    return dict(sorted(out.items()))


def letters(name: str) -> str:
    """Reduce a field name to what protobuf's and JSON's spelling share: ``x-kubernetes-map-type``, ``aPIGroup``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def message_name(package: str, kind: str, messages: dict[str, Any]) -> str:
    """Complete a type's name; scalars stay as they are."""
    if kind.startswith("."):
        return kind[1:]
    return f"{package}.{kind}" if f"{package}.{kind}" in messages else kind


_VERBS = {"list": "list", "get": "get", "post": "create", "put": "update", "patch": "patch", "delete": "delete",
          "deletecollection": "deletecollection", "watch": "watch", "watchlist": "watch"}  # fmt: skip
_CONNECT = {"get": "get", "post": "create", "put": "update", "patch": "patch", "delete": "delete"}


class SchemeBuilder:
    """Reads resources, subresources and their verbs off the paths of the OpenAPI documents."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[str, Any]] = {}

    def add(self, group_version: str, path: str, operations: dict[str, Any]) -> None:
        parts = [part for part in path.split("/") if part]
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        if parts and parts[0] == "watch":
            parts = parts[1:]
        namespaced = len(parts) > 2 and parts[:2] == ["namespaces", "{namespace}"]
        if namespaced:
            parts = parts[2:]
        if not parts or "{path}" in parts:
            return
        resource, subresource = parts[0], parts[2] if len(parts) > 2 else ""
        name = f"{resource}/{subresource}" if subresource else resource
        for method, operation in operations.items():
            if not isinstance(operation, dict) or "x-kubernetes-action" not in operation:
                continue
            action, kind = operation["x-kubernetes-action"], operation["x-kubernetes-group-version-kind"]
            verb = _CONNECT.get(method) if action == "connect" else _VERBS[action]
            if verb is None:  # a proxy also takes HEAD and OPTIONS, which are no API verbs
                continue
            entry = self.versions.setdefault(group_version, {}).setdefault(name, {"verbs": set(), "namespaced": False})
            entry["verbs"].add(verb)
            entry["namespaced"] |= namespaced
            if (not subresource and action == "post") or subresource or "kind" not in entry:
                entry["kind"] = [kind["group"], kind["version"], kind["kind"]]


def storage_hash(group: str, version: str, kind: str) -> str:
    digest = hashlib.sha256(f"{group}/{version}/{kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def build_scheme(openapi: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Lay out groups and resources; the served schema says nothing of short names, categories and stored versions."""
    builder = SchemeBuilder()
    for path, document in openapi.items():
        parts = path.split("/")
        if parts[0] == "v3" and (
            (parts[1:2] == ["api"] and len(parts) == 3) or (parts[1:2] == ["apis"] and len(parts) == 4)
        ):
            group_version = "/".join(parts[2:]) if parts[1] == "apis" else f"/{parts[2]}"
            for route, operations in document["paths"].items():
                builder.add(group_version, route, operations)
    out: dict[str, Any] = {"groups": [], "resources": {}}
    for group in ["", *facts["groupOrder"]]:
        served = sorted(v.partition("/")[2] for v in builder.versions if v.partition("/")[0] == group)
        versions = facts["versionOrder"].get(group, served)
        if sorted(versions) != served:
            raise LookupError(f"facts/discovery.json does not order the versions of {group}: {served}")
        out["groups"].append([group, versions])
        for version in versions:
            out["resources"][f"{group}/{version}"] = _resources(
                group, version, builder.versions[f"{group}/{version}"], facts
            )
    known = {group for group, _ in out["groups"]}
    if missing := {v.partition("/")[0] for v in builder.versions} - known:
        raise LookupError(f"facts/discovery.json does not order {missing}")
    return out


def _resources(group: str, version: str, found: dict[str, Any], facts: dict[str, Any]) -> list[Any]:
    resources = []
    for name in sorted(found):
        entry = found[name]
        if "/" in name:
            continue
        qualified = f"{name}.{group}" if group else name
        kind = entry["kind"][2]
        stored = facts["storageVersions"].get(qualified, f"{group}/{version}/{kind}").split("/")
        persistent = "create" in entry["verbs"] and "get" in entry["verbs"]
        subresources = {
            sub.partition("/")[2]: [found[sub]["kind"], sorted(found[sub]["verbs"])]
            for sub in sorted(found)
            if sub.startswith(f"{name}/")
        }
        resources.append({
            "name": name, "kind": kind, "namespaced": entry["namespaced"], "verbs": sorted(entry["verbs"]),
            "shortNames": facts["shortNames"].get(qualified, []), "categories": facts["categories"].get(qualified, []),
            "hash": storage_hash(*stored) if persistent else "", "subresources": subresources,
        })  # fmt: skip
    return resources


def describe(schemas: dict[str, Any], described: dict[str, Any]) -> None:
    """Merge descriptions into schemas, in place; where a reference has siblings, OpenAPI v3 wants allOf."""
    for name, schema in schemas.items():
        source = described.get(name)
        if source is None:
            continue
        if text := source.get("description"):
            schema["description"] = text
        for field, prop in schema.get("properties", {}).items():
            if text := source.get("properties", {}).get(field, {}).get("description"):
                prop["description"] = text


def load_descriptions() -> dict[str, Any]:
    """Read kubernetes-validate's definitions without importing it; {} when a build has to do without."""
    for place in sys.path:
        candidate = Path(place) / "kubernetes_validate" / DESCRIPTIONS
        if candidate.exists():
            found: dict[str, Any] = orjson.loads(candidate.read_bytes())["$defs"]
            return found
    raise FileNotFoundError("kubernetes-validate==1.36.0 is needed to build sampan: its schemas hold the descriptions")


def build_openapi(openapi: dict[str, Any], target: Path) -> None:
    """Write each document compressed; deterministic, since clients keep them by hash."""
    described = load_descriptions()
    target.mkdir(parents=True, exist_ok=True)
    index: dict[str, Any] = {}
    for path, document in sorted(openapi.items()):
        version, _, rest = path.partition("/")
        schemas = document.get("definitions") or document.get("components", {}).get("schemas", {})
        describe(schemas, described)
        encoded = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha512(encoded).hexdigest().upper()
        name = f"{version}-{rest.replace('/', '_')}.json.gz" if rest else f"{version}.json.gz"
        (target / name).write_bytes(gzip.compress(encoded, 9, mtime=0))
        index[path] = [name, digest]
    (target / "index.json").write_bytes(orjson.dumps(index))


def compile_facts(target: Path = DATA) -> None:
    """Write all data files under target."""
    facts = read("discovery.json")
    openapi = read("openapi.json")
    final, target = target, target.with_name(f"{target.name}.new")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    types, kinds = build_types(openapi, facts)
    files = {
        "types.json": types,
        "kinds.json": kinds,
        "scheme.json": build_scheme(openapi, facts),
        "protobuf.json": build_protobuf(types),
        "printer-columns.json": read("printer-columns.json"),
        "fresh-server.json": read("fresh-server.json"),
        "feature-gates.json": read("feature-gates.json"),
    }
    for name, content in files.items():
        (target / name).write_bytes(orjson.dumps(content))
    build_openapi(openapi, target / "openapi")
    old = final.with_name(f"{final.name}.old")  # swapped whole, for those who read while we write
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    target.rename(final)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    compile_facts()
