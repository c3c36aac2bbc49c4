"""Reads the served resources, their verbs and kinds off the OpenAPI documents."""
# ruff: noqa: INP001  a script beside the facts, no package

from __future__ import annotations

import base64
import hashlib
from typing import Any

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
