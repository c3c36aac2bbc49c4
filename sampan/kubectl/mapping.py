"""From what a person types to a resource: ``po``, ``pods``, ``Pod``, ``deployments.apps``, ``deploy.v1.apps``.

Read from aggregated discovery (two requests), with kubectl's order of preference: the server's order of groups and
versions, core first; among equals the exact plural, then singular, then short name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api.gvk import GroupVersionKind, GroupVersionResource
from sampan.kubectl.errors import KubectlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.object import Object
    from sampan.kubectl.session import Session

_AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One served resource. preferred: its version is the group's preferred one."""

    gvr: GroupVersionResource
    kind: GroupVersionKind
    singular: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    preferred: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of a subresource."""
        parts = [self.gvr.prefix]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.gvr.resource)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)

    @property
    def qualified(self) -> str:
        """``pods`` or ``deployments.apps``: how messages call it."""
        return f"{self.gvr.resource}.{self.gvr.group}" if self.gvr.group else self.gvr.resource

    @property
    def qualified_singular(self) -> str:
        """``pod`` or ``deployment.apps``: what ``-o name`` prints before the slash."""
        name = self.kind.kind.lower()
        return f"{name}.{self.gvr.group}" if self.gvr.group else name


class Mapper:
    """All resources that the server has."""

    def __init__(self, resources: list[Resource]) -> None:
        self.resources = resources

    @classmethod
    async def fetch(cls, session: Session) -> Mapper:
        """Ask the server. Raises KubectlError, APIStatusError."""
        resources: list[Resource] = []
        for path in ("/api", "/apis"):
            document = await session.json("GET", path, accept=_AGGREGATED)
            if document.get("kind") == "APIGroupDiscoveryList":
                resources += _aggregated(document)
            else:
                resources += [one async for one in _legacy(session, document)]
        return cls(resources)

    def resource(self, text: str) -> Resource:
        """Find what a person typed. Raises KubectlError: ``the server doesn't have a resource type "x"``."""
        name, _, rest = text.partition(".")
        found = self._match(text.lower(), "", "") if not rest else None
        if found is None and rest:
            version, _, group = rest.partition(".")
            found = self._match(name.lower(), rest, "") or self._match(name.lower(), group, version)
        if found is None:
            where = f' in group "{rest}"' if rest else ""
            raise KubectlError(f'the server doesn\'t have a resource type "{name}"{where}')
        return found

    def for_kind(self, kind: GroupVersionKind, source: str = "") -> Resource:
        """Find the resource of an object. Raises KubectlError with kubectl's "no matches for kind"."""
        for one in self.resources:
            if one.kind == kind:
                return one
        text = f'no matches for kind "{kind.kind}" in version "{kind.api_version}"'
        if source:
            text = f'resource mapping not found for name: "{{name}}" namespace: "{{namespace}}" from "{source}": {text}'
        raise KubectlError(f"{text}\nensure CRDs are installed first")

    def category(self, name: str) -> list[Resource]:
        """The preferred resources of a category such as ``all``; [] when there is none of that name."""
        return [one for one in self.resources if name in one.categories and one.preferred]

    def _match(self, name: str, group: str, version: str) -> Resource | None:
        candidates = [
            one
            for one in self.resources
            if (not group or one.gvr.group == group or (not version and one.gvr.group.startswith(f"{group}.")))
            and (not version or one.gvr.version == version)
            and (version or one.preferred)
        ]
        for names in (lambda one: (one.gvr.resource,), lambda one: (one.singular, one.kind.kind.lower()),
                      lambda one: one.short_names):  # fmt: skip
            for one in candidates:
                if name in names(one):
                    return one
        return None


def _aggregated(document: Object) -> Iterator[Resource]:
    for group in document["items"]:
        seen: set[str] = set()
        for version in group["versions"]:
            for entry in version.get("resources") or []:
                preferred = entry["resource"] not in seen
                seen.add(entry["resource"])
                yield _resource(group["metadata"].get("name", ""), version["version"], entry, preferred=preferred)


def _resource(group: str, version: str, entry: Object, *, preferred: bool) -> Resource:
    kind = entry.get("responseKind") or {}
    return Resource(
        gvr=GroupVersionResource(group, version, entry["resource"]),
        kind=GroupVersionKind(kind.get("group") or group, kind.get("version") or version, kind.get("kind", "")),
        singular=entry.get("singularResource", ""),
        namespaced=entry.get("scope") == "Namespaced",
        verbs=tuple(entry.get("verbs") or ()),
        short_names=tuple(entry.get("shortNames") or ()),
        categories=tuple(entry.get("categories") or ()),
        subresources=tuple(one["subresource"] for one in entry.get("subresources") or ()),
        preferred=preferred,
    )


async def _legacy(session: Session, document: Object):  # type: ignore[no-untyped-def] # noqa: ANN202
    """Read old-style discovery: a document per group version."""
    groups = [("", [(v, f"/api/{v}") for v in document["versions"]])] if "versions" in document else [
        (one["name"], [(v["version"], f"/apis/{v['groupVersion']}") for v in one["versions"]])
        for one in document["groups"]
    ]  # fmt: skip
    for group, versions in groups:
        seen: set[str] = set()
        for version, path in versions:
            listed = (await session.json("GET", path))["resources"]
            for entry in listed:
                if "/" in entry["name"]:
                    continue
                subresources = [
                    one["name"].partition("/")[2] for one in listed if one["name"].startswith(entry["name"] + "/")
                ]
                preferred = entry["name"] not in seen
                seen.add(entry["name"])
                yield Resource(
                    gvr=GroupVersionResource(group, version, entry["name"]),
                    kind=GroupVersionKind(entry.get("group") or group, entry.get("version") or version, entry["kind"]),
                    singular=entry.get("singularName", ""), namespaced=entry["namespaced"],
                    verbs=tuple(entry["verbs"]), short_names=tuple(entry.get("shortNames") or ()),
                    categories=tuple(entry.get("categories") or ()), subresources=tuple(subresources),
                    preferred=preferred,
                )  # fmt: skip
