"""Fitting endpoints into slices with few writes: keep what is right, fill what is touched anyway, then fit or make.

The three steps are k8s.io/endpointslice's reconcileByPortMapping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.api.object import controller_of, name_of
from sampan.client.item import copy_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object

Key = tuple[object, ...]


@dataclass(slots=True)
class Plan:
    """Slices to write. Those to create and update are the plan's own objects."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)

    def change(self, existing: Object, endpoints: Sequence[Object]) -> Object:
        """Plan an update of an existing slice and return its copy."""
        copied = copy_object(existing)
        copied["endpoints"] = list(endpoints)
        self.update.append(copied)
        return copied

    def recycle(self, uid: str) -> None:
        """Turn pairs of a creation and a deletion into updates; only slices of this very service."""
        kept = []
        for one in self.delete:
            controller = controller_of(one)
            mine = controller is not None and controller["uid"] == uid
            match = self.create[-1] if self.create else None
            if match is None or not mine or match["addressType"] != one["addressType"]:
                kept.append(one)
                continue
            self.create.pop()
            metadata = {**match["metadata"], "name": name_of(one)}
            metadata.pop("generateName", None)
            self.update.append({**match, "metadata": metadata})
        self.delete = kept


def endpoint_key(endpoint: Object) -> Key:
    """What makes two endpoints the same one: addresses, target, and what its consumers tell them apart by."""
    target = endpoint.get("targetRef") or {}
    return (
        tuple(endpoint.get("addresses") or ()),
        target.get("kind", ""),
        target.get("namespace", ""),
        target.get("name", ""),
        target.get("uid", ""),
        endpoint.get("hostname", ""),
        endpoint.get("nodeName", ""),
        endpoint.get("zone", ""),
    )


def pack(plan: Plan, existing: Sequence[Object], desired: dict[Key, Object], template: Object, *, limit: int) -> None:
    """Bring slices that share the template's ports to hold exactly `desired`, which is emptied."""
    labels = template["metadata"]["labels"]
    touched, unchanged = _keep(plan, existing, desired, labels)
    for one in sorted(touched, key=lambda slice_: -len(slice_["endpoints"])):
        _fill(one, desired, limit)
    while desired:
        slot = _roomiest_fit(unchanged, len(desired), limit) if len(desired) < limit else None
        if slot is None:
            created = {**copy_object(template), "endpoints": []}
            plan.create.append(created)
            _fill(created, desired, limit)
        else:
            unchanged.remove(slot)
            changed = plan.change(slot, slot.get("endpoints") or [])
            _fill(changed, desired, limit)


def _keep(
    plan: Plan, existing: Sequence[Object], desired: dict[Key, Object], labels: dict[str, str]
) -> tuple[list[Object], list[Object]]:
    """Drop unwanted endpoints from existing slices; return the slices to be updated and those left as they are."""
    touched, unchanged = [], []
    for one in existing:
        current = one.get("endpoints") or []
        kept, changed = [], False
        for endpoint in current:
            wanted = desired.pop(endpoint_key(endpoint), None)
            if wanted is None:
                continue
            if "hints" in endpoint:
                wanted = {**wanted, "hints": endpoint["hints"]}
            kept.append(wanted)
            changed = changed or wanted != endpoint
        relabel = one["metadata"].get("labels") != labels
        if current and not kept:
            plan.delete.append(one)
        elif changed or len(kept) != len(current) or relabel:
            copied = plan.change(one, kept)
            copied["metadata"]["labels"] = dict(labels)
            touched.append(copied)
        else:
            unchanged.append(one)
    return touched, unchanged


def _fill(one: Object, desired: dict[Key, Object], limit: int) -> None:
    endpoints = one["endpoints"]
    for key in list(desired):
        if len(endpoints) >= limit:
            return
        endpoints.append(desired.pop(key))


def _roomiest_fit(slices: Sequence[Object], count: int, limit: int) -> Object | None:
    """The fullest slice that still has room for all of them."""
    fitting = [one for one in slices if len(one.get("endpoints") or ()) + count <= limit]
    return max(fitting, key=lambda one: len(one.get("endpoints") or ()), default=None)
