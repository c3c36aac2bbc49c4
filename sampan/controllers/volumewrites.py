"""The writes of the volume binder: each returns the object as it is then, and writes nothing that is so already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import volumes as rules
from sampan.api.object import annotations_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.client import Client


class VolumeWrites:
    """Conflicts are raised: the caller's cache was old."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def claim(self, claim: Object) -> Object:
        """Update a claim."""
        return await self._client.resource(PERSISTENTVOLUMECLAIMS, namespace_of(claim)).update(claim)

    async def volume(self, volume: Object) -> Object:
        """Update a volume."""
        return await self._client.resource(PERSISTENTVOLUMES).update(volume)

    async def bind_volume(self, volume: Object, claim: Object) -> Object:
        """Write the claim into the volume."""
        reference = volume["spec"].get("claimRef")
        if reference and reference.get("uid") == uid_of(claim):
            return volume
        changed = copy_object(volume)
        if not reference:
            changed["metadata"].setdefault("annotations", {})[rules.BOUND_BY_CONTROLLER] = "yes"
        changed["spec"]["claimRef"] = {
            "kind": "PersistentVolumeClaim",
            "namespace": namespace_of(claim),
            "name": name_of(claim),
            "uid": uid_of(claim),
            "apiVersion": "v1",
            "resourceVersion": claim["metadata"]["resourceVersion"],
        }
        return await self.volume(changed)

    async def unbind_volume(self, volume: Object) -> None:
        """Give a volume back: whole, or to the claim that its user meant."""
        changed = copy_object(volume)
        annotations = changed["metadata"].get("annotations") or {}
        if annotations.pop(rules.BOUND_BY_CONTROLLER, None) is not None:
            changed["spec"].pop("claimRef", None)
        else:
            changed["spec"]["claimRef"].pop("uid", None)
            changed["spec"]["claimRef"].pop("resourceVersion", None)
        await self.volume_phase(await self.volume(changed), "Available")

    async def bind_claim(self, claim: Object, volume: Object) -> Object:
        """Write the volume into the claim, for good."""
        annotations = annotations_of(claim)
        chosen = claim["spec"].get("volumeName") == name_of(volume)
        if chosen and rules.BIND_COMPLETED in annotations:
            return claim
        changed = copy_object(claim)
        marks = changed["metadata"].setdefault("annotations", {})
        if not chosen:
            changed["spec"]["volumeName"] = name_of(volume)
            marks[rules.BOUND_BY_CONTROLLER] = "yes"
        marks[rules.BIND_COMPLETED] = "yes"
        return await self.claim(changed)

    async def volume_phase(self, volume: Object, phase: str, message: str = "") -> Object:
        """Set a volume's phase."""
        status = volume.get("status") or {}
        if status.get("phase") == phase and status.get("message", "") == message:
            return volume
        kept = {key: value for key, value in status.items() if key not in ("phase", "message", "reason")}
        fresh = {**kept, "phase": phase, **({"message": message} if message else {})}
        changed = copy_object({**volume, "status": fresh})
        return await self._client.resource(PERSISTENTVOLUMES).update_status(changed)

    async def claim_phase(self, claim: Object, phase: str) -> Object:
        """Set the phase of a claim that has no volume (any more)."""
        return await self._claim_status(claim, {"phase": phase})

    async def claim_bound(self, claim: Object, volume: Object) -> Object:
        """Show in a claim what it got. Its capacity is taken once: later on whoever resizes it says how much it is."""
        status = claim.get("status") or {}
        fresh: Object = {**status, "phase": "Bound", "accessModes": volume["spec"].get("accessModes") or []}
        if "capacity" not in status or status.get("phase") != "Bound":
            fresh["capacity"] = volume["spec"].get("capacity") or {}
        attributes = volume["spec"].get("volumeAttributesClassName")
        if attributes:
            fresh["currentVolumeAttributesClassName"] = attributes
        return await self._claim_status(claim, fresh)

    async def _claim_status(self, claim: Object, fresh: Object) -> Object:
        if (claim.get("status") or {}) == fresh:
            return claim
        changed = copy_object({**claim, "status": fresh})
        return await self._client.resource(PERSISTENTVOLUMECLAIMS, namespace_of(claim)).update_status(changed)
