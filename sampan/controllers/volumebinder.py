"""Persistent volumes and claims are brought together, and volumes whose claim is gone are reclaimed.

Behaviour: kube-controller-manager's persistentvolume-binder-controller (pkg/controller/volume/persistentvolume). Four
states matter: a claim is bound for good once it names its volume and carries ``bind-completed``; a volume is bound when
its claimRef has the claim's uid. Each half may be set by a user (pre-bound), which the ``bound-by-controller``
annotations tell apart. Provisioners are outside: the binder only asks for them by annotation.

One worker does both kinds, so that no two claims are offered one volume; a stale cache shows as a Conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import volumes as rules
from sampan.api.errors import NotFound
from sampan.api.object import annotations_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, STORAGECLASSES
from sampan.controllers.volumewrites import VolumeWrites
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_PENDING_INDEX, _UNCLAIMED_INDEX, _CLAIM_USERS = "pending class", "unclaimed class", "claims"
_NO_VOLUME = "no persistent volumes available for this claim and no storage class is set"
_WAIT = "waiting for first consumer to be created before binding"
_EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system "
    "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly "
    "registered."
)
_UNSUPPORTED = {
    "Delete": ("error getting deleter volume plugin: no volume plugin matched", "VolumeFailedDelete"),
    "Recycle": ("no recycler volume plugin matched", "VolumeFailedRecycle"),
}
"""What becomes of volumes that nobody provisioned: there is nobody to delete or clean them."""


def new(context: ControllerContext) -> Controller:
    """The persistent volume binder."""
    return _Binder(context).controller


class _Binder:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder("persistentvolume-controller")
        self._writes = VolumeWrites(context.client)
        self._claims = context.informer(PERSISTENTVOLUMECLAIMS)
        self._volumes = context.informer(PERSISTENTVOLUMES)
        self._classes = context.informer(STORAGECLASSES)
        self._pods = context.informer(PODS)
        self.controller = Controller("persistentvolume-binder-controller", self, clock=context.clock, workers=1)
        self._claims.add_index(_PENDING_INDEX, _pending_class)
        self._volumes.add_index(_UNCLAIMED_INDEX, _unclaimed_class)
        self._pods.add_index(_CLAIM_USERS, claims_of)
        self._claims.add_handler(self._on_claim)
        self._volumes.add_handler(self._on_volume)
        self._classes.add_handler(self._on_class)

    def _on_claim(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        if new is not None:
            self.controller.queue.add(Request(new.namespace, new.name))
        volume = item.object["spec"].get("volumeName")
        if volume:
            self.controller.queue.add(Request("", volume))

    def _on_volume(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        self.controller.queue.add(Request("", item.name))
        volume = item.object
        reference = volume["spec"].get("claimRef")
        if reference:
            self.controller.queue.add(Request(reference["namespace"], reference["name"]))
        elif new is not None:
            self._add_pending(rules.class_of(volume))

    def _on_class(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None:
            self._add_pending(new.name)
            self._add_pending("")  # it may be the default one now

    def _add_pending(self, class_name: str) -> None:
        for claim in self._claims.by_index(_PENDING_INDEX, class_name):
            self.controller.queue.add(Request(claim.namespace, claim.name))

    async def reconcile(self, request: Request) -> Result:
        """Sync one claim, or (namespace "") one volume."""
        if request.namespace:
            claim = self._claims.get(request.namespace, request.name)
            if claim is not None:
                await self._sync_claim(claim.object)
            return DONE
        volume = self._volumes.get("", request.name)
        if volume is not None:
            await self._sync_volume(volume.object)
        return DONE

    # -- claims

    async def _sync_claim(self, claim: Object) -> None:
        if rules.BIND_COMPLETED in annotations_of(claim):
            await self._sync_bound_claim(claim)
        elif claim["spec"].get("volumeName"):
            await self._sync_prebound_claim(claim)
        else:
            await self._sync_unbound_claim(claim)

    async def _sync_unbound_claim(self, claim: Object) -> None:
        if not rules.has_class(claim) and (default := self._default_class()) is not None:
            changed = copy_object(claim)
            changed["spec"]["storageClassName"] = name_of(default)
            claim = await self._writes.claim(changed)
        class_name = rules.class_of(claim)
        found = self._classes.get("", class_name) if class_name else None
        storage_class = None if found is None else found.object
        selected = rules.SELECTED_NODE in annotations_of(claim)
        delayed = rules.is_delayed(storage_class)
        unclaimed = [item.object for item in self._volumes.by_index(_UNCLAIMED_INDEX, class_name)]
        volume = rules.best_match(claim, unclaimed, delayed=delayed and not selected)
        if volume is not None:
            await self._bind(volume, claim)
            return
        if delayed and not selected:
            self._tell_waiting(claim)
        elif class_name:
            claim = await self._ask_provisioner(claim, class_name, storage_class)
        else:
            self._recorder.event(claim, "Normal", "FailedBinding", _NO_VOLUME)
        await self._writes.claim_phase(claim, "Pending")

    def _tell_waiting(self, claim: Object) -> None:
        users = self._pods.by_index(_CLAIM_USERS, f"{namespace_of(claim)}/{name_of(claim)}")
        waiting = sorted(item.name for item in users if not item.object["spec"].get("nodeName"))
        if waiting:
            message = f"waiting for pod {', '.join(waiting)} to be scheduled"
            self._recorder.event(claim, "Normal", "WaitForPodScheduled", message)
        else:
            self._recorder.event(claim, "Normal", "WaitForFirstConsumer", _WAIT)

    async def _ask_provisioner(self, claim: Object, class_name: str, storage_class: Object | None) -> Object:
        """Ask whoever provisions the class for a volume, by annotation."""
        if storage_class is None:
            message = f'storageclass.storage.k8s.io "{class_name}" not found'
            self._recorder.event(claim, "Warning", "ProvisioningFailed", message)
            return claim
        provisioner = storage_class["provisioner"]
        if provisioner.startswith("kubernetes.io/"):
            message = f"no volume plugin matched name: {provisioner}"
            self._recorder.event(claim, "Warning", "ProvisioningFailed", message)
            return claim
        wanted = {rules.STORAGE_PROVISIONER: provisioner, rules.BETA_STORAGE_PROVISIONER: provisioner}
        annotations = annotations_of(claim)
        if any(annotations.get(key) != value for key, value in wanted.items()):
            changed = copy_object(claim)
            changed["metadata"]["annotations"] = {**annotations, **wanted}
            claim = await self._writes.claim(changed)
        self._recorder.event(claim, "Normal", "ExternalProvisioning", _EXTERNAL.format(provisioner))
        return claim

    async def _sync_prebound_claim(self, claim: Object) -> None:
        """A claim that its user gave a volume."""
        name = claim["spec"]["volumeName"]
        item = self._volumes.get("", name)
        if item is None:
            await self._writes.claim_phase(claim, "Pending")
            return
        volume = item.object
        if not volume["spec"].get("claimRef"):
            problem = rules.mismatch(volume, claim)
            if problem:
                message = f'Cannot bind to requested volume "{name}": {problem}'
                self._recorder.event(claim, "Warning", "VolumeMismatch", message)
                await self._writes.claim_phase(claim, "Pending")
                return
            await self._bind(volume, claim)
        elif rules.is_bound_to(volume, claim):
            await self._bind(volume, claim)
        else:
            message = f'volume "{name}" already bound to a different claim.'
            self._recorder.event(claim, "Warning", "FailedBinding", message)
            await self._writes.claim_phase(claim, "Pending")

    async def _sync_bound_claim(self, claim: Object) -> None:
        name = claim["spec"].get("volumeName")
        item = self._volumes.get("", name) if name else None
        if not name:
            why = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
            await self._lose(claim, "ClaimLost", why)
        elif item is None:
            why = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            await self._lose(claim, "ClaimLost", why)
        elif not item.object["spec"].get("claimRef") or _holds(item.object, claim):
            await self._bind(item.object, claim)
        else:
            why = "Two claims are bound to the same volume, this one is bound incorrectly"
            await self._lose(claim, "ClaimMisbound", why)

    async def _lose(self, claim: Object, reason: str, message: str) -> None:
        if (claim.get("status") or {}).get("phase") == "Lost":
            return
        await self._writes.claim_phase(claim, "Lost")
        self._recorder.event(claim, "Warning", reason, message)

    async def _bind(self, volume: Object, claim: Object) -> None:
        """Write both halves and both phases; each step does nothing when it is done already."""
        volume = await self._writes.bind_volume(volume, claim)
        volume = await self._writes.volume_phase(volume, "Bound")
        claim = await self._writes.bind_claim(claim, volume)
        await self._writes.claim_bound(claim, volume)

    # -- volumes

    async def _sync_volume(self, volume: Object) -> None:
        reference = volume["spec"].get("claimRef")
        if not reference or not reference.get("uid"):
            await self._writes.volume_phase(volume, "Available")
            return
        claim = await self._claim_of(reference)
        if claim is None:
            await self._reclaim(volume)
        elif not claim["spec"].get("volumeName"):
            if rules.volume_mode(claim) != rules.volume_mode(volume):
                message = (
                    f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{name_of(claim)}" due to '
                    "incompatible volumeMode."
                )
                self._recorder.event(volume, "Warning", "VolumeMismatch", message)
                return
            self.controller.queue.add(Request(namespace_of(claim), name_of(claim)))
        elif claim["spec"]["volumeName"] == name_of(volume):
            await self._writes.volume_phase(volume, "Bound")
        elif (
            rules.PROVISIONED_BY in annotations_of(volume)
            and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        ):
            await self._reclaim(volume)  # the claim found another one meanwhile
        else:
            await self._writes.unbind_volume(volume)

    async def _claim_of(self, reference: Object) -> Object | None:
        """The very claim that a volume is bound to; asked of the API before it is taken for gone."""
        item = self._claims.get(reference["namespace"], reference["name"])
        if item is not None and uid_of(item.object) == reference["uid"]:
            return item.object
        try:
            found = await self._client.resource(PERSISTENTVOLUMECLAIMS, reference["namespace"]).get(reference["name"])
        except NotFound:
            return None
        return found if uid_of(found) == reference["uid"] else None

    async def _reclaim(self, volume: Object) -> None:
        """Release a volume. Whoever provisioned it deletes it when its policy says so."""
        if (volume.get("status") or {}).get("phase") not in ("Released", "Failed"):
            volume = await self._writes.volume_phase(volume, "Released")
        policy = volume["spec"].get("persistentVolumeReclaimPolicy", "Retain")
        if policy == "Retain" or rules.PROVISIONED_BY in annotations_of(volume):
            return
        if volume["status"]["phase"] == "Failed":
            return
        message, reason = _UNSUPPORTED[policy]
        await self._writes.volume_phase(volume, "Failed", message)
        self._recorder.event(volume, "Warning", reason, message)

    def _default_class(self) -> Object | None:
        """The youngest default class."""
        found = [item.object for item in self._classes.list() if rules.is_default_class(item.object)]
        found.sort(key=name_of)
        return max(found, key=lambda one: one["metadata"].get("creationTimestamp") or "", default=None)


def _holds(volume: Object, claim: Object) -> bool:
    uid = volume["spec"]["claimRef"].get("uid")
    return rules.is_bound_to(volume, claim) and uid in (None, "", uid_of(claim))


def _pending_class(item: Stored) -> tuple[str, ...]:
    claim = item.object
    return () if rules.BIND_COMPLETED in annotations_of(claim) else (rules.class_of(claim),)


def _unclaimed_class(item: Stored) -> tuple[str, ...]:
    """Volumes that a claim of the class may get: free ones, and those made for a claim."""
    volume = item.object
    reference = volume["spec"].get("claimRef")
    bound = reference and (volume.get("status") or {}).get("phase") == "Bound"
    return () if bound else (rules.class_of(volume),)


def claims_of(item: Stored) -> tuple[str, ...]:
    """An index of pods: the claims they use, as ``namespace/name``."""
    pod = item.object
    if not pod["spec"].get("volumes"):
        return ()
    return tuple(f"{item.namespace}/{name}" for name, _ in rules.claim_names(pod))
