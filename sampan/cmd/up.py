"""`sampan up`: a cluster on this machine, in the background, ready when the command returns."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from sampan.base.clock import RealClock
from sampan.base.processes import Command, ProcessRecord, Supervised, tail
from sampan.cmd.api import AdminAPI
from sampan.cmd.cli import data_dir_option, log_level_option, option
from sampan.cmd.cluster import (
    ClusterConfig,
    ClusterDirectory,
    ClusterError,
    default_data_dir,
    free_port,
    is_port_free,
    networks_in_use,
    pick_config,
)
from sampan.cmd.prerequisites import missing
from sampan.cmd.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_POLL_SECONDS = 0.02
_AGENT_PORTS = {"agent": "kubelet_port", "registry": "registry_port", "node-registry": "registry_node_port"}
"""Processes whose ports nobody types, and the fields that hold them."""
_CHANGEABLE = ("secure_port", "simulated_nodes")


@click.command()
@data_dir_option
@option("--nodes/--no-nodes", default=True, help="Run containers on this machine, or only the API and its controllers.")
@option("--simulated-nodes", type=click.IntRange(0), help="Also run so many nodes whose containers are simulated.")
@option("--node-name", help="This machine's node name. [default: the host name]")
@option("--secure-port", type=int, help="Port of the API. [default: 6443 or the next free one]")
@option("--cluster-cidr", help="Addresses of pods. [default: 10.42.0.0/16 or the next free range]")
@option("--service-cluster-ip-range", "service_cidr", help="Addresses of services. [default: 10.96.0.0/16 or next]")
@option("--load-balancer-cidr", help="External addresses of services; give a part of your LAN to reach them there.")
@option("--merge-kubeconfig", is_flag=True, help="Also add the cluster to ~/.kube/config and make it current.")
@option("--wait-seconds", "seconds", default=120.0, help="How long to wait until all is ready.")
@log_level_option
def up(
    directory: ClusterDirectory, *, nodes: bool, merge_kubeconfig: bool, seconds: float, log_level: str,
    **choices: str | int | None,
) -> None:  # fmt: skip
    """Start a cluster on this machine and wait until it is ready.

    The first run chooses ports and address ranges and records them in the data directory; later runs use them again.
    """
    with directory.locked("sampan up"):
        record = ProcessRecord.load(directory.run / "supervisor.json")
        running = record is not None and record.alive
        config = _configure(directory, nodes=nodes, choices=choices, running=running)
        if record is not None and running:
            click.echo(f"sampan already runs here (pid {record.pid}); `sampan status` shows it, `sampan down` stops it")
        else:
            _check_host(directory, config)
            config = _check_ports(directory, config)
            directory.save(config)
            asyncio.run(_start(directory, config, seconds=seconds, log_level=log_level))
        if merge_kubeconfig:
            click.echo(f"Merged into {AdminAPI(directory.kubeconfig).merge_kubeconfig()}")
        _next_steps(directory)


def _configure(
    directory: ClusterDirectory, *, nodes: bool, choices: dict[str, str | int | None], running: bool
) -> ClusterConfig:
    """Load the recorded configuration or pick one. Explicit options win, but few can change, and only while stopped.

    Nothing is recorded yet: a cluster that cannot start here leaves no choices behind.
    """
    given = {key: value for key, value in choices.items() if value is not None}
    config = directory.load()
    if config is None:
        picked = pick_config(directory, nodes=nodes, used=networks_in_use(_routes()))
        return dataclasses.replace(picked, **given)  # type: ignore[arg-type]
    for key, value in given.items():
        if getattr(config, key) == value:
            continue
        if key not in _CHANGEABLE or running:
            anew = "`sampan down --purge` and `sampan up` make a new one"
            cure = "`sampan down` first" if key in _CHANGEABLE else anew
            raise ClusterError(
                f"--{key.replace('_', '-')} {value}: this cluster was made with {getattr(config, key)}; {cure}"
            )
        config = dataclasses.replace(config, **{key: int(value)})  # type: ignore[arg-type]
    return config if running else dataclasses.replace(config, nodes=nodes)


def _routes() -> list[str]:
    """Networks that this host's routes lead to; none where `ip` is missing, which `_check_host` then tells."""
    ip = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin")
    if ip is None:
        return []
    routes = subprocess.run([ip, "-o", "route"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return [line.split()[0] for line in routes.splitlines() if line[:1].isdigit()]


def _check_host(directory: ClusterDirectory, config: ClusterConfig) -> None:
    if config.nodes and (lacking := missing(directory.root)):
        lines = "\n".join(f"  {check.name}: {check.found} -> {check.cure}" for check in lacking)
        raise ClusterError(
            f"this machine lacks what containers need:\n{lines}\nor without containers: sampan up --no-nodes"
        )


def _check_ports(directory: ClusterDirectory, config: ClusterConfig) -> ClusterConfig:
    """Refuse an API port that somebody else has; take other ports for kubelet and registries. Raises ClusterError."""

    def is_taken(name: str, port: int) -> bool:
        record = ProcessRecord.load(directory.run / f"{name}.json")
        return (record is None or not record.alive) and not is_port_free(port)

    if is_taken("server", port := config.secure_port):
        raise ClusterError(f"port {port} (secure-port) is in use; `ss -ltnp sport = :{port}` shows by whom. End it, or "
                           f"take another port: sampan up --secure-port {port + 1}")  # fmt: skip
    changes: dict[str, Any] = {}
    for name, key in _AGENT_PORTS.items() if config.nodes else ():
        if (port := getattr(config, key)) and is_taken(name, port):
            changes[key] = free_port(port + 1, set(changes.values()))
    return dataclasses.replace(config, **changes)


async def _start(directory: ClusterDirectory, config: ClusterConfig, *, seconds: float, log_level: str) -> None:
    argv = [sys.executable, "-m", "sampan.cmd.main", "run", f"--data-dir={directory.root}", f"--log-level={log_level}"]
    command = Command(name="supervisor", argv=argv, log_file=directory.root / "logs" / "supervisor.log")
    supervisor = Supervised(command, directory.run, RealClock())
    record = supervisor.start_detached()
    admin = AdminAPI(directory.kubeconfig)
    steps: list[tuple[str, Callable[[], Awaitable[bool]]]] = [
        ("API server", admin.is_ready),
        ("default ServiceAccount", admin.has_default_service_account),
    ]
    if config.nodes:
        steps += [
            (f"node {config.node_name}", lambda: admin.is_node_ready(config.node_name)),
            ("cluster DNS", lambda: admin.is_dns_ready(config.dns_address)),
        ]
    if config.simulated_nodes:
        last = f"simulated-{config.simulated_nodes - 1}"
        steps.append((f"{config.simulated_nodes} simulated nodes", lambda: admin.is_node_ready(last)))
    progress = Progress()
    end = time.monotonic() + seconds
    async with admin:
        for name, is_done in steps:
            with progress.step(name):
                while not await is_done():
                    if not record.alive:
                        raise ClusterError(f"the supervisor ended; its last words:\n{tail(command.log_file, 8)}")
                    if time.monotonic() > end:
                        raise ClusterError(
                            f"{name} is not ready after {seconds:g} s; see `sampan status` and `sampan logs`"
                        )
                    await asyncio.sleep(_POLL_SECONDS)


def _next_steps(directory: ClusterDirectory) -> None:
    suffix = "" if directory.root == default_data_dir() else f" --data-dir {directory.root}"
    click.echo(f'\nkubeconfig: {directory.kubeconfig}\ntry:        eval "$(sampan env{suffix})"; kubectl get nodes')
