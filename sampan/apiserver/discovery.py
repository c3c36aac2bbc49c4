"""Discovery documents: legacy (`/api`, `/apis`, one per group and per version) and aggregated (v2).

Pure document building; the HTTP layer asks for a path and sends what it gets. Resources that come and go (custom
resources, aggregated APIs) are put in per group-version, and only what they touch is encoded again, so that a thousand
new versions cost a thousand small encodings and one join.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from sampan.api.scheme import Scheme, builtin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.gvk import GroupVersionKind, ResourceInfo, SubresourceInfo
    from sampan.api.object import Object

_AGGREGATED_GROUP = "apidiscovery.k8s.io"
_AGGREGATED_KIND = "APIGroupDiscoveryList"
_VERSION = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An encoded document. etag: quoted, "" for documents that have none."""

    content_type: str
    body: bytes
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicVersion:
    """A group-version that is not built in.

    priority: of its group, as APIServices have it; built-in groups come first. freshness: "Stale" when the server
    behind it does not answer.
    """

    group: str
    version: str
    resources: Sequence[ResourceInfo]
    priority: int = 1000
    freshness: Literal["Current", "Stale"] = "Current"


class Discovery:
    """All discovery documents of one server. server_address: host:port that `/api` announces."""

    def __init__(self, *, scheme: Scheme | None = None, server_address: str = "") -> None:
        self._scheme = scheme or builtin()
        self._server_address = server_address
        self._dynamic: dict[tuple[str, str], DynamicVersion] = {}
        self._fragments: dict[tuple[str, str], bytes] = {}
        self._aggregated: dict[tuple[str, str], Document] = {}
        self._legacy: dict[str, Document | None] = {}
        self._versions: dict[str, tuple[str, ...]] | None = None

    def put(self, version: DynamicVersion) -> None:
        """Add or replace a dynamic group-version."""
        key = (version.group, version.version)
        self._dynamic[key] = version
        self._changed(key)

    def remove(self, group: str, version: str) -> None:
        """Forget a dynamic group-version; unknown ones are ignored."""
        if self._dynamic.pop((group, version), None) is not None:
            self._changed((group, version))

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return groups in order, each with its versions, the preferred one first; "" is the core group."""
        if self._versions is None:
            self._versions = self._order()
        return self._versions

    def object(self, path: str) -> Object | None:
        """Build the legacy document of a path without a trailing slash, None where there is none."""
        parts = path.strip("/").split("/")
        if parts == ["api"]:
            return self._api_versions()
        if parts == ["apis"]:
            groups = [self._group(name, versions) for name, versions in self.groups().items() if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if parts[0] == "apis" and len(parts) == 2 and parts[1] in self.groups():
            return {"kind": "APIGroup", "apiVersion": "v1", **self._group(parts[1], self.groups()[parts[1]])}
        group, version = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else ("", "")
        if parts[0] == "apis" and len(parts) == 3:
            group, version = parts[1], parts[2]
        if version not in self.groups().get(group, ()):
            return None
        head: Object = {"kind": "APIResourceList"} if not group else {"kind": "APIResourceList", "apiVersion": "v1"}
        head["groupVersion"] = f"{group}/{version}" if group else version
        return {**head, "resources": [entry for info in self._resources(group, version) for entry in _legacy(info)]}

    def legacy(self, path: str) -> Document | None:
        """Return the legacy document of a path as JSON, None where there is none."""
        path = path.rstrip("/")
        if path not in self._legacy:
            found = self.object(path)
            if found is None:
                return None
            self._legacy[path] = Document(content_type="application/json", body=orjson.dumps(found) + b"\n")
        return self._legacy[path]

    def aggregated(self, path: str, version: str = "v2") -> Document:
        """Return the aggregated document of ``/api`` or ``/apis``. version: as `aggregated_version` gave it."""
        root = path.strip("/")
        found = self._aggregated.get((root, version))
        if found is None:
            found = self._aggregated[root, version] = self._build_aggregated(root, version)
        return found

    def _build_aggregated(self, root: str, version: str) -> Document:
        items = []
        for group, versions in self.groups().items():
            if (root == "api") == (not group):
                name = orjson.dumps({"name": group} if group else {})
                fragments = b",".join(self._fragment(group, one) for one in versions)
                items.append(b'{"metadata":%b,"versions":[%b]}' % (name, fragments))
        body = b'{"kind":"%b","apiVersion":"%b/%b","metadata":{},"items":[%b]}\n' % (
            _AGGREGATED_KIND.encode(), _AGGREGATED_GROUP.encode(), version.encode(), b",".join(items),
        )  # fmt: skip
        content_type = f"application/json;g={_AGGREGATED_GROUP};v={version};as={_AGGREGATED_KIND}"
        etag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
        return Document(content_type=content_type, body=body, etag=etag)

    def _changed(self, key: tuple[str, str]) -> None:
        self._fragments.pop(key, None)
        self._aggregated.clear()
        self._legacy.clear()
        self._versions = None

    def _order(self) -> dict[str, tuple[str, ...]]:
        ordered = dict(self._scheme.groups)
        found: dict[str, list[str]] = {}
        priority: dict[str, int] = {}
        for (group, version), dynamic in self._dynamic.items():
            found.setdefault(group, []).append(version)
            priority[group] = max(priority.get(group, 0), dynamic.priority)
        for group in sorted(found, key=lambda name: (-priority[name], name)):
            builtins = self._scheme.groups.get(group, ())
            more = sorted((v for v in found[group] if v not in builtins), key=version_rank)
            ordered[group] = (*builtins, *more)
        return ordered

    def _resources(self, group: str, version: str) -> Iterable[ResourceInfo]:
        dynamic = self._dynamic.get((group, version))
        own = self._scheme.resources(group, version).values()
        if dynamic is None:
            return own
        return [*own, *sorted(dynamic.resources, key=lambda info: info.resource)]

    def _fragment(self, group: str, version: str) -> bytes:
        found = self._fragments.get((group, version))
        if found is None:
            dynamic = self._dynamic.get((group, version))
            resources = [_aggregate(info, full=dynamic is not None) for info in self._resources(group, version)]
            freshness = dynamic.freshness if dynamic is not None else "Current"
            entry = {"version": version, "resources": resources, "freshness": freshness}
            found = self._fragments[group, version] = orjson.dumps(entry)
        return found

    def _api_versions(self) -> Object:
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": self._server_address}]
        return {"kind": "APIVersions", "versions": list(self.groups()[""]), "serverAddressByClientCIDRs": addresses}

    @staticmethod
    def _group(name: str, versions: Sequence[str]) -> Object:
        listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
        return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def aggregated_version(accept: str) -> str:
    """Tell which aggregated version an Accept header asks for first, "" when it prefers the legacy documents."""
    for clause in accept.split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        if media not in {"application/json", "application/*", "*/*"}:
            continue
        given = dict(part.split("=", 1) for part in parameters if "=" in part)
        if given.get("as") == _AGGREGATED_KIND and given.get("g") == _AGGREGATED_GROUP:
            if given.get("v") == "v2":
                return "v2"
            continue
        if "as" not in given:
            return ""
    return ""


def version_rank(version: str) -> tuple[Any, ...]:
    """Sort key of Kubernetes' version order: v2, v1, v2beta1, v1beta2, v1alpha1, then anything else by name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (1, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (0, stage, -int(match[1]), -int(match[3] or 0))


def _legacy(info: ResourceInfo) -> Iterable[Object]:
    entry: Object = {
        "name": info.resource,
        "singularName": info.singular,
        "namespaced": info.namespaced,
        "kind": info.kind,
        "verbs": info.verbs,
    }
    if info.short_names:
        entry["shortNames"] = info.short_names
    if info.categories:
        entry["categories"] = info.categories
    if info.storage_version_hash:
        entry["storageVersionHash"] = info.storage_version_hash
    yield entry
    for sub in info.subresources.values():
        yield {
            "name": f"{info.resource}/{sub.name}",
            "singularName": "",
            "namespaced": info.namespaced,
            **_foreign(info, sub.kind),
            "kind": sub.kind.kind,
            "verbs": sub.verbs,
        }


def _foreign(info: ResourceInfo, kind: GroupVersionKind) -> Object:
    """Tell a subresource's group and version where they are not its resource's."""
    if (kind.group, kind.version) == (info.group, info.version):
        return {}
    return {"group": kind.group, "version": kind.version}


def _aggregate(info: ResourceInfo, *, full: bool) -> Object:
    """Lay out a resource; built-in ones leave the kind's group and version empty where they are the document's."""
    entry: Object = {
        "resource": info.resource,
        "responseKind": _response_kind(info, info.gvk, full=full),
        "scope": "Namespaced" if info.namespaced else "Cluster",
        "singularResource": info.singular,
        "verbs": info.verbs,
    }
    if info.short_names:
        entry["shortNames"] = info.short_names
    if info.categories:
        entry["categories"] = info.categories
    if info.subresources:
        entry["subresources"] = [_aggregate_sub(info, sub, full=full) for sub in info.subresources.values()]
    return entry


def _aggregate_sub(info: ResourceInfo, sub: SubresourceInfo, *, full: bool) -> Object:
    return {
        "subresource": sub.name,
        "responseKind": _response_kind(info, sub.kind, full=full),
        "verbs": sub.verbs,
    }


def _response_kind(info: ResourceInfo, kind: GroupVersionKind, *, full: bool) -> Object:
    if not full and (kind.group, kind.version) == (info.group, info.version):
        return {"group": "", "version": "", "kind": kind.kind}
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}
