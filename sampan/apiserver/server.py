"""The API server: assembly, start, stop.

`APIServer` runs in any process: ``async with APIServer(options, clock) as server`` gives a ready server with `url`,
`ca` and credentials; the command line runs the same. It needs no controllers.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sampan.apiserver import bootstrap
from sampan.apiserver.admission.chain import AdmissionChain
from sampan.apiserver.admission.interface import AdmissionServices
from sampan.apiserver.admission.plugins import build as build_plugins
from sampan.apiserver.aggregation.aggregator import Aggregator
from sampan.apiserver.apiextensions.controller import CustomResources
from sampan.apiserver.authn.authenticator import Authenticator
from sampan.apiserver.authn.bootstraptokens import BootstrapTokens
from sampan.apiserver.authn.serviceaccounts import ServiceAccountTokens
from sampan.apiserver.authn.statictokens import StaticTokens
from sampan.apiserver.authz.node import NodeAuthorizer
from sampan.apiserver.authz.rbac import GROUP as RBAC_GROUP
from sampan.apiserver.authz.rbac import RBACAuthorizer
from sampan.apiserver.authz.rules import allows_path, allows_resource
from sampan.apiserver.authz.union import UnionAuthorizer
from sampan.apiserver.credentials import Credentials
from sampan.apiserver.discovery import Discovery
from sampan.apiserver.features import FEATURES
from sampan.apiserver.flowschemas import DanglingFlowSchemas
from sampan.apiserver.handlers.table import handlers_of
from sampan.apiserver.http.hub import Hub
from sampan.apiserver.metrics import Metrics
from sampan.apiserver.nonresource import NonResource
from sampan.apiserver.openapi import OpenAPI
from sampan.apiserver.outbound import Outbound
from sampan.apiserver.pipeline import HTTPService, Pipeline
from sampan.apiserver.registry.resources import Resources
from sampan.apiserver.registry.strategy import Environment
from sampan.apiserver.routes import Router
from sampan.apiserver.serviceaddresses import ServiceAddresses
from sampan.apiserver.storage.memory import MemoryBackend
from sampan.apiserver.storage.resourcestore import Selection
from sampan.apiserver.storage.store import Store
from sampan.base import tasks
from sampan.base.errors import SampanError
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from sampan.apiserver.audit.log import AuditOptions
    from sampan.apiserver.authz.interface import Attributes
    from sampan.apiserver.http.connection import Service
    from sampan.apiserver.http.upgrade import Connector
    from sampan.apiserver.storage.interface import Backend
    from sampan.apiserver.storage.resourcestore import Batch, ResourceStore
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started

log = logger("apiserver")

DRAIN_SECONDS = 1.0
"""How long requests under way may take to end when the server stops; it must be gone within two seconds."""
_LAG_PERIOD = 1.0
_COLLECT_AFTER = 50_000
"""Container allocations between collections: requests make thousands of dictionaries and no cycles."""


class ListenError(SampanError):
    """The server cannot listen where it shall; the message names the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Options of `sampan server` that concern the API server.

    data_dir: for keys; None keeps everything in memory. port: 0 for any free one. advertise_address: where pods reach
    the server, by default the bind address, or an address of the machine when that is a wildcard. service_cidrs: one
    per family. node_ports: first and last. names: further names and addresses for the serving certificate. audit: None
    keeps no audit log.
    """

    data_dir: Path | None = None
    bind_address: str = "127.0.0.1"
    port: int = 0
    advertise_address: str = ""
    token_auth_file: Path | None = None
    service_cidrs: tuple[str, ...] = ("10.96.0.0/16",)
    node_ports: tuple[int, int] = (30000, 32767)
    issuer: str = "https://kubernetes.default.svc"
    anonymous: bool = True
    names: tuple[str, ...] = field(default=())
    audit: AuditOptions | None = None


class _Invalidation:
    """Watches what RBAC is made of."""

    def __init__(self, rbac: RBACAuthorizer, store: ResourceStore, hub: Hub) -> None:
        self._rbac = rbac
        self._store = store
        self._hub = hub

    def begin(self) -> None:
        """Follow the resource from now on."""
        self._store.watch(Selection(), self, after=self._store.revision)
        self._rbac.invalidate()

    def events(self, batch: Batch) -> None:
        del batch
        self._rbac.invalidate()

    def progress(self, revision: int) -> None:
        del revision

    def expired(self) -> None:
        if not self._hub.closing:
            self.begin()


class APIServer:
    """See the module. backend: where objects live; in memory by default. connector: serves exec, logs and the like."""

    def __init__(
        self,
        options: ServerOptions,
        clock: Clock,
        *,
        backend: Backend | None = None,
        connector: Connector | None = None,
    ) -> None:
        self.options = options
        self.clock = clock
        self.credentials = Credentials(options.data_dir)
        self.store = Store(backend or MemoryBackend(clock), clock)
        self.metrics = Metrics()
        self.discovery = Discovery()
        self.openapi = OpenAPI()
        self.connector = connector
        self.resources = Resources(self.store)
        self.port = options.port
        self._ready = False
        self._stopping = False
        self._stack = AsyncExitStack()
        self._build()

    def _build(self) -> None:
        lookup, objects = self.resources.lookup, self.resources.objects
        self.rbac = RBACAuthorizer(lookup, objects)
        node = NodeAuthorizer(lookup, self.resources.pods_of_node, self._node_role_allows)
        self.authorizer = UnionAuthorizer((node, self.rbac))
        services = AdmissionServices(
            lookup=lookup, objects=objects, authorizer=self.authorizer, clock=self.clock, features=FEATURES
        )
        self.outbound = Outbound(lookup, objects)
        self.admission = AdmissionChain(build_plugins(services, lambda: self.rbac, self.resources, self.outbound))
        self.environment = Environment(
            service_cidrs=self.options.service_cidrs, node_ports=self.options.node_ports, features=FEATURES,
            clock=self.clock, lookup=lookup, objects=objects, shared={},
        )  # fmt: skip
        self.resources.begin(self.environment, self.admission)
        self.aggregator = Aggregator(self.resources, self.discovery, self.outbound, self.credentials, self.clock)
        self.custom_resources = CustomResources(self.resources, self.discovery, self.openapi, self.clock)
        issuer = self.options.issuer
        self.tokens = ServiceAccountTokens(self.credentials.service_accounts, issuer, (issuer,), lookup, self.clock)
        static = StaticTokens.load(self.options.token_auth_file) if self.options.token_auth_file else None
        self.authenticator = Authenticator(
            static=static, service_accounts=self.tokens, bootstrap=BootstrapTokens(lookup, self.clock),
            clock=self.clock, anonymous=self.options.anonymous,
        )  # fmt: skip
        other = NonResource(
            discovery=self.discovery, openapi=self.openapi, metrics=self.metrics, tokens=self.tokens,
            checks=self._checks(),
        )  # fmt: skip
        table = handlers_of(self)
        self.router = Router(
            self.resources, self.resources.infos, verbs=table.verbs, subresources=table.subresources,
            virtual=table.virtual, connect=table.connect, other=other.route,
            aggregated=self.aggregator.handler,
        )  # fmt: skip
        self.pipeline = Pipeline(self.router, self.authenticator, self.authorizer, self.rbac)
        self.metrics.add_source(self._store_metrics)

    def _node_role_allows(self, attributes: Attributes) -> bool:
        rules, _ = self.rbac.role_rules({"kind": "ClusterRole", "name": "system:node"}, "")
        if not attributes.is_resource:
            return any(allows_path(rule, attributes.verb, attributes.path) for rule in rules)
        a = attributes
        resource = f"{a.resource}/{a.subresource}" if a.subresource else a.resource
        return any(allows_resource(rule, a.verb, a.group, resource) for rule in rules)

    def _checks(self) -> dict[str, dict[str, Any]]:
        def fine() -> str:
            return ""

        def store() -> str:
            return "" if self._ready else "not ready"

        def stopping() -> str:
            return "process is shutting down" if self._stopping else ""

        shared = {"ping": fine, "log": fine, "etcd": store}
        hooks = {
            "poststarthook/rbac/bootstrap-roles": store,
            "poststarthook/start-service-ip-repair-controllers": store,
        }
        return {
            "healthz": {**shared, **hooks},
            "livez": {**shared, **hooks},
            "readyz": {**shared, "etcd-readiness": store, "informer-sync": store, **hooks, "shutdown": stopping},
        }

    def _store_metrics(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - only for scrapes

        counts = GaugeMetricFamily(
            "apiserver_resource_objects",
            "Number of stored objects by group and resource.",
            labels=["group", "resource"],
        )
        for prefix, count in self.store.counts().items():
            _, _, group, resource, _ = prefix.split("/")
            counts.add_metric(["" if group == "core" else group, resource], count)
        yield counts

    # -- running

    async def run(self, started: Started) -> None:
        """Serve until cancelled. started: called with the URL when the server is ready.

        Raises ListenError, StorageError.
        """
        await self.store.start()
        try:
            async with asyncio.TaskGroup() as group:
                await self._serve(group, started)
        finally:
            await tasks.shielded(self.store.close(), seconds=5.0)

    async def _serve(self, group: asyncio.TaskGroup, started: Started) -> None:
        hub = self._hub = Hub(self._service(HTTPService(self.pipeline, self.metrics)), group)
        sock = self._bind()
        self.port = sock.getsockname()[1]
        chores = tasks.serve(group, self.store.run(), name="store")
        await self._bootstrap()
        names = [self.options.bind_address, self._address(), self._service_address(), *self.options.names]
        context = self.credentials.tls(names)
        server = await hub.loop.create_server(hub.connection, sock=sock, ssl=context, backlog=1024)
        others = [
            tasks.serve(group, hub.sweep(self.clock), name="idle connections"),
            tasks.serve(group, self._measure_lag(), name="loop lag"),
            tasks.serve(group, self.custom_resources.run(), name="custom resources"),
            tasks.serve(group, self.aggregator.run(), name="aggregator"),
        ]
        self._ready = True
        gc.collect()
        gc.set_threshold(_COLLECT_AFTER, 20, 20)
        gc.freeze()  # what is loaded by now stays; the collector need not look at it again
        started(self.url)
        try:
            await asyncio.Event().wait()
        finally:
            self._stopping = True
            server.close()
            await tasks.shielded(hub.drain(DRAIN_SECONDS), seconds=DRAIN_SECONDS + 0.5)
            await tasks.shielded(self.outbound.close(), seconds=1.5)
            for task in (*others, chores):
                task.cancel()

    def _service(self, plain: HTTPService) -> Service:
        """The service, with an audit log around it where one is wanted. Raises PolicyError."""
        options = self.options.audit
        if options is None:
            return plain
        from sampan.apiserver.audit.log import AuditLog  # noqa: PLC0415 - most servers keep none
        from sampan.apiserver.audit.policy import Policy  # noqa: PLC0415
        from sampan.apiserver.audit.service import AuditedService  # noqa: PLC0415

        return AuditedService(plain, self.pipeline, Policy.load(options.policy_file), AuditLog(options))

    def _bind(self) -> socket.socket:
        address, port = self.options.bind_address, self.options.port
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
        except OSError as error:
            sock.close()
            cure = "stop what uses it, or choose another with --secure-port"
            raise ListenError(f"cannot listen on {address}:{port}: {error.strerror}; {cure}") from error
        sock.setblocking(False)
        return sock

    async def _bootstrap(self) -> None:
        own = bootstrap.own_objects(self._address(), self.port, self._service_address(), self.options.service_cidrs)
        await bootstrap.bootstrap(self.resources, own, self.credentials.ca.certificate)
        self.resources.open()
        for resource in ("roles", "rolebindings", "clusterroles", "clusterrolebindings"):
            _Invalidation(self.rbac, self.resources.store_of(RBAC_GROUP, resource), self._hub).begin()
        ServiceAddresses(self.resources, self._hub).begin()
        DanglingFlowSchemas(self.resources, self._hub).begin()
        self.custom_resources.begin()
        self.aggregator.begin()

    def _service_address(self) -> str:
        network = ipaddress.ip_network(self.options.service_cidrs[0])
        return str(network[1])

    def _address(self) -> str:
        """Where pods reach the server."""
        if self.options.advertise_address:
            return self.options.advertise_address
        address = ipaddress.ip_address(self.options.bind_address)
        return _machine_address() if address.is_unspecified else str(address)

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            expected = loop.time() + _LAG_PERIOD
            await asyncio.sleep(_LAG_PERIOD)
            self.metrics.loop_lag = max(0.0, loop.time() - expected)

    @property
    def url(self) -> str:
        """Where clients on this machine reach the server."""
        address = ipaddress.ip_address(self.options.bind_address)
        if address.is_unspecified:
            return f"https://127.0.0.1:{self.port}" if address.version == 4 else f"https://[::1]:{self.port}"
        return f"https://[{address}]:{self.port}" if address.version == 6 else f"https://{address}:{self.port}"

    @property
    def advertised_url(self) -> str:
        """Where pods and other machines reach the server."""
        address = self._address()
        return f"https://[{address}]:{self.port}" if ":" in address else f"https://{address}:{self.port}"

    @property
    def ca(self) -> bytes:
        """The CA's certificate, PEM."""
        return self.credentials.ca.certificate

    # -- as a context manager, for tests and `sampan.testing`

    async def __aenter__(self) -> Self:
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._task = asyncio.current_task()
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def started(value: Any = None) -> None:
            if not ready.done():
                ready.set_result(value)

        self._running = tasks.spawn(group, self.run(started), name="apiserver")
        waiting: set[asyncio.Future[Any]] = {ready, self._running}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await self._running
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.cancel()
        await self._stack.__aexit__(kind, error, trace)


def _machine_address() -> str:
    """The address that the machine would send from; loopback when it has no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # documentation range: nothing is sent, the kernel only picks a route
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
