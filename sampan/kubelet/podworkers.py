"""All pod workers of the node: hands pods and runtime events to them, adopts what runs, finds what nobody wants.

Source: kubelet's pod_workers.go and kubelet_pods.go (HandlePodCleanups).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.object import uid_of
from sampan.base.log import logger
from sampan.base.tasks import spawn
from sampan.kubelet import admission, podresize, pods
from sampan.kubelet.events import pod_reference
from sampan.kubelet.logs.removal import remove_logs
from sampan.kubelet.podworker import PodWorker
from sampan.kubelet.records import PodRecords, container_record, sandbox_record
from sampan.kubelet.runtime import ContainerState, RuntimeEventType, RuntimeFault

if TYPE_CHECKING:
    import asyncio

    from sampan.api.object import Object
    from sampan.kubelet.interface import NodeServices
    from sampan.kubelet.runtime import Container, RuntimeEvent, Sandbox

_log = logger("kubelet.workers")

_ORPHAN_GRACE = 2
_EARLY_EVENTS = 256


class PodWorkers:
    """The node's pods. group: owns the workers' tasks."""

    def __init__(self, node: NodeServices, group: asyncio.TaskGroup) -> None:
        self._node = node
        self._group = group
        self._workers: dict[str, PodWorker] = {}
        self._by_container: dict[str, PodWorker] = {}
        self._adoptable: dict[str, PodRecords] = {}
        # An exit may be told before CreateContainer or RunPodSandbox has returned the id that it is about.
        self._early: dict[str, RuntimeEvent] = {}
        self._ended: set[str] = set()

    def all(self) -> list[PodWorker]:
        return list(self._workers.values())

    def __len__(self) -> int:
        return len(self._workers)

    def get(self, uid: str) -> PodWorker | None:
        return self._workers.get(uid)

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """Find a pod's worker by name; of two generations the living one."""
        found = [
            w
            for w in self._workers.values()
            if w.pod["metadata"]["name"] == name and w.pod["metadata"]["namespace"] == namespace
        ]
        return next((w for w in found if not pods.is_deleting(w.pod)), found[0] if found else None)

    # From the API

    def set_pod(self, pod: Object) -> None:
        """A pod of this node is new or changed."""
        uid = uid_of(pod)
        worker = self._workers.get(uid)
        if worker is not None:
            worker.update(pod)
            return
        if uid in self._ended:
            return  # our own last words about a pod whose deletion is on its way
        adopted = self._adoptable.pop(uid, None)
        worker = self._workers[uid] = PodWorker(
            pod, self._node, adopted=adopted, created=self._created, others=lambda: self._others(uid)
        )
        if adopted is not None:
            for sandbox in adopted.sandboxes:
                self._by_container[sandbox.id] = worker
            for record in adopted:
                self._by_container[record.id] = worker
                worker.read_message(record)
        elif not pods.is_deleting(pod) and not pods.is_terminal(pod) and not pods.was_started(pod):
            self._admit(worker)
        spawn(self._group, self._run(worker), name=f"pod {pods.format_pod(pod)}")

    def _admit(self, worker: PodWorker) -> None:
        """Refuse a new pod that the node has no room for: one that came past the scheduler."""
        refusal = admission.refuse(worker.pod, self._others(worker.uid), self._node.allocatable)
        if refusal is not None:
            reason, message = refusal
            self._node.recorder.event(pod_reference(worker.pod), "Warning", reason, message)
            worker.failure = (reason, f"Pod was rejected: {message}")

    def _others(self, uid: str) -> list[Object]:
        return [podresize.allocated(w.pod, w.resize) for w in self._workers.values() if w.uid != uid and not w.finished]

    def ensure(self, pod: Object) -> None:
        """Start a worker for a pod that has none: one that failed is tried again."""
        if uid_of(pod) not in self._workers:
            self._ended.discard(uid_of(pod))
            self.set_pod(pod)

    def remove_pod(self, uid: str, last: Object | None = None) -> None:
        """A pod is gone from the API. last: its last version, which tells how long its processes may still take."""
        self._ended.discard(uid)
        worker = self._workers.get(uid)
        if worker is not None:
            worker.remove(last)

    async def _run(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:  # noqa: BLE001 - a worker's edge: one pod's fault must not end the others
            _log.exception("Pod worker failed", pod=pods.format_pod(worker.pod))
        finally:
            # A pod that failed here is picked up again by `ensure`.
            self._workers.pop(worker.uid, None)
            if not worker.removed:
                self._ended.add(worker.uid)
            for container_id in [i for i, w in self._by_container.items() if w is worker]:
                del self._by_container[container_id]

    def _created(self, container_id: str, worker: PodWorker) -> None:
        self._by_container[container_id] = worker
        event = self._early.pop(container_id, None)
        if event is not None:
            worker.handle(event)

    # From the runtime

    def handle(self, event: RuntimeEvent) -> None:
        """Pass on an event about a container or sandbox."""
        worker = self._by_container.get(event.container_id)
        if worker is not None:
            worker.handle(event)
        elif event.type is RuntimeEventType.EXITED:
            self._early[event.container_id] = event
            while len(self._early) > _EARLY_EVENTS:
                del self._early[next(iter(self._early))]

    def wake_users(self, namespace: str) -> None:
        """A configMap or secret of the namespace changed: its pods look at their volumes."""
        for worker in self._workers.values():
            if worker.pod["metadata"]["namespace"] == namespace and not pods.is_terminal(worker.pod):
                worker.wake()

    def wake_all(self) -> None:
        """Have every worker look again."""
        for worker in self._workers.values():
            worker.wake()

    async def relist(self) -> None:
        """Read everything from the runtime and correct the records. Raises RuntimeFault."""
        sandboxes = await self._node.runtime.list_sandboxes()
        containers = await self._node.runtime.list_containers()
        found: dict[str, PodRecords] = {}
        for sandbox in sandboxes:
            uid = sandbox.labels.get(pods.POD_UID, sandbox.uid)
            worker = self._workers.get(uid)
            if worker is not None:
                await self._correct(worker, sandbox)
                continue
            ips = await self._ips(sandbox.id) if sandbox.ready else ()
            found.setdefault(uid, PodRecords()).sandboxes.append(sandbox_record(sandbox, ips))
        for container in containers:
            await self._take_over(container, found)
        for records in found.values():
            records.sort()
        self._adoptable = found

    async def _correct(self, worker: PodWorker, sandbox: Sandbox) -> None:
        """Bring a living worker's record of a sandbox up to date."""
        known = next((s for s in worker.records.sandboxes if s.id == sandbox.id), None)
        if known is not None:
            if known.ready and not sandbox.ready:
                known.ready = False
                worker.wake()
        elif not worker.in_pass:
            # Made by a call whose answer was lost. Its name is taken, so the pod has to know of it.
            ips = await self._ips(sandbox.id) if sandbox.ready else ()
            worker.records.sandboxes.append(sandbox_record(sandbox, ips))
            worker.records.sort()
            self._created(sandbox.id, worker)
            worker.wake()

    async def _ips(self, sandbox_id: str) -> list[str]:
        try:
            return list(await self._node.runtime.sandbox_ips(sandbox_id))
        except RuntimeFault:
            return []

    async def _take_over(self, container: Container, found: dict[str, PodRecords]) -> None:
        uid = container.labels.get(pods.POD_UID, "")
        worker = self._workers.get(uid)
        try:
            if worker is None:
                status = await self._node.runtime.container_status(container.id)
                found.setdefault(uid, PodRecords()).add(container_record(status, container.sandbox_id))
                return
            record = worker.records.by_id(container.id)
            if record is None and not worker.in_pass:
                status = await self._node.runtime.container_status(container.id)
                worker.records.add(container_record(status, container.sandbox_id))
                worker.records.sort()
                self._created(container.id, worker)
                worker.wake()
            elif record is not None and record.running and container.state is ContainerState.EXITED:
                status = await self._node.runtime.container_status(container.id)
                worker.container_exited(record, status.exit_code, status.finished_at)
                worker.publish()
                worker.wake()
        except RuntimeFault as error:
            _log.warning("Container cannot be read", container=container.id, error=error)

    async def remove_orphans(self, wanted: set[str]) -> None:
        """End pods that the runtime has and the API does not: those left over from before a restart.

        wanted: uids of all pods of this node. Needs a fresh relist.
        """
        for uid in [uid for uid in self._adoptable if uid not in wanted and uid not in self._workers]:
            await self._end_orphan(uid, self._adoptable.pop(uid))
        for uid in {*self._node.volumes.leftovers(), *self._node.cgroups.pods()} - wanted - set(self._workers):
            try:
                self._node.volumes.tear_down(uid)
            except OSError as error:
                _log.warning("Orphaned volumes cannot be removed", uid=uid, error=error)
            self._node.cgroups.remove(uid)
        logs = self._node.options.log_dir
        for directory in logs.iterdir() if logs.is_dir() else ():
            uid = directory.name.rpartition("_")[2]
            if uid not in wanted and uid not in self._workers:
                remove_logs(directory)

    async def _end_orphan(self, uid: str, records: PodRecords) -> None:
        _log.info("Removing a pod that the API does not have", uid=uid)
        try:
            for record in records.running():
                await self._node.runtime.stop_container(record.id, seconds=_ORPHAN_GRACE)
            for sandbox in records.sandboxes:
                await self._node.runtime.stop_sandbox(sandbox.id)
                await self._node.runtime.remove_sandbox(sandbox.id)
        except RuntimeFault as error:
            _log.warning("Orphaned pod cannot be removed yet", uid=uid, error=error)
