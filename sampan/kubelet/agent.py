"""`Kubelet`: the node agent, put together.

``await Kubelet(options, client, runtime, clock).run(started)`` serves until cancelled; ``started`` is told the server's
port once the node is registered and its pods are being looked after. Order of the start: server (the Node must tell its
port), Node, what the runtime has (so that running containers are adopted), then the API's pods. Cancelling stops the
agent and no container.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError
from sampan.api.object import uid_of
from sampan.base import tasks
from sampan.base.log import logger
from sampan.base.tasks import STARTED_IGNORED, serve
from sampan.client.informer import InformerFactory
from sampan.client.resources import PODS, SERVICES
from sampan.kubelet import certificates, gc
from sampan.kubelet.cgroups import PodCgroups
from sampan.kubelet.containerspec import ContainerBuilder
from sampan.kubelet.endpointgate import OpenGate
from sampan.kubelet.hooks import HookRunner
from sampan.kubelet.images import ImageManager
from sampan.kubelet.interface import NodeServices
from sampan.kubelet.killer import ContainerKiller
from sampan.kubelet.kubeapi import KubeAPI, TokenManager
from sampan.kubelet.logs.rotation import rotate_all
from sampan.kubelet.nodestatus import NodeStatus, allocatable
from sampan.kubelet.objects import ObjectCache
from sampan.kubelet.podworkers import PodWorkers
from sampan.kubelet.probes.checks import Checker
from sampan.kubelet.runtime import RuntimeEventType, RuntimeFault
from sampan.kubelet.server import KubeletServer
from sampan.kubelet.server.auth import Authenticator
from sampan.kubelet.starter import ContainerStarter
from sampan.kubelet.volumes import VolumeManager
from sampan.kubelet.volumes.imagevolume import ImageMounter
from sampan.kubelet.volumes.localpath import LocalPathKeeper
from sampan.kubelet.volumes.sources import Sources
from sampan.runtime.events import EventBroadcaster

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.client.interface import Stored
    from sampan.kubelet.interface import EndpointGate
    from sampan.kubelet.options import KubeletOptions
    from sampan.kubelet.runtime import ContainerRuntime

_log = logger("kubelet")

_RETRY_SECONDS = 1.0
_RELIST_RETRY_SECONDS = 0.2
_LOG_SECONDS = 10.0
_GC_SECONDS = 60.0
_IMAGE_GC_SECONDS = 300.0
_SECOND_LOOK_SECONDS = 1.0


class _Services:
    """The services of the cluster, for environment variables."""

    def __init__(self, informers: InformerFactory) -> None:
        self._informer = informers.informer(SERVICES)

    def services(self) -> list[Object]:
        return [item.object for item in self._informer.list()]


class Kubelet:
    """A node agent. gate: holds SIGTERM back until endpoints are withdrawn; None: never."""

    def __init__(
        self,
        options: KubeletOptions,
        client: Client,
        runtime: ContainerRuntime,
        clock: Clock,
        *,
        gate: EndpointGate | None = None,
    ) -> None:
        self._options = options
        self._client = client
        self._runtime = runtime
        self._clock = clock
        self._informers = InformerFactory(client, clock=clock)
        self._broadcaster = EventBroadcaster(client, clock=clock)
        self._recorder = self._broadcaster.recorder("kubelet", options.node_name)
        self._tokens = TokenManager(client, clock)
        self._objects = ObjectCache(client, self._informers, self._source_changed)
        self._pods = self._informers.informer(PODS, field_selector=f"spec.nodeName={options.node_name}")
        self._images = ImageManager(runtime, self._objects, self._recorder, clock)
        self._mounter = ImageMounter(self._images, options.runtime_endpoint)
        self._status = NodeStatus(options, client, runtime, self._recorder, clock, port=lambda: self._port)
        self._port = options.kubelet_port
        self._node = self._services(gate or OpenGate())
        self._workers: PodWorkers | None = None
        self._relisted = asyncio.Event()

    def _services(self, gate: EndpointGate) -> NodeServices:
        options, runtime, clock = self._options, self._runtime, self._clock
        api = KubeAPI(self._client)
        available = allocatable(self._status.machine, options)
        sources = Sources(objects=self._objects, tokens=self._tokens, allocatable=available, host_ips=options.node_ips)
        volumes = VolumeManager(options.data_dir, sources, api, clock, images=self._mounter)
        builder = ContainerBuilder(
            options=options, objects=self._objects, volumes=volumes, machine_memory=self._status.machine.memory
        )
        hooks = HookRunner(runtime, clock)
        return NodeServices(
            options=options,
            clock=clock,
            runtime=runtime,
            recorder=self._recorder,
            api=api,
            volumes=volumes,
            cgroups=PodCgroups(options.cgroup_root),
            builder=builder,
            starter=ContainerStarter(runtime, self._images, builder, hooks, recorder=self._recorder, clock=clock),
            killer=ContainerKiller(runtime, hooks, self._recorder, clock),
            checker=Checker(runtime, clock),
            services=_Services(self._informers),
            gate=gate,
            allocatable=available,
        )

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Run the node until cancelled. Raises OSError when the server's port is taken."""
        async with asyncio.TaskGroup() as group:
            workers = self._workers = PodWorkers(self._node, group)
            serve(group, self._broadcaster.run(), name="events")
            authenticator = Authenticator(self._client, self._options.node_name, self._clock)
            server = KubeletServer(self._options, workers, self._runtime, authenticator, self._clock)
            self._port = await tasks.start(group, server.run, name="kubelet server")
            serve(group, self._follow_runtime(workers), name="runtime events")
            await self._register()
            await tasks.start(group, self._informers.run, name="kubelet informers")
            keeper = LocalPathKeeper(self._options.data_dir, self._options.node_name, self._informers)
            serve(group, keeper.run(), name="local volumes")
            serve(group, self._status.run(), name="node status")
            serve(group, self._status.keep_lease(), name="node lease")
            self._keep_certificates(group, server)
            await self._relisted.wait()
            self._pods.add_handler(self._pod_changed)
            await self._remove_orphans(workers)
            serve(group, self._look_after(workers), name="upkeep")
            started(self._port)

    async def _register(self) -> None:
        """Register the node; keep trying, for the API server may be starting as well."""
        while True:
            try:
                await self._status.register()
            except (APIStatusError, OSError, TimeoutError) as error:
                _log.warning("Unable to register node with API server", node=self._options.node_name, error=error)
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            return

    def _keep_certificates(self, group: asyncio.TaskGroup, server: KubeletServer) -> None:
        options = self._options
        wanted = certificates.server_certificate(options.node_name, options.node_ips)
        work = certificates.keep(self._client, wanted, options.pki_dir, self._clock, server.reload_certificate)
        serve(group, work, name="serving certificate")
        client = certificates.client_certificate(options.node_name)
        if certificates.files(options.pki_dir, client)[0].exists():
            # The HTTPS transport reads the files again by itself.
            serve(group, certificates.keep(self._client, client, options.pki_dir, self._clock), name="certificate")

    async def _follow_runtime(self, workers: PodWorkers) -> None:
        async for event in self._runtime.events():
            if event.type is not RuntimeEventType.RELIST:
                workers.handle(event)
                continue
            while not await self._relist(workers):
                await self._clock.sleep(_RELIST_RETRY_SECONDS)
            self._relisted.set()
            workers.wake_all()  # what failed while the runtime was away is tried again at once
        raise tasks.ServiceEndedError("runtime events")

    async def _relist(self, workers: PodWorkers) -> bool:
        try:
            await workers.relist()
        except RuntimeFault as error:
            _log.warning("The runtime cannot be listed", error=error)
            return False
        return True

    def _pod_changed(self, old: Stored | None, new: Stored | None) -> None:
        assert self._workers is not None
        if old is not None and (new is None or uid_of(old.object) != uid_of(new.object)):
            uid = uid_of(old.object)
            self._workers.remove_pod(uid, old.object)
            self._tokens.forget(uid)
        if new is not None:
            self._workers.set_pod(new.object)

    def _source_changed(self, namespace: str) -> None:
        if self._workers is not None:
            self._workers.wake_users(namespace)

    async def _remove_orphans(self, workers: PodWorkers) -> None:
        wanted = {uid_of(item.object) for item in self._pods.list()}
        await workers.remove_orphans(wanted)

    async def _look_after(self, workers: PodWorkers) -> None:
        """The slow safety nets: a relist, log rotation, garbage collection."""
        collector = gc.ImageCollector(self._options, self._runtime, self._images, self._recorder, self._clock)
        # What happened while the event subscription was on its way to the runtime.
        await self._clock.sleep(_SECOND_LOOK_SECONDS)
        await self._relist(workers)
        due = {"relist": self._options.relist_seconds, "gc": _GC_SECONDS, "images": _IMAGE_GC_SECONDS}
        last = dict.fromkeys(due, self._clock.monotonic())
        while True:
            await self._clock.sleep(_LOG_SECONDS)
            records = [record for worker in workers.all() for record in worker.records]
            size, count = self._options.log_max_size, self._options.log_max_files
            await rotate_all(records, self._runtime, self._clock, max_size=size, max_files=count)
            now = self._clock.monotonic()
            for name in [name for name, seconds in due.items() if now - last[name] >= seconds]:
                last[name] = now
                await self._maintain(name, workers, collector)

    async def _maintain(self, name: str, workers: PodWorkers, collector: gc.ImageCollector) -> None:
        try:
            if name == "relist":
                if await self._relist(workers):
                    await self._remove_orphans(workers)
                for item in self._pods.list():
                    workers.ensure(item.object)
            elif name == "gc":
                await gc.collect_containers(workers, self._runtime)
                await self._mounter.clean()
                self._objects.retain([item.object for item in self._pods.list()])
            else:
                await collector.collect(workers, self._status.reference())
        except (RuntimeFault, OSError) as error:
            _log.warning("Upkeep failed", work=name, error=error)
