"""What the API serves: every built-in group, version, resource and subresource, in the order discovery lists them.

Loaded once, on first use, from a compact generated file. Custom resources are not here: whoever serves them keeps their
`ResourceInfo`s, built by the same class.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sampan.api.gvk import GroupResource, GroupVersionKind, GroupVersionResource, ResourceInfo, SubresourceInfo
from sampan.api.schema import data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Scheme:
    """Built-in resources by every name they have. Groups, versions and resources are in discovery's order."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.groups: dict[str, tuple[str, ...]] = {group: tuple(versions) for group, versions in content["groups"]}
        self._by_version: dict[tuple[str, str], dict[str, ResourceInfo]] = {}
        self._by_kind: dict[GroupVersionKind, ResourceInfo] = {}
        for group, versions in self.groups.items():
            for version in versions:
                found = [_info(group, version, entry) for entry in content["resources"][f"{group}/{version}"]]
                self._by_version[group, version] = {info.resource: info for info in found}
                self._by_kind.update((info.gvk, info) for info in found)

    def __iter__(self) -> Iterator[ResourceInfo]:
        for resources in self._by_version.values():
            yield from resources.values()

    def resources(self, group: str, version: str) -> Mapping[str, ResourceInfo]:
        """Return a served version's resources by name; empty for a version that is not served."""
        return self._by_version.get((group, version), {})

    def by_resource(self, gvr: GroupVersionResource) -> ResourceInfo | None:
        """Find a resource in one version."""
        return self.resources(gvr.group, gvr.version).get(gvr.resource)

    def by_kind(self, gvk: GroupVersionKind) -> ResourceInfo | None:
        """Find the resource whose objects are of a kind."""
        return self._by_kind.get(gvk)

    def by_group_resource(self, resource: GroupResource) -> ResourceInfo | None:
        """Find a resource in its group's preferred version, or the first that has it."""
        for version in self.groups.get(resource.group, ()):
            found = self._by_version[resource.group, version].get(resource.resource)
            if found is not None:
                return found
        return None

    def by_group_kind(self, group: str, kind: str) -> ResourceInfo | None:
        """Find a kind's resource in its group's preferred version, or the first that has it."""
        for version in self.groups.get(group, ()):
            found = self._by_kind.get(GroupVersionKind(group, version, kind))
            if found is not None:
                return found
        return None

    def preferred_version(self, group: str) -> str:
        """Tell a group's preferred version, "" for an unknown group."""
        return self.groups.get(group, ("",))[0]

    def is_served(self, group: str, version: str) -> bool:
        """Whether a group's version is served."""
        return (group, version) in self._by_version


@lru_cache(maxsize=1)
def builtin() -> Scheme:
    """Return the scheme of all built-in resources."""
    return Scheme(data.load("scheme.json"))


def list_kind(gvk: GroupVersionKind) -> GroupVersionKind:
    """Tell the kind of a list of objects of a kind."""
    return GroupVersionKind(gvk.group, gvk.version, f"{gvk.kind}List")


def _info(group: str, version: str, entry: Mapping[str, Any]) -> ResourceInfo:
    return ResourceInfo(
        group=group,
        version=version,
        resource=entry["name"],
        singular=entry["kind"].lower(),
        kind=entry["kind"],
        namespaced=entry["namespaced"],
        verbs=tuple(entry["verbs"]),
        short_names=tuple(entry["shortNames"]),
        categories=tuple(entry["categories"]),
        storage_version_hash=entry["hash"],
        subresources={
            name: SubresourceInfo(name=name, kind=GroupVersionKind(*kind), verbs=tuple(verbs))
            for name, (kind, verbs) in entry["subresources"].items()
        },
    )
