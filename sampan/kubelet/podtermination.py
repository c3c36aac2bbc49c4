"""The end of a pod: endpoints first, then its processes, its sandbox, its volumes, and at last the API object.

Order, and why: (1) the gate waits until service proxies no longer send new connections to the pod, so that SIGTERM
loses no request; that wait counts as part of the grace period. (2) preStop hooks and SIGTERM, SIGKILL when the grace is
over. (3) the status says that everything ended. (4) volumes and cgroups go. (5) the API object is deleted: whoever sees
it gone knows that no process of it is left. (6) sandbox and containers are removed from the runtime.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, Conflict, NotFound
from sampan.api.object import name_of, namespace_of
from sampan.base.log import logger
from sampan.base.tasks import spawn
from sampan.kubelet import pods
from sampan.kubelet.containerspec import log_directory
from sampan.kubelet.killer import MINIMUM_SECONDS
from sampan.kubelet.logs.removal import remove_logs
from sampan.kubelet.runtime import RuntimeFault

if TYPE_CHECKING:
    from sampan.kubelet.podworker import PodWorker

_log = logger("kubelet.termination")

_RETRY_SECONDS = 1.0


async def terminate(worker: PodWorker) -> None:
    """End a pod. Tries until all is done: a pod that cannot be ended must not be forgotten."""
    begin = worker.node.clock.monotonic()
    if worker.records.running() and not worker.removed:
        await worker.node.gate.wait_withdrawn(worker.pod)
    await _until_done(worker, begin)
    worker.finished = True
    if not worker.removed:
        worker.publish()
        await worker.writer.wait_written()
    await _clean(worker)
    if not worker.removed and pods.is_deleting(worker.pod):
        await _delete(worker)
    await _forget(worker)


async def _until_done(worker: PodWorker, begin: float) -> None:
    while True:
        spent = int(worker.node.clock.monotonic() - begin)
        grace = max(0, pods.grace_seconds(worker.pod) - spent)
        fault = await _stop_in_time(worker, grace)
        if fault is None:
            return
        worker.node.recorder.event(worker.pod, "Warning", "FailedKillPod", f"error killing pod: {fault}")
        _log.warning("Pod cannot be stopped yet", pod=pods.format_pod(worker.pod), error=fault)
        await worker.node.clock.sleep(_RETRY_SECONDS)


async def _stop_in_time(worker: PodWorker, grace: int) -> RuntimeFault | None:
    """Stop everything within the grace period, or sooner when that is shortened meanwhile; return what went wrong."""
    faults: list[RuntimeFault] = []

    async def stop() -> None:
        try:
            await _stop(worker, grace)
        except RuntimeFault as error:
            faults.append(error)

    async with asyncio.TaskGroup() as group:
        stopping = spawn(group, stop(), name=f"stop {worker.uid}")
        while not stopping.done():
            hurry = spawn(group, worker.hurry.wait(), name=f"hurry {worker.uid}")
            await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if hurry.done() and not stopping.done():
                worker.hurry.clear()
                spawn(group, _hurry(worker), name=f"hurry {worker.uid}")
            hurry.cancel()
    return faults[0] if faults else None


async def _hurry(worker: PodWorker) -> None:
    """Stop the containers with the grace period as it is now, beside the stop that is under way."""
    seconds = max(pods.grace_seconds(worker.pod), MINIMUM_SECONDS)
    for record in worker.records.running():
        with suppress(RuntimeFault):
            await worker.node.runtime.stop_container(record.id, seconds=seconds)


async def _stop(worker: PodWorker, grace: int) -> None:
    ip = worker.ips[0] if worker.ips else ""
    await worker.node.killer.kill_all(worker.pod, worker.records, grace=grace, ip=ip)
    await worker.settle_exits()
    for sandbox in worker.records.sandboxes:
        if sandbox.ready:
            await worker.node.runtime.stop_sandbox(sandbox.id)
            sandbox.ready = False


async def _clean(worker: PodWorker) -> None:
    while True:
        try:
            worker.node.volumes.tear_down(worker.uid)
        except OSError as error:
            _log.warning("Volumes cannot be removed yet", pod=pods.format_pod(worker.pod), error=error)
            await worker.node.clock.sleep(_RETRY_SECONDS)
            continue
        break
    worker.node.cgroups.remove(worker.uid)


async def _delete(worker: PodWorker) -> None:
    while not worker.removed:
        try:
            await worker.node.api.delete_pod(namespace_of(worker.pod), name_of(worker.pod), worker.uid)
        except (NotFound, Conflict):
            return
        except (APIStatusError, OSError, TimeoutError) as error:
            _log.warning("Pod cannot be deleted yet", pod=pods.format_pod(worker.pod), error=error)
            await worker.node.clock.sleep(_RETRY_SECONDS)
            continue
        return


async def _forget(worker: PodWorker) -> None:
    """Remove sandboxes (with them their containers) and logs; what fails is left to the garbage collection."""
    for sandbox in worker.records.sandboxes:
        with suppress(RuntimeFault):
            await worker.node.runtime.stop_sandbox(sandbox.id)
            await worker.node.runtime.remove_sandbox(sandbox.id)
    worker.node.cgroups.remove(worker.uid)
    remove_logs(log_directory(worker.node.options, worker.pod))
