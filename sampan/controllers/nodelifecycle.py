"""Node health: silent nodes become Unknown, unhealthy ones get taints, their pods are marked not ready.

Behaviour: kube-controller-manager's pkg/controller/nodelifecycle. A node's heartbeat is its Lease (or its Ready
condition changing); NoSchedule taints follow the conditions at once, NoExecute taints at a limited rate per zone, and
not at all while every node seems dead, for then it is more likely that we are cut off. The taint eviction controller
does the evicting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.api.object import name_of
from sampan.base.log import logger
from sampan.client.item import copy_object
from sampan.client.resources import LEASES, NODES, PODS
from sampan.controllers.nodehealth import (
    Health,
    NodeHealth,
    NodeView,
    ZoneLimits,
    lease_view,
    mark_unknown,
    node_view,
    zone_of,
)
from sampan.controllers.nodetaints import (
    NOT_READY,
    UNREACHABLE,
    change_taints,
    has_no_execute,
    no_schedule_change,
    wanted_no_execute,
)
from sampan.controllers.podview import condition
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

log = logger("controllers.nodelifecycle")

_NODE_INDEX = "spec.nodeName"
_LABELS = {"beta.kubernetes.io/os": "kubernetes.io/os", "beta.kubernetes.io/arch": "kubernetes.io/arch"}


def new(context: ControllerContext) -> Controller:
    """The node lifecycle controller."""
    return _Lifecycle(context).controller


def index_by_node(item: Stored) -> tuple[str, ...]:
    """File a pod under its node."""
    node = (item.object.get("spec") or {}).get("nodeName")
    return (node,) if node else ()


class _Lifecycle:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._options = context.options
        self._recorder = context.recorder("node-controller")
        self._nodes = context.informer(NODES)
        self._leases = context.informer(LEASES, namespace="kube-node-lease")
        self._pods = context.informer(PODS)
        self._pods.add_index(_NODE_INDEX, index_by_node)
        self._views = self._nodes.add_view(node_view)
        self._renewals = self._leases.add_view(lease_view)
        self._health: dict[str, NodeHealth] = {}
        self._limits = ZoneLimits(context.options, context.clock)
        self._unhealthy: dict[str, None] = {}
        self._wake = asyncio.Event()
        self.controller = Controller(
            "node-lifecycle-controller", self, clock=context.clock, workers=8, services=(self.monitor, self.taint)
        )
        self._nodes.add_handler(self._on_node)

    def _on_node(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        self.controller.queue.add(Request("", item.name))

    async def reconcile(self, request: Request) -> Result:
        """Bring one node's NoSchedule taints and labels in line with its state."""
        stored = self._nodes.get("", request.name)
        if stored is None:
            self._unhealthy.pop(request.name, None)
            return DONE
        node = stored.object
        add, remove = no_schedule_change(node)
        if add or remove:
            now = times.format_time(self._clock.time())
            await change_taints(self._client, node, "NoSchedule", add=add, remove=remove, now=now)
        labels = node["metadata"].get("labels") or {}
        missing = {old: labels[new] for old, new in _LABELS.items() if new in labels and labels.get(old) != labels[new]}
        if missing:
            await self._client.resource(NODES).patch(request.name, {"metadata": {"labels": missing}})
        self._plan_no_execute(node)
        return DONE

    def _plan_no_execute(self, node: Object) -> None:
        """Queue a node for its NoExecute taint, or for losing it."""
        wanted = wanted_no_execute(node)
        has = {key for key in (NOT_READY, UNREACHABLE) if has_no_execute(node, key)}
        if has != ({wanted} - {""}):
            self._unhealthy[name_of(node)] = None
            self._wake.set()
        else:
            self._unhealthy.pop(name_of(node), None)

    async def monitor(self) -> None:
        """Look at every node's heartbeat, each monitoring period."""
        while True:
            try:
                await self._monitor_once()
            except (APIStatusError, OSError) as error:
                log.warning("Node monitoring failed", error=error)
            await self._clock.sleep(self._options.node_monitor_period)

    async def _monitor_once(self) -> None:
        present = {item.name: item for item in self._nodes.list()}
        for name in [name for name in self._health if name not in present]:
            health = self._health.pop(name)
            self._event(name, health.uid, "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")
        for name, item in present.items():
            view = self._views[name]
            if name not in self._health or self._health[name].uid != view.uid:
                self._health[name] = NodeHealth(uid=view.uid, seen=self._clock.monotonic())
                message = f"Node {name} event: Registered Node {name} in Controller"
                self._event(name, view.uid, "RegisteredNode", message)
            await self._check(item, view, self._health[name])
        recovered = self._limits.update({name: zone_of(item) for name, item in present.items()}, self._health)
        if recovered:  # everybody seemed dead: nobody may be judged by what was missed meanwhile
            for health in self._health.values():
                health.seen = self._clock.monotonic()
        self._wake.set()

    async def _check(self, item: Stored, view: NodeView, health: NodeHealth) -> None:
        """Judge one node by its heartbeat."""
        name, ready = item.name, view.ready
        now = self._clock.monotonic()
        health.observe(view, self._renewals.get(f"kube-node-lease/{name}", ""), now)
        grace = self._options.node_monitor_grace_period if ready else self._options.node_startup_grace_period
        if now - health.seen > grace:
            changed = copy_object(item.object)
            if mark_unknown(changed, self._clock.time()):
                try:
                    await self._client.resource(NODES).update_status(changed)
                except (Conflict, NotFound):
                    return  # it just reported, or is gone: the next round sees
            ready = "Unknown"
        before = health.state
        health.state = Health.of(ready)
        if before in (None, Health.READY) and health.state is not Health.READY:
            if before is not None:
                self._event(name, view.uid, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
            health.pods_marked = False
        if health.state is Health.READY:
            health.pods_marked = True
        elif not health.pods_marked:
            health.pods_marked = await self._mark_pods(name)

    async def _mark_pods(self, node: str) -> bool:
        """Mark the pods of a node not ready, so that no traffic goes there; False when some are to be tried again."""
        complete = True
        now = times.format_time(self._clock.time())
        for item in self._pods.by_index(_NODE_INDEX, node):
            ready = condition(item.object, "Ready")
            if ready is None or ready["status"] == "False":
                continue
            patch = {
                "metadata": {"uid": item.object["metadata"]["uid"]},
                "status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]},
            }
            try:
                await self._client.resource(PODS, item.namespace).patch_status(item.name, patch)
            except NotFound:
                continue
            except (APIStatusError, OSError) as error:
                log.debug("Pod not marked", pod=f"{item.namespace}/{item.name}", error=error)
                complete = False
                continue
            self._recorder.event(item.object, "Warning", "NodeNotReady", "Node is not ready")
        return complete

    async def taint(self) -> None:
        """Give NoExecute taints at the zones' rates; take them away at once."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for name in list(self._unhealthy):
                stored = self._nodes.get("", name)
                if stored is None:
                    self._unhealthy.pop(name, None)
                    continue
                try:
                    await self._taint_one(stored)
                except (APIStatusError, OSError) as error:
                    log.debug("Node not tainted", node=name, error=error)

    async def _taint_one(self, stored: Stored) -> None:
        node = stored.object
        wanted = wanted_no_execute(node)
        both = {NOT_READY, UNREACHABLE}
        if wanted and not any(has_no_execute(node, key) for key in both) and not self._limits.allow(zone_of(stored)):
            return  # stays queued; the next round of monitoring wakes us
        now = times.format_time(self._clock.time())
        add = [wanted] if wanted and not has_no_execute(node, wanted) else []
        await change_taints(self._client, node, "NoExecute", add=add, remove=both - {wanted}, now=now)
        self._unhealthy.pop(stored.name, None)

    def _event(self, name: str, uid: str, reason: str, message: str) -> None:
        reference = {"kind": "Node", "apiVersion": "v1", "name": name, "uid": uid}
        self._recorder.event(reference, "Normal", reason, message)
