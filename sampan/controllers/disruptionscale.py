"""How many pods the controllers of some pods want: what percentages of a PodDisruptionBudget are percentages of.

Behaviour: kube-controller-manager's pkg/controller/disruption (its "finders"): known workloads are asked through the
caches, any other kind through its scale subresource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import NotFound
from sampan.api.gvk import GroupVersionKind
from sampan.api.object import controller_of
from sampan.base.errors import SampanError
from sampan.client.resources import DEPLOYMENTS, REPLICASETS, REPLICATIONCONTROLLERS, STATEFULSETS
from sampan.controllers.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.podview import PodView


class UnknownScaleError(SampanError):
    """The wanted number of pods cannot be told."""


class Scales:
    """Answers from caches where it can."""

    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._catalog = Catalog(context)
        self._deployments = context.informer(DEPLOYMENTS)
        self._known = {
            ("", "ReplicationController"): context.informer(REPLICATIONCONTROLLERS),
            ("apps", "ReplicaSet"): context.informer(REPLICASETS),
            ("apps", "StatefulSet"): context.informer(STATEFULSETS),
        }

    async def of(self, pods: Sequence[PodView], read: Callable[[PodView], Stored | None]) -> tuple[int, int]:
        """Return the sum of the controllers' replicas, and how many pods have no controller.

        Raises UnknownScaleError, and errors of the API.
        """
        total = unmanaged = 0
        seen = set()
        for pod in pods:
            if not pod.owner_uid:
                unmanaged += 1
                continue
            if pod.owner_uid in seen:
                continue
            item = read(pod)
            owner = controller_of(item.object) if item is not None else None
            if owner is None:
                continue
            replicas = await self._replicas(pod, owner)
            if replicas is None:
                raise UnknownScaleError(f'found no controllers for pod "{pod.name}"')
            seen.add(pod.owner_uid)
            total += replicas
        return total, unmanaged

    async def _replicas(self, pod: PodView, owner: Object) -> int | None:
        """None when the controller is not there."""
        group = owner["apiVersion"].rpartition("/")[0]
        informer = self._known.get((group, owner["kind"]))
        if informer is None:
            return await self._scale(pod, owner)
        item = informer.get(pod.namespace, owner["name"])
        found = item.object if item is not None else None
        if found is None or found["metadata"]["uid"] != owner["uid"]:
            return None
        above = controller_of(found)
        if owner["kind"] == "ReplicaSet" and above is not None and above["kind"] == "Deployment":
            deployment = self._deployments.get(pod.namespace, above["name"])
            if deployment is None or deployment.object["metadata"]["uid"] != above["uid"]:
                return None
            found = deployment.object
        return _replicas_of(found)

    async def _scale(self, pod: PodView, owner: Object) -> int | None:
        group, _, version = owner["apiVersion"].rpartition("/")
        info = self._catalog.by_kind(GroupVersionKind(group, version, owner["kind"]))
        if info is None:
            return None
        resource = self._client.resource(info.gvr, pod.namespace)
        try:
            scale = await resource.get(owner["name"], subresource="scale")
        except NotFound as error:
            try:
                await resource.get(owner["name"])
            except NotFound:
                return None
            raise UnknownScaleError(f"{info.group_resource} does not implement the scale subresource") from error
        uid = scale.get("metadata", {}).get("uid")
        return None if uid != owner["uid"] else int((scale.get("spec") or {}).get("replicas", 0))


def _replicas_of(owner: Object) -> int:
    replicas = (owner.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)
