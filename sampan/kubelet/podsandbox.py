"""A pod's sandbox: started while its volumes are prepared, since neither needs the other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.api.pods import qos_class_of
from sampan.base.tasks import spawn
from sampan.kubelet.records import SandboxRecord
from sampan.kubelet.resources import pod_resources
from sampan.kubelet.runtime import RuntimeFault
from sampan.kubelet.volumes.errors import VolumeError

if TYPE_CHECKING:
    from sampan.kubelet.podworker import PodWorker


class KillPodError(RuntimeFault):
    """The runtime could not end a pod."""


async def create_sandbox(worker: PodWorker, attempt: int) -> None:
    """Make the pod's cgroup, sandbox and volumes. Raises the first fault: RuntimeFault, VolumeError, APIStatusError.

    A sandbox that came to be stays, also when a volume is missing: the next pass needs the volume alone.
    """
    node = worker.node
    shares, quota, memory = pod_resources(worker.pod)
    node.cgroups.create(worker.uid, qos_class_of(worker.pod), shares=shares, quota=quota, memory=memory)
    failures: list[Exception] = []

    async def volumes() -> None:
        try:
            await node.volumes.set_up(worker.pod, worker.ips)
        except (VolumeError, APIStatusError, OSError) as error:
            failures.append(error)

    async def sandbox() -> None:
        try:
            await _run(worker, attempt)
        except (RuntimeFault, APIStatusError, OSError) as error:
            failures.append(error)

    async with asyncio.TaskGroup() as group:
        spawn(group, sandbox(), name=f"sandbox {worker.uid}")
        spawn(group, volumes(), name=f"volumes {worker.uid}")
    if failures:
        raise failures[0]


async def _run(worker: PodWorker, attempt: int) -> None:
    spec = worker.pod["spec"]
    if spec.get("hostUsers") is False:
        raise RuntimeFault("user namespaces are not supported by the container runtime")
    wanted = worker.sandbox_spec(attempt)
    if spec.get("runtimeClassName"):
        try:
            handler = await worker.node.api.runtime_handler(spec["runtimeClassName"])
        except NotFound as error:
            raise RuntimeFault(f'runtimeclass.node.k8s.io "{spec["runtimeClassName"]}" not found') from error
        wanted = replace(wanted, runtime_handler=handler)
    sandbox_id = await worker.node.runtime.run_sandbox(wanted)
    record = SandboxRecord(id=sandbox_id, attempt=attempt, ready=True, created_at=int(worker.node.clock.time() * 1e9))
    worker.created(sandbox_id, worker)
    worker.records.sandboxes.insert(0, record)
    if not worker.pod["spec"].get("hostNetwork"):
        record.ips = await worker.node.runtime.sandbox_ips(sandbox_id)


def fault_event(error: Exception) -> tuple[str, str]:
    """Tell the event, (reason, message), of a fault in bringing a pod up."""
    if isinstance(error, VolumeError):
        return "FailedMount", str(error)
    if isinstance(error, KillPodError):
        return "FailedKillPod", f"error killing pod: {error}"
    if isinstance(error, RuntimeFault):
        return "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}"
    return "FailedSync", f"error determining status: {error}"
