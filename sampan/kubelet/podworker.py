"""`PodWorker`: brings one pod to its spec and keeps it there, from its first sync to its end.

One task per pod. Everything that happens (a new spec, a runtime event, a probe's result, time) wakes it; each pass
compares and acts, so that no order of events can hurt. The status is computed anew and sent at once on every change,
also while a pass waits for an image or a hook. Source: kubelet's pod_workers.go, kubelet.go (SyncPod),
kuberuntime_manager.go (SyncPod).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from sampan.api import times
from sampan.api.errors import APIStatusError
from sampan.api.object import uid_of
from sampan.api.pods import qos_class_of
from sampan.base.clock import deadline
from sampan.base.log import logger
from sampan.base.tasks import spawn
from sampan.kubelet import actions, podresize, pods
from sampan.kubelet.containerspec import sandbox_spec
from sampan.kubelet.environment import Surroundings
from sampan.kubelet.events import pod_reference
from sampan.kubelet.images import StartError
from sampan.kubelet.interrupt import StoppingError, or_stop
from sampan.kubelet.killer import grace_for
from sampan.kubelet.podsandbox import KillPodError, create_sandbox, fault_event
from sampan.kubelet.podstatus import StatusView, pod_status
from sampan.kubelet.podtermination import terminate
from sampan.kubelet.probes.prober import Prober
from sampan.kubelet.records import PodRecords
from sampan.kubelet.runtime import RuntimeEventType, RuntimeFault
from sampan.kubelet.services import service_environment
from sampan.kubelet.starter import Start
from sampan.kubelet.statuswriter import StatusWriter
from sampan.kubelet.terminationlog import termination_message
from sampan.kubelet.volumes.errors import VolumeError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from sampan.api.object import Object
    from sampan.kubelet.interface import NodeServices
    from sampan.kubelet.records import ContainerRecord
    from sampan.kubelet.runtime import Image, RuntimeEvent, SandboxSpec

_log = logger("kubelet.pod")
T = TypeVar("T")

_START_RETRY_SECONDS = 5.0
"""After a container could not be configured or created."""

_RETRY_SECONDS, _RETRY_LIMIT_SECONDS = 1.0, 60.0
"""After a runtime, volume or API fault, doubling. What can be known to have changed wakes the worker before that."""


class PodWorker:
    """One pod. adopted: what the runtime already had of it. containers: told container ids as they come to be.

    others: lists the node's other pods that are not over.
    """

    def __init__(
        self,
        pod: Object,
        node: NodeServices,
        *,
        adopted: PodRecords | None = None,
        created: Callable[[str, PodWorker], None] = lambda _id, _worker: None,
        others: Callable[[], Sequence[Object]] = tuple,
    ) -> None:
        self.pod = pod
        self.uid = uid_of(pod)
        self.node = node
        self.records = adopted or PodRecords()
        self.writer = StatusWriter(pod, node.api, node.clock)
        self.failure: tuple[str, str] | None = None
        self.finished = False
        self.removed = False
        """The API has no such pod any more: there is nobody to report to."""
        self.created = created
        self._waiting: dict[str, tuple[str, str]] = {}
        self.resize = podresize.begin(pod)
        self.others = others
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self.hurry = asyncio.Event()  # the grace period became shorter while the pod ends
        self._retry: float | None = None
        self._faults = 0
        self.in_pass = False  # the runtime may have what the records do not have yet
        self._prober: Prober | None = None
        status = pod.get("status") or {}
        self.start_time: str = status.get("startTime") or times.format_time(node.clock.time())
        if pods.is_terminal(pod):
            self.finished = True

    # What happens to the pod

    def update(self, pod: Object) -> None:
        """Take over a newer version of the pod."""
        same = pods.is_same_but_status(self.pod, pod)
        self._take(pod)
        self.writer.observe(pod)
        if pods.is_deleting(pod):
            self._stopping.set()
        if same:
            # Mostly the echo of our own write; of others' conditions only readiness gates matter.
            if pod["spec"].get("readinessGates"):
                self.publish()
            return
        self._wake.set()

    def _take(self, pod: Object) -> None:
        if pods.is_deleting(self.pod) and pods.grace_seconds(pod) < pods.grace_seconds(self.pod):
            self.hurry.set()
        self.pod = pod

    def remove(self, last: Object | None = None) -> None:
        """The pod is gone from the API: end it. last: its last version."""
        if last is not None and pods.is_deleting(last):
            self._take(last)
        self.removed = True
        self.writer.gone = True
        self._stopping.set()
        self._wake.set()

    def handle(self, event: RuntimeEvent) -> None:
        """Take over what happened to a container: the status goes out at once."""
        record = self.records.by_id(event.container_id)
        if event.type is RuntimeEventType.OOM and record is not None:
            record.out_of_memory()
        elif event.type is RuntimeEventType.STARTED:
            if record is not None and not record.started_at:
                record.started_at = event.at  # a process may end before StartContainer has returned
            return
        elif event.type is RuntimeEventType.EXITED:
            for sandbox in self.records.sandboxes:
                if sandbox.id == event.container_id:
                    sandbox.ready = False
            if record is not None:
                self.container_exited(record, event.exit_code, event.at)
        else:
            return
        self.publish()
        self._wake.set()

    def container_exited(self, record: ContainerRecord, exit_code: int, at: int) -> None:
        if record.exited(exit_code=exit_code, at=at):
            self.read_message(record)
            if self._prober is not None:
                self._prober.remove(record.id)

    def read_message(self, record: ContainerRecord) -> None:
        """Fill in the message with which a container ended."""
        if record.ended:
            path = self.node.builder.termination_file(self.pod, record.name, record.attempt)
            record.message = termination_message(record, path) or record.message

    def wake(self) -> None:
        """Have the worker look again."""
        self._wake.set()

    # The worker's life

    async def run(self) -> None:
        """Sync until the pod is gone; returns when nothing of it is left."""
        async with asyncio.TaskGroup() as group:
            writing = spawn(group, self.writer.run(), name=f"status {self.uid}")
            self._prober = Prober(group, self.node.checker, self.node.recorder, self.node.clock, self._probed)
            if pods.is_deleting(self.pod):
                self._stopping.set()
            while not self._stopping.is_set():
                self._wake.clear()
                await self._pass()
                if not self._stopping.is_set():
                    await self._wait_wake(self._retry)
            self._prober.stop(keep_readiness=True)
            await terminate(self)
            self._prober.stop()
            writing.cancel()

    def _probed(self) -> None:
        self.publish()
        self._wake.set()

    async def _wait_wake(self, seconds: float | None) -> None:
        limit = self.node.options.sync_seconds if seconds is None else min(seconds, self.node.options.sync_seconds)
        if self.finished:
            await self._wake.wait()
            return
        with suppress(TimeoutError):
            async with deadline(self.node.clock, max(limit, 0.01)):
                await self._wake.wait()

    async def _pass(self) -> None:
        """Do one pass; faults are told, and tried again."""
        self._retry = self._until_deadline()
        self.in_pass = True
        try:
            if not self.finished:
                await self._sync()
        except StoppingError:
            return
        except (RuntimeFault, VolumeError, APIStatusError, OSError, TimeoutError) as error:
            self.node.recorder.event(pod_reference(self.pod), "Warning", *fault_event(error))
            _log.warning("Pod sync failed", pod=pods.format_pod(self.pod), error=error)
            self.retry_in(min(_RETRY_SECONDS * 2**self._faults, _RETRY_LIMIT_SECONDS))
            self._faults += 1
        else:
            self._faults = 0
        finally:
            self.in_pass = False
        self.publish()

    def retry_in(self, seconds: float) -> None:
        """Have the next pass not later than that."""
        self._retry = seconds if self._retry is None else min(self._retry, seconds)

    async def _or_stop(self, work: Coroutine[Any, Any, T]) -> T:
        return await or_stop(work, self._stopping)

    # One pass

    async def _sync(self) -> None:
        prober = self._prober
        assert prober is not None
        if self.failure is not None:
            self._finish()  # refused by admission: nothing of it was ever started
            return
        if self._until_deadline() == 0.0:
            await self._fail("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            return
        verdicts = actions.ProbeVerdicts(
            unstarted=prober.unstarted,
            failed_liveness=prober.failed_liveness,
            failed_startup=prober.failed_startup,
        )
        todo = actions.compute(self.pod, self.records, verdicts)
        self.publish()
        if todo.kill_pod:
            await self._kill_pod()
            if not todo.create_sandbox:
                self._finish()
                return
        await self._kill_some(todo)
        if todo.create_sandbox:
            await create_sandbox(self, todo.attempt)
        elif self.records.ready_sandbox is not None:
            await self.node.volumes.set_up(self.pod, self.ips)
        self._watch_adopted()
        podresize.allocate(self)
        await podresize.apply_resources(self)
        started = [await self._start(container) for container in todo.start]
        if any(started) or todo.kill or todo.kill_sidecars:
            self._wake.set()  # what follows (the next init container) is the next pass's business

    async def _kill_pod(self) -> None:
        ip = self.ips[0] if self.ips else ""
        try:
            await self.node.killer.kill_all(self.pod, self.records, grace=pods.grace_seconds(self.pod), ip=ip)
            for sandbox in self.records.sandboxes:
                if sandbox.ready:
                    await self.node.runtime.stop_sandbox(sandbox.id)
                    sandbox.ready = False
        except RuntimeFault as error:
            raise KillPodError(error.message, code=error.code) from error
        await self.settle_exits()

    async def _kill_some(self, todo: actions.PodActions) -> None:
        ip = self.ips[0] if self.ips else ""
        for record, why in todo.kill:
            probe = next((p for p in ("livenessProbe", "startupProbe") if p[:5] in why and "probe" in why), "")
            text = why if "unknown" in why or pods.restart_policy(self.pod) == "Never" else f"{why}, will be restarted"
            grace = grace_for(self.pod, record, probe)
            await self.node.killer.kill(self.pod, record, text, grace=grace, ip=ip)
            await self.settle_exits()
        for record in reversed(todo.kill_sidecars):
            await self.node.killer.kill(self.pod, record, "", grace=pods.grace_seconds(self.pod), ip=ip)
        if todo.kill_sidecars:
            await self.settle_exits()

    async def restart(self, record: ContainerRecord, why: str) -> None:
        """Kill a container so that the next pass starts it anew."""
        grace = pods.grace_seconds(self.pod)
        await self.node.killer.kill(self.pod, record, why, grace=grace, ip=self.ips[0] if self.ips else "")
        await self.settle_exits()
        self._wake.set()

    async def settle_exits(self) -> None:
        """Read the state of containers that should be dead; the events may still be on their way."""
        for record in self.records.running():
            with suppress(RuntimeFault):
                status = await self.node.runtime.container_status(record.id)
                if status.state.name == "EXITED":
                    record.reason = status.reason if status.reason == "OOMKilled" else record.reason
                    self.container_exited(record, status.exit_code, status.finished_at)

    async def _start(self, container: Object) -> bool:
        """Start one container; a failure becomes its waiting state and does not stop the others."""
        sandbox = self.records.ready_sandbox
        if sandbox is None or self._stopping.is_set():
            return False
        name = container["name"]
        if name in self.resize.allocated:
            container = {**container, "resources": self.resize.allocated[name]}
        try:
            self.node.starter.check_backoff(self.pod, container, self.records.latest(name))
            image: Image = await self._or_stop(self.node.starter.image(self.pod, container))
            work = Start(
                pod=self.pod,
                container=container,
                records=self.records,
                sandbox_id=sandbox.id,
                sandbox=self.sandbox_spec(sandbox.attempt),
                around=self._surroundings(),
                created=lambda container_id: self.created(container_id, self),
                patiently=self._or_stop,
                started=lambda record: self._started(container, record),
            )
            await self.node.starter.start(work, image)
            self._waiting.pop(name, None)
        except StartError as error:
            self._waiting[name] = (error.reason, error.message)
            self.retry_in(_START_RETRY_SECONDS if error.retry_after is None else error.retry_after)
            self.publish()
            return False
        return True

    def _started(self, container: Object, record: ContainerRecord) -> None:
        self._waiting.pop(container["name"], None)
        self.resize.applied[record.id] = container.get("resources") or {}
        if record.running:
            self._probe(container, record)
        self.publish()

    def _probe(self, container: Object, record: ContainerRecord, *, ready: bool | None = None) -> None:
        ip = self.ips[0] if self.ips else ""
        assert self._prober is not None
        self._prober.add(self.pod, container, record.id, ip, started_at=record.started_at / 1e9, ready=ready)

    def _watch_adopted(self) -> None:
        """Probe running containers that an earlier agent started; what it said of them holds until the first result."""
        known = {s["name"]: s for s in (self.pod.get("status") or {}).get("containerStatuses") or ()}
        for container in pods.all_containers(self.pod):
            record = self.records.latest(container["name"])
            if record is not None and record.running:
                self._probe(container, record, ready=known.get(container["name"], {}).get("ready", False))

    # What the pod is now

    @property
    def ips(self) -> list[str]:
        """The pod's addresses: the sandbox's, or the node's."""
        if self.pod["spec"].get("hostNetwork"):
            return list(self.node.options.node_ips) if self.records.sandboxes else []
        sandbox = self.records.ready_sandbox or self.records.sandbox
        if self.finished and not (sandbox and sandbox.ips):
            # The runtime forgets a dead sandbox's addresses; a pod that has ended keeps showing its own.
            return [entry["ip"] for entry in (self.pod.get("status") or {}).get("podIPs") or ()]
        return list(sandbox.ips) if sandbox else []

    def sandbox_spec(self, attempt: int) -> SandboxSpec:
        parent = self.node.cgroups.parent(self.uid, qos_class_of(self.pod))
        return sandbox_spec(self.pod, attempt, self.node.options, parent)

    def _surroundings(self) -> Surroundings:
        links = self.pod["spec"].get("enableServiceLinks")
        namespace = self.pod["metadata"]["namespace"]
        return Surroundings(
            ips=self.ips,
            host_ips=self.node.options.node_ips,
            allocatable=self.node.allocatable,
            volume_root=lambda name: self.node.volumes.path(self.pod, name),
            services=service_environment(self.node.services.services(), namespace, links=links is not False),
        )

    def status(self) -> Object:
        """Compute the status as it is now."""
        prober = self._prober
        view = StatusView(
            host_ips=self.node.options.node_ips,
            pod_ips=self.ips,
            qos=qos_class_of(self.pod),
            start_time=self.start_time,
            now=self.node.clock.time(),
            unready=prober.unready if prober else (),
            unstarted=prober.unstarted if prober else (),
            waiting=self._waiting,
            failure=self.failure,
            finished=self.finished,
            resize=self.resize,
        )
        return pod_status(self.pod, self.records, view)

    def publish(self) -> None:
        """Have the status written if it changed. A terminal status of an earlier agent is left alone."""
        if self.removed or (self.finished and not self.records.containers and pods.is_terminal(self.pod)):
            return
        self.writer.write(self.status())

    # Ends that the kubelet itself brings about

    def _until_deadline(self) -> float | None:
        seconds = self.pod["spec"].get("activeDeadlineSeconds")
        if seconds is None or self.finished:
            return None
        end: float = times.parse(self.start_time) + float(seconds)
        return max(0.0, end - self.node.clock.time())

    async def _fail(self, reason: str, message: str) -> None:
        self.failure = (reason, message)
        self.node.recorder.event(pod_reference(self.pod), "Normal", reason, message)
        self.publish()
        await self._kill_pod()
        self._finish()

    def _finish(self) -> None:
        """The pod's containers have ended for good; what is left waits to be looked at."""
        self.finished = True
        self.node.cgroups.remove(self.uid)
        self.node.volumes.tear_down(self.uid, keep_messages=True)
