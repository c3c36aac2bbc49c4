"""VolumeBinding: a pod runs where its volumes are, or where they can come to be.

Bound claims restrict nodes by their volume's node affinity. Claims that wait for their first consumer are given a
volume that reaches the node, or the node is written into the claim for its provisioner; the pod is bound when all its
claims are. Behaviour and texts are kube-scheduler's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import orjson

from sampan.api import affinity, quantity
from sampan.api import volumes as rules
from sampan.api.errors import APIStatusError
from sampan.api.object import annotations_of, labels_of, name_of, namespace_of, uid_of
from sampan.base.clock import deadline
from sampan.client.item import copy_object
from sampan.client.resources import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES
from sampan.scheduler.interface import SKIP, SUCCESS, Code, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.client import Client
    from sampan.client.interface import Stored
    from sampan.scheduler.interface import ClusterEvent, CycleState, Mask
    from sampan.scheduler.nodeinfo import NodeInfo
    from sampan.scheduler.nodetable import NodeTable
    from sampan.scheduler.podinfo import PodInfo
    from sampan.scheduler.volumecaches import VolumeCaches

_BIND_SECONDS = 600.0
_NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
_NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
_GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


@dataclass(slots=True)
class _Wishes:
    """A pod's claims. gone: one is bound to a volume that is not there. waiting: those to be bound, biggest last."""

    bound: list[Object] = field(default_factory=list)
    waiting: list[Object] = field(default_factory=list)
    gone: bool = False


@dataclass(slots=True)
class _Decision:
    """What a node means for the waiting claims. matched: claim and volume. provisioned: claims."""

    matched: list[tuple[Object, Object]] = field(default_factory=list)
    provisioned: list[Object] = field(default_factory=list)


class VolumeBinding:
    """Finds, promises and binds volumes."""

    name = "VolumeBinding"
    events: Mapping[EventKind, Callable[[PodInfo, ClusterEvent], bool] | None] = {
        EventKind.VOLUME_CHANGE: None,
        EventKind.NODE_ADD: None,
        EventKind.NODE_LABEL: None,
        EventKind.NODE_TAINT: None,
    }

    def __init__(self, caches: VolumeCaches, client: Client, clock: Clock) -> None:
        self._caches = caches
        self._client = client
        self._clock = clock
        self._changed = asyncio.Event()
        caches.claims.add_handler(self._on_claim)

    def _on_claim(self, _: Stored | None, __: Stored | None) -> None:
        """Wake all that wait for claims; each looks at its own."""
        self._changed.set()
        self._changed = asyncio.Event()

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Status:
        wishes = _Wishes()
        for name, ephemeral in rules.claim_names(pod.object):
            claim = self._caches.claim(pod.namespace, name)
            problem = _claim_problem(claim, name, pod, ephemeral=ephemeral)
            if problem or claim is None:
                return Status(Code.UNRESOLVABLE, (problem,), self.name)
            if rules.is_fully_bound(claim):
                volume = self._caches.volume(claim["spec"]["volumeName"])
                if volume is None:
                    wishes.gone = True
                else:
                    wishes.bound.append(volume)
            elif claim["spec"].get("volumeName") or not rules.is_delayed(self._class_of(claim)):
                return Status(Code.UNRESOLVABLE, ("pod has unbound immediate PersistentVolumeClaims",), self.name)
            else:
                wishes.waiting.append(claim)
        if not (wishes.bound or wishes.waiting or wishes.gone):
            return SKIP
        wishes.waiting.sort(key=lambda one: quantity.parse(rules.requested(one)))
        state[self.name] = wishes
        state[f"{self.name}/nodes"] = nodes
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo, nodes: NodeTable) -> Status:
        del pod, nodes
        wishes: _Wishes = state[self.name]
        if wishes.gone:
            return Status(Code.UNRESOLVABLE, (_GONE,), self.name)
        reasons = []
        if not all(rules.reaches(volume, node.object) for volume in wishes.bound):
            reasons.append(_NODE_CONFLICT)
        if self._decide(wishes, node.object) is None:
            reasons.append(_NO_VOLUME)
        return Status(Code.UNRESOLVABLE, tuple(reasons), self.name) if reasons else SUCCESS

    def filter_all(self, state: CycleState, pod: PodInfo, nodes: NodeTable) -> Mask:
        del pod
        wishes: _Wishes = state[self.name]
        mask = np.ones(nodes.rows, dtype=np.bool_)
        if wishes.gone:
            mask[:] = False
            return mask
        for volume in wishes.bound:
            required = (volume["spec"].get("nodeAffinity") or {}).get("required")
            if required is not None:
                key = ("volume affinity", orjson.dumps(required))
                mask &= nodes.static(key, partial(_reached, volume)).astype(np.bool_)
        if wishes.waiting:
            self._filter_waiting(mask, wishes, nodes)
        return mask

    def _filter_waiting(self, mask: Mask, wishes: _Wishes, nodes: NodeTable) -> None:
        """Take away the nodes for which some claim finds nothing; without volumes to choose from, by arrays."""
        for claim in wishes.waiting:
            if rules.SELECTED_NODE in annotations_of(claim) or self._caches.free(rules.class_of(claim)):
                for info in nodes.nodes.values():
                    if mask[info.row] and self._decide(wishes, info.object) is None:
                        mask[info.row] = False
                return
        for claim in wishes.waiting:
            storage_class = self._class_of(claim)
            if not _provisions(storage_class):
                mask[:] = False
                return
            assert storage_class is not None
            topologies = storage_class.get("allowedTopologies")
            if topologies:
                key = ("volume topologies", orjson.dumps(topologies))
                mask &= nodes.static(key, partial(_served, topologies)).astype(np.bool_)

    def _decide(self, wishes: _Wishes, node: Object) -> _Decision | None:
        """What becomes of the waiting claims on a node; None when one of them finds nothing."""
        decision = _Decision()
        taken: set[str] = set()
        for claim in wishes.waiting:
            key = f"{namespace_of(claim)}/{name_of(claim)}"
            selected = annotations_of(claim).get(rules.SELECTED_NODE)
            if selected is not None:
                if selected != name_of(node):
                    return None
                decision.provisioned.append(claim)
                continue
            others = {name for name, owner in self._caches.promised.items() if owner != key}
            volume = rules.best_match(claim, self._caches.free(rules.class_of(claim)), node=node, taken=taken | others)
            storage_class = self._class_of(claim)
            if volume is not None:
                decision.matched.append((claim, volume))
                taken.add(name_of(volume))
            elif _provisions(storage_class) and storage_class is not None and _allows(storage_class, node):
                decision.provisioned.append(claim)
            else:
                return None
        return decision

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status:
        """Promise the pod's volumes."""
        del pod
        wishes: _Wishes | None = state.get(self.name)
        if wishes is None or not wishes.waiting:
            return SUCCESS
        nodes: NodeTable = state[f"{self.name}/nodes"]
        decision = self._decide(wishes, nodes.nodes[node].object)
        if decision is None:
            return Status(Code.UNSCHEDULABLE, (_NO_VOLUME,), self.name)
        for claim, volume in decision.matched:
            self._caches.promised[name_of(volume)] = f"{namespace_of(claim)}/{name_of(claim)}"
        state[f"{self.name}/decision"] = decision
        return SUCCESS

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        """Take promises back."""
        del pod, node
        decision: _Decision | None = state.pop(f"{self.name}/decision", None)
        for _, volume in decision.matched if decision else ():
            self._caches.promised.pop(name_of(volume), None)

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status:
        """Write the promises and wait until binder and provisioner have kept them."""
        decision: _Decision | None = state.get(f"{self.name}/decision")
        if decision is None:
            return SUCCESS
        try:
            for claim, volume in decision.matched:
                await self._claim_volume(claim, volume)
            for claim in decision.provisioned:
                await self._select_node(claim, node)
            async with deadline(self._clock, _BIND_SECONDS):
                return await self._wait_bound(pod, decision)
        except (APIStatusError, OSError) as error:
            return Status(Code.ERROR, (f"binding volumes: {error}",), self.name)
        except TimeoutError:
            return Status(Code.ERROR, ("binding volumes: context deadline exceeded",), self.name)
        finally:
            for _, volume in decision.matched:
                self._caches.promised.pop(name_of(volume), None)

    async def _claim_volume(self, claim: Object, volume: Object) -> None:
        changed = copy_object(volume)
        changed["metadata"].setdefault("annotations", {})[rules.BOUND_BY_CONTROLLER] = "yes"
        changed["spec"]["claimRef"] = {
            "kind": "PersistentVolumeClaim",
            "namespace": namespace_of(claim),
            "name": name_of(claim),
            "uid": uid_of(claim),
            "apiVersion": "v1",
            "resourceVersion": claim["metadata"]["resourceVersion"],
        }
        await self._client.resource(PERSISTENTVOLUMES).update(changed)

    async def _select_node(self, claim: Object, node: str) -> None:
        if annotations_of(claim).get(rules.SELECTED_NODE) == node:
            return
        changed = copy_object(claim)
        changed["metadata"].setdefault("annotations", {})[rules.SELECTED_NODE] = node
        await self._client.resource(PERSISTENTVOLUMECLAIMS, namespace_of(claim)).update(changed)

    async def _wait_bound(self, pod: PodInfo, decision: _Decision) -> Status:
        asked = {name_of(claim) for claim in decision.provisioned}
        names = asked | {name_of(claim) for claim, _ in decision.matched}
        selected: set[str] = set()
        while True:
            changed = self._changed
            waiting = False
            for name in names:
                claim = self._caches.claim(pod.namespace, name)
                if claim is None:
                    return Status(Code.ERROR, (f'binding volumes: claim "{name}" not found',), self.name)
                if rules.is_fully_bound(claim):
                    continue
                waiting = True
                if rules.SELECTED_NODE in annotations_of(claim):
                    selected.add(name)
                elif name in selected:
                    why = f'binding volumes: provisioning failed for PVC "{name}"'
                    return Status(Code.ERROR, (why,), self.name)
            if not waiting:
                return SUCCESS
            await changed.wait()

    def _class_of(self, claim: Object) -> Object | None:
        return self._caches.storage_class(rules.class_of(claim))


def _claim_problem(claim: Object | None, name: str, pod: PodInfo, *, ephemeral: bool) -> str:
    if claim is None:
        if ephemeral:
            return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        return f'persistentvolumeclaim "{name}" not found'
    if (claim.get("status") or {}).get("phase") == "Lost":
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim["spec"]["volumeName"]}"'
    if "deletionTimestamp" in claim["metadata"]:
        return f'persistentvolumeclaim "{name}" is being deleted'
    if ephemeral and not rules.is_ephemeral_claim_of(claim, pod.object):
        place = f"{pod.namespace}/{name}"
        return f"PVC {place} was not created for pod {pod.key} (pod is not owner)"
    return ""


def _provisions(storage_class: Object | None) -> bool:
    provisioner = (storage_class or {}).get("provisioner", "")
    return bool(provisioner) and provisioner != rules.NO_PROVISIONER


def _allows(storage_class: Object, node: Object) -> bool:
    topologies = storage_class.get("allowedTopologies")
    return not topologies or _in_topology(topologies, node)


def _reached(volume: Object, node: NodeInfo) -> int:
    return rules.reaches(volume, node.object)


def _served(topologies: list[Object], node: NodeInfo) -> int:
    return _in_topology(topologies, node.object)


def _in_topology(terms: list[Object], node: Object) -> bool:
    """Whether a node is in one of a class's topologies."""
    labels = labels_of(node)
    return any(
        all(
            affinity.requirement_matches({**one, "operator": "In"}, labels)
            for one in term.get("matchLabelExpressions") or ()
        )
        for term in terms
    )
