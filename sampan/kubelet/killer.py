"""Ending containers: the Killing event, the preStop hook, then the runtime's stop with what is left of the grace.

Sidecars end after the regular containers, in reverse order of their start. Source: kuberuntime_container.go
(killContainer, executePreStopHook), kuberuntime_termination_order.go.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.base.clock import deadline
from sampan.base.log import logger
from sampan.base.tasks import spawn
from sampan.kubelet import pods
from sampan.kubelet.events import container_reference
from sampan.kubelet.hooks import HookError
from sampan.kubelet.runtime import ContainerState, RuntimeFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.events import Recorder
    from sampan.kubelet.hooks import HookRunner
    from sampan.kubelet.records import ContainerRecord, PodRecords
    from sampan.kubelet.runtime import ContainerRuntime

_log = logger("kubelet.killer")

MINIMUM_SECONDS = 2
"""Kubelet always leaves a process this long between SIGTERM and SIGKILL, unless told 0."""


class ContainerKiller:
    """Stops containers gracefully."""

    def __init__(self, runtime: ContainerRuntime, hooks: HookRunner, recorder: Recorder, clock: Clock) -> None:
        self._runtime = runtime
        self._hooks = hooks
        self._recorder = recorder
        self._clock = clock

    async def kill(self, pod: Object, record: ContainerRecord, why: str, *, grace: int, ip: str) -> None:
        """Stop one container within grace seconds. Raises RuntimeFault when the runtime cannot."""
        container = pods.find_container(pod, record.name)
        message = why or f"Stopping container {record.name}"
        self._recorder.event(container_reference(pod, record.name), "Normal", "Killing", message)
        left = float(grace)
        hook = ((container or {}).get("lifecycle") or {}).get("preStop")
        if container is not None and hook and grace > 0 and record.running:
            left -= await self._pre_stop(pod, container, record, hook, grace=grace, ip=ip)
        try:
            await self._runtime.stop_container(record.id, seconds=int(max(left, MINIMUM_SECONDS)))
        except RuntimeFault:
            # containerd fails to signal a process that ends at this very moment.
            if (await self._runtime.container_status(record.id)).state is not ContainerState.EXITED:
                raise

    async def _pre_stop(
        self, pod: Object, container: Object, record: ContainerRecord, hook: Object, *, grace: int, ip: str
    ) -> float:
        """Run the preStop hook, at most as long as the grace period; tell how long it took."""
        begin = self._clock.monotonic()
        reference = container_reference(pod, record.name)
        try:
            async with deadline(self._clock, grace):
                await self._hooks.run(hook, container, record.id, ip)
        except TimeoutError:
            _log.info("PreStop hook did not end within the grace period", pod=pods.format_pod(pod), seconds=grace)
        except HookError as error:
            self._recorder.event(reference, "Warning", "FailedPreStopHook", "PreStopHook failed")
            _log.info("PreStop hook failed", pod=pods.format_pod(pod), container=record.name, error=error)
        return self._clock.monotonic() - begin

    async def kill_all(self, pod: Object, records: PodRecords, *, grace: int, ip: str) -> None:
        """Stop every container of a pod within grace seconds in all: regular ones together, then sidecars in reverse.

        Raises RuntimeFault.
        """
        begin = self._clock.monotonic()
        sidecars = [c["name"] for c in pods.init_containers_of(pod) if pods.is_sidecar(c)]
        alive = records.running()
        await self._kill_together(pod, [r for r in alive if r.name not in sidecars], grace=grace, ip=ip)
        for name in reversed(sidecars):
            left = max(0, grace - int(self._clock.monotonic() - begin))
            await self._kill_together(pod, [r for r in alive if r.name == name], grace=left, ip=ip)

    async def _kill_together(self, pod: Object, targets: Sequence[ContainerRecord], *, grace: int, ip: str) -> None:
        failures: list[RuntimeFault] = []

        async def one(record: ContainerRecord) -> None:
            try:
                await self.kill(pod, record, "", grace=grace, ip=ip)
            except RuntimeFault as error:
                failures.append(error)

        async with asyncio.TaskGroup() as group:
            for record in targets:
                spawn(group, one(record), name=f"kill {record.name}")
        if failures:
            raise failures[0]


def grace_for(pod: Object, record: ContainerRecord, probe: str) -> int:
    """Tell a container's grace period when a probe ("livenessProbe", "startupProbe") or a change has it killed."""
    container = pods.find_container(pod, record.name) or {}
    own = (container.get(probe) or {}).get("terminationGracePeriodSeconds") if probe else None
    return int(own) if own is not None else pods.grace_seconds(pod)
