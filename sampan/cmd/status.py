"""`sampan status`: the processes on this machine and the cluster's nodes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.base.processes import ProcessRecord
from sampan.cmd.api import AdminAPI, is_ready_condition
from sampan.cmd.cli import data_dir_option
from sampan.cmd.node import NodeLayout

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.cmd.cluster import ClusterConfig, ClusterDirectory


@click.command()
@data_dir_option
def status(directory: ClusterDirectory) -> int:
    """Show sampan's processes, the API's health and the nodes; exit 1 when something that should run does not."""
    config = directory.require()
    click.echo(f"data         {directory.root}")
    click.echo(f"API          https://127.0.0.1:{config.secure_port}")
    click.echo(f"pods         {config.cluster_cidr}   services {config.service_cidr}   "
               f"load balancers {config.load_balancer_cidr}\n")  # fmt: skip
    click.echo(f"{'PROCESS':13} {'STATE':8} {'PID':>7}  {'MEMORY':>8}  UPTIME")
    running = [_print_process(name, record) for name, record in _records(directory, config)]
    click.echo("")
    healthy = asyncio.run(_print_cluster(directory))
    return 0 if all(running) and healthy else 1


def _records(directory: ClusterDirectory, config: ClusterConfig) -> list[tuple[str, ProcessRecord | None]]:
    names = ["supervisor", "server", *(["registry", "node-registry", "agent"] if config.nodes else [])]
    if config.simulated_nodes:
        names.append("simulate")
    found = [(name, ProcessRecord.load(directory.run / f"{name}.json")) for name in names]
    if config.nodes:
        found.append(("containerd", ProcessRecord.load(NodeLayout(directory.agent).run / "containerd.json")))
    return found


def _print_process(name: str, record: ProcessRecord | None) -> bool:
    if record is None or not record.alive:
        click.echo(f"{name:13} {'stopped':8}")
        return False
    pages = int(Path(f"/proc/{record.pid}/statm").read_text().split()[1])
    boot = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    uptime = int(time.time() - boot - record.start_time / 100)  # start times are in hundredths of a second on Linux
    click.echo(f"{name:13} {'running':8} {record.pid:>7}  {pages * 4096 / 2**20:>5.0f} MB  {_age(uptime)}")
    return True


async def _print_cluster(directory: ClusterDirectory) -> bool:
    async with AdminAPI(directory.kubeconfig) as admin:
        if not await admin.is_ready():
            click.echo("The API does not answer; `sampan up` starts it, `sampan logs server` says why it ended.")
            return False
        nodes = await admin.nodes()
    click.echo(f"{'NODE':24} {'STATE':9} {'ADDRESS':16} VERSION")
    for node in nodes:
        _print_node(node)
    return all(is_ready_condition(node) for node in nodes)


def _print_node(node: Object) -> None:
    addresses = node.get("status", {}).get("addresses") or []
    address = next((one["address"] for one in addresses if one["type"] == "InternalIP"), "")
    version = node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")
    state = "Ready" if is_ready_condition(node) else "NotReady"
    click.echo(f"{node['metadata']['name']:24} {state:9} {address:16} {version}")


def _age(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
