"""In-place resize: changed requests and limits reach running containers without a restart (KEP-1287)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.pods import qos_class_of
from sampan.kubelet import pods
from sampan.kubelet.resources import container_resources

if TYPE_CHECKING:
    from sampan.kubelet.podworker import PodWorker


async def apply_resources(worker: PodWorker) -> None:
    """Apply what changed since a container was started or last resized. Raises RuntimeFault.

    For an adopted container, what applies is what the pod's status says.
    """
    statuses = (worker.pod.get("status") or {}).get("containerStatuses") or ()
    reported = {status["name"]: status.get("resources") for status in statuses}
    for container in pods.containers_of(worker.pod):
        record = worker.records.latest(container["name"])
        if record is None or not record.running:
            continue
        wanted = container.get("resources") or {}
        applied = worker.applied.get(record.id, reported.get(container["name"]))
        if applied is None or applied == wanted:
            continue
        memory = worker.node.builder.machine_memory
        settings = container_resources(worker.pod, container, qos_class_of(worker.pod), memory)
        await worker.node.runtime.update_resources(record.id, settings)
        worker.applied[record.id] = wanted
