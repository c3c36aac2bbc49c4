"""Deployments: rolling and recreating updates by way of ReplicaSets.

Behaviour: kube-controller-manager's pkg/controller/deployment: revisions, maxSurge and maxUnavailable, proportional
scaling, pausing, the progress deadline, the history limit, hash collisions; its conditions and events. Not done: the
rollback annotation of extensions/v1beta1 (kubectl undoes a rollout by patching the template).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import labels
from sampan.api.errors import NotFound
from sampan.api.object import controller_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import DEPLOYMENTS, PODS, REPLICASETS
from sampan.controllers.deploymentsync import DeploymentSync
from sampan.controllers.podcontrol import controller_reference
from sampan.controllers.podview import PodIndex
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext


def new(context: ControllerContext) -> Controller:
    """The Deployment controller."""
    return _Deployments(context).controller


class _Deployments:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder("deployment-controller")
        self._deployments = context.informer(DEPLOYMENTS)
        self._replica_sets = context.informer(REPLICASETS)
        self._pods = PodIndex(pods := context.informer(PODS))
        self.controller = Controller(
            "deployment-controller", self, clock=context.clock, workers=context.options.concurrent_syncs
        )
        self._queue = self.controller.queue
        self._replica_sets.add_index("owner", _owner_or_orphan)
        self._deployments.add_handler(self._on_deployment)
        self._replica_sets.add_handler(self._on_replica_set)
        pods.add_handler(self._on_pod)

    def _on_deployment(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        self._queue.add(Request(item.namespace, item.name))

    def _on_replica_set(self, old: Stored | None, new: Stored | None) -> None:
        orphaned = False
        for item in (old, new):
            if item is None:
                continue
            owner = controller_of(item.object)
            orphaned = owner is None
            if owner is not None and owner["kind"] == "Deployment":
                self._queue.add(Request(item.namespace, owner["name"]))
        if new is not None and orphaned:
            for one in self._deployments.list(new.namespace):
                if labels.from_object(one.object["spec"]["selector"]).matches(new.labels):
                    self._queue.add(Request(one.namespace, one.name))

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        """A recreating Deployment waits for the end of its last old pod."""
        if new is not None or old is None:
            return
        owner = controller_of(old.object)
        if owner is None or owner["kind"] != "ReplicaSet":
            return
        replica_set = self._replica_sets.get(old.namespace, owner["name"])
        parent = None if replica_set is None else controller_of(replica_set.object)
        if parent is None:
            return
        deployment = self._deployments.get(old.namespace, parent["name"])
        if deployment is not None and (deployment.object["spec"].get("strategy") or {}).get("type") == "Recreate":
            self._queue.add(Request(old.namespace, parent["name"]))

    async def reconcile(self, request: Request) -> Result:
        """Sync one Deployment."""
        stored = self._deployments.get(request.namespace, request.name)
        if stored is None:
            return DONE
        deployment = copy_object(stored.object)
        if not any((deployment["spec"].get("selector") or {}).values()):
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self._recorder.event(deployment, "Warning", "SelectingAll", message)
            return DONE
        owned = await self._claimed(deployment)
        now = self._clock.time()
        return await DeploymentSync(self._client, self._recorder, self._pods, deployment, owned, now=now).run()

    async def _claimed(self, deployment: Object) -> list[Object]:
        """The Deployment's ReplicaSets: adopts orphans that match, releases own ones that no longer do."""
        selector = labels.from_object(deployment["spec"]["selector"])
        uid, namespace = uid_of(deployment), namespace_of(deployment)
        deleting = "deletionTimestamp" in deployment["metadata"]
        claimed = []
        for item in self._replica_sets.by_index("owner", uid):
            if selector.matches(item.labels):
                claimed.append(item.object)
            elif not deleting:
                await self._patch_owner(item, {"$patch": "delete", "uid": uid})
        if deleting:
            return claimed
        orphans = [
            item
            for item in self._replica_sets.by_index("owner", f"orphan:{namespace}")
            if selector.matches(item.labels) and "deletionTimestamp" not in item.object["metadata"]
        ]
        if orphans:
            current = await self._client.resource(DEPLOYMENTS, namespace).get(name_of(deployment))
            if uid_of(current) != uid or "deletionTimestamp" in current["metadata"]:
                return claimed
        for item in orphans:
            adopted = await self._patch_owner(item, controller_reference(deployment, "apps/v1", "Deployment"))
            if adopted is not None:
                claimed.append(adopted)
        return claimed

    async def _patch_owner(self, item: Stored, reference: Object) -> Object | None:
        patch = {"metadata": {"uid": item.object["metadata"]["uid"], "ownerReferences": [reference]}}
        try:
            return await self._client.resource(REPLICASETS, item.namespace).patch(item.name, patch)
        except NotFound:
            return None


def _owner_or_orphan(item: Stored) -> tuple[str, ...]:
    owner = controller_of(item.object)
    return (f"orphan:{item.namespace}",) if owner is None else (owner["uid"],)
