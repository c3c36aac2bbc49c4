"""What the scheduler knows of claims and volumes: the informers' caches, and what it has promised since.

A promise (a volume for a claim, a node for a claim's provisioning) counts from the moment a pod is placed until the API
shows it or the pod is not bound after all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import volumes as rules
from sampan.api.gvk import GroupVersionResource
from sampan.client.resources import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, STORAGECLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sampan.api.object import Object
    from sampan.client.informer import InformerFactory, SharedInformer
    from sampan.client.interface import Stored

CSINODES = GroupVersionResource("storage.k8s.io", "v1", "csinodes")
_FREE_INDEX, _USERS = "unclaimed class", "claims"


class VolumeCaches:
    """Lookups by name. Objects are shared and must not be changed."""

    def __init__(self, factory: InformerFactory) -> None:
        self.claims = factory.informer(PERSISTENTVOLUMECLAIMS)
        self.volumes = factory.informer(PERSISTENTVOLUMES)
        self.classes = factory.informer(STORAGECLASSES)
        self._pods = factory.informer(PODS)
        self._csi_nodes = factory.informer(CSINODES)
        self._limits = self._csi_nodes.add_view(_limits_of)
        self.promised: dict[str, str] = {}
        """Volumes by name, with the claim (``namespace/name``) that each is promised to."""
        self.volumes.add_index(_FREE_INDEX, _free_class)
        self._pods.add_index(_USERS, _claims_of)

    @property
    def informers(self) -> tuple[SharedInformer, ...]:
        """What must have synced."""
        return (self.claims, self.volumes, self.classes, self._csi_nodes)

    def claim(self, namespace: str, name: str) -> Object | None:
        item = self.claims.get(namespace, name)
        return None if item is None else item.object

    def volume(self, name: str) -> Object | None:
        item = self.volumes.get("", name)
        return None if item is None else item.object

    def storage_class(self, name: str) -> Object | None:
        item = self.classes.get("", name) if name else None
        return None if item is None else item.object

    def free(self, class_name: str) -> Sequence[Object]:
        """Volumes of a class that are not bound."""
        return [item.object for item in self.volumes.by_index(_FREE_INDEX, class_name)]

    def limited_nodes(self) -> Iterable[str]:
        """Nodes that attach a limited number of some driver's volumes."""
        return [name for name, limits in self._limits.items() if limits]

    def limits(self, node: str) -> Mapping[str, int]:
        """How many volumes a node attaches, by CSI driver; drivers without limit are left out."""
        return self._limits.get(node, {})

    def users(self, claim: str) -> Sequence[Stored]:
        """The pods that use a claim (``namespace/name``)."""
        return self._pods.by_index(_USERS, claim)


def _free_class(item: Stored) -> tuple[str, ...]:
    volume = item.object
    bound = volume["spec"].get("claimRef") and (volume.get("status") or {}).get("phase") == "Bound"
    return () if bound else (rules.class_of(volume),)


def _claims_of(item: Stored) -> tuple[str, ...]:
    pod = item.object
    if not pod["spec"].get("volumes"):
        return ()
    return tuple(f"{item.namespace}/{name}" for name, _ in rules.claim_names(pod))


def _limits_of(item: Stored) -> Mapping[str, int]:
    found = {}
    for driver in (item.object.get("spec") or {}).get("drivers") or ():
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None:
            found[driver["name"]] = int(count)
    return found
