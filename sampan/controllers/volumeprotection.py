"""Volumes and claims outlive their deletion while they are in use: the protection finalizers.

Behaviour: kube-controller-manager's pvc-protection and pv-protection controllers. A claim is in use by any pod that has
a node, finished ones too; a volume while it is Bound. Before a claim is let go, the API is asked for its pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import volumes as rules
from sampan.api.errors import NotFound
from sampan.client.item import copy_object
from sampan.client.resources import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS
from sampan.controllers.volumebinder import claims_of
from sampan.runtime import DONE, Controller, Request, Result, enqueue

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.client import ResourceClient
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
_VOLUME_FINALIZER = "kubernetes.io/pv-protection"
_USERS = "claims"


def new_claim_protection(context: ControllerContext) -> Controller:
    """Keeps claims that pods use."""
    return _ClaimProtection(context).controller


def new_volume_protection(context: ControllerContext) -> Controller:
    """Keeps volumes that are bound."""
    return _VolumeProtection(context).controller


class _ClaimProtection:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._claims = context.informer(PERSISTENTVOLUMECLAIMS)
        self._pods = context.informer(PODS)
        name = "persistentvolumeclaim-protection-controller"
        self.controller = Controller(name, self, clock=context.clock, workers=1)
        self._pods.add_index(_USERS, claims_of)
        self._claims.add_handler(enqueue(self.controller.queue))
        self._pods.add_handler(self._on_pod)

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        """Only a pod that goes can set a claim free."""
        if new is None and old is not None:
            for key in claims_of(old):
                namespace, _, name = key.partition("/")
                self.controller.queue.add(Request(namespace, name))

    async def reconcile(self, request: Request) -> Result:
        """Let one claim go, or protect it."""
        item = self._claims.get(request.namespace, request.name)
        if item is None:
            return DONE
        claim = item.object
        resource = self._client.resource(PERSISTENTVOLUMECLAIMS, request.namespace)
        if _is_held(claim, _CLAIM_FINALIZER):
            if not self._is_used(request) and not await self._is_used_live(request):
                await _write(resource, _without(claim, _CLAIM_FINALIZER))
        elif _lacks(claim, _CLAIM_FINALIZER):
            await _write(resource, _with(claim, _CLAIM_FINALIZER))
        return DONE

    def _is_used(self, request: Request) -> bool:
        return any(item.object["spec"].get("nodeName") for item in self._pods.by_index(_USERS, str(request)))

    async def _is_used_live(self, request: Request) -> bool:
        for item in (await self._client.resource(PODS, request.namespace).list()).items:
            pod = item.object
            if pod["spec"].get("nodeName") and any(name == request.name for name, _ in rules.claim_names(pod)):
                return True
        return False


class _VolumeProtection:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._volumes = context.informer(PERSISTENTVOLUMES)
        self.controller = Controller("persistentvolume-protection-controller", self, clock=context.clock, workers=1)
        self._volumes.add_handler(enqueue(self.controller.queue))

    async def reconcile(self, request: Request) -> Result:
        """Let one volume go, or protect it."""
        item = self._volumes.get("", request.name)
        if item is None:
            return DONE
        volume = item.object
        resource = self._client.resource(PERSISTENTVOLUMES)
        if _is_held(volume, _VOLUME_FINALIZER):
            if (volume.get("status") or {}).get("phase") != "Bound":
                await _write(resource, _without(volume, _VOLUME_FINALIZER))
        elif _lacks(volume, _VOLUME_FINALIZER):
            await _write(resource, _with(volume, _VOLUME_FINALIZER))
        return DONE


def _is_held(obj: Object, finalizer: str) -> bool:
    return "deletionTimestamp" in obj["metadata"] and finalizer in (obj["metadata"].get("finalizers") or ())


def _lacks(obj: Object, finalizer: str) -> bool:
    return "deletionTimestamp" not in obj["metadata"] and finalizer not in (obj["metadata"].get("finalizers") or ())


def _without(obj: Object, finalizer: str) -> Object:
    changed = copy_object(obj)
    changed["metadata"]["finalizers"] = [one for one in obj["metadata"]["finalizers"] if one != finalizer]
    return changed


def _with(obj: Object, finalizer: str) -> Object:
    changed = copy_object(obj)
    changed["metadata"]["finalizers"] = [*(obj["metadata"].get("finalizers") or ()), finalizer]
    return changed


async def _write(resource: ResourceClient, obj: Object) -> None:
    try:
        await resource.update(obj)
    except NotFound:
        return
