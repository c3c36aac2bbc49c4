"""A container runtime and an API in memory: what the kubelet's unit tests run against."""

from __future__ import annotations

import asyncio
import copy
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sampan.api.errors import NotFound
from sampan.base.clock import FakeClock
from sampan.kubelet import runtime as rt
from sampan.kubelet.cgroups import PodCgroups
from sampan.kubelet.containerspec import ContainerBuilder
from sampan.kubelet.endpointgate import OpenGate
from sampan.kubelet.hooks import HookRunner
from sampan.kubelet.images import ImageManager
from sampan.kubelet.interface import NodeServices
from sampan.kubelet.killer import ContainerKiller
from sampan.kubelet.options import KubeletOptions
from sampan.kubelet.podworkers import PodWorkers
from sampan.kubelet.probes.checks import Checker
from sampan.kubelet.starter import ContainerStarter
from sampan.kubelet.volumes import VolumeManager
from sampan.kubelet.volumes.sources import Sources

if TYPE_CHECKING:
    from pathlib import Path


def make_pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": "example/app:1",
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
    }
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "1",
            "labels": {"app": name},
        },
        "spec": {
            "containers": [container],
            "restartPolicy": "Always",
            "nodeName": "n1",
            "terminationGracePeriodSeconds": 30,
            **spec,
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }


@dataclass
class FakeContainer:
    spec: rt.ContainerSpec
    sandbox_id: str
    state: rt.ContainerState = rt.ContainerState.CREATED
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0


@dataclass
class FakeSandbox:
    spec: rt.SandboxSpec
    ready: bool = True
    ip: str = ""


@dataclass
class FakeRuntime:
    """Containers that run until `exit` is called or they are stopped. calls: what was asked, in order."""

    clock: FakeClock
    images: dict[str, rt.Image] = field(default_factory=dict)
    sandboxes: dict[str, FakeSandbox] = field(default_factory=dict)
    containers: dict[str, FakeContainer] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    pull_error: rt.RuntimeFault | None = None
    exec_results: list[tuple[bytes, bytes, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self.queue: asyncio.Queue[rt.RuntimeEvent] = asyncio.Queue()
        self.queue.put_nowait(rt.RuntimeEvent(type=rt.RuntimeEventType.RELIST))
        self.add_image("example/app:1")

    def add_image(self, name: str) -> None:
        self.images[name] = rt.Image(id=f"sha256:{name}", tags=[name], digests=[f"{name}@sha256:1"], size=10)

    def _now(self) -> int:
        return int(self.clock.time() * 1e9)

    def exit(self, container_id: str, code: int) -> None:
        found = self.containers[container_id]
        found.state, found.exit_code, found.finished_at = rt.ContainerState.EXITED, code, self._now()
        event = rt.RuntimeEvent(
            type=rt.RuntimeEventType.EXITED, container_id=container_id, exit_code=code, at=self._now()
        )
        self.queue.put_nowait(event)

    def newest(self, name: str) -> str:
        return [i for i, c in self.containers.items() if c.spec.name == name][-1]

    async def version(self) -> rt.RuntimeVersion:
        return rt.RuntimeVersion(name="containerd", version="1.6.20")

    async def conditions(self) -> dict[str, tuple[bool, str, str]]:
        return {"RuntimeReady": (True, "", ""), "NetworkReady": (True, "", "")}

    async def run_sandbox(self, spec: rt.SandboxSpec) -> str:
        sandbox_id = f"s{next(self._ids)}"
        self.calls.append(("run_sandbox", spec.name))
        self.sandboxes[sandbox_id] = FakeSandbox(spec, ip=f"10.0.0.{len(self.sandboxes) + 1}")
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        self.calls.append(("stop_sandbox", sandbox_id))
        if sandbox_id in self.sandboxes:
            self.sandboxes[sandbox_id].ready = False

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self.calls.append(("remove_sandbox", sandbox_id))
        self.sandboxes.pop(sandbox_id, None)
        for container_id in [i for i, c in self.containers.items() if c.sandbox_id == sandbox_id]:
            del self.containers[container_id]

    async def sandbox_ips(self, sandbox_id: str) -> list[str]:
        return [self.sandboxes[sandbox_id].ip]

    async def list_sandboxes(self) -> list[rt.Sandbox]:
        return [
            rt.Sandbox(
                id=i, name=s.spec.name, namespace=s.spec.namespace, uid=s.spec.uid, attempt=s.spec.attempt,
                ready=s.ready, created_at=1, labels=s.spec.labels, annotations=s.spec.annotations,
            )
            for i, s in self.sandboxes.items()
        ]  # fmt: skip

    async def create_container(self, sandbox_id: str, spec: rt.ContainerSpec, sandbox: rt.SandboxSpec) -> str:
        container_id = f"c{next(self._ids)}"
        self.calls.append(("create", spec.name, spec.attempt))
        self.containers[container_id] = FakeContainer(spec, sandbox_id)
        return container_id

    async def start_container(self, container_id: str) -> None:
        found = self.containers[container_id]
        self.calls.append(("start", found.spec.name))
        found.state, found.started_at = rt.ContainerState.RUNNING, self._now()

    async def stop_container(self, container_id: str, *, seconds: int) -> None:
        found = self.containers.get(container_id)
        if found is None:
            return
        self.calls.append(("stop", found.spec.name, seconds))
        if found.state is rt.ContainerState.RUNNING:
            self.exit(container_id, 143)

    async def remove_container(self, container_id: str) -> None:
        self.calls.append(("remove", container_id))
        self.containers.pop(container_id, None)

    async def list_containers(self) -> list[rt.Container]:
        return [
            rt.Container(
                id=i, sandbox_id=c.sandbox_id, name=c.spec.name, attempt=c.spec.attempt, state=c.state, created_at=1,
                image=c.spec.image, labels=c.spec.labels, annotations=c.spec.annotations,
            )
            for i, c in self.containers.items()
        ]  # fmt: skip

    async def container_status(self, container_id: str) -> rt.ContainerStatus:
        if container_id not in self.containers:
            raise rt.RuntimeNotFound("no such container", code="NotFound")
        c = self.containers[container_id]
        return rt.ContainerStatus(
            id=container_id, name=c.spec.name, attempt=c.spec.attempt, state=c.state, created_at=1,
            started_at=c.started_at, finished_at=c.finished_at, exit_code=c.exit_code, image=c.spec.user_image,
            image_ref=c.spec.image, reason="", message="", labels=c.spec.labels, annotations=c.spec.annotations,
            log_path="",
        )  # fmt: skip

    async def update_resources(self, container_id: str, resources: rt.LinuxResources) -> None:
        self.calls.append(("update", container_id, resources.memory_limit))

    async def reopen_log(self, container_id: str) -> None:
        self.calls.append(("reopen", container_id))

    async def exec_sync(self, container_id: str, command: Any, *, seconds: int) -> tuple[bytes, bytes, int]:
        self.calls.append(("exec", container_id, tuple(command)))
        return self.exec_results.pop(0) if self.exec_results else (b"", b"", 0)

    async def image_status(self, image: str) -> rt.Image | None:
        return self.images.get(image)

    async def stats(self) -> list[rt.ContainerStats]:
        return [
            rt.ContainerStats(
                id=i, timestamp=self._now(), cpu=2_000_000_000, working_set=1000, usage=2000, rss=500, page_faults=0,
                major_page_faults=0, filesystem_used=0, inodes_used=0,
            )
            for i in self.containers
        ]  # fmt: skip

    async def list_images(self) -> list[rt.Image]:
        return list(self.images.values())

    async def pull_image(self, image: str, auth: rt.RegistryAuth | None) -> str:
        self.calls.append(("pull", image, auth.username if auth else None))
        if self.pull_error is not None:
            raise self.pull_error
        self.add_image(image)
        return image

    async def remove_image(self, image: str) -> None:
        self.calls.append(("remove_image", image))

    async def events(self) -> Any:
        while True:
            yield await self.queue.get()


class FakeRecorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def event(self, obj: Any, type_: str, reason: str, message: str) -> None:
        self.events.append((type_, reason, message))

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.events]


class FakeObjects:
    """ConfigMaps, secrets, claims, tokens and services."""

    def __init__(self) -> None:
        self.config_maps: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.claims: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}

    async def config_map(self, namespace: str, name: str) -> dict[str, Any]:
        return self._get(self.config_maps, "configmap", name)

    async def secret(self, namespace: str, name: str) -> dict[str, Any]:
        return self._get(self.secrets, "secret", name)

    async def claim(self, namespace: str, name: str) -> dict[str, Any]:
        return self._get(self.claims, "persistentvolumeclaims", name)

    async def persistent_volume(self, name: str) -> dict[str, Any]:
        return self._get(self.volumes, "persistentvolumes", name)

    async def token(self, pod: Any, audience: str, seconds: int) -> str:
        return f"token-{audience}"

    def services(self) -> list[Any]:
        return []

    @staticmethod
    def _get(objects: dict[str, dict[str, Any]], resource: str, name: str) -> dict[str, Any]:
        if name not in objects:
            raise NotFound(f'{resource} "{name}" not found')
        return objects[name]


class FakeAPI:
    """Takes status patches as the server would, without a schema. log: phases and readiness as they were written."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.version = 1

    async def patch_pod_status(self, namespace: str, name: str, patch: Any) -> Any:
        pod = self.pods[name]
        status = pod["status"]
        for key, value in patch["status"].items():
            if key == "conditions":
                merged = {c["type"]: c for c in status.get("conditions", ())}
                for condition in value:
                    merged[condition["type"]] = {k: v for k, v in condition.items() if v is not None}
                status["conditions"] = list(merged.values())
            elif key.startswith("$"):
                continue
            elif value is None:
                status.pop(key, None)
            else:
                status[key] = [v for v in value if "$patch" not in v] if isinstance(value, list) else value
        self.version += 1
        pod["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(pod)

    async def runtime_handler(self, runtime_class: str) -> str:
        if runtime_class != "known":
            raise NotFound(runtime_class)
        return "handler"

    async def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        self.deleted.append(name)

    def condition(self, name: str, kind: str) -> str:
        return next((c["status"] for c in self.pods[name]["status"].get("conditions", ()) if c["type"] == kind), "")

    def container(self, name: str) -> dict[str, Any]:
        return self.pods[name]["status"]["containerStatuses"][0]


class FakeNode:
    """A node's pod workers over the fakes."""

    def __init__(self, path: Path, group: asyncio.TaskGroup) -> None:
        self.clock = FakeClock()
        self.runtime = FakeRuntime(self.clock)
        self.api = FakeAPI()
        self.recorder = FakeRecorder()
        self.objects = FakeObjects()
        self.group = group
        options = KubeletOptions(node_name="n1", node_ips=["192.0.2.1"], data_dir=path, runtime_endpoint="")
        sources = Sources(objects=self.objects, tokens=self.objects, allocatable={}, host_ips=options.node_ips)
        volumes = VolumeManager(path, sources, self.objects, self.clock)
        builder = ContainerBuilder(options=options, objects=self.objects, volumes=volumes, machine_memory=8 << 30)
        hooks = HookRunner(self.runtime, self.clock)
        images = ImageManager(self.runtime, self.objects, self.recorder, self.clock)
        (path / "cgroup").mkdir()
        self.services = NodeServices(
            options=options, clock=self.clock, runtime=self.runtime, recorder=self.recorder, api=self.api,
            volumes=volumes, cgroups=PodCgroups("/t", path / "cgroup"), builder=builder,
            starter=ContainerStarter(
                self.runtime, images, builder, hooks, recorder=self.recorder, clock=self.clock
            ),
            killer=ContainerKiller(self.runtime, hooks, self.recorder, self.clock),
            checker=Checker(self.runtime, self.clock), services=self.objects, gate=OpenGate(),
            allocatable={"cpu": "2", "memory": "4Gi", "pods": "110"},
        )  # fmt: skip
        self.workers = PodWorkers(self.services, group)
        self.events = group.create_task(self._follow())

    async def _follow(self) -> None:
        async for event in self.runtime.events():
            if event.type is rt.RuntimeEventType.RELIST:
                await self.workers.relist()
            else:
                self.workers.handle(event)

    async def post(self, pod: dict[str, Any]) -> None:
        """Create a pod and let it come up as far as it does without time passing."""
        await self.settle()
        self.api.pods[pod["metadata"]["name"]] = copy.deepcopy(pod)
        self.workers.set_pod(copy.deepcopy(pod))
        await self.settle()

    async def delete(self, name: str, *, grace: int = 30) -> None:
        pod = copy.deepcopy(self.api.pods[name])
        pod["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
        self.workers.set_pod(pod)
        await self.settle()

    async def settle(self) -> None:
        await self.clock.advance(0, turns=120)

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds, turns=120)

    async def close(self) -> None:
        for worker in self.workers.all():
            worker.remove()
        await self.advance(60)
        self.events.cancel()
