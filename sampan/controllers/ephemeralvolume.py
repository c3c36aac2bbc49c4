"""Claims for pods' generic ephemeral volumes: made from the volume's template, owned by the pod, gone with it.

Behaviour: kube-controller-manager's ephemeral-volume-controller (KEP-1698).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import volumes as rules
from sampan.api.errors import AlreadyExists
from sampan.api.object import name_of, namespace_of, uid_of
from sampan.base.errors import SampanError
from sampan.client.item import copy_object
from sampan.client.resources import PERSISTENTVOLUMECLAIMS, PODS
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_INDEX = "ephemeral claims"


class NotOwnedError(SampanError):
    """A claim of the volume's name is there, but it is not the pod's."""


def new(context: ControllerContext) -> Controller:
    """The ephemeral volume controller."""
    return _EphemeralVolumes(context).controller


class _EphemeralVolumes:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._pods = context.informer(PODS)
        self._claims = context.informer(PERSISTENTVOLUMECLAIMS)
        self.controller = Controller("ephemeral-volume-controller", self, clock=context.clock, workers=10)
        self._pods.add_index(_INDEX, _claims_of)
        self._pods.add_handler(self._on_pod)
        self._claims.add_handler(self._on_claim)

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        """A pod's volumes never change: it is looked at when it appears."""
        if old is None and new is not None and _claims_of(new):
            self.controller.queue.add(Request(new.namespace, new.name))

    def _on_claim(self, old: Stored | None, new: Stored | None) -> None:
        if new is None and old is not None:
            for pod in self._pods.by_index(_INDEX, f"{old.namespace}/{old.name}"):
                self.controller.queue.add(Request(pod.namespace, pod.name))

    async def reconcile(self, request: Request) -> Result:
        """Make one pod's claims."""
        item = self._pods.get(request.namespace, request.name)
        if item is None or "deletionTimestamp" in item.object["metadata"]:
            return DONE
        pod = item.object
        for volume in pod["spec"].get("volumes") or ():
            if "ephemeral" in volume:
                await self._make(pod, volume)
        return DONE

    async def _make(self, pod: Object, volume: Object) -> None:
        name = f"{name_of(pod)}-{volume['name']}"
        existing = self._claims.get(namespace_of(pod), name)
        if existing is not None:
            if rules.is_ephemeral_claim_of(existing.object, pod):
                return
            place = f"{namespace_of(pod)}/{name}"
            raise NotOwnedError(
                f"PVC {place} was not created for pod {namespace_of(pod)}/{name_of(pod)} (pod is not owner)"
            )
        resource = self._client.resource(PERSISTENTVOLUMECLAIMS, namespace_of(pod))
        try:
            await resource.create(_claim(pod, volume, name))
        except AlreadyExists:
            return  # the cache was old: its event brings the pod back if the claim is not its own


def _claim(pod: Object, volume: Object, name: str) -> Object:
    template = volume["ephemeral"].get("volumeClaimTemplate") or {}
    wanted = template.get("metadata") or {}
    metadata: Object = {
        "name": name,
        "namespace": namespace_of(pod),
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": name_of(pod),
                "uid": uid_of(pod),
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    for key in ("labels", "annotations"):
        if wanted.get(key):
            metadata[key] = wanted[key]
    return copy_object(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": template.get("spec") or {},
        }
    )


def _claims_of(item: Stored) -> tuple[str, ...]:
    pod = item.object
    if not pod["spec"].get("volumes"):
        return ()
    return tuple(f"{item.namespace}/{name}" for name, ephemeral in rules.claim_names(pod) if ephemeral)
