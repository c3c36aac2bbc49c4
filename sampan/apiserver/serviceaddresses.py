"""IPAddress objects: which service holds which cluster IP, for everyone to see.

kube-apiserver keeps one IPAddress per cluster IP and allocates by creating it. Here the allocation is the service's own
(`registry.core.allocators`), and the objects follow the services a turn of the loop later: a watch on services creates
and deletes them, and puts right at the start what a crash left undone.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from sampan.apiserver import bootstrap
from sampan.apiserver.storage.interface import KeyNotFoundError, RevisionConflictError
from sampan.apiserver.storage.resourcestore import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object
    from sampan.apiserver.http.hub import Hub
    from sampan.apiserver.registry.base import RegistryBase
    from sampan.apiserver.registry.resources import Resources
    from sampan.apiserver.storage.resourcestore import Batch

_MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
_ALLOCATOR = "ipallocator.k8s.io"

Owner = tuple[str, str]


class ServiceAddresses:
    """Keeps IPAddress objects in step with services; a sink of the services' watch."""

    def __init__(self, resources: Resources, hub: Hub) -> None:
        self._resources = resources
        self._hub = hub
        self._held: dict[Owner, tuple[str, ...]] = {}
        self._stale: set[Owner] = set()
        self._working = False

    def begin(self) -> None:
        """Look at what there is, and follow the services."""
        for service in self._resources.objects("", "services", ""):
            owner = _owner(service["metadata"])
            self._held[owner] = _addresses(service)
            self._stale.add(owner)
        for obj in self._resources.objects("networking.k8s.io", "ipaddresses", ""):
            if (obj["metadata"].get("labels") or {}).get(_MANAGED_BY) == _ALLOCATOR:
                parent = (obj.get("spec") or {}).get("parentRef") or {}
                owner = (parent.get("namespace", ""), parent.get("name", ""))
                if owner not in self._held:
                    self._held[owner] = (obj["metadata"]["name"],)
                    self._stale.add(owner)
        store = self._resources.store_of("", "services")
        store.watch(Selection(), self, after=store.revision)
        self._wake()

    # -- WatchSink

    def events(self, batch: Batch) -> None:
        self._stale.update((entry.namespace, entry.name) for _, entry, _ in batch)
        self._wake()

    def progress(self, revision: int) -> None:
        """Nothing is remembered of how far the watch is: it begins anew when it breaks."""

    def expired(self) -> None:
        if not self._hub.closing:
            self.begin()

    # -- work

    def _wake(self) -> None:
        if self._stale and not self._working:
            self._working = True
            self._hub.spawn(self._work(), "service addresses")

    async def _work(self) -> None:
        registry = self._resources.preferred("networking.k8s.io", "ipaddresses")
        assert registry is not None
        try:
            while self._stale:
                await self._settle(registry, self._stale.pop())
        finally:
            self._working = False

    async def _settle(self, registry: RegistryBase, owner: Owner) -> None:
        service = self._resources.lookup("", "services", *owner)
        wanted = _addresses(service) if service is not None else ()
        for address in wanted:
            if registry.store.get("", address) is None:
                await bootstrap.create(registry, "", address, ip_address(address, *owner))
        for address in self._held.pop(owner, ()):
            if address not in wanted:
                await self._remove(registry, address, owner)
        if wanted:
            self._held[owner] = wanted

    @staticmethod
    async def _remove(registry: RegistryBase, address: str, owner: Owner) -> None:
        entry = registry.store.get("", address)
        parent = (entry.object.get("spec") or {}).get("parentRef") or {} if entry is not None else {}
        if entry is None or (parent.get("namespace"), parent.get("name")) != owner:
            return
        try:
            await registry.store.delete(entry)
        except (KeyNotFoundError, RevisionConflictError):
            return  # somebody else is at it; the address is not ours to free twice


def ip_address(address: str, namespace: str, name: str) -> Object:
    """The IPAddress of a service's cluster IP."""
    family = f"IPv{ipaddress.ip_address(address).version}"
    labels = {"ipaddress.kubernetes.io/ip-family": family, _MANAGED_BY: _ALLOCATOR}
    parent = {"resource": "services", "namespace": namespace, "name": name}
    return {"metadata": {"name": address, "labels": labels}, "spec": {"parentRef": parent}}


def _owner(metadata: Object) -> Owner:
    return metadata.get("namespace", ""), metadata["name"]


def _addresses(service: Object) -> tuple[str, ...]:
    found: Iterable[str] = (service.get("spec") or {}).get("clusterIPs") or ()
    return tuple(one for one in found if one and one != "None")
