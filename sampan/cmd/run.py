"""`sampan run`: the supervisor of one machine's cluster, in the foreground.

Keeps `sampan server`, the image registry and `sampan agent` running (the agent keeps containerd). All of them outlive
the supervisor and are adopted by the next one. SIGTERM and SIGINT stop the processes and leave the containers running;
SIGUSR2 leaves everything running. Tells systemd when the cluster is up (sd_notify).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from typing import TYPE_CHECKING

import click

from sampan.base import log, tasks
from sampan.base.clock import RealClock
from sampan.base.pki import CertificateAuthority, write_private
from sampan.base.processes import Command, Supervised
from sampan.cmd.api import AdminAPI
from sampan.cmd.cli import data_dir_option, log_level_option
from sampan.cmd.cluster import machine_address
from sampan.cmd.service import first_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.base.clock import Clock
    from sampan.cmd.cluster import ClusterConfig, ClusterDirectory

logger = log.logger("run")

_STOP_SECONDS = 10.0


@click.command()
@data_dir_option
@log_level_option
def run(directory: ClusterDirectory, log_level: str) -> None:
    """Run a recorded cluster in the foreground: server, registry and agent, restarted when they end.

    `sampan up` records the cluster and runs this in the background; systemd may run it as a unit with Type=notify.
    """
    log.configure(level=log_level)
    config = directory.require()
    try:
        asyncio.run(Supervisor(directory, config, RealClock(), log_level=log_level).run())
    except BaseExceptionGroup as group:
        raise first_error(group) from None


class Supervisor:
    """Starts or adopts the processes in the order of their needs and keeps them running."""

    def __init__(
        self, directory: ClusterDirectory, config: ClusterConfig, clock: Clock, *, log_level: str = "info"
    ) -> None:
        self._directory = directory
        self._config = config
        self._clock = clock
        self._log_level = log_level
        self._processes: list[Supervised] = []
        wanted = config.nodes and config.registry_node_port and shutil.which("docker-registry")
        self._registry_address = machine_address() if wanted else ""

    async def run(self) -> None:
        """Run until a signal; see the module's docstring for which does what."""
        self._publish()
        stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            asyncio.get_running_loop().add_signal_handler(number, _set_once, stop, number)
        async with asyncio.TaskGroup() as group:
            main = tasks.spawn(group, self._supervise(), name="supervise")
            main.add_done_callback(lambda _: _set_once(stop, 0))
            await stop
            main.cancel()
        if stop.result() != signal.SIGUSR2:
            logger.info("Stopping; containers keep running")
            for process in reversed(self._processes):
                await process.stop(seconds=_STOP_SECONDS)

    async def _supervise(self) -> None:
        async with asyncio.TaskGroup() as group:
            admin = AdminAPI(self._directory.kubeconfig)
            server = self._process("server", self._server_arguments())
            early = [tasks.spawn(group, self._keep(group, server, admin.is_ready), name="start server")]
            program = shutil.which("docker-registry") if self._config.nodes else None
            if program is not None:
                early.append(tasks.spawn(group, self._start_registry(group, program), name="start registry"))
            await early[0]
            if program is not None and self._registry_address:
                early.append(tasks.spawn(group, self._start_node_registry(group, program), name="start node registry"))
            if self._config.nodes:
                if not (self._directory.agent / "pki" / "kubelet-client.crt").exists():
                    await self._write_join_token(admin)
                agent = self._process("agent", self._agent_arguments())
                await self._keep(group, agent, lambda: is_listening("127.0.0.1", self._config.kubelet_port))
            if self._config.simulated_nodes:
                simulator = self._process("simulate", self._simulate_arguments())
                await self._keep(group, simulator, _always)
            await asyncio.gather(*early)
            _notify_systemd()
            logger.info("Cluster is up", url=f"https://127.0.0.1:{self._config.secure_port}")

    async def _start_registry(self, group: asyncio.TaskGroup, program: str) -> None:
        process = self._command("registry", [program, "serve", self._write_registry_config()])
        await self._keep(group, process, lambda: is_listening("127.0.0.1", self._config.registry_port))

    async def _start_node_registry(self, group: asyncio.TaskGroup, program: str) -> None:
        address, port = self._registry_address, self._config.registry_node_port
        process = self._command("node-registry", [program, "serve", self._write_node_registry_config(address)])
        await self._keep(group, process, lambda: is_listening(address, port))

    async def _keep(self, group: asyncio.TaskGroup, process: Supervised, ready: Callable[[], Awaitable[bool]]) -> None:
        self._processes.append(process)
        await tasks.start(group, lambda started: process.run(started, ready), name=process.command.name)

    def _process(self, name: str, arguments: list[str]) -> Supervised:
        return self._command(name, [sys.executable, "-m", "sampan.cmd.main", name, *arguments])

    def _command(self, name: str, argv: list[str]) -> Supervised:
        directory = self._directory
        command = Command(name=name, argv=argv, log_file=directory.logs / f"{name}.log")
        return Supervised(command, directory.run, self._clock)

    def _server_arguments(self) -> list[str]:
        config, directory = self._config, self._directory
        arguments = {
            "data-dir": directory.server,
            "secure-port": config.secure_port,
            "write-kubeconfig": directory.kubeconfig,
            "service-cluster-ip-range": config.service_cidr,
            "cluster-cidr": config.cluster_cidr,
            "load-balancer-cidr": config.load_balancer_cidr,
            "log-level": self._log_level,
        }
        if self._registry_address:
            arguments["local-registry"] = f"https://{self._registry_address}:{config.registry_node_port}"
        if config.datastore:
            arguments["datastore"] = config.datastore
        return [f"--{key}={value}" for key, value in arguments.items()]

    def _simulate_arguments(self) -> list[str]:
        arguments = {
            "nodes": self._config.simulated_nodes,
            "kubeconfig": self._directory.kubeconfig,
            "pki-dir": self._directory.root / "simulated",
            "log-level": self._log_level,
        }
        return [f"--{key}={value}" for key, value in arguments.items()]

    def _agent_arguments(self) -> list[str]:
        config, directory = self._config, self._directory
        arguments = {
            "server": f"https://127.0.0.1:{config.secure_port}",
            "token-file": directory.join_token,
            "node-name": config.node_name,
            "data-dir": directory.agent,
            "kubelet-port": config.kubelet_port,
            "registry-mirror": f"localhost:5000=http://127.0.0.1:{config.registry_port}",
            "log-level": self._log_level,
        }
        return [f"--{key}={value}" for key, value in arguments.items()]

    def _write_registry_config(self) -> str:
        """Where images are pushed: on loopback only, so no credentials are needed."""
        return self._write_config("config.yml", f"http: {{addr: '127.0.0.1:{self._config.registry_port}'}}")

    def _write_node_registry_config(self, address: str) -> str:
        """Where other nodes pull the same images: read-only, over TLS, with a client certificate of the cluster."""
        folder = self._directory.registry / "pki"
        authority = CertificateAuthority.load_or_create(self._directory.server / "pki", "ca", "kubernetes")
        pair = authority.issue("sampan-registry", names=[address], usages=("server auth",))
        write_private(folder / "tls.crt", pair.certificate)
        write_private(folder / "tls.key", pair.key)
        write_private(folder / "ca.crt", authority.certificate, mode=0o644)
        tls = f"tls: {{certificate: {folder}/tls.crt, key: {folder}/tls.key, clientcas: [{folder}/ca.crt]}}"
        http = f"http: {{addr: '{address}:{self._config.registry_node_port}', {tls}}}"
        return self._write_config("nodes.yml", http, storage="maintenance: {readonly: {enabled: true}}")

    def _write_config(self, name: str, http: str, *, storage: str = "delete: {enabled: true}") -> str:
        folder = self._directory.registry
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = f"filesystem: {{rootdirectory: {folder}/data}}"
        path = folder / name
        path.write_text(f"version: 0.1\nlog: {{level: warn}}\nstorage: {{{data}, {storage}}}\n{http}\n")
        return str(path)

    async def _write_join_token(self, admin: AdminAPI) -> None:
        token = await admin.create_join_token(ttl_seconds=3600, description="this machine's own agent")
        write_private(self._directory.join_token, token.encode() + b"\n")

    def _publish(self) -> None:
        """Tell other clusters on this host which ranges are taken."""
        state = self._directory.host_state
        try:
            state.mkdir(parents=True, exist_ok=True, mode=0o755)
            (state / "cluster.json").write_bytes(self._directory.config_file.read_bytes())
        except PermissionError:
            logger.debug("No permission to publish ranges", path=state)


async def _always() -> bool:
    """Simulated nodes are waited for through the API, by `sampan up`."""
    return True


def _set_once(future: asyncio.Future[int], value: int) -> None:
    if not future.done():
        future.set_result(value)


async def is_listening(address: str, port: int) -> bool:
    """Tell whether a TCP connection is accepted."""
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True


def _notify_systemd() -> None:
    """Tell systemd that start-up is over, if it asked (sd_notify's protocol: one datagram)."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + path[1:] if path.startswith("@") else path)
            channel.sendall(b"READY=1")
