"""The built-in provisioner: claims of its classes get a directory of the node on which their first pod runs.

It does what an external provisioner does (SIG Storage's external-provisioner and external-resizer, whose events it
uses): it makes a PersistentVolume ``pvc-<uid>`` for a claim that asks for it, deletes released ones whose policy says
so, and grants every wish for more, since directories have no size. A node tells by annotation where its volumes lie;
it makes the directories and removes those whose volume is gone. Volumes can be written from one node only, whatever
their access mode, so only the modes ReadWriteOnce and ReadWriteOncePod are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import quantity
from sampan.api import volumes as rules
from sampan.api.errors import AlreadyExists, NotFound
from sampan.api.object import annotations_of, labels_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import NODES, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, STORAGECLASSES
from sampan.controllers.podview import condition
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_DEFAULT_ROOT = "/var/lib/sampan/volumes"
_MODES = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})
_BY_CLAIM = "local-path claim"


def new(context: ControllerContext) -> Controller:
    """The local-path provisioner."""
    return _LocalPath(context).controller


class _LocalPath:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._recorder = context.recorder(rules.LOCAL_PATH)
        self._claims = context.informer(PERSISTENTVOLUMECLAIMS)
        self._volumes = context.informer(PERSISTENTVOLUMES)
        self._classes = context.informer(STORAGECLASSES)
        self._nodes = context.informer(NODES)
        self.controller = Controller("local-path-provisioner", self, clock=context.clock, workers=5)
        self._claims.add_handler(self._on_claim)
        self._volumes.add_handler(self._on_volume)

    def _on_claim(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None and annotations_of(new.object).get(rules.STORAGE_PROVISIONER) == rules.LOCAL_PATH:
            self.controller.queue.add(Request(new.namespace, new.name))

    def _on_volume(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None and annotations_of(new.object).get(rules.PROVISIONED_BY) == rules.LOCAL_PATH:
            self.controller.queue.add(Request("", new.name))

    async def reconcile(self, request: Request) -> Result:
        """Provision or expand for one claim, or (namespace "") delete one volume."""
        if not request.namespace:
            volume = self._volumes.get("", request.name)
            if volume is not None:
                await self._delete_released(volume.object)
            return DONE
        item = self._claims.get(request.namespace, request.name)
        if item is None or "deletionTimestamp" in item.object["metadata"]:
            return DONE
        claim = item.object
        if not claim["spec"].get("volumeName"):
            return await self._provision(claim)
        if (claim.get("status") or {}).get("phase") == "Bound":
            await self._expand(claim)
        return DONE

    async def _delete_released(self, volume: Object) -> None:
        released = (volume.get("status") or {}).get("phase") == "Released"
        deletes = volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        if not released or not deletes or "deletionTimestamp" in volume["metadata"]:
            return
        try:
            await self._client.resource(PERSISTENTVOLUMES).delete(name_of(volume), uid=uid_of(volume))
        except NotFound:
            return

    async def _provision(self, claim: Object) -> Result:
        found = self._classes.get("", rules.class_of(claim))
        if found is None or found.object["provisioner"] != rules.LOCAL_PATH:
            return DONE
        storage_class = found.object
        name = f"pvc-{uid_of(claim)}"
        if self._volumes.get("", name) is not None:
            return DONE  # it is there already: the binder has the word
        selected = annotations_of(claim).get(rules.SELECTED_NODE, "")
        if rules.is_delayed(storage_class) and not selected:
            return DONE
        place = f"{namespace_of(claim)}/{name_of(claim)}"
        provisioning = f'External provisioner is provisioning volume for claim "{place}"'
        self._recorder.event(claim, "Normal", "Provisioning", provisioning)
        node = self._node(selected)
        problem = _problem(claim, node, selected)
        if problem or node is None:
            message = f'failed to provision volume with StorageClass "{name_of(storage_class)}": {problem}'
            self._recorder.event(claim, "Warning", "ProvisioningFailed", message)
            if selected and node is None:
                await self._give_node_back(claim)
                return DONE
            return Result(requeue=True)
        try:
            await self._client.resource(PERSISTENTVOLUMES).create(_volume(claim, storage_class, node, name))
        except AlreadyExists:
            return DONE
        self._recorder.event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")
        return DONE

    def _node(self, selected: str) -> Object | None:
        """The node that the scheduler chose; for claims that do not wait for it, the first that is ready."""
        if selected:
            found = self._nodes.get("", selected)
            return None if found is None else found.object
        for item in sorted(self._nodes.list(), key=lambda one: one.name):
            node = item.object
            ready = condition(node, "Ready")
            unschedulable = (node.get("spec") or {}).get("unschedulable")
            if not unschedulable and ready is not None and ready["status"] == "True":
                return node
        return None

    async def _give_node_back(self, claim: Object) -> None:
        """Have the scheduler choose again: the node is gone."""
        changed = copy_object(claim)
        del changed["metadata"]["annotations"][rules.SELECTED_NODE]
        await self._client.resource(PERSISTENTVOLUMECLAIMS, namespace_of(claim)).update(changed)

    async def _expand(self, claim: Object) -> None:
        """Give a claim what it asks for now; admission has checked that its class allows it."""
        wanted = rules.requested(claim)
        item = self._volumes.get("", claim["spec"]["volumeName"])
        if item is None or annotations_of(item.object).get(rules.PROVISIONED_BY) != rules.LOCAL_PATH:
            return
        status = claim["status"]
        if quantity.compare(wanted, (status.get("capacity") or {}).get("storage", "0")) <= 0:
            return
        volume = item.object
        self._recorder.event(claim, "Normal", "Resizing", f"External resizer is resizing volume {name_of(volume)}")
        if quantity.compare(rules.capacity(volume), wanted) < 0:
            changed = copy_object(volume)
            changed["spec"]["capacity"] = {**volume["spec"]["capacity"], "storage": wanted}
            await self._client.resource(PERSISTENTVOLUMES).update(changed)
        fresh = copy_object(claim)
        fresh["status"]["capacity"] = {**(status.get("capacity") or {}), "storage": wanted}
        await self._client.resource(PERSISTENTVOLUMECLAIMS, namespace_of(claim)).update_status(fresh)
        self._recorder.event(claim, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded")


def _problem(claim: Object, node: Object | None, selected: str) -> str:
    if node is None:
        return f'node "{selected}" not found' if selected else "no node is ready"
    if claim["spec"].get("selector"):
        return "claim.Spec.Selector is not supported"
    if not set(claim["spec"].get("accessModes") or ()) <= _MODES:
        return "only the access modes ReadWriteOnce and ReadWriteOncePod are supported"
    if rules.volume_mode(claim) != "Filesystem":
        return "only the volume mode Filesystem is supported"
    return ""


def _volume(claim: Object, storage_class: Object, node: Object, name: str) -> Object:
    node_name = name_of(node)
    root = annotations_of(node).get(rules.LOCAL_PATH, _DEFAULT_ROOT).rstrip("/")
    host = labels_of(node).get("kubernetes.io/hostname", node_name)
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
    path = f"{root}/{name}_{namespace_of(claim)}_{name_of(claim)}"
    spec: Object = {
        "accessModes": claim["spec"].get("accessModes") or [],
        "capacity": {"storage": rules.requested(claim)},
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": namespace_of(claim),
            "name": name_of(claim),
            "uid": uid_of(claim),
            "resourceVersion": claim["metadata"]["resourceVersion"],
        },
        "hostPath": {"path": path, "type": "DirectoryOrCreate"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
        "storageClassName": name_of(storage_class),
        "volumeMode": rules.volume_mode(claim),
    }
    if storage_class.get("mountOptions"):
        spec["mountOptions"] = storage_class["mountOptions"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": {rules.PROVISIONED_BY: rules.LOCAL_PATH},
            "labels": {rules.LOCAL_PATH_NODE: node_name},
        },
        "spec": spec,
    }
