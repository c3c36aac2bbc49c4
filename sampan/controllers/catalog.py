"""All resources that the cluster serves: the built-in ones and those of CustomResourceDefinitions, as they come and go.

Controllers that deal with every kind (garbage collector, namespaces) ask it. One version per resource: the preferred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import scheme
from sampan.api.gvk import GroupVersionKind, GroupVersionResource, ResourceInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

CRDS = GroupVersionResource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Catalog:
    """The resources at this moment."""

    def __init__(self, context: ControllerContext) -> None:
        self._scheme = scheme.builtin()
        self._custom: dict[str, list[ResourceInfo]] = {}
        self._listeners: list[Callable[[], None]] = []
        context.informer(CRDS).add_handler(self._on_definition)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call listener whenever custom resources come or go."""
        self._listeners.append(listener)

    def __iter__(self) -> Iterator[ResourceInfo]:
        """Yield each resource once, in its preferred version."""
        for info in self._scheme:
            if self._scheme.by_group_resource(info.group_resource) is info:
                yield info
        for versions in self._custom.values():
            yield versions[0]

    def by_kind(self, gvk: GroupVersionKind) -> ResourceInfo | None:
        """Find a kind's resource; of several versions of a kind the preferred one, for they are the same objects."""
        found = self._scheme.by_kind(gvk) or self._scheme.by_group_kind(gvk.group, gvk.kind)
        if found is not None:
            return self._scheme.by_group_resource(found.group_resource)
        for versions in self._custom.values():
            if (versions[0].group, versions[0].kind) == (gvk.group, gvk.kind):
                return versions[0]
        return None

    def _on_definition(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        before = self._custom.pop(item.name, None)
        after = [] if new is None else resources_of(new.object)
        if after:
            self._custom[item.name] = after
        if before != (after or None):
            for listener in self._listeners:
                listener()


def resources_of(definition: Object) -> list[ResourceInfo]:
    """What an established CustomResourceDefinition serves, its first listed version first."""
    conditions = (definition.get("status") or {}).get("conditions") or ()
    established = any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
    if not established:
        return []
    spec = definition["spec"]
    names = spec["names"]
    return [
        ResourceInfo(
            group=spec["group"],
            version=version["name"],
            resource=names["plural"],
            singular=names.get("singular", ""),
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            verbs=_VERBS,
        )
        for version in spec["versions"]
        if version.get("served")
    ]
