"""`sampan agent`: a node. Kubelet, service proxy, cluster DNS and pod network in one process, over one containerd."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from sampan.api.errors import APIStatusError, Forbidden, Unauthorized
from sampan.base import log, tasks
from sampan.base.clock import RealClock
from sampan.base.errors import SampanError
from sampan.base.pki import write_private
from sampan.base.processes import Command, Supervised
from sampan.client import kubeconfig
from sampan.client.client import Client
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient
from sampan.client.https import HTTPSTransport
from sampan.client.resources import ENDPOINTSLICES
from sampan.cmd.cli import log_level_option, option
from sampan.cmd.clusterobjects import CLUSTER_CONFIG, CLUSTER_INFO, CONFIG_MAPS
from sampan.cmd.jointoken import JoinToken
from sampan.cmd.node import NodeLayout
from sampan.cmd.prerequisites import cni_directory
from sampan.cmd.service import run_until_signalled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.base.clock import Clock
    from sampan.base.tasks import Started

logger = log.logger("agent")
LOCAL_REGISTRY = "localhost:5000"
_RETRY_SECONDS = 0.1
_DISCOVERY_SECONDS = 30.0


class AgentError(SampanError):
    """The agent cannot run; the message names the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """Options of `sampan agent`."""

    server: str
    token_file: Path | None
    kubeconfig: Path | None
    node_name: str
    data_dir: Path
    node_ip: str
    kubelet_port: int
    container_runtime_endpoint: str
    registry_mirror: tuple[str, ...]
    node_labels: str


@click.command()
@option("--server", default="", help="URL of the API server, with --token-file.")
@option(
    "--token-file", type=click.Path(path_type=Path), help="File with a join token, as `sampan token create` prints it."
)
@option("--kubeconfig", type=click.Path(path_type=Path), help="Kubeconfig of this node, instead of a token.")
@option("--node-name", default="", help="Name of the node. [default: the host name]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), envvar="SAMPAN_DATA_DIR", show_envvar=True,
    default=Path("/var/lib/sampan/agent"), show_default=True, help="Where the node keeps images, volumes and keys.",
)  # fmt: skip
@option("--node-ip", default="", help="Address of the node. [default: that of the way to the server]")
@option("--kubelet-port", type=click.IntRange(0, 65535), default=10250, help="Port of the kubelet; 0 for any free one.")
@option("--container-runtime-endpoint", default="", help="A CRI socket to use instead of a private containerd.")
@option(
    "--registry-mirror", multiple=True, metavar="NAME=URL",
    help="Reach a registry under this URL, e.g. localhost:5000=http://127.0.0.1:5000; may be repeated.",
)  # fmt: skip
@option("--node-labels", default="", help="Labels for the Node, key=value,...")
@log_level_option
def agent(log_level: str, **settings: Any) -> None:
    """Run a node in the foreground: it joins with a token, then keeps its own certificates."""
    log.configure(level=log_level)
    if os.geteuid() != 0:
        raise AgentError("a node needs root for containers and networking: sudo sampan agent ...")
    options = AgentOptions(**settings)
    options = dataclasses.replace(options, node_name=options.node_name or socket.gethostname().lower())
    # uvloop has no netlink sockets, which the pod network needs
    run_until_signalled(Agent(options, RealClock()).run, run=asyncio.run)


class Agent:
    """Assembles a node's parts in the order of their needs."""

    def __init__(self, options: AgentOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._layout = NodeLayout(options.data_dir)

    async def run(self, started: Started) -> None:
        """Run until cancelled; containers and containerd stay when it ends."""
        options, layout = self._options, self._layout
        write_private(layout.record_file, orjson.dumps({"node": options.node_name, "server": options.server}) + b"\n")
        async with asyncio.TaskGroup() as group:
            runtime = tasks.spawn(group, self._start_runtime(group), name="containerd")
            config = await self._credentials()
            transport = HTTPSTransport(config)
            client = Client(transport)
            try:
                facts = await self._facts(client)
                endpoint = await runtime
                self._use_local_registry(facts, config)
                await self._run_node(client, config, facts, endpoint, started)
            finally:
                await tasks.shielded(transport.close(), seconds=2)

    async def _run_node(
        self, client: Client, config: ClientConfig, facts: Mapping[str, str], endpoint: str, started: Started
    ) -> None:
        from sampan.client.informer import InformerFactory  # noqa: PLC0415 - joining needs none of it
        from sampan.dns import DNSOptions, DNSServer  # noqa: PLC0415
        from sampan.kubelet.agent import Kubelet  # noqa: PLC0415
        from sampan.kubelet.cri import CRIRuntime  # noqa: PLC0415
        from sampan.kubelet.endpointgate import EndpointSliceGate  # noqa: PLC0415
        from sampan.kubelet.options import KubeletOptions  # noqa: PLC0415
        from sampan.proxy import NetworkOptions, PodNetwork, Proxy  # noqa: PLC0415

        options, layout, clock = self._options, self._layout, self._clock
        address = options.node_ip or _address_towards(config.server)
        network = NetworkOptions(
            node_name=options.node_name, node_ip=address, cluster_cidr=facts["clusterCIDR"],
            service_cidr=facts["serviceClusterIPRange"], load_balancer_cidr=facts["loadBalancerCIDR"],
            bridge=layout.bridge, dummy=layout.dummy, vxlan=layout.vxlan, table=layout.table,
            cni_conf_dir=layout.cni_conf_dir, dns_address=facts["clusterDNS"],
        )  # fmt: skip
        kubelet = KubeletOptions(
            node_name=options.node_name, node_ips=[address], data_dir=options.data_dir, runtime_endpoint=endpoint,
            kubelet_port=options.kubelet_port, cluster_dns=[facts["clusterDNS"]],
            cluster_domain=facts["clusterDomain"], cgroup_root=layout.cgroup_parent,
            labels=_labels(options.node_labels), cluster_ca=config.ca,
        )  # fmt: skip
        runtime = CRIRuntime(kubelet.runtime_endpoint, clock)
        informers = InformerFactory(client, clock=clock)
        try:
            async with asyncio.TaskGroup() as group:
                await tasks.start(group, informers.run, name="informers")
                pods = PodNetwork(network, client, clock, informers=informers)
                tasks.serve(group, pods.run(), name="pod network")
                proxy = Proxy(network, client, clock, informers=informers)
                tasks.serve(group, proxy.run(), name="service proxy")
                dns = DNSServer(
                    DNSOptions(address=facts["clusterDNS"], domain=facts["clusterDomain"]), client, clock,
                    informers=informers,
                )  # fmt: skip
                tasks.serve(group, dns.run(), name="cluster DNS")
                gate = EndpointSliceGate(informers.informer(ENDPOINTSLICES), clock)
                node = Kubelet(kubelet, client, runtime, clock, gate=gate)
                await tasks.start(group, node.run, name="kubelet")
                started(f"{options.node_name} {address}")
                await asyncio.Event().wait()
        finally:
            await tasks.shielded(runtime.close(), seconds=2)

    # -- joining

    async def _credentials(self) -> ClientConfig:
        """The node's own credentials: from a kubeconfig, from an earlier run, or by joining with the token."""
        from sampan.kubelet import certificates  # noqa: PLC0415 - only without a kubeconfig

        options = self._options
        if options.kubeconfig is not None:
            return kubeconfig.load(options.kubeconfig).resolve()
        if not options.server:
            raise AgentError("tell the agent where to join: --server URL --token-file FILE, or --kubeconfig FILE")
        folder = options.data_dir / "pki"
        wanted = certificates.client_certificate(options.node_name)
        certificate, key = certificates.files(folder, wanted)
        ca_file = folder / "ca.crt"
        if not (certificate.exists() and ca_file.exists()):
            ca, token = await self._discover()
            write_private(ca_file, ca, mode=0o644)
            transport = HTTPSTransport(ClientConfig(server=options.server, ca=ca, token=token.bearer))
            try:
                logger.info("Joining", server=options.server, node=options.node_name)
                await certificates.obtain(Client(transport), wanted, folder, self._clock)
            except (Unauthorized, Forbidden) as error:
                raise AgentError(
                    f"{options.server} refused the join token ({error.message}): it is wrong or has expired; "
                    f"`sampan token create` there prints a new one"
                ) from error
            finally:
                await transport.close()
        return ClientConfig(
            server=options.server, ca=ca_file.read_bytes(), certificate_file=str(certificate), key_file=str(key)
        )

    async def _discover(self) -> tuple[bytes, JoinToken]:
        """Fetch the CA over an unverified connection and check it against the token's hash.

        Source: kubeadm's token discovery (the cluster-info ConfigMap in kube-public).
        """
        options = self._options
        if options.token_file is None:
            raise AgentError("this node has not joined yet: give a join token with --token-file")
        token = JoinToken.read(options.token_file)
        http = HTTPClient(ClientConfig(server=options.server, insecure=True))
        try:
            path = f"/api/v1/namespaces/kube-public/configmaps/{CLUSTER_INFO}"
            answer = await self._patiently(lambda: http.request("GET", path))
            end = self._clock.monotonic() + _DISCOVERY_SECONDS
            while answer.status != 200 and self._clock.monotonic() < end:
                await self._clock.sleep(_RETRY_SECONDS)  # a new server answers before it has made its own objects
                answer = await self._patiently(lambda: http.request("GET", path))
        finally:
            await http.close()
        if answer.status != 200:
            raise AgentError(f"{options.server} does not let nodes join: no ConfigMap kube-public/{CLUSTER_INFO} "
                             f"(status {answer.status}); is this a sampan server with its controllers?")  # fmt: skip
        document = orjson.loads(orjson.loads(answer.body)["data"]["kubeconfig"])
        ca = base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"])
        token.check(ca)
        return ca, token

    async def _facts(self, client: Client) -> Mapping[str, str]:
        """The cluster's ranges, from the server."""
        config_maps = client.resource(CONFIG_MAPS, "kube-system")
        found = await self._patiently(lambda: config_maps.get(CLUSTER_CONFIG))
        data: Mapping[str, str] = found["data"]
        return data

    async def _patiently(self, call: Any) -> Any:
        """Repeat a call while the server cannot be reached; it may still be starting."""
        said = False
        while True:
            try:
                return await call()
            except (OSError, TimeoutError) as error:
                if not said:
                    logger.warning("Cannot reach the server yet", server=self._options.server, error=error)
                    said = True
            except APIStatusError as error:
                if error.code < 500:
                    raise AgentError(f"{self._options.server} refused: {error.message}") from error
            await self._clock.sleep(_RETRY_SECONDS)

    # -- containerd

    def _use_local_registry(self, facts: Mapping[str, str], config: ClientConfig) -> None:
        """Pull images of localhost:5000 from the cluster's registry, unless this node was told where that is."""
        url = facts.get("localRegistry", "")
        told = any(mirror.startswith(f"{LOCAL_REGISTRY}=") for mirror in self._options.registry_mirror)
        if not url or told or not config.certificate_file or self._options.container_runtime_endpoint:
            return
        from sampan.kubelet import containerd  # noqa: PLC0415

        ca_file = self._options.data_dir / "pki" / "ca.crt"
        host = containerd.RegistryHost(
            url=url, ca=str(ca_file), client_certificate=config.certificate_file, client_key=config.key_file
        )
        containerd.write_registry_hosts(self._layout.containerd_directory / "certs.d", {LOCAL_REGISTRY: host})

    async def _start_runtime(self, group: asyncio.TaskGroup) -> str:
        """Start or adopt the private containerd and return its endpoint; with an endpoint given, return that."""
        if given := self._options.container_runtime_endpoint:
            return given
        from sampan.kubelet import containerd, pauseimage  # noqa: PLC0415

        layout = self._layout
        plugins = cni_directory()
        if plugins is None:
            raise AgentError("the CNI plug-ins are not installed: apt-get install containernetworking-plugins")
        mirrors = {}
        for mirror in self._options.registry_mirror:
            name, _, url = mirror.partition("=")
            mirrors[name] = containerd.RegistryHost(url=url)
        options = containerd.ContainerdOptions(
            directory=layout.containerd_directory, state=layout.state, cni_conf_dir=layout.cni_conf_dir,
            cni_bin_dirs=[plugins], registries=mirrors,
        )  # fmt: skip
        containerd.write_config(options)
        command = Command(name="containerd", argv=containerd.argv(options), log_file=layout.logs / "containerd.log")
        process = Supervised(command, layout.run, self._clock)
        await tasks.start(group, lambda ready: process.run(ready, lambda: _accepts(options.socket)), name="containerd")
        await asyncio.to_thread(_import_pause_image, options.socket, pauseimage.PAUSE_IMAGE, pauseimage.pause_archive())
        return str(options.socket)


async def _accepts(path: Path) -> bool:
    """Whether a Unix socket accepts connections."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


def _import_pause_image(address: Path, name: str, archive: bytes) -> None:
    ctr = ["ctr", f"--address={address}", "--namespace=k8s.io", "images"]
    present = subprocess.run([*ctr, "list", "-q", f"name=={name}"], capture_output=True, text=True, check=False)  # noqa: S603
    if name in present.stdout.split():
        return
    result = subprocess.run([*ctr, "import", "-"], input=archive, capture_output=True, check=False)  # noqa: S603
    if result.returncode != 0:
        raise AgentError(f"cannot import the sandbox image: {result.stderr.decode().strip()}")


def _address_towards(server: str) -> str:
    """The address from which this machine reaches the server; for a local server, that of its default route."""
    host = server.partition("://")[2].partition("/")[0].rpartition(":")[0].strip("[]") or "127.0.0.1"
    for target in (host, "192.0.2.1"):  # a documentation address: asks only for the route
        with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue
            address: str = probe.getsockname()[0]
        if not address.startswith("127.") and address != "::1":
            return address
    raise AgentError("this machine has no address but loopback; give one with --node-ip")


def _labels(text: str) -> dict[str, str]:
    found = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if not separator:
            raise AgentError(f"--node-labels: {part!r} is no key=value")
        found[key] = value
    return found
