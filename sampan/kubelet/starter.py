"""Starting one container: back-off, image, configuration, creation, start, postStart hook.

Each failure is a `StartError` with the reason of the waiting state that users see, recorded with kubelet's events.
Source: kuberuntime_container.go (startContainer), kuberuntime_manager.go (doBackOff).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.api.object import name_of, uid_of
from sampan.kubelet.backoff import Backoff
from sampan.kubelet.environment import ContainerConfigError
from sampan.kubelet.events import container_reference
from sampan.kubelet.hooks import HookError
from sampan.kubelet.images import StartError
from sampan.kubelet.pods import container_hash, format_pod
from sampan.kubelet.records import ContainerRecord
from sampan.kubelet.runtime import ContainerState, RuntimeFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.kubelet.containerspec import ContainerBuilder
    from sampan.kubelet.environment import Surroundings
    from sampan.kubelet.events import Recorder
    from sampan.kubelet.hooks import HookRunner
    from sampan.kubelet.images import ImageManager
    from sampan.kubelet.records import PodRecords
    from sampan.kubelet.runtime import ContainerRuntime, Image, SandboxSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One container to start.

    records: where its record goes as soon as the runtime has it. created: told the id before the process runs, so that
    its exit cannot be missed. patiently: waits for what may take long, but no longer than the pod lives.
    """

    pod: Object
    container: Object
    records: PodRecords
    sandbox_id: str
    sandbox: SandboxSpec
    around: Surroundings
    created: Callable[[str], None]
    patiently: Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
    started: Callable[[ContainerRecord], None]


class ContainerStarter:
    """Starts containers. Back-off state is shared by all pods of the node."""

    def __init__(
        self,
        runtime: ContainerRuntime,
        images: ImageManager,
        builder: ContainerBuilder,
        hooks: HookRunner,
        *,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._runtime = runtime
        self._images = images
        self._builder = builder
        self._hooks = hooks
        self._recorder = recorder
        self._clock = clock
        self._backoff = Backoff()

    def check_backoff(self, pod: Object, container: Object, last: ContainerRecord | None) -> None:
        """Raise StartError("CrashLoopBackOff") while a container that ended must wait; else count the restart."""
        if last is None or not last.ended:
            return
        key = f"{uid_of(pod)}/{container['name']}/{container_hash(container)}"
        since, now = last.finished_at / 1e9, self._clock.time()
        remaining = self._backoff.remaining(key, since=since, now=now)
        if remaining <= 0:
            self._backoff.next(key, at=since, now=now)
            return
        name = container["name"]
        # Kubelet's event leaves out what would make every occurrence a new event: the delay.
        text = f"Back-off restarting failed container {name} in pod {format_pod(pod)}"
        self._recorder.event(container_reference(pod, name), "Warning", "BackOff", text)
        delay = f"back-off {_delay(self._backoff.delay(key))} restarting failed container={name} pod={format_pod(pod)}"
        raise StartError("CrashLoopBackOff", delay, retry_after=remaining)

    async def image(self, pod: Object, container: Object) -> Image:
        """Fetch the image, with the event of a failure. Raises StartError."""
        try:
            return await self._images.ensure(pod, container)
        except StartError as error:
            reference = container_reference(pod, container["name"])
            self._recorder.event(reference, "Warning", "Failed", f"Error: {error.reason}")
            raise

    async def start(self, work: Start, image: Image) -> ContainerRecord:
        """Create and start a container and run its postStart hook. Raises StartError."""
        record, reference = await self._create(work, image)
        try:
            await self._runtime.start_container(record.id)
        except RuntimeFault as error:
            with suppress(RuntimeFault):
                record.refresh(await self._runtime.container_status(record.id))
            self._recorder.event(reference, "Warning", "Failed", f"Error: {error.message}")
            raise StartError("RunContainerError", error.message) from error
        with suppress(RuntimeFault):
            record.refresh(await self._runtime.container_status(record.id))
        if record.state is ContainerState.CREATED:
            record.state, record.started_at = ContainerState.RUNNING, int(self._clock.time() * 1e9)
        self._recorder.event(reference, "Normal", "Started", "Container started")
        await self._post_start(work, record)
        work.started(record)
        return record

    async def _create(self, work: Start, image: Image) -> tuple[ContainerRecord, Object]:
        pod, container = work.pod, work.container
        reference = container_reference(pod, container["name"])
        last = work.records.latest(container["name"])
        attempt = _restarts(pod, container["name"]) if last is None else last.attempt + 1
        target = container.get("targetContainerName")
        target_record = work.records.latest(target) if target else None
        try:
            spec = await self._builder.build(
                pod,
                container,
                image,
                attempt=attempt,
                around=work.around,
                target_id=target_record.id if target_record else "",
            )
        except (ContainerConfigError, APIStatusError, OSError) as error:
            self._recorder.event(reference, "Warning", "Failed", f"Error: {error}")
            raise StartError("CreateContainerConfigError", str(error)) from error
        try:
            container_id = await self._runtime.create_container(work.sandbox_id, spec, work.sandbox)
        except RuntimeFault as error:
            self._recorder.event(reference, "Warning", "Failed", f"Error: {error.message}")
            raise StartError("CreateContainerError", error.message) from error
        record = ContainerRecord(
            id=container_id,
            sandbox_id=work.sandbox_id,
            name=container["name"],
            attempt=attempt,
            state=ContainerState.CREATED,
            created_at=int(self._clock.time() * 1e9),
            hash=container_hash(container),
            image=image.tags[0] if image.tags else image.id,
            image_ref=image.digests[0] if image.digests else image.id,
            log_path=f"{work.sandbox.log_directory}/{spec.log_path}",
            termination_path=container.get("terminationMessagePath") or "",
            termination_policy=container.get("terminationMessagePolicy") or "File",
        )
        work.records.add(record)
        work.created(container_id)
        self._recorder.event(reference, "Normal", "Created", "Container created")
        return record, reference

    async def _post_start(self, work: Start, record: ContainerRecord) -> None:
        hook = (work.container.get("lifecycle") or {}).get("postStart")
        if not hook:
            return
        ip = work.around.ips[0] if work.around.ips else ""
        try:
            await work.patiently(self._hooks.run(hook, work.container, record.id, ip))
        except HookError as error:
            reference = container_reference(work.pod, record.name)
            self._recorder.event(reference, "Warning", "FailedPostStartHook", "PostStartHook failed")
            self._recorder.event(reference, "Normal", "Killing", "FailedPostStartHook")
            grace = work.pod["spec"].get("terminationGracePeriodSeconds")
            with suppress(RuntimeFault):
                await self._runtime.stop_container(record.id, seconds=30 if grace is None else grace)
            message = f"PostStart handler: {name_of(work.pod)}: {error}"
            raise StartError("PostStartHookError", message) from error


def _restarts(pod: Object, name: str) -> int:
    """Tell the restart count to begin with when the runtime knows nothing of a container: the API may know more."""
    status = pod.get("status") or {}
    for key in ("containerStatuses", "initContainerStatuses"):
        for entry in status.get(key) or ():
            if entry["name"] == name and entry.get("containerID"):
                return int(entry["restartCount"]) + 1
    return 0


def _delay(seconds: float) -> str:
    """Write a delay as Go does: ``10s``, ``1m20s``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
