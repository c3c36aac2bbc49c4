"""All registries of a server: every served resource with its strategy and store, and look-ups across them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import scheme
from sampan.api.gvk import GroupResource
from sampan.apiserver.registry.generic import Registry
from sampan.apiserver.registry.strategies import strategy_for
from sampan.apiserver.storage.resourcestore import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sampan.api.gvk import GroupVersionKind, GroupVersionResource, ResourceInfo
    from sampan.api.object import Object
    from sampan.apiserver.admission.chain import AdmissionChain
    from sampan.apiserver.registry.strategy import Environment
    from sampan.apiserver.storage.cacher import ResourceCache
    from sampan.apiserver.storage.resourcestore import ResourceStore
    from sampan.apiserver.storage.store import Store

VIRTUAL = frozenset(
    {
        GroupResource("", "bindings"), GroupResource("", "componentstatuses"),
        GroupResource("authentication.k8s.io", "selfsubjectreviews"),
        GroupResource("authentication.k8s.io", "tokenreviews"),
        GroupResource("authorization.k8s.io", "localsubjectaccessreviews"),
        GroupResource("authorization.k8s.io", "selfsubjectaccessreviews"),
        GroupResource("authorization.k8s.io", "selfsubjectrulesreviews"),
        GroupResource("authorization.k8s.io", "subjectaccessreviews"),
    }
)  # fmt: skip
"""Resources that store nothing: they are answered by handlers of their own."""

_SHARED = {GroupResource("events.k8s.io", "events"): GroupResource("", "events")}
"""Resources that live in another's store."""

_STORED_VERSIONS = {"autoscaling": "v2"}
"""The version that objects are stored in, for groups that serve several; else the group's preferred one."""


class Resources:
    """Registries by (group, version, resource), made when first asked for: a server that starts loads nothing else."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._registries: dict[tuple[str, str, str], Registry] = {}
        self._stores: dict[tuple[str, str], ResourceStore] = {}
        self._environment: Environment | None = None
        self._admission: AdmissionChain | None = None
        self._open = False
        self._makers: dict[tuple[str, str, str], Callable[[], Registry]] = {}
        self.warnings: dict[tuple[str, str, str], str] = {}
        self.epoch = 0
        self.infos: dict[tuple[str, str, str], ResourceInfo] = {
            (info.group, info.version, info.resource): info for info in scheme.builtin()
        }

    def begin(self, environment: Environment, admission: AdmissionChain) -> None:
        """Say what the strategies get; before the first registry is made."""
        self._environment = environment
        self._admission = admission

    def get(self, key: tuple[str, str, str]) -> Registry | None:
        """The registry of a resource, None when it is not served or stores nothing."""
        found = self._registries.get(key)
        if found is None:
            info = self.infos.get(key)
            if info is None or info.group_resource in VIRTUAL:
                return None
            maker = self._makers.get(key)
            found = self._registries[key] = self._make(info) if maker is None else maker()
            if self._open:
                found.strategy.attach(found.environment)
        return found

    def install(self, info: ResourceInfo, make: Callable[[], Registry], warning: str = "") -> None:
        """Serve a resource that is not built in; its registry is made when first asked for.

        warning: for those who use a deprecated version. Whoever has a plan made it before: `epoch` tells.
        """
        key = (info.group, info.version, info.resource)
        self._registries.pop(key, None)
        self._makers[key] = make
        self.infos[key] = info
        self.warnings[key] = warning
        self.epoch += 1

    def uninstall(self, key: tuple[str, str, str]) -> None:
        """Serve a resource no more that `install` has added."""
        self._registries.pop(key, None)
        if self._makers.pop(key, None) is not None:
            del self.infos[key]
            self.warnings.pop(key, None)
        self.epoch += 1

    def is_dynamic(self, key: tuple[str, str, str]) -> bool:
        """Whether `install` has added the resource."""
        return key in self._makers

    def raw_store(self, group: str, resource: str) -> ResourceCache:
        """The store of a resource by its name alone."""
        return self._store.resource(group, resource)

    def services(self) -> tuple[AdmissionChain, Environment]:
        """What every registry is made with."""
        assert self._environment is not None
        assert self._admission is not None
        return self._admission, self._environment

    def open(self) -> None:
        """The initial objects are there: strategies may now look at what is stored (allocators fill their pools)."""
        self._open = True
        for registry in list(self._registries.values()):
            registry.strategy.attach(registry.environment)

    def registry(self, gvr: GroupVersionResource) -> Registry | None:
        return self.get((gvr.group, gvr.version, gvr.resource))

    def by_kind(self, gvk: GroupVersionKind) -> Registry | None:
        """The registry of a kind; None for kinds that no resource stores."""
        for key, info in self.infos.items():
            if info.kind == gvk.kind and key[0] == gvk.group and key[1] == gvk.version:
                return self.get(key)
        return None

    def preferred(self, group: str, resource: str) -> Registry | None:
        """The registry of a resource in its group's preferred version."""
        info = scheme.builtin().by_group_resource(GroupResource(group, resource))
        return None if info is None else self.get((info.group, info.version, info.resource))

    def _make(self, info: ResourceInfo) -> Registry:
        assert self._environment is not None
        assert self._admission is not None
        strategy = strategy_for(info)
        stored = _SHARED.get(info.group_resource, info.group_resource)
        owns_store = stored == info.group_resource and info.version == _STORED_VERSIONS.get(info.group, info.version)
        select = strategy.selectable_fields if owns_store and strategy.selectable else None
        store = self._store.resource(stored.group, stored.resource, fields=select)
        registry = Registry(info, strategy, store, self._admission, self._environment)
        registry.other_version = lambda api_version: self.get((*_group_and_version(api_version), info.resource))
        return registry

    def store_of(self, group: str, resource: str) -> ResourceStore:
        """The store of a resource, made with its strategy's selectable fields."""
        found = self._stores.get((group, resource))
        if found is None:
            registry = self.preferred(group, resource)
            found = registry.store if registry is not None else self._store.resource(group, resource)
            self._stores[group, resource] = found
        return found

    def lookup(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        """A current object as stored, shared; None when there is none."""
        entry = self.store_of(group, resource).get(namespace, name)
        return None if entry is None else entry.object

    def objects(self, group: str, resource: str, namespace: str) -> Iterator[Object]:
        """The current objects as stored, shared. namespace: "" for all."""
        for entry in self.store_of(group, resource).list(Selection(namespace=namespace)).entries:
            yield entry.object

    def pods_of_node(self, node: str) -> Iterable[Object]:
        """The pods bound to a node, by the watch cache's index."""
        selection = Selection(fields=(("spec.nodeName", node),))
        return (entry.object for entry in self.store_of("", "pods").list(selection).entries)


def _group_and_version(api_version: str) -> tuple[str, str]:
    group, _, version = api_version.rpartition("/")
    return group, version
