"""Probe workers: one task per container and probe, reporting changes of readiness, liveness and start-up.

A probe's first run comes `initialDelaySeconds` after the container's start, the next ones every `periodSeconds`.
Readiness begins false, liveness true; while a startup probe has not succeeded the other two wait. Source: kubelet's
prober/worker.go.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.base.tasks import spawn
from sampan.kubelet.events import container_reference
from sampan.kubelet.probes.checks import Checker, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.events import Recorder

_KINDS = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}


@dataclass(slots=True)
class _Probed:
    """What probes said of one running container."""

    container: Object
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = True
    failed_liveness: bool = False
    failed_startup: bool = False


class Prober:
    """The probes of one pod's running containers. changed: called after every change of a result."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        checker: Checker,
        recorder: Recorder,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._group = group
        self._checker = checker
        self._recorder = recorder
        self._clock = clock
        self._changed = changed
        self._containers: dict[str, _Probed] = {}

    @property
    def unready(self) -> set[str]:
        return {i for i, probed in self._containers.items() if not probed.ready}

    @property
    def unstarted(self) -> set[str]:
        return {i for i, probed in self._containers.items() if not probed.started.is_set()}

    @property
    def failed_liveness(self) -> set[str]:
        return {i for i, probed in self._containers.items() if probed.failed_liveness}

    @property
    def failed_startup(self) -> set[str]:
        return {i for i, probed in self._containers.items() if probed.failed_startup}

    def add(
        self,
        pod: Object,
        container: Object,
        container_id: str,
        ip: str,
        *,
        started_at: float,
        ready: bool | None = None,
    ) -> None:
        """Begin to probe a running container. started_at: epoch seconds. ready: what was known of an adopted one."""
        if container_id in self._containers or not any(key in container for key in _KINDS.values()):
            return
        probed = self._containers[container_id] = _Probed(container)
        if "readinessProbe" in container:
            probed.ready = bool(ready)
        if "startupProbe" not in container or ready:
            probed.started.set()
        for kind, key in _KINDS.items():
            if key in container and not (kind == "startup" and probed.started.is_set()):
                work = self._work(kind, container[key], probed, (pod, container_id, ip), started_at)
                name = f"probe {kind} {container['name']}"
                probed.tasks.append(spawn(self._group, work, name=name))

    def remove(self, container_id: str) -> None:
        """Stop probing a container. Idempotent."""
        probed = self._containers.pop(container_id, None)
        if probed is not None:
            for task in probed.tasks:
                task.cancel()

    def stop(self, *, keep_readiness: bool = False) -> None:
        """Stop probing; keep_readiness: a terminating pod's readiness is still watched, its liveness is not."""
        for container_id, probed in list(self._containers.items()):
            if not keep_readiness:
                self.remove(container_id)
                continue
            for task in probed.tasks:
                if "readiness" not in task.get_name():
                    task.cancel()

    async def _work(
        self, kind: str, probe: Object, probed: _Probed, subject: tuple[Object, str, str], started_at: float
    ) -> None:
        pod, container_id, ip = subject
        await self._clock.sleep(max(0.0, started_at + (probe.get("initialDelaySeconds") or 0) - self._clock.time()))
        if kind != "startup":
            await probed.started.wait()
        run, last = 0, None
        while True:
            verdict = await self._check_with_retries(probe, probed.container, container_id, ip)
            if verdict.outcome is not Outcome.SUCCESS:
                text = f"{kind.capitalize()} probe {verdict.outcome.value}: {verdict.output}"
                if verdict.outcome is Outcome.ERROR:
                    text = f"{kind.capitalize()} probe errored and resulted in unknown state: {verdict.output}"
                self._recorder.event(container_reference(pod, probed.container["name"]), "Warning", "Unhealthy", text)
            if verdict.outcome is not Outcome.ERROR:
                run = run + 1 if verdict.outcome is last else 1
                last = verdict.outcome
                good = last is Outcome.SUCCESS
                threshold = (probe.get("successThreshold") or 1) if good else (probe.get("failureThreshold") or 3)
                if run >= threshold and self._apply(kind, probed, good=good):
                    return
            await self._clock.sleep(probe.get("periodSeconds") or 10)

    async def _check_with_retries(self, probe: Object, container: Object, container_id: str, ip: str) -> Verdict:
        """Kubelet tries three times when a probe cannot be made at all."""
        for _ in range(3):
            verdict = await self._checker.check(probe, container, container_id, ip)
            if verdict.outcome is not Outcome.ERROR:
                break
        return verdict

    def _apply(self, kind: str, probed: _Probed, *, good: bool) -> bool:
        """Take over a result; True when this probe has said all it can until the container is restarted."""
        if kind == "readiness":
            changed, probed.ready = probed.ready != good, good
            if changed:
                self._changed()
            return False
        if good:
            if kind == "startup":
                probed.started.set()
                self._changed()
                return True
            return False
        if kind == "liveness":
            probed.failed_liveness = True
        else:
            probed.failed_startup = True
        self._changed()
        return True
