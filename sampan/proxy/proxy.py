"""The node's service proxy: keeps the kernel's nftables table equal to what Services and EndpointSlices say.

Events mark services; one loop renders the marked ones and applies the difference as one transaction. While a
transaction runs, further events collect for the next one. When the kernel refuses a transaction, its table is not what
we think it is (somebody flushed it), and it is rebuilt as a whole; an idle proxy looks every half minute whether it is
still there.

Promises: connections go only to endpoints that were ready at the last event; an unchanged service's rules and session
affinities stay untouched. The rules outlive the proxy, so that its restart interrupts nothing; `cleanup` removes them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.base.log import logger
from sampan.base.tasks import STARTED_IGNORED, serve, start
from sampan.client.informer import InformerFactory
from sampan.client.resources import ENDPOINTSLICES, NODES, PODS, SERVICES
from sampan.proxy import leftovers, nft
from sampan.proxy.announce import Announcer
from sampan.proxy.conntrack import Flows, forget_stale
from sampan.proxy.endpoints import Place
from sampan.proxy.healthcheck import HealthChecks
from sampan.proxy.hostport import render_host_ports
from sampan.proxy.ruleset import Ruleset
from sampan.proxy.serviceport import BY_SERVICE, SERVICE_NAME_LABEL, health_check_node_port
from sampan.proxy.servicerules import RenderedService, ServiceRenderer

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.client import Client
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored
    from sampan.proxy.options import NetworkOptions

log = logger("proxy")

ZONE_LABEL = "topology.kubernetes.io/zone"

_CHECK_SECONDS = 30.0
_RETRY_SECONDS = 1.0
_POD_PREFIX = "pod:"
"""Of the keys of pods with host ports; no namespace holds a colon."""


class Proxy:
    """The service proxy of one node."""

    def __init__(
        self, options: NetworkOptions, client: Client, clock: Clock, *, informers: InformerFactory | None = None
    ) -> None:
        """informers: a running factory to share caches with; without one the proxy runs its own."""
        self._options = options
        self._clock = clock
        self._own_informers = None if informers else InformerFactory(client, clock=clock)
        factory = informers or self._own_informers
        assert factory is not None
        self._services: SharedInformer = factory.informer(SERVICES)
        self._slices: SharedInformer = factory.informer(ENDPOINTSLICES)
        self._nodes: SharedInformer = factory.informer(NODES)
        own_pods = f"spec.nodeName={options.node_name}"
        self._pods: SharedInformer = factory.informer(PODS, field_selector=own_pods)
        self._slices.add_index(BY_SERVICE, _service_of_slice)
        self._rulesets = [Ruleset(options, family) for family in options.families]
        self._place = Place(options.node_name)
        self._health_checks = HealthChecks()
        self._announcer = Announcer(options, self._services, self._slices, self._nodes)
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._rendered: dict[str, RenderedService] = {}
        self._intact = False

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Keep the rules until cancelled; started is called when the first complete table is in the kernel."""
        async with asyncio.TaskGroup() as group:
            if self._own_informers is not None:
                await start(group, self._own_informers.run, name="proxy informers")
            handlers = (
                (self._services, self._service_changed),
                (self._slices, self._slice_changed),
                (self._nodes, self._node_changed),
                (self._pods, self._pod_changed),
            )
            for informer, _ in handlers:
                await informer.wait_synced()
            for informer, handler in handlers:
                informer.add_handler(handler)
            try:
                serve(group, self._announcer.run(), name="load balancer announcer")
                serve(group, self._watch_table(), name="proxy table check")
                await self._sync_until_applied()
                started()
                while True:
                    await self._wake.wait()
                    await self._sync_until_applied()
            finally:
                for informer, handler in handlers:
                    informer.remove_handler(handler)
                self._health_checks.close()

    def _service_changed(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        self._mark(f"{item.namespace}/{item.name}")

    def _slice_changed(self, old: Stored | None, new: Stored | None) -> None:
        for item in (old, new):
            if item is not None:
                for key in _service_of_slice(item):
                    self._mark(key)

    def _node_changed(self, _old: Stored | None, new: Stored | None) -> None:
        if new is None or new.name != self._options.node_name:
            return
        place = Place(self._options.node_name, new.labels.get(ZONE_LABEL, ""))
        if place != self._place:
            self._place = place
            for item in self._services.list():
                self._mark(f"{item.namespace}/{item.name}")

    def _pod_changed(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        key = f"{_POD_PREFIX}{item.namespace}/{item.name}"
        if key in self._rendered or (new is not None and _has_host_ports(new.object)):
            self._mark(key)

    def _mark(self, key: str) -> None:
        self._dirty.add(key)
        self._wake.set()

    async def _watch_table(self) -> None:
        while True:
            await self._clock.sleep(_CHECK_SECONDS)
            for ruleset in self._rulesets:
                try:
                    if self._intact:
                        await nft.apply(ruleset.probe())
                except (nft.NftError, OSError):
                    log.warning("The service table is gone; making it anew", table=ruleset.table)
                    self._intact = False
                    self._wake.set()

    async def _sync_until_applied(self) -> None:
        while True:
            try:
                await self._sync()
            except (nft.NftError, OSError) as error:
                log.warning("Service rules not applied", error=error, table=self._options.table)
                if not self._intact:  # rebuilding failed as well: wait for the cause to go
                    await self._clock.sleep(_RETRY_SECONDS)
                self._intact = False
            else:
                return

    async def _sync(self) -> None:
        self._wake.clear()
        keys, self._dirty = self._dirty, set()
        renderer = ServiceRenderer(self._options, self._place)
        before = {key: self._rendered.get(key) for key in keys}
        for key in keys:
            try:
                self._render(renderer, key)
            except Exception:  # a worker's edge: one strange object must not freeze the rules of all others
                log.exception("Service not rendered; its rules stay as they were", service=key)
        try:
            text = "".join(one.transaction() if self._intact else one.rebuild() for one in self._rulesets)
            if text:
                await nft.apply(text)
        except BaseException:
            # What these services were before still says which flows may be stale.
            for key, rendered in before.items():
                if rendered is not None:
                    self._rendered[key] = rendered
            self._dirty |= keys
            raise
        for ruleset in self._rulesets:
            ruleset.applied()
        self._intact = True
        await self._after(keys, before)

    def _render(self, renderer: ServiceRenderer, key: str) -> None:
        if key.startswith(_POD_PREFIX):
            pod = self._pods.get_by_key(key.removeprefix(_POD_PREFIX))
            families = self._options.families
            self._set(key, render_host_ports(pod.object, families) if pod is not None else None)
            return
        item = self._services.get_by_key(key)
        slices = [one.object for one in self._slices.by_index(BY_SERVICE, key)] if item is not None else []
        self._set(key, renderer.render(item.object, slices) if item is not None else None)

    def _set(self, key: str, rendered: RenderedService | None) -> None:
        for ruleset in self._rulesets:
            ruleset.set_service(key, rendered.fragments.get(ruleset.family) if rendered is not None else None)
        if rendered is None:
            self._rendered.pop(key, None)
        else:
            self._rendered[key] = rendered

    async def _after(self, keys: set[str], before: dict[str, RenderedService | None]) -> None:
        """What follows once new rules are in force: stale UDP flows and health checks."""
        for ruleset in self._rulesets:
            flows = Flows()
            for key in keys:
                _changed_flows(before[key], self._rendered.get(key), ruleset, flows)
            if flows:
                await forget_stale(ruleset.family, flows)
        for key in keys:
            if key.startswith(_POD_PREFIX):
                continue
            namespace, _, name = key.partition("/")
            item = self._services.get_by_key(key)
            port = health_check_node_port(item.object) if item is not None else 0
            rendered = self._rendered.get(key)
            await self._health_checks.set(namespace, name, port, rendered.local_endpoints if rendered else 0)


def _changed_flows(old: RenderedService | None, new: RenderedService | None, ruleset: Ruleset, flows: Flows) -> None:
    was = old.udp.get(ruleset.family) if old is not None else None
    now = new.udp.get(ruleset.family) if new is not None else None
    for address in {*(was.addresses if was else ()), *(now.addresses if now else ())}:
        allowed = now.addresses.get(address, frozenset()) if now else frozenset()
        if was is None or was.addresses.get(address) != allowed:
            flows.addresses[address] = allowed
    for port in {*(was.node_ports if was else ()), *(now.node_ports if now else ())}:
        allowed = now.node_ports.get(port, frozenset()) if now else frozenset()
        if was is None or was.node_ports.get(port) != allowed:
            flows.node_ports[port] = allowed


def _has_host_ports(pod: Object) -> bool:
    return any(
        port.get("hostPort")
        for group in ("initContainers", "containers")
        for container in pod["spec"].get(group) or ()
        for port in container.get("ports") or ()
    )


def _service_of_slice(item: Stored) -> tuple[str, ...]:
    name = item.labels.get(SERVICE_NAME_LABEL)
    return (f"{item.namespace}/{name}",) if name else ()


async def cleanup(options: NetworkOptions) -> None:
    """Remove the service tables of a node; none being there is no error. Needs nothing but nft."""
    await leftovers.remove_service_tables(options.table)
