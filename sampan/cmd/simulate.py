"""`sampan simulate`: nodes without containers, in the foreground, against any Kubernetes API."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import uvloop

from sampan.base import log
from sampan.base.clock import RealClock
from sampan.client import kubeconfig as kubeconfigs
from sampan.client.client import Client
from sampan.client.config import Impersonation
from sampan.client.https import HTTPSTransport
from sampan.cmd.cli import log_level_option, option
from sampan.cmd.service import run_until_signalled
from sampan.kubelet.simulated import SimulatedOptions, Simulator

if TYPE_CHECKING:
    from sampan.base.tasks import Started
    from sampan.client.config import ClientConfig


@click.command()
@option("--nodes", type=click.IntRange(1), default=1, help="How many nodes.")
@option(
    "--kubeconfig", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True,
    help="The cluster, and a user who may do what its nodes do.",
)  # fmt: skip
@option("--node-prefix", "prefix", default="simulated", help="Nodes are named <prefix>-0, <prefix>-1, ...")
@option("--node-cpu", "cpu", default="32", help="CPUs of each node, as a quantity.")
@option("--node-memory", "memory", default="256Gi", help="Memory of each node, as a quantity.")
@option("--node-pods", "pods", default="110", help="How many pods each node takes.")
@option("--start-delay", default=0.0, help="Seconds from a pod's binding until its containers run.")
@option("--ready-delay", default=0.0, help="Seconds from then until it is ready.")
@option("--job-seconds", default=1.0, help="Seconds that containers of Jobs run; others run for ever.")
@option("--delete-delay", default=0.0, help="Seconds that a pod takes to end, within its grace period.")
@option(
    "--node-address", "address", default="127.0.0.1", help="Where the API server reaches the nodes' kubelet server."
)
@option("--kubelet-port", "port", default=0, help="Port of that server; 0 for any free one.")
@option("--pki-dir", type=click.Path(path_type=Path, file_okay=False), help="Keeps that server's certificate.")
@log_level_option
def simulate(log_level: str, kubeconfig: Path, pki_dir: Path | None, **settings: Any) -> None:
    """Run simulated nodes until SIGTERM or SIGINT; their Node objects stay.

    Pods go through their phases by the clock. Annotations simulated.sampan.io/<key> say what one pod does: start-delay,
    ready-delay, run-for, delete-delay (durations such as 1.5s), ready, exit-code, crashes, log, exec.
    """
    log.configure(level=log_level)
    config = kubeconfigs.load(kubeconfig).resolve()
    with tempfile.TemporaryDirectory(prefix="sampan-simulate-") as scratch:
        options = SimulatedOptions(pki_dir=pki_dir or Path(scratch), cluster_ca=_ca(config), **settings)

        async def run(started: Started) -> None:
            await _run(options, config, started)

        run_until_signalled(run, run=uvloop.run)


async def _run(options: SimulatedOptions, config: ClientConfig, started: Started) -> None:
    client = Client(HTTPSTransport(config))
    first = Impersonation(user=f"system:node:{options.name(0)}", groups=("system:nodes",))
    node_client = Client(HTTPSTransport(dataclasses.replace(config, impersonate=first)))
    try:
        await Simulator(options, client, RealClock(), node_client=node_client).run(started)
    finally:
        await client.close()
        await node_client.close()


def _ca(config: ClientConfig) -> bytes:
    if config.ca or not config.ca_file:
        return config.ca
    return Path(config.ca_file).read_bytes()
