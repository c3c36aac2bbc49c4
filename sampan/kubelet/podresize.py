"""In-place resize: changed requests and limits reach running containers without a restart (KEP-1287).

What a pod asks for is first allocated: refused for good when the node could never hold it (Infeasible), put off while
other pods take the room (Deferred); until then its containers keep what they have. What is allocated is then applied,
the pod's own cgroup first where it grows. The conditions PodResizePending and PodResizeInProgress tell how far it is.
Source: kubelet's allocation/allocation_manager.go and status_manager.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.api import quantity
from sampan.api.pods import qos_class_of
from sampan.kubelet import admission, pods
from sampan.kubelet.resources import container_resources, pod_resources
from sampan.kubelet.runtime import RuntimeFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.api.object import Object
    from sampan.kubelet.podworker import PodWorker
    from sampan.kubelet.records import ContainerRecord

_RETRY_SECONDS = 30.0
"""After a resize was put off: another pod may have ended meanwhile."""

Change = tuple["Object", "ContainerRecord", "Object"]


@dataclass(slots=True)
class ResizeState:
    """How far a pod's resize is. allocated: container name -> resources; applied: container id -> resources.

    pending: (reason, message) of a resize that is not allocated. failed: why applying it failed last.
    """

    allocated: dict[str, Object] = field(default_factory=dict)
    applied: dict[str, Object] = field(default_factory=dict)
    pending: tuple[str, str] | None = None
    in_progress: bool = False
    failed: str = ""


def begin(pod: Object) -> ResizeState:
    """What an admitted pod begins with: what its spec says, or what an earlier agent said that it has."""
    state = ResizeState()
    statuses = {s["name"]: s for s in (pod.get("status") or {}).get("containerStatuses") or ()}
    for container in pods.containers_of(pod):
        resources = statuses.get(container["name"], {}).get("resources")
        state.allocated[container["name"]] = (container.get("resources") or {}) if resources is None else resources
    return state


def allocated(pod: Object, state: ResizeState) -> Object:
    """Return the pod with the resources that it may use now."""
    containers = pods.containers_of(pod)
    if all((c.get("resources") or {}) == state.allocated.get(c["name"], {}) for c in containers):
        return pod
    changed = [{**c, "resources": state.allocated.get(c["name"], c.get("resources") or {})} for c in containers]
    return {**pod, "spec": {**pod["spec"], "containers": changed}}


def allocate(worker: PodWorker) -> None:
    """Allocate what the spec asks for, or tell why not."""
    state, pod = worker.resize, worker.pod
    state.pending = None
    if allocated(pod, state) is pod:
        return
    available = worker.node.allocatable
    for resource in ("cpu", "memory"):
        wanted = admission.request(pod, resource)
        capacity = quantity.milli_value(available["cpu"]) if resource == "cpu" else quantity.to_int(available["memory"])
        if wanted > capacity:
            text = f"Node didn't have enough capacity: {resource}, requested: {wanted}, capacity: {capacity}"
            state.pending = ("Infeasible", text)
            return
    refusal = admission.refuse(pod, worker.others(), available)
    if refusal is not None:
        state.pending = ("Deferred", refusal[1])
        worker.retry_in(_RETRY_SECONDS)
        return
    state.allocated = {c["name"]: c.get("resources") or {} for c in pods.containers_of(pod)}


async def apply_resources(worker: PodWorker) -> None:
    """Apply what changed since a container was started or last resized. Raises RuntimeFault."""
    state = worker.resize
    pod = allocated(worker.pod, state)
    changes = list(_changes(worker, pod))
    if not changes:
        state.in_progress, state.failed = False, ""
        return
    state.in_progress = True
    worker.publish()
    qos = qos_class_of(pod)
    shares, quota, memory = pod_resources(pod)
    cgroups, runtime = worker.node.cgroups, worker.node.runtime
    # A container may not have more than its pod: the pod's limits go up before and down after.
    cgroups.create(worker.uid, qos, shares=shares, quota=quota, memory=memory, grow=True)
    try:
        for container, record, wanted in changes:
            if _needs_restart(container, state.applied.get(record.id, {}), wanted):
                await worker.restart(record, f"Container {record.name} resize requires restart")
                continue
            settings = container_resources(pod, container, qos, worker.node.builder.machine_memory)
            await runtime.update_resources(record.id, settings)
            state.applied[record.id] = wanted
    except RuntimeFault as error:
        state.failed = str(error)
        raise
    cgroups.create(worker.uid, qos, shares=shares, quota=quota, memory=memory)
    state.in_progress, state.failed = False, ""


def _changes(worker: PodWorker, pod: Object) -> Iterator[Change]:
    for container in pods.containers_of(pod):
        record = worker.records.latest(container["name"])
        if record is None or not record.running:
            continue
        wanted = container.get("resources") or {}
        if worker.resize.applied.setdefault(record.id, _reported(worker.pod, container["name"], wanted)) != wanted:
            yield container, record, wanted


def _reported(pod: Object, name: str, default: Object) -> Object:
    """Tell what an adopted container has: what its status says."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status["name"] == name and status.get("resources") is not None:
            found: Object = status["resources"]
            return found
    return default


def _needs_restart(container: Object, before: Object, after: Object) -> bool:
    """Tell whether a resource changed for which resizePolicy wants a restart."""
    for policy in container.get("resizePolicy") or ():
        if policy["restartPolicy"] != "RestartContainer":
            continue
        name = policy["resourceName"]
        for kind in ("requests", "limits"):
            if (before.get(kind) or {}).get(name) != (after.get(kind) or {}).get(name):
                return True
    return False


def conditions(state: ResizeState) -> list[tuple[str, bool, str, str]]:
    """List the resize conditions that hold: (type, status, reason, message)."""
    found = []
    if state.pending is not None:
        found.append(("PodResizePending", True, *state.pending))
    if state.in_progress:
        reason = ("Error", state.failed) if state.failed else ("", "")
        found.append(("PodResizeInProgress", True, *reason))
    return found
