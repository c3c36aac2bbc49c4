"""`sampan server`: the control plane in one process, in the foreground; needs no root."""

from __future__ import annotations

import asyncio
import gc
import importlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import uvloop

from sampan.apiserver.audit.log import AuditOptions
from sampan.apiserver.authn.user import MASTERS, User
from sampan.apiserver.server import APIServer, ServerOptions
from sampan.base import log, tasks
from sampan.base.clock import RealClock
from sampan.base.errors import SampanError
from sampan.client import kubeconfig
from sampan.client.client import Client
from sampan.cmd.cli import log_level_option, option
from sampan.cmd.service import run_until_signalled

if TYPE_CHECKING:
    from sampan.apiserver.http.upgrade import Connector
    from sampan.apiserver.storage.interface import Backend
    from sampan.base.clock import Clock
    from sampan.base.tasks import Started

logger = log.logger("server")

COMPONENTS = ("apiserver", "controllers", "scheduler")
_FIRST_CONTROLLER = "serviceaccount-controller"


class ServerError(SampanError):
    """The server cannot run with these options; the message names the one to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneOptions:
    """Options of the whole control plane. ranges: CIDRs, comma-separated where there is one per family."""

    data_dir: Path
    secure_port: int
    bind_address: str
    advertise_address: str
    token_auth_file: Path | None
    write_kubeconfig: Path | None
    datastore: str
    service_cidr: str
    node_ports: tuple[int, int]
    cluster_cidr: str
    load_balancer_cidr: str
    local_registry: str
    components: tuple[str, ...]
    issuer: str
    names: tuple[str, ...]
    audit_policy_file: Path | None
    audit_log_path: str
    audit_log_maxsize: int
    audit_log_maxbackup: int
    audit_log_maxage: int

    def audit(self) -> AuditOptions | None:
        """The audit log that is asked for: None without a policy or a place for it."""
        if self.audit_policy_file is None or not self.audit_log_path:
            return None
        return AuditOptions(
            policy_file=self.audit_policy_file, log_path=self.audit_log_path, max_size=self.audit_log_maxsize,
            max_backups=self.audit_log_maxbackup, max_age=self.audit_log_maxage,
        )  # fmt: skip


def _components(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    del ctx, parameter
    chosen = tuple(part.strip() for part in value.split(",") if part.strip())
    for one in chosen:
        if one not in COMPONENTS:
            raise click.BadParameter(f"{one!r} is no component; choose from {', '.join(COMPONENTS)}")
    if "apiserver" not in chosen:
        raise click.BadParameter("the apiserver component is needed: the others talk to it in this process")
    return chosen


def _port_range(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    del ctx, parameter
    first, _, last = value.partition("-")
    if not (first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) < 65536):
        raise click.BadParameter(f"{value!r} is no range of ports such as 30000-32767")
    return int(first), int(last)


@click.command()
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), envvar="SAMPAN_DATA_DIR", show_envvar=True,
    default=Path("sampan-data"), show_default=True, help="Where the server keeps database, keys and certificates.",
)  # fmt: skip
@option("--secure-port", type=click.IntRange(0, 65535), default=6443, help="HTTPS port; 0 for any free one.")
@option("--bind-address", default="0.0.0.0", help="Address to listen on.")  # noqa: S104 - kube-apiserver's default
@option("--advertise-address", default="", help="Address at which pods and nodes reach the server. [default: found]")
@option(
    "--token-auth-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='CSV file of static tokens: token,user,uid,"group1,group2".',
)  # fmt: skip
@option("--write-kubeconfig", type=click.Path(path_type=Path), help="Write an administrator's kubeconfig to this file.")
@option(
    "--datastore",
    default="sqlite",
    help="sqlite (in the data directory), sqlite:///FILE, etcd://HOST:PORT[,...], or memory.",
)
@option("--service-cluster-ip-range", "service_cidr", default="10.96.0.0/16", help="Addresses of services.")
@option(
    "--service-node-port-range", "node_ports", default="30000-32767", callback=_port_range,
    help="Ports of services of type NodePort.",
)  # fmt: skip
@option("--cluster-cidr", default="10.244.0.0/16", help="Addresses of pods; each node gets a part.")
@option("--load-balancer-cidr", default="", help="External addresses of services of type LoadBalancer.")
@option(
    "--local-registry", default="",
    help="URL under which nodes pull images of localhost:5000, with their certificates; told to those that join.",
)  # fmt: skip
@option(
    "--components", default=",".join(COMPONENTS), callback=_components,
    help="Which parts run: apiserver alone is what kube-apiserver itself runs.",
)  # fmt: skip
@option("--service-account-issuer", "issuer", default="https://kubernetes.default.svc", help="Issuer of tokens.")
@option(
    "--tls-san", "names", multiple=True, help="Further name or address in the serving certificate; may be repeated."
)
@option(
    "--audit-policy-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What to write to the audit log (audit.k8s.io/v1 Policy).",
)  # fmt: skip
@option("--audit-log-path", default="", help="File of the audit log; - for standard output.")
@option("--audit-log-maxsize", type=click.IntRange(1), default=100, help="Megabytes before the audit log is rotated.")
@option("--audit-log-maxbackup", type=click.IntRange(0), default=0, help="Rotated audit logs to keep; 0 for all.")
@option("--audit-log-maxage", type=click.IntRange(0), default=0, help="Days to keep rotated audit logs; 0 for ever.")
@log_level_option
def server(log_level: str, **settings: Any) -> None:
    """Run the control plane in the foreground: API server, store, controllers, scheduler.

    Prints one line when it is ready; SIGTERM and SIGINT stop it within two seconds.
    """
    log.configure(level=log_level)
    options = ControlPlaneOptions(**settings)
    _check_ranges(options)
    run_until_signalled(ControlPlane(options, RealClock()).run, run=uvloop.run)


def _check_ranges(options: ControlPlaneOptions) -> None:
    for name, value in (
        ("--service-cluster-ip-range", options.service_cidr), ("--cluster-cidr", options.cluster_cidr),
        ("--load-balancer-cidr", options.load_balancer_cidr),
    ):  # fmt: skip
        for one in filter(None, value.split(",")):
            try:
                ipaddress.ip_network(one)
            except ValueError as error:
                raise ServerError(f"{name} {one}: {error}; give a range such as 10.96.0.0/16") from error


class ControlPlane:
    """API server, controllers and scheduler in one event loop."""

    def __init__(self, options: ControlPlaneOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock

    async def run(self, started: Started) -> None:
        """Run until cancelled; started is called with the URL when all parts work."""
        options, clock = self._options, self._clock
        options.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        server_options = ServerOptions(
            data_dir=options.data_dir, bind_address=options.bind_address, port=options.secure_port,
            advertise_address=options.advertise_address, token_auth_file=options.token_auth_file,
            service_cidrs=tuple(options.service_cidr.split(",")), node_ports=options.node_ports, issuer=options.issuer,
            names=options.names, audit=options.audit(),
        )  # fmt: skip
        api = APIServer(server_options, clock, backend=open_backend(options.datastore, options.data_dir, clock))
        api.connector = _connector(api)
        async with asyncio.TaskGroup() as group:
            url = await tasks.start(group, api.run, name="apiserver")
            self._write_kubeconfig(api)
            async with asyncio.TaskGroup() as components:
                if "controllers" in options.components:
                    await tasks.start(components, lambda ready: self._run_controllers(api, ready), name="controllers")
                if "scheduler" in options.components:
                    await tasks.start(components, lambda ready: self._run_scheduler(api, ready), name="scheduler")
                gc.collect()
                gc.freeze()  # what start-up made stays; collections need not walk it
                started(url)
                await asyncio.Event().wait()

    async def _run_controllers(self, api: APIServer, started: Started) -> None:
        """Start the controllers: that of ServiceAccounts first, since nobody can make a pod before it worked.

        The others are many modules; they are imported in a thread, so that requests are answered meanwhile.
        """
        client = _client(api, "system:kube-controller-manager")
        async with asyncio.TaskGroup() as group:
            await self._start_manager(group, api, client, (_FIRST_CONTROLLER,))
            await self._install(api, client)
            await asyncio.to_thread(_import_controllers)
            await self._start_manager(group, api, client, ("*", f"-{_FIRST_CONTROLLER}"))
            started()

    async def _start_manager(
        self, group: asyncio.TaskGroup, api: APIServer, client: Client, names: tuple[str, ...]
    ) -> None:
        from sampan.controllers.context import ControllerContext, ControllerOptions  # noqa: PLC0415 - start-up time
        from sampan.controllers.registry import build  # noqa: PLC0415
        from sampan.runtime.manager import Manager  # noqa: PLC0415

        options = self._options
        controller_options = ControllerOptions(
            controllers=names, cluster_cidrs=tuple(options.cluster_cidr.split(",")),
            service_cidrs=tuple(options.service_cidr.split(",")), load_balancer_cidr=options.load_balancer_cidr,
            root_ca=api.ca, signer=api.credentials.ca,
        )  # fmt: skip
        context = ControllerContext(client, clock=self._clock, options=controller_options)
        manager = Manager(context.informers, build(context), events=context.events)
        await tasks.start(group, manager.run, name=f"manager of {names[0]}")

    async def _install(self, api: APIServer, client: Client) -> None:
        from sampan.cmd.clusterobjects import ClusterFacts, ensure  # noqa: PLC0415 - start-up time

        first_range = self._options.service_cidr.split(",")[0]
        facts = ClusterFacts(
            server=api.advertised_url, ca=api.ca, cluster_cidr=self._options.cluster_cidr,
            service_cidr=self._options.service_cidr, load_balancer_cidr=self._options.load_balancer_cidr,
            dns_address=str(ipaddress.ip_network(first_range)[10]), registry=self._options.local_registry,
        )  # fmt: skip
        await ensure(client, facts)

    async def _run_scheduler(self, api: APIServer, started: Started) -> None:
        await asyncio.to_thread(importlib.import_module, "sampan.scheduler.scheduler")
        from sampan.runtime.events import EventBroadcaster  # noqa: PLC0415 - start-up time
        from sampan.scheduler.options import SchedulerOptions  # noqa: PLC0415
        from sampan.scheduler.scheduler import Scheduler  # noqa: PLC0415

        client = _client(api, "system:kube-scheduler")
        events = EventBroadcaster(client, clock=self._clock)
        options = SchedulerOptions()
        scheduler = Scheduler(options, client, events.recorder(options.scheduler_name), self._clock)
        async with asyncio.TaskGroup() as group:
            tasks.serve(group, events.run(), name="scheduler events")
            await tasks.start(group, scheduler.run, name="scheduler")
            started()

    def _write_kubeconfig(self, api: APIServer) -> None:
        path = self._options.write_kubeconfig
        if path is None:
            return
        pair = api.credentials.administrator()
        config = kubeconfig.build(
            name="sampan", server=api.url, ca=api.ca, user="sampan-admin", certificate=pair.certificate, key=pair.key
        )
        kubeconfig.write(path, config)


def open_backend(url: str, data_dir: Path, clock: Clock) -> Backend:
    """Choose the store by URL. Raises ServerError."""
    if url == "memory":
        from sampan.apiserver.storage.memory import MemoryBackend  # noqa: PLC0415 - only one backend is needed

        return MemoryBackend(clock)
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        from sampan.apiserver.storage.sqlite import SQLiteBackend  # noqa: PLC0415

        return SQLiteBackend(Path(rest) if rest else data_dir / "state.db", clock)
    if scheme == "etcd":
        from sampan.apiserver.storage.etcd import EtcdBackend  # noqa: PLC0415
        from sampan.apiserver.storage.etcdclient import EtcdOptions  # noqa: PLC0415

        try:
            options = EtcdOptions.parse(url, lambda name: Path(name).read_bytes())
        except ValueError as error:
            raise ServerError(f"--datastore: {error}") from error
        return EtcdBackend(options, clock)
    raise ServerError(
        f"--datastore {url}: unknown kind of store; give sqlite, sqlite:///FILE, etcd://HOST:PORT or memory"
    )


def _client(api: APIServer, user: str) -> Client:
    from sampan.apiserver.local import LocalTransport  # noqa: PLC0415 - `--components apiserver` needs none

    return Client(LocalTransport(api, User(user, groups=(MASTERS,)).authenticated()))


def _connector(api: APIServer) -> Connector:
    from sampan.apiserver.proxy import NodeConnector  # noqa: PLC0415 - start-up time
    from sampan.apiserver.proxy.kubelets import KubeletCredentials  # noqa: PLC0415

    pair = api.credentials.kubelet_client()
    return NodeConnector(KubeletCredentials(ca=api.ca, certificate=pair.certificate, key=pair.key))


def _import_controllers() -> None:
    from sampan.controllers.registry import import_all  # noqa: PLC0415 - start-up time

    import_all()
